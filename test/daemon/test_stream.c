/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that streams carry every byte once, in order, in both directions, in every shape a
 * driver may give its buffers, and that their ends are ends: half-close is half, and what
 * was sent before a close arrives.
 */
#include "harness.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define MIB (1u << 20)

static void
move(struct env *e, const struct vsw_guest_conf *conf, uint64_t to_host, uint64_t to_guest,
     size_t chunk)
{
	struct flow f = {.to_host = to_host, .to_guest = to_guest, .chunk = chunk};
	struct pair p;

	guest_up(e, 0, conf);
	p = pair_from_guest(e, 0, 52);
	f.s = p.s;
	f.fd = p.fd;
	run_flows(e, &f, 1);
	pair_close(e, &p);
}

static void
test_16_mib_to_host(struct env *e)
{
	move(e, NULL, 16 * MIB, 0, 0);
}

static void
test_16_mib_to_guest(struct env *e)
{
	move(e, NULL, 0, 16 * MIB, 0);
}

static void
test_8_mib_both_ways_at_once(struct env *e)
{
	move(e, NULL, 8 * MIB, 8 * MIB, 0);
}

static void
test_odd_sizes(struct env *e)
{
	move(e, NULL, MIB + 1, MIB + 7, 3333);
}

static void
test_small_messages(struct env *e)
{
	move(e, NULL, 100000, 100000, 13);
}

static void
test_host_initiated_stream_carries_both_ways(struct env *e)
{
	struct flow f = {.to_host = 4 * MIB, .to_guest = 4 * MIB};
	struct pair p;

	guest_up(e, 0, NULL);
	p = pair_from_host(e, 0, 5252);
	f.s = p.s;
	f.fd = p.fd;
	run_flows(e, &f, 1);
	pair_close(e, &p);
}

