/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of the control role. It starts with the guests of the configuration (alter.c) and
 * closes down on a signal, or when one of those guests fails to come up:
 *   LEAVE  every guest leaves (entry.c): no new hosts; guests are told that their connections
 *          are over; the vhost-user sockets go, no guest memory is touched any more
 *   FLUSH  bridges write out what slow host readers have not taken yet
 * Each has a deadline; whatever is missing then is given up.
 */
#include "vsw_control.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#define VSW_LOGTYPE vsw_log_control
#include "vsw_base.h"
#include "vsw_log.h"
#include "control_priv.h"

RTE_LOG_REGISTER(vsw_log_control, vsw.control, NOTICE);

/* Closing down: guests, of whom those that do not post receive buffers take 500 ms, and
 * librte_vhost; then slow host readers. Service managers kill after 10 s or more. */
#define LEAVE_TIMEOUT_MS 3000
#define FLUSH_TIMEOUT_MS 5000

#define RETRY_MS 1

_Static_assert(RTE_MAX_LCORE <= VSW_LCORES_MAX, "a layout has room for all lcores");

static void enter(struct vsw_control *control, enum phase phase);

/*
 * Messages.
 */

static void
on_retry(struct rte_timer *timer, void *arg)
{
	struct vsw_control *control = arg;

	if (control->routes_are_old)
		routes_renew(control);
	entry_advance_all(control);
}

void
control_retry(struct vsw_control *control)
{
	rte_timer_reset_sync(&control->retry_timer, rte_get_timer_hz() / 1000 * RETRY_MS, SINGLE,
			     rte_lcore_id(), on_retry, control);
}

struct vsw_msg *
control_alloc(struct vsw_control *control, enum vsw_verb verb, const struct vsw_guest_conf *guest)
{
	struct vsw_msg *msg = vsw_msg_alloc(verb);

	if (msg == NULL) {
		control_retry(control);
		return NULL;
	}
	msg->guest = guest;
	msg->reply_to = control->loop;
	return msg;
}

/*
 * Down.
 */

static void
on_phase_timeout(struct rte_timer *timer, void *arg)
{
	struct vsw_control *control = arg;

	if (control->phase == PHASE_LEAVE)
		VSW_LOG(WARNING, "closing down: gave up waiting for %u guests", control->n_entries);
	enter(control, control->phase + 1);
}

static void
leave(struct vsw_control *control)
{
	alter_abort(control);
	for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++) {
		if (control->entry[i] != NULL)
			entry_leave(control->entry[i]);
	}
	control_on_empty(control);
}

static void
flush(struct vsw_control *control)
{
	control->n_unquiet = control->n_bridges;
	for (unsigned int i = 0; i < control->n_bridges; i++) {
		struct vsw_msg *msg = control_alloc(control, VSW_MSG_FLUSH, NULL);

		if (msg == NULL)
			return; /* the timer makes an end */
		msg->port = FLUSH_TIMEOUT_MS;
		vsw_msg_send(control->bridge[i], msg);
	}
}

static void
enter(struct vsw_control *control, enum phase phase)
{
	static const unsigned int timeout_ms[PHASE_DONE] = {
		[PHASE_LEAVE] = LEAVE_TIMEOUT_MS,
		[PHASE_FLUSH] = FLUSH_TIMEOUT_MS + 100, /* each bridge keeps its own */
	};

	control->phase = phase;
	if (phase == PHASE_DONE) {
		rte_timer_stop_sync(&control->phase_timer);
		vsw_loop_stop(control->loop);
		return;
	}
	rte_timer_reset_sync(&control->phase_timer, rte_get_timer_hz() / 1000 * timeout_ms[phase],
			     SINGLE, rte_lcore_id(), on_phase_timeout, control);
	if (phase == PHASE_LEAVE)
		leave(control);
	else
		flush(control);
}

void
control_on_empty(struct vsw_control *control)
{
	if (control->phase == PHASE_LEAVE && control->n_entries == 0)
		enter(control, PHASE_FLUSH);
}

static void
on_quiet(void *ctx, struct vsw_msg *msg)
{
	struct vsw_control *control = ctx;

	vsw_msg_free(msg);
	if (--control->n_unquiet == 0 && control->phase == PHASE_FLUSH)
		enter(control, PHASE_DONE);
}

void
control_go_down(struct vsw_control *control, int exit_status)
{
	if (exit_status != 0)
		control->exit_status = exit_status;
	if (control->phase == PHASE_UP)
		enter(control, PHASE_LEAVE);
}

/*
 * Signals.
 */

/* Once for each time that it was asked to, or once for several: what counts is that the file
 * is read after the last one. */
static void *
reload_main(void *arg)
{
	struct vsw_control *control = arg;
	char error[VSW_ERROR_SIZE];
	unsigned int n;

	pthread_setname_np(pthread_self(), "vsw-reload");
	do {
		n = __atomic_load_n(&control->n_reloads, __ATOMIC_SEQ_CST);
		vsw_control_reload(control, error);
	} while (__atomic_sub_fetch(&control->n_reloads, n, __ATOMIC_SEQ_CST) > 0);
	return NULL;
}

