/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves the answers to packets that do not fit a connection: RST where the sender could be
 * waiting, nothing where an answer would be wrong, and no effect on anybody's stream.
 */
#include "raw.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void
test_packets_of_unknown_connections_get_rst(struct env *e)
{
	static const uint16_t ops[] = {
		VSW_OP_RESPONSE,      VSW_OP_SHUTDOWN,       VSW_OP_RW,
		VSW_OP_CREDIT_UPDATE, VSW_OP_CREDIT_REQUEST,
	};
	struct vsw_guest *g = guest_up(e, 0, NULL);

	vsw_guest_set_raw(g, true);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(ops); i++) {
		struct vsw_pkt pkt = raw_pkt(0, ops[i]), rst;

		pkt.src_port += (uint32_t)i;
		pkt.flags = ops[i] == VSW_OP_SHUTDOWN ? VSW_SHUTDOWN_BOTH : 0;
		pkt.len = ops[i] == VSW_OP_RW ? 4 : 0;
		raw_send(e, g, &pkt, "data", pkt.len);
		rst = raw_expect(e, g, VSW_OP_RST);
		check(e, rst.src_port == pkt.dst_port);
		check(e, rst.dst_port == pkt.src_port);
		check(e, rst.src_cid == VSW_CID_HOST);
	}
	raw_expect_quiet(e, g);
	raw_check_alive(e, g, 0);
}

static void
test_rst_is_never_answered(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct vsw_pkt pkt = raw_pkt(0, VSW_OP_RST);

	vsw_guest_set_raw(g, true);
	raw_send(e, g, &pkt, NULL, 0);
	pkt.type = VSW_TYPE_SEQPACKET;
	raw_send(e, g, &pkt, NULL, 0);
	pkt.type = VSW_TYPE_STREAM;
	pkt.dst_cid = 77;
	raw_send(e, g, &pkt, NULL, 0);
	raw_expect_quiet(e, g);
	raw_check_alive(e, g, 0);
}

static void
test_unserved_types_get_rst(struct env *e)
{
	static const uint16_t types[] = {0, VSW_TYPE_SEQPACKET, 3, 65535};
	struct vsw_guest *g = guest_up(e, 0, NULL);

	host_listen(e, 0, RAW_HOST_PORT, 8);
	vsw_guest_set_raw(g, true);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(types); i++) {
		struct vsw_pkt pkt = raw_pkt(0, VSW_OP_REQUEST), rst;

		pkt.type = types[i];
		raw_send(e, g, &pkt, NULL, 0);
		rst = raw_expect(e, g, VSW_OP_RST);
		check(e, rst.type == types[i]);
		check(e, rst.dst_port == RAW_GUEST_PORT);
	}
	raw_check_alive(e, g, 0);
}

static void
test_a_packet_of_another_type_does_not_touch_the_stream(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	int fd = raw_connect(e, g, 0, 262144);
	struct vsw_pkt pkt = raw_pkt(0, VSW_OP_RW);
	char buf[4];

	pkt.type = VSW_TYPE_SEQPACKET;
	pkt.len = 4;
	raw_send(e, g, &pkt, "evil", 4);
	raw_find(e, g, VSW_OP_RST);
	host_expect_quiet(e, fd);
	pkt.type = VSW_TYPE_STREAM;
	raw_send(e, g, &pkt, "good", 4);
	host_read(e, fd, buf, 4);
	check(e, memcmp(buf, "good", 4) == 0);
}

static void
test_wrong_destination_gets_rst(struct env *e)
{
	/* 4 is a neighbour that is not there. */
	static const uint32_t cids[] = {0, 1, 4, 5, 1000};
	struct vsw_guest *g = guest_up(e, 0, NULL);

	host_listen(e, 0, RAW_HOST_PORT, 8);
	vsw_guest_set_raw(g, true);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(cids); i++) {
		struct vsw_pkt pkt = raw_pkt(0, VSW_OP_REQUEST), rst;

		pkt.dst_cid = cids[i];
		raw_send(e, g, &pkt, NULL, 0);
		rst = raw_expect(e, g, VSW_OP_RST);
		check(e, rst.src_cid == cids[i]);
		check(e, rst.dst_port == RAW_GUEST_PORT);
	}
	vsw_guest_forgive(g);
	raw_check_alive(e, g, 0);
}

