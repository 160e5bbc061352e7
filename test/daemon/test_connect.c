/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves the host's handshake: which CONNECT lines are taken, what the answer is, and that
 * everything else ends in a closed socket without a byte. Data that a host sends with or
 * right after its line arrives, also if the host is gone by then.
 */
#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT 5252

static struct vsw_guest_sock *
accepts(struct env *e, struct vsw_guest *g)
{
	struct vsw_guest_sock *s = vsw_guest_accept(g, PORT, WAIT_MS);

	if (s == NULL)
		fail_env(e, "host to guest: %s", vsw_guest_error(g));
	return s;
}

static void
test_connect_line_is_taken_in_every_spelling(struct env *e)
{
	static const char *const lines[] = {
		"CONNECT 5252\n",
		"connect 5252\n",
		"CoNnEcT 5252\n",
		"CONNECT 5252\r\n",
		"CONNECT  5252\n",
		"CONNECT\t5252\n",
		"CONNECT 5252 \n",
		"CONNECT   5252   \r\n",
		"CONNECT 05252\n",
		"CONNECT 0000000000000000005252\n",  /* 31 bytes */
		"CONNECT 00000000000000000005252\n", /* 32 bytes */
	};
	struct vsw_guest *g = guest_up(e, 0, NULL);

	vsw_guest_listen(g, PORT, 8);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(lines); i++) {
		struct pair p = {.fd = host_connect(e, 0)};

		host_puts(e, p.fd, lines[i]);
		p.s = accepts(e, g);
		host_expect_ok(e, p.fd);
		pair_check(e, &p);
		pair_close(e, &p);
	}
}

static void
test_anything_else_is_closed_without_a_byte(struct env *e)
{
	static const char *const lines[] = {
		"\n",
		"\r\n",
		"CONNECT\n",
		"CONNECT \n",
		"CONNECT 5252x\n",
		"CONNECT x5252\n",
		"CONNECT -1\n",
		"CONNECT 4294967296\n",
		"CONNECT 18446744073709556868\n", /* 2^64 + 5252 */
		"CONNECT 5252 1\n",
		"CONNECT5252\n",
		"CONNEC 5252\n",
		"CONNECTX 5252\n",
		"LISTEN 5252\n",
		"GET / HTTP/1.1\n",
		"CONNECT 0x1484\n",
		"CONNECT 5252.0\n",
		"CONNECT 000000000000000000005252\n", /* 33 bytes */
		"CONNECT 5252                            \n",
		"CONNECT 5252                            ", /* full without newline */
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
	};
	struct vsw_guest *g = guest_up(e, 0, NULL);

	vsw_guest_listen(g, PORT, 8);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(lines); i++) {
		int fd = host_connect(e, 0);
		short revents;

		host_puts(e, fd, lines[i]);
		revents = pump_fd(e, fd, POLLIN, WAIT_MS);
		if (revents == 0)
			fail_env(e, "waited for the end of a host that said '%s'", lines[i]);
		host_expect_eof(e, fd);
		env_close(e, fd);
	}
	check(e, vsw_guest_n_socks(g) == 0);
}

static void
test_a_zero_byte_in_the_line_is_refused(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	int fd = host_connect(e, 0);

	vsw_guest_listen(g, PORT, 8);
	host_write(e, fd, "CONNECT 5252\0\n", 14);
	host_expect_eof(e, fd);
}

static void
test_line_may_come_byte_by_byte(struct env *e)
{
	static const char line[] = "CONNECT 5252\r\n";
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct pair p = {.fd = host_connect(e, 0)};

	vsw_guest_listen(g, PORT, 8);
	for (size_t i = 0; line[i] != '\0'; i++) {
		host_write(e, p.fd, &line[i], 1);
		/* let vswd see each byte by itself */
		pump_fd(e, -1, 0, 5);
	}
	p.s = accepts(e, g);
	host_expect_ok(e, p.fd);
	pair_check(e, &p);
}

static void
test_line_may_be_cut_anywhere(struct env *e)
{
	static const char line[] = "CONNECT 5252\nearly";
	struct vsw_guest *g = guest_up(e, 0, NULL);
	char buf[5];

	vsw_guest_listen(g, PORT, 8);
	for (size_t cut = 1; cut < sizeof(line) - 1; cut++) {
		struct pair p = {.fd = host_connect(e, 0)};

		host_write(e, p.fd, line, cut);
		pump_fd(e, -1, 0, 5);
		host_write(e, p.fd, line + cut, sizeof(line) - 1 - cut);
		p.s = accepts(e, g);
		host_expect_ok(e, p.fd);
		guest_recv_exactly(e, p.s, buf, 5);
		check(e, memcmp(buf, "early", 5) == 0);
		pair_check(e, &p);
		pair_close(e, &p);
	}
}

