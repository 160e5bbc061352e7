/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host of a plain socket is passed on as soon as it is accepted. One that has to say its port
 * is read then, and watched only if its line is not all there. The line is peeked at first and then
 * taken out of the socket up to its newline, so that the bridge finds the host's data where the
 * line ended.
 *
 * Hosts wait in the order of their deadlines, which is that of their arrival, so one timer
 * looks at the first of them.
 */
#include "vsw_handshake.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_timer.h>

#include "vsw_base.h"
#include "vsw_connect_line.h"
#include "vsw_quota.h"
#include "vsw_socket_close.h"

/* Hosts accepted per event: the listener is level-triggered and comes back. */
#define ACCEPT_BURST 32
/* No descriptor is free: the listener stays readable, so it is left alone for a while. */
#define ACCEPT_PAUSE_MS 100
/* No message is free. */
#define RETRY_MS 1

struct host {
	struct vsw_watch watch;
	struct vsw_handshakes *hs;
	struct vsw_connect_line line;
	bool is_watched; /* most lines are there when the host is accepted */
	bool is_plain;   /* of a socket that needs no line */
	uint32_t port;
	uint64_t deadline; /* timer cycles */
	uint64_t since;    /* TSC: the port is known */
	TAILQ_ENTRY(host) entry;
};

TAILQ_HEAD(host_list, host);

struct listener {
	struct vsw_watch watch;
	struct vsw_handshakes *hs;
	uint32_t port;          /* VSW_PORT_FROM_LINE: hosts say it */
	struct rte_timer pause; /* not watched meanwhile */
	LIST_ENTRY(listener) entry;
	struct vsw_listening socket; /* its path "": of AF_VSOCK */
};

struct vsw_handshakes {
	struct vsw_loop *loop;
	const struct vsw_guest_conf *guest;
	struct vsw_counters *counters;
	uint64_t timeout; /* timer cycles */
	LIST_HEAD(, listener) listeners;
	struct host_list reading;  /* the line is not complete */
	struct host_list finished; /* the port is known, but no message was free; not watched */
	unsigned int n_hosts;      /* on both lists */
	struct rte_timer deadline; /* of the first that is reading */
	struct rte_timer retry;    /* finished ones */
};

static uint64_t
cycles_of_ms(unsigned int ms)
{
	return rte_get_timer_hz() / 1000 * ms;
}

static void
arm(struct rte_timer *timer, uint64_t cycles, rte_timer_cb_t fn, void *arg)
{
	rte_timer_reset_sync(timer, cycles, SINGLE, rte_lcore_id(), fn, arg);
}

/* The host is no longer ours, or no longer there. */
static void
forget(struct host *host, struct host_list *list)
{
	TAILQ_REMOVE(list, host, entry);
	host->hs->n_hosts--;
	free(host);
}

static void
unwatch(struct host *host)
{
	if (host->is_watched)
		vsw_loop_unwatch(host->hs->loop, &host->watch);
	host->is_watched = false;
}

/* The host is ours no longer, nor anybody's. */
static void
turn_away(struct vsw_handshakes *hs, int fd)
{
	vsw_socket_close_silently(fd);
	vsw_quota_give(hs->guest->id);
}

static void
drop(struct host *host)
{
	struct vsw_handshakes *hs = host->hs;

	unwatch(host);
	turn_away(hs, host->watch.fd);
	forget(host, &hs->reading);
}

static void
on_deadline(struct rte_timer *timer, void *arg)
{
	struct vsw_handshakes *hs = arg;
	uint64_t now = rte_get_timer_cycles();
	struct host *host;

	while ((host = TAILQ_FIRST(&hs->reading)) != NULL && host->deadline <= now) {
		vsw_count(hs->counters, VSW_CTR_HANDSHAKE_TIMEOUT, 1);
		drop(host);
	}
	if (host != NULL)
		arm(timer, host->deadline - now, on_deadline, hs);
}