/* Reading a file may block, so a thread does it, and asks as any other does. */
static void
reload(struct vsw_control *control)
{
	if (__atomic_fetch_add(&control->n_reloads, 1, __ATOMIC_SEQ_CST) > 0)
		return;                 /* the thread sees it */
	if (control->has_reload_thread) /* it has seen its end */
		pthread_join(control->reload_thread, NULL);
	control->has_reload_thread =
		pthread_create(&control->reload_thread, NULL, reload_main, control) == 0;
	if (!control->has_reload_thread) {
		__atomic_store_n(&control->n_reloads, 0, __ATOMIC_SEQ_CST);
		VSW_LOG(ERR, "reload failed: no thread can be made");
	}
}

static void
on_signal(struct vsw_watch *watch, uint32_t events)
{
	struct vsw_control *control = VSW_CONTAINER_OF(watch, struct vsw_control, signals);
	struct signalfd_siginfo info;

	if (read(watch->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP) {
		if (control->phase == PHASE_UP)
			reload(control);
	} else if (control->phase == PHASE_UP) {
		VSW_LOG(NOTICE, "%s: closing down", strsignal((int)info.ssi_signo));
		control_go_down(control, EXIT_SUCCESS);
	} else {
		enter(control, PHASE_DONE);
	}
}

static int
watch_signals(struct vsw_control *control)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	control->signals = (struct vsw_watch){
		.fn = on_signal,
		.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC),
	};
	if (control->signals.fd < 0)
		return -errno;
	return vsw_loop_watch(control->loop, &control->signals, EPOLLIN);
}

/*
 * Requests arrive.
 */

static void
on_request(void *ctx, struct vsw_msg *msg)
{
	struct vsw_control *control = ctx;
	struct vsw_request *req = msg->request;

	vsw_msg_free(msg);
	if (__atomic_load_n(&control->is_closed, __ATOMIC_RELAXED) ||
	    (control->phase != PHASE_UP && alter_is_altering(req->verb))) {
		request_turn_away(control, req);
	} else if (alter_is_altering(req->verb)) {
		STAILQ_INSERT_TAIL(&control->queue, req, next);
		alter_next(control);
	} else {
		ask(control, req);
	}
}

/*
 * The object.
 */

static void
take_layout(struct vsw_control *control, const struct vsw_control_setup *setup)
{
	control->layout = *setup->layout;
	for (unsigned int lcore = 0; lcore < RTE_MAX_LCORE; lcore++) {
		control->loops[lcore] = setup->loops[lcore];
		if (setup->loops[lcore] != NULL)
			vsw_lcores_add(&control->lcores, lcore);
		if (control->layout.bridge.has[lcore])
			control->bridge[control->n_bridges++] = setup->loops[lcore];
		if (control->layout.poll.has[lcore])
			control->poll[control->n_poll++] = setup->loops[lcore];
	}
	control->loop = control->loops[control->layout.main_lcore];
	control->vhost = setup->vhost;
}

static int
set_up(struct vsw_control *control, const struct vsw_control_setup *setup)
{
	take_layout(control, setup);
	control->max_guests = setup->max_guests;
	control->umask = setup->umask;
	control->on_up = setup->on_up;
	control->on_up_arg = setup->on_up_arg;
	control->conf = setup->conf;
	STAILQ_INIT(&control->queue);
	STAILQ_INIT(&control->asking);
	rte_timer_init(&control->start_timer);
	rte_timer_init(&control->phase_timer);
	rte_timer_init(&control->retry_timer);
	control->group = calloc(GROUPS_MAX, sizeof(control->group[0]));
	return control->group != NULL ? watch_signals(control) : -ENOMEM;
}

struct vsw_control *
vsw_control_create(const struct vsw_control_setup *setup)
{
	struct vsw_control *control = calloc(1, sizeof(*control));
	int rc;

	if (control == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	control->signals.fd = -1;
	rc = set_up(control, setup);
	if (rc != 0) {
		vsw_control_destroy(control);
		rte_errno = -rc;
		return NULL;
	}
	vsw_loop_on_msg(control->loop, VSW_MSG_QUIET, on_quiet, control);
	vsw_loop_on_msg(control->loop, VSW_MSG_REQUEST, on_request, control);
	entry_register(control);
	routes_register(control);
	ask_register(control);
	alter_start(control, setup->conf);
	return control;
}

int
vsw_control_exit_status(const struct vsw_control *control)
{
	return control->exit_status;
}

void
vsw_control_close(struct vsw_control *control)
{
	__atomic_store_n(&control->is_closed, true, __ATOMIC_SEQ_CST);
	alter_abort(control);
	ask_abort(control);
	/* Whoever was counted before that is about to send, or has. */
	while (__atomic_load_n(&control->n_requests, __ATOMIC_SEQ_CST) > 0) {
		if (vsw_loop_turn(control->loop) == 0)
			usleep(100);
	}
	if (control->has_reload_thread)
		pthread_join(control->reload_thread, NULL);
	control->has_reload_thread = false;
}

void
vsw_control_destroy(struct vsw_control *control)
{
	if (control == NULL)
		return;
	for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++) {
		if (control->entry[i] != NULL)
			entry_free(control->entry[i]);
	}
	rte_timer_stop_sync(&control->start_timer);
	rte_timer_stop_sync(&control->phase_timer);
	rte_timer_stop_sync(&control->retry_timer);
	if (control->signals.fd >= 0)
		close(control->signals.fd);
	vsw_routes_destroy(control->old_routes);
	vsw_routes_destroy(control->routes);
	free(control->group);
	free(control);
}
