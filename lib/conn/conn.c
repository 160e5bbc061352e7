/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where this sits: step 6 of doc/guides/walk, vsw_conn_input().
 *
 * The states, what they take from the guest, and how they are left. Everything ends in CLOSED
 * through end(); a RST from the guest, TIMEOUT, ABORT, SUPERSEDED and GUEST_GONE do so in any
 * state and are left out below.
 *
 *   OPENING      The guest's REQUEST is with the far end. Nothing but credit is expected; data
 *                or a SHUTDOWN before our RESPONSE is against the protocol.
 *                -> ESTABLISHED by FAR_OPENED (RESPONSE pending)
 *                -> CLOSED by FAR_REFUSED or FAR_RESET (RST pending)
 *   REQUESTING   REQUEST is pending: what the guest sends is about an older connection of the
 *                same ports, and ignored. Then it is told: only a RESPONSE and credit are
 *                expected.
 *                -> ESTABLISHED by RESPONSE (ACCEPT)
 *                -> CLOSED by RST, which the far end sees as a refusal
 *   ESTABLISHED  Data, credit and SHUTDOWN in both directions, each half closing alone.
 *                -> CLOSED when the guest has shut down both directions of a host stream: RST
 *                   pending at once, the bridge flushes (Firecracker keeps the guest waiting
 *                   and then throws bytes away)
 *                -> CLOSED by data beyond the window or after SHUTDOWN(SEND) (RST pending)
 *   CLOSED       All that can be left is a RST for the guest, which SUPERSEDED and GUEST_GONE
 *                take back.
 *
 * With a far guest a SHUTDOWN of both directions closes nothing: it is passed on, and the RST
 * by which that guest agrees (after its application has read what is on its way) comes back
 * as FAR_RESET. So the pair of ports stays taken on both sides until both have let go.
 *
 * A guest that was told that the far end is gone and that has read everything must close: it
 * has 8 s from then (ARM_CLOSE), as Linux gives its peers.
 *
 * Where a host stream ends as a whole (far_shut is both), it is let go at once: what the guest
 * still sends is dropped and counted as taken, since nobody is there to read it.
 */
#include "vsw_conn.h"

#include <string.h>

#include "vsw_base.h"
#include "credit.h"

#define BIT(op) ((uint16_t)(1u << (op)))

const char *
vsw_conn_state_str(enum vsw_conn_state state)
{
	static const char *const text[] = {
#define X(name, str) [VSW_CONN_##name] = str,
		VSW_CONN_STATE_TABLE(X)
#undef X
	};

	return (unsigned int)state < VSW_CONN_N_STATES ? text[state] : "unknown";
}

const char *
vsw_conn_reason_str(enum vsw_conn_reason reason)
{
	static const char *const text[] = {
#define X(name) [VSW_CONN_REASON_##name] = #name,
		VSW_CONN_REASON_TABLE(X)
#undef X
	};

	return (unsigned int)reason < VSW_CONN_N_REASONS ? text[reason] : "unknown";
}

void
vsw_conn_init_from_guest(struct vsw_conn *conn, const struct vsw_pkt *request, bool is_sibling)
{
	memset(conn, 0, sizeof(*conn));
	conn->guest_cid = request->src_cid;
	conn->guest_port = request->src_port;
	conn->far_cid = request->dst_cid;
	conn->far_port = request->dst_port;
	conn->is_sibling = is_sibling;
	conn->side = VSW_SIDE_INI;
	conn->state = VSW_CONN_OPENING;
	conn->far_open = true;
	vsw_credit_from_guest(conn, request);
}

void
vsw_conn_init_to_guest(struct vsw_conn *conn, uint32_t guest_cid, uint32_t guest_port,
		       uint32_t far_cid, uint32_t far_port)
{
	memset(conn, 0, sizeof(*conn));
	conn->guest_cid = guest_cid;
	conn->guest_port = guest_port;
	conn->far_cid = far_cid;
	conn->far_port = far_port;
	conn->is_sibling = far_cid != VSW_CID_HOST;
	conn->side = VSW_SIDE_TGT;
	conn->state = VSW_CONN_REQUESTING;
	conn->far_open = true;
	conn->pending = BIT(VSW_OP_REQUEST);
}

