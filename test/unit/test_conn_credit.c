/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves credit in both directions: that no counter minds passing 2^32, that no announcement
 * of a guest opens a window further than it can be true, that packets are counted as finely
 * as promised and never get stuck, and that news and probes come when they are due.
 */
#include "conn_case.h"

/* What Linux charges for a packet, and how many marks there are to count them with. */
#define LINUX_COST 576u

/* Where counters begin: at 0, across 2^31, across 2^32. */
static const uint32_t bases[] = {0, 1, INT32_MAX - 5u, UINT32_MAX - 5000u, UINT32_MAX, 77};

/* All counters as if base bytes had gone both ways and been read. */
static struct vsw_conn
established_at(unsigned int kind, uint32_t base)
{
	struct vsw_conn conn = established(kind);

	conn.from_guest_cnt = base;
	conn.fwd_cnt = base;
	conn.granted = conn.edge_told = base + WINDOW;
	conn.to_guest_cnt = base;
	conn.peer_fwd_cnt = base;
	return conn;
}

static uint32_t
window(const struct vsw_conn *conn)
{
	return vsw_conn_window(conn).bytes;
}

static uint32_t
packets(const struct vsw_conn *conn)
{
	return vsw_conn_window(conn).packets;
}

/* From the guest */

static void
test_a_guest_may_send_its_window_and_no_more(void **state)
{
	for (size_t i = 0; i < VSW_ARRAY_SIZE(bases); i++) {
		struct vsw_conn conn = established_at(HOST, bases[i]);
		struct vsw_conn over;

		assert_int_equal(input_data(&conn, WINDOW - 1), ACT(DELIVER));
		over = conn;
		input_data(&over, 2);
		assert_int_equal(over.reason, VSW_CONN_REASON_CREDIT);
		assert_int_equal(input_data(&conn, 1), ACT(DELIVER));
		over = conn;
		input_data(&over, 1);
		assert_int_equal(over.reason, VSW_CONN_REASON_CREDIT);
		assert_int_equal(over.pending, PENDING(RST));

		/* what was taken may be sent again, by the byte, told or not */
		vsw_conn_event(&conn, VSW_CONN_EV_FAR_TOOK, 10);
		assert_int_equal(conn.fwd_cnt, bases[i] + 10);
		over = conn;
		input_data(&over, 11);
		assert_int_equal(over.state, VSW_CONN_CLOSED);
		assert_int_equal(input_data(&conn, 10), ACT(DELIVER));
	}
}

static void
test_a_length_near_2_32_is_beyond_any_window(void **state)
{
	for (size_t i = 0; i < VSW_ARRAY_SIZE(bases); i++) {
		struct vsw_conn conn = established_at(HOST, bases[i]);

		input_data(&conn, UINT32_MAX - 3);
		assert_int_equal(conn.reason, VSW_CONN_REASON_CREDIT);
	}
}

static void
test_gigabytes_go_through_a_small_window(void **state)
{
	struct vsw_conn conn = established(HOST);
	uint64_t sent = 0, told = 0;
	struct vsw_pkt pkt;

	while (sent < 9ull << 30) {
		assert_int_equal(input_data(&conn, WINDOW), ACT(DELIVER));
		sent += WINDOW;
		vsw_conn_event(&conn, VSW_CONN_EV_FAR_TOOK, WINDOW);
		pkt = tell(&conn, &(uint32_t){0});
		told += (uint32_t)(pkt.fwd_cnt - (uint32_t)told);
		assert_true(told == sent);
		give_data(&conn, WINDOW);
		assert_int_equal(window(&conn), 0);
		input_credit(&conn, WINDOW, (uint32_t)sent);
		assert_int_equal(window(&conn), WINDOW);
	}
}

