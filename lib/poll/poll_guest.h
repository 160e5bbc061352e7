/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The objects of the poll role; private to lib/poll. Owner of everything here: the poll
 * lcore of the guest.
 */
#ifndef VSW_POLL_GUEST_H
#define VSW_POLL_GUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <rte_timer.h>

#include "vsw_base.h"
#include "vsw_conn.h"
#include "vsw_guest_conf.h"
#include "vsw_loop.h"
#include "vsw_rings.h"
#include "vsw_stats.h"
#include "vsw_virtq.h"

/*
 * Messages that one guest may have out and waits to see again: whatever it does, it takes no
 * more than this of the common pool. Of these, loans of what it sends, which a host that does
 * not read can keep for long:
 */
#define MSGS_MAX 128
#define LOANS_MAX 64

/* ... and loans of its receive buffers. */
#define READS_MAX 16

/* Resets that wait for a receive buffer. When all are used, nothing more is taken from the
 * guest: each packet may need one (Linux' vhost stops at the ring size in the same way). */
#define RESETS_MAX 64

struct guest;

/* What has become of the host stream of a flow. */
enum stream_state {
	STREAM_NONE,    /* there is none: never was, refused, or the bridge has confirmed CLOSE */
	STREAM_OPENING, /* CONNECT was sent */
	STREAM_OPEN,
	STREAM_CLOSING, /* CLOSE was sent; no message for the stream may follow */
};

/* A connection with its host stream, and its place in the guest's schedule. */
struct flow {
	struct vsw_conn conn;
	struct guest *guest;
	void *stream; /* the bridge's */
	enum stream_state stream_state;

	uint32_t untold; /* VSW_CONN_ACT_* for the bridge that found no message yet */
	bool in_table;
	bool is_ready;          /* on guest->ready */
	bool is_untold;         /* on guest->untold */
	bool readable;          /* the host has sent something, or its end */
	bool reading;           /* a READ is out */
	uint16_t n_read_chains; /* how many buffers the next READ takes */
	uint16_t probe_ms;

	struct rte_timer timer; /* request or close deadline */
	struct rte_timer probe; /* next CREDIT_REQUEST of a stall */

	TAILQ_ENTRY(flow) ready_entry;
	TAILQ_ENTRY(flow) untold_entry;
	TAILQ_ENTRY(flow) all_entry;
};

TAILQ_HEAD(flow_list, flow);

/* A chain that is lent out, perhaps in several messages. */
struct loan {
	uint16_t head;
	uint16_t n_parts; /* messages that are not back yet */
};

enum guest_state {
	GUEST_STOPPED, /* no rings, no connections */
	GUEST_PAUSED,  /* no rings for a moment; connections wait */
	GUEST_RUNNING,
};

struct guest {
	const struct vsw_guest_conf *conf;
	struct vsw_loop *loop;    /* the poll role's */
	TAILQ_ENTRY(guest) entry; /* of poll->guests */
	enum guest_state state;
	struct vsw_counters counters;

	/* Rings. */
	struct vsw_mem mem;
	struct vsw_virtq to_guest;
	struct vsw_virtq from_guest;
	struct vsw_virtq event;
	struct vsw_watch kick[2]; /* to_guest, from_guest: they end the loop's sleep */
	bool owes_reset;          /* TRANSPORT_RESET is due and found no event buffer yet */

	/* Connections. */
	struct vsw_conn_table conns;
	unsigned int n_flows;    /* including those that wait for their last RST or CLOSED */
	struct flow_list flows;  /* all of them */
	struct flow_list ready;  /* with something for the guest, served in turn */
	struct flow_list untold; /* with something for the bridge that found no message */

	/* Packets to nobody's connection, answered by RST before anything else is sent. */
	struct vsw_pkt reset[RESETS_MAX];
	unsigned int first_reset;
	unsigned int n_resets;

	/* Loans. */
	struct loan loan[LOANS_MAX];
	uint16_t free_loan[LOANS_MAX];
	uint16_t n_free_loans;
	uint16_t n_msgs_out;  /* all messages that will come back */
	uint16_t n_parts_out; /* WRITE messages */
	uint16_t n_reads_out; /* READ messages */

	bool starved;    /* something waits for a free message: the loop must not sleep */
	bool is_blocked; /* nothing can be taken from it until a loan or a buffer comes back */
	bool recalling;  /* RECALL was sent */
	struct vsw_msg *stopping; /* the STOP that is being carried out */
	struct vsw_msg *draining; /* the DRAIN */
	bool drained;             /* no new connections */
};

/* The role. */
struct vsw_poll {
	struct vsw_loop *loop;
	TAILQ_HEAD(, guest) guests;
	struct guest *by_id[VSW_GUESTS_MAX];
	struct vsw_chain_burst burst; /* of whoever pops right now */
};

/* guest.c: the life of a guest */
struct guest *guest_create(struct vsw_poll *poll, const struct vsw_guest_conf *conf);
void guest_destroy(struct guest *guest);
int guest_start(struct vsw_poll *poll, struct guest *guest, const struct vsw_rings *rings);
void guest_stop(struct guest *guest, struct vsw_msg *stop);
void guest_drain(struct vsw_poll *poll, struct guest *guest, struct vsw_msg *drain);
/* What is under way, a stop or a drain, may be complete: find out. */
void guest_progress(struct guest *guest);
/* Queue a RST; there is room (reset_room()). */
void guest_queue_reset(struct guest *guest, const struct vsw_pkt *rst);
/* A message to the bridge for this guest; NULL: try again at a later pass, which will come.
 * One that the bridge answers is given back with guest_free(). */
struct vsw_msg *guest_alloc(struct guest *guest, enum vsw_verb verb);
void guest_free(struct guest *guest, struct vsw_msg *msg);

static inline unsigned int
guest_reset_room(const struct guest *guest)
{
	return RESETS_MAX - guest->n_resets;
}

/* flow.c: a connection and its stream */
struct flow *flow_from_guest(struct guest *guest, const struct vsw_pkt *request);
void flow_from_host(struct guest *guest, struct vsw_msg *incoming);
void flow_free(struct flow *flow);
struct flow *flow_find(struct guest *guest, const struct vsw_pkt *pkt);
/* Carry out what the state machine asked for, DELIVER excepted. May free the flow. */
void flow_act(struct flow *flow, uint32_t actions);
void flow_event(struct flow *flow, enum vsw_conn_event event, uint32_t n);
/* Put it on the guest's ready list if it has something to say or to fetch. */
void flow_schedule(struct flow *flow);
void flow_unschedule(struct flow *flow);
/* Send what waits in flow->untold, as far as there are messages. */
void flow_tell_bridge(struct flow *flow);
/* Is there host data that the guest would take now? */
bool flow_wants_data(const struct flow *flow);
void flow_on_opened(void *ctx, struct vsw_msg *msg);
void flow_on_closed(void *ctx, struct vsw_msg *msg);
void flow_on_notice(void *ctx, struct vsw_msg *msg);

/* from_guest.c: one burst of what the guest sent */
unsigned int from_guest_pass(struct vsw_poll *poll, struct guest *guest);
void from_guest_on_wrote(void *ctx, struct vsw_msg *msg);

/* to_guest.c: what the guest is told and given */
unsigned int to_guest_pass(struct vsw_poll *poll, struct guest *guest);
void to_guest_on_filled(void *ctx, struct vsw_msg *msg);

#endif /* VSW_POLL_GUEST_H */
