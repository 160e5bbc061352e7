/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that a backlog gives back what was put into it, in order, however it is cut and
 * wherever it lies, and that every byte is reported exactly once.
 */
#include <stdlib.h>
#include <string.h>

#include "vsw_test.h"

#include "vsw_backlog.h"
#include "vsw_base.h"

static uint8_t memory[1 << 20];

static int
setup(void **state)
{
	for (size_t i = 0; i < sizeof(memory); i++)
		memory[i] = (uint8_t)(i * 2654435761u >> 13);
	return 0;
}

/* A loan of memory[off..off + len) in n pieces. */
static struct vsw_msg *
loan(size_t off, size_t len, unsigned int n)
{
	struct vsw_msg *msg = calloc(1, sizeof(*msg));

	assert_non_null(msg);
	for (unsigned int i = 0; i < n; i++) {
		size_t part = len / (n - i);

		msg->segs[i] = (struct iovec){memory + off, part};
		off += part;
		len -= part;
		msg->len += (uint32_t)part;
	}
	msg->n_segs = (uint16_t)n;
	return msg;
}

/* Free loans that came back. @return the bytes they report. */
static uint64_t
take_back(struct vsw_msg *loans, unsigned int *n_loans)
{
	uint64_t sum = 0;

	while (loans != NULL) {
		struct vsw_msg *msg = loans;

		loans = msg->next;
		sum += msg->len;
		(*n_loans)++;
		free(msg);
	}
	return sum;
}

/* The first len bytes must be memory[off..]. */
static void
expect_bytes(const struct vsw_backlog *backlog, size_t off, size_t len)
{
	struct iovec iov[256];
	unsigned int n = vsw_backlog_peek(backlog, iov, VSW_ARRAY_SIZE(iov));

	for (unsigned int i = 0; i < n && len > 0; i++) {
		size_t part = iov[i].iov_len < len ? iov[i].iov_len : len;

		assert_memory_equal(iov[i].iov_base, memory + off, part);
		off += part;
		len -= part;
	}
	assert_int_equal(len, 0);
}

static void
test_an_empty_one(void **state)
{
	struct vsw_backlog backlog;
	struct iovec iov[4];

	vsw_backlog_init(&backlog);
	assert_true(vsw_backlog_is_empty(&backlog));
	assert_int_equal(vsw_backlog_len(&backlog), 0);
	assert_int_equal(vsw_backlog_peek(&backlog, iov, 4), 0);
	assert_null(vsw_backlog_take(&backlog, 0));
	assert_null(vsw_backlog_drop(&backlog));
}

static void
test_a_loan_is_taken_in_parts(void **state)
{
	struct vsw_backlog backlog;
	unsigned int n = 0;

	vsw_backlog_init(&backlog);
	vsw_backlog_lend(&backlog, loan(0, 1000, 3));
	vsw_backlog_lend(&backlog, loan(1000, 500, 1));
	assert_int_equal(vsw_backlog_len(&backlog), 1500);
	assert_null(vsw_backlog_take(&backlog, 400));
	assert_int_equal(backlog.n_unreported, 400);
	expect_bytes(&backlog, 400, 1100);
	/* The rest of the first, and a part of the second. */
	assert_int_equal(take_back(vsw_backlog_take(&backlog, 700), &n), 600);
	assert_int_equal(n, 1);
	assert_int_equal(backlog.n_unreported, 500);
	expect_bytes(&backlog, 1100, 400);
	assert_int_equal(take_back(vsw_backlog_take(&backlog, 400), &n), 400);
	assert_true(vsw_backlog_is_empty(&backlog));
	assert_int_equal(backlog.n_unreported, 500);
}

