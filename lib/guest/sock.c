/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AF_VSOCK stream sockets, as net/vmw_vsock/virtio_transport_common.c behaves toward a
 * device. Function names of Linux are given where its rule is not the obvious one.
 *
 * A socket is found by (local port, peer CID, peer port). It receives packets while it is
 * hashed. A closed socket stays on g->closing until the peer agrees or 8 s have passed.
 */
#include "guest_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vsw_iov.h"

/* Linux takes source ports from above the reserved ones, starting at a random place. */
#define PORT_MIN 1024u

void
sock_init(struct vsw_guest *g)
{
	TAILQ_INIT(&g->socks);
	TAILQ_INIT(&g->closing);
	TAILQ_INIT(&g->ready);
	LIST_INIT(&g->listeners);
	for (unsigned int i = 0; i < N_SOCK_BUCKETS; i++)
		LIST_INIT(&g->buckets[i]);
	g->next_port = PORT_MIN + (uint32_t)(vsw_guest_now_ms() * 2654435761u) % 0x40000000u;
}

static struct sock_bucket *
bucket(struct vsw_guest *g, uint32_t local_port, uint32_t peer_port)
{
	return &g->buckets[(local_port * 31 + peer_port) % N_SOCK_BUCKETS];
}

static struct vsw_guest_sock *
find(struct vsw_guest *g, uint32_t local_port, uint32_t peer_cid, uint32_t peer_port)
{
	struct vsw_guest_sock *s;

	LIST_FOREACH(s, bucket(g, local_port, peer_port), hash)
	if (s->local_port == local_port && s->peer_port == peer_port && s->peer_cid == peer_cid)
		return s;
	return NULL;
}

static struct listener *
find_listener(struct vsw_guest *g, uint32_t port)
{
	struct listener *l;

	LIST_FOREACH(l, &g->listeners, next)
	if (l->port == port)
		return l;
	return NULL;
}

static void
unhash(struct vsw_guest_sock *s)
{
	if (s->is_hashed)
		LIST_REMOVE(s, hash);
	s->is_hashed = false;
}

static struct vsw_guest_sock *
sock_new(struct vsw_guest *g, uint32_t local_port, uint32_t peer_cid, uint32_t peer_port)
{
	struct vsw_guest_sock *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->g = g;
	s->local_port = local_port;
	s->peer_cid = peer_cid;
	s->peer_port = peer_port;
	s->buf_alloc = g->conf.buf_alloc;
	TAILQ_INIT(&s->chunks);
	LIST_INSERT_HEAD(bucket(g, local_port, peer_port), s, hash);
	s->is_hashed = true;
	TAILQ_INSERT_TAIL(&g->socks, s, all);
	g->n_socks++;
	return s;
}

/* Somebody who waits for this socket should look at it. */
static void
mark_ready(struct vsw_guest_sock *s)
{
	if (s->is_ready || s->is_closed || s->listener != NULL)
		return;
	s->is_ready = true;
	TAILQ_INSERT_TAIL(&s->g->ready, s, ready);
}

static void
unmark_ready(struct vsw_guest_sock *s)
{
	if (s->is_ready)
		TAILQ_REMOVE(&s->g->ready, s, ready);
	s->is_ready = false;
}

static void
put_chunk(struct vsw_guest *g, struct chunk *c)
{
	TAILQ_INSERT_HEAD(&g->free_chunks, c, next);
	g->n_free_chunks++;
}

static struct chunk *
take_chunk(struct vsw_guest *g)
{
	struct chunk *c = TAILQ_FIRST(&g->free_chunks);

	if (c != NULL) {
		TAILQ_REMOVE(&g->free_chunks, c, next);
		g->n_free_chunks--;
		return c;
	}
	c = malloc(sizeof(*c) + g->conf.recv_buf_len);
	if (c == NULL)
		abort();
	return c;
}

static void
sock_free(struct vsw_guest_sock *s)
{
	struct vsw_guest *g = s->g;
	struct chunk *c;

	while ((c = TAILQ_FIRST(&s->chunks)) != NULL) {
		TAILQ_REMOVE(&s->chunks, c, next);
		put_chunk(g, c);
	}
	if (s->listener != NULL) {
		STAILQ_REMOVE(&s->listener->waiting, s, vsw_guest_sock, accept);
		s->listener->n_waiting--;
	}
	unhash(s);
	unmark_ready(s);
	TAILQ_REMOVE(s->is_closed ? &g->closing : &g->socks, s, all);
	g->n_socks--;
	free(s);
}