/* Every combination that changes what the device sees. */
static void
test_every_shape_of_buffers(struct env *e)
{
	static const struct {
		const char *what;
		enum vsw_guest_send_shape send_shape;
		unsigned int fragments, recv_pieces, n_regions;
		uint32_t recv_buf_len;
		uint16_t ring_size;
		bool event_idx, indirect;
		enum vsw_guest_wait wait;
	} shapes[] = {
		{"header and data in one", VSW_GUEST_SEND_ONE, 1, 1, 1, 3776, 128, true, true, 0},
		{"the same across regions", VSW_GUEST_SEND_ONE, 1, 1, 3, 3776, 128, true, true, 0},
		{"header, data", VSW_GUEST_SEND_SPLIT, 1, 1, 1, 3776, 128, true, true, 0},
		{"17 fragments", VSW_GUEST_SEND_SPLIT, 17, 1, 3, 3776, 128, true, true, 0},
		{"100 fragments", VSW_GUEST_SEND_SPLIT, 100, 1, 2, 3776, 256, true, true, 0},
		{"indirect, 17 fragments", VSW_GUEST_SEND_INDIRECT, 17, 1, 3, 3776, 128, true, true,
		 0},
		{"indirect, 128 fragments", VSW_GUEST_SEND_INDIRECT, 128, 1, 3, 3776, 128, true,
		 true, 0},
		{"no EVENT_IDX", VSW_GUEST_SEND_SPLIT, 1, 1, 2, 3776, 128, false, true, 0},
		{"no EVENT_IDX, polling", VSW_GUEST_SEND_SPLIT, 1, 1, 2, 3776, 128, false, true,
		 VSW_GUEST_POLL},
		{"EVENT_IDX, polling", VSW_GUEST_SEND_SPLIT, 1, 1, 2, 3776, 128, true, true,
		 VSW_GUEST_POLL},
		{"header apart in receive buffers", VSW_GUEST_SEND_SPLIT, 1, 2, 1, 88, 128, true,
		 true, 0},
		{"receive buffers in 4 pieces", VSW_GUEST_SEND_SPLIT, 1, 4, 3, 4096, 256, true,
		 true, 0},
		{"header cut into pieces", VSW_GUEST_SEND_SPLIT, 1, 50, 1, 150, 256, true, true, 0},
		{"header in 29 pieces", VSW_GUEST_SEND_SPLIT, 1, 50, 1, 65, 256, true, true, 0},
		{"header in 30 pieces", VSW_GUEST_SEND_SPLIT, 1, 50, 1, 64, 256, true, true, 0},
		{"header in single bytes", VSW_GUEST_SEND_SPLIT, 1, 60, 2, 60, 256, true, true, 0},
		{"64 KiB receive buffers", VSW_GUEST_SEND_SPLIT, 1, 1, 2, 65580, 128, true, true,
		 0},
		{"receive buffers for 1 byte", VSW_GUEST_SEND_SPLIT, 1, 1, 1, 45, 256, true, true,
		 0},
		{"ring of 2", VSW_GUEST_SEND_SPLIT, 1, 1, 1, 3776, 2, true, true, 0},
		{"ring of 4, no EVENT_IDX", VSW_GUEST_SEND_ONE, 1, 2, 1, 3776, 4, false, false, 0},
		{"ring of 1024", VSW_GUEST_SEND_SPLIT, 2, 1, 3, 3776, 1024, true, true, 0},
		{"7 regions", VSW_GUEST_SEND_SPLIT, 3, 1, 7, 3776, 128, true, true, 0},
	};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(shapes); i++) {
		struct vsw_guest_conf conf = guest_conf(e, 0);
		bool is_tiny = shapes[i].recv_buf_len < 200;

		conf.send_shape = shapes[i].send_shape;
		conf.send_fragments = shapes[i].fragments;
		conf.recv_pieces = shapes[i].recv_pieces;
		conf.n_regions = shapes[i].n_regions;
		conf.recv_buf_len = shapes[i].recv_buf_len;
		conf.ring_size = shapes[i].ring_size;
		conf.event_idx = shapes[i].event_idx;
		conf.indirect = shapes[i].indirect;
		conf.wait = shapes[i].wait;
		print_message("           %s\n", shapes[i].what);
		move(e, &conf, MIB, is_tiny ? 20000 : MIB, 0);
		guest_down(e, 0);
		/* vswd takes one VMM at a time: wait until it has noticed. */
		env_wait_fds(e, env_baseline_fds(e));
	}
}

static void
test_50_parallel_connections(struct env *e)
{
	enum { N = 50 };
	static struct flow flows[N];
	struct pair p[N];

	guest_up(e, 0, NULL);
	for (int i = 0; i < N; i++) {
		p[i] = i % 2 == 0 ? pair_from_guest(e, 0, 52 + (uint32_t)i)
				  : pair_from_host(e, 0, 5252);
		flows[i] = (struct flow){
			.s = p[i].s, .fd = p[i].fd, .to_host = 300000, .to_guest = 300000};
	}
	run_flows(e, flows, N);
	for (int i = 0; i < N; i++)
		pair_close(e, &p[i]);
}

static void
test_two_guests_at_once(struct env *e)
{
	struct flow flows[2];
	struct pair p[2];

	for (unsigned int i = 0; i < 2; i++) {
		guest_up(e, i, NULL);
		p[i] = pair_from_guest(e, i, 52);
		flows[i] = (struct flow){
			.s = p[i].s, .fd = p[i].fd, .to_host = 4 * MIB, .to_guest = 4 * MIB};
	}
	run_flows(e, flows, 2);
}

static void
test_guest_half_close_is_eof_and_the_reply_arrives(struct env *e)
{
	static char buf[200000];
	struct pair p;

	guest_up(e, 0, NULL);
	p = pair_from_guest(e, 0, 52);
	pattern_fill(buf, 0, sizeof(buf));
	guest_send_all(e, p.s, buf, sizeof(buf));
	vsw_guest_shutdown(p.s, VSW_SHUTDOWN_SEND);
	memset(buf, 0, sizeof(buf));
	host_read(e, p.fd, buf, sizeof(buf));
	check(e, pattern_matches(buf, 0, sizeof(buf)));
	host_expect_eof(e, p.fd);
	/* The other direction lives on. */
	host_write(e, p.fd, buf, sizeof(buf));
	memset(buf, 0, sizeof(buf));
	guest_recv_exactly(e, p.s, buf, sizeof(buf));
	check(e, pattern_matches(buf, 0, sizeof(buf)));
	env_close(e, p.fd);
	guest_expect_eof(e, p.s);
	vsw_guest_close(p.s);
}

