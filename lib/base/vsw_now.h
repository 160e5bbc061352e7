/* SPDX-License-Identifier: BSD-3-Clause */
/** @file The clock of deadlines: it goes on evenly, and means nothing outside of this host. */
#ifndef VSW_NOW_H
#define VSW_NOW_H

#include <stdint.h>
#include <time.h>

static inline uint64_t
vsw_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline int64_t
vsw_now_ms(void)
{
	return (int64_t)(vsw_now_ns() / 1000000);
}

#endif /* VSW_NOW_H */
