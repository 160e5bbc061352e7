/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One lcore's loop.
 *
 * A turn: handle the messages that are there, run each role's pass, ask epoll (without waiting)
 * what happened to file descriptors, run timers. epoll_wait(0) costs about 100 ns however many
 * descriptors there are, but that is a lot beside an empty ring, so a busy loop asks only
 * every few turns, and a loop that watches nothing never does.
 *
 * Sleeping, without losing a wake-up. There are three sources of work, and each is armed
 * before it is looked at a last time:
 *   - messages: `asleep` is set, full fence (F1), then the inbox is checked. A sender
 *     enqueues, full fence (F1'), then checks `asleep`: one of the two sees the other.
 *   - guests' rings: the poll role's before_sleep() asks for kicks, fences, and looks again
 *     (vsw_virtq_want_kicks()); kick descriptors are watched like any other.
 *   - descriptors and timers: epoll_wait() itself.
 */
#include "vsw_loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_pause.h>
#include <rte_ring.h>
#include <rte_timer.h>

#include "vsw_base.h"
#include "msg_pool.h"
#include "tsan.h"

#define BURST 32
#define ROLES_MAX VSW_N_ROLES
#define EVENTS_MAX 64

/* A busy loop looks at its descriptors every so many turns. */
#define TURNS_PER_EPOLL 4

/*
 * How long an adaptive loop keeps polling after its last work, microseconds. Waking a
 * sleeping lcore costs its peer 2-5 us and itself 10-15 us; a request/response partner
 * answers within 50.
 */
#define SPIN_US 50

/* Longest sleep: bounds the harm of a wake-up that never comes, 5 turns a second. */
#define SLEEP_MAX_MS 200

struct vsw_loop {
	/* Shared: any thread reads or writes. */
	struct rte_ring *inbox; /* many producers, one consumer */
	int wake_fd;            /* eventfd: a message or a stop for a loop that sleeps */
	bool asleep;
	bool stop;

	/* Owner: the loop's lcore. Others read the stats. */
	unsigned int lcore_id;
	enum vsw_idle idle;
	int epoll_fd;
	unsigned int n_watches; /* not counting those that only end a sleep */
	struct vsw_watch wake_watch;
	struct epoll_event events[EVENTS_MAX]; /* those of this turn... */
	int next_event, n_events;              /* ...that are not delivered yet */
	struct vsw_loop_stats stats;

	/* Set before the loop runs. */
	unsigned int n_roles;
	struct vsw_loop_role role[ROLES_MAX];
	struct {
		vsw_msg_fn fn;
		void *ctx;
	} handler[VSW_N_VERBS];
};

/* The message that woke us is in the inbox; only the count has to go. */
static void
on_wake(struct vsw_watch *w, uint32_t events)
{
	uint64_t n;

	(void)!read(w->fd, &n, sizeof(n));
}

struct vsw_loop *
vsw_loop_create(unsigned int lcore_id, enum vsw_idle idle)
{
	struct vsw_loop *loop = calloc(1, sizeof(*loop));
	char name[RTE_RING_NAMESIZE];

	if (loop == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	loop->lcore_id = lcore_id;
	loop->idle = idle;
	loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);

	/* RTS: producers that share a cpu must not wait for a preempted one. */
	snprintf(name, sizeof(name), "vsw_inbox_%u", lcore_id);
	loop->inbox = rte_ring_create(name, rte_align32pow2(vsw_msg_pool_size() + 1), SOCKET_ID_ANY,
				      RING_F_MP_RTS_ENQ | RING_F_SC_DEQ);
	if (loop->inbox == NULL || loop->wake_fd < 0 || loop->epoll_fd < 0)
		goto fail;

	loop->wake_watch =
		(struct vsw_watch){.fn = on_wake, .fd = loop->wake_fd, .wakeup_only = true};
	if (vsw_loop_watch(loop, &loop->wake_watch, EPOLLIN) != 0)
		goto fail;
	return loop;

fail:
	if (rte_errno == 0)
		rte_errno = errno;
	vsw_loop_destroy(loop);
	return NULL;
}

void
vsw_loop_destroy(struct vsw_loop *loop)
{
	struct vsw_msg *msg;

	if (loop == NULL)
		return;
	while (loop->inbox != NULL && rte_ring_dequeue(loop->inbox, (void **)&msg) == 0)
		vsw_msg_free(msg);
	rte_ring_free(loop->inbox);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	free(loop);
}

void
vsw_loop_add_role(struct vsw_loop *loop, const struct vsw_loop_role *role)
{
	assert(loop->n_roles < ROLES_MAX);
	loop->role[loop->n_roles++] = *role;
}

void
vsw_loop_on_msg(struct vsw_loop *loop, enum vsw_verb verb, vsw_msg_fn fn, void *ctx)
{
	loop->handler[verb].fn = fn;
	loop->handler[verb].ctx = ctx;
}

bool
vsw_loop_sleeps(const struct vsw_loop *loop)
{
	return loop->idle == VSW_IDLE_ADAPTIVE;
}

unsigned int
vsw_loop_lcore(const struct vsw_loop *loop)
{
	return loop->lcore_id;
}

void
vsw_loop_stats_get(const struct vsw_loop *loop, struct vsw_loop_stats *stats)
{
	stats->busy_cycles = __atomic_load_n(&loop->stats.busy_cycles, __ATOMIC_RELAXED);
	stats->total_cycles = __atomic_load_n(&loop->stats.total_cycles, __ATOMIC_RELAXED);
	stats->n_turns = __atomic_load_n(&loop->stats.n_turns, __ATOMIC_RELAXED);
	stats->n_messages = __atomic_load_n(&loop->stats.n_messages, __ATOMIC_RELAXED);
	stats->n_sleeps = __atomic_load_n(&loop->stats.n_sleeps, __ATOMIC_RELAXED);
}

static void
wake(struct vsw_loop *loop)
{
	const uint64_t one = 1;

	(void)!write(loop->wake_fd, &one, sizeof(one));
}

void
vsw_msg_send(struct vsw_loop *to, struct vsw_msg *msg)
{
	int rc;

	vsw_tsan_give(msg);
	rc = rte_ring_enqueue(to->inbox, msg);
	assert(rc == 0); /* the ring is as long as the pool */
	(void)rc;
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* F1' */
	if (__atomic_load_n(&to->asleep, __ATOMIC_RELAXED))
		wake(to);
}

void
vsw_loop_stop(struct vsw_loop *loop)
{
	__atomic_store_n(&loop->stop, true, __ATOMIC_SEQ_CST);
	wake(loop);
}

int
vsw_loop_watch(struct vsw_loop *loop, struct vsw_watch *w, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, w->fd, &ev) != 0)
		return -errno;
	loop->n_watches += !w->wakeup_only;
	return 0;
}

