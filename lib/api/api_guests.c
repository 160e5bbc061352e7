/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guests and their groups.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bsd/string.h>

#include "api_priv.h"
#include "json.h"

void
api_ask_for_guests(struct exchange *x, const char *who, void (*next)(struct exchange *x))
{
	vsw_request_clear(&x->req);
	x->req.n_guests = 0;
	strlcpy(x->req.who, who, sizeof(x->req.who));
	exchange_ask(x, VSW_REQUEST_LIST_GUESTS, next);
}

static void
tell_guests(struct exchange *x)
{
	bool with_counters = exchange_param(x, "counters") != NULL;
	json_t *list = json_array();

	for (unsigned int i = 0; i < x->req.n_guests; i++)
		json_array_append_new(
			list, json_of_guest(&x->req.guests[i], with_counters, x->req.with_hists));
	exchange_answer_json(x, MHD_HTTP_OK, json_pack("{s:o}", "guests", list));
}

void
api_guests_list(struct exchange *x)
{
	x->req.with_hists = exchange_param(x, "histograms") != NULL;
	api_ask_for_guests(x, "", tell_guests);
}

static void
tell_guest(struct exchange *x)
{
	exchange_answer_json(x, x->status != 0 ? x->status : MHD_HTTP_OK,
			     json_of_guest(&x->req.guests[0], true, true));
}

void
api_guest_show(struct exchange *x)
{
	x->req.with_hists = true;
	api_ask_for_guests(x, x->who, tell_guest);
}

static int
read_spec(const json_t *body, struct vsw_request *req, char error[VSW_ERROR_SIZE])
{
	char why[VSW_WHY_SIZE], name[VSW_NAME_SIZE];
	const char *key;
	int rc = json_to_spec(body, &req->spec, error);

	if (rc == 0 && vsw_guest_spec_check(&req->spec, &key, why) != 0) {
		snprintf(error, VSW_ERROR_SIZE, "%s: %s", vsw_key_in_yaml(key, name, sizeof(name)),
			 why);
		return -EINVAL;
	}
	return rc;
}

/*
 * Add.
 */

static void
show(struct exchange *x)
{
	char who[16];

	snprintf(who, sizeof(who), "%u", x->req.spec.cid);
	x->req.with_hists = true;
	api_ask_for_guests(x, who, tell_guest);
}

static void
show_added(struct exchange *x)
{
	x->status = MHD_HTTP_CREATED;
	snprintf(x->location, sizeof(x->location), "/guests/%u", x->req.spec.cid);
	show(x);
}

void
api_guests_add(struct exchange *x)
{
	vsw_guest_spec_init(&x->req.spec);
	x->req.spec.cid = 0; /* it has to be said here */
	if (!exchange_take(x, read_spec))
		return;
	if (x->req.spec.cid == 0)
		exchange_fail(x, MHD_HTTP_BAD_REQUEST,
			      "guest_cid: it is missing; a guest has a CID from 3 to 4294967294");
	else
		exchange_ask(x, VSW_REQUEST_ADD_GUEST, show_added);
}

/*
 * Change: what the body does not name stays as it is.
 */

/* A name that was made of the CID follows it. */
static void
forget_default_name(struct vsw_guest_spec *spec)
{
	char name[VSW_NAME_SIZE];

	snprintf(name, sizeof(name), "vm%u", spec->cid);
	if (strcmp(spec->name, name) == 0)
		spec->name[0] = '\0';
}

static void
change(struct exchange *x)
{
	x->req.spec = x->req.guests[0].spec;
	forget_default_name(&x->req.spec);
	if (exchange_take(x, read_spec))
		exchange_change(x, 0, api_guest_change, show);
}

void
api_guest_change(struct exchange *x)
{
	api_ask_for_guests(x, x->who, change);
}

/*
 * Remove.
 */

void
api_guest_remove(struct exchange *x)
{
	strlcpy(x->req.who, x->who, sizeof(x->req.who));
	exchange_ask(x, VSW_REQUEST_REMOVE_GUEST, exchange_answer_nothing);
}

/*
 * Groups.
 */

static void
tell_groups(struct exchange *x)
{
	exchange_answer_json(
		x, MHD_HTTP_OK,
		json_pack("{s:o}", "groups", json_of_groups(x->req.guests, x->req.n_guests)));
}

void
api_groups_list(struct exchange *x)
{
	api_ask_for_guests(x, "", tell_groups);
}

/*
 * All together: of the guests that there are, since each was added.
 */

static void
tell_stats(struct exchange *x)
{
	struct vsw_counters counters = {0};
	struct vsw_hists hists = {0};

	for (unsigned int i = 0; i < x->req.n_guests; i++) {
		vsw_counters_add(&counters, &x->req.guests[i].counters);
		vsw_hists_add(&hists, &x->req.guests[i].hists);
	}
	exchange_answer_json(x, MHD_HTTP_OK,
			     json_pack("{s:I, s:o, s:o}",                       /**/
				       "guests", (json_int_t)x->req.n_guests,   /**/
				       "counters", json_of_counters(&counters), /**/
				       "histograms", json_of_hists(&hists)));
}

void
api_stats_show(struct exchange *x)
{
	x->req.with_hists = true;
	api_ask_for_guests(x, "", tell_stats);
}
