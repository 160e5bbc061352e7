/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * To the guest: resets to nobody's packets first, then each ready connection in turn what
 * it has to say, then its data: a sibling's is copied (sibling.c), a host's fetched by one
 * READ, up to a burst of receive buffers.
 *
 * A READ lends the buffers' payload room to the bridge, which fills it with one readv(); the
 * packet headers are written here, when it is known how much came. A header lies right
 * before its payload in every buffer that Linux posts; where a driver has cut it off (into a
 * descriptor of its own, say), its pieces are kept at the end of the message's segments,
 * which the bridge does not look at; or, where those do not suffice (virtio 1.2, 2.7.4, lets a
 * driver cut as it likes), in a list of the flow's, which has one READ out at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "vsw_base.h"
#include "vsw_clock.h"
#include "vsw_iov.h"
#include "poll_guest.h"

/* Connections served in one pass, each up to 64 KiB: what other guests may have to wait for. */
#define FLOWS_PER_PASS 8

/*
 * Single packets.
 */

/* A buffer that holds a header at least, or NULL when the guest has posted none. One that goes on
 * posting smaller ones while we look must not keep us: after a burst of those, it has none. */
static struct vsw_chain *
take_buffer(struct vsw_poll *poll, struct guest *guest)
{
	while (guest->n_rejected < VSW_BURST &&
	       vsw_virtq_pop(&guest->to_guest, &poll->burst, 1) > 0) {
		struct vsw_chain *chain = &poll->burst.chain[0];

		if (chain->len >= VSW_PKT_HDR_LEN)
			return chain;
		vsw_count(&guest->counters, VSW_CTR_CHAIN_SMALL, 1);
		vsw_virtq_push(&guest->to_guest, chain->head, 0);
		guest->n_rejected++;
	}
	vsw_count(&guest->counters, VSW_CTR_BUFFER_STALLS, 1);
	return NULL;
}

static void
fill_buffer(struct guest *guest, const struct vsw_chain *chain, const struct vsw_pkt *pkt)
{
	uint8_t raw[VSW_PKT_HDR_LEN];

	vsw_pkt_encode(raw, pkt);
	vsw_iov_copy_in(chain->segs, chain->n_segs, raw, sizeof(raw));
	poll_tap(guest, pkt, raw, NULL, 0);
	vsw_virtq_push(&guest->to_guest, chain->head, sizeof(raw));
	vsw_count(&guest->counters, VSW_CTR_TO_GUEST_PACKETS, 1);
}

static unsigned int
send_resets(struct vsw_poll *poll, struct guest *guest)
{
	unsigned int n = 0;

	while (guest->n_resets > 0) {
		struct vsw_chain *chain = take_buffer(poll, guest);

		if (chain == NULL)
			break;
		fill_buffer(guest, chain, &guest->reset[guest->first_reset]);
		guest->first_reset = (guest->first_reset + 1) % RESETS_MAX;
		guest->n_resets--;
		n++;
	}
	return n;
}

static void
note_connected(struct flow *flow)
{
	vsw_hist_add(&flow->guest->hists.of[flow->sibling != NULL ? VSW_HIST_CONNECT_TO_SIBLING
								  : VSW_HIST_CONNECT_FROM_GUEST],
		     vsw_us_since(flow->born));
	vsw_trace_conn_established(flow_id(flow));
}

/* Everything the guest must be told of one connection. False: no buffer for the rest. */
static bool
send_pending(struct vsw_poll *poll, struct flow *flow, uint32_t *actions)
{
	while (vsw_conn_has_pending(&flow->conn)) {
		struct vsw_chain *chain = take_buffer(poll, flow->guest);
		struct vsw_pkt pkt;
		uint32_t act = 0;

		if (chain == NULL)
			return false;
		vsw_conn_next_packet(&flow->conn, &pkt, &act);
		fill_buffer(flow->guest, chain, &pkt);
		flow->to_guest_packets++;
		if (pkt.op == VSW_OP_RESPONSE)
			note_connected(flow);
		*actions |= act;
	}
	return true;
}

/*
 * Host data.
 */

/* A READ under construction. */
struct fetch {
	struct flow *flow;
	struct vsw_msg *msg;
	uint32_t window;     /* bytes that may still be asked for */
	uint16_t n_hdr_segs; /* at the end of msg->segs */
};

/* Header pieces are kept from the last segment downward, in order. */
static struct iovec *
header_piece(const struct flow *flow, struct vsw_msg *msg, unsigned int idx)
{
	return flow->header != NULL ? &flow->header[idx] : &msg->segs[VSW_MSG_SEGS - 1 - idx];
}

/* Into how many pieces the driver has cut the header; 0: it lies right before the payload. */
static unsigned int
count_header_pieces(const struct vsw_chain *chain)
{
	unsigned int n = 0;
	size_t len = 0;

	if (chain->segs[0].iov_len > VSW_PKT_HDR_LEN)
		return 0;
	while (len < VSW_PKT_HDR_LEN)
		len += chain->segs[n++].iov_len;
	return n;
}

