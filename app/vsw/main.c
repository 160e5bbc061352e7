/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsw: the client. It needs no DPDK and no vswd library: it speaks the hybrid protocol to
 * the daemon's sockets.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "vsw_base.h"
#include "vsw_version.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{"connect", cmd_connect, "join standard input and output to a port of a guest"},
};

static void
print_help(FILE *out)
{
	fputs("Usage: vsw COMMAND [ARGUMENTS]\n"
	      "\n",
	      out);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
	fputs("\n"
	      "vsw COMMAND --help tells more; vsw --version prints the version.\n",
	      out);
}

int
main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "--help";

	signal(SIGPIPE, SIG_IGN);
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
		print_help(argc > 1 ? stdout : stderr);
		return argc > 1 ? EXIT_SUCCESS : EXIT_USAGE;
	}
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
		puts("vsw " VSW_VERSION);
		return EXIT_SUCCESS;
	}
	for (size_t i = 0; i < VSW_ARRAY_SIZE(commands); i++) {
		if (strcmp(name, commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "vsw: there is no command '%s'; vsw --help lists them\n", name);
	return EXIT_USAGE;
}
