/* SPDX-License-Identifier: BSD-3-Clause */
/* What relay.c, the loop, and pair.c, what goes on in it, know of each other. */
#ifndef VSW_RELAY_PRIV_H
#define VSW_RELAY_PRIV_H

#include <sys/queue.h>

#include "dial.h"
#include "relay.h"

/* A descriptor in the relay's epoll set. */
struct watch {
	void (*fn)(struct watch *watch, uint32_t events);
	void *ctx;
	int fd;
	uint32_t events; /* that are asked for */
	bool is_plain;   /* a file, or /dev/null: always ready, and epoll does not take it */
	bool is_socket;
};

TAILQ_HEAD(pair_list, pair);

struct relay {
	const struct args *args;
	int epoll_fd;
	int status;
	bool is_stopped;
	bool is_paused;  /* by its user */
	bool is_crowded; /* there was no descriptor for another connection */
	unsigned int n_listeners;
	struct listener **listeners;
	struct watch signals;
	void (*on_child)(struct relay *relay, void *ctx);
	void *child_ctx;

	struct pair_list pairs;
	struct pair_list ready; /* read from a file: at each turn */
	struct pair_list again; /* whose listener's queue was full: in a while */
	struct pair_list dead;  /* are freed when no event can name them any more */
	int64_t next_complaint_ms;
};

/* Begin to watch. @return false: no memory. */
bool relay_watch(struct relay *relay, struct watch *watch);
/* Ask for other events. */
void relay_want(struct relay *relay, struct watch *watch, uint32_t events);
void relay_unwatch(struct relay *relay, struct watch *watch);
/* Say why something went wrong, once a second at most: others could make us say it often. */
void relay_complain(struct relay *relay, const char *why);

/* pair.c: */
void pair_serve_ready(struct relay *relay);
void pair_serve_again(struct relay *relay);
/* @return true: there were some, and so there are descriptors again. */
bool pair_free_dead(struct relay *relay);
void pair_free_all(struct relay *relay);

#endif /* VSW_RELAY_PRIV_H */
