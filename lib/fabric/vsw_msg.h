/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The messages between lcores: the only way in which the poll, bridge and control roles
 * meet. Every one is a verb about an object that its receiver owns.
 *
 * A message never carries payload. It carries a *loan*: segments of guest memory, valid
 * until the message comes back. A conversation uses one object: the reply to a message is
 * the same object sent back, so a reply cannot fail for want of memory. Whoever ends the
 * conversation frees it.
 *
 * Order: messages from one lcore to another arrive in the order in which they were sent.
 */
#ifndef VSW_MSG_H
#define VSW_MSG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vsw_limits.h"

struct vsw_conn_scan;
struct vsw_counters;
struct vsw_guest_conf;
struct vsw_hists;
struct vsw_loop;
struct vsw_rings;
struct vsw_routes;

/** The roles that a loop may run; a verb belongs to the role that receives it. */
enum vsw_role {
	VSW_ROLE_POLL,    /**< owns guests: rings, connections, credit */
	VSW_ROLE_BRIDGE,  /**< owns host streams: sockets, spill buffers */
	VSW_ROLE_CONTROL, /**< owns the guest registry, listeners, handshakes */
	VSW_ROLE_VHOST,   /**< owns vhost-user sockets; on a thread of its own, may block */
	VSW_N_ROLES
};

/*
 * X(verb, receiving role, text)
 *
 * `conn` is the poll role's name of a connection, `stream` the bridge role's name of the
 * host's end of it, or the other guest's poll role's name of that one's end: each is opaque to
 * the other and only handed back.
 */