static void
test_host_half_close_is_eof_and_the_reply_arrives(struct env *e)
{
	static char buf[200000];
	struct vsw_guest_sock_info info;
	struct pair p;

	guest_up(e, 0, NULL);
	p = pair_from_host(e, 0, 5252);
	pattern_fill(buf, 0, sizeof(buf));
	host_write(e, p.fd, buf, sizeof(buf));
	shutdown(p.fd, SHUT_WR);
	memset(buf, 0, sizeof(buf));
	guest_recv_exactly(e, p.s, buf, sizeof(buf));
	check(e, pattern_matches(buf, 0, sizeof(buf)));
	guest_expect_eof(e, p.s);
	vsw_guest_sock_info(p.s, &info);
	check(e, info.peer_shutdown == VSW_SHUTDOWN_SEND);
	check(e, !info.was_reset);
	guest_send_all(e, p.s, buf, sizeof(buf));
	vsw_guest_close(p.s);
	memset(buf, 0, sizeof(buf));
	host_read(e, p.fd, buf, sizeof(buf));
	check(e, pattern_matches(buf, 0, sizeof(buf)));
	host_expect_eof(e, p.fd);
}

static void
test_both_half_close_ends_the_connection(struct env *e)
{
	guest_up(e, 0, NULL);
	struct pair p = pair_from_guest(e, 0, 52);

	vsw_guest_shutdown(p.s, VSW_SHUTDOWN_SEND);
	host_expect_eof(e, p.fd);
	shutdown(p.fd, SHUT_WR);
	guest_expect_eof(e, p.s);
	vsw_guest_close(p.s);
	env_close(e, p.fd);
	guest_wait_no_socks(e, 0);
}

static void
test_guest_shutdowns_one_after_the_other(struct env *e)
{
	guest_up(e, 0, NULL);
	struct pair p = pair_from_guest(e, 0, 52);

	vsw_guest_shutdown(p.s, VSW_SHUTDOWN_RCV);
	pump_fd(e, -1, 0, QUIET_MS);
	guest_send_all(e, p.s, "last", 4);
	vsw_guest_shutdown(p.s, VSW_SHUTDOWN_SEND);
	char buf[4];
	host_read(e, p.fd, buf, 4);
	host_expect_eof(e, p.fd);
	vsw_guest_close(p.s);
	guest_wait_no_socks(e, 0);
}

static void
test_data_before_a_guests_close_arrives(struct env *e)
{
	static char buf[200000];
	guest_up(e, 0, NULL);
	struct pair p = pair_from_guest(e, 0, 52);

	pattern_fill(buf, 0, sizeof(buf));
	guest_send_all(e, p.s, buf, sizeof(buf));
	vsw_guest_close(p.s);
	/* The answer to a close does not wait for the host to read. */
	guest_wait_no_socks(e, 0);
	memset(buf, 0, sizeof(buf));
	host_read(e, p.fd, buf, sizeof(buf));
	check(e, pattern_matches(buf, 0, sizeof(buf)));
	host_expect_eof(e, p.fd);
}

static void
test_data_before_a_guests_rst_arrives(struct env *e)
{
	static char buf[100000];
	struct pair p;

	guest_up(e, 0, NULL);
	p = pair_from_guest(e, 0, 52);
	pattern_fill(buf, 0, sizeof(buf));
	guest_send_all(e, p.s, buf, sizeof(buf));
	vsw_guest_shutdown(p.s, VSW_SHUTDOWN_BOTH);
	vsw_guest_abort(p.s);
	memset(buf, 0, sizeof(buf));
	host_read(e, p.fd, buf, sizeof(buf));
	check(e, pattern_matches(buf, 0, sizeof(buf)));
	host_expect_eof(e, p.fd);
}

