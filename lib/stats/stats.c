/* SPDX-License-Identifier: BSD-3-Clause */
#include "vsw_stats.h"

static const struct {
	const char *name;
	const char *help;
} table[VSW_N_COUNTERS] = {
#define X(sym, text, explanation) [VSW_CTR_##sym] = {text, explanation},
	VSW_COUNTER_TABLE(X)
#undef X
};

const char *
vsw_counter_name(enum vsw_counter counter)
{
	return table[counter].name;
}

const char *
vsw_counter_help(enum vsw_counter counter)
{
	return table[counter].help;
}

void
vsw_counters_add(struct vsw_counters *sum, const struct vsw_counters *c)
{
	for (int i = 0; i < VSW_N_COUNTERS; i++)
		sum->value[i] += __atomic_load_n(&c->value[i], __ATOMIC_RELAXED);
}
