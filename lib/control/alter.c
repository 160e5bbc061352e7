/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests that alter guests, one at a time: what has to change is found out and checked as a
 * whole, so that a mistake changes nothing; then what changes in place does, guests leave, and
 * when the last of them has, others come.
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

/* What a request comes to. */
struct plan {
	struct vsw_request *req;     /* whose error is set */
	const struct vsw_conf *conf; /* of APPLY: who is at fault is told by its place */
	bool leaves[VSW_GUESTS_MAX]; /* by slot */
	bool stays[VSW_GUESTS_MAX];  /* named by the request, so not to be compared with itself */
	const struct vsw_guest_spec *change[VSW_GUESTS_MAX];
	const struct vsw_conf_guest *coming[VSW_GUESTS_MAX];
	unsigned int n_coming;
	bool from_config;
};

bool
alter_is_altering(enum vsw_request_verb verb)
{
	return verb == VSW_REQUEST_ADD_GUEST || verb == VSW_REQUEST_REMOVE_GUEST ||
	       verb == VSW_REQUEST_CHANGE_GUEST || verb == VSW_REQUEST_APPLY;
}

/*
 * Checks.
 */

static int
refuse(struct plan *plan, const struct vsw_conf_guest *guest, int rc, const char *key,
       const char *why)
{
	if (plan->conf != NULL) {
		plan->req->result = rc;
		vsw_conf_say(plan->conf, guest, key, why, plan->req->error);
		return rc;
	}
	return request_fail(plan->req, rc, "guest %u: %s: %s", guest->spec.cid, key, why);
}

/* One of our guests has a socket there now. If it does not let go of it in time, that is a
 * conflict, found elsewhere. */
static bool
is_ours(const struct vsw_control *control, const char *path)
{
	const char *other, *key;

	for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++) {
		if (control->entry[i] == NULL)
			continue;
		for (unsigned int p = 0;
		     (other = vsw_guest_spec_path(&control->entry[i]->spec, p, &key)) != NULL;
		     p++) {
			if (vsw_conf_is_one_path(other, path))
				return true;
		}
	}
	return false;
}

/* Where sockets will be made. */
static int
check_paths(struct vsw_control *control, struct plan *plan, const struct vsw_conf_guest *guest,
	    bool is_coming)
{
	const struct vsw_guest_spec *spec = &guest->spec;
	char why[VSW_WHY_SIZE];
	const char *path, *key;

	for (unsigned int i = 0; (path = vsw_guest_spec_made_path(spec, i, &key)) != NULL; i++) {
		bool is_there = is_ours(control, path);
		enum vsw_conf_paths when = is_there ? VSW_CONF_PATHS_LATER : VSW_CONF_PATHS_NOW;

		if (is_there && !is_coming)
			continue; /* and stays */
		if (vsw_conf_check_path(path, when, why) != 0)
			return refuse(plan, guest, -EINVAL, key, why);
	}
	return 0;
}

/* Against the file system, and against guests that the request does not name. */
static int
check(struct vsw_control *control, struct plan *plan, const struct vsw_conf_guest *guest,
      bool is_coming)
{
	const struct vsw_guest_spec *spec = &guest->spec;
	char why[VSW_WHY_SIZE];
	const char *key;

	if (vsw_guest_spec_check_own(spec, &key, why) != 0)
		return refuse(plan, guest, -EINVAL, key, why);
	for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++) {
		if (control->entry[i] == NULL || plan->leaves[i] || plan->stays[i])
			continue;
		if (vsw_guest_spec_conflict(spec, &control->entry[i]->spec, &key, why) != 0)
			return refuse(plan, guest, -EEXIST, key, why);
	}
	if (is_coming && vsw_layout_check_lcore(&control->layout, spec->lcore, why) != 0)
		return refuse(plan, guest, -EINVAL, "lcore", why);
	return check_paths(control, plan, guest, is_coming);
}

static int
check_number(struct vsw_control *control, struct plan *plan)
{
	unsigned int n = control->n_entries + plan->n_coming;

	for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++)
		n -= plan->leaves[i];
	if (n <= control->max_guests)
		return 0;
	return request_fail(plan->req, -ENOSPC,
			    "%u guests are too many: vswd was started for %u; max-guests, up to "
			    "%u, says for how many",
			    n, control->max_guests, VSW_GUESTS_SERVED);
}

/*
 * Plans.
 */

static struct entry *
named(struct vsw_control *control, struct vsw_request *req)
{
	struct entry *entry = entry_by_who(control, req->who);

	if (entry == NULL)
		request_fail(req, -ENOENT, "there is no guest %s", req->who);
	return entry;
}

static int
plan_add(struct vsw_control *control, struct plan *plan, const struct vsw_conf_guest *guest)
{
	plan->coming[plan->n_coming++] = guest;
	return check(control, plan, guest, true);
}

