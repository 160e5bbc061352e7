/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <bsd/string.h>

#include "commands.h"
#include "end.h"
#include "vsw_base.h"
#include "vsw_socket_path.h"

/* A polling process looks after vhost-user connections once in this many turns. */
#define CHECK_EVERY 256

#define ATTACH_AGAIN_MS 1000

#define N_EVENTS 64
#define BACKLOG 4096
#define SLEEP_MAX_NS 500000000ull

bool
vm_host_path(const struct vm *vm, bool has_port, uint32_t port, char *path, size_t size)
{
	int n = has_port ? snprintf(path, size, "%s_%u", vm->uds_path, port)
			 : snprintf(path, size, "%s", vm->uds_path);

	return n < (int)size;
}

/* ---- start and end ---- */

static void
vm_ready(struct watch *w, uint32_t events)
{
	struct vm *vm = VSW_CONTAINER_OF(w, struct vm, watch);

	vm->is_woken = true;
}

/* A guest that polls has no use for its descriptors. */
static void
watch_guest(struct rig *rig, struct vm *vm)
{
	struct pollfd fds[VSW_GUEST_N_FDS];
	unsigned int n;

	vm->watch.ready = vm_ready;
	if (rig->is_polling)
		return;
	vsw_guest_pollfds(vm->g, fds, &n);
	for (unsigned int i = 0; i < n; i++)
		rig_watch(rig, fds[i].fd, EPOLLIN, &vm->watch);
}

static int
attach(struct rig *rig, struct vm *vm, unsigned int i)
{
	struct vsw_guest_conf conf = rig->opt->conf;
	uint64_t deadline;
	char path[256];
	int err;

	options_path(rig->opt, rig->opt->guest_path, i, path, sizeof(path));
	conf.socket_path = path;
	vm->g = vsw_guest_create(&conf);
	if (vm->g == NULL) {
		fprintf(stderr, "vsw-guest: cannot make a guest of that shape: %s.\n",
			strerror(errno));
		return EXIT_USAGE;
	}
	/* A switch that is still busy with the guest that was there before closes at once. */
	deadline = vsw_guest_now_ms() + ATTACH_AGAIN_MS;
	while ((err = vsw_guest_attach(vm->g)) == -EPIPE && vsw_guest_now_ms() < deadline)
		usleep(10000);
	if (err == 0)
		err = vsw_guest_start(vm->g, VSW_GUEST_BOOT);
	if (err < 0) {
		fprintf(stderr, "vsw-guest: %s: %s.\n", path, vsw_guest_error(vm->g));
		return EXIT_UNREACHABLE;
	}
	watch_guest(rig, vm);
	return 0;
}

int
rig_open(struct rig *rig, const struct options *opt)
{
	memset(rig, 0, sizeof(*rig));
	TAILQ_INIT(&rig->runnable);
	TAILQ_INIT(&rig->running);
	TAILQ_INIT(&rig->dialling);
	TAILQ_INIT(&rig->closed);
	LIST_INIT(&rig->listeners);
	rig->opt = opt;
	rig->is_polling = opt->conf.wait == VSW_GUEST_POLL;
	rig->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	rig->vms = calloc(opt->n_guests, sizeof(*rig->vms));
	rig->buf = malloc(RIG_BUF_LEN);
	if (rig->epoll_fd < 0 || rig->vms == NULL || rig->buf == NULL) {
		fprintf(stderr, "vsw-guest: %s.\n", strerror(errno));
		return EXIT_UNREACHABLE;
	}
	/* Not a page of it shall be mapped for the first time while time is taken. */
	memset(rig->buf, 0, RIG_BUF_LEN);
	for (; rig->n_vms < opt->n_guests; rig->n_vms++) {
		struct vm *vm = &rig->vms[rig->n_vms];
		int rc;

		vm->rig = rig;
		TAILQ_INIT(&vm->blocked);
		if (opt->host_path != NULL)
			options_path(opt, opt->host_path, rig->n_vms, vm->uds_path,
				     sizeof(vm->uds_path));
		rc = opt->guest_path != NULL ? attach(rig, vm, rig->n_vms) : 0;
		if (rc != 0) {
			rig->n_vms++;
			return rc;
		}
	}
	rig->now_ns = vsw_now_ns();
	rig->turn_tsc = __builtin_ia32_rdtsc();
	return 0;
}

