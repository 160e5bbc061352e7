/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that a header survives encode and decode bit by bit, and that each malformed
 * header gets the verdict of the contract, whatever else is wrong with it later.
 */
#include <string.h>

#include "vsw_test.h"

#include "vsw_base.h"
#include "vsw_limits.h"
#include "vsw_packet.h"

#define GUEST_CID 3

static const struct vsw_pkt request = {
	.src_cid = GUEST_CID,
	.dst_cid = VSW_CID_HOST,
	.src_port = 1024,
	.dst_port = 52,
	.type = VSW_TYPE_STREAM,
	.op = VSW_OP_REQUEST,
	.buf_alloc = 262144,
	.fwd_cnt = 7,
};

static void
test_encode_matches_the_wire_format(void **state)
{
	static const uint8_t wire[VSW_PKT_HDR_LEN] = {
		3,    0,    0,    0,    0, 0, 0, 0, /* src_cid */
		2,    0,    0,    0,    0, 0, 0, 0, /* dst_cid */
		0x04, 0x03, 0x02, 0x01,             /* src_port */
		0x08, 0x07, 0x06, 0x05,             /* dst_port */
		0x0c, 0x0b, 0x0a, 0x09,             /* len */
		0x01, 0x00,                         /* type */
		0x05, 0x00,                         /* op */
		0x10, 0x0f, 0x0e, 0x0d,             /* flags */
		0x14, 0x13, 0x12, 0x11,             /* buf_alloc */
		0x18, 0x17, 0x16, 0x15,             /* fwd_cnt */
	};
	const struct vsw_pkt pkt = {
		.src_cid = 3,
		.dst_cid = 2,
		.src_port = 0x01020304,
		.dst_port = 0x05060708,
		.len = 0x090a0b0c,
		.type = 1,
		.op = 5,
		.flags = 0x0d0e0f10,
		.buf_alloc = 0x11121314,
		.fwd_cnt = 0x15161718,
	};
	uint8_t raw[VSW_PKT_HDR_LEN];

	vsw_pkt_encode(raw, &pkt);
	assert_memory_equal(raw, wire, sizeof(wire));
}

static void
test_decode_returns_what_was_encoded(void **state)
{
	uint8_t raw[VSW_PKT_HDR_LEN];
	struct vsw_pkt out;

	vsw_pkt_encode(raw, &request);
	assert_int_equal(vsw_pkt_decode(&out, raw, sizeof(raw), 0, GUEST_CID), VSW_PKT_OK);
	assert_memory_equal(&out, &request, sizeof(out));
}

static void
test_decode_gives_each_fault_its_verdict(void **state)
{
	static const struct {
		const char *what;
		size_t offset; /* of the 8 bytes to overwrite, little-endian */
		uint64_t value;
		uint32_t n_bytes;
		uint32_t payload_len;
		enum vsw_pkt_verdict verdict;
	} cases[] = {
		{"src_cid above 32 bits", 0, 1ull << 32 | 3, 8, 0, VSW_PKT_BAD_CID},
		{"dst_cid above 32 bits", 8, 1ull << 32 | 2, 8, 0, VSW_PKT_BAD_CID},
		{"dst_cid any", 8, UINT32_MAX, 8, 0, VSW_PKT_BAD_CID},
		{"src_cid of a neighbour", 0, 4, 8, 0, VSW_PKT_SPOOFED},
		{"src_cid of the host", 0, 2, 8, 0, VSW_PKT_SPOOFED},
		{"op 0", 30, 0, 2, 0, VSW_PKT_BAD_OP},
		{"op 8", 30, 8, 2, 0, VSW_PKT_BAD_OP},
		{"request with length", 24, 1, 4, 1, VSW_PKT_BAD_LEN},
		{"type 0", 28, 0, 2, 0, VSW_PKT_BAD_TYPE},
		{"seqpacket", 28, 2, 2, 0, VSW_PKT_BAD_TYPE},
		{"datagram", 28, 3, 2, 0, VSW_PKT_BAD_TYPE},
		{"request with flags is served", 32, 0xffffffff, 4, 0, VSW_PKT_OK},
		{"request with spare bytes is served", 32, 0, 4, 100, VSW_PKT_OK},
	};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		uint8_t raw[VSW_PKT_HDR_LEN];
		struct vsw_pkt out;
		enum vsw_pkt_verdict verdict;

		vsw_pkt_encode(raw, &request);
		for (uint32_t b = 0; b < cases[i].n_bytes; b++)
			raw[cases[i].offset + b] = (uint8_t)(cases[i].value >> (8 * b));
		verdict = vsw_pkt_decode(&out, raw, sizeof(raw), cases[i].payload_len, GUEST_CID);
		if (verdict != cases[i].verdict)
			fail_msg("%s: got '%s'", cases[i].what, vsw_pkt_verdict_str(verdict));
	}
}

