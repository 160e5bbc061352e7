/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The 44-byte header, virtio 1.2, 5.10.6:
 *
 *   0 src_cid 64 | 8 dst_cid 64 | 16 src_port 32 | 20 dst_port 32 | 24 len 32
 *   28 type 16 | 30 op 16 | 32 flags 32 | 36 buf_alloc 32 | 40 fwd_cnt 32
 */
#include "vsw_packet.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

#include "vsw_limits.h"

struct wire_hdr {
	uint64_t src_cid;
	uint64_t dst_cid;
	uint32_t src_port;
	uint32_t dst_port;
	uint32_t len;
	uint16_t type;
	uint16_t op;
	uint32_t flags;
	uint32_t buf_alloc;
	uint32_t fwd_cnt;
} __attribute__((packed));

_Static_assert(sizeof(struct wire_hdr) == VSW_PKT_HDR_LEN, "virtio 1.2, 5.10.6");

const char *
vsw_pkt_verdict_str(enum vsw_pkt_verdict verdict)
{
	static const char *const text[] = {
#define X(name, str) [VSW_PKT_##name] = str,
		VSW_PKT_VERDICT_TABLE(X)
#undef X
	};

	return (unsigned int)verdict < VSW_PKT_N_VERDICTS ? text[verdict] : "unknown";
}

const char *
vsw_pkt_op_str(uint16_t op)
{
	switch (op) {
#define X(name, value, text)                                                                       \
	case VSW_OP_##name:                                                                        \
		return text;
		VSW_OP_TABLE(X)
#undef X
	default:
		return "unknown";
	}
}

/* A CID is 32 bits; the upper half of the field is reserved and zero (virtio 1.2, 5.10.4). */
static uint32_t
decode_cid(uint64_t le_cid)
{
	uint64_t cid = le64toh(le_cid);

	return cid < VSW_CID_ANY ? (uint32_t)cid : VSW_CID_ANY;
}

static bool
len_fits(const struct vsw_pkt *pkt, uint32_t payload_len)
{
	if (pkt->op != VSW_OP_RW)
		return pkt->len == 0;
	return pkt->len <= payload_len && pkt->len <= VSW_PKT_PAYLOAD_MAX;
}

enum vsw_pkt_verdict
vsw_pkt_decode(struct vsw_pkt *pkt, const uint8_t *raw, uint32_t raw_len, uint32_t payload_len,
	       uint32_t guest_cid)
{
	struct wire_hdr wire;

	memset(pkt, 0, sizeof(*pkt));
	if (raw_len < sizeof(wire))
		return VSW_PKT_SHORT;
	memcpy(&wire, raw, sizeof(wire));

	pkt->src_cid = decode_cid(wire.src_cid);
	pkt->dst_cid = decode_cid(wire.dst_cid);
	pkt->src_port = le32toh(wire.src_port);
	pkt->dst_port = le32toh(wire.dst_port);
	pkt->len = le32toh(wire.len);
	pkt->type = le16toh(wire.type);
	pkt->op = le16toh(wire.op);
	pkt->flags = le32toh(wire.flags);
	pkt->buf_alloc = le32toh(wire.buf_alloc);
	pkt->fwd_cnt = le32toh(wire.fwd_cnt);

	if (pkt->src_cid == VSW_CID_ANY || pkt->dst_cid == VSW_CID_ANY)
		return VSW_PKT_BAD_CID;
	if (pkt->src_cid != guest_cid)
		return VSW_PKT_SPOOFED;
	if (pkt->op < VSW_OP_REQUEST || pkt->op > VSW_OP_CREDIT_REQUEST)
		return VSW_PKT_BAD_OP;
	if (!len_fits(pkt, payload_len))
		return VSW_PKT_BAD_LEN;
	if (pkt->op == VSW_OP_SHUTDOWN && (pkt->flags & ~VSW_SHUTDOWN_BOTH) != 0)
		return VSW_PKT_BAD_FLAGS;
	if (pkt->type != VSW_TYPE_STREAM)
		return VSW_PKT_BAD_TYPE;
	return VSW_PKT_OK;
}

void
vsw_pkt_encode(uint8_t raw[VSW_PKT_HDR_LEN], const struct vsw_pkt *pkt)
{
	const struct wire_hdr wire = {
		.src_cid = htole64(pkt->src_cid),
		.dst_cid = htole64(pkt->dst_cid),
		.src_port = htole32(pkt->src_port),
		.dst_port = htole32(pkt->dst_port),
		.len = htole32(pkt->len),
		.type = htole16(pkt->type),
		.op = htole16(pkt->op),
		.flags = htole32(pkt->flags),
		.buf_alloc = htole32(pkt->buf_alloc),
		.fwd_cnt = htole32(pkt->fwd_cnt),
	};

	memcpy(raw, &wire, sizeof(wire));
}
