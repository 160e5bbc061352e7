/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves the flow of bytes between guests when somebody does not keep up: credit from end to
 * end, unread packets, receivers without buffers, budgets, and that others go on meanwhile.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vsw_limits.h"
#include "duo.h"
#include "raw.h"

/* What may wait of all connections of a guest, the window of our guests, and what each connection
 * gets in any case. */
#define BUDGET VSW_SPILL_BUDGET_DEFAULT
#define WINDOW VSW_BUF_ALLOC_DEFAULT
#define WINDOW_MIN VSW_WINDOW_MIN
/* Connections whose windows together are the budget. */
#define N_FULL (BUDGET / WINDOW)

/* Guest 1, where it has few receive buffers. */
#define N_BUFS 8
#define ROOM (3776 - VSW_PKT_HDR_LEN)

/*
 * By hand: guest 0 asks, guest 1 answers; nothing is done for them.
 */

#define RAW_PORT_A 7000
#define RAW_PORT_B 52

static struct vsw_pkt
pkt_of(unsigned int vm, uint16_t op)
{
	struct vsw_pkt pkt = raw_pkt(vm, op);

	pkt.dst_cid = CID(1 - vm);
	pkt.src_port = vm == 0 ? RAW_PORT_A : RAW_PORT_B;
	pkt.dst_port = vm == 0 ? RAW_PORT_B : RAW_PORT_A;
	return pkt;
}

static void
raw_op(struct env *e, unsigned int vm, uint16_t op, uint32_t buf_alloc, uint32_t fwd_cnt)
{
	struct vsw_pkt pkt = pkt_of(vm, op);

	pkt.buf_alloc = buf_alloc;
	pkt.fwd_cnt = fwd_cnt;
	raw_send(e, env_guest(e, vm), &pkt, NULL, 0);
}

static void
raw_data(struct env *e, unsigned int vm, uint64_t off, uint32_t len)
{
	static uint8_t buf[65536];
	struct vsw_pkt pkt = pkt_of(vm, VSW_OP_RW);

	pkt.len = len;
	pattern_fill(buf, off, len);
	raw_send(e, env_guest(e, vm), &pkt, buf, len);
}

/* The next packet that guest vm gets, with its credit. */
static struct vsw_pkt
raw_gets(struct env *e, unsigned int vm, uint16_t op, uint32_t buf_alloc, uint32_t fwd_cnt)
{
	struct vsw_pkt pkt = raw_expect(e, env_guest(e, vm), op);

	check(e, pkt.src_cid == CID(1 - vm));
	check(e, pkt.buf_alloc == buf_alloc);
	check(e, pkt.fwd_cnt == fwd_cnt);
	return pkt;
}

static void
raw_up(struct env *e, unsigned int vm, const struct vsw_guest_conf *conf)
{
	vsw_guest_set_raw(guest_up(e, vm, conf), true);
}

/* Each advertises what is given. */
static void
raw_connect_pair(struct env *e, uint32_t buf_alloc_a, uint32_t buf_alloc_b)
{
	raw_op(e, 0, VSW_OP_REQUEST, buf_alloc_a, 0);
	raw_gets(e, 1, VSW_OP_REQUEST, buf_alloc_a, 0);
	raw_op(e, 1, VSW_OP_RESPONSE, buf_alloc_b, 0);
	raw_gets(e, 0, VSW_OP_RESPONSE, buf_alloc_b, 0);
}

static void
raw_pair_up(struct env *e, uint32_t buf_alloc_a, uint32_t buf_alloc_b)
{
	raw_up(e, 0, NULL);
	raw_up(e, 1, NULL);
	raw_connect_pair(e, buf_alloc_a, buf_alloc_b);
}

