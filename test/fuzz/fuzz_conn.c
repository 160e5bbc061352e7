/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The connection state machine under any packets and events, whether they make sense or not:
 * what a lying guest, a lying sibling and a caller that keeps to vsw_conn.h can bring about.
 * Positions are counted here a second time, in 64 bits.
 *
 * Input: far end and side (1 byte), windows (4, 4), then steps: a byte (what), and numbers.
 */
#include "fuzz.h"

#include "vsw_base.h"
#include "vsw_conn.h"

#define STEPS_MAX 1000
#define GUEST_CID 3u
#define GUEST_PORT 1024u
#define FAR_PORT 52u

#define BIT(op) (1u << (op))

/* What each state may ask for, vsw_conn.h. */
static const uint32_t actions_of[VSW_CONN_N_STATES] = {
	[VSW_CONN_OPENING] = VSW_CONN_ACT_DISARM | VSW_CONN_ACT_CLOSE_FAR | VSW_CONN_ACT_REMOVE,
	[VSW_CONN_REQUESTING] = VSW_CONN_ACT_ACCEPT | VSW_CONN_ACT_DISARM | VSW_CONN_ACT_CLOSE_FAR |
				VSW_CONN_ACT_REMOVE | VSW_CONN_ACT_UNEXPECTED,
	[VSW_CONN_ESTABLISHED] = 0x7ff & ~VSW_CONN_ACT_ACCEPT,
};

#define TO_FAR                                                                                     \
	(VSW_CONN_ACT_DELIVER | VSW_CONN_ACT_ACCEPT | VSW_CONN_ACT_SHUT_SEND |                     \
	 VSW_CONN_ACT_SHUT_RECV | VSW_CONN_ACT_CLOSE_FAR)
#define ONCE                                                                                       \
	(VSW_CONN_ACT_ACCEPT | VSW_CONN_ACT_SHUT_SEND | VSW_CONN_ACT_SHUT_RECV |                   \
	 VSW_CONN_ACT_CLOSE_FAR | VSW_CONN_ACT_REMOVE)

struct model {
	struct vsw_conn conn;
	bool is_sibling;
	uint32_t done; /* actions so far */

	/* From the guest. */
	uint64_t n_from, n_taken;
	uint64_t limit; /* n_from may come to this */

	/* To the guest. */
	uint64_t n_sent, n_read;
	uint32_t guest_window;
	uint32_t reserved;
	bool shut_recv; /* the guest receives no more */
};

static void
check_credit(const struct model *m)
{
	const struct vsw_conn *conn = &m->conn;
	struct vsw_conn_window window = vsw_conn_window(conn);
	uint64_t in_flight = m->n_sent - m->n_read + m->reserved;
	unsigned int n_unread = 0;

	CHECK(m->n_from <= m->limit);
	CHECK(window.bytes == 0 || window.bytes + in_flight == m->guest_window);
	CHECK(window.bytes != 0 || in_flight >= m->guest_window || m->shut_recv ||
	      conn->state != VSW_CONN_ESTABLISHED);
	CHECK(!m->shut_recv || (window.bytes == 0 && window.packets == 0));
	CHECK(conn->n_marks <= VSW_CONN_MARKS && conn->first_mark < VSW_CONN_MARKS);
	for (unsigned int i = 0; i < conn->n_marks; i++)
		n_unread += conn->mark[(conn->first_mark + i) % VSW_CONN_MARKS].n_packets;
	CHECK(n_unread == conn->n_unread);
}

static void
check_state(const struct model *m)
{
	const struct vsw_conn *conn = &m->conn;

	CHECK(conn->state < VSW_CONN_N_STATES && conn->reason < VSW_CONN_N_REASONS);
	CHECK(vsw_conn_state_str(conn->state) != NULL && vsw_conn_reason_str(conn->reason) != NULL);
	if (conn->state == VSW_CONN_CLOSED) {
		CHECK((conn->pending & ~BIT(VSW_OP_RST)) == 0);
		CHECK(conn->reason != VSW_CONN_REASON_NONE && !conn->probing);
		CHECK(m->done & VSW_CONN_ACT_REMOVE);
	} else {
		CHECK(!(conn->pending & BIT(VSW_OP_RST)));
		CHECK(conn->reason == VSW_CONN_REASON_NONE);
		CHECK(!(conn->pending & BIT(VSW_OP_RW)));
	}
	CHECK(!(conn->pending & BIT(VSW_OP_REQUEST)) || conn->state == VSW_CONN_REQUESTING);
	CHECK(!(conn->pending & BIT(VSW_OP_RESPONSE)) || conn->side == VSW_SIDE_INI);
}

