/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * librte_vhost reads the messages of all VMMs on one thread, with reads and writes that block:
 * one VMM that sends half a message, or does not read its replies, would stop the others. And
 * it leaks or worse when messages are wrong (vhost_check.c). So VMMs speak to the gate, on
 * non-blocking sockets; it puts messages together, checks them, and speaks to the library as
 * a VMM that is always whole and always reads. Replies come back the same way.
 *
 * One VMM is in at a time: the first that says something sensible while nobody is. Others that
 * speak are turned away. Those that are silent wait, a few of them, and keep nobody out: the
 * one that has waited longest goes when another comes.
 *
 * A VMM is let in when the library has forgotten the one before; it handles events in no
 * particular order and would refuse the new connection if that came first. It has when it has
 * closed its end of the one before, which says also of a connection that it dropped at once, for
 * want of memory, that nothing comes of it any more; and when the device is gone, which ends a
 * little later.
 *
 * A VMM that listens is called every second until it is there, and let in before it speaks: it
 * waits for us.
 *
 * Nothing can pile up: a message is read when the one before was passed on and no reply waits
 * to be read by the VMM.
 */
#include "gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <bsd/string.h>

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_timer.h>

#define VSW_LOGTYPE vsw_log_vhost
#include "vsw_base.h"
#include "vsw_log.h"
#include "vsw_socket_path.h"
#include "vhost_check.h"

extern int vsw_log_vhost;

/* Connected front ends of one guest, the admitted one included. */
#define CALLERS_MAX 8
/* Messages of one VMM in its turn. */
#define MSGS_PER_TURN 16
/* A reply is at most a configuration of 268 bytes; a VMM waits for each. */
#define REPLIES_MAX 8192
/* The library has not let go of the last VMM yet. */
#define RETRY_MS 2
/* A VMM that listens is called so often. */
#define CALL_MS 1000
/* No descriptor is free. */
#define ACCEPT_PAUSE_MS 100
/* Address space for the memory of all guests: half of what a process has. */
#define SPAN_ALL (1ull << 46)

/* A front end that has connected. */
struct caller {
	struct gate *gate;
	struct vsw_watch vmm;
	struct vsw_watch lib; /* its fd: -1 until it is admitted */
	uint32_t vmm_events, lib_events;

	/* The message that is being put together, or waits to be passed on. */
	struct vsw_vhost_raw msg;
	size_t len;
	int fds[VSW_VHOST_FDS_MAX];
	unsigned int n_fds;

	/* Replies that it has not read. */
	uint8_t reply[REPLIES_MAX];
	size_t n_reply;

	TAILQ_ENTRY(caller) entry; /* of gate->callers, oldest first */
};

struct gate {
	struct vsw_loop *loop;
	const struct vsw_guest_conf *guest;
	struct sockaddr_un inner;
	gate_is_free_fn is_free;
	void *ctx;
	struct vsw_listening socket;
	struct vsw_watch listener;
	TAILQ_HEAD(, caller) callers;
	unsigned int n_callers;
	struct caller *admitted; /* of these; NULL: nobody */
	int leaving;             /* to the library, of the one before; -1: that has closed it */
	uint64_t banned_until;   /* timer cycles: nobody is let in before */
	struct rte_timer retry;  /* the library is to close that, the admitted one waits for it */
	struct rte_timer pause;  /* the listener is not watched */
	struct rte_timer call;   /* the VMM is to be called */
};

static const char refused_by_library[] =
	"librte_vhost cannot do what it asks; --log-level=lib.vhost.*:info tells what that is";

static unsigned int n_gates; /* runs on the one thread */

static void
arm(struct rte_timer *timer, unsigned int ms, rte_timer_cb_t fn, struct gate *gate)
{
	rte_timer_reset_sync(timer, rte_get_timer_hz() / 1000 * ms, SINGLE, rte_lcore_id(), fn,
			     gate);
}

static void
close_fds(struct caller *caller)
{
	while (caller->n_fds > 0)
		close(caller->fds[--caller->n_fds]);
}

static void on_call(struct rte_timer *timer, void *arg);
static void on_retry(struct rte_timer *timer, void *arg);

/* The library reads an end, and closes. */
static void
leave(struct gate *gate, struct vsw_watch *lib)
{
	vsw_loop_unwatch(gate->loop, lib);
	shutdown(lib->fd, SHUT_WR);
	gate->leaving = lib->fd;
	arm(&gate->retry, RETRY_MS, on_retry, gate);
}

