/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bridge role. Messages come first in a turn of the loop: WRITEs only queue up on their
 * stream. The pass then writes each stream that has something to write, in one system call
 * for all its loans, and sends what is to be noticed. So a burst of packets costs one call
 * and wakes a sleeping host reader once.
 */
#include "vsw_bridge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_lcore.h>

#include "vsw_base.h"
#include "vsw_clock.h"
#include "vsw_quota.h"
#include "vsw_socket_close.h"
#include "stream.h"

TAILQ_HEAD(stream_list, vsw_stream);

struct vsw_bridge {
	struct vsw_loop *loop;
	unsigned int flush_timeout_ms;
	struct stream_list dirty; /* something is to be written, told or freed */
	struct vsw_msg *flush;    /* the FLUSH that waits */
	struct rte_timer flush_timer;
	TAILQ_HEAD(, vsw_bridge_guest) accounts; /* also of guests that have gone */
	struct vsw_bridge_guest *by_id[VSW_GUESTS_MAX];
};

static void
mark_dirty(struct vsw_bridge *bridge, struct vsw_stream *stream)
{
	if (stream->is_dirty)
		return;
	stream->is_dirty = true;
	TAILQ_INSERT_TAIL(&bridge->dirty, stream, dirty_entry);
}

static void
on_stream_event(struct vsw_watch *watch, uint32_t events)
{
	struct vsw_stream *stream = VSW_CONTAINER_OF(watch, struct vsw_stream, watch);

	vsw_stream_event(stream, events);
	mark_dirty(stream->bridge, stream);
}

/* @return the stream, which owns fd now; NULL: fd is the caller's still. */
static struct vsw_stream *
stream_create(struct vsw_bridge *bridge, const struct vsw_guest_conf *guest, int fd)
{
	struct vsw_stream *stream = calloc(1, sizeof(*stream));

	if (stream == NULL)
		return NULL;
	stream->watch = (struct vsw_watch){.fn = on_stream_event, .fd = fd};
	stream->bridge = bridge;
	stream->guest = guest;
	stream->guest_id = guest->id;
	stream->account = bridge->by_id[guest->id];
	vsw_backlog_init(&stream->backlog);
	rte_timer_init(&stream->flush_timer);
	if (vsw_loop_watch(bridge->loop, &stream->watch,
			   EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) != 0) {
		free(stream);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&stream->account->streams, stream, entry);
	return stream;
}

static void
account_free(struct vsw_bridge *bridge, struct vsw_bridge_guest *account)
{
	TAILQ_REMOVE(&bridge->accounts, account, entry);
	free(account);
}

static void
account_settle(struct vsw_bridge *bridge, struct vsw_bridge_guest *account)
{
	if (account->is_closed && TAILQ_EMPTY(&account->streams))
		account_free(bridge, account);
}

static void
stream_destroy(struct vsw_bridge *bridge, struct vsw_stream *stream)
{
	struct vsw_bridge_guest *account = stream->account;

	if (stream->is_dirty)
		TAILQ_REMOVE(&bridge->dirty, stream, dirty_entry);
	TAILQ_REMOVE(&account->streams, stream, entry);
	rte_timer_stop_sync(&stream->flush_timer);
	vsw_loop_unwatch(bridge->loop, &stream->watch);
	if (stream->was_refused)
		vsw_socket_close_silently(stream->watch.fd);
	else
		close(stream->watch.fd);
	account->spilled -= stream->backlog.spill.len;
	vsw_spill_fini(&stream->backlog.spill);
	vsw_quota_give(stream->guest_id);
	free(stream);
	account_settle(bridge, account);
}

static void
on_flush_timeout(struct rte_timer *timer, void *arg)
{
	struct vsw_stream *stream = arg;

	vsw_count(&stream->account->counters,
		  stream->is_datagram ? VSW_CTR_DATAGRAMS_LOST : VSW_CTR_FLUSH_TIMEOUTS, 1);
	stream->is_dead = true;
	mark_dirty(stream->bridge, stream);
}

