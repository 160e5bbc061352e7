/* SPDX-License-Identifier: BSD-3-Clause */
/* A host stream; private to lib/bridge. Owner: the bridge's lcore. */
#ifndef VSW_STREAM_H
#define VSW_STREAM_H

#include <stdbool.h>
#include <sys/queue.h>

#include <rte_timer.h>

#include "vsw_backlog.h"
#include "vsw_guest_conf.h"
#include "vsw_hist.h"
#include "vsw_loop.h"
#include "vsw_stats.h"

struct vsw_bridge;

/* What a bridge keeps of a guest. When the guest has gone, it lives on until the last stream
 * has flushed. */
struct vsw_bridge_guest {
	TAILQ_ENTRY(vsw_bridge_guest) entry; /* of bridge->accounts */
	bool is_leaving;                     /* the guest goes: it hears no more of what flushes */
	bool is_closed;                      /* it has gone */
	struct vsw_counters counters;
	struct vsw_hists hists;
	struct vsw_tally tally;
	uint64_t collected; /* bytes of datagrams, whose windows do not bound them */
	TAILQ_HEAD(, vsw_stream) streams;
};

struct vsw_stream {
	struct vsw_watch watch; /* its fd: the socket */
	struct vsw_bridge *bridge;
	const struct vsw_guest_conf *guest; /* NULL: it has gone, the stream only flushes */
	struct vsw_bridge_guest *account;
	uint16_t guest_id;
	void *conn; /* the poll role's; NULL: nobody is to be told anything */

	struct vsw_msg *opening; /* the CONNECT, while its AF_VSOCK socket connects */
	uint64_t asked;          /* TSC at which its CONNECT line was complete */

	struct vsw_backlog backlog; /* what the host has not taken */
	uint8_t notice_flags;       /* what the next NOTICE says */
	bool told_readable;         /* the poll role reads until it is told DRAINED */
	bool told_hangup;
	bool read_hangup;             /* an end of file is in the socket, or on its way */
	bool was_refused;             /* CLOSE came before ACCEPT */
	bool awaits_greeting;         /* OK was said and is not read: payload waits */
	bool is_plain;                /* no OK is said */
	bool is_datagram;             /* the socket is one of datagrams */
	bool is_dead;                 /* the host reads no more; what is written is dropped */
	bool is_closing;              /* CLOSE came: flush, then close */
	struct vsw_msg *close;        /* that CLOSE, until it is answered */
	bool shut_send;               /* SHUTDOWN(SEND) came: shut when flushed */
	bool is_dirty;                /* on bridge->dirty */
	struct rte_timer flush_timer; /* while closing */

	TAILQ_ENTRY(vsw_stream) dirty_entry;
	TAILQ_ENTRY(vsw_stream) entry; /* of account->streams */
};

/* What an idle connection costs here; payload is buffered only while a socket is full. */
_Static_assert(sizeof(struct vsw_stream) <= 512, "an idle stream is small");

/* Put a WRITE behind those that wait. */
void vsw_stream_lend(struct vsw_stream *stream, struct vsw_msg *msg);
/* Write what waits: spill, then loans; spill what the socket does not take. All loans go back.
 * @return true when bytes moved. */
bool vsw_stream_write(struct vsw_stream *stream);
/* Read into a loan, set its result. */
void vsw_stream_read(struct vsw_stream *stream, struct vsw_msg *msg);
/* Nothing waits to be written. */
bool vsw_stream_is_flushed(const struct vsw_stream *stream);
/* Send the NOTICE that is due, if there is a message for it. @return true when none is due
 * any more. */
bool vsw_stream_notify(struct vsw_stream *stream);
/* Say OK: before all payload, and alone. */
void vsw_stream_greet(struct vsw_stream *stream, uint32_t port);
/* Note what happened to the socket. */
void vsw_stream_event(struct vsw_stream *stream, uint32_t events);
/* Give finished loans, joined by `next`, back to the poll role. */
void vsw_stream_return(struct vsw_stream *stream, struct vsw_msg *loans, int result);
/* One sendmsg() of the beginning of what waits: all, if there are no loans. @return as that. */
ssize_t vsw_stream_send(struct vsw_stream *stream);

/* datagram.c: what vsw_stream_write() is for a datagram socket. */
void vsw_datagram_write(struct vsw_stream *stream);
/* The guest's connection is over. Has it sent all of the datagram? */
void vsw_datagram_close(struct vsw_stream *stream, bool is_complete);

#endif /* VSW_STREAM_H */
