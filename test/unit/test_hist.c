/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that histograms put every time into the right bucket, edges and overflow included, that
 * buckets follow each other without a gap and are as narrow as promised, and that percentiles and
 * merging say what they should.
 */
#include <string.h>

#include "vsw_base.h"
#include "vsw_hist.h"
#include "vsw_test.h"

#define LAST (VSW_HIST_N_BUCKETS - 1)
#define END (1ull << VSW_HIST_MAX_LOG2)

static unsigned int
bucket_of(uint64_t us)
{
	struct vsw_hist h = {0};
	unsigned int i = 0;

	vsw_hist_add(&h, us);
	assert_int_equal(vsw_hist_count(&h), 1);
	while (h.bucket[i] == 0)
		i++;
	return i;
}

static void
test_every_value_has_its_bucket(void **state)
{
	static const struct {
		uint64_t us;
		unsigned int bucket;
		uint64_t from, end;
	} rows[] = {
		{0, 0, 0, 1},
		{1, 1, 1, 2},
		{3, 3, 3, 4},
		{4, 4, 4, 5},
		{7, 7, 7, 8},
		{8, 8, 8, 10},
		{9, 8, 8, 10},
		{10, 9, 10, 12},
		{15, 11, 14, 16},
		{16, 12, 16, 20},
		{1000, 35, 896, 1024},
		{1024, 36, 1024, 1280},
		{END - 1, LAST - 1, END / 8 * 7, END},
		{END, LAST, END, UINT64_MAX},
		{UINT64_MAX, LAST, END, UINT64_MAX},
	};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(rows); i++) {
		assert_int_equal(bucket_of(rows[i].us), rows[i].bucket);
		assert_int_equal(vsw_hist_from(rows[i].bucket), rows[i].from);
		assert_int_equal(vsw_hist_from(rows[i].bucket + 1), rows[i].end);
	}
}

static void
test_buckets_have_no_gap(void **state)
{
	for (unsigned int i = 0; i < LAST; i++) {
		uint64_t from = vsw_hist_from(i), end = vsw_hist_from(i + 1);

		assert_true(end > from);
		assert_int_equal(bucket_of(from), i);
		assert_int_equal(bucket_of(end - 1), i);
		assert_true(from < VSW_HIST_STEPS || end - from <= from / VSW_HIST_STEPS);
	}
	assert_int_equal(vsw_hist_from(LAST), END);
}

static void
test_percentiles(void **state)
{
	static const struct {
		uint64_t us[6];
		unsigned int n, percent;
		uint64_t wanted;
	} rows[] = {
		{{0}, 0, 50, 0},
		{{7}, 1, 0, 7},
		{{7}, 1, 50, 7},
		{{7}, 1, 100, 7},
		{{1, 2, 3, 1000}, 4, 50, 2},
		{{1, 2, 3, 1000}, 4, 51, 3},
		{{1, 2, 3, 1000}, 4, 75, 3},
		{{1, 2, 3, 1000}, 4, 76, 1000}, /* the maximum, less than the end of its bucket */
		{{1, 900, 1000}, 3, 50, 1000},  /* both are in one bucket */
		{{9, 8, 2000}, 3, 50, 9},
		{{1, END, 5 * END}, 3, 50, 5 * END}, /* beyond the end there is the maximum only */
	};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(rows); i++) {
		struct vsw_hist h = {0};

		for (unsigned int k = 0; k < rows[i].n; k++)
			vsw_hist_add(&h, rows[i].us[k]);
		assert_int_equal(vsw_hist_percentile(&h, rows[i].percent), rows[i].wanted);
	}
}

static void
test_the_99th_of_many(void **state)
{
	struct vsw_hist h = {0};

	for (unsigned int i = 0; i < 990; i++)
		vsw_hist_add(&h, 2);
	for (unsigned int i = 0; i < 10; i++)
		vsw_hist_add(&h, 4096);
	assert_int_equal(vsw_hist_percentile(&h, 99), 2);
	vsw_hist_add(&h, 4096);
	assert_int_equal(vsw_hist_percentile(&h, 99), 4096);
}

static void
test_cumulative_counts(void **state)
{
	struct vsw_hist h = {0};

	vsw_hist_add(&h, 0);
	vsw_hist_add(&h, 7);
	vsw_hist_add(&h, 8);
	vsw_hist_add(&h, END);
	assert_int_equal(vsw_hist_count_below(&h, 1), 1);
	assert_int_equal(vsw_hist_count_below(&h, 8), 2);
	assert_int_equal(vsw_hist_count_below(&h, 16), 3);
	assert_int_equal(vsw_hist_count_below(&h, END), 3);
	assert_int_equal(vsw_hist_count(&h), 4);
	assert_int_equal(h.sum_us, END + 15);
	assert_int_equal(h.max_us, END);
}

static void
test_merging(void **state)
{
	struct vsw_hists a, b;

	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	for (int i = 0; i < VSW_N_HISTS; i++) {
		vsw_hist_add(&a.of[i], (uint64_t)i);
		vsw_hist_add(&b.of[i], 1000);
		vsw_hist_add(&b.of[i], (uint64_t)i);
	}
	vsw_hists_add(&a, &b);
	for (int i = 0; i < VSW_N_HISTS; i++) {
		assert_int_equal(a.of[i].bucket[i], 2);
		assert_int_equal(vsw_hist_count(&a.of[i]), 3);
		assert_int_equal(a.of[i].sum_us, 1000 + 2 * i);
		assert_int_equal(a.of[i].max_us, 1000);
		assert_true(vsw_hist_name(i)[0] != '\0' && vsw_hist_help(i)[0] != '\0');
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_value_has_its_bucket),
		cmocka_unit_test(test_buckets_have_no_gap),
		cmocka_unit_test(test_percentiles),
		cmocka_unit_test(test_the_99th_of_many),
		cmocka_unit_test(test_cumulative_counts),
		cmocka_unit_test(test_merging),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
