/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests that alter guests, one at a time: when the plan of one has been made (plan.c), what
 * changes in place does, guests leave, and when the last of them has, others come.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VSW_LOGTYPE vsw_log_control
#include "vsw_base.h"
#include "vsw_log.h"
#include "vsw_trace.h"
#include "control_priv.h"

extern int vsw_log_control;

bool
alter_is_altering(enum vsw_request_verb verb)
{
	return verb == VSW_REQUEST_ADD_GUEST || verb == VSW_REQUEST_REMOVE_GUEST ||
	       verb == VSW_REQUEST_CHANGE_GUEST || verb == VSW_REQUEST_APPLY;
}

static void __attribute__((format(printf, 3, 4)))
note_failure(struct alteration *alter, int rc, const char *fmt, ...)
{
	va_list ap;

	if (alter->result != 0)
		return; /* the first one is told */
	alter->result = rc;
	va_start(ap, fmt);
	vsnprintf(alter->error, sizeof(alter->error), fmt, ap);
	va_end(ap);
}

static void
change_in_place(struct vsw_control *control, struct plan *plan)
{
	struct alteration *alter = &control->alter;

	for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++) {
		struct entry *entry = control->entry[i];
		uint32_t diff;
		int rc;

		if (plan->stays[i] && plan->from_config)
			entry->from_config = true;
		if (plan->change[i] == NULL)
			continue;
		diff = vsw_guest_spec_diff(&entry->spec, plan->change[i]);
		rc = entry_change(entry, plan->change[i]);
		if (rc != 0)
			note_failure(alter, rc,
				     "guest %u: mode or owner of its sockets cannot be set: %s; it "
				     "was not changed",
				     entry->spec.cid, strerror(-rc));
		else if (diff & VSW_SPEC_DIFF_ROUTES)
			alter->routes = UINT64_MAX; /* numbered below */
		alter->n_changed += rc == 0;
	}
	if (alter->routes != 0)
		alter->routes = routes_renew(control);
}

static void
let_leave(struct vsw_control *control, struct plan *plan)
{
	for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++) {
		if (!plan->leaves[i])
			continue;
		control->entry[i]->is_counted = true;
		control->alter.n_counted++;
		control->alter.n_left++;
	}
	for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++) {
		if (plan->leaves[i])
			entry_leave(control->entry[i]);
	}
}

static int
note_coming(struct vsw_control *control, struct plan *plan)
{
	struct alteration *alter = &control->alter;

	if (plan->n_coming == 0)
		return 0;
	alter->coming = calloc(plan->n_coming, sizeof(alter->coming[0]));
	if (alter->coming == NULL)
		return request_fail(plan->req, -ENOMEM, "out of memory");
	alter->n_coming = plan->n_coming;
	for (unsigned int i = 0; i < plan->n_coming; i++) {
		alter->coming[i].spec = plan->coming[i]->spec;
		alter->coming[i].from_config = plan->from_config;
	}
	return 0;
}

static void
add(struct vsw_control *control, const struct coming *coming)
{
	struct entry *entry = entry_create(control, &coming->spec, coming->from_config);

	if (entry == NULL) {
		note_failure(&control->alter, -ENOMEM, "guest %u: out of memory", coming->spec.cid);
		return;
	}
	entry->is_counted = true;
	control->alter.n_counted++;
}

/* Of guests that were changed. */
static void
open_new_sockets(struct vsw_control *control)
{
	char path[VSW_SOCKET_PATH_SIZE];

	for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++) {
		struct entry *entry = control->entry[i];
		int rc;

		if (entry == NULL || !entry->has_news || entry->is_leaving)
			continue;
		entry->has_news = false;
		rc = hosts_open_new(entry, path);
		if (rc != 0)
			note_failure(&control->alter, rc,
				     "guest %u: cannot serve %s: %s; all else was changed",
				     entry->spec.cid, path, strerror(-rc));
	}
}

/* Pinned guests first, then the others where there is room. */
static void
let_come(struct vsw_control *control)
{
	struct alteration *alter = &control->alter;
	uint64_t routes;

	alter->is_coming = true;
	open_new_sockets(control);
	for (unsigned int i = 0; i < 2 * alter->n_coming; i++) {
		/* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): with none there is no turn */
		const struct coming *coming = &alter->coming[i % alter->n_coming];

		if ((coming->spec.lcore >= 0) == (i < alter->n_coming))
			add(control, coming);
	}
	if (alter->n_counted == 0)
		return;
	routes = routes_renew(control);
	for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++) {
		if (control->entry[i] != NULL && !control->entry[i]->is_leaving &&
		    control->entry[i]->is_counted)
			control->entry[i]->routes = routes;
	}
}

static void
say_reloaded(const struct vsw_control *control, const struct vsw_request *req)
{
	const struct alteration *alter = &control->alter;
	uint32_t diff = vsw_conf_diff(control->conf, req->conf);
	char names[VSW_WHY_SIZE];

	if (req->result != 0)
		VSW_LOG(ERR, "reload failed: %s (%u guest%s came, %u left, %u changed)", req->error,
			alter->n_came, alter->n_came == 1 ? "" : "s", alter->n_left,
			alter->n_changed);
	else
		VSW_LOG(NOTICE, "reloaded: %u guest%s came, %u left, %u changed", alter->n_came,
			alter->n_came == 1 ? "" : "s", alter->n_left, alter->n_changed);
	if (diff != 0)
		VSW_LOG(NOTICE, "left for the next start: %s", vsw_conf_settings_str(diff, names));
}

