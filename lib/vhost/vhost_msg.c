/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost_msg.h"

#include <endian.h>
#include <string.h>

#include "vsw_base.h"
#include "vsw_limits.h"

void
vsw_vhost_answer_config(struct vsw_vhost_user_msg *msg, uint32_t cid)
{
	const uint64_t guest_cid = htole64(cid);
	uint32_t offset = msg->payload.config.offset;

	memset(msg->payload.config.region, 0, sizeof(msg->payload.config.region));
	if (offset < sizeof(guest_cid))
		memcpy(msg->payload.config.region, (const uint8_t *)&guest_cid + offset,
		       sizeof(guest_cid) - offset);
}

void
vsw_vhost_answer_queue_num(struct vsw_vhost_user_msg *msg)
{
	msg->payload.u64 = VSW_VRINGS_MAX;
	msg->size = sizeof(msg->payload.u64);
}

bool
vsw_vhost_needs_quiesce(uint32_t request)
{
	switch (request) {
	case VSW_VHOST_USER_SET_MEM_TABLE:
	case VSW_VHOST_USER_ADD_MEM_REG:
	case VSW_VHOST_USER_REM_MEM_REG:
		return true;
	default:
		return vsw_vhost_ends_life(request) && request != VSW_VHOST_USER_SET_VRING_ENABLE;
	}
}

bool
vsw_vhost_ends_life(uint32_t request)
{
	switch (request) {
	case VSW_VHOST_USER_NONE: /* the socket was closed */
	case VSW_VHOST_USER_RESET_OWNER:
	case VSW_VHOST_USER_GET_VRING_BASE:
	case VSW_VHOST_USER_SET_VRING_ENABLE: /* UML's driver unbind is just ENABLE 0 */
	case VSW_VHOST_USER_RESET_DEVICE:
		return true;
	default: /* e.g. SET_VRING_CALL, which QEMU sends again right after the start */
		return false;
	}
}
