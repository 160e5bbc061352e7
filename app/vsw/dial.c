/* SPDX-License-Identifier: BSD-3-Clause */
#include "dial.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include "commands.h"

#define CROWDED_MS 10

void
dial_cancel(struct dial *dial)
{
	if (dial->fd >= 0)
		close(dial->fd);
	dial->fd = -1;
}

__attribute__((format(printf, 3, 4))) static void
fail(struct dial *dial, int status, const char *fmt, ...)
{
	va_list ap;

	dial_cancel(dial);
	dial->state = DIAL_FAILED;
	dial->status = status;
	va_start(ap, fmt);
	vsnprintf(dial->why, sizeof(dial->why), fmt, ap);
	va_end(ap);
}

static void
fail_to_connect(struct dial *dial, int error)
{
	bool is_path = dial->path[0] != '\0';
	/* Of AF_VSOCK ECONNRESET says that nobody listens. */
	bool is_refused = !is_path && (error == ECONNREFUSED || error == ECONNRESET);

	fail(dial, is_refused ? EXIT_REFUSED : EXIT_UNREACHABLE, "cannot reach %s: %s",
	     is_path ? dial->path : dial->to->text,
	     error == ECONNRESET ? "nobody listens there"
	     : error == ENODEV   ? "AF_VSOCK does not lead there; in a guest, modprobe "
				   "vmw_vsock_virtio_transport"
				 : strerror(error));
}

static void
ask(struct dial *dial)
{
	char line[32];
	int len = snprintf(line, sizeof(line), "CONNECT %u\n", dial->to->port);

	/* A socket that has just been connected takes so much. What vswd does not take shows in
	 * its answer. */
	(void)!send(dial->fd, line, (size_t)len, MSG_NOSIGNAL);
	dial->state = DIAL_ASKED;
}

static void
on_connected(struct dial *dial)
{
	if (dial->is_hybrid)
		ask(dial);
	else
		dial->state = DIAL_DONE;
}

static void
try_to_connect(struct dial *dial)
{
	const struct address *address = &dial->address;

	dial->fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (dial->fd < 0)
		fail(dial, EXIT_UNREACHABLE, "cannot reach %s: %s", dial->to->text,
		     errno == EAFNOSUPPORT ? "there is no AF_VSOCK here" : strerror(errno));
	else if (connect(dial->fd, &address->sa, address->len) == 0)
		on_connected(dial);
	else if (errno == EINPROGRESS)
		dial->state = DIAL_CONNECTING;
	else if (errno == EAGAIN) {
		dial_cancel(dial);
		dial->state = DIAL_CROWDED;
	} else
		fail_to_connect(dial, errno);
}

void
dial_begin(struct dial *dial, const struct endpoint *to)
{
	char why[WHY_SIZE];

	*dial = (struct dial){.to = to, .fd = -1};
	if (!endpoint_locate(to, &dial->address, &dial->is_hybrid, why)) {
		fail(dial, EXIT_UNREACHABLE, "cannot reach %s: %s", to->text, why);
		return;
	}
	if (dial->address.sa.sa_family == AF_UNIX)
		strlcpy(dial->path, dial->address.un.sun_path, sizeof(dial->path));
	try_to_connect(dial);
}

static void
look_whether_connected(struct dial *dial)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error != 0)
		fail_to_connect(dial, error);
	else
		on_connected(dial);
}

static void
refuse(struct dial *dial)
{
	if (dial->answer_len > 0)
		fail(dial, EXIT_UNREACHABLE,
		     "%s is not a socket of vswd: it does not answer with OK", dial->path);
	else
		fail(dial, EXIT_REFUSED,
		     "%s refused port %u: the guest does not run, or nobody listens", dial->path,
		     dial->to->port);
}

/* Look at what is there, then take it, up to the newline. */
static void
read_answer(struct dial *dial)
{
	char *at = dial->answer + dial->answer_len;
	size_t room = sizeof(dial->answer) - dial->answer_len;
	ssize_t n = recv(dial->fd, at, room, MSG_PEEK | MSG_DONTWAIT);
	const char *newline;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		refuse(dial);
		return;
	}
	newline = memchr(at, '\n', (size_t)n);
	n = recv(dial->fd, at, newline != NULL ? (size_t)(newline + 1 - at) : (size_t)n,
		 MSG_DONTWAIT);
	if (n > 0)
		dial->answer_len += (unsigned int)n;
	if (newline != NULL && strncmp(dial->answer, "OK ", 3) == 0)
		dial->state = DIAL_DONE;
	else if (newline != NULL || dial->answer_len == sizeof(dial->answer))
		refuse(dial);
}

void
dial_step(struct dial *dial)
{
	switch (dial->state) {
	case DIAL_CONNECTING:
		look_whether_connected(dial);
		break;
	case DIAL_ASKED:
		read_answer(dial);
		break;
	case DIAL_CROWDED:
		try_to_connect(dial);
		break;
	case DIAL_DONE:
	case DIAL_FAILED:
		break;
	}
}

int
dial_wait(struct dial *dial, const struct endpoint *to)
{
	dial_begin(dial, to);
	while (dial->state < DIAL_DONE) {
		struct pollfd p = {
			.fd = dial->state == DIAL_CROWDED ? -1 : dial->fd,
			.events = dial->state == DIAL_CONNECTING ? POLLOUT : POLLIN,
		};

		poll(&p, 1, dial->state == DIAL_CROWDED ? CROWDED_MS : -1);
		dial_step(dial);
	}
	return dial->state == DIAL_DONE ? dial->fd : -1;
}
