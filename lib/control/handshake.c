/* SPDX-License-Identifier: BSD-3-Clause */
#include "vsw_handshake.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_timer.h>

#include "vsw_base.h"
#include "vsw_connect_line.h"

#define ACCEPT_BURST 32
#define ACCEPT_PAUSE_MS 100
#define RETRY_MS 1

struct host {
	struct vsw_watch watch;
	struct vsw_handshakes *hs;
	struct vsw_connect_line line;
	struct rte_timer timer; /* deadline of the line, or the next try to pass it on */
	uint32_t port;
	TAILQ_ENTRY(host) entry;
};

struct vsw_handshakes {
	struct vsw_loop *loop;
	const struct vsw_guest_conf *guest;
	struct vsw_counters *counters;
	struct vsw_watch listener;
	struct rte_timer pause;
	TAILQ_HEAD(, host) hosts;
	unsigned int n_hosts;
};

static void
arm(struct rte_timer *timer, unsigned int ms, rte_timer_cb_t fn, void *arg)
{
	rte_timer_reset_sync(timer, rte_get_timer_hz() / 1000 * ms, SINGLE, rte_lcore_id(), fn,
			     arg);
}

static void
forget(struct host *host, bool close_it)
{
	struct vsw_handshakes *hs = host->hs;

	rte_timer_stop_sync(&host->timer);
	vsw_loop_unwatch(hs->loop, &host->watch);
	if (close_it)
		close(host->watch.fd);
	TAILQ_REMOVE(&hs->hosts, host, entry);
	hs->n_hosts--;
	free(host);
}

static void
fail(struct host *host, enum vsw_counter why)
{
	vsw_count(host->hs->counters, why, 1);
	forget(host, true);
}

static void
on_deadline(struct rte_timer *timer, void *arg)
{
	fail(arg, VSW_CTR_HANDSHAKE_TIMEOUT);
}

static void
pass_on(struct host *host)
{
	struct vsw_msg *msg = vsw_msg_alloc(VSW_MSG_ADOPT);

	if (msg == NULL)
		return;
	msg->guest = host->hs->guest;
	msg->fd = host->watch.fd;
	msg->port = host->port;
	vsw_msg_send(host->hs->guest->bridge_loop, msg);
	forget(host, false);
}

static void
on_host(struct vsw_watch *watch, uint32_t events)
{
	struct host *host = VSW_CONTAINER_OF(watch, struct host, watch);
	char data[VSW_CONNECT_LINE_MAX];
	enum vsw_connect_verdict verdict;
	ssize_t len;
	size_t used;

	len = recv(watch->fd, data, sizeof(data), MSG_PEEK | MSG_DONTWAIT);
	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (len <= 0) {
		fail(host, VSW_CTR_HANDSHAKE_BAD_LINE);
		return;
	}
	verdict = vsw_connect_line_feed(&host->line, data, (size_t)len, &used, &host->port);
	(void)!recv(watch->fd, data, used, MSG_DONTWAIT);
	if (verdict == VSW_CONNECT_BAD)
		fail(host, VSW_CTR_HANDSHAKE_BAD_LINE);
	else if (verdict == VSW_CONNECT_DONE)
		pass_on(host);
}

static void
admit(struct vsw_handshakes *hs, int fd)
{
	struct host *host = NULL;

	if (hs->n_hosts >= VSW_HANDSHAKES_MAX)
		vsw_count(hs->counters, VSW_CTR_HANDSHAKE_FULL, 1);
	else
		host = calloc(1, sizeof(*host));
	if (host == NULL) {
		close(fd);
		return;
	}
	host->hs = hs;
	host->watch = (struct vsw_watch){.fn = on_host, .fd = fd};
	rte_timer_init(&host->timer);
	if (vsw_loop_watch(hs->loop, &host->watch, EPOLLIN) != 0) {
		close(fd);
		free(host);
		return;
	}
	TAILQ_INSERT_TAIL(&hs->hosts, host, entry);
	hs->n_hosts++;
	arm(&host->timer, VSW_HANDSHAKE_TIMEOUT_MS, on_deadline, host);
}

static void
on_pause_over(struct rte_timer *timer, void *arg)
{
	struct vsw_handshakes *hs = arg;

	vsw_loop_rewatch(hs->loop, &hs->listener, EPOLLIN);
}

static void
on_listener(struct vsw_watch *watch, uint32_t events)
{
	struct vsw_handshakes *hs = VSW_CONTAINER_OF(watch, struct vsw_handshakes, listener);

	for (int i = 0; i < ACCEPT_BURST; i++) {
		int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
				return;
			vsw_count(hs->counters, VSW_CTR_ACCEPT_ERRORS, 1);
			vsw_loop_rewatch(hs->loop, watch, 0);
			arm(&hs->pause, ACCEPT_PAUSE_MS, on_pause_over, hs);
			return;
		}
		admit(hs, fd);
	}
}

struct vsw_handshakes *
vsw_handshakes_create(struct vsw_loop *loop, const struct vsw_guest_conf *guest, int listen_fd,
		      struct vsw_counters *counters)
{
	struct vsw_handshakes *hs = calloc(1, sizeof(*hs));

	if (hs == NULL) {
		close(listen_fd);
		return NULL;
	}
	hs->loop = loop;
	hs->guest = guest;
	hs->counters = counters;
	hs->listener = (struct vsw_watch){.fn = on_listener, .fd = listen_fd};
	TAILQ_INIT(&hs->hosts);
	rte_timer_init(&hs->pause);
	vsw_loop_watch(loop, &hs->listener, EPOLLIN);
	return hs;
}

void
vsw_handshakes_destroy(struct vsw_handshakes *hs)
{
	while (!TAILQ_EMPTY(&hs->hosts))
		forget(TAILQ_FIRST(&hs->hosts), true);
	rte_timer_stop_sync(&hs->pause);
	vsw_loop_unwatch(hs->loop, &hs->listener);
	close(hs->listener.fd);
	free(hs);
}