static void
start_flush_timer(struct vsw_stream *stream)
{
	rte_timer_reset_sync(&stream->flush_timer,
			     rte_get_timer_hz() / 1000 * stream->bridge->flush_timeout_ms, SINGLE,
			     rte_lcore_id(), on_flush_timeout, stream);
}

static bool
is_flushed(const struct vsw_bridge_guest *account)
{
	const struct vsw_stream *stream;

	TAILQ_FOREACH (stream, &account->streams, entry) {
		if (!vsw_stream_is_flushed(stream))
			return false;
	}
	return true;
}

static bool
is_quiet(const struct vsw_bridge *bridge)
{
	const struct vsw_bridge_guest *account;

	TAILQ_FOREACH (account, &bridge->accounts, entry) {
		if (!is_flushed(account))
			return false;
	}
	return true;
}

static void
finish_flush(struct vsw_bridge *bridge)
{
	struct vsw_msg *msg = bridge->flush;

	bridge->flush = NULL;
	rte_timer_stop_sync(&bridge->flush_timer);
	vsw_msg_reply(msg->reply_to, msg, VSW_MSG_QUIET);
}

/* @return true when the stream is done with for this turn. */
static bool
serve(struct vsw_bridge *bridge, struct vsw_stream *stream)
{
	bool moved = vsw_stream_write(stream, false);

	if (stream->is_closing && vsw_stream_is_flushed(stream)) {
		stream_destroy(bridge, stream);
		return true;
	}
	if ((stream->is_closing || stream->is_waiting) &&
	    (moved || !rte_timer_pending(&stream->flush_timer)))
		start_flush_timer(stream);
	return vsw_stream_notify(stream);
}

static unsigned int
bridge_pass(void *ctx)
{
	struct vsw_bridge *bridge = ctx;
	struct stream_list dirty = TAILQ_HEAD_INITIALIZER(dirty);
	struct vsw_stream *stream;
	unsigned int n = 0;

	TAILQ_CONCAT(&dirty, &bridge->dirty, dirty_entry);
	while ((stream = TAILQ_FIRST(&dirty)) != NULL) {
		TAILQ_REMOVE(&dirty, stream, dirty_entry);
		stream->is_dirty = false;
		if (!serve(bridge, stream))
			mark_dirty(bridge, stream); /* no message: at the next turn */
		n++;
	}
	if (bridge->flush != NULL && is_quiet(bridge))
		finish_flush(bridge);
	return n;
}

static bool
bridge_before_sleep(void *ctx)
{
	struct vsw_bridge *bridge = ctx;

	return TAILQ_EMPTY(&bridge->dirty);
}

/*
 * Messages.
 */

/* @return a connected socket or -errno. AF_UNIX connects at once or not at all. */
static int
connect_socket(const struct sockaddr_un *addr, int type)
{
	int rc, fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) != 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

/* Within the guest's share of descriptors. @param type out: SOCK_STREAM or SOCK_DGRAM. */
static int
connect_to_host(struct vsw_bridge *bridge, const struct vsw_guest_conf *guest, uint32_t port,
		int *type)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;

	if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s_%u", guest->uds_path, port) >=
	    (int)sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	if (!vsw_quota_take(guest->id)) {
		vsw_count(&bridge->by_id[guest->id]->counters, VSW_CTR_REFUSED_DESCRIPTORS, 1);
		return -EMFILE;
	}
	*type = SOCK_STREAM;
	fd = connect_socket(&addr, *type);
	if (fd == -EPROTOTYPE) {
		*type = SOCK_DGRAM;
		fd = connect_socket(&addr, *type);
	}
	if (fd < 0)
		vsw_quota_give(guest->id);
	return fd;
}

static void
on_connect(void *ctx, struct vsw_msg *msg)
{
	struct vsw_bridge *bridge = ctx;
	struct vsw_stream *stream = NULL;
	int type, fd = connect_to_host(bridge, msg->guest, msg->port, &type);

	msg->result = fd < 0 ? fd : 0;
	if (fd >= 0) {
		stream = stream_create(bridge, msg->guest, fd);
		if (stream == NULL) {
			close(fd);
			vsw_quota_give(msg->guest->id);
			msg->result = -ENOMEM;
		} else {
			stream->conn = msg->conn;
			stream->is_datagram = type == SOCK_DGRAM;
		}
	}
	msg->stream = stream;
	vsw_msg_reply(msg->guest->poll_loop, msg, VSW_MSG_OPENED);
}

