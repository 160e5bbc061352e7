/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves the ends of conversations between guests: goodbyes of all kinds, deaths, reboots,
 * memory that moves, ports that are used again; and that nothing is left behind.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "duo.h"
#include "raw.h"

/* --vm has no key for it: connections that one guest may have. */
#define CONNS_MAX 4096

static void
pair_of_guests_up(struct env *e)
{
	guest_up(e, 0, NULL);
	guest_up(e, 1, NULL);
	guest_up(e, 2, NULL);
}

static uint32_t
local_port(const struct vsw_guest_sock *s)
{
	struct vsw_guest_sock_info info;

	vsw_guest_sock_info(s, &info);
	return info.local_port;
}

static void
no_more_than(struct env *e, const char *what, uint64_t since, uint64_t ms)
{
	uint64_t took = vsw_guest_now_ms() - since;

	if (took > ms)
		fail_env(e, "%s took %lu ms", what, (unsigned long)took);
}

/*
 * Goodbyes.
 */

static void
test_half_close(struct env *e)
{
	struct duo d;

	pair_of_guests_up(e);
	for (unsigned int i = 0; i < 2; i++) {
		struct vsw_guest_sock *first, *last;

		d = duo_connect(e, 0, 1, DUO_PORT);
		first = i == 0 ? d.a : d.b;
		last = i == 0 ? d.b : d.a;
		sock_send(e, first, 0, 200000);
		vsw_guest_shutdown(first, VSW_SHUTDOWN_SEND);
		sock_recv(e, last, 0, 200000);
		sock_expect_eof(e, last);
		/* The other direction goes on. */
		sock_send(e, last, 1, 100000);
		sock_recv(e, first, 1, 100000);
		sock_send(e, last, 2, 3);
		vsw_guest_shutdown(last, VSW_SHUTDOWN_SEND);
		sock_recv(e, first, 2, 3);
		sock_expect_eof(e, first);
		duo_close(e, &d);
	}
	/* Who receives no more says so; the other way goes on. */
	d = duo_connect(e, 0, 1, DUO_PORT);
	vsw_guest_shutdown(d.b, VSW_SHUTDOWN_RCV);
	sock_wait_shutdown(e, d.a, VSW_SHUTDOWN_RCV);
	check(e, vsw_guest_send(d.a, "x", 1, 0) == -EPIPE);
	sock_send(e, d.b, 0, 100000);
	sock_recv(e, d.a, 0, 100000);
	duo_close(e, &d);
}

/* Small packets beyond what a guest may have unread: some wait in vswd. */
static void
send_more_than_unread(struct env *e, struct vsw_guest_sock *s)
{
	for (unsigned int i = 0; i < 1000; i++)
		sock_send(e, s, i, 1);
}

/* All that was sent and waits is for nobody: both ends must hear of the end at once. */
static void
test_close_with_unread_data(struct env *e)
{
	struct duo d;
	uint64_t since;

	pair_of_guests_up(e);
	for (unsigned int i = 0; i < 3; i++) {
		d = duo_connect(e, 0, 1, DUO_PORT);
		send_more_than_unread(e, d.a);
		duo_works(e, 0, 2); /* behind them in the ring */
		since = vsw_guest_now_ms();
		switch (i) {
		case 0: /* the receiver closes, as Linux does */
			vsw_guest_close(d.b);
			sock_wait_shutdown(e, d.a, VSW_SHUTDOWN_BOTH);
			vsw_guest_close(d.a);
			break;
		case 1: /* it receives no more: the sender's bytes are as good as taken */
			vsw_guest_shutdown(d.b, VSW_SHUTDOWN_RCV);
			sock_wait_shutdown(e, d.a, VSW_SHUTDOWN_RCV);
			vsw_guest_shutdown(d.a, VSW_SHUTDOWN_SEND);
			sock_wait_shutdown(e, d.b, VSW_SHUTDOWN_SEND);
			vsw_guest_close(d.b);
			vsw_guest_close(d.a);
			break;
		case 2: /* the sender closes, the receiver has not read and closes, too */
			vsw_guest_close(d.a);
			sock_wait_unread(e, d.b, 100);
			vsw_guest_close(d.b);
			break;
		}
		guest_wait_no_socks(e, 0);
		guest_wait_no_socks(e, 1);
		no_more_than(e, "closing with unread data", since, 3000);
	}
	duo_works(e, 0, 1);
}

