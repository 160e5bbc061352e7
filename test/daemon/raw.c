/* SPDX-License-Identifier: BSD-3-Clause */
#include "raw.h"

#include <errno.h>

struct vsw_pkt
raw_pkt(unsigned int vm, uint16_t op)
{
	return (struct vsw_pkt){
		.src_cid = 3 + vm,
		.dst_cid = VSW_CID_HOST,
		.src_port = RAW_GUEST_PORT,
		.dst_port = RAW_HOST_PORT,
		.type = VSW_TYPE_STREAM,
		.op = op,
		.buf_alloc = 262144,
	};
}

void
raw_send(struct env *e, struct vsw_guest *g, const struct vsw_pkt *pkt, const void *payload,
	 size_t len)
{
	uint64_t deadline = vsw_guest_now_ms() + WAIT_MS;

	while (vsw_guest_send_pkt(g, pkt, payload, len) < 0) {
		if (vsw_guest_now_ms() >= deadline)
			fail_env(e, "waited %d ms for a slot: %s", WAIT_MS, vsw_guest_error(g));
		vsw_guest_poll(g, 10);
	}
}

void
raw_send_op(struct env *e, struct vsw_guest *g, unsigned int vm, uint16_t op)
{
	const struct vsw_pkt pkt = raw_pkt(vm, op);

	raw_send(e, g, &pkt, NULL, 0);
}

struct vsw_pkt
raw_expect(struct env *e, struct vsw_guest *g, uint16_t op)
{
	uint64_t start = vsw_guest_now_ms();
	struct vsw_pkt pkt;

	if (vsw_guest_recv_pkt(g, &pkt, NULL, 0, WAIT_MS) < 0)
		fail_env(e, "waiting for %s: %s", vsw_pkt_op_str(op), vsw_guest_error(g));
	if (pkt.op != op) /* a RST after 2 s is a request that nobody answered in time */
		fail_env(e, "expected %s, got %s from port %u to %u after %lu ms",
			 vsw_pkt_op_str(op), vsw_pkt_op_str(pkt.op), pkt.src_port, pkt.dst_port,
			 (unsigned long)(vsw_guest_now_ms() - start));
	return pkt;
}

struct vsw_pkt
raw_find(struct env *e, struct vsw_guest *g, uint16_t op)
{
	struct vsw_pkt pkt;

	do {
		if (vsw_guest_recv_pkt(g, &pkt, NULL, 0, WAIT_MS) < 0)
			fail_env(e, "waiting for %s: %s", vsw_pkt_op_str(op), vsw_guest_error(g));
	} while (pkt.op != op);
	return pkt;
}

void
raw_expect_quiet(struct env *e, struct vsw_guest *g)
{
	struct vsw_pkt pkt;

	if (vsw_guest_recv_pkt(g, &pkt, NULL, 0, QUIET_MS) == 0)
		fail_env(e, "expected no packet, got %s for port %u", vsw_pkt_op_str(pkt.op),
			 pkt.dst_port);
}

int
raw_connect(struct env *e, struct vsw_guest *g, unsigned int vm, uint32_t buf_alloc)
{
	int listener = host_listen(e, vm, RAW_HOST_PORT, 8), fd;
	struct vsw_pkt pkt = raw_pkt(vm, VSW_OP_REQUEST), response;

	vsw_guest_set_raw(g, true);
	pkt.buf_alloc = buf_alloc;
	raw_send(e, g, &pkt, NULL, 0);
	response = raw_expect(e, g, VSW_OP_RESPONSE);
	check(e, response.src_port == RAW_HOST_PORT);
	check(e, response.dst_port == RAW_GUEST_PORT);
	check(e, response.src_cid == VSW_CID_HOST);
	check(e, response.buf_alloc == 262144);
	check(e, response.fwd_cnt == 0);
	fd = host_accept(e, listener);
	env_close(e, listener);
	return fd;
}

void
raw_check_alive(struct env *e, struct vsw_guest *g, unsigned int vm)
{
	struct pair p;

	vsw_guest_set_raw(g, false);
	p = pair_from_guest(e, vm, 59);
	pair_check(e, &p);
	pair_close(e, &p);
	p = pair_from_host(e, vm, 59);
	pair_check(e, &p);
	pair_close(e, &p);
}
