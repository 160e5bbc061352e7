/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Three manners, chosen per run:
 *   GRACEFUL  both ends send, read to the end of file and close: nothing may be lost, and no
 *             timer is needed.
 *   ROUGH     guests as Linux makes them, but anybody may close, reset, time out, vanish or
 *             resize at any time.
 *   HOSTILE   the guests send anything besides.
 *
 * An `end` is a connection object as its owner sees it, and what must be true of it: all
 * positions are counted here a second time in 64 bits. The two kinds of far end are a host,
 * and another end behind two queues of messages.
 */
#include "conn_model.h"

#include <string.h>

#include "linux_guest.h"
#include "vsw_base.h"

enum manner { GRACEFUL, ROUGH, HOSTILE };

/* What one end tells the other: in order, with the window of the packet that caused it. */
enum verb { ML_DATA, ML_ACCEPT, ML_TELL, ML_ASK, ML_SHUT_SEND, ML_SHUT_RECV, ML_CLOSE };
struct link {
	struct message {
		enum verb verb;
		uint32_t len;
		uint32_t buf_alloc, fwd_cnt;
	} msg[WIRE_SIZE];
	unsigned int first, n;
};

struct host {
	uint64_t n_written, n_given; /* by the application, to the guest */
	uint64_t n_delivered, n_taken;
	bool is_open, wrote_eof, is_gone, told_eof, told_gone;
	bool saw_eof;
	bool is_silent; /* answers no request */
};

struct end {
	struct model *model;
	struct vsw_conn conn;
	struct guest guest;
	struct wire from_guest, to_guest;
	struct link *out; /* to the other end; NULL: a host */
	struct link in;
	bool exists, in_table, guest_gone;
	bool is_frozen; /* the guest takes nothing for longer than any timer */
	bool timer, probe;
	uint32_t done; /* actions so far */

	/* To the guest. */
	uint64_t n_sent, n_acked;
	uint32_t buf_alloc;
	uint64_t *packet_end; /* of unread packets, in order */
	unsigned int first_packet, n_packets;
	bool is_resized;
	struct vsw_pkt last; /* packet of the guest */
	/* A fetch that is out. */
	bool fetching;
	uint32_t reserved, n_reserved, room[32];

	/* From the guest. */
	uint64_t n_from, n_far_acked;
	uint64_t limit; /* n_from may come to this */

	/* From the other end. */
	uint64_t n_arrived, n_given;
	bool eof_waits, close_waits;
};

struct model {
	struct choices *choices;
	struct model_stats *stats;
	enum manner manner;
	unsigned int n_ends;
	struct end end[2];
	struct host host;
	bool draining;
};

/* Choices */

uint32_t
choose(struct choices *c, uint32_t n)
{
	uint32_t value = 0;

	if (c->byte != NULL) {
		for (unsigned int i = 0; i < (n > 256 ? 4u : 1u) && c->n_bytes > 0; i++) {
			value = value << 8 | *c->byte++;
			c->n_bytes--;
		}
		return value % n;
	}
	/* SplitMix64 */
	c->rng += 0x9e3779b97f4a7c15ull;
	uint64_t z = c->rng;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (uint32_t)((z ^ z >> 31) >> 11) % n;
}

static uint32_t
pick(struct model *m, uint32_t n)
{
	return choose(m->choices, n);
}

/* Few bytes often, many bytes sometimes. */
static uint32_t
pick_size(struct model *m)
{
	static const uint32_t sizes[] = {1, 16, 128, 1000, 4096, 65536, 300000};

	return 1 + pick(m, sizes[pick(m, VSW_ARRAY_SIZE(sizes))]);
}

/* Linux' fwd_cnt as 64 bits, if it can be true. */
static bool
widen(uint64_t *position, uint64_t low, uint64_t high, uint32_t value)
{
	uint64_t wide = low + (uint32_t)(value - (uint32_t)low);

	if (wide > high)
		return false;
	*position = wide;
	return true;
}

/* What must be true of an end */

static const uint32_t actions_of[VSW_CONN_N_STATES] = {
	[VSW_CONN_OPENING] = VSW_CONN_ACT_DISARM | VSW_CONN_ACT_CLOSE_FAR | VSW_CONN_ACT_REMOVE,
	[VSW_CONN_REQUESTING] = VSW_CONN_ACT_ACCEPT | VSW_CONN_ACT_DISARM | VSW_CONN_ACT_CLOSE_FAR |
				VSW_CONN_ACT_REMOVE | VSW_CONN_ACT_UNEXPECTED,
	[VSW_CONN_ESTABLISHED] = 0x7ff & ~VSW_CONN_ACT_ACCEPT,
};

