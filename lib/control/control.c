/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Up: the poll lcores are told who may talk to whom (ROUTES); each guest is attached to its
 * poll lcore (ATTACH), then its vhost-user socket listens (LISTEN), then hosts may come (uds
 * path). When all are up, vswd says so.
 *
 * Down, on a signal or when a guest fails to come up, in steps that each wait for all guests:
 *   DRAIN     no new hosts; guests are told that their connections are over
 *   UNLISTEN  the vhost-user sockets go; from here on no guest memory is touched
 *   FLUSH     bridges write out what slow host readers have not taken yet
 * A guest that is still coming up is waited for before that, so that what it brings is taken
 * down. The whole has a deadline; whatever is missing then is given up.
 */
#include "vsw_control.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_timer.h>

#define VSW_LOGTYPE vsw_log_control
#include "vsw_base.h"
#include "vsw_handshake.h"
#include "vsw_log.h"
#include "vsw_route.h"
#include "vsw_socket_path.h"

RTE_LOG_REGISTER(vsw_log_control, vsw.control, NOTICE);

/* Closing down: guests that do not post receive buffers are not waited for longer than
 * this; then librte_vhost; then slow host readers. Service managers kill after 10 s or more. */
#define DRAIN_TIMEOUT_MS 500
#define UNLISTEN_TIMEOUT_MS 2000
#define FLUSH_TIMEOUT_MS 5000

enum phase {
	PHASE_UP, /* coming up, or serving */
	PHASE_DRAIN,
	PHASE_UNLISTEN,
	PHASE_FLUSH,
	PHASE_DONE,
};

/* The control lcore's part of a guest. */
struct entry {
	const struct vsw_guest_conf *guest;
	struct vsw_handshakes *handshakes; /* NULL: hosts cannot come (yet, any more) */
	struct vsw_counters counters;
	bool is_attached;
	bool is_listening;
};

struct vsw_control {
	struct vsw_loop *loop;
	struct vsw_loop *vhost;
	struct vsw_watch signals;
	enum phase phase;
	int exit_status;
	unsigned int n_up;      /* guests that hosts can reach */
	unsigned int n_coming;  /* answers missing to ATTACH and LISTEN, in whatever phase */
	unsigned int n_awaited; /* answers missing in this phase of closing down */
	struct rte_timer timer; /* of the phase */
	struct vsw_routes *routes;
	unsigned int n_entries;
	struct entry entry[];
};

static void enter(struct vsw_control *control, enum phase phase);
static void next_phase_if_complete(struct vsw_control *control);

/* Requests of this role go out at a rate of a few per guest and lifetime, so the pool has
 * them even when guests use up theirs. @return how many answers will come: 1. */
static unsigned int
request(struct vsw_control *control, struct vsw_loop *to, enum vsw_verb verb,
	const struct vsw_guest_conf *guest)
{
	struct vsw_msg *msg = vsw_msg_alloc(verb);

	if (msg == NULL) {
		VSW_LOG(ERR, "out of messages for '%s'", vsw_msg_verb_str(verb));
		return 0;
	}
	msg->guest = guest;
	msg->reply_to = control->loop;
	msg->routes = control->routes;
	msg->port = FLUSH_TIMEOUT_MS;
	vsw_msg_send(to, msg);
	return 1;
}

static void
go_down(struct vsw_control *control, int exit_status)
{
	if (exit_status != 0)
		control->exit_status = exit_status;
	if (control->phase == PHASE_UP)
		enter(control, PHASE_DRAIN);
}

/* Guests share loops, which are asked once. @return true for the first guest with this poll
 * loop, or bridge loop. */
static bool
is_first_of_poll(const struct vsw_control *control, const struct entry *entry)
{
	for (const struct entry *e = control->entry; e < entry; e++) {
		if (e->guest->poll_loop == entry->guest->poll_loop)
			return false;
	}
	return true;
}

static bool
is_first_of_bridge(const struct vsw_control *control, const struct entry *entry)
{
	for (const struct entry *e = control->entry; e < entry; e++) {
		if (e->guest->bridge_loop == entry->guest->bridge_loop)
			return false;
	}
	return true;
}

/*
 * Up.
 */

static int
publish_routes(struct vsw_control *control)
{
	const struct vsw_guest_conf *guest[VSW_GUESTS_MAX];

	for (unsigned int i = 0; i < control->n_entries; i++)
		guest[i] = control->entry[i].guest;
	control->routes = vsw_routes_create(guest, control->n_entries);
	if (control->routes == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < control->n_entries; i++) {
		struct entry *entry = &control->entry[i];

		if (is_first_of_poll(control, entry))
			request(control, entry->guest->poll_loop, VSW_MSG_ROUTES, NULL);
	}
	return 0;
}

