/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the guest: pop a burst of chains, copy and check each header, run the connection's
 * state machine, lend payload to the far end. A chain that carries none is done at once; one
 * that does comes back with WROTE.
 *
 * A chain is taken only when everything it may need is there: room for a RST, a message
 * for its payload. Otherwise it and those behind it are put back in order and the guest's
 * ring fills up: back-pressure on this guest alone, nothing dropped.
 */
#include <rte_cycles.h>

#include "vsw_base.h"
#include "vsw_iov.h"
#include "poll_guest.h"

/* Messages that one chain can need: all its segments. */
#define PARTS_MAX ((VSW_BURST_SEGS + VSW_MSG_SEGS - 1) / VSW_MSG_SEGS)

static void
refuse(struct guest *guest, const struct vsw_pkt *pkt, enum vsw_counter why)
{
	struct vsw_pkt rst;

	if (!vsw_conn_refuse(pkt, &rst))
		return;
	vsw_count(&guest->counters, why, 1);
	vsw_trace_packet_refused(pkt->src_cid, pkt->src_port, pkt->dst_cid, pkt->dst_port,
				 vsw_counter_name(why));
	guest_queue_reset(guest, &rst);
}

static void
begin(struct guest *guest, const struct vsw_pkt *pkt, const struct vsw_guest_conf *sibling)
{
	if (guest->n_flows >= vsw_guest_word(&guest->conf->max_conns) || guest->drained ||
	    flow_from_guest(guest, pkt, sibling) == NULL)
		refuse(guest, pkt, VSW_CTR_REFUSED_LIMIT);
}

static void
on_request(struct guest *guest, struct flow *old, const struct vsw_pkt *pkt)
{
	const struct vsw_guest_conf *sibling;

	if (old != NULL)
		flow_event(old, VSW_CONN_EV_SUPERSEDED, 0);
	guest_forget_resets(guest, pkt);
	/* Two ends with one name: nobody could tell them apart. */
	if (pkt->dst_cid == pkt->src_cid && pkt->dst_port == pkt->src_port) {
		refuse(guest, pkt, VSW_CTR_RESET_PROTOCOL);
		return;
	}
	switch (vsw_routes_find(guest->poll->routes, guest->conf, pkt->dst_cid, &sibling)) {
	case VSW_ROUTE_HOST:
		begin(guest, pkt, NULL);
		break;
	case VSW_ROUTE_OK:
		begin(guest, pkt, sibling);
		break;
	case VSW_ROUTE_FORBIDDEN:
		refuse(guest, pkt, VSW_CTR_RESET_FORBIDDEN_CID);
		break;
	case VSW_ROUTE_UNKNOWN:
		refuse(guest, pkt, VSW_CTR_RESET_UNKNOWN_CID);
		break;
	}
}

/*
 * Payload.
 */

/* Cut the chain's segments down to the payload: behind the header, as long as it says. */
static void
trim_to_payload(struct vsw_chain *chain, uint32_t len)
{
	unsigned int first = vsw_iov_skip(chain->segs, chain->n_segs, VSW_PKT_HDR_LEN);
	uint16_t n = 0;

	chain->segs += first;
	chain->len = len;
	while (len > 0) {
		struct iovec *seg = &chain->segs[n++];

		if (seg->iov_len > len)
			seg->iov_len = len;
		len -= seg->iov_len;
	}
	chain->n_segs = n;
}

static void
free_all(struct guest *guest, struct vsw_msg **msgs, unsigned int n)
{
	while (n > 0)
		guest_free(guest, msgs[--n]);
}

/* All messages for a chain of n_segs segments, or none. */
static unsigned int
alloc_parts(struct flow *flow, uint16_t n_segs, struct vsw_msg *msgs[PARTS_MAX])
{
	enum vsw_verb verb = flow->sibling != NULL ? VSW_MSG_PEER_DATA : VSW_MSG_WRITE;
	struct guest *guest = flow->guest;
	unsigned int n_parts = (n_segs + VSW_MSG_SEGS - 1) / VSW_MSG_SEGS;

	if (guest->n_free_loans == 0 ||
	    (guest->n_parts_out > 0 &&
	     guest->n_parts_out + n_parts > vsw_guest_word(&guest->conf->max_loans))) {
		vsw_count(&guest->counters, VSW_CTR_LOAN_STALLS, 1);
		return 0;
	}
	for (unsigned int i = 0; i < n_parts; i++) {
		msgs[i] = guest_alloc(guest, verb);
		if (msgs[i] == NULL) {
			free_all(guest, msgs, i);
			return 0;
		}
	}
	return n_parts;
}