#define ONCE                                                                                       \
	(VSW_CONN_ACT_ACCEPT | VSW_CONN_ACT_SHUT_SEND | VSW_CONN_ACT_SHUT_RECV |                   \
	 VSW_CONN_ACT_CLOSE_FAR | VSW_CONN_ACT_ARM_CLOSE | VSW_CONN_ACT_REMOVE)
#define TO_FAR                                                                                     \
	(VSW_CONN_ACT_DELIVER | VSW_CONN_ACT_ACCEPT | VSW_CONN_ACT_SHUT_SEND |                     \
	 VSW_CONN_ACT_SHUT_RECV)
#define CREDIT (VSW_CONN_ACT_TELL_CREDIT | VSW_CONN_ACT_ASK_CREDIT)

static unsigned int
packet_cap(uint32_t buf_alloc)
{
	uint32_t n = buf_alloc / 576;

	n -= n / 16;
	return n == 0 ? 1 : n > UINT16_MAX ? UINT16_MAX : n;
}

static void
check_window(struct end *e)
{
	struct vsw_conn_window window = vsw_conn_window(&e->conn);
	uint64_t unread = e->n_sent - e->n_acked + e->reserved;
	bool open = e->conn.state == VSW_CONN_ESTABLISHED && !(e->done & VSW_CONN_ACT_SHUT_RECV) &&
		    !(e->conn.guest_shut & VSW_SHUTDOWN_RCV);
	unsigned int cap = packet_cap(e->buf_alloc), share = (cap + 15) / 16;
	unsigned int counted = cap - window.packets;

	MUST(open || (window.bytes == 0 && window.packets == 0));
	if (!open)
		return;
	MUST(window.bytes == (unread < e->buf_alloc ? e->buf_alloc - unread : 0));
	MUST(window.packets <= cap);
	MUST(counted >= e->n_packets || window.packets == 0);
	MUST(e->is_resized || counted <= e->n_packets + share - 1);
	MUST(e->n_packets > 0 || window.packets == cap);
}

static void
check_end(struct end *e)
{
	const struct vsw_conn *conn = &e->conn;

	if (conn->state == VSW_CONN_CLOSED) {
		MUST((conn->pending & ~(1u << VSW_OP_RST)) == 0);
		MUST(!e->in_table && !e->timer && !conn->probing);
		MUST(conn->reason != VSW_CONN_REASON_NONE);
	} else {
		MUST(e->in_table && !(conn->pending & 1u << VSW_OP_RST));
		MUST(conn->reason == VSW_CONN_REASON_NONE);
	}
	MUST((uint32_t)(conn->from_guest_cnt - (uint32_t)e->n_from) == 0);
	MUST(e->n_from <= e->limit);
	MUST((uint32_t)(conn->granted - (uint32_t)e->limit) == 0);
	check_window(e);
}

/* To a connection and what it asks for in return */

static void apply(struct end *e, uint32_t act, uint32_t len);

static void
check_actions(struct end *e, uint8_t was, uint32_t act)
{
	uint32_t before = e->done;

	MUST((act & ~actions_of[was]) == 0);
	MUST((act & before & ONCE) == 0);
	MUST(!(before & VSW_CONN_ACT_CLOSE_FAR) || !(act & TO_FAR));
	MUST(e->out != NULL || !(act & CREDIT));
	MUST(((act & VSW_CONN_ACT_REMOVE) != 0) ==
	     (was != VSW_CONN_CLOSED && e->conn.state == VSW_CONN_CLOSED));
	e->done |= act;
	e->model->stats->all_actions |= act;
	if (act & VSW_CONN_ACT_ARM_CLOSE)
		e->timer = true;
	if (act & VSW_CONN_ACT_DISARM)
		e->timer = false;
	if (act & VSW_CONN_ACT_REMOVE) {
		e->in_table = e->probe = false;
		e->model->stats->n_reasons[e->conn.reason]++;
	}
}

static void
event(struct end *e, enum vsw_conn_event ev, uint32_t n)
{
	uint8_t was = e->conn.state;
	struct vsw_conn before = e->conn;
	uint32_t act = vsw_conn_event(&e->conn, ev, n);

	if (was == VSW_CONN_CLOSED)
		MUST(act == 0 && memcmp(&before, &e->conn, sizeof(before)) == 0);
	if (ev == VSW_CONN_EV_SUPERSEDED || ev == VSW_CONN_EV_GUEST_GONE)
		MUST(was == VSW_CONN_CLOSED || e->conn.pending == 0);
	e->model->stats->n_events[was][ev]++;
	check_actions(e, was, act);
	apply(e, act, 0);
}

static void
note_credit(struct end *e, const struct vsw_pkt *pkt)
{
	if (widen(&e->n_acked, e->n_acked, e->n_sent, pkt->fwd_cnt)) {
		while (e->n_packets > 0 && e->packet_end[e->first_packet] <= e->n_acked) {
			e->first_packet = (e->first_packet + 1) % (UINT16_MAX + 1u);
			e->n_packets--;
		}
	}
	if (e->buf_alloc != pkt->buf_alloc && e->conn.state == VSW_CONN_ESTABLISHED)
		e->is_resized = true;
	e->buf_alloc = pkt->buf_alloc;
}