int
vsw_loop_rewatch(struct vsw_loop *loop, struct vsw_watch *w, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev) == 0 ? 0 : -errno;
}

void
vsw_loop_unwatch(struct vsw_loop *loop, struct vsw_watch *w)
{
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL) == 0)
		loop->n_watches -= !w->wakeup_only;
	for (int i = loop->next_event; i < loop->n_events; i++) {
		if (loop->events[i].data.ptr == w)
			loop->events[i].data.ptr = NULL;
	}
}

/* One writer, the lcore; vsw_loop_stats_get() reads from any thread. */
static void
stats_add(uint64_t *value, uint64_t n)
{
	__atomic_store_n(value, *value + n, __ATOMIC_RELAXED);
}

static unsigned int
handle_burst(struct vsw_loop *loop, unsigned int max)
{
	struct vsw_msg *msg[BURST];
	unsigned int n = rte_ring_sc_dequeue_burst(loop->inbox, (void **)msg,
						   max < BURST ? max : BURST, NULL);

	for (unsigned int i = 0; i < n; i++) {
		uint8_t verb;

		vsw_tsan_got(msg[i]);
		verb = msg[i]->verb;
		assert(loop->handler[verb].fn != NULL);
		loop->handler[verb].fn(loop->handler[verb].ctx, msg[i]);
	}
	return n;
}

