/* SPDX-License-Identifier: BSD-3-Clause */
#include "vsw_signal_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* More than EAL has lcores. */
#define WRITERS_MAX 256

enum vsw_signal_kind
vsw_signal_fd_init(int fd)
{
	struct stat st;
	int flags;

	if (fd < 0 || fstat(fd, &st) != 0)
		return VSW_SIGNAL_NONE;
	if (S_ISSOCK(st.st_mode))
		return VSW_SIGNAL_SOCKET;
	/* An eventfd is an anonymous inode, of no type. Files, pipes and terminals may keep us
	 * waiting, whatever their flags. */
	flags = fcntl(fd, F_GETFL);
	if ((st.st_mode & S_IFMT) != 0 || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return VSW_SIGNAL_NONE;
	return VSW_SIGNAL_EVENT;
}

/* Who writes to an eventfd: odd while it does. */
static struct writer {
	pthread_t thread;
	uint32_t n;
	uint32_t seen; /* of the watcher */
} writers[WRITERS_MAX];
static unsigned int n_writers;
static _Thread_local struct writer *self;

static struct writer *
register_self(void)
{
	static _Thread_local struct writer unwatched; /* more threads than lcores can be */
	unsigned int i = __atomic_fetch_add(&n_writers, 1, __ATOMIC_RELAXED);

	if (i >= WRITERS_MAX)
		return &unwatched;
	writers[i].thread = pthread_self();
	return &writers[i];
}

static enum vsw_signal_result
send_event(int fd)
{
	const uint64_t one = 1;
	ssize_t n;

	if (self == NULL)
		self = register_self();
	__atomic_store_n(&self->n, self->n + 1, __ATOMIC_RELEASE);
	n = write(fd, &one, sizeof(one));
	__atomic_store_n(&self->n, self->n + 1, __ATOMIC_RELEASE);
	if (n == sizeof(one))
		return VSW_SIGNAL_SENT;
	/* No other signal comes here: the rest is for signalfd, or ends the process. */
	return n < 0 && errno == EINTR ? VSW_SIGNAL_STUCK : VSW_SIGNAL_NOT_SENT;
}

enum vsw_signal_result
vsw_signal_fd_send(int fd, enum vsw_signal_kind kind)
{
	const uint64_t one = 1;

	switch (kind) {
	case VSW_SIGNAL_EVENT:
		return send_event(fd);
	case VSW_SIGNAL_SOCKET:
		return send(fd, &one, sizeof(one), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(one)
			       ? VSW_SIGNAL_SENT
			       : VSW_SIGNAL_NOT_SENT;
	default:
		return VSW_SIGNAL_NOT_SENT;
	}
}

/* That it comes ends the write. */
static void
on_urg(int sig)
{
}

void
vsw_signal_fd_watch(void)
{
	static const struct sigaction action = {.sa_handler = on_urg}; /* no SA_RESTART */
	unsigned int n = __atomic_load_n(&n_writers, __ATOMIC_RELAXED);

	for (unsigned int i = 0; i < n && i < WRITERS_MAX; i++) {
		struct writer *w = &writers[i];
		uint32_t now = __atomic_load_n(&w->n, __ATOMIC_ACQUIRE);

		if (now % 2 != 0 && now == w->seen && sigaction(SIGURG, &action, NULL) == 0)
			pthread_kill(w->thread, SIGURG);
		w->seen = now;
	}
}
