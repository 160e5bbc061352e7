/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves the state machine cell by cell: for every state, packet and event, with a host
 * stream and with a sibling guest at the far end, the next state, the actions, what the
 * guest has to be told, and why the connection ended.
 */
#include <string.h>

#include "conn_case.h"

/* Situations: every state, and ESTABLISHED with everything that makes a difference. */
#define SCENE_TABLE(X)                                                                             \
	X(OPENING)      /* the guest has asked */                                                  \
	X(ASKING)       /* the far end has asked, REQUEST is pending */                            \
	X(ASKED)        /* the same, REQUEST was told */                                           \
	X(ANSWERING)    /* established, RESPONSE is pending */                                     \
	X(OPEN)         /* established */                                                          \
	X(PROBING)      /* established, the guest's window is closed and was asked about */        \
	X(GUEST_SENT)   /* the guest sends no more */                                              \
	X(GUEST_DEAF)   /* the guest receives no more */                                           \
	X(GUEST_CLOSED) /* both; of a host stream nothing is left then */                          \
	X(FAR_SENT)     /* the far end sends no more, the guest knows */                           \
	X(FAR_DEAF)     /* the far end receives no more, the guest knows */                        \
	X(FAR_CLOSED)   /* both, the guest has not read everything */                              \
	X(FAR_OVER)     /* both, the guest has read everything */                                  \
	X(CLOSED_RST)   /* closed, RST is pending */                                               \
	X(CLOSED)

enum scene {
#define X(name) S_##name,
	SCENE_TABLE(X)
#undef X
		N_SCENES
};

static const char *const scene_name[] = {
#define X(name) #name,
	SCENE_TABLE(X)
#undef X
};

/* What can come in: packets with the contents that make a difference, and all events. */
#define PACKET_TABLE(X)                                                                            \
	X(REQUEST, VSW_OP_REQUEST, 0, 0)                                                           \
	X(RESPONSE, VSW_OP_RESPONSE, 0, 0)                                                         \
	X(RST, VSW_OP_RST, 0, 0)                                                                   \
	X(RW, VSW_OP_RW, 100, 0)                                                                   \
	X(RW_EMPTY, VSW_OP_RW, 0, 0)                                                               \
	X(RW_FULL, VSW_OP_RW, WINDOW - 100, 0)                                                     \
	X(RW_OVER, VSW_OP_RW, WINDOW - 99, 0)                                                      \
	X(SHUT_NONE, VSW_OP_SHUTDOWN, 0, 0)                                                        \
	X(SHUT_RCV, VSW_OP_SHUTDOWN, 0, VSW_SHUTDOWN_RCV)                                          \
	X(SHUT_SEND, VSW_OP_SHUTDOWN, 0, VSW_SHUTDOWN_SEND)                                        \
	X(SHUT_BOTH, VSW_OP_SHUTDOWN, 0, VSW_SHUTDOWN_BOTH)                                        \
	X(CREDIT_UPDATE, VSW_OP_CREDIT_UPDATE, 0, 0)                                               \
	X(CREDIT_REQUEST, VSW_OP_CREDIT_REQUEST, 0, 0)

enum in {
#define X(name, op, len, flags) I_##name,
	PACKET_TABLE(X)
#undef X
#define X(name, text) I_EV_##name,
		VSW_CONN_EVENT_TABLE(X)
#undef X
			N_INPUTS,
	N_PACKETS = I_EV_FAR_OPENED,
};

static const char *const input_name[] = {
#define X(name, op, len, flags) #name,
	PACKET_TABLE(X)
#undef X
#define X(name, text) "event " #name,
		VSW_CONN_EVENT_TABLE(X)
#undef X
};

#define S(name) BIT(S_##name)
#define I(name) BIT(I_##name)
#define EV(name) BIT(I_EV_##name)

#define ALL_EST                                                                                    \
	(S(ANSWERING) | S(OPEN) | S(PROBING) | S(GUEST_SENT) | S(GUEST_DEAF) | S(GUEST_CLOSED) |   \
	 S(FAR_SENT) | S(FAR_DEAF) | S(FAR_CLOSED) | S(FAR_OVER))
