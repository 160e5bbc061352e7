/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stream, ping, churn, hold: open everything, warm up, measure for a window, see that what
 * was sent has arrived, report. And listen, which is the other end of these.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "load.h"
#include "report.h"
#include "vsw_base.h"

/* How long what was sent may take to arrive after the window. */
#define DRAIN_NS 10000000000ull

static sig_atomic_t is_stopped;

static void
stop(int sig)
{
	is_stopped = 1;
}

/* End in order: sockets that others see are removed. */
static void
catch_signals(void)
{
	const struct sigaction sa = {.sa_handler = stop};

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
}

static bool
goes_on(struct load *load)
{
	if (load->rc == 0)
		for (unsigned int i = 0; i < load->rig.n_vms; i++)
			if (load->rig.vms[i].is_gone)
				load->rc = EXIT_BROKEN;
	return load->rc == 0 && !is_stopped;
}

static bool
is_done(const struct load *load)
{
	const struct options *opt = load->opt;

	if (opt->count == 0)
		return false;
	if (strcmp(opt->command, "churn") == 0)
		return load->n_done + load->n_refused >= opt->count;
	return load->n_unfinished == 0 && (opt->has_target || load->all_received >= load->all_sent);
}

static void
turn_until(struct load *load, uint64_t until_ns)
{
	while (goes_on(load) && !is_done(load) && load->rig.now_ns < until_ns)
		rig_turn(&load->rig, until_ns);
}

static void
begin_window(struct load *load, struct result *r)
{
	r->begin = usage_of(load->opt->watched);
	r->own_begin = usage_of(getpid());
	load->bytes_sent = load->bytes_received = 0;
	load->n_done = load->n_refused = 0;
	memset(&load->hist, 0, sizeof(load->hist));
	stats_of(&load->rig, &r->stats);
	load->rig.busy_tsc = load->rig.idle_tsc = 0;
}

static void
end_window(struct load *load, struct result *r)
{
	struct vsw_guest_stats now;

	r->own_end = usage_of(getpid());
	r->end = usage_of(load->opt->watched);
	stats_of(&load->rig, &now);
	r->stats.packets_sent = now.packets_sent - r->stats.packets_sent;
	r->stats.packets_received = now.packets_received - r->stats.packets_received;
	r->stats.kicks = now.kicks - r->stats.kicks;
	r->stats.interrupts = now.interrupts - r->stats.interrupts;
	r->busy_tsc = load->rig.busy_tsc;
	r->idle_tsc = load->rig.idle_tsc;
}

/* Everything sent must have arrived, whatever the time. */
static void
drain(struct load *load)
{
	uint64_t deadline = vsw_now_ns() + DRAIN_NS;

	load->is_running = false;
	if (load->opt->has_target || !load->opt->is_verified)
		return;
	while (goes_on(load) && load->all_received != load->all_sent) {
		if (vsw_now_ns() > deadline) {
			fprintf(stderr,
				"vsw-guest: of %llu bytes sent, %llu have not arrived in %u s.\n",
				(unsigned long long)load->all_sent,
				(unsigned long long)(load->all_sent - load->all_received),
				(unsigned int)(DRAIN_NS / 1000000000));
			load->rc = EXIT_WRONG;
		}
		rig_turn(&load->rig, deadline);
	}
}

static uint64_t
in_seconds(double seconds)
{
	return vsw_now_ns() + (uint64_t)(seconds * 1e9);
}

static int
run_load(const struct options *opt, unsigned int dialler_roles, unsigned int listener_roles)
{
	static struct load load;
	struct result r = {.unused = usage_of(opt->watched)};
	uint64_t begin;
	int rc;

	catch_signals();
	rc = load_open(&load, opt, dialler_roles, listener_roles);
	if (load.rc == 0)
		load.rc = rc;
	if (load.rc == 0) {
		if ((dialler_roles & ROLE_CHURN) != 0)
			load_churn(&load);
		else
			load_start(&load);
		if (opt->count == 0)
			turn_until(&load, in_seconds(opt->warmup));
		begin_window(&load, &r);
		begin = vsw_now_ns();
		turn_until(&load, opt->count != 0 ? UINT64_MAX : in_seconds(opt->seconds));
		r.seconds = (double)(vsw_now_ns() - begin) * 1e-9;
		end_window(&load, &r);
		drain(&load);
		rc = rig_verdict(&load.rig);
		if (rc != 0)
			load.rc = rc;
		report(&load, &r);
	}
	rc = load.rc;
	load_close(&load);
	return rc;
}

int
cmd_stream(const struct options *opt)
{
	unsigned int dialler = ROLE_SINK, listener = ROLE_SINK;

	if ((opt->direction & SEND) != 0)
		dialler |= ROLE_SOURCE;
	if ((opt->direction & RECV) != 0)
		listener |= ROLE_SOURCE;
	return run_load(opt, dialler, listener);
}

int
cmd_ping(const struct options *opt)
{
	return run_load(opt, ROLE_SINK | ROLE_PING, ROLE_SINK | ROLE_ECHO);
}

int
cmd_churn(const struct options *opt)
{
	return run_load(opt, ROLE_CHURN, ROLE_SINK);
}

int
cmd_hold(const struct options *opt)
{
	return run_load(opt, ROLE_SINK, ROLE_SINK);
}

/* Serves until a signal, or with --once until the first connection has gone. */
static int
serve(const struct options *opt, unsigned int roles)
{
	static struct load load;
	int rc;

	load.opt = opt;
	LIST_INIT(&load.conns);
	pattern_init();
	rc = rig_open(&load.rig, opt);
	if (rc == 0)
		rc = load_listen(&load, opt->guest_path != NULL, opt->port, roles);
	load.is_running = true;
	while (rc == 0 && goes_on(&load)) {
		rig_turn(&load.rig, 0);
		if (opt->is_once && load.n_accepted > 0 && LIST_EMPTY(&load.conns))
			break;
	}
	if (load.rc == 0)
		load.rc = rig_verdict(&load.rig);
	if (rc == 0)
		rc = load.rc;
	load_close(&load);
	return rc;
}

int
cmd_listen(const struct options *opt)
{
	catch_signals();
	switch (opt->service) {
	case SERVE_ECHO:
		return serve(opt, ROLE_SINK | ROLE_ECHO);
	case SERVE_SINK:
		return serve(opt, ROLE_SINK);
	case SERVE_SOURCE:
		return serve(opt, ROLE_SINK | ROLE_SOURCE);
	default:
		return cmd_stdio(opt);
	}
}
