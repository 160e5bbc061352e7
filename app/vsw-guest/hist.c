/* SPDX-License-Identifier: BSD-3-Clause */
#include "hist.h"

/* Values below HIST_N_STEPS have a bucket each; above, the top 7 bits choose. */
static unsigned int
bucket(uint64_t v)
{
	unsigned int octave;

	if (v < HIST_N_STEPS)
		return (unsigned int)v;
	octave = 63 - (unsigned int)__builtin_clzll(v) - 5;
	return octave * HIST_N_STEPS + (unsigned int)(v >> (octave - 1)) % HIST_N_STEPS;
}

/* The largest value of a bucket. */
static uint64_t
top(unsigned int i)
{
	unsigned int octave = i / HIST_N_STEPS;

	if (octave == 0)
		return i;
	return ((uint64_t)(HIST_N_STEPS + i % HIST_N_STEPS) + 1) * (1ull << (octave - 1)) - 1;
}

void
hist_add(struct hist *h, uint64_t ns)
{
	h->buckets[bucket(ns)]++;
	h->n++;
	h->sum += ns;
	if (ns > h->max)
		h->max = ns;
}

uint64_t
hist_at(const struct hist *h, double fraction)
{
	uint64_t rank = (uint64_t)(fraction * (double)h->n), seen = 0;

	if (h->n == 0)
		return 0;
	if (rank >= h->n)
		rank = h->n - 1;
	for (unsigned int i = 0; i < HIST_N_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen > rank)
			return top(i) < h->max ? top(i) : h->max;
	}
	return h->max;
}