#define ALL_OVER (S(FAR_CLOSED) | S(FAR_OVER))
#define ALL_CLOSED (S(CLOSED) | S(CLOSED_RST))
#define ALL_SHUT (I(SHUT_NONE) | I(SHUT_RCV) | I(SHUT_SEND) | I(SHUT_BOTH))
#define ALL_RW (I(RW) | I(RW_EMPTY) | I(RW_FULL) | I(RW_OVER))
#define ALL_PACKETS (BIT(N_PACKETS) - 1)
#define ALL_EVENTS (BIT(N_INPUTS) - BIT(N_PACKETS))

/* Events after which the guest knows of no connection that it could be told of. */
#define FORGETS (EV(SUPERSEDED) | EV(GUEST_GONE))

/* How a connection ends whose far end is still there, or was let go before. */
#define END (ACT(CLOSE_FAR) | ACT(REMOVE) | ACT(DISARM))
#define END_ALONE (ACT(REMOVE) | ACT(DISARM))
/* The state does not change. */
#define STAYS VSW_CONN_N_STATES

static const struct row {
	uint32_t scenes;
	uint32_t kinds;
	uint32_t inputs;
	int state;
	uint32_t act;
	uint32_t pending; /* beside what was pending before; alone when this is the end */
	enum vsw_conn_reason reason;
} rows[] = {
#define STAY(scenes, kinds, inputs, act, pending)                                                  \
	{                                                                                          \
		scenes, kinds, inputs, STAYS, act, pending, VSW_CONN_REASON_NONE                   \
	}
#define ESTABLISH(scenes, kinds, inputs, act, pending)                                             \
	{                                                                                          \
		scenes, kinds, inputs, VSW_CONN_ESTABLISHED, act, pending, VSW_CONN_REASON_NONE    \
	}
#define CLOSE(scenes, kinds, inputs, act, pending, reason)                                         \
	{                                                                                          \
		scenes, kinds, inputs, VSW_CONN_CLOSED, act, pending, VSW_CONN_REASON_##reason     \
	}
#define RST PENDING(RST)
	/* clang-format off */
	/* The guest waits for our answer. */
	CLOSE(S(OPENING), ANY, I(REQUEST) | I(RESPONSE) | ALL_RW | ALL_SHUT, END, RST, PROTOCOL),
	CLOSE(S(OPENING), ANY, I(RST), END, 0, GUEST_RESET),
	STAY(S(OPENING), ANY, I(CREDIT_UPDATE) | I(CREDIT_REQUEST), 0, 0),
	ESTABLISH(S(OPENING), ANY, EV(FAR_OPENED), ACT(DISARM), PENDING(RESPONSE)),
	CLOSE(S(OPENING), ANY, EV(FAR_REFUSED), END_ALONE, RST, REFUSED_BY_FAR),
	CLOSE(S(OPENING), ANY, EV(FAR_RESET), END, RST, REFUSED_BY_FAR),
	CLOSE(S(OPENING), ANY, EV(TIMEOUT), END, RST, REQUEST_TIMEOUT),
	CLOSE(S(OPENING), ANY, EV(ABORT), END, RST, ABORTED),

	/* The guest does not know yet: what it sends is of an older connection. */
	STAY(S(ASKING), ANY, ALL_PACKETS, ACT(UNEXPECTED), 0),
	STAY(S(ASKING), ANY, EV(FAR_OPENED) | EV(FAR_REFUSED), 0, 0),
	CLOSE(S(ASKING), ANY, EV(FAR_RESET), END, 0, FAR_RESET),
	CLOSE(S(ASKING), ANY, EV(TIMEOUT), END, 0, REQUEST_TIMEOUT),
	CLOSE(S(ASKING), ANY, EV(ABORT), END, 0, ABORTED),

	/* We wait for the guest's answer. */
	ESTABLISH(S(ASKED), ANY, I(RESPONSE), ACT(ACCEPT) | ACT(DISARM), 0),
	CLOSE(S(ASKED), ANY, I(RST), END, 0, REFUSED_BY_GUEST),
	CLOSE(S(ASKED), ANY, I(REQUEST) | ALL_RW | ALL_SHUT, END, RST, PROTOCOL),
	STAY(S(ASKED), ANY, I(CREDIT_UPDATE) | I(CREDIT_REQUEST), 0, 0),
	STAY(S(ASKED), ANY, EV(FAR_OPENED) | EV(FAR_REFUSED), 0, 0),
	CLOSE(S(ASKED), ANY, EV(FAR_RESET), END, RST, FAR_RESET),
	CLOSE(S(ASKED), ANY, EV(TIMEOUT), END, RST, REQUEST_TIMEOUT),
	CLOSE(S(ASKED), ANY, EV(ABORT), END, RST, ABORTED),

	/* In all three, what the far end says of itself is told later. */
	STAY(S(OPENING) | S(ASKING) | S(ASKED), HOST, EV(FAR_TOOK), 0, 0),
	STAY(S(OPENING) | S(ASKING) | S(ASKED), ANY, EV(FAR_EOF) | EV(FAR_GONE), 0, 0),
	STAY(S(OPENING) | S(ASKING) | S(ASKED), SIBLING,
	     EV(FAR_CREDIT_UPDATE) | EV(FAR_CREDIT_REQUEST), 0, 0),
	STAY(S(OPENING) | S(ASKING) | S(ASKED), ANY, EV(PROBE), 0, 0),

	/* Established: handshakes mean nothing any more. */
	STAY(ALL_EST, ANY, I(REQUEST) | I(RESPONSE), ACT(UNEXPECTED), 0),
	STAY(ALL_EST, ANY, EV(FAR_OPENED) | EV(FAR_REFUSED), 0, 0),

	/* A reset ends it; whether it was agreed on is in the reason. */
	CLOSE(ALL_EST & ~ALL_OVER, ANY, I(RST), END, 0, GUEST_RESET),
	CLOSE(ALL_OVER, HOST, I(RST), END_ALONE, 0, FAR_CLOSED),
	CLOSE(ALL_OVER, SIBLING, I(RST), END, 0, FAR_CLOSED),
	CLOSE(ALL_EST & ~S(GUEST_CLOSED) & ~ALL_OVER, ANY, EV(FAR_RESET), END, RST, FAR_RESET),
	CLOSE(S(GUEST_CLOSED), SIBLING, EV(FAR_RESET), END, RST, GUEST_CLOSED),
	CLOSE(ALL_OVER, HOST, EV(FAR_RESET), END_ALONE, RST, FAR_RESET),
	CLOSE(ALL_OVER, SIBLING, EV(FAR_RESET), END, RST, FAR_RESET),

	/* Data. */
	STAY(S(ANSWERING) | S(OPEN) | S(PROBING) | S(GUEST_DEAF) | S(FAR_SENT), ANY,
	     I(RW) | I(RW_FULL), ACT(DELIVER), 0),
	STAY(S(FAR_DEAF) | ALL_OVER, HOST, I(RW) | I(RW_FULL), 0, 0),
	STAY(S(FAR_DEAF) | ALL_OVER, SIBLING, I(RW) | I(RW_FULL), ACT(TELL_CREDIT), 0),
	STAY(ALL_EST & ~(S(GUEST_SENT) | S(GUEST_CLOSED)), HOST, I(RW_EMPTY), 0, 0),
	STAY(ALL_EST & ~(S(GUEST_SENT) | S(GUEST_CLOSED)), SIBLING, I(RW_EMPTY), ACT(TELL_CREDIT),
	     0),
	CLOSE(ALL_EST & ~(S(GUEST_SENT) | S(GUEST_CLOSED) | ALL_OVER), ANY, I(RW_OVER), END, RST,
	      CREDIT),
	CLOSE(ALL_OVER, HOST, I(RW_OVER), END_ALONE, RST, CREDIT),
	CLOSE(ALL_OVER, SIBLING, I(RW_OVER), END, RST, CREDIT),
	CLOSE(S(GUEST_SENT) | S(GUEST_CLOSED), ANY, ALL_RW, END, RST, PROTOCOL),

	/* The guest shuts down. What it said before is no news. */
	STAY(ALL_EST, ANY, I(SHUT_NONE), 0, 0),
	STAY(ALL_EST & ~(S(GUEST_SENT) | S(GUEST_DEAF) | S(GUEST_CLOSED) | ALL_OVER), ANY,
	     I(SHUT_RCV), ACT(SHUT_RECV), 0),
	STAY(ALL_EST & ~(S(GUEST_SENT) | S(GUEST_DEAF) | S(GUEST_CLOSED) | ALL_OVER), ANY,
	     I(SHUT_SEND), ACT(SHUT_SEND), 0),
	STAY(ALL_EST & ~(S(GUEST_SENT) | S(GUEST_DEAF) | S(GUEST_CLOSED) | ALL_OVER), SIBLING,
	     I(SHUT_BOTH), ACT(SHUT_SEND) | ACT(SHUT_RECV), 0),
	STAY(S(GUEST_SENT), ANY, I(SHUT_SEND), 0, 0),
	STAY(S(GUEST_SENT), SIBLING, I(SHUT_RCV) | I(SHUT_BOTH), ACT(SHUT_RECV), 0),
	CLOSE(S(GUEST_SENT), HOST, I(SHUT_RCV) | I(SHUT_BOTH), END, RST, GUEST_CLOSED),
	STAY(S(GUEST_DEAF), ANY, I(SHUT_RCV), 0, 0),
	STAY(S(GUEST_DEAF), SIBLING, I(SHUT_SEND) | I(SHUT_BOTH), ACT(SHUT_SEND), 0),
	CLOSE(S(GUEST_DEAF), HOST, I(SHUT_SEND) | I(SHUT_BOTH), END, RST, GUEST_CLOSED),
	STAY(S(GUEST_CLOSED), SIBLING, I(SHUT_RCV) | I(SHUT_SEND) | I(SHUT_BOTH), 0, 0),
	CLOSE(ALL_EST & ~(S(GUEST_SENT) | S(GUEST_DEAF) | ALL_OVER), HOST, I(SHUT_BOTH), END,
	      RST, GUEST_CLOSED),
	/* A host stream that was let go is told nothing. */
	STAY(ALL_OVER, HOST, I(SHUT_RCV) | I(SHUT_SEND), 0, 0),
	CLOSE(ALL_OVER, HOST, I(SHUT_BOTH), END_ALONE, RST, GUEST_CLOSED),
	STAY(ALL_OVER, SIBLING, I(SHUT_RCV), ACT(SHUT_RECV), 0),
	STAY(ALL_OVER, SIBLING, I(SHUT_SEND), ACT(SHUT_SEND), 0),
	STAY(ALL_OVER, SIBLING, I(SHUT_BOTH), ACT(SHUT_SEND) | ACT(SHUT_RECV), 0),

	/* The far end shuts down. */
	STAY(ALL_EST & ~(S(FAR_SENT) | S(FAR_DEAF) | ALL_OVER), ANY, EV(FAR_EOF) | EV(FAR_GONE),
	     0, PENDING(SHUTDOWN)),
	STAY(S(FAR_SENT) | ALL_OVER, ANY, EV(FAR_EOF), 0, 0),
	STAY(S(FAR_DEAF) | ALL_OVER, ANY, EV(FAR_GONE), 0, 0),
	STAY(S(FAR_SENT), HOST, EV(FAR_GONE), ACT(CLOSE_FAR), PENDING(SHUTDOWN)),
	STAY(S(FAR_SENT), SIBLING, EV(FAR_GONE), 0, PENDING(SHUTDOWN)),
	STAY(S(FAR_DEAF), HOST, EV(FAR_EOF), ACT(CLOSE_FAR), PENDING(SHUTDOWN)),
	STAY(S(FAR_DEAF), SIBLING, EV(FAR_EOF), 0, PENDING(SHUTDOWN)),

	/* Credit: a host stream is spoken for, a sibling speaks for itself. */
	STAY(ALL_EST, HOST, I(CREDIT_UPDATE), 0, 0),
	STAY(ALL_EST, HOST, I(CREDIT_REQUEST), 0, PENDING(CREDIT_UPDATE)),
	STAY(ALL_EST, HOST, EV(FAR_TOOK), 0, 0),
	STAY(ALL_EST, SIBLING, I(CREDIT_UPDATE), ACT(TELL_CREDIT), 0),
	STAY(ALL_EST, SIBLING, I(CREDIT_REQUEST), ACT(ASK_CREDIT), 0),
	STAY(ALL_EST, SIBLING, EV(FAR_CREDIT_UPDATE), 0, PENDING(CREDIT_UPDATE)),
	STAY(ALL_EST, SIBLING, EV(FAR_CREDIT_REQUEST), 0, PENDING(CREDIT_REQUEST)),
	STAY(ALL_EST & ~S(PROBING), ANY, EV(PROBE), 0, 0),
	STAY(S(PROBING), ANY, EV(PROBE), 0, PENDING(CREDIT_REQUEST)),

	/* The clock and the switch. */
	CLOSE(ALL_EST & ~ALL_OVER, ANY, EV(TIMEOUT), END, RST, CLOSE_TIMEOUT),
	CLOSE(ALL_OVER, HOST, EV(TIMEOUT), END_ALONE, RST, CLOSE_TIMEOUT),
	CLOSE(ALL_OVER, SIBLING, EV(TIMEOUT), END, RST, CLOSE_TIMEOUT),
	CLOSE(ALL_EST & ~ALL_OVER, ANY, EV(ABORT), END, RST, ABORTED),
	CLOSE(ALL_OVER, HOST, EV(ABORT), END_ALONE, RST, ABORTED),
	CLOSE(ALL_OVER, SIBLING, EV(ABORT), END, RST, ABORTED),

	/* In any state that is not the last. */
	CLOSE(~(ALL_CLOSED | ALL_OVER), ANY, EV(SUPERSEDED), END, 0, SUPERSEDED),
	CLOSE(ALL_OVER, HOST, EV(SUPERSEDED), END_ALONE, 0, SUPERSEDED),
	CLOSE(ALL_OVER, SIBLING, EV(SUPERSEDED), END, 0, SUPERSEDED),
	CLOSE(~(ALL_CLOSED | ALL_OVER), ANY, EV(GUEST_GONE), END, 0, GUEST_GONE),
	CLOSE(ALL_OVER, HOST, EV(GUEST_GONE), END_ALONE, 0, GUEST_GONE),
	CLOSE(ALL_OVER, SIBLING, EV(GUEST_GONE), END, 0, GUEST_GONE),

	/* Nothing after the last. */
	STAY(ALL_CLOSED, ANY, ALL_PACKETS | (ALL_EVENTS & ~FORGETS), 0, 0),
	STAY(S(CLOSED), ANY, FORGETS, 0, 0),
	/* A RST told after the answer to the new REQUEST would be taken for that. */
	CLOSE(S(CLOSED_RST), ANY, FORGETS, 0, 0, ABORTED),
/* clang-format on */
#undef RST
#undef CLOSE
#undef ESTABLISH
#undef STAY
};

