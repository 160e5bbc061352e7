/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets in and out of the rings, and what virtio 1.2, 5.10.6 says of every packet that a
 * device may send, whoever it is for.
 */
#include "guest_priv.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vsw_iov.h"

#define N_EVENT_BUFS 8

void
transport_init(struct vsw_guest *g)
{
	STAILQ_INIT(&g->outgoing);
	STAILQ_INIT(&g->kept);
	TAILQ_INIT(&g->free_chunks);
}

static void
drop_list(struct kept_list *list)
{
	struct kept_pkt *k;

	while ((k = STAILQ_FIRST(list)) != NULL) {
		STAILQ_REMOVE_HEAD(list, next);
		free(k);
	}
}

void
transport_fini(struct vsw_guest *g)
{
	struct chunk *c;

	drop_list(&g->outgoing);
	drop_list(&g->kept);
	while ((c = TAILQ_FIRST(&g->free_chunks)) != NULL) {
		TAILQ_REMOVE(&g->free_chunks, c, next);
		free(c);
	}
}

/* A boot: nothing in flight, nothing to say. */
void
transport_reset(struct vsw_guest *g)
{
	drop_list(&g->outgoing);
	drop_list(&g->kept);
	g->n_outgoing = 0;
	g->n_held = 0;
	g->n_free_slots = 0;
	for (unsigned int i = g->n_slots; i-- > 0;)
		g->free_slots[g->n_free_slots++] = i;
}

/*
 * Pieces of receive buffer @p buf, apart from each other. The first `extra` pieces are one
 * byte longer, so that any length can be cut into any number of pieces.
 */
static unsigned int
recv_pieces(const struct vsw_guest *g, unsigned int buf, struct piece *pieces)
{
	unsigned int n = g->conf.recv_pieces;
	uint32_t each = g->conf.recv_buf_len / n, extra = g->conf.recv_buf_len % n;
	uint64_t gpa = memory_recv_gpa(g, buf);

	for (unsigned int i = 0; i < n; i++) {
		pieces[i] = (struct piece){
			.gpa = gpa,
			.len = each + (i < extra),
			.flags = VRING_DESC_F_WRITE,
		};
		gpa += pieces[i].len + 16;
	}
	return n;
}

void
transport_repost(struct vsw_guest *g, unsigned int buf)
{
	struct piece pieces[N_PIECES_MAX];
	unsigned int n = recv_pieces(g, buf, pieces);

	if (ring_add(&g->rings[VSW_GUEST_TO_GUEST], pieces, n, 0, buf) < 0)
		guest_violation(g, "ring 0: no descriptors for a buffer that came back");
}

static void
repost_event(struct vsw_guest *g, unsigned int buf)
{
	const struct piece piece = {
		.gpa = g->event_gpa + buf * 8, .len = 8, .flags = VRING_DESC_F_WRITE};

	ring_add(&g->rings[VSW_GUEST_EVENT], &piece, 1, 0, buf);
}

void
transport_post_all(struct vsw_guest *g)
{
	unsigned int n_events = vsw_min_u32(N_EVENT_BUFS, g->conf.ring_size);

	for (unsigned int i = 0; i < g->n_recv_bufs; i++) {
		if (g->is_holding)
			g->held[g->n_held++] = i;
		else
			transport_repost(g, i);
	}
	ring_publish(&g->rings[VSW_GUEST_TO_GUEST]);
	for (unsigned int i = 0; g->n_rings > VSW_GUEST_EVENT && i < n_events; i++)
		repost_event(g, i);
	ring_publish(&g->rings[VSW_GUEST_EVENT]);
}

bool
transport_can_send(const struct vsw_guest *g)
{
	const struct ring *r = &g->rings[VSW_GUEST_FROM_GUEST];
	unsigned int n =
		g->conf.send_shape == VSW_GUEST_SEND_SPLIT ? 1 + g->conf.send_fragments : 1;

	return g->is_running && g->n_free_slots > 0 && r->n_free >= n;
}

/*
 * Puts header and payload into a slot and describes them in the configured shape; the
 * caller publishes. The payload is copied, as the kernel copies it from the application.
 */