static void
on_adopt(void *ctx, struct vsw_msg *msg)
{
	struct vsw_stream *stream = stream_create(ctx, msg->guest, msg->fd);

	if (stream == NULL) {
		close(msg->fd);
		vsw_quota_give(msg->guest->id);
		vsw_msg_free(msg);
		return;
	}
	stream->asked = msg->since;
	stream->was_refused = true; /* until it is accepted */
	stream->is_plain = (msg->flags & VSW_MSG_F_PLAIN) != 0;
	msg->stream = stream;
	vsw_msg_reply(msg->guest->poll_loop, msg, VSW_MSG_INCOMING);
}

static void
on_accept(void *ctx, struct vsw_msg *msg)
{
	struct vsw_stream *stream = msg->stream;

	if (!stream->is_plain)
		vsw_stream_greet(stream, msg->port);
	vsw_hist_add(&stream->account->hists.of[VSW_HIST_CONNECT_FROM_HOST],
		     vsw_us_since(stream->asked));
	stream->conn = msg->conn;
	stream->was_refused = false;
	mark_dirty(ctx, stream); /* what happened so far is told now */
	vsw_msg_free(msg);
}

static void
on_write(void *ctx, struct vsw_msg *msg)
{
	vsw_stream_lend(msg->stream, msg);
	mark_dirty(ctx, msg->stream);
}

static void
on_read(void *ctx, struct vsw_msg *msg)
{
	vsw_stream_read(msg->stream, msg);
	vsw_msg_reply(msg->guest->poll_loop, msg, VSW_MSG_FILLED);
}

static void
on_shutdown(void *ctx, struct vsw_msg *msg)
{
	struct vsw_stream *stream = msg->stream;

	if (msg->flags & VSW_MSG_F_SHUT_RECV)
		shutdown(stream->watch.fd, SHUT_RD);
	if (msg->flags & VSW_MSG_F_SHUT_SEND)
		stream->shut_send = true;
	mark_dirty(ctx, stream);
	vsw_msg_free(msg);
}

static void
on_close(void *ctx, struct vsw_msg *msg)
{
	struct vsw_stream *stream = msg->stream;

	stream->conn = NULL;
	stream->is_closing = true;
	if (stream->is_datagram)
		vsw_datagram_close(stream, (msg->flags & VSW_MSG_F_SHUT_SEND) != 0);
	mark_dirty(ctx, stream);
	vsw_msg_reply(msg->guest->poll_loop, msg, VSW_MSG_CLOSED);
}

static void
on_recall(void *ctx, struct vsw_msg *msg)
{
	struct vsw_bridge *bridge = ctx;
	struct vsw_stream *stream;

	TAILQ_FOREACH (stream, &bridge->by_id[msg->guest->id]->streams, entry) {
		if (stream->backlog.first_loan == NULL)
			continue;
		vsw_stream_write(stream, true);
		mark_dirty(bridge, stream);
	}
	vsw_msg_reply(msg->guest->poll_loop, msg, VSW_MSG_RECALLED);
}

/*
 * A guest comes and goes.
 */

static void
on_open_account(void *ctx, struct vsw_msg *msg)
{
	struct vsw_bridge *bridge = ctx;
	struct vsw_bridge_guest *account = calloc(1, sizeof(*account));

	msg->result = account != NULL ? 0 : -ENOMEM;
	msg->tally = NULL;
	if (account != NULL) {
		TAILQ_INIT(&account->streams);
		TAILQ_INSERT_TAIL(&bridge->accounts, account, entry);
		bridge->by_id[msg->guest->id] = account;
		account->tally.counters = &account->counters;
		account->tally.hists = &account->hists;
		msg->tally = &account->tally;
	}
	vsw_msg_reply(msg->reply_to, msg, VSW_MSG_ACCOUNT_OPEN);
}

static void
on_barrier(void *ctx, struct vsw_msg *msg)
{
	vsw_msg_reply(msg->reply_to, msg, VSW_MSG_PASSED);
}

