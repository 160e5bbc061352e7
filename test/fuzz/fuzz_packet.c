/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packet codec: the verdict over any header is the one that a second reader, written from
 * the contract in vsw_packet.h, comes to; what was decoded encodes to the same bytes.
 *
 * Input: guest CID (4 bytes), payload length (4), the header's bytes.
 */
#include "fuzz.h"

#include "vsw_limits.h"
#include "vsw_packet.h"

static uint64_t
field(const uint8_t *raw, unsigned int at, unsigned int n_bytes)
{
	uint64_t value = 0;

	for (unsigned int i = n_bytes; i > 0; i--)
		value = value << 8 | raw[at + i - 1];
	return value;
}

static enum vsw_pkt_verdict
expected(const uint8_t *raw, size_t raw_len, uint32_t payload_len, uint32_t guest_cid)
{
	uint64_t op, len;

	if (raw_len < 44)
		return VSW_PKT_SHORT;
	if (field(raw, 0, 8) >= UINT32_MAX || field(raw, 8, 8) >= UINT32_MAX)
		return VSW_PKT_BAD_CID;
	if (field(raw, 0, 8) != guest_cid)
		return VSW_PKT_SPOOFED;
	op = field(raw, 30, 2);
	len = field(raw, 24, 4);
	if (op == 0 || op > 7)
		return VSW_PKT_BAD_OP;
	if (op == 5 ? len > payload_len || len > 65536 : len != 0)
		return VSW_PKT_BAD_LEN;
	if (op == 4 && field(raw, 32, 4) > 3)
		return VSW_PKT_BAD_FLAGS;
	return field(raw, 28, 2) == 1 ? VSW_PKT_OK : VSW_PKT_BAD_TYPE;
}

/* All fields were readable: they come back as they were, CIDs that do not fit excepted. */
static void
check_round_trip(const struct vsw_pkt *pkt, const uint8_t *raw)
{
	uint8_t again[VSW_PKT_HDR_LEN];

	vsw_pkt_encode(again, pkt);
	CHECK(memcmp(again + 16, raw + 16, sizeof(again) - 16) == 0);
	for (unsigned int at = 0; at < 16; at += 8) {
		uint64_t cid = field(raw, at, 8);

		CHECK(field(again, at, 8) == (cid < UINT32_MAX ? cid : UINT32_MAX));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct vsw_pkt nothing;
	struct input in = {data, size};
	uint32_t guest_cid = take_u32(&in);
	uint32_t payload_len = take_u32(&in);
	enum vsw_pkt_verdict verdict;
	struct vsw_pkt pkt;

	memset(&pkt, 0xee, sizeof(pkt));
	verdict = vsw_pkt_decode(&pkt, in.next, (uint32_t)in.len, payload_len, guest_cid);
	CHECK(verdict == expected(in.next, in.len, payload_len, guest_cid));
	CHECK(vsw_pkt_verdict_str(verdict) != NULL && vsw_pkt_op_str(pkt.op) != NULL);
	if (verdict == VSW_PKT_SHORT)
		CHECK(memcmp(&pkt, &nothing, sizeof(pkt)) == 0);
	else
		check_round_trip(&pkt, in.next);
	return 0;
}