static void
test_news_is_a_quarter_of_the_window(void **state)
{
	for (size_t i = 0; i < VSW_ARRAY_SIZE(bases); i++) {
		struct vsw_conn conn = established_at(HOST, bases[i]);
		struct vsw_pkt pkt;

		input_data(&conn, WINDOW);
		vsw_conn_event(&conn, VSW_CONN_EV_FAR_TOOK, WINDOW / 4 - 1);
		assert_int_equal(conn.pending, 0);
		vsw_conn_event(&conn, VSW_CONN_EV_FAR_TOOK, 1);
		assert_int_equal(conn.pending, PENDING(CREDIT_UPDATE));
		/* more comes before it is told: one packet says it all */
		vsw_conn_event(&conn, VSW_CONN_EV_FAR_TOOK, WINDOW / 2);
		pkt = tell(&conn, &(uint32_t){0});
		assert_int_equal(pkt.op, VSW_OP_CREDIT_UPDATE);
		assert_int_equal(pkt.fwd_cnt, bases[i] + WINDOW * 3 / 4);
		assert_int_equal(conn.pending, 0);

		/* any packet tells, so the count begins anew */
		vsw_conn_event(&conn, VSW_CONN_EV_FAR_TOOK, WINDOW / 8);
		vsw_conn_data_packet(&conn, 1, &pkt);
		assert_int_equal(pkt.fwd_cnt, bases[i] + WINDOW / 8 * 7);
		vsw_conn_event(&conn, VSW_CONN_EV_FAR_TOOK, WINDOW / 8);
		assert_int_equal(conn.pending, 0);
	}
}

static void
test_small_windows_have_news_too(void **state)
{
	for (uint32_t size = 1; size < 20; size++) {
		struct vsw_conn conn;

		vsw_conn_init_to_guest(&conn, GUEST_CID, GUEST_PORT, VSW_CID_HOST, FAR_PORT);
		vsw_conn_far_credit(&conn, size, 0);
		tell_all(&conn);
		input(&conn, VSW_OP_RESPONSE);
		input_data(&conn, size);
		for (uint32_t i = 1; i <= size; i++) {
			vsw_conn_event(&conn, VSW_CONN_EV_FAR_TOOK, 1);
			assert_int_equal(conn.pending != 0, i + size - conn.edge_told >= size / 4);
			tell_all(&conn);
		}
		/* a guest that used it all has heard of room */
		assert_int_not_equal(conn.edge_told, size);
	}
}

/* A window that has become larger is news although nobody has taken a byte: the guest may be
 * waiting for just that. One that has become smaller is none, until it has moved on. */
static void
test_a_window_of_another_size_is_news_when_it_reaches_further(void **state)
{
	for (size_t i = 0; i < VSW_ARRAY_SIZE(bases); i++) {
		struct vsw_conn conn = established_at(HOST, bases[i]);

		input_data(&conn, WINDOW);
		vsw_conn_far_credit(&conn, WINDOW * 2, bases[i]);
		assert_true(vsw_conn_has_news(&conn, conn.buf_alloc));
		vsw_conn_data_packet(&conn, 1, &(struct vsw_pkt){0});
		assert_false(vsw_conn_has_news(&conn, conn.buf_alloc));
		vsw_conn_far_credit(&conn, WINDOW / 2, bases[i] + WINDOW);
		assert_false(vsw_conn_has_news(&conn, conn.buf_alloc));
		vsw_conn_far_credit(&conn, WINDOW, bases[i] + WINDOW);
		assert_false(vsw_conn_has_news(&conn, conn.buf_alloc));
		vsw_conn_far_credit(&conn, WINDOW + WINDOW / 2, bases[i] + WINDOW);
		assert_true(vsw_conn_has_news(&conn, conn.buf_alloc));
	}
}

/* From the guest to a sibling */