/* Everything that was sent before a close arrives, also what had to wait for the reader. */
static void
test_close_loses_nothing(struct env *e)
{
	struct duo d;

	pair_of_guests_up(e);
	d = duo_connect(e, 0, 1, DUO_PORT);
	send_more_than_unread(e, d.a);
	vsw_guest_close(d.a);
	sock_recv(e, d.b, 0, 1000);
	sock_expect_eof(e, d.b);
	vsw_guest_close(d.b);
	guest_wait_no_socks(e, 0);
	guest_wait_no_socks(e, 1);

	/* Also before a RST: the sender had said all. */
	d = duo_connect(e, 0, 1, DUO_PORT);
	send_more_than_unread(e, d.a);
	vsw_guest_abort(d.a);
	sock_recv(e, d.b, 0, 1000);
	sock_wait_reset(e, d.b);
	vsw_guest_close(d.b);
}

static void
test_reset_while_bytes_fly(struct env *e)
{
	pair_of_guests_up(e);
	for (unsigned int i = 0; i < 10; i++) {
		struct duo d = duo_connect(e, 0, 1, DUO_PORT);
		struct stream s[] = {
			{.from = d.a, .to = d.b, .total = 8 << 20},
			{.from = d.b, .to = d.a, .total = 8 << 20},
		};

		for (unsigned int k = 0; k < 30 + i; k++) {
			stream_step(e, &s[0]);
			stream_step(e, &s[1]);
		}
		if (i % 3 == 0) {
			vsw_guest_abort(d.a);
			sock_wait_reset(e, d.b);
			vsw_guest_close(d.b);
		} else if (i % 3 == 1) {
			vsw_guest_abort(d.b);
			sock_wait_reset(e, d.a);
			vsw_guest_close(d.a);
		} else {
			vsw_guest_abort(d.a);
			vsw_guest_abort(d.b);
		}
		guest_wait_no_socks(e, 0);
		guest_wait_no_socks(e, 1);
	}
	duo_works(e, 0, 1);
}

static void
test_simultaneous_close(struct env *e)
{
	pair_of_guests_up(e);
	for (unsigned int i = 0; i < 10; i++) {
		struct duo d = duo_connect(e, 0, 1, DUO_PORT);

		sock_send(e, d.a, 0, 10000);
		sock_send(e, d.b, 0, 10000);
		vsw_guest_close(d.a);
		vsw_guest_close(d.b);
		guest_wait_no_socks(e, 0);
		guest_wait_no_socks(e, 1);
	}
	duo_works(e, 0, 1);
}

/*
 * Ports that are used again.
 */

static struct vsw_pkt
pkt_of(uint32_t src_port, uint16_t op)
{
	struct vsw_pkt pkt = raw_pkt(0, op);

	pkt.dst_cid = CID(1);
	pkt.src_port = src_port;
	pkt.dst_port = DUO_PORT;
	return pkt;
}

struct accept_wait {
	struct vsw_guest *g;
	struct vsw_guest_sock *s;
};

static bool
has_accepted(void *arg)
{
	struct accept_wait *w = arg;

	w->s = vsw_guest_accept(w->g, DUO_PORT, 0);
	return w->s != NULL;
}

/* The sockets that guest 1 has accepted; one of them has got what was sent last. */
struct find_wait {
	struct vsw_guest *g;
	struct vsw_guest_sock *s[16];
	unsigned int n;
	struct vsw_guest_sock *found;
};

static bool
has_hello(void *arg)
{
	struct find_wait *w = arg;
	struct vsw_guest_sock_info info;
	struct vsw_guest_sock *s;

	while (w->n < VSW_ARRAY_SIZE(w->s) && (s = vsw_guest_accept(w->g, DUO_PORT, 0)) != NULL)
		w->s[w->n++] = s;
	for (unsigned int i = 0; i < w->n; i++) {
		vsw_guest_sock_info(w->s[i], &info);
		if (info.unread == 5)
			w->found = w->s[i];
	}
	return w->found != NULL;
}

struct pkt_wait {
	struct vsw_guest *g;
	struct vsw_pkt pkt;
};

