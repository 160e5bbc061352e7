/* SPDX-License-Identifier: BSD-3-Clause */
/* What a process costs, and how the result of a load is printed. */
#ifndef VSW_GUEST_REPORT_H
#define VSW_GUEST_REPORT_H

#include <stdint.h>
#include <sys/types.h>

#include "load.h"

/* A process as it was at some time. */
struct usage {
	uint64_t cpu_ns;  /* of all its threads that still live */
	uint64_t wait_ns; /* that they could have run, but others did */
	uint64_t rss_kib, anon_kib;
	uint64_t n_fds;
};

/* @p pid 0: all zero. */
struct usage usage_of(pid_t pid);

/* One window of measurement. */
struct result {
	double seconds;
	struct usage unused;     /* before guests were attached */
	struct usage begin, end; /* of the window */
	struct usage own_begin, own_end;
	uint64_t busy_tsc, idle_tsc;
	struct vsw_guest_stats stats; /* of all guests, from begin to end */
};

/* All guests together. */
void stats_of(const struct rig *rig, struct vsw_guest_stats *stats);

void report(const struct load *load, const struct result *r);

#endif /* VSW_GUEST_REPORT_H */