static void
test_credit_passes_through(struct env *e)
{
	struct vsw_pkt pkt;

	raw_pair_up(e, 12345, 54321);
	raw_op(e, 0, VSW_OP_CREDIT_REQUEST, 12346, 0);
	raw_gets(e, 1, VSW_OP_CREDIT_REQUEST, 12346, 0);
	raw_op(e, 1, VSW_OP_CREDIT_UPDATE, 777, 0);
	raw_gets(e, 0, VSW_OP_CREDIT_UPDATE, 777, 0);

	raw_data(e, 1, 0, 100);
	pkt = raw_expect(e, env_guest(e, 0), VSW_OP_RW);
	check(e, pkt.len == 100);
	raw_op(e, 0, VSW_OP_CREDIT_UPDATE, 12345, 99);
	raw_gets(e, 1, VSW_OP_CREDIT_UPDATE, 12345, 99);
	/* More than was sent cannot have been taken, and less than before neither. */
	raw_op(e, 0, VSW_OP_CREDIT_UPDATE, 12345, 101);
	raw_gets(e, 1, VSW_OP_CREDIT_UPDATE, 12345, 99);
	raw_op(e, 0, VSW_OP_CREDIT_UPDATE, 12345, 98);
	raw_gets(e, 1, VSW_OP_CREDIT_UPDATE, 12345, 99);
	/* Data and goodbyes carry credit, too. */
	pkt = pkt_of(0, VSW_OP_RW);
	pkt.buf_alloc = 4444;
	pkt.fwd_cnt = 100;
	pkt.len = 1;
	raw_send(e, env_guest(e, 0), &pkt, "x", 1);
	raw_gets(e, 1, VSW_OP_RW, 4444, 100);
	pkt.op = VSW_OP_SHUTDOWN;
	pkt.flags = VSW_SHUTDOWN_SEND;
	pkt.buf_alloc = 5555;
	pkt.len = 0;
	raw_send(e, env_guest(e, 0), &pkt, NULL, 0);
	pkt = raw_gets(e, 1, VSW_OP_SHUTDOWN, 5555, 100);
	check(e, pkt.flags == VSW_SHUTDOWN_SEND);
}

/* The credit that comes with bytes which nobody will read counts, too: an older Linux guest does
 * not say it again, and the other one may be waiting for it to go on sending. */

/* Guest 1 has sent 100 bytes, and guest 0 has read them but did not say so yet. Guest 1 has
 * N_BUFS buffers. */
static void
raw_pair_with_news(struct env *e)
{
	struct vsw_guest_conf conf = guest_conf(e, 1);
	struct vsw_pkt pkt;

	conf.n_recv_bufs = N_BUFS;
	raw_up(e, 0, NULL);
	raw_up(e, 1, &conf);
	raw_connect_pair(e, WINDOW, WINDOW);
	raw_data(e, 1, 0, 100);
	pkt = raw_expect(e, env_guest(e, 0), VSW_OP_RW);
	check(e, pkt.len == 100);
}

static void
raw_pair_down(struct env *e)
{
	guest_down(e, 0);
	guest_down(e, 1);
	env_wait_fds(e, env_baseline_fds(e));
}

static void
raw_data_with_news(struct env *e, uint32_t len)
{
	struct vsw_pkt pkt = pkt_of(0, VSW_OP_RW);

	pkt.fwd_cnt = 100;
	pkt.len = len;
	raw_send(e, env_guest(e, 0), &pkt, "x", len);
}

static void
raw_shut_recv(struct env *e)
{
	struct vsw_pkt pkt = pkt_of(1, VSW_OP_SHUTDOWN);

	pkt.flags = VSW_SHUTDOWN_RCV;
	raw_send(e, env_guest(e, 1), &pkt, NULL, 0);
}

static void
raw_news_arrive(struct env *e)
{
	struct vsw_pkt pkt;

	do {
		if (vsw_guest_recv_pkt(env_guest(e, 1), &pkt, NULL, 0, WAIT_MS) < 0)
			fail_env(e, "waited %d ms for the credit", WAIT_MS);
	} while (pkt.fwd_cnt != 100);
	check(e, pkt.buf_alloc == WINDOW);
}