static bool
has_pkt(void *arg)
{
	struct pkt_wait *w = arg;

	return vsw_guest_recv_pkt(w->g, &w->pkt, NULL, 0, 0) == 0;
}

/* Requests from one port, given up or not, and another one at once, before anybody can have
 * answered: the last one counts, however many answers to earlier ones are about. */
static void
ask_and_ask_again(struct env *e, const uint16_t *ops)
{
	struct vsw_guest *g0 = env_guest(e, 0), *g1 = env_guest(e, 1);
	struct find_wait w = {.g = g1};
	struct pkt_wait answer = {.g = g0};
	struct vsw_guest_stats before, now;
	struct vsw_pkt pkt;

	vsw_guest_set_raw(g0, true);
	vsw_guest_listen(g1, DUO_PORT, 8);
	for (const uint16_t *op = ops; *op != 0; op++) {
		pkt = pkt_of(9000, *op);
		raw_send(e, g0, &pkt, NULL, 0);
	}
	/* An answer may be to an earlier request. Who takes data for an answer is reset; so send
	 * some only when vswd has nothing to say any more. */
	pump_until(e, has_pkt, &answer, "an answer");
	check(e, answer.pkt.op == VSW_OP_RESPONSE);
	do {
		vsw_guest_stats(g1, &before);
		while (has_pkt(&answer))
			check(e, answer.pkt.op == VSW_OP_RESPONSE);
		pump_fd(e, -1, 0, 20);
		vsw_guest_stats(g1, &now);
	} while (now.packets_received != before.packets_received);

	pkt = pkt_of(9000, VSW_OP_RW);
	pkt.len = 5;
	raw_send(e, g0, &pkt, "hello", 5);
	pump_until(e, has_hello, &w, "data on the last connection");
	check(e, sock_is_alive(w.found));
	pkt = pkt_of(9000, VSW_OP_RST);
	raw_send(e, g0, &pkt, NULL, 0);
	sock_wait_reset(e, w.found);
	for (unsigned int i = 0; i < w.n; i++)
		vsw_guest_close(w.s[i]);
	vsw_guest_unlisten(g1, DUO_PORT);
	vsw_guest_set_raw(g0, false);
	guest_wait_no_socks(e, 1);
}

static void
test_same_ports_at_once(struct env *e)
{
	static const uint16_t ops[][6] = {
		{VSW_OP_REQUEST, VSW_OP_RST, VSW_OP_REQUEST},
		{VSW_OP_REQUEST, VSW_OP_REQUEST},
		{VSW_OP_REQUEST, VSW_OP_RST, VSW_OP_REQUEST, VSW_OP_RST, VSW_OP_REQUEST},
	};

	guest_up(e, 0, NULL);
	guest_up(e, 1, NULL);
	for (unsigned int turn = 0; turn < 6 * VSW_ARRAY_SIZE(ops); turn++)
		ask_and_ask_again(e, ops[turn % VSW_ARRAY_SIZE(ops)]);
}

/* The same pair of ports again after each kind of end, with bytes of the old one about. */
static void
test_same_ports_after_the_end(struct env *e)
{
	struct vsw_guest *g0, *g1;
	uint32_t port = 0;

	pair_of_guests_up(e);
	g0 = env_guest(e, 0);
	g1 = env_guest(e, 1);
	vsw_guest_listen(g1, DUO_PORT, 8);
	for (unsigned int i = 0; i < 20; i++) {
		struct accept_wait w = {.g = g1};
		struct duo d;

		d.a = vsw_guest_connect_start(g0, port, CID(1), DUO_PORT);
		check(e, d.a != NULL);
		port = local_port(d.a);
		pump_until(e, has_accepted, &w, "a connection");
		d.b = w.s;
		sock_wait_answer(e, d.a);
		duo_check(e, &d);
		if (i % 2 == 0) {
			send_more_than_unread(e, d.a);
			vsw_guest_abort(d.a);
			duo_works(e, 0, 2);
			/* vswd still has bytes of it; the guest must hear of its end all the same.
			 */
			d.a = vsw_guest_connect_start(g0, port, CID(1), DUO_PORT);
			sock_wait_reset(e, d.b);
			pump_until(e, has_accepted, &w, "a connection");
			vsw_guest_close(d.b);
			d.b = w.s;
			sock_wait_answer(e, d.a);
			duo_check(e, &d);
		}
		duo_close(e, &d);
	}
	vsw_guest_unlisten(g1, DUO_PORT);
}

