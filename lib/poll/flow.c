/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A flow: a connection (lib/conn decides what happens) with its far end (far.c), its timers,
 * and its place in the guest's schedule.
 *
 * A flow is freed when four things have let go of it: the table (its ports are free), the
 * guest (its RST has been told), the far end (CLOSE was confirmed, so no message can name the
 * flow any more), and a READ that may be out. They let go in any order; settle() looks.
 */
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_lcore.h>

#include "poll_guest.h"

/* A stalled connection asks for credit after 1 ms, then less and less often. */
#define PROBE_FIRST_MS 1
#define PROBE_LAST_MS 256

/*
 * Timers. A callback of rte_timer must not touch any other timer that has run out at the same
 * time: stopping it would wait for ever. So a callback only notes that its flow is due; what
 * that brings about happens in the guest's next pass.
 */

#define DUE_DEADLINE 0x1u
#define DUE_PROBE 0x2u

static void
set_due(struct flow *flow, uint8_t due)
{
	if (flow->due == 0 && due != 0) {
		TAILQ_INSERT_TAIL(&flow->guest->due, flow, due_entry);
		guest_rouse(flow->guest);
	} else if (flow->due != 0 && due == 0) {
		TAILQ_REMOVE(&flow->guest->due, flow, due_entry);
	}
	flow->due = due;
}

static void
on_deadline(struct rte_timer *timer, void *arg)
{
	struct flow *flow = arg;

	set_due(flow, flow->due | DUE_DEADLINE);
}

static void
on_probe(struct rte_timer *timer, void *arg)
{
	struct flow *flow = arg;

	set_due(flow, flow->due | DUE_PROBE);
}

static void
arm(struct rte_timer *timer, unsigned int ms, rte_timer_cb_t fn, struct flow *flow)
{
	rte_timer_reset_sync(timer, rte_get_timer_hz() / 1000 * ms, SINGLE, rte_lcore_id(), fn,
			     flow);
}

static void
arm_deadline(struct flow *flow, unsigned int ms)
{
	set_due(flow, flow->due & ~DUE_DEADLINE);
	arm(&flow->timer, ms, on_deadline, flow);
}

static void
disarm_deadline(struct flow *flow)
{
	set_due(flow, flow->due & ~DUE_DEADLINE);
	rte_timer_stop_sync(&flow->timer);
}

static void
disarm_probe(struct flow *flow)
{
	set_due(flow, flow->due & ~DUE_PROBE);
	rte_timer_stop_sync(&flow->probe);
}

static void
probe(struct flow *flow)
{
	flow->probe_ms = flow->probe_ms < PROBE_LAST_MS ? flow->probe_ms * 2 : PROBE_LAST_MS;
	if (flow->conn.probing)
		arm(&flow->probe, flow->probe_ms, on_probe, flow);
	flow_event(flow, VSW_CONN_EV_PROBE, 0);
}

void
flow_run_due(struct guest *guest)
{
	struct flow *flow;

	while ((flow = TAILQ_FIRST(&guest->due)) != NULL) {
		uint8_t due = flow->due;

		set_due(flow, 0);
		if (due & DUE_DEADLINE)
			flow_event(flow, VSW_CONN_EV_TIMEOUT, 0);
		else
			probe(flow);
	}
}

static struct flow *
flow_new(struct guest *guest)
{
	struct flow *flow = calloc(1, sizeof(*flow));

	if (flow == NULL)
		return NULL;
	flow->guest = guest;
	flow->serial = guest->poll->next_serial++;
	flow->born = rte_rdtsc();
	flow->far_loop = guest->conf->bridge_loop;
	flow->far_is_done = true;
	flow->far_is_told = true;
	flow->n_read_chains = 1;
	vsw_backlog_init(&flow->backlog);
	rte_timer_init(&flow->timer);
	rte_timer_init(&flow->probe);
	TAILQ_INSERT_TAIL(&guest->flows, flow, all_entry);
	guest->n_flows++;
	return flow;
}

static void
flow_enter(struct flow *flow)
{
	const struct vsw_conn *conn = &flow->conn;

	vsw_trace_conn_requested(flow_id(flow), conn->guest_cid, conn->guest_port, conn->far_cid,
				 conn->far_port, conn->side == VSW_SIDE_INI);
	vsw_conn_table_add(&flow->guest->conns, &flow->conn);
	flow->in_table = true;
	arm_deadline(flow, VSW_REQUEST_TIMEOUT_MS);
}

