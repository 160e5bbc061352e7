/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The relay: one thread that joins thousands of pairs of descriptors, and listens for more.
 *
 * Each way of a pair is on its own: an end of file is passed on as a half-close when all before
 * it was delivered, and the other way goes on; a reader that has gone is told to the writer. A
 * way reads no more while its reader takes nothing, and holds at most one piece of 64 KiB, so an
 * idle pair costs no buffer. A pair ends when both ways have.
 */
#ifndef VSW_RELAY_H
#define VSW_RELAY_H

#include <sys/types.h>

#include "commands.h"
#include "endpoint.h"

struct relay;

/* Somebody has connected; @p fd, non-blocking, is the callee's. */
typedef void (*relay_accept_fn)(struct relay *relay, void *ctx, int fd);

/* @p args say whose complaints they are. @return NULL: no memory or descriptor for it. */
struct relay *relay_create(const struct args *args);
/* Cuts off what still is. */
void relay_destroy(struct relay *relay);

/* From now on SIGTERM, SIGINT and SIGHUP end relay_run(), and SIGCHLD is @p on_child, which
 * reaps; NULL: nobody has children. */
bool relay_take_signals(struct relay *relay, void (*on_child)(struct relay *relay, void *ctx),
			void *ctx);

/* Accept at @p fd, which stays the caller's. @return false: no memory. */
bool relay_listen(struct relay *relay, int fd, relay_accept_fn fn, void *ctx);
/* Let connections wait in the kernel's queues, or not any more. */
void relay_pause(struct relay *relay, bool is_paused);

/* Join @p fd to @p to, to which it connects first. Takes @p fd; copies @p to. */
void relay_dial(struct relay *relay, int fd, const struct endpoint *to);

/* Join @p fd, which it takes, to standard input and output. When output breaks, all ends.
 * @return false: no memory. */
bool relay_join_stdio(struct relay *relay, int fd);

/* Until a signal, or until there is nothing to listen to and no pair left.
 * @return EXIT_SUCCESS; EXIT_BROKEN: standard output broke. */
int relay_run(struct relay *relay);

/* Allow as many descriptors as the system lets us. */
void relay_raise_limit(void);

#endif /* VSW_RELAY_H */
