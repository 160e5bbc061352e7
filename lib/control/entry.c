/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest, step by step. Each step is a message to whoever does it, and its answer brings the
 * next one, so every guest goes at its own pace and nobody waits. The steps are in the order in
 * which things may name each other:
 *
 * Up:    ROUTES         siblings may ask for it: they are refused, it does not run yet
 *        OPEN_ACCOUNT   its bridge keeps an account
 *        ATTACH         its poll lcore owns it
 *        LISTEN         its VMM may connect
 *        sockets        hosts may come
 *
 * Down:  sockets        no new host
 *        ROUTES         siblings end their connections with it and forget it; when all poll
 *                       lcores have answered no PEER_CONNECT to it is on its way any more,
 *                       that is not in its lcore's inbox already
 *        DRAIN          its driver is told that its connections are over
 *        UNLISTEN       its VMM is cut off, its rings are stopped, every loan is back
 *        BARRIER        hosts that were passed to the bridge (ADOPT) have been passed on to the
 *                       poll lcore (INCOMING), which refuses them before the next message; the
 *                       bridge flushes what is closed without telling
 *        DETACH         its connections have ended on both sides, no message of it is out
 *        CLOSE_ACCOUNT  what the bridge answered to the last refusals was before this
 *
 * After that nobody names it and it is freed. What hosts have not read yet is flushed without
 * it. A guest may turn back at any step up: it then goes down from where it is.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include <rte_cycles.h>
#include <rte_lcore.h>

#include "vsw_base.h"
#include "vsw_number.h"
#include "vsw_trace.h"
#include "control_priv.h"

/* A guest that posts no receive buffers is not told. */
#define DRAIN_TIMEOUT_MS 500

/*
 * The object.
 */

/* Slots go round, so that what is new is not mistaken for what has just gone. */
static uint16_t
free_slot(struct vsw_control *control)
{
	unsigned int slot;

	do {
		slot = control->next_slot++ % VSW_GUESTS_MAX;
	} while (control->entry[slot] != NULL);
	return (uint16_t)slot;
}

static struct vsw_socket_access
access_of(const struct vsw_control *control, const struct vsw_guest_spec *spec)
{
	return (struct vsw_socket_access){
		.mode = spec->socket_mode == VSW_MODE_DEFAULT ? 0777 & ~control->umask
							      : (mode_t)spec->socket_mode,
		.owner = spec->socket_owner,
		.group = spec->socket_group,
	};
}

/* Lcores read these words while they change. */
static void
set_word(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static void
set_limits(struct vsw_guest_conf *conf, const struct vsw_guest_spec *spec)
{
	set_word(&conf->buf_alloc, spec->window_bytes);
	set_word(&conf->queue_size, spec->queue_size);
	set_word(&conf->max_conns, spec->max_connections);
	set_word(&conf->max_handshakes, spec->max_handshakes);
	set_word(&conf->spill_budget, spec->spill_bytes);
	set_word(&conf->max_loans, spec->max_loans);
}

struct entry *
entry_create(struct vsw_control *control, const struct vsw_guest_spec *spec, bool from_config)
{
	struct entry *entry = calloc(1, sizeof(*entry));

	if (entry == NULL)
		return NULL;
	entry->control = control;
	entry->spec = *spec;
	entry->from_config = from_config;
	entry->conf.cid = spec->cid;
	strlcpy(entry->conf.socket, spec->socket, sizeof(entry->conf.socket));
	strlcpy(entry->conf.uds_path, spec->uds_path, sizeof(entry->conf.uds_path));
	entry->conf.forward_cid = spec->forward_cid;
	entry->conf.is_client = spec->client;
	entry->conf.access = access_of(control, spec);
	set_limits(&entry->conf, spec);
	routes_join(entry);
	place(control, &entry->conf, spec->lcore);
	rte_timer_init(&entry->drain_timer);

	entry->conf.id = free_slot(control);
	control->entry[entry->conf.id] = entry;
	control->n_entries++;
	return entry;
}

void
entry_free(struct entry *entry)
{
	struct vsw_control *control = entry->control;

	hosts_shut_out(entry);
	if (entry->is_listening && !entry->conf.is_client)
		unlink(entry->conf.socket); /* vswd ends in a hurry: nobody has unlistened */
	rte_timer_stop_sync(&entry->drain_timer);
	routes_leave(entry);
	control->entry[entry->conf.id] = NULL;
	control->n_entries--;
	free(entry);
}

struct entry *
entry_by_cid(struct vsw_control *control, uint32_t cid)
{
	for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++) {
		if (control->entry[i] != NULL && control->entry[i]->spec.cid == cid)
			return control->entry[i];
	}
	return NULL;
}

