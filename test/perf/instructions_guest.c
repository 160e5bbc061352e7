/* SPDX-License-Identifier: BSD-3-Clause */
#include "instructions_guest.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>

#include "vsw_guest.h"
#include "vsw_guest_sock.h"

#define BACKLOG 64

struct vsw_guest *
ig_up(const char *socket)
{
	struct vsw_guest_conf conf = VSW_GUEST_CONF_DEFAULT;
	struct vsw_guest *g;

	conf.socket_path = socket;
	conf.send_shape = VSW_GUEST_SEND_ONE;
	conf.timeout_ms = 60000; /* valgrind runs one thread at a time */
	g = vsw_guest_create(&conf);
	if (g == NULL)
		err(EXIT_FAILURE, "a guest");
	if (vsw_guest_attach(g) < 0 || vsw_guest_start(g, VSW_GUEST_BOOT) < 0)
		errx(EXIT_FAILURE, "%s: %s", socket, vsw_guest_error(g));
	return g;
}

void
ig_poll(struct vsw_guest *g)
{
	if (vsw_guest_poll(g, 0) < 0 || vsw_guest_violations(g) != 0)
		errx(EXIT_FAILURE, "guest %u: %s", vsw_guest_cid(g),
		     vsw_guest_violations(g) != 0 ? vsw_guest_violation(g, 0) : vsw_guest_error(g));
}

void
ig_listen(struct vsw_guest *g, uint32_t port)
{
	if (vsw_guest_listen(g, port, BACKLOG) < 0)
		errx(EXIT_FAILURE, "guest %u: port %u: %s", vsw_guest_cid(g), port,
		     vsw_guest_error(g));
}

struct vsw_guest_sock *
ig_accept(struct vsw_guest *g, uint32_t port)
{
	return vsw_guest_n_waiting(g, port) > 0 ? vsw_guest_accept(g, port, 0) : NULL;
}

struct vsw_guest_sock *
ig_connect(struct vsw_guest *g, uint32_t cid, uint32_t port)
{
	struct vsw_guest_sock *s = vsw_guest_connect_start(g, 0, cid, port);

	if (s == NULL)
		err(EXIT_FAILURE, "guest %u: connecting to %u:%u", vsw_guest_cid(g), cid, port);
	return s;
}

bool
ig_is_connected(const struct vsw_guest_sock *s)
{
	struct vsw_guest_sock_info info;

	vsw_guest_sock_info(s, &info);
	if (info.state == VSW_GUEST_DONE)
		errx(EXIT_FAILURE, "a connection was refused or reset");
	return info.state == VSW_GUEST_CONNECTED;
}

void
ig_send(struct vsw_guest_sock *s, const void *buf, size_t len)
{
	ssize_t n = vsw_guest_send(s, buf, len, 0);

	if (n != (ssize_t)len)
		errx(EXIT_FAILURE, "sending %zu bytes gives %zd: the batch is too large", len, n);
}

size_t
ig_drain(struct vsw_guest_sock *s)
{
	size_t sum = 0;
	ssize_t n;

	while ((n = vsw_guest_recv(s, NULL, 1 << 20, 0)) > 0)
		sum += (size_t)n;
	if (n != -EAGAIN)
		errx(EXIT_FAILURE, "a connection has ended");
	return sum;
}

void
ig_down(struct vsw_guest *g)
{
	vsw_guest_destroy(g);
}
