/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves what a guest's connection requests to the host come to: a connection when somebody
 * listens on uds-path_PORT, and RST at once, well below the 2 s that a guest would wait,
 * when nobody can answer.
 */
#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define AT_ONCE_MS 1500

static void
expect_refused_at_once(struct env *e, struct vsw_guest *g, uint32_t cid, uint32_t port)
{
	uint64_t start = vsw_guest_now_ms();
	struct vsw_guest_sock *s = vsw_guest_connect(g, cid, port, WAIT_MS);
	uint64_t ms = vsw_guest_now_ms() - start;

	if (s != NULL)
		fail_env(e, "CID %u port %u accepts", cid, port);
	if (errno != ECONNRESET || ms > AT_ONCE_MS)
		fail_env(e, "CID %u port %u: %s after %lu ms", cid, port, vsw_guest_error(g),
			 (unsigned long)ms);
}

static void
test_request_reaches_the_listener(struct env *e)
{
	struct pair p;

	guest_up(e, 0, NULL);
	p = pair_from_guest(e, 0, 52);
	pair_check(e, &p);
	pair_close(e, &p);
}

static void
test_every_port_number_has_its_socket(struct env *e)
{
	static const uint32_t ports[] = {0, 1, 1023, 65535, 65536, 1u << 31, UINT32_MAX - 1};

	guest_up(e, 0, NULL);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(ports); i++) {
		struct pair p = pair_from_guest(e, 0, ports[i]);

		pair_check(e, &p);
		pair_close(e, &p);
	}
}

static void
test_no_socket_is_rst_at_once(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);

	for (uint32_t port = 60; port < 80; port++)
		expect_refused_at_once(e, g, VSW_CID_HOST, port);
}

static void
test_socket_without_listener_is_rst_at_once(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);

	/* The file stays when the listener goes, and the case unlinks it. */
	env_close(e, host_listen(e, 0, 81, 1));
	expect_refused_at_once(e, g, VSW_CID_HOST, 81);
}

static void
test_a_file_that_is_no_socket_is_rst_at_once(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	char path[256];

	snprintf(path, sizeof(path), "%s_82", env_uds_path(e, 0));
	check(e, mkdir(path, 0700) == 0);
	expect_refused_at_once(e, g, VSW_CID_HOST, 82);
	check(e, rmdir(path) == 0);
}