static void
input(struct end *e, const struct wire_entry *entry)
{
	const struct vsw_pkt *pkt = &entry->pkt;
	struct vsw_conn before = e->conn;
	uint8_t was = before.state;
	bool unasked = (before.pending & 1u << VSW_OP_REQUEST) != 0;
	uint32_t act = vsw_conn_input(&e->conn, pkt);

	e->last = *pkt;
	e->model->stats->n_inputs[was][pkt->op]++;
	MUST(was != VSW_CONN_CLOSED);
	if (unasked)
		MUST(act == VSW_CONN_ACT_UNEXPECTED && e->conn.state == was);
	else
		note_credit(e, pkt);
	if (pkt->op == VSW_OP_RST && !unasked)
		MUST(e->conn.state == VSW_CONN_CLOSED && e->conn.pending == 0);
	MUST(pkt->op == VSW_OP_RW || !(act & VSW_CONN_ACT_DELIVER));
	if (pkt->op == VSW_OP_RW && was == VSW_CONN_ESTABLISHED &&
	    e->conn.state == VSW_CONN_ESTABLISHED) {
		MUST(e->model->manner == HOSTILE || entry->offset == e->n_from);
		e->n_from += pkt->len;
		if (!(act & VSW_CONN_ACT_DELIVER) && e->out == NULL) {
			e->n_far_acked += pkt->len; /* nobody is there to read it */
			e->limit = e->n_far_acked + e->conn.buf_alloc;
		}
	}
	/* Linux is reset for nothing but what a far end or a clock did. */
	if (e->guest.is_sane && e->conn.state == VSW_CONN_CLOSED)
		MUST(e->conn.reason != VSW_CONN_REASON_CREDIT &&
		     e->conn.reason != VSW_CONN_REASON_PROTOCOL);
	check_actions(e, was, act);
	apply(e, act, pkt->len);
}

/* What an end tells the other end, or the host */

static void
send_message(struct end *e, enum verb verb, uint32_t len)
{
	struct link *link = e->out;
	struct message *msg = &link->msg[(link->first + link->n) % WIRE_SIZE];

	MUST(link->n < WIRE_SIZE);
	*msg = (struct message){verb, len, e->last.buf_alloc, e->last.fwd_cnt};
	link->n++;
}

static void
apply_to_end(struct end *e, uint32_t act, uint32_t len)
{
	static const struct {
		uint32_t act;
		enum verb verb;
	} order[] = {
		{VSW_CONN_ACT_DELIVER, ML_DATA},        {VSW_CONN_ACT_ACCEPT, ML_ACCEPT},
		{VSW_CONN_ACT_TELL_CREDIT, ML_TELL},    {VSW_CONN_ACT_ASK_CREDIT, ML_ASK},
		{VSW_CONN_ACT_SHUT_SEND, ML_SHUT_SEND}, {VSW_CONN_ACT_SHUT_RECV, ML_SHUT_RECV},
		{VSW_CONN_ACT_CLOSE_FAR, ML_CLOSE},
	};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(order); i++) {
		if (act & order[i].act)
			send_message(e, order[i].verb, len);
	}
}

static void
apply(struct end *e, uint32_t act, uint32_t len)
{
	struct host *host = &e->model->host;

	if (e->out != NULL) {
		apply_to_end(e, act, len);
	} else {
		MUST(host->is_open || !(act & TO_FAR));
		if (act & VSW_CONN_ACT_DELIVER)
			host->n_delivered += len;
		if (act & VSW_CONN_ACT_SHUT_SEND)
			host->saw_eof = true;
		if (act & VSW_CONN_ACT_CLOSE_FAR)
			host->saw_eof = host->is_gone = true;
	}
}

/* Steps of the switch: each returns whether it did anything */

static bool
step_take_packet(struct end *e)
{
	struct wire_entry entry;
	struct vsw_pkt rst;

	if ((e->out != NULL && e->out->n > WIRE_SIZE - 8) || e->to_guest.n > WIRE_SIZE - 40 ||
	    !wire_get(&e->from_guest, &entry))
		return false;
	if (e->in_table)
		input(e, &entry);
	else if (!e->guest_gone && vsw_conn_refuse(&entry.pkt, &rst))
		wire_put(&e->to_guest, &rst, 0);
	return true;
}

