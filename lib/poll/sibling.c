/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between siblings: what the flow of one guest asks of the flow of another, on whichever lcore
 * that lives; both speak through messages also when it is the same one.
 *
 * Payload. The sender's chain is lent to the receiver's lcore, which copies it into receive
 * buffers: one memcpy. It is a stream, so bytes are packed into full buffers, whatever packets
 * they came in. What does not fit, because the receiver has posted no buffers or has its
 * window's fill of unread packets, waits in the flow's backlog: as loans while the sender has
 * few of those out, else copied (VSW_MSG_F_NO_HOLD), so that the sender's ring goes on.
 *
 * Bounds. What a guest has given to siblings and they have not taken cannot exceed what it was
 * promised (window.c): a sender that overruns that is reset (lib/conn).
 *
 * Credit passes through: each message carries the sender's window, and the receiver is told it
 * in the next header, or what it may have of it (window.c). A SHUTDOWN is told when the bytes
 * before it are in the guest's buffers.
 */
#include <errno.h>
#include <string.h>

#include "vsw_clock.h"
#include "vsw_iov.h"
#include "poll_guest.h"

/* Bytes of one connection in its turn. */
#define QUANTUM (64u * 1024)

/* Segments of the backlog looked at in one turn: 64 KiB from a Linux guest are 1 to 17; small
 * packets are one each. */
#define SEGS_MAX 128

/*
 * The receiver's side.
 */

static void
return_loans(struct flow *flow, struct vsw_msg *loans, int result)
{
	while (loans != NULL) {
		struct vsw_msg *msg = loans;

		loans = msg->next;
		msg->result = result;
		vsw_msg_reply(flow->far_loop, msg, VSW_MSG_WROTE);
	}
}

void
sibling_drop_backlog(struct flow *flow)
{
	return_loans(flow, vsw_backlog_drop(&flow->backlog), -EPIPE);
	if (flow->far_is_done && !flow->far_is_told)
		far_tell(flow, TELL_CLOSED);
}

/* @return actions. */
static uint32_t
spill_all(struct flow *flow)
{
	while (flow->backlog.first_loan != NULL) {
		size_t before = flow->backlog.spill.len;
		struct vsw_msg *msg = vsw_backlog_spill(&flow->backlog);

		vsw_count(&flow->guest->counters, VSW_CTR_SPILLED_BYTES,
			  flow->backlog.spill.len - before);
		if (msg == NULL) { /* no memory */
			vsw_count(&flow->guest->counters, VSW_CTR_RESET_NO_MEMORY, 1);
			return vsw_conn_event(&flow->conn, VSW_CONN_EV_ABORT, 0);
		}
		return_loans(flow, msg, 0);
	}
	return 0;
}

/* The backlog is empty: what lay behind it happens now. @return actions. */
static uint32_t
reach_end(struct flow *flow)
{
	uint32_t actions = 0;

	if (flow->far_eof)
		actions |= vsw_conn_event(&flow->conn, VSW_CONN_EV_FAR_EOF, 0);
	if (flow->far_is_done)
		actions |= vsw_conn_event(&flow->conn, VSW_CONN_EV_FAR_RESET, 0);
	return actions;
}

static void
take(struct flow *flow, size_t len)
{
	return_loans(flow, vsw_backlog_take(&flow->backlog, len), 0);
	if (flow->backlog.n_unreported > 0)
		far_tell(flow, TELL_TOOK);
}

/* The credit that came with data must not wait for data that the guest does not get, or not yet:
 * an older Linux guest does not say it twice. @return actions. */
static uint32_t
tell_credit(struct flow *flow)
{
	if (vsw_conn_edge(&flow->conn) == flow->conn.edge_told || flow_wants_data(flow))
		return 0;
	return vsw_conn_event(&flow->conn, VSW_CONN_EV_FAR_CREDIT_UPDATE, 0);
}

uint32_t
sibling_discard(struct flow *flow)
{
	if (vsw_backlog_is_empty(&flow->backlog))
		return 0;
	take(flow, vsw_backlog_len(&flow->backlog));
	return reach_end(flow) | tell_credit(flow);
}

