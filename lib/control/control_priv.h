/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The objects of the control role; private to lib/control. Owner of everything here, but for
 * what is marked: the control lcore.
 *
 *   control.c   the life of the role: start, signals, closing down
 *   entry.c     a guest, step by step up and down
 *   routes.c    which of them may talk to which
 *   hosts.c     its sockets for hosts
 *   place.c     which lcores serve it
 *   plan.c      what a request that alters guests comes to
 *   alter.c     carrying it out, one at a time
 *   ask.c       what others want to know
 *   request.c   how they ask: the side of the other threads
 */
#ifndef VSW_CONTROL_PRIV_H
#define VSW_CONTROL_PRIV_H

#include <limits.h>
#include <pthread.h>
#include <sys/queue.h>

#include <rte_timer.h>

#include "vsw_control.h"
#include "vsw_guest_conf.h"
#include "vsw_handshake.h"
#include "vsw_route.h"

/* Names of groups in all guests together: no more can be in use. */
#define GROUPS_MAX (VSW_GUESTS_MAX * VSW_GROUPS_PER_GUEST_MAX)

/* A guest. */
struct entry {
	struct vsw_control *control;
	struct vsw_guest_conf conf; /* what messages name; freed with the entry */
	struct vsw_guest_spec spec;
	bool from_config;

	/* Where it is on its way, and which way that is. */
	bool is_leaving;
	bool is_failed;   /* it leaves because it could not be brought up */
	bool is_counted;  /* the alteration under way waits for it */
	bool is_awaiting; /* an answer to the last step */
	uint64_t routes;  /* it needs these, or newer ones, everywhere */
	bool has_account;
	bool is_attached;
	bool is_listening;
	bool is_drained;
	bool has_passed;                   /* the bridge has passed the barrier */
	bool has_news;                     /* sockets of its spec are to be made */
	struct vsw_handshakes *handshakes; /* NULL: hosts cannot come (yet, any more) */
	struct rte_timer drain_timer;

	enum vsw_vmm vmm;
	struct vsw_counters counters;         /* of the handshakes */
	const struct vsw_tally *poll_tally;   /* while attached */
	const struct vsw_tally *bridge_tally; /* while it has an account */
};

/* What is being altered. Guests leave first, then others come: they may use the same CIDs and
 * paths. */
struct alteration {
	bool is_under_way;
	bool is_coming;          /* the second half */
	struct vsw_request *req; /* NULL: vswd starts */
	unsigned int n_counted;  /* guests that are waited for */
	uint64_t routes;         /* ... and routes */
	struct coming {
		struct vsw_guest_spec spec;
		bool from_config;
	} * coming;
	unsigned int n_coming;
	unsigned int n_left, n_came, n_changed; /* for the log */
	int result;
	char error[VSW_ERROR_SIZE];
};

STAILQ_HEAD(request_list, vsw_request);

enum phase {
	PHASE_UP,    /* coming up, or serving */
	PHASE_LEAVE, /* closing down: all guests leave */
	PHASE_FLUSH, /* bridges write out what slow hosts have not taken */
	PHASE_DONE,
};

struct vsw_control {
	struct vsw_layout layout;
	struct vsw_loop *loops[RTE_MAX_LCORE]; /* by lcore; NULL: there is none */
	struct vsw_loop *loop;                 /* its own */
	struct vsw_lcores lcores;              /* EAL's */
	struct vsw_loop *vhost;
	struct vsw_loop *bridge[RTE_MAX_LCORE];
	unsigned int n_bridges;
	struct vsw_loop *poll[RTE_MAX_LCORE];
	unsigned int n_poll;
	unsigned int max_guests;
	int (*on_up)(void *arg);
	void *on_up_arg;
	mode_t umask;
	const struct vsw_conf *conf; /* of the start */

	struct vsw_watch signals;
	enum phase phase;
	int exit_status;
	bool is_ready;
	unsigned int n_unquiet; /* bridges that still flush */
	struct rte_timer start_timer;
	struct rte_timer phase_timer;
	struct rte_timer retry_timer; /* a step found no memory */

	struct entry *entry[VSW_GUESTS_MAX];
	unsigned int n_entries;
	unsigned int next_slot;

	struct group {
		char name[VSW_NAME_SIZE];
		unsigned int n_guests; /* 0: free */
	} * group;                     /* GROUPS_MAX, by number */
	unsigned int n_groups;

	/* Numbers of snapshots grow; one is under way at a time. */
	struct vsw_routes *routes, *old_routes;
	uint64_t published; /* the last that was sent out */
	uint64_t routed;    /* all poll lcores use it */
	bool routes_are_old;
	unsigned int n_unrouted; /* poll lcores that have not answered */

	struct alteration alter;
	struct request_list queue;  /* those that alter, in turn */
	struct request_list asking; /* those that wait for a poll lcore */