static void
test_spoofed_sources_get_nothing(struct env *e)
{
	static const uint32_t cids[] = {0, 1, 2, 4, 5, UINT32_MAX};
	struct vsw_guest *g = guest_up(e, 0, NULL), *victim = guest_up(e, 1, NULL);
	int listener = host_listen(e, 0, RAW_HOST_PORT, 8);

	vsw_guest_set_raw(g, true);
	vsw_guest_set_raw(victim, true);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(cids); i++) {
		struct vsw_pkt pkt = raw_pkt(0, VSW_OP_REQUEST);

		pkt.src_cid = cids[i];
		raw_send(e, g, &pkt, NULL, 0);
		pkt.op = VSW_OP_RST;
		raw_send(e, g, &pkt, NULL, 0);
	}
	raw_expect_quiet(e, g);
	raw_expect_quiet(e, victim);
	check(e, pump_fd(e, listener, POLLIN, 0) == 0);
	env_close(e, listener);
	raw_check_alive(e, g, 0);
	raw_check_alive(e, victim, 1);
}

static void
test_spoofed_rst_does_not_reset_a_neighbour(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL), *victim = guest_up(e, 1, NULL);
	struct pair p = pair_from_guest(e, 1, 52);
	struct vsw_guest_sock_info info;
	struct vsw_pkt pkt = raw_pkt(0, VSW_OP_RST);

	vsw_guest_sock_info(p.s, &info);
	pkt.src_cid = 4;
	pkt.src_port = info.local_port;
	pkt.dst_port = 52;
	raw_send(e, g, &pkt, NULL, 0);
	pump_fd(e, -1, 0, QUIET_MS);
	pair_check(e, &p);
	check(e, vsw_guest_is_attached(victim));
}

static void
test_cids_above_32_bits_get_nothing(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct vsw_pkt pkt = raw_pkt(0, VSW_OP_REQUEST);
	uint8_t hdr[VSW_PKT_HDR_LEN];
	int listener = host_listen(e, 0, RAW_HOST_PORT, 8);

	vsw_guest_set_raw(g, true);
	vsw_pkt_encode(hdr, &pkt);
	hdr[4] = 1; /* source 2^32 + 3 */
	check(e, vsw_guest_send_hdr(g, hdr, NULL, 0) == 0);
	vsw_pkt_encode(hdr, &pkt);
	hdr[12] = 1; /* destination 2^32 + 2 */
	check(e, vsw_guest_send_hdr(g, hdr, NULL, 0) == 0);
	raw_expect_quiet(e, g);
	check(e, pump_fd(e, listener, POLLIN, 0) == 0);
	env_close(e, listener);
	raw_check_alive(e, g, 0);
}

static void
test_unknown_operations_get_nothing_bad(struct env *e)
{
	static const uint16_t ops[] = {0, 8, 55, 65535};
	struct vsw_guest *g = guest_up(e, 0, NULL);
	int fd = raw_connect(e, g, 0, 262144);
	struct vsw_pkt pkt, got;
	char buf[4];

	for (size_t i = 0; i < VSW_ARRAY_SIZE(ops); i++)
		raw_send_op(e, g, 0, ops[i]);
	/* Ignored or the connection reset, but no bytes, no hang, no death. */
	pkt = raw_pkt(0, VSW_OP_RW);
	pkt.len = 4;
	raw_send(e, g, &pkt, "data", 4);
	if (pump_fd(e, fd, POLLIN, WAIT_MS) == 0)
		fail_env(e, "the stream neither carries data nor ends");
	if (recv(fd, buf, 4, 0) == 4)
		check(e, memcmp(buf, "data", 4) == 0);
	while (vsw_guest_recv_pkt(g, &got, NULL, 0, QUIET_MS) == 0)
		check(e, got.op == VSW_OP_RST || got.op == VSW_OP_CREDIT_UPDATE);
	raw_send_op(e, g, 0, VSW_OP_RST);
	raw_check_alive(e, g, 0);
}

