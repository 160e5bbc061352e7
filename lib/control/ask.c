/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What others want to know. Guests and lcores are told from what the control lcore can read;
 * connections are asked of the poll lcores, one guest after the other.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vsw_base.h"
#include "vsw_log.h"
#include "control_priv.h"

const char *
vsw_guest_state_str(enum vsw_guest_state state)
{
	static const char *const text[] = {
#define X(name, str) [VSW_GUEST_##name] = str,
		VSW_GUEST_STATE_TABLE(X)
#undef X
	};

	return (unsigned int)state < VSW_GUEST_N_STATES ? text[state] : "unknown";
}

/*
 * Guests.
 */

static enum vsw_guest_state
state_of(const struct entry *entry)
{
	if (entry->is_leaving)
		return VSW_GUEST_LEAVING;
	if (entry->handshakes == NULL)
		return VSW_GUEST_STARTING;
	if (entry->vmm == VSW_VMM_NONE)
		return VSW_GUEST_WAITING;
	return entry->vmm == VSW_VMM_RUNNING ? VSW_GUEST_RUNNING : VSW_GUEST_ATTACHED;
}

static uint32_t
n_conns_of(const struct entry *entry)
{
	return entry->poll_tally != NULL
		       ? __atomic_load_n(entry->poll_tally->n_conns, __ATOMIC_RELAXED)
		       : 0;
}

static uint32_t
n_loans_of(const struct entry *entry)
{
	return entry->poll_tally != NULL
		       ? __atomic_load_n(entry->poll_tally->n_loans, __ATOMIC_RELAXED)
		       : 0;
}

static uint64_t
n_waiting_at(const struct vsw_tally *tally)
{
	return tally != NULL ? __atomic_load_n(tally->n_waiting, __ATOMIC_RELAXED) : 0;
}

static void
add_tally(const struct vsw_tally *tally, bool with_hists, struct vsw_guest_info *info)
{
	if (tally == NULL)
		return;
	vsw_counters_add(&info->counters, tally->counters);
	if (with_hists)
		vsw_hists_add(&info->hists, tally->hists);
}

/* @p info is zeroed; what is not asked for is not touched. */
static void
describe(const struct entry *entry, bool with_hists, struct vsw_guest_info *info)
{
	info->spec = entry->spec;
	info->state = state_of(entry);
	info->from_config = entry->from_config;
	info->poll_lcore = vsw_loop_lcore(entry->conf.poll_loop);
	info->bridge_lcore = vsw_loop_lcore(entry->conf.bridge_loop);
	info->n_conns = n_conns_of(entry);
	info->n_handshakes =
		entry->handshakes != NULL ? vsw_handshakes_n_hosts(entry->handshakes) : 0;
	info->n_loans = n_loans_of(entry);
	info->n_waiting = n_waiting_at(entry->poll_tally) + n_waiting_at(entry->bridge_tally);
	info->counters = entry->counters;
	add_tally(entry->poll_tally, with_hists, info);
	add_tally(entry->bridge_tally, with_hists, info);
}

static int
compare_entries(const void *a, const void *b)
{
	const struct entry *x = *(const struct entry *const *)a;
	const struct entry *y = *(const struct entry *const *)b;

	return x->spec.cid < y->spec.cid ? -1 : x->spec.cid > y->spec.cid;
}

static void
list_guests(struct vsw_control *control, struct vsw_request *req)
{
	struct entry *only = req->who[0] != '\0' ? entry_by_who(control, req->who) : NULL;
	const struct entry *entry[VSW_GUESTS_MAX];
	unsigned int n = 0;

	if (req->who[0] != '\0' && only == NULL) {
		request_fail(req, -ENOENT, "there is no guest %s", req->who);
		return;
	}
	for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++) {
		if (control->entry[i] != NULL && (only == NULL || only == control->entry[i]))
			entry[n++] = control->entry[i];
	}
	qsort(entry, n, sizeof(entry[0]), compare_entries);
	req->guests = calloc(n + 1, sizeof(req->guests[0]));
	if (req->guests == NULL) {
		request_fail(req, -ENOMEM, "out of memory");
		return;
	}
	for (req->n_guests = 0; req->n_guests < n; req->n_guests++)
		describe(entry[req->n_guests], req->with_hists, &req->guests[req->n_guests]);
}

