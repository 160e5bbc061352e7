/* SPDX-License-Identifier: BSD-3-Clause */
#include "value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool
value_read_bool(const char *value, bool *on)
{
	static const char *const text[] = {"off", "on", "false", "true", "no", "yes"};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(text); i++) {
		if (strcasecmp(value, text[i]) == 0) {
			*on = i % 2 != 0;
			return true;
		}
	}
	return false;
}

bool
value_read_mode(const char *value, int32_t *mode)
{
	const char *digits = strncasecmp(value, "0o", 2) == 0 ? value + 2 : value;
	size_t len = strlen(digits);
	long number = strtol(digits, NULL, 8);

	if (len < 3 || len > 4 || strspn(digits, "01234567") != len || number > 0777)
		return false;
	*mode = (int32_t)number;
	return true;
}

int
value_order_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

int
value_order_u32(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int
value_insert(void *base, uint8_t *n, size_t max, size_t size, const void *item,
	     value_order_fn order)
{
	char *at = base, *end = at + *n * size;
	int rc = -1;

	while (at < end && (rc = order(at, item)) < 0)
		at += size;
	if (at < end && rc == 0)
		return -EEXIST;
	if (*n == max)
		return -ENOSPC;
	memmove(at + size, at, (size_t)(end - at));
	memcpy(at, item, size);
	++*n;
	return 0;
}
