/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * A synthetic guest for test_control, behind a narrow door: the headers of lib/guest and of
 * the switch cannot be included together. The calls wait for the switch, which the test runs,
 * so each is made on a thread of its own.
 */
#ifndef CONTROL_GUEST_H
#define CONTROL_GUEST_H

#include <stdint.h>

struct vsw_guest;

/** Attach and boot. @return NULL when that fails. */
struct vsw_guest *cg_up(const char *socket);

/** Connect to a host port and leave it at that. @return 0 or -1. */
int cg_connect(struct vsw_guest *g, uint32_t port);

/** Handle what has come. */
void cg_poll(struct vsw_guest *g);

/** Connections that were reset. */
unsigned int cg_n_reset(struct vsw_guest *g);

void cg_down(struct vsw_guest *g);

#endif /* CONTROL_GUEST_H */