/* What it still replied is nobody's. */
static bool
has_left(struct gate *gate)
{
	uint8_t buf[REPLIES_MAX];
	ssize_t n;

	if (gate->leaving < 0)
		return true;
	do {
		n = recv(gate->leaving, buf, sizeof(buf), MSG_DONTWAIT);
	} while (n > 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	close(gate->leaving);
	gate->leaving = -1;
	return true;
}

static void
end(struct caller *caller, const char *why)
{
	struct gate *gate = caller->gate;

	if (why != NULL)
		VSW_LOG_LIMITED(WARNING, "guest %u: hung up on its VMM: %s", gate->guest->cid, why);
	if (gate->admitted == caller)
		gate->admitted = NULL;
	TAILQ_REMOVE(&gate->callers, caller, entry);
	gate->n_callers--;
	close_fds(caller);
	vsw_loop_unwatch(gate->loop, &caller->vmm);
	close(caller->vmm.fd);
	if (caller->lib.fd >= 0)
		leave(gate, &caller->lib);
	free(caller);
	if (gate->guest->is_client)
		arm(&gate->call, CALL_MS, on_call, gate);
}

/*
 * Reading.
 */

enum got {
	GOT_ALL,  /* a whole message */
	GOT_PART, /* no more for now */
	GOT_END,  /* no more for ever */
	GOT_TOO_LONG,
	GOT_TOO_MANY, /* descriptors */
};

/* Keep what belongs to a message; close what is beyond. @return false: there was more. */
static bool
take_fds(struct caller *caller, struct msghdr *hdr)
{
	bool fit = (hdr->msg_flags & MSG_CTRUNC) == 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c != NULL; c = CMSG_NXTHDR(hdr, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (caller->n_fds < VSW_VHOST_FDS_MAX) {
				caller->fds[caller->n_fds++] = fd;
			} else {
				close(fd);
				fit = false;
			}
		}
	}
	return fit;
}

static enum got
read_part(struct caller *caller, size_t wanted)
{
	/* What is beyond the kernel does not take in: it would be others' for that moment. */
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(VSW_VHOST_FDS_MAX * sizeof(int))];
	struct iovec iov = {
		.iov_base = (uint8_t *)&caller->msg + caller->len,
		.iov_len = wanted - caller->len,
	};
	struct msghdr hdr = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(caller->vmm.fd, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? GOT_PART : GOT_END;
	if (n == 0)
		return GOT_END;
	caller->len += (size_t)n;
	if (!take_fds(caller, &hdr))
		return GOT_TOO_MANY;
	return caller->len == wanted ? GOT_ALL : GOT_PART;
}

static enum got
read_message(struct caller *caller)
{
	enum got got = GOT_ALL;

	if (caller->len < VSW_VHOST_HDR_LEN)
		got = read_part(caller, VSW_VHOST_HDR_LEN);
	if (got != GOT_ALL)
		return got;
	if (caller->msg.size > VSW_VHOST_PAYLOAD_MAX)
		return GOT_TOO_LONG;
	if (caller->len < VSW_VHOST_HDR_LEN + caller->msg.size)
		got = read_part(caller, VSW_VHOST_HDR_LEN + caller->msg.size);
	return got;
}

/*
 * Passing on.
 */

enum passed {
	PASSED,
	PASSED_LATER,
	PASSED_NEVER,
};

static enum passed
pass_on(struct caller *caller)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(VSW_VHOST_FDS_MAX * sizeof(int))] = {0};
	struct iovec iov = {.iov_base = &caller->msg, .iov_len = caller->len};
	struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (caller->n_fds > 0) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		hdr.msg_control = control;
		hdr.msg_controllen = CMSG_SPACE(caller->n_fds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(caller->n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), caller->fds, caller->n_fds * sizeof(int));
	}
	n = sendmsg(caller->lib.fd, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return PASSED_LATER;
	/* A message of this size is one piece of memory in the kernel: all or nothing. */
	return n == (ssize_t)caller->len ? PASSED : PASSED_NEVER;
}

static void on_lib(struct vsw_watch *watch, uint32_t events);

static enum passed
connect_inner(struct caller *caller)
{
	struct gate *gate = caller->gate;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return PASSED_NEVER;
	if (connect(fd, (const struct sockaddr *)&gate->inner, sizeof(gate->inner)) != 0) {
		enum passed passed = errno == EAGAIN ? PASSED_LATER : PASSED_NEVER;

		close(fd);
		return passed;
	}
	caller->lib = (struct vsw_watch){.fn = on_lib, .fd = fd};
	caller->lib_events = EPOLLIN;
	if (vsw_loop_watch(gate->loop, &caller->lib, EPOLLIN) != 0) {
		close(fd);
		caller->lib.fd = -1;
		return PASSED_NEVER;
	}
	return PASSED;
}