/* A guest that was never asked (REQUEST still pending) has nothing to say and nothing to be
 * reset. */
static bool
guest_knows(const struct vsw_conn *conn)
{
	return !(conn->pending & BIT(VSW_OP_REQUEST));
}

static uint32_t
close_far(struct vsw_conn *conn)
{
	bool was_open = conn->far_open;

	conn->far_open = false;
	return was_open ? VSW_CONN_ACT_CLOSE_FAR : 0;
}

static uint32_t
end(struct vsw_conn *conn, enum vsw_conn_reason reason, bool tell)
{
	conn->state = VSW_CONN_CLOSED;
	conn->reason = reason;
	conn->probing = false;
	conn->pending = tell ? BIT(VSW_OP_RST) : 0;
	return close_far(conn) | VSW_CONN_ACT_REMOVE | VSW_CONN_ACT_DISARM;
}

/* What the far end has shut down before is told now. */
static void
establish(struct vsw_conn *conn)
{
	conn->state = VSW_CONN_ESTABLISHED;
	if (conn->far_shut != conn->far_shut_told)
		conn->pending |= BIT(VSW_OP_SHUTDOWN);
}

static bool
is_over_for_guest(const struct vsw_conn *conn)
{
	return conn->far_shut_told == VSW_SHUTDOWN_BOTH && conn->peer_fwd_cnt == conn->to_guest_cnt;
}

static uint32_t
take_payload(struct vsw_conn *conn, uint32_t len)
{
	if (conn->guest_shut & VSW_SHUTDOWN_SEND)
		return end(conn, VSW_CONN_REASON_PROTOCOL, true);
	if (len > conn->granted - conn->from_guest_cnt)
		return end(conn, VSW_CONN_REASON_CREDIT, true);
	if (len == 0)
		return 0;
	conn->from_guest_cnt += len;
	if (!(conn->far_shut & VSW_SHUTDOWN_RCV))
		return VSW_CONN_ACT_DELIVER;
	if (!conn->is_sibling)
		vsw_credit_taken(conn, len);
	return 0;
}

static uint32_t
take_shutdown(struct vsw_conn *conn, uint32_t flags)
{
	uint8_t news = flags & VSW_SHUTDOWN_BOTH & ~conn->guest_shut;
	uint32_t act = 0;

	conn->guest_shut |= news;
	if (news & VSW_SHUTDOWN_RCV)
		conn->probing = false;
	if (conn->guest_shut == VSW_SHUTDOWN_BOTH && !conn->is_sibling)
		return end(conn, VSW_CONN_REASON_GUEST_CLOSED, true);
	if (!conn->far_open)
		return 0;
	if (news & VSW_SHUTDOWN_SEND)
		act |= VSW_CONN_ACT_SHUT_SEND;
	if (news & VSW_SHUTDOWN_RCV)
		act |= VSW_CONN_ACT_SHUT_RECV;
	return act;
}

static uint32_t
take_credit_request(struct vsw_conn *conn)
{
	if (conn->is_sibling)
		return VSW_CONN_ACT_ASK_CREDIT;
	conn->pending |= BIT(VSW_OP_CREDIT_UPDATE);
	return 0;
}

static uint32_t
input_established(struct vsw_conn *conn, const struct vsw_pkt *pkt)
{
	switch (pkt->op) {
	case VSW_OP_RW:
		return take_payload(conn, pkt->len);
	case VSW_OP_SHUTDOWN:
		return take_shutdown(conn, pkt->flags);
	case VSW_OP_CREDIT_REQUEST:
		return take_credit_request(conn);
	case VSW_OP_CREDIT_UPDATE:
		return conn->is_sibling ? VSW_CONN_ACT_TELL_CREDIT : 0;
	default:
		return VSW_CONN_ACT_UNEXPECTED;
	}
}

static uint32_t
input_rst(struct vsw_conn *conn)
{
	enum vsw_conn_reason reason = VSW_CONN_REASON_GUEST_RESET;

	if (conn->state == VSW_CONN_REQUESTING)
		reason = VSW_CONN_REASON_REFUSED_BY_GUEST;
	else if (conn->far_shut_told == VSW_SHUTDOWN_BOTH)
		reason = VSW_CONN_REASON_FAR_CLOSED;
	return end(conn, reason, false);
}