void
sock_fini(struct vsw_guest *g)
{
	struct vsw_guest_sock *s;
	struct listener *l;

	while ((s = TAILQ_FIRST(&g->socks)) != NULL)
		sock_free(s);
	while ((s = TAILQ_FIRST(&g->closing)) != NULL)
		sock_free(s);
	while ((l = LIST_FIRST(&g->listeners)) != NULL) {
		LIST_REMOVE(l, next);
		free(l);
	}
}

/* A boot, or a device that has forgotten us: virtio_vsock_reset_sock(). */
void
sock_forget_all(struct vsw_guest *g)
{
	struct vsw_guest_sock *s, *next;

	while ((s = TAILQ_FIRST(&g->closing)) != NULL)
		sock_free(s);
	for (s = TAILQ_FIRST(&g->socks); s != NULL; s = next) {
		next = TAILQ_NEXT(s, all);
		if (s->listener != NULL) {
			sock_free(s);
			continue;
		}
		unhash(s);
		s->state = VSW_GUEST_DONE;
		s->is_forgotten = true;
		mark_ready(s);
	}
}

void
sock_transport_reset(struct vsw_guest *g)
{
	sock_forget_all(g);
}

/* ---- sending ---- */

/* Every packet carries the window: virtio_transport_inc_tx_pkt(). */
static void
fill(struct vsw_guest_sock *s, struct vsw_pkt *pkt, uint16_t op, uint32_t len, uint32_t flags)
{
	uint32_t edge = s->fwd_cnt + s->buf_alloc;

	*pkt = (struct vsw_pkt){
		.src_cid = s->g->cid,
		.dst_cid = s->peer_cid,
		.src_port = s->local_port,
		.dst_port = s->peer_port,
		.len = len,
		.type = VSW_TYPE_STREAM,
		.op = op,
		.flags = flags,
		.buf_alloc = s->buf_alloc,
		.fwd_cnt = s->fwd_cnt,
	};
	s->told_fwd_cnt = s->fwd_cnt;
	if (!s->has_granted || (int32_t)(edge - s->granted_edge) > 0)
		s->granted_edge = edge;
	s->has_granted = true;
}

static void
send_op(struct vsw_guest_sock *s, uint16_t op, uint32_t flags)
{
	struct vsw_pkt pkt;

	fill(s, &pkt, op, 0, flags);
	transport_queue(s->g, &pkt);
}

/* virtio_transport_reset_no_sock(): an answer to anything but a RST. */
static void
reset_no_sock(struct vsw_guest *g, const struct vsw_pkt *pkt)
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
		transport_queue(g, &rst);
}

/* Clamped: the peer may have shrunk its window below what is on the way. */
static uint32_t
sendable(const struct vsw_guest_sock *s)
{
	uint32_t on_way = s->sent - s->peer_fwd_cnt;

	if (s->state != VSW_GUEST_CONNECTED)
		return 0;
	return on_way < s->peer_buf_alloc ? s->peer_buf_alloc - on_way : 0;
}

static bool
cannot_send(const struct vsw_guest_sock *s)
{
	return s->state != VSW_GUEST_CONNECTED || (s->own_shutdown & VSW_SHUTDOWN_SEND) != 0 ||
	       (s->peer_shutdown & VSW_SHUTDOWN_RCV) != 0;
}

static bool
is_sendable(void *arg)
{
	const struct vsw_guest_sock *s = arg;

	return cannot_send(s) ||
	       (sendable(s) > 0 && s->g->n_outgoing == 0 && transport_can_send(s->g));
}

