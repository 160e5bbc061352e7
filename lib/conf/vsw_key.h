/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Keys: `guest-cid` on the command line, `guest_cid` in YAML and JSON. Who reads one takes either.
 */
#ifndef VSW_KEY_H
#define VSW_KEY_H

#include <stdbool.h>
#include <stddef.h>

/** What values of a key look like where they have a type, in JSON. */
enum vsw_key_kind {
	VSW_KEY_TEXT,
	VSW_KEY_NUMBER,
	VSW_KEY_LIMIT, /**< a number, under `limits` */
	VSW_KEY_CID,   /**< a guest's */
	VSW_KEY_BOOL,
	VSW_KEY_MODE, /**< octal digits */
	VSW_KEY_ID,   /**< of a user or a group of users: a name or a number */
	/* Lists; on the command line joined by `+`. */
	VSW_KEY_TEXTS,
	VSW_KEY_NUMBERS,
	VSW_KEY_FORWARDS,
};

static inline bool
vsw_key_is_list(enum vsw_key_kind kind)
{
	return kind >= VSW_KEY_TEXTS;
}

/** Are the two one key, however each is spelled? */
bool vsw_key_is(const char *key, const char *other);

/** @p text with underscores for dashes; @p yaml may be the same. @return @p yaml. */
const char *vsw_key_in_yaml(const char *text, char *yaml, size_t size);

#endif /* VSW_KEY_H */
