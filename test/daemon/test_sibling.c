/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves traffic between guests: who reaches whom, and every byte of streams through all
 * shapes of packets and buffers, in every placement of guests on lcores.
 */
#include <string.h>

#include "duo.h"
#include "raw.h"

static void
test_siblings_talk(struct env *e)
{
	guest_up(e, 0, NULL);
	guest_up(e, 1, NULL);
	guest_up(e, 2, NULL);
	duo_works(e, 0, 1);
	duo_works(e, 1, 0);
	duo_works(e, 0, 2);
	duo_works(e, 2, 1);
}

/*
 * Streams.
 */

/* How a guest sends and receives. */
struct shape {
	const char *name;
	enum vsw_guest_send_shape send;
	unsigned int fragments;
	uint32_t send_max;
	uint32_t buf_len;
	unsigned int pieces;
	uint16_t ring_size;
	uint64_t total; /* bytes worth receiving into such buffers */
};

static const struct shape shapes[] = {
	{"Linux", VSW_GUEST_SEND_ONE, 1, 65536, 3776, 1, 128, 4 << 20},
	{"header apart", VSW_GUEST_SEND_SPLIT, 1, 65536, 3776, 2, 128, 4 << 20},
	{"17 fragments", VSW_GUEST_SEND_SPLIT, 17, 65536, 1500, 1, 256, 2 << 20},
	{"indirect", VSW_GUEST_SEND_INDIRECT, 17, 65536, 65580, 1, 128, 8 << 20},
	{"tiny buffers", VSW_GUEST_SEND_ONE, 1, 65536, 45, 1, 256, 20000},
	{"small packets", VSW_GUEST_SEND_INDIRECT, 3, 1000, 4096, 5, 256, 1 << 20},
	{"single bytes", VSW_GUEST_SEND_INDIRECT, 60, 60, 60, 60, 256, 20000},
	{"small ring", VSW_GUEST_SEND_SPLIT, 1, 65536, 9000, 3, 8, 1 << 20},
	{"small buffers", VSW_GUEST_SEND_ONE, 1, 7, 99, 2, 128, 50000},
};

static void
guest_up_in_shape(struct env *e, unsigned int vm, const struct shape *shape)
{
	struct vsw_guest_conf conf = guest_conf(e, vm);

	conf.send_shape = shape->send;
	conf.send_fragments = shape->fragments;
	conf.send_max = shape->send_max;
	conf.recv_buf_len = shape->buf_len;
	conf.recv_pieces = shape->pieces;
	conf.ring_size = shape->ring_size;
	guest_up(e, vm, &conf);
}

static void
run_both_ways(struct env *e, const struct duo *d, uint64_t a_to_b, uint64_t b_to_a)
{
	struct stream streams[] = {
		{.from = d->a, .to = d->b, .total = a_to_b},
		{.from = d->b, .to = d->a, .total = b_to_a, .base = 12345},
	};

	run_streams(e, streams, 2);
}

/* Each shape meets itself, so the next, and one further off. */
static void
test_every_shape_of_packets_and_buffers(struct env *e)
{
	static const size_t steps[] = {0, 1, 3};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(shapes) * VSW_ARRAY_SIZE(steps); i++) {
		const struct shape *a = &shapes[i % VSW_ARRAY_SIZE(shapes)];
		const struct shape *b =
			&shapes[(i + steps[i / VSW_ARRAY_SIZE(shapes)]) % VSW_ARRAY_SIZE(shapes)];
		uint64_t to_a = vsw_min_u32(a->total, 2000 * b->send_max);
		uint64_t to_b = vsw_min_u32(b->total, 2000 * a->send_max);
		struct duo d;

		guest_up_in_shape(e, 0, a);
		guest_up_in_shape(e, 1, b);
		d = duo_connect(e, 0, 1, DUO_PORT);
		run_both_ways(e, &d, to_b, to_a);
		duo_close(e, &d);
		guest_down(e, 0);
		guest_down(e, 1);
		env_wait_fds(e, env_baseline_fds(e));
	}
}