/* Its streams are all closing: they have no connection and no loan that would need it. */
static void
on_close_account(void *ctx, struct vsw_msg *msg)
{
	struct vsw_bridge *bridge = ctx;
	struct vsw_bridge_guest *account = bridge->by_id[msg->guest->id];
	struct vsw_stream *stream;

	TAILQ_FOREACH (stream, &account->streams, entry) {
		assert(stream->is_closing && stream->backlog.first_loan == NULL);
		stream->guest = NULL;
	}
	bridge->by_id[msg->guest->id] = NULL;
	account->is_closed = true;
	account_settle(bridge, account);
	vsw_msg_reply(msg->reply_to, msg, VSW_MSG_ACCOUNT_CLOSED);
}

static void
on_flush_over(struct rte_timer *timer, void *arg)
{
	finish_flush(arg);
}

static void
on_flush(void *ctx, struct vsw_msg *msg)
{
	struct vsw_bridge *bridge = ctx;

	if (bridge->flush != NULL)
		finish_flush(bridge);
	bridge->flush = msg;
	rte_timer_reset_sync(&bridge->flush_timer, rte_get_timer_hz() / 1000 * msg->port, SINGLE,
			     rte_lcore_id(), on_flush_over, bridge);
}

struct vsw_bridge *
vsw_bridge_create(struct vsw_loop *loop, unsigned int flush_timeout_ms)
{
	static const struct {
		enum vsw_verb verb;
		vsw_msg_fn fn;
	} handlers[] = {
		{VSW_MSG_ACCEPT, on_accept},
		{VSW_MSG_ADOPT, on_adopt},
		{VSW_MSG_BARRIER, on_barrier},
		{VSW_MSG_CLOSE, on_close},
		{VSW_MSG_CLOSE_ACCOUNT, on_close_account},
		{VSW_MSG_CONNECT, on_connect},
		{VSW_MSG_FLUSH, on_flush},
		{VSW_MSG_OPEN_ACCOUNT, on_open_account},
		{VSW_MSG_READ, on_read},
		{VSW_MSG_RECALL, on_recall},
		{VSW_MSG_SHUTDOWN, on_shutdown},
		{VSW_MSG_WRITE, on_write},
	};
	struct vsw_bridge *bridge = calloc(1, sizeof(*bridge));

	if (bridge == NULL)
		return NULL;
	bridge->loop = loop;
	bridge->flush_timeout_ms = flush_timeout_ms;
	TAILQ_INIT(&bridge->dirty);
	TAILQ_INIT(&bridge->accounts);
	rte_timer_init(&bridge->flush_timer);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(handlers); i++)
		vsw_loop_on_msg(loop, handlers[i].verb, handlers[i].fn, bridge);
	vsw_loop_add_role(loop, &(struct vsw_loop_role){
					.pass = bridge_pass,
					.before_sleep = bridge_before_sleep,
					.ctx = bridge,
				});
	return bridge;
}

static void
abandon(struct vsw_bridge *bridge, struct vsw_stream *stream)
{
	struct vsw_msg *msg, *next;

	stream->account->spilled -= stream->backlog.spill.len;
	for (msg = vsw_backlog_drop(&stream->backlog); msg != NULL; msg = next) {
		next = msg->next;
		vsw_msg_free(msg);
	}
	stream_destroy(bridge, stream);
}

static void
account_abandon(struct vsw_bridge *bridge, struct vsw_bridge_guest *account)
{
	struct vsw_stream *stream;

	account->is_closed = false; /* or the last stream would take it along */
	while ((stream = TAILQ_FIRST(&account->streams)) != NULL)
		abandon(bridge, stream);
	account_free(bridge, account);
}

void
vsw_bridge_destroy(struct vsw_bridge *bridge)
{
	struct vsw_bridge_guest *account;

	if (bridge == NULL)
		return;
	while ((account = TAILQ_FIRST(&bridge->accounts)) != NULL)
		account_abandon(bridge, account);
	vsw_msg_free(bridge->flush);
	rte_timer_stop_sync(&bridge->flush_timer);
	free(bridge);
}