static void
test_data_after_the_newline_is_the_first_data(struct env *e)
{
	static char buf[100000], got[100000];
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct pair p = {.fd = host_connect(e, 0)};

	vsw_guest_listen(g, PORT, 8);
	memcpy(buf, "CONNECT 5252\n", 13);
	pattern_fill(buf + 13, 0, sizeof(buf) - 13);
	host_write(e, p.fd, buf, sizeof(buf));
	p.s = accepts(e, g);
	guest_recv_exactly(e, p.s, got, sizeof(buf) - 13);
	check(e, pattern_matches(got, 0, sizeof(buf) - 13));
	host_expect_ok(e, p.fd);
	pair_check(e, &p);
}

static void
test_half_close_before_ok_is_remembered(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	int fd = host_connect(e, 0);
	struct vsw_guest_sock *s;
	char buf[8];

	vsw_guest_listen(g, PORT, 8);
	host_puts(e, fd, "CONNECT 5252\nrequest");
	shutdown(fd, SHUT_WR);
	s = accepts(e, g);
	guest_recv_exactly(e, s, buf, 7);
	guest_expect_eof(e, s);
	guest_send_all(e, s, "reply", 5);
	host_expect_ok(e, fd);
	host_read(e, fd, buf, 5);
	check(e, memcmp(buf, "reply", 5) == 0);
	vsw_guest_close(s);
	host_expect_eof(e, fd);
}

static void
test_host_that_closed_before_ok_still_delivers(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct vsw_guest_sock *s;
	int fd = host_connect(e, 0);
	char buf[8];

	host_puts(e, fd, "CONNECT 5252\nfarewell");
	env_close(e, fd);
	vsw_guest_listen(g, PORT, 8);
	s = accepts(e, g);
	guest_recv_exactly(e, s, buf, 8);
	check(e, memcmp(buf, "farewell", 8) == 0);
	guest_expect_eof(e, s);
	vsw_guest_close(s);
}

static void
test_much_data_of_a_host_that_closed_before_ok_arrives(struct env *e)
{
	static char buf[60000];
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct vsw_guest_sock *s;
	int fd = host_connect(e, 0);

	host_puts(e, fd, "CONNECT 5252\n");
	pattern_fill(buf, 0, sizeof(buf));
	host_write(e, fd, buf, sizeof(buf));
	env_close(e, fd);
	vsw_guest_listen(g, PORT, 8);
	s = accepts(e, g);
	memset(buf, 0, sizeof(buf));
	guest_recv_exactly(e, s, buf, sizeof(buf));
	check(e, pattern_matches(buf, 0, sizeof(buf)));
	guest_expect_eof(e, s);
	vsw_guest_close(s);
}

static void
test_refusal_is_the_end_without_a_byte(struct env *e)
{
	int fd;

	guest_up(e, 0, NULL);
	for (int i = 0; i < 20; i++) {
		fd = host_connect(e, 0);
		host_puts(e, fd, "CONNECT 5252\nand data");
		host_expect_eof(e, fd);
		env_close(e, fd);
	}
}

static void
test_guest_that_does_not_answer_is_the_end_after_2_s(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	int fd = host_connect(e, 0);
	uint64_t start, ms;
	struct vsw_pkt pkt;

	vsw_guest_set_raw(g, true);
	start = vsw_guest_now_ms();
	host_puts(e, fd, "CONNECT 5252\n");
	if (vsw_guest_recv_pkt(g, &pkt, NULL, 0, WAIT_MS) < 0)
		fail_env(e, "%s", vsw_guest_error(g));
	check(e, pkt.op == VSW_OP_REQUEST);
	check(e, pkt.dst_port == PORT);
	check(e, pkt.src_cid == VSW_CID_HOST);
	host_expect_eof(e, fd);
	ms = vsw_guest_now_ms() - start;
	if (ms < 1500 || ms > 6000)
		fail_env(e, "the host was given up after %lu ms", (unsigned long)ms);
	/* The late answer is for nobody. */
	const struct vsw_pkt late = {
		.src_cid = 3,
		.dst_cid = VSW_CID_HOST,
		.src_port = PORT,
		.dst_port = pkt.src_port,
		.type = VSW_TYPE_STREAM,
		.op = VSW_OP_RESPONSE,
		.buf_alloc = 65536,
	};
	vsw_guest_send_pkt(g, &late, NULL, 0);
	do {
		if (vsw_guest_recv_pkt(g, &pkt, NULL, 0, WAIT_MS) < 0)
			fail_env(e, "no RST for a late RESPONSE: %s", vsw_guest_error(g));
	} while (pkt.op != VSW_OP_RST);
}

static void
test_without_a_guest_connect_ends(struct env *e)
{
	int fd = host_connect(e, 1);

	host_puts(e, fd, "CONNECT 5252\n");
	host_expect_eof(e, fd);
}