static void
keep_header(struct fetch *fetch, const struct vsw_chain *chain, unsigned int n_pieces)
{
	size_t left = VSW_PKT_HDR_LEN;

	for (unsigned int i = 0; i < n_pieces; i++) {
		struct iovec *piece = header_piece(fetch->flow, fetch->msg, fetch->n_hdr_segs++);

		*piece = chain->segs[i];
		if (piece->iov_len > left)
			piece->iov_len = left;
		left -= piece->iov_len;
	}
}

static unsigned int
free_segs(const struct fetch *fetch)
{
	unsigned int n_hdr_segs = fetch->flow->header != NULL ? 0 : fetch->n_hdr_segs;

	return VSW_MSG_SEGS - fetch->msg->n_segs - n_hdr_segs;
}

/* Is there room for the pieces of a header and a byte behind it? Such a header that no message
 * has room for travels alone. */
static bool
has_room_for(struct fetch *fetch, unsigned int n_pieces)
{
	if (fetch->flow->header != NULL)
		return false;
	if (n_pieces + 1 <= VSW_MSG_SEGS)
		return n_pieces + 1 <= free_segs(fetch);
	if (fetch->msg->n_chains > 0)
		return false;
	fetch->flow->header = calloc(VSW_PKT_HDR_LEN, sizeof(fetch->flow->header[0]));
	return fetch->flow->header != NULL;
}

/* Ask for payload into a chain. False: the message or the window is full. */
static bool
add_buffer(struct fetch *fetch, struct vsw_chain *chain)
{
	struct vsw_msg *msg = fetch->msg;
	struct vsw_msg_chain *entry = &msg->chain[msg->n_chains];
	uint32_t room = vsw_min_u32(fetch->window, VSW_PKT_PAYLOAD_MAX);
	unsigned int n_pieces = count_header_pieces(chain);

	if (room == 0 || !has_room_for(fetch, n_pieces))
		return false;
	keep_header(fetch, chain, n_pieces);
	*entry = (struct vsw_msg_chain){.head = chain->head, .n_hdr_segs = (uint8_t)n_pieces};
	for (unsigned int i = vsw_iov_skip(chain->segs, chain->n_segs, VSW_PKT_HDR_LEN);
	     i < chain->n_segs && room > 0 && free_segs(fetch) > 0; i++) {
		struct iovec *seg = &msg->segs[msg->n_segs++];

		*seg = chain->segs[i];
		if (seg->iov_len > room)
			seg->iov_len = room;
		room -= seg->iov_len;
		msg->len += seg->iov_len;
		fetch->window -= seg->iov_len;
		entry->n_segs++;
	}
	msg->n_chains++;
	return true;
}

bool
to_guest_reject(struct guest *guest, const struct vsw_chain *chain)
{
	if (chain->len > VSW_PKT_HDR_LEN)
		return false;
	vsw_count(&guest->counters, VSW_CTR_CHAIN_SMALL, 1);
	vsw_virtq_push(&guest->to_guest, chain->head, 0);
	return true;
}

static void
add_buffers(struct vsw_poll *poll, struct guest *guest, struct fetch *fetch, uint16_t n_wanted)
{
	struct vsw_chain_burst *burst = &poll->burst;
	bool full = false;

	vsw_virtq_pop(&guest->to_guest, burst, n_wanted);
	for (uint16_t i = 0; i < burst->n_chains; i++) {
		struct vsw_chain *chain = &burst->chain[i];

		if (!full && to_guest_reject(guest, chain))
			continue;
		full = full || !add_buffer(fetch, chain);
		if (full)
			vsw_virtq_unpop(&guest->to_guest, chain->head);
	}
}

/* Send a READ for what the guest would take. False: no buffer or no message for it now. */
static bool
fetch_data(struct vsw_poll *poll, struct flow *flow)
{
	struct guest *guest = flow->guest;
	struct vsw_conn_window window = vsw_conn_window(&flow->conn);
	struct fetch fetch = {.flow = flow, .window = window.bytes};

	if (guest->n_reads_out >= READS_MAX)
		return false;
	fetch.msg = guest_alloc(guest, VSW_MSG_READ);
	if (fetch.msg == NULL)
		return false;
	add_buffers(poll, guest, &fetch, vsw_min_u32(flow->n_read_chains, window.packets));
	if (fetch.msg->n_chains == 0) {
		vsw_count(&guest->counters, VSW_CTR_BUFFER_STALLS, 1);
		guest_free(guest, fetch.msg);
		return false;
	}

	vsw_conn_reserve(&flow->conn, fetch.msg->len);
	flow->reading = true;
	guest->n_reads_out++;
	fetch.msg->guest = guest->conf;
	fetch.msg->conn = flow;
	fetch.msg->stream = flow->far;
	vsw_msg_send(guest->conf->bridge_loop, fetch.msg);
	return true;
}

