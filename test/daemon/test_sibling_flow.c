/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves the flow of bytes between guests when somebody does not keep up: credit from end to
 * end, unread packets, receivers without buffers, budgets, and that others go on meanwhile.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "duo.h"
#include "raw.h"

/* What spill_budget is by default, and a window of our guests. */
#define BUDGET (16u << 20)
#define WINDOW (256u << 10)
/* Connections whose windows together are the budget. */
#define N_FULL (BUDGET / WINDOW)

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

/* Both in raw mode and connected; each advertises what is given. */
static void
raw_pair_up(struct env *e, uint32_t buf_alloc_a, uint32_t buf_alloc_b)
{
	for (unsigned int vm = 0; vm < 2; vm++) {
		guest_up(e, vm, NULL);
		vsw_guest_set_raw(env_guest(e, vm), true);
	}
	raw_op(e, 0, VSW_OP_REQUEST, buf_alloc_a, 0);
	raw_gets(e, 1, VSW_OP_REQUEST, buf_alloc_a, 0);
	raw_op(e, 1, VSW_OP_RESPONSE, buf_alloc_b, 0);
	raw_gets(e, 0, VSW_OP_RESPONSE, buf_alloc_b, 0);
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

/* Guest 1, with few receive buffers. */
#define N_BUFS 8
#define ROOM (3776 - VSW_PKT_HDR_LEN)

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

/* The allocator of the sanitizers keeps what was freed. */
#ifdef __SANITIZE_ADDRESS__
#define SPILL_MAX (16 * BUDGET)
#else
#define SPILL_MAX (BUDGET + BUDGET / 4)
#endif

static void
no_more_than(struct env *e, const char *what, uint64_t since, uint64_t ms)
{
	uint64_t took = vsw_guest_now_ms() - since;

	if (took > ms)
		fail_env(e, "%s took %lu ms", what, (unsigned long)took);
}

/* Connections from guest 0 to guest 1 with all windows full: the whole budget. */
static void
use_up_budget(struct env *e, struct duo d[N_FULL], const struct duo *plugged)
{
	for (unsigned int i = 0; i < N_FULL; i++)
		d[i] = duo_connect(e, 0, 1, DUO_PORT);
	plug(e, plugged);
	fill_windows(e, d, N_FULL);
}

/* The budget is used up, the stuck connections are reset, the guest goes on; exactly the
 * budget was there, so nothing of what earlier cases left behind counts against it. */
static void
test_budget(struct env *e)
{
	static struct duo d[N_FULL];
	struct duo moves, plugged, more;
	size_t resident;
	struct pair host;
	uint64_t since;

	guest_up(e, 0, NULL);
	receiver_up(e);
	guest_up(e, 2, NULL);
	moves = duo_connect(e, 0, 2, DUO_PORT);
	host = pair_from_guest(e, 0, 52);
	plugged = duo_connect(e, 0, 1, DUO_PORT);
	more = duo_connect(e, 0, 1, DUO_PORT);
	resident = env_resident(e);
	use_up_budget(e, d, &plugged);
	pair_check(e, &host); /* behind all in the ring: they fit, or some would be reset by now */
	for (unsigned int i = 0; i < N_FULL; i++)
		check(e, sock_is_alive(d[i].a));
	check(e, env_resident(e) - resident < SPILL_MAX);

	since = vsw_guest_now_ms();
	sock_send(e, more.a, 0, 1); /* beyond the budget: stops the guest */
	duo_check(e, &moves);
	pair_check(e, &host);
	no_more_than(e, "the stall of a guest with stuck siblings", since, 2500);
	check(e, env_resident(e) - resident < SPILL_MAX);
	for (unsigned int i = 0; i < N_FULL; i++)
		sock_wait_reset(e, d[i].a);
	duo_works(e, 0, 2);
	duo_works(e, 2, 0);

	/* The receiver hears of it once it takes something, and is served again. */
	unplug(e, &plugged);
	for (unsigned int i = 0; i < N_FULL; i++) {
		sock_wait_reset(e, d[i].b);
		vsw_guest_close(d[i].a);
		vsw_guest_close(d[i].b);
	}
	sock_recv(e, more.b, 0, 1);
	duo_close(e, &more);
	duo_close(e, &plugged);
	duo_close(e, &moves);
	duo_works(e, 0, 1);
	pair_close(e, &host);
}

/* The same where the sender has closed the stuck connections: what they left behind, for which
 * the receiver would have 8 s, must not stop it for longer. */
static void
test_budget_of_closed_connections(struct env *e)
{
	static struct duo d[N_FULL];
	struct duo more, plugged;
	uint64_t since;

	guest_up(e, 0, NULL);
	receiver_up(e);
	guest_up(e, 2, NULL);
	plugged = duo_connect(e, 0, 1, DUO_PORT);
	more = duo_connect(e, 0, 1, DUO_PORT);
	use_up_budget(e, d, &plugged);
	for (unsigned int i = 0; i < N_FULL; i++)
		vsw_guest_abort(d[i].a);
	since = vsw_guest_now_ms();
	sock_send(e, more.a, 0, 1);
	duo_works(e, 0, 2);
	no_more_than(e, "the stall of a guest with stuck siblings", since, 2500);
	unplug(e, &plugged);
	for (unsigned int i = 0; i < N_FULL; i++) {
		sock_wait_reset(e, d[i].b);
		vsw_guest_close(d[i].b);
	}
	sock_recv(e, more.b, 0, 1);
	duo_close(e, &more);
	duo_close(e, &plugged);
}

/* A process that stood still for a while finds that many timers have run out at once; the end
 * of connections by one of them concerns the others. */
static void
test_timers_that_run_out_together(struct env *e)
{
	struct vsw_guest_conf conf = guest_conf(e, 0);
	static struct duo d[N_FULL];
	struct duo more, plugged;
	uint64_t since;

	conf.buf_alloc = 4096; /* it may leave few packets unread */
	guest_up(e, 0, &conf);
	receiver_up(e);
	guest_up(e, 2, NULL);
	plugged = duo_connect(e, 0, 1, DUO_PORT);
	more = duo_connect(e, 0, 1, DUO_PORT);
	use_up_budget(e, d, &plugged);
	/* More than guest 0 may leave unread, 7 packets: each of these asks for credit four times
	 * a second from now on, out of step with the others. */
	for (unsigned int i = 0; i < N_FULL; i += 2) {
		for (unsigned int k = 1; k <= 7; k++) {
			sock_send(e, d[i].b, k, 1);
			sock_wait_unread(e, d[i].a, k);
		}
		sock_send(e, d[i].b, 0, 1);
		pump_fd(e, -1, 0, 8);
	}
	sock_send(e, more.a, 0, 1); /* from now on guest 0 waits, for a second at most */
	since = vsw_guest_now_ms();
	while (vsw_guest_now_ms() - since < 850)
		pump_fd(e, -1, 0, 10);
	check(e, kill(env_pid(e), SIGSTOP) == 0);
	while (vsw_guest_now_ms() - since < 1350)
		pump_fd(e, -1, 0, 10);
	check(e, kill(env_pid(e), SIGCONT) == 0);
	duo_works(e, 0, 2);
	unplug(e, &plugged);
	for (unsigned int i = 0; i < N_FULL; i++) {
		sock_wait_reset(e, d[i].a);
		sock_wait_reset(e, d[i].b);
		vsw_guest_close(d[i].a);
		vsw_guest_close(d[i].b);
	}
	sock_recv(e, more.b, 0, 1);
	duo_close(e, &more);
	duo_close(e, &plugged);
	duo_works(e, 0, 1);
}

int
main(void)
{
	static const struct test_case cases[] = {
		CASE(test_credit_passes_through),
		CASE(test_overrun_is_a_reset),
		CASE(test_shrinking_window),
		CASE(test_thousands_of_small_packets),
		CASE(test_small_packets_both_ways),
		CASE(test_news_of_credit_overtakes_data),
		CASE(test_receiver_without_buffers),
		CASE(test_budget),
		CASE(test_budget_of_closed_connections),
		CASE(test_timers_that_run_out_together),
	};

	return run_cases_in("sibling-flow", sibling_variants, n_sibling_variants, cases,
			    VSW_ARRAY_SIZE(cases));
}