static void
test_ok_names_unique_ports_of_1024_to_65535(struct env *e)
{
	enum { N = 100 };
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct pair p[N];

	vsw_guest_listen(g, PORT, N);
	for (int i = 0; i < N; i++) {
		struct vsw_guest_sock_info info;

		p[i].fd = host_connect(e, 0);
		host_puts(e, p[i].fd, "CONNECT 5252\n");
		p[i].s = accepts(e, g);
		p[i].host_port = host_expect_ok(e, p[i].fd);
		if (p[i].host_port > 65535)
			fail_env(e, "host port %u", p[i].host_port);
		vsw_guest_sock_info(p[i].s, &info);
		check(e, info.peer_port == p[i].host_port);
		check(e, info.peer_cid == VSW_CID_HOST);
		for (int k = 0; k < i; k++)
			check(e, p[k].host_port != p[i].host_port);
	}
	for (int i = 0; i < N; i++)
		pair_check(e, &p[i]);
}

static void
test_hosts_without_a_line_are_capped_at_64(struct env *e)
{
	enum { CAP = 64, N = 80 };
	int fds[N], n_closed = 0;
	unsigned int before;
	struct pair p;

	guest_up(e, 0, NULL);
	before = env_settled_fds(e);
	for (int i = 0; i < N; i++) {
		fds[i] = host_connect(e, 0);
		pump_fd(e, -1, 0, 1);
	}
	/* All above the cap are closed, and nobody below it. */
	for (uint64_t until = vsw_guest_now_ms() + WAIT_MS;
	     n_closed < N - CAP && vsw_guest_now_ms() < until;) {
		n_closed = 0;
		pump_fd(e, -1, 0, 10);
		for (int i = 0; i < N; i++) {
			char byte;

			if (recv(fds[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
				n_closed++;
		}
	}
	check(e, n_closed == N - CAP);
	/* The rest leave; then there is room again. */
	for (int i = 0; i < N; i++)
		env_close(e, fds[i]);
	env_wait_fds(e, before);
	p = pair_from_host(e, 0, PORT);
	pair_check(e, &p);
}

static void
test_probes_that_connect_and_close_leave_nothing(struct env *e)
{
	unsigned int before;

	guest_up(e, 0, NULL);
	before = env_settled_fds(e);
	for (int i = 0; i < 100; i++)
		env_close(e, host_connect(e, 0));
	env_wait_fds(e, before);
}

static void
test_hosts_that_leave_during_the_line_leave_nothing(struct env *e)
{
	static const char *const starts[] = {"C", "CONNECT", "CONNECT 52"};
	unsigned int before;

	guest_up(e, 0, NULL);
	before = env_settled_fds(e);
	for (int i = 0; i < 60; i++) {
		int fd = host_connect(e, 0);

		host_puts(e, fd, starts[i % 3]);
		if (i % 2 == 0)
			pump_fd(e, -1, 0, 2);
		env_close(e, fd);
	}
	env_wait_fds(e, before);
}

static void
test_half_close_during_the_line_is_the_end(struct env *e)
{
	int fd;

	guest_up(e, 0, NULL);
	fd = host_connect(e, 0);
	host_puts(e, fd, "CONNECT 52");
	shutdown(fd, SHUT_WR);
	host_expect_eof(e, fd);
}

static void
test_connect_close_storm_kills_nothing(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct pair p;

	vsw_guest_listen(g, PORT, 4096);
	for (int i = 0; i < 300; i++) {
		int fd = host_connect(e, 0);

		host_puts(e, fd, "CONNECT 5252\n");
		env_close(e, fd);
		if (i % 16 == 0)
			pump_fd(e, -1, 0, 1);
	}
	vsw_guest_unlisten(g, PORT);
	p = pair_from_host(e, 0, PORT + 1);
	pair_check(e, &p);
}

int
main(void)
{
	static const struct test_case cases[] = {
		CASE(test_connect_line_is_taken_in_every_spelling),
		CASE(test_anything_else_is_closed_without_a_byte),
		CASE(test_a_zero_byte_in_the_line_is_refused),
		CASE(test_line_may_come_byte_by_byte),
		CASE(test_line_may_be_cut_anywhere),
		CASE(test_data_after_the_newline_is_the_first_data),
		CASE(test_half_close_before_ok_is_remembered),
		CASE(test_host_that_closed_before_ok_still_delivers),
		CASE(test_much_data_of_a_host_that_closed_before_ok_arrives),
		CASE(test_refusal_is_the_end_without_a_byte),
		CASE(test_guest_that_does_not_answer_is_the_end_after_2_s),
		CASE(test_without_a_guest_connect_ends),
		CASE(test_ok_names_unique_ports_of_1024_to_65535),
		CASE(test_hosts_without_a_line_are_capped_at_64),
		CASE(test_probes_that_connect_and_close_leave_nothing),
		CASE(test_hosts_that_leave_during_the_line_leave_nothing),
		CASE(test_half_close_during_the_line_is_the_end),
		CASE(test_connect_close_storm_kills_nothing),
	};

	return run_cases("connect", cases, VSW_ARRAY_SIZE(cases));
}
