/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * How long things take: log-linear histograms of microseconds, of a fixed size, and one table of
 * which there are.
 *
 * Buckets: 0, 1, 2 and 3 us have one each; from 4 us on each power of two is cut into four, so a
 * bucket is at most a quarter as wide as its values are large; the last one takes everything
 * from 2^26 us (67 s) on. Times are cut to whole microseconds, so a bucket that ends at N us
 * holds what took less than N us.
 *
 * Thread-safety: as struct vsw_counters: one writer, which adds plainly, and readers that see
 * each number whole but not all of them at one instant. What several owners note for one guest
 * the reader merges.
 */
#ifndef VSW_HIST_H
#define VSW_HIST_H

#include <stdint.h>

/*
 * X(symbol, name, help). What is measured, exactly:
 *
 * connect_*: connections that succeed; what is refused or times out is counted (vsw_stats.h).
 *   from_host   from when the newline of the CONNECT line was read to when OK was written to the
 *               host's socket; of the guest that was asked
 *   from_guest  from when the REQUEST was taken off the guest's ring to when the RESPONSE was put
 *               into a receive buffer; of the guest that asked
 *   to_sibling  the same, of a REQUEST to another guest
 *
 * wait_*: payload, from when its chain was taken off the sender's ring to when its last byte was
 * taken. A sample: the first and then every 64th packet with payload that a guest sends, if
 * none of the same connection is being timed already; never what is dropped. What is still in
 * the guest's ring, because the guest has to wait, does not count as taken.
 *   to_host       taken by the host's socket, also after it was spilled; of the sending guest
 *   from_sibling  copied into receive buffers; of the receiving guest
 * What hosts send has no such time: it stays in the host's socket until the guest has buffers.
 */
#define VSW_HIST_TABLE(X)                                                                          \
	X(CONNECT_FROM_HOST, "connect_from_host", "from a host's CONNECT line to its OK")          \
	X(CONNECT_FROM_GUEST, "connect_from_guest",                                                \
	  "from the guest's REQUEST to the host to its RESPONSE")                                  \
	X(CONNECT_TO_SIBLING, "connect_to_sibling",                                                \
	  "from the guest's REQUEST to a sibling to its RESPONSE")                                 \
	X(WAIT_TO_HOST, "wait_to_host",                                                            \
	  "payload, from the guest's ring to the host's socket; a sample")                         \
	X(WAIT_FROM_SIBLING, "wait_from_sibling",                                                  \
	  "payload, from a sibling's ring to the guest's buffers; a sample")

enum vsw_hist_name {
#define X(sym, name, help) VSW_HIST_##sym,
	VSW_HIST_TABLE(X)
#undef X
		VSW_N_HISTS
};

/** One packet with payload in so many is timed. */
#define VSW_HIST_SAMPLE 64

#define VSW_HIST_STEPS 4     /**< buckets of each power of two */
#define VSW_HIST_MAX_LOG2 26 /**< 2^26 us and more: the last bucket */
#define VSW_HIST_N_BUCKETS (VSW_HIST_STEPS * (VSW_HIST_MAX_LOG2 - 1) + 1)

struct vsw_hist {
	uint64_t bucket[VSW_HIST_N_BUCKETS];
	uint64_t sum_us;
	uint64_t max_us;
};

/** All histograms of a guest, or an owner's part of them. */
struct vsw_hists {
	struct vsw_hist of[VSW_N_HISTS];
};

/** Note a time. Owner of @p h only. */
void vsw_hist_add(struct vsw_hist *h, uint64_t us);

/** The first value of bucket @p i; that of VSW_HIST_N_BUCKETS is UINT64_MAX: there is no end. */
uint64_t vsw_hist_from(unsigned int i);

/** How many times were noted: the sum of the buckets. */
uint64_t vsw_hist_count(const struct vsw_hist *h);

/** How many of them were less than @p us, the first value of a bucket. */
uint64_t vsw_hist_count_below(const struct vsw_hist *h, uint64_t us);

/**
 * What @p percent (0 to 100) of all times did not exceed: the largest whole value of its bucket,
 * or the maximum if that is less. 0 when there are none.
 */
uint64_t vsw_hist_percentile(const struct vsw_hist *h, unsigned int percent);

/** Name of a histogram, as operators see it, and one phrase on what it measures. Static. */
const char *vsw_hist_name(enum vsw_hist_name hist);
const char *vsw_hist_help(enum vsw_hist_name hist);

/** Merge @p h into @p sum. Any thread may call it while the owner notes times. */
void vsw_hists_add(struct vsw_hists *sum, const struct vsw_hists *h);

#endif /* VSW_HIST_H */
