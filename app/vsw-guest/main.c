/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsw-guest: a guest without a virtual machine, and the host applications it talks to; for
 * people, for tests, and as the load generator of test/perf/. It needs no DPDK.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "commands.h"
#include "vsw_base.h"
#include "vsw_version.h"

#define EXAMPLE_PATHS "-g /run/vsw/vm3.vhost -H /run/vsw/vm3.vsock"

static const struct {
	const char *name;
	int (*run)(const struct options *opt);
	const char *what;
	const char *help;
} commands[] = {
	{"connect", cmd_stdio, "join standard input and output to a port",
	 "Usage: vsw-guest connect --guest=PATH [CID:]PORT\n"
	 "       vsw-guest connect --host=PATH PORT\n"
	 "\n"
	 "Connect as a guest (CID 2, the host, if none is given) or as a host application, and\n"
	 "copy standard input there and what comes back to standard output.\n"
	 "\n"
	 "Example:\n"
	 "  echo hello | vsw-guest connect --guest /run/vsw/vm3.vhost host:52\n"},
	{"listen", cmd_listen, "take connections: echo, sink, source, or standard input and output",
	 "Usage: vsw-guest listen --guest=PATH|--host=PATH [--serve=KIND] [--once] PORT\n"
	 "\n"
	 "Take connections to a port, as a guest or as a host application (on PATH_PORT).\n"
	 "\n"
	 "  --serve=stdio   the first one gets standard input and output (default)\n"
	 "  --serve=echo    send back what comes\n"
	 "  --serve=sink    check it and drop it\n"
	 "  --serve=source  send without end\n"
	 "  --once          end with the first connection\n"
	 "\n"
	 "Example:\n"
	 "  vsw-guest listen --guest /run/vsw/vm3.vhost --serve=echo 7\n"},
	{"stream", cmd_stream, "throughput, in one or both directions",
	 "Usage: vsw-guest stream --guest=PATH --host=PATH [--path=...] [options]\n"
	 "       vsw-guest stream --guest=PATH|--host=PATH [options] [CID:]PORT\n"
	 "\n"
	 "Send messages as fast as they go; without a target, this process is both ends.\n"
	 "\n"
	 "Examples:\n"
	 "  vsw-guest stream " EXAMPLE_PATHS " --size=4096\n"
	 "  vsw-guest stream " EXAMPLE_PATHS " --path=h2g --time=5\n"
	 "  vsw-guest stream -g /run/vsw/vm%u.vhost -n 2 --path=g2g --direction=both\n"},
	{"ping", cmd_ping, "round trips: percentiles of their time",
	 "Usage: vsw-guest ping --guest=PATH --host=PATH [--path=...] [options]\n"
	 "       vsw-guest ping --guest=PATH|--host=PATH [options] [CID:]PORT\n"
	 "\n"
	 "Send a message, wait for its echo, and so on; without a target, this process is both\n"
	 "ends.\n"
	 "\n"
	 "Examples:\n"
	 "  vsw-guest ping " EXAMPLE_PATHS " --path=h2g\n"
	 "  vsw-guest ping " EXAMPLE_PATHS " --wait=interrupt --rate=1000\n"},
	{"churn", cmd_churn, "how many connections can be made and closed in a second",
	 "Usage: vsw-guest churn --guest=PATH --host=PATH [--path=...] [options]\n"
	 "       vsw-guest churn --guest=PATH|--host=PATH [options] [CID:]PORT\n"
	 "\n"
	 "Connect, close, and so on, --connections at a time. With a target, connections that\n"
	 "are refused are counted, too: name a port where nobody listens to measure refusals.\n"
	 "\n"
	 "Examples:\n"
	 "  vsw-guest churn " EXAMPLE_PATHS " --path=h2g --connections=64\n"
	 "  vsw-guest churn -g /run/vsw/vm3.vhost 2:9999\n"},
	{"hold", cmd_hold, "guests and connections that do nothing",
	 "Usage: vsw-guest hold --guest=PATH [--host=PATH] [--connections=N] [options]\n"
	 "\n"
	 "Attach guests, make connections, and leave them alone for the time of --time; with\n"
	 "--watch, tell what they cost.\n"
	 "\n"
	 "Example:\n"
	 "  vsw-guest hold -g /run/vsw/vm%u.vhost -n 8 -c 0 --watch=$(pidof vswd) --time=3\n"},
	{"limits", cmd_limits, "what this machine can do at best, for comparison",
	 "Usage: vsw-guest limits [--json]\n"
	 "\n"
	 "Time a fixed amount of work, copies of memory, and a cache line's way from one cpu to\n"
	 "another and back. Of the cpus it may run on it uses the first and the last.\n"},
};

static void
print_help(FILE *out)
{
	fputs("Usage: vsw-guest COMMAND [OPTIONS] [[CID:]PORT]\n"
	      "\n",
	      out);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].what);
	fputs("\n"
	      "vsw-guest COMMAND --help tells more; vsw-guest --version prints the version.\n",
	      out);
}

/* A guest is about 15 descriptors, a connection up to two. */
static void
raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int
main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "--help";
	struct options opt;

	signal(SIGPIPE, SIG_IGN);
	raise_fd_limit();
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
		print_help(argc > 1 ? stdout : stderr);
		return argc > 1 ? EXIT_SUCCESS : EXIT_USAGE;
	}
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
		puts("vsw-guest " VSW_VERSION);
		return EXIT_SUCCESS;
	}
	for (size_t i = 0; i < VSW_ARRAY_SIZE(commands); i++) {
		int rc;

		if (strcmp(name, commands[i].name) != 0)
			continue;
		rc = options_parse(&opt, argc - 1, argv + 1, commands[i].help);
		if (rc != 0)
			return rc < 0 ? EXIT_SUCCESS : rc;
		return commands[i].run(&opt);
	}
	fprintf(stderr, "vsw-guest: there is no command '%s'; vsw-guest --help lists them\n", name);
	return EXIT_USAGE;
}
