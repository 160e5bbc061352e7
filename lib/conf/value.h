/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Values of keys and settings, as users write them; numbers: vsw_number.h. Private to lib/conf.
 */
#ifndef VSW_CONF_VALUE_H
#define VSW_CONF_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vsw_base.h"

/* @return false: it is none; the output is as it was. */
bool value_read_bool(const char *value, bool *on);
bool value_read_mode(const char *value, int32_t *mode);

#define VALUE_MODE_IS "it is three octal digits as in 660 or 0660"

/* How two elements of a list stand to each other, as strcmp() tells it. */
typedef int (*value_order_fn)(const void *a, const void *b);
int value_order_text(const void *a, const void *b);
int value_order_u32(const void *a, const void *b);

/*
 * Put @p item into the list @p base of @p n elements, which is sorted and has room for @p max.
 * @return 0; -EEXIST: it is there; -ENOSPC.
 */
int value_insert(void *base, uint8_t *n, size_t max, size_t size, const void *item,
		 value_order_fn order);

#define VALUE_INSERT(array, n, item, order)                                                        \
	value_insert(array, n, VSW_ARRAY_SIZE(array), sizeof((array)[0]), item, order)

#endif /* VSW_CONF_VALUE_H */
