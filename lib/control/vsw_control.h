/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The control role: it owns the registry of guests. It brings guests up and takes them down
 * while others go on, tells the poll lcores who may talk to whom, and listens for hosts on the
 * uds paths, one message after the other; it waits for nobody.
 *
 * Other threads (API, telemetry) ask it for something by a request: an object of theirs that
 * the control lcore fills and hands back.
 *
 *   struct vsw_request *req = calloc(1, sizeof(*req));
 *
 *   req->verb = VSW_REQUEST_ADD_GUEST;
 *   vsw_guest_spec_init(&req->spec);                    see vsw_guest_spec.h: keys and values
 *   ...
 *   if (vsw_control_call(control, req) != 0)
 *           answer(400, req->error);                    one sentence, nothing was changed
 *
 * or, without waiting for the answer,
 *
 *   static void on_done(struct vsw_request *req)        runs on the control lcore:
 *   {                                                   no blocking call, no further request
 *           hand_over_to_my_thread(req);                req->result, req->error, req->guests...
 *   }
 *   req = calloc(1, sizeof(*req));
 *   req->verb = VSW_REQUEST_LIST_GUESTS;
 *   req->done = on_done;
 *   vsw_control_submit(control, req);                   ... later vsw_request_clear(req)
 *
 * Requests that alter guests (ADD, REMOVE, CHANGE, RELOAD) are carried out one after the
 * other in the order in which they came; a REMOVE takes up to 3 s when a guest does not
 * cooperate. All others are answered at once, also meanwhile.
 *
 * Thread-safety: requests from any thread that is no lcore's, from vsw_control_create() to
 * vsw_control_close(); everything else as said below.
 */
#ifndef VSW_CONTROL_H
#define VSW_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "vsw_conf.h"
#include "vsw_conn_info.h"
#include "vsw_guest_spec.h"
#include "vsw_hist.h"
#include "vsw_layout.h"
#include "vsw_loop.h"
#include "vsw_stats.h"

struct vsw_control;

/** Room for the sentence about why a request failed. */
#define VSW_ERROR_SIZE VSW_CONF_ERROR_SIZE

/*
 * What is told of guests and lcores.
 */

#define VSW_GUEST_STATE_TABLE(X)                                                                   \
	X(STARTING, "starting")    /* being brought up */                                          \
	X(WAITING, "not attached") /* its sockets listen; no VMM has connected */                  \
	X(ATTACHED, "attached")    /* a VMM has connected, the guest's driver does not run */      \
	X(RUNNING, "running")      /* the guest's driver runs */                                   \
	X(LEAVING, "leaving")      /* being taken down */

enum vsw_guest_state {
#define X(name, text) VSW_GUEST_##name,
	VSW_GUEST_STATE_TABLE(X)
#undef X
		VSW_GUEST_N_STATES
};

/** "running" and so on. Static. */
const char *vsw_guest_state_str(enum vsw_guest_state state);

/** A copy of what the registry knows of a guest. */
struct vsw_guest_info {
	struct vsw_guest_spec spec;
	enum vsw_guest_state state;
	bool from_config;             /**< named by the configuration file: a reload looks at it */
	uint32_t poll_lcore;          /**< where it is polled */
	uint32_t bridge_lcore;        /**< where its host connections are bridged */
	uint32_t n_conns;             /**< connections now */
	uint32_t n_loans;             /**< messages with its payload that have not come back */
	struct vsw_counters counters; /**< all owners' counters summed, since it was added */
	struct vsw_hists hists;       /**< the same of its histograms, if with_hists was asked */
};

/** An lcore and its loop. */
struct vsw_lcore_info {
	uint32_t lcore;
	bool is_control;
	bool is_bridge;
	bool is_poll;
	uint32_t n_guests;  /**< polled here */
	uint32_t n_bridged; /**< guests whose host connections are bridged here */
	struct vsw_loop_stats stats;
};

