/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The calls that break rules of the protocol. They go through the same ring accounting as
 * everything else, so that what the device does about them can be told from what the driver lost.
 */
#include "guest_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
