/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that JSON and the values of the switch say the same of a guest: every key there is, both
 * ways, and what is wrong with it.
 */
#include <errno.h>
#include <string.h>

#include "vsw_test.h"

#include "json.h"
#include "vsw_base.h"

static struct vsw_guest_spec spec;
static char error[VSW_ERROR_SIZE];

static json_t *
parse(const char *text)
{
	json_error_t where;
	json_t *json = json_loads(text, 0, &where);

	if (json == NULL)
		fail_msg("%s: %s", text, where.text);
	return json;
}

static int
apply(const char *text)
{
	json_t *json = parse(text);
	int rc = json_to_spec(json, &spec, error);

	json_decref(json);
	return rc;
}

static int
setup(void **state)
{
	vsw_guest_spec_init(&spec);
	return 0;
}

static const char all[] =
	"{\"name\": \"web\", \"guest_cid\": 4294967294, \"socket\": \"/s\", \"uds_path\": \"/u\","
	" \"forward_cid\": null, \"forward_listen\": [],"
	" \"forward\": [{\"listen\": \"/a+b:c\", \"port\": 80}, {\"listen\": \"/d\", \"port\": 0}],"
	" \"host_cids\": [3, 4],"
	" \"tx_buffer_size\": 4096, \"queue_size\": 256, \"groups\": [\"a\", \"b\"],"
	" \"hairpin\": false, \"lcore\": 2, \"client\": true, \"socket_mode\": \"0640\","
	" \"socket_owner\": 1, \"socket_group\": 2,"
	" \"limits\": {\"connections\": 5, \"handshakes\": 6, \"loans\": 7, \"spill_bytes\": 8}}";

static void
test_every_key_goes_both_ways(void **state)
{
	json_t *json, *wanted = parse(all);

	assert_int_equal(apply(all), 0);
	assert_string_equal(spec.name, "web");
	assert_int_equal(spec.cid, 4294967294u);
	assert_int_equal(spec.socket_mode, 0640);
	assert_int_equal(spec.max_loans, 7);
	json = json_of_spec(&spec);
	assert_non_null(json);
	if (!json_equal(json, wanted))
		fail_msg("%s", json_dumps(json, 0));
	json_decref(wanted);
	json_decref(json);
}

/* A key that comes to the table of keys must come to JSON, too. */
static void
test_no_key_is_missing(void **state)
{
	json_t *json = json_of_spec(&spec);
	char name[VSW_NAME_SIZE];

	for (unsigned int i = 0; vsw_guest_spec_key_at(i) != NULL; i++) {
		const char *key = vsw_guest_spec_key_at(i);
		const json_t *at = json;

		if (strncmp(key, "limit-", 6) == 0) {
			at = json_object_get(json, "limits");
			key += 6;
		}
		if (json_object_get(at, vsw_key_in_yaml(key, name, sizeof(name))) == NULL)
			fail_msg("%s is not told in JSON", key);
	}
	json_decref(json);
}

static void
test_null_is_the_default(void **state)
{
	struct vsw_guest_spec def = spec;
	json_t *json = json_object();
	const char *key;
	json_t *value, *guest = json_of_spec(&spec);

	json_object_foreach(guest, key, value) json_object_set_new(json, key, json_null());
	assert_int_equal(apply(all), 0);
	assert_int_equal(json_to_spec(json, &spec, error), 0);
	assert_int_equal(vsw_guest_spec_diff(&spec, &def), 0);
	json_decref(json);
	json_decref(guest);

	assert_int_equal(apply(all), 0);
	assert_int_equal(apply("{\"limits\": {\"loans\": null}}"), 0);
	assert_int_equal(spec.max_loans, def.max_loans);
	assert_int_equal(spec.max_connections, 5);
}

