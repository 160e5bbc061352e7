/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Sockets of a synthetic guest: AF_VSOCK streams as a Linux guest's applications see them.
 *
 * The calls block up to their timeout and keep the guest going meanwhile; with timeout 0
 * they do what is possible now. A socket belongs to its guest and lives until
 * vsw_guest_close(); it outlives a boot of the guest, after which every call on it but
 * close returns -ECONNRESET.
 *
 * Thread-safety: the guest's thread.
 */
#ifndef VSW_GUEST_SOCK_H
#define VSW_GUEST_SOCK_H

#include <sys/types.h>

#include "vsw_guest.h"

struct vsw_guest_sock;

/** Take connections to @p port; at most @p backlog wait unaccepted, more get RST. */
int vsw_guest_listen(struct vsw_guest *g, uint32_t port, unsigned int backlog);

/** Stop listening; connections not accepted yet are reset. */
void vsw_guest_unlisten(struct vsw_guest *g, uint32_t port);

/** @return a connected socket; NULL when none came in time (vsw_guest_error()). */
struct vsw_guest_sock *vsw_guest_accept(struct vsw_guest *g, uint32_t port, int timeout_ms);

/**
 * Connect to @p port of @p cid from a free port.
 *
 * @return the socket; NULL with errno ECONNRESET when refused, ETIMEDOUT when nobody
 * answered.
 */
struct vsw_guest_sock *vsw_guest_connect(struct vsw_guest *g, uint32_t cid, uint32_t port,
					 int timeout_ms);

/**
 * Send the REQUEST and return at once.
 *
 * @param local_port port to connect from, 0 for a free one.
 * @return a socket in state VSW_GUEST_CONNECTING; NULL with errno EADDRINUSE.
 */
struct vsw_guest_sock *vsw_guest_connect_start(struct vsw_guest *g, uint32_t local_port,
					       uint32_t cid, uint32_t port);

/**
 * Send up to @p len bytes.
 *
 * @return bytes sent, fewer than @p len only when the timeout passed in between; -EAGAIN
 * when nothing could be sent in time; -EPIPE after a shutdown of this direction by either
 * side; -ECONNRESET on a reset socket.
 */
ssize_t vsw_guest_send(struct vsw_guest_sock *s, const void *buf, size_t len, int timeout_ms);

/**
 * Receive up to @p len bytes, as soon as there are any.
 *
 * @param buf where to; NULL discards, which saves a load generator the copy.
 * @return bytes; 0 at the end of the stream, also one that ended in a reset (as Linux; see
 * was_reset below); -EAGAIN when nothing came in time; -ECONNRESET after a boot.
 */
ssize_t vsw_guest_recv(struct vsw_guest_sock *s, void *buf, size_t len, int timeout_ms);

/**
 * Receive without a copy and without waiting.
 *
 * @param data out: the bytes, in memory of the guest; valid until the next call on it that
 * is not a send.
 * @return how many, at most @p max; 0 and errors as vsw_guest_recv().
 */
ssize_t vsw_guest_take(struct vsw_guest_sock *s, const void **data, size_t max);

/** Receive exactly @p len bytes. @return @p len; fewer at the end of the stream; -errno. */
ssize_t vsw_guest_recv_all(struct vsw_guest_sock *s, void *buf, size_t len, int timeout_ms);

/** @param flags VSW_SHUTDOWN_RCV and VSW_SHUTDOWN_SEND: what this side will not do. */
int vsw_guest_shutdown(struct vsw_guest_sock *s, uint32_t flags);

/**
 * Close as Linux does: RST if the peer has shut down both directions, else SHUTDOWN(both)
 * and a RST 8 s later unless the peer's came first. The handle is gone after the call, the
 * pair of ports only when the exchange is over.
 */
void vsw_guest_close(struct vsw_guest_sock *s);

/** Send a RST and forget the connection at once. */
void vsw_guest_abort(struct vsw_guest_sock *s);

/**
 * Change the receive window that the next packets announce; announced at once by a
 * CREDIT_UPDATE. May be smaller than what is unread.
 */
int vsw_guest_set_window(struct vsw_guest_sock *s, uint32_t buf_alloc);

/** How many connections to @p port wait to be accepted. */
unsigned int vsw_guest_n_waiting(const struct vsw_guest *g, uint32_t port);

/**
 * A socket that a packet has come for since it was last returned: data, an answer, window,
 * the end. Sockets never returned are returned once after their accept.
 *
 * @return NULL when there is none.
 */
struct vsw_guest_sock *vsw_guest_next_ready(struct vsw_guest *g);

/** A pointer of the caller's, NULL at first. */
void vsw_guest_sock_set_data(struct vsw_guest_sock *s, void *data);
void *vsw_guest_sock_data(const struct vsw_guest_sock *s);

/** Connections, closed ones that still wait for the peer included. */
unsigned int vsw_guest_n_socks(const struct vsw_guest *g);

enum vsw_guest_sock_state {
	VSW_GUEST_CONNECTING,
	VSW_GUEST_CONNECTED,
	VSW_GUEST_DONE, /**< refused, reset, or forgotten in a boot */
};

/** What a test or an event loop wants to know of a socket. */
struct vsw_guest_sock_info {
	enum vsw_guest_sock_state state;
	uint32_t local_port;
	uint32_t peer_cid;
	uint32_t peer_port;
	bool was_reset;         /**< a RST has come */
	uint32_t peer_shutdown; /**< VSW_SHUTDOWN_* the peer has said */
	bool is_readable;       /**< recv would return now: bytes or end of stream */
	uint32_t sendable;      /**< bytes the peer's window admits */
	uint32_t unread;        /**< bytes received and not taken */
	uint32_t n_unread_packets;
	uint32_t sent;            /**< payload bytes sent, mod 2^32 */
	uint32_t received;        /**< payload bytes received, mod 2^32 */
	uint32_t peer_buf_alloc;  /**< as last announced by the peer */
	uint32_t peer_fwd_cnt;    /**< as last announced by the peer */
	uint32_t n_credit_update; /**< CREDIT_UPDATE packets received */
};

/** The guest that a socket belongs to. */
struct vsw_guest *vsw_guest_sock_guest(const struct vsw_guest_sock *s);

void vsw_guest_sock_info(const struct vsw_guest_sock *s, struct vsw_guest_sock_info *info);

#endif /* VSW_GUEST_SOCK_H */
