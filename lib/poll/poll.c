/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One pass of the poll role: for each guest, first what it has to be told (that frees
 * nothing of ours but lets its applications go on), then what it has sent, a burst each, so
 * that no guest waits on another's backlog; then one index store and one signal per ring.
 *
 * A guest that has had nothing to do for long is quiet: not each turn looks at it, but each looks
 * at some of the quiet ones, in rotation. So the turns of a busy guest among hundreds stay as
 * short as if it were alone, and a quiet one waits for a few turns more with its first packet.
 */
#include "vsw_poll.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_random.h>

#include "vsw_base.h"
#include "vsw_guard.h"
#include "poll_guest.h"

/* Of 256 quiet guests each is looked at in every 64th turn, some ten microseconds. */
#define QUIET_PER_TURN 4

static unsigned int
guest_pass(struct vsw_poll *poll, struct guest *guest)
{
	unsigned int work = 0;
	struct flow *flow, *next;

	guest->starved = false;
	flow_run_due(guest);
	for (flow = TAILQ_FIRST(&guest->untold); flow != NULL; flow = next) {
		next = TAILQ_NEXT(flow, untold_entry);
		flow_act(flow, 0); /* what was said last may have been all that kept it */
		if (guest->starved)
			break; /* no message for the others either */
	}
	if (guest->state == GUEST_RUNNING && !guest->is_lost && vsw_guard_is_lost(guest->conf->id))
		guest_lose(guest);
	if (guest->state == GUEST_RUNNING && guest->stopping == NULL && !guest->is_lost) {
		work += to_guest_pass(poll, guest);
		work += from_guest_pass(poll, guest);
		if (guest->owes_reset)
			guest_send_transport_reset(guest, &poll->burst);
		if (guest->to_guest.broken || guest->from_guest.broken)
			guest_note_broken(guest);
	}
	/* Also while a stop waits for loans: those that came back are shown at once. */
	vsw_virtq_flush(&guest->to_guest);
	vsw_virtq_flush(&guest->from_guest);
	if (guest->to_guest.is_stuck || guest->from_guest.is_stuck || guest->event.is_stuck)
		vsw_guard_lose(guest->conf->id, VSW_LOSS_CALL);
	if (work > 0)
		guest_rouse(guest);
	else
		guest_idle_turn(guest);
	if (guest->stopping != NULL || guest->draining != NULL || guest->detaching != NULL)
		guest_progress(guest);
	return work;
}

static unsigned int
busy_pass(struct vsw_poll *poll)
{
	struct guest *guest, *next;
	unsigned int work = 0;

	for (guest = TAILQ_FIRST(&poll->busy); guest != NULL; guest = next) {
		next = TAILQ_NEXT(guest, turn_entry); /* it may become quiet, or be detached */
		work += guest_pass(poll, guest);
	}
	return work;
}

static unsigned int
quiet_pass(struct vsw_poll *poll)
{
	struct guest *last = TAILQ_LAST(&poll->quiet, guest_list);
	struct guest *guest = NULL;
	unsigned int work = 0;

	for (unsigned int n = 0; n < QUIET_PER_TURN && guest != last; n++) {
		guest = TAILQ_FIRST(&poll->quiet);
		TAILQ_REMOVE(&poll->quiet, guest, turn_entry);
		TAILQ_INSERT_TAIL(&poll->quiet, guest, turn_entry);
		work += guest_pass(poll, guest);
	}
	return work;
}

static unsigned int
poll_pass(void *ctx)
{
	struct vsw_poll *poll = ctx;

	poll->is_capturing = vsw_capture_is_on();
	return busy_pass(poll) + quiet_pass(poll);
}

/* Ask for the kicks that bring work, and only for those: receive buffers matter when
 * something waits for them, and a guest from which nothing can be taken is not asked. */
static bool
guest_may_sleep(struct guest *guest)
{
	bool waits = guest->n_resets > 0 || !TAILQ_EMPTY(&guest->ready);
	bool more = false;

	if (guest->starved || !TAILQ_EMPTY(&guest->due))
		return false;
	if (guest->state != GUEST_RUNNING || guest->stopping != NULL || guest->is_lost)
		return true;
	if (waits)
		more = vsw_virtq_want_kicks(&guest->to_guest, true) ||
		       vsw_virtq_has_avail(&guest->to_guest);
	if (!guest->is_blocked)
		more = vsw_virtq_want_kicks(&guest->from_guest, true) || more;
	return !more;
}

static bool
poll_before_sleep(void *ctx)
{
	struct vsw_poll *poll = ctx;
	struct guest *guest;
	bool may = true;

	TAILQ_FOREACH (guest, &poll->guests, entry) {
		if (guest_may_sleep(guest))
			continue;
		guest_rouse(guest); /* or several turns would pass until it has its own */
		may = false;
	}
	return may;
}