static void
test_credit_of_dropped_data(struct env *e)
{
	/* An empty packet. */
	raw_pair_with_news(e);
	raw_data_with_news(e, 0);
	raw_gets(e, 1, VSW_OP_CREDIT_UPDATE, WINDOW, 100);
	raw_pair_down(e);

	/* The sender should know that nobody reads. */
	raw_pair_with_news(e);
	raw_shut_recv(e);
	raw_expect(e, env_guest(e, 0), VSW_OP_SHUTDOWN);
	raw_data_with_news(e, 1);
	raw_gets(e, 1, VSW_OP_CREDIT_UPDATE, WINDOW, 100);
	raw_pair_down(e);

	/* It cannot know yet: both have spoken when vswd looks. */
	raw_pair_with_news(e);
	check(e, kill(env_pid(e), SIGSTOP) == 0);
	raw_shut_recv(e);
	raw_data_with_news(e, 1);
	check(e, kill(env_pid(e), SIGCONT) == 0);
	raw_news_arrive(e);
	raw_pair_down(e);

	/* The bytes have waited for a buffer. */
	raw_pair_with_news(e);
	vsw_guest_hold_recv(env_guest(e, 1), true);
	for (unsigned int i = 0; i < N_BUFS; i++) {
		raw_data(e, 0, i * ROOM, ROOM);
		raw_expect(e, env_guest(e, 1), VSW_OP_RW);
	}
	raw_data_with_news(e, 1);
	raw_send_op(e, env_guest(e, 0), 0, VSW_OP_CREDIT_REQUEST); /* of no connection */
	raw_expect(e, env_guest(e, 0), VSW_OP_RST);
	raw_shut_recv(e);
	if (vsw_guest_wait_used(env_guest(e, 1), VSW_GUEST_FROM_GUEST, WAIT_MS) < 0)
		fail_env(e, "%s", vsw_guest_error(env_guest(e, 1)));
	vsw_guest_hold_recv(env_guest(e, 1), false);
	raw_news_arrive(e);
}

static void
test_overrun_is_a_reset(struct env *e)
{
	struct vsw_pkt pkt;

	raw_pair_up(e, WINDOW, 1000);
	raw_data(e, 0, 0, 1000);
	pkt = raw_expect(e, env_guest(e, 1), VSW_OP_RW);
	check(e, pkt.len == 1000);
	raw_expect_quiet(e, env_guest(e, 0));
	raw_data(e, 0, 0, 1);
	raw_expect(e, env_guest(e, 0), VSW_OP_RST);
	raw_expect(e, env_guest(e, 1), VSW_OP_RST);
	raw_expect_quiet(e, env_guest(e, 1));
}

/* The window shrinks while bytes sent under the old one are on their way: they arrive. */
static void
test_shrinking_window(struct env *e)
{
	uint32_t n_got = 0;

	raw_pair_up(e, WINDOW, 40000);
	raw_op(e, 1, VSW_OP_CREDIT_UPDATE, 10, 0);
	raw_gets(e, 0, VSW_OP_CREDIT_UPDATE, 10, 0);
	raw_data(e, 0, 0, 30000);
	raw_data(e, 0, 30000, 10000);
	raw_expect_quiet(e, env_guest(e, 0)); /* no reset */
	while (n_got < 40000) {
		uint8_t buf[65536];
		struct vsw_pkt pkt;

		if (vsw_guest_recv_pkt(env_guest(e, 1), &pkt, buf, sizeof(buf), WAIT_MS) < 0)
			fail_env(e, "%u of 40000 bytes came", n_got);
		if (pkt.op == VSW_OP_CREDIT_REQUEST) {
			raw_op(e, 1, VSW_OP_CREDIT_UPDATE, 5000, n_got);
			continue;
		}
		check(e, pkt.op == VSW_OP_RW);
		check(e, pattern_matches(buf, n_got, pkt.len));
		n_got += pkt.len;
	}
	raw_data(e, 0, 0, 5001); /* beyond all that was ever granted */
	raw_find(e, env_guest(e, 0), VSW_OP_RST);
	raw_find(e, env_guest(e, 1), VSW_OP_RST);
}

