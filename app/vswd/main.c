/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vswd: a polled-mode vsock switch.
 *
 * The story: read the command line; start EAL; make a loop for each lcore; put the roles on
 * them (control and bridge on the main lcore, poll on the others, or everything on the main
 * one if it is alone); place the guests; run until a signal has closed everything down.
 */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_timer.h>

#include "options.h"
#include "vsw_bridge.h"
#include "vsw_control.h"
#include "vsw_loop.h"
#include "vsw_msg.h"
#include "vsw_poll.h"
#include "vsw_vhost.h"

/*
 * Messages: for each guest what it may have out at once (128) and a few unanswered ones; and
 * a base for what bridges and control have to say.
 */
#define MSGS_BASE 4096
#define MSGS_PER_GUEST 144

struct vswd {
	struct options opt;
	struct vsw_loop *loop[RTE_MAX_LCORE];
	struct vsw_poll *poll[RTE_MAX_LCORE];
	struct vsw_bridge *bridge;
	struct vsw_control *control;
};

/* A host connection costs a descriptor, a guest about ten: take what we may have. */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* EAL leaves the folder that it made for this process; there would be one more with every
 * start. It is empty by now, unless files are shared on purpose. */
static void
remove_runtime_dir(void)
{
	rmdir(rte_eal_get_runtime_dir());
}

/* Before EAL makes threads, which inherit it. */
static void
set_up_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void
create_loops(struct vswd *vswd)
{
	unsigned int lcore;

	if (vsw_msg_pool_create(MSGS_BASE + MSGS_PER_GUEST * vswd->opt.conf.n_guests) != 0)
		errx(EXIT_FAILURE, "no memory for messages; give EAL more with -m");
	RTE_LCORE_FOREACH(lcore)
	{
		vswd->loop[lcore] = vsw_loop_create(lcore, vswd->opt.idle);
		if (vswd->loop[lcore] == NULL)
			errx(EXIT_FAILURE, "lcore %u: %s", lcore, rte_strerror(rte_errno));
	}
}

/* The lcores that poll: the workers, or the main lcore if it is alone. */
static bool
is_polling(unsigned int lcore)
{
	return lcore != rte_get_main_lcore() || rte_lcore_count() == 1;
}

/* The polling lcore with the fewest guests. */
static unsigned int
least_loaded(const unsigned int n_guests[RTE_MAX_LCORE])
{
	unsigned int lcore, best = RTE_MAX_LCORE;

	RTE_LCORE_FOREACH(lcore)
	{
		if (is_polling(lcore) &&
		    (best == RTE_MAX_LCORE || n_guests[lcore] < n_guests[best]))
			best = lcore;
	}
	return best;
}

static unsigned int
pinned_lcore(const struct vsw_guest_conf *guest)
{
	unsigned int lcore = (unsigned int)guest->lcore;

	if (lcore >= RTE_MAX_LCORE || !rte_lcore_is_enabled(lcore) || !is_polling(lcore))
		errx(EXIT_FAILURE,
		     "--vm guest-cid=%u: lcore: lcore %u polls no guests; name one of the EAL's "
		     "lcores (-l), not the main one unless it is alone",
		     guest->cid, lcore);
	return lcore;
}

/* Pinned guests first, then the others where there is room. */
static void
place_guests(struct vswd *vswd)
{
	unsigned int n_guests[RTE_MAX_LCORE] = {0};
	struct vsw_conf *conf = &vswd->opt.conf;

	for (unsigned int i = 0; i < 2 * conf->n_guests; i++) {
		struct vsw_guest_conf *guest = &conf->guest[i % conf->n_guests];
		bool is_pinned = guest->lcore != VSW_LCORE_ANY;
		unsigned int lcore;

		if (is_pinned != (i < conf->n_guests))
			continue;
		lcore = is_pinned ? pinned_lcore(guest) : least_loaded(n_guests);
		n_guests[lcore]++;
		guest->poll_loop = vswd->loop[lcore];
		guest->bridge_loop = vswd->loop[rte_get_main_lcore()];
	}
}

static void
create_roles(struct vswd *vswd)
{
	struct vsw_loop *main_loop = vswd->loop[rte_get_main_lcore()];
	struct vsw_loop *vhost_loop;
	unsigned int lcore;

	RTE_LCORE_FOREACH(lcore)
	{
		if (!is_polling(lcore))
			continue;
		vswd->poll[lcore] = vsw_poll_create(vswd->loop[lcore]);
		if (vswd->poll[lcore] == NULL)
			errx(EXIT_FAILURE, "lcore %u: out of memory", lcore);
	}
	vswd->bridge = vsw_bridge_create(main_loop, VSW_FLUSH_TIMEOUT_MS);
	if (vswd->bridge == NULL)
		errx(EXIT_FAILURE, "out of memory");
	vhost_loop = vsw_vhost_create();
	if (vhost_loop == NULL)
		errx(EXIT_FAILURE, "vhost-user thread: %s", rte_strerror(rte_errno));
	vswd->control = vsw_control_create(main_loop, vhost_loop, vswd->opt.conf.guest,
					   vswd->opt.conf.n_guests);
	if (vswd->control == NULL)
		errx(EXIT_FAILURE, "control: %s", rte_strerror(rte_errno));
}

static int
run_lcore(void *arg)
{
	vsw_loop_run(arg);
	return 0;
}

static void
run(struct vswd *vswd)
{
	unsigned int lcore;

	RTE_LCORE_FOREACH_WORKER(lcore)
	rte_eal_remote_launch(run_lcore, vswd->loop[lcore], lcore);
	vsw_loop_run(vswd->loop[rte_get_main_lcore()]);
	RTE_LCORE_FOREACH_WORKER(lcore)
	vsw_loop_stop(vswd->loop[lcore]);
	rte_eal_mp_wait_lcore();
}

static void
destroy(struct vswd *vswd)
{
	unsigned int lcore;

	vsw_control_destroy(vswd->control);
	vsw_vhost_destroy();
	vsw_bridge_destroy(vswd->bridge);
	RTE_LCORE_FOREACH(lcore)
	vsw_poll_destroy(vswd->poll[lcore]);
	RTE_LCORE_FOREACH(lcore)
	vsw_loop_destroy(vswd->loop[lcore]);
	vsw_msg_pool_destroy();
}

int
main(int argc, char **argv)
{
	static struct vswd vswd;
	int status;

	options_parse(&vswd.opt, argc, argv);
	raise_descriptor_limit();
	set_up_signals();
	atexit(remove_runtime_dir); /* before EAL's own, so that it runs after them */
	if (rte_eal_init(vswd.opt.eal_argc, vswd.opt.eal_argv) < 0)
		errx(EXIT_FAILURE, "EAL cannot start: %s", rte_strerror(rte_errno));
	rte_timer_subsystem_init();

	create_loops(&vswd);
	place_guests(&vswd);
	create_roles(&vswd);
	run(&vswd);

	status = vsw_control_exit_status(vswd.control);
	destroy(&vswd);
	rte_timer_subsystem_finalize();
	rte_eal_cleanup();
	return status;
}
