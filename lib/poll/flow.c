/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A flow: a connection (lib/conn decides what happens) with its host stream (the bridge
 * carries it out), its timers, and its place in the guest's schedule.
 *
 * A flow is freed when four things have let go of it: the table (its ports are free), the
 * guest (its RST has been told), the bridge (CLOSE was confirmed, so no message can name the
 * flow any more), and a READ that may be out. They let go in any order; settle() looks.
 *
 * What the bridge must be told waits in `untold` while there is no free message. Until it
 * was told, no payload passes it (from_guest.c): OK must come before the guest's first byte.
 */
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_lcore.h>

#include "poll_guest.h"

/* One more thing to tell the bridge, beside the VSW_CONN_ACT_* of a connection. */
#define TELL_CONNECT 0x10000u
#define TELL_SHUTDOWN (VSW_CONN_ACT_SHUT_SEND | VSW_CONN_ACT_SHUT_RECV)
#define TELL_ANY (TELL_CONNECT | VSW_CONN_ACT_ACCEPT | TELL_SHUTDOWN | VSW_CONN_ACT_CLOSE_FAR)

/* A stalled connection asks for credit after 1 ms, then less and less often. */
#define PROBE_FIRST_MS 1
#define PROBE_LAST_MS 256

static void on_timer(struct rte_timer *timer, void *arg);
static void on_probe(struct rte_timer *timer, void *arg);

static void
arm(struct rte_timer *timer, unsigned int ms, rte_timer_cb_t fn, struct flow *flow)
{
	rte_timer_reset_sync(timer, rte_get_timer_hz() / 1000 * ms, SINGLE, rte_lcore_id(), fn,
			     flow);
}

static struct flow *
flow_new(struct guest *guest)
{
	struct flow *flow = calloc(1, sizeof(*flow));

	if (flow == NULL)
		return NULL;
	flow->guest = guest;
	flow->n_read_chains = 1;
	rte_timer_init(&flow->timer);
	rte_timer_init(&flow->probe);
	TAILQ_INSERT_TAIL(&guest->flows, flow, all_entry);
	guest->n_flows++;
	return flow;
}

static void
flow_enter(struct flow *flow)
{
	vsw_conn_table_add(&flow->guest->conns, &flow->conn);
	flow->in_table = true;
	arm(&flow->timer, VSW_REQUEST_TIMEOUT_MS, on_timer, flow);
}

void
flow_free(struct flow *flow)
{
	struct guest *guest = flow->guest;

	rte_timer_stop_sync(&flow->timer);
	rte_timer_stop_sync(&flow->probe);
	flow_unschedule(flow);
	if (flow->is_untold)
		TAILQ_REMOVE(&guest->untold, flow, untold_entry);
	TAILQ_REMOVE(&guest->flows, flow, all_entry);
	guest->n_flows--;
	free(flow);
}