static void
finish(struct vsw_control *control)
{
	struct alteration *alter = &control->alter;
	struct vsw_request *req = alter->req;
	int result = alter->result;

	if (req != NULL && result != 0)
		request_fail(req, result, "%s", alter->error);
	if (req != NULL && req->verb == VSW_REQUEST_APPLY) {
		vsw_trace_reload(result, alter->n_came, alter->n_left, alter->n_changed);
		say_reloaded(control, req);
	}
	free(alter->coming);
	memset(alter, 0, sizeof(*alter));
	if (req != NULL) {
		request_answer(control, req);
		alter_next(control);
	} else if (result != 0 ||
		   (control->on_up != NULL && control->on_up(control->on_up_arg) != 0)) {
		control_go_down(control, EXIT_FAILURE);
	} else {
		control->is_ready = true;
		VSW_LOG(NOTICE, "ready: %u guest%s", control->n_entries,
			control->n_entries == 1 ? "" : "s");
		alter_next(control);
	}
}

void
alter_check_end(struct vsw_control *control)
{
	struct alteration *alter = &control->alter;

	if (!alter->is_under_way || alter->n_counted > 0 || alter->routes > control->routed)
		return;
	if (!alter->is_coming)
		let_come(control);
	if (alter->n_counted == 0)
		finish(control);
}

static void
uncount(struct entry *entry)
{
	if (!entry->is_counted)
		return;
	entry->is_counted = false;
	entry->control->alter.n_counted--;
}

void
alter_on_up(struct entry *entry)
{
	entry->control->alter.n_came++;
	vsw_trace_guest_added(entry->spec.cid, entry->spec.name);
	VSW_LOG(INFO, "guest %u (%s): waiting for its VMM at %s", entry->spec.cid, entry->spec.name,
		entry->spec.socket);
	uncount(entry);
	alter_check_end(entry->control);
}

void
alter_on_failed(struct entry *entry, const char *what, int rc)
{
	VSW_LOG(ERR, "guest %u: cannot serve %s: %s", entry->spec.cid, what, strerror(-rc));
	note_failure(&entry->control->alter, rc, "guest %u: cannot serve %s: %s", entry->spec.cid,
		     what, strerror(-rc));
}

void
alter_on_gone(struct entry *entry)
{
	struct vsw_control *control = entry->control;

	if (!entry->is_failed)
		VSW_LOG(INFO, "guest %u (%s): removed", entry->spec.cid, entry->spec.name);
	vsw_trace_guest_gone(entry->spec.cid, entry->spec.name);
	uncount(entry);
	entry_free(entry);
	alter_check_end(control);
	if (control->n_entries == 0)
		control_on_empty(control);
}

static void
begin(struct vsw_control *control, struct vsw_request *req)
{
	struct plan *plan = calloc(1, sizeof(*plan));
	static struct vsw_conf_guest guest; /* of the one request that is looked at */

	memset(&guest, 0, sizeof(guest));
	control->alter.is_under_way = true;
	control->alter.req = req;
	if (plan == NULL)
		request_fail(req, -ENOMEM, "out of memory");
	if (plan != NULL)
		plan->req = req;
	if (plan == NULL || plan_make(control, plan, &guest) != 0 ||
	    note_coming(control, plan) != 0) {
		free(plan);
		if (req->verb == VSW_REQUEST_APPLY) {
			vsw_trace_reload(req->result, 0, 0, 0);
			VSW_LOG(ERR, "reload failed: %s", req->error);
		}
		memset(&control->alter, 0, sizeof(control->alter));
		request_answer(control, req);
		return;
	}
	change_in_place(control, plan);
	let_leave(control, plan);
	free(plan);
	alter_check_end(control);
}

void
alter_next(struct vsw_control *control)
{
	struct vsw_request *req;

	while (!control->alter.is_under_way && control->phase == PHASE_UP &&
	       (req = STAILQ_FIRST(&control->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&control->queue, next);
		begin(control, req);
	}
}

static void
on_start(struct rte_timer *timer, void *arg)
{
	alter_check_end(arg);
}

void
alter_start(struct vsw_control *control, const struct vsw_conf *conf)
{
	struct alteration *alter = &control->alter;

	alter->is_under_way = true;
	alter->coming = calloc(conf->n_guests + 1, sizeof(alter->coming[0]));
	if (alter->coming == NULL) {
		note_failure(alter, -ENOMEM, "out of memory");
	} else {
		alter->n_coming = conf->n_guests;
		for (unsigned int i = 0; i < conf->n_guests; i++) {
			alter->coming[i].spec = conf->guest[i].spec;
			alter->coming[i].from_config = conf->file[0] != '\0';
		}
	}
	/* Not before the loop runs, and all else that vswd makes is there. */
	rte_timer_reset_sync(&control->start_timer, 0, SINGLE, rte_get_main_lcore(), on_start,
			     control);
}

void
alter_abort(struct vsw_control *control)
{
	struct alteration *alter = &control->alter;
	struct vsw_request *req;

	if (alter->is_under_way && alter->req != NULL) {
		request_turn_away(control, alter->req);
	}
	free(alter->coming);
	memset(alter, 0, sizeof(*alter));
	for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++) {
		if (control->entry[i] != NULL)
			control->entry[i]->is_counted = false;
	}
	while ((req = STAILQ_FIRST(&control->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&control->queue, next);
		request_turn_away(control, req);
	}
}