static void
poll_after_sleep(void *ctx)
{
	struct vsw_poll *poll = ctx;
	struct guest *guest;

	TAILQ_FOREACH (guest, &poll->guests, entry) {
		if (guest->state != GUEST_RUNNING)
			continue;
		vsw_virtq_want_kicks(&guest->from_guest, false);
		vsw_virtq_want_kicks(&guest->to_guest, false);
	}
}

/*
 * Messages about a guest; those about a connection go to where it is handled.
 */

static void
on_attach(void *ctx, struct vsw_msg *msg)
{
	struct guest *guest = guest_create(ctx, msg->guest);

	msg->result = guest != NULL ? 0 : -ENOMEM;
	msg->tally = guest != NULL ? &guest->tally : NULL;
	vsw_msg_reply(msg->reply_to, msg, VSW_MSG_ATTACHED);
}

static void
on_detach(void *ctx, struct vsw_msg *msg)
{
	struct vsw_poll *poll = ctx;

	guest_detach(poll->by_id[msg->guest->id], msg);
}

static void
on_drain(void *ctx, struct vsw_msg *msg)
{
	struct vsw_poll *poll = ctx;

	guest_drain(poll, poll->by_id[msg->guest->id], msg);
}

static void
on_start(void *ctx, struct vsw_msg *msg)
{
	struct vsw_poll *poll = ctx;

	msg->result = guest_start(poll, poll->by_id[msg->guest->id], msg->rings);
	vsw_msg_complete(msg);
}

static void
on_stop(void *ctx, struct vsw_msg *msg)
{
	struct vsw_poll *poll = ctx;

	guest_stop(poll->by_id[msg->guest->id], msg);
}

static void
on_recalled(void *ctx, struct vsw_msg *msg)
{
	struct vsw_poll *poll = ctx;
	struct guest *guest = poll->by_id[msg->guest->id];
	struct flow *flow = msg->conn;

	flow->is_recalled = false;
	guest_free(guest, msg);
}

static void
on_incoming(void *ctx, struct vsw_msg *msg)
{
	struct vsw_poll *poll = ctx;

	flow_from_host(poll->by_id[msg->guest->id], msg);
}

struct vsw_poll *
vsw_poll_create(struct vsw_loop *loop)
{
	static const struct {
		enum vsw_verb verb;
		vsw_msg_fn fn;
	} handlers[] = {
		{VSW_MSG_ATTACH, on_attach},
		{VSW_MSG_DETACH, on_detach},
		{VSW_MSG_LIST_CONNS, list_on_list_conns},
		{VSW_MSG_CLOSE_CONN, list_on_close_conn},
		{VSW_MSG_START, on_start},
		{VSW_MSG_STOP, on_stop},
		{VSW_MSG_DRAIN, on_drain},
		{VSW_MSG_RECALLED, on_recalled},
		{VSW_MSG_INCOMING, on_incoming},
		{VSW_MSG_OPENED, far_on_opened},
		{VSW_MSG_CLOSED, far_on_closed},
		{VSW_MSG_NOTICE, flow_on_notice},
		{VSW_MSG_PEER_CONNECT, sibling_on_connect},
		{VSW_MSG_PEER_DATA, sibling_on_data},
		{VSW_MSG_PEER_NEWS, sibling_on_news},
		{VSW_MSG_PEER_NOTED, sibling_on_noted},
		{VSW_MSG_PEER_CLOSE, sibling_on_close},
		{VSW_MSG_PEER_CLOSED, sibling_on_closed},
		{VSW_MSG_PEER_RECALL, sibling_on_recall},
		{VSW_MSG_ROUTES, sibling_on_routes},
		{VSW_MSG_WROTE, from_guest_on_wrote},
		{VSW_MSG_FILLED, to_guest_on_filled},
	};
	struct vsw_poll *poll = calloc(1, sizeof(*poll));

	if (poll == NULL)
		return NULL;
	poll->tap = vsw_capture_tap_create();
	if (poll->tap == NULL) {
		free(poll);
		return NULL;
	}
	poll->loop = loop;
	/* Not from 1: ids of another lcore, or of another life of vswd, shall not fit. */
	poll->next_serial = 1 + (rte_rand() & ((1ull << 40) - 1));
	TAILQ_INIT(&poll->guests);
	TAILQ_INIT(&poll->busy);
	TAILQ_INIT(&poll->quiet);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(handlers); i++)
		vsw_loop_on_msg(loop, handlers[i].verb, handlers[i].fn, poll);
	vsw_loop_add_role(loop, &(struct vsw_loop_role){
					.pass = poll_pass,
					.before_sleep = poll_before_sleep,
					.after_sleep = poll_after_sleep,
					.ctx = poll,
				});
	return poll;
}

void
vsw_poll_destroy(struct vsw_poll *poll)
{
	struct guest *guest;

	if (poll == NULL)
		return;
	while ((guest = TAILQ_FIRST(&poll->guests)) != NULL) {
		TAILQ_REMOVE(&poll->guests, guest, entry);
		guest_destroy(guest);
	}
	vsw_capture_tap_destroy(poll->tap);
	free(poll);
}
