/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vswd: a polled-mode vsock switch.
 *
 * The story: read the command line; start EAL; make a loop for each lcore; put the roles on
 * them, as lib/control/vsw_layout.h says; run until a signal has closed everything down. Guests
 * are the control role's.
 */
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_timer.h>

#include "options.h"
#include "privilege.h"
#include "runtime_dir.h"
#include "sandbox.h"
#include "telemetry.h"
#include "vsw_bridge.h"
#include "vsw_control.h"
#include "vsw_guard.h"
#include "vsw_layout.h"
#define VSW_LOGTYPE vsw_log_main
#include "vsw_log.h"
#include "vsw_loop.h"
#include "vsw_msg.h"
#include "vsw_poll.h"
#include "vsw_quota.h"
#include "vsw_version.h"
#include "vsw_vhost.h"

#ifdef VSW_HAS_API
#include "vsw_api.h"
#else
struct vsw_api;
#define VSW_API_CLIENTS_MAX 0
#endif
#ifdef VSW_HAS_SYSTEMD
#include "service.h"
#endif

extern int vsw_log_main;

/*
 * Messages: for each guest what it may have out at once (128) and a few unanswered ones; and
 * a base for what bridges and control have to say.
 */
#define MSGS_BASE 4096
#define MSGS_PER_GUEST 144

/* Descriptors: of the process (EAL, clients of its telemetry, a file that is read, a few spare); of
 * an lcore (its loop, EAL's pipes); of a guest, its two listeners, its VMM's connections, and what
 * the VMM hands over: 3 rings, 8 regions, a channel; and how many connections, plain sockets
 * included, a guest should be able to have. */
#define FDS_BASE 52
#define FDS_PER_LCORE 6
#define FDS_PER_GUEST 24
#define CONNS_COMFORT 128
#define CONNS_LEAST 4

struct vswd {
	struct options opt;
	mode_t umask;
	struct vsw_layout layout;
	struct vsw_loop *loop[RTE_MAX_LCORE]; /* by lcore, as those below */
	struct vsw_poll *poll[RTE_MAX_LCORE];
	struct vsw_bridge *bridge[RTE_MAX_LCORE];
	struct vsw_control *control;
	struct vsw_api *api;
};

/* A host connection costs a descriptor, a guest about ten: take what we may have. */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		err(EXIT_FAILURE, "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	(void)!setrlimit(RLIMIT_NOFILE, &limit);
}

static unsigned int
descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		err(EXIT_FAILURE, "getrlimit");
	return limit.rlim_cur < INT_MAX ? (unsigned int)limit.rlim_cur : INT_MAX;
}

/* Connections of hosts get what the guests' devices do not need: all guests that there may be,
 * or, where that is too much, all that there are. */
static void
divide_descriptors(const struct options *opt)
{
	unsigned int limit = descriptor_limit();
	unsigned int n = options_max_guests(opt);
	unsigned int kept = FDS_BASE + FDS_PER_LCORE * rte_lcore_count();
	unsigned int comfort;

	if (opt->conf.api[0] != '\0')
		kept += VSW_API_CLIENTS_MAX;
	if (limit < kept + (FDS_PER_GUEST + CONNS_COMFORT) * n)
		n = opt->conf.n_guests > 0 ? opt->conf.n_guests : 1;
	kept += FDS_PER_GUEST * n;
	comfort = kept + CONNS_COMFORT * n;
	if (limit < kept + CONNS_LEAST * n)
		errx(EXIT_FAILURE,
		     "%u descriptors (ulimit -Hn) are too few for %u guests; allow at least %u",
		     limit, n, comfort);
	if (limit < comfort)
		warnx("%u descriptors (ulimit -Hn) are few for %u guests: they leave %u host "
		      "connections in all; allow %u or more",
		      limit, n, limit - kept, comfort);
	vsw_quota_init(limit - kept, n);
}

/* Before EAL makes threads, which inherit it. What other daemons take for "write your log anew"
 * shall not end everybody's connections. */
static void
set_up_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* Only now it is known which lcores there are. */
static void
lay_out(struct vswd *vswd)
{
	struct vsw_lcores lcores = {0};
	char error[VSW_CONF_ERROR_SIZE];
	unsigned int lcore;

	RTE_LCORE_FOREACH(lcore)
	vsw_lcores_add(&lcores, lcore);
	if (vsw_layout_make(&vswd->layout, &lcores, rte_get_main_lcore(), &vswd->opt.conf, error) !=
	    0)
		errx(EXIT_FAILURE, "%s", error);
}

static void
create_loops(struct vswd *vswd)
{
	unsigned int lcore;

	if (vsw_msg_pool_create(MSGS_BASE + MSGS_PER_GUEST * options_max_guests(&vswd->opt)) != 0)
		errx(EXIT_FAILURE, "no memory for messages; give EAL more with -m");
	RTE_LCORE_FOREACH(lcore)
	{
		vswd->loop[lcore] = vsw_loop_create(lcore, vswd->opt.conf.idle);
		if (vswd->loop[lcore] == NULL)
			errx(EXIT_FAILURE, "lcore %u: %s", lcore, rte_strerror(rte_errno));
	}
}