/* Both ask each other from the same pair of ports at once: each is refused, nobody is stuck. */
static void
test_requests_that_cross(struct env *e)
{
	struct vsw_guest *g0 = guest_up(e, 0, NULL), *g1 = guest_up(e, 1, NULL);

	for (unsigned int i = 0; i < 20; i++) {
		struct vsw_pkt there = pkt_of(8000, VSW_OP_REQUEST), back = raw_pkt(1, there.op);
		struct duo d;

		there.dst_port = DUO_PORT + 1; /* where nobody listens */
		vsw_guest_set_raw(g0, true);
		vsw_guest_set_raw(g1, true);
		back.dst_cid = CID(0);
		back.src_port = there.dst_port;
		back.dst_port = there.src_port;
		raw_send(e, g0, &there, NULL, 0);
		raw_send(e, g1, &back, NULL, 0);
		/* One may have come first; then it is asked, and its own request supersedes that.
		 */
		there.op = back.op = VSW_OP_RST;
		raw_send(e, g0, &there, NULL, 0);
		raw_send(e, g1, &back, NULL, 0);
		pump_fd(e, -1, 0, 5);
		vsw_guest_set_raw(g0, false);
		vsw_guest_set_raw(g1, false);
		d = duo_connect(e, i % 2, 1 - i % 2, DUO_PORT);
		duo_check(e, &d);
		duo_close(e, &d);
	}
}

/*
 * Deaths and reboots.
 */

enum who { RECEIVER, SENDER };
enum end { KILLED, REBOOTED, STOPPED };

static void
end_of(struct env *e, unsigned int vm, enum end how)
{
	struct vsw_guest *g = env_guest(e, vm);

	switch (how) {
	case KILLED:
		guest_down(e, vm);
		break;
	case REBOOTED:
		check(e, vsw_guest_stop(g) == 0);
		check(e, vsw_guest_start(g, VSW_GUEST_BOOT) == 0);
		guest_sync(e, vm);
		break;
	case STOPPED:
		check(e, vsw_guest_stop(g) == 0);
		break;
	}
}

static void
end_in_the_middle(struct env *e, unsigned int vm, enum end how, bool is_stuck)
{
	struct vsw_guest_sock *survivor;
	struct stream s[3];
	struct duo d, other;
	unsigned int n_fds;

	guest_up(e, 0, NULL);
	guest_up(e, 2, NULL);
	n_fds = env_settled_fds(e);
	guest_up(e, 1, NULL);
	d = duo_connect(e, 0, 1, DUO_PORT);
	other = duo_connect(e, 0, 2, DUO_PORT);
	s[0] = (struct stream){.from = d.a, .to = d.b, .total = 1 << 30};
	s[1] = (struct stream){.from = d.b, .to = d.a, .total = 1 << 30};
	s[2] = (struct stream){.from = other.a, .to = other.b, .total = 4 << 20};
	for (unsigned int k = 0; k < 50; k++) {
		stream_step(e, &s[0]);
		stream_step(e, &s[1]);
	}
	if (is_stuck) {
		vsw_guest_hold_recv(env_guest(e, 1), true);
		for (unsigned int k = 0; k < 200; k++)
			s[0].sent += sock_send_now(e, d.a, s[0].sent, 65536);
	}
	survivor = vm == 0 ? d.b : d.a;
	end_of(e, vm, how);
	if (vm == 0 && is_stuck)
		vsw_guest_hold_recv(env_guest(e, 1), false);
	sock_wait_reset(e, survivor);
	vsw_guest_close(survivor);
	if (vm == 1) {
		run_streams(e, &s[2], 1);
		duo_check(e, &other);
		duo_close(e, &other);
	}
	if (how == KILLED)
		for (unsigned int i = 0; i < 3; i++)
			if (env_guest(e, i) != NULL)
				guest_down(e, i);
	if (how == STOPPED)
		check(e, vsw_guest_start(env_guest(e, vm), VSW_GUEST_BOOT) == 0);
	if (how != KILLED) {
		guest_sync(e, vm);
		vsw_guest_hold_recv(env_guest(e, 1), false);
		duo_works(e, 0, 1);
		duo_works(e, 1, 0);
		for (unsigned int i = 0; i < 3; i++)
			guest_down(e, i);
	}
	env_wait_fds(e, env_baseline_fds(e));
	(void)n_fds;
}