static void
note_given(struct flow *flow, uint32_t len)
{
	flow->far_bytes += len;
	flow->guest->far_bytes += len;
}

/* A sibling that has no room yet may keep the loan: there is plenty left for others. */
static bool
may_be_held(const struct guest *guest)
{
	return guest->n_parts_out <= LOANS_BEFORE_NO_HOLD(guest) &&
	       guest->n_descs_out <= guest->from_guest.conf.size / RING_FRACTION_HELD;
}

/* One packet in VSW_HIST_SAMPLE is timed. @return the time, or 0. */
static uint64_t
time_if_due(struct guest *guest)
{
	if (guest->n_untimed-- > 0)
		return 0;
	guest->n_untimed = VSW_HIST_SAMPLE - 1;
	return rte_rdtsc();
}

static void
lend(struct flow *flow, const struct vsw_chain *chain, struct vsw_msg **msgs, unsigned int n_parts)
{
	struct guest *guest = flow->guest;
	uint16_t n_descs = chain->n_segs + 1; /* its header may have one of its own */
	uint16_t loan = guest->free_loan[--guest->n_free_loans];
	const struct iovec *seg = chain->segs;
	uint16_t left = chain->n_segs;

	guest->loan[loan] = (struct loan){
		.head = chain->head,
		.n_parts = (uint16_t)n_parts,
		.n_descs = n_descs,
	};
	flow->n_loans_out += n_parts;
	guest->n_parts_out += n_parts;
	guest->n_descs_out += n_descs;
	if (flow->sibling != NULL)
		note_given(flow, chain->len);
	msgs[n_parts - 1]->since = time_if_due(guest);
	for (unsigned int i = 0; i < n_parts; i++) {
		struct vsw_msg *msg = msgs[i];

		far_address(flow, msg);
		msg->loan = loan;
		if (flow->sibling != NULL && !may_be_held(guest))
			msg->flags = VSW_MSG_F_NO_HOLD;
		for (; left > 0 && msg->n_segs < VSW_MSG_SEGS; left--, seg++) {
			msg->segs[msg->n_segs++] = *seg;
			msg->len += seg->iov_len;
		}
		vsw_msg_send(flow->far_loop, msg);
	}
}

static void
note_stall(struct flow *flow)
{
	vsw_count(&flow->guest->counters, VSW_CTR_CREDIT_STALLS_FROM_GUEST, 1);
	flow->from_guest_stalls++;
}

static bool
take_payload(struct flow *flow, const struct vsw_pkt *pkt, struct vsw_chain *chain)
{
	struct guest *guest = flow->guest;
	struct vsw_msg *msgs[PARTS_MAX];
	unsigned int n_parts;
	uint32_t actions;

	if (flow->untold != 0 ||
	    (flow->sibling != NULL && sibling_budget_is_used_up(guest, pkt->len)))
		return false;
	trim_to_payload(chain, pkt->len);
	n_parts = alloc_parts(flow, chain->n_segs, msgs);
	if (n_parts == 0)
		return false;

	vsw_count(&guest->counters, VSW_CTR_FROM_GUEST_BYTES, pkt->len);
	poll_tap(guest, pkt, NULL, chain->segs, chain->n_segs);
	actions = vsw_conn_input(&flow->conn, pkt);
	if (actions & VSW_CONN_ACT_DELIVER) {
		flow->from_guest_packets++;
		flow->from_guest_bytes += pkt->len;
		if (vsw_conn_is_used_up(&flow->conn))
			note_stall(flow);
		lend(flow, chain, msgs, n_parts);
	} else {
		free_all(guest, msgs, n_parts);
		vsw_virtq_push(&guest->from_guest, chain->head, 0);
	}
	flow_act(flow, actions & ~VSW_CONN_ACT_DELIVER);
	return true;
}

/*
 * Packets.
 */

static void
take_known(struct flow *flow, const struct vsw_pkt *pkt)
{
	uint32_t actions = vsw_conn_input(&flow->conn, pkt);

	flow->from_guest_packets++;
	if (flow->sibling != NULL && (flow->conn.guest_shut & VSW_SHUTDOWN_RCV))
		actions |= sibling_discard(flow);
	flow_act(flow, actions);
}