static void
test_mistakes_name_the_key_and_change_nothing(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"{\"name\": \"x\", \"guest_cid\": 1}", "guest_cid: 1 is wrong"},
		{"{\"guest_cid\": \"7\"}", "guest_cid: it is a number"},
		{"{\"guest_cid\": 1e3}", "guest_cid: it is a number"},
		{"{\"socket\": 1}", "socket: it is a string"},
		{"{\"socket\": \"\"}", "socket: it needs a value"},
		{"{\"client\": 1}", "client: it is true or false"},
		{"{\"groups\": {}}", "groups: it is a list of strings"},
		{"{\"groups\": [\"a\", 1]}", "groups: it is a list of strings"},
		{"{\"groups\": [\"\"]}", "groups: "},
		{"{\"forward\": 80}", "forward: it is a list, as in [{"},
		{"{\"forward\": [80]}", "forward: it is a list of objects"},
		{"{\"forward\": [{\"listen\": \"/x\"}]}", "forward: it is a list of objects as in"},
		{"{\"forward\": [{\"listen\": \"/x\", \"port\": \"80\"}]}",
		 "forward: it is a list of"},
		{"{\"forward\": [{\"listen\": \"/x\", \"port\": 80, \"x\": 1}]}",
		 "forward: it is a"},
		{"{\"forward\": [{\"listen\": \"/x\", \"port\": -1}]}",
		 "forward: /x:-1 is wrong, it is"},
		{"{\"forward\": [\"/x:80\", \"/x:81\"]}",
		 "forward: /x:81 is wrong, this path is there"},
		{"{\"forward\": \"/x\"}", "forward: /x is wrong, it is PATH:PORT"},
		{"{\"host_cids\": [2]}", "host_cids: 2 is wrong, it is CIDs from 3"},
		{"{\"host_cids\": [true]}", "host_cids: it is a list of numbers"},
		{"{\"host_cids\": [[3]]}", "host_cids: it is a list of numbers"},
		{"{\"limits\": 1}", "limits: it is an object"},
		{"{\"limits\": {\"x\": 1}}", "limits: unknown field 'x'; known are connections"},
		{"{\"limits\": {\"loans\": \"1\"}}", "limits: loans: it is a number"},
		{"{\"queue_size\": 3}", "queue_size: 3 is wrong"},
		{"{\"guest-cid\": 3}", "unknown field 'guest-cid'; known are name, guest_cid, "},
		{"{\"forward_cid\": -1}", "forward_cid: -1 is wrong, it is an AF_VSOCK CID"},
	};
	struct vsw_guest_spec before;

	assert_int_equal(apply(all), 0);
	before = spec;
	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		assert_int_equal(apply(cases[i].text), -EINVAL);
		if (strncmp(error, cases[i].says, strlen(cases[i].says)) != 0)
			fail_msg("wanted '%s...', got '%s'", cases[i].says, error);
		assert_memory_equal(&spec, &before, sizeof(spec));
	}
}

static void
test_paths_that_are_no_utf8_are_told_all_the_same(void **state)
{
	json_t *json;

	strcpy(spec.socket, "/run/\xff");
	json = json_of_spec(&spec);
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "socket")), "/run/?");
	json_decref(json);
}

static void
test_log_levels(void **state)
{
	assert_int_equal(json_log_level("debug"), 8);
	assert_int_equal(json_log_level("emergency"), 1);
	assert_int_equal(json_log_level("3"), 3);
	for (uint32_t i = 1; i <= 8; i++)
		assert_int_equal(json_log_level(json_log_level_str(i)), i);
	assert_int_equal(json_log_level(""), 0);
	assert_int_equal(json_log_level("9"), 0);
	assert_int_equal(json_log_level("33"), 0);
}

static void
test_conns_and_lcores(void **state)
{
	struct vsw_conn_info conn = {.id = 1ull << 52, .far_port = UINT32_MAX, .state = "closing"};
	struct vsw_lcore_info lcore = {.lcore = 3, .is_poll = true, .stats = {10, 30, 2, 1}};
	json_t *json = json_of_conn(&conn);

	assert_true(json_integer_value(json_object_get(json, "id")) == 1ll << 52);
	assert_true(json_integer_value(json_object_get(json, "far_port")) == UINT32_MAX);
	json_decref(json);
	json = json_of_lcore(&lcore);
	assert_int_equal(json_integer_value(json_object_get(json, "idle_cycles")), 20);
	json_decref(json);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_every_key_goes_both_ways, setup),
		cmocka_unit_test_setup(test_no_key_is_missing, setup),
		cmocka_unit_test_setup(test_null_is_the_default, setup),
		cmocka_unit_test_setup(test_mistakes_name_the_key_and_change_nothing, setup),
		cmocka_unit_test_setup(test_paths_that_are_no_utf8_are_told_all_the_same, setup),
		cmocka_unit_test(test_log_levels),
		cmocka_unit_test(test_conns_and_lcores),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