static void
test_ends_in_the_middle(struct env *e)
{
	for (unsigned int i = 0; i < 12; i++)
		end_in_the_middle(e, i % 2, (enum end)(i / 2 % 3), i >= 6);
	guest_up(e, 0, NULL);
	guest_up(e, 1, NULL);
	duo_works(e, 0, 1);
}

/* A reset that a guest without buffers could not be told must not reach its next life. */
static void
test_resets_of_an_earlier_boot(struct env *e)
{
	struct vsw_guest_conf conf = guest_conf(e, 1);
	struct vsw_guest *g;
	struct duo d[4];
	char buf[256];

	conf.n_recv_bufs = 2;
	guest_up(e, 0, NULL);
	g = guest_up(e, 1, &conf);
	for (unsigned int i = 0; i < VSW_ARRAY_SIZE(d); i++)
		d[i] = duo_connect(e, 0, 1, DUO_PORT);
	vsw_guest_hold_recv(g, true);
	sock_send(e, d[0].a, 0, sizeof(buf));
	sock_wait_unread(e, d[0].b, sizeof(buf));
	sock_send(e, d[0].a, 0, sizeof(buf));
	sock_wait_unread(e, d[0].b, 2 * sizeof(buf)); /* no buffer is left */
	for (unsigned int i = 0; i < VSW_ARRAY_SIZE(d); i++)
		vsw_guest_abort(d[i].a);
	duo_works(e, 0, 0); /* behind them in the ring */
	check(e, vsw_guest_stop(g) == 0);
	vsw_guest_hold_recv(g, false);
	vsw_guest_set_raw(g, true);
	check(e, vsw_guest_start(g, VSW_GUEST_BOOT) == 0);
	guest_sync(e, 1);
	raw_expect_quiet(e, g);
	vsw_guest_set_raw(g, false);
	duo_works(e, 0, 1);
}

/* SET_MEM_TABLE pauses a guest whose bytes others hold, and one into which others write. */
static void
memory_moves(struct env *e, unsigned int from, unsigned int to)
{
	struct duo d = duo_connect(e, from, to, DUO_PORT);
	struct stream s[] = {
		{.from = d.a, .to = d.b, .total = 6 << 20},
		{.from = d.b, .to = d.a, .total = 6 << 20, .base = 99},
	};

	for (unsigned int i = 0; i < 6; i++) {
		bool is_held = i % 2 == 0;
		unsigned int who = i % 3 == 0 ? from : to;

		for (unsigned int k = 0; k < 40; k++) {
			stream_step(e, &s[0]);
			stream_step(e, &s[1]);
		}
		/* With a receiver that takes nothing, loans are out when the memory goes. */
		vsw_guest_hold_recv(env_guest(e, to), is_held);
		for (unsigned int k = 0; k < 40; k++)
			stream_step(e, &s[0]);
		/* Regions can be added four times. */
		if (i < 3)
			check(e, vsw_guest_add_region(env_guest(e, who), 16 << 20) == 0);
		else
			check(e, vsw_guest_send_mem_table(env_guest(e, who)) == 0);
		vsw_guest_hold_recv(env_guest(e, to), false);
	}
	run_streams(e, s, 2);
	duo_close(e, &d);
}

static void
test_memory_moves(struct env *e)
{
	pair_of_guests_up(e);
	memory_moves(e, 0, 1);
	memory_moves(e, 2, 2);
}

/*
 * Many.
 */