static struct vsw_conn
make(enum scene scene, unsigned int kind)
{
	struct vsw_conn conn;

	switch (scene) {
	case S_OPENING:
		return opening(kind);
	case S_ASKING:
		return asking(kind);
	case S_ASKED:
		return asked(kind);
	default:
		break;
	}
	/* Both ways into ESTABLISHED; 100 bytes wait at the far end, 50 in the guest. */
	conn = scene == S_ANSWERING ? opening(kind) : established(kind);
	if (kind == SIBLING)
		vsw_conn_far_credit(&conn, WINDOW, 0);
	if (scene == S_ANSWERING)
		event(&conn, VSW_CONN_EV_FAR_OPENED);
	input_data(&conn, 100);
	if (scene != S_ANSWERING && scene != S_FAR_OVER)
		give_data(&conn, 50);

	if (scene == S_PROBING)
		vsw_conn_stalled(&conn);
	if (scene == S_GUEST_SENT || scene == S_GUEST_CLOSED)
		input_shutdown(&conn, VSW_SHUTDOWN_SEND);
	if (scene == S_GUEST_DEAF || scene == S_GUEST_CLOSED)
		input_shutdown(&conn, VSW_SHUTDOWN_RCV);
	if (scene == S_FAR_SENT || scene == S_FAR_CLOSED || scene == S_FAR_OVER)
		event(&conn, VSW_CONN_EV_FAR_EOF);
	if (scene == S_FAR_DEAF || scene == S_FAR_CLOSED || scene == S_FAR_OVER)
		event(&conn, VSW_CONN_EV_FAR_GONE);
	if (scene == S_CLOSED_RST || scene == S_CLOSED)
		event(&conn, VSW_CONN_EV_ABORT);
	if (scene != S_ANSWERING && scene != S_CLOSED_RST)
		tell_all(&conn);
	return conn;
}

