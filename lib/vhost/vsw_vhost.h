/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The vhost-user side: guests' sockets, the protocol by librte_vhost, and the quiesce
 * protocol by which rings and memory pass between the VMM and the lcore that walks them.
 *
 * It runs on threads of its own, because librte_vhost blocks and calls back on them:
 *   - "vhost-events", librte_vhost's, handles every VMM's messages. Before memory is
 *     unmapped or a ring changes, it sends STOP to the guest's poll lcore and waits until
 *     that has let go of everything; afterwards it sends START with a fresh snapshot.
 *   - "vsw-vhost", ours, is the VHOST role: it registers and unregisters sockets (LISTEN,
 *     UNLISTEN), calls that may wait for the thread above. No lcore ever waits for either.
 */
#ifndef VSW_VHOST_H
#define VSW_VHOST_H

#include "vsw_loop.h"

/**
 * Start the "vsw-vhost" thread.
 * @return the loop of the VHOST role, to which LISTEN and UNLISTEN are sent; NULL with
 *         rte_errno. Once per process.
 */
struct vsw_loop *vsw_vhost_create(void);

/**
 * End the thread. What it is at, say an UNLISTEN, it finishes, for which it may need any poll
 * lcore: the other loops must still run, and @p own, that of the calling lcore, is turned
 * meanwhile.
 */
void vsw_vhost_stop(struct vsw_loop *own);

/** Free the loop of the VHOST role, which was stopped. */
void vsw_vhost_destroy(void);

#endif /* VSW_VHOST_H */