static void
test_a_siblings_window_passes_through(void **state)
{
	struct vsw_conn conn = opening(SIBLING);
	struct vsw_pkt pkt;

	assert_int_equal(conn.granted, 0);
	vsw_conn_far_credit(&conn, 70000, 0);
	event(&conn, VSW_CONN_EV_FAR_OPENED);
	pkt = tell(&conn, &(uint32_t){0});
	assert_int_equal(pkt.op, VSW_OP_RESPONSE);
	assert_int_equal(pkt.buf_alloc, 70000);

	assert_int_equal(input_data(&conn, 60000), ACT(DELIVER));
	vsw_conn_far_credit(&conn, 80000, 50000);
	event(&conn, VSW_CONN_EV_FAR_CREDIT_UPDATE);
	pkt = tell(&conn, &(uint32_t){0});
	assert_int_equal(pkt.op, VSW_OP_CREDIT_UPDATE);
	assert_int_equal(pkt.buf_alloc, 80000);
	assert_int_equal(pkt.fwd_cnt, 50000);
	assert_int_equal(input_data(&conn, 70000), ACT(DELIVER));
	input_data(&conn, 1);
	assert_int_equal(conn.reason, VSW_CONN_REASON_CREDIT);
}

static void
test_a_window_that_shrinks_takes_nothing_back(void **state)
{
	for (size_t i = 0; i < VSW_ARRAY_SIZE(bases); i++) {
		struct vsw_conn conn = established_at(SIBLING, bases[i]);
		struct vsw_pkt pkt;

		input_data(&conn, 1000);
		vsw_conn_far_credit(&conn, 500, bases[i]);
		assert_int_equal(conn.granted, bases[i] + WINDOW);
		vsw_conn_far_credit(&conn, 0, bases[i] + 300);
		/* the guest hears of it, but may have sent before */
		vsw_conn_data_packet(&conn, 1, &pkt);
		assert_int_equal(pkt.buf_alloc, 0);
		assert_int_equal(pkt.fwd_cnt, bases[i] + 300);
		assert_int_equal(input_data(&conn, WINDOW - 1000), ACT(DELIVER));
		/* and it opens again where it stood, not further */
		vsw_conn_far_credit(&conn, WINDOW, bases[i] + 301);
		assert_int_equal(input_data(&conn, 301), ACT(DELIVER));
		input_data(&conn, 1);
		assert_int_equal(conn.reason, VSW_CONN_REASON_CREDIT);
	}
}

static void
test_a_huge_window_is_half_the_circle(void **state)
{
	for (size_t i = 0; i < VSW_ARRAY_SIZE(bases); i++) {
		struct vsw_conn conn = established_at(SIBLING, bases[i]);

		vsw_conn_far_credit(&conn, UINT32_MAX, bases[i]);
		assert_int_equal(conn.granted - conn.from_guest_cnt, INT32_MAX);
		assert_int_equal(input_data(&conn, INT32_MAX), ACT(DELIVER));
		vsw_conn_far_credit(&conn, UINT32_MAX, bases[i] + 1);
		assert_int_equal(conn.granted - conn.from_guest_cnt, 1);
		vsw_conn_far_credit(&conn, UINT32_MAX, bases[i] + INT32_MAX);
		assert_int_equal(conn.granted - conn.from_guest_cnt, INT32_MAX);
	}
}

static void
test_a_sibling_takes_only_what_was_sent(void **state)
{
	for (size_t i = 0; i < VSW_ARRAY_SIZE(bases); i++) {
		/* more than came, back before what is known, half a circle either way */
		static const uint32_t lies[] = {1001, 299, INT32_MAX, 300u + INT32_MAX, 1u << 31};
		struct vsw_conn conn = established_at(SIBLING, bases[i]);

		input_data(&conn, 1000);
		vsw_conn_far_credit(&conn, WINDOW, bases[i] + 300);
		for (size_t n = 0; n < 3 * VSW_ARRAY_SIZE(lies); n++) {
			vsw_conn_far_credit(&conn, WINDOW,
					    bases[i] + lies[n % VSW_ARRAY_SIZE(lies)]);
			assert_int_equal(conn.fwd_cnt, bases[i] + 300);
			assert_int_equal(conn.granted, bases[i] + 300 + WINDOW);
		}
		/* the window that comes with a lie counts */
		vsw_conn_far_credit(&conn, WINDOW + 5, bases[i] + 1001);
		assert_int_equal(conn.granted, bases[i] + 305 + WINDOW);
		vsw_conn_far_credit(&conn, WINDOW, bases[i] + 1000);
		assert_int_equal(conn.fwd_cnt, bases[i] + 1000);
		assert_int_equal(conn.granted, bases[i] + 1000 + WINDOW);
	}
}