static bool
step_tell(struct end *e)
{
	struct vsw_conn *conn = &e->conn;
	uint8_t was = conn->state;
	struct vsw_pkt pkt;
	uint32_t act;

	if (!vsw_conn_has_pending(conn) || !wire_has_room(&e->to_guest))
		return false;
	MUST(vsw_conn_next_packet(conn, &pkt, &act));
	MUST(pkt.len == 0 && pkt.op != VSW_OP_RW && conn->state == was);
	MUST(act == 0 || (act == VSW_CONN_ACT_ARM_CLOSE && pkt.op == VSW_OP_SHUTDOWN));
	check_actions(e, was, act);
	if (!e->guest_gone)
		wire_put(&e->to_guest, &pkt, 0);
	return true;
}

static void
give(struct end *e, uint32_t len)
{
	struct vsw_pkt pkt;

	vsw_conn_data_packet(&e->conn, len, &pkt);
	MUST(pkt.op == VSW_OP_RW && pkt.len == len);
	wire_put(&e->to_guest, &pkt, e->n_sent);
	e->n_sent += len;
	MUST(e->n_packets <= UINT16_MAX);
	e->packet_end[(e->first_packet + e->n_packets++) % (UINT16_MAX + 1u)] = e->n_sent;
}

static uint64_t
waiting(const struct end *e)
{
	return e->out != NULL ? e->n_arrived - e->n_given
			      : e->model->host.n_written - e->model->host.n_given;
}

/* The end of a stream waits to be read like data. */
static bool
has_eof(const struct end *e)
{
	return e->out == NULL && e->model->host.wrote_eof && !e->model->host.told_eof;
}

static bool
step_fetch(struct end *e)
{
	struct vsw_conn *conn = &e->conn;
	struct vsw_conn_window window;
	uint32_t n;

	if (e->fetching || conn->state != VSW_CONN_ESTABLISHED || conn->pending != 0 ||
	    (conn->guest_shut & VSW_SHUTDOWN_RCV) || (conn->far_shut & VSW_SHUTDOWN_SEND) ||
	    (waiting(e) == 0 && !has_eof(e)) || !wire_has_room(&e->to_guest))
		return false;
	window = vsw_conn_window(conn);
	if (window.bytes == 0 || window.packets == 0) {
		if (!vsw_conn_stalled(conn))
			return false;
		MUST(conn->pending == 1u << VSW_OP_CREDIT_REQUEST);
		e->probe = true;
		e->model->stats->n_stalls++;
		return true;
	}
	/* the rule of Linux, at the time when it is sent for */
	n = 1 + pick(e->model, 32);
	n = vsw_min_u32(n, window.packets);
	MUST(e->buf_alloc < 576 || (e->n_packets + n) * 576ull <= e->buf_alloc);
	e->n_reserved = e->reserved = 0;
	while (e->n_reserved < n && e->reserved < window.bytes) {
		uint32_t room = vsw_min_u32(pick_size(e->model), 65536);

		room = vsw_min_u32(room, window.bytes - e->reserved);
		e->room[e->n_reserved++] = room;
		e->reserved += room;
	}
	MUST(e->n_sent - e->n_acked + e->reserved <= e->buf_alloc);
	vsw_conn_reserve(conn, e->reserved);
	e->fetching = true;
	return true;
}

static bool
step_fill(struct end *e)
{
	struct host *host = &e->model->host;
	uint64_t *n_given = e->out != NULL ? &e->n_given : &host->n_given;

	if (!e->fetching || e->to_guest.n + e->n_reserved > WIRE_SIZE)
		return false;
	e->fetching = false;
	vsw_conn_unreserve(&e->conn, e->reserved);
	e->reserved = 0;
	if (e->conn.state != VSW_CONN_ESTABLISHED)
		return true;
	for (unsigned int i = 0; i < e->n_reserved && waiting(e) > 0; i++) {
		uint64_t left = waiting(e);
		uint32_t len = left < e->room[i] ? (uint32_t)left : e->room[i];

		give(e, len);
		*n_given += len;
	}
	if (waiting(e) == 0 && has_eof(e)) {
		host->told_eof = true;
		event(e, VSW_CONN_EV_FAR_EOF, 0);
	}
	return true;
}

static bool
step_probe(struct end *e)
{
	if (!e->probe)
		return false;
	e->probe = e->conn.probing;
	event(e, VSW_CONN_EV_PROBE, 0);
	return true;
}

static bool
step_timeout(struct end *e)
{
	if (!e->timer)
		return false;
	e->timer = false;
	event(e, VSW_CONN_EV_TIMEOUT, 0);
	MUST(e->conn.state == VSW_CONN_CLOSED);
	return true;
}

static bool
step_receive(struct end *e)
{
	struct wire_entry entry;

	if (e->guest_gone || e->is_frozen || e->from_guest.n > WIRE_SIZE - 4 ||
	    !wire_get(&e->to_guest, &entry))
		return false;
	guest_receive(&e->guest, &entry);
	return true;
}

/* Steps between two ends */

static void begin_to_guest(struct end *e);

