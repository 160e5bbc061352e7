/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Bytes that their reader did not take in time: a queue of blocks. One thread.
 */
#ifndef VSW_SPILL_H
#define VSW_SPILL_H

#include <stddef.h>
#include <sys/queue.h>
#include <sys/uio.h>

struct vsw_spill_block;

struct vsw_spill {
	TAILQ_HEAD(vsw_spill_blocks, vsw_spill_block) blocks;
	size_t len;
};

void vsw_spill_init(struct vsw_spill *spill);

/** Free everything; the spill is empty then and may be used on. */
void vsw_spill_fini(struct vsw_spill *spill);

/** Append what @p iov describes. @return bytes appended: all, unless memory ran out. */
size_t vsw_spill_append(struct vsw_spill *spill, const struct iovec *iov, unsigned int n);

/** The first bytes, for writing out. @return entries of @p iov filled. */
unsigned int vsw_spill_peek(const struct vsw_spill *spill, struct iovec *iov, unsigned int max);

/** Drop @p len bytes, at most vsw_spill.len, from the front. */
void vsw_spill_drop(struct vsw_spill *spill, size_t len);

#endif /* VSW_SPILL_H */