/*
 * Those whose port is known.
 */

/* In their order. @return false: not now. */
static bool
pass_on(const struct host *host)
{
	struct vsw_msg *msg = vsw_msg_alloc(VSW_MSG_ADOPT);

	if (msg == NULL)
		return false;
	msg->guest = host->hs->guest;
	msg->fd = host->watch.fd;
	msg->port = host->port;
	msg->flags = host->is_plain ? VSW_MSG_F_PLAIN : 0;
	msg->since = host->since;
	vsw_msg_send(host->hs->guest->bridge_loop, msg);
	return true;
}

static void
on_retry(struct rte_timer *timer, void *arg)
{
	struct vsw_handshakes *hs = arg;
	struct host *host;

	while ((host = TAILQ_FIRST(&hs->finished)) != NULL) {
		if (!pass_on(host)) {
			arm(timer, cycles_of_ms(RETRY_MS), on_retry, hs);
			return;
		}
		forget(host, &hs->finished);
	}
}

static void
finish(struct host *host)
{
	struct vsw_handshakes *hs = host->hs;

	host->since = rte_rdtsc();
	unwatch(host);
	if (TAILQ_EMPTY(&hs->finished) && pass_on(host)) {
		forget(host, &hs->reading);
		return;
	}
	TAILQ_REMOVE(&hs->reading, host, entry);
	TAILQ_INSERT_TAIL(&hs->finished, host, entry);
	arm(&hs->retry, cycles_of_ms(RETRY_MS), on_retry, hs);
}

/*
 * Unfinished ones.
 */

/* Take what was peeked at out of the socket. One call may stop early: between pieces that
 * came with descriptors. */
static void
consume(int fd, size_t len)
{
	char scrap[VSW_CONNECT_LINE_MAX];
	ssize_t n;

	for (; len > 0; len -= (size_t)n) {
		n = recv(fd, scrap, len, MSG_DONTWAIT);
		if (n <= 0)
			return;
	}
}

/* @return true while there is a host that is not done with its line. */
static bool
read_line(struct host *host)
{
	char data[VSW_CONNECT_LINE_MAX];
	enum vsw_connect_verdict verdict;
	size_t used;
	ssize_t len;

	len = recv(host->watch.fd, data, sizeof(data), MSG_PEEK | MSG_DONTWAIT);
	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (len <= 0) { /* gone without a line: somebody who looked whether we are there */
		drop(host);
		return false;
	}
	verdict = vsw_connect_line_feed(&host->line, data, (size_t)len, &used, &host->port);
	consume(host->watch.fd, used);
	if (verdict == VSW_CONNECT_DONE) {
		finish(host);
	} else if (verdict == VSW_CONNECT_BAD) {
		vsw_count(host->hs->counters, VSW_CTR_HANDSHAKE_BAD_LINE, 1);
		drop(host);
	}
	return verdict == VSW_CONNECT_MORE;
}

static void
on_host(struct vsw_watch *watch, uint32_t events)
{
	read_line(VSW_CONTAINER_OF(watch, struct host, watch));
}

/*
 * New ones.
 */

static struct host *
host_new(struct vsw_handshakes *hs, int fd)
{
	struct host *host;

	if (hs->n_hosts >= hs->guest->max_handshakes) {
		vsw_count(hs->counters, VSW_CTR_HANDSHAKE_FULL, 1);
		return NULL;
	}
	host = calloc(1, sizeof(*host));
	if (host == NULL)
		return NULL;
	host->hs = hs;
	host->watch = (struct vsw_watch){.fn = on_host, .fd = fd};
	host->deadline = rte_get_timer_cycles() + hs->timeout;
	TAILQ_INSERT_TAIL(&hs->reading, host, entry);
	hs->n_hosts++;
	return host;
}

/* A host that need not say its port waits for nothing, so it does not count among those that
 * do; only when messages have run out it has to. */