static void
test_repeated_response_injects_nothing(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	int fd = host_connect(e, 0);
	struct vsw_pkt pkt, request;
	char buf[64];
	ssize_t n;

	vsw_guest_set_raw(g, true);
	host_puts(e, fd, "CONNECT 7000\n");
	request = raw_expect(e, g, VSW_OP_REQUEST);
	pkt = raw_pkt(0, VSW_OP_RESPONSE);
	pkt.dst_port = request.src_port;
	raw_send(e, g, &pkt, NULL, 0);
	host_expect_ok(e, fd);
	for (int i = 0; i < 1000; i++)
		raw_send(e, g, &pkt, NULL, 0);
	/* The connection may be reset for it; the host sees no second OK. */
	if (pump_fd(e, fd, POLLIN, QUIET_MS) != 0) {
		n = recv(fd, buf, sizeof(buf), 0);
		if (n > 0)
			fail_env(e, "%zd bytes injected: '%.*s'", n, (int)n, buf);
	}
	env_close(e, fd);
	pkt.op = VSW_OP_RST;
	raw_send(e, g, &pkt, NULL, 0);
	raw_check_alive(e, g, 0);
}

static void
test_response_to_our_own_request_injects_nothing(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	int fd = raw_connect(e, g, 0, 262144);

	/* The guest asked; it answers itself. */
	raw_send_op(e, g, 0, VSW_OP_RESPONSE);
	if (pump_fd(e, fd, POLLIN, QUIET_MS) != 0)
		host_expect_eof(e, fd);
	raw_send_op(e, g, 0, VSW_OP_RST);
	raw_check_alive(e, g, 0);
}

static void
test_data_instead_of_a_response_is_refused(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	int fd = host_connect(e, 0);
	struct vsw_pkt pkt, request;

	vsw_guest_set_raw(g, true);
	host_puts(e, fd, "CONNECT 7000\n");
	request = raw_expect(e, g, VSW_OP_REQUEST);
	pkt = raw_pkt(0, VSW_OP_RW);
	pkt.dst_port = request.src_port;
	pkt.len = 4;
	raw_send(e, g, &pkt, "data", 4);
	host_expect_eof(e, fd);
	raw_find(e, g, VSW_OP_RST);
	raw_check_alive(e, g, 0);
}

static void
test_second_request_of_a_live_pair_leaves_one_connection(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	int fd = raw_connect(e, g, 0, 262144);
	struct vsw_pkt pkt = raw_pkt(0, VSW_OP_REQUEST), got;
	unsigned int n_response = 0;

	raw_send(e, g, &pkt, NULL, 0);
	while (vsw_guest_recv_pkt(g, &got, NULL, 0, QUIET_MS) == 0)
		n_response += got.op == VSW_OP_RESPONSE;
	check(e, n_response == 0);
	env_close(e, fd);
	raw_send_op(e, g, 0, VSW_OP_RST);
	raw_check_alive(e, g, 0);
}

static void
test_a_closed_pair_of_ports_is_free_at_once(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);

	for (int i = 0; i < 50; i++) {
		int fd = raw_connect(e, g, 0, 262144);
		struct vsw_pkt pkt = raw_pkt(0, VSW_OP_RW);

		/* Leave data unread on the host, so that its end lives on while it flushes. */
		pkt.len = 5;
		raw_send(e, g, &pkt, "bytes", 5);
		if (i % 2 == 0) {
			raw_send_op(e, g, 0, VSW_OP_RST);
		} else {
			pkt = raw_pkt(0, VSW_OP_SHUTDOWN);
			pkt.flags = VSW_SHUTDOWN_BOTH;
			raw_send(e, g, &pkt, NULL, 0);
			raw_find(e, g, VSW_OP_RST);
		}
		(void)fd;
	}
	raw_check_alive(e, g, 0);
}

