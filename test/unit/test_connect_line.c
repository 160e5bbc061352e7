/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves which first lines of a host are CONNECT lines, and that it makes no difference in
 * how many pieces a line comes: the verdict, the port and the byte behind the line are the
 * same for every way to cut it.
 */
#include <stdio.h>
#include <string.h>

#include "vsw_test.h"

#include "vsw_base.h"
#include "vsw_connect_line.h"

#define BLANKS8 "        "
#define LEN(s) (sizeof(s) - 1)

struct vector {
	const char *text;
	size_t len;
	enum vsw_connect_verdict verdict;
	uint32_t port;
	size_t used; /* bytes that belong to the line */
};

#define DONE(s, number)                                                                            \
	{                                                                                          \
		s, LEN(s), VSW_CONNECT_DONE, number, LEN(s)                                        \
	}
#define BAD(s)                                                                                     \
	{                                                                                          \
		s, LEN(s), VSW_CONNECT_BAD, 0, LEN(s)                                              \
	}
#define MORE(s)                                                                                    \
	{                                                                                          \
		s, LEN(s), VSW_CONNECT_MORE, 0, LEN(s)                                             \
	}
/* A line and what follows it. */
#define DONE_THEN(s, more, number)                                                                 \
	{                                                                                          \
		s more, LEN(s more), VSW_CONNECT_DONE, number, LEN(s)                              \
	}
#define BAD_THEN(s, more)                                                                          \
	{                                                                                          \
		s more, LEN(s more), VSW_CONNECT_BAD, 0, LEN(s)                                    \
	}

static const struct vector vectors[] = {
	/* spellings */
	DONE("CONNECT 5252\n", 5252),
	DONE("connect 5252\n", 5252),
	DONE("CoNnEcT 5252\n", 5252),
	DONE("CONNECT 0\n", 0),
	DONE("CONNECT 5252\r\n", 5252),
	DONE("CONNECT 5252 \r\n", 5252),
	DONE("CONNECT  5252\n", 5252),
	DONE("CONNECT\t5252\n", 5252),
	DONE("CONNECT \t 5252\t \n", 5252),
	DONE("  CONNECT 5252\n", 5252),
	DONE("\tCONNECT 5252\n", 5252),
	/* numbers */
	DONE("CONNECT 4294967295\n", 4294967295u),
	DONE("CONNECT 4294967294\r\n", 4294967294u),
	DONE("CONNECT 000000000000000000005\n", 5),
	DONE("CONNECT 00000004294967295\n", 4294967295u),
	DONE("CONNECT +5\n", 5),
	DONE("CONNECT +05\n", 5),
	BAD("CONNECT 4294967296\n"),
	BAD("CONNECT 42949672950\n"),
	BAD("CONNECT 18446744073709551621\n"), /* 2^64 + 5 */
	BAD("CONNECT 99999999999999999999\n"),
	BAD("CONNECT -1\n"),
	BAD("CONNECT -0\n"),
	BAD("CONNECT ++5\n"),
	BAD("CONNECT +-5\n"),
	BAD("CONNECT + 5\n"),
	BAD("CONNECT +\n"),
	BAD("CONNECT 0x10\n"),
	BAD("CONNECT 5x\n"),
	BAD("CONNECT x5\n"),
	BAD("CONNECT 5.0\n"),
	BAD("CONNECT 5,\n"),
	BAD("CONNECT 5 6\n"),
	BAD("CONNECT 5 x\n"),
	BAD("CONNECT \xd9\xa5\n"), /* a five, but not ours */
	/* no number, no keyword, other things */
	BAD("\n"),
	BAD("\r\n"),
	BAD(" \n"),
	BAD("5252\n"),
	BAD("CONNECT\n"),
	BAD("CONNECT \n"),
	BAD("CONNECT\r\n"),
	BAD("CONNECT \r\n"),
	BAD("CONNECT5252\n"),
	BAD("CONNEC 5252\n"),
	BAD("CONNECTX 5252\n"),
	BAD("CON NECT 5252\n"),
	BAD("XCONNECT 5252\n"),
	BAD("OK 5252\n"),
	BAD("GET / HTTP/1.1\r\n"),
	BAD("SSH-2.0-OpenSSH_9.2\r\n"),
	BAD("\x16\x03\x01\x02\n"),
	BAD("\xff\xfe\xfd\n"),
	/* carriage returns in other places */
	BAD("\rCONNECT 5252\n"),
	BAD("CONNECT\r5252\n"),
	BAD("CONNECT 5252\r\r\n"),
	BAD("CONNECT 5252\r \n"),
	BAD("CONNECT 52\r52\n"),
	/* other blanks are none */
	BAD("CONNECT\v5252\n"),
	BAD("CONNECT\f5252\n"),
	BAD("CONNECT\xa0 5252\n"),
	/* zero bytes */
	BAD("CONNECT 5252\0\n"),
	BAD("CONNECT 52\0 52\n"),
	BAD("CONNECT\0 5252\n"),
	BAD("\0CONNECT 5252\n"),
	BAD("CONNECT \0\n"),
	BAD("\0\n"),
	/* 31, 32 and 33 bytes with the newline */
	DONE("CONNECT 5252" BLANKS8 BLANKS8 "  \n", 5252),
	DONE("CONNECT 5252" BLANKS8 BLANKS8 "   \n", 5252),
	DONE("CONNECT 5252" BLANKS8 BLANKS8 "  \r\n", 5252),
	BAD_THEN("CONNECT 5252" BLANKS8 BLANKS8 "    ", "\n"),
	BAD_THEN("CONNECT 5252" BLANKS8 BLANKS8 "   \r", "\n"),
	BAD_THEN(BLANKS8 BLANKS8 BLANKS8 BLANKS8, "CONNECT 5252\n"),
	/* not there yet */
	MORE(""),
	MORE("C"),
	MORE("CONNECT 5252"),
	MORE("CONNECT 5252\r"),
	MORE("CONNECT 5252" BLANKS8 BLANKS8 "   "), /* 31 */
	MORE("this will never be right"),
	/* what is behind the newline is data, whatever it is */
	DONE_THEN("CONNECT 5252\n", "early", 5252),
	DONE_THEN("CONNECT 5252\n", "\n", 5252),
	DONE_THEN("CONNECT 5252\n", "\0\0", 5252),
	DONE_THEN("CONNECT 5252\r\n", "CONNECT 5353\n", 5252),
	DONE_THEN("CONNECT 5252\n", "0123456789012345678901234567890123456789", 5252),
	BAD_THEN("CONNECT\n", "CONNECT 5252\n"),
};

