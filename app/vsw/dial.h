/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connect to an endpoint without waiting, a step at a time: connect(), and where the endpoint
 * is a guest of vswd, the handshake. Of what follows the answer's newline no byte is read.
 */
#ifndef VSW_DIAL_H
#define VSW_DIAL_H

#include "endpoint.h"

enum dial_state {
	DIAL_CONNECTING, /* until the socket is writable */
	DIAL_ASKED,      /* until the socket is readable */
	DIAL_CROWDED,    /* the listener's queue is full: again in a while */
	DIAL_DONE,
	DIAL_FAILED,
};

struct dial {
	const struct endpoint *to;
	enum dial_state state;
	struct address address; /* where it is: looked up once, vswd's API may be asked */
	int fd;                 /* DONE: non-blocking, and the caller's */
	bool is_hybrid;
	unsigned int answer_len;
	char answer[24];
	char path[UNIX_PATH_SIZE]; /* of the socket, for what is said */
	int status;                /* FAILED: what would be the exit status */
	char why[WHY_SIZE];        /* FAILED: a sentence */
};

/* @p to stays the caller's, and must live as long as @p dial. */
void dial_begin(struct dial *dial, const struct endpoint *to);
/* The socket is ready, or the while is over. */
void dial_step(struct dial *dial);
/* Before it is done: give up. */
void dial_cancel(struct dial *dial);

/* All of it, waiting. @return a socket, or -1. */
int dial_wait(struct dial *dial, const struct endpoint *to);

#endif /* VSW_DIAL_H */
