/* SPDX-License-Identifier: BSD-3-Clause */
/* A histogram of nanoseconds: 64 steps per power of two, so within 1.6 %. */
#ifndef VSW_GUEST_HIST_H
#define VSW_GUEST_HIST_H

#include <stdint.h>

#define HIST_N_STEPS 64
#define HIST_N_BUCKETS (59 * HIST_N_STEPS)

struct hist {
	uint64_t buckets[HIST_N_BUCKETS];
	uint64_t n, sum, max;
};

void hist_add(struct hist *h, uint64_t ns);

/* The value that @p fraction of all values does not exceed; 0 when there are none. */
uint64_t hist_at(const struct hist *h, double fraction);

#endif /* VSW_GUEST_HIST_H */