/* Make one packet of up to len bytes. @return its payload. */
static uint32_t
fill_buffer(struct flow *flow, struct vsw_chain *chain, struct vsw_iov_cursor *src, uint32_t len)
{
	struct guest *guest = flow->guest;
	uint32_t part = vsw_min_u32(chain->len - VSW_PKT_HDR_LEN, len);
	uint8_t raw[VSW_PKT_HDR_LEN];
	struct vsw_pkt pkt;
	unsigned int first;

	guest->recv_room = chain->len - VSW_PKT_HDR_LEN;
	vsw_conn_data_packet(&flow->conn, part, &pkt);
	vsw_pkt_encode(raw, &pkt);
	vsw_iov_copy_in(chain->segs, chain->n_segs, raw, sizeof(raw));
	first = vsw_iov_skip(chain->segs, chain->n_segs, sizeof(raw));
	vsw_iov_copy(chain->segs + first, chain->n_segs - first, src, part);
	poll_tap(guest, &pkt, raw, chain->segs + first, chain->n_segs - first);
	vsw_virtq_push(&guest->to_guest, chain->head, (uint32_t)sizeof(raw) + part);
	vsw_count(&guest->counters, VSW_CTR_TO_GUEST_PACKETS, 1);
	flow->to_guest_packets++;
	return part;
}

/* How many buffers the bytes will take, as far as one can tell. */
static uint16_t
buffers_for(const struct guest *guest, uint32_t len, uint32_t max)
{
	uint32_t room = guest->recv_room > 0 ? guest->recv_room : 1;
	uint32_t n = (len + room - 1) / room;

	return (uint16_t)vsw_min_u32(vsw_min_u32(n, VSW_BURST), max);
}

bool
sibling_deliver(struct vsw_poll *poll, struct flow *flow)
{
	struct guest *guest = flow->guest;
	struct vsw_conn_window window = vsw_conn_window(&flow->conn);
	struct iovec iov[SEGS_MAX];
	unsigned int n_segs = vsw_backlog_peek(&flow->backlog, iov, SEGS_MAX);
	struct vsw_iov_cursor src = {.iov = iov};
	size_t len = vsw_iov_len(iov, n_segs);
	uint32_t left, done = 0;
	uint64_t since;

	len = len < window.bytes ? len : window.bytes;
	left = len < QUANTUM ? (uint32_t)len : QUANTUM;
	vsw_virtq_pop(&guest->to_guest, &poll->burst, buffers_for(guest, left, window.packets));
	for (uint16_t i = 0; i < poll->burst.n_chains; i++) {
		struct vsw_chain *chain = &poll->burst.chain[i];
		uint32_t part;

		if (left == 0) {
			vsw_virtq_unpop(&guest->to_guest, chain->head);
		} else if (!to_guest_reject(guest, chain)) {
			part = fill_buffer(flow, chain, &src,
					   vsw_min_u32(left, VSW_PKT_PAYLOAD_MAX));
			left -= part;
			done += part;
		}
	}
	if (done == 0) {
		vsw_count(&guest->counters, VSW_CTR_BUFFER_STALLS, 1);
		return false;
	}
	vsw_count(&guest->counters, VSW_CTR_TO_GUEST_BYTES, done);
	flow->to_guest_bytes += done;
	take(flow, done);
	since = vsw_backlog_timed(&flow->backlog);
	if (since != 0)
		vsw_hist_add(&guest->hists.of[VSW_HIST_WAIT_FROM_SIBLING], vsw_us_since(since));
	if (vsw_backlog_is_empty(&flow->backlog))
		flow_act(flow, reach_end(flow));
	else if (flow->far_is_done)
		flow_act(flow, VSW_CONN_ACT_ARM_CLOSE); /* it goes on taking the rest */
	return true;
}

/* The counter of a request that cannot be passed on; -1: it can. */
static int
why_not(const struct vsw_poll *poll, const struct guest *guest, const struct vsw_msg *msg)
{
	const struct vsw_guest_conf *asker;

	if (guest == NULL || guest_is_gone(guest))
		return VSW_CTR_REFUSED_NOT_READY;
	if (guest->n_flows >= vsw_guest_word(&guest->conf->max_conns))
		return VSW_CTR_REFUSED_LIMIT;
	/* Its lcore may not have heard of new routes yet. */
	if (vsw_routes_find(poll->routes, guest->conf, msg->peer->cid, &asker) != VSW_ROUTE_OK ||
	    asker != msg->peer)
		return VSW_CTR_RESET_FORBIDDEN_CID;
	return -1;
}

