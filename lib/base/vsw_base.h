/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The few helpers that everything else uses. Nothing here knows of DPDK, so that the
 * client and the synthetic guest can be built without it.
 */
#ifndef VSW_BASE_H
#define VSW_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VSW_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/** The object of type @p type whose member @p member is at @p ptr. */
#define VSW_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

static inline uint32_t
vsw_min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

#endif /* VSW_BASE_H */
