/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * What is counted, by name: one table, from which the enum, the names and the help come.
 *
 * Thread-safety: a struct vsw_counters has one writer, the lcore that owns the object it
 * belongs to, which adds plainly. Any thread may read it; a reader sees each counter whole
 * (aligned 64-bit stores) but not all of them at one instant. What several owners count
 * for one guest, the reader sums.
 */
#ifndef VSW_STATS_H
#define VSW_STATS_H

#include <stdint.h>

#define VSW_COUNTER_TABLE(X)                                                                       \
	/* traffic */                                                                              \
	X(FROM_GUEST_PACKETS, "from_guest_packets", "packets taken from the guest")                \
	X(FROM_GUEST_BYTES, "from_guest_bytes", "payload bytes taken from the guest")              \
	X(TO_GUEST_PACKETS, "to_guest_packets", "packets given to the guest")                      \
	X(TO_GUEST_BYTES, "to_guest_bytes", "payload bytes given to the guest")                    \
	X(SIGNALS, "signals", "interrupts sent to the guest")                                      \
	/* connections */                                                                          \
	X(CONNS_FROM_GUEST, "conns_from_guest", "connections opened by the guest")                 \
	X(CONNS_FROM_HOST, "conns_from_host", "connections opened by the host")                    \
	X(CONNS_TO_SIBLING, "conns_to_sibling", "connections opened by the guest to a sibling")    \
	X(CONNS_FROM_SIBLING, "conns_from_sibling",                                                \
	  "connections opened by a sibling to the guest")                                          \
	X(CONNS_CLOSED, "conns_closed", "connections closed in order")                             \
	X(REFUSED_BY_HOST, "refused_by_host", "guest requests that no host listener took")         \
	X(REFUSED_BY_SIBLING, "refused_by_sibling", "guest requests that a sibling reset")         \
	X(REFUSED_BY_GUEST, "refused_by_guest", "requests that the guest reset")                   \
	X(REFUSED_TIMEOUT, "refused_timeout", "requests without an answer in time")                \
	X(REFUSED_LIMIT, "refused_limit", "requests above the connection limit of the guest")      \
	X(REFUSED_DESCRIPTORS, "refused_descriptors",                                              \
	  "host connections refused: no descriptor is free, or others shall have them")            \
	X(REFUSED_NOT_READY, "refused_not_ready", "requests while the guest was not running")      \
	/* resets */                                                                               \
	X(RESET_BY_GUEST, "reset_by_guest", "connections that the guest has reset")                \
	X(RESET_SUPERSEDED, "reset_superseded", "connections whose ports the guest used anew")     \
	X(RESET_GUEST_GONE, "reset_guest_gone", "connections of a guest that stopped")             \
	X(RESET_BY_OPERATOR, "reset_by_operator", "connections that were closed on request")       \
	X(RESET_NO_MEMORY, "reset_no_memory", "connections that found no memory for a backlog")    \
	X(RESET_UNKNOWN_CONN, "reset_unknown_conn", "packets for a connection that is not there")  \
	X(RESET_UNKNOWN_CID, "reset_unknown_cid", "packets to a CID that is not there")            \
	X(RESET_FORBIDDEN_CID, "reset_forbidden_cid", "packets to a CID of no common group")       \
	X(RESET_TYPE, "reset_type", "packets of a socket type that is not served")                 \
	X(RESET_PROTOCOL, "reset_protocol", "packets that their connection's state forbids")       \
	X(RESET_CREDIT, "reset_credit", "connections whose guest sent more than its window")       \
	X(RESET_BY_SIBLING, "reset_by_sibling", "connections that a sibling has reset")            \
	X(RESET_ROUTES, "reset_routes", "connections that new groups do not allow")                \
	X(RESET_CLOSE_TIMEOUT, "reset_close_timeout", "closed connections the guest kept")         \
	/* stalls and buffering */                                                                 \
	X(CREDIT_STALLS, "credit_stalls", "data had to wait for the guest's window")               \
	X(CREDIT_STALLS_FROM_GUEST, "credit_stalls_from_guest",                                    \
	  "the guest had used up its window: it had to wait")                                      \
	X(BUFFER_STALLS, "buffer_stalls", "the guest had no receive buffer posted")                \
	X(MESSAGE_STALLS, "message_stalls", "no message was free: the guest had to wait")          \
	X(LOAN_STALLS, "loan_stalls", "too many loans were out: the guest had to wait")            \
	X(SPILLED_BYTES, "spilled_bytes", "bytes buffered because their reader was slow")          \
	X(WINDOWS_CUT, "windows_cut", "windows made smaller because the spill budget is small")    \
	X(FLUSH_TIMEOUTS, "flush_timeouts", "closed streams whose host reader took nothing")       \
	X(DATAGRAMS, "datagrams", "datagrams given to datagram sockets of the host")               \
	X(DATAGRAMS_TOO_LARGE, "datagrams_too_large",                                              \
	  "datagrams above 64 KiB; the guest is reset")                                            \
	X(DATAGRAMS_LOST, "datagrams_lost",                                                        \
	  "datagrams that their socket did not take; the guest is reset")                          \
	/* hosts that did not manage a CONNECT line */                                             \
	X(HANDSHAKE_BAD_LINE, "handshake_bad_line", "host lines that are not CONNECT <port>")      \
	X(HANDSHAKE_TIMEOUT, "handshake_timeout", "host connections that never sent a line")       \
	X(HANDSHAKE_FULL, "handshake_full", "host connections above the cap of unfinished ones")   \
	X(ACCEPT_ERRORS, "accept_errors", "times that hosts had to wait for a free descriptor")    \
	/* malformed: headers (vsw_packet.h) */                                                    \
	X(PKT_SHORT, "pkt_short", "chains shorter than a header")                                  \
	X(PKT_BAD_CID, "pkt_bad_cid", "headers with a CID above 32 bits")                          \
	X(PKT_SPOOFED, "pkt_spoofed", "headers with a source that is not the guest")               \
	X(PKT_BAD_OP, "pkt_bad_op", "headers with an unknown operation")                           \
	X(PKT_BAD_LEN, "pkt_bad_len", "headers whose length does not fit")                         \
	X(PKT_BAD_FLAGS, "pkt_bad_flags", "headers with undefined shutdown flags")                 \
	X(PKT_UNEXPECTED, "pkt_unexpected",                                                        \
	  "packets that mean nothing in their connection's state")                                 \
	/* malformed: rings (vsw_virtq.h) */                                                       \
	X(CHAIN_LOOP, "chain_loop", "descriptor chains longer than their table")                   \
	X(CHAIN_BAD_NEXT, "chain_bad_next", "descriptors that point outside their table")          \
	X(CHAIN_BAD_ADDR, "chain_bad_addr", "buffers outside the guest's memory")                  \
	X(CHAIN_BAD_LEN, "chain_bad_len", "chains longer than 4 GiB or cut into too many pieces")  \
	X(CHAIN_DIRECTION, "chain_direction", "buffers of the wrong direction for their queue")    \
	X(CHAIN_INDIRECT, "chain_indirect", "malformed indirect tables")                           \
	X(CHAIN_SMALL, "chain_small", "receive buffers too small for a header")                    \
	X(RING_BAD_HEAD, "ring_bad_head", "available entries that name no descriptor")             \
	X(RING_JUMP, "ring_jump", "available indexes further ahead than the ring is long")         \
	X(MEMORY_LOST, "memory_lost", "times that the guest's memory was cut off")                 \
	X(CALLS_STUCK, "calls_stuck", "times that the VMM's call descriptor made vswd wait")

enum vsw_counter {
#define X(sym, name, help) VSW_CTR_##sym,
	VSW_COUNTER_TABLE(X)
#undef X
		VSW_N_COUNTERS
};

struct vsw_counters {
	uint64_t value[VSW_N_COUNTERS];
};

/** Add @p n to a counter. Owner of @p c only. */
static inline void
vsw_count(struct vsw_counters *c, enum vsw_counter counter, uint64_t n)
{
	c->value[counter] += n;
}

/** Name of a counter, as operators see it. Static storage. */
const char *vsw_counter_name(enum vsw_counter counter);

/** One phrase that says what a counter counts. Static storage. */
const char *vsw_counter_help(enum vsw_counter counter);

/** Add every counter of @p c to @p sum. Any thread may call it while the owner counts. */
void vsw_counters_add(struct vsw_counters *sum, const struct vsw_counters *c);

#endif /* VSW_STATS_H */
