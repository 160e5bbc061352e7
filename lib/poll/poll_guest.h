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

#include "vsw_capture.h"
#include "vsw_backlog.h"
#include "vsw_base.h"
#include "vsw_conn_info.h"
#include "vsw_conn_table.h"
#include "vsw_guest_conf.h"
#include "vsw_hist.h"
#include "vsw_loop.h"
#include "vsw_rings.h"
#include "vsw_route.h"
#include "vsw_stats.h"
#include "vsw_trace.h"
#include "vsw_virtq.h"

/*
 * Messages that one guest may have out and waits to see again: whatever it does, it takes no
 * more than this of the common pool. Of these, conf->max_loans are loans of what it sends (or
 * those of one chain of many pieces), which a host that does not read can keep for long, and so
 * many are loans of its receive buffers:
 */
#define MSGS_MAX 128
#define READS_MAX 16

/* Resets that wait for a receive buffer. When all are used, nothing more is taken from the
 * guest: each packet may need one (Linux' vhost stops at the ring size in the same way). */
#define RESETS_MAX 64

/* With more loans out than this, or more than this part of its ring, a guest's payload for
 * siblings is not held by them, but spilled at once: what slow siblings hold never keeps it from
 * talking to others. */
#define LOANS_BEFORE_NO_HOLD(guest) (vsw_guest_word(&(guest)->conf->max_loans) / 2)
#define RING_FRACTION_HELD 2

struct guest;

/* Who is named by flows, all of them over, whose sibling has gone. */
extern const struct vsw_guest_conf nobody;

/* What has become of the far end of a flow. */
enum link_state {
	LINK_NONE,    /* there is none: never was, refused, or it has confirmed our CLOSE */
	LINK_OPENING, /* CONNECT was sent */
	LINK_OPEN,
	LINK_CLOSING,  /* CLOSE was sent; no request may follow */
	LINK_FLUSHING, /* a host stream: closed, but it has not taken all yet */
};

/* A connection with its far end, and its place in the guest's schedule. */
struct flow {
	struct vsw_conn conn;
	struct guest *guest;
	uint64_t serial; /* see vsw_conn_id() */
	uint64_t born;   /* TSC */
	uint64_t from_guest_bytes;
	uint64_t to_guest_bytes;
	uint64_t from_guest_packets;
	uint64_t to_guest_packets;
	uint32_t from_guest_stalls;
	uint32_t to_guest_stalls;

	/* The far end: a stream at the guest's bridge, or the flow of a sibling. */
	const struct vsw_guest_conf *sibling; /* NULL: a host stream; &nobody: has gone */
	struct vsw_loop *far_loop;
	void *far; /* its name there */
	enum link_state link;
	uint32_t untold; /* VSW_CONN_ACT_* and TELL_* that found no message yet */

	bool in_table;
	bool is_ready;          /* on guest->ready */
	bool is_untold;         /* on guest->untold */
	bool readable;          /* the host has sent something, or its end */
	bool reading;           /* a READ is out */
	bool gone_after_read;   /* the host receives no more; told after the next READ */
	bool far_is_done;       /* the sibling's flow makes no request of this one (any more) */
	bool far_is_told;       /* ... and PEER_CLOSED was said to it */
	bool no_descriptor;     /* was free to reach the host */
	bool far_eof;           /* the sibling's end of stream lies behind the backlog */
	bool is_recalled;       /* PEER_RECALL is out */
	uint16_t n_read_chains; /* how many buffers the next READ takes */
	struct iovec *header;   /* its pieces, while a READ of a buffer that is cut fine is out */
	uint16_t probe_ms;
	uint16_t n_loans_out; /* to the far end */

	/* Its window, see window.c. */
	bool is_cut;         /* the guest is promised less than the far end has room for */
	bool uses_window;    /* the guest has sent more than a little at a time */
	uint32_t far_window; /* what that is */
	uint32_t far_bytes;  /* given to the far end and not taken yet */
	uint32_t promised;   /* its part of guest->promised */

	struct vsw_backlog backlog; /* what the sibling sent and the guest has not taken */

	struct rte_timer timer; /* request or close deadline */
	struct rte_timer probe; /* next CREDIT_REQUEST of a stall */
	uint8_t due;            /* DUE_* of flow.c: which of them have run out */

	TAILQ_ENTRY(flow) ready_entry;
	TAILQ_ENTRY(flow) untold_entry;
	TAILQ_ENTRY(flow) due_entry;
	TAILQ_ENTRY(flow) all_entry;
};

TAILQ_HEAD(flow_list, flow);

enum guest_state {
	GUEST_STOPPED, /* no rings, no connections */
	GUEST_PAUSED,  /* no rings for a moment; connections wait */
	GUEST_RUNNING,
};

struct guest {
	const struct vsw_guest_conf *conf;
	struct vsw_poll *poll;
	TAILQ_ENTRY(guest) entry;      /* of poll->guests */
	TAILQ_ENTRY(guest) turn_entry; /* of poll->busy, or ->quiet */
	bool is_quiet;
	uint16_t n_idle_turns; /* since there was something to do */
	enum guest_state state;
	struct vsw_counters counters;

