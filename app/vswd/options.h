/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line of vswd: which part of it is EAL's, what the guests are, and what EAL is
 * told where the user does not say. Guests come from `--vm`, from the flat options of one guest
 * or from a file.
 */
#ifndef VSW_OPTIONS_H
#define VSW_OPTIONS_H

#include "privilege.h"
#include "vsw_conf.h"
#include "vsw_loop.h"

#define OPTIONS_EAL_MAX 128

struct options {
	struct vsw_conf conf;
	struct privilege user;
	bool no_sandbox;
	bool is_check; /* only look */
	int eal_argc;
	char *eal_argv[OPTIONS_EAL_MAX]; /* EAL overwrites entries; they point into: */
	char eal_text[16 * 1024];
	size_t eal_text_len;
};

/** Read the command line. Ends the process for --help, --version, --check (0) and mistakes (1). */
void options_parse(struct options *opt, int argc, char **argv);

/** Start EAL with what it was told. Ends the process, with a sentence, if it will not. */
void options_start_eal(struct options *opt);

/** Guests to make room for. */
unsigned int options_max_guests(const struct options *opt);

#endif /* VSW_OPTIONS_H */
