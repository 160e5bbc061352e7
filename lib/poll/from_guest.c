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

/* A message takes packets up to so many bytes in all: beyond that it is the copying that costs, and
 * all its chains stay out until the far end has taken the last of them. */
#define PARCEL_BYTES_MAX (16u * 1024)

/* Of each packet that much is fetched ahead: the header, a small payload, and what lies before
 * them in the first cache line. */
#define AHEAD 192

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

/*
 * A parcel: messages with payload that goes to one far end, and was not sent yet. Small packets
 * that follow each other share a message; a chain of many pieces takes several, and comes back
 * with the last of them (they come back in order). It is sent before anything else happens to
 * its flow, and at the end of the burst.
 */
struct parcel {
	struct flow *flow;     /* NULL: nothing is in it */
	struct vsw_msg *first; /* those behind it are empty */
};

static bool
has_room(const struct vsw_msg *msg, const struct vsw_chain *chain)
{
	return msg->n_segs + chain->n_segs <= VSW_MSG_SEGS && msg->n_chains < VSW_MSG_SEGS &&
	       msg->len + chain->len <= PARCEL_BYTES_MAX;
}

static bool
alloc_parts(struct flow *flow, unsigned int n_parts, struct parcel *parcel)
{
	enum vsw_verb verb = flow->sibling != NULL ? VSW_MSG_PEER_DATA : VSW_MSG_WRITE;
	struct guest *guest = flow->guest;

	if (guest->n_loans_out > 0 &&
	    guest->n_loans_out + n_parts > vsw_guest_word(&guest->conf->max_loans)) {
		vsw_count(&guest->counters, VSW_CTR_LOAN_STALLS, 1);
		return false;
	}
	parcel->flow = flow;
	do {
		struct vsw_msg *msg = guest_alloc(guest, verb);

		if (msg == NULL)
			return false;
		msg->next = parcel->first;
		parcel->first = msg;
	} while (--n_parts > 0);
	return true;
}

static void
free_empty(struct guest *guest, struct parcel *parcel)
{
	while (parcel->first != NULL && parcel->first->n_segs == 0) {
		struct vsw_msg *msg = parcel->first;

		parcel->first = msg->next;
		guest_free(guest, msg);
	}
}

/* A sibling that has no room yet may keep the loan: there is plenty left for others. */
static bool
may_be_held(const struct guest *guest)
{
	return guest->n_loans_out <= LOANS_BEFORE_NO_HOLD(guest) &&
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
send_first(struct parcel *parcel)
{
	struct flow *flow = parcel->flow;
	struct guest *guest = flow->guest;
	struct vsw_msg *msg = parcel->first;

	parcel->first = msg->next;
	guest->n_loans_out++;
	guest->n_descs_out += msg->n_descs;
	flow->n_loans_out++;
	if (flow->sibling != NULL && !may_be_held(guest))
		msg->flags = VSW_MSG_F_NO_HOLD;
	far_address(flow, msg);
	vsw_msg_send(flow->far_loop, msg);
}

static void
parcel_send(struct parcel *parcel)
{
	if (parcel->flow == NULL)
		return;
	if (parcel->first != NULL)
		send_first(parcel);
	flow_schedule(parcel->flow); /* its window may have opened */
	parcel->flow = NULL;
}

/* Make room for a chain. False: there is no message now. */
static bool
parcel_open(struct parcel *parcel, struct flow *flow, const struct vsw_chain *chain)
{
	if (parcel->flow == flow && has_room(parcel->first, chain))
		return true;
	parcel_send(parcel);
	if (alloc_parts(flow, (chain->n_segs + VSW_MSG_SEGS - 1) / VSW_MSG_SEGS, parcel))
		return true;
	free_empty(flow->guest, parcel);
	parcel->flow = NULL;
	return false;
}

/* There is room for it. */
static void
parcel_add(struct parcel *parcel, const struct vsw_chain *chain)
{
	struct flow *flow = parcel->flow;
	uint64_t since = time_if_due(flow->guest);

	window_given(flow, chain->len);
	for (uint16_t i = 0; i < chain->n_segs; i++) {
		struct vsw_msg *msg;

		if (parcel->first->n_segs == VSW_MSG_SEGS)
			send_first(parcel);
		msg = parcel->first;
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): it has room */
		msg->segs[msg->n_segs++] = chain->segs[i];
		msg->len += chain->segs[i].iov_len;
		msg->n_descs++;
	}
	parcel->first->chain[parcel->first->n_chains++].head = chain->head;
	parcel->first->n_descs++; /* the header may have one of its own */
	if (since != 0)
		parcel->first->since = since;
}