/** How many guests there are and may be. */
struct vsw_control_info {
	uint32_t n_guests;
	uint32_t max_guests; /**< vswd was started for so many */
	uint32_t n_conns;
	bool is_ready;      /**< the guests of the start are all up */
	bool is_going;      /**< vswd is closing down */
	const char *config; /**< the configuration file; NULL: there is none */
};

/*
 * Requests.
 */

enum vsw_request_verb {
	/**
	 * spec. When it is answered the guest's sockets listen. It is attached to the polling lcore
	 * with the fewest guests, or the one that spec.lcore names, and to the bridge with the
	 * fewest.
	 */
	VSW_REQUEST_ADD_GUEST,
	/**
	 * who. Its connections are reset, what it had sent to hosts is flushed, its sockets are
	 * closed and unlinked. When it is answered CID, name and paths can be used again.
	 */
	VSW_REQUEST_REMOVE_GUEST,
	/**
	 * who, spec, expected. Name, groups, hairpin, host CIDs, limits, window, queue size, plain
	 * sockets, mode and owner of the sockets change under the running guest; established
	 * connections live on unless its new groups forbid them, and keep the window they have.
	 * Anything else (VSW_SPEC_DIFF_PLACE) removes the guest and adds it anew: its VMM has to
	 * connect again.
	 */
	VSW_REQUEST_CHANGE_GUEST,
	VSW_REQUEST_APPLY,         /**< conf: see vsw_control_reload() */
	VSW_REQUEST_LIST_GUESTS,   /**< who, or "": all; with_hists. Gives guests, n_guests */
	VSW_REQUEST_LIST_CONNS,    /**< query. Gives page */
	VSW_REQUEST_CLOSE_CONN,    /**< conn_id */
	VSW_REQUEST_LIST_LCORES,   /**< gives lcores, n_lcores */
	VSW_REQUEST_INFO,          /**< gives info */
	VSW_REQUEST_SET_LOG_LEVEL, /**< log_pattern, log_level */
};

struct vsw_request {
	/* Set by whoever asks. */
	enum vsw_request_verb verb;
	char who[VSW_NAME_SIZE]; /**< a guest: its name, or its CID in digits */
	struct vsw_guest_spec spec;
	/** What the guest is now, or -ESTALE; NULL: whatever it is. Kept until the answer. */
	const struct vsw_guest_spec *expected;
	const struct vsw_conf *conf; /**< kept by reference until the answer */
	bool with_hists;             /**< of LIST_GUESTS: they are 4 KiB for each guest */
	struct vsw_conn_query query;
	uint64_t conn_id;
	char log_pattern[128]; /**< of log types, as EAL's --log-level: "vsw.*" */
	uint32_t log_level;    /**< RTE_LOG_EMERG (1) to RTE_LOG_DEBUG (8) */
	/** Called with the answer, on the control lcore; not used by vsw_control_call(). */
	void (*done)(struct vsw_request *req);
	void *ctx; /**< the caller's own */

	/* The answer. */
	int result; /**< 0; -EINVAL: cannot be; -ENOENT: no such guest or connection; -EEXIST: a
		     * guest has that already; -ESTALE: it is not as expected; -ESHUTDOWN: vswd is
		     * going; -ENOMEM; ... */
	char error[VSW_ERROR_SIZE];    /**< one sentence when result < 0 */
	struct vsw_guest_info *guests; /**< allocated, sorted by CID */
	unsigned int n_guests;
	struct vsw_conn_page page;     /**< allocated */
	struct vsw_lcore_info *lcores; /**< allocated */
	unsigned int n_lcores;
	struct vsw_control_info info;

	/* The control role's. */
	STAILQ_ENTRY(vsw_request) next;
	struct vsw_conn_scan scan;
	unsigned int position; /* of a list: the next slot */
};

/** Hand in a request; `done` is called exactly once. The object is the control role's until
 * then. */
void vsw_control_submit(struct vsw_control *control, struct vsw_request *req);