struct entry *
entry_by_who(struct vsw_control *control, const char *who)
{
	uint32_t cid;

	if (vsw_number_read_u32(who, 0, UINT32_MAX, &cid))
		return entry_by_cid(control, cid);
	for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++) {
		if (control->entry[i] != NULL && strcmp(control->entry[i]->spec.name, who) == 0)
			return control->entry[i];
	}
	return NULL;
}

/*
 * Steps.
 */

/* Send a step; its answer advances the entry. */
static void
step(struct entry *entry, struct vsw_loop *to, enum vsw_verb verb)
{
	struct vsw_msg *msg = control_alloc(entry->control, verb, &entry->conf);

	if (msg == NULL)
		return; /* it is advanced again */
	entry->is_awaiting = true;
	vsw_msg_send(to, msg);
}

static void
fail(struct entry *entry, const char *what, int rc)
{
	entry->is_failed = true;
	alter_on_failed(entry, what, rc);
	entry_leave(entry);
}

static void
advance_up(struct entry *entry)
{
	struct vsw_control *control = entry->control;
	const char *path;
	int rc;

	if (entry->routes > control->routed || entry->handshakes != NULL)
		return;
	if (!entry->has_account) {
		step(entry, entry->conf.bridge_loop, VSW_MSG_OPEN_ACCOUNT);
	} else if (!entry->is_attached) {
		step(entry, entry->conf.poll_loop, VSW_MSG_ATTACH);
	} else if (!entry->is_listening) {
		step(entry, control->vhost, VSW_MSG_LISTEN);
	} else {
		rc = hosts_admit(entry, &path);
		if (rc != 0)
			fail(entry, path, rc);
		else
			alter_on_up(entry);
	}
}

/* It is going anyway; UNLISTEN makes an end of it. */
static void
on_drain_timeout(struct rte_timer *timer, void *arg)
{
	struct entry *entry = arg;

	entry->is_drained = true;
	entry->is_awaiting = false;
	entry_advance(entry);
}

static void
drain(struct entry *entry)
{
	step(entry, entry->conf.poll_loop, VSW_MSG_DRAIN);
	if (entry->is_awaiting)
		rte_timer_reset_sync(&entry->drain_timer,
				     rte_get_timer_hz() / 1000 * DRAIN_TIMEOUT_MS, SINGLE,
				     rte_lcore_id(), on_drain_timeout, entry);
}

static void
advance_down(struct entry *entry)
{
	struct vsw_control *control = entry->control;

	if (entry->routes > control->routed)
		return;
	if (entry->is_attached && !entry->is_drained) {
		drain(entry);
	} else if (entry->is_listening) {
		step(entry, control->vhost, VSW_MSG_UNLISTEN);
	} else if (entry->is_attached && !entry->has_passed) {
		step(entry, entry->conf.bridge_loop, VSW_MSG_BARRIER);
	} else if (entry->is_attached) {
		entry->poll_tally = NULL;
		step(entry, entry->conf.poll_loop, VSW_MSG_DETACH);
	} else if (entry->has_account) {
		entry->bridge_tally = NULL;
		step(entry, entry->conf.bridge_loop, VSW_MSG_CLOSE_ACCOUNT);
	} else {
		alter_on_gone(entry);
	}
}

void
entry_advance(struct entry *entry)
{
	if (entry->is_awaiting)
		return;
	if (entry->is_leaving)
		advance_down(entry);
	else
		advance_up(entry);
}

void
entry_advance_all(struct vsw_control *control)
{
	for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++) {
		if (control->entry[i] != NULL)
			entry_advance(control->entry[i]);
	}
}

void
entry_leave(struct entry *entry)
{
	if (entry->is_leaving)
		return;
	entry->is_leaving = true;
	hosts_shut_out(entry);
	entry->routes = routes_renew(entry->control);
}

int
entry_change(struct entry *entry, const struct vsw_guest_spec *spec)
{
	const struct vsw_socket_access access = access_of(entry->control, spec);
	uint32_t diff = vsw_guest_spec_diff(&entry->spec, spec);

	if (diff & VSW_SPEC_DIFF_ACCESS) {
		int rc = hosts_change_access(entry, &access);

		if (rc != 0)
			return rc;
	}
	if (diff & VSW_SPEC_DIFF_FORWARD) {
		hosts_close_old(entry, spec);
		entry->has_news = true;
	}
	entry->spec = *spec;
	set_limits(&entry->conf, spec);
	if (diff & VSW_SPEC_DIFF_ROUTES) {
		routes_leave(entry);
		routes_join(entry);
	}
	return 0;
}

