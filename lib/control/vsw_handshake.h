/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The hosts of one guest that have connected to its uds path but not finished their CONNECT
 * line. Runs on: the control lcore.
 *
 * A finished line goes to the guest's bridge as ADOPT, with the socket; what the host sent
 * behind the line is still in the socket. A wrong line, the guest's limit of
 * unfinished hosts or of descriptors, or a line that does not come in time: the host reads an end
 * of file.
 */
#ifndef VSW_HANDSHAKE_H
#define VSW_HANDSHAKE_H

#include "vsw_guest_conf.h"
#include "vsw_loop.h"
#include "vsw_stats.h"

struct vsw_handshakes;

/**
 * Accept hosts on @p listen_fd, a non-blocking listening socket, owned from now on (also when
 * this fails).
 *
 * @param counters   where HANDSHAKE_* and ACCEPT_ERRORS are counted.
 * @param timeout_ms for a line; VSW_HANDSHAKE_TIMEOUT_MS but for tests.
 * @return NULL when out of memory.
 */
struct vsw_handshakes *vsw_handshakes_create(struct vsw_loop *loop,
					     const struct vsw_guest_conf *guest, int listen_fd,
					     struct vsw_counters *counters,
					     unsigned int timeout_ms);

/** Close the listener and every host that was not passed on. NULL is allowed. */
void vsw_handshakes_destroy(struct vsw_handshakes *hs);

#endif /* VSW_HANDSHAKE_H */
