/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a guest on its poll lcore: attached without rings; started and stopped by its
 * VMM any number of times; drained when it or vswd goes; detached when nobody names it any more.
 *
 * A stop is complete when every loan has come back. The bridge returns a loan within its
 * pass; a sibling may hold some until it has receive buffers, and is asked once, by PEER_RECALL,
 * to let go of them. The vhost-user thread waits meanwhile, so nothing here waits for that
 * thread.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <rte_random.h>

#define VSW_LOGTYPE vsw_log_poll
#include "vsw_guard.h"
#include "vsw_iov.h"
#include "vsw_log.h"
#include "poll_guest.h"

RTE_LOG_REGISTER(vsw_log_poll, vsw.poll, NOTICE);

/* Without anything to do, until it is quiet: some milliseconds, or in the middle of a
 * conversation the round trip that follows would be a longer one. */
#define TURNS_TO_QUIET 4096

/* Payload in a receive buffer of Linux; a first guess of what others have. */
#define LINUX_RECV_ROOM 3732

struct guest *
guest_create(struct vsw_poll *poll, const struct vsw_guest_conf *conf)
{
	struct guest *guest = calloc(1, sizeof(*guest));

	if (guest == NULL)
		return NULL;
	guest->conf = conf;
	guest->poll = poll;
	guest->recv_room = LINUX_RECV_ROOM;
	guest->tally = (struct vsw_tally){
		.counters = &guest->counters,
		.hists = &guest->hists,
		.n_conns = &guest->n_flows,
		.n_loans = &guest->n_loans_out,
		.n_waiting = &guest->far_waiting,
	};
	TAILQ_INIT(&guest->flows);
	TAILQ_INIT(&guest->ready);
	TAILQ_INIT(&guest->untold);
	TAILQ_INIT(&guest->due);
	if (vsw_conn_table_init(&guest->conns, (uint32_t)rte_rand()) != 0) {
		free(guest);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&poll->guests, guest, entry);
	TAILQ_INSERT_TAIL(&poll->busy, guest, turn_entry);
	poll->by_id[conf->id] = guest;
	return guest;
}

void
guest_destroy(struct guest *guest)
{
	struct flow *flow;

	while ((flow = TAILQ_FIRST(&guest->flows)) != NULL)
		flow_free(flow);
	vsw_conn_table_fini(&guest->conns);
	vsw_virtq_abandon(&guest->to_guest);
	vsw_virtq_abandon(&guest->from_guest);
	vsw_virtq_abandon(&guest->event);
	free(guest);
}

static bool
is_answered(enum vsw_verb verb)
{
	switch (verb) {
	case VSW_MSG_ACCEPT:
	case VSW_MSG_SHUTDOWN:
	case VSW_MSG_PEER_CLOSE:
	case VSW_MSG_PEER_CLOSED:
		return false;
	default:
		return true;
	}
}

struct vsw_msg *
guest_alloc(struct guest *guest, enum vsw_verb verb)
{
	struct vsw_msg *msg;

	/* The answer that makes room again also wakes the loop. */
	if (is_answered(verb) && guest->n_msgs_out >= MSGS_MAX)
		return NULL;
	msg = vsw_msg_alloc(verb);
	if (msg == NULL) {
		guest->starved = true;
		vsw_count(&guest->counters, VSW_CTR_MESSAGE_STALLS, 1);
	} else if (is_answered(verb)) {
		guest->n_msgs_out++;
	}
	return msg;
}

void
guest_free(struct guest *guest, struct vsw_msg *msg)
{
	guest->n_msgs_out--;
	vsw_msg_free(msg);
}

void
guest_turn_away(struct guest *guest, enum vsw_counter why, uint32_t port, uint32_t far_cid)
{
	vsw_count(&guest->counters, why, 1);
	vsw_trace_conn_turned_away(guest->conf->cid, port, far_cid, vsw_counter_name(why));
}

