/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that descriptors are divided: nobody's share is anybody else's, the rest is for who
 * comes first, and what is given back can be had again.
 */
#include "vsw_quota.h"
#include "vsw_test.h"

static unsigned int
take_all(unsigned int guest)
{
	unsigned int n = 0;

	while (n < 10000 && vsw_quota_take(guest))
		n++;
	return n;
}

static void
give(unsigned int guest, unsigned int n)
{
	while (n-- > 0)
		vsw_quota_give(guest);
}

static void
test_without_a_limit_there_is_none(void **state)
{
	assert_int_equal(take_all(3), 10000);
	give(3, 10000);
}

static void
test_shares(void **state)
{
	vsw_quota_init(100, 5); /* 10 each, 50 for whoever comes first */
	for (int round = 0; round < 3; round++) {
		assert_int_equal(take_all(0), 60);
		for (unsigned int guest = 1; guest < 5; guest++)
			assert_int_equal(take_all(guest), 10);
		give(0, 20);
		assert_int_equal(take_all(1), 20);
		assert_false(vsw_quota_take(0));
		give(0, 40);
		give(1, 30);
		assert_int_equal(take_all(2), 50);
		give(2, 60);
		give(3, 10);
		give(4, 10);
	}
}

static void
test_fewer_than_guests(void **state)
{
	vsw_quota_init(3, 5); /* no share, 3 for whoever comes first */
	assert_int_equal(take_all(0), 3);
	assert_int_equal(take_all(1), 0);
	give(0, 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_limit_there_is_none),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_fewer_than_guests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
