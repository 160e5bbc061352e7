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

#include <linux/vm_sockets.h>

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

static void finish_connect(struct vsw_stream *stream, uint32_t events);

static void
on_stream_event(struct vsw_watch *watch, uint32_t events)
{
	struct vsw_stream *stream = VSW_CONTAINER_OF(watch, struct vsw_stream, watch);

	if (stream->opening != NULL) {
		finish_connect(stream, events);
		return;
	}
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
	if (stream->is_datagram)
		account->collected -= stream->backlog.spill.len;
	vsw_spill_fini(&stream->backlog.spill);
	vsw_msg_free(stream->close);
	vsw_msg_free(stream->opening);
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

static void
answer_close(struct vsw_stream *stream, bool is_over)
{
	struct vsw_msg *msg = stream->close;

	stream->close = NULL;
	msg->flags = is_over ? 0 : VSW_MSG_F_FLUSHING;
	if (is_over)
		stream->conn = NULL;
	vsw_msg_reply(msg->guest->poll_loop, msg, VSW_MSG_CLOSED);
}

/* The connection is over; all loans are back. @return true when the stream is gone, or done with
 * for this turn. */
static bool
serve_closing(struct vsw_bridge *bridge, struct vsw_stream *stream, bool moved)
{
	bool is_flushed = vsw_stream_is_flushed(stream);
	bool is_over = is_flushed || stream->account->is_leaving;

	if (stream->close != NULL)
		answer_close(stream, is_over);
	else if (is_over)
		stream->notice_flags = VSW_MSG_F_FLUSHED;
	if (!vsw_stream_notify(stream))
		return false;
	if (is_over)
		stream->conn = NULL;
	if (is_flushed)
		stream_destroy(bridge, stream);
	else if (moved || !rte_timer_pending(&stream->flush_timer))
		start_flush_timer(stream);
	return true;
}

/* @return true when the stream is done with for this turn. */
static bool
serve(struct vsw_bridge *bridge, struct vsw_stream *stream)
{
	bool moved = vsw_stream_write(stream);

	if (stream->is_closing)
		return serve_closing(bridge, stream, moved);
	/* A whole datagram for which its socket has no room. */
	if (stream->is_datagram && stream->shut_send && !rte_timer_pending(&stream->flush_timer))
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

/* AF_UNIX connects at once or not at all, AF_VSOCK may take its time.
 * @return a socket or -errno. */
static int
connect_socket(const struct sockaddr *addr, socklen_t len, int type)
{
	int rc, fd = socket(addr->sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, addr, len) != 0 && errno != EINPROGRESS) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

/* Within the guest's share of descriptors. @param type out: SOCK_STREAM or SOCK_DGRAM. */
static int
connect_to_host(const struct vsw_guest_conf *guest, uint32_t port, int *type)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	const struct sockaddr_vm vm = {
		.svm_family = AF_VSOCK,
		.svm_cid = guest->forward_cid,
		.svm_port = port,
	};
	const bool is_vsock = guest->uds_path[0] == '\0';
	const struct sockaddr *addr = is_vsock ? (const void *)&vm : &un;
	const socklen_t len = is_vsock ? sizeof(vm) : sizeof(un);
	int fd;

	if (snprintf(un.sun_path, sizeof(un.sun_path), "%s_%u", guest->uds_path, port) >=
	    (int)sizeof(un.sun_path))
		return -ENAMETOOLONG;
	if (!vsw_quota_take(guest->id))
		return -EMFILE;
	*type = SOCK_STREAM;
	fd = connect_socket(addr, len, *type);
	if (fd == -EPROTOTYPE) {
		*type = SOCK_DGRAM;
		fd = connect_socket(addr, len, *type);
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
	int type, fd = connect_to_host(msg->guest, msg->port, &type);

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
			if (msg->guest->uds_path[0] == '\0') {
				stream->opening = msg; /* answered when the socket says so */
				return;
			}
		}
	}
	msg->stream = stream;
	vsw_msg_reply(msg->guest->poll_loop, msg, VSW_MSG_OPENED);
}

static void
answer_connect(struct vsw_stream *stream, int result)
{
	struct vsw_msg *msg = stream->opening;

	stream->opening = NULL;
	msg->result = result;
	msg->stream = result == 0 ? stream : NULL;
	if (result != 0)
		stream_destroy(stream->bridge, stream);
	vsw_msg_reply(msg->guest->poll_loop, msg, VSW_MSG_OPENED);
}

/* The socket is connected, or is not; after 2 s AF_VSOCK gives up by itself
 * (VSOCK_DEFAULT_CONNECT_TIMEOUT). */
static void
finish_connect(struct vsw_stream *stream, uint32_t events)
{
	struct vsw_bridge *bridge = stream->bridge;
	socklen_t len = sizeof(int);
	int error = 0;

	if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0)
		return;
	if (getsockopt(stream->watch.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error == 0 && (events & EPOLLERR) != 0)
		error = ECONNRESET;
	answer_connect(stream, -error);
	if (error != 0)
		return;
	vsw_stream_event(stream, events);
	mark_dirty(bridge, stream);
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

	stream->close = msg; /* answered when all loans are back: in this turn */
	stream->is_closing = true;
	if (stream->is_datagram)
		vsw_datagram_close(stream, (msg->flags & VSW_MSG_F_SHUT_SEND) != 0);
	mark_dirty(ctx, stream);
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
		account->tally.n_waiting = &account->collected;
		msg->tally = &account->tally;
	}
	vsw_msg_reply(msg->reply_to, msg, VSW_MSG_ACCOUNT_OPEN);
}

static void
on_barrier(void *ctx, struct vsw_msg *msg)
{
	struct vsw_bridge *bridge = ctx;
	struct vsw_bridge_guest *account = bridge->by_id[msg->guest->id];
	struct vsw_stream *stream, *next;

	account->is_leaving = true;
	for (stream = TAILQ_FIRST(&account->streams); stream != NULL; stream = next) {
		next = TAILQ_NEXT(stream, entry);
		if (stream->opening != NULL)
			answer_connect(stream, -ECANCELED);
		else
			mark_dirty(bridge, stream);
	}
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
		assert(stream->is_closing && stream->conn == NULL);
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