/* The pair of ports may still be taken by a connection that the asker has let go: the guest must
 * be told of its end, it waits for its backlog, or its PEER_CLOSE is still to come. That one ends
 * now. Not so a request of the guest's own, which the asker may not have seen: the two have
 * crossed and both are refused.
 * @return true: the pair is free. */
static bool
free_pair(struct guest *guest, const struct vsw_msg *msg)
{
	struct vsw_conn *conn =
		vsw_conn_table_find(&guest->conns, msg->port, msg->peer->cid, msg->peer_port);
	struct flow *old = conn != NULL ? VSW_CONTAINER_OF(conn, struct flow, conn) : NULL;

	if (old == NULL)
		return true;
	if (old->conn.state != VSW_CONN_CLOSED && old->link != LINK_OPEN)
		return false;
	flow_evict(old);
	return true;
}

void
sibling_on_connect(void *ctx, struct vsw_msg *msg)
{
	struct vsw_poll *poll = ctx;
	struct guest *guest = poll->by_id[msg->guest->id];
	struct vsw_loop *asker_loop = msg->peer->poll_loop;
	int refused = why_not(poll, guest, msg);

	msg->result = -ECONNREFUSED;
	if (refused >= 0) {
		if (guest != NULL)
			guest_turn_away(guest, refused, msg->port, msg->peer->cid);
	} else if (free_pair(guest, msg)) {
		flow_from_sibling(guest, msg);
	}
	vsw_msg_reply(asker_loop, msg, VSW_MSG_OPENED);
}

static bool
guest_takes_data(const struct flow *flow)
{
	return flow->conn.state == VSW_CONN_ESTABLISHED &&
	       !(flow->conn.guest_shut & VSW_SHUTDOWN_RCV);
}

/* As much as fits at once, the rest into the spill. @return actions. */
static uint32_t
do_not_hold(struct vsw_poll *poll, struct flow *flow)
{
	if (flow->guest->state == GUEST_RUNNING && flow->guest->stopping == NULL &&
	    flow_wants_data(flow))
		sibling_deliver(poll, flow);
	return spill_all(flow);
}

void
sibling_on_data(void *ctx, struct vsw_msg *msg)
{
	struct flow *flow = msg->stream;
	bool no_hold = (msg->flags & VSW_MSG_F_NO_HOLD) != 0;
	uint32_t actions = 0;

	window_far_credit(flow, msg->buf_alloc, msg->fwd_cnt);
	if (!guest_takes_data(flow)) { /* dropped, which is as good as taken */
		msg->next = NULL;
		return_loans(flow, msg, -EPIPE);
	} else {
		vsw_backlog_lend(&flow->backlog, msg);
		if (no_hold)
			actions = do_not_hold(ctx, flow);
	}
	flow_act(flow, actions | tell_credit(flow));
}

void
sibling_on_news(void *ctx, struct vsw_msg *msg)
{
	struct flow *flow = msg->stream;
	struct vsw_conn *conn = &flow->conn;
	uint32_t actions = 0;

	window_taken(flow, msg->len);
	window_far_credit(flow, msg->buf_alloc, msg->fwd_cnt);
	if (msg->flags & VSW_MSG_F_ACCEPTED) {
		if (conn->state == VSW_CONN_OPENING)
			vsw_count(&flow->guest->counters, VSW_CTR_CONNS_TO_SIBLING, 1);
		actions |= vsw_conn_event(conn, VSW_CONN_EV_FAR_OPENED, 0);
	}
	if (msg->flags & VSW_MSG_F_CREDIT_UPDATE)
		actions |= vsw_conn_event(conn, VSW_CONN_EV_FAR_CREDIT_UPDATE, 0);
	if (msg->flags & VSW_MSG_F_CREDIT_REQUEST)
		actions |= vsw_conn_event(conn, VSW_CONN_EV_FAR_CREDIT_REQUEST, 0);
	if (msg->flags & VSW_MSG_F_SHUT_RECV)
		actions |= vsw_conn_event(conn, VSW_CONN_EV_FAR_GONE, 0);
	if (msg->flags & VSW_MSG_F_SHUT_SEND)
		flow->far_eof = true;
	if (vsw_backlog_is_empty(&flow->backlog))
		actions |= reach_end(flow);
	vsw_msg_reply(flow->far_loop, msg, VSW_MSG_PEER_NOTED);
	flow_act(flow, actions);
}