/*
 * Lcores, and all together.
 */

static void
describe_lcore(const struct vsw_control *control, unsigned int lcore, struct vsw_lcore_info *info)
{
	const struct vsw_loop *loop = control->loops[lcore];

	*info = (struct vsw_lcore_info){
		.lcore = lcore,
		.is_control = loop == control->loop,
		.is_bridge = control->layout.bridge.has[lcore],
		.is_poll = control->layout.poll.has[lcore],
		.n_guests = place_n_polled(control, loop),
		.n_bridged = place_n_bridged(control, loop),
	};
	vsw_loop_stats_get(loop, &info->stats);
}

static void
list_lcores(struct vsw_control *control, struct vsw_request *req)
{
	req->lcores = calloc(RTE_MAX_LCORE, sizeof(req->lcores[0]));
	if (req->lcores == NULL) {
		request_fail(req, -ENOMEM, "out of memory");
		return;
	}
	req->n_lcores = 0;
	for (unsigned int lcore = 0; lcore < RTE_MAX_LCORE; lcore++) {
		if (control->loops[lcore] != NULL)
			describe_lcore(control, lcore, &req->lcores[req->n_lcores++]);
	}
}

static void
tell_info(struct vsw_control *control, struct vsw_request *req)
{
	req->info = (struct vsw_control_info){
		.n_guests = control->n_entries,
		.max_guests = control->max_guests,
		.is_ready = control->is_ready,
		.is_going = control->phase != PHASE_UP,
		.config = control->conf->file[0] != '\0' ? control->conf->file : NULL,
	};
	for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++) {
		if (control->entry[i] != NULL)
			req->info.n_conns += n_conns_of(control->entry[i]);
	}
}

static void
set_log_level(struct vsw_request *req)
{
	if (req->log_level < RTE_LOG_EMERG || req->log_level > RTE_LOG_DEBUG)
		request_fail(req, -EINVAL,
			     "%u is no log level; they go from 1 (emergency) to 8 "
			     "(debug)",
			     req->log_level);
	else if (rte_log_set_level_pattern(req->log_pattern, req->log_level) != 0)
		request_fail(req, -EINVAL, "%s is no pattern of log types; it is as in vsw.*",
			     req->log_pattern);
}

/*
 * Connections.
 */

static void
answer_asking(struct vsw_control *control, struct vsw_request *req)
{
	STAILQ_REMOVE(&control->asking, req, vsw_request, next);
	req->page = req->scan.page;
	memset(&req->scan.page, 0, sizeof(req->scan.page));
	request_answer(control, req);
}

static bool
send_question(struct vsw_control *control, struct vsw_request *req, const struct entry *entry,
	      enum vsw_verb verb)
{
	struct vsw_msg *msg = control_alloc(control, verb, &entry->conf);

	if (msg == NULL)
		return false;
	msg->conn = req;
	if (verb == VSW_MSG_LIST_CONNS)
		msg->scan = &req->scan;
	else
		msg->conn_id = req->conn_id;
	vsw_msg_send(entry->conf.poll_loop, msg);
	return true;
}

static bool
is_listable(const struct entry *entry, const struct vsw_conn_query *query)
{
	return entry != NULL && entry->poll_tally != NULL &&
	       (query->cid == 0 || query->cid == entry->spec.cid);
}

/* Ask for the connections of the next guest, or answer. */
static void
list_on(struct vsw_control *control, struct vsw_request *req)
{
	for (; req->scan.page.next == 0 && req->position < VSW_GUESTS_MAX; req->position++) {
		const struct entry *entry = control->entry[req->position];

		if (!is_listable(entry, &req->scan.query))
			continue;
		req->position++;
		if (send_question(control, req, entry, VSW_MSG_LIST_CONNS))
			return;
		request_fail(req, -EAGAIN, "vswd is too busy; ask again");
		break;
	}
	answer_asking(control, req);
}

