/* SPDX-License-Identifier: BSD-3-Clause */
#include "vsw_iov.h"

#include <stdint.h>
#include <string.h>

size_t
vsw_iov_len(const struct iovec *iov, unsigned int n)
{
	size_t len = 0;

	for (unsigned int i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

unsigned int
vsw_iov_skip(struct iovec *iov, unsigned int n, size_t skip)
{
	unsigned int i = 0;

	while (i < n && skip >= iov[i].iov_len)
		skip -= iov[i++].iov_len;
	if (i < n) {
		iov[i].iov_base = (uint8_t *)iov[i].iov_base + skip;
		iov[i].iov_len -= skip;
	}
	return i;
}

size_t
vsw_iov_copy_out(void *dst, const struct iovec *iov, unsigned int n, size_t len)
{
	size_t done = 0;

	for (unsigned int i = 0; i < n && done < len; i++) {
		size_t part = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

		memcpy((uint8_t *)dst + done, iov[i].iov_base, part);
		done += part;
	}
	return done;
}

size_t
vsw_iov_copy_in(const struct iovec *iov, unsigned int n, const void *src, size_t len)
{
	size_t done = 0;

	for (unsigned int i = 0; i < n && done < len; i++) {
		size_t part = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

		memcpy(iov[i].iov_base, (const uint8_t *)src + done, part);
		done += part;
	}
	return done;
}

static size_t
copy_to(uint8_t *dst, struct vsw_iov_cursor *src, size_t len)
{
	size_t done = 0;

	while (done < len) {
		size_t part = src->iov->iov_len - src->offset;

		if (part > len - done)
			part = len - done;
		memcpy(dst + done, (const uint8_t *)src->iov->iov_base + src->offset, part);
		done += part;
		src->offset += part;
		if (src->offset == src->iov->iov_len) {
			src->iov++;
			src->offset = 0;
		}
	}
	return done;
}

size_t
vsw_iov_copy(const struct iovec *iov, unsigned int n, struct vsw_iov_cursor *src, size_t len)
{
	size_t done = 0;

	for (unsigned int i = 0; i < n && done < len; i++) {
		size_t part = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

		done += copy_to(iov[i].iov_base, src, part);
	}
	return done;
}