static void
admit_plain(struct listener *listener, int fd)
{
	struct vsw_handshakes *hs = listener->hs;
	const struct host passing = {
		.hs = hs,
		.watch.fd = fd,
		.is_plain = true,
		.port = listener->port,
		.since = rte_rdtsc(),
	};
	struct host *host;

	if (TAILQ_EMPTY(&hs->finished) && pass_on(&passing))
		return;
	host = host_new(hs, fd);
	if (host == NULL) {
		turn_away(hs, fd);
		return;
	}
	host->is_plain = true;
	host->port = listener->port;
	finish(host);
}

static void
admit_with_line(struct vsw_handshakes *hs, int fd)
{
	struct host *host = host_new(hs, fd);

	if (host == NULL) {
		turn_away(hs, fd);
		return;
	}
	if (!read_line(host))
		return;
	host->is_watched = vsw_loop_watch(hs->loop, &host->watch, EPOLLIN) == 0;
	if (!host->is_watched)
		drop(host);
	else if (!rte_timer_pending(&hs->deadline))
		arm(&hs->deadline, hs->timeout, on_deadline, hs);
}

static void
admit(struct listener *listener, int fd)
{
	struct vsw_handshakes *hs = listener->hs;

	if (!vsw_quota_take(hs->guest->id)) {
		vsw_count(hs->counters, VSW_CTR_REFUSED_DESCRIPTORS, 1);
		vsw_socket_close_silently(fd);
	} else if (listener->port == VSW_PORT_FROM_LINE) {
		admit_with_line(hs, fd);
	} else {
		admit_plain(listener, fd);
	}
}

static void
on_pause_over(struct rte_timer *timer, void *arg)
{
	struct listener *listener = arg;

	if (vsw_loop_rewatch(listener->hs->loop, &listener->watch, EPOLLIN) != 0)
		arm(timer, cycles_of_ms(ACCEPT_PAUSE_MS), on_pause_over, listener);
}

static void
accept_failed(struct listener *listener, int error)
{
	if (error == EAGAIN || error == EINTR || error == ECONNABORTED)
		return;
	vsw_count(listener->hs->counters, VSW_CTR_ACCEPT_ERRORS, 1);
	vsw_loop_rewatch(listener->hs->loop, &listener->watch, 0);
	arm(&listener->pause, cycles_of_ms(ACCEPT_PAUSE_MS), on_pause_over, listener);
}

/* accept4() that finds nobody costs ten times as much as asking first: it makes a socket. */
static bool
is_somebody_waiting(int listen_fd)
{
	struct pollfd pfd = {.fd = listen_fd, .events = POLLIN};

	return poll(&pfd, 1, 0) == 1;
}

static void
on_listener(struct vsw_watch *watch, uint32_t events)
{
	struct listener *listener = VSW_CONTAINER_OF(watch, struct listener, watch);

	for (int i = 0; i < ACCEPT_BURST; i++) {
		int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			accept_failed(listener, errno);
			return;
		}
		admit(listener, fd);
		if (!is_somebody_waiting(watch->fd))
			return;
	}
}

/*
 * The sockets.
 */

/* Listen at AF_VSOCK port @p port of whatever CID the host has. @return 0 or -errno. */
static int
open_vsock(struct vsw_listening *listening, uint32_t port)
{
	const struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_ANY,
		.svm_port = port,
	};
	int rc, fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 &&
	    listen(fd, SOMAXCONN) == 0) {
		*listening = (struct vsw_listening){.fd = fd};
		return 0;
	}
	rc = -errno;
	close(fd);
	return rc;
}

/* Descriptors for each guest's first socket were set aside; plain ones it has of its share. */
static bool
take_descriptor(const struct vsw_handshakes *hs, uint32_t port)
{
	return port == VSW_PORT_FROM_LINE || vsw_quota_take(hs->guest->id);
}