static int
plan_remove(struct vsw_control *control, struct plan *plan)
{
	struct entry *entry = named(control, plan->req);

	if (entry == NULL)
		return -ENOENT;
	plan->leaves[entry->conf.id] = true;
	return 0;
}

/* @p entry shall be what @p guest says. */
static int
plan_change(struct vsw_control *control, struct plan *plan, struct entry *entry,
	    const struct vsw_conf_guest *guest)
{
	uint32_t diff = vsw_guest_spec_diff(&entry->spec, &guest->spec);

	if (diff & VSW_SPEC_DIFF_PLACE) {
		plan->leaves[entry->conf.id] = true;
		return plan_add(control, plan, guest);
	}
	plan->stays[entry->conf.id] = true;
	plan->change[entry->conf.id] = diff != 0 ? &guest->spec : NULL;
	/* Nothing else that it has can be in another's way, and a reload names all guests. */
	return diff & (VSW_SPEC_DIFF_NAME | VSW_SPEC_DIFF_FORWARD)
		       ? check(control, plan, guest, false)
		       : 0;
}

/* What the next start would refuse is a mistake today. With other `eal` it has other lcores, and
 * EAL alone can tell which. */
static int
check_layout(const struct vsw_control *control, struct plan *plan, const struct vsw_conf *conf)
{
	uint32_t diff = vsw_conf_diff(control->conf, conf);
	struct vsw_layout layout;

	if (!(diff & VSW_CONF_BRIDGE_LCORES) || (diff & VSW_CONF_EAL))
		return 0; /* as now: each guest is checked */
	plan->req->result = vsw_layout_make(&layout, &control->lcores, control->layout.main_lcore,
					    conf, plan->req->error);
	return plan->req->result;
}

static int
plan_apply(struct vsw_control *control, struct plan *plan, const struct vsw_conf *conf)
{
	const struct vsw_conf_guest *of[VSW_GUESTS_MAX] = {NULL};
	int rc = check_layout(control, plan, conf);

	plan->conf = conf;
	plan->from_config = true;
	/* Who leaves is known before anything is checked. */
	for (unsigned int i = 0; i < conf->n_guests; i++) {
		struct entry *entry = entry_by_cid(control, conf->guest[i].spec.cid);

		if (entry == NULL)
			continue;
		of[entry->conf.id] = &conf->guest[i];
		if (vsw_guest_spec_diff(&entry->spec, &conf->guest[i].spec) & VSW_SPEC_DIFF_PLACE)
			plan->leaves[entry->conf.id] = true;
		else
			plan->stays[entry->conf.id] = true;
	}
	for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++) {
		if (control->entry[i] != NULL && control->entry[i]->from_config && of[i] == NULL)
			plan->leaves[i] = true;
	}
	for (unsigned int i = 0; i < conf->n_guests && rc == 0; i++) {
		struct entry *entry = entry_by_cid(control, conf->guest[i].spec.cid);

		rc = entry != NULL ? plan_change(control, plan, entry, &conf->guest[i])
				   : plan_add(control, plan, &conf->guest[i]);
	}
	return rc;
}

static int
complete_spec(struct vsw_request *req, struct vsw_conf_guest *guest)
{
	char why[VSW_WHY_SIZE];
	const char *key;

	guest->spec = req->spec;
	if (vsw_guest_spec_check(&guest->spec, &key, why) == 0)
		return 0;
	return request_fail(req, -EINVAL, "guest %u: %s: %s", guest->spec.cid, key, why);
}

static int
make_plan(struct vsw_control *control, struct plan *plan, struct vsw_conf_guest *guest)
{
	struct vsw_request *req = plan->req;
	struct entry *entry;
	int rc = 0;

	switch (req->verb) {
	case VSW_REQUEST_ADD_GUEST:
		rc = complete_spec(req, guest);
		if (rc == 0)
			rc = plan_add(control, plan, guest);
		break;
	case VSW_REQUEST_REMOVE_GUEST:
		rc = plan_remove(control, plan);
		break;
	case VSW_REQUEST_CHANGE_GUEST:
		entry = named(control, req);
		if (entry == NULL)
			return -ENOENT;
		if (req->expected != NULL && vsw_guest_spec_diff(&entry->spec, req->expected) != 0)
			return request_fail(req, -ESTALE, "guest %u was changed meanwhile",
					    entry->spec.cid);
		plan->from_config = entry->from_config;
		rc = complete_spec(req, guest);
		if (rc == 0)
			rc = plan_change(control, plan, entry, guest);
		break;
	default:
		rc = plan_apply(control, plan, req->conf);
		break;
	}
	return rc == 0 ? check_number(control, plan) : rc;
}

/*
 * Carrying it out.
 */

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
	if (plan == NULL || make_plan(control, plan, &guest) != 0 ||
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