uint32_t
vsw_conn_input(struct vsw_conn *conn, const struct vsw_pkt *pkt)
{
	bool was_over;
	uint32_t act;

	if (conn->state == VSW_CONN_CLOSED)
		return 0;
	if (!guest_knows(conn))
		return VSW_CONN_ACT_UNEXPECTED;
	was_over = is_over_for_guest(conn);
	vsw_credit_from_guest(conn, pkt);
	if (pkt->op == VSW_OP_RST)
		return input_rst(conn);

	if (conn->state == VSW_CONN_ESTABLISHED) {
		act = input_established(conn, pkt);
		if (conn->state == VSW_CONN_ESTABLISHED && !was_over && is_over_for_guest(conn))
			act |= VSW_CONN_ACT_ARM_CLOSE;
		return act;
	}
	if (conn->state == VSW_CONN_REQUESTING && pkt->op == VSW_OP_RESPONSE) {
		establish(conn);
		return (conn->far_open ? VSW_CONN_ACT_ACCEPT : 0) | VSW_CONN_ACT_DISARM;
	}
	if (pkt->op == VSW_OP_CREDIT_UPDATE || pkt->op == VSW_OP_CREDIT_REQUEST)
		return 0;
	return end(conn, VSW_CONN_REASON_PROTOCOL, true);
}

static uint32_t
on_far_opened(struct vsw_conn *conn)
{
	if (conn->state != VSW_CONN_OPENING)
		return 0;
	conn->pending |= BIT(VSW_OP_RESPONSE);
	establish(conn);
	return VSW_CONN_ACT_DISARM;
}

static uint32_t
on_far_refused(struct vsw_conn *conn)
{
	if (conn->state != VSW_CONN_OPENING)
		return 0;
	conn->far_open = false;
	return end(conn, VSW_CONN_REASON_REFUSED_BY_FAR, true);
}

static uint32_t
on_far_shut(struct vsw_conn *conn, uint8_t what)
{
	if ((conn->far_shut & what) == what)
		return 0;
	conn->far_shut |= what;
	if (conn->state == VSW_CONN_ESTABLISHED)
		conn->pending |= BIT(VSW_OP_SHUTDOWN);
	if (conn->far_shut == VSW_SHUTDOWN_BOTH && !conn->is_sibling)
		return close_far(conn);
	return 0;
}

static uint32_t
on_far_took(struct vsw_conn *conn, uint32_t n)
{
	vsw_credit_taken(conn, n);
	if (vsw_conn_has_news(conn, conn->buf_alloc))
		conn->pending |= BIT(VSW_OP_CREDIT_UPDATE);
	return 0;
}

static uint32_t
on_far_reset(struct vsw_conn *conn)
{
	enum vsw_conn_reason reason = VSW_CONN_REASON_FAR_RESET;

	if (conn->state == VSW_CONN_OPENING)
		reason = VSW_CONN_REASON_REFUSED_BY_FAR;
	else if (conn->guest_shut == VSW_SHUTDOWN_BOTH)
		reason = VSW_CONN_REASON_GUEST_CLOSED;
	return end(conn, reason, guest_knows(conn));
}

static uint32_t
on_timeout(struct vsw_conn *conn)
{
	if (conn->state == VSW_CONN_ESTABLISHED)
		return end(conn, VSW_CONN_REASON_CLOSE_TIMEOUT, true);
	return end(conn, VSW_CONN_REASON_REQUEST_TIMEOUT, guest_knows(conn));
}

/* Of a far guest; to one that does not know of the connection they mean nothing. */
static uint32_t
pass_on(struct vsw_conn *conn, enum vsw_pkt_op op)
{
	if (conn->state == VSW_CONN_ESTABLISHED)
		conn->pending |= BIT(op);
	return 0;
}