/*
 * Answers.
 */

static struct entry *
entry_of(struct vsw_control *control, struct vsw_msg *msg)
{
	return control->entry[msg->guest->id];
}

/* The answer to the last step has come. @return whose; it is to be advanced. */
static struct entry *
take_answer(void *ctx, struct vsw_msg *msg)
{
	struct entry *entry = entry_of(ctx, msg);

	entry->is_awaiting = false;
	vsw_msg_free(msg);
	return entry;
}

/* One to a step up, which may have failed. @param what cannot be served then. */
static void
take_success(struct entry *entry, struct vsw_msg *msg, bool *done, const char *what)
{
	entry->is_awaiting = false;
	*done = msg->result == 0;
	if (msg->result != 0)
		fail(entry, what, msg->result);
	vsw_msg_free(msg);
	entry_advance(entry);
}

static void
on_account_open(void *ctx, struct vsw_msg *msg)
{
	struct entry *entry = entry_of(ctx, msg);

	entry->bridge_tally = msg->tally;
	take_success(entry, msg, &entry->has_account, "it");
}

static void
on_attached(void *ctx, struct vsw_msg *msg)
{
	struct entry *entry = entry_of(ctx, msg);

	entry->poll_tally = msg->tally;
	take_success(entry, msg, &entry->is_attached, "it");
}

static void
on_listening(void *ctx, struct vsw_msg *msg)
{
	struct entry *entry = entry_of(ctx, msg);

	take_success(entry, msg, &entry->is_listening, entry->conf.socket);
}

static void
on_drained(void *ctx, struct vsw_msg *msg)
{
	struct entry *entry = entry_of(ctx, msg);

	vsw_msg_free(msg);
	if (entry->is_drained)
		return; /* too late, UNLISTEN is under way */
	rte_timer_stop_sync(&entry->drain_timer);
	entry->is_drained = true;
	entry->is_awaiting = false;
	entry_advance(entry);
}

static void
on_unlistened(void *ctx, struct vsw_msg *msg)
{
	struct entry *entry = take_answer(ctx, msg);

	entry->is_listening = false;
	entry_advance(entry);
}

static void
on_passed(void *ctx, struct vsw_msg *msg)
{
	struct entry *entry = take_answer(ctx, msg);

	entry->has_passed = true;
	entry_advance(entry);
}

static void
on_detached(void *ctx, struct vsw_msg *msg)
{
	struct entry *entry = take_answer(ctx, msg);

	entry->is_attached = false;
	entry_advance(entry);
}

static void
on_account_closed(void *ctx, struct vsw_msg *msg)
{
	struct entry *entry = take_answer(ctx, msg);

	entry->has_account = false;
	entry_advance(entry);
}

static void
on_vmm(void *ctx, struct vsw_msg *msg)
{
	static const char *const text[] = {
		[VSW_VMM_NONE] = "none",
		[VSW_VMM_CONNECTED] = "connected",
		[VSW_VMM_RUNNING] = "running",
	};
	struct entry *entry = entry_of(ctx, msg);

	entry->vmm = (enum vsw_vmm)msg->port;
	vsw_trace_guest_vmm(entry->spec.cid, text[entry->vmm]);
	vsw_msg_free(msg);
}

void
entry_register(struct vsw_control *control)
{
	static const struct {
		enum vsw_verb verb;
		vsw_msg_fn fn;
	} handlers[] = {
		{VSW_MSG_ACCOUNT_CLOSED, on_account_closed},
		{VSW_MSG_ACCOUNT_OPEN, on_account_open},
		{VSW_MSG_ATTACHED, on_attached},
		{VSW_MSG_DETACHED, on_detached},
		{VSW_MSG_DRAINED, on_drained},
		{VSW_MSG_LISTENING, on_listening},
		{VSW_MSG_PASSED, on_passed},
		{VSW_MSG_UNLISTENED, on_unlistened},
		{VSW_MSG_VMM, on_vmm},
	};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(handlers); i++)
		vsw_loop_on_msg(control->loop, handlers[i].verb, handlers[i].fn, control);
}