void
flow_free(struct flow *flow)
{
	struct guest *guest = flow->guest;

	disarm_deadline(flow);
	disarm_probe(flow);
	flow_unschedule(flow);
	if (flow->is_untold)
		TAILQ_REMOVE(&guest->untold, flow, untold_entry);
	TAILQ_REMOVE(&guest->flows, flow, all_entry);
	guest->n_flows--;
	window_forget(flow);
	vsw_spill_fini(&flow->backlog.spill);
	free(flow->header);
	free(flow);
}

/* The ports are free when the guest has been told: a RST that came after the answer to a new
 * REQUEST would be taken for that of the new connection. */
static void
leave_table(struct flow *flow)
{
	if (!flow->in_table)
		return;
	vsw_conn_table_remove(&flow->guest->conns, &flow->conn);
	flow->in_table = false;
}

static void
settle(struct flow *flow)
{
	if (flow->conn.state != VSW_CONN_CLOSED || vsw_conn_has_pending(&flow->conn))
		return;
	leave_table(flow);
	if (flow->link == LINK_NONE && flow->far_is_told && !flow->reading)
		flow_free(flow);
}

struct flow *
flow_find(struct guest *guest, const struct vsw_pkt *pkt)
{
	struct vsw_conn *conn =
		vsw_conn_table_find(&guest->conns, pkt->src_port, pkt->dst_cid, pkt->dst_port);

	return conn != NULL ? VSW_CONTAINER_OF(conn, struct flow, conn) : NULL;
}

struct flow *
flow_from_guest(struct guest *guest, const struct vsw_pkt *request,
		const struct vsw_guest_conf *sibling)
{
	struct flow *flow = flow_new(guest);

	if (flow == NULL)
		return NULL;
	flow->from_guest_packets = 1;
	if (sibling != NULL) {
		flow->sibling = sibling;
		flow->far_loop = sibling->poll_loop;
	}
	vsw_conn_init_from_guest(&flow->conn, request, sibling != NULL);
	window_far_credit(flow, sibling != NULL ? 0 : vsw_guest_word(&guest->conf->buf_alloc), 0);
	flow_enter(flow);
	far_tell(flow, TELL_CONNECT);
	return flow;
}

/* The counter of a host request that cannot be passed on; -1: it can. */
static int
why_not(const struct guest *guest)
{
	if (guest_is_gone(guest))
		return VSW_CTR_REFUSED_NOT_READY;
	if (guest->n_flows >= vsw_guest_word(&guest->conf->max_conns))
		return VSW_CTR_REFUSED_LIMIT;
	return -1;
}

void
flow_from_host(struct guest *guest, struct vsw_msg *incoming)
{
	int refused = why_not(guest);
	struct flow *flow = refused < 0 ? flow_new(guest) : NULL;

	if (flow == NULL) {
		guest_turn_away(guest, refused < 0 ? VSW_CTR_REFUSED_LIMIT : refused,
				incoming->port, VSW_CID_HOST);
		vsw_msg_reply(guest->conf->bridge_loop, incoming, VSW_MSG_CLOSE);
		return;
	}
	vsw_conn_init_to_guest(&flow->conn, guest->conf->cid, incoming->port, VSW_CID_HOST,
			       vsw_conn_table_far_port(&guest->conns, VSW_CID_HOST));
	window_far_credit(flow, vsw_guest_word(&guest->conf->buf_alloc), 0);
	flow->far = incoming->stream;
	flow->link = LINK_OPEN;
	vsw_msg_free(incoming);
	flow_enter(flow);
	flow_schedule(flow);
}

/* @p connect, a PEER_CONNECT, becomes the answer; it says no until this has succeeded. */
void
flow_from_sibling(struct guest *guest, struct vsw_msg *connect)
{
	struct flow *flow = flow_new(guest);

	if (flow == NULL)
		return;
	flow->sibling = connect->peer;
	flow->far_loop = connect->peer->poll_loop;
	flow->far = connect->conn;
	flow->link = LINK_OPEN;
	flow->far_is_done = false;
	flow->far_is_told = false;
	vsw_conn_init_to_guest(&flow->conn, guest->conf->cid, connect->port, connect->peer->cid,
			       connect->peer_port);
	window_far_credit(flow, connect->buf_alloc, connect->fwd_cnt);
	connect->stream = flow;
	connect->result = 0;
	flow_enter(flow);
	flow_schedule(flow);
}