static void
test_decode_bounds_payload_by_chain_and_64k(void **state)
{
	static const struct {
		uint32_t len;
		uint32_t payload_len;
		enum vsw_pkt_verdict verdict;
	} cases[] = {
		{0, 0, VSW_PKT_OK},
		{1, 1, VSW_PKT_OK},
		{1, 2, VSW_PKT_OK},
		{2, 1, VSW_PKT_BAD_LEN},
		{VSW_PKT_PAYLOAD_MAX, VSW_PKT_PAYLOAD_MAX, VSW_PKT_OK},
		{VSW_PKT_PAYLOAD_MAX + 1, VSW_PKT_PAYLOAD_MAX + 1, VSW_PKT_BAD_LEN},
		{UINT32_MAX, UINT32_MAX, VSW_PKT_BAD_LEN},
	};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		uint8_t raw[VSW_PKT_HDR_LEN];
		struct vsw_pkt in = request, out;

		in.op = VSW_OP_RW;
		in.len = cases[i].len;
		vsw_pkt_encode(raw, &in);
		assert_int_equal(
			vsw_pkt_decode(&out, raw, sizeof(raw), cases[i].payload_len, GUEST_CID),
			cases[i].verdict);
	}
}

static void
test_decode_takes_only_the_two_shutdown_flags(void **state)
{
	for (uint32_t flags = 0; flags < 8; flags++) {
		uint8_t raw[VSW_PKT_HDR_LEN];
		struct vsw_pkt in = request, out;

		in.op = VSW_OP_SHUTDOWN;
		in.flags = flags;
		vsw_pkt_encode(raw, &in);
		assert_int_equal(vsw_pkt_decode(&out, raw, sizeof(raw), 0, GUEST_CID),
				 flags < 4 ? VSW_PKT_OK : VSW_PKT_BAD_FLAGS);
	}
}

static void
test_decode_refuses_every_short_header(void **state)
{
	uint8_t raw[VSW_PKT_HDR_LEN];
	struct vsw_pkt out;

	vsw_pkt_encode(raw, &request);
	for (uint32_t n = 0; n < VSW_PKT_HDR_LEN; n++) {
		static const struct vsw_pkt zero;

		assert_int_equal(vsw_pkt_decode(&out, raw, n, 0, GUEST_CID), VSW_PKT_SHORT);
		assert_memory_equal(&out, &zero, sizeof(zero));
	}
}

static void
test_names_exist_for_every_value(void **state)
{
	for (int v = 0; v < VSW_PKT_N_VERDICTS; v++)
		assert_string_not_equal(vsw_pkt_verdict_str(v), "unknown");
	assert_string_equal(vsw_pkt_verdict_str(VSW_PKT_N_VERDICTS), "unknown");
	assert_string_equal(vsw_pkt_op_str(VSW_OP_CREDIT_REQUEST), "credit-request");
	assert_string_equal(vsw_pkt_op_str(8), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encode_matches_the_wire_format),
		cmocka_unit_test(test_decode_returns_what_was_encoded),
		cmocka_unit_test(test_decode_gives_each_fault_its_verdict),
		cmocka_unit_test(test_decode_bounds_payload_by_chain_and_64k),
		cmocka_unit_test(test_decode_takes_only_the_two_shutdown_flags),
		cmocka_unit_test(test_decode_refuses_every_short_header),
		cmocka_unit_test(test_names_exist_for_every_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