static uint32_t
feed(struct vsw_conn *conn, enum in in)
{
	static const struct {
		uint16_t op;
		uint32_t len;
		uint32_t flags;
	} packets[] = {
#define X(name, op, len, flags) {op, len, flags},
		PACKET_TABLE(X)
#undef X
	};
	struct vsw_pkt pkt;

	if (in >= N_PACKETS)
		return vsw_conn_event(conn, in - N_PACKETS, in == I_EV_FAR_TOOK ? 100 : 0);
	pkt = packet(conn, packets[in].op);
	pkt.len = packets[in].len;
	pkt.flags = packets[in].flags;
	return vsw_conn_input(conn, &pkt);
}

/* Combinations that cannot be: they have no row. */
static bool
is_possible(enum scene scene, unsigned int kind, enum in in)
{
	if (scene == S_GUEST_CLOSED && kind == HOST)
		return false;
	if (BIT(scene) & ALL_CLOSED)
		return true;
	if (in == I_EV_FAR_TOOK)
		return kind == HOST;
	if (in == I_EV_FAR_CREDIT_UPDATE || in == I_EV_FAR_CREDIT_REQUEST)
		return kind == SIBLING;
	return true;
}

static const struct row *
row_of(enum scene scene, unsigned int kind, enum in in)
{
	const struct row *found = NULL;

	for (size_t i = 0; i < VSW_ARRAY_SIZE(rows); i++) {
		if (!(rows[i].scenes & BIT(scene)) || !(rows[i].kinds & kind) ||
		    !(rows[i].inputs & BIT(in)))
			continue;
		if (found != NULL)
			fail_msg("%s, %s: two rows", scene_name[scene], input_name[in]);
		found = &rows[i];
	}
	if (found == NULL)
		fail_msg("%s, %s, kind %u: no row", scene_name[scene], input_name[in], kind);
	return found;
}

