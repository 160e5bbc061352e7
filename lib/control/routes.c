/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who may talk to whom: the groups of guests by number, and the snapshots of all that poll lcores
 * are given, one at a time.
 */
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include "vsw_trace.h"
#include "control_priv.h"

/*
 * Groups: routes compare numbers.
 */

static uint16_t
group_join(struct vsw_control *control, const char *name)
{
	unsigned int number, free = control->n_groups;

	for (number = 0; number < control->n_groups; number++) {
		if (control->group[number].n_guests == 0)
			free = number;
		else if (strcmp(control->group[number].name, name) == 0)
			break;
	}
	if (number == control->n_groups)
		number = free;
	if (number == control->n_groups)
		control->n_groups++;
	if (control->group[number].n_guests++ == 0)
		strlcpy(control->group[number].name, name, sizeof(control->group[number].name));
	return (uint16_t)number;
}

static int
compare_groups(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

static void
groups_join(struct entry *entry)
{
	struct vsw_guest_conf *conf = &entry->conf;

	conf->n_groups = entry->spec.n_groups;
	for (unsigned int i = 0; i < conf->n_groups; i++)
		conf->group[i] = group_join(entry->control, entry->spec.group[i]);
	qsort(conf->group, conf->n_groups, sizeof(conf->group[0]), compare_groups);
}

void
routes_leave(struct entry *entry)
{
	for (unsigned int i = 0; i < entry->conf.n_groups; i++)
		entry->control->group[entry->conf.group[i]].n_guests--;
	entry->conf.n_groups = 0;
}

void
routes_join(struct entry *entry)
{
	const struct vsw_guest_spec *spec = &entry->spec;
	struct vsw_guest_conf *conf = &entry->conf;

	groups_join(entry);
	conf->hairpin = spec->hairpin;
	conf->n_host_cids = spec->n_host_cids;
	memcpy(conf->host_cid, spec->host_cid, sizeof(conf->host_cid));
}

/*
 * Routes.
 */

static bool
publish(struct vsw_control *control, struct vsw_msg **msgs)
{
	const struct vsw_guest_conf *guest[VSW_GUESTS_MAX];
	unsigned int n = 0;

	for (unsigned int i = 0; i < control->n_poll; i++) {
		msgs[i] = control_alloc(control, VSW_MSG_ROUTES, NULL);
		if (msgs[i] == NULL)
			return false;
	}
	for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++) {
		if (control->entry[i] != NULL && !control->entry[i]->is_leaving)
			guest[n++] = &control->entry[i]->conf;
	}
	control->old_routes = control->routes;
	control->routes = vsw_routes_create(guest, n);
	if (control->routes == NULL) {
		control->routes = control->old_routes;
		control_retry(control);
		return false;
	}
	return true;
}

uint64_t
routes_renew(struct vsw_control *control)
{
	struct vsw_msg *msgs[RTE_MAX_LCORE] = {NULL};

	control->routes_are_old = true;
	if (control->n_unrouted > 0)
		return control->published + 1;
	if (!publish(control, msgs)) {
		for (unsigned int i = 0; i < control->n_poll; i++)
			vsw_msg_free(msgs[i]);
		return control->published + 1;
	}
	control->routes_are_old = false;
	control->published++;
	control->n_unrouted = control->n_poll;
	for (unsigned int i = 0; i < control->n_poll; i++) {
		msgs[i]->routes = control->routes;
		vsw_msg_send(control->poll[i], msgs[i]);
	}
	return control->published;
}

static void
on_routed(void *ctx, struct vsw_msg *msg)
{
	struct vsw_control *control = ctx;

	vsw_msg_free(msg);
	if (--control->n_unrouted > 0)
		return;
	vsw_routes_destroy(control->old_routes);
	control->old_routes = NULL;
	control->routed = control->published;
	vsw_trace_routes_changed(control->routed);
	if (control->routes_are_old)
		routes_renew(control);
	entry_advance_all(control);
	alter_check_end(control);
}

void
routes_register(struct vsw_control *control)
{
	vsw_loop_on_msg(control->loop, VSW_MSG_ROUTED, on_routed, control);
}