static void
check_actions(struct model *m, uint8_t was, uint32_t act)
{
	bool has_ended = was != VSW_CONN_CLOSED && m->conn.state == VSW_CONN_CLOSED;

	CHECK((act & ~actions_of[was]) == 0);
	CHECK((act & m->done & ONCE) == 0);
	CHECK(!(m->done & VSW_CONN_ACT_CLOSE_FAR) || !(act & TO_FAR));
	CHECK(m->is_sibling || !(act & (VSW_CONN_ACT_TELL_CREDIT | VSW_CONN_ACT_ASK_CREDIT)));
	CHECK(((act & VSW_CONN_ACT_REMOVE) != 0) == has_ended);
	CHECK(!has_ended || (act & VSW_CONN_ACT_DISARM));
	CHECK(!has_ended || !(act & VSW_CONN_ACT_ARM_CLOSE));
	m->done |= act;
	if (act & VSW_CONN_ACT_SHUT_RECV)
		m->shut_recv = true;
}

/* What the guest says of what it has read is believed if it can be true. */
static void
note_credit(struct model *m, const struct vsw_pkt *pkt)
{
	uint32_t news = pkt->fwd_cnt - (uint32_t)m->n_read;

	if (news <= m->n_sent - m->n_read)
		m->n_read += news;
	m->guest_window = pkt->buf_alloc;
}

static void
check_closed_is_final(struct model *m, struct input *in)
{
	enum vsw_conn_event ev = take_u8(in) % VSW_CONN_N_EVENTS;
	struct vsw_pkt pkt = {.op = take_u8(in) & 7};
	struct vsw_conn before = m->conn;

	CHECK(vsw_conn_input(&m->conn, &pkt) == 0);
	CHECK(vsw_conn_event(&m->conn, ev, take_u16(in)) == 0);
	/* a guest that has forgotten it needs no RST any more */
	if (ev == VSW_CONN_EV_SUPERSEDED || ev == VSW_CONN_EV_GUEST_GONE)
		before.pending = 0;
	CHECK(!vsw_conn_stalled(&m->conn));
	CHECK(memcmp(&before, &m->conn, sizeof(before)) == 0);
}

static void
step_input(struct model *m, struct input *in, uint16_t op)
{
	struct vsw_pkt pkt = {
		.src_cid = m->conn.guest_cid,
		.dst_cid = m->conn.far_cid,
		.src_port = m->conn.guest_port,
		.dst_port = m->conn.far_port,
		.type = VSW_TYPE_STREAM,
		.op = op,
	};
	uint8_t was = m->conn.state;
	bool is_asked = !(m->conn.pending & BIT(VSW_OP_REQUEST));
	uint32_t act;

	pkt.buf_alloc = take_u32(in);
	/* Mostly near what is true. */
	pkt.fwd_cnt = (uint32_t)m->n_read + take_u16(in);
	if (op == VSW_OP_SHUTDOWN)
		pkt.flags = take_u8(in) & VSW_SHUTDOWN_BOTH;
	if (op == VSW_OP_RW)
		pkt.len = take_u16(in) + (take_u8(in) & 1u);
	act = vsw_conn_input(&m->conn, &pkt);
	if (is_asked)
		note_credit(m, &pkt);
	else
		CHECK(act == VSW_CONN_ACT_UNEXPECTED && m->conn.state == was);
	if (op == VSW_OP_RST && is_asked)
		CHECK(m->conn.state == VSW_CONN_CLOSED && m->conn.pending == 0);
	CHECK(op == VSW_OP_RW || !(act & VSW_CONN_ACT_DELIVER));
	if (op == VSW_OP_RW && was == VSW_CONN_ESTABLISHED &&
	    m->conn.state == VSW_CONN_ESTABLISHED) {
		m->n_from += pkt.len;
		if (!(act & VSW_CONN_ACT_DELIVER) && !m->is_sibling) {
			m->n_taken += pkt.len; /* nobody is there to read it */
			m->limit = m->n_taken + m->conn.buf_alloc;
		}
	}
	/* A REQUEST supersedes, so this is none of them. */
	if (op == VSW_OP_SHUTDOWN && was == VSW_CONN_ESTABLISHED && (pkt.flags & VSW_SHUTDOWN_RCV))
		m->shut_recv = true;
	check_actions(m, was, act);
}

