/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a request that alters guests comes to: found out and checked as a whole, so that a mistake
 * changes nothing.
 */
#include <errno.h>

#include "control_priv.h"

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
	if (!(diff & (VSW_SPEC_DIFF_NAME | VSW_SPEC_DIFF_FORWARD)))
		return 0;
	return check(control, plan, guest, false);
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

int
plan_make(struct vsw_control *control, struct plan *plan, struct vsw_conf_guest *guest)
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