/*
 * Small packets.
 */

/* Newer Linux guests reset a connection with too many unread packets (the synthetic guest
 * records that as a violation): bytes wait for a reader and arrive packed. */
static void
test_thousands_of_small_packets(struct env *e)
{
	enum { N = 5000 };
	struct vsw_guest_stats stats;
	struct duo d;

	guest_up(e, 0, NULL);
	guest_up(e, 1, NULL);
	guest_up(e, 2, NULL);
	d = duo_connect(e, 0, 1, DUO_PORT);
	for (unsigned int i = 0; i < N; i++)
		sock_send(e, d.a, i, 1);
	duo_works(e, 0, 2); /* behind them in the ring: all have been taken */
	vsw_guest_stats(env_guest(e, 1), &stats);
	check(e, stats.packets_received < 1000);
	sock_recv(e, d.b, 0, N);
	duo_check(e, &d);
	duo_close(e, &d);
}

/* Neither reads before it has sent all. What acknowledges bytes of the one side travels in
 * packets that wait for the other side to read. */
static void
test_small_packets_both_ways(struct env *e)
{
	enum { N = 3000 };
	struct duo d;

	guest_up(e, 0, NULL);
	guest_up(e, 1, NULL);
	d = duo_connect(e, 0, 1, DUO_PORT);
	for (unsigned int i = 0; i < N; i++) {
		sock_send(e, d.a, i, 1);
		sock_send(e, d.b, i + 7, 1);
	}
	sock_recv(e, d.b, 0, N);
	sock_recv(e, d.a, 7, N);
	duo_close(e, &d);
}

/* A sender whose window is full hears at once that the other side has read, although all
 * packets that say so are data for which it has no room itself. */
static void
test_news_of_credit_overtakes_data(struct env *e)
{
	uint64_t before;
	struct vsw_guest_conf conf = guest_conf(e, 1);
	struct duo d;

	conf.buf_alloc = 8192; /* admits few packets */
	guest_up(e, 0, NULL);
	guest_up(e, 1, &conf);
	d = duo_connect(e, 0, 1, DUO_PORT);
	for (unsigned int i = 0; i < 200; i++)
		sock_send(e, d.a, i, 1); /* more than it may have unread */
	sock_send(e, d.b, 0, WINDOW);
	before = vsw_guest_now_ms();
	for (unsigned int i = 0; i < 20; i++) {
		sock_recv(e, d.a, i * 65536, 65536);
		sock_send(e, d.a, 200 + i, 1);
		sock_send(e, d.b, WINDOW + i * 65536, 65536);
	}
	/* 20 times the longest wait between two probes would be 5 s. */
	if (vsw_guest_now_ms() - before > 2000)
		fail_env(e, "20 turns took %lu ms", (unsigned long)(vsw_guest_now_ms() - before));
	sock_recv(e, d.b, 0, 220);
	sock_recv(e, d.a, 20 * 65536, WINDOW);
	duo_close(e, &d);
}

/*
 * Receivers without buffers.
 */

/* How a guest that has a stuck sibling sends. */
static const struct {
	const char *name;
	enum vsw_guest_send_shape send;
	unsigned int fragments;
	uint32_t send_max;
	uint16_t ring_size;
} senders[] = {
	{"one descriptor", VSW_GUEST_SEND_ONE, 1, 65536, 128},
	{"17 fragments", VSW_GUEST_SEND_SPLIT, 17, 65536, 128},
	{"indirect", VSW_GUEST_SEND_INDIRECT, 17, 65536, 64},
	{"small ring", VSW_GUEST_SEND_SPLIT, 1, 4096, 8},
	{"smallest ring", VSW_GUEST_SEND_ONE, 1, 65536, 2},
};

static void
receiver_up(struct env *e)
{
	struct vsw_guest_conf conf = guest_conf(e, 1);

	conf.n_recv_bufs = N_BUFS;
	guest_up(e, 1, &conf);
}

