/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves who may talk to whom, for every pair of guests, and that every CID is found: those
 * that fall on the same place of the table, and as many guests as there may be.
 */
#include <stdlib.h>
#include <string.h>

#include "vsw_test.h"

#include "vsw_base.h"
#include "vsw_route.h"

static struct vsw_guest_conf conf[VSW_GUESTS_MAX];
static const struct vsw_guest_conf *guests[VSW_GUESTS_MAX];
static struct vsw_routes *routes;

static int
setup(void **state)
{
	memset(conf, 0, sizeof(conf));
	for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++) {
		conf[i].id = (uint16_t)i;
		conf[i].cid = 3 + i;
		conf[i].hairpin = true;
		conf[i].n_groups = 1;
		guests[i] = &conf[i];
	}
	return 0;
}

static int
teardown(void **state)
{
	vsw_routes_destroy(routes);
	routes = NULL;
	return 0;
}

static void
create(unsigned int n)
{
	routes = vsw_routes_create(guests, n);
	assert_non_null(routes);
}

static void
set_groups(unsigned int i, const uint16_t *group, uint8_t n)
{
	memcpy(conf[i].group, group, n * sizeof(*group));
	conf[i].n_groups = n;
}

static void
expect(unsigned int from, uint32_t cid, enum vsw_route_verdict verdict)
{
	const struct vsw_guest_conf *to = NULL;

	assert_int_equal(vsw_routes_find(routes, &conf[from], cid, &to), verdict);
	if (verdict == VSW_ROUTE_OK)
		assert_int_equal(to->cid, cid);
	else
		assert_null(to);
}

static void
test_groups_decide(void **state)
{
	static const uint16_t ab[] = {0, 1}, bc[] = {1, 2}, cd[] = {2, 3}, ad[] = {0, 3};

	set_groups(0, ab, 2);
	set_groups(1, bc, 2);
	set_groups(2, cd, 2);
	set_groups(3, ad, 2);
	set_groups(4, NULL, 0);
	create(5);
	for (unsigned int i = 0; i < 4; i++) {
		expect(i, conf[i].cid, VSW_ROUTE_OK);
		expect(i, conf[(i + 1) % 4].cid, VSW_ROUTE_OK);
		expect(i, conf[(i + 3) % 4].cid, VSW_ROUTE_OK);
		expect(i, conf[(i + 2) % 4].cid, VSW_ROUTE_FORBIDDEN);
		expect(i, conf[4].cid, VSW_ROUTE_FORBIDDEN);
		expect(4, conf[i].cid, VSW_ROUTE_FORBIDDEN);
	}
	expect(4, conf[4].cid, VSW_ROUTE_OK); /* hairpin needs no group */
}

static void
test_hairpin_can_be_off(void **state)
{
	conf[0].hairpin = false;
	create(2);
	expect(0, conf[0].cid, VSW_ROUTE_FORBIDDEN);
	expect(0, conf[1].cid, VSW_ROUTE_OK);
	expect(1, conf[0].cid, VSW_ROUTE_OK);
	expect(1, conf[1].cid, VSW_ROUTE_OK);
}

static void
test_unknown_cids(void **state)
{
	create(2);
	expect(0, 0, VSW_ROUTE_UNKNOWN);
	expect(0, 1, VSW_ROUTE_UNKNOWN);
	expect(0, 2, VSW_ROUTE_HOST);
	expect(0, 5, VSW_ROUTE_UNKNOWN);
	expect(0, UINT32_MAX, VSW_ROUTE_UNKNOWN);
	vsw_routes_destroy(routes);
	create(0);
	expect(0, 3, VSW_ROUTE_UNKNOWN);
}

/* Guest 1 takes 3, which guest 0 is, and 77, which nobody is, for the host. */
static void
test_the_host_has_more_cids_for_some(void **state)
{
	conf[1].n_host_cids = 2;
	conf[1].host_cid[0] = 3;
	conf[1].host_cid[1] = 77;
	create(3);
	conf[1].n_host_cids = 0; /* routes keep what was when they were made */
	expect(1, 2, VSW_ROUTE_HOST);
	expect(1, 3, VSW_ROUTE_HOST);
	expect(1, 77, VSW_ROUTE_HOST);
	expect(1, 5, VSW_ROUTE_OK);
	expect(1, 4, VSW_ROUTE_OK);
	expect(0, 77, VSW_ROUTE_UNKNOWN);
	expect(0, 4, VSW_ROUTE_FORBIDDEN); /* guest 1 could not tell it from the host */
	expect(0, 5, VSW_ROUTE_OK);
	expect(2, 3, VSW_ROUTE_OK);
	expect(2, 4, VSW_ROUTE_OK);
}

static void
test_every_guest_is_found(void **state)
{
	static const uint32_t strides[] = {1, 2, 1024, 4096, 0x10000, 0x9e3779b1};

	for (size_t s = 0; s < VSW_ARRAY_SIZE(strides); s++) {
		for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++) {
			/* Permissions go by id, not by place. */
			conf[i].cid = 3 + i * strides[s];
			conf[i].id = (uint16_t)(VSW_GUESTS_MAX - 1 - i);
			conf[i].group[0] = (uint16_t)(i % 2);
		}
		create(VSW_GUESTS_MAX);
		for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++) {
			expect(7, conf[i].cid, i % 2 == 1 ? VSW_ROUTE_OK : VSW_ROUTE_FORBIDDEN);
			expect(i, conf[7].cid, i % 2 == 1 ? VSW_ROUTE_OK : VSW_ROUTE_FORBIDDEN);
		}
		expect(0, 2, VSW_ROUTE_HOST);
		vsw_routes_destroy(routes);
		routes = NULL;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_groups_decide, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hairpin_can_be_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_cids, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_host_has_more_cids_for_some, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_every_guest_is_found, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
