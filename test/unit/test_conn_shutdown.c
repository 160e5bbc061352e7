/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves how a conversation ends: each half alone and in every order, whenever the guest is
 * told; what the far end shuts down before the guest has accepted; the close timer.
 */
#include "conn_case.h"

/* The four halves that can close. */
enum half { GUEST_SENT, GUEST_DEAF, FAR_SENT, FAR_DEAF, N_HALVES };

/* What a far end has been told, and what the guest has. */
struct ends {
	uint32_t far;   /* every action so far */
	uint32_t guest; /* SHUTDOWN flags as last told */
	unsigned int n_shutdowns;
	unsigned int n_armed;
};

static void
note(struct ends *ends, uint32_t act)
{
	/* nothing is said twice, and no half closes after the whole */
	if (act & ends->far & ~ACT(ARM_CLOSE))
		fail_msg("actions %#x again", act);
	if (ends->far & ACT(CLOSE_FAR))
		assert_false(act & (ACT(SHUT_SEND) | ACT(SHUT_RECV)));
	ends->far |= act;
	ends->n_armed += (act & ACT(ARM_CLOSE)) != 0;
}

static void
close_half(struct vsw_conn *conn, enum half half, struct ends *ends)
{
	static const uint32_t flag[] = {VSW_SHUTDOWN_SEND, VSW_SHUTDOWN_RCV};
	static const enum vsw_conn_event ev[] = {VSW_CONN_EV_FAR_EOF, VSW_CONN_EV_FAR_GONE};

	if (half < FAR_SENT)
		note(ends, input_shutdown(conn, flag[half]));
	else
		note(ends, event(conn, ev[half - FAR_SENT]));
}

static void
tell_guest(struct vsw_conn *conn, struct ends *ends)
{
	while (vsw_conn_has_pending(conn)) {
		uint32_t act;
		struct vsw_pkt pkt = tell(conn, &act);

		if (pkt.op == VSW_OP_SHUTDOWN) {
			/* it grows, and says all that is known now */
			assert_int_equal(pkt.flags & ends->guest, ends->guest);
			assert_int_not_equal(pkt.flags, ends->guest);
			assert_int_equal(pkt.flags, conn->far_shut);
			ends->guest = pkt.flags;
			ends->n_shutdowns++;
		}
		note(ends, act);
	}
}

static void
check_ends(unsigned int kind, const struct vsw_conn *conn, const struct ends *ends, uint32_t closed)
{
	bool guest_closed = (closed & 3) == 3, far_closed = (closed & 12) == 12;

	if (kind == HOST && guest_closed) {
		assert_int_equal(conn->state, VSW_CONN_CLOSED);
		assert_int_equal(conn->reason, VSW_CONN_REASON_GUEST_CLOSED);
		return;
	}
	assert_int_equal(conn->state, VSW_CONN_ESTABLISHED);
	assert_int_equal((ends->far & ACT(CLOSE_FAR)) != 0, kind == HOST && far_closed);
	if (!(ends->far & ACT(CLOSE_FAR))) {
		assert_int_equal((ends->far & ACT(SHUT_SEND)) != 0, closed & BIT(GUEST_SENT));
		assert_int_equal((ends->far & ACT(SHUT_RECV)) != 0,
				 (closed & BIT(GUEST_DEAF)) != 0);
	}
}

/* The order is a permutation of the halves; bit i of told: the guest is told after step i. */
static void
check_order(unsigned int kind, const enum half order[N_HALVES], uint32_t told)
{
	struct vsw_conn conn = established(kind);
	struct ends ends = {0};
	uint32_t closed = 0;

	for (unsigned int i = 0; i < N_HALVES; i++) {
		close_half(&conn, order[i], &ends);
		closed |= BIT(order[i]);
		check_ends(kind, &conn, &ends, closed);
		if (conn.state == VSW_CONN_CLOSED) {
			assert_int_equal(conn.pending, PENDING(RST));
			return;
		}
		/* data flows as long as both of its ends are there */
		assert_int_equal(vsw_conn_window(&conn).bytes > 0, !(closed & BIT(GUEST_DEAF)));
		if (told & BIT(i) || i == N_HALVES - 1) {
			tell_guest(&conn, &ends);
			assert_int_equal(ends.guest, conn.far_shut);
		}
	}
	/* only siblings come here */
	assert_int_equal(ends.n_armed, 1);
	note(&ends, event(&conn, VSW_CONN_EV_FAR_RESET));
	assert_int_equal(conn.reason, VSW_CONN_REASON_GUEST_CLOSED);
	assert_int_equal(conn.pending, PENDING(RST));
}

