/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * What every part of the switch knows of a guest: its configuration.
 *
 * Written by the control lcore before the guest is attached, read-only for everybody until
 * the last part has detached it; messages refer to a guest by a pointer to this.
 */
#ifndef VSW_GUEST_CONF_H
#define VSW_GUEST_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include "vsw_limits.h"

struct vsw_loop;

#define VSW_LCORE_ANY (-1)

struct vsw_guest_conf {
	uint16_t id; /**< slot: 0..VSW_GUESTS_MAX-1, unique among live guests */
	uint32_t cid;
	char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];   /**< vhost-user listener */
	char uds_path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /**< hybrid listener; guest
								     * port P: <uds_path>_<P> */
	uint32_t buf_alloc;  /**< receive window advertised per connection, bytes */
	uint32_t queue_size; /**< most entries a ring may have; 0: what virtio allows */

	/* Limits. What is beyond is refused, and counted. */
	uint32_t max_conns;      /**< connections: RST, or the host's socket closes */
	uint32_t max_handshakes; /**< hosts without a complete CONNECT line: closed */
	uint32_t spill_budget;   /**< bytes buffered for slow readers, all connections: beyond
				  * it the guest's own ring fills up */
	uint32_t max_loans;      /**< chains of it that a slow host may hold,
				  * 1..VSW_LOANS_MAX: likewise */

	/** Numbers of its groups, sorted, each once; guests that share one may talk. */
	uint16_t group[VSW_GROUPS_PER_GUEST_MAX];
	uint8_t n_groups;
	bool hairpin; /**< it may talk to its own CID */

	int32_t lcore; /**< that shall poll it; VSW_LCORE_ANY: the one with the fewest guests */

	/* Who serves the guest; set when it is placed, before it is attached. */
	struct vsw_loop *poll_loop;
	struct vsw_loop *bridge_loop;
};

#endif /* VSW_GUEST_CONF_H */