/* Sends what fits now. Returns bytes. */
static size_t
send_some(struct vsw_guest_sock *s, const uint8_t *buf, size_t len)
{
	struct vsw_guest *g = s->g;
	size_t done = 0;

	while (done < len && is_sendable(s)) {
		uint8_t hdr[VSW_PKT_HDR_LEN];
		struct vsw_pkt pkt;
		uint32_t part = vsw_min_u32(sendable(s), g->conf.send_max);

		if (part > len - done)
			part = (uint32_t)(len - done);
		fill(s, &pkt, VSW_OP_RW, part, 0);
		vsw_pkt_encode(hdr, &pkt);
		if (transport_send(g, hdr, buf + done, part) < 0)
			break;
		s->sent += part;
		done += part;
	}
	ring_publish(&g->rings[VSW_GUEST_FROM_GUEST]);
	return done;
}

ssize_t
vsw_guest_send(struct vsw_guest_sock *s, const void *buf, size_t len, int timeout_ms)
{
	uint64_t deadline = 0;
	size_t done = 0;

	/* Not for 0: a clock read costs as much as a small packet. */
	if (timeout_ms != 0)
		deadline = vsw_guest_now_ms() + (timeout_ms < 0 ? INT32_MAX : timeout_ms);
	if (s->state == VSW_GUEST_CONNECTING)
		return guest_fail(s->g, -ENOTCONN, "sending on a socket that still connects");
	for (;;) {
		uint64_t now;
		int err;

		if (cannot_send(s))
			break;
		done += send_some(s, (const uint8_t *)buf + done, len - done);
		if (done == len)
			return (ssize_t)done;
		if (timeout_ms == 0) {
			/* Slots may have come back; one look, no wait. */
			if (!guest_process(s->g) || cannot_send(s))
				break;
			done += send_some(s, (const uint8_t *)buf + done, len - done);
			break;
		}
		now = vsw_guest_now_ms();
		err = guest_wait(s->g, is_sendable, s, now < deadline ? (int)(deadline - now) : 0,
				 "the peer's window or a free slot");
		if (err < 0)
			return done > 0 ? (ssize_t)done : err == -ETIMEDOUT ? -EAGAIN : err;
	}
	if (done > 0)
		return (ssize_t)done;
	if (!cannot_send(s))
		return -EAGAIN;
	return guest_fail(s->g, s->state == VSW_GUEST_DONE ? -ECONNRESET : -EPIPE,
			  "sending on a socket that is %s",
			  s->state == VSW_GUEST_DONE ? "reset" : "shut down");
}

/* ---- receiving ---- */

/*
 * virtio_transport_recv_enqueue(): small packets go into the last skb's room, others are an
 * skb of their own, and since 6.12.92 skbs count against the window.
 */
static void
enqueue(struct vsw_guest_sock *s, const struct vsw_pkt *pkt, const struct iovec *iov,
	unsigned int n_iov)
{
	struct vsw_guest *g = s->g;
	struct chunk *last = TAILQ_LAST(&s->chunks, chunk_list), *c;

	s->unread += pkt->len;
	if (last != NULL && pkt->len <= COALESCE_MAX && last->room >= pkt->len) {
		vsw_iov_copy_out(last->data + last->off + last->len, iov, n_iov, pkt->len);
		last->len += pkt->len;
		last->room -= pkt->len;
		return;
	}
	c = take_chunk(g);
	c->off = 0;
	c->len = (uint32_t)vsw_iov_copy_out(c->data, iov, n_iov, pkt->len);
	c->room = g->conf.recv_buf_len - VSW_PKT_HDR_LEN - c->len;
	TAILQ_INSERT_TAIL(&s->chunks, c, next);
	s->n_chunks++;
}

static void
sock_done(struct vsw_guest_sock *s)
{
	s->state = VSW_GUEST_DONE;
	s->peer_shutdown = VSW_SHUTDOWN_BOTH;
	unhash(s);
	mark_ready(s);
	if (s->is_closed)
		sock_free(s);
}

static void
sock_reset(struct vsw_guest_sock *s)
{
	send_op(s, VSW_OP_RST, 0);
	sock_done(s);
}

