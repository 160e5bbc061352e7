/* SPDX-License-Identifier: BSD-3-Clause */
#include "relay.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bsd/stdlib.h>

#include "relay_priv.h"
#include "vsw_base.h"
#include "vsw_now.h"

#define N_EVENTS 64
#define N_ACCEPTS 16 /* of one listener in a turn */
#define AGAIN_MS 10

struct listener {
	struct watch watch;
	struct relay *relay;
	relay_accept_fn fn;
	void *ctx;
};

/*
 * Watches.
 */

bool
relay_watch(struct relay *relay, struct watch *watch)
{
	struct epoll_event event = {.events = watch->events, .data.ptr = watch};
	struct stat st;

	watch->is_socket = fstat(watch->fd, &st) == 0 && S_ISSOCK(st.st_mode);
	if (epoll_ctl(relay->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) == 0)
		return true;
	watch->is_plain = errno == EPERM;
	return watch->is_plain;
}

void
relay_want(struct relay *relay, struct watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};

	if (watch->events == events)
		return;
	watch->events = events;
	if (!watch->is_plain)
		epoll_ctl(relay->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
}

void
relay_unwatch(struct relay *relay, struct watch *watch)
{
	if (!watch->is_plain)
		epoll_ctl(relay->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
}

/*
 * Listeners.
 */

static void
settle_listeners(struct relay *relay)
{
	for (unsigned int i = 0; i < relay->n_listeners; i++)
		relay_want(relay, &relay->listeners[i]->watch,
			   relay->is_paused || relay->is_crowded ? 0 : EPOLLIN);
}

void
relay_pause(struct relay *relay, bool is_paused)
{
	relay->is_paused = is_paused;
	settle_listeners(relay);
}

/* There may be a descriptor again. */
static void
reopen_listeners(struct relay *relay)
{
	if (!relay->is_crowded)
		return;
	relay->is_crowded = false;
	settle_listeners(relay);
}

static void
on_accept(struct watch *watch, uint32_t events)
{
	struct listener *l = watch->ctx;

	for (int i = 0; i < N_ACCEPTS && !l->relay->is_paused; i++) {
		int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			l->fn(l->relay, l->ctx, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE) {
			relay_complain(l->relay, "no descriptor is left for another connection: it "
						 "waits for one to end");
			l->relay->is_crowded = true;
			settle_listeners(l->relay);
		}
		return;
	}
}

bool
relay_listen(struct relay *relay, int fd, relay_accept_fn fn, void *ctx)
{
	struct listener *l = calloc(1, sizeof(*l));
	struct listener **all =
		reallocarray(relay->listeners, relay->n_listeners + 1, sizeof(struct listener *));

	if (all != NULL)
		relay->listeners = all;
	if (l == NULL || all == NULL) {
		free(l);
		return false;
	}
	*l = (struct listener){
		.watch = {.fn = on_accept, .ctx = l, .fd = fd, .events = EPOLLIN},
		.relay = relay,
		.fn = fn,
		.ctx = ctx,
	};
	if (!relay_watch(relay, &l->watch)) {
		free(l);
		return false;
	}
	relay->listeners[relay->n_listeners++] = l;
	return true;
}

/*
 * Signals.
 */

static void
on_signal(struct watch *watch, uint32_t events)
{
	struct relay *relay = watch->ctx;
	struct signalfd_siginfo info;

	if (read(watch->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo != SIGCHLD)
		relay->is_stopped = true;
	else if (relay->on_child != NULL)
		relay->on_child(relay, relay->child_ctx);
}

bool
relay_take_signals(struct relay *relay, void (*on_child)(struct relay *relay, void *ctx), void *ctx)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	relay->on_child = on_child;
	relay->child_ctx = ctx;
	relay->signals = (struct watch){
		.fn = on_signal,
		.ctx = relay,
		.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC),
		.events = EPOLLIN,
	};
	return relay->signals.fd >= 0 && relay_watch(relay, &relay->signals);
}

/*
 * The loop.
 */

void
relay_complain(struct relay *relay, const char *why)
{
	int64_t now = vsw_now_ms();

	if (now < relay->next_complaint_ms)
		return;
	relay->next_complaint_ms = now + 1000;
	complain(relay->args, 0, "%s", why);
}

void
relay_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

struct relay *
relay_create(const struct args *args)
{
	struct relay *relay = calloc(1, sizeof(*relay));

	if (relay == NULL)
		return NULL;
	relay->args = args;
	relay->signals.fd = -1;
	TAILQ_INIT(&relay->pairs);
	TAILQ_INIT(&relay->ready);
	TAILQ_INIT(&relay->again);
	TAILQ_INIT(&relay->dead);
	relay->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (relay->epoll_fd < 0) {
		free(relay);
		return NULL;
	}
	return relay;
}

void
relay_destroy(struct relay *relay)
{
	pair_free_all(relay);
	for (unsigned int i = 0; i < relay->n_listeners; i++)
		free(relay->listeners[i]);
	free(relay->listeners);
	if (relay->signals.fd >= 0)
		close(relay->signals.fd);
	close(relay->epoll_fd);
	free(relay);
}

static bool
is_over(const struct relay *relay)
{
	return relay->is_stopped || (relay->n_listeners == 0 && TAILQ_EMPTY(&relay->pairs) &&
				     TAILQ_EMPTY(&relay->ready) && TAILQ_EMPTY(&relay->again));
}

static int
time_to_wait(const struct relay *relay)
{
	if (!TAILQ_EMPTY(&relay->ready))
		return 0;
	return TAILQ_EMPTY(&relay->again) && !relay->is_crowded ? -1 : AGAIN_MS;
}

int
relay_run(struct relay *relay)
{
	struct epoll_event events[N_EVENTS];

	while (!is_over(relay)) {
		int n = epoll_wait(relay->epoll_fd, events, N_EVENTS, time_to_wait(relay));

		for (int i = 0; i < n; i++) {
			struct watch *watch = events[i].data.ptr;

			watch->fn(watch, events[i].events);
		}
		pair_serve_ready(relay);
		pair_serve_again(relay);
		if (pair_free_dead(relay) || n == 0)
			reopen_listeners(relay);
	}
	return relay->status;
}
