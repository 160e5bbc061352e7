/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves which lcore does what, for each kind of lcores and bridges, and what is said of bridges
 * and guests where there is no such lcore.
 */
#include <errno.h>
#include <string.h>

#include "vsw_test.h"

#include "vsw_base.h"
#include "vsw_layout.h"

static struct vsw_conf conf;
static struct vsw_layout layout;
static char error[VSW_CONF_ERROR_SIZE];

static int
lay_out(const char *lcores, unsigned int main_lcore, const char *bridges)
{
	struct vsw_lcores set;

	memset(&conf.bridge_lcores, 0, sizeof(conf.bridge_lcores));
	assert_null(vsw_lcores_read(&set, lcores));
	if (bridges != NULL)
		assert_null(vsw_lcores_read(&conf.bridge_lcores, bridges));
	return vsw_layout_make(&layout, &set, main_lcore, &conf, error);
}

static void
test_who_polls_and_who_bridges(void **state)
{
	static const struct {
		const char *lcores;
		unsigned int main_lcore;
		const char *bridges, *bridge, *poll;
	} cases[] = {
		{"0", 0, NULL, "0", "0"},
		{"5", 5, "5", "5", "5"},
		{"0-2", 0, NULL, "0", "1-2"},
		{"0-2", 1, NULL, "1", "0,2"},
		{"0-3", 0, "2,3", "2-3", "1"},
		{"0-3", 0, "0,3", "0,3", "1-2"},
		{"0-3", 3, "1", "1", "0,2"},
		/* all workers bridge: all poll as well */
		{"0-1", 0, "1", "1", "1"},
		{"0-2", 0, "1,2", "1-2", "1-2"},
		{"0-2", 0, "0-2", "0-2", "1-2"},
		{"3-6", 3, "4-6", "4-6", "4-6"},
	};
	char list[64];

	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		assert_int_equal(lay_out(cases[i].lcores, cases[i].main_lcore, cases[i].bridges),
				 0);
		assert_int_equal(layout.main_lcore, cases[i].main_lcore);
		assert_string_equal(vsw_lcores_write(&layout.bridge, list, sizeof(list)),
				    cases[i].bridge);
		assert_string_equal(vsw_lcores_write(&layout.poll, list, sizeof(list)),
				    cases[i].poll);
	}
}

static void
test_bridges_must_be_lcores(void **state)
{
	conf.bridge_lcores_at = (struct vsw_conf_pos){0};
	assert_int_equal(lay_out("0-3", 0, "3-4"), -EINVAL);
	assert_string_equal(error,
			    "--bridge-lcores: lcore 4 is none of the EAL's (-l), which are 0-3");
	strcpy(conf.file, "f.yaml");
	conf.bridge_lcores_at = (struct vsw_conf_pos){7, 9};
	assert_int_equal(lay_out("0-1,5", 0, "1023"), -EINVAL);
	assert_string_equal(error, "f.yaml:7:9: bridge_lcores: lcore 1023 is none of the EAL's "
				   "(-l), which are 0-1,5");
}

static void
test_guests_must_be_where_it_is_polled(void **state)
{
	char why[VSW_WHY_SIZE];

	assert_int_equal(lay_out("0-5", 0, "1"), 0);
	for (int32_t lcore = -1; lcore < 8; lcore++)
		assert_int_equal(vsw_layout_check_lcore(&layout, lcore, why),
				 lcore == -1 || (lcore >= 2 && lcore <= 5) ? 0 : -EINVAL);
	assert_int_equal(vsw_layout_check_lcore(&layout, INT32_MAX, why), -EINVAL);

	conf.n_guests = 1;
	conf.guest[0].spec.cid = 3;
	conf.guest[0].spec.lcore = 1;
	assert_int_equal(lay_out("0-5", 0, "1"), -EINVAL);
	assert_string_equal(error, "--vm guest-cid=3: lcore: lcore 1 polls no guests; of the EAL's "
				   "lcores (-l) these do: 2-5");
	conf.guest[0].spec.lcore = 5;
	assert_int_equal(lay_out("0-5", 0, "1"), 0);
	conf.n_guests = 0;
}

static void
test_long_lists_are_cut_off(void **state)
{
	struct vsw_lcores lcores = {0};
	char list[9];

	for (unsigned int i = 0; i < VSW_LCORES_MAX; i += 2)
		vsw_lcores_add(&lcores, i);
	assert_string_equal(vsw_lcores_write(&lcores, list, sizeof(list)), "0,2,4,6,");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_polls_and_who_bridges),
		cmocka_unit_test(test_bridges_must_be_lcores),
		cmocka_unit_test(test_guests_must_be_where_it_is_polled),
		cmocka_unit_test(test_long_lists_are_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