/*
 * What the state machine asked for.
 */

static void
count_end(struct flow *flow)
{
	static const int counter[VSW_CONN_N_REASONS] = {
		[VSW_CONN_REASON_GUEST_CLOSED] = VSW_CTR_CONNS_CLOSED,
		[VSW_CONN_REASON_GUEST_RESET] = VSW_CTR_RESET_BY_GUEST,
		[VSW_CONN_REASON_FAR_CLOSED] = VSW_CTR_CONNS_CLOSED,
		[VSW_CONN_REASON_REFUSED_BY_GUEST] = VSW_CTR_REFUSED_BY_GUEST,
		[VSW_CONN_REASON_FAR_RESET] = VSW_CTR_RESET_BY_SIBLING,
		[VSW_CONN_REASON_REQUEST_TIMEOUT] = VSW_CTR_REFUSED_TIMEOUT,
		[VSW_CONN_REASON_CLOSE_TIMEOUT] = VSW_CTR_RESET_CLOSE_TIMEOUT,
		[VSW_CONN_REASON_PROTOCOL] = VSW_CTR_RESET_PROTOCOL,
		[VSW_CONN_REASON_CREDIT] = VSW_CTR_RESET_CREDIT,
		[VSW_CONN_REASON_SUPERSEDED] = VSW_CTR_RESET_SUPERSEDED,
		[VSW_CONN_REASON_GUEST_GONE] = VSW_CTR_RESET_GUEST_GONE,
	};

	if (flow->conn.reason == VSW_CONN_REASON_REFUSED_BY_FAR)
		vsw_count(&flow->guest->counters,
			  flow->sibling != NULL ? VSW_CTR_REFUSED_BY_SIBLING
						: VSW_CTR_REFUSED_BY_HOST,
			  1);
	/* 0 is a counter of traffic, so it can stand for "none" here. */
	if (counter[flow->conn.reason] != 0)
		vsw_count(&flow->guest->counters, counter[flow->conn.reason], 1);
}

static void
trace_end(const struct flow *flow)
{
	const char *reason = vsw_conn_reason_str(flow->conn.reason);

	switch (flow->conn.reason) {
	case VSW_CONN_REASON_REFUSED_BY_GUEST:
	case VSW_CONN_REASON_REFUSED_BY_FAR:
	case VSW_CONN_REASON_REQUEST_TIMEOUT:
		vsw_trace_conn_refused(flow_id(flow), reason);
		break;
	case VSW_CONN_REASON_GUEST_CLOSED:
	case VSW_CONN_REASON_FAR_CLOSED:
		vsw_trace_conn_closed(flow_id(flow), reason);
		break;
	default:
		vsw_trace_conn_reset(flow_id(flow), reason);
		break;
	}
}

/* These two are kept out of flow_act(), which runs twice for each packet. */

static __rte_noinline void
note_accepted(struct flow *flow)
{
	vsw_count(&flow->guest->counters,
		  flow->sibling != NULL ? VSW_CTR_CONNS_FROM_SIBLING : VSW_CTR_CONNS_FROM_HOST, 1);
	vsw_trace_conn_established(flow_id(flow));
}

static __rte_noinline void
finish(struct flow *flow)
{
	disarm_probe(flow);
	count_end(flow);
	trace_end(flow);
	if (flow->sibling != NULL)
		sibling_drop_backlog(flow);
}

static void
act_on_timers(struct flow *flow, uint32_t actions)
{
	if (actions & VSW_CONN_ACT_ARM_CLOSE)
		arm_deadline(flow, VSW_CLOSE_TIMEOUT_MS);
	if (actions & VSW_CONN_ACT_DISARM)
		disarm_deadline(flow);
}

/* VSW_CONN_ACT_* that are things to tell the far end. */
#define ACT_TELL                                                                                   \
	(VSW_CONN_ACT_ACCEPT | VSW_CONN_ACT_TELL_CREDIT | VSW_CONN_ACT_ASK_CREDIT |                \
	 VSW_CONN_ACT_SHUT_SEND | VSW_CONN_ACT_SHUT_RECV | VSW_CONN_ACT_CLOSE_FAR)

