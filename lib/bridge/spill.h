/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes that a host socket did not take: a queue of blocks. Private to lib/bridge. */
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
/* Free everything. */
void vsw_spill_fini(struct vsw_spill *spill);
/* Append what iov describes. @return bytes appended: all, unless memory ran out. */
size_t vsw_spill_append(struct vsw_spill *spill, const struct iovec *iov, unsigned int n);
/* The first bytes, for writing out. @return entries of iov filled. */
unsigned int vsw_spill_peek(const struct vsw_spill *spill, struct iovec *iov, unsigned int max);
/* Drop len bytes from the front. */
void vsw_spill_drop(struct vsw_spill *spill, size_t len);

#endif /* VSW_SPILL_H */