static void
test_halves_close_in_every_order(void **state)
{
	unsigned int n = 0;

	for (unsigned int p = 0; p < 256; p++) {
		enum half order[N_HALVES] = {p & 3, p >> 2 & 3, p >> 4 & 3, p >> 6 & 3};

		if ((BIT(order[0]) | BIT(order[1]) | BIT(order[2]) | BIT(order[3])) != 15)
			continue;
		for (uint32_t told = 0; told < 8; told++) {
			check_order(HOST, order, told);
			check_order(SIBLING, order, told);
		}
		n++;
	}
	assert_int_equal(n, 24);
}

static void
test_a_guest_that_sends_no_more_still_reads(void **state)
{
	struct vsw_conn conn = established(HOST);

	input_data(&conn, WINDOW);
	assert_int_equal(input_shutdown(&conn, VSW_SHUTDOWN_SEND), ACT(SHUT_SEND));
	assert_int_equal(vsw_conn_window(&conn).bytes, WINDOW);
	give_data(&conn, 1000);
	assert_int_equal(input_credit(&conn, WINDOW, 1000), 0);
	assert_int_equal(vsw_conn_window(&conn).bytes, WINDOW);
	/* nobody needs to hear of room that will not be used */
	assert_int_equal(vsw_conn_event(&conn, VSW_CONN_EV_FAR_TOOK, WINDOW), 0);
	assert_int_equal(conn.pending, 0);
}

static void
test_a_guest_that_receives_no_more_still_sends(void **state)
{
	struct vsw_conn conn = established(HOST);

	assert_int_equal(input_shutdown(&conn, VSW_SHUTDOWN_RCV), ACT(SHUT_RECV));
	assert_int_equal(vsw_conn_window(&conn).bytes, 0);
	assert_int_equal(vsw_conn_window(&conn).packets, 0);
	assert_int_equal(input_data(&conn, WINDOW / 4), ACT(DELIVER));
	vsw_conn_event(&conn, VSW_CONN_EV_FAR_TOOK, WINDOW / 4);
	assert_int_equal(conn.pending, PENDING(CREDIT_UPDATE));
}

static void
test_data_after_the_far_end_is_deaf_is_dropped(void **state)
{
	struct vsw_conn host = established(HOST), sibling = established(SIBLING);

	/* of a host stream: nobody else would count it as taken */
	event(&host, VSW_CONN_EV_FAR_GONE);
	for (int i = 0; i < 10; i++)
		assert_int_equal(input_data(&host, WINDOW), 0);
	assert_int_equal(host.state, VSW_CONN_ESTABLISHED);
	assert_int_equal(host.fwd_cnt, 10 * WINDOW);

	/* a sibling counts for itself, or does not: the window stays bounded; but it hears of the
	 * credit that came along */
	event(&sibling, VSW_CONN_EV_FAR_GONE);
	assert_int_equal(input_data(&sibling, WINDOW), VSW_CONN_ACT_TELL_CREDIT);
	assert_int_equal(sibling.fwd_cnt, 0);
	input_data(&sibling, 1);
	assert_int_equal(sibling.reason, VSW_CONN_REASON_CREDIT);
}

