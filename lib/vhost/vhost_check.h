/* SPDX-License-Identifier: BSD-3-Clause */
/* Is a vhost-user message one that librte_vhost may see? Private to lib/vhost. */
#ifndef VSW_VHOST_CHECK_H
#define VSW_VHOST_CHECK_H

#include <stddef.h>
#include <stdint.h>

/* Header and payload of the longest message that is passed on: a table of 8 regions is 264
 * bytes, a configuration 268. */
#define VSW_VHOST_HDR_LEN 12
#define VSW_VHOST_PAYLOAD_MAX 512

/* More than any message has; what comes beyond shows that it is none. */
#define VSW_VHOST_FDS_MAX 8

struct vsw_vhost_raw {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload */
	uint8_t payload[VSW_VHOST_PAYLOAD_MAX];
} __attribute__((packed));

/**
 * @param fds      that came with it, @p n_fds of them.
 * @param span_max address space that one guest's memory may take.
 * @return NULL: it may pass; otherwise what is wrong with it.
 */
const char *vsw_vhost_check(const struct vsw_vhost_raw *msg, const int *fds, unsigned int n_fds,
			    uint64_t span_max);

#endif /* VSW_VHOST_CHECK_H */
