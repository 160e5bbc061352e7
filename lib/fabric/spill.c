/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blocks are allocated when a socket is full and freed when it has taken them; a stream whose
 * host keeps up has none. The first block fits what made it necessary, so that many streams
 * with a little in them do not cost much more than their budget; a stream that needs a second
 * one has a slow reader and gets full blocks.
 */
#include "vsw_spill.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A window of 256 KiB takes 16, in one system call. With malloc's overhead below 16 KiB. */
#define BLOCK_SIZE_MAX (16 * 1024 - 64)
#define BLOCK_SIZE_MIN 960

struct vsw_spill_block {
	TAILQ_ENTRY(vsw_spill_block) entry;
	size_t first;
	size_t end;
	size_t size;
	uint8_t data[];
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
last_with_room(struct vsw_spill *spill, size_t wanted)
{
	struct vsw_spill_block *block = TAILQ_LAST(&spill->blocks, vsw_spill_blocks);
	size_t size = BLOCK_SIZE_MAX;

	if (block != NULL && block->end < block->size)
		return block;
	if (block == NULL && wanted < size)
		size = wanted > BLOCK_SIZE_MIN ? wanted : BLOCK_SIZE_MIN;
	block = malloc(sizeof(*block) + size);
	if (block == NULL)
		return NULL;
	block->first = block->end = 0;
	block->size = size;
	TAILQ_INSERT_TAIL(&spill->blocks, block, entry);
	return block;
}

static size_t
append(struct vsw_spill *spill, const uint8_t *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		struct vsw_spill_block *block = last_with_room(spill, len - done);
		size_t part = len - done;

		if (block == NULL)
			break;
		if (part > block->size - block->end)
			part = block->size - block->end;
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
