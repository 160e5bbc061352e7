/* SPDX-License-Identifier: BSD-3-Clause */
#include "end.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <bsd/string.h>

#include "vsw_base.h"
#include "vsw_packet.h"

static void
leave_queue(struct end *e)
{
	if (e->queue == END_ON_RUNNABLE)
		TAILQ_REMOVE(&e->rig->runnable, e, link);
	if (e->queue == END_ON_RUNNING)
		TAILQ_REMOVE(&e->rig->running, e, link);
	if (e->queue == END_ON_BLOCKED)
		TAILQ_REMOVE(&e->vm->blocked, e, link);
	e->queue = END_ON_NONE;
}

void
end_wake(struct end *e)
{
	if (e->queue == END_ON_RUNNABLE || e->queue == END_ON_RUNNING)
		return;
	leave_queue(e);
	TAILQ_INSERT_TAIL(&e->rig->runnable, e, link);
	e->queue = END_ON_RUNNABLE;
}

static void
block(struct end *e)
{
	leave_queue(e);
	TAILQ_INSERT_TAIL(&e->vm->blocked, e, link);
	e->queue = END_ON_BLOCKED;
}

static void
watch(struct end *e)
{
	e->is_watched = rig_watch(e->rig, e->fd, EPOLLIN | EPOLLOUT | EPOLLET, &e->watch);
	e->can_send = true;
}

/* ---- dialling ---- */

static void
stop_dialling(struct end *e, enum end_state state)
{
	if (e->is_dialling)
		TAILQ_REMOVE(&e->rig->dialling, e, dialled);
	e->is_dialling = false;
	e->state = state;
}

/* The OK line and not a byte more: what follows is the guest's. */
static enum end_state
read_ok(struct end *e)
{
	char line[32];
	ssize_t n = recv(e->fd, line, sizeof(line), MSG_PEEK);
	const char *end;

	if (n < 0)
		return errno == EAGAIN ? END_DIALLING : END_FAILED;
	end = memchr(line, '\n', (size_t)n);
	if (end == NULL)
		return n == 0 || n == sizeof(line) ? END_FAILED : END_DIALLING;
	n = recv(e->fd, line, (size_t)(end - line) + 1, 0);
	return n > 3 && memcmp(line, "OK ", 3) == 0 ? END_OPEN : END_FAILED;
}

