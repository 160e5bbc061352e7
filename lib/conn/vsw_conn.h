/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * A vsock connection: its state machine and its credit in both directions. Pure: packets and
 * events go in, actions come out; no I/O, no callbacks, no clock, no DPDK.
 *
 * A connection is one guest's end of a conversation. Its other end is *far*: a host stream,
 * or another guest, whose own connection object then sees this one as far. Who asked for it
 * is its side: INI, the guest did; TGT, the far end did.
 *
 *   action mask = vsw_conn_input(conn, &pkt)         a packet from the guest
 *   action mask = vsw_conn_event(conn, ev, n)        something happened at the far end
 *   vsw_conn_next_packet(conn, &pkt, &act)           what the guest has to be told next
 *
 * The caller performs the actions of a mask in the order of the table below. What the guest
 * must be told is not an action but stays in the connection (`pending`) until the guest has
 * a receive buffer: it is bounded by itself, and later news overwrites older.
 *
 * The two kinds of far end differ in who speaks for them. A host stream knows nothing of
 * vsock: the connection grants the guest its window and answers it. A far guest speaks for
 * itself: its window, its requests and its goodbyes pass through, and the connection only
 * keeps watch (vsw_conn_far_credit(), the events FAR_CREDIT_*, FAR_RESET).
 *
 * Sources: virtio 1.2, 5.10.6; net/vmw_vsock/virtio_transport_common.c of Linux for what
 * guests do; the peers' bugs in doc/guides/protocol.
 *
 * Thread-safety: a connection belongs to the lcore that owns the guest.
 */
#ifndef VSW_CONN_H
#define VSW_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "vsw_packet.h"

enum vsw_conn_side {
	VSW_SIDE_INI, /**< the guest asked for the connection */
	VSW_SIDE_TGT, /**< the guest was asked */
};

/** See conn.c for what each state takes and how it is left. */
#define VSW_CONN_STATE_TABLE(X)                                                                    \
	X(OPENING, "opening")       /* INI: waiting for the far end */                             \
	X(REQUESTING, "requesting") /* TGT: waiting for the guest */                               \
	X(ESTABLISHED, "established")                                                              \
	X(CLOSED, "closed") /* nothing but a RST may be pending */

enum vsw_conn_state {
#define X(name, text) VSW_CONN_##name,
	VSW_CONN_STATE_TABLE(X)
#undef X
		VSW_CONN_N_STATES
};

/** What can happen at the far end or to the clock. `n` is the argument of vsw_conn_event(). */
#define VSW_CONN_EVENT_TABLE(X)                                                                    \
	X(FAR_OPENED, "the far end took the guest's request")                                      \
	X(FAR_REFUSED, "the far end did not, and is not there")                                    \
	X(FAR_TOOK, "n bytes of the guest have left the switch; host streams only")                \
	X(FAR_EOF, "the far end sends no more, and all it sent was given to the guest")            \
	X(FAR_GONE, "the far end receives no more")                                                \
	X(FAR_CREDIT_UPDATE, "the far guest tells its window, see vsw_conn_far_credit()")          \
	X(FAR_CREDIT_REQUEST, "the far guest asks for the guest's window")                         \
	X(FAR_RESET, "the far guest has reset the connection, or is gone")                         \
	X(TIMEOUT, "the timer that an action armed has run out")                                   \
	X(PROBE, "the credit probe timer has run out")                                             \
	X(SUPERSEDED, "the guest reuses the pair of ports: it has forgotten this connection")      \
	X(ABORT, "the switch gives the connection up: guest is told by RST")                       \
	X(GUEST_GONE, "the guest's rings stopped: it cannot be told")

enum vsw_conn_event {
#define X(name, text) VSW_CONN_EV_##name,
	VSW_CONN_EVENT_TABLE(X)
#undef X
		VSW_CONN_N_EVENTS
};

/** What the caller has to do, in this order. The far end is told nothing after CLOSE_FAR. */
#define VSW_CONN_ACT_DELIVER 0x001u     /**< give the packet's payload to the far end */
#define VSW_CONN_ACT_ACCEPT 0x002u      /**< tell the far end that the guest accepted */
#define VSW_CONN_ACT_TELL_CREDIT 0x004u /**< tell the far guest the guest's window */
#define VSW_CONN_ACT_ASK_CREDIT 0x008u  /**< ask the far guest for its window */
#define VSW_CONN_ACT_SHUT_SEND 0x010u   /**< tell the far end: the guest sends no more */
#define VSW_CONN_ACT_SHUT_RECV 0x020u   /**< tell the far end: the guest receives no more */
#define VSW_CONN_ACT_CLOSE_FAR 0x040u   /**< let go of the far end, flushing what it was given */
#define VSW_CONN_ACT_ARM_CLOSE 0x080u   /**< (re)start the timer: VSW_CLOSE_TIMEOUT_MS */
#define VSW_CONN_ACT_DISARM 0x100u      /**< stop the timer */
#define VSW_CONN_ACT_REMOVE 0x200u      /**< it is over: its ports are free once the guest knows */
#define VSW_CONN_ACT_UNEXPECTED 0x400u  /**< count a packet that means nothing in its state */