static void
handle_message(struct end *e, const struct message *msg)
{
	if (e->conn.state != VSW_CONN_CLOSED && msg->verb != ML_CLOSE) {
		vsw_conn_far_credit(&e->conn, msg->buf_alloc, msg->fwd_cnt);
		widen(&e->n_far_acked, e->n_far_acked, e->n_from, msg->fwd_cnt);
		if (e->n_far_acked + vsw_min_u32(msg->buf_alloc, INT32_MAX) > e->limit)
			e->limit = e->n_far_acked + vsw_min_u32(msg->buf_alloc, INT32_MAX);
	}
	switch (msg->verb) {
	case ML_DATA:
		e->n_arrived += msg->len;
		break;
	case ML_ACCEPT:
		event(e, VSW_CONN_EV_FAR_OPENED, 0);
		break;
	case ML_TELL:
		event(e, VSW_CONN_EV_FAR_CREDIT_UPDATE, 0);
		break;
	case ML_ASK:
		event(e, VSW_CONN_EV_FAR_CREDIT_REQUEST, 0);
		break;
	case ML_SHUT_SEND:
		e->eof_waits = true;
		break;
	case ML_SHUT_RECV:
		event(e, VSW_CONN_EV_FAR_GONE, 0);
		break;
	case ML_CLOSE:
		e->close_waits = true;
		break;
	}
}

static bool
step_message(struct end *e)
{
	struct message msg;

	if (e->out == NULL || e->in.n == 0 || e->out->n > WIRE_SIZE - 8)
		return false;
	if (!e->exists) {
		begin_to_guest(e);
		return true;
	}
	msg = e->in.msg[e->in.first];
	e->in.first = (e->in.first + 1) % WIRE_SIZE;
	e->in.n--;
	handle_message(e, &msg);
	return true;
}

/* What comes after all data of the other end. A reset may wait for it, or not. */
static bool
step_after_data(struct end *e)
{
	bool impatient = e->conn.state != VSW_CONN_ESTABLISHED || e->model->draining ||
			 pick(e->model, 4) == 0;

	if (!e->exists || e->fetching || (e->out != NULL && e->out->n > WIRE_SIZE - 8))
		return false;
	if (e->eof_waits && waiting(e) == 0) {
		e->eof_waits = false;
		event(e, VSW_CONN_EV_FAR_EOF, 0);
		return true;
	}
	if (e->close_waits && (waiting(e) == 0 || impatient)) {
		e->close_waits = false;
		event(e, VSW_CONN_EV_FAR_RESET, 0);
		return true;
	}
	return false;
}

/* Steps of the host */

static bool
host_open(struct model *m, bool refuse)
{
	struct end *e = &m->end[0];

	if (e->out != NULL || e->conn.state != VSW_CONN_OPENING || m->host.is_open ||
	    m->host.is_silent)
		return false;
	if (refuse)
		e->done |= VSW_CONN_ACT_CLOSE_FAR;
	else
		m->host.is_open = true;
	event(e, refuse ? VSW_CONN_EV_FAR_REFUSED : VSW_CONN_EV_FAR_OPENED, 0);
	return true;
}

static bool
host_take(struct model *m, uint32_t len)
{
	struct host *host = &m->host;
	struct end *e = &m->end[0];
	uint64_t left = host->n_delivered - host->n_taken;

	if (e->out != NULL || left == 0)
		return false;
	if (len > left)
		len = (uint32_t)left;
	host->n_taken += len;
	if (e->conn.state != VSW_CONN_CLOSED) {
		e->n_far_acked += len;
		e->limit = e->n_far_acked + e->conn.buf_alloc;
	}
	event(e, VSW_CONN_EV_FAR_TOOK, len);
	return true;
}

/* The host closes: what it wrote goes on, what comes for it does not matter. */
static bool
host_gone(struct model *m)
{
	struct host *host = &m->host;
	struct end *e = &m->end[0];

	if (e->out != NULL || !host->is_open || host->told_gone || e->conn.state == VSW_CONN_CLOSED)
		return false;
	host->wrote_eof = host->is_gone = host->told_gone = true;
	event(e, VSW_CONN_EV_FAR_GONE, 0);
	return true;
}

static bool
host_write(struct model *m, uint32_t len)
{
	/* some windows full: the guest may take one byte at a time */
	uint64_t max = 64ull * m->end[0].guest.buf_alloc;

	if (m->n_ends > 1 || !m->host.is_open || m->host.wrote_eof)
		return false;
	if (len > max - vsw_min_u32(waiting(&m->end[0]), max))
		len = max - vsw_min_u32(waiting(&m->end[0]), max);
	m->host.n_written += len;
	return len > 0;
}

static bool
host_shutdown(struct model *m)
{
	if (m->n_ends > 1 || !m->host.is_open || m->host.wrote_eof)
		return false;
	m->host.wrote_eof = true;
	return true;
}