static void
on_routed(void *ctx, struct vsw_msg *msg)
{
	vsw_msg_free(msg);
}

/* @return a listening socket at the guest's uds path, or -errno. */
static int
listen_for_hosts(const struct vsw_guest_conf *guest)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd, rc;

	rc = vsw_socket_path_clear(guest->uds_path);
	if (rc != 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	memcpy(addr.sun_path, guest->uds_path, sizeof(addr.sun_path));
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0 ||
	    listen(fd, SOMAXCONN) != 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

static void
fail_up(struct vsw_control *control, const struct vsw_guest_conf *guest, const char *path, int rc)
{
	VSW_LOG(ERR, "guest %u: cannot serve %s: %s", guest->cid, path, strerror(-rc));
	go_down(control, EXIT_FAILURE);
}

static void
on_attached(void *ctx, struct vsw_msg *msg)
{
	struct vsw_control *control = ctx;
	struct entry *entry = &control->entry[msg->guest->id];
	int rc = msg->result;

	vsw_msg_free(msg);
	control->n_coming--;
	entry->is_attached = rc == 0;
	if (rc != 0)
		fail_up(control, entry->guest, "it", rc);
	else if (control->phase == PHASE_UP)
		control->n_coming += request(control, control->vhost, VSW_MSG_LISTEN, entry->guest);
	next_phase_if_complete(control);
}

static void
on_listening(void *ctx, struct vsw_msg *msg)
{
	struct vsw_control *control = ctx;
	struct entry *entry = &control->entry[msg->guest->id];
	int rc = msg->result;
	int fd;

	vsw_msg_free(msg);
	control->n_coming--;
	entry->is_listening = rc == 0;
	if (rc != 0)
		fail_up(control, entry->guest, entry->guest->socket, rc);
	if (control->phase != PHASE_UP) {
		next_phase_if_complete(control);
		return;
	}
	fd = listen_for_hosts(entry->guest);
	if (fd >= 0)
		entry->handshakes =
			vsw_handshakes_create(control->loop, entry->guest, fd, &entry->counters,
					      VSW_HANDSHAKE_TIMEOUT_MS);
	if (entry->handshakes == NULL)
		fail_up(control, entry->guest, entry->guest->uds_path, fd < 0 ? fd : -ENOMEM);
	else if (++control->n_up == control->n_entries)
		VSW_LOG(NOTICE, "ready: %u guest%s", control->n_up, control->n_up == 1 ? "" : "s");
}

/*
 * Down.
 */

static void
stop_listening_for_hosts(struct entry *entry)
{
	if (entry->handshakes == NULL)
		return;
	vsw_handshakes_destroy(entry->handshakes);
	entry->handshakes = NULL;
	unlink(entry->guest->uds_path);
}

static void
on_phase_timeout(struct rte_timer *timer, void *arg)
{
	struct vsw_control *control = arg;

	VSW_LOG(WARNING, "closing down: gave up waiting for %u answers",
		control->n_awaited + control->n_coming);
	enter(control, control->phase + 1);
}

static void
request_of_phase(struct vsw_control *control, struct entry *entry)
{
	switch (control->phase) {
	case PHASE_DRAIN:
		stop_listening_for_hosts(entry);
		if (entry->is_attached)
			control->n_awaited += request(control, entry->guest->poll_loop,
						      VSW_MSG_DRAIN, entry->guest);
		break;
	case PHASE_UNLISTEN:
		if (entry->is_listening)
			control->n_awaited +=
				request(control, control->vhost, VSW_MSG_UNLISTEN, entry->guest);
		break;
	case PHASE_FLUSH:
		if (is_first_of_bridge(control, entry))
			control->n_awaited +=
				request(control, entry->guest->bridge_loop, VSW_MSG_FLUSH, NULL);
		break;
	case PHASE_UP:
	case PHASE_DONE:
		break;
	}
}

static void
next_phase_if_complete(struct vsw_control *control)
{
	if (control->phase == PHASE_UP || control->phase == PHASE_DONE)
		return;
	if (control->n_awaited == 0 && control->n_coming == 0)
		enter(control, control->phase + 1);
}

static void
enter(struct vsw_control *control, enum phase phase)
{
	static const unsigned int timeout_ms[PHASE_DONE] = {
		[PHASE_DRAIN] = DRAIN_TIMEOUT_MS,
		[PHASE_UNLISTEN] = UNLISTEN_TIMEOUT_MS,
		[PHASE_FLUSH] = FLUSH_TIMEOUT_MS + 100, /* the bridge keeps its own */
	};

	control->phase = phase;
	control->n_awaited = 0; /* answers of an earlier phase come too late to matter */
	if (phase == PHASE_DONE) {
		vsw_loop_stop(control->loop);
		return;
	}
	rte_timer_reset_sync(&control->timer, rte_get_timer_hz() / 1000 * timeout_ms[phase], SINGLE,
			     rte_lcore_id(), on_phase_timeout, control);
	for (unsigned int i = 0; i < control->n_entries; i++)
		request_of_phase(control, &control->entry[i]);
	next_phase_if_complete(control);
}

/* DRAINED, UNLISTENED or QUIET. */
static void
on_done(void *ctx, struct vsw_msg *msg)
{
	struct vsw_control *control = ctx;
	bool in_time;

	in_time = (msg->verb == VSW_MSG_DRAINED && control->phase == PHASE_DRAIN) ||
		  (msg->verb == VSW_MSG_UNLISTENED && control->phase == PHASE_UNLISTEN) ||
		  (msg->verb == VSW_MSG_QUIET && control->phase == PHASE_FLUSH);
	vsw_msg_free(msg);
	if (!in_time)
		return;
	control->n_awaited--;
	next_phase_if_complete(control);
}

static void
on_signal(struct vsw_watch *watch, uint32_t events)
{
	struct vsw_control *control = VSW_CONTAINER_OF(watch, struct vsw_control, signals);
	struct signalfd_siginfo info;

	if (read(watch->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (control->phase == PHASE_UP) {
		VSW_LOG(NOTICE, "%s: closing down", strsignal((int)info.ssi_signo));
		go_down(control, EXIT_SUCCESS);
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
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	control->signals = (struct vsw_watch){
		.fn = on_signal,
		.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC),
	};
	if (control->signals.fd < 0)
		return -errno;
	return vsw_loop_watch(control->loop, &control->signals, EPOLLIN);
}

struct vsw_control *
vsw_control_create(struct vsw_loop *loop, struct vsw_loop *vhost,
		   const struct vsw_guest_conf *guests, unsigned int n_guests)
{
	struct vsw_control *control;
	int rc;

	control = calloc(1, sizeof(*control) + n_guests * sizeof(control->entry[0]));
	if (control == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	control->loop = loop;
	control->vhost = vhost;
	rte_timer_init(&control->timer);
	rc = watch_signals(control);
	if (rc != 0) {
		vsw_control_destroy(control);
		rte_errno = -rc;
		return NULL;
	}
	vsw_loop_on_msg(loop, VSW_MSG_ROUTED, on_routed, control);
	vsw_loop_on_msg(loop, VSW_MSG_ATTACHED, on_attached, control);
	vsw_loop_on_msg(loop, VSW_MSG_LISTENING, on_listening, control);
	vsw_loop_on_msg(loop, VSW_MSG_DRAINED, on_done, control);
	vsw_loop_on_msg(loop, VSW_MSG_UNLISTENED, on_done, control);
	vsw_loop_on_msg(loop, VSW_MSG_QUIET, on_done, control);

	control->n_entries = n_guests;
	for (unsigned int i = 0; i < n_guests; i++)
		control->entry[i].guest = &guests[i];
	rc = publish_routes(control);
	if (rc != 0) {
		vsw_control_destroy(control);
		rte_errno = -rc;
		return NULL;
	}
	for (unsigned int i = 0; i < n_guests; i++)
		control->n_coming +=
			request(control, guests[i].poll_loop, VSW_MSG_ATTACH, &guests[i]);
	return control;
}

int
vsw_control_exit_status(const struct vsw_control *control)
{
	return control->exit_status;
}

void
vsw_control_destroy(struct vsw_control *control)
{
	if (control == NULL)
		return;
	for (unsigned int i = 0; i < control->n_entries; i++)
		stop_listening_for_hosts(&control->entry[i]);
	rte_timer_stop_sync(&control->timer);
	if (control->signals.fd >= 0)
		close(control->signals.fd);
	vsw_routes_destroy(control->routes);
	free(control);
}

const struct vsw_counters *
vsw_control_counters(const struct vsw_control *control, uint16_t guest_id)
{
	return &control->entry[guest_id].counters;
}
