/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The control role: it brings the guests up, listens for hosts on their uds paths, and takes
 * everything down again, one message after the other; it waits for nobody.
 */
#ifndef VSW_CONTROL_H
#define VSW_CONTROL_H

#include "vsw_guest_conf.h"
#include "vsw_loop.h"
#include "vsw_stats.h"

struct vsw_control;

/**
 * Create the control role on @p loop. Before the loop runs; the guests come up once it does.
 *
 * Blocks SIGTERM and SIGINT in the calling thread and takes them from a descriptor: the
 * first one closes down in order (guests are reset, streams flushed within 5 s), a second
 * one ends it at once. When done, or when a guest cannot be brought up, it stops @p loop.
 *
 * @param guests    @p n_guests of them, placed on their loops; kept by reference.
 * @param vhost     the loop of the VHOST role.
 * @return NULL with rte_errno.
 */
struct vsw_control *vsw_control_create(struct vsw_loop *loop, struct vsw_loop *vhost,
				       const struct vsw_guest_conf *guests, unsigned int n_guests);

/** Why the loop was stopped: the exit status of the process. */
int vsw_control_exit_status(const struct vsw_control *control);

/** Close what is still open and free the role. The loop must not run any more. NULL is
 * allowed. */
void vsw_control_destroy(struct vsw_control *control);

/** What the control role counted for guest @p guest_id: handshakes. Any thread. */
const struct vsw_counters *vsw_control_counters(const struct vsw_control *control,
						uint16_t guest_id);

#endif /* VSW_CONTROL_H */