/* To the guest */

static void
test_the_guests_window_is_what_it_says(void **state)
{
	for (size_t i = 0; i < VSW_ARRAY_SIZE(bases); i++) {
		uint32_t base = bases[i];
		struct vsw_conn conn = established_at(HOST, base);

		assert_int_equal(window(&conn), WINDOW);
		give_data(&conn, 1000);
		assert_int_equal(window(&conn), WINDOW - 1000);
		input_credit(&conn, WINDOW, base + 400);
		assert_int_equal(window(&conn), WINDOW - 600);
		input_credit(&conn, 600, base + 400);
		assert_int_equal(window(&conn), 0);
		input_credit(&conn, 599, base + 400);
		assert_int_equal(window(&conn), 0);
		input_credit(&conn, 0, base + 400);
		assert_int_equal(window(&conn), 0);
		input_credit(&conn, 601, base + 400);
		assert_int_equal(window(&conn), 1);
		input_credit(&conn, UINT32_MAX, base + 400);
		assert_int_equal(window(&conn), UINT32_MAX - 600);
		/* back, and further than anything sent: neither is believed */
		input_credit(&conn, WINDOW, base + 399);
		assert_int_equal(window(&conn), WINDOW - 600);
		input_credit(&conn, WINDOW, base + 1001);
		assert_int_equal(window(&conn), WINDOW - 600);
		input_credit(&conn, WINDOW, base + 400 + INT32_MAX);
		assert_int_equal(window(&conn), WINDOW - 600);
		input_credit(&conn, WINDOW, base + 1000);
		assert_int_equal(window(&conn), WINDOW);
	}
}

static void
test_every_packet_brings_credit(void **state)
{
	for (uint16_t op = VSW_OP_RESPONSE; op <= VSW_OP_CREDIT_REQUEST; op++) {
		struct vsw_conn conn = established(HOST);
		struct vsw_pkt pkt = packet(&conn, op);

		give_data(&conn, 100);
		pkt.buf_alloc = 5000;
		pkt.fwd_cnt = 60;
		vsw_conn_input(&conn, &pkt);
		assert_int_equal(conn.peer_buf_alloc, 5000);
		assert_int_equal(conn.peer_fwd_cnt, 60);
	}
}

static void
test_the_request_brings_credit(void **state)
{
	struct vsw_conn conn = opening(HOST);

	event(&conn, VSW_CONN_EV_FAR_OPENED);
	assert_int_equal(window(&conn), WINDOW);
}

static void
test_the_window_is_closed_outside_established(void **state)
{
	struct vsw_conn ini = opening(HOST), tgt = asked(HOST), conn = established(HOST);

	assert_int_equal(window(&ini) + packets(&ini), 0);
	assert_int_equal(window(&tgt) + packets(&tgt), 0);
	assert_int_not_equal(window(&conn), 0);
	event(&conn, VSW_CONN_EV_ABORT);
	assert_int_equal(window(&conn) + packets(&conn), 0);
}

static void
test_what_is_reserved_is_not_given_twice(void **state)
{
	struct vsw_conn conn = established_at(HOST, UINT32_MAX - 10);

	vsw_conn_reserve(&conn, 1000);
	vsw_conn_reserve(&conn, 500);
	assert_int_equal(window(&conn), WINDOW - 1500);
	vsw_conn_unreserve(&conn, 1000);
	give_data(&conn, 200);
	assert_int_equal(window(&conn), WINDOW - 700);
	/* the window shrinks below what is reserved */
	input_credit(&conn, 600, conn.peer_fwd_cnt);
	assert_int_equal(window(&conn), 0);
	vsw_conn_unreserve(&conn, 500);
	assert_int_equal(window(&conn), 400);
	vsw_conn_reserve(&conn, UINT32_MAX - 100);
	input_credit(&conn, UINT32_MAX, conn.peer_fwd_cnt);
	assert_int_equal(window(&conn), 0);
}

