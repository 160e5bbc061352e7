/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a guest may send: the window that its far end has room for, or less.
 *
 * Bytes that their reader does not take wait here, so a window is a promise to keep that many.
 * What one guest was promised, over all its connections, is bounded by its spill budget: then
 * there is always room for what it sends, its ring is emptied whoever reads or does not, and a
 * reader that stands still stalls its own connection alone.
 *
 * The shares are those of dynamic thresholds (Choudhury and Hahne, 1998), which switches use
 * for the buffers of their ports: a connection is promised no more than a fraction of what is
 * left to the others. A few of them get all they can use, many get equal parts, and something
 * is always left for the next. Half of the budget is for those that use their windows: once the
 * other half is promised, a connection begins with VSW_WINDOW_MIN, so that thousands that are
 * idle take nothing from one that is not. Whatever is left, each has VSW_WINDOW_MIN, beside the
 * budget: so every connection goes on, and hears of a larger share when its far end takes
 * something.
 *
 * A promise is never taken back: a share that has become smaller is reached as the far end takes
 * bytes, of which the guest gets only some back.
 */
#include "poll_guest.h"

/* Of what is left to a connection, the part that it may have. */
#define SHARE_FRACTION 8

/* Beyond what each connection has in any case. */
static uint32_t
excess(uint32_t bytes)
{
	return bytes > VSW_WINDOW_MIN ? bytes - VSW_WINDOW_MIN : 0;
}

/* What the guest may still send. */
static uint32_t
unsent(const struct vsw_conn *conn)
{
	if (conn->state == VSW_CONN_CLOSED || (conn->guest_shut & VSW_SHUTDOWN_SEND))
		return 0;
	return conn->granted - conn->from_guest_cnt;
}

/* What waits, and what may come; where nobody reads, that would be dropped. */
static uint32_t
held(const struct flow *flow)
{
	bool is_read = !(flow->conn.far_shut & VSW_SHUTDOWN_RCV);

	return flow->far_bytes + (is_read ? unsent(&flow->conn) : 0);
}

static uint32_t
share_of(const struct flow *flow)
{
	uint64_t others = flow->guest->promised - flow->promised;
	uint64_t budget = vsw_guest_word(&flow->guest->conf->spill_budget);
	uint64_t left = others < budget ? budget - others : 0;

	if (!flow->uses_window && left < budget / 2)
		return VSW_WINDOW_MIN;
	return VSW_WINDOW_MIN + (uint32_t)(left / SHARE_FRACTION);
}

/* The window as it shall be when the far end's count is fwd_cnt. */
static uint32_t
window_at(const struct flow *flow, uint32_t fwd_cnt)
{
	const struct vsw_conn *conn = &flow->conn;
	uint32_t share = share_of(flow);
	uint32_t more = share > flow->far_bytes ? share - flow->far_bytes : 0;

	if (more < unsent(conn))
		more = unsent(conn);
	return vsw_min_u32(flow->far_window, conn->from_guest_cnt + more - fwd_cnt);
}

/* A guest that was promised a part is told of more: by the quarter, as ever, or when it has used
 * all and nothing is left here whose leaving would bring more. (Of a window that has room for
 * more than it uses it is told as the far end speaks of it.) */
static bool
has_news(const struct flow *flow)
{
	const struct vsw_conn *conn = &flow->conn;
	bool is_idle = flow->far_bytes == 0 && vsw_conn_is_used_up(conn);

	return vsw_conn_has_news(conn, is_idle ? 0 : held(flow));
}

static void
offer(struct flow *flow)
{
	struct vsw_conn *conn = &flow->conn;
	bool was_cut = flow->is_cut;

	vsw_conn_far_credit(conn, window_at(flow, conn->fwd_cnt), conn->fwd_cnt);
	/* Until the guest knows that it is not any more. */
	flow->is_cut = conn->buf_alloc < flow->far_window ||
		       (was_cut && vsw_conn_edge(conn) != conn->edge_told);
	if (flow->is_cut && !was_cut)
		vsw_count(&flow->guest->counters, VSW_CTR_WINDOWS_CUT, 1);
	if (flow->is_cut && has_news(flow))
		vsw_conn_event(conn, VSW_CONN_EV_FAR_CREDIT_UPDATE, 0);
}

void
window_update(struct flow *flow)
{
	struct guest *guest = flow->guest;
	struct vsw_conn *conn = &flow->conn;

	if (conn->state != VSW_CONN_CLOSED)
		offer(flow);
	guest->promised -= flow->promised;
	flow->promised = excess(held(flow));
	guest->promised += flow->promised;
}

void
window_forget(struct flow *flow)
{
	flow->guest->promised -= flow->promised;
	flow->promised = 0;
	flow->guest->far_waiting -= flow->far_bytes;
	flow->far_bytes = 0;
}

void
window_far_credit(struct flow *flow, uint32_t buf_alloc, uint32_t fwd_cnt)
{
	/* The count first, which grants nothing; then as much as the share allows. */
	flow->far_window = buf_alloc;
	vsw_conn_far_credit(&flow->conn, 0, fwd_cnt);
	window_update(flow);
}

void
window_given(struct flow *flow, uint32_t len)
{
	flow->far_bytes += len;
	flow->guest->far_waiting += len;
	if (unsent(&flow->conn) < VSW_WINDOW_MIN / 2)
		flow->uses_window = true;
}

void
window_taken(struct flow *flow, uint32_t len)
{
	struct vsw_conn *conn = &flow->conn;

	flow->far_bytes -= len;
	flow->guest->far_waiting -= len;
	if (flow->sibling != NULL || conn->state == VSW_CONN_CLOSED)
		return;
	/* No more is granted by the move than the share allows. */
	vsw_conn_far_credit(conn, window_at(flow, conn->fwd_cnt + len), conn->fwd_cnt);
	vsw_conn_event(conn, VSW_CONN_EV_FAR_TOOK, len);
}
