/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What operators ask of connections. A guest is looked through in one go, so a list costs the
 * lcore some 50 ns for each of its connections; other guests get their turns in between.
 */
#include <errno.h>

#include "vsw_clock.h"
#include "poll_guest.h"

static bool
is_wanted(const struct vsw_conn_query *query, const struct flow *flow)
{
	return flow->conn.state != VSW_CONN_CLOSED &&
	       (!query->has_port || flow->conn.guest_port == query->port ||
		flow->conn.far_port == query->port);
}

static void
describe(const struct flow *flow, struct vsw_conn_info *info)
{
	const struct vsw_conn *conn = &flow->conn;

	*info = (struct vsw_conn_info){
		.id = flow_id(flow),
		.guest_cid = conn->guest_cid,
		.guest_port = conn->guest_port,
		.far_cid = conn->far_cid,
		.far_port = conn->far_port,
		.far_is_host = flow->sibling == NULL,
		.from_guest = conn->side == VSW_SIDE_INI,
		.state = vsw_conn_state_str(conn->state),
		.age_ms = (uint32_t)(vsw_us_since(flow->born) / 1000),
		.from_guest_bytes = flow->from_guest_bytes,
		.to_guest_bytes = flow->to_guest_bytes,
		.from_guest_packets = flow->from_guest_packets,
		.to_guest_packets = flow->to_guest_packets,
		.from_guest_stalls = flow->from_guest_stalls,
		.to_guest_stalls = flow->to_guest_stalls,
		.loans_out = flow->n_loans_out,
		.guest_window = vsw_conn_window(conn).bytes,
		.waiting_bytes = (uint32_t)flow->backlog.spill.len,
		.far_waiting_bytes = flow->far_bytes,
		.guest_sends = !(conn->guest_shut & VSW_SHUTDOWN_SEND),
		.guest_receives = !(conn->guest_shut & VSW_SHUTDOWN_RCV),
	};
}

void
list_on_list_conns(void *ctx, struct vsw_msg *msg)
{
	struct vsw_poll *poll = ctx;
	struct guest *guest = poll->by_id[msg->guest->id];
	struct vsw_conn_page *page = &msg->scan->page;
	struct flow *flow;

	/* Flows are in the order in which they began, so of their ids. */
	TAILQ_FOREACH (flow, &guest->flows, all_entry) {
		if (flow_id(flow) <= msg->scan->query.after || !is_wanted(&msg->scan->query, flow))
			continue;
		if (page->n_conns == msg->scan->query.max) {
			page->next = page->conn[page->n_conns - 1].id;
			break;
		}
		describe(flow, &page->conn[page->n_conns++]);
	}
	vsw_msg_reply(msg->reply_to, msg, VSW_MSG_CONNS_LISTED);
}

void
list_on_close_conn(void *ctx, struct vsw_msg *msg)
{
	struct vsw_poll *poll = ctx;
	struct guest *guest = poll->by_id[msg->guest->id];
	struct flow *flow;

	msg->result = -ENOENT;
	TAILQ_FOREACH (flow, &guest->flows, all_entry) {
		if (flow_id(flow) == msg->conn_id && flow->conn.state != VSW_CONN_CLOSED) {
			vsw_count(&guest->counters, VSW_CTR_RESET_BY_OPERATOR, 1);
			flow_event(flow, VSW_CONN_EV_ABORT, 0);
			msg->result = 0;
			break;
		}
	}
	vsw_msg_reply(msg->reply_to, msg, VSW_MSG_CONN_CLOSED);
}
