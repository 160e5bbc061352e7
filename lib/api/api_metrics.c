/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET /metrics, in OpenMetrics: every counter and every histogram of the tables, for each guest;
 * lcores; vswd itself. A family's samples stand together, so guests are gone through once for
 * each.
 *
 * A histogram is told by powers of two, a quarter of its buckets: they are exact, and 512 guests
 * still make a page that can be scraped.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api_priv.h"
#include "vsw_base.h"
#include "vsw_clock.h"
#include "vsw_version.h"

#define OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"

static void
family(FILE *f, const char *name, const char *type, const char *help)
{
	static const char *const units[] = {"bytes", "cycles", "seconds"};

	fprintf(f, "# TYPE %s %s\n", name, type);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(units); i++) {
		const char *last = strrchr(name, '_');

		if (last != NULL && strcmp(last + 1, units[i]) == 0)
			fprintf(f, "# UNIT %s %s\n", name, units[i]);
	}
	fprintf(f, "# HELP %s %s\n", name, help);
}

/* Names of guests have no character that would have to be escaped. */
static void
sample_of_guest(FILE *f, const char *name, const struct vsw_guest_info *guest, uint64_t value)
{
	fprintf(f, "%s{cid=\"%u\",name=\"%s\"} %llu\n", name, guest->spec.cid, guest->spec.name,
		(unsigned long long)value);
}

static void
tell_counters(FILE *f, const struct vsw_request *req)
{
	char name[128];

	for (int c = 0; c < VSW_N_COUNTERS; c++) {
		snprintf(name, sizeof(name), "vsw_guest_%s", vsw_counter_name(c));
		family(f, name, "counter", vsw_counter_help(c));
		snprintf(name, sizeof(name), "vsw_guest_%s_total", vsw_counter_name(c));
		for (unsigned int i = 0; i < req->n_guests; i++)
			sample_of_guest(f, name, &req->guests[i], req->guests[i].counters.value[c]);
	}
}

static void
tell_hist(FILE *f, const char *name, const struct vsw_guest_info *guest, const struct vsw_hist *h)
{
	char labels[128];

	snprintf(labels, sizeof(labels), "cid=\"%u\",name=\"%s\"", guest->spec.cid,
		 guest->spec.name);
	for (unsigned int log2 = 0; log2 <= VSW_HIST_MAX_LOG2; log2++)
		fprintf(f, "%s_bucket{%s,le=\"%.6f\"} %llu\n", name, labels,
			(double)(1u << log2) / VSW_US_PER_S,
			(unsigned long long)vsw_hist_count_below(h, 1u << log2));
	fprintf(f, "%s_bucket{%s,le=\"+Inf\"} %llu\n", name, labels,
		(unsigned long long)vsw_hist_count(h));
	fprintf(f, "%s_sum{%s} %.6f\n", name, labels, (double)h->sum_us / VSW_US_PER_S);
	fprintf(f, "%s_count{%s} %llu\n", name, labels, (unsigned long long)vsw_hist_count(h));
}

static void
tell_hists(FILE *f, const struct vsw_request *req)
{
	char name[128];

	for (int h = 0; h < VSW_N_HISTS; h++) {
		snprintf(name, sizeof(name), "vsw_guest_%s_seconds", vsw_hist_name(h));
		family(f, name, "histogram", vsw_hist_help(h));
		for (unsigned int i = 0; i < req->n_guests; i++)
			tell_hist(f, name, &req->guests[i], &req->guests[i].hists.of[h]);
	}
}

enum guest_value {
	GUEST_CONNS,
	GUEST_CONNS_MAX,
	GUEST_HANDSHAKES,
	GUEST_HANDSHAKES_MAX,
	GUEST_LOANS,
	GUEST_LOANS_MAX,
	GUEST_WAITING,
	GUEST_SPILL_MAX,
	GUEST_ATTACHED,
	GUEST_RUNNING,
};

static uint64_t
guest_value(const struct vsw_guest_info *guest, enum guest_value value)
{
	switch (value) {
	case GUEST_CONNS:
		return guest->n_conns;
	case GUEST_CONNS_MAX:
		return guest->spec.max_connections;
	case GUEST_HANDSHAKES:
		return guest->n_handshakes;
	case GUEST_HANDSHAKES_MAX:
		return guest->spec.max_handshakes;
	case GUEST_LOANS:
		return guest->n_loans;
	case GUEST_LOANS_MAX:
		return guest->spec.max_loans;
	case GUEST_WAITING:
		return guest->n_waiting;
	case GUEST_SPILL_MAX:
		return guest->spec.spill_bytes;
	case GUEST_ATTACHED:
		return guest->state == VSW_GUEST_ATTACHED || guest->state == VSW_GUEST_RUNNING;
	default:
		return guest->state == VSW_GUEST_RUNNING;
	}
}