static void
check_cell(enum scene scene, unsigned int kind, enum in in)
{
	const struct row *row = row_of(scene, kind, in);
	struct vsw_conn conn = make(scene, kind);
	struct vsw_conn before = conn;
	bool ends = row->state == VSW_CONN_CLOSED;
	int state = row->state == STAYS ? before.state : row->state;
	uint32_t pending = ends ? row->pending : before.pending | row->pending;
	enum vsw_conn_reason reason = ends ? row->reason : before.reason;
	uint32_t act = feed(&conn, in);

	if (conn.state != state || act != row->act || conn.pending != pending ||
	    conn.reason != reason)
		fail_msg("%s, %s, %s: got state %s, actions %#x, pending %#x, reason '%s'; "
			 "not %s, %#x, %#x, '%s'",
			 scene_name[scene], kind == HOST ? "host" : "sibling", input_name[in],
			 vsw_conn_state_str(conn.state), act, conn.pending,
			 vsw_conn_reason_str(conn.reason), vsw_conn_state_str(state), row->act,
			 pending, vsw_conn_reason_str(reason));
}

static void
test_every_state_takes_every_input(void **state)
{
	unsigned int n = 0;

	for (enum scene scene = 0; scene < N_SCENES; scene++) {
		for (unsigned int kind = HOST; kind <= SIBLING; kind++) {
			for (enum in in = 0; in < N_INPUTS; in++) {
				if (!is_possible(scene, kind, in))
					continue;
				check_cell(scene, kind, in);
				n++;
			}
		}
	}
	print_message("%u cells\n", n);
}