/* All that are there now, but not their consequences: what guests of this lcore make in one
 * turn is gone after the next, so it cannot pile up until the pool is empty. */
static unsigned int
handle_messages(struct vsw_loop *loop)
{
	unsigned int n_there = rte_ring_count(loop->inbox), n_done = 0, n;

	while (n_done < n_there) {
		n = handle_burst(loop, n_there - n_done);
		if (n == 0)
			break;
		n_done += n;
	}
	if (n_done > 0)
		stats_add(&loop->stats.n_messages, n_done);
	return n_done;
}

/* Deliver what happened to watched descriptors, waiting up to timeout_ms for something. */
static unsigned int
handle_events(struct vsw_loop *loop, int timeout_ms)
{
	int n = epoll_wait(loop->epoll_fd, loop->events, EVENTS_MAX, timeout_ms);

	loop->n_events = n > 0 ? n : 0;
	for (loop->next_event = 0; loop->next_event < loop->n_events;) {
		const struct epoll_event *ev = &loop->events[loop->next_event++];
		struct vsw_watch *w = ev->data.ptr;

		if (w != NULL)
			w->fn(w, ev->events);
	}
	return (unsigned int)loop->n_events;
}

static unsigned int
run_passes(struct vsw_loop *loop)
{
	unsigned int work = 0;

	for (unsigned int i = 0; i < loop->n_roles; i++)
		work += loop->role[i].pass(loop->role[i].ctx);
	return work;
}

static int
sleep_ms(void)
{
	int64_t ticks = rte_timer_next_ticks();
	int64_t ms;

	if (ticks < 0)
		return SLEEP_MAX_MS;
	ms = ticks * 1000 / (int64_t)rte_get_timer_hz() + 1;
	return ms < SLEEP_MAX_MS ? (int)ms : SLEEP_MAX_MS;
}

static bool
roles_may_sleep(struct vsw_loop *loop)
{
	bool may = true;

	for (unsigned int i = 0; i < loop->n_roles; i++) {
		const struct vsw_loop_role *role = &loop->role[i];

		if (role->before_sleep != NULL && !role->before_sleep(role->ctx))
			may = false;
	}
	return may;
}

static void
sleep_until_work(struct vsw_loop *loop)
{
	__atomic_store_n(&loop->asleep, true, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* F1 */
	if (roles_may_sleep(loop) && rte_ring_empty(loop->inbox) &&
	    !__atomic_load_n(&loop->stop, __ATOMIC_SEQ_CST)) {
		stats_add(&loop->stats.n_sleeps, 1);
		handle_events(loop, sleep_ms());
	}
	__atomic_store_n(&loop->asleep, false, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < loop->n_roles; i++) {
		if (loop->role[i].after_sleep != NULL)
			loop->role[i].after_sleep(loop->role[i].ctx);
	}
}

static unsigned int
turn(struct vsw_loop *loop, bool was_idle)
{
	unsigned int work = handle_messages(loop);

	work += run_passes(loop);
	if (loop->n_watches > 0 && (was_idle || loop->stats.n_turns % TURNS_PER_EPOLL == 0))
		work += handle_events(loop, 0);
	rte_timer_manage();
	stats_add(&loop->stats.n_turns, 1);
	return work;
}

unsigned int
vsw_loop_turn(struct vsw_loop *loop)
{
	return turn(loop, true);
}

void
vsw_loop_run(struct vsw_loop *loop)
{
	const uint64_t spin_cycles = rte_get_tsc_hz() / 1000000 * SPIN_US;
	uint64_t now = rte_rdtsc();
	uint64_t last_work = now;
	bool idle = false;

	while (!__atomic_load_n(&loop->stop, __ATOMIC_RELAXED)) {
		uint64_t start = now;

		idle = turn(loop, idle) == 0;
		now = rte_rdtsc();
		if (!idle) {
			last_work = now;
			stats_add(&loop->stats.busy_cycles, now - start);
		} else if (loop->idle == VSW_IDLE_POLL || now - last_work < spin_cycles) {
			rte_pause();
		} else {
			sleep_until_work(loop);
			now = rte_rdtsc();
		}
		stats_add(&loop->stats.total_cycles, now - start);
	}
}