static void
input_rw(struct vsw_guest_sock *s, const struct vsw_pkt *pkt, const struct iovec *iov,
	 unsigned int n_iov)
{
	struct vsw_guest *g = s->g;

	s->received += pkt->len;
	if ((s->peer_shutdown & VSW_SHUTDOWN_SEND) != 0)
		guest_violation(g, "port %u: rw after shutdown of that direction", s->local_port);
	if ((int32_t)(s->received - s->granted_edge) > 0) {
		guest_violation(g, "port %u: %u bytes past the window (buf_alloc %u, fwd_cnt %u)",
				s->local_port, s->received - s->granted_edge, s->buf_alloc,
				s->fwd_cnt);
		sock_reset(s);
		return;
	}
	if (pkt->len == 0)
		return;
	if (s->is_closed) {
		/* Nobody will read it, yet Linux keeps it in the window. */
		s->unread += pkt->len;
		return;
	}
	if (g->conf.count_packets && s->buf_alloc >= 4096 &&
	    (uint64_t)(s->n_chunks + 1) * SKB_OVERHEAD > s->buf_alloc) {
		guest_violation(g, "port %u: %u unread packets: Linux resets with ENOBUFS",
				s->local_port, s->n_chunks);
		sock_reset(s);
		return;
	}
	enqueue(s, pkt, iov, n_iov);
}

/* virtio_transport_recv_connecting() */
static void
input_connecting(struct vsw_guest_sock *s, const struct vsw_pkt *pkt)
{
	switch (pkt->op) {
	case VSW_OP_RESPONSE:
		s->state = VSW_GUEST_CONNECTED;
		break;
	case VSW_OP_RST:
		s->was_reset = true;
		sock_done(s);
		break;
	default:
		guest_violation(s->g, "port %u: %s in answer to a request", s->local_port,
				vsw_pkt_op_str(pkt->op));
		sock_reset(s);
		break;
	}
}

/* virtio_transport_recv_connected() */
static void
input_connected(struct vsw_guest_sock *s, const struct vsw_pkt *pkt, const struct iovec *iov,
		unsigned int n_iov)
{
	switch (pkt->op) {
	case VSW_OP_RW:
		input_rw(s, pkt, iov, n_iov);
		break;
	case VSW_OP_CREDIT_REQUEST:
		send_op(s, VSW_OP_CREDIT_UPDATE, 0);
		break;
	case VSW_OP_CREDIT_UPDATE:
		s->n_credit_update++;
		break;
	case VSW_OP_SHUTDOWN:
		s->peer_shutdown |= pkt->flags & VSW_SHUTDOWN_BOTH;
		if (s->peer_shutdown == VSW_SHUTDOWN_BOTH && (s->unread == 0 || s->is_closed))
			sock_reset(s);
		break;
	case VSW_OP_RST:
		s->was_reset = true;
		sock_done(s);
		break;
	default:
		guest_violation(s->g, "port %u: %s on an established connection", s->local_port,
				vsw_pkt_op_str(pkt->op));
		break;
	}
}

static void
learn_window(struct vsw_guest_sock *s, const struct vsw_pkt *pkt)
{
	if (pkt->op == VSW_OP_RST)
		return;
	if (pkt->fwd_cnt - s->peer_fwd_cnt > s->sent - s->peer_fwd_cnt)
		guest_violation(s->g, "port %u: %s: fwd_cnt %u after %u, %u bytes sent",
				s->local_port, vsw_pkt_op_str(pkt->op), pkt->fwd_cnt,
				s->peer_fwd_cnt, s->sent);
	s->peer_buf_alloc = pkt->buf_alloc;
	s->peer_fwd_cnt = pkt->fwd_cnt;
}

/* virtio_transport_recv_listen() */
static void
input_listen(struct vsw_guest *g, struct listener *l, const struct vsw_pkt *pkt)
{
	struct vsw_guest_sock *s;

	if (pkt->op != VSW_OP_REQUEST || l->n_waiting >= l->backlog) {
		reset_no_sock(g, pkt);
		return;
	}
	s = sock_new(g, pkt->dst_port, pkt->src_cid, pkt->src_port);
	if (s == NULL)
		abort();
	s->state = VSW_GUEST_CONNECTED;
	learn_window(s, pkt);
	s->listener = l;
	STAILQ_INSERT_TAIL(&l->waiting, s, accept);
	l->n_waiting++;
	send_op(s, VSW_OP_RESPONSE, 0);
}