#define VSW_MSG_TABLE(X)                                                                           \
	/* A guest asks for host port `port`: connect to <uds_path>_<port>, or AF_VSOCK. conn,     \
	 * guest, port. Reply OPENED. */                                                           \
	X(CONNECT, BRIDGE, "connect")                                                              \
	/* result 0: `stream` is open; or -errno and there is no stream; -EMFILE, -ENFILE: for     \
	 * want of a descriptor. */                                                                \
	X(OPENED, POLL, "opened")                                                                  \
	/* A host has sent its CONNECT line: `fd` is its socket, positioned behind the line, now   \
	 * the bridge's; `port` the guest port it wants. With VSW_MSG_F_PLAIN there was no line    \
	 * and there shall be no OK. The bridge makes a stream of it and passes the same object on \
	 * as INCOMING. */                                                                         \
	X(ADOPT, BRIDGE, "adopt")                                                                  \
	/* `stream` wants guest port `port`. The poll role answers with ACCEPT or CLOSE in a       \
	 * message of its own. The bridge says nothing of the stream before the ACCEPT. */         \
	X(INCOMING, POLL, "incoming")                                                              \
	/* The guest accepted, the stream is `conn`'s from now on: write "OK <port>\n" to it,      \
	 * unless it is plain. Freed by the bridge. */                                             \
	X(ACCEPT, BRIDGE, "accept")                                                                \
	/* Loan: write the `len` bytes of segs[0..n_segs) to the stream. Reply WROTE, at once and  \
	 * in the order of the WRITEs. `chain` is the lender's own. */                             \
	X(WRITE, BRIDGE, "write")                                                                  \
	/* The loan is back. `len`: bytes of it that reached the socket, or, with `result` < 0     \
	 * (the host reads no more), were dropped; the rest was spilled: NOTICE reports it. */     \
	X(WROTE, POLL, "wrote")                                                                    \
	/* Loan: read into segs[0..n_segs), once. Reply FILLED, at once. */                        \
	X(READ, BRIDGE, "read")                                                                    \
	/* The loan is back. `len`: bytes read, filling segs in order. `flags`:                    \
	 * VSW_MSG_F_DRAINED, VSW_MSG_F_EOF. */                                                    \
	X(FILLED, POLL, "filled")                                                                  \
	/* The bridge speaks up about `conn`: bytes in `len` of earlier WRITEs have left the       \
	 * spill buffer; `flags`: VSW_MSG_F_READABLE, VSW_MSG_F_HANGUP, _LOST, _FLUSHED. Freed by  \
	 * the poll role. */                                                                       \
	X(NOTICE, POLL, "notice")                                                                  \
	/* shutdown(2) the stream, `flags`: VSW_MSG_F_SHUT_SEND after what is spilled,             \
	 * VSW_MSG_F_SHUT_RECV at once. Freed by the bridge. */                                    \
	X(SHUTDOWN, BRIDGE, "shutdown")                                                            \
	/* The connection is over. Reply CLOSED, at once; the bridge flushes what is spilled, on a \
	 * deadline, and closes. VSW_MSG_F_SHUT_SEND: the guest had sent all it wanted. */         \
	X(CLOSE, BRIDGE, "close")                                                                  \
	/* The bridge names `conn` in no later message; or, with VSW_MSG_F_FLUSHING, not after the \
	 * NOTICE that says VSW_MSG_F_FLUSHED: what was spilled has left, or was dropped. */       \
	X(CLOSED, POLL, "closed")                                                                  \
	/* Guest `peer` asks for port `port` of `guest`, from its port `peer_port`; credit. `conn` \
	 * is the asker's name of the connection. Reply OPENED: result 0, and `stream` is the      \
	 * receiver's name of it; or -errno, and there is none. Credit, here and below:            \
	 * `buf_alloc` and `fwd_cnt` as the sending guest last told them. */                       \
	X(PEER_CONNECT, POLL, "peer-connect")                                                      \
	/* Loan: `len` bytes of segs[0..n_segs) for the receiver's `stream`; credit. With          \
	 * VSW_MSG_F_NO_HOLD it must come back at once. Reply WROTE, in order, as above. */        \
	X(PEER_DATA, POLL, "peer-data")                                                            \
	/* What the other guest has said, `flags`: VSW_MSG_F_ACCEPTED, _CREDIT_UPDATE,             \
	 * _CREDIT_REQUEST, _SHUT_SEND, _SHUT_RECV; credit. And `len` bytes of earlier PEER_DATA   \
	 * have left the spill. Reply PEER_NOTED. */                                               \
	X(PEER_NEWS, POLL, "peer-news")                                                            \
	/* The answer bounds how much one guest can have to say at a time. */                      \
	X(PEER_NOTED, POLL, "peer-noted")                                                          \
	/* The sender's end is over and makes no later request of the receiver's `stream`. The     \
	 * receiver gives back every loan at once and says PEER_CLOSED once what was lent before   \
	 * has been delivered or dropped. */                                                       \
	X(PEER_CLOSE, POLL, "peer-close")                                                          \
	/* The receiver's PEER_CLOSE has been dealt with. Each end says it once. */                \
	X(PEER_CLOSED, POLL, "peer-closed")                                                        \
	/* Give back every loan that `stream` holds, by spilling. Reply RECALLED: by then all of   \
	 * them have arrived. */                                                                   \
	X(PEER_RECALL, POLL, "peer-recall")                                                        \
	X(RECALLED, POLL, "recalled")                                                              \
	/* Use `routes` from now on, and reset connections it does not allow. Reply ROUTED: nobody \
	 * on this lcore looks at the ones before any more. */                                     \
	X(ROUTES, POLL, "routes")                                                                  \
	X(ROUTED, CONTROL, "routed")                                                               \
	/* Take ownership of `guest`; its rings are stopped. Reply ATTACHED, result 0 or -errno.   \
	 */                                                                                        \
	X(ATTACH, POLL, "attach")                                                                  \
	X(ATTACHED, CONTROL, "attached")                                                           \
	/* Forget `guest`: it was drained, its rings are stopped, no route leads to it, the bridge \
	 * has passed the barrier below. Reply DETACHED when no message of it is out and its       \
	 * connections are gone: this lcore does not name it any more. */                          \
	X(DETACH, POLL, "detach")                                                                  \
	X(DETACHED, CONTROL, "detached")                                                           \
	/* Keep an account of the streams of `guest`. Reply ACCOUNT_OPEN, result 0 or -errno;      \
	 * `tally`. */                                                                             \
	X(OPEN_ACCOUNT, BRIDGE, "open-account")                                                    \
	X(ACCOUNT_OPEN, CONTROL, "account-open")                                                   \
	/* `guest` is going: closed streams flush without telling, from now on. Reply PASSED: what \
	 * was sent to this loop before has been dealt with. */                                    \
	X(BARRIER, BRIDGE, "barrier")                                                              \
	X(PASSED, CONTROL, "passed")                                                               \
	/* `guest` was detached. Streams that still flush go on without it. Reply ACCOUNT_CLOSED:  \
	 * the bridge does not name it any more. */                                                \
	X(CLOSE_ACCOUNT, BRIDGE, "close-account")                                                  \
	X(ACCOUNT_CLOSED, CONTROL, "account-closed")                                               \
	/* Tell of connections of `guest`, as `scan` says. Reply CONNS_LISTED. */                  \
	X(LIST_CONNS, POLL, "list-conns")                                                          \
	X(CONNS_LISTED, CONTROL, "conns-listed")                                                   \
	/* Reset the connection `conn_id` of `guest` at both ends. Reply CONN_CLOSED, result 0 or  \
	 * -ENOENT. */                                                                             \
	X(CLOSE_CONN, POLL, "close-conn")                                                          \
	X(CONN_CLOSED, CONTROL, "conn-closed")                                                     \
	/* `guest` is going: reset every connection of it, refuse new ones. Reply DRAINED when the \
	 * guest has been told or cannot be. */                                                    \
	X(DRAIN, POLL, "drain")                                                                    \
	X(DRAINED, CONTROL, "drained")                                                             \
	/* Start the rings of `guest` as in `rings`. From the vhost-user thread, which waits:      \
	 * completed with vsw_msg_complete(). */                                                   \
	X(START, POLL, "start")                                                                    \
	/* Let go of the rings and the memory of `guest`: all loans are back, `rings->base` says   \
	 * where each ring stands. `flags`: VSW_MSG_F_RESET, the guest's connections are over.     \
	 * From the vhost-user thread, which waits. */                                             \
	X(STOP, POLL, "stop")                                                                      \
	/* Listen on the vhost-user socket of `guest`. Reply LISTENING. */                         \
	X(LISTEN, VHOST, "listen")                                                                 \
	/* result 0, or -errno. */                                                                 \
	X(LISTENING, CONTROL, "listening")                                                         \
	/* Close the vhost-user socket of `guest` and its connection. Reply UNLISTENED. */         \
	X(UNLISTEN, VHOST, "unlisten")                                                             \
	/* The socket is gone, the guest's rings are stopped. */                                   \
	X(UNLISTENED, CONTROL, "unlistened")                                                       \
	/* The VMM of `guest` has come or gone, `port`: enum vsw_vmm. Freed by the control role.   \
	 * None comes after UNLISTENED. */                                                         \
	X(VMM, CONTROL, "vmm")                                                                     \
	/* Another thread asks for something, see vsw_control.h: `request`. Freed by the control   \
	 * role. */                                                                                \
	X(REQUEST, CONTROL, "request")                                                             \
	/* Finish within `port` milliseconds: reply QUIET when no stream has bytes left to flush,  \
	 * or when the time is over. */                                                            \
	X(FLUSH, BRIDGE, "flush")                                                                  \
	X(QUIET, CONTROL, "quiet")

