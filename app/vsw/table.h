/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tables for people: columns as wide as what is in them.
 */
#ifndef VSW_TABLE_H
#define VSW_TABLE_H

#include <stdint.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 16

struct table {
	unsigned int n_columns;
	const char *const *titles; /* a title that begins with > is of a right-aligned column */
	char **cells;
	unsigned int n_cells;
};

/* @p titles ends with NULL. */
void table_begin(struct table *table, const char *const *titles);
/* The next cell. */
void table_add(struct table *table, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Print and free. */
void table_end(struct table *table, FILE *out);

/* A number as people read it: 999, 1.2k, 34M. @return @p text. */
#define HUMAN_SIZE 16
const char *human(double number, char text[HUMAN_SIZE]);

/* Microseconds, such as 870us, 1.2ms, 30s. */
const char *duration(long long us, char text[HUMAN_SIZE]);

#endif /* VSW_TABLE_H */
