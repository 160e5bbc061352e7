/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the ends of a load do, and what is counted of it.
 *
 * A connection end has roles, any of them at once. The dialling ends of a load get theirs
 * from the subcommand, the accepted ones from the listener.
 */
#ifndef VSW_GUEST_LOAD_H
#define VSW_GUEST_LOAD_H

#include "end.h"
#include "hist.h"
#include "pattern.h"

enum role {
	ROLE_SINK = 1,   /* takes what comes and checks it; every end has this one */
	ROLE_SOURCE = 2, /* sends messages as fast as they go */
	ROLE_ECHO = 4,   /* sends back what comes, unchecked */
	ROLE_PING = 8,   /* sends a message when the echo of the last one is complete */
	ROLE_CHURN = 16, /* closes as soon as it is open, and dials again */
};

struct load {
	struct rig rig;
	const struct options *opt;
	LIST_HEAD(, conn) conns;
	unsigned int n_dialled, n_open, n_accepted;
	bool is_running;           /* sources and pings may send */
	unsigned int n_unfinished; /* connections with messages of --count to send */

	/* since the window began */
	uint64_t bytes_sent, bytes_received;
	uint64_t n_done; /* round trips, or connections made */
	uint64_t n_refused;
	struct hist hist;

	/* since the start, to see that everything arrives */
	uint64_t all_sent, all_received;
	uint32_t n_names; /* streams named so far */

	int rc; /* the first thing that went wrong, as an exit status; it has been printed */
};

struct conn {
	struct end end;
	LIST_ENTRY(conn) next;
	struct load *load;
	unsigned int roles;
	bool is_dialler;
	bool was_open; /* counted in n_open */
	bool has_lied; /* --corrupt has had its effect */
	struct stream in, out;
	size_t left;                 /* of the message being sent */
	uint64_t n_messages;         /* begun */
	size_t awaited;              /* bytes of the echo still to come */
	uint64_t due_ns;             /* when the ping was to be sent */
	uint64_t echo_off, echo_len; /* in echo[] */
	uint8_t *echo;
};

/* Attach, listen and dial. @return 0 or an exit status after a message. */
int load_open(struct load *load, const struct options *opt, unsigned int dialler_roles,
	      unsigned int listener_roles);

/* Take connections to @p port of every guest, or as host applications of every guest. */
int load_listen(struct load *load, bool is_guest, uint32_t port, unsigned int roles);

/* Let sources and pings begin. */
void load_start(struct load *load);

/* Dial what churns. */
void load_churn(struct load *load);

void load_close(struct load *load);

#endif /* VSW_GUEST_LOAD_H */
