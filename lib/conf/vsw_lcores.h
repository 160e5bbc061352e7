/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Sets of lcores, by their numbers, as people write them.
 */
#ifndef VSW_LCORES_H
#define VSW_LCORES_H

#include <stdbool.h>
#include <stddef.h>

/** No EAL has more. */
#define VSW_LCORES_MAX 1024

struct vsw_lcores {
	unsigned int n;
	bool has[VSW_LCORES_MAX];
};

void vsw_lcores_add(struct vsw_lcores *lcores, unsigned int lcore);

/**
 * Add a number, or a range as in 4-6, that begins at *@p text.
 * @param text in and out: the first character behind it.
 * @return false: it is neither.
 */
bool vsw_lcores_add_range(struct vsw_lcores *lcores, const char **text);

/**
 * Read a list as EAL's -l takes it: 2,4-6. Each lcore may be there once.
 * @return NULL, or half a sentence that says what would be right; static.
 */
const char *vsw_lcores_read(struct vsw_lcores *lcores, const char *text);

/** Write such a list into @p text, cut off at @p size. @return @p text. */
const char *vsw_lcores_write(const struct vsw_lcores *lcores, char *text, size_t size);

#endif /* VSW_LCORES_H */