/** Why a connection ended, for counters, traces and logs; set when it becomes CLOSED. */
#define VSW_CONN_REASON_TABLE(X)                                                                   \
	X(NONE)         /* not closed */                                                           \
	X(GUEST_CLOSED) /* closed by the guest */                                                  \
	X(GUEST_RESET)  /* reset by the guest */                                                   \
	X(FAR_CLOSED)   /* closed by the far end, acknowledged by the guest */                     \
	X(FAR_RESET)    /* reset by the far guest */                                               \
	X(REFUSED_BY_GUEST)                                                                        \
	X(REFUSED_BY_FAR)                                                                          \
	X(REQUEST_TIMEOUT) /* request without an answer */                                         \
	X(CLOSE_TIMEOUT)   /* closed by the far end, not acknowledged by the guest */              \
	X(PROTOCOL)        /* packet that the state forbids */                                     \
	X(CREDIT)          /* guest sent more than its window */                                   \
	X(SUPERSEDED)      /* ports reused by the guest */                                         \
	X(ABORTED)         /* given up by the switch */                                            \
	X(GUEST_GONE)      /* guest stopped */

enum vsw_conn_reason {
#define X(name) VSW_CONN_REASON_##name,
	VSW_CONN_REASON_TABLE(X)
#undef X
		VSW_CONN_N_REASONS
};

/** Checkpoints of packets the guest has not read yet, see vsw_conn_window(). */
#define VSW_CONN_MARKS 16

struct vsw_conn {
	/* Set once at creation. */
	uint32_t guest_cid;
	uint32_t guest_port;
	uint32_t far_cid; /**< as the guest names it: a host stream may have another than 2 */
	uint32_t far_port;
	bool is_sibling; /**< the far end is a guest, not a host stream */
	uint8_t side;    /**< enum vsw_conn_side */

	uint8_t state;         /**< enum vsw_conn_state */
	uint8_t reason;        /**< enum vsw_conn_reason */
	uint8_t guest_shut;    /**< VSW_SHUTDOWN_*: what the guest said it does no more */
	uint8_t far_shut;      /**< the same of the far end */
	uint8_t far_shut_told; /**< the part of far_shut that the guest knows */
	bool far_open;         /**< CLOSE_FAR was not asked for yet */
	bool probing;          /**< the guest's window is closed and was asked about */
	uint16_t pending;      /**< bit per enum vsw_pkt_op that the guest must be told */

	/* Credit, guest to far: the far end's window. */
	uint32_t buf_alloc;      /**< its size */
	uint32_t fwd_cnt;        /**< bytes the far end has taken out of it, mod 2^32 */
	uint32_t edge_told;      /**< fwd_cnt + buf_alloc as the guest last saw them */
	uint32_t from_guest_cnt; /**< bytes that came, mod 2^32 */
	uint32_t granted;        /**< what from_guest_cnt may reach: a window that shrinks takes
				  * nothing back that is on its way */

	/* Credit, far to guest: the guest's window. */
	uint32_t peer_buf_alloc;
	uint32_t peer_fwd_cnt;
	uint32_t to_guest_cnt; /**< bytes given to the guest, mod 2^32 */
	uint32_t reserved;     /**< bytes promised beyond those */

	/* Packets the guest has not read, see vsw_conn_window(). */
	uint16_t n_unread;
	uint8_t first_mark;
	uint8_t n_marks;
	struct vsw_conn_mark {
		uint32_t end_cnt; /**< to_guest_cnt behind the last packet of this mark */
		uint16_t n_packets;
	} mark[VSW_CONN_MARKS];

	/* Of the table, vsw_conn_table.h. */
	struct vsw_conn *hash_next;
	LIST_ENTRY(vsw_conn) far_port_entry;
};

/**
 * Begin a connection that the guest asked for with @p request (already checked). State
 * OPENING; the caller opens the far end and starts the timer, VSW_REQUEST_TIMEOUT_MS. Nothing is
 * granted until vsw_conn_far_credit(): toward a host stream that is next.
 *
 * @param is_sibling the far end is a guest, not a host stream, whatever its CID.
 */
void vsw_conn_init_from_guest(struct vsw_conn *conn, const struct vsw_pkt *request,
			      bool is_sibling);

/** Begin a connection that the far end, the host (@p far_cid is VSW_CID_HOST) or a guest, wants
 * to guest port @p guest_port. State REQUESTING, REQUEST pending; the caller starts the timer,
 * VSW_REQUEST_TIMEOUT_MS. vsw_conn_far_credit() follows before the REQUEST goes out. */
