/* SPDX-License-Identifier: BSD-3-Clause */
#include "vsw_connect_line.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

static bool
parse(const char *text, size_t len, uint32_t *port)
{
	const char *p = text, *end = text + len;
	uint64_t value = 0;
	const char *digits;

	if (len > 0 && end[-1] == '\r')
		end--;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	if (end - p < 8 || strncasecmp(p, "connect", 7) != 0 || (p[7] != ' ' && p[7] != '\t'))
		return false;
	p += 8;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	for (digits = p; p < end && *p >= '0' && *p <= '9'; p++) {
		value = value * 10 + (uint64_t)(*p - '0');
		if (value > UINT32_MAX)
			return false;
	}
	if (p == digits)
		return false;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	*port = (uint32_t)value;
	return p == end;
}

enum vsw_connect_verdict
vsw_connect_line_feed(struct vsw_connect_line *line, const char *data, size_t size, size_t *used,
		      uint32_t *port)
{
	size_t room = sizeof(line->text) - line->len;
	size_t part = size < room ? size : room;
	const char *newline = memchr(data, '\n', part);

	*used = newline != NULL ? (size_t)(newline - data) + 1 : part;
	memcpy(line->text + line->len, data, *used);
	line->len += (uint8_t)*used;
	if (newline != NULL)
		return parse(line->text, line->len - 1u, port) ? VSW_CONNECT_DONE : VSW_CONNECT_BAD;
	return line->len < sizeof(line->text) ? VSW_CONNECT_MORE : VSW_CONNECT_BAD;
}