static void
give_descriptor(const struct vsw_handshakes *hs, uint32_t port)
{
	if (port != VSW_PORT_FROM_LINE)
		vsw_quota_give(hs->guest->id);
}

static void
listener_destroy(struct listener *listener)
{
	rte_timer_stop_sync(&listener->pause);
	vsw_loop_unwatch(listener->hs->loop, &listener->watch);
	vsw_socket_path_unlisten(&listener->socket);
	give_descriptor(listener->hs, listener->port);
	LIST_REMOVE(listener, entry);
	free(listener);
}

static int
watch(struct vsw_handshakes *hs, struct listener *listener, const char *path, uint32_t port)
{
	int rc = path != NULL ? vsw_socket_path_listen(&listener->socket, path, &hs->guest->access)
			      : open_vsock(&listener->socket, port);

	if (rc != 0)
		return rc;
	listener->watch = (struct vsw_watch){.fn = on_listener, .fd = listener->socket.fd};
	listener->hs = hs;
	listener->port = port;
	rte_timer_init(&listener->pause);
	rc = vsw_loop_watch(hs->loop, &listener->watch, EPOLLIN);
	if (rc != 0)
		vsw_socket_path_unlisten(&listener->socket);
	return rc;
}

int
vsw_handshakes_listen(struct vsw_handshakes *hs, const char *path, uint32_t port)
{
	struct listener *listener;
	int rc;

	if (!take_descriptor(hs, port))
		return -EMFILE;
	listener = calloc(1, sizeof(*listener));
	rc = listener != NULL ? watch(hs, listener, path, port) : -ENOMEM;
	if (rc == 0) {
		LIST_INSERT_HEAD(&hs->listeners, listener, entry);
		return 0;
	}
	free(listener);
	give_descriptor(hs, port);
	return rc;
}

static struct listener *
find(const struct vsw_handshakes *hs, const char *path)
{
	struct listener *listener = LIST_FIRST(&hs->listeners);

	while (listener != NULL && strcmp(listener->socket.path, path) != 0)
		listener = LIST_NEXT(listener, entry);
	return listener;
}

bool
vsw_handshakes_is_listening(const struct vsw_handshakes *hs, const char *path)
{
	return find(hs, path) != NULL;
}

void
vsw_handshakes_unlisten(struct vsw_handshakes *hs, const char *path)
{
	struct listener *listener = find(hs, path);

	if (listener != NULL)
		listener_destroy(listener);
}

unsigned int
vsw_handshakes_n_hosts(const struct vsw_handshakes *hs)
{
	return hs->n_hosts;
}

struct vsw_handshakes *
vsw_handshakes_create(struct vsw_loop *loop, const struct vsw_guest_conf *guest,
		      struct vsw_counters *counters, unsigned int timeout_ms)
{
	struct vsw_handshakes *hs = calloc(1, sizeof(*hs));

	if (hs == NULL)
		return NULL;
	hs->loop = loop;
	hs->guest = guest;
	hs->counters = counters;
	hs->timeout = cycles_of_ms(timeout_ms);
	LIST_INIT(&hs->listeners);
	TAILQ_INIT(&hs->reading);
	TAILQ_INIT(&hs->finished);
	rte_timer_init(&hs->deadline);
	rte_timer_init(&hs->retry);
	return hs;
}

void
vsw_handshakes_destroy(struct vsw_handshakes *hs)
{
	struct listener *listener;
	struct host *host;

	if (hs == NULL)
		return;
	while ((listener = LIST_FIRST(&hs->listeners)) != NULL)
		listener_destroy(listener);
	while ((host = TAILQ_FIRST(&hs->reading)) != NULL)
		drop(host);
	while ((host = TAILQ_FIRST(&hs->finished)) != NULL) {
		turn_away(hs, host->watch.fd);
		forget(host, &hs->finished);
	}
	rte_timer_stop_sync(&hs->deadline);
	rte_timer_stop_sync(&hs->retry);
	free(hs);
}