void
sock_input(struct vsw_guest *g, const struct vsw_pkt *pkt, const struct iovec *iov,
	   unsigned int n_iov)
{
	struct vsw_guest_sock *s = find(g, pkt->dst_port, pkt->src_cid, pkt->src_port);
	struct listener *l;

	if (s == NULL) {
		l = find_listener(g, pkt->dst_port);
		if (l != NULL)
			input_listen(g, l, pkt);
		else
			reset_no_sock(g, pkt);
		return;
	}
	if (pkt->type != VSW_TYPE_STREAM && pkt->op != VSW_OP_RST) {
		reset_no_sock(g, pkt);
		return;
	}
	learn_window(s, pkt);
	mark_ready(s);
	if (s->state == VSW_GUEST_CONNECTING)
		input_connecting(s, pkt);
	else
		input_connected(s, pkt, iov, n_iov);
}

static bool
is_at_end(const struct vsw_guest_sock *s)
{
	return s->state == VSW_GUEST_DONE || (s->peer_shutdown & VSW_SHUTDOWN_SEND) != 0 ||
	       (s->own_shutdown & VSW_SHUTDOWN_RCV) != 0;
}

static bool
is_readable(void *arg)
{
	const struct vsw_guest_sock *s = arg;

	return s->unread > 0 || is_at_end(s);
}

/* virtio_transport_stream_do_dequeue(): tell the peer before its view of us gets small. */
static void
credit_after_read(struct vsw_guest_sock *s)
{
	uint32_t untold = s->fwd_cnt - s->told_fwd_cnt;
	uint32_t seen = s->buf_alloc > untold ? s->buf_alloc - untold : 0;

	if (s->state == VSW_GUEST_CONNECTED && untold > 0 && seen < CREDIT_UPDATE_BELOW)
		send_op(s, VSW_OP_CREDIT_UPDATE, 0);
}

static size_t
dequeue(struct vsw_guest_sock *s, uint8_t *buf, size_t len)
{
	size_t done = 0;
	struct chunk *c;

	while (done < len && (c = TAILQ_FIRST(&s->chunks)) != NULL) {
		uint32_t part = c->len < len - done ? c->len : (uint32_t)(len - done);

		if (buf != NULL)
			memcpy(buf + done, c->data + c->off, part);
		done += part;
		c->off += part;
		c->len -= part;
		if (c->len == 0) {
			TAILQ_REMOVE(&s->chunks, c, next);
			s->n_chunks--;
			put_chunk(s->g, c);
		}
	}
	s->unread -= (uint32_t)done;
	s->fwd_cnt += (uint32_t)done;
	if (done > 0)
		credit_after_read(s);
	return done;
}

ssize_t
vsw_guest_recv(struct vsw_guest_sock *s, void *buf, size_t len, int timeout_ms)
{
	int err;

	if (s->state == VSW_GUEST_CONNECTING)
		return guest_fail(s->g, -ENOTCONN, "receiving on a socket that still connects");
	if (s->is_forgotten)
		return guest_fail(s->g, -ECONNRESET, "receiving on a socket of an earlier boot");
	if (len == 0)
		return 0;
	if (s->unread == 0) {
		err = guest_wait(s->g, is_readable, s, timeout_ms, "data or the end of the stream");
		if (err < 0)
			return err == -ETIMEDOUT ? -EAGAIN : err;
	}
	return (ssize_t)dequeue(s, buf, len);
}

ssize_t
vsw_guest_take(struct vsw_guest_sock *s, const void **data, size_t max)
{
	const struct chunk *c = TAILQ_FIRST(&s->chunks);

	if (s->is_forgotten)
		return guest_fail(s->g, -ECONNRESET, "receiving on a socket of an earlier boot");
	if (c == NULL)
		return is_readable(s) ? 0 : -EAGAIN;
	/* A chunk that is given back is overwritten by the next packet, not before. */
	*data = c->data + c->off;
	return (ssize_t)dequeue(s, NULL, c->len < max ? c->len : max);
}

