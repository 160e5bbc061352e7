/* SPDX-License-Identifier: BSD-3-Clause */
#include "vsw_hist.h"

#include <stddef.h>

static const struct {
	const char *name;
	const char *help;
} table[VSW_N_HISTS] = {
#define X(sym, text, explanation) [VSW_HIST_##sym] = {text, explanation},
	VSW_HIST_TABLE(X)
#undef X
};

const char *
vsw_hist_name(enum vsw_hist_name hist)
{
	return table[hist].name;
}

const char *
vsw_hist_help(enum vsw_hist_name hist)
{
	return table[hist].help;
}

/* Values below VSW_HIST_STEPS are their own bucket; of others the power of two chooses, and the
 * two bits behind their first one. */
static unsigned int
bucket_of(uint64_t us)
{
	unsigned int log2;

	if (us < VSW_HIST_STEPS)
		return (unsigned int)us;
	log2 = 63 - (unsigned int)__builtin_clzll(us);
	if (log2 >= VSW_HIST_MAX_LOG2)
		return VSW_HIST_N_BUCKETS - 1;
	return (log2 - 1) * VSW_HIST_STEPS + (unsigned int)(us >> (log2 - 2)) % VSW_HIST_STEPS;
}

uint64_t
vsw_hist_from(unsigned int i)
{
	if (i < VSW_HIST_STEPS)
		return i;
	if (i >= VSW_HIST_N_BUCKETS)
		return UINT64_MAX;
	return (uint64_t)(VSW_HIST_STEPS + i % VSW_HIST_STEPS) << (i / VSW_HIST_STEPS - 1);
}

void
vsw_hist_add(struct vsw_hist *h, uint64_t us)
{
	h->bucket[bucket_of(us)]++;
	h->sum_us += us;
	if (us > h->max_us)
		h->max_us = us;
}

uint64_t
vsw_hist_count(const struct vsw_hist *h)
{
	return vsw_hist_count_below(h, UINT64_MAX);
}

uint64_t
vsw_hist_count_below(const struct vsw_hist *h, uint64_t us)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < VSW_HIST_N_BUCKETS && vsw_hist_from(i) < us; i++)
		n += h->bucket[i];
	return n;
}

uint64_t
vsw_hist_percentile(const struct vsw_hist *h, unsigned int percent)
{
	uint64_t n = vsw_hist_count(h), seen = 0, last;
	/* The rank of the value that is asked for, from 1: so many are not above it. */
	uint64_t rank = n / 100 * percent + (n % 100 * percent + 99) / 100;
	unsigned int i;

	if (n == 0)
		return 0;
	for (i = 0; i + 1 < VSW_HIST_N_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen > 0 && seen >= rank)
			break;
	}
	last = vsw_hist_from(i + 1) - 1;
	return last < h->max_us ? last : h->max_us;
}

static uint64_t
read_word(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void
add(struct vsw_hist *sum, const struct vsw_hist *h)
{
	uint64_t max_us = read_word(&h->max_us);

	for (unsigned int i = 0; i < VSW_HIST_N_BUCKETS; i++)
		sum->bucket[i] += read_word(&h->bucket[i]);
	sum->sum_us += read_word(&h->sum_us);
	if (max_us > sum->max_us)
		sum->max_us = max_us;
}

void
vsw_hists_add(struct vsw_hists *sum, const struct vsw_hists *h)
{
	for (int i = 0; i < VSW_N_HISTS; i++)
		add(&sum->of[i], &h->of[i]);
}
