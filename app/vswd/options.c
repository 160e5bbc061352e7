/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `vswd [EAL options] -- [options]`, as every DPDK application; and `vswd [options]` when the
 * first argument is one of ours, so that vhost-device-vsock's command lines can be pasted.
 *
 * EAL's own defaults are a dedicated core for every cpu and hugepages. Ours must start on a
 * laptop as an ordinary user: one lcore that floats over the allowed cpus, no hugepages, no
 * PCI. Each default steps back when the user's EAL options speak of its subject.
 */
#include "options.h"

#include <err.h>
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vsw_base.h"
#include "vsw_version.h"

enum {
	OPT_HELP = 'h',
	OPT_VERSION = 'V',
	OPT_VM = 256,
	OPT_IDLE,
};

static const struct option long_options[] = {
	{"help", no_argument, NULL, OPT_HELP},
	{"idle", required_argument, NULL, OPT_IDLE},
	{"version", no_argument, NULL, OPT_VERSION},
	{"vm", required_argument, NULL, OPT_VM},
	{0},
};

static const char help[] =
	"Usage: vswd [EAL options] -- --vm KEY=VALUE,... [--vm ...] [options]\n"
	"       vswd --vm KEY=VALUE,... [--vm ...] [options]\n"
	"\n"
	"Serve virtio-vsock devices to virtual machines over vhost-user, and join their\n"
	"connections to AF_UNIX sockets of the host.\n"
	"\n"
	"  --vm KEY=VALUE,...     serve a guest; once for each:\n"
	"    guest-cid=N          its context id, 3 to 4294967294 (default 3)\n"
	"    socket=PATH          where its VMM connects (vhost-user)\n"
	"    uds-path=PATH        where hosts connect and say CONNECT <port>; the guest's\n"
	"                         connections to host port P go to PATH_P\n"
	"    tx-buffer-size=N     receive window of each connection, bytes (default 262144)\n"
	"    queue-size=N         longest ring the VMM may use (default: any)\n"
	"    groups=A+B           guests that share a group reach each other by CID\n"
	"                         (default: the group named default)\n"
	"    hairpin=on|off       the guest reaches its own CID (default on)\n"
	"    lcore=N              poll it on this lcore (default: the one with fewest guests)\n"
	"  --idle=adaptive|poll   when nothing happens: sleep (default), or poll on, for\n"
	"                         dedicated cores\n"
	"  -h, --help             print this and exit\n"
	"  -V, --version          print the version and exit\n"
	"\n"
	"EAL options place the work: with -l 0 one lcore does everything; with -l 0-2 the\n"
	"main lcore serves the host's sockets, the others poll guests. Without any, vswd runs\n"
	"one lcore on any cpu, without hugepages; --in-memory or --socket-mem use them.\n"
	"\n"
	"Examples:\n"
	"  vswd --vm guest-cid=3,socket=/run/vsw/vm3.vhost,uds-path=/run/vsw/vm3.vsock\n"
	"  vswd -l 1-3 --in-memory -- --idle=poll \\\n"
	"      --vm guest-cid=3,socket=/run/vsw/vm3.vhost,uds-path=/run/vsw/vm3.vsock \\\n"
	"      --vm guest-cid=4,socket=/run/vsw/vm4.vhost,uds-path=/run/vsw/vm4.vsock\n";

static bool
is_ours(const char *arg)
{
	size_t len = strcspn(arg, "=");

	if (strcmp(arg, "-h") == 0 || strcmp(arg, "-V") == 0)
		return true;
	for (const struct option *o = long_options; o->name != NULL; o++) {
		if (strncmp(arg, "--", 2) == 0 && strlen(o->name) == len - 2 &&
		    strncmp(arg + 2, o->name, len - 2) == 0)
			return true;
	}
	return false;
}

/* @return where ours begin: argv[that] is "--", or the program's name when all are ours. */
static int
find_ours(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0)
			return i;
	}
	if (argc < 2 || is_ours(argv[1]))
		return 0;
	errx(EXIT_FAILURE,
	     "%s is not an option of vswd; EAL options come first and end with --, as in "
	     "vswd -l 0 -- --vm ...",
	     argv[1]);
}

static enum vsw_idle
parse_idle(const char *arg)
{
	if (strcmp(arg, "poll") == 0)
		return VSW_IDLE_POLL;
	if (strcmp(arg, "adaptive") == 0)
		return VSW_IDLE_ADAPTIVE;
	errx(EXIT_FAILURE, "--idle=%s: it is adaptive or poll", arg);
}

