/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The calls that break rules. They go through the same ring accounting as everything else,
 * so that what the device does about them can be told from what the driver lost.
 */
#include "guest_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define N_RAW_DESCS_MAX 4096

void
vsw_guest_set_raw(struct vsw_guest *g, bool is_raw)
{
	struct kept_pkt *k;

	g->is_raw = is_raw;
	while (!is_raw && (k = STAILQ_FIRST(&g->kept)) != NULL) {
		STAILQ_REMOVE_HEAD(&g->kept, next);
		free(k);
	}
}

static bool
has_kept(void *arg)
{
	const struct vsw_guest *g = arg;

	return !STAILQ_EMPTY(&g->kept);
}

int
vsw_guest_recv_pkt(struct vsw_guest *g, struct vsw_pkt *pkt, void *payload, size_t size,
		   int timeout_ms)
{
	struct kept_pkt *k;
	int err = guest_wait(g, has_kept, g, timeout_ms, "a packet");

	if (err < 0)
		return err;
	k = STAILQ_FIRST(&g->kept);
	STAILQ_REMOVE_HEAD(&g->kept, next);
	*pkt = k->pkt;
	if (payload != NULL)
		memcpy(payload, k->payload, k->len < size ? k->len : size);
	free(k);
	return 0;
}

int
vsw_guest_send_hdr(struct vsw_guest *g, const uint8_t hdr[VSW_PKT_HDR_LEN], const void *payload,
		   size_t len)
{
	int err;

	if (len > 65536)
		return guest_fail(g, -EINVAL, "sending %zu bytes in one packet", len);
	err = transport_send(g, hdr, payload, (uint32_t)len);
	if (err == -EAGAIN) {
		guest_process(g);
		err = transport_send(g, hdr, payload, (uint32_t)len);
	}
	if (err < 0)
		return guest_fail(g, err, "sending a packet: no free slot");
	ring_publish(&g->rings[VSW_GUEST_FROM_GUEST]);
	return 0;
}

int
vsw_guest_send_pkt(struct vsw_guest *g, const struct vsw_pkt *pkt, const void *payload, size_t len)
{
	uint8_t hdr[VSW_PKT_HDR_LEN];

	vsw_pkt_encode(hdr, pkt);
	return vsw_guest_send_hdr(g, hdr, payload, len);
}

static bool
is_idle(void *arg)
{
	const struct ring *r = arg;

	return r->n_in_flight == 0;
}

int
vsw_guest_wait_used(struct vsw_guest *g, enum vsw_guest_queue queue, int timeout_ms)
{
	return guest_wait(g, is_idle, &g->rings[queue], timeout_ms,
			  "all chains of the ring to come back");
}

void
vsw_guest_hold_recv(struct vsw_guest *g, bool is_held)
{
	g->is_holding = is_held;
	if (is_held)
		return;
	for (unsigned int i = 0; i < g->n_held; i++)
		transport_repost(g, g->held[i]);
	g->n_held = 0;
	if (g->is_running)
		ring_publish(&g->rings[VSW_GUEST_TO_GUEST]);
}

/* The raw chain is in the table as a proper one; now break it as told. */
static void
bend(struct ring *r, uint16_t head, unsigned int n, enum vsw_guest_chain_end end)
{
	uint16_t last = head;

	for (unsigned int i = 1; i < n; i++)
		last = r->desc[last].next;
	switch (end) {
	case VSW_GUEST_CHAIN_PROPER:
		break;
	case VSW_GUEST_CHAIN_LOOP:
		r->desc[last].flags |= VRING_DESC_F_NEXT;
		r->desc[last].next = head;
		break;
	case VSW_GUEST_CHAIN_OUTSIDE:
		r->desc[last].flags |= VRING_DESC_F_NEXT;
		r->desc[last].next = r->size;
		break;
	case VSW_GUEST_CHAIN_BAD_HEAD:
		r->avail->ring[(uint16_t)(r->avail_idx - 1) % r->size] = r->size;
		break;
	}
}

int
vsw_guest_post(struct vsw_guest *g, enum vsw_guest_queue queue, const struct vsw_guest_desc *desc,
	       unsigned int n, enum vsw_guest_chain_end end)
{
	struct ring *r = &g->rings[queue];
	struct piece *pieces;
	int head;

	if (n == 0 || n > N_RAW_DESCS_MAX)
		return guest_fail(g, -EINVAL, "posting a chain of %u descriptors", n);
	pieces = calloc(n, sizeof(*pieces));
	if (pieces == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < n; i++)
		pieces[i] = (struct piece){desc[i].addr, desc[i].len, desc[i].flags};
	head = ring_add(r, pieces, n, 0, 0);
	free(pieces);
	if (head < 0)
		return guest_fail(g, head, "posting a chain of %u: %u descriptors are free", n,
				  r->n_free);
	r->flight[head].is_raw = true;
	r->raw_done[head].is_done = false;
	bend(r, (uint16_t)head, n, end);
	ring_publish(r);
	return head;
}

struct head_wait {
	const struct ring *r;
	int head;
};

static bool
is_head_done(void *arg)
{
	const struct head_wait *w = arg;

	return w->r->raw_done[w->head].is_done;
}

int
vsw_guest_wait_head(struct vsw_guest *g, enum vsw_guest_queue queue, int head, uint32_t *len,
		    int timeout_ms)
{
	struct head_wait w = {.r = &g->rings[queue], .head = head};
	int err = guest_wait(g, is_head_done, &w, timeout_ms, "the used entry of a raw chain");

	if (err < 0)
		return err;
	*len = w.r->raw_done[head].len;
	g->rings[queue].raw_done[head].is_done = false;
	return 0;
}

void
vsw_guest_ring_view(struct vsw_guest *g, enum vsw_guest_queue queue,
		    struct vsw_guest_ring_view *view)
{
	struct ring *r = &g->rings[queue];

	*view = (struct vsw_guest_ring_view){
		.size = r->size,
		.desc = r->desc,
		.avail = r->avail,
		.used = r->used,
	};
}

void
vsw_guest_jump_avail(struct vsw_guest *g, enum vsw_guest_queue queue, uint16_t delta)
{
	struct ring *r = &g->rings[queue];

	__atomic_store_n(&r->avail->idx, (uint16_t)(r->avail->idx + delta), __ATOMIC_RELEASE);
	ring_kick(r);
}

void
vsw_guest_kick(struct vsw_guest *g, enum vsw_guest_queue queue)
{
	ring_kick(&g->rings[queue]);
}