/* One of datagrams is another matter: test_datagram.c. */
static void
test_seqpacket_socket_is_rst_at_once(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = env_own_fd(e, socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s_84", env_uds_path(e, 0));
	check(e, bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0);
	check(e, listen(fd, 8) == 0);
	expect_refused_at_once(e, g, VSW_CID_HOST, 84);
	unlink(addr.sun_path);
}

static void
test_full_backlog_is_rst_at_once_and_stops_nothing(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct vsw_guest_sock *waiting;
	struct pair other = pair_from_guest(e, 0, 52);
	int listener = host_listen(e, 0, 83, 0), fd;
	struct pair late = {0};

	/* listen(0) admits one. */
	waiting = vsw_guest_connect(g, VSW_CID_HOST, 83, WAIT_MS);
	check(e, waiting != NULL);
	for (int i = 0; i < 5; i++)
		expect_refused_at_once(e, g, VSW_CID_HOST, 83);
	pair_check(e, &other);

	fd = host_accept(e, listener);
	late.s = vsw_guest_connect(g, VSW_CID_HOST, 83, WAIT_MS);
	check(e, late.s != NULL);
	late.fd = host_accept(e, listener);
	pair_check(e, &late);
	vsw_guest_close(waiting);
	host_expect_eof(e, fd);
}

static void
test_no_right_is_rst_at_once(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	char path[256];

	/* root may do everything: nothing to prove */
	if (geteuid() == 0)
		return;
	host_listen(e, 0, 85, 1);
	snprintf(path, sizeof(path), "%s_85", env_uds_path(e, 0));
	check(e, chmod(path, 0) == 0);
	expect_refused_at_once(e, g, VSW_CID_HOST, 85);
}

static void
test_unknown_cids_are_rst_at_once(struct env *e)
{
	static const uint32_t cids[] = {5, 1000, 0, 1, UINT32_MAX - 1};
	struct vsw_guest *g = guest_up(e, 0, NULL);

	for (size_t i = 0; i < VSW_ARRAY_SIZE(cids); i++) {
		struct vsw_guest_sock *s;

		/* RST comes from the address that was called, also from one nobody may have. */
		s = vsw_guest_connect(g, cids[i], 52, WAIT_MS);
		if (s != NULL || errno != ECONNRESET)
			fail_env(e, "CID %u: %s", cids[i], vsw_guest_error(g));
	}
	vsw_guest_forgive(g);
}

static void
test_a_listener_that_closes_at_once_is_the_end(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	int listener = host_listen(e, 0, 52, 64);

	for (int i = 0; i < 50; i++) {
		struct vsw_guest_sock *s = vsw_guest_connect(g, VSW_CID_HOST, 52, WAIT_MS);

		if (s == NULL)
			fail_env(e, "%s", vsw_guest_error(g));
		env_close(e, host_accept(e, listener));
		guest_expect_eof(e, s);
		vsw_guest_close(s);
	}
}

static void
test_guest_that_gives_up_its_request_leaves_nothing(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	int listener = host_listen(e, 0, 52, 64);
	unsigned int before = env_settled_fds(e);

	for (int i = 0; i < 30; i++) {
		struct vsw_guest_sock *s = vsw_guest_connect_start(g, 0, VSW_CID_HOST, 52);

		check(e, s != NULL);
		vsw_guest_abort(s);
	}
	/* Those that got through to the listener end there. */
	for (int i = 0; i < 30 && pump_fd(e, listener, POLLIN, 200) != 0; i++) {
		int fd = host_accept(e, listener);

		host_expect_eof(e, fd);
		env_close(e, fd);
	}
	env_wait_fds(e, before);
}

static void
test_two_guests_have_their_own_listeners(struct env *e)
{
	struct pair a, b;

	guest_up(e, 0, NULL);
	guest_up(e, 1, NULL);
	a = pair_from_guest(e, 0, 52);
	b = pair_from_guest(e, 1, 52);
	pair_check(e, &a);
	pair_check(e, &b);
	pair_close(e, &a);
	pair_check(e, &b);
	pair_close(e, &b);
}

static void
test_many_connects_one_after_another(struct env *e)
{
	guest_up(e, 0, NULL);
	for (int i = 0; i < 300; i++) {
		struct pair p = i % 2 == 0 ? pair_from_guest(e, 0, 52) : pair_from_host(e, 0, 53);

		if (i % 10 == 0)
			pair_check(e, &p);
		pair_close(e, &p);
	}
}

int
main(void)
{
	static const struct test_case cases[] = {
		CASE(test_request_reaches_the_listener),
		CASE(test_every_port_number_has_its_socket),
		CASE(test_no_socket_is_rst_at_once),
		CASE(test_socket_without_listener_is_rst_at_once),
		CASE(test_a_file_that_is_no_socket_is_rst_at_once),
		CASE(test_seqpacket_socket_is_rst_at_once),
		CASE(test_full_backlog_is_rst_at_once_and_stops_nothing),
		CASE(test_no_right_is_rst_at_once),
		CASE(test_unknown_cids_are_rst_at_once),
		CASE(test_a_listener_that_closes_at_once_is_the_end),
		CASE(test_guest_that_gives_up_its_request_leaves_nothing),
		CASE(test_two_guests_have_their_own_listeners),
		CASE(test_many_connects_one_after_another),
	};

	return run_cases("request", cases, VSW_ARRAY_SIZE(cases));
}
