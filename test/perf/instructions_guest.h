/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The guests of instructions.c, behind a narrow door: the headers of lib/guest and of the switch
 * cannot be included together. No call waits, but ig_up(), which is for a thread of its own
 * while the switch turns. Whatever goes wrong ends the process with a sentence.
 *
 * Thread-safety: one thread at a time for each guest.
 */
#ifndef INSTRUCTIONS_GUEST_H
#define INSTRUCTIONS_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vsw_guest;
struct vsw_guest_sock;

/** Attach and boot. */
struct vsw_guest *ig_up(const char *socket);

/** Handle what has come. */
void ig_poll(struct vsw_guest *g);

void ig_listen(struct vsw_guest *g, uint32_t port);

/** @return a connection that has come, or NULL. */
struct vsw_guest_sock *ig_accept(struct vsw_guest *g, uint32_t port);

/** Ask for a connection. */
struct vsw_guest_sock *ig_connect(struct vsw_guest *g, uint32_t cid, uint32_t port);

bool ig_is_connected(const struct vsw_guest_sock *s);

/** One packet, which there must be room for. */
void ig_send(struct vsw_guest_sock *s, const void *buf, size_t len);

/** Drop all that has come. @return bytes. */
size_t ig_drain(struct vsw_guest_sock *s);

void ig_down(struct vsw_guest *g);

#endif /* INSTRUCTIONS_GUEST_H */