static void
test_bulk_both_ways(struct env *e)
{
	struct duo d;

	guest_up(e, 0, NULL);
	guest_up(e, 1, NULL);
	d = duo_connect(e, 0, 1, DUO_PORT);
	run_both_ways(e, &d, 24 << 20, 24 << 20);
	duo_close(e, &d);
}

static void
test_hairpin(struct env *e)
{
	struct duo d;

	guest_up(e, 0, NULL);
	d = duo_connect(e, 0, 0, DUO_PORT);
	run_both_ways(e, &d, 8 << 20, 8 << 20);
	duo_close(e, &d);
	guest_wait_no_socks(e, 0);
}

/* Streams round four guests and to the host, several at a time: none gets another's bytes. */
static void
test_streams_in_a_ring(struct env *e)
{
	enum { N = 12 };
	struct stream streams[N];
	struct duo d[N];
	struct pair pair;
	struct flow flow;

	for (unsigned int vm = 0; vm < 4; vm++)
		guest_up(e, vm, NULL);
	for (unsigned int i = 0; i < N; i++) {
		d[i] = duo_connect(e, i % 4, (i + 1) % 4, DUO_PORT + i);
		streams[i] = (struct stream){
			.from = i % 3 == 0 ? d[i].b : d[i].a,
			.to = i % 3 == 0 ? d[i].a : d[i].b,
			.total = 1 << 20,
			.chunk = i % 2 == 0 ? 65536 : 1234,
			.base = i * 100003,
		};
	}
	pair = pair_from_guest(e, 0, 52);
	flow = (struct flow){.s = pair.s, .fd = pair.fd, .to_host = 1 << 20, .to_guest = 1 << 20};
	run_streams(e, streams, N);
	run_flows(e, &flow, 1);
	pair_close(e, &pair);
	for (unsigned int i = 0; i < N; i++)
		duo_close(e, &d[i]);
}

/*
 * Routing.
 */

static void
test_requests_that_reach_nobody(struct env *e)
{
	struct vsw_guest_conf conf = guest_conf(e, 1);
	struct vsw_guest *g0 = guest_up(e, 0, NULL), *g;
	unsigned int n_fds = env_settled_fds(e);

	duo_refused(e, 0, 0, 9);
	duo_refused(e, 0, 1, 9);
	check(e, vsw_guest_violations(g0) == 2); /* packets from such CIDs, but we asked for it */
	vsw_guest_forgive(g0);
	duo_refused(e, 0, 777, 9);      /* no such guest */
	duo_refused(e, 0, 3 + 1024, 9); /* the same place in a table of a power of two */
	duo_refused(e, 0, UINT32_MAX - 1, 9);
	duo_refused(e, 0, CID(1), 9); /* its VMM is not there */

	g = vsw_guest_create(&conf);
	check(e, g != NULL && vsw_guest_attach(g) == 0);
	duo_refused(e, 0, CID(1), 9); /* there, but its driver is not */
	vsw_guest_destroy(g);

	env_wait_fds(e, n_fds); /* until then another VMM is turned away */
	guest_up(e, 1, NULL);
	duo_refused(e, 0, CID(1), 9); /* nobody listens */
	duo_refused(e, 0, CID(0), 9); /* nobody listens here either */
	duo_works(e, 0, 1);
	check(e, vsw_guest_stop(env_guest(e, 1)) == 0);
	duo_refused(e, 0, CID(1), 9); /* its driver has gone */
	check(e, vsw_guest_start(env_guest(e, 1), VSW_GUEST_BOOT) == 0);
	guest_sync(e, 1);
	duo_works(e, 0, 1);
	guest_down(e, 1);
	duo_refused(e, 0, CID(1), 9);
}

static void
test_groups(struct env *e)
{
	guest_up(e, 0, NULL);
	for (unsigned int vm = 4; vm < 8; vm++) {
		guest_up(e, vm, NULL);
		vsw_guest_listen(env_guest(e, vm), 9, 8);
	}
	duo_works(e, 4, 5); /* a+b meets b+c */
	duo_works(e, 5, 4);
	duo_works(e, 5, 6); /* b+c meets c+d */
	duo_works(e, 6, 5);
	duo_refused(e, 4, CID(6), 9); /* but a+b does not meet c+d */
	duo_refused(e, 6, CID(4), 9);
	duo_refused(e, 0, CID(4), 9); /* nor does default */
	duo_refused(e, 4, CID(0), 9);
	duo_refused(e, 7, CID(4), 9);
	duo_works(e, 4, 4);
	duo_refused(e, 7, CID(7), 9); /* hairpin=off */
}