enum vsw_verb {
#define X(verb, role, text) VSW_MSG_##verb,
	VSW_MSG_TABLE(X)
#undef X
		VSW_N_VERBS
};

/** What a VMM does, in a VMM message. */
enum vsw_vmm {
	VSW_VMM_NONE,      /**< there is none */
	VSW_VMM_CONNECTED, /**< it is there, the guest's rings are stopped */
	VSW_VMM_RUNNING,   /**< the guest's rings run */
};

/* Flag of ADOPT. */
#define VSW_MSG_F_PLAIN 0x01u /**< the host knows nothing of CONNECT and OK */
/* Flags of FILLED and NOTICE. */
#define VSW_MSG_F_DRAINED 0x01u  /**< the socket had no more; a NOTICE will say when it has */
#define VSW_MSG_F_EOF 0x02u      /**< the host has sent everything it will ever send */
#define VSW_MSG_F_READABLE 0x04u /**< there is something to read, or an end of file */
#define VSW_MSG_F_HANGUP 0x08u   /**< the host reads no more: closed, or shut its read side */
/* Flags of NOTICE. */
#define VSW_MSG_F_LOST 0x40u    /**< what the guest has sent cannot be delivered */
#define VSW_MSG_F_FLUSHED 0x80u /**< a closed stream has nothing left */
/* Flag of CLOSED. */
#define VSW_MSG_F_FLUSHING 0x01u /**< it has, and will say when not */
/* Flags of SHUTDOWN and PEER_NEWS. */
#define VSW_MSG_F_SHUT_SEND 0x10u /**< the guest sends no more */
#define VSW_MSG_F_SHUT_RECV 0x20u /**< the guest receives no more */
/* Flags of PEER_NEWS. */
#define VSW_MSG_F_ACCEPTED 0x01u
#define VSW_MSG_F_CREDIT_UPDATE 0x02u
#define VSW_MSG_F_CREDIT_REQUEST 0x04u
/* Flag of PEER_DATA. */
#define VSW_MSG_F_NO_HOLD 0x01u
/* Flag of STOP. */
#define VSW_MSG_F_RESET 0x01u

