/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * For cases that start and end each vswd of their own, in one folder that is theirs: own_dir,
 * which the case makes and removes. In arguments and names, $ stands for it.
 */
#ifndef OWN_H
#define OWN_H

#include "harness.h"

extern char own_dir[64];

/** $ becomes the folder. The result lives until the arena wraps: longer than any case. */
const char *expand(const char *text);

/** Start @p d with @p args, expanded; they end with NULL. */
void spawn(struct daemon *d, const char *const *args);
#define SPAWN(d, ...) spawn(d, (const char *const[]){__VA_ARGS__, NULL})

/** What it has said. Valid until the next call. */
const char *log_of(const struct daemon *d);

/* These fail the case with the log. */
void expect_ready(struct daemon *d);
void expect_exit(struct daemon *d, int status);
/** SIGTERM, and status 0. */
void end(struct daemon *d);

/** Is there anything of this name? */
bool exists(const char *name);

#endif /* OWN_H */