static int
put_packet(struct vsw_guest *g, const uint8_t *hdr, const void *payload, uint32_t len)
{
	const struct vsw_guest_conf *conf = &g->conf;
	struct piece pieces[N_PIECES_MAX];
	unsigned int slot, n = 0, n_frags = conf->send_fragments;
	bool is_indirect = conf->send_shape == VSW_GUEST_SEND_INDIRECT &&
			   (g->features & 1ull << VIRTIO_RING_F_INDIRECT_DESC) != 0;
	uint64_t gpa;
	uint8_t *va;
	int head;

	if (!transport_can_send(g))
		return -EAGAIN;
	slot = g->free_slots[g->n_free_slots - 1];
	gpa = memory_slot_gpa(g, slot);
	va = memory_va(g, gpa);
	memcpy(va + SLOT_HDR_OFF, hdr, VSW_PKT_HDR_LEN);
	if (conf->send_shape == VSW_GUEST_SEND_ONE || len == 0) {
		memcpy(va + SLOT_DATA_OFF, len != 0 ? payload : "", len);
		pieces[n++] =
			(struct piece){.gpa = gpa + SLOT_HDR_OFF, .len = VSW_PKT_HDR_LEN + len};
	} else {
		uint32_t done = 0, off = SLOT_DATA_OFF;

		pieces[n++] = (struct piece){.gpa = gpa + SLOT_HDR_OFF, .len = VSW_PKT_HDR_LEN};
		if (n_frags > len)
			n_frags = len;
		for (unsigned int i = 0; i < n_frags; i++) {
			uint32_t part = (len - done) / (n_frags - i);

			off += SLOT_GAPS_LEN / n_frags;
			memcpy(va + off, (const uint8_t *)payload + done, part);
			pieces[n++] = (struct piece){.gpa = gpa + off, .len = part};
			done += part;
			off += part;
		}
	}
	head = ring_add(&g->rings[VSW_GUEST_FROM_GUEST], pieces, n, is_indirect ? gpa : 0, slot);
	if (head < 0)
		return -EAGAIN;
	g->n_free_slots--;
	g->stats.packets_sent++;
	g->stats.bytes_sent += len;
	return 0;
}

int
transport_send(struct vsw_guest *g, const uint8_t hdr[VSW_PKT_HDR_LEN], const void *payload,
	       uint32_t len)
{
	if (g->n_outgoing != 0)
		return -EAGAIN;
	return put_packet(g, hdr, payload, len);
}

/* Sends a packet without payload, now or when there is room; never out of order. */
void
transport_queue(struct vsw_guest *g, const struct vsw_pkt *pkt)
{
	uint8_t hdr[VSW_PKT_HDR_LEN];
	struct kept_pkt *k;

	if (pkt->op == VSW_OP_RST)
		g->stats.rst_sent++;
	vsw_pkt_encode(hdr, pkt);
	if (transport_send(g, hdr, NULL, 0) == 0) {
		ring_publish(&g->rings[VSW_GUEST_FROM_GUEST]);
		return;
	}
	k = calloc(1, sizeof(*k));
	if (k == NULL)
		abort();
	k->pkt = *pkt;
	STAILQ_INSERT_TAIL(&g->outgoing, k, next);
	g->n_outgoing++;
}

static void
flush_outgoing(struct vsw_guest *g)
{
	struct kept_pkt *k;

	while ((k = STAILQ_FIRST(&g->outgoing)) != NULL) {
		uint8_t hdr[VSW_PKT_HDR_LEN];

		vsw_pkt_encode(hdr, &k->pkt);
		if (put_packet(g, hdr, NULL, 0) < 0)
			break;
		STAILQ_REMOVE_HEAD(&g->outgoing, next);
		g->n_outgoing--;
		free(k);
	}
	ring_publish(&g->rings[VSW_GUEST_FROM_GUEST]);
}

/* The rules that hold for any packet from a device (virtio 1.2, 5.10.6). */
static bool
check_packet(struct vsw_guest *g, const uint8_t *hdr, const struct vsw_pkt *pkt, uint32_t used)
{
	unsigned int before = g->n_violations;
	const char *op = vsw_pkt_op_str(pkt->op);
	uint64_t cids[2];

	memcpy(cids, hdr, sizeof(cids));
	if (le64toh(cids[0]) > UINT32_MAX || le64toh(cids[1]) > UINT32_MAX)
		guest_violation(g, "%s: CIDs %#lx to %#lx have more than 32 bits", op,
				(unsigned long)le64toh(cids[0]), (unsigned long)le64toh(cids[1]));
	if (pkt->dst_cid != g->cid)
		guest_violation(g, "%s: for CID %u, this guest is %u", op, pkt->dst_cid, g->cid);
	if (pkt->src_cid != VSW_CID_HOST && pkt->src_cid < VSW_CID_GUEST_MIN)
		guest_violation(g, "%s: from CID %u", op, pkt->src_cid);
	if (pkt->op < VSW_OP_REQUEST || pkt->op > VSW_OP_CREDIT_REQUEST)
		guest_violation(g, "operation %u", pkt->op);
	if (pkt->len != used - VSW_PKT_HDR_LEN)
		guest_violation(g, "%s: length %u in a used length of %u", op, pkt->len, used);
	if (pkt->op != VSW_OP_RW && pkt->len != 0)
		guest_violation(g, "%s: with %u bytes of payload", op, pkt->len);
	if (pkt->op == VSW_OP_RW && pkt->len == 0)
		guest_violation(g, "rw: without payload");
	if (pkt->op == VSW_OP_SHUTDOWN ? pkt->flags == 0 || (pkt->flags & ~VSW_SHUTDOWN_BOTH) != 0
				       : pkt->flags != 0)
		guest_violation(g, "%s: flags %#x", op, pkt->flags);
	/* A RST answers a packet of any type with that type. */
	if (pkt->type != VSW_TYPE_STREAM && pkt->op != VSW_OP_RST)
		guest_violation(g, "%s: type %u", op, pkt->type);
	return g->n_violations == before;
}