	/* Any thread. */
	unsigned int n_reloads;  /* SIGHUPs that the thread has not dealt with */
	unsigned int n_requests; /* that are not answered yet */
	bool is_closed;

	pthread_t reload_thread;
	bool has_reload_thread;
};

/* entry.c */
struct entry *entry_create(struct vsw_control *control, const struct vsw_guest_spec *spec,
			   bool from_config);
void entry_free(struct entry *entry);
/* Take the next step up or down, unless an answer is missing. Ends in alter_on_up(), or in
 * alter_on_gone(), which frees the entry. */
void entry_advance(struct entry *entry);
void entry_advance_all(struct vsw_control *control);
void entry_leave(struct entry *entry);
/* What can change under a running guest. @return 0 or -errno; nothing has changed then. */
int entry_change(struct entry *entry, const struct vsw_guest_spec *spec);
struct entry *entry_by_cid(struct vsw_control *control, uint32_t cid);
struct entry *entry_by_who(struct vsw_control *control, const char *who);
void entry_register(struct vsw_control *control);

/* routes.c */
/* Set in the conf what routes are made of: groups, hairpin, CIDs of the host. */
void routes_join(struct entry *entry);
/* Let go of its groups. */
void routes_leave(struct entry *entry);
/* Make new routes soon. @return their number. */
uint64_t routes_renew(struct vsw_control *control);
void routes_register(struct vsw_control *control);

/* hosts.c */
/* Make all sockets; or none. @param path out: where that failed. @return 0 or -errno. */
int hosts_admit(struct entry *entry, const char **path);
void hosts_shut_out(struct entry *entry);
/* Close the plain sockets that @p spec, which the entry is about to have, does not name. */
void hosts_close_old(struct entry *entry, const struct vsw_guest_spec *spec);
/* Make those that are missing. What cannot be made is taken out of the spec.
 * @param path out: the first of those. @return 0 or -errno. */
int hosts_open_new(struct entry *entry, char path[VSW_SOCKET_PATH_SIZE]);
/* For all sockets; or none. @return 0 or -errno. */
int hosts_change_access(struct entry *entry, const struct vsw_socket_access *access);

/* place.c */
/* Set who serves a guest; @p lcore negative: any may poll it. */
void place(const struct vsw_control *control, struct vsw_guest_conf *guest, int32_t lcore);
/* How many guests a loop polls, or bridges. */
unsigned int place_n_polled(const struct vsw_control *control, const struct vsw_loop *loop);
unsigned int place_n_bridged(const struct vsw_control *control, const struct vsw_loop *loop);

/* plan.c */
/* What a request comes to. */
struct plan {
	struct vsw_request *req;     /* whose error is set */
	const struct vsw_conf *conf; /* of APPLY: who is at fault is told by its place */
	bool leaves[VSW_GUESTS_MAX]; /* by slot */
	bool stays[VSW_GUESTS_MAX];  /* named by the request, so not to be compared with itself */
	const struct vsw_guest_spec *change[VSW_GUESTS_MAX];
	const struct vsw_conf_guest *coming[VSW_GUESTS_MAX];
	unsigned int n_coming;
	bool from_config;
};
/* Find out what plan->req comes to; @p guest is room for the one that it names, kept as long as the
 * plan. @return 0, or -errno with the request's sentence. */
int plan_make(struct vsw_control *control, struct plan *plan, struct vsw_conf_guest *guest);

/* alter.c */
void alter_start(struct vsw_control *control, const struct vsw_conf *conf);
void alter_next(struct vsw_control *control);
void alter_on_up(struct entry *entry);
void alter_on_gone(struct entry *entry);
void alter_on_failed(struct entry *entry, const char *what, int rc);
void alter_check_end(struct vsw_control *control);
void alter_abort(struct vsw_control *control);
bool alter_is_altering(enum vsw_request_verb verb);

/* ask.c */
void ask(struct vsw_control *control, struct vsw_request *req);
void ask_abort(struct vsw_control *control);
void ask_register(struct vsw_control *control);

/* request.c */
int request_fail(struct vsw_request *req, int rc, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Hand it back. */
void request_answer(struct vsw_control *control, struct vsw_request *req);
/* The answer when vswd closes down. */
void request_turn_away(struct vsw_control *control, struct vsw_request *req);

/* control.c */
/* A message, or NULL after which everything is tried again. */
struct vsw_msg *control_alloc(struct vsw_control *control, enum vsw_verb verb,
			      const struct vsw_guest_conf *guest);
/* Something found no memory: try everything again, soon. */
void control_retry(struct vsw_control *control);
void control_go_down(struct vsw_control *control, int exit_status);
/* The last guest has left. */
void control_on_empty(struct vsw_control *control);

#endif /* VSW_CONTROL_PRIV_H */