void
flow_act(struct flow *flow, uint32_t actions)
{
	window_update(flow);
	if (actions & VSW_CONN_ACT_UNEXPECTED)
		vsw_count(&flow->guest->counters, VSW_CTR_PKT_UNEXPECTED, 1);
	if (actions & VSW_CONN_ACT_ACCEPT)
		note_accepted(flow);
	if ((actions & ACT_TELL) || flow->untold != 0)
		far_tell(flow, actions & ACT_TELL);
	act_on_timers(flow, actions);
	if (actions & VSW_CONN_ACT_REMOVE)
		finish(flow);
	flow_schedule(flow);
	settle(flow);
}

void
flow_evict(struct flow *flow)
{
	leave_table(flow);
	flow_event(flow, VSW_CONN_EV_ABORT, 0);
}

void
flow_event(struct flow *flow, enum vsw_conn_event event, uint32_t n)
{
	flow_act(flow, vsw_conn_event(&flow->conn, event, n));
}

/*
 * The guest's schedule.
 */

/* Data of the far end, or its end, waits, and the connection is in a state to pass it on. */
static bool
has_data(const struct flow *flow)
{
	if (flow->sibling != NULL)
		return flow->conn.state == VSW_CONN_ESTABLISHED &&
		       !vsw_backlog_is_empty(&flow->backlog) &&
		       !(flow->conn.guest_shut & VSW_SHUTDOWN_RCV);
	return flow->readable && !flow->reading && flow->untold == 0 && flow->link == LINK_OPEN &&
	       flow->conn.state == VSW_CONN_ESTABLISHED &&
	       !(flow->conn.guest_shut & VSW_SHUTDOWN_RCV) &&
	       !(flow->conn.far_shut & VSW_SHUTDOWN_SEND);
}

static bool
window_is_open(const struct flow *flow)
{
	struct vsw_conn_window window = vsw_conn_window(&flow->conn);

	return window.bytes > 0 && window.packets > 0;
}

bool
flow_wants_data(const struct flow *flow)
{
	return has_data(flow) && window_is_open(flow);
}

void
flow_schedule(struct flow *flow)
{
	struct guest *guest = flow->guest;
	bool has = has_data(flow);
	bool wants = has && window_is_open(flow);

	guest_rouse(guest);
	/* That READ may be long in coming; or never, where the guest takes no more. */
	if (flow->gone_after_read && !flow->reading && !wants) {
		flow->gone_after_read = false;
		vsw_conn_event(&flow->conn, VSW_CONN_EV_FAR_GONE, 0); /* no action: no end yet */
	}
	if (has && !wants && vsw_conn_stalled(&flow->conn)) {
		vsw_count(&guest->counters, VSW_CTR_CREDIT_STALLS, 1);
		flow->to_guest_stalls++;
		flow->probe_ms = PROBE_FIRST_MS;
		arm(&flow->probe, flow->probe_ms, on_probe, flow);
	}
	if (!flow->is_ready && (vsw_conn_has_pending(&flow->conn) || wants)) {
		flow->is_ready = true;
		TAILQ_INSERT_TAIL(&guest->ready, flow, ready_entry);
	}
}

void
flow_unschedule(struct flow *flow)
{
	if (!flow->is_ready)
		return;
	flow->is_ready = false;
	TAILQ_REMOVE(&flow->guest->ready, flow, ready_entry);
}

void
flow_on_notice(void *ctx, struct vsw_msg *msg)
{
	struct flow *flow = msg->conn;
	uint32_t actions = 0;

	if (msg->len > 0)
		window_taken(flow, msg->len);
	if (msg->flags & VSW_MSG_F_FLUSHED)
		far_is_gone(flow);
	if (msg->flags & VSW_MSG_F_READABLE)
		flow->readable = true;
	/* A host that has closed is gone and at its end: the guest is told in one SHUTDOWN, if the
	 * READ that comes next finds the end. */
	if (msg->flags & VSW_MSG_F_HANGUP) {
		flow->gone_after_read = flow->reading || flow_wants_data(flow);
		if (!flow->gone_after_read)
			actions |= vsw_conn_event(&flow->conn, VSW_CONN_EV_FAR_GONE, 0);
	}
	if (msg->flags & VSW_MSG_F_LOST)
		actions |= vsw_conn_event(&flow->conn, VSW_CONN_EV_ABORT, 0);
	vsw_msg_free(msg);
	flow_act(flow, actions);
}