static enum end_state
connect_host(struct end *e)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char line[32];
	int len;

	if (!vm_host_path(e->vm, e->rig->opt->is_plain, e->port, addr.sun_path,
			  sizeof(addr.sun_path)))
		return END_FAILED;
	if (connect(e->fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
		return errno == EAGAIN ? END_DIALLING : END_FAILED; /* a full backlog: again */
	e->is_told = true;
	watch(e);
	if (e->rig->opt->is_plain)
		return END_OPEN;
	len = snprintf(line, sizeof(line), "CONNECT %u\n", e->port);
	return send(e->fd, line, (size_t)len, MSG_NOSIGNAL) == len ? END_DIALLING : END_FAILED;
}

static enum end_state
ask_guest(const struct end *e)
{
	struct vsw_guest_sock_info info;

	if (e->s == NULL)
		return END_FAILED;
	vsw_guest_sock_info(e->s, &info);
	return info.state == VSW_GUEST_CONNECTING  ? END_DIALLING
	       : info.state == VSW_GUEST_CONNECTED ? END_OPEN
						   : END_FAILED;
}

static enum end_state
dial_on(struct end *e)
{
	if (e->fd < 0)
		return ask_guest(e);
	if (!e->is_told)
		return connect_host(e);
	return read_ok(e);
}

static void
host_ready(struct watch *w, uint32_t events)
{
	struct end *e = VSW_CONTAINER_OF(w, struct end, watch);

	e->can_recv |= (events & ~(uint32_t)EPOLLOUT) != 0;
	e->can_send |= (events & EPOLLOUT) != 0;
	end_wake(e);
}

/* Whatever woke it, an end that dials first sees whether it has its answer. */
bool
end_run(struct end *e)
{
	leave_queue(e);
	if (e->is_dialling) {
		enum end_state state = dial_on(e);

		if (state == END_DIALLING) {
			if (e->fd >= 0 && !e->is_told)
				end_wake(e);
			return false;
		}
		stop_dialling(e, state);
	}
	return e->run(e);
}

void
end_dial(struct end *e, struct vm *vm, bool is_guest, uint32_t cid, uint32_t port)
{
	struct rig *rig = vm->rig;

	e->rig = rig;
	e->vm = vm;
	e->port = port;
	e->state = END_DIALLING;
	e->fd = -1;
	e->watch.ready = host_ready;
	e->dialled_ns = rig->now_ns;
	e->is_dialling = true;
	TAILQ_INSERT_TAIL(&rig->dialling, e, dialled);
	if (is_guest) {
		e->s = vsw_guest_connect_start(vm->g, 0, cid, port);
		if (e->s != NULL)
			vsw_guest_sock_set_data(e->s, e);
	} else {
		e->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	}
	end_wake(e);
}

void
end_accept(struct end *e, struct vm *vm, struct vsw_guest_sock *s, int fd)
{
	e->rig = vm->rig;
	e->vm = vm;
	e->s = s;
	e->fd = fd;
	e->state = END_OPEN;
	e->watch.ready = host_ready;
	if (s != NULL)
		vsw_guest_sock_set_data(s, e);
	else
		watch(e);
	end_wake(e);
}

/* Dialling ends are in the order of their deadlines. */
void
end_check_deadlines(struct rig *rig)
{
	uint64_t timeout_ns = (uint64_t)rig->opt->timeout_ms * 1000000;
	struct end *e;

	while ((e = TAILQ_FIRST(&rig->dialling)) != NULL &&
	       rig->now_ns - e->dialled_ns > timeout_ns) {
		stop_dialling(e, END_FAILED);
		end_wake(e);
	}
}

/* ---- data ---- */

static ssize_t
host_send(struct end *e, const void *data, size_t len)
{
	ssize_t n;

	if (!e->can_send)
		return -EAGAIN;
	n = send(e->fd, data, len, MSG_NOSIGNAL);
	if (n >= 0)
		return n;
	e->can_send = false;
	return -errno;
}

ssize_t
end_send(struct end *e, const void *data, size_t len)
{
	ssize_t n;

	if (e->s == NULL)
		return host_send(e, data, len);
	n = vsw_guest_send(e->s, data, len, 0);
	if (n == -EAGAIN)
		block(e);
	return n;
}

void
end_cork(struct end *e)
{
	if (e->s != NULL)
		vsw_guest_cork(e->vm->g);
}

void
end_uncork(struct end *e)
{
	if (e->s != NULL)
		vsw_guest_uncork(e->vm->g);
}

ssize_t
end_take(struct end *e, const uint8_t **data, size_t max)
{
	ssize_t n;

	if (e->s != NULL)
		return vsw_guest_take(e->s, (const void **)data, max);
	if (!e->can_recv)
		return -EAGAIN;
	*data = e->rig->buf;
	max = max < RIG_BUF_LEN ? max : RIG_BUF_LEN;
	n = recv(e->fd, e->rig->buf, max, 0);
	/* A short read has emptied the socket: the next byte is an event (epoll(7)). */
	e->can_recv = n == 0 || n == (ssize_t)max;
	return n >= 0 ? n : -errno;
}

void
end_shutdown(struct end *e)
{
	if (e->s != NULL)
		vsw_guest_shutdown(e->s, VSW_SHUTDOWN_SEND);
	else
		shutdown(e->fd, SHUT_WR);
}

void
end_close(struct end *e)
{
	stop_dialling(e, e->state);
	leave_queue(e);
	if (e->s != NULL) {
		vsw_guest_sock_set_data(e->s, NULL);
		if (e->state == END_FAILED)
			vsw_guest_abort(e->s);
		else
			vsw_guest_close(e->s);
	}
	if (e->fd >= 0) {
		if (e->is_watched)
			e->rig->n_watched--;
		close(e->fd);
	}
	e->s = NULL;
	e->fd = -1;
	/* Not freed yet: an event of this turn may still name it. */
	TAILQ_INSERT_TAIL(&e->rig->closed, e, dialled);
}

void
end_free_closed(struct rig *rig)
{
	struct end *e;

	while ((e = TAILQ_FIRST(&rig->closed)) != NULL) {
		TAILQ_REMOVE(&rig->closed, e, dialled);
		leave_queue(e);
		e->free(e);
	}
}