/* Packets to the guest */

/* One sixteenth is spare. */
static uint32_t
packet_limit(uint32_t buf_alloc)
{
	uint32_t n = buf_alloc / LINUX_COST;

	n -= n / 16;
	return n == 0 ? 1 : n > UINT16_MAX ? UINT16_MAX : n;
}

static void
test_packets_stay_below_what_linux_takes(void **state)
{
	static const struct {
		uint32_t buf_alloc;
		uint32_t packets;
	} cases[] = {
		{1, 1},
		{575, 1},
		{576, 1},
		{1151, 1},
		{1152, 2},
		{576 * 15, 15},
		{576 * 16, 15},
		{576 * 17, 16},
		{576 * 31, 30},
		{576 * 32, 30},
		{64 * 1024, 106},
		{WINDOW, 427},
		{8 << 20, 13653},
		{576u * 69905, UINT16_MAX},
		{UINT32_MAX, UINT16_MAX},
	};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		struct vsw_conn conn = established(HOST);

		input_credit(&conn, cases[i].buf_alloc, 0);
		assert_int_equal(packets(&conn), cases[i].packets);
		assert_int_equal(packets(&conn), packet_limit(cases[i].buf_alloc));
	}
}

static void
test_packets_are_refused_beyond_the_limit(void **state)
{
	static const uint32_t sizes[] = {577, 20 * 576, 64 * 1024, WINDOW, UINT32_MAX};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(sizes); i++) {
		struct vsw_conn conn = established_at(HOST, UINT32_MAX - 100);
		uint32_t limit = packet_limit(sizes[i]);

		input_credit(&conn, sizes[i], conn.peer_fwd_cnt);
		for (uint32_t n = 0; n < limit; n++) {
			assert_int_equal(packets(&conn), limit - n);
			give_data(&conn, 1);
		}
		assert_int_equal(packets(&conn), 0);
		assert_int_not_equal(window(&conn), 0);
	}
}

static void
test_fewer_packets_than_are_unread_close_the_window(void **state)
{
	struct vsw_conn conn = established(HOST);

	for (int i = 0; i < 20; i++)
		give_data(&conn, 1);
	input_credit(&conn, 10 * LINUX_COST, 5);
	assert_int_not_equal(window(&conn), 0);
	assert_int_equal(packets(&conn), 0);
}

/* A reader that reads n_read of n_sent packets, one by one; both may go on in turn. */
static void
check_counting(uint32_t buf_alloc, uint32_t base, uint32_t len, uint32_t error)
{
	struct vsw_conn conn = established_at(HOST, base);
	uint32_t limit = packet_limit(buf_alloc);
	uint32_t n_sent = 0, n_read = 0;

	input_credit(&conn, buf_alloc, base);
	while (n_read < 3 * limit) {
		/* fill up, then read between one packet and all of them */
		uint32_t n = 1 + n_read * 7919u % limit;

		while (packets(&conn) > 0 && window(&conn) >= len) {
			give_data(&conn, len);
			n_sent++;
		}
		for (; n > 0 && n_read < n_sent; n--) {
			uint32_t unread, counted;

			/* half a packet is not read */
			if (len > 1)
				input_credit(&conn, buf_alloc, base + n_read * len + len / 2);
			n_read++;
			input_credit(&conn, buf_alloc, base + n_read * len);
			unread = n_sent - n_read;
			counted = limit - packets(&conn);
			if (counted < unread || counted > unread + error)
				fail_msg("buf_alloc %u: %u unread count as %u", buf_alloc, unread,
					 counted);
		}
	}
	/* everything read: everything open */
	input_credit(&conn, buf_alloc, conn.to_guest_cnt);
	assert_int_equal(packets(&conn), limit);
	assert_int_equal(window(&conn), buf_alloc);
	assert_int_equal(conn.n_marks, 0);
}

