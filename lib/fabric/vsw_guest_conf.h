/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * What every part of the switch knows of a guest: its configuration.
 *
 * Written by the control lcore, read-only for everybody else; messages refer to a guest by a
 * pointer to this. What it is and where it lives is fixed from before it is attached until the
 * last part has detached it. What is marked "may change" is a word each, which the control lcore
 * stores anew while others read it: they take it as it is when they need it.
 */
#ifndef VSW_GUEST_CONF_H
#define VSW_GUEST_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include "vsw_limits.h"
#include "vsw_socket_path.h"

struct vsw_loop;

struct vsw_guest_conf {
	uint16_t id; /**< slot: 0..VSW_GUESTS_MAX-1, unique among live guests */
	uint32_t cid;
	char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];   /**< vhost-user listener */
	char uds_path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /**< hybrid listener; guest
								     * port P: <uds_path>_<P> */
	uint32_t forward_cid; /**< when uds_path is "": guest port P: AF_VSOCK, this CID */
	bool is_client;       /**< the VMM listens at `socket`, we connect */
	struct vsw_socket_access access; /**< of both sockets, when they are made */

	/* May change. */
	uint32_t buf_alloc;  /**< receive window advertised per connection, bytes */
	uint32_t queue_size; /**< most entries a ring may have; 0: what virtio allows */

	/* Limits. What is beyond is refused, and counted. */
	uint32_t max_conns;      /**< connections: RST, or the host's socket closes */
	uint32_t max_handshakes; /**< hosts without a complete CONNECT line: closed */
	uint32_t spill_budget;   /**< bytes that may wait for slow readers, all connections: the
				  * windows that it is promised are bounded by this, see
				  * lib/poll/window.c */
	uint32_t max_loans;      /**< messages with its chains that may be out at a time,
				  * 1..VSW_LOANS_MAX: beyond it its own ring fills up */

	/* May change; read by the control lcore only, when it makes routes. */
	uint16_t group[VSW_GROUPS_PER_GUEST_MAX]; /**< sorted numbers, each once; guests that share
						   * one may talk */
	uint8_t n_groups;
	uint8_t n_host_cids;
	uint32_t host_cid[VSW_HOST_CIDS_MAX]; /**< beside 2, these are the host to it */
	bool hairpin;                         /**< it may talk to its own CID */

	/* Who serves the guest; set when it is placed, before it is attached. */
	struct vsw_loop *poll_loop;
	struct vsw_loop *bridge_loop;
};

/** What a word that may change is now. Any lcore. */
static inline uint32_t
vsw_guest_word(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

#endif /* VSW_GUEST_CONF_H */