void
guest_queue_reset(struct guest *guest, const struct vsw_pkt *rst)
{
	guest->reset[(guest->first_reset + guest->n_resets) % RESETS_MAX] = *rst;
	guest->n_resets++;
	guest_rouse(guest);
}

/* A REQUEST of the guest: what it sent before on that pair of ports is forgotten on both
 * sides, and so are the answers to it. */
void
guest_forget_resets(struct guest *guest, const struct vsw_pkt *request)
{
	unsigned int n = guest->n_resets;

	guest->n_resets = 0;
	for (unsigned int i = 0; i < n; i++) {
		struct vsw_pkt rst = guest->reset[(guest->first_reset + i) % RESETS_MAX];

		if (rst.dst_port != request->src_port || rst.src_port != request->dst_port ||
		    rst.src_cid != request->dst_cid)
			guest_queue_reset(guest, &rst);
	}
}

/*
 * Rings.
 */

/* The kick has ended the sleep; edge-triggered, so it need not be read. */
static void
on_kick(struct vsw_watch *watch, uint32_t events)
{
}

static void
watch_kick(struct guest *guest, unsigned int i, const struct vsw_virtq *vq)
{
	guest->kick[i] = (struct vsw_watch){
		.fn = on_kick,
		.fd = vq->conf.kickfd,
		.wakeup_only = true,
	};
	if (!vsw_loop_sleeps(guest->poll->loop) || vq->conf.kickfd < 0)
		return;
	if (vsw_loop_watch(guest->poll->loop, &guest->kick[i], EPOLLIN | EPOLLET) != 0) {
		guest->kick[i].fd = -1;
		VSW_LOG(WARNING, "guest %u: its kicks cannot be waited for, it may be slow",
			guest->conf->cid);
	}
}

static void
unwatch_kicks(struct guest *guest)
{
	for (unsigned int i = 0; i < VSW_ARRAY_SIZE(guest->kick); i++) {
		if (vsw_loop_sleeps(guest->poll->loop) && guest->kick[i].fd >= 0)
			vsw_loop_unwatch(guest->poll->loop, &guest->kick[i]);
		guest->kick[i].fd = -1;
	}
}

static void
stop_queues(struct guest *guest, uint16_t base[VSW_VRINGS_MAX])
{
	base[VSW_QUEUE_TO_GUEST] = vsw_virtq_stop(&guest->to_guest);
	base[VSW_QUEUE_FROM_GUEST] = vsw_virtq_stop(&guest->from_guest);
	base[VSW_QUEUE_EVENT] = vsw_virtq_stop(&guest->event);
}

/* Rings that begin in the middle belong to a driver that may remember connections which are
 * gone: tell it to forget them (virtio 1.2, 5.10.6.7), where we have its event queue. */
void
guest_send_transport_reset(struct guest *guest, struct vsw_chain_burst *burst)
{
	const uint32_t id = htole32(VSW_EVENT_TRANSPORT_RESET);

	if (vsw_virtq_pop(&guest->event, burst, 1) == 0)
		return;
	vsw_iov_copy_in(burst->chain[0].segs, burst->chain[0].n_segs, &id, sizeof(id));
	vsw_virtq_push(&guest->event, burst->chain[0].head,
		       vsw_min_u32(burst->chain[0].len, sizeof(id)));
	vsw_virtq_flush(&guest->event);
	guest->owes_reset = false;
}

