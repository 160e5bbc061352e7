/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that a spill buffer is a queue of bytes: whatever is appended and dropped in whatever
 * portions, what it shows is what went in and did not go out, in order.
 */
#include <stdlib.h>
#include <string.h>

#include "vsw_test.h"

#include "vsw_base.h"
#include "vsw_spill.h"

/* The byte at each position of the stream that runs through. */
static uint8_t
byte_at(size_t pos)
{
	return (uint8_t)(pos * 31 + pos / 251);
}

/* The model: bytes [first, end) of the stream are in the spill. */
struct model {
	struct vsw_spill spill;
	size_t first, end;
};

static void
append(struct model *m, size_t len, unsigned int n_segs)
{
	uint8_t *data = malloc(len + 1);
	struct iovec iov[64];
	size_t done = 0;

	assert_non_null(data);
	for (size_t i = 0; i < len; i++)
		data[i] = byte_at(m->end + i);
	for (unsigned int i = 0; i < n_segs; i++) {
		size_t part = (len - done) / (n_segs - i);

		iov[i] = (struct iovec){data + done, part};
		done += part;
	}
	assert_int_equal(vsw_spill_append(&m->spill, iov, n_segs), len);
	/* it is a copy */
	memset(data, 0xee, len);
	free(data);
	m->end += len;
}

/* What is shown is the start of what is in it, in pieces that are not empty. */
static size_t
check_front(const struct model *m, unsigned int max)
{
	struct iovec iov[256];
	unsigned int n = vsw_spill_peek(&m->spill, iov, max);
	size_t pos = m->first;

	assert_int_equal(m->spill.len, m->end - m->first);
	assert_true(n <= max);
	for (unsigned int i = 0; i < n; i++) {
		const uint8_t *data = iov[i].iov_base;

		assert_true(iov[i].iov_len > 0);
		for (size_t k = 0; k < iov[i].iov_len; k++)
			assert_int_equal(data[k], byte_at(pos + k));
		pos += iov[i].iov_len;
	}
	assert_true(pos <= m->end);
	if (n < max)
		assert_int_equal(pos, m->end);
	return pos - m->first;
}

static void
drop(struct model *m, size_t len)
{
	vsw_spill_drop(&m->spill, len);
	m->first += len;
}

static void
test_empty_shows_nothing(void **state)
{
	struct model m = {0};

	vsw_spill_init(&m.spill);
	assert_int_equal(check_front(&m, 8), 0);
	append(&m, 0, 1);
	assert_int_equal(check_front(&m, 8), 0);
	drop(&m, 0);
	vsw_spill_fini(&m.spill);
}

static void
test_every_size_comes_out_as_it_went_in(void **state)
{
	static const size_t sizes[] = {1,     2,     959,   960,   961,    4096,   16319,
				       16320, 16321, 16384, 65536, 262144, 1000003};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(sizes); i++) {
		for (unsigned int n_segs = 1; n_segs <= 30; n_segs += 29) {
			struct model m = {0};
			size_t front;

			vsw_spill_init(&m.spill);
			append(&m, sizes[i], n_segs);
			while (m.first < m.end) {
				front = check_front(&m, 2);
				assert_true(front > 0);
				drop(&m, front);
			}
			assert_int_equal(m.spill.len, 0);
			assert_true(TAILQ_EMPTY(&m.spill.blocks));
			vsw_spill_fini(&m.spill);
		}
	}
}

/* One window of a stream is shown whole to one system call of 64 pieces. */
static void
test_a_window_takes_few_pieces(void **state)
{
	struct model m = {0};

	vsw_spill_init(&m.spill);
	for (int i = 0; i < 256; i++)
		append(&m, 1024, 1);
	assert_int_equal(check_front(&m, 64), 262144);
	vsw_spill_fini(&m.spill);
}

static void
test_appends_and_drops_in_any_order(void **state)
{
	struct model m = {0};
	uint64_t x = 1;

	vsw_spill_init(&m.spill);
	for (int i = 0; i < 4000; i++) {
		size_t in_it = m.end - m.first;
		uint32_t r;

		x = x * 6364136223846793005ull + 1442695040888963407ull;
		r = (uint32_t)(x >> 33);
		if (r % 2 == 0 && in_it < 300000)
			append(&m, r / 2 % (r % 5 == 0 ? 40000 : 700), r % 7 + 1);
		else
			drop(&m, in_it == 0 ? 0 : r / 2 % (in_it + 1));
		check_front(&m, 256);
	}
	assert_true(m.end > 1000000);
	vsw_spill_fini(&m.spill); /* with what is left: leaks are the sanitizer's to find */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_shows_nothing),
		cmocka_unit_test(test_every_size_comes_out_as_it_went_in),
		cmocka_unit_test(test_a_window_takes_few_pieces),
		cmocka_unit_test(test_appends_and_drops_in_any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