static void
take_control(struct guest *guest, struct flow *flow, const struct vsw_pkt *pkt)
{
	if (pkt->op == VSW_OP_REQUEST)
		on_request(guest, flow, pkt);
	else if (flow == NULL)
		refuse(guest, pkt, VSW_CTR_RESET_UNKNOWN_CONN);
	else
		take_known(flow, pkt);
}

static void
take_bad(struct guest *guest, const struct vsw_pkt *pkt, enum vsw_pkt_verdict verdict)
{
	static const enum vsw_counter counter[VSW_PKT_N_VERDICTS] = {
		[VSW_PKT_SHORT] = VSW_CTR_PKT_SHORT,
		[VSW_PKT_BAD_CID] = VSW_CTR_PKT_BAD_CID,
		[VSW_PKT_SPOOFED] = VSW_CTR_PKT_SPOOFED,
		[VSW_PKT_BAD_OP] = VSW_CTR_PKT_BAD_OP,
		[VSW_PKT_BAD_LEN] = VSW_CTR_PKT_BAD_LEN,
		[VSW_PKT_BAD_FLAGS] = VSW_CTR_PKT_BAD_FLAGS,
	};

	if (verdict == VSW_PKT_BAD_TYPE)
		refuse(guest, pkt, VSW_CTR_RESET_TYPE);
	else
		vsw_count(&guest->counters, counter[verdict], 1);
}

/* False: it cannot be taken now and was not looked at. */
static bool
take_chain(struct guest *guest, struct vsw_chain *chain)
{
	uint8_t raw[VSW_PKT_HDR_LEN];
	size_t raw_len = vsw_iov_copy_out(raw, chain->segs, chain->n_segs, sizeof(raw));
	enum vsw_pkt_verdict verdict;
	struct flow *flow = NULL;
	struct vsw_pkt pkt;

	verdict = vsw_pkt_decode(&pkt, raw, (uint32_t)raw_len, chain->len - (uint32_t)raw_len,
				 guest->conf->cid);
	if (verdict == VSW_PKT_OK) {
		flow = flow_find(guest, &pkt);
		/* One that is over and of which the guest must still be told takes nothing, and
		 * waits for nothing. */
		if (flow != NULL && pkt.op == VSW_OP_RW && pkt.len > 0 &&
		    flow->conn.state != VSW_CONN_CLOSED)
			return take_payload(flow, &pkt, chain);
	}

	if (verdict != VSW_PKT_SHORT)
		poll_tap(guest, &pkt, raw, NULL, 0);
	if (verdict != VSW_PKT_OK)
		take_bad(guest, &pkt, verdict);
	else
		take_control(guest, flow, &pkt);
	vsw_virtq_push(&guest->from_guest, chain->head, 0);
	return true;
}

unsigned int
from_guest_pass(struct vsw_poll *poll, struct guest *guest)
{
	struct vsw_chain_burst *burst = &poll->burst;
	uint16_t max = (uint16_t)vsw_min_u32(VSW_BURST, guest_reset_room(guest));
	uint16_t n_taken = 0;

	vsw_virtq_pop(&guest->from_guest, burst, max);
	while (n_taken < burst->n_chains && take_chain(guest, &burst->chain[n_taken]))
		n_taken++;
	for (uint16_t i = n_taken; i < burst->n_chains; i++)
		vsw_virtq_unpop(&guest->from_guest, burst->chain[i].head);
	vsw_count(&guest->counters, VSW_CTR_FROM_GUEST_PACKETS, n_taken);
	guest->is_blocked = n_taken < burst->n_chains || max == 0;
	return n_taken;
}

void
from_guest_on_wrote(void *ctx, struct vsw_msg *msg)
{
	struct vsw_poll *poll = ctx;
	struct guest *guest = poll->by_id[msg->guest->id];
	struct loan *loan = &guest->loan[msg->loan];
	struct flow *flow = msg->conn;
	uint32_t len = msg->len;

	guest->n_parts_out--;
	if (--loan->n_parts == 0) {
		vsw_virtq_push(&guest->from_guest, loan->head, 0);
		guest->n_descs_out -= loan->n_descs;
		guest->free_loan[guest->n_free_loans++] = msg->loan;
	}
	guest_free(guest, msg);
	if (flow == NULL)
		return;
	flow->n_loans_out--;
	if (flow->sibling != NULL)
		sibling_account(flow, len);
	else if (len > 0)
		flow_event(flow, VSW_CONN_EV_FAR_TOOK, len);
}