static void
test_storm(struct env *e)
{
	struct vsw_guest *g0, *g1;
	struct vsw_guest_sock *s;
	unsigned int n_begun = 0, n_done = 0;

	pair_of_guests_up(e);
	g0 = env_guest(e, 0);
	g1 = env_guest(e, 1);
	vsw_guest_listen(g1, DUO_PORT, 64);
	while (n_done < 1000) {
		while (n_begun < 1000 && n_begun - n_done < 32) {
			check(e, vsw_guest_connect_start(g0, 0, CID(1), DUO_PORT) != NULL);
			n_begun++;
			s = NULL;
		}
		s = vsw_guest_accept(g1, DUO_PORT, 0);
		if (s == NULL) {
			pump_fd(e, -1, 0, 1);
			continue;
		}
		if (n_done % 2 == 0)
			vsw_guest_close(s);
		else
			vsw_guest_abort(s);
		n_done++;
	}
	vsw_guest_unlisten(g1, DUO_PORT);
	check(e, vsw_guest_stop(g0) == 0);
	check(e, vsw_guest_start(g0, VSW_GUEST_BOOT) == 0);
	guest_sync(e, 0);
	guest_wait_no_socks(e, 1);
	duo_works(e, 0, 1);
}

/* Requests that are given up at once, from ever the same ports. */
static void
test_storm_of_resets(struct env *e)
{
	struct vsw_guest *g0;

	pair_of_guests_up(e);
	g0 = env_guest(e, 0);
	vsw_guest_listen(env_guest(e, 1), DUO_PORT, 64);
	for (unsigned int i = 0; i < 3000; i++) {
		struct vsw_pkt pkt = pkt_of(10000 + i % 7, VSW_OP_REQUEST);

		raw_send(e, g0, &pkt, NULL, 0);
		pkt.op = VSW_OP_RST;
		raw_send(e, g0, &pkt, NULL, 0);
		if (i % 64 == 0)
			pump_fd(e, -1, 0, 0);
	}
	duo_works(e, 2, 0);
	vsw_guest_unlisten(env_guest(e, 1), DUO_PORT);
	guest_wait_no_socks(e, 1);
	duo_works(e, 0, 1);
}

struct n_wait {
	const struct vsw_guest *g;
	unsigned int n;
};

static bool
has_socks(void *arg)
{
	const struct n_wait *w = arg;

	return vsw_guest_n_socks(w->g) == w->n;
}

/* As many connections as there may be, one more is refused; all at once they go, and as many
 * can be made again. What any earlier case has left behind would be missing here. */
static void
test_connection_limit(struct env *e)
{
	struct n_wait w;

	pair_of_guests_up(e);
	w = (struct n_wait){.g = env_guest(e, 1), .n = CONNS_MAX};
	for (unsigned int turn = 0; turn < 2; turn++) {
		struct vsw_guest *g0 = env_guest(e, 0);

		vsw_guest_listen(env_guest(e, 1), DUO_PORT, CONNS_MAX + 1);
		for (unsigned int i = 0; i < CONNS_MAX; i++) {
			check(e, vsw_guest_connect_start(g0, 0, CID(1), DUO_PORT) != NULL);
			if (i % 32 == 0)
				pump_fd(e, -1, 0, 0);
		}
		pump_until(e, has_socks, &w, "as many connections as there may be");
		duo_refused(e, 0, CID(1), DUO_PORT);
		duo_refused(e, 2, CID(1), DUO_PORT);
		check(e, vsw_guest_n_socks(env_guest(e, 1)) == CONNS_MAX);
		check(e, vsw_guest_stop(g0) == 0);
		check(e, vsw_guest_start(g0, VSW_GUEST_BOOT) == 0);
		guest_sync(e, 0);
		vsw_guest_unlisten(env_guest(e, 1), DUO_PORT);
		guest_wait_no_socks(e, 1);
		duo_works(e, 2, 1);
		duo_works(e, 0, 2);
	}
	duo_works(e, 0, 1);
}

int
main(void)
{
	static const struct test_case cases[] = {
		CASE(test_half_close),
		CASE(test_close_with_unread_data),
		CASE(test_close_loses_nothing),
		CASE(test_reset_while_bytes_fly),
		CASE(test_simultaneous_close),
		CASE(test_same_ports_at_once),
		CASE(test_same_ports_after_the_end),
		CASE(test_requests_that_cross),
		CASE(test_ends_in_the_middle),
		CASE(test_resets_of_an_earlier_boot),
		CASE(test_memory_moves),
		CASE(test_storm),
		CASE(test_storm_of_resets),
		CASE(test_connection_limit),
	};

	return run_cases_in("sibling-life", sibling_variants, n_sibling_variants, cases,
			    VSW_ARRAY_SIZE(cases));
}
