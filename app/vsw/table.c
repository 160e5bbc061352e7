/* SPDX-License-Identifier: BSD-3-Clause */
#include "table.h"

#include <err.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/stdlib.h>

#include "commands.h"
#include "vsw_base.h"

void
table_begin(struct table *table, const char *const *titles)
{
	*table = (struct table){.titles = titles};
	while (titles[table->n_columns] != NULL)
		table->n_columns++;
}

void
table_add(struct table *table, const char *fmt, ...)
{
	va_list ap;

	table->cells = reallocarray(table->cells, table->n_cells + 1, sizeof(table->cells[0]));
	if (table->cells == NULL)
		err(EXIT_BROKEN, "vsw");
	va_start(ap, fmt);
	if (vasprintf(&table->cells[table->n_cells], fmt, ap) < 0)
		err(EXIT_BROKEN, "vsw");
	va_end(ap);
	table->n_cells++;
}

static void
print_row(const struct table *table, const char *const *cells, const int *width, FILE *out)
{
	for (unsigned int i = 0; i < table->n_columns; i++) {
		bool is_right = table->titles[i][0] == '>';
		const char *text = cells == table->titles && is_right ? cells[i] + 1 : cells[i];

		if (i + 1 == table->n_columns && !is_right)
			fprintf(out, "%s", text);
		else
			fprintf(out, "%*s%s", is_right ? width[i] : -width[i], text,
				i + 1 == table->n_columns ? "" : "  ");
	}
	fputc('\n', out);
}

void
table_end(struct table *table, FILE *out)
{
	int width[TABLE_COLUMNS_MAX] = {0};
	unsigned int column = 0;

	for (unsigned int i = 0; i < table->n_columns; i++)
		width[i] = (int)strlen(table->titles[i]) - (table->titles[i][0] == '>');
	for (unsigned int i = 0; i < table->n_cells; i++) {
		int len = (int)strlen(table->cells[i]);

		if (len > width[column])
			width[column] = len;
		column = column + 1 < table->n_columns ? column + 1 : 0;
	}
	print_row(table, table->titles, width, out);
	for (unsigned int i = 0; i + table->n_columns <= table->n_cells; i += table->n_columns)
		print_row(table, (const char *const *)&table->cells[i], width, out);
	for (unsigned int i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
}

const char *
human(double number, char text[HUMAN_SIZE])
{
	static const char units[] = " kMGTPE";
	unsigned int unit = 0;

	while (number >= 999.5 && unit + 2 < sizeof(units)) {
		number /= 1000;
		unit++;
	}
	if (unit == 0)
		snprintf(text, HUMAN_SIZE, "%.0f", number);
	else
		snprintf(text, HUMAN_SIZE, number < 9.95 ? "%.1f%c" : "%.0f%c", number,
			 units[unit]);
	return text;
}

const char *
duration(long long us, char text[HUMAN_SIZE])
{
	static const char *const units[] = {"us", "ms", "s"};
	double number = (double)us;
	size_t unit = 0;

	while (number >= 999.5 && unit + 1 < VSW_ARRAY_SIZE(units)) {
		number /= 1000;
		unit++;
	}
	snprintf(text, HUMAN_SIZE, unit > 0 && number < 9.95 ? "%.1f%s" : "%.0f%s", number,
		 units[unit]);
	return text;
}
