/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Connections in every state, for the tests of lib/conn: made by packets and events alone,
 * as the switch would make them.
 */
#ifndef CONN_CASE_H
#define CONN_CASE_H

#include "vsw_test.h"

#include "vsw_base.h"
#include "vsw_conn.h"

#define GUEST_CID 3u
#define SIBLING_CID 4u
#define GUEST_PORT 1024u
#define FAR_PORT 52u
/* What each side announces unless a test says otherwise. */
#define WINDOW (256u * 1024)

/* The two kinds of far end, as bits. */
#define HOST 1u
#define SIBLING 2u
#define ANY (HOST | SIBLING)

#define BIT(n) (1u << (n))
#define PENDING(name) BIT(VSW_OP_##name)
#define ACT(name) VSW_CONN_ACT_##name

static inline uint32_t
far_cid(unsigned int kind)
{
	return kind == HOST ? VSW_CID_HOST : SIBLING_CID;
}

/* A packet of the guest on the connection. */
static inline struct vsw_pkt
packet(const struct vsw_conn *conn, uint16_t op)
{
	return (struct vsw_pkt){
		.src_cid = conn->guest_cid,
		.dst_cid = conn->far_cid,
		.src_port = conn->guest_port,
		.dst_port = conn->far_port,
		.type = VSW_TYPE_STREAM,
		.op = op,
		.buf_alloc = WINDOW,
		.fwd_cnt = conn->peer_fwd_cnt,
	};
}

static inline uint32_t
input(struct vsw_conn *conn, uint16_t op)
{
	struct vsw_pkt pkt = packet(conn, op);

	return vsw_conn_input(conn, &pkt);
}

static inline uint32_t
input_data(struct vsw_conn *conn, uint32_t len)
{
	struct vsw_pkt pkt = packet(conn, VSW_OP_RW);

	pkt.len = len;
	return vsw_conn_input(conn, &pkt);
}

static inline uint32_t
input_shutdown(struct vsw_conn *conn, uint32_t flags)
{
	struct vsw_pkt pkt = packet(conn, VSW_OP_SHUTDOWN);

	pkt.flags = flags;
	return vsw_conn_input(conn, &pkt);
}

/* The guest tells its window. */
static inline uint32_t
input_credit(struct vsw_conn *conn, uint32_t buf_alloc, uint32_t fwd_cnt)
{
	struct vsw_pkt pkt = packet(conn, VSW_OP_CREDIT_UPDATE);

	pkt.buf_alloc = buf_alloc;
	pkt.fwd_cnt = fwd_cnt;
	return vsw_conn_input(conn, &pkt);
}

static inline uint32_t
event(struct vsw_conn *conn, enum vsw_conn_event ev)
{
	return vsw_conn_event(conn, ev, 0);
}

/* Tell the guest the next thing. */
static inline struct vsw_pkt
tell(struct vsw_conn *conn, uint32_t *act)
{
	struct vsw_pkt pkt;

	assert_true(vsw_conn_next_packet(conn, &pkt, act));
	return pkt;
}

/* Tell the guest everything. @return the actions that brought about. */
static inline uint32_t
tell_all(struct vsw_conn *conn)
{
	uint32_t all = 0;

	while (vsw_conn_has_pending(conn)) {
		uint32_t act;

		tell(conn, &act);
		all |= act;
	}
	return all;
}

static inline void
give_data(struct vsw_conn *conn, uint32_t len)
{
	struct vsw_pkt pkt;

	vsw_conn_data_packet(conn, len, &pkt);
}

/* The guest has asked. */
static inline struct vsw_conn
opening(unsigned int kind)
{
	const struct vsw_pkt request = {
		.src_cid = GUEST_CID,
		.dst_cid = far_cid(kind),
		.src_port = GUEST_PORT,
		.dst_port = FAR_PORT,
		.type = VSW_TYPE_STREAM,
		.op = VSW_OP_REQUEST,
		.buf_alloc = WINDOW,
	};
	struct vsw_conn conn;

	vsw_conn_init_from_guest(&conn, &request, kind == SIBLING);
	if (kind == HOST)
		vsw_conn_far_credit(&conn, WINDOW, 0);
	return conn;
}

/* The far end has asked; the guest does not know yet. */
static inline struct vsw_conn
asking(unsigned int kind)
{
	struct vsw_conn conn;

	vsw_conn_init_to_guest(&conn, GUEST_CID, GUEST_PORT, far_cid(kind), FAR_PORT);
	vsw_conn_far_credit(&conn, WINDOW, 0);
	return conn;
}

static inline struct vsw_conn
asked(unsigned int kind)
{
	struct vsw_conn conn = asking(kind);

	tell_all(&conn);
	return conn;
}

static inline struct vsw_conn
established(unsigned int kind)
{
	struct vsw_conn conn = asked(kind);

	input(&conn, VSW_OP_RESPONSE);
	return conn;
}

#endif /* CONN_CASE_H */