/* It keeps its buffers from now on; what it has posted is used up. Bytes on the connection from
 * guest 0. */
static void
plug(struct env *e, const struct duo *d)
{
	vsw_guest_hold_recv(env_guest(e, 1), true);
	for (unsigned int i = 0; i < N_BUFS; i++)
		sock_send(e, d->a, i * ROOM, ROOM);
	sock_wait_unread(e, d->b, N_BUFS * ROOM);
}

static void
unplug(struct env *e, const struct duo *d)
{
	vsw_guest_hold_recv(env_guest(e, 1), false);
	sock_recv(e, d->b, 0, N_BUFS * ROOM);
}

/* Fill the windows of n connections from guest 0 to guest 1, which takes nothing. */
static void
fill_windows(struct env *e, struct duo *d, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		sock_send(e, d[i].a, i * 1000, WINDOW);
}

static void
sender_up(struct env *e, size_t i)
{
	struct vsw_guest_conf conf = guest_conf(e, 0);

	conf.send_shape = senders[i].send;
	conf.send_fragments = senders[i].fragments;
	conf.send_max = senders[i].send_max;
	conf.ring_size = senders[i].ring_size;
	guest_up(e, 0, &conf);
}

static void
test_receiver_without_buffers(struct env *e)
{
	enum { N = 3 };

	for (size_t i = 0; i < VSW_ARRAY_SIZE(senders); i++) {
		struct duo d[N], other, plugged;
		struct pair host;

		sender_up(e, i);
		receiver_up(e);
		guest_up(e, 2, NULL);
		for (unsigned int k = 0; k < N; k++)
			d[k] = duo_connect(e, 0, 1, DUO_PORT);
		other = duo_connect(e, 0, 2, DUO_PORT);
		host = pair_from_guest(e, 0, 52);
		plugged = duo_connect(e, 0, 1, DUO_PORT);

		plug(e, &plugged);
		fill_windows(e, d, N);
		duo_check(e, &other);
		pair_check(e, &host);
		duo_works(e, 0, 2);
		duo_works(e, 2, 0);
		duo_works(e, 0, 0);

		unplug(e, &plugged);
		for (unsigned int k = 0; k < N; k++)
			sock_recv(e, d[k].b, k * 1000, WINDOW);
		duo_close(e, &plugged);
		for (unsigned int k = 0; k < N; k++)
			duo_close(e, &d[k]);
		duo_close(e, &other);
		pair_close(e, &host);
		for (unsigned int vm = 0; vm < 3; vm++)
			guest_down(e, vm);
		env_wait_fds(e, env_baseline_fds(e));
	}
}

/* Resident bytes of vswd, guests' memory not counted. */
static size_t
env_resident(const struct env *e)
{
	unsigned long pages = 0, shared = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", env_pid(e));
	f = fopen(path, "r");
	if (f == NULL || fscanf(f, "%*u %lu %lu", &pages, &shared) != 2)
		pages = shared = 0;
	if (f != NULL)
		fclose(f);
	return (pages - shared) * (size_t)sysconf(_SC_PAGESIZE);
}

/* What may wait of N connections, and what the allocator makes of it; that of the sanitizers keeps
 * what was freed. */
#ifdef __SANITIZE_ADDRESS__
#define SPILL_MAX(n) (16 * (BUDGET + (n)*WINDOW_MIN))
#else
#define SPILL_MAX(n) ((BUDGET + (n)*WINDOW_MIN) * 5 / 4)
#endif

/* As much as the window admits; the ring must take it. @return bytes. */
static uint64_t
send_a_window(struct env *e, struct vsw_guest_sock *s, uint64_t off)
{
	uint64_t deadline = vsw_guest_now_ms() + WAIT_MS, n = 0;

	while (info_of(s).sendable > 0) {
		size_t part = sock_send_now(e, s, off + n, info_of(s).sendable);

		n += part;
		if (part == 0)
			pump_fd(e, -1, 0, 1);
		if (vsw_guest_now_ms() > deadline)
			fail_env(e, "the guest cannot send: %u bytes of its window are left",
				 info_of(s).sendable);
	}
	return n;
}