int
guest_start(struct vsw_poll *poll, struct guest *guest, const struct vsw_rings *rings)
{
	static const enum vsw_virtq_dir dir[VSW_VRINGS_MAX] = {VSW_TO_GUEST, VSW_FROM_GUEST,
							       VSW_TO_GUEST};
	struct vsw_virtq *const vq[VSW_VRINGS_MAX] = {&guest->to_guest, &guest->from_guest,
						      &guest->event};
	uint16_t base[VSW_VRINGS_MAX];
	int rc = 0;

	guest->mem = rings->mem;
	guest->is_broken = false;
	guest->is_lost = false;
	for (unsigned int q = 0; q < VSW_VRINGS_MAX && rc == 0; q++) {
		if (rings->queue[q].size != 0)
			rc = vsw_virtq_start(vq[q], dir[q], &rings->queue[q], &guest->mem,
					     &guest->counters);
	}
	if (rc != 0) {
		stop_queues(guest, base);
		return rc;
	}
	watch_kick(guest, 0, &guest->to_guest);
	watch_kick(guest, 1, &guest->from_guest);
	vsw_virtq_flush(&guest->event); /* the others are flushed at each pass */
	/* The event queue may become ready, and bring another start, only after the others. */
	if (guest->state == GUEST_STOPPED)
		guest->owes_reset = rings->queue[VSW_QUEUE_FROM_GUEST].base != 0;
	if (guest->owes_reset)
		guest_send_transport_reset(guest, &poll->burst);
	guest->state = GUEST_RUNNING;
	guest_rouse(guest);
	vsw_trace_guest_start(guest->conf->cid, rings->queue[VSW_QUEUE_TO_GUEST].base,
			      rings->queue[VSW_QUEUE_FROM_GUEST].base);
	return 0;
}

static void
for_each_flow(struct guest *guest, enum vsw_conn_event event)
{
	struct flow *flow, *next;

	for (flow = TAILQ_FIRST(&guest->flows); flow != NULL; flow = next) {
		next = TAILQ_NEXT(flow, all_entry);
		flow_event(flow, event, 0);
	}
}

static void
finish_stop(struct guest *guest)
{
	struct vsw_msg *stop = guest->stopping;

	if (guest->state == GUEST_RUNNING) {
		unwatch_kicks(guest);
		stop_queues(guest, stop->rings->base);
		vsw_trace_guest_stopped(guest->conf->cid, stop->rings->base[VSW_QUEUE_TO_GUEST],
					stop->rings->base[VSW_QUEUE_FROM_GUEST]);
	}
	guest->state = stop->flags & VSW_MSG_F_RESET ? GUEST_STOPPED : GUEST_PAUSED;
	guest->stopping = NULL;
	vsw_msg_complete(stop);
}

void
guest_stop(struct guest *guest, struct vsw_msg *stop)
{
	guest->stopping = stop;
	guest_rouse(guest);
	vsw_trace_guest_quiesce(guest->conf->cid, (stop->flags & VSW_MSG_F_RESET) != 0,
				guest->n_loans_out, guest->n_reads_out);
	if (stop->flags & VSW_MSG_F_RESET) {
		for_each_flow(guest, VSW_CONN_EV_GUEST_GONE);
		guest->n_resets = 0;
	}
	guest_progress(guest);
}

void
guest_lose(struct guest *guest)
{
	guest->is_lost = true;
	if (vsw_guard_loss(guest->conf->id) == VSW_LOSS_MEMORY) {
		vsw_count(&guest->counters, VSW_CTR_MEMORY_LOST, 1);
		VSW_LOG_LIMITED(WARNING, "guest %u: its memory has gone away", guest->conf->cid);
	} else {
		vsw_count(&guest->counters, VSW_CTR_CALLS_STUCK, 1);
	}
	guest->n_resets = 0;
	for_each_flow(guest, VSW_CONN_EV_GUEST_GONE);
}

/* Its ring pops nothing any more, which looks like a guest that is silent: say so, once. */
void
guest_note_broken(struct guest *guest)
{
	if (guest->is_broken)
		return;
	guest->is_broken = true;
	VSW_LOG_LIMITED(WARNING,
			"guest %u: its ring makes no sense, it is not served until it starts anew",
			guest->conf->cid);
}

/*
 * Busy or quiet.
 */

