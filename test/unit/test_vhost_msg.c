/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves what vswd answers to GET_CONFIG and GET_QUEUE_NUM, byte for byte, and which
 * vhost-user messages stop the rings and which of them end the guest's connections.
 */
#include <string.h>

#include "vsw_test.h"

#include "vsw_base.h"
#include "vhost_msg.h"

#define CID 0x04030201u

static void
test_layout_is_the_protocols(void **state)
{
	assert_int_equal(offsetof(struct vsw_vhost_user_msg, request), 0);
	assert_int_equal(offsetof(struct vsw_vhost_user_msg, flags), 4);
	assert_int_equal(offsetof(struct vsw_vhost_user_msg, size), 8);
	assert_int_equal(offsetof(struct vsw_vhost_user_msg, payload), 12);
	assert_int_equal(offsetof(struct vsw_vhost_user_msg, payload.state.index), 12);
	assert_int_equal(offsetof(struct vsw_vhost_user_msg, payload.config.offset), 12);
	assert_int_equal(offsetof(struct vsw_vhost_user_msg, payload.config.region), 24);
	assert_int_equal(sizeof(((struct vsw_vhost_user_msg *)0)->payload.config.region), 256);
}

/* guest_cid is a le64 at offset 0; there is nothing behind it. */
static void
test_config_is_the_cid_at_any_offset(void **state)
{
	static const uint8_t config[256] = {1, 2, 3, 4};

	for (uint32_t offset = 0; offset <= 256; offset++) {
		struct vsw_vhost_user_msg msg = {.request = VSW_VHOST_USER_GET_CONFIG,
						 .flags = 0x1,
						 .size = 12 + (256 - offset)};
		uint8_t expected[256] = {0};

		memset(msg.payload.config.region, 0xee, sizeof(msg.payload.config.region));
		msg.payload.config.offset = offset;
		msg.payload.config.size = 256 - offset;
		msg.payload.config.flags = 0;
		memcpy(expected, config + offset, 256 - offset);
		vsw_vhost_answer_config(&msg, CID);
		assert_memory_equal(msg.payload.config.region, expected, sizeof(expected));
		/* the echo that VMMs insist on */
		assert_int_equal(msg.request, VSW_VHOST_USER_GET_CONFIG);
		assert_int_equal(msg.flags, 0x1);
		assert_int_equal(msg.size, 12 + (256 - offset));
		assert_int_equal(msg.payload.config.offset, offset);
		assert_int_equal(msg.payload.config.size, 256 - offset);
	}
}

static void
test_config_at_absurd_offsets_is_zero(void **state)
{
	static const uint32_t offsets[] = {257, 4096, 1u << 31, UINT32_MAX - 7, UINT32_MAX};
	static const uint8_t zeroes[256];

	for (size_t i = 0; i < VSW_ARRAY_SIZE(offsets); i++) {
		struct vsw_vhost_user_msg msg = {.payload.config.offset = offsets[i]};

		memset(msg.payload.config.region, 0xee, sizeof(msg.payload.config.region));
		vsw_vhost_answer_config(&msg, UINT32_MAX - 1);
		assert_memory_equal(msg.payload.config.region, zeroes, sizeof(zeroes));
	}
}

static void
test_three_queues(void **state)
{
	struct vsw_vhost_user_msg msg = {.request = VSW_VHOST_USER_GET_QUEUE_NUM};

	vsw_vhost_answer_queue_num(&msg);
	assert_int_equal(msg.payload.u64, 3);
	assert_int_equal(msg.size, 8);
}

/* By number, from the protocol's table: QEMU docs/interop/vhost-user.rst. */
static const struct {
	uint32_t request;
	const char *name;
	bool needs_quiesce, ends_life;
} requests[] = {
	{0, "none: the socket was closed", true, true},
	{1, "GET_FEATURES", false, false},
	{2, "SET_FEATURES", false, false},
	{3, "SET_OWNER", false, false},
	{4, "RESET_OWNER", true, true},
	{5, "SET_MEM_TABLE", true, false},
	{6, "SET_LOG_BASE", false, false},
	{7, "SET_LOG_FD", false, false},
	{8, "SET_VRING_NUM", false, false},
	{9, "SET_VRING_ADDR", false, false},
	{10, "SET_VRING_BASE", false, false},
	{11, "GET_VRING_BASE", true, true},
	{12, "SET_VRING_KICK", false, false},
	{13, "SET_VRING_CALL", false, false},
	{14, "SET_VRING_ERR", false, false},
	{15, "GET_PROTOCOL_FEATURES", false, false},
	{16, "SET_PROTOCOL_FEATURES", false, false},
	{17, "GET_QUEUE_NUM", false, false},
	/* its 1 and its 0 come here alike; only the 0 stops a ring */
	{18, "SET_VRING_ENABLE", false, true},
	{21, "SET_BACKEND_REQ_FD", false, false},
	{24, "GET_CONFIG", false, false},
	{25, "SET_CONFIG", false, false},
	{34, "RESET_DEVICE", true, true},
	{36, "GET_MAX_MEM_SLOTS", false, false},
	{37, "ADD_MEM_REG", true, false},
	{38, "REM_MEM_REG", true, false},
	{39, "SET_STATUS", false, false},
	{UINT32_MAX, "no request", false, false},
};

static void
test_what_stops_and_what_ends(void **state)
{
	for (size_t i = 0; i < VSW_ARRAY_SIZE(requests); i++) {
		if (vsw_vhost_needs_quiesce(requests[i].request) != requests[i].needs_quiesce)
			fail_msg("%s: needs_quiesce", requests[i].name);
		if (vsw_vhost_ends_life(requests[i].request) != requests[i].ends_life)
			fail_msg("%s: ends_life", requests[i].name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout_is_the_protocols),
		cmocka_unit_test(test_config_is_the_cid_at_any_offset),
		cmocka_unit_test(test_config_at_absurd_offsets_is_zero),
		cmocka_unit_test(test_three_queues),
		cmocka_unit_test(test_what_stops_and_what_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
