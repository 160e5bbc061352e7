/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The loop of one lcore: it drains the lcore's inbox, runs the passes of the roles that live
 * on the lcore, looks after their file descriptors, and decides when to sleep.
 *
 * One loop may run one role or all three; roles on one loop speak to each other through its
 * inbox like roles on different lcores, so there is one code path.
 *
 *   loop = vsw_loop_create(lcore_id, VSW_IDLE_ADAPTIVE);
 *   vsw_loop_add_role(loop, &role);         passes and sleep hooks
 *   vsw_loop_on_msg(loop, verb, fn, ctx);   who handles which verb
 *   vsw_loop_run(loop);                     on its lcore, until vsw_loop_stop()
 *
 * Thread-safety: create, add_role and on_msg before the loop runs; watch and unwatch on the
 * loop's own lcore (or before it runs); vsw_msg_send() and vsw_loop_stop() from anywhere.
 */
#ifndef VSW_LOOP_H
#define VSW_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "vsw_msg.h"

/** What a loop does when there is nothing to do. */
enum vsw_idle {
	VSW_IDLE_POLL,     /**< keeps polling: for dedicated cores */
	VSW_IDLE_ADAPTIVE, /**< polls for a while, then sleeps until something happens */
};

struct vsw_loop;

/** Handles a message; owns it. Runs on: the loop's lcore. */
typedef void (*vsw_msg_fn)(void *ctx, struct vsw_msg *msg);

/** A role's part of one turn of the loop. The functions run on the loop's lcore. */
struct vsw_loop_role {
	/** Do a bounded amount of work. @return how much there was; 0: nothing to do. */
	unsigned int (*pass)(void *ctx);
	/** The loop is about to sleep: ask for wake-ups. @return false if work has come
	 * meanwhile and the loop must not sleep. NULL: always true. */
	bool (*before_sleep)(void *ctx);
	/** The loop is awake again: no wake-ups needed any more. NULL: nothing. */
	void (*after_sleep)(void *ctx);
	void *ctx;
};

/** A file descriptor that a loop looks after; embedded in its owner's object. */
struct vsw_watch {
	/** @p events: EPOLL* bits. May unwatch and close @p w's own fd; must not free
	 * objects of other watches (defer that to the role's pass). */
	void (*fn)(struct vsw_watch *w, uint32_t events);
	int fd;
	/** It matters only to a loop that sleeps (a guest's kicks): one that is awake finds
	 * the work by itself and need not ask. */
	bool wakeup_only;
};

/**
 * @param lcore_id names the loop in logs.
 * @return the loop, or NULL with rte_errno.
 */
struct vsw_loop *vsw_loop_create(unsigned int lcore_id, enum vsw_idle idle);

/** Destroy a loop that does not run; messages in its inbox are freed. NULL is allowed. */
void vsw_loop_destroy(struct vsw_loop *loop);

void vsw_loop_add_role(struct vsw_loop *loop, const struct vsw_loop_role *role);
void vsw_loop_on_msg(struct vsw_loop *loop, enum vsw_verb verb, vsw_msg_fn fn, void *ctx);

/** Run until vsw_loop_stop(). Also runs the lcore's rte_timers. */
void vsw_loop_run(struct vsw_loop *loop);

/**
 * One turn of vsw_loop_run(), descriptors and timers included, which never sleeps: how tests
 * step a loop. @return how much work there was.
 */
unsigned int vsw_loop_turn(struct vsw_loop *loop);

/** Make vsw_loop_run() return soon. Any thread, and signal handlers. */
void vsw_loop_stop(struct vsw_loop *loop);

/**
 * Look after @p w->fd. @p events as for epoll_ctl(2), EPOLLET included if wanted.
 * @return 0 or -errno.
 */
int vsw_loop_watch(struct vsw_loop *loop, struct vsw_watch *w, uint32_t events);

/** Change the events. @return 0 or -errno. */
int vsw_loop_rewatch(struct vsw_loop *loop, struct vsw_watch *w, uint32_t events);

/** Stop looking after @p w->fd, before it is closed. Events of the same turn that were
 * not delivered yet are not delivered any more. */
void vsw_loop_unwatch(struct vsw_loop *loop, struct vsw_watch *w);

/** True when the loop sleeps at times, so that wake-ups must be arranged. */
bool vsw_loop_sleeps(const struct vsw_loop *loop);

/** The lcore that the loop was made for. */
unsigned int vsw_loop_lcore(const struct vsw_loop *loop);

/** Work that was done and time it took, for operators. Any thread. */
struct vsw_loop_stats {
	uint64_t busy_cycles;  /**< TSC cycles of turns that found work */
	uint64_t total_cycles; /**< TSC cycles since the loop began to run, sleep included */
	uint64_t n_turns;
	uint64_t n_messages; /**< that it has received */
	uint64_t n_sleeps;
};
void vsw_loop_stats_get(const struct vsw_loop *loop, struct vsw_loop_stats *stats);

#endif /* VSW_LOOP_H */
