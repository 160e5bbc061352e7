/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest-physical addresses to our own.
 *
 * At most eight regions, so a plain scan: it is one or two compares for the guests there
 * are, and a cached last hit would cost as much. Regions come from the VMM and are believed;
 * the range comes from the guest and may be anything, so no sum is formed before it is known
 * not to wrap: positions inside a region are differences.
 */
#include "vsw_virtq.h"

#include <stddef.h>

static const struct vsw_mem_region *
find_region(const struct vsw_mem *mem, uint64_t gpa)
{
	for (uint32_t i = 0; i < mem->n_regions; i++) {
		const struct vsw_mem_region *r = &mem->region[i];

		if (gpa >= r->gpa && gpa - r->gpa < r->size)
			return r;
	}
	return NULL;
}

enum vsw_mem_verdict
vsw_mem_segments(const struct vsw_mem *mem, uint64_t gpa, uint64_t len, struct iovec *segs,
		 uint16_t max, uint16_t *n)
{
	uint16_t filled = *n;

	/* The last byte has an address; from here on gpa + n does not wrap for any n < len. */
	if (len != 0 && gpa > UINT64_MAX - (len - 1))
		return VSW_MEM_OUTSIDE;

	while (len != 0) {
		const struct vsw_mem_region *r = find_region(mem, gpa);
		uint64_t offset, part;

		if (r == NULL)
			return VSW_MEM_OUTSIDE;
		if (filled >= max)
			return VSW_MEM_TOO_MANY;
		offset = gpa - r->gpa;
		part = r->size - offset;
		if (part > len)
			part = len;
		segs[filled].iov_base = r->hva + offset;
		segs[filled].iov_len = part;
		filled++;
		gpa += part;
		len -= part;
	}
	*n = filled;
	return VSW_MEM_OK;
}

bool
vsw_mem_holds(const struct vsw_mem *mem, const void *ptr, uint64_t len)
{
	for (uint32_t i = 0; i < mem->n_regions; i++) {
		const struct vsw_mem_region *r = &mem->region[i];
		uint64_t offset = (uintptr_t)ptr - (uintptr_t)r->hva;

		if ((uintptr_t)ptr >= (uintptr_t)r->hva && offset <= r->size &&
		    len <= r->size - offset)
			return true;
	}
	return false;
}