void
sibling_on_noted(void *ctx, struct vsw_msg *msg)
{
	struct vsw_poll *poll = ctx;

	guest_free(poll->by_id[msg->guest->id], msg);
}

void
sibling_on_close(void *ctx, struct vsw_msg *msg)
{
	struct flow *flow = msg->stream;
	uint32_t actions;

	vsw_msg_free(msg);
	flow->far_is_done = true;
	actions = spill_all(flow);
	if (vsw_backlog_is_empty(&flow->backlog))
		actions |= reach_end(flow);
	else
		actions |= VSW_CONN_ACT_ARM_CLOSE; /* the guest has 8 s to take the rest */
	if (flow->conn.state == VSW_CONN_CLOSED && !(actions & VSW_CONN_ACT_REMOVE) &&
	    !flow->far_is_told)
		far_tell(flow, TELL_CLOSED); /* it was over before */
	flow_act(flow, actions);
}

void
sibling_on_closed(void *ctx, struct vsw_msg *msg)
{
	struct flow *flow = msg->stream;

	vsw_msg_free(msg);
	far_is_gone(flow);
	flow_act(flow, 0);
}

void
sibling_on_recall(void *ctx, struct vsw_msg *msg)
{
	struct flow *flow = msg->stream;
	uint32_t actions = spill_all(flow);

	vsw_msg_reply(flow->far_loop, msg, VSW_MSG_RECALLED);
	flow_act(flow, actions);
}

/*
 * The sender's side.
 */

void
sibling_recall(struct flow *flow)
{
	struct vsw_msg *msg;

	if (flow->sibling == NULL || flow->n_loans_out == 0 || flow->is_recalled ||
	    flow->link != LINK_OPEN)
		return;
	msg = guest_alloc(flow->guest, VSW_MSG_PEER_RECALL);
	if (msg == NULL)
		return;
	far_address(flow, msg);
	flow->is_recalled = true;
	vsw_msg_send(flow->far_loop, msg);
}

/* What `sibling` of a flow that is over says: a sibling's, whoever that was. */
const struct vsw_guest_conf nobody;

static bool
is_allowed(const struct vsw_poll *poll, const struct flow *flow)
{
	const struct vsw_guest_conf *to;

	switch (vsw_routes_find(poll->routes, flow->guest->conf, flow->conn.far_cid, &to)) {
	case VSW_ROUTE_HOST:
		return flow->sibling == NULL;
	case VSW_ROUTE_OK: /* a guest that was replaced by another with its CID is gone, too */
		return flow->sibling == to;
	default:
		return false;
	}
}

/* Connections that the routes do not allow end, and forget whom they were with: control frees
 * what it has removed when every poll role has answered. */
static void
recheck(struct vsw_poll *poll, struct guest *guest)
{
	struct flow *flow, *next;

	for (flow = TAILQ_FIRST(&guest->flows); flow != NULL; flow = next) {
		next = TAILQ_NEXT(flow, all_entry);
		if (is_allowed(poll, flow))
			continue;
		if (flow->sibling != NULL)
			flow->sibling = &nobody;
		if (flow->conn.state == VSW_CONN_CLOSED)
			continue;
		vsw_count(&guest->counters, VSW_CTR_RESET_ROUTES, 1);
		flow_event(flow, VSW_CONN_EV_ABORT, 0);
	}
}

void
sibling_on_routes(void *ctx, struct vsw_msg *msg)
{
	struct vsw_poll *poll = ctx;
	struct guest *guest;

	poll->routes = msg->routes;
	TAILQ_FOREACH (guest, &poll->guests, entry)
		recheck(poll, guest);
	vsw_msg_reply(msg->reply_to, msg, VSW_MSG_ROUTED);
}
