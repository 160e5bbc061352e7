/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The bridge role: host streams. A completion engine over AF_UNIX sockets: it connects,
 * takes over accepted sockets, writes and reads loans of guest memory, shuts down, closes,
 * and reports. It knows nothing of packets, connections or credit. A datagram socket at
 * <uds_path>_<port> is given what a guest sends on one connection as one datagram.
 *
 * Everything goes through the messages of vsw_msg.h: a bridge registers its handlers and its
 * pass with a loop and has no other entry.
 *
 * Owns: every stream's socket, epoll registration and spill buffer; an account for each guest
 * whose streams it serves, with its spill budget and counters (a guest's streams are all on one
 * bridge). What a guest that has gone had sent is flushed without it.
 */
#ifndef VSW_BRIDGE_H
#define VSW_BRIDGE_H

#include "vsw_loop.h"

struct vsw_bridge;

/**
 * Create a bridge that runs on @p loop. Before the loop runs.
 *
 * @param flush_timeout_ms a closed stream whose host takes nothing for so long loses what is
 *        left; VSW_FLUSH_TIMEOUT_MS but for tests.
 * @return NULL when out of memory.
 */
struct vsw_bridge *vsw_bridge_create(struct vsw_loop *loop, unsigned int flush_timeout_ms);

/** Close every stream at once, spilled bytes included, and free the bridge. The loop must
 * not run any more. NULL is allowed. */
void vsw_bridge_destroy(struct vsw_bridge *bridge);

#endif /* VSW_BRIDGE_H */
