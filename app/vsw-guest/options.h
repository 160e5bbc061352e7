/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of vsw-guest: one set of options for all subcommands. */
#ifndef VSW_GUEST_OPTIONS_H
#define VSW_GUEST_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vsw_guest.h"

/* Which ends of the connections this process is. The dialling end comes first. */
enum path {
	PATH_GUEST,          /* the guest; it dials or listens, the peer is somebody else */
	PATH_HOST,           /* the host application; likewise */
	PATH_GUEST_TO_HOST,  /* both */
	PATH_HOST_TO_GUEST,  /* both */
	PATH_GUEST_TO_GUEST, /* both, pairs of guests */
};

enum direction {
	SEND = 1, /* the end that dials sends */
	RECV = 2,
	BOTH = SEND | RECV,
};

enum service {
	SERVE_STDIO,
	SERVE_ECHO,
	SERVE_SINK,
	SERVE_SOURCE,
};

struct options {
	const char *command;

	/* who and where; "%u" in a path is the number of the guest */
	const char *guest_path;
	const char *host_path;
	unsigned int n_guests;
	unsigned int first;
	enum path path;
	uint32_t cid;
	uint32_t port;
	bool has_target;
	bool has_path;
	bool is_deaf;  /* nobody listens where it dials */
	bool is_plain; /* the host socket is the peer itself: no CONNECT */

	struct vsw_guest_conf conf; /* shape of the guest; socket_path is set per guest */

	/* load */
	unsigned int n_connections; /* of each guest */
	unsigned int n_idle;        /* connections beside them that do nothing */
	size_t size;                /* of a message */
	double settle, seconds, warmup;
	uint64_t count; /* messages of each connection; 0: until the time is over */
	enum direction direction;
	double rate; /* pings per second and connection; 0: one after the other */
	bool is_verified;
	bool is_corrupted; /* the senders make a mistake, to see it found */
	int timeout_ms;

	enum service service;
	bool is_once;

	pid_t watched; /* whose CPU time and memory are reported */
	bool is_json;
};

/*
 * @return 0; -1 when everything has been done (--help); an exit status after a message.
 */
int options_parse(struct options *opt, int argc, char **argv, const char *help);

/* @p pattern with the number of guest @p i (from 0) in it. */
void options_path(const struct options *opt, const char *pattern, unsigned int i, char *path,
		  size_t size);

#endif /* VSW_GUEST_OPTIONS_H */