static void
unlisten(struct listener *l)
{
	char path[160];

	if (l->is_guest) {
		vsw_guest_unlisten(l->vm->g, l->port);
	} else {
		vm_host_path(l->vm, true, l->port, path, sizeof(path));
		unlink(path);
		close(l->fd);
	}
	LIST_REMOVE(l, next);
	free(l);
}

void
rig_close(struct rig *rig)
{
	struct listener *l;

	while ((l = LIST_FIRST(&rig->listeners)) != NULL)
		unlisten(l);
	for (unsigned int i = 0; i < rig->n_vms; i++)
		vsw_guest_destroy(rig->vms[i].g);
	free(rig->vms);
	free(rig->buf);
	close(rig->epoll_fd);
}

int
rig_verdict(const struct rig *rig)
{
	int rc = 0;

	for (unsigned int i = 0; i < rig->n_vms; i++) {
		struct vsw_guest *g = rig->vms[i].g;
		const char *what;

		for (unsigned int v = 0; g != NULL && (what = vsw_guest_violation(g, v)) != NULL;
		     v++) {
			fprintf(stderr, "vsw-guest: guest %u: the device broke a rule: %s.\n",
				vsw_guest_cid(g), what);
			rc = EXIT_WRONG;
		}
		if (rig->vms[i].is_gone && rc == 0) {
			fprintf(stderr, "vsw-guest: guest %u: %s.\n", vsw_guest_cid(g),
				vsw_guest_error(g));
			rc = EXIT_BROKEN;
		}
	}
	return rc;
}

bool
rig_watch(struct rig *rig, int fd, uint32_t events, struct watch *w)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	if (epoll_ctl(rig->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0)
		return false;
	rig->n_watched++;
	return true;
}

/* ---- listening ---- */