/* Beginnings */

/* Where the counters of one direction begin, and the direction's two guests or its host. */
static uint32_t
pick_base(struct model *m)
{
	static const uint32_t bases[] = {0, UINT32_MAX - 9, UINT32_MAX - 100000, INT32_MAX - 9};

	return bases[pick(m, VSW_ARRAY_SIZE(bases))];
}

static uint32_t
pick_window(struct model *m)
{
	static const uint32_t windows[] = {256 * 1024, 64 * 1024, 4096, 576 * 20, 1000, 1 << 20, 1};

	return windows[pick(m, VSW_ARRAY_SIZE(windows))];
}

static void
init_end(struct model *m, unsigned int i)
{
	struct end *e = &m->end[i];
	struct guest *g = &e->guest;

	e->model = m;
	e->out = m->n_ends > 1 ? &m->end[!i].in : NULL;
	g->out = &e->from_guest;
	g->cid = 3 + i;
	g->port = i == 0 ? 1024 : 80;
	g->far_cid = m->n_ends > 1 ? 3 + !i : VSW_CID_HOST;
	g->far_port = i == 0 ? 80 : 1024;
	g->buf_alloc = pick_window(m);
	g->quiet = pick(m, 2);
	g->strict = m->manner != HOSTILE;
	g->is_sane = m->manner != HOSTILE;
	e->is_frozen = m->manner != GRACEFUL && pick(m, 20) == 0;
	m->host.is_silent = m->manner != GRACEFUL && pick(m, 20) == 0;
	/* what this guest sends, and what it receives */
	g->tx_cnt = g->peer_fwd_cnt = pick_base(m);
	if (i == 0)
		g->fwd_cnt = g->last_fwd_cnt = pick_base(m);
}

/* The connection has a past, which moved its counters. */
static void
age(struct end *e)
{
	struct vsw_conn *conn = &e->conn;
	const struct guest *g = &e->guest;

	conn->from_guest_cnt = conn->fwd_cnt = g->tx_cnt;
	conn->granted = conn->edge_told = g->tx_cnt + conn->buf_alloc;
	conn->to_guest_cnt = conn->peer_fwd_cnt = g->fwd_cnt;
	e->n_from = e->n_far_acked = (1ull << 32) + g->tx_cnt;
	e->limit = e->n_from + conn->buf_alloc;
	e->n_sent = e->n_acked = (1ull << 32) + g->fwd_cnt;
	e->buf_alloc = conn->peer_buf_alloc;
	/* streams are counted from the same place */
	e->guest.n_sent = e->n_from;
	e->guest.n_received = e->guest.n_read = e->n_sent;
	e->exists = e->in_table = e->timer = true;
}

static void
begin_from_guest(struct end *e, uint32_t window)
{
	struct wire_entry request;

	guest_connect(&e->guest);
	wire_get(&e->from_guest, &request);
	e->last = request.pkt;
	vsw_conn_init_from_guest(&e->conn, &request.pkt, e->out != NULL);
	if (e->out == NULL)
		vsw_conn_far_credit(&e->conn, window, 0);
	age(e);
	if (e->out != NULL)
		send_message(e, ML_TELL, 0); /* its REQUEST */
}

/* A host's request, or the first message of the other end. */
static void
begin_to_guest(struct end *e)
{
	struct guest *g = &e->guest;
	struct message msg = e->in.msg[e->in.first];

	g->listening = pick(e->model, 8) != 0 || e->model->manner == GRACEFUL;
	if (e->out == NULL) {
		vsw_conn_init_to_guest(&e->conn, g->cid, g->port, g->far_cid, g->far_port);
		vsw_conn_far_credit(&e->conn, pick_window(e->model), 0);
		e->model->host.is_open = true;
		age(e);
		return;
	}
	e->in.first = (e->in.first + 1) % WIRE_SIZE;
	e->in.n--;
	vsw_conn_init_to_guest(&e->conn, g->cid, g->port, g->far_cid, g->far_port);
	age(e);
	vsw_conn_far_credit(&e->conn, msg.buf_alloc, msg.fwd_cnt);
	e->limit = e->n_from + msg.buf_alloc;
}

/* Steps that not everybody takes */