/** Hand in a request and wait for the answer. @return req->result. */
int vsw_control_call(struct vsw_control *control, struct vsw_request *req);

/** Free what an answer has allocated; the object itself is the caller's. */
void vsw_request_clear(struct vsw_request *req);

/*
 * The same, one function each, that wait. @return 0 or -errno with a sentence in @p error; then
 * nothing was changed, unless the sentence says so.
 */

/**
 * Read the configuration file again, on the calling thread, and apply the difference: guests
 * that it does not name any more go, new ones come, others change as above; guests added by
 * ADD stay, unless the file names them. A mistake anywhere in the file changes nothing; @p
 * error then begins with file:line:column. SIGHUP does the same. What came of it is logged,
 * with the settings that differ and wait for the next start.
 */
int vsw_control_reload(struct vsw_control *control, char error[VSW_ERROR_SIZE]);

/**
 * The first half of that: read @p file, on the calling thread, for APPLY. A mistake is logged.
 * @param conf out: an object of zeroes before.
 */
int vsw_control_read_config(struct vsw_conf *conf, const char *file, char error[VSW_ERROR_SIZE]);

/** All guests, by CID, or the one that @p who names (NULL: all), then with its histograms. @param
 * guests out: to free(). */
int vsw_control_list_guests(struct vsw_control *control, const char *who,
			    struct vsw_guest_info **guests, unsigned int *n,
			    char error[VSW_ERROR_SIZE]);

/** A page of connections, see vsw_conn_info.h. @param page out: page->conn to free(). */
int vsw_control_list_conns(struct vsw_control *control, const struct vsw_conn_query *query,
			   struct vsw_conn_page *page, char error[VSW_ERROR_SIZE]);

/** @param lcores out: to free(). */
int vsw_control_list_lcores(struct vsw_control *control, struct vsw_lcore_info **lcores,
			    unsigned int *n, char error[VSW_ERROR_SIZE]);

int vsw_control_info(struct vsw_control *control, struct vsw_control_info *info,
		     char error[VSW_ERROR_SIZE]);

/*
 * Its life; the main program's.
 */

struct vsw_control_setup {
	const struct vsw_layout *layout; /**< copied */
	/** Of the layout's lcores, by number; NULL for other numbers. RTE_MAX_LCORE of them,
	 * copied. */
	struct vsw_loop *const *loops;
	struct vsw_loop *vhost;      /**< of the VHOST role */
	unsigned int max_guests;     /**< messages were made for so many */
	mode_t umask;                /**< the user's, for sockets with VSW_MODE_DEFAULT */
	const struct vsw_conf *conf; /**< guests to begin with, checked; kept by reference */

	/** Called on the main lcore once the guests of conf are up, before anybody is told:
	 * 0, or -errno for closing down. NULL is allowed. */
	int (*on_up)(void *arg);
	void *on_up_arg;
};

/**
 * Create the control role on the main lcore's loop. Before the loop runs; the guests come up
 * once it does.
 *
 * Blocks SIGTERM, SIGINT and SIGHUP in the calling thread and takes them from a descriptor:
 * SIGHUP reloads; the first of the others closes down in order (guests are reset, streams
 * flushed within 5 s), a second one ends it at once. When done, or when a guest of the start
 * cannot be brought up, it stops the loop.
 *
 * @return NULL with rte_errno.
 */
struct vsw_control *vsw_control_create(const struct vsw_control_setup *setup);

/** Why the loop was stopped: the exit status of the process. */
int vsw_control_exit_status(const struct vsw_control *control);

/**
 * Answer every request from now on with -ESHUTDOWN, and those that are under way. The loop must
 * not run any more. Then threads that ask may be stopped, then everything destroyed.
 */
void vsw_control_close(struct vsw_control *control);

/** Close what is still open and free the role and the guests. After the roles that name guests
 * are destroyed; before the loop is. NULL is allowed. */
void vsw_control_destroy(struct vsw_control *control);

#endif /* VSW_CONTROL_H */