static void
test_what_the_far_end_shuts_before_is_told_after_the_response(void **state)
{
	for (unsigned int kind = HOST; kind <= SIBLING; kind++) {
		for (uint32_t flags = 0; flags <= VSW_SHUTDOWN_BOTH; flags++) {
			struct vsw_conn ini = opening(kind), tgt = asked(kind);
			struct vsw_conn *conns[] = {&ini, &tgt};
			uint32_t act;

			for (int i = 0; i < 2; i++) {
				if (flags & VSW_SHUTDOWN_SEND)
					event(conns[i], VSW_CONN_EV_FAR_EOF);
				if (flags & VSW_SHUTDOWN_RCV)
					event(conns[i], VSW_CONN_EV_FAR_GONE);
				assert_int_equal(conns[i]->pending, 0);
			}
			event(&ini, VSW_CONN_EV_FAR_OPENED);
			assert_int_equal(tell(&ini, &act).op, VSW_OP_RESPONSE);
			act = input(&tgt, VSW_OP_RESPONSE);
			assert_int_equal((act & ACT(ACCEPT)) != 0,
					 kind == SIBLING || flags != VSW_SHUTDOWN_BOTH);
			for (int i = 0; i < 2; i++) {
				if (flags == 0)
					assert_false(vsw_conn_has_pending(conns[i]));
				else
					assert_int_equal(tell(conns[i], &act).flags, flags);
				assert_int_equal(conns[i]->pending, 0);
			}
		}
	}
}

static void
test_what_is_pending_is_told_in_order(void **state)
{
	struct vsw_conn conn = opening(SIBLING);
	uint32_t act;

	event(&conn, VSW_CONN_EV_FAR_GONE);
	event(&conn, VSW_CONN_EV_FAR_OPENED);
	event(&conn, VSW_CONN_EV_FAR_CREDIT_REQUEST);
	event(&conn, VSW_CONN_EV_FAR_CREDIT_UPDATE);
	assert_int_equal(tell(&conn, &act).op, VSW_OP_RESPONSE);
	assert_int_equal(tell(&conn, &act).op, VSW_OP_CREDIT_UPDATE);
	assert_int_equal(tell(&conn, &act).op, VSW_OP_CREDIT_REQUEST);
	assert_int_equal(tell(&conn, &act).op, VSW_OP_SHUTDOWN);
	assert_false(vsw_conn_has_pending(&conn));
}

/* The close timer: told of both, everything read, once. */

static void
test_close_timer_starts_when_told_if_all_was_read(void **state)
{
	for (unsigned int kind = HOST; kind <= SIBLING; kind++) {
		struct vsw_conn conn = established(kind);

		give_data(&conn, 10);
		input_credit(&conn, WINDOW, 10);
		event(&conn, VSW_CONN_EV_FAR_EOF);
		assert_int_equal(tell_all(&conn), 0);
		event(&conn, VSW_CONN_EV_FAR_GONE);
		assert_int_equal(input_credit(&conn, WINDOW, 10) & ACT(ARM_CLOSE), 0);
		assert_int_equal(tell_all(&conn), ACT(ARM_CLOSE));
		assert_int_equal(input_credit(&conn, WINDOW, 10) & ACT(ARM_CLOSE), 0);
		assert_int_equal(input(&conn, VSW_OP_CREDIT_REQUEST) & ACT(ARM_CLOSE), 0);
		assert_int_equal(tell_all(&conn), 0);

		event(&conn, VSW_CONN_EV_TIMEOUT);
		assert_int_equal(conn.reason, VSW_CONN_REASON_CLOSE_TIMEOUT);
		assert_int_equal(conn.pending, PENDING(RST));
	}
}

static void
test_close_timer_waits_for_the_last_byte(void **state)
{
	/* whatever packet says that it was read */
	static const uint16_t ops[] = {VSW_OP_RESPONSE, VSW_OP_SHUTDOWN, VSW_OP_RW,
				       VSW_OP_CREDIT_UPDATE, VSW_OP_CREDIT_REQUEST};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(ops); i++) {
		struct vsw_conn conn = established(HOST);
		struct vsw_pkt pkt;

		give_data(&conn, 10);
		event(&conn, VSW_CONN_EV_FAR_EOF);
		event(&conn, VSW_CONN_EV_FAR_GONE);
		assert_int_equal(tell_all(&conn), 0);
		for (uint32_t fwd_cnt = 0; fwd_cnt < 10; fwd_cnt++)
			assert_int_equal(input_credit(&conn, WINDOW, fwd_cnt), 0);
		/* more than there was is nothing */
		assert_int_equal(input_credit(&conn, WINDOW, 11), 0);
		pkt = packet(&conn, ops[i]);
		pkt.fwd_cnt = 10;
		assert_true(vsw_conn_input(&conn, &pkt) & ACT(ARM_CLOSE));
		assert_false(vsw_conn_input(&conn, &pkt) & ACT(ARM_CLOSE));
	}
}