/* What is pending makes work in some turn, or somebody waits for its end. */
static bool
has_business(const struct guest *guest)
{
	return guest->n_msgs_out > 0 || guest->n_resets > 0 ||
	       (guest->owes_reset && guest->event.started) || guest->starved ||
	       guest->stopping != NULL || guest->draining != NULL || guest->detaching != NULL ||
	       !TAILQ_EMPTY(&guest->ready) || !TAILQ_EMPTY(&guest->untold) ||
	       !TAILQ_EMPTY(&guest->due);
}

void
guest_rouse(struct guest *guest)
{
	guest->n_idle_turns = 0;
	if (!guest->is_quiet)
		return;
	TAILQ_REMOVE(&guest->poll->quiet, guest, turn_entry);
	TAILQ_INSERT_TAIL(&guest->poll->busy, guest, turn_entry);
	guest->is_quiet = false;
}

void
guest_idle_turn(struct guest *guest)
{
	if (guest->is_quiet || ++guest->n_idle_turns < TURNS_TO_QUIET || has_business(guest))
		return;
	TAILQ_REMOVE(&guest->poll->busy, guest, turn_entry);
	TAILQ_INSERT_TAIL(&guest->poll->quiet, guest, turn_entry);
	guest->is_quiet = true;
}

/*
 * Going.
 */

void
guest_drain(struct vsw_poll *poll, struct guest *guest, struct vsw_msg *drain)
{
	unsigned int n = 0, n_taken;

	guest_rouse(guest);
	/* What the guest has sent so far is still passed on: at most a ring full. */
	do {
		n_taken = guest->stopping == NULL ? from_guest_pass(poll, guest) : 0;
		n += n_taken;
	} while (n_taken > 0 && n < guest->from_guest.conf.size);
	guest->drained = true;
	guest->draining = drain;
	for_each_flow(guest, VSW_CONN_EV_ABORT);
	guest_progress(guest);
}

/* A guest whose rings stand still for a moment, while its VMM changes something, hears of it
 * when they run again. */
static bool
is_told(const struct guest *guest)
{
	return guest->state == GUEST_STOPPED || guest->is_lost ||
	       (guest->n_resets == 0 && TAILQ_EMPTY(&guest->ready));
}

/*
 * Gone.
 */

void
guest_detach(struct guest *guest, struct vsw_msg *detach)
{
	guest->detaching = detach;
	guest_rouse(guest);
	guest_progress(guest);
}

/* Nobody will name it any more: every flow has let go of its far end, and every conversation
 * has come to its end. */
static bool
is_alone(const struct guest *guest)
{
	return guest->state == GUEST_STOPPED && guest->stopping == NULL &&
	       guest->draining == NULL && TAILQ_EMPTY(&guest->flows) && guest->n_msgs_out == 0;
}

static void
finish_detach(struct guest *guest)
{
	struct vsw_msg *detach = guest->detaching;
	struct vsw_poll *poll = guest->poll;

	TAILQ_REMOVE(&poll->guests, guest, entry);
	TAILQ_REMOVE(guest->is_quiet ? &poll->quiet : &poll->busy, guest, turn_entry);
	poll->by_id[guest->conf->id] = NULL;
	guest_destroy(guest);
	vsw_msg_reply(detach->reply_to, detach, VSW_MSG_DETACHED);
}

/* Ask for the loans that somebody may hold on to. */
static void
recall(struct guest *guest)
{
	struct flow *flow;

	TAILQ_FOREACH (flow, &guest->flows, all_entry)
		sibling_recall(flow);
}

void
guest_progress(struct guest *guest)
{
	if (guest->stopping != NULL) {
		if (guest->n_loans_out == 0 && guest->n_reads_out == 0)
			finish_stop(guest);
		else if (guest->n_loans_out > 0)
			recall(guest);
	}
	if (guest->draining != NULL && guest->stopping == NULL && is_told(guest)) {
		struct vsw_msg *drain = guest->draining;

		guest->draining = NULL;
		vsw_msg_reply(drain->reply_to, drain, VSW_MSG_DRAINED);
	}
	if (guest->detaching != NULL && is_alone(guest))
		finish_detach(guest);
}
