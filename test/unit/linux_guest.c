/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * After Linux' af_vsock.c and virtio_transport_common.c; the functions that each part stands
 * for are named.
 */
#include "linux_guest.h"

#include <string.h>

/* SKB_TRUESIZE(0), VIRTIO_VSOCK_MAX_PKT_BUF_SIZE */
#define PACKET_COST 576u
#define MAX_PACKET (64u * 1024)

void
wire_put(struct wire *wire, const struct vsw_pkt *pkt, uint64_t offset)
{
	MUST(wire->n < WIRE_SIZE);
	wire->entry[(wire->first + wire->n++) % WIRE_SIZE] = (struct wire_entry){*pkt, offset};
}

bool
wire_get(struct wire *wire, struct wire_entry *entry)
{
	if (wire->n == 0)
		return false;
	*entry = wire->entry[wire->first];
	wire->first = (wire->first + 1) % WIRE_SIZE;
	wire->n--;
	return true;
}

/* virtio_transport_send_pkt_info() */
static void
send_packet(struct guest *g, uint16_t op, uint32_t flags, uint32_t len)
{
	const struct vsw_pkt pkt = {
		.src_cid = g->cid,
		.dst_cid = g->far_cid,
		.src_port = g->port,
		.dst_port = g->far_port,
		.type = VSW_TYPE_STREAM,
		.op = op,
		.flags = flags,
		.len = len,
		.buf_alloc = g->buf_alloc,
		.fwd_cnt = g->fwd_cnt,
	};

	g->last_fwd_cnt = g->fwd_cnt;
	wire_put(g->out, &pkt, g->n_sent);
}

void
guest_packet(struct guest *g, uint16_t op)
{
	if (g->state == GUEST_EST)
		send_packet(g, op, 0, 0);
}

void
guest_connect(struct guest *g)
{
	g->state = GUEST_SYN_SENT;
	send_packet(g, VSW_OP_REQUEST, 0, 0);
}

/* vsock_connectible_sendmsg(), virtio_transport_get_credit() */
uint32_t
guest_send(struct guest *g, uint32_t len)
{
	uint32_t used = g->tx_cnt - g->peer_fwd_cnt;
	uint32_t space = used < g->peer_buf_alloc ? g->peer_buf_alloc - used : 0;

	if (g->state != GUEST_EST || (g->shutdown & VSW_SHUTDOWN_SEND) ||
	    (g->peer_shutdown & VSW_SHUTDOWN_RCV))
		return 0;
	if (len > space)
		len = space;
	if (len > MAX_PACKET)
		len = MAX_PACKET;
	if (len == 0)
		return 0;
	send_packet(g, VSW_OP_RW, 0, len);
	g->tx_cnt += len;
	g->n_sent += len;
	return len;
}

/* virtio_transport_stream_do_dequeue() */
uint32_t
guest_read(struct guest *g, uint32_t len)
{
	uint32_t n = 0, untold;

	while (n < len && g->n_queued > 0) {
		uint32_t *first = &g->queue[g->first];
		uint32_t part = *first < len - n ? *first : len - n;

		n += part;
		*first -= part;
		if (*first > 0)
			break;
		g->first = (g->first + 1) % GUEST_QUEUE;
		g->n_queued--;
	}
	g->fwd_cnt += n;
	g->rx_bytes -= n;
	g->n_read += n;
	untold = g->fwd_cnt - g->last_fwd_cnt;
	if (g->state == GUEST_EST && untold > 0 && wire_has_room(g->out) &&
	    ((int64_t)g->buf_alloc - untold < MAX_PACKET || (!g->quiet && g->rx_bytes == 0)))
		send_packet(g, VSW_OP_CREDIT_UPDATE, 0, 0);
	return n;
}

bool
guest_saw_eof(const struct guest *g)
{
	return g->n_queued == 0 &&
	       (g->state != GUEST_EST || (g->peer_shutdown & VSW_SHUTDOWN_SEND));
}

/* vsock_shutdown() */
void
guest_shutdown(struct guest *g, uint32_t flags)
{
	if (g->state != GUEST_EST)
		return;
	g->shutdown |= flags;
	send_packet(g, VSW_OP_SHUTDOWN, flags, 0);
}

static void
reset(struct guest *g)
{
	send_packet(g, VSW_OP_RST, 0, 0);
	g->state = GUEST_NONE;
}

/* virtio_transport_close() */
void
guest_close(struct guest *g)
{
	g->app_closed = true;
	g->listening = false;
	if (g->state == GUEST_SYN_SENT)
		g->state = GUEST_NONE; /* says nothing */
	if (g->state != GUEST_EST)
		return;
	if (g->peer_shutdown == VSW_SHUTDOWN_BOTH)
		reset(g);
	else if (g->shutdown != VSW_SHUTDOWN_BOTH)
		guest_shutdown(g, VSW_SHUTDOWN_BOTH);
}