static void
test_close_timer_does_not_start_for_a_connection_that_ends(void **state)
{
	struct vsw_conn conn = established(HOST);
	struct vsw_pkt pkt;

	give_data(&conn, 10);
	event(&conn, VSW_CONN_EV_FAR_EOF);
	event(&conn, VSW_CONN_EV_FAR_GONE);
	tell_all(&conn);
	pkt = packet(&conn, VSW_OP_RST);
	pkt.fwd_cnt = 10;
	assert_int_equal(vsw_conn_input(&conn, &pkt), ACT(REMOVE) | ACT(DISARM));
	assert_int_equal(conn.reason, VSW_CONN_REASON_FAR_CLOSED);
	assert_int_equal(conn.pending, 0);
}

/* It is an answer only to what was told. */
static void
test_a_reset_before_the_goodbye_is_no_agreement(void **state)
{
	struct vsw_conn conn = established(HOST);

	event(&conn, VSW_CONN_EV_FAR_EOF);
	tell_all(&conn);
	event(&conn, VSW_CONN_EV_FAR_GONE);
	input(&conn, VSW_OP_RST);
	assert_int_equal(conn.reason, VSW_CONN_REASON_GUEST_RESET);
	assert_false(vsw_conn_has_pending(&conn));
}

/* Everything is read while SHUTDOWN is still pending. */
static void
test_close_timer_waits_until_the_goodbye_is_told(void **state)
{
	struct vsw_conn conn = established(HOST);

	give_data(&conn, 10);
	event(&conn, VSW_CONN_EV_FAR_EOF);
	event(&conn, VSW_CONN_EV_FAR_GONE);
	assert_int_equal(input_credit(&conn, WINDOW, 10), 0);
	assert_int_equal(tell_all(&conn), ACT(ARM_CLOSE));
}

static void
test_the_last_words_give_way_to_the_reset(void **state)
{
	struct vsw_conn conn = established(HOST);
	uint32_t act;

	event(&conn, VSW_CONN_EV_FAR_EOF);
	input(&conn, VSW_OP_CREDIT_REQUEST);
	assert_int_equal(conn.pending, PENDING(SHUTDOWN) | PENDING(CREDIT_UPDATE));
	input_shutdown(&conn, VSW_SHUTDOWN_BOTH);
	assert_int_equal(tell(&conn, &act).op, VSW_OP_RST);
	assert_int_equal(act, 0);
	assert_false(vsw_conn_has_pending(&conn));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_halves_close_in_every_order),
		cmocka_unit_test(test_a_guest_that_sends_no_more_still_reads),
		cmocka_unit_test(test_a_guest_that_receives_no_more_still_sends),
		cmocka_unit_test(test_data_after_the_far_end_is_deaf_is_dropped),
		cmocka_unit_test(test_what_the_far_end_shuts_before_is_told_after_the_response),
		cmocka_unit_test(test_what_is_pending_is_told_in_order),
		cmocka_unit_test(test_close_timer_starts_when_told_if_all_was_read),
		cmocka_unit_test(test_close_timer_waits_for_the_last_byte),
		cmocka_unit_test(test_close_timer_does_not_start_for_a_connection_that_ends),
		cmocka_unit_test(test_a_reset_before_the_goodbye_is_no_agreement),
		cmocka_unit_test(test_close_timer_waits_until_the_goodbye_is_told),
		cmocka_unit_test(test_the_last_words_give_way_to_the_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
