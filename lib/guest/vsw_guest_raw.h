/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * A synthetic guest that misbehaves: any packet, any vhost-user message. Its rings are right; who
 * wants others writes them himself (test/daemon/hostile.h).
 *
 * Calls here check nothing of what they are told to send. The well-behaved parts of the
 * guest go on working beside them.
 *
 * Thread-safety: the guest's thread.
 */
#ifndef VSW_GUEST_RAW_H
#define VSW_GUEST_RAW_H

#include "vsw_guest.h"
#include "vsw_packet.h"

/**
 * With @p is_raw, packets from the device are kept for vsw_guest_recv_pkt() instead of
 * reaching the sockets: nothing answers them. Switching off drops those kept.
 */
void vsw_guest_set_raw(struct vsw_guest *g, bool is_raw);

/**
 * Take the oldest kept packet.
 *
 * @param payload where to copy its payload, may be NULL; @p size bytes at most.
 * @return 0; -ETIMEDOUT.
 */
int vsw_guest_recv_pkt(struct vsw_guest *g, struct vsw_pkt *pkt, void *payload, size_t size,
		       int timeout_ms);

/** Send a packet in the configured shape, every field as given. @return 0; -EAGAIN. */
int vsw_guest_send_pkt(struct vsw_guest *g, const struct vsw_pkt *pkt, const void *payload,
		       size_t len);

/** As above, with the 44 bytes given. */
int vsw_guest_send_hdr(struct vsw_guest *g, const uint8_t hdr[VSW_PKT_HDR_LEN], const void *payload,
		       size_t len);

/** Wait until every chain on @p queue that was posted before has come back. */
int vsw_guest_wait_used(struct vsw_guest *g, enum vsw_guest_queue queue, int timeout_ms);

/** With @p is_held, used receive buffers are kept instead of posted again. */
void vsw_guest_hold_recv(struct vsw_guest *g, bool is_held);

/** Switch one ring on or off (SET_VRING_ENABLE) and nothing else. */
int vsw_guest_enable(struct vsw_guest *g, enum vsw_guest_queue queue, bool is_enabled);

/**
 * Give one ring a new call descriptor (SET_VRING_CALL) while it runs, and close the old one.
 * What the device signals on the old one until it has read the message is lost to the guest,
 * which is why a device must signal the new one once.
 */
int vsw_guest_replace_call(struct vsw_guest *g, enum vsw_guest_queue queue);

/** Send SET_MEM_TABLE with the table as it is. */
int vsw_guest_send_mem_table(struct vsw_guest *g);

/** vhost-user message numbers that callers of vsw_guest_vhost_send() need. */
enum vsw_guest_vhost_req {
	VSW_VHOST_GET_FEATURES = 1,
	VSW_VHOST_SET_FEATURES = 2,
	VSW_VHOST_SET_OWNER = 3,
	VSW_VHOST_RESET_OWNER = 4,
	VSW_VHOST_SET_MEM_TABLE = 5,
	VSW_VHOST_SET_VRING_NUM = 8,
	VSW_VHOST_SET_VRING_ADDR = 9,
	VSW_VHOST_SET_VRING_BASE = 10,
	VSW_VHOST_GET_VRING_BASE = 11,
	VSW_VHOST_SET_VRING_KICK = 12,
	VSW_VHOST_SET_VRING_CALL = 13,
	VSW_VHOST_GET_PROTOCOL_FEATURES = 15,
	VSW_VHOST_SET_PROTOCOL_FEATURES = 16,
	VSW_VHOST_GET_QUEUE_NUM = 17,
	VSW_VHOST_SET_VRING_ENABLE = 18,
	VSW_VHOST_SET_BACKEND_REQ_FD = 21,
	VSW_VHOST_GET_CONFIG = 24,
};

/**
 * Send any vhost-user message.
 *
 * @param flags added to the version: 8 asks for an acknowledgement.
 * @param fds   passed along, @p n_fds of them; stay the caller's.
 */
int vsw_guest_vhost_send(struct vsw_guest *g, uint32_t request, uint32_t flags, const void *payload,
			 uint32_t len, const int *fds, unsigned int n_fds);

/**
 * Receive one message. @param size capacity of @p reply. @return payload length; -EPIPE at
 * the end of the connection; -ETIMEDOUT; -EPROTO when it is not a reply to @p request.
 */
int vsw_guest_vhost_recv(struct vsw_guest *g, uint32_t request, void *reply, uint32_t size,
			 int timeout_ms);

#endif /* VSW_GUEST_RAW_H */