static void
test_few_packets_are_counted_exactly(void **state)
{
	for (uint32_t n = 1; n <= 17; n++) {
		assert_true(packet_limit(n * LINUX_COST) <= VSW_CONN_MARKS);
		for (size_t i = 0; i < VSW_ARRAY_SIZE(bases); i++) {
			check_counting(n * LINUX_COST, bases[i], 1, 0);
			check_counting(n * LINUX_COST, bases[i], 300, 0);
		}
	}
}

static void
test_many_packets_are_counted_to_a_sixteenth(void **state)
{
	static const uint32_t sizes[] = {18 * 576, 40 * 576, 65536, WINDOW, 1 << 20, 8 << 20};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(sizes); i++) {
		uint32_t share = (packet_limit(sizes[i]) + 15) / 16;

		check_counting(sizes[i], UINT32_MAX - 3000, 1, share - 1);
		check_counting(sizes[i], 0, 300, share - 1);
		check_counting(sizes[i], 0, 4096, share - 1);
	}
}

static void
test_a_window_that_changes_size_gets_nothing_stuck(void **state)
{
	static const uint32_t sizes[] = {576, WINDOW, 20 * 576, 0, 1 << 20, 17 * 576, 65536};
	struct vsw_conn conn = established_at(HOST, UINT32_MAX - 1000);
	uint32_t unread = 0;

	for (unsigned int round = 0; round < 200; round++) {
		uint32_t size = sizes[round % VSW_ARRAY_SIZE(sizes)];
		uint32_t n = 1 + round * 31 % 500;

		input_credit(&conn, size, conn.peer_fwd_cnt);
		while (n-- > 0 && packets(&conn) > 0 && window(&conn) > 0) {
			give_data(&conn, 1);
			unread++;
		}
		assert_int_equal(conn.n_unread, unread);
		if (round % 3 == 2) {
			input_credit(&conn, size, conn.to_guest_cnt);
			unread = 0;
			assert_int_equal(conn.n_unread, 0);
			assert_int_equal(window(&conn), size);
			assert_int_equal(packets(&conn), packet_limit(size));
		}
	}
}

/* Probes */

static struct vsw_conn
stalled(void)
{
	struct vsw_conn conn = established(HOST);

	give_data(&conn, WINDOW);
	assert_true(vsw_conn_stalled(&conn));
	return conn;
}

static void
test_a_stall_begins_once_and_ends_with_credit(void **state)
{
	struct vsw_conn conn = stalled();

	assert_int_equal(conn.pending, PENDING(CREDIT_REQUEST));
	assert_false(vsw_conn_stalled(&conn));
	tell_all(&conn);
	assert_false(vsw_conn_stalled(&conn));
	assert_int_equal(conn.pending, 0);
	assert_int_equal(event(&conn, VSW_CONN_EV_PROBE), 0);
	assert_int_equal(conn.pending, PENDING(CREDIT_REQUEST));
	tell_all(&conn);
	/* an answer without news */
	input_credit(&conn, WINDOW, 0);
	event(&conn, VSW_CONN_EV_PROBE);
	assert_int_equal(conn.pending, PENDING(CREDIT_REQUEST));
	tell_all(&conn);

	input_credit(&conn, WINDOW, 1);
	event(&conn, VSW_CONN_EV_PROBE);
	assert_int_equal(conn.pending, 0);
	assert_true(vsw_conn_stalled(&conn));
}

