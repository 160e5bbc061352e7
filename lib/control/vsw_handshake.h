/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The hosts of one guest that have connected to its uds path but not finished their CONNECT
 * line. Runs on: the control lcore.
 */
#ifndef VSW_HANDSHAKE_H
#define VSW_HANDSHAKE_H

#include "vsw_guest_conf.h"
#include "vsw_loop.h"
#include "vsw_stats.h"

struct vsw_handshakes;

/**
 * Accept hosts on @p listen_fd, a non-blocking listening socket, owned from now on (also when
 * this fails). A finished line goes to the guest's bridge as ADOPT.
 * @return NULL when out of memory.
 */
struct vsw_handshakes *vsw_handshakes_create(struct vsw_loop *loop,
					     const struct vsw_guest_conf *guest, int listen_fd,
					     struct vsw_counters *counters);

/** Close the listener and every unfinished host. */
void vsw_handshakes_destroy(struct vsw_handshakes *hs);

#endif /* VSW_HANDSHAKE_H */
