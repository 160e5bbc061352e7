/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Which guests there are and who may talk to whom: a snapshot.
 *
 * Two guests may talk if they share a group; a guest may talk to itself (hairpin) unless its
 * configuration says otherwise. Both are computed once, when the snapshot is made, so that a
 * lookup is a hash of the CID and one bit. Beside 2, a guest may take a few CIDs for the host; a
 * guest that has one of them and this guest do not talk, either way.
 *
 * Thread-safety: the control lcore makes a snapshot and hands it to each poll lcore by ROUTES
 * (vsw_msg.h). It never changes after that; any lcore that was handed it reads it without
 * locks. When all poll lcores have answered to a newer one, the control lcore destroys it.
 */
#ifndef VSW_ROUTE_H
#define VSW_ROUTE_H

#include <stdint.h>

#include "vsw_guest_conf.h"

struct vsw_routes;

/**
 * @param guests @p n of them, each with its own id and CID; kept by reference, so they must
 *               outlive the snapshot.
 * @return NULL when out of memory.
 */
struct vsw_routes *vsw_routes_create(const struct vsw_guest_conf *const *guests, unsigned int n);

/** NULL is allowed. */
void vsw_routes_destroy(struct vsw_routes *routes);

enum vsw_route_verdict {
	VSW_ROUTE_OK,        /**< a guest, and it may */
	VSW_ROUTE_HOST,      /**< the host */
	VSW_ROUTE_UNKNOWN,   /**< no guest has this CID */
	VSW_ROUTE_FORBIDDEN, /**< one has, but not for this guest */
};

/**
 * May guest @p from talk to @p cid, and who is that?
 *
 * @param to out, when the verdict is VSW_ROUTE_OK.
 */
enum vsw_route_verdict vsw_routes_find(const struct vsw_routes *routes,
				       const struct vsw_guest_conf *from, uint32_t cid,
				       const struct vsw_guest_conf **to);

#endif /* VSW_ROUTE_H */
