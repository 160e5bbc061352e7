/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The few vhost-user messages that we look into before librte_vhost does. Its own
 * definitions are not installed; the layout is the protocol's (QEMU docs/interop/
 * vhost-user.rst) and is stable. Private to lib/vhost.
 */
#ifndef VSW_VHOST_MSG_H
#define VSW_VHOST_MSG_H

#include <stdbool.h>
#include <stdint.h>

#define VSW_VHOST_USER_NONE 0
#define VSW_VHOST_USER_GET_FEATURES 1
#define VSW_VHOST_USER_SET_FEATURES 2
#define VSW_VHOST_USER_SET_OWNER 3
#define VSW_VHOST_USER_RESET_OWNER 4
#define VSW_VHOST_USER_SET_MEM_TABLE 5
#define VSW_VHOST_USER_SET_VRING_NUM 8
#define VSW_VHOST_USER_SET_VRING_ADDR 9
#define VSW_VHOST_USER_SET_VRING_BASE 10
#define VSW_VHOST_USER_GET_VRING_BASE 11
#define VSW_VHOST_USER_SET_VRING_KICK 12
#define VSW_VHOST_USER_SET_VRING_CALL 13
#define VSW_VHOST_USER_SET_VRING_ERR 14
#define VSW_VHOST_USER_GET_PROTOCOL_FEATURES 15
#define VSW_VHOST_USER_SET_PROTOCOL_FEATURES 16
#define VSW_VHOST_USER_GET_QUEUE_NUM 17
#define VSW_VHOST_USER_SET_VRING_ENABLE 18
#define VSW_VHOST_USER_SET_BACKEND_REQ_FD 21
#define VSW_VHOST_USER_GET_CONFIG 24
#define VSW_VHOST_USER_RESET_DEVICE 34
#define VSW_VHOST_USER_ADD_MEM_REG 37
#define VSW_VHOST_USER_REM_MEM_REG 38

struct vsw_vhost_user_msg {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload */
	union {
		uint64_t u64;
		struct {
			uint32_t index;
			uint32_t num;
		} state; /* of GET_VRING_BASE */
		struct {
			uint32_t offset;
			uint32_t size;
			uint32_t flags;
			uint8_t region[256];
		} config; /* of GET_CONFIG */
	} payload;
} __attribute__((packed));

/** Fill the reply to GET_CONFIG: the 8-byte guest_cid (virtio 1.2, 5.10.4), zeroes beyond.
 * Sizes stay as they came: UML and QEMU insist on their echo. */
void vsw_vhost_answer_config(struct vsw_vhost_user_msg *msg, uint32_t cid);

/** Fill the reply to GET_QUEUE_NUM. librte_vhost would say 128, of which crosvm would make a
 * device of 128 queues; UML 7.3 and Cloud Hypervisor refuse fewer than 3. */
void vsw_vhost_answer_queue_num(struct vsw_vhost_user_msg *msg);

/** Must the poll lcore let go of the guest's memory before librte_vhost handles @p request? */
bool vsw_vhost_needs_quiesce(uint32_t request);

/** Does a ring that stops while @p request is handled stop for good (reset, reboot, VMM
 * gone), rather than for the time of an update? */
bool vsw_vhost_ends_life(uint32_t request);

#endif /* VSW_VHOST_MSG_H */
