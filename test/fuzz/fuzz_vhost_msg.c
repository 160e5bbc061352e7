/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user messages that vswd answers itself: whatever a VMM asks, the answer is the
 * guest's CID and zeroes, and no size or request number is changed that must come back as it
 * was. And what a request does to the rings: those that end the driver's life are among those
 * that must quiesce, ENABLE excepted, which does so by itself.
 *
 * Input: guest CID (4 bytes), then the message as it came over the socket.
 */
#include "fuzz.h"

#include "vhost_msg.h"

#define HDR_LEN 12
#define CONFIG_LEN (HDR_LEN + 12)

static void
check_config(const struct vsw_vhost_user_msg *before, uint32_t cid)
{
	struct vsw_vhost_user_msg msg = *before;
	uint64_t offset = before->payload.config.offset;

	vsw_vhost_answer_config(&msg, cid);
	CHECK(memcmp(&msg, before, CONFIG_LEN) == 0);
	for (uint64_t i = 0; i < sizeof(msg.payload.config.region); i++) {
		uint8_t byte = offset + i < 4 ? (uint8_t)(cid >> (8 * (offset + i))) : 0;

		CHECK(msg.payload.config.region[i] == byte);
	}
}

static void
check_queue_num(const struct vsw_vhost_user_msg *before)
{
	struct vsw_vhost_user_msg msg = *before;

	vsw_vhost_answer_queue_num(&msg);
	CHECK(msg.request == before->request && msg.flags == before->flags);
	CHECK(msg.size == 8 && msg.payload.u64 == 3);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint32_t cid = take_u32(&in);
	struct vsw_vhost_user_msg msg = {0};
	bool quiesce, ends;

	memcpy(&msg, in.next, in.len < sizeof(msg) ? in.len : sizeof(msg));
	check_config(&msg, cid);
	check_queue_num(&msg);
	quiesce = vsw_vhost_needs_quiesce(msg.request);
	ends = vsw_vhost_ends_life(msg.request);
	CHECK(!ends || quiesce || msg.request == VSW_VHOST_USER_SET_VRING_ENABLE);
	CHECK(ends || !quiesce || msg.request == VSW_VHOST_USER_SET_MEM_TABLE ||
	      msg.request == VSW_VHOST_USER_ADD_MEM_REG ||
	      msg.request == VSW_VHOST_USER_REM_MEM_REG);
	return 0;
}