static void
note_stall(struct flow *flow)
{
	vsw_count(&flow->guest->counters, VSW_CTR_CREDIT_STALLS_FROM_GUEST, 1);
	flow->from_guest_stalls++;
}

static bool
take_payload(struct parcel *parcel, struct flow *flow, const struct vsw_pkt *pkt,
	     struct vsw_chain *chain)
{
	struct guest *guest = flow->guest;
	uint32_t actions;

	if (flow->untold != 0)
		return false;
	trim_to_payload(chain, pkt->len);
	if (!parcel_open(parcel, flow, chain))
		return false;

	vsw_count(&guest->counters, VSW_CTR_FROM_GUEST_BYTES, pkt->len);
	poll_tap(guest, pkt, NULL, chain->segs, chain->n_segs);
	actions = vsw_conn_input(&flow->conn, pkt);
	if (actions & VSW_CONN_ACT_DELIVER) {
		flow->from_guest_packets++;
		flow->from_guest_bytes += pkt->len;
		if (vsw_conn_is_used_up(&flow->conn))
			note_stall(flow);
		parcel_add(parcel, chain);
	} else {
		free_empty(guest, parcel);
		vsw_virtq_push(&guest->from_guest, chain->head, 0);
	}
	if (actions != VSW_CONN_ACT_DELIVER) {
		parcel_send(parcel);
		flow_act(flow, actions & ~VSW_CONN_ACT_DELIVER);
	}
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
take_chain(struct guest *guest, struct parcel *parcel, struct vsw_chain *chain)
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
			return take_payload(parcel, flow, &pkt, chain);
	}

	parcel_send(parcel);
	if (verdict != VSW_PKT_SHORT)
		poll_tap(guest, &pkt, raw, NULL, 0);
	if (verdict != VSW_PKT_OK)
		take_bad(guest, &pkt, verdict);
	else
		take_control(guest, flow, &pkt);
	vsw_virtq_push(&guest->from_guest, chain->head, 0);
	return true;
}

/* The guest wrote its packets on another cpu: let their first lines travel together. */
static void
fetch_ahead(const struct vsw_chain *chain)
{
	size_t done = 0;

	for (uint16_t i = 0; i < chain->n_segs && done < AHEAD; i++) {
		const uint8_t *base = chain->segs[i].iov_base;

		for (size_t at = 0; at < chain->segs[i].iov_len && at < AHEAD; at += 64)
			__builtin_prefetch(base + at);
		done += chain->segs[i].iov_len;
	}
}

unsigned int
from_guest_pass(struct vsw_poll *poll, struct guest *guest)
{
	struct vsw_chain_burst *burst = &poll->burst;
	uint16_t max = (uint16_t)vsw_min_u32(VSW_BURST, guest_reset_room(guest));
	struct parcel parcel = {0};
	uint16_t n_taken = 0;

	vsw_virtq_pop(&guest->from_guest, burst, max);
	for (uint16_t i = 0; i < burst->n_chains; i++)
		fetch_ahead(&burst->chain[i]);
	while (n_taken < burst->n_chains && take_chain(guest, &parcel, &burst->chain[n_taken]))
		n_taken++;
	parcel_send(&parcel);
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
	struct flow *flow = msg->conn;
	uint32_t len = msg->len;

	guest->n_loans_out--;
	guest->n_descs_out -= msg->n_descs;
	for (uint16_t i = 0; i < msg->n_chains; i++)
		vsw_virtq_push(&guest->from_guest, msg->chain[i].head, 0);
	guest_free(guest, msg);
	flow->n_loans_out--;
	if (len > 0) {
		window_taken(flow, len);
		flow_act(flow, 0);
	}
}
