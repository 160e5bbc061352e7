/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line of vswd: which part of it is EAL's, what the guests are, and what EAL is
 * told where the user does not say.
 */
#ifndef VSW_OPTIONS_H
#define VSW_OPTIONS_H

#include "vsw_conf.h"
#include "vsw_loop.h"

#define OPTIONS_EAL_MAX 128

struct options {
	struct vsw_conf conf;
	enum vsw_idle idle;
	int eal_argc;
	char *eal_argv[OPTIONS_EAL_MAX];
};

/** Read the command line. Ends the process for --help, --version (0) and mistakes (1). */
void options_parse(struct options *opt, int argc, char **argv);

#endif /* VSW_OPTIONS_H */
