/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The far end of a flow, seen from here: a host stream, which the bridge keeps, or another
 * guest's flow, on its own poll lcore.
 *
 * What the far end must be told waits in `untold` while there is no free message. Until it
 * was told, no payload passes it (from_guest.c): OK must come before the guest's first byte.
 *
 * A link ends by CLOSE. A bridge confirms it at once, and speaks once more when all that it was
 * given has left, if that takes longer: until then the flow stands for those bytes. Two flows
 * each say PEER_CLOSE and each confirm the other's by PEER_CLOSED, in whatever order: a flow that
 * has heard both will not be named any more, and one that has said both names nobody.
 */
#include <errno.h>

#include "poll_guest.h"

#define TELL_SHUTDOWN (VSW_CONN_ACT_SHUT_SEND | VSW_CONN_ACT_SHUT_RECV)
#define TELL_NEWS                                                                                  \
	(VSW_CONN_ACT_ACCEPT | VSW_CONN_ACT_TELL_CREDIT | VSW_CONN_ACT_ASK_CREDIT |                \
	 TELL_SHUTDOWN | TELL_TOOK)

/* What is told by which message, in this order. */
struct step {
	uint32_t bits;
	enum vsw_verb verb;
};

static const struct step to_bridge[] = {
	{TELL_CONNECT, VSW_MSG_CONNECT},
	{VSW_CONN_ACT_ACCEPT, VSW_MSG_ACCEPT},
	{TELL_SHUTDOWN, VSW_MSG_SHUTDOWN},
	{VSW_CONN_ACT_CLOSE_FAR, VSW_MSG_CLOSE},
	{0},
};

static const struct step to_sibling[] = {
	{TELL_CONNECT, VSW_MSG_PEER_CONNECT},
	{TELL_NEWS, VSW_MSG_PEER_NEWS},
	{VSW_CONN_ACT_CLOSE_FAR, VSW_MSG_PEER_CLOSE},
	{TELL_CLOSED, VSW_MSG_PEER_CLOSED},
	{0},
};

void
far_address(const struct flow *flow, struct vsw_msg *msg)
{
	msg->guest = flow->guest->conf;
	msg->conn = (void *)flow;
	msg->stream = flow->far;
	msg->port = flow->conn.far_port;
	if (flow->sibling == NULL)
		return;
	msg->peer_port = flow->conn.guest_port;
	msg->buf_alloc = flow->conn.peer_buf_alloc;
	msg->fwd_cnt = flow->conn.peer_fwd_cnt;
}

static uint8_t
flags_of(uint32_t bits)
{
	static const struct {
		uint32_t bit;
		uint8_t flag;
	} flags[] = {
		{VSW_CONN_ACT_ACCEPT, VSW_MSG_F_ACCEPTED},
		{VSW_CONN_ACT_TELL_CREDIT, VSW_MSG_F_CREDIT_UPDATE},
		{VSW_CONN_ACT_ASK_CREDIT, VSW_MSG_F_CREDIT_REQUEST},
		{VSW_CONN_ACT_SHUT_SEND, VSW_MSG_F_SHUT_SEND},
		{VSW_CONN_ACT_SHUT_RECV, VSW_MSG_F_SHUT_RECV},
	};
	uint8_t sum = 0;

	for (size_t i = 0; i < VSW_ARRAY_SIZE(flags); i++) {
		if (bits & flags[i].bit)
			sum |= flags[i].flag;
	}
	return sum;
}

static void
note_told(struct flow *flow, enum vsw_verb verb)
{
	switch (verb) {
	case VSW_MSG_CONNECT:
		flow->link = LINK_OPENING;
		break;
	case VSW_MSG_PEER_CONNECT:
		flow->link = LINK_OPENING;
		flow->far_is_done = false;
		flow->far_is_told = false;
		break;
	case VSW_MSG_CLOSE:
	case VSW_MSG_PEER_CLOSE:
		flow->link = LINK_CLOSING;
		break;
	case VSW_MSG_PEER_CLOSED:
		flow->far_is_told = true;
		break;
	default:
		break;
	}
}

static bool
send_step(struct flow *flow, const struct step *step)
{
	struct vsw_msg *msg = guest_alloc(flow->guest, step->verb);

	if (msg == NULL)
		return false;
	far_address(flow, msg);
	msg->flags = flags_of(flow->untold & step->bits);
	if (step->verb == VSW_MSG_PEER_CONNECT) {
		msg->guest = flow->sibling;
		msg->peer = flow->guest->conf;
	} else if (step->verb == VSW_MSG_CLOSE && (flow->conn.guest_shut & VSW_SHUTDOWN_SEND)) {
		msg->flags = VSW_MSG_F_SHUT_SEND;
	} else if (step->verb == VSW_MSG_PEER_NEWS) {
		msg->len = flow->backlog.n_unreported;
		flow->backlog.n_unreported = 0;
	}
	note_told(flow, step->verb);
	vsw_msg_send(flow->far_loop, msg);
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

/* A CONNECT that was not sent yet need not be, and there is nothing to close. */
static void
forget_unopened(struct flow *flow)
{
	if ((flow->untold & TELL_CONNECT) && (flow->untold & VSW_CONN_ACT_CLOSE_FAR))
		flow->untold = 0;
}

void
far_tell(struct flow *flow, uint32_t what)
{
	const struct step *step = flow->sibling != NULL ? to_sibling : to_bridge;

	flow->untold |= what;
	forget_unopened(flow);
	for (; step->bits != 0; step++) {
		/* The far end has no name yet: OPENED brings it and asks again. */
		if (flow->link == LINK_OPENING)
			break;
		if (!(flow->untold & step->bits))
			continue;
		if (!send_step(flow, step))
			break;
		flow->untold &= ~step->bits;
	}
	set_untold(flow, flow->untold != 0 && flow->link != LINK_OPENING);
}

/*
 * What comes back.
 */

void
far_on_opened(void *ctx, struct vsw_msg *msg)
{
	struct flow *flow = msg->conn;
	bool is_open = msg->result == 0;

	flow->far = msg->stream;
	flow->link = is_open ? LINK_OPEN : LINK_NONE;
	flow->no_descriptor = msg->result == -EMFILE || msg->result == -ENFILE;
	guest_free(flow->guest, msg);
	if (!is_open) {
		flow->untold = 0;
		flow->far_is_done = true;
		flow->far_is_told = true;
		flow_event(flow, VSW_CONN_EV_FAR_REFUSED, 0);
	} else if (flow->sibling != NULL) {
		flow_act(flow, 0); /* the sibling has been asked; it will say whether it accepts */
	} else {
		if (flow->conn.state == VSW_CONN_OPENING)
			vsw_count(&flow->guest->counters, VSW_CTR_CONNS_FROM_GUEST, 1);
		flow_event(flow, VSW_CONN_EV_FAR_OPENED, 0);
	}
}

void
far_is_gone(struct flow *flow)
{
	window_taken(flow, flow->far_bytes);
	flow->link = LINK_NONE;
}

void
far_on_closed(void *ctx, struct vsw_msg *msg)
{
	struct flow *flow = msg->conn;

	if (flow == NULL) { /* a host's request that was refused at once never had one */
		vsw_msg_free(msg);
		return;
	}
	if (msg->flags & VSW_MSG_F_FLUSHING)
		flow->link = LINK_FLUSHING;
	else
		far_is_gone(flow);
	guest_free(flow->guest, msg);
	flow_act(flow, 0);
}