static void
test_data_before_a_hosts_close_arrives(struct env *e)
{
	static char buf[400000];
	struct pair p;
	size_t sent = 0;
	ssize_t n;

	guest_up(e, 0, NULL);
	p = pair_from_guest(e, 0, 52);
	/* As much as goes, more than the guest's window. */
	do {
		pump_fd(e, -1, 0, 10);
		pattern_fill(buf, sent, 8192);
		n = send(p.fd, buf, 8192, MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
	} while (n > 0 && sent + 8192 <= sizeof(buf));
	env_close(e, p.fd);
	pump_fd(e, -1, 0, QUIET_MS);
	memset(buf, 0, sizeof(buf));
	guest_recv_exactly(e, p.s, buf, sent);
	check(e, pattern_matches(buf, 0, sent));
	guest_expect_eof(e, p.s);
	vsw_guest_close(p.s);
}

static void
test_host_that_closes_with_unread_data_is_an_end(struct env *e)
{
	guest_up(e, 0, NULL);
	unsigned int before = env_settled_fds(e);

	for (int i = 0; i < 20; i++) {
		struct pair p = pair_from_guest(e, 0, 52);
		char buf[5];

		guest_send_all(e, p.s, "unread", 6);
		if (i % 2 == 0) {
			/* vswd's read gives these first, ECONNRESET then */
			host_write(e, p.fd, "reply", 5);
			if (pump_fd(e, p.fd, POLLIN, WAIT_MS) == 0)
				fail_env(e, "waited for data to the host");
		} else {
			if (pump_fd(e, p.fd, POLLIN, WAIT_MS) == 0)
				fail_env(e, "waited for data to the host");
		}
		env_close(e, p.fd);
		if (i % 2 == 0)
			guest_recv_exactly(e, p.s, buf, 5);
		guest_expect_eof(e, p.s);
		vsw_guest_close(p.s);
	}
	guest_wait_no_socks(e, 0);
	env_wait_fds(e, before);
}

static void
test_host_that_closes_while_the_guest_sends(struct env *e)
{
	static char buf[65536];
	struct vsw_guest *g = guest_up(e, 0, NULL);

	for (int i = 0; i < 30; i++) {
		struct pair p = pair_from_guest(e, 0, 52);
		ssize_t n = vsw_guest_send(p.s, buf, sizeof(buf), WAIT_MS);

		check(e, n == sizeof(buf));
		if (i % 3 == 0)
			host_read(e, p.fd, buf, 1000);
		env_close(e, p.fd);
		/* It ends in an error of send, never in a hang. */
		do {
			n = vsw_guest_send(p.s, buf, sizeof(buf), WAIT_MS);
		} while (n > 0);
		if (n != -EPIPE && n != -ECONNRESET)
			fail_env(e, "send to a closed host: %zd, %s", n, vsw_guest_error(g));
		vsw_guest_close(p.s);
	}
}

static void
test_slow_reader_does_not_stop_other_streams(struct env *e)
{
	static char buf[1 << 20];
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct pair slow[4], quick;
	struct flow f = {.to_host = 4 * MIB, .to_guest = 4 * MIB};

	for (int i = 0; i < 4; i++) {
		ssize_t n;

		slow[i] = pair_from_guest(e, 0, 60 + (uint32_t)i);
		pattern_fill(buf, 0, sizeof(buf));
		/* Fill socket and window. */
		n = vsw_guest_send(slow[i].s, buf, sizeof(buf), 300);
		check(e, n > 0 && n < (ssize_t)sizeof(buf));
	}
	quick = pair_from_guest(e, 0, 52);
	f.s = quick.s;
	f.fd = quick.fd;
	run_flows(e, &f, 1);
	for (int i = 0; i < 4; i++) {
		struct vsw_guest_sock_info info;

		vsw_guest_sock_info(slow[i].s, &info);
		host_read(e, slow[i].fd, buf, info.sent);
		check(e, pattern_matches(buf, 0, info.sent));
		pair_check(e, &slow[i]);
	}
	check(e, vsw_guest_is_attached(g));
}

static void
test_guest_that_does_not_read_stops_no_other_stream(struct env *e)
{
	static char buf[4 << 20];
	struct pair lazy, quick;
	struct flow f = {.to_host = 4 * MIB, .to_guest = 4 * MIB};
	size_t sent = 0, at = 0;
	ssize_t n;

	guest_up(e, 0, NULL);
	lazy = pair_from_guest(e, 0, 60);
	pattern_fill(buf, 0, 65536);
	while (sent < sizeof(buf)) {
		uint8_t part[8192];

		pattern_fill(part, sent, sizeof(part));
		n = send(lazy.fd, part, sizeof(part), MSG_NOSIGNAL);
		if (n > 0)
			sent += (size_t)n;
		else if (pump_fd(e, lazy.fd, POLLOUT, 300) == 0)
			break;
	}
	check(e, sent < sizeof(buf));
	quick = pair_from_guest(e, 0, 52);
	f.s = quick.s;
	f.fd = quick.fd;
	run_flows(e, &f, 1);
	while (at < sent) {
		size_t part = sent - at < 65536 ? sent - at : 65536;

		guest_recv_exactly(e, lazy.s, buf, part);
		check(e, pattern_matches(buf, at, part));
		at += part;
	}
	pair_check(e, &lazy);
}

static void
test_latency_is_not_a_timer(struct env *e)
{
	struct pair p;
	uint64_t start;

	guest_up(e, 0, NULL);
	p = pair_from_guest(e, 0, 52);
	pair_check(e, &p);
	start = vsw_guest_now_ms();
	for (int i = 0; i < 200; i++)
		pair_check(e, &p);
	/* 400 one-way trips; a forgotten wake-up shows as 10 ms or more each. */
	if (vsw_guest_now_ms() - start > 2000)
		fail_env(e, "200 round trips took %lu ms",
			 (unsigned long)(vsw_guest_now_ms() - start));
}

static void
test_idle_stream_wakes_up_again(struct env *e)
{
	struct pair p;

	guest_up(e, 0, NULL);
	p = pair_from_guest(e, 0, 52);
	/* Long enough for vswd to go to sleep in its adaptive mode. */
	for (int i = 0; i < 10; i++) {
		pump_fd(e, -1, 0, QUIET_MS);
		pair_check(e, &p);
	}
}

int
main(void)
{
	static const struct test_case cases[] = {
		CASE(test_16_mib_to_host),
		CASE(test_16_mib_to_guest),
		CASE(test_8_mib_both_ways_at_once),
		CASE(test_odd_sizes),
		CASE(test_small_messages),
		CASE(test_host_initiated_stream_carries_both_ways),
		CASE(test_every_shape_of_buffers),
		CASE(test_50_parallel_connections),
		CASE(test_two_guests_at_once),
		CASE(test_guest_half_close_is_eof_and_the_reply_arrives),
		CASE(test_host_half_close_is_eof_and_the_reply_arrives),
		CASE(test_both_half_close_ends_the_connection),
		CASE(test_guest_shutdowns_one_after_the_other),
		CASE(test_data_before_a_guests_close_arrives),
		CASE(test_data_before_a_guests_rst_arrives),
		CASE(test_data_before_a_hosts_close_arrives),
		CASE(test_host_that_closes_with_unread_data_is_an_end),
		CASE(test_host_that_closes_while_the_guest_sends),
		CASE(test_slow_reader_does_not_stop_other_streams),
		CASE(test_guest_that_does_not_read_stops_no_other_stream),
		CASE(test_latency_is_not_a_timer),
		CASE(test_idle_stream_wakes_up_again),
	};

	return run_cases("stream", cases, VSW_ARRAY_SIZE(cases));
}