static void
host_accept(struct watch *w, uint32_t events)
{
	struct listener *l = VSW_CONTAINER_OF(w, struct listener, watch);
	int fd;

	while ((fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		l->accepted(l, NULL, fd);
}

static bool
guest_accept(struct listener *l)
{
	bool did = false;

	while (vsw_guest_n_waiting(l->vm->g, l->port) > 0) {
		l->accepted(l, vsw_guest_accept(l->vm->g, l->port, 0), -1);
		did = true;
	}
	return did;
}

static int
host_listen(struct listener *l)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int err;

	if (!vm_host_path(l->vm, true, l->port, addr.sun_path, sizeof(addr.sun_path)))
		return -ENAMETOOLONG;
	err = vsw_socket_path_clear(addr.sun_path);
	if (err < 0)
		return err;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0 || bind(l->fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0 ||
	    listen(l->fd, BACKLOG) != 0)
		return -errno;
	l->watch.ready = host_accept;
	return rig_watch(l->rig, l->fd, EPOLLIN, &l->watch) ? 0 : -errno;
}

struct listener *
rig_listen(struct rig *rig, struct vm *vm, bool is_guest, uint32_t port,
	   void (*accepted)(struct listener *l, struct vsw_guest_sock *s, int fd), void *arg)
{
	struct listener *l = calloc(1, sizeof(*l));
	int err;

	if (l == NULL)
		abort();
	*l = (struct listener){.rig = rig,
			       .vm = vm,
			       .is_guest = is_guest,
			       .port = port,
			       .fd = -1,
			       .accepted = accepted,
			       .arg = arg};
	err = is_guest ? vsw_guest_listen(vm->g, port, BACKLOG) : host_listen(l);
	if (err < 0) {
		fprintf(stderr, "vsw-guest: listening on %s port %u: %s.\n",
			is_guest ? "guest" : vm->uds_path, port, strerror(-err));
		free(l);
		return NULL;
	}
	LIST_INSERT_HEAD(&rig->listeners, l, next);
	return l;
}

/* ---- turns ---- */

static bool
vm_turn(struct rig *rig, struct vm *vm)
{
	struct vsw_guest_sock *s;

	if (vm->g == NULL || vm->is_gone)
		return false;
	if (vm->is_woken || (rig->is_polling && rig->n_turns % CHECK_EVERY == 0)) {
		vm->is_woken = false;
		vm->is_gone = vsw_guest_poll(vm->g, 0) < 0;
	}
	if (!vsw_guest_process(vm->g) && !vm->is_gone)
		return false;
	while ((s = vsw_guest_next_ready(vm->g)) != NULL)
		if (vsw_guest_sock_data(s) != NULL)
			end_wake(vsw_guest_sock_data(s));
	/* Something came back: maybe the slot or the window they wait for. */
	while (!TAILQ_EMPTY(&vm->blocked))
		end_wake(TAILQ_FIRST(&vm->blocked));
	return true;
}

static bool
take_events(struct rig *rig, uint64_t sleep_ns)
{
	struct timespec ts = {.tv_sec = (time_t)(sleep_ns / 1000000000),
			      .tv_nsec = (long)(sleep_ns % 1000000000)};
	struct epoll_event events[N_EVENTS];
	int n = sleep_ns == 0 ? epoll_wait(rig->epoll_fd, events, N_EVENTS, 0)
			      : epoll_pwait2(rig->epoll_fd, events, N_EVENTS, &ts, NULL);

	for (int i = 0; i < n; i++) {
		struct watch *w = events[i].data.ptr;

		w->ready(w, events[i].events);
	}
	return n > 0;
}

static bool
run_ends(struct rig *rig)
{
	struct end *e;
	bool did = false;

	TAILQ_FOREACH (e, &rig->runnable, link)
		e->queue = END_ON_RUNNING;
	TAILQ_CONCAT(&rig->running, &rig->runnable, link);
	while ((e = TAILQ_FIRST(&rig->running)) != NULL)
		did |= end_run(e);
	return did;
}

/* Ask every device for a signal, then sleep unless one has done something just before. */
static void
wait_for_signal(struct rig *rig, uint64_t until_ns)
{
	uint64_t sleep_ns = SLEEP_MAX_NS;

	for (unsigned int i = 0; i < rig->n_vms; i++) {
		struct pollfd fds[VSW_GUEST_N_FDS];
		unsigned int n;
		int ms = rig->vms[i].g != NULL ? vsw_guest_pollfds(rig->vms[i].g, fds, &n) : -1;

		if (ms >= 0 && (uint64_t)ms * 1000000 < sleep_ns)
			sleep_ns = (uint64_t)ms * 1000000;
	}
	if (until_ns != 0)
		sleep_ns = until_ns <= rig->now_ns             ? 0
			   : until_ns - rig->now_ns < sleep_ns ? until_ns - rig->now_ns
							       : sleep_ns;
	if (sleep_ns > 0)
		take_events(rig, sleep_ns);
}

void
rig_turn(struct rig *rig, uint64_t until_ns)
{
	bool did = false;
	uint64_t tsc;

	rig->now_ns = vsw_now_ns();
	rig->n_turns++;
	for (unsigned int i = 0; i < rig->n_vms; i++)
		did |= vm_turn(rig, &rig->vms[i]);
	if (rig->n_watched > 0)
		did |= take_events(rig, 0);
	if (did && rig->opt->guest_path != NULL) {
		struct listener *l;

		LIST_FOREACH(l, &rig->listeners, next)
		if (l->is_guest)
			guest_accept(l);
	}
	did |= run_ends(rig);
	end_check_deadlines(rig);
	end_free_closed(rig);
	if (!did && !rig->is_polling)
		wait_for_signal(rig, rig->wake_ns != 0 ? rig->wake_ns : until_ns);
	tsc = __builtin_ia32_rdtsc();
	*(did ? &rig->busy_tsc : &rig->idle_tsc) += tsc - rig->turn_tsc;
	rig->turn_tsc = tsc;
}