static void
junk(struct end *e)
{
	static const uint32_t edges[] = {0, 1, 575, 65536, 262144, INT32_MAX, 1u << 31, UINT32_MAX};
	struct model *m = e->model;
	struct vsw_pkt pkt = {
		.src_cid = e->guest.cid,
		.dst_cid = e->guest.far_cid,
		.src_port = e->guest.port,
		.dst_port = e->guest.far_port,
		.type = VSW_TYPE_STREAM,
		.op = VSW_OP_RESPONSE + pick(m, 6),
	};

	if (pkt.op == VSW_OP_RST && pick(m, 2) == 0)
		pkt.op = VSW_OP_CREDIT_UPDATE;
	if (pkt.op == VSW_OP_RW)
		pkt.len = pick(m, 65537);
	if (pkt.op == VSW_OP_SHUTDOWN)
		pkt.flags = pick(m, 4);
	pkt.buf_alloc = edges[pick(m, VSW_ARRAY_SIZE(edges))];
	pkt.fwd_cnt = (uint32_t)e->n_acked + edges[pick(m, VSW_ARRAY_SIZE(edges))] - pick(m, 2);
	if (pick(m, 2) == 0)
		pkt.fwd_cnt =
			(uint32_t)e->n_acked + pick(m, 1 + (uint32_t)(e->n_sent - e->n_acked));
	if (wire_has_room(&e->from_guest) && !e->guest_gone)
		wire_put(&e->from_guest, &pkt, 0);
}

static void
rough_step(struct end *e)
{
	struct model *m = e->model;
	struct guest *g = &e->guest;

	switch (pick(m, 24)) {
	case 0:
		guest_shutdown(g, 1 + pick(m, 3));
		break;
	case 1:
		guest_close(g);
		break;
	case 2:
		guest_timeout(g);
		break;
	case 3:
	case 4:
		guest_resize(g, pick_window(m));
		break;
	case 5:
		step_timeout(e);
		break;
	case 6:
		host_gone(m);
		break;
	case 7:
		if (pick(m, 8) == 0)
			event(e, VSW_CONN_EV_ABORT, 0);
		break;
	case 8:
		/* the guest has forgotten the connection, or is gone: it is told nothing more */
		if (pick(m, 8) == 0 && e->in_table) {
			g->state = GUEST_NONE;
			g->listening = false;
			e->guest_gone = pick(m, 2);
			event(e, e->guest_gone ? VSW_CONN_EV_GUEST_GONE : VSW_CONN_EV_SUPERSEDED,
			      0);
		}
		break;
	default:
		if (m->manner == HOSTILE)
			junk(e);
	}
}

static void
random_step(struct model *m)
{
	struct end *e = &m->end[pick(m, m->n_ends)];
	struct guest *g = &e->guest;
	bool has_room = wire_has_room(&e->from_guest);

	if (!e->exists) {
		step_message(e);
		return;
	}
	switch (pick(m, 16)) {
	case 0:
		if (has_room)
			m->stats->n_bytes += guest_send(g, pick_size(m));
		break;
	case 1:
		m->stats->n_bytes += guest_read(g, pick_size(m));
		break;
	case 2:
		host_write(m, pick_size(m));
		break;
	case 3:
		m->stats->n_bytes += host_take(m, pick_size(m));
		break;
	case 4:
	case 5:
		step_take_packet(e);
		break;
	case 6:
		step_tell(e);
		break;
	case 7:
	case 8:
		step_receive(e);
		break;
	case 9:
		step_fetch(e);
		break;
	case 10:
		step_fill(e);
		break;
	case 11:
		step_message(e);
		break;
	case 12:
		step_after_data(e);
		break;
	case 13:
		step_probe(e);
		break;
	case 14:
		if (pick(m, 40) == 0 && has_room)
			guest_packet(g, VSW_OP_CREDIT_REQUEST);
		else if (pick(m, 300) == 0 && has_room && !(g->shutdown & VSW_SHUTDOWN_SEND))
			guest_shutdown(g, VSW_SHUTDOWN_SEND);
		else if (pick(m, 300) == 0)
			host_shutdown(m);
		else
			host_open(m, m->manner != GRACEFUL && pick(m, 8) == 0);
		break;
	default:
		if (m->manner != GRACEFUL && has_room &&
		    pick(m, m->manner == HOSTILE ? 4 : 10) == 0)
			rough_step(e);
	}
}

/* The end: everybody reads what there is, says goodbye, and goes */

static bool
drain_switch(struct end *e)
{
	bool any = false;

	any |= step_message(e);
	if (!e->exists)
		return any;
	any |= step_take_packet(e);
	any |= step_tell(e);
	any |= step_receive(e);
	any |= step_fetch(e);
	any |= step_fill(e);
	any |= step_after_data(e);
	return any;
}

static bool
drain_guest(struct end *e)
{
	struct guest *g = &e->guest;

	if (e->guest_gone || !e->exists || !wire_has_room(&e->from_guest))
		return false;
	if (guest_read(g, UINT32_MAX) > 0)
		return true;
	if (g->app_closed)
		return false;
	if (e->model->manner != GRACEFUL) {
		guest_close(g);
		return true;
	}
	if (g->state == GUEST_EST && !(g->shutdown & VSW_SHUTDOWN_SEND)) {
		guest_shutdown(g, VSW_SHUTDOWN_SEND);
		return true;
	}
	if (g->state == GUEST_EST && guest_saw_eof(g)) {
		guest_close(g);
		return true;
	}
	return false;
}