/* The guests of the start are up: from here on, no more than is needed. */
static int
confine(void *arg)
{
	const struct options *opt = &((struct vswd *)arg)->opt;
	const char *missing = sandbox_missing();
	char why[VSW_WHY_SIZE];
	int rc;

	rc = privilege_drop(&opt->user, &opt->conf, why);
	if (rc != 0) {
		VSW_LOG(ERR, "--user: %s", why);
		return rc;
	}
	if (opt->no_sandbox)
		return 0;
	if (missing != NULL) {
		VSW_LOG(NOTICE, "no sandbox: %s", missing);
		return 0;
	}
	rc = sandbox_install();
	if (rc != 0)
		VSW_LOG(ERR, "no sandbox can be made: %s; --no-sandbox does without",
			strerror(-rc));
	return rc;
}

static void
create_control(struct vswd *vswd)
{
	struct vsw_control_setup setup = {
		.layout = &vswd->layout,
		.loops = vswd->loop,
		.vhost = vsw_vhost_create(),
		.max_guests = options_max_guests(&vswd->opt),
		.umask = vswd->umask,
		.conf = &vswd->opt.conf,
		.on_up = confine,
		.on_up_arg = vswd,
	};

	if (setup.vhost == NULL)
		errx(EXIT_FAILURE, "vhost-user thread: %s", rte_strerror(rte_errno));
	vswd->control = vsw_control_create(&setup);
	if (vswd->control == NULL)
		errx(EXIT_FAILURE, "control: %s", rte_strerror(rte_errno));
}

static void
create_roles(struct vswd *vswd)
{
	const struct vsw_layout *layout = &vswd->layout;
	unsigned int lcore;

	RTE_LCORE_FOREACH(lcore)
	{
		struct vsw_loop *loop = vswd->loop[lcore];

		if (layout->poll.has[lcore] && (vswd->poll[lcore] = vsw_poll_create(loop)) == NULL)
			errx(EXIT_FAILURE, "lcore %u: out of memory", lcore);
		if (layout->bridge.has[lcore] &&
		    (vswd->bridge[lcore] = vsw_bridge_create(loop, VSW_FLUSH_TIMEOUT_MS)) == NULL)
			errx(EXIT_FAILURE, "lcore %u: out of memory", lcore);
	}
	create_control(vswd);
}

#ifdef VSW_HAS_API
static void
create_api(struct vswd *vswd)
{
	const struct vsw_conf *conf = &vswd->opt.conf;
	struct vsw_api_setup setup = {
		.control = vswd->control,
		.path = conf->api,
		.access = {conf->api_mode != 0 ? (mode_t)conf->api_mode : 0600, -1, -1},
		.config = conf->file[0] != '\0' ? conf->file : NULL,
	};

	if (conf->api[0] == '\0')
		return;
	vswd->api = vsw_api_create(&setup);
	if (vswd->api == NULL)
		errx(EXIT_FAILURE, "--api: cannot listen at %s: %s", conf->api,
		     rte_strerror(rte_errno));
}
#else
static void
create_api(struct vswd *vswd)
{
	if (vswd->opt.conf.api[0] != '\0')
		errx(EXIT_FAILURE, "--api: this vswd was built without it; it needs libmicrohttpd "
				   "and jansson");
}

static void
vsw_api_destroy(struct vsw_api *api)
{
}
#endif

static void
start_askers(struct vswd *vswd)
{
	telemetry_start(vswd->control);
#ifdef VSW_HAS_SYSTEMD
	service_start(vswd->control);
#endif
	create_api(vswd);
}

/* Whatever they still ask is answered with a refusal. */
static void
stop_askers(struct vswd *vswd)
{
	vsw_api_destroy(vswd->api);
#ifdef VSW_HAS_SYSTEMD
	service_stop();
#endif
	telemetry_stop();
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
	struct vsw_loop *main_loop = vswd->loop[rte_get_main_lcore()];
	unsigned int lcore;

	RTE_LCORE_FOREACH_WORKER(lcore)
	rte_eal_remote_launch(run_lcore, vswd->loop[lcore], lcore);
	vsw_loop_run(main_loop);
	vsw_vhost_stop(main_loop);
	RTE_LCORE_FOREACH_WORKER(lcore)
	vsw_loop_stop(vswd->loop[lcore]);
	rte_eal_mp_wait_lcore();
	vsw_control_close(vswd->control);
	stop_askers(vswd);
}

static void
destroy(struct vswd *vswd)
{
	unsigned int lcore;

	vsw_vhost_destroy();
	RTE_LCORE_FOREACH(lcore)
	vsw_bridge_destroy(vswd->bridge[lcore]);
	RTE_LCORE_FOREACH(lcore)
	vsw_poll_destroy(vswd->poll[lcore]);
	vsw_control_destroy(vswd->control);
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
	privilege_forgo();
	runtime_dir_prepare(&vswd.opt.user);
	/* Nobody shall connect to a socket before it has the mode that it is to have. */
	vswd.umask = umask(077);
	options_start_eal(&vswd.opt);
	rte_timer_subsystem_init();
	if (vsw_guard_install() != 0)
		err(EXIT_FAILURE, "SIGBUS handler");

	lay_out(&vswd);
	divide_descriptors(&vswd.opt);
	create_loops(&vswd);
	create_roles(&vswd);
	start_askers(&vswd);
	run(&vswd);

	status = vsw_control_exit_status(vswd.control);
	destroy(&vswd);
	rte_timer_subsystem_finalize();
	rte_eal_cleanup();
	return status;
}