/* A guest without buffers for anything, and raw. */
static void
use_up_buffers(struct env *e, struct vsw_guest *g)
{
	struct vsw_pkt pkt = raw_pkt(0, VSW_OP_CREDIT_UPDATE);

	vsw_guest_hold_recv(g, true);
	pkt.src_port = 7999;
	raw_send(e, g, &pkt, NULL, 0);
	raw_expect(e, g, VSW_OP_RST);
}

/* REQUEST on the pair of ports to which a RST is owed. */
static void
request_again(struct env *e, struct vsw_guest *g, int listener)
{
	struct vsw_pkt pkt;

	check(e, vsw_guest_wait_used(g, VSW_GUEST_FROM_GUEST, WAIT_MS) == 0);
	raw_send_op(e, g, 0, VSW_OP_REQUEST);
	check(e, vsw_guest_wait_used(g, VSW_GUEST_FROM_GUEST, WAIT_MS) == 0);
	env_close(e, host_accept(e, listener));
	vsw_guest_hold_recv(g, false);
	raw_expect(e, g, VSW_OP_RESPONSE);
	pkt = raw_expect(e, g, VSW_OP_SHUTDOWN);
	check(e, pkt.flags == VSW_SHUTDOWN_BOTH);
	raw_expect_quiet(e, g);
}

static void
test_a_reset_that_was_not_told_does_not_refuse_the_next_request(struct env *e)
{
	struct vsw_guest_conf conf = guest_conf(e, 0);
	struct vsw_pkt shutdown = raw_pkt(0, VSW_OP_SHUTDOWN);
	struct vsw_guest *g;
	int listener = host_listen(e, 0, RAW_HOST_PORT, 8);

	conf.n_recv_bufs = 1;
	g = guest_up(e, 0, &conf);
	vsw_guest_set_raw(g, true);
	use_up_buffers(e, g);
	raw_send_op(e, g, 0, VSW_OP_CREDIT_UPDATE); /* of a connection that is not there */
	request_again(e, g, listener);

	use_up_buffers(e, g);
	shutdown.flags = VSW_SHUTDOWN_BOTH;
	raw_send(e, g, &shutdown, NULL, 0);
	request_again(e, g, listener);
	raw_send_op(e, g, 0, VSW_OP_RST);
}

static void
test_late_packets_of_the_old_connection_do_not_confuse_the_new(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	int fd = raw_connect(e, g, 0, 262144);
	struct vsw_pkt pkt;
	char buf[4];

	raw_send_op(e, g, 0, VSW_OP_RST);
	host_expect_eof(e, fd);
	/* Linux may send this after its RST crossed ours. */
	raw_send_op(e, g, 0, VSW_OP_CREDIT_UPDATE);
	raw_find(e, g, VSW_OP_RST);
	fd = raw_connect(e, g, 0, 262144);
	pkt = raw_pkt(0, VSW_OP_RW);
	pkt.len = 4;
	raw_send(e, g, &pkt, "data", 4);
	host_read(e, fd, buf, 4);
	check(e, memcmp(buf, "data", 4) == 0);
}

static void
test_shutdown_gets_rst_although_nobody_reads(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	int fd = raw_connect(e, g, 0, 262144);
	struct vsw_pkt pkt = raw_pkt(0, VSW_OP_SHUTDOWN);
	static char buf[65536];
	struct vsw_pkt rw = raw_pkt(0, VSW_OP_RW);

	rw.len = sizeof(buf);
	for (int i = 0; i < 4; i++)
		raw_send(e, g, &rw, buf, sizeof(buf));
	pkt.flags = VSW_SHUTDOWN_BOTH;
	raw_send(e, g, &pkt, NULL, 0);
	raw_find(e, g, VSW_OP_RST);
	for (int i = 0; i < 4; i++)
		host_read(e, fd, buf, sizeof(buf));
	host_expect_eof(e, fd);
}