static void
settle(struct flow *flow)
{
	if (flow->conn.state == VSW_CONN_CLOSED && flow->stream_state == STREAM_NONE &&
	    !flow->in_table && !flow->reading && !vsw_conn_has_pending(&flow->conn))
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
flow_from_guest(struct guest *guest, const struct vsw_pkt *request)
{
	struct flow *flow = flow_new(guest);

	if (flow == NULL)
		return NULL;
	vsw_conn_init_from_guest(&flow->conn, request, guest->conf->buf_alloc);
	flow_enter(flow);
	flow->untold = TELL_CONNECT;
	flow_tell_bridge(flow);
	return flow;
}

/* The counter of a host request that cannot be passed on; -1: it can. */
static int
why_not(const struct guest *guest)
{
	if (guest->state == GUEST_STOPPED || guest->drained)
		return VSW_CTR_REFUSED_NOT_READY;
	if (guest->n_flows >= guest->conf->max_conns)
		return VSW_CTR_REFUSED_LIMIT;
	return -1;
}

void
flow_from_host(struct guest *guest, struct vsw_msg *incoming)
{
	int refused = why_not(guest);
	struct flow *flow = refused < 0 ? flow_new(guest) : NULL;

	if (flow == NULL) {
		vsw_count(&guest->counters, refused < 0 ? VSW_CTR_REFUSED_LIMIT : refused, 1);
		vsw_msg_reply(guest->conf->bridge_loop, incoming, VSW_MSG_CLOSE);
		return;
	}
	vsw_conn_init_to_guest(&flow->conn, guest->conf->cid, incoming->port, VSW_CID_HOST,
			       vsw_conn_table_far_port(&guest->conns, VSW_CID_HOST),
			       guest->conf->buf_alloc);
	flow->stream = incoming->stream;
	flow->stream_state = STREAM_OPEN;
	vsw_msg_free(incoming);
	flow_enter(flow);
	flow_schedule(flow);
}

/*
 * Telling the bridge.
 */

static uint8_t
shutdown_flags(uint32_t untold)
{
	uint8_t flags = 0;

	if (untold & VSW_CONN_ACT_SHUT_SEND)
		flags |= VSW_MSG_F_SHUT_SEND;
	if (untold & VSW_CONN_ACT_SHUT_RECV)
		flags |= VSW_MSG_F_SHUT_RECV;
	return flags;
}

static bool
tell(struct flow *flow, enum vsw_verb verb)
{
	struct vsw_msg *msg = guest_alloc(flow->guest, verb);

	if (msg == NULL)
		return false;
	msg->guest = flow->guest->conf;
	msg->conn = flow;
	msg->stream = flow->stream;
	msg->port = flow->conn.far_port;
	if (verb == VSW_MSG_SHUTDOWN)
		msg->flags = shutdown_flags(flow->untold);
	if (verb == VSW_MSG_CONNECT)
		flow->stream_state = STREAM_OPENING;
	else if (verb == VSW_MSG_CLOSE)
		flow->stream_state = STREAM_CLOSING;
	vsw_msg_send(flow->guest->conf->bridge_loop, msg);
	return true;
}

static void
set_untold(struct flow *flow, bool is_untold)
{
	if (flow->is_untold == is_untold)
		return;
	flow->is_untold = is_untold;
	if (is_untold)
		TAILQ_INSERT_TAIL(&flow->guest->untold, flow, untold_entry);
	else
		TAILQ_REMOVE(&flow->guest->untold, flow, untold_entry);
}

void
flow_tell_bridge(struct flow *flow)
{
	static const struct {
		uint32_t bits;
		enum vsw_verb verb;
	} order[] = {
		{TELL_CONNECT, VSW_MSG_CONNECT},
		{VSW_CONN_ACT_ACCEPT, VSW_MSG_ACCEPT},
		{TELL_SHUTDOWN, VSW_MSG_SHUTDOWN},
		{VSW_CONN_ACT_CLOSE_FAR, VSW_MSG_CLOSE},
	};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(order); i++) {
		/* The stream has no name yet: OPENED brings it and asks again. */
		if (flow->stream_state == STREAM_OPENING)
			break;
		if (!(flow->untold & order[i].bits))
			continue;
		if (!tell(flow, order[i].verb))
			break;
		flow->untold &= ~order[i].bits;
	}
	set_untold(flow, flow->untold != 0 && flow->stream_state != STREAM_OPENING);
}

/*
 * What the state machine asked for.
 */

static void
count_end(struct flow *flow)
{
	static const int counter[VSW_CONN_N_REASONS] = {
		[VSW_CONN_REASON_REFUSED_BY_GUEST] = VSW_CTR_REFUSED_BY_GUEST,
		[VSW_CONN_REASON_REFUSED_BY_FAR] = VSW_CTR_REFUSED_BY_HOST,
		[VSW_CONN_REASON_REQUEST_TIMEOUT] = VSW_CTR_REFUSED_TIMEOUT,
		[VSW_CONN_REASON_CLOSE_TIMEOUT] = VSW_CTR_RESET_CLOSE_TIMEOUT,
		[VSW_CONN_REASON_PROTOCOL] = VSW_CTR_RESET_PROTOCOL,
		[VSW_CONN_REASON_CREDIT] = VSW_CTR_RESET_CREDIT,
	};

	/* 0 is a counter of traffic, so it can stand for "none" here. */
	if (counter[flow->conn.reason] != 0)
		vsw_count(&flow->guest->counters, counter[flow->conn.reason], 1);
}

static void
act_on_timers(struct flow *flow, uint32_t actions)
{
	if (actions & VSW_CONN_ACT_ARM_CLOSE)
		arm(&flow->timer, VSW_CLOSE_TIMEOUT_MS, on_timer, flow);
	if (actions & VSW_CONN_ACT_DISARM)
		rte_timer_stop_sync(&flow->timer);
}