static void
step_event(struct model *m, struct input *in)
{
	enum vsw_conn_event ev = take_u8(in) % VSW_CONN_N_EVENTS;
	uint8_t was = m->conn.state;
	uint32_t n = 0;

	if (ev == VSW_CONN_EV_FAR_TOOK) {
		if (m->is_sibling)
			return;
		n = vsw_min_u32(take_u32(in), (uint32_t)(m->n_from - m->n_taken));
		m->n_taken += n;
		m->limit = m->n_taken + m->conn.buf_alloc;
	}
	/* A far end that refused was never open, so it cannot have been let go of. */
	if (ev == VSW_CONN_EV_FAR_REFUSED && was == VSW_CONN_OPENING &&
	    (m->done & VSW_CONN_ACT_CLOSE_FAR))
		return;
	if (ev == VSW_CONN_EV_SUPERSEDED || ev == VSW_CONN_EV_GUEST_GONE) {
		check_actions(m, was, vsw_conn_event(&m->conn, ev, n));
		CHECK(m->conn.state == VSW_CONN_CLOSED && m->conn.pending == 0);
		return;
	}
	check_actions(m, was, vsw_conn_event(&m->conn, ev, n));
}

/* Of a sibling, through its own connection object: any window, any position. */
static void
step_far_credit(struct model *m, struct input *in)
{
	uint32_t buf_alloc = take_u32(in);
	uint32_t fwd_cnt = (uint32_t)m->n_taken + take_u32(in);
	uint32_t news = fwd_cnt - (uint32_t)m->n_taken;
	uint64_t edge;

	if (!m->is_sibling)
		return;
	vsw_conn_far_credit(&m->conn, buf_alloc, fwd_cnt);
	if (news <= m->n_from - m->n_taken)
		m->n_taken += news;
	edge = m->n_taken + vsw_min_u32(buf_alloc, INT32_MAX);
	if (edge > m->limit)
		m->limit = edge;
	CHECK(m->conn.fwd_cnt == (uint32_t)m->n_taken);
}

static void
step_tell(struct model *m)
{
	uint16_t before = m->conn.pending;
	uint8_t was = m->conn.state;
	struct vsw_pkt pkt;
	uint32_t act;

	if (!vsw_conn_has_pending(&m->conn)) {
		CHECK(!vsw_conn_next_packet(&m->conn, &pkt, &act));
		return;
	}
	CHECK(vsw_conn_next_packet(&m->conn, &pkt, &act));
	CHECK((before & BIT(pkt.op)) && m->conn.pending == (before & ~BIT(pkt.op)));
	CHECK(pkt.len == 0 && pkt.type == VSW_TYPE_STREAM);
	CHECK(pkt.dst_cid == GUEST_CID && pkt.dst_port == GUEST_PORT && pkt.src_port == FAR_PORT);
	CHECK(pkt.src_cid == m->conn.far_cid);
	CHECK(pkt.fwd_cnt == (uint32_t)m->n_taken || was == VSW_CONN_CLOSED);
	CHECK(pkt.op == VSW_OP_SHUTDOWN ? pkt.flags != 0 && pkt.flags <= VSW_SHUTDOWN_BOTH
					: pkt.flags == 0);
	CHECK(act == 0 || (act == VSW_CONN_ACT_ARM_CLOSE && pkt.op == VSW_OP_SHUTDOWN));
	m->done |= act;
}

/* A fetch: reserve, then as many packets as fill part of it. */
static void
step_data(struct model *m, struct input *in)
{
	struct vsw_conn_window window = vsw_conn_window(&m->conn);
	uint32_t reserved = vsw_min_u32(window.bytes, take_u16(in));
	uint32_t len = vsw_min_u32(reserved, take_u16(in));
	uint32_t n_packets = vsw_min_u32(window.packets, 1 + take_u8(in) % 8);

	vsw_conn_reserve(&m->conn, reserved);
	m->reserved += reserved;
	check_credit(m);
	vsw_conn_unreserve(&m->conn, reserved);
	m->reserved -= reserved;
	for (uint32_t i = 0; i < n_packets && len > 0; i++) {
		uint32_t part = i + 1 < n_packets ? (len + 1) / 2 : len;
		struct vsw_pkt pkt;

		vsw_conn_data_packet(&m->conn, part, &pkt);
		CHECK(pkt.op == VSW_OP_RW && pkt.len == part && pkt.flags == 0);
		m->n_sent += part;
		len -= part;
		check_credit(m);
	}
}