static void
parse_ours(struct options *opt, int argc, char **argv)
{
	char error[VSW_CONF_ERROR_SIZE];
	int c;

	while ((c = getopt_long(argc, argv, "+hV", long_options, NULL)) != -1) {
		switch (c) {
		case OPT_HELP:
			fputs(help, stdout);
			exit(EXIT_SUCCESS);
		case OPT_VERSION:
			puts("vswd " VSW_VERSION);
			exit(EXIT_SUCCESS);
		case OPT_VM:
			if (vsw_conf_add_vm(&opt->conf, optarg, error) != 0)
				errx(EXIT_FAILURE, "%s", error);
			break;
		case OPT_IDLE:
			opt->idle = parse_idle(optarg);
			break;
		default: /* getopt has said what */
			fputs("Try vswd --help.\n", stderr);
			exit(EXIT_FAILURE);
		}
	}
	if (optind < argc)
		errx(EXIT_FAILURE, "%s is not an option; vswd takes --vm KEY=VALUE,...",
		     argv[optind]);
	if (opt->conf.n_guests == 0)
		errx(EXIT_FAILURE, "--vm: there is no guest to serve; add --vm "
				   "guest-cid=3,socket=PATH,uds-path=PATH");
	if (vsw_conf_check(&opt->conf, error) != 0)
		errx(EXIT_FAILURE, "%s", error);
}

/*
 * EAL.
 */

/* Is any of these options there? Long ones match with and without "=value" (strchr() also
 * finds the end of its string). */
static bool
has_eal(const struct options *opt, const char *const *names)
{
	for (int i = 1; i < opt->eal_argc; i++) {
		for (const char *const *name = names; *name != NULL; name++) {
			size_t len = strlen(*name);
			bool is_long = strncmp(*name, "--", 2) == 0;

			if (strncmp(opt->eal_argv[i], *name, len) == 0 &&
			    (!is_long || strchr("=", opt->eal_argv[i][len]) != NULL))
				return true;
		}
	}
	return false;
}

static void __attribute__((format(printf, 2, 3))) add_eal(struct options *opt, const char *fmt, ...)
{
	char *arg = opt->eal_text + opt->eal_text_len;
	size_t room = sizeof(opt->eal_text) - opt->eal_text_len;
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(arg, room, fmt, ap);
	va_end(ap);
	if (opt->eal_argc == OPTIONS_EAL_MAX - 1 || (size_t)len >= room)
		errx(EXIT_FAILURE, "there are too many EAL options, or they are too long");
	opt->eal_argv[opt->eal_argc++] = arg;
	opt->eal_text_len += (size_t)len + 1;
}

/* "0@(0,1,5)": lcore 0 on any cpu that this process may use. */
static void
add_floating_lcore(struct options *opt)
{
	char cpus[4 * CPU_SETSIZE] = "";
	size_t len = 0;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		err(EXIT_FAILURE, "sched_getaffinity");
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &set))
			len += (size_t)snprintf(cpus + len, sizeof(cpus) - len, "%s%d",
						len > 0 ? "," : "", cpu);
	}
	add_eal(opt, "--lcores=0@(%s)", cpus);
}

static void
add_eal_defaults(struct options *opt)
{
	static const char *const lcores[] = {"-l", "--lcores", "-c", "-s", "-S", NULL};
	static const char *const memory[] = {"--no-huge",    "--in-memory",         "--socket-mem",
					     "--numa-mem",   "--huge-dir",          "--huge-unlink",
					     "--legacy-mem", "--huge-worker-stack", NULL};
	static const char *const size[] = {"-m", "--socket-mem", "--numa-mem", NULL};
	static const char *const no_huge[] = {"--no-huge", NULL};
	static const char *const pci[] = {"--no-pci", "-a", "-b", "--allow", "--block", NULL};
	static const char *const prefix[] = {"--file-prefix", NULL};

	if (!has_eal(opt, lcores))
		add_floating_lcore(opt);
	if (!has_eal(opt, memory)) {
		/* --in-memory, which we would prefer, contradicts --no-huge in 22.11. */
		add_eal(opt, "--no-huge");
		add_eal(opt, "--no-shconf");
	}
	/* Without hugepages memory cannot grow, but what is not used costs nothing. */
	if (has_eal(opt, no_huge) && !has_eal(opt, size))
		add_eal(opt, "-m%u", 256 + opt->conf.n_guests);
	if (!has_eal(opt, pci))
		add_eal(opt, "--no-pci");
	if (!has_eal(opt, prefix))
		add_eal(opt, "--file-prefix=vswd%d", (int)getpid());
}

void
options_parse(struct options *opt, int argc, char **argv)
{
	int split = find_ours(argc, argv);

	memset(opt, 0, sizeof(*opt));
	opt->idle = VSW_IDLE_ADAPTIVE;
	argv[split] = argv[0];
	add_eal(opt, "%s", argv[0]);
	/* librte_vhost tells of every message at INFO, and of what a VMM does wrong without limit.
	 * First, so that the user's win. */
	add_eal(opt, "--log-level=lib.vhost.*:critical");
	add_eal(opt, "--log-level=lib.eal:warning");
	add_eal(opt, "--log-level=lib.telemetry:error");
	for (int i = 1; i < split; i++)
		add_eal(opt, "%s", argv[i]);
	parse_ours(opt, argc - split, argv + split);
	add_eal_defaults(opt);
}