uint32_t
vsw_conn_event(struct vsw_conn *conn, enum vsw_conn_event ev, uint32_t n)
{
	if (conn->state == VSW_CONN_CLOSED) {
		if (ev == VSW_CONN_EV_SUPERSEDED || ev == VSW_CONN_EV_GUEST_GONE)
			conn->pending = 0;
		return 0;
	}
	switch (ev) {
	case VSW_CONN_EV_FAR_OPENED:
		return on_far_opened(conn);
	case VSW_CONN_EV_FAR_REFUSED:
		return on_far_refused(conn);
	case VSW_CONN_EV_FAR_TOOK:
		return on_far_took(conn, n);
	case VSW_CONN_EV_FAR_EOF:
		return on_far_shut(conn, VSW_SHUTDOWN_SEND);
	case VSW_CONN_EV_FAR_GONE:
		return on_far_shut(conn, VSW_SHUTDOWN_RCV);
	case VSW_CONN_EV_FAR_CREDIT_UPDATE:
		return pass_on(conn, VSW_OP_CREDIT_UPDATE);
	case VSW_CONN_EV_FAR_CREDIT_REQUEST:
		return pass_on(conn, VSW_OP_CREDIT_REQUEST);
	case VSW_CONN_EV_FAR_RESET:
		return on_far_reset(conn);
	case VSW_CONN_EV_TIMEOUT:
		return on_timeout(conn);
	case VSW_CONN_EV_PROBE:
		return conn->probing ? pass_on(conn, VSW_OP_CREDIT_REQUEST) : 0;
	case VSW_CONN_EV_SUPERSEDED:
		return end(conn, VSW_CONN_REASON_SUPERSEDED, false);
	case VSW_CONN_EV_ABORT:
		return end(conn, VSW_CONN_REASON_ABORTED, guest_knows(conn));
	case VSW_CONN_EV_GUEST_GONE:
		return end(conn, VSW_CONN_REASON_GUEST_GONE, false);
	default:
		return 0;
	}
}

static void
fill_header(struct vsw_conn *conn, uint16_t op, struct vsw_pkt *pkt)
{
	*pkt = (struct vsw_pkt){
		.src_cid = conn->far_cid,
		.dst_cid = conn->guest_cid,
		.src_port = conn->far_port,
		.dst_port = conn->guest_port,
		.type = VSW_TYPE_STREAM,
		.op = op,
		.buf_alloc = conn->buf_alloc,
		.fwd_cnt = conn->fwd_cnt,
	};
	conn->edge_told = vsw_conn_edge(conn);
}

bool
vsw_conn_next_packet(struct vsw_conn *conn, struct vsw_pkt *pkt, uint32_t *act)
{
	static const uint8_t order[] = {
		VSW_OP_REQUEST,        VSW_OP_RESPONSE, VSW_OP_CREDIT_UPDATE,
		VSW_OP_CREDIT_REQUEST, VSW_OP_SHUTDOWN, VSW_OP_RST,
	};
	size_t i = 0;

	*act = 0;
	if (conn->pending == 0)
		return false;
	while (!(conn->pending & BIT(order[i])))
		i++;
	conn->pending &= (uint16_t)~BIT(order[i]);
	fill_header(conn, order[i], pkt);
	if (order[i] == VSW_OP_SHUTDOWN) {
		pkt->flags = conn->far_shut;
		conn->far_shut_told = conn->far_shut;
		if (is_over_for_guest(conn))
			*act = VSW_CONN_ACT_ARM_CLOSE;
	}
	return true;
}

void
vsw_conn_data_packet(struct vsw_conn *conn, uint32_t len, struct vsw_pkt *pkt)
{
	fill_header(conn, VSW_OP_RW, pkt);
	pkt->len = len;
	vsw_credit_sent(conn, len);
}

bool
vsw_conn_stalled(struct vsw_conn *conn)
{
	if (conn->probing || conn->state != VSW_CONN_ESTABLISHED ||
	    (conn->guest_shut & VSW_SHUTDOWN_RCV))
		return false;
	conn->probing = true;
	conn->pending |= BIT(VSW_OP_CREDIT_REQUEST);
	return true;
}

bool
vsw_conn_refuse(const struct vsw_pkt *pkt, struct vsw_pkt *rst)
{
	if (pkt->op == VSW_OP_RST)
		return false;
	*rst = (struct vsw_pkt){
		.src_cid = pkt->dst_cid,
		.dst_cid = pkt->src_cid,
		.src_port = pkt->dst_port,
		.dst_port = pkt->src_port,
		.type = pkt->type,
		.op = VSW_OP_RST,
	};
	return true;
}
