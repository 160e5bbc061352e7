/* SPDX-License-Identifier: BSD-3-Clause */
#include "vsw_connect_line.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static const char *
skip_blanks(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

/*
 * The strictest reading that takes what known clients send: blanks before and behind each word,
 * any case, a carriage return, a plus sign, leading zeros; nothing behind the number.
 */
static bool
parse(const char *text, size_t len, uint32_t *port)
{
	const char *p = text, *end = text + len;
	uint64_t value = 0;
	const char *digits;

	if (len > 0 && end[-1] == '\r')
		end--;
	p = skip_blanks(p, end);
	if (end - p < 8 || strncasecmp(p, "connect", 7) != 0 || !is_blank(p[7]))
		return false;
	p += 8;
	p = skip_blanks(p, end);
	if (p < end && *p == '+') /* as Firecracker's parser */
		p++;
	for (digits = p; p < end && *p >= '0' && *p <= '9'; p++) {
		value = value * 10 + (uint64_t)(*p - '0');
		if (value > UINT32_MAX)
			return false;
	}
	if (p == digits)
		return false;
	if (skip_blanks(p, end) != end)
		return false;
	*port = (uint32_t)value;
	return true;
}

enum vsw_connect_verdict
vsw_connect_line_feed(struct vsw_connect_line *line, const char *data, size_t size, size_t *used,
		      uint32_t *port)
{
	/* Room is never 0: a full line without its newline was BAD already. */
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
