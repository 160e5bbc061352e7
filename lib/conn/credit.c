/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Credit. All counters run free modulo 2^32, so positions are compared by their distances
 * from a third one, never with each other; no distance is trusted that the guest could have
 * chosen: one that is too long to be true counts as none.
 *
 * From the guest, `granted` is the furthest position that any window ever allowed. For a host
 * stream it is just fwd_cnt + buf_alloc. A far guest may shrink its window while bytes sent
 * under the old one are on their way; those must not get their sender reset.
 *
 * To the guest, unread packets are counted beside bytes, because newer Linux guests charge
 * SKB_TRUESIZE(0) = 576 bytes for each, whatever its length. The guest tells only how many
 * bytes it has read, so we remember up to VSW_CONN_MARKS positions with the packets before
 * each. A mark covers a sixteenth of the packets that the window admits: then sixteen marks
 * always suffice, and the error, packets that count as unread although they were read, stays
 * below that. With sixteen packets or fewer there is none. While a window changes its size the
 * error may be greater, but what has been read as a whole counts as nothing.
 */
#include "credit.h"

#include "vsw_base.h"

/* Linux' SKB_TRUESIZE(0). */
#define PACKET_COST 576
/* Not filled to the brim: a sixteenth is left for kernels whose skb is a little larger. */
#define SPARE_FRACTION 16

/*
 * A CREDIT_UPDATE for every quarter of the window: the guest, which stalls when all is used,
 * hears of room long before, and a 64 KiB packet costs at most one.
 */
#define NEWS_FRACTION 4

uint32_t
vsw_conn_edge(const struct vsw_conn *conn)
{
	/* Half the circle is as far ahead as a position can be told from one behind. */
	return conn->fwd_cnt + vsw_min_u32(conn->buf_alloc, INT32_MAX);
}

static void
set_window(struct vsw_conn *conn, uint32_t buf_alloc, uint32_t fwd_cnt)
{
	conn->buf_alloc = buf_alloc;
	conn->fwd_cnt = fwd_cnt;
	if ((int32_t)(vsw_conn_edge(conn) - conn->granted) > 0)
		conn->granted = vsw_conn_edge(conn);
}

void
vsw_conn_far_credit(struct vsw_conn *conn, uint32_t buf_alloc, uint32_t fwd_cnt)
{
	/* As below: a count that moves back, or takes what did not come, is none. */
	if (conn->from_guest_cnt - fwd_cnt > conn->from_guest_cnt - conn->fwd_cnt)
		fwd_cnt = conn->fwd_cnt;
	set_window(conn, buf_alloc, fwd_cnt);
}

void
vsw_credit_taken(struct vsw_conn *conn, uint32_t n)
{
	set_window(conn, conn->buf_alloc, conn->fwd_cnt + n);
}

bool
vsw_conn_has_news(const struct vsw_conn *conn, uint32_t size)
{
	int32_t untold = (int32_t)(vsw_conn_edge(conn) - conn->edge_told);

	/* Whatever waits to be told tells the window, too. */
	return conn->state == VSW_CONN_ESTABLISHED && conn->pending == 0 &&
	       !(conn->guest_shut & VSW_SHUTDOWN_SEND) && untold > 0 &&
	       (uint32_t)untold >= size / NEWS_FRACTION;
}

static uint32_t
max_unread(const struct vsw_conn *conn)
{
	uint32_t n = conn->peer_buf_alloc / PACKET_COST;

	n -= n / SPARE_FRACTION;
	if (n > UINT16_MAX)
		return UINT16_MAX;
	return n > 0 ? n : 1;
}

static uint32_t
unread_bytes(const struct vsw_conn *conn)
{
	return conn->to_guest_cnt - conn->peer_fwd_cnt;
}

static void
retire_marks(struct vsw_conn *conn)
{
	while (conn->n_marks > 0) {
		const struct vsw_conn_mark *mark = &conn->mark[conn->first_mark];

		if (conn->to_guest_cnt - mark->end_cnt < unread_bytes(conn))
			return;
		conn->n_unread -= mark->n_packets;
		conn->first_mark = (conn->first_mark + 1) % VSW_CONN_MARKS;
		conn->n_marks--;
	}
}

void
vsw_credit_from_guest(struct vsw_conn *conn, const struct vsw_pkt *pkt)
{
	struct vsw_conn_window window;

	conn->peer_buf_alloc = pkt->buf_alloc;
	/* A count that moves back, or acknowledges what was not sent, is none. */
	if (conn->to_guest_cnt - pkt->fwd_cnt <= unread_bytes(conn)) {
		conn->peer_fwd_cnt = pkt->fwd_cnt;
		retire_marks(conn);
	}
	window = vsw_conn_window(conn);
	if (window.bytes > 0 && window.packets > 0)
		conn->probing = false;
}

struct vsw_conn_window
vsw_conn_window(const struct vsw_conn *conn)
{
	uint64_t in_flight = (uint64_t)unread_bytes(conn) + conn->reserved;
	struct vsw_conn_window window = {0, 0};

	if (conn->state != VSW_CONN_ESTABLISHED || (conn->guest_shut & VSW_SHUTDOWN_RCV))
		return window;
	if (in_flight < conn->peer_buf_alloc)
		window.bytes = conn->peer_buf_alloc - (uint32_t)in_flight;
	if (conn->n_unread < max_unread(conn))
		window.packets = max_unread(conn) - conn->n_unread;
	return window;
}

void
vsw_conn_reserve(struct vsw_conn *conn, uint32_t bytes)
{
	conn->reserved += bytes;
}

void
vsw_conn_unreserve(struct vsw_conn *conn, uint32_t bytes)
{
	conn->reserved -= bytes;
}

/* The newest mark, if it may cover one packet more, or a new one. A window that has shrunk
 * may have left too many small marks: then the newest takes more than its share. */
static struct vsw_conn_mark *
open_mark(struct vsw_conn *conn)
{
	struct vsw_conn_mark *mark =
		&conn->mark[(conn->first_mark + conn->n_marks - 1u) % VSW_CONN_MARKS];
	uint32_t share = (max_unread(conn) + VSW_CONN_MARKS - 1) / VSW_CONN_MARKS;

	if (conn->n_marks > 0 && (mark->n_packets < share || conn->n_marks == VSW_CONN_MARKS))
		return mark;
	mark = &conn->mark[(conn->first_mark + conn->n_marks++) % VSW_CONN_MARKS];
	mark->n_packets = 0;
	return mark;
}

void
vsw_credit_sent(struct vsw_conn *conn, uint32_t len)
{
	struct vsw_conn_mark *mark = open_mark(conn);

	conn->to_guest_cnt += len;
	mark->end_cnt = conn->to_guest_cnt;
	mark->n_packets++;
	conn->n_unread++;
}