static void
tell_guests(FILE *f, const struct vsw_request *req)
{
	static const struct {
		enum guest_value value;
		const char *name, *help;
	} families[] = {
		{GUEST_CONNS, "vsw_guest_connections", "connections now"},
		{GUEST_CONNS_MAX, "vsw_guest_connections_max",
		 "connections that there may be (limits: connections)"},
		{GUEST_HANDSHAKES, "vsw_guest_handshakes",
		 "hosts that are not done with their CONNECT line now"},
		{GUEST_HANDSHAKES_MAX, "vsw_guest_handshakes_max",
		 "such hosts that there may be (limits: handshakes)"},
		{GUEST_LOANS, "vsw_guest_loans_out", "payload lent to hosts and siblings now"},
		{GUEST_LOANS_MAX, "vsw_guest_loans_out_max",
		 "loans that there may be (limits: loans)"},
		{GUEST_WAITING, "vsw_guest_far_waiting_bytes",
		 "payload that hosts and siblings have not taken, lent or spilled"},
		{GUEST_SPILL_MAX, "vsw_guest_spill_max_bytes",
		 "that payload beyond 4 KiB for each connection, at most (limits: spill_bytes)"},
		{GUEST_ATTACHED, "vsw_guest_attached", "1: a VMM is connected"},
		{GUEST_RUNNING, "vsw_guest_running", "1: the guest's driver runs"},
	};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(families); i++) {
		family(f, families[i].name, "gauge", families[i].help);
		for (unsigned int k = 0; k < req->n_guests; k++)
			sample_of_guest(f, families[i].name, &req->guests[k],
					guest_value(&req->guests[k], families[i].value));
	}
}

enum lcore_value {
	LCORE_BUSY,
	LCORE_ALL,
	LCORE_TURNS,
	LCORE_SLEEPS,
	LCORE_MESSAGES,
	LCORE_GUESTS,
	LCORE_BRIDGED,
};

static uint64_t
lcore_value(const struct vsw_lcore_info *lcore, enum lcore_value value)
{
	switch (value) {
	case LCORE_BUSY:
		return lcore->stats.busy_cycles;
	case LCORE_ALL:
		return lcore->stats.total_cycles;
	case LCORE_TURNS:
		return lcore->stats.n_turns;
	case LCORE_SLEEPS:
		return lcore->stats.n_sleeps;
	case LCORE_MESSAGES:
		return lcore->stats.n_messages;
	case LCORE_BRIDGED:
		return lcore->n_bridged;
	default:
		return lcore->n_guests;
	}
}

static void
tell_lcores(FILE *f, const struct vsw_request *req)
{
	static const struct {
		enum lcore_value value;
		const char *name, *type, *suffix, *help;
	} families[] = {
		{LCORE_BUSY, "vsw_lcore_busy_cycles", "counter", "_total",
		 "TSC cycles of turns that found work"},
		{LCORE_ALL, "vsw_lcore_cycles", "counter", "_total",
		 "TSC cycles since the lcore began to run, sleep included"},
		{LCORE_TURNS, "vsw_lcore_turns", "counter", "_total", "turns of the loop"},
		{LCORE_SLEEPS, "vsw_lcore_sleeps", "counter", "_total", "times it went to sleep"},
		{LCORE_MESSAGES, "vsw_lcore_messages", "counter", "_total",
		 "messages that it received from lcores, itself included"},
		{LCORE_GUESTS, "vsw_lcore_guests", "gauge", "", "guests that are polled here"},
		{LCORE_BRIDGED, "vsw_lcore_bridged_guests", "gauge", "",
		 "guests whose host connections are bridged here"},
	};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(families); i++) {
		family(f, families[i].name, families[i].type, families[i].help);
		for (unsigned int k = 0; k < req->n_lcores; k++)
			fprintf(f, "%s%s{lcore=\"%u\"} %llu\n", families[i].name,
				families[i].suffix, req->lcores[k].lcore,
				(unsigned long long)lcore_value(&req->lcores[k],
								families[i].value));
	}
}

static void
tell_process(FILE *f, const struct vsw_control_info *info)
{
	family(f, "vsw_build", "info", "the version of vswd");
	fprintf(f, "vsw_build_info{version=\"" VSW_VERSION "\"} 1\n");
	family(f, "vsw_ready", "gauge", "1: all guests of the start are served");
	fprintf(f, "vsw_ready %d\n", info->is_ready && !info->is_going);
	family(f, "vsw_guests", "gauge", "guests that are served");
	fprintf(f, "vsw_guests %u\n", info->n_guests);
	family(f, "vsw_guests_max", "gauge", "guests that may be served (max-guests)");
	fprintf(f, "vsw_guests_max %u\n", info->max_guests);
	family(f, "vsw_connections", "gauge", "connections of all guests now");
	fprintf(f, "vsw_connections %u\n", info->n_conns);
}

static void
tell(struct exchange *x)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (f != NULL) {
		tell_process(f, &x->req.info);
		tell_lcores(f, &x->req);
		tell_guests(f, &x->req);
		tell_counters(f, &x->req);
		tell_hists(f, &x->req);
		fputs("# EOF\n", f);
		if (fclose(f) != 0) {
			free(text);
			text = NULL;
		}
	}
	exchange_answer_text(x, MHD_HTTP_OK, OPENMETRICS, text, len);
}

static void
ask_info(struct exchange *x)
{
	exchange_ask(x, VSW_REQUEST_INFO, tell);
}

static void
ask_lcores(struct exchange *x)
{
	exchange_ask(x, VSW_REQUEST_LIST_LCORES, ask_info);
}

void
api_metrics_show(struct exchange *x)
{
	x->req.with_hists = true;
	exchange_ask(x, VSW_REQUEST_LIST_GUESTS, ask_lcores);
}