/* After any inputs, the rules that hold whatever the state. */
static void
check_rules(const struct vsw_conn *before, const struct vsw_conn *after, enum in in, uint32_t act)
{
	bool ended = before->state != VSW_CONN_CLOSED && after->state == VSW_CONN_CLOSED;
	bool knew = !(before->pending & PENDING(REQUEST));

	/* out of the table exactly once, and the timer stopped */
	assert_int_equal((act & ACT(REMOVE)) != 0, ended);
	assert_true(!ended || (act & ACT(DISARM)));
	/* the far end is let go at most once, and at the end at the latest */
	assert_int_equal((act & ACT(CLOSE_FAR)) != 0,
			 before->far_open && !after->far_open && in != I_EV_FAR_REFUSED);
	assert_true(after->state != VSW_CONN_CLOSED || !after->far_open);
	/* and told nothing after that */
	if (!before->far_open)
		assert_false(act & (ACT(DELIVER) | ACT(ACCEPT) | ACT(SHUT_SEND) | ACT(SHUT_RECV)));
	/* a RST is never answered, nor is one sent that the guest could not understand */
	if (ended && (in == I_RST || in == I_EV_SUPERSEDED || in == I_EV_GUEST_GONE || !knew))
		assert_int_equal(after->pending, 0);
	else if (ended)
		assert_int_equal(after->pending, PENDING(RST));
	/* credit goes through to siblings only */
	if (!before->is_sibling)
		assert_false(act & (ACT(TELL_CREDIT) | ACT(ASK_CREDIT)));
	assert_int_equal(after->reason != VSW_CONN_REASON_NONE, after->state == VSW_CONN_CLOSED);
}