ssize_t
vsw_guest_recv_all(struct vsw_guest_sock *s, void *buf, size_t len, int timeout_ms)
{
	uint64_t deadline = vsw_guest_now_ms() + (timeout_ms < 0 ? INT32_MAX : timeout_ms);
	size_t done = 0;

	while (done < len) {
		uint64_t now = vsw_guest_now_ms();
		ssize_t got =
			vsw_guest_recv(s, buf != NULL ? (uint8_t *)buf + done : NULL, len - done,
				       now < deadline ? (int)(deadline - now) : 0);

		if (got == -EAGAIN)
			return guest_fail(s->g, -EAGAIN, "waited %d ms for %zu bytes, %zu came",
					  timeout_ms, len, done);
		if (got < 0)
			return got;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

/* ---- life ---- */

int
vsw_guest_listen(struct vsw_guest *g, uint32_t port, unsigned int backlog)
{
	struct listener *l;

	if (find_listener(g, port) != NULL)
		return guest_fail(g, -EADDRINUSE, "listening on port %u twice", port);
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	l->port = port;
	l->backlog = backlog;
	STAILQ_INIT(&l->waiting);
	LIST_INSERT_HEAD(&g->listeners, l, next);
	return 0;
}

void
vsw_guest_unlisten(struct vsw_guest *g, uint32_t port)
{
	struct listener *l = find_listener(g, port);
	struct vsw_guest_sock *s;

	if (l == NULL)
		return;
	while ((s = STAILQ_FIRST(&l->waiting)) != NULL) {
		if (s->state == VSW_GUEST_CONNECTED)
			send_op(s, VSW_OP_RST, 0);
		sock_free(s);
	}
	LIST_REMOVE(l, next);
	free(l);
}

static bool
has_waiting(void *arg)
{
	const struct listener *l = arg;

	return l->n_waiting > 0;
}

struct vsw_guest_sock *
vsw_guest_accept(struct vsw_guest *g, uint32_t port, int timeout_ms)
{
	struct listener *l = find_listener(g, port);
	struct vsw_guest_sock *s;
	int err;

	if (l == NULL) {
		errno = -guest_fail(g, -EINVAL, "accepting on port %u, nobody listens", port);
		return NULL;
	}
	err = guest_wait(g, has_waiting, l, timeout_ms, "a connection to accept");
	if (err < 0) {
		errno = -err;
		return NULL;
	}
	s = STAILQ_FIRST(&l->waiting);
	STAILQ_REMOVE_HEAD(&l->waiting, accept);
	l->n_waiting--;
	s->listener = NULL;
	mark_ready(s);
	return s;
}

unsigned int
vsw_guest_n_waiting(const struct vsw_guest *g, uint32_t port)
{
	const struct listener *l;

	LIST_FOREACH(l, &g->listeners, next)
	if (l->port == port)
		return l->n_waiting;
	return 0;
}

struct vsw_guest_sock *
vsw_guest_next_ready(struct vsw_guest *g)
{
	struct vsw_guest_sock *s = TAILQ_FIRST(&g->ready);

	if (s != NULL)
		unmark_ready(s);
	return s;
}

void
vsw_guest_sock_set_data(struct vsw_guest_sock *s, void *data)
{
	s->data = data;
}

void *
vsw_guest_sock_data(const struct vsw_guest_sock *s)
{
	return s->data;
}

static uint32_t
free_port(struct vsw_guest *g, uint32_t cid, uint32_t port)
{
	do {
		if (++g->next_port < PORT_MIN)
			g->next_port = PORT_MIN;
	} while (find(g, g->next_port, cid, port) != NULL ||
		 find_listener(g, g->next_port) != NULL);
	return g->next_port;
}

struct vsw_guest_sock *
vsw_guest_connect_start(struct vsw_guest *g, uint32_t local_port, uint32_t cid, uint32_t port)
{
	struct vsw_guest_sock *s;

	if (local_port == 0)
		local_port = free_port(g, cid, port);
	if (find(g, local_port, cid, port) != NULL) {
		errno = -guest_fail(g, -EADDRINUSE, "connecting from port %u, which is in use",
				    local_port);
		return NULL;
	}
	s = sock_new(g, local_port, cid, port);
	if (s == NULL)
		return NULL;
	s->state = VSW_GUEST_CONNECTING;
	send_op(s, VSW_OP_REQUEST, 0);
	return s;
}

static bool
is_answered(void *arg)
{
	const struct vsw_guest_sock *s = arg;

	return s->state != VSW_GUEST_CONNECTING;
}

struct vsw_guest_sock *
vsw_guest_connect(struct vsw_guest *g, uint32_t cid, uint32_t port, int timeout_ms)
{
	struct vsw_guest_sock *s = vsw_guest_connect_start(g, 0, cid, port);
	int err;

	if (s == NULL)
		return NULL;
	err = guest_wait(g, is_answered, s, timeout_ms, "an answer to a connection request");
	if (err == 0 && s->state == VSW_GUEST_CONNECTED)
		return s;
	if (err == 0)
		err = guest_fail(g, -ECONNRESET, "connecting to CID %u port %u: refused", cid,
				 port);
	sock_free(s);
	errno = -err;
	return NULL;
}

int
vsw_guest_shutdown(struct vsw_guest_sock *s, uint32_t flags)
{
	if (s->state != VSW_GUEST_CONNECTED)
		return guest_fail(s->g, -ENOTCONN, "shutting down a socket without connection");
	s->own_shutdown |= flags;
	send_op(s, VSW_OP_SHUTDOWN, flags);
	return 0;
}

/* virtio_transport_close() */
void
vsw_guest_close(struct vsw_guest_sock *s)
{
	struct vsw_guest *g = s->g;

	if (s->state == VSW_GUEST_CONNECTED && s->peer_shutdown == VSW_SHUTDOWN_BOTH) {
		send_op(s, VSW_OP_RST, 0);
		s->state = VSW_GUEST_DONE;
	}
	if (s->state != VSW_GUEST_CONNECTED) {
		sock_free(s);
		return;
	}
	if (s->own_shutdown != VSW_SHUTDOWN_BOTH)
		send_op(s, VSW_OP_SHUTDOWN, VSW_SHUTDOWN_BOTH);
	s->own_shutdown = VSW_SHUTDOWN_BOTH;
	unmark_ready(s);
	TAILQ_REMOVE(&g->socks, s, all);
	s->is_closed = true;
	TAILQ_INSERT_TAIL(&g->closing, s, all);
	s->close_at = vsw_guest_now_ms() + CLOSE_TIMEOUT_MS;
}

void
vsw_guest_abort(struct vsw_guest_sock *s)
{
	if (s->state != VSW_GUEST_DONE)
		send_op(s, VSW_OP_RST, 0);
	sock_free(s);
}

int
vsw_guest_set_window(struct vsw_guest_sock *s, uint32_t buf_alloc)
{
	s->buf_alloc = buf_alloc;
	if (s->state != VSW_GUEST_CONNECTED)
		return guest_fail(s->g, -ENOTCONN, "announcing a window without connection");
	send_op(s, VSW_OP_CREDIT_UPDATE, 0);
	return 0;
}

/* Deadlines of closed sockets: virtio_transport_close_timeout(). */
bool
sock_timers(struct vsw_guest *g)
{
	struct vsw_guest_sock *s;
	bool did = false;

	while ((s = TAILQ_FIRST(&g->closing)) != NULL && s->close_at <= vsw_guest_now_ms()) {
		send_op(s, VSW_OP_RST, 0);
		sock_free(s);
		did = true;
	}
	return did;
}

int
sock_next_timer(const struct vsw_guest *g)
{
	const struct vsw_guest_sock *s = TAILQ_FIRST(&g->closing);
	uint64_t now = vsw_guest_now_ms();

	if (s == NULL)
		return -1;
	return s->close_at > now ? (int)(s->close_at - now) : 0;
}

unsigned int
vsw_guest_n_socks(const struct vsw_guest *g)
{
	return g->n_socks;
}

struct vsw_guest *
vsw_guest_sock_guest(const struct vsw_guest_sock *s)
{
	return s->g;
}

void
vsw_guest_sock_info(const struct vsw_guest_sock *s, struct vsw_guest_sock_info *info)
{
	*info = (struct vsw_guest_sock_info){
		.state = s->state,
		.local_port = s->local_port,
		.peer_cid = s->peer_cid,
		.peer_port = s->peer_port,
		.was_reset = s->was_reset,
		.peer_shutdown = s->peer_shutdown,
		.is_readable = s->unread > 0 || is_at_end(s),
		.sendable = sendable(s),
		.unread = s->unread,
		.n_unread_packets = s->n_chunks,
		.sent = s->sent,
		.received = s->received,
		.peer_buf_alloc = s->peer_buf_alloc,
		.peer_fwd_cnt = s->peer_fwd_cnt,
		.n_credit_update = s->n_credit_update,
	};
}