/* Everybody but connections to guest 1 goes on. */
static void
others_go_on(struct env *e, const struct duo *old, const struct pair *host)
{
	struct pair fresh;

	duo_check(e, old);
	pair_check(e, host);
	duo_works(e, 0, 2);
	duo_works(e, 2, 0);
	duo_works(e, 0, 0);
	fresh = pair_from_host(e, 0, 53);
	pair_check(e, &fresh);
	pair_close(e, &fresh);
}

/* Connections to a guest that takes nothing, far more than the budget has windows for: each gets
 * a part, none is reset, and what is not theirs goes on. Afterwards every byte arrives. */
static void
test_slow_siblings_stall_nobody(struct env *e)
{
	enum { N = 4 * N_FULL };
	static struct duo d[N];
	static struct stream stream[N];
	static uint64_t sent[N];
	struct duo other, plugged;
	struct pair host;
	uint64_t total = 0;
	size_t resident;

	guest_up(e, 0, NULL);
	receiver_up(e);
	guest_up(e, 2, NULL);
	other = duo_connect(e, 0, 2, DUO_PORT);
	host = pair_from_guest(e, 0, 52);
	plugged = duo_connect(e, 0, 1, DUO_PORT);
	for (unsigned int i = 0; i < N; i++)
		d[i] = duo_connect(e, 0, 1, DUO_PORT);
	plug(e, &plugged);
	resident = env_resident(e);
	for (unsigned int i = 0; i < N; i++) {
		sent[i] = send_a_window(e, d[i].a, i * 1000);
		check(e, sent[i] >= WINDOW_MIN && sent[i] <= WINDOW);
		total += sent[i];
	}
	check(e, sent[0] == WINDOW && sent[N - 1] < WINDOW);
	check(e, total <= BUDGET + N * WINDOW_MIN);
	check(e, env_resident(e) - resident < SPILL_MAX(N));
	others_go_on(e, &other, &host);

	unplug(e, &plugged);
	for (unsigned int i = 0; i < N; i++) {
		check(e, sock_is_alive(d[i].a));
		sock_recv(e, d[i].b, i * 1000, sent[i]);
		stream[i] = (struct stream){.from = d[i].a, .to = d[i].b, .total = 2 * WINDOW};
	}
	run_streams(e, stream, N); /* its window opens again */
	for (unsigned int i = 0; i < N; i++)
		duo_close(e, &d[i]);
	duo_close(e, &plugged);
	duo_close(e, &other);
	pair_close(e, &host);
}

/* One whose receiver has room for more than the budget is promised a part of that. */
static void
test_a_window_beyond_the_budget(struct env *e)
{
	struct vsw_guest_conf conf = guest_conf(e, 1);
	struct duo big, other, plugged;
	struct stream stream;
	struct pair host;
	uint64_t sent;

	conf.n_recv_bufs = N_BUFS;
	conf.buf_alloc = 4 * BUDGET;
	guest_up(e, 0, NULL);
	guest_up(e, 1, &conf);
	guest_up(e, 2, NULL);
	other = duo_connect(e, 0, 2, DUO_PORT);
	host = pair_from_guest(e, 0, 52);
	plugged = duo_connect(e, 0, 1, DUO_PORT);
	big = duo_connect(e, 0, 1, DUO_PORT);
	plug(e, &plugged);
	sent = send_a_window(e, big.a, 0);
	check(e, sent >= WINDOW && sent <= BUDGET / 2);
	others_go_on(e, &other, &host);

	unplug(e, &plugged);
	sock_recv(e, big.b, 0, sent);
	stream = (struct stream){.from = big.a, .to = big.b, .total = 4ull * BUDGET};
	run_streams(e, &stream, 1);
	duo_close(e, &big);
	duo_close(e, &plugged);
	duo_close(e, &other);
	pair_close(e, &host);
}

