/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AnyIP: all addresses of a prefix are this machine's, with one route and no address:
 * `ip -6 route add local PREFIX dev lo`.
 */
#ifndef VSW_ANYIP_H
#define VSW_ANYIP_H

#include <netinet/in.h>
#include <stdbool.h>

#include "endpoint.h"

struct anyip {
	struct in6_addr prefix;
	unsigned int len;
	int lock_fd; /* -1: it is not ours */
};

/* Of "fd00:abcd:ef12::/64". @return false, and @p why is a sentence. */
bool anyip_parse(struct anyip *anyip, const char *text, char why[WHY_SIZE]);

/*
 * Make it so. A route that a killed process of ours has left is taken over; a live process that
 * has the same prefix in this network namespace keeps it. Brings lo up.
 *
 * @return false, and @p why is a sentence.
 */
bool anyip_begin(struct anyip *anyip, char why[WHY_SIZE]);

/* Remove the route. */
void anyip_end(struct anyip *anyip);

/* @return false: @p address is not of the prefix followed by zeroes and a CID. */
bool anyip_cid(const struct anyip *anyip, const struct in6_addr *address, uint32_t *cid);

#endif /* VSW_ANYIP_H */