/** Where a role counts what it does for a guest. Its own; others may read it until they send
 * DETACH or CLOSE_ACCOUNT. */
struct vsw_tally {
	const struct vsw_counters *counters;
	const struct vsw_hists *hists;
	const unsigned int *n_conns; /**< of the poll role: connections now; else NULL */
	const uint16_t *n_loans;     /**< of the poll role: WRITE and PEER_DATA out; else NULL */
	const uint64_t *n_waiting;   /**< bytes of the guest's that hosts and siblings have not
				      * taken: of the bridge those of datagrams, else of the
				      * poll role */
};

/** A chain of a loan: which head; of a READ also how many of segs[0..n_segs) are its. */
struct vsw_msg_chain {
	uint16_t head;
	uint8_t n_segs;
	uint8_t n_hdr_segs; /**< of its packet header, the poll role's own, see poll/to_guest.c */
};

struct vsw_msg {
	/* Set by whoever sends. */
	uint8_t verb; /**< enum vsw_verb */
	uint8_t flags;
	uint16_t n_segs;
	uint16_t n_chains; /**< entries of `chain` */
	uint16_t n_descs;  /**< of WRITE, PEER_DATA and WROTE: the lender's own */
	uint32_t len;      /**< bytes, see the verb */
	int32_t result;    /**< 0 or -errno, see the verb */
	uint32_t port;
	int32_t fd; /**< of ADOPT; -1 otherwise */
	const struct vsw_guest_conf *guest;
	void *conn;   /**< the poll role's that began the conversation; opaque to others */
	void *stream; /**< the bridge's, or another poll role's; opaque to others */
	union {
		struct { /* of PEER_* */
			union {
				const struct vsw_guest_conf *peer; /**< of PEER_CONNECT */
				/** TSC; of ADOPT and INCOMING: when the line was complete; of
				 * WRITE and PEER_DATA: when the chain was taken off the ring,
				 * 0: it is not timed */
				uint64_t since;
			};
			uint32_t peer_port;
			uint32_t buf_alloc;
			uint32_t fwd_cnt;
		};
		struct {                         /* of START and STOP */
			struct vsw_rings *rings; /**< the sender's, which waits */
			void *waiter;            /**< see vsw_msg_call() */
		};
		struct {                           /* of requests of the control role */
			struct vsw_loop *reply_to; /**< its own loop */
			union {
				const struct vsw_routes *routes;
				/** of the answers to ATTACH and OPEN_ACCOUNT; NULL: failed */
				const struct vsw_tally *tally;
				struct vsw_conn_scan *scan; /**< the control role's */
				uint64_t conn_id;
			};
		};
		void *request; /* of REQUEST */
	};
	struct vsw_msg *next; /**< for whoever holds the message */
	struct vsw_msg_chain chain[VSW_MSG_SEGS];
	struct iovec segs[VSW_MSG_SEGS];
};

/** Name of a verb. Static storage. */
const char *vsw_msg_verb_str(enum vsw_verb verb);

/**
 * Create the pool that all messages come from.
 *
 * @param n messages; every inbox has room for all of them, so sending never fails.
 * @return 0 or -ENOMEM. Once per process, before any loop exists.
 */
int vsw_msg_pool_create(unsigned int n);

/** Free the pool; no message may be out. */
void vsw_msg_pool_destroy(void);

/**
 * A message with every field before `chain` zeroed, or NULL when all are in use: that is the
 * switch's back-pressure. The caller keeps its object as it is and tries again at its next
 * pass; it does not drop anything.
 *
 * Runs on: any thread; cached on lcores.
 */
struct vsw_msg *vsw_msg_alloc(enum vsw_verb verb);

/** Give a message back. NULL is allowed. */
void vsw_msg_free(struct vsw_msg *msg);

/** Send @p msg to the loop @p to; never fails, never blocks. The message is the receiver's. */
void vsw_msg_send(struct vsw_loop *to, struct vsw_msg *msg);

/** Turn @p msg into @p verb and send it: a reply, or a message passed on. */
void vsw_msg_reply(struct vsw_loop *to, struct vsw_msg *msg, enum vsw_verb verb);

/**
 * Send @p msg and wait until its receiver calls vsw_msg_complete(). The message is the
 * caller's again afterwards.
 *
 * Runs on: threads that are no lcore's (librte_vhost's); a loop must not wait.
 */
void vsw_msg_call(struct vsw_loop *to, struct vsw_msg *msg);

/** Release the thread that waits for @p msg. */
void vsw_msg_complete(struct vsw_msg *msg);

#endif /* VSW_MSG_H */
