/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that what a guest sends on one connection to a datagram socket of the host is one
 * datagram, whole or not at all, and that the guest learns at once what became of it: the end of
 * the stream, or RST. As systemd's sd_notify() does over vsock-stream: connect from a port below
 * 1024, the same every time, send, shut down, wait for the end.
 */
#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PORT 8888
#define LARGEST (64 * 1024)

static void
path_at(struct env *e, char *path, size_t size)
{
	snprintf(path, size, "%s_%d", env_uds_path(e, 0), PORT);
}

/* A datagram socket at @p path. */
static int
receiver_at(struct env *e, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = env_own_fd(e, socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

	memcpy(addr.sun_path, path, strlen(path));
	unlink(path);
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
		fail_env(e, "%s: %s", path, strerror(errno));
	return fd;
}

static int
receiver(struct env *e)
{
	char path[128];

	path_at(e, path, sizeof(path));
	return receiver_at(e, path);
}

/* The guest's applications and host sockets are gone; so is the path. */
static void
forget_receiver(struct env *e, int fd)
{
	char path[128];

	path_at(e, path, sizeof(path));
	unlink(path);
	if (fd >= 0)
		env_close(e, fd);
}

static void
expect_datagram(struct env *e, int fd, const void *data, size_t len)
{
	static char buf[2 * LARGEST];
	ssize_t n;

	if (pump_fd(e, fd, POLLIN, WAIT_MS) == 0)
		fail_env(e, "waited for a datagram of %zu bytes", len);
	n = recv(fd, buf, sizeof(buf), 0);
	if (n != (ssize_t)len)
		fail_env(e, "a datagram of %zd bytes instead of %zu", n, len);
	check(e, memcmp(buf, data, len) == 0);
}

static void
expect_no_datagram(struct env *e, int fd)
{
	check(e, pump_fd(e, fd, POLLIN, QUIET_MS) == 0);
}

static struct vsw_guest_sock *
connects_from(struct env *e, uint32_t port)
{
	struct vsw_guest *g = env_guest(e, 0);
	struct vsw_guest_sock_info info = {0};
	struct vsw_guest_sock *s = vsw_guest_connect_start(g, port, VSW_CID_HOST, PORT);
	uint64_t deadline = vsw_guest_now_ms() + WAIT_MS;

	if (s == NULL)
		fail_env(e, "the port %u is not free: %s", port, strerror(errno));
	while (info.state == VSW_GUEST_CONNECTING && vsw_guest_now_ms() < deadline) {
		pump_fd(e, -1, 0, 0);
		vsw_guest_sock_info(s, &info);
	}
	if (info.state != VSW_GUEST_CONNECTED)
		fail_env(e, "the datagram socket does not accept");
	return s;
}

/* A clean end: nothing more comes, nothing more is read, and no RST. */
static void
expect_delivered(struct env *e, struct vsw_guest_sock *s)
{
	struct vsw_guest_sock_info info;

	guest_expect_eof(e, s);
	vsw_guest_sock_info(s, &info);
	check(e, !info.was_reset);
	check(e, info.peer_shutdown == VSW_SHUTDOWN_BOTH);
	vsw_guest_close(s);
}

static bool
is_reset(void *arg)
{
	struct vsw_guest_sock_info info;

	vsw_guest_sock_info(arg, &info);
	return info.was_reset;
}

static void
expect_reset(struct env *e, struct vsw_guest_sock *s)
{
	pump_until(e, is_reset, s, "RST for a datagram that cannot be delivered");
	vsw_guest_close(s);
}

static void
test_a_connection_is_a_datagram(struct env *e)
{
	struct vsw_guest_sock *s;
	int fd = receiver(e);

	guest_up(e, 0, NULL);
	s = connects_from(e, 0);
	guest_send_all(e, s, "READY=1\n", 8);
	expect_no_datagram(e, fd); /* not before its end */
	guest_send_all(e, s, "STATUS=up", 9);
	vsw_guest_shutdown(s, VSW_SHUTDOWN_SEND);
	expect_delivered(e, s);
	expect_datagram(e, fd, "READY=1\nSTATUS=up", 17);
	/* close() without shutdown() is an end, too */
	s = connects_from(e, 0);
	guest_send_all(e, s, "STOPPING=1", 10);
	vsw_guest_close(s);
	expect_datagram(e, fd, "STOPPING=1", 10);
	guest_wait_no_socks(e, 0);
	forget_receiver(e, fd);
}

/* systemd, for every unit that changes its state. */
static void
test_the_same_port_serves_again_at_once(struct env *e)
{
	int fd = receiver(e);

	guest_up(e, 0, NULL);
	for (int i = 0; i < 100; i++) {
		struct vsw_guest_sock *s = connects_from(e, 1000);
		char text[32];
		int len = snprintf(text, sizeof(text), "UNIT=%d", i);

		guest_send_all(e, s, text, (size_t)len);
		vsw_guest_shutdown(s, VSW_SHUTDOWN_SEND);
		expect_delivered(e, s);
		expect_datagram(e, fd, text, (size_t)len);
		check(e, vsw_guest_n_socks(env_guest(e, 0)) == 0);
	}
	forget_receiver(e, fd);
}

static void
test_an_empty_connection_is_no_datagram(struct env *e)
{
	struct vsw_guest_sock *s;
	int fd = receiver(e);

	guest_up(e, 0, NULL);
	s = connects_from(e, 0);
	vsw_guest_shutdown(s, VSW_SHUTDOWN_SEND);
	expect_delivered(e, s);
	vsw_guest_close(connects_from(e, 0));
	expect_no_datagram(e, fd);
	guest_wait_no_socks(e, 0);
	forget_receiver(e, fd);
}

static void
test_one_of_64_kib_is_delivered_and_no_larger(struct env *e)
{
	static char data[LARGEST + 1];
	struct vsw_guest_sock *s;
	int fd = receiver(e);

	guest_up(e, 0, NULL);
	pattern_fill(data, 0, sizeof(data));
	s = connects_from(e, 0);
	guest_send_all(e, s, data, LARGEST);
	vsw_guest_shutdown(s, VSW_SHUTDOWN_SEND);
	expect_delivered(e, s);
	expect_datagram(e, fd, data, LARGEST);
	s = connects_from(e, 0);
	guest_send_all(e, s, data, LARGEST);
	vsw_guest_send(s, "x", 1, WAIT_MS);
	expect_reset(e, s);
	expect_no_datagram(e, fd);
	forget_receiver(e, fd);
}

static void
test_one_that_the_guest_breaks_off_is_none(struct env *e)
{
	struct vsw_guest_sock *s;
	int fd = receiver(e);

	guest_up(e, 0, NULL);
	s = connects_from(e, 0);
	guest_send_all(e, s, "half a mess", 11);
	vsw_guest_abort(s);
	expect_no_datagram(e, fd);
	/* nor when the guest dies */
	s = connects_from(e, 0);
	guest_send_all(e, s, "half a mess", 11);
	guest_down(e, 0);
	expect_no_datagram(e, fd);
	forget_receiver(e, fd);
}

static void
test_a_receiver_that_goes_is_a_reset(struct env *e)
{
	struct vsw_guest_sock *s;
	int fd = receiver(e);

	guest_up(e, 0, NULL);
	s = connects_from(e, 0);
	guest_send_all(e, s, "READY=1", 7);
	env_close(e, fd);
	vsw_guest_shutdown(s, VSW_SHUTDOWN_SEND);
	expect_reset(e, s);
	/* its path is there still, and nobody behind it: refused */
	s = vsw_guest_connect(env_guest(e, 0), VSW_CID_HOST, PORT, WAIT_MS);
	check(e, s == NULL && errno == ECONNRESET);
	forget_receiver(e, -1);
}

/* @return how many datagrams it took to fill the receiver's queue. */
static int
fill(struct env *e, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = env_own_fd(e, socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	int n = 0;

	memcpy(addr.sun_path, path, strlen(path));
	while (sendto(fd, "x", 1, 0, (const struct sockaddr *)&addr, sizeof(addr)) == 1)
		n++;
	check(e, errno == EAGAIN && n > 0);
	env_close(e, fd);
	return n;
}

static void
test_a_full_receiver_is_waited_for_and_stops_nobody_else(struct env *e)
{
	struct vsw_guest_sock *s, *closed;
	struct pair other;
	char path[128];
	int fd, n;

	path_at(e, path, sizeof(path));
	fd = receiver(e);
	guest_up(e, 0, NULL);
	n = fill(e, path);
	s = connects_from(e, 0);
	guest_send_all(e, s, "READY=1", 7);
	vsw_guest_shutdown(s, VSW_SHUTDOWN_SEND);
	closed = connects_from(e, 0);
	guest_send_all(e, closed, "STATUS=late", 11);
	vsw_guest_close(closed);
	check(e, vsw_guest_recv(s, (char[1]){0}, 1, QUIET_MS) == -EAGAIN);
	other = pair_from_guest(e, 0, 52);
	pair_check(e, &other);
	pair_close(e, &other);
	while (n-- > 0)
		expect_datagram(e, fd, "x", 1);
	/* as soon as there is room; in no order, they were two connections */
	expect_delivered(e, s);
	for (int i = 0; i < 2; i++) {
		char buf[16];
		ssize_t len;

		check(e, pump_fd(e, fd, POLLIN, WAIT_MS) != 0);
		len = recv(fd, buf, sizeof(buf), 0);
		check(e, (len == 7 && memcmp(buf, "READY=1", 7) == 0) ||
				 (len == 11 && memcmp(buf, "STATUS=late", 11) == 0));
	}
	guest_wait_no_socks(e, 0);
	forget_receiver(e, fd);
}

/* A receiver whose queue is full goes: nobody has to wait for it any longer. */
static void
test_a_full_receiver_that_goes_is_a_reset(struct env *e)
{
	struct vsw_guest_sock *s;
	char path[128];
	int fd;

	path_at(e, path, sizeof(path));
	fd = receiver(e);
	guest_up(e, 0, NULL);
	fill(e, path);
	s = connects_from(e, 0);
	guest_send_all(e, s, "READY=1", 7);
	vsw_guest_shutdown(s, VSW_SHUTDOWN_SEND);
	check(e, vsw_guest_recv(s, (char[1]){0}, 1, QUIET_MS) == -EAGAIN);
	forget_receiver(e, fd);
	expect_reset(e, s);
}

/* ln -s $NOTIFY_SOCKET vm.vsock_8888 */
static void
test_a_symbolic_link_leads_to_the_receiver(struct env *e)
{
	struct vsw_guest_sock *s;
	char path[128], real[160];
	int fd;

	path_at(e, path, sizeof(path));
	snprintf(real, sizeof(real), "%s.notify", env_uds_path(e, 0));
	fd = receiver_at(e, real);
	check(e, symlink(real, path) == 0);
	guest_up(e, 0, NULL);
	s = connects_from(e, 1000);
	guest_send_all(e, s, "READY=1", 7);
	vsw_guest_shutdown(s, VSW_SHUTDOWN_SEND);
	expect_delivered(e, s);
	expect_datagram(e, fd, "READY=1", 7);
	unlink(real);
	forget_receiver(e, fd);
}

static const char *const one_lcore[] = {"-l", "0", NULL};
static const char *const two_lcores[] = {"--lcores", "0@0,1@1", NULL};
/* Less than a datagram may have. */
static const char *const small_window[] = {"tx-buffer-size=4096"};

static const struct variant variants[] = {
	{"qemu, 1 lcore", VSW_GUEST_QEMU, one_lcore, .n_vms = 1},
	{"uml, 2 lcores", VSW_GUEST_UML, two_lcores, .n_vms = 1},
	{"uml, 2 lcores, small window", VSW_GUEST_UML, two_lcores, .n_vms = 1,
	 .vm_items = small_window},
};

int
main(void)
{
	static const struct test_case cases[] = {
		CASE(test_a_connection_is_a_datagram),
		CASE(test_the_same_port_serves_again_at_once),
		CASE(test_an_empty_connection_is_no_datagram),
		CASE(test_one_of_64_kib_is_delivered_and_no_larger),
		CASE(test_one_that_the_guest_breaks_off_is_none),
		CASE(test_a_receiver_that_goes_is_a_reset),
		CASE(test_a_full_receiver_is_waited_for_and_stops_nobody_else),
		CASE(test_a_full_receiver_that_goes_is_a_reset),
		CASE(test_a_symbolic_link_leads_to_the_receiver),
	};

	return run_cases_in("datagram", variants, VSW_ARRAY_SIZE(variants), cases,
			    VSW_ARRAY_SIZE(cases));
}
