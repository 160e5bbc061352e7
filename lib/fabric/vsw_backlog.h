/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * What the reader of a stream has not taken yet, in order: spilled bytes first, then loans,
 * messages whose segments are still in the lender's memory.
 *
 * The reader takes bytes from the front; a loan that is taken whole, or copied into the spill,
 * is handed back to the caller, who returns it to its lender. Every byte is reported once:
 * those of a loan's last piece by the loan itself (`len`), all others, of spilled bytes and of
 * the first pieces of loans, by `n_unreported`, which the caller reports and sets to 0.
 *
 * A loan with a time in `since` is timed, if no other one is: when its last byte has been taken,
 * spilled or not, vsw_backlog_timed() tells.
 *
 * Thread-safety: one lcore, the reader's.
 */
#ifndef VSW_BACKLOG_H
#define VSW_BACKLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "vsw_msg.h"
#include "vsw_spill.h"

struct vsw_backlog {
	struct vsw_spill spill;
	struct vsw_msg *first_loan, **last_loan;
	uint32_t n_unreported; /**< bytes taken that no loan has reported */
	uint64_t timed_since;  /**< `since` of the loan that is timed; 0: none is */
	size_t timed_left;     /**< bytes up to its end */
};

void vsw_backlog_init(struct vsw_backlog *backlog);

static inline bool
vsw_backlog_is_empty(const struct vsw_backlog *backlog)
{
	return backlog->first_loan == NULL && backlog->spill.len == 0;
}

/** Bytes in it. */
size_t vsw_backlog_len(const struct vsw_backlog *backlog);

/** Put a loan, `segs`, `n_segs` and `len` of @p msg, at the end. */
void vsw_backlog_lend(struct vsw_backlog *backlog, struct vsw_msg *msg);

/** The first bytes, as many segments as fit. @return entries of @p iov filled. */
unsigned int vsw_backlog_peek(const struct vsw_backlog *backlog, struct iovec *iov,
			      unsigned int max);

/**
 * The first @p len bytes, which were peeked at, have been taken.
 *
 * @return the loans that are done with, joined by `next` in their order; NULL: none. `len` of
 *         each: bytes it reports.
 */
struct vsw_msg *vsw_backlog_take(struct vsw_backlog *backlog, size_t len);

/**
 * Copy the first loan behind the spilled bytes. There is one.
 *
 * @return the loan, which reports no bytes; NULL: out of memory, and bytes of the stream are
 *         lost: it must be given up.
 */
struct vsw_msg *vsw_backlog_spill(struct vsw_backlog *backlog);

/** The time of a timed loan that has been taken since this was asked last; 0: there is none. */
static inline uint64_t
vsw_backlog_timed(struct vsw_backlog *backlog)
{
	uint64_t since = backlog->timed_since;

	if (since == 0 || backlog->timed_left > 0)
		return 0;
	backlog->timed_since = 0;
	return since;
}

/** Drop everything. @return all loans, joined by `next`; they report no bytes. */
struct vsw_msg *vsw_backlog_drop(struct vsw_backlog *backlog);

#endif /* VSW_BACKLOG_H */
