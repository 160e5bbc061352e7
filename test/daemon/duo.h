/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Two guests that talk to each other, and the layouts of lcores in which they do.
 *
 * Cases use guests 0 and 1 as the pair and 2 and 3 as bystanders; the layouts put these on
 * the same lcore or on different ones. Guests 4 to 7 have groups, see duo.c.
 */
#ifndef DUO_H
#define DUO_H

#include "harness.h"

#define DUO_PORT 4000

/** CID of guest @p vm. */
#define CID(vm) (3 + (vm))

extern const struct variant sibling_variants[];
extern const size_t n_sibling_variants;

/** A connection; @p a asked for it. */
struct duo {
	struct vsw_guest_sock *a, *b;
};

/** Guest @p from connects to guest @p to, which listens on @p port for the time of the call. */
struct duo duo_connect(struct env *e, unsigned int from, unsigned int to, uint32_t port);

/** A request of guest @p from must be refused, at once: well before any timeout. */
void duo_refused(struct env *e, unsigned int from, uint32_t cid, uint32_t port);

/** A few bytes each way. */
void duo_check(struct env *e, const struct duo *d);

/** Both ends say goodbye as applications do; both guests must be told that it is over. */
void duo_close(struct env *e, struct duo *d);

/** Connect, check, close. */
void duo_works(struct env *e, unsigned int from, unsigned int to);

/** Keep all guests going until the socket has @p len bytes to read or its end. */
void sock_wait_unread(struct env *e, struct vsw_guest_sock *s, uint32_t len);

/** Neither reset nor at its end. */
bool sock_is_alive(const struct vsw_guest_sock *s);

/** Keep all guests going until a request is answered, in whatever way. */
void sock_wait_answer(struct env *e, struct vsw_guest_sock *s);

/** Keep all guests going until a RST has come. */
void sock_wait_reset(struct env *e, struct vsw_guest_sock *s);

/** Keep all guests going until the peer has said all of @p shutdown. */
void sock_wait_shutdown(struct env *e, struct vsw_guest_sock *s, uint32_t shutdown);

/** Send or receive and keep all guests going meanwhile; the bytes are the pattern at @p off. */
void sock_send(struct env *e, struct vsw_guest_sock *s, uint64_t off, size_t len);
void sock_recv(struct env *e, struct vsw_guest_sock *s, uint64_t off, size_t len);

/** As much as goes without waiting. @return bytes. */
size_t sock_send_now(struct env *e, struct vsw_guest_sock *s, uint64_t off, size_t len);

/** The stream must end now, without a byte more. */
void sock_expect_eof(struct env *e, struct vsw_guest_sock *s);

/** Bytes on their way in one direction. */
struct stream {
	struct vsw_guest_sock *from, *to;
	uint64_t total;
	size_t chunk;  /**< bytes of one call; 0: 64 KiB */
	uint64_t base; /**< where in the pattern it begins, so that no two are alike */
	uint64_t sent, received;
};

/** One step of each end. @return whether a byte moved. */
bool stream_step(struct env *e, struct stream *s);

/** Move and verify the bytes of all streams at once. */
void run_streams(struct env *e, struct stream *streams, unsigned int n);

#endif /* DUO_H */