static void
check_three_inputs(enum scene scene, unsigned int kind, const enum in in[3])
{
	struct vsw_conn conn = make(scene, kind);

	for (unsigned int i = 0; i < 3; i++) {
		struct vsw_conn before = conn;
		uint32_t act;

		if (!is_possible(scene, kind, in[i]))
			return;
		act = feed(&conn, in[i]);
		check_rules(&before, &conn, in[i], act);
	}
}

static void
test_rules_hold_after_any_three_inputs(void **state)
{
	for (unsigned int i = 0; i < N_SCENES * 2 * N_INPUTS * N_INPUTS * N_INPUTS; i++) {
		enum in in[3] = {i % N_INPUTS, i / N_INPUTS % N_INPUTS,
				 i / N_INPUTS / N_INPUTS % N_INPUTS};
		unsigned int rest = i / N_INPUTS / N_INPUTS / N_INPUTS;

		check_three_inputs(rest / 2, rest % 2 == 0 ? HOST : SIBLING, in);
	}
}

static void
test_packets_to_the_guest_carry_addresses_and_credit(void **state)
{
	static const uint16_t ops[] = {VSW_OP_REQUEST,        VSW_OP_RESPONSE, VSW_OP_CREDIT_UPDATE,
				       VSW_OP_CREDIT_REQUEST, VSW_OP_SHUTDOWN, VSW_OP_RST};
	struct vsw_conn conn = established(HOST);
	struct vsw_pkt pkt;
	uint32_t act;

	input_data(&conn, 1000);
	vsw_conn_event(&conn, VSW_CONN_EV_FAR_TOOK, 700);
	conn.far_shut = VSW_SHUTDOWN_SEND;
	for (size_t i = 0; i < VSW_ARRAY_SIZE(ops); i++)
		conn.pending |= BIT(ops[i]);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(ops); i++) {
		const struct vsw_pkt expected = {
			.src_cid = VSW_CID_HOST,
			.dst_cid = GUEST_CID,
			.src_port = FAR_PORT,
			.dst_port = GUEST_PORT,
			.type = VSW_TYPE_STREAM,
			.op = ops[i],
			.flags = ops[i] == VSW_OP_SHUTDOWN ? VSW_SHUTDOWN_SEND : 0,
			.buf_alloc = WINDOW,
			.fwd_cnt = 700,
		};

		pkt = tell(&conn, &act);
		assert_memory_equal(&pkt, &expected, sizeof(pkt));
		assert_int_equal(act, 0);
	}
	vsw_conn_data_packet(&conn, 42, &pkt);
	assert_int_equal(pkt.op, VSW_OP_RW);
	assert_int_equal(pkt.len, 42);
	assert_int_equal(pkt.dst_port, GUEST_PORT);
	assert_int_equal(pkt.fwd_cnt, 700);
}

