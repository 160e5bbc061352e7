/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Arithmetic on struct iovec arrays. Pure; any thread.
 */
#ifndef VSW_IOV_H
#define VSW_IOV_H

#include <stddef.h>
#include <sys/uio.h>

/** Bytes that @p iov[0..n) describes. */
size_t vsw_iov_len(const struct iovec *iov, unsigned int n);

/**
 * Drop the first @p skip bytes of an iovec array in place.
 *
 * @param iov  the array; the entry in which the cut falls is shortened in place.
 * @param n    its entries.
 * @param skip bytes to drop, at most vsw_iov_len(iov, n).
 * @return the index of the first entry that still has bytes; n when none has.
 */
unsigned int vsw_iov_skip(struct iovec *iov, unsigned int n, size_t skip);

/** Copy the first @p len bytes out of @p iov into @p dst. @return bytes copied. */
size_t vsw_iov_copy_out(void *dst, const struct iovec *iov, unsigned int n, size_t len);

/** Copy @p len bytes from @p src to the start of @p iov. @return bytes copied. */
size_t vsw_iov_copy_in(const struct iovec *iov, unsigned int n, const void *src, size_t len);

/** A position in an iovec array, which is left as it is. */
struct vsw_iov_cursor {
	const struct iovec *iov; /**< the entry that is next */
	size_t offset;           /**< bytes of it that are behind */
};

/**
 * Copy @p len bytes from @p src, which has as many and moves on, to @p iov[0..n).
 * @return bytes copied: fewer than @p len only when @p iov is full.
 */
size_t vsw_iov_copy(const struct iovec *iov, unsigned int n, struct vsw_iov_cursor *src,
		    size_t len);

#endif /* VSW_IOV_H */