	/* Rings. */
	struct vsw_mem mem;
	struct vsw_virtq to_guest;
	struct vsw_virtq from_guest;
	struct vsw_virtq event;
	struct vsw_watch kick[2]; /* to_guest, from_guest: they end the loop's sleep */
	bool is_lost;             /* its memory went away: it is not served until it starts anew */
	bool is_broken;           /* a ring of it is, and the log says so */
	bool owes_reset;          /* TRANSPORT_RESET is due and found no event buffer yet */

	/* Connections. */
	struct vsw_conn_table conns;
	unsigned int n_flows;    /* including those that wait for their last RST or CLOSED */
	struct flow_list flows;  /* all of them */
	struct flow_list ready;  /* with something for the guest, served in turn */
	struct flow_list untold; /* with something for the far end that found no message */
	struct flow_list due;    /* with a timer that has run out */

	/* Packets to nobody's connection, answered by RST before anything else is sent. */
	struct vsw_pkt reset[RESETS_MAX];
	unsigned int first_reset;
	unsigned int n_resets;

	/* Loans. */
	uint16_t n_msgs_out;  /* all messages that will come back */
	uint16_t n_loans_out; /* WRITE and PEER_DATA messages */
	uint32_t n_descs_out; /* descriptors of its ring that these hold, at most */
	uint16_t n_reads_out; /* READ messages */
	uint32_t n_untimed;   /* packets with payload until one is timed again */
	uint16_t n_rejected;  /* receive buffers of this pass that hold no header */
	uint32_t recv_room;   /* payload that its last receive buffer had room for */

	uint64_t promised;    /* see window.c; bounded by the spill budget */
	uint64_t far_waiting; /* sum of its flows' far_bytes */

	bool starved;    /* something waits for a free message: the loop must not sleep */
	bool is_blocked; /* nothing can be taken from it until a loan or a buffer comes back */
	struct vsw_msg *stopping;  /* the STOP that is being carried out */
	struct vsw_msg *draining;  /* the DRAIN */
	struct vsw_msg *detaching; /* the DETACH */
	bool drained;              /* no new connections */

	struct vsw_hists hists;
	struct vsw_tally tally;
};

/* The role. */
struct vsw_poll {
	struct vsw_loop *loop;
	const struct vsw_routes *routes; /* set before the first guest is attached */
	TAILQ_HEAD(guest_list, guest) guests;
	struct guest_list busy;  /* each turn looks at them */
	struct guest_list quiet; /* in rotation */
	struct guest *by_id[VSW_GUESTS_MAX];
	uint64_t next_serial;         /* of a flow */
	struct vsw_chain_burst burst; /* of whoever pops right now */
	struct vsw_capture_tap *tap;
	bool is_capturing; /* as of this turn */
};

/* A packet passes the rings of @p guest; payload as for vsw_capture_packet(). */
static inline void
poll_tap(const struct guest *guest, const struct vsw_pkt *pkt, const uint8_t *raw,
	 const struct iovec *payload, unsigned int n)
{
	if (__builtin_expect(guest->poll->is_capturing, false))
		vsw_capture_packet(guest->poll->tap, guest->conf->cid, pkt, raw, payload, n);
}

/* guest.c: the life of a guest */
struct guest *guest_create(struct vsw_poll *poll, const struct vsw_guest_conf *conf);
void guest_destroy(struct guest *guest);
int guest_start(struct vsw_poll *poll, struct guest *guest, const struct vsw_rings *rings);
void guest_stop(struct guest *guest, struct vsw_msg *stop);
/* There is something to do for it: each turn looks at it, from now on. */
void guest_rouse(struct guest *guest);
/* There was nothing to do. */
void guest_idle_turn(struct guest *guest);
/* Its memory has gone away, or its VMM makes us wait: what it had is over. */
void guest_lose(struct guest *guest);
/* One of its rings is broken. */
void guest_note_broken(struct guest *guest);
/* Tell it to forget all connections, if it has an event buffer for that. */
void guest_send_transport_reset(struct guest *guest, struct vsw_chain_burst *burst);
void guest_drain(struct vsw_poll *poll, struct guest *guest, struct vsw_msg *drain);
void guest_detach(struct guest *guest, struct vsw_msg *detach);
/* What is under way, a stop, a drain or a detach, may be complete: find out. After a detach the
 * guest is gone. */
void guest_progress(struct guest *guest);
/* A connection that cannot begin. */
void guest_turn_away(struct guest *guest, enum vsw_counter why, uint32_t port, uint32_t far_cid);
/* Queue a RST; there is room (reset_room()). */
void guest_queue_reset(struct guest *guest, const struct vsw_pkt *rst);
/* Take back those that answer packets older than this REQUEST. */
void guest_forget_resets(struct guest *guest, const struct vsw_pkt *request);
/* A message to the bridge for this guest; NULL: try again at a later pass, which will come.
 * One that the bridge answers is given back with guest_free(). */
struct vsw_msg *guest_alloc(struct guest *guest, enum vsw_verb verb);
void guest_free(struct guest *guest, struct vsw_msg *msg);