static void
test_a_stall_by_packets_ends_with_a_packet_read(void **state)
{
	struct vsw_conn conn = established(HOST);

	input_credit(&conn, 2 * LINUX_COST, 0);
	give_data(&conn, 10);
	give_data(&conn, 10);
	assert_int_equal(packets(&conn), 0);
	assert_true(vsw_conn_stalled(&conn));
	input_credit(&conn, 2 * LINUX_COST, 9);
	assert_true(conn.probing);
	input_credit(&conn, 2 * LINUX_COST, 10);
	assert_false(conn.probing);
}

static void
test_a_stall_ends_when_the_window_grows(void **state)
{
	struct vsw_conn conn = stalled();

	input_credit(&conn, WINDOW + 1, 0);
	assert_false(conn.probing);
}

static void
test_a_stall_ends_with_the_connection(void **state)
{
	struct vsw_conn conn = stalled();

	event(&conn, VSW_CONN_EV_ABORT);
	assert_false(conn.probing);
	event(&conn, VSW_CONN_EV_PROBE);
	assert_int_equal(conn.pending, PENDING(RST));
}

static void
test_only_an_established_connection_stalls(void **state)
{
	struct vsw_conn ini = opening(HOST), tgt = asked(HOST), closed = established(HOST);

	event(&closed, VSW_CONN_EV_GUEST_GONE);
	assert_false(vsw_conn_stalled(&ini));
	assert_false(vsw_conn_stalled(&tgt));
	assert_false(vsw_conn_stalled(&closed));
	assert_int_equal(ini.pending | tgt.pending | closed.pending, 0);
}

static void
test_a_stall_ends_when_the_guest_receives_no_more(void **state)
{
	struct vsw_conn conn = stalled();

	tell_all(&conn);
	input_shutdown(&conn, VSW_SHUTDOWN_RCV);
	assert_false(conn.probing);
	event(&conn, VSW_CONN_EV_PROBE);
	assert_int_equal(conn.pending, 0);
	/* and none begins */
	assert_false(vsw_conn_stalled(&conn));
	assert_int_equal(conn.pending, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_guest_may_send_its_window_and_no_more),
		cmocka_unit_test(test_a_length_near_2_32_is_beyond_any_window),
		cmocka_unit_test(test_gigabytes_go_through_a_small_window),
		cmocka_unit_test(test_news_is_a_quarter_of_the_window),
		cmocka_unit_test(test_small_windows_have_news_too),
		cmocka_unit_test(test_a_window_of_another_size_is_news_when_it_reaches_further),
		cmocka_unit_test(test_a_siblings_window_passes_through),
		cmocka_unit_test(test_a_window_that_shrinks_takes_nothing_back),
		cmocka_unit_test(test_a_huge_window_is_half_the_circle),
		cmocka_unit_test(test_a_sibling_takes_only_what_was_sent),
		cmocka_unit_test(test_the_guests_window_is_what_it_says),
		cmocka_unit_test(test_every_packet_brings_credit),
		cmocka_unit_test(test_the_request_brings_credit),
		cmocka_unit_test(test_the_window_is_closed_outside_established),
		cmocka_unit_test(test_what_is_reserved_is_not_given_twice),
		cmocka_unit_test(test_packets_stay_below_what_linux_takes),
		cmocka_unit_test(test_packets_are_refused_beyond_the_limit),
		cmocka_unit_test(test_fewer_packets_than_are_unread_close_the_window),
		cmocka_unit_test(test_few_packets_are_counted_exactly),
		cmocka_unit_test(test_many_packets_are_counted_to_a_sixteenth),
		cmocka_unit_test(test_a_window_that_changes_size_gets_nothing_stuck),
		cmocka_unit_test(test_a_stall_begins_once_and_ends_with_credit),
		cmocka_unit_test(test_a_stall_by_packets_ends_with_a_packet_read),
		cmocka_unit_test(test_a_stall_ends_when_the_window_grows),
		cmocka_unit_test(test_a_stall_ends_with_the_connection),
		cmocka_unit_test(test_only_an_established_connection_stalls),
		cmocka_unit_test(test_a_stall_ends_when_the_guest_receives_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