/* Feed text in pieces of the given sizes, the last of which takes the rest. */
static void
check_pieces(const struct vector *v, const size_t *sizes, size_t n_sizes)
{
	struct vsw_connect_line line = {0};
	enum vsw_connect_verdict verdict = VSW_CONNECT_MORE;
	uint32_t port = 0xdead;
	size_t at = 0, sum_used = 0, used;

	for (size_t i = 0; i < n_sizes && verdict == VSW_CONNECT_MORE; i++) {
		size_t size = i == n_sizes - 1 ? v->len - at : sizes[i];
		/* a copy of its own, so that a sanitizer sees a read behind it */
		char *piece = test_malloc(size + 1);

		memcpy(piece, v->text + at, size);
		used = SIZE_MAX;
		verdict = vsw_connect_line_feed(&line, piece, size, &used, &port);
		test_free(piece);
		assert_true(used <= size);
		if (verdict == VSW_CONNECT_MORE)
			assert_int_equal(used, size);
		sum_used += used;
		at += size;
	}
	if (verdict != v->verdict || sum_used != v->used ||
	    (verdict == VSW_CONNECT_DONE && port != v->port))
		fail_msg("'%.*s' in %zu pieces (first %zu): verdict %d, port %u, used %zu; wanted "
			 "%d, %u, %zu",
			 (int)v->len, v->text, n_sizes, sizes[0], verdict, port, sum_used,
			 v->verdict, v->port, v->used);
}

static void
test_each_line_in_one_piece(void **state)
{
	for (size_t i = 0; i < VSW_ARRAY_SIZE(vectors); i++)
		check_pieces(&vectors[i], (const size_t[]){0}, 1);
}

static void
test_each_line_in_two_pieces(void **state)
{
	for (size_t i = 0; i < VSW_ARRAY_SIZE(vectors); i++) {
		for (size_t cut = 0; cut <= vectors[i].len; cut++)
			check_pieces(&vectors[i], (const size_t[]){cut, 0}, 2);
	}
}

static void
test_each_line_in_three_pieces(void **state)
{
	for (size_t i = 0; i < VSW_ARRAY_SIZE(vectors); i++) {
		for (size_t a = 0; a <= vectors[i].len; a++) {
			for (size_t b = a; b <= vectors[i].len; b++)
				check_pieces(&vectors[i], (const size_t[]){a, b - a, 0}, 3);
		}
	}
}

static void
test_each_line_byte_by_byte(void **state)
{
	size_t ones[128];

	for (size_t i = 0; i < VSW_ARRAY_SIZE(ones); i++)
		ones[i] = 1;
	for (size_t i = 0; i < VSW_ARRAY_SIZE(vectors); i++) {
		assert_true(vectors[i].len < VSW_ARRAY_SIZE(ones));
		if (vectors[i].len > 0)
			check_pieces(&vectors[i], ones, vectors[i].len);
	}
}

/* Every port that has a digit more or less than its neighbour, and the ends. */
static void
test_ports_of_every_length(void **state)
{
	for (uint64_t edge = 1; edge <= 10000000000ull; edge *= 10) {
		for (uint64_t port = edge - 1; port <= edge + 1; port++) {
			struct vector v = {.verdict = VSW_CONNECT_BAD};
			char text[64];

			snprintf(text, sizeof(text), "CONNECT %llu\n", (unsigned long long)port);
			v.text = text;
			v.len = v.used = strlen(text);
			if (port <= UINT32_MAX) {
				v.verdict = VSW_CONNECT_DONE;
				v.port = (uint32_t)port;
			}
			check_pieces(&v, (const size_t[]){0}, 1);
		}
	}
}

/* No byte in place of a good one is taken for it, but for the other case. */
static void
test_one_wrong_byte_is_wrong(void **state)
{
	static const char good[] = "CONNECT 5\n";

	for (size_t at = 0; at < LEN("CONNECT "); at++) {
		for (int c = 0; c < 256; c++) {
			struct vector v = {.len = LEN(good), .used = LEN(good)};
			char text[sizeof(good)];
			bool is_letter = at < 7;

			if (c == '\n')
				continue;
			memcpy(text, good, sizeof(good));
			text[at] = (char)c;
			v.text = text;
			v.verdict = VSW_CONNECT_BAD;
			if ((is_letter && (c | 0x20) == (good[at] | 0x20) && c < 128) ||
			    (!is_letter && (c == ' ' || c == '\t'))) {
				v.verdict = VSW_CONNECT_DONE;
				v.port = 5;
			}
			check_pieces(&v, (const size_t[]){0}, 1);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_line_in_one_piece),
		cmocka_unit_test(test_each_line_in_two_pieces),
		cmocka_unit_test(test_each_line_in_three_pieces),
		cmocka_unit_test(test_each_line_byte_by_byte),
		cmocka_unit_test(test_ports_of_every_length),
		cmocka_unit_test(test_one_wrong_byte_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