void vsw_conn_init_to_guest(struct vsw_conn *conn, uint32_t guest_cid, uint32_t guest_port,
			    uint32_t far_cid, uint32_t far_port);

/**
 * A packet of this connection from the guest, other than a REQUEST (that one supersedes the
 * connection: VSW_CONN_EV_SUPERSEDED, then a new one begins).
 *
 * @return VSW_CONN_ACT_*.
 */
uint32_t vsw_conn_input(struct vsw_conn *conn, const struct vsw_pkt *pkt);

/** An event, @p n its argument. @return VSW_CONN_ACT_*. Events that mean nothing in the
 * state the connection is in, late ones after CLOSED included, return 0 (SUPERSEDED and
 * GUEST_GONE then take back a RST that the guest was not told yet). */
uint32_t vsw_conn_event(struct vsw_conn *conn, enum vsw_conn_event ev, uint32_t n);

/** The far end's window: a host stream's, or a guest's as it came with any of its packets; the
 * guest is told with whatever it is told next. Before the event that the packet brings about. A @p
 * fwd_cnt that moves back or takes more than the guest has sent is ignored, so that a guest never
 * hears a lie of another, nor is granted more than a window of bytes that nobody has taken. */
void vsw_conn_far_credit(struct vsw_conn *conn, uint32_t buf_alloc, uint32_t fwd_cnt);

/** The guest should be told of its window: that reaches further by a quarter of @p size, or more.
 */
bool vsw_conn_has_news(const struct vsw_conn *conn, uint32_t size);

/** What the guest sent may reach, by the window as it is now, mod 2^32. */
uint32_t vsw_conn_edge(const struct vsw_conn *conn);

/**
 * The next packet the guest must be told, RW excepted; removes it from `pending`.
 *
 * @param pkt out: complete header, credit fields included.
 * @param act out: VSW_CONN_ACT_* that telling it brings about (ARM_CLOSE after SHUTDOWN).
 * @return false when there is none; @p pkt is untouched then.
 */
bool vsw_conn_next_packet(struct vsw_conn *conn, struct vsw_pkt *pkt, uint32_t *act);

/** True when vsw_conn_next_packet() would return one. */
static inline bool
vsw_conn_has_pending(const struct vsw_conn *conn)
{
	return conn->pending != 0;
}

/** The guest has used up the window it was told of: it waits until it is told another. */
static inline bool
vsw_conn_is_used_up(const struct vsw_conn *conn)
{
	return conn->from_guest_cnt == conn->edge_told;
}

/** How much the guest takes now. */
struct vsw_conn_window {
	uint32_t bytes;
	uint32_t packets;
};

/**
 * The guest's window: bytes by its credit, packets by the rule of newer Linux guests, which
 * reset a connection that has more than buf_alloc/576 unread packets whatever their size
 * (Linux 059b7dbd20a6, a4f0b001782b). Both 0 unless ESTABLISHED and the guest still receives.
 * A guest that shrinks its window or claims to have read more than it got gives 0, never
 * more (CVE-2026-23069).
 */
struct vsw_conn_window vsw_conn_window(const struct vsw_conn *conn);

/**
 * Take @p bytes of the window for data that is being fetched; vsw_conn_unreserve() follows.
 * Never more than vsw_conn_window() said.
 */
void vsw_conn_reserve(struct vsw_conn *conn, uint32_t bytes);

/** The fetch is over: what was reserved for it goes back into the window, out of which the
 * packets that came of it are taken. */
void vsw_conn_unreserve(struct vsw_conn *conn, uint32_t bytes);

/**
 * Header of a payload packet of @p len bytes that goes to the guest now; accounts for the
 * packet. Never more than vsw_conn_window() said.
 */
void vsw_conn_data_packet(struct vsw_conn *conn, uint32_t len, struct vsw_pkt *pkt);

/**
 * Data waits and the window is closed: ask the guest for news of its credit. Newer Linux
 * guests do not tell by themselves when the packet rule above was the limit. Sets
 * CREDIT_REQUEST pending, once per stall and once per VSW_CONN_EV_PROBE.
 *
 * @return true when this began a stall: the caller starts the probe timer (1 ms, doubling
 *         up to 256 ms, VSW_CONN_EV_PROBE each time for as long as `probing` is set: until a
 *         packet of the guest opens the window, or it receives no more).
 */
bool vsw_conn_stalled(struct vsw_conn *conn);

/** The answer to a packet that belongs to no connection and is no REQUEST that is taken:
 * RST with the addresses swapped. @return false for a RST: it is never answered. */
bool vsw_conn_refuse(const struct vsw_pkt *pkt, struct vsw_pkt *rst);

const char *vsw_conn_state_str(enum vsw_conn_state state);
/** "FAR_CLOSED" and so on. */
const char *vsw_conn_reason_str(enum vsw_conn_reason reason);

#endif /* VSW_CONN_H */
