/* SPDX-License-Identifier: BSD-3-Clause */
#include "vsw_lcores.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

void
vsw_lcores_add(struct vsw_lcores *lcores, unsigned int lcore)
{
	lcores->n += !lcores->has[lcore];
	lcores->has[lcore] = true;
}

static bool
read_number(const char **text, unsigned int *number)
{
	const char *p = *text;

	for (*number = 0; *p >= '0' && *p <= '9' && *number < VSW_LCORES_MAX; p++)
		*number = 10 * *number + (unsigned int)(*p - '0');
	if (p == *text || *number >= VSW_LCORES_MAX)
		return false;
	*text = p;
	return true;
}

bool
vsw_lcores_add_range(struct vsw_lcores *lcores, const char **text)
{
	unsigned int first, last;

	if (!read_number(text, &first))
		return false;
	last = first;
	if (**text == '-') {
		++*text;
		if (!read_number(text, &last) || last < first)
			return false;
	}
	for (unsigned int lcore = first; lcore <= last; lcore++)
		vsw_lcores_add(lcores, lcore);
	return true;
}

const char *
vsw_lcores_read(struct vsw_lcores *lcores, const char *text)
{
	memset(lcores, 0, sizeof(*lcores));
	for (;; text++) {
		struct vsw_lcores range = {0};

		if (!vsw_lcores_add_range(&range, &text) || (*text != ',' && *text != '\0'))
			return "it is a list of lcores as in 2,4-6";
		for (unsigned int lcore = 0; lcore < VSW_LCORES_MAX; lcore++) {
			if (range.has[lcore] && lcores->has[lcore])
				return "each lcore may be there only once";
			if (range.has[lcore])
				vsw_lcores_add(lcores, lcore);
		}
		if (*text == '\0')
			return NULL;
	}
}

const char *
vsw_lcores_write(const struct vsw_lcores *lcores, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	for (unsigned int first = 0; first < VSW_LCORES_MAX && len < size; first++) {
		unsigned int last = first;

		if (!lcores->has[first])
			continue;
		while (last + 1 < VSW_LCORES_MAX && lcores->has[last + 1])
			last++;
		len += (size_t)snprintf(text + len, size - len, "%s%u", len > 0 ? "," : "", first);
		if (last > first && len < size)
			len += (size_t)snprintf(text + len, size - len, "-%u", last);
		first = last;
	}
	return text;
}