/* What closed connections have left behind counts as long as it waits, and no longer. */
static void
test_bytes_of_closed_connections(struct env *e)
{
	enum { N = 4 * N_FULL };
	static struct duo d[N];
	struct duo other, plugged;
	struct pair host;
	size_t resident;

	guest_up(e, 0, NULL);
	receiver_up(e);
	guest_up(e, 2, NULL);
	other = duo_connect(e, 0, 2, DUO_PORT);
	host = pair_from_guest(e, 0, 52);
	plugged = duo_connect(e, 0, 1, DUO_PORT);
	for (unsigned int i = 0; i < N; i++)
		d[i] = duo_connect(e, 0, 1, DUO_PORT);
	plug(e, &plugged);
	resident = env_resident(e);
	for (unsigned int i = 0; i < N; i++) {
		send_a_window(e, d[i].a, 0);
		vsw_guest_abort(d[i].a);
	}
	others_go_on(e, &other, &host);
	check(e, env_resident(e) - resident < SPILL_MAX(N));
	unplug(e, &plugged);
	for (unsigned int i = 0; i < N; i++) {
		sock_wait_reset(e, d[i].b);
		vsw_guest_close(d[i].b);
	}
	d[0] = duo_connect(e, 0, 1, DUO_PORT);
	check(e, info_of(d[0].a).sendable == WINDOW);
	duo_close(e, &d[0]);
	duo_close(e, &plugged);
	duo_close(e, &other);
	pair_close(e, &host);
}

/* A process that stood still for a while finds that many timers have run out at once; the end
 * of connections by one of them concerns the others. */
static void
test_timers_that_run_out_together(struct env *e)
{
	enum { N = 64 };
	struct vsw_guest_sock *asking[N];
	struct duo plugged;
	uint64_t since;

	guest_up(e, 0, NULL);
	receiver_up(e);
	guest_up(e, 2, NULL);
	plugged = duo_connect(e, 0, 1, DUO_PORT);
	plug(e, &plugged);
	since = vsw_guest_now_ms();
	for (unsigned int i = 0; i < N; i++) {
		asking[i] = vsw_guest_connect_start(env_guest(e, 0), 0, CID(1), DUO_PORT);
		check(e, asking[i] != NULL);
		pump_fd(e, -1, 0, 2);
	}
	while (vsw_guest_now_ms() - since < VSW_REQUEST_TIMEOUT_MS - 200)
		pump_fd(e, -1, 0, 10);
	check(e, kill(env_pid(e), SIGSTOP) == 0);
	while (vsw_guest_now_ms() - since < VSW_REQUEST_TIMEOUT_MS + 400)
		pump_fd(e, -1, 0, 10);
	check(e, kill(env_pid(e), SIGCONT) == 0);
	for (unsigned int i = 0; i < N; i++) {
		sock_wait_answer(e, asking[i]);
		vsw_guest_close(asking[i]);
	}
	duo_works(e, 0, 2);
	unplug(e, &plugged);
	duo_close(e, &plugged);
	duo_works(e, 0, 1);
}

int
main(void)
{
	static const struct test_case cases[] = {
		CASE(test_credit_passes_through),
		CASE(test_credit_of_dropped_data),
		CASE(test_overrun_is_a_reset),
		CASE(test_shrinking_window),
		CASE(test_thousands_of_small_packets),
		CASE(test_small_packets_both_ways),
		CASE(test_news_of_credit_overtakes_data),
		CASE(test_receiver_without_buffers),
		CASE(test_slow_siblings_stall_nobody),
		CASE(test_a_window_beyond_the_budget),
		CASE(test_bytes_of_closed_connections),
		CASE(test_timers_that_run_out_together),
	};

	return run_cases_in("sibling-flow", sibling_variants, n_sibling_variants, cases,
			    VSW_ARRAY_SIZE(cases));
}