static void
test_a_spilled_loan_reports_nothing(void **state)
{
	struct vsw_backlog backlog;
	unsigned int n = 0;

	vsw_backlog_init(&backlog);
	vsw_backlog_lend(&backlog, loan(0, 100000, 7));
	vsw_backlog_lend(&backlog, loan(100000, 10, 1));
	assert_null(vsw_backlog_take(&backlog, 3));
	assert_int_equal(take_back(vsw_backlog_spill(&backlog), &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(vsw_backlog_len(&backlog), 100007);
	expect_bytes(&backlog, 3, 100007);
	assert_int_equal(take_back(vsw_backlog_take(&backlog, 100007), &n), 10);
	assert_int_equal(backlog.n_unreported, 100000);
	assert_true(vsw_backlog_is_empty(&backlog));
}

static void
test_drop_returns_all_loans(void **state)
{
	struct vsw_backlog backlog;
	unsigned int n = 0;

	vsw_backlog_init(&backlog);
	for (unsigned int i = 0; i < 5; i++)
		vsw_backlog_lend(&backlog, loan(i * 10, 10, 1));
	assert_int_equal(take_back(vsw_backlog_spill(&backlog), &n), 0);
	assert_int_equal(take_back(vsw_backlog_drop(&backlog), &n), 0);
	assert_int_equal(n, 5);
	assert_true(vsw_backlog_is_empty(&backlog));
	/* It can be used again. */
	vsw_backlog_lend(&backlog, loan(50, 10, 1));
	expect_bytes(&backlog, 50, 10);
	take_back(vsw_backlog_drop(&backlog), &n);
}

static void
test_peek_is_bounded(void **state)
{
	struct vsw_backlog backlog;
	struct iovec iov[4];
	unsigned int n = 0;

	vsw_backlog_init(&backlog);
	vsw_backlog_lend(&backlog, loan(0, 100, 2));
	take_back(vsw_backlog_spill(&backlog), &n);
	vsw_backlog_lend(&backlog, loan(100, 100, 9));
	assert_int_equal(vsw_backlog_peek(&backlog, iov, 1), 1);
	assert_int_equal(iov[0].iov_len, 100);
	assert_int_equal(vsw_backlog_peek(&backlog, iov, 4), 4);
	assert_ptr_equal(iov[1].iov_base, memory + 100);
	take_back(vsw_backlog_drop(&backlog), &n);
}

static void
test_one_loan_at_a_time_is_timed(void **state)
{
	struct vsw_msg *timed = loan(10, 20, 2), *other = loan(30, 20, 1);
	struct vsw_backlog backlog;
	unsigned int n = 0;

	timed->since = 7;
	other->since = 8;
	vsw_backlog_init(&backlog);
	vsw_backlog_lend(&backlog, loan(0, 10, 1));
	vsw_backlog_lend(&backlog, timed);
	vsw_backlog_lend(&backlog, other);
	assert_int_equal(vsw_backlog_timed(&backlog), 0);
	/* The two are spilled: its bytes are still there. */
	take_back(vsw_backlog_spill(&backlog), &n);
	take_back(vsw_backlog_spill(&backlog), &n);
	take_back(vsw_backlog_take(&backlog, 29), &n);
	assert_int_equal(vsw_backlog_timed(&backlog), 0);
	/* The last one, and some more. */
	take_back(vsw_backlog_take(&backlog, 6), &n);
	assert_int_equal(vsw_backlog_timed(&backlog), 7);
	assert_int_equal(vsw_backlog_timed(&backlog), 0);
	take_back(vsw_backlog_take(&backlog, 15), &n);
	assert_int_equal(vsw_backlog_timed(&backlog), 0);

	/* What is dropped has no time. */
	timed = loan(50, 10, 1);
	timed->since = 9;
	vsw_backlog_lend(&backlog, timed);
	take_back(vsw_backlog_drop(&backlog), &n);
	assert_int_equal(vsw_backlog_timed(&backlog), 0);
	timed = loan(50, 10, 1);
	timed->since = 10;
	vsw_backlog_lend(&backlog, timed);
	take_back(vsw_backlog_take(&backlog, 10), &n);
	assert_int_equal(vsw_backlog_timed(&backlog), 10);
}

/* Anything in any order, against a plain count of what must be there. */
static void
test_random_walks(void **state)
{
	struct vsw_backlog backlog;
	size_t in = 0, out = 0;
	unsigned int n_lent = 0, n_back = 0;
	uint64_t reported = 0;

	srand(1);
	vsw_backlog_init(&backlog);
	for (unsigned int i = 0; i < 20000; i++) {
		size_t left = in - out, len = (size_t)rand() % 3000 + 1;

		assert_int_equal(vsw_backlog_len(&backlog), left);
		switch (rand() % 3) {
		case 0:
			if (in + len > sizeof(memory) || n_lent - n_back > 8)
				break;
			vsw_backlog_lend(&backlog, loan(in, len, (unsigned int)rand() % 3 + 1));
			in += len;
			n_lent++;
			break;
		case 1:
			if (backlog.first_loan != NULL)
				reported += take_back(vsw_backlog_spill(&backlog), &n_back);
			break;
		case 2:
			len = len < left ? len : left;
			expect_bytes(&backlog, out, len);
			reported += take_back(vsw_backlog_take(&backlog, len), &n_back);
			out += len;
			break;
		}
		if (in == out && in > sizeof(memory) / 2)
			break;
	}
	reported += take_back(vsw_backlog_take(&backlog, in - out), &n_back);
	assert_true(in > sizeof(memory) / 4);
	assert_int_equal(reported + backlog.n_unreported, in);
	assert_int_equal(n_back, n_lent);
	assert_true(vsw_backlog_is_empty(&backlog));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_empty_one),
		cmocka_unit_test(test_a_loan_is_taken_in_parts),
		cmocka_unit_test(test_a_spilled_loan_reports_nothing),
		cmocka_unit_test(test_drop_returns_all_loans),
		cmocka_unit_test(test_peek_is_bounded),
		cmocka_unit_test(test_one_loan_at_a_time_is_timed),
		cmocka_unit_test(test_random_walks),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
