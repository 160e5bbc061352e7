/* SPDX-License-Identifier: BSD-3-Clause */
/** @file How long ago something was. */
#ifndef VSW_CLOCK_H
#define VSW_CLOCK_H

#include <stdint.h>

#include <rte_cycles.h>

#define VSW_US_PER_S 1000000u

/** Microseconds since @p tsc, an rte_rdtsc() of any lcore: 0 if it lies ahead, as it may by a
 * little. Divides: not for every packet. */
static inline uint64_t
vsw_us_since(uint64_t tsc)
{
	uint64_t now = rte_rdtsc(), hz = rte_get_tsc_hz(), cycles = now > tsc ? now - tsc : 0;

	return cycles / hz * VSW_US_PER_S + cycles % hz * VSW_US_PER_S / hz;
}

#endif /* VSW_CLOCK_H */