/* A CONNECT that was not sent yet need not be, and there is nothing to close. */
static void
forget_unopened(struct flow *flow)
{
	if ((flow->untold & TELL_CONNECT) && (flow->untold & VSW_CONN_ACT_CLOSE_FAR))
		flow->untold = 0;
}

void
flow_act(struct flow *flow, uint32_t actions)
{
	if (actions & VSW_CONN_ACT_UNEXPECTED)
		vsw_count(&flow->guest->counters, VSW_CTR_PKT_UNEXPECTED, 1);
	if (actions & TELL_ANY) {
		flow->untold |= actions & TELL_ANY;
		forget_unopened(flow);
		flow_tell_bridge(flow);
	}
	act_on_timers(flow, actions);
	if (actions & VSW_CONN_ACT_REMOVE) {
		vsw_conn_table_remove(&flow->guest->conns, &flow->conn);
		flow->in_table = false;
		rte_timer_stop_sync(&flow->probe);
		count_end(flow);
	}
	flow_schedule(flow);
	settle(flow);
}

void
flow_event(struct flow *flow, enum vsw_conn_event event, uint32_t n)
{
	flow_act(flow, vsw_conn_event(&flow->conn, event, n));
}

static void
on_timer(struct rte_timer *timer, void *arg)
{
	flow_event(arg, VSW_CONN_EV_TIMEOUT, 0);
}

static void
on_probe(struct rte_timer *timer, void *arg)
{
	struct flow *flow = arg;

	flow->probe_ms = flow->probe_ms < PROBE_LAST_MS ? flow->probe_ms * 2 : PROBE_LAST_MS;
	if (flow->conn.probing)
		arm(&flow->probe, flow->probe_ms, on_probe, flow);
	flow_event(flow, VSW_CONN_EV_PROBE, 0);
}

/*
 * The guest's schedule.
 */

/* Host data or its end waits, and the connection is in a state to pass it on. */
static bool
has_data(const struct flow *flow)
{
	return flow->readable && !flow->reading && flow->untold == 0 &&
	       flow->stream_state == STREAM_OPEN && flow->conn.state == VSW_CONN_ESTABLISHED &&
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

	if (has_data(flow) && !window_is_open(flow) && vsw_conn_stalled(&flow->conn)) {
		vsw_count(&guest->counters, VSW_CTR_CREDIT_STALLS, 1);
		flow->probe_ms = PROBE_FIRST_MS;
		arm(&flow->probe, flow->probe_ms, on_probe, flow);
	}
	if (!flow->is_ready && (vsw_conn_has_pending(&flow->conn) || flow_wants_data(flow))) {
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

/*
 * What the bridge says.
 */

void
flow_on_opened(void *ctx, struct vsw_msg *msg)
{
	struct flow *flow = msg->conn;
	bool is_open = msg->result == 0;

	flow->stream = msg->stream;
	flow->stream_state = is_open ? STREAM_OPEN : STREAM_NONE;
	guest_free(flow->guest, msg);
	if (is_open)
		flow_tell_bridge(flow); /* the guest may have gone meanwhile: CLOSE */
	else
		flow->untold = 0;
	if (is_open && flow->conn.state == VSW_CONN_OPENING)
		vsw_count(&flow->guest->counters, VSW_CTR_CONNS_FROM_GUEST, 1);
	flow_event(flow, is_open ? VSW_CONN_EV_FAR_OPENED : VSW_CONN_EV_FAR_REFUSED, 0);
}

void
flow_on_closed(void *ctx, struct vsw_msg *msg)
{
	struct flow *flow = msg->conn;

	if (flow == NULL) { /* a host's request that was refused at once never had one */
		vsw_msg_free(msg);
		return;
	}
	guest_free(flow->guest, msg);
	flow->stream = NULL;
	flow->stream_state = STREAM_NONE;
	settle(flow);
}

void
flow_on_notice(void *ctx, struct vsw_msg *msg)
{
	struct flow *flow = msg->conn;
	uint32_t actions = 0;

	if (msg->len > 0)
		actions |= vsw_conn_event(&flow->conn, VSW_CONN_EV_FAR_TOOK, msg->len);
	if (msg->flags & VSW_MSG_F_HANGUP)
		actions |= vsw_conn_event(&flow->conn, VSW_CONN_EV_FAR_GONE, 0);
	if (msg->flags & VSW_MSG_F_READABLE)
		flow->readable = true;
	vsw_msg_free(msg);
	flow_act(flow, actions);
}
