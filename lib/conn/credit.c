/* SPDX-License-Identifier: BSD-3-Clause */
#include "credit.h"
#include "vsw_base.h"

#define SKB_COST 576
#define NEWS_FRACTION 4

static void
retire_marks(struct vsw_conn *conn)
{
	while (conn->n_marks > 0) {
		const struct vsw_conn_mark *mark = &conn->mark[conn->first_mark];

		if ((int32_t)(conn->peer_fwd_cnt - mark->end_cnt) < 0)
			return;
		conn->n_unread -= mark->n_packets;
		conn->first_mark = (conn->first_mark + 1) % VSW_CONN_MARKS;
		conn->n_marks--;
	}
}

void
vsw_credit_update(struct vsw_conn *conn, const struct vsw_pkt *pkt)
{
	conn->peer_buf_alloc = pkt->buf_alloc;
	if (conn->to_guest_cnt - pkt->fwd_cnt > conn->to_guest_cnt - conn->peer_fwd_cnt)
		return; /* moves back, or acknowledges what was not sent */
	conn->peer_fwd_cnt = pkt->fwd_cnt;
	retire_marks(conn);
	if (vsw_conn_window(conn).bytes > 0 && vsw_conn_window(conn).packets > 0)
		conn->probing = false;
}

bool
vsw_credit_is_news(const struct vsw_conn *conn)
{
	return conn->state == VSW_CONN_ESTABLISHED && !(conn->guest_shut & VSW_SHUTDOWN_SEND) &&
	       conn->fwd_cnt - conn->fwd_cnt_told >= conn->buf_alloc / NEWS_FRACTION &&
	       conn->fwd_cnt != conn->fwd_cnt_told;
}

struct vsw_conn_window
vsw_conn_window(const struct vsw_conn *conn)
{
	uint32_t in_flight = conn->to_guest_cnt - conn->peer_fwd_cnt;
	uint32_t max_packets = conn->peer_buf_alloc / SKB_COST;
	struct vsw_conn_window w = {0, 0};

	if (conn->state != VSW_CONN_ESTABLISHED || (conn->guest_shut & VSW_SHUTDOWN_RCV))
		return w;
	max_packets = max_packets > 9 ? max_packets - 8 : 1;
	if (in_flight < conn->peer_buf_alloc)
		w.bytes = conn->peer_buf_alloc - in_flight;
	if (conn->n_unread < max_packets)
		w.packets = max_packets - conn->n_unread;
	return w;
}

void
vsw_conn_reserve(struct vsw_conn *conn, uint32_t bytes)
{
	conn->to_guest_cnt += bytes;
}

void
vsw_conn_unreserve(struct vsw_conn *conn, uint32_t reserved, uint32_t sent)
{
	conn->to_guest_cnt -= reserved - sent;
}

void
vsw_credit_sent(struct vsw_conn *conn, uint32_t len)
{
	uint8_t last;

	if (conn->n_marks < VSW_CONN_MARKS) {
		last = (conn->first_mark + conn->n_marks++) % VSW_CONN_MARKS;
		conn->mark[last].n_packets = 0;
	} else {
		last = (conn->first_mark + conn->n_marks - 1) % VSW_CONN_MARKS;
	}
	conn->mark[last].end_cnt = conn->to_guest_cnt;
	conn->mark[last].n_packets++;
	conn->n_unread++;
}
