/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One end of a connection, in a guest or on the host, with the same calls for both.
 *
 * Nothing blocks. run() is called in the next turn after the end was opened, got data or
 * room, or ended; it does what can be done and returns whether it did anything. An end that
 * could go on, but stops to let others run, calls end_wake() on itself.
 */
#ifndef VSW_GUEST_END_H
#define VSW_GUEST_END_H

#include <sys/types.h>

#include "rig.h"

enum end_state {
	END_DIALLING, /* no answer yet; on the host: connecting, or waiting for OK */
	END_OPEN,
	END_FAILED, /* refused, or not answered in time */
};

/* A place in one list at a time. */
enum end_queue {
	END_ON_NONE,
	END_ON_RUNNABLE,
	END_ON_RUNNING,
	END_ON_BLOCKED,
};

struct end {
	struct watch watch;
	TAILQ_ENTRY(end) link;    /* in the list that `queue` names */
	TAILQ_ENTRY(end) dialled; /* rig->dialling, then rig->closed */
	enum end_queue queue;
	bool (*run)(struct end *e);
	void (*free)(struct end *e);
	struct rig *rig;
	struct vm *vm;
	enum end_state state;
	struct vsw_guest_sock *s; /* NULL: a host's */
	int fd;
	uint32_t port;
	bool is_dialling; /* on rig->dialling */
	bool is_told;     /* connected, and the CONNECT line sent */
	bool is_watched;
	bool can_recv, can_send; /* host: since the last EAGAIN */
	uint64_t dialled_ns;
};

/* Dial. The answer, or its absence, is in state when run() is called. */
void end_dial(struct end *e, struct vm *vm, bool is_guest, uint32_t cid, uint32_t port);

/* Make @p e the end of an accepted connection: a guest's socket or a descriptor. */
void end_accept(struct end *e, struct vm *vm, struct vsw_guest_sock *s, int fd);

/* @return bytes; -EAGAIN, run() is called when there is room again; -errno. */
ssize_t end_send(struct end *e, const void *data, size_t len);

/* The window of a guest's sends: packets in it reach the device together. */
void end_cork(struct end *e);
void end_uncork(struct end *e);

/*
 * Receive. @return bytes at *data, valid until the next call on any end or turn; 0: end of
 * stream; -EAGAIN; -errno.
 */
ssize_t end_take(struct end *e, const uint8_t **data, size_t max);

/* Run it in the next turn, or later in this one. */
void end_wake(struct end *e);

/* No more will be sent. */
void end_shutdown(struct end *e);

/* Close the connection; @p e is freed with its free() at the end of the turn. */
void end_close(struct end *e);

/* For rig.c. */
bool end_run(struct end *e);
void end_check_deadlines(struct rig *rig);
void end_free_closed(struct rig *rig);

#endif /* VSW_GUEST_END_H */
