/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The CONNECT parser: fed in any portions it comes to the verdict, the port and the end of the
 * line that a second parser finds, which sees everything at once and is written from
 * doc/guides/protocol: blanks, the word in any case, blanks, a plus sign, digits, blanks, a
 * carriage return.
 *
 * Input: how long the portions are (1 byte: its four pairs of bits in turn; 3: all the rest),
 * then what the host sends.
 */
#include "fuzz.h"

#include "vsw_connect_line.h"

struct reading {
	enum vsw_connect_verdict verdict;
	size_t used;
	uint32_t port;
};

/* A regular expression would be: [ \t]*CONNECT[ \t]+\+?[0-9]+[ \t]*\r?, at most 31 bytes. */
static bool
is_connect(const char *line, uint32_t *port)
{
	const char *word = "CONNECT";
	double value = 0;

	line += strspn(line, " \t");
	while (*word != '\0' && (*line == *word || *line == *word + ('a' - 'A'))) {
		line++;
		word++;
	}
	if (*word != '\0' || strspn(line, " \t") == 0)
		return false;
	line += strspn(line, " \t");
	if (*line == '+')
		line++;
	if (strspn(line, "0123456789") == 0)
		return false;
	for (; *line >= '0' && *line <= '9'; line++)
		value = value * 10 + (*line - '0');
	line += strspn(line, " \t");
	if (strcmp(line, "") != 0 && strcmp(line, "\r") != 0)
		return false;
	if (value > 4294967295.0)
		return false;
	*port = (uint32_t)value;
	return true;
}

static struct reading
expected(const char *data, size_t size)
{
	struct reading r = {VSW_CONNECT_MORE, size, 0};
	char line[VSW_CONNECT_LINE_MAX + 1] = "";
	size_t len = 0;

	while (len < size && len < VSW_CONNECT_LINE_MAX && data[len] != '\n')
		len++;
	if (len == VSW_CONNECT_LINE_MAX) {
		r.verdict = VSW_CONNECT_BAD;
		r.used = len;
	} else if (len < size) {
		memcpy(line, data, len);
		r.used = len + 1;
		r.verdict = strlen(line) == len && is_connect(line, &r.port) ? VSW_CONNECT_DONE
									     : VSW_CONNECT_BAD;
	}
	return r;
}

static struct reading
feed(const char *data, size_t size, uint8_t portions)
{
	struct vsw_connect_line line = {0};
	struct reading r = {VSW_CONNECT_MORE, 0, 0};

	for (unsigned int i = 0; r.used < size && r.verdict == VSW_CONNECT_MORE; i++) {
		static const size_t portion[] = {1, 2, 7, SIZE_MAX};
		size_t n = portion[portions >> i % 4 * 2 & 3], used;
		char *part;

		if (n > size - r.used)
			n = size - r.used;
		part = malloc(n);
		CHECK(part != NULL);
		memcpy(part, data + r.used, n);
		r.verdict = vsw_connect_line_feed(&line, part, n, &used, &r.port);
		free(part);
		CHECK(used <= n && (used == n || r.verdict != VSW_CONNECT_MORE));
		CHECK(line.len <= VSW_CONNECT_LINE_MAX);
		r.used += used;
	}
	return r;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t portions = take_u8(&in);
	struct reading a = feed((const char *)in.next, in.len, portions);
	struct reading b = expected((const char *)in.next, in.len);

	CHECK(a.verdict == b.verdict);
	CHECK(a.used == b.used);
	CHECK(a.verdict != VSW_CONNECT_DONE || a.port == b.port);
	return 0;
}
