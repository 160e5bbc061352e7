/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The virtio-vsock packet header: its wire format, a decoded form, and the checks a header
 * from a guest must pass before anybody uses it.
 *
 * The header is 44 bytes, little-endian, packed (virtio 1.2, 5.10.6). It is copied out of
 * guest memory once; everything here works on that copy, so that a guest which changes the
 * original afterwards changes nothing.
 *
 * Thread-safety: pure functions, any thread.
 */
#ifndef VSW_PACKET_H
#define VSW_PACKET_H

#include <stdint.h>

/** Size of the header on the wire, bytes. */
#define VSW_PKT_HDR_LEN 44

/** Well-known context identifiers (virtio 1.2, 5.10.4; vsock(7)). */
#define VSW_CID_HYPERVISOR 0u
#define VSW_CID_LOCAL 1u
#define VSW_CID_HOST 2u
#define VSW_CID_ANY UINT32_MAX

/** The lowest and highest CID that a guest may have. */
#define VSW_CID_GUEST_MIN 3u
#define VSW_CID_GUEST_MAX (UINT32_MAX - 1)

/** virtio_vsock_type (virtio 1.2, 5.10.6). */
enum vsw_pkt_type {
	VSW_TYPE_STREAM = 1,
	VSW_TYPE_SEQPACKET = 2,
};

/** virtio_vsock_op (virtio 1.2, 5.10.6). */
#define VSW_OP_TABLE(X)                                                                            \
	X(INVALID, 0, "invalid")                                                                   \
	X(REQUEST, 1, "request")                                                                   \
	X(RESPONSE, 2, "response")                                                                 \
	X(RST, 3, "rst")                                                                           \
	X(SHUTDOWN, 4, "shutdown")                                                                 \
	X(RW, 5, "rw")                                                                             \
	X(CREDIT_UPDATE, 6, "credit-update")                                                       \
	X(CREDIT_REQUEST, 7, "credit-request")

enum vsw_pkt_op {
#define X(name, value, text) VSW_OP_##name = value,
	VSW_OP_TABLE(X)
#undef X
};

/** Flags of VSW_OP_SHUTDOWN: what the sender of the packet will not do any more. */
#define VSW_SHUTDOWN_RCV 1u
#define VSW_SHUTDOWN_SEND 2u
#define VSW_SHUTDOWN_BOTH (VSW_SHUTDOWN_RCV | VSW_SHUTDOWN_SEND)

/** Event of the event queue (virtio 1.2, 5.10.6.7): forget all connections. */
#define VSW_EVENT_TRANSPORT_RESET 0u

/** A header in host byte order. */
struct vsw_pkt {
	uint32_t src_cid;
	uint32_t dst_cid;
	uint32_t src_port;
	uint32_t dst_port;
	uint32_t len;  /**< payload bytes after the header */
	uint16_t type; /**< enum vsw_pkt_type, unchecked values included */
	uint16_t op;   /**< enum vsw_pkt_op */
	uint32_t flags;
	uint32_t buf_alloc; /**< receive window of the sender, bytes */
	uint32_t fwd_cnt;   /**< bytes the sender has taken out of that window, mod 2^32 */
};

/**
 * What a header from a guest is worth. All but OK and BAD_TYPE are malformed: they are
 * counted and answered by nothing, because their addresses cannot be trusted either.
 */
#define VSW_PKT_VERDICT_TABLE(X)                                                                   \
	X(OK, "ok")                                                                                \
	X(SHORT, "chain shorter than a header")                                                    \
	X(BAD_CID, "source or destination is not a 32-bit CID")                                    \
	X(SPOOFED, "source is not the guest's own CID")                                            \
	X(BAD_OP, "unknown operation")                                                             \
	X(BAD_LEN, "length does not fit the chain, the operation or 64 KiB")                       \
	X(BAD_FLAGS, "flags the operation does not have")                                          \
	X(BAD_TYPE, "socket type the switch does not serve")

enum vsw_pkt_verdict {
#define X(name, text) VSW_PKT_##name,
	VSW_PKT_VERDICT_TABLE(X)
#undef X
		VSW_PKT_N_VERDICTS
};

/** One sentence for @p verdict; never NULL. Static storage. */
const char *vsw_pkt_verdict_str(enum vsw_pkt_verdict verdict);

/** Name of an operation; "unknown" for a value that is none. Static storage. */
const char *vsw_pkt_op_str(uint16_t op);

/**
 * Decode and check a header that a guest sent.
 *
 * @param pkt      out: every field that was readable, also for verdicts other than OK, so
 *                 that a packet of an unserved type can be answered by RST. CIDs that do
 *                 not fit 32 bits become VSW_CID_ANY.
 * @param raw      the header as copied from guest memory, @p raw_len bytes of it.
 * @param raw_len  bytes readable at @p raw; fewer than 44 give VSW_PKT_SHORT and leave
 *                 @p pkt zeroed.
 * @param payload_len bytes that the chain carries after the header.
 * @param guest_cid CID of the guest that sent it; any other source is VSW_PKT_SPOOFED.
 * @return the verdict; the first of the table's order that applies.
 *
 * A chain may be longer than header and `len` (the rest is ignored), not shorter. Only
 * VSW_OP_RW carries payload. `flags` of operations other than SHUTDOWN and RW are reserved:
 * a device ignores what a driver puts there; SHUTDOWN takes the two bits above and no
 * other, and RW of a stream has none but old drivers do not clear them, so they are ignored.
 */
enum vsw_pkt_verdict vsw_pkt_decode(struct vsw_pkt *pkt, const uint8_t *raw, uint32_t raw_len,
				    uint32_t payload_len, uint32_t guest_cid);

/** Encode @p pkt into 44 bytes at @p raw. */
void vsw_pkt_encode(uint8_t raw[VSW_PKT_HDR_LEN], const struct vsw_pkt *pkt);

#endif /* VSW_PACKET_H */
