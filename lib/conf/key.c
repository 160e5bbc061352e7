/* SPDX-License-Identifier: BSD-3-Clause */
#include "vsw_key.h"

static char
spelled(char c)
{
	if (c == '-')
		return '_';
	return c;
}

bool
vsw_key_is(const char *key, const char *other)
{
	while (*key != '\0' && spelled(*key) == spelled(*other)) {
		key++;
		other++;
	}
	return *key == *other;
}

const char *
vsw_key_in_yaml(const char *text, char *yaml, size_t size)
{
	size_t i = 0;

	for (; i < size - 1 && text[i] != '\0'; i++)
		yaml[i] = spelled(text[i]);
	yaml[i] = '\0';
	return yaml;
}