static bool
drain_host(struct model *m)
{
	struct host *host = &m->host;
	bool any = host_take(m, UINT32_MAX);

	if (m->n_ends > 1)
		return false;
	any |= host_open(m, false);
	any |= host_shutdown(m);
	/* in a hurry, or once it has read everything */
	if (m->manner != GRACEFUL || (host->saw_eof && host->n_taken == host->n_delivered))
		any |= host_gone(m);
	return any;
}

/* When nothing else happens, clocks run out. In good manners none must. */
static bool
drain_clocks(struct model *m)
{
	bool any = false;

	for (unsigned int i = 0; i < m->n_ends; i++)
		any |= !m->end[i].is_frozen && step_probe(&m->end[i]);
	if (any || m->manner == GRACEFUL)
		return any;
	for (unsigned int i = 0; i < m->n_ends; i++) {
		struct guest *g = &m->end[i].guest;

		any |= step_timeout(&m->end[i]);
		if (!any && m->end[i].is_frozen) {
			m->end[i].is_frozen = false;
			any = true;
		}
		if (!any && g->state != GUEST_NONE && wire_has_room(&m->end[i].from_guest)) {
			guest_timeout(g);
			any = true;
		}
	}
	return any;
}

static bool
is_over(const struct model *m)
{
	for (unsigned int i = 0; i < m->n_ends; i++) {
		const struct end *e = &m->end[i];

		if (!e->exists || e->conn.state != VSW_CONN_CLOSED || e->conn.pending != 0 ||
		    e->fetching || e->from_guest.n > 0 || e->in.n > 0 ||
		    (!e->guest_gone && (e->guest.state != GUEST_NONE || e->to_guest.n > 0)))
			return false;
	}
	return true;
}

static void
check_all(struct model *m)
{
	for (unsigned int i = 0; i < m->n_ends; i++) {
		if (m->end[i].exists)
			check_end(&m->end[i]);
	}
}

static void
drain(struct model *m)
{
	unsigned int turns = 0;

	m->draining = true;
	while (!is_over(m)) {
		bool any = false;

		for (unsigned int i = 0; i < m->n_ends; i++) {
			any |= drain_switch(&m->end[i]);
			any |= drain_guest(&m->end[i]);
		}
		any |= drain_host(m);
		if (!any)
			any = drain_clocks(m);
		check_all(m);
		MUST(any);
		MUST(turns++ < 2000000);
	}
}

/* Nothing was lost, and everybody knows why it is over. */
static void
check_graceful(const struct model *m)
{
	const struct end *a = &m->end[0], *b = &m->end[1];

	for (unsigned int i = 0; i < m->n_ends; i++) {
		enum vsw_conn_reason reason = m->end[i].conn.reason;

		MUST(reason == VSW_CONN_REASON_GUEST_CLOSED ||
		     reason == VSW_CONN_REASON_FAR_CLOSED);
		MUST(m->end[i].guest.n_sent == m->end[i].n_from);
		MUST(m->end[i].guest.n_read == m->end[i].n_sent);
	}
	if (m->n_ends == 1) {
		MUST(m->host.n_written == m->host.n_given);
		MUST(m->host.n_taken == m->host.n_delivered);
	} else {
		MUST(a->n_arrived == a->n_given && b->n_arrived == b->n_given);
	}
}

void
conn_model_run(struct choices *choices, unsigned int n_steps, struct model_stats *stats)
{
	static uint64_t packet_end[2][UINT16_MAX + 1];
	static struct model model;
	struct model *m = &model;

	memset(m, 0, sizeof(*m));
	m->choices = choices;
	m->stats = stats;
	m->manner = pick(m, 3);
	m->n_ends = 1 + pick(m, 2);
	for (unsigned int i = 0; i < m->n_ends; i++) {
		init_end(m, i);
		m->end[i].packet_end = packet_end[i];
	}
	/* what one guest sends, the other receives */
	if (m->n_ends > 1) {
		struct guest *a = &m->end[0].guest, *b = &m->end[1].guest;

		b->fwd_cnt = b->last_fwd_cnt = a->tx_cnt;
		a->fwd_cnt = a->last_fwd_cnt = b->tx_cnt;
	}
	if (m->n_ends == 1 && pick(m, 2) == 0)
		begin_to_guest(&m->end[0]);
	else
		begin_from_guest(&m->end[0], pick_window(m));

	if (m->manner == HOSTILE && pick(m, 2) == 0)
		junk(&m->end[0]); /* before anything was answered */

	for (unsigned int i = 0; i < n_steps && !is_over(m); i++) {
		random_step(m);
		check_all(m);
		stats->n_steps++;
	}
	drain(m);
	if (m->manner == GRACEFUL)
		check_graceful(m);
}