/* It has no connections, or is about to lose them, and takes no new ones. */
static inline bool
guest_is_gone(const struct guest *guest)
{
	return guest->state == GUEST_STOPPED || guest->drained || guest->is_lost ||
	       (guest->stopping != NULL && (guest->stopping->flags & VSW_MSG_F_RESET));
}

static inline unsigned int
guest_reset_room(const struct guest *guest)
{
	return RESETS_MAX - guest->n_resets;
}

/* As operators know it, see vsw_conn_info.h. */
static inline uint64_t
flow_id(const struct flow *flow)
{
	return vsw_conn_id(flow->guest->conf->id, flow->serial);
}

/* flow.c: a connection, its timers, its place in the schedule */
struct flow *flow_from_guest(struct guest *guest, const struct vsw_pkt *request,
			     const struct vsw_guest_conf *sibling);
void flow_from_host(struct guest *guest, struct vsw_msg *incoming);
void flow_from_sibling(struct guest *guest, struct vsw_msg *connect);
void flow_free(struct flow *flow);
struct flow *flow_find(struct guest *guest, const struct vsw_pkt *pkt);
/* Carry out what the state machine asked for, DELIVER excepted. May free the flow. */
void flow_act(struct flow *flow, uint32_t actions);
void flow_event(struct flow *flow, enum vsw_conn_event event, uint32_t n);
/* Its ports are needed: it ends. The guest is told before it hears of the new connection. */
void flow_evict(struct flow *flow);
/* Put it on the guest's ready list if it has something to say or to fetch. */
void flow_schedule(struct flow *flow);
void flow_unschedule(struct flow *flow);
/* Is there data that the guest would take now? */
bool flow_wants_data(const struct flow *flow);
void flow_on_notice(void *ctx, struct vsw_msg *msg);
/* Do what the timers of the guest's flows have run out for. */
void flow_run_due(struct guest *guest);

/* far.c: what a flow tells its far end, and hears of its opening and closing */

/* To tell the far end, beside the VSW_CONN_ACT_* of a connection. */
#define TELL_CONNECT 0x10000u
#define TELL_TOOK 0x20000u   /* a sibling: spilled bytes have been delivered */
#define TELL_CLOSED 0x40000u /* a sibling: its PEER_CLOSE has been dealt with */

/* Add to what the far end must be told, and tell it as far as there are messages. */
void far_tell(struct flow *flow, uint32_t what);
/* Address a message to the far end. */
void far_address(const struct flow *flow, struct vsw_msg *msg);
/* It names this flow no more, and has nothing left of it. */
void far_is_gone(struct flow *flow);
void far_on_opened(void *ctx, struct vsw_msg *msg);
void far_on_closed(void *ctx, struct vsw_msg *msg);

/* window.c: what the guest may send */

/* Its window, as what has happened leaves it. */
void window_update(struct flow *flow);
/* The flow goes. */
void window_forget(struct flow *flow);
/* The sibling's window, as it came with any of its messages. */
void window_far_credit(struct flow *flow, uint32_t buf_alloc, uint32_t fwd_cnt);
/* Payload of the guest was given to the far end. */
void window_given(struct flow *flow, uint32_t len);
/* Bytes of that have left the switch. flow_act() follows. */
void window_taken(struct flow *flow, uint32_t len);

/* sibling.c: what a sibling's flow asks of this one */

/* Copy what it has sent into receive buffers. False: the guest has none. */
bool sibling_deliver(struct vsw_poll *poll, struct flow *flow);
/* The guest receives no more: what waits for it is as good as taken. @return actions. */
uint32_t sibling_discard(struct flow *flow);
/* The connection is over: nothing more goes to the guest. */
void sibling_drop_backlog(struct flow *flow);
void sibling_recall(struct flow *flow);
void sibling_on_connect(void *ctx, struct vsw_msg *msg);
void sibling_on_data(void *ctx, struct vsw_msg *msg);
void sibling_on_news(void *ctx, struct vsw_msg *msg);
void sibling_on_noted(void *ctx, struct vsw_msg *msg);
void sibling_on_close(void *ctx, struct vsw_msg *msg);
void sibling_on_closed(void *ctx, struct vsw_msg *msg);
void sibling_on_recall(void *ctx, struct vsw_msg *msg);
void sibling_on_routes(void *ctx, struct vsw_msg *msg);

/* list.c: what operators ask */
void list_on_list_conns(void *ctx, struct vsw_msg *msg);
void list_on_close_conn(void *ctx, struct vsw_msg *msg);

/* from_guest.c: one burst of what the guest sent */
unsigned int from_guest_pass(struct vsw_poll *poll, struct guest *guest);
void from_guest_on_wrote(void *ctx, struct vsw_msg *msg);

/* to_guest.c: what the guest is told and given */

/* A buffer that has no room for payload goes back empty. @return true: it has. */
bool to_guest_reject(struct guest *guest, const struct vsw_chain *chain);
unsigned int to_guest_pass(struct vsw_poll *poll, struct guest *guest);
void to_guest_on_filled(void *ctx, struct vsw_msg *msg);

#endif /* VSW_POLL_GUEST_H */