static void
step_stall(struct model *m)
{
	bool was_probing = m->conn.probing;
	bool begins = vsw_conn_stalled(&m->conn);

	CHECK(!begins || (!was_probing && m->conn.probing));
	CHECK(!begins || (m->conn.state == VSW_CONN_ESTABLISHED && !m->shut_recv));
	CHECK(!begins || (m->conn.pending & BIT(VSW_OP_CREDIT_REQUEST)));
}

static void
step_refuse(struct input *in)
{
	struct vsw_pkt rst;
	struct vsw_pkt pkt = {
		.src_cid = GUEST_CID,
		.dst_cid = take_u8(in),
		.src_port = take_u16(in),
		.dst_port = take_u16(in),
		.type = take_u8(in),
		.op = take_u8(in) & 7,
	};

	CHECK(vsw_conn_refuse(&pkt, &rst) == (pkt.op != VSW_OP_RST));
	if (pkt.op == VSW_OP_RST)
		return;
	CHECK(rst.op == VSW_OP_RST && rst.type == pkt.type && rst.len == 0);
	CHECK(rst.src_cid == pkt.dst_cid && rst.dst_cid == pkt.src_cid);
	CHECK(rst.src_port == pkt.dst_port && rst.dst_port == pkt.src_port);
}

static void
begin(struct model *m, struct input *in)
{
	uint8_t kind = take_u8(in);
	uint32_t window = take_u32(in), guest_window = take_u32(in);
	/* More than a host stream can be given: conf refuses it. */
	uint32_t buf_alloc = vsw_min_u32(window, INT32_MAX);
	struct vsw_pkt request = {
		.src_cid = GUEST_CID,
		.src_port = GUEST_PORT,
		.dst_port = FAR_PORT,
		.type = VSW_TYPE_STREAM,
		.op = VSW_OP_REQUEST,
		.buf_alloc = guest_window,
	};

	m->is_sibling = kind & 1;
	request.dst_cid = m->is_sibling ? 4 : VSW_CID_HOST;
	if (kind & 2) {
		vsw_conn_init_to_guest(&m->conn, GUEST_CID, GUEST_PORT, request.dst_cid, FAR_PORT);
	} else {
		vsw_conn_init_from_guest(&m->conn, &request, m->is_sibling);
		m->guest_window = guest_window;
	}
	m->limit = m->is_sibling ? 0 : buf_alloc;
	vsw_conn_far_credit(&m->conn, (uint32_t)m->limit, 0);
}

static void
step(struct model *m, struct input *in)
{
	uint8_t what = take_u8(in);

	switch (what & 15) {
	case VSW_OP_REQUEST: /* would supersede it */
		step_refuse(in);
		break;
	case VSW_OP_RESPONSE:
	case VSW_OP_RST:
	case VSW_OP_SHUTDOWN:
	case VSW_OP_RW:
	case VSW_OP_CREDIT_UPDATE:
	case VSW_OP_CREDIT_REQUEST:
		step_input(m, in, what & 7);
		break;
	case 8:
	case 9:
		step_event(m, in);
		break;
	case 10:
		step_far_credit(m, in);
		break;
	case 11:
	case 12:
		step_tell(m);
		break;
	case 13:
	case 14:
		step_data(m, in);
		break;
	default:
		step_stall(m);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct model m = {0};

	begin(&m, &in);
	check_state(&m);
	for (unsigned int i = 0; i < STEPS_MAX && in.len > 0 && m.conn.state != VSW_CONN_CLOSED;
	     i++) {
		step(&m, &in);
		check_state(&m);
		check_credit(&m);
	}
	if (m.conn.state == VSW_CONN_CLOSED) {
		check_closed_is_final(&m, &in);
		step_tell(&m);
		CHECK(m.conn.pending == 0);
		check_closed_is_final(&m, &in);
	}
	return 0;
}