/* Serve one connection. False: the guest has no buffer for it; it stays first in line. */
static bool
serve(struct vsw_poll *poll, struct flow *flow)
{
	uint32_t actions = 0;
	bool served = send_pending(poll, flow, &actions);

	if (served && flow_wants_data(flow))
		served = flow->sibling != NULL ? sibling_deliver(poll, flow)
					       : fetch_data(poll, flow);
	if (served)
		flow_unschedule(flow);
	flow_act(flow, actions);
	return served;
}

unsigned int
to_guest_pass(struct vsw_poll *poll, struct guest *guest)
{
	struct flow *flow;
	unsigned int work;

	guest->n_rejected = 0;
	work = send_resets(poll, guest);
	if (guest->n_resets > 0)
		return work;
	for (unsigned int i = 0; i < FLOWS_PER_PASS; i++) {
		flow = TAILQ_FIRST(&guest->ready);
		if (flow == NULL || !serve(poll, flow))
			break;
		work++;
	}
	return work;
}

/*
 * A READ comes back.
 */

static void
write_header(const struct flow *flow, struct vsw_msg *msg, const struct vsw_msg_chain *chain,
	     const struct iovec *payload, unsigned int first_piece, const struct vsw_pkt *pkt)
{
	uint8_t raw[VSW_PKT_HDR_LEN];
	size_t done = 0;

	vsw_pkt_encode(raw, pkt);
	if (chain->n_hdr_segs == 0) {
		memcpy((uint8_t *)payload->iov_base - sizeof(raw), raw, sizeof(raw));
		return;
	}
	for (unsigned int i = 0; i < chain->n_hdr_segs; i++) {
		const struct iovec *piece = header_piece(flow, msg, first_piece + i);

		memcpy(piece->iov_base, raw + done, piece->iov_len);
		done += piece->iov_len;
	}
}

/* Make packets of the bytes that came, in the order of the buffers; the rest of the buffers
 * is kept for the next READ. @return how many were used. */
static unsigned int
complete_buffers(struct flow *flow, struct vsw_msg *msg, uint32_t len)
{
	struct guest *guest = flow->guest;
	const struct iovec *seg = msg->segs;
	unsigned int first_piece = 0, n_used = 0;

	for (unsigned int i = 0; i < msg->n_chains; i++) {
		const struct vsw_msg_chain *chain = &msg->chain[i];
		uint32_t part = vsw_min_u32(len, (uint32_t)vsw_iov_len(seg, chain->n_segs));
		struct vsw_pkt pkt;

		if (part > 0) {
			vsw_conn_data_packet(&flow->conn, part, &pkt);
			write_header(flow, msg, chain, seg, first_piece, &pkt);
			poll_tap(guest, &pkt, NULL, seg, chain->n_segs);
			vsw_virtq_push(&guest->to_guest, chain->head, VSW_PKT_HDR_LEN + part);
			len -= part;
			n_used++;
		} else {
			vsw_virtq_unpop(&guest->to_guest, chain->head);
		}
		seg += chain->n_segs;
		first_piece += chain->n_hdr_segs;
	}
	free(flow->header);
	flow->header = NULL;
	return n_used;
}

/* Ask for twice as much when all was filled, else for what the last one would have needed:
 * buffers that come back unused were looked at for nothing. */
static void
adapt(struct flow *flow, unsigned int n_chains, unsigned int n_used)
{
	unsigned int n = n_used == n_chains ? 2 * n_chains : n_used + 1;

	flow->n_read_chains = (uint16_t)vsw_min_u32(n, VSW_BURST);
}

void
to_guest_on_filled(void *ctx, struct vsw_msg *msg)
{
	struct flow *flow = msg->conn;
	struct guest *guest = flow->guest;
	uint32_t reserved = (uint32_t)vsw_iov_len(msg->segs, msg->n_segs);
	bool alive = flow->conn.state == VSW_CONN_ESTABLISHED;
	uint32_t len = alive ? msg->len : 0;
	uint32_t actions = 0;
	unsigned int n_used;

	flow->reading = false;
	guest->n_reads_out--;
	vsw_conn_unreserve(&flow->conn, reserved);
	n_used = complete_buffers(flow, msg, len);
	adapt(flow, msg->n_chains, n_used);
	vsw_count(&guest->counters, VSW_CTR_TO_GUEST_PACKETS, n_used);
	vsw_count(&guest->counters, VSW_CTR_TO_GUEST_BYTES, len);
	flow->to_guest_packets += n_used;
	flow->to_guest_bytes += len;

	if (msg->flags & (VSW_MSG_F_DRAINED | VSW_MSG_F_EOF))
		flow->readable = false;
	if (flow->gone_after_read)
		actions |= vsw_conn_event(&flow->conn, VSW_CONN_EV_FAR_GONE, 0);
	flow->gone_after_read = false;
	if (msg->flags & VSW_MSG_F_EOF)
		actions |= vsw_conn_event(&flow->conn, VSW_CONN_EV_FAR_EOF, 0);
	guest_free(guest, msg);
	flow_act(flow, actions);
}