/* Somebody has something to say: is it let in? */
static enum passed
admit(struct caller *caller)
{
	struct gate *gate = caller->gate;
	enum passed passed = PASSED_LATER;

	if ((gate->admitted != NULL && gate->admitted != caller) ||
	    rte_get_timer_cycles() < gate->banned_until)
		return PASSED_NEVER;
	gate->admitted = caller;
	if (has_left(gate) && gate->is_free(gate->ctx))
		passed = connect_inner(caller);
	if (passed == PASSED_LATER)
		arm(&gate->retry, RETRY_MS, on_retry, gate);
	return passed;
}

static void
rewatch(struct caller *caller, struct vsw_watch *watch, uint32_t *now, uint32_t events)
{
	if (watch->fd < 0 || *now == events)
		return;
	*now = events;
	vsw_loop_rewatch(caller->gate->loop, watch, events);
}

/* As far as things go now. The caller may be gone afterwards. */
static void
serve(struct caller *caller)
{
	bool is_held = false;

	for (unsigned int i = 0; i < MSGS_PER_TURN && caller->n_reply == 0; i++) {
		enum got got = read_message(caller);
		enum passed passed = PASSED;
		const char *wrong;

		if (got == GOT_PART)
			break;
		if (got != GOT_ALL) {
			end(caller,
			    got == GOT_TOO_LONG ? "a message that is too long"
			    : got == GOT_TOO_MANY
				    ? "more descriptors than a message has, or than are free"
				    : NULL);
			return;
		}
		wrong = vsw_vhost_check(&caller->msg, caller->fds, caller->n_fds,
					SPAN_ALL / (n_gates + 1));
		if (wrong != NULL) {
			end(caller, wrong);
			return;
		}
		if (caller->lib.fd < 0) {
			passed = admit(caller);
			wrong = "there is another one already, the last one misbehaved a minute "
				"ago, or no descriptor is free";
		} else {
			wrong = refused_by_library;
		}
		if (passed == PASSED)
			passed = pass_on(caller);
		if (passed == PASSED_NEVER) {
			end(caller, wrong);
			return;
		}
		is_held = passed == PASSED_LATER;
		if (is_held)
			break;
		close_fds(caller);
		caller->len = 0;
	}
	rewatch(caller, &caller->vmm, &caller->vmm_events,
		caller->n_reply > 0 ? EPOLLOUT
		: is_held           ? 0
				    : EPOLLIN);
	rewatch(caller, &caller->lib, &caller->lib_events, is_held ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void
on_retry(struct rte_timer *timer, void *arg)
{
	struct gate *gate = arg;
	enum passed passed;

	if (!has_left(gate))
		arm(timer, RETRY_MS, on_retry, gate);
	if (gate->admitted == NULL)
		return;
	passed = gate->admitted->lib.fd < 0 ? admit(gate->admitted) : PASSED;
	if (passed == PASSED)
		serve(gate->admitted);
	else if (passed == PASSED_NEVER)
		end(gate->admitted, refused_by_library);
}

/* @return false when the VMM is gone. */
static bool
send_replies(struct caller *caller)
{
	ssize_t n;

	if (caller->n_reply == 0)
		return true;
	n = send(caller->vmm.fd, caller->reply, caller->n_reply, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	caller->n_reply -= (size_t)n;
	memmove(caller->reply, caller->reply + n, caller->n_reply);
	return true;
}

static void
on_vmm(struct vsw_watch *watch, uint32_t events)
{
	struct caller *caller = VSW_CONTAINER_OF(watch, struct caller, vmm);

	/* It has gone without waiting for what it asked: nobody is left to be served. */
	if (!send_replies(caller) || (!(caller->vmm_events & EPOLLIN) && (events & EPOLLHUP)))
		end(caller, NULL);
	else
		serve(caller);
}

static void
on_lib(struct vsw_watch *watch, uint32_t events)
{
	struct caller *caller = VSW_CONTAINER_OF(watch, struct caller, lib);
	size_t room = sizeof(caller->reply) - caller->n_reply;
	ssize_t n;

	n = room > 0 ? recv(watch->fd, caller->reply + caller->n_reply, room, MSG_DONTWAIT) : -1;
	if (room == 0)
		end(caller, "it does not read its replies");
	else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		end(caller, refused_by_library);
	else {
		caller->n_reply += n > 0 ? (size_t)n : 0;
		if (send_replies(caller))
			serve(caller);
		else
			end(caller, NULL);
	}
}

/*
 * New ones.
 */

static void
make_room(struct gate *gate)
{
	struct caller *caller = TAILQ_FIRST(&gate->callers);

	if (gate->n_callers < CALLERS_MAX)
		return;
	if (caller == gate->admitted)
		caller = TAILQ_NEXT(caller, entry);
	end(caller, "it has nothing to say, and others come");
}

/* @return NULL: fd is closed. */
static struct caller *
add_caller(struct gate *gate, int fd)
{
	struct caller *caller = calloc(1, sizeof(*caller));

	if (caller == NULL) {
		close(fd);
		return NULL;
	}
	make_room(gate);
	caller->gate = gate;
	caller->vmm = (struct vsw_watch){.fn = on_vmm, .fd = fd};
	caller->vmm_events = EPOLLIN;
	caller->lib.fd = -1;
	if (vsw_loop_watch(gate->loop, &caller->vmm, EPOLLIN) != 0) {
		close(fd);
		free(caller);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&gate->callers, caller, entry);
	gate->n_callers++;
	return caller;
}

/* @return a connected socket; -1. */
static int
connect_to_vmm(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(addr.sun_path, path, sizeof(addr.sun_path));
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void
on_call(struct rte_timer *timer, void *arg)
{
	struct gate *gate = arg;
	int fd = connect_to_vmm(gate->guest->socket);
	struct caller *caller = fd >= 0 ? add_caller(gate, fd) : NULL;

	if (caller == NULL) {
		arm(timer, CALL_MS, on_call, gate);
		return;
	}
	gate->admitted = caller;
	on_retry(&gate->retry, gate);
}

static void
on_pause_over(struct rte_timer *timer, void *arg)
{
	struct gate *gate = arg;

	if (vsw_loop_rewatch(gate->loop, &gate->listener, EPOLLIN) != 0)
		arm(timer, ACCEPT_PAUSE_MS, on_pause_over, gate);
}

static void
on_listener(struct vsw_watch *watch, uint32_t events)
{
	struct gate *gate = VSW_CONTAINER_OF(watch, struct gate, listener);
	int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		add_caller(gate, fd);
	} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		VSW_LOG_LIMITED(ERR, "guest %u: no VMM can connect: %s", gate->guest->cid,
				strerror(errno));
		vsw_loop_rewatch(gate->loop, &gate->listener, 0);
		arm(&gate->pause, ACCEPT_PAUSE_MS, on_pause_over, gate);
	}
}

static int
listen_for_vmms(struct gate *gate)
{
	int rc = vsw_socket_path_listen(&gate->socket, gate->guest->socket, &gate->guest->access);

	if (rc != 0)
		return rc;
	gate->listener = (struct vsw_watch){.fn = on_listener, .fd = gate->socket.fd};
	rc = vsw_loop_watch(gate->loop, &gate->listener, EPOLLIN);
	if (rc != 0)
		vsw_socket_path_unlisten(&gate->socket);
	return rc;
}

struct gate *
gate_create(struct vsw_loop *loop, const struct vsw_guest_conf *guest, const char *inner,
	    gate_is_free_fn is_free, void *ctx, int *error)
{
	struct gate *gate = calloc(1, sizeof(*gate));

	*error = -ENOMEM;
	if (gate == NULL)
		return NULL;
	gate->loop = loop;
	gate->guest = guest;
	gate->is_free = is_free;
	gate->ctx = ctx;
	gate->inner.sun_family = AF_UNIX;
	strlcpy(gate->inner.sun_path, inner, sizeof(gate->inner.sun_path));
	TAILQ_INIT(&gate->callers);
	rte_timer_init(&gate->retry);
	rte_timer_init(&gate->pause);
	rte_timer_init(&gate->call);
	gate->socket.fd = -1;
	gate->leaving = -1;
	*error = 0;
	if (guest->is_client)
		on_call(&gate->call, gate);
	else
		*error = listen_for_vmms(gate);
	if (*error != 0) {
		free(gate);
		return NULL;
	}
	n_gates++;
	return gate;
}

void
gate_hang_up(struct gate *gate, const char *why, unsigned int ban_s)
{
	gate->banned_until = rte_get_timer_cycles() + ban_s * rte_get_timer_hz();
	if (gate->admitted != NULL && gate->admitted->lib.fd >= 0)
		end(gate->admitted, why);
}

void
gate_unlisten(struct gate *gate)
{
	if (gate->socket.fd < 0)
		return;
	vsw_loop_unwatch(gate->loop, &gate->listener);
	vsw_socket_path_unlisten(&gate->socket);
}

void
gate_destroy(struct gate *gate)
{
	if (gate == NULL)
		return;
	while (!TAILQ_EMPTY(&gate->callers))
		end(TAILQ_FIRST(&gate->callers), NULL);
	if (gate->leaving >= 0)
		close(gate->leaving);
	gate_unlisten(gate);
	rte_timer_stop_sync(&gate->call);
	rte_timer_stop_sync(&gate->retry);
	rte_timer_stop_sync(&gate->pause);
	n_gates--;
	free(gate);
}