static void
test_data_after_shutdown_is_not_delivered(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	int fd = raw_connect(e, g, 0, 262144);
	struct vsw_pkt pkt = raw_pkt(0, VSW_OP_SHUTDOWN);

	pkt.flags = VSW_SHUTDOWN_SEND;
	raw_send(e, g, &pkt, NULL, 0);
	pkt = raw_pkt(0, VSW_OP_RW);
	pkt.len = 4;
	raw_send(e, g, &pkt, "evil", 4);
	host_expect_eof(e, fd);
	raw_send_op(e, g, 0, VSW_OP_RST);
	raw_check_alive(e, g, 0);
}

static void
test_shutdown_without_flags_changes_nothing(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	int fd = raw_connect(e, g, 0, 262144);
	struct vsw_pkt pkt = raw_pkt(0, VSW_OP_RW);
	char buf[4];

	raw_send_op(e, g, 0, VSW_OP_SHUTDOWN);
	pkt.len = 4;
	raw_send(e, g, &pkt, "data", 4);
	host_read(e, fd, buf, 4);
	check(e, memcmp(buf, "data", 4) == 0);
}

static void
test_rst_storm_hurts_only_its_sender(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct pair other;
	struct flow f = {.to_host = 1 << 20, .to_guest = 1 << 20};
	struct vsw_pkt got;
	unsigned int n_sent = 0, n_rst = 0;

	guest_up(e, 1, NULL);
	other = pair_from_guest(e, 1, 52);
	/* Each of these asks for a RST, and no buffer is there to take it: when some wait, no more
	 * are taken. */
	vsw_guest_set_raw(g, true);
	vsw_guest_hold_recv(g, true);
	for (int i = 0; i < 3000; i++) {
		struct vsw_pkt pkt = raw_pkt(0, VSW_OP_CREDIT_UPDATE);

		pkt.src_port = 10000 + (uint32_t)i;
		if (vsw_guest_send_pkt(g, &pkt, NULL, 0) < 0)
			vsw_guest_poll(g, 1);
		else
			n_sent++;
	}
	check(e, n_sent < 1000);
	f.s = other.s;
	f.fd = other.fd;
	run_flows(e, &f, 1);
	vsw_guest_hold_recv(g, false);
	while (vsw_guest_recv_pkt(g, &got, NULL, 0, QUIET_MS) == 0)
		n_rst += got.op == VSW_OP_RST;
	check(e, n_rst == n_sent);
	raw_check_alive(e, g, 0);
}

int
main(void)
{
	static const struct test_case cases[] = {
		CASE(test_packets_of_unknown_connections_get_rst),
		CASE(test_rst_is_never_answered),
		CASE(test_unserved_types_get_rst),
		CASE(test_a_packet_of_another_type_does_not_touch_the_stream),
		CASE(test_wrong_destination_gets_rst),
		CASE(test_spoofed_sources_get_nothing),
		CASE(test_spoofed_rst_does_not_reset_a_neighbour),
		CASE(test_cids_above_32_bits_get_nothing),
		CASE(test_unknown_operations_get_nothing_bad),
		CASE(test_repeated_response_injects_nothing),
		CASE(test_response_to_our_own_request_injects_nothing),
		CASE(test_data_instead_of_a_response_is_refused),
		CASE(test_second_request_of_a_live_pair_leaves_one_connection),
		CASE(test_a_closed_pair_of_ports_is_free_at_once),
		CASE(test_a_reset_that_was_not_told_does_not_refuse_the_next_request),
		CASE(test_late_packets_of_the_old_connection_do_not_confuse_the_new),
		CASE(test_shutdown_gets_rst_although_nobody_reads),
		CASE(test_data_after_shutdown_is_not_delivered),
		CASE(test_shutdown_without_flags_changes_nothing),
		CASE(test_rst_storm_hurts_only_its_sender),
	};

	return run_cases("rst", cases, VSW_ARRAY_SIZE(cases));
}
