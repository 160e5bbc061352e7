/* SPDX-License-Identifier: BSD-3-Clause */
#include "spill.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Big enough that a window of 256 KiB takes 16, small enough for a trickle. */
#define BLOCK_SIZE (16 * 1024 - 32)

struct vsw_spill_block {
	TAILQ_ENTRY(vsw_spill_block) entry;
	size_t first;
	size_t end;
	uint8_t data[BLOCK_SIZE];
};

void
vsw_spill_init(struct vsw_spill *spill)
{
	TAILQ_INIT(&spill->blocks);
	spill->len = 0;
}

void
vsw_spill_fini(struct vsw_spill *spill)
{
	vsw_spill_drop(spill, spill->len);
}

static struct vsw_spill_block *
last_with_room(struct vsw_spill *spill)
{
	struct vsw_spill_block *block = TAILQ_LAST(&spill->blocks, vsw_spill_blocks);

	if (block != NULL && block->end < BLOCK_SIZE)
		return block;
	block = malloc(sizeof(*block));
	if (block == NULL)
		return NULL;
	block->first = block->end = 0;
	TAILQ_INSERT_TAIL(&spill->blocks, block, entry);
	return block;
}

static size_t
append(struct vsw_spill *spill, const uint8_t *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		struct vsw_spill_block *block = last_with_room(spill);
		size_t part;

		if (block == NULL)
			break;
		part = BLOCK_SIZE - block->end < len - done ? BLOCK_SIZE - block->end : len - done;
		memcpy(block->data + block->end, data + done, part);
		block->end += part;
		done += part;
	}
	spill->len += done;
	return done;
}

size_t
vsw_spill_append(struct vsw_spill *spill, const struct iovec *iov, unsigned int n)
{
	size_t done = 0;

	for (unsigned int i = 0; i < n; i++) {
		size_t part = append(spill, iov[i].iov_base, iov[i].iov_len);

		done += part;
		if (part < iov[i].iov_len)
			break;
	}
	return done;
}

unsigned int
vsw_spill_peek(const struct vsw_spill *spill, struct iovec *iov, unsigned int max)
{
	struct vsw_spill_block *block;
	unsigned int n = 0;

	TAILQ_FOREACH (block, &spill->blocks, entry) {
		if (n == max)
			break;
		iov[n].iov_base = block->data + block->first;
		iov[n++].iov_len = block->end - block->first;
	}
	return n;
}

void
vsw_spill_drop(struct vsw_spill *spill, size_t len)
{
	spill->len -= len;
	while (len > 0) {
		struct vsw_spill_block *block = TAILQ_FIRST(&spill->blocks);
		size_t part = block->end - block->first;

		if (part > len)
			part = len;
		block->first += part;
		len -= part;
		if (block->first == block->end) {
			TAILQ_REMOVE(&spill->blocks, block, entry);
			free(block);
		}
	}
}
