/* SPDX-License-Identifier: BSD-3-Clause */
#include "pattern.h"

#include <string.h>

/*
 * Prime, so that no power of two hides a shift; small, so that the table and its extension,
 * from which any PATTERN_MAX bytes can be had in one piece, stay in a second-level cache.
 */
#define PERIOD 32749

static uint8_t table[PERIOD + PATTERN_MAX];

void
pattern_init(void)
{
	uint64_t x = 88172645463325252ull;

	for (size_t i = 0; i < sizeof(table); i++) {
		/* xorshift64 */
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		table[i] = i < PERIOD ? (uint8_t)x : table[i - PERIOD];
	}
}

static const uint8_t *
at(const struct stream *s)
{
	uint32_t name;

	memcpy(&name, s->name, sizeof(name));
	return &table[(s->off + name * 2654435761ull) % PERIOD];
}

size_t
pattern_next(const struct stream *s, const uint8_t **data, size_t max)
{
	size_t room = PATTERN_MAX;

	if (s->off < sizeof(s->name)) {
		room = sizeof(s->name) - s->off;
		*data = &s->name[s->off];
	} else {
		*data = at(s);
	}
	return max < room ? max : room;
}

bool
pattern_check(struct stream *s, const uint8_t *data, size_t len)
{
	while (len > 0 && s->off < sizeof(s->name)) {
		s->name[s->off++] = *data++;
		len--;
	}
	while (len > 0) {
		size_t part = len < PATTERN_MAX ? len : PATTERN_MAX;

		if (memcmp(data, at(s), part) != 0)
			return false;
		s->off += part;
		data += part;
		len -= part;
	}
	return true;
}
