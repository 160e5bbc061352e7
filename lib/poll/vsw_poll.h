/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The poll role: it owns guests. For each of its guests it pops what the guest sends, runs
 * the connection state machine, lends payload to the bridge and back, and fills the guest's
 * receive buffers.
 *
 * Everything goes through the messages of vsw_msg.h: a poll role registers its handlers and
 * its pass with a loop and has no other entry.
 *
 * Where to read: poll.c is one pass; from_guest.c and to_guest.c the two directions; flow.c
 * a connection with its host stream; guest.c the life of a guest.
 */
#ifndef VSW_POLL_H
#define VSW_POLL_H

#include "vsw_loop.h"

struct vsw_poll;

/** Create a poll role that runs on @p loop. Before the loop runs. @return NULL when out of
 * memory. */
struct vsw_poll *vsw_poll_create(struct vsw_loop *loop);

/** Free the role and its guests; rings that were not stopped, in haste, are left as they are. The
 * loop must not run any more. NULL is allowed. */
void vsw_poll_destroy(struct vsw_poll *poll);

#endif /* VSW_POLL_H */
