/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * What fuzz targets share. A target is one file, fuzz_<name>.c, with the entry point of
 * libFuzzer: it reads its input as numbers and choices from the front, does what they say,
 * and checks with CHECK() what must be true whatever they say.
 *
 * The same file is linked twice: with libFuzzer (meson option `fuzz`), and with replay.c, which
 * feeds it the committed corpus as a unit test.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** libFuzzer's. @return 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/** What is left of the input. Behind its end there are zeroes. */
struct input {
	const uint8_t *next;
	size_t len;
};

static inline uint8_t
take_u8(struct input *in)
{
	if (in->len == 0)
		return 0;
	in->len--;
	return *in->next++;
}

static inline uint16_t
take_u16(struct input *in)
{
	uint16_t low = take_u8(in);

	return (uint16_t)(low | take_u8(in) << 8);
}

static inline uint32_t
take_u32(struct input *in)
{
	uint32_t low = take_u16(in);

	return low | (uint32_t)take_u16(in) << 16;
}

static inline uint64_t
take_u64(struct input *in)
{
	uint64_t low = take_u32(in);

	return low | (uint64_t)take_u32(in) << 32;
}

#endif /* FUZZ_H */