static void
keep(struct vsw_guest *g, const struct vsw_pkt *pkt, const struct iovec *iov, unsigned int n)
{
	struct kept_pkt *k = calloc(1, sizeof(*k) + pkt->len);

	if (k == NULL)
		abort();
	k->pkt = *pkt;
	k->len = (uint32_t)vsw_iov_copy_out(k->payload, iov, n, pkt->len);
	STAILQ_INSERT_TAIL(&g->kept, k, next);
}

static void
input(struct vsw_guest *g, unsigned int buf, uint32_t used)
{
	struct piece pieces[N_PIECES_MAX];
	struct iovec iov[N_PIECES_MAX];
	unsigned int n = recv_pieces(g, buf, pieces), skip;
	uint8_t hdr[VSW_PKT_HDR_LEN];
	struct vsw_pkt pkt;

	/* Given back unused, as a device may that had to let go of its rings; Linux drops it. */
	if (used == 0 && g->is_disturbed) {
		g->stats.buffers_unused++;
		return;
	}
	if (used < VSW_PKT_HDR_LEN || used > g->conf.recv_buf_len) {
		guest_violation(g, "a packet of %u bytes in a buffer of %u", used,
				g->conf.recv_buf_len);
		return;
	}
	for (unsigned int i = 0; i < n; i++)
		iov[i] = (struct iovec){memory_va(g, pieces[i].gpa), pieces[i].len};
	vsw_iov_copy_out(hdr, iov, n, sizeof(hdr));
	vsw_pkt_decode(&pkt, hdr, sizeof(hdr), used - VSW_PKT_HDR_LEN, g->cid);
	g->stats.packets_received++;
	g->stats.bytes_received += pkt.len;
	if (pkt.op == VSW_OP_RST)
		g->stats.rst_received++;
	if (!check_packet(g, hdr, &pkt, used) && pkt.len > used - VSW_PKT_HDR_LEN)
		return;
	skip = vsw_iov_skip(iov, n, sizeof(hdr));
	if (g->is_raw)
		keep(g, &pkt, iov + skip, n - skip);
	else
		sock_input(g, &pkt, iov + skip, n - skip);
}

static bool
process_to_guest(struct vsw_guest *g)
{
	struct ring *r = &g->rings[VSW_GUEST_TO_GUEST];
	unsigned int buf;
	uint32_t len;
	int got;
	bool did = false;

	while ((got = ring_pop(r, &buf, &len)) != 0) {
		did = true;
		if (got < 0)
			continue;
		input(g, buf, len);
		if (g->is_holding)
			g->held[g->n_held++] = buf;
		else
			transport_repost(g, buf);
	}
	ring_publish(r);
	return did;
}

static bool
process_from_guest(struct vsw_guest *g)
{
	struct ring *r = &g->rings[VSW_GUEST_FROM_GUEST];
	unsigned int slot;
	uint32_t len;
	int got;
	bool did = false;

	while ((got = ring_pop(r, &slot, &len)) != 0) {
		did = true;
		if (got > 0)
			g->free_slots[g->n_free_slots++] = slot;
	}
	if (g->n_outgoing != 0)
		flush_outgoing(g);
	return did;
}

static bool
process_event(struct vsw_guest *g)
{
	struct ring *r = &g->rings[VSW_GUEST_EVENT];
	unsigned int buf;
	uint32_t len, id;
	int got;
	bool did = false;

	while ((got = ring_pop(r, &buf, &len)) != 0) {
		did = true;
		if (got < 0)
			continue;
		memcpy(&id, memory_va(g, g->event_gpa + buf * 8), sizeof(id));
		if (len != sizeof(id) || le32toh(id) != VSW_EVENT_TRANSPORT_RESET) {
			guest_violation(g, "event %u in %u bytes", le32toh(id), len);
		} else {
			g->stats.transport_resets++;
			sock_transport_reset(g);
		}
		repost_event(g, buf);
	}
	ring_publish(r);
	return did;
}

bool
transport_process(struct vsw_guest *g)
{
	bool did;

	ring_flush(&g->rings[VSW_GUEST_FROM_GUEST]);
	did = process_from_guest(g);
	did |= process_to_guest(g);
	if (g->n_rings > VSW_GUEST_EVENT)
		did |= process_event(g);
	return did;
}