static void
list_conns(struct vsw_control *control, struct vsw_request *req)
{
	struct vsw_conn_scan *scan = &req->scan;

	STAILQ_INSERT_TAIL(&control->asking, req, next);
	*scan = (struct vsw_conn_scan){.query = req->query};
	if (scan->query.max == 0 || scan->query.max > VSW_CONN_PAGE_MAX)
		scan->query.max = VSW_CONN_PAGE_MAX;
	scan->page.conn = calloc(scan->query.max, sizeof(scan->page.conn[0]));
	req->position = vsw_conn_id_guest(scan->query.after);
	if (scan->page.conn == NULL) {
		request_fail(req, -ENOMEM, "out of memory");
		answer_asking(control, req);
	} else if (scan->query.cid != 0 && entry_by_cid(control, scan->query.cid) == NULL) {
		request_fail(req, -ENOENT, "there is no guest %u", scan->query.cid);
		answer_asking(control, req);
	} else {
		list_on(control, req);
	}
}

/* After vsw_control_close() whoever asked has been answered and is gone. */
static bool
is_too_late(const struct vsw_control *control)
{
	return __atomic_load_n(&control->is_closed, __ATOMIC_RELAXED);
}

static void
on_conns_listed(void *ctx, struct vsw_msg *msg)
{
	struct vsw_request *req = msg->conn;

	vsw_msg_free(msg);
	if (!is_too_late(ctx))
		list_on(ctx, req);
}

static void
fail_to_close(struct vsw_request *req)
{
	request_fail(req, -ENOENT, "there is no connection %llu", (unsigned long long)req->conn_id);
}

static void
close_conn(struct vsw_control *control, struct vsw_request *req)
{
	uint16_t slot = vsw_conn_id_guest(req->conn_id);
	const struct entry *entry = slot < VSW_GUESTS_MAX ? control->entry[slot] : NULL;

	STAILQ_INSERT_TAIL(&control->asking, req, next);
	if (entry == NULL || entry->poll_tally == NULL)
		fail_to_close(req);
	else if (send_question(control, req, entry, VSW_MSG_CLOSE_CONN))
		return;
	else
		request_fail(req, -EAGAIN, "vswd is too busy; ask again");
	answer_asking(control, req);
}

static void
on_conn_closed(void *ctx, struct vsw_msg *msg)
{
	struct vsw_request *req = msg->conn;

	int rc = msg->result;

	vsw_msg_free(msg);
	if (is_too_late(ctx))
		return;
	if (rc != 0)
		fail_to_close(req);
	answer_asking(ctx, req);
}

void
ask(struct vsw_control *control, struct vsw_request *req)
{
	switch (req->verb) {
	case VSW_REQUEST_LIST_CONNS:
		list_conns(control, req);
		return;
	case VSW_REQUEST_CLOSE_CONN:
		close_conn(control, req);
		return;
	case VSW_REQUEST_LIST_GUESTS:
		list_guests(control, req);
		break;
	case VSW_REQUEST_LIST_LCORES:
		list_lcores(control, req);
		break;
	case VSW_REQUEST_INFO:
		tell_info(control, req);
		break;
	case VSW_REQUEST_SET_LOG_LEVEL:
		set_log_level(req);
		break;
	default:
		request_fail(req, -EINVAL, "there is no such request");
		break;
	}
	request_answer(control, req);
}

void
ask_abort(struct vsw_control *control)
{
	struct vsw_request *req;

	while ((req = STAILQ_FIRST(&control->asking)) != NULL) {
		request_fail(req, -ESHUTDOWN, "vswd is closing down");
		answer_asking(control, req);
	}
}

void
ask_register(struct vsw_control *control)
{
	vsw_loop_on_msg(control->loop, VSW_MSG_CONNS_LISTED, on_conns_listed, control);
	vsw_loop_on_msg(control->loop, VSW_MSG_CONN_CLOSED, on_conn_closed, control);
}
