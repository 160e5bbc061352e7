/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What streams carry: four bytes that name the stream, then a fixed sequence of random bytes
 * that starts at a place which depends on the name and repeats after a prime number of bytes.
 * So the receiver knows what must come next without being told, nothing has to be made in
 * order to send, and bytes that are lost, doubled, changed, or of another stream are seen.
 */
#ifndef VSW_GUEST_PATTERN_H
#define VSW_GUEST_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Most that one call of pattern_next() gives. */
#define PATTERN_MAX 262144

/* One direction of a connection, at either end. */
struct stream {
	uint8_t name[4]; /* of the sender's choice; the receiver reads it */
	uint64_t off;    /* bytes sent or received */
};

void pattern_init(void);

/* The next bytes to send. @return how many are at *data, at most @p max. */
size_t pattern_next(const struct stream *s, const uint8_t **data, size_t max);

/* Take @p len received bytes into account. @return whether they are the right ones. */
bool pattern_check(struct stream *s, const uint8_t *data, size_t len);

#endif /* VSW_GUEST_PATTERN_H */