/* To itself, but not from a port to the same one: its two ends would have one name. */
static void
test_from_a_port_to_itself(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct vsw_pkt pkt = raw_pkt(0, VSW_OP_REQUEST), rst;

	pkt.dst_cid = CID(0);
	pkt.dst_port = pkt.src_port;
	vsw_guest_set_raw(g, true);
	raw_send(e, g, &pkt, NULL, 0);
	rst = raw_expect(e, g, VSW_OP_RST);
	check(e, rst.src_cid == CID(0) && rst.dst_cid == CID(0));
	check(e, rst.src_port == pkt.src_port && rst.dst_port == pkt.src_port);
	raw_expect_quiet(e, g);
	vsw_guest_set_raw(g, false);
	duo_works(e, 0, 0);
}

/* Keep both guests going, and take what guest g got. */
static struct vsw_pkt
find_pkt(struct env *e, struct vsw_guest *g, uint16_t op)
{
	return raw_expect(e, g, op);
}

/* A claim to be somebody else is not passed on, and what is passed on has the sender's CID. */
static void
test_spoofed_sources(struct env *e)
{
	struct vsw_guest *g0 = guest_up(e, 0, NULL), *g1 = guest_up(e, 1, NULL);
	struct vsw_pkt pkt = raw_pkt(0, VSW_OP_REQUEST), got;

	guest_up(e, 2, NULL);
	vsw_guest_set_raw(g0, true);
	vsw_guest_set_raw(g1, true);
	pkt.dst_cid = CID(1);
	pkt.src_cid = CID(2);
	raw_send(e, g0, &pkt, NULL, 0);
	pkt.src_cid = VSW_CID_HOST;
	raw_send(e, g0, &pkt, NULL, 0);
	raw_expect_quiet(e, g1);
	raw_expect_quiet(e, g0);

	pkt.src_cid = CID(0);
	raw_send(e, g0, &pkt, NULL, 0);
	got = find_pkt(e, g1, VSW_OP_REQUEST);
	check(e, got.src_cid == CID(0) && got.dst_cid == CID(1));
	check(e, got.src_port == pkt.src_port && got.dst_port == pkt.dst_port);
	pkt = got;
	pkt.op = VSW_OP_RESPONSE;
	pkt.src_cid = got.dst_cid;
	pkt.dst_cid = got.src_cid;
	pkt.src_port = got.dst_port;
	pkt.dst_port = got.src_port;
	raw_send(e, g1, &pkt, NULL, 0);
	got = find_pkt(e, g0, VSW_OP_RESPONSE);
	check(e, got.src_cid == CID(1) && got.dst_cid == CID(0));

	/* Data on the established connection, claimed to be another's. */
	pkt = raw_pkt(0, VSW_OP_RW);
	pkt.dst_cid = CID(1);
	pkt.src_cid = CID(2);
	pkt.len = 5;
	raw_send(e, g0, &pkt, "wrong", 5);
	pkt.src_cid = CID(0);
	raw_send(e, g0, &pkt, "right", 5);
	got = find_pkt(e, g1, VSW_OP_RW);
	check(e, got.src_cid == CID(0) && got.len == 5);
	pkt.op = VSW_OP_RST;
	pkt.len = 0;
	raw_send(e, g0, &pkt, NULL, 0);
	find_pkt(e, g1, VSW_OP_RST);
}

int
main(void)
{
	static const struct test_case cases[] = {
		CASE(test_siblings_talk),
		CASE(test_every_shape_of_packets_and_buffers),
		CASE(test_bulk_both_ways),
		CASE(test_hairpin),
		CASE(test_streams_in_a_ring),
		CASE(test_requests_that_reach_nobody),
		CASE(test_groups),
		CASE(test_from_a_port_to_itself),
		CASE(test_spoofed_sources),
	};

	return run_cases_in("sibling", sibling_variants, n_sibling_variants, cases,
			    VSW_ARRAY_SIZE(cases));
}