/* virtio_transport_close_timeout(), vsock_connect_timeout() */
void
guest_timeout(struct guest *g)
{
	if (g->state == GUEST_SYN_SENT)
		g->state = GUEST_NONE;
	else if (g->state == GUEST_EST && g->app_closed)
		reset(g);
}

/* vsock_update_buffer_size(), virtio_transport_notify_buffer_size() */
void
guest_resize(struct guest *g, uint32_t buf_alloc)
{
	g->strict = false;
	g->buf_alloc = buf_alloc;
	guest_packet(g, VSW_OP_CREDIT_UPDATE);
}

/* virtio_transport_reset_no_sock() */
static void
reset_no_sock(struct guest *g, const struct vsw_pkt *pkt)
{
	const struct vsw_pkt rst = {
		.src_cid = pkt->dst_cid,
		.dst_cid = pkt->src_cid,
		.src_port = pkt->dst_port,
		.dst_port = pkt->src_port,
		.type = pkt->type,
		.op = VSW_OP_RST,
	};

	if (pkt->op != VSW_OP_RST)
		wire_put(g->out, &rst, 0);
}

/* virtio_transport_space_update(); what the switch says must be true. */
static void
take_credit(struct guest *g, const struct vsw_pkt *pkt)
{
	if (g->is_sane)
		MUST(g->tx_cnt - pkt->fwd_cnt <= g->tx_cnt - g->peer_fwd_cnt);
	g->peer_buf_alloc = pkt->buf_alloc;
	g->peer_fwd_cnt = pkt->fwd_cnt;
}

/* virtio_transport_recv_listen() */
static void
recv_listen(struct guest *g, const struct vsw_pkt *pkt)
{
	if (pkt->op != VSW_OP_REQUEST) {
		reset_no_sock(g, pkt);
		return;
	}
	g->listening = false;
	g->state = GUEST_EST;
	take_credit(g, pkt);
	send_packet(g, VSW_OP_RESPONSE, 0, 0);
}

/* virtio_transport_recv_enqueue(), virtio_transport_inc_rx_pkt() */
static void
enqueue(struct guest *g, const struct wire_entry *entry)
{
	uint32_t len = entry->pkt.len;

	MUST(len > 0 && len <= MAX_PACKET);
	MUST(entry->offset == g->n_received);
	MUST(!(g->peer_shutdown & VSW_SHUTDOWN_SEND));
	if (g->strict) {
		MUST(g->rx_bytes + len <= g->buf_alloc);
		MUST(g->buf_alloc < PACKET_COST || (g->n_queued + 1) * PACKET_COST <= g->buf_alloc);
	}
	MUST(g->n_queued < GUEST_QUEUE);
	g->queue[(g->first + g->n_queued++) % GUEST_QUEUE] = len;
	g->rx_bytes += len;
	g->n_received += len;
}

/* virtio_transport_recv_connected() */
static void
recv_connected(struct guest *g, const struct wire_entry *entry)
{
	const struct vsw_pkt *pkt = &entry->pkt;

	switch (pkt->op) {
	case VSW_OP_RW:
		enqueue(g, entry);
		break;
	case VSW_OP_CREDIT_REQUEST:
		send_packet(g, VSW_OP_CREDIT_UPDATE, 0, 0);
		break;
	case VSW_OP_CREDIT_UPDATE:
		break;
	case VSW_OP_SHUTDOWN:
		MUST(pkt->flags != 0 && (pkt->flags & ~VSW_SHUTDOWN_BOTH) == 0);
		g->peer_shutdown |= pkt->flags;
		if (g->peer_shutdown == VSW_SHUTDOWN_BOTH && g->n_queued == 0)
			reset(g);
		break;
	case VSW_OP_RST:
		g->state = GUEST_NONE;
		g->was_reset = true;
		break;
	default: /* of which the switch should know better */
		MUST(!g->is_sane);
	}
}

/* virtio_transport_recv_connecting() */
static void
recv_connecting(struct guest *g, const struct vsw_pkt *pkt)
{
	if (pkt->op == VSW_OP_RESPONSE) {
		g->state = GUEST_EST;
		return;
	}
	g->state = GUEST_NONE;
	g->was_reset = true;
	if (pkt->op == VSW_OP_RST)
		return;
	MUST(!g->is_sane);
	reset_no_sock(g, pkt);
}

/* virtio_transport_recv_pkt() */
void
guest_receive(struct guest *g, const struct wire_entry *entry)
{
	const struct vsw_pkt *pkt = &entry->pkt;

	MUST(pkt->src_cid == g->far_cid && pkt->src_port == g->far_port);
	MUST(pkt->dst_cid == g->cid && pkt->dst_port == g->port);
	MUST(pkt->type == VSW_TYPE_STREAM);
	if (g->state == GUEST_NONE) {
		if (g->listening)
			recv_listen(g, pkt);
		else
			reset_no_sock(g, pkt);
		return;
	}
	if (pkt->op != VSW_OP_RST)
		take_credit(g, pkt);
	if (g->state == GUEST_SYN_SENT)
		recv_connecting(g, pkt);
	else
		recv_connected(g, entry);
}