static void
test_no_packet_leaves_the_callers_alone(void **state)
{
	struct vsw_conn conn = established(HOST);
	struct vsw_pkt pkt, untouched;
	uint32_t act = 77;

	memset(&pkt, 0x5a, sizeof(pkt));
	untouched = pkt;
	assert_false(vsw_conn_next_packet(&conn, &pkt, &act));
	assert_int_equal(act, 0);
	assert_memory_equal(&pkt, &untouched, sizeof(pkt));
}

static void
test_a_connection_begins_with_who_asked(void **state)
{
	struct vsw_conn ini = opening(SIBLING), tgt = asking(HOST);

	assert_int_equal(ini.side, VSW_SIDE_INI);
	assert_int_equal(ini.guest_cid, GUEST_CID);
	assert_int_equal(ini.guest_port, GUEST_PORT);
	assert_int_equal(ini.far_cid, SIBLING_CID);
	assert_int_equal(ini.far_port, FAR_PORT);
	assert_true(ini.is_sibling);
	assert_int_equal(tgt.side, VSW_SIDE_TGT);
	assert_int_equal(tgt.guest_port, GUEST_PORT);
	assert_int_equal(tgt.far_port, FAR_PORT);
	assert_false(tgt.is_sibling);
}

static void
test_refuse_swaps_addresses_and_never_answers_a_reset(void **state)
{
	for (uint16_t op = 0; op <= VSW_OP_CREDIT_REQUEST; op++) {
		const struct vsw_pkt pkt = {
			.src_cid = 3,
			.dst_cid = 99,
			.src_port = 5,
			.dst_port = 6,
			.len = 7,
			.type = VSW_TYPE_SEQPACKET,
			.op = op,
			.flags = 3,
			.buf_alloc = 9,
			.fwd_cnt = 8,
		};
		const struct vsw_pkt expected = {
			.src_cid = 99,
			.dst_cid = 3,
			.src_port = 6,
			.dst_port = 5,
			.type = VSW_TYPE_SEQPACKET,
			.op = VSW_OP_RST,
		};
		struct vsw_pkt rst;

		assert_int_equal(vsw_conn_refuse(&pkt, &rst), op != VSW_OP_RST);
		if (op != VSW_OP_RST)
			assert_memory_equal(&rst, &expected, sizeof(rst));
	}
}

static void
test_names_exist_for_every_value(void **state)
{
	for (int s = 0; s < VSW_CONN_N_STATES; s++)
		assert_string_not_equal(vsw_conn_state_str(s), "unknown");
	for (int r = 0; r < VSW_CONN_N_REASONS; r++)
		assert_string_not_equal(vsw_conn_reason_str(r), "unknown");
	assert_string_equal(vsw_conn_state_str(VSW_CONN_N_STATES), "unknown");
	assert_string_equal(vsw_conn_reason_str(VSW_CONN_N_REASONS), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_state_takes_every_input),
		cmocka_unit_test(test_rules_hold_after_any_three_inputs),
		cmocka_unit_test(test_packets_to_the_guest_carry_addresses_and_credit),
		cmocka_unit_test(test_no_packet_leaves_the_callers_alone),
		cmocka_unit_test(test_a_connection_begins_with_who_asked),
		cmocka_unit_test(test_refuse_swaps_addresses_and_never_answers_a_reset),
		cmocka_unit_test(test_names_exist_for_every_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
