/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves the fabric: that messages run out and come back and none is lost, that each reaches
 * the handler of its verb in the order of its sender, that a loop sees its descriptors and
 * timers, and that no wake-up falls between "nothing to do" and sleep.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "eal.h"

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_mempool.h>
#include <rte_pause.h>

#include "msg_pool.h"
#include "vsw_loop.h"
#include "vsw_msg.h"

/* Messages that are asked for; caches add some. */
#define N_MSGS 1024

/* lib/fabric sleeps no longer than this: a message whose wake-up was lost waits as long. */
#define SLEEP_MAX_MS 200

/* How many messages can be had now; all are given back. */
static unsigned int
count_free(void)
{
	struct vsw_msg *first = NULL, *msg;
	unsigned int n = 0;

	while ((msg = vsw_msg_alloc(VSW_MSG_WRITE)) != NULL) {
		msg->next = first;
		first = msg;
		n++;
	}
	while ((msg = first) != NULL) {
		first = msg->next;
		vsw_msg_free(msg);
	}
	return n;
}

static int
setup(void **state)
{
	return vsw_msg_pool_create(N_MSGS);
}

/* Every test ends with all messages back. */
static int
teardown(void **state)
{
	unsigned int n = count_free(), size = vsw_msg_pool_size();

	vsw_msg_pool_destroy();
	if (n != size)
		print_error("%u of %u messages are back\n", n, size);
	return n == size ? 0 : -1;
}

/*
 * The pool.
 */

static void
test_pool_runs_out_and_comes_back(void **state)
{
	unsigned int size = vsw_msg_pool_size();

	assert_true(size >= N_MSGS);
	for (int i = 0; i < 3; i++)
		assert_int_equal(count_free(), size);
	vsw_msg_free(NULL);
	assert_int_equal(count_free(), size);
}

static void
test_a_message_is_clean_whoever_had_it_before(void **state)
{
	static const struct vsw_msg clean = {.fd = -1};

	for (unsigned int i = 0; i < 2 * vsw_msg_pool_size(); i++) {
		struct vsw_msg *msg = vsw_msg_alloc(VSW_MSG_CONNECT);

		assert_non_null(msg);
		assert_int_equal(msg->verb, VSW_MSG_CONNECT);
		msg->verb = 0;
		assert_memory_equal(msg, &clean, offsetof(struct vsw_msg, chain));
		memset(msg, 0xee, sizeof(*msg));
		vsw_msg_free(msg);
	}
}

static void
test_every_verb_has_a_name_of_its_own(void **state)
{
	for (int i = 0; i < VSW_N_VERBS; i++) {
		assert_true(strlen(vsw_msg_verb_str(i)) > 0);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(vsw_msg_verb_str(i), vsw_msg_verb_str(k));
	}
	assert_string_equal(vsw_msg_verb_str(VSW_N_VERBS), "unknown");
	assert_string_equal(vsw_msg_verb_str((enum vsw_verb) - 1), "unknown");
}

/*
 * Messages, one thread.
 */

static struct vsw_loop *
loop_new(unsigned int id, enum vsw_idle idle)
{
	struct vsw_loop *loop = vsw_loop_create(id, idle);

	if (loop == NULL)
		fail_msg("no loop");
	return loop;
}

static void
send_seq(struct vsw_loop *to, enum vsw_verb verb, uint32_t seq)
{
	struct vsw_msg *msg = vsw_msg_alloc(verb);

	assert_non_null(msg);
	msg->len = seq;
	vsw_msg_send(to, msg);
}

struct handled {
	enum vsw_verb verb;
	unsigned int n;
};

static void
on_verb(void *ctx, struct vsw_msg *msg)
{
	struct handled *handled = ctx;

	assert_int_equal(msg->verb, handled->verb);
	handled->n++;
	vsw_msg_free(msg);
}

static void
test_every_verb_reaches_its_handler(void **state)
{
	struct vsw_loop *loop = loop_new(0, VSW_IDLE_POLL);
	struct handled handled[VSW_N_VERBS] = {0};

	for (int v = 0; v < VSW_N_VERBS; v++) {
		handled[v].verb = v;
		vsw_loop_on_msg(loop, v, on_verb, &handled[v]);
	}
	for (int v = 0; v < VSW_N_VERBS; v++)
		send_seq(loop, v, 0);
	while (vsw_loop_turn(loop) > 0)
		;
	for (int v = 0; v < VSW_N_VERBS; v++) {
		if (handled[v].n != 1)
			fail_msg("'%s' was handled %u times", vsw_msg_verb_str(v), handled[v].n);
	}
	vsw_loop_destroy(loop);
}

struct order {
	uint32_t next;
	struct vsw_loop *reply_to;
};

static void
on_seq(void *ctx, struct vsw_msg *msg)
{
	struct order *order = ctx;

	assert_int_equal(msg->len, order->next);
	order->next++;
	if (order->reply_to != NULL)
		vsw_msg_reply(order->reply_to, msg, VSW_MSG_WROTE);
	else
		vsw_msg_free(msg);
}

static void
test_messages_and_replies_keep_their_order(void **state)
{
	struct vsw_loop *a = loop_new(0, VSW_IDLE_POLL), *b = loop_new(1, VSW_IDLE_POLL);
	struct order at_b = {.reply_to = a}, at_a = {0};

	vsw_loop_on_msg(b, VSW_MSG_WRITE, on_seq, &at_b);
	vsw_loop_on_msg(a, VSW_MSG_WROTE, on_seq, &at_a);
	/* as many at once as there are: an inbox has room for all */
	for (uint32_t i = 0; i < vsw_msg_pool_size(); i++)
		send_seq(b, VSW_MSG_WRITE, i);
	assert_null(vsw_msg_alloc(VSW_MSG_WRITE));
	while (vsw_loop_turn(b) > 0)
		;
	assert_int_equal(at_b.next, vsw_msg_pool_size());
	assert_int_equal(at_a.next, 0);
	while (vsw_loop_turn(a) > 0)
		;
	assert_int_equal(at_a.next, vsw_msg_pool_size());
	vsw_loop_destroy(a);
	vsw_loop_destroy(b);
}

static void
on_again(void *ctx, struct vsw_msg *msg)
{
	struct order *order = ctx;

	order->next++;
	if (msg->len-- == 0)
		vsw_msg_free(msg);
	else
		vsw_msg_reply(order->reply_to, msg, VSW_MSG_WRITE);
}

static void
test_a_handler_may_send_to_its_own_loop(void **state)
{
	struct vsw_loop *loop = loop_new(0, VSW_IDLE_POLL);
	struct order order = {.reply_to = loop};

	vsw_loop_on_msg(loop, VSW_MSG_WRITE, on_again, &order);
	send_seq(loop, VSW_MSG_WRITE, 99);
	while (vsw_loop_turn(loop) > 0)
		;
	assert_int_equal(order.next, 100);
	vsw_loop_destroy(loop);
}

static void
test_a_loop_that_goes_gives_its_messages_back(void **state)
{
	struct vsw_loop *loop = loop_new(0, VSW_IDLE_POLL);

	for (uint32_t i = 0; i < N_MSGS; i++)
		send_seq(loop, VSW_MSG_WRITE, i);
	vsw_loop_destroy(loop); /* teardown counts */
	vsw_loop_destroy(NULL);
}

static unsigned int
count_pass(void *ctx)
{
	(*(unsigned int *)ctx)++;
	return 0;
}

static void
test_every_role_has_its_pass_in_each_turn(void **state)
{
	struct vsw_loop *loop = loop_new(0, VSW_IDLE_POLL);
	unsigned int n[3] = {0};

	for (int i = 0; i < 3; i++)
		vsw_loop_add_role(loop, &(struct vsw_loop_role){.pass = count_pass, .ctx = &n[i]});
	for (int i = 0; i < 10; i++)
		assert_int_equal(vsw_loop_turn(loop), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(n[i], 10);
	vsw_loop_destroy(loop);
}

/*
 * Descriptors, one thread.
 */

struct watched {
	struct vsw_watch watch; /* first: a watch is its watched */
	struct vsw_loop *loop;
	struct watched *other; /* unwatched and closed by the event */
	int peer;
	unsigned int n_events;
	uint32_t events;
	bool reads;
};

static void
on_event(struct vsw_watch *watch, uint32_t events)
{
	struct watched *w = VSW_CONTAINER_OF(watch, struct watched, watch);
	char buf[64];

	__atomic_store_n(&w->n_events, w->n_events + 1, __ATOMIC_RELAXED);
	w->events = events;
	if (w->reads)
		(void)!read(w->watch.fd, buf, sizeof(buf));
	if (w->other != NULL) {
		vsw_loop_unwatch(w->loop, &w->other->watch);
		close(w->other->watch.fd);
		w->other->watch.fd = -1;
	}
}

static void
watch(struct watched *w, struct vsw_loop *loop, uint32_t events)
{
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	w->watch = (struct vsw_watch){.fn = on_event, .fd = fd[0]};
	w->peer = fd[1];
	w->loop = loop;
	assert_int_equal(vsw_loop_watch(loop, &w->watch, events), 0);
}

static void
unwatch(struct watched *w)
{
	if (w->watch.fd >= 0) {
		vsw_loop_unwatch(w->loop, &w->watch);
		close(w->watch.fd);
	}
	close(w->peer);
}

static void
turns(struct vsw_loop *loop, int n)
{
	while (n-- > 0)
		vsw_loop_turn(loop);
}

static void
test_level_and_edge(void **state)
{
	struct vsw_loop *loop = loop_new(0, VSW_IDLE_POLL);
	struct watched level = {0}, edge = {0};

	watch(&level, loop, EPOLLIN);
	watch(&edge, loop, EPOLLIN | EPOLLET);
	turns(loop, 10);
	assert_int_equal(level.n_events, 0);
	assert_int_equal(edge.n_events, 0);

	assert_int_equal(write(level.peer, "x", 1), 1);
	assert_int_equal(write(edge.peer, "x", 1), 1);
	turns(loop, 10);
	assert_int_equal(level.n_events, 10);
	assert_int_equal(level.events, EPOLLIN);
	assert_int_equal(edge.n_events, 1);

	/* a level ends when it is read, an edge comes again with more data */
	level.reads = true;
	turns(loop, 10);
	assert_int_equal(level.n_events, 11);
	assert_int_equal(write(edge.peer, "x", 1), 1);
	turns(loop, 10);
	assert_int_equal(edge.n_events, 2);
	unwatch(&level);
	unwatch(&edge);
	vsw_loop_destroy(loop);
}

static void
test_events_can_be_changed_and_ended(void **state)
{
	struct vsw_loop *loop = loop_new(0, VSW_IDLE_POLL);
	struct watched w = {0};

	watch(&w, loop, EPOLLIN);
	assert_int_equal(write(w.peer, "x", 1), 1);
	assert_int_equal(vsw_loop_rewatch(loop, &w.watch, 0), 0);
	turns(loop, 10);
	assert_int_equal(w.n_events, 0);
	assert_int_equal(vsw_loop_rewatch(loop, &w.watch, EPOLLIN | EPOLLOUT), 0);
	turns(loop, 1);
	assert_int_equal(w.n_events, 1);
	assert_int_equal(w.events, EPOLLIN | EPOLLOUT);
	vsw_loop_unwatch(loop, &w.watch);
	turns(loop, 10);
	assert_int_equal(w.n_events, 1);
	assert_int_equal(vsw_loop_rewatch(loop, &w.watch, EPOLLIN), -ENOENT);
	assert_int_equal(vsw_loop_watch(loop, &w.watch, EPOLLIN), 0);
	assert_int_equal(vsw_loop_watch(loop, &w.watch, EPOLLIN), -EEXIST);
	turns(loop, 1);
	assert_int_equal(w.n_events, 2);
	unwatch(&w);
	w.watch.fd = -1;
	assert_int_equal(vsw_loop_watch(loop, &w.watch, EPOLLIN), -EBADF);
	vsw_loop_destroy(loop);
}

/* Both are ready in the same turn; whichever comes first ends the other. */
static void
test_an_ended_watch_gets_no_event_of_the_same_turn(void **state)
{
	struct vsw_loop *loop = loop_new(0, VSW_IDLE_POLL);

	for (int i = 0; i < 10; i++) {
		struct watched a = {0}, b = {0};

		watch(&a, loop, EPOLLIN);
		watch(&b, loop, EPOLLIN);
		a.other = &b;
		b.other = &a;
		/* in either order */
		assert_int_equal(write(i % 2 ? a.peer : b.peer, "x", 1), 1);
		assert_int_equal(write(i % 2 ? b.peer : a.peer, "x", 1), 1);
		turns(loop, 1);
		assert_int_equal(a.n_events + b.n_events, 1);
		turns(loop, 1); /* the survivor has lost nothing; its other is gone already */
		assert_int_equal(a.n_events + b.n_events, 2);
		assert_true(a.n_events == 0 || b.n_events == 0);
		unwatch(&a);
		unwatch(&b);
	}
	vsw_loop_destroy(loop);
}

static void
test_an_event_may_end_its_own_watch(void **state)
{
	struct vsw_loop *loop = loop_new(0, VSW_IDLE_POLL);
	struct watched w = {0}, others[70];

	memset(others, 0, sizeof(others));
	watch(&w, loop, EPOLLIN);
	w.other = &w;
	/* more are ready than one turn takes: none is forgotten */
	for (size_t i = 0; i < VSW_ARRAY_SIZE(others); i++) {
		watch(&others[i], loop, EPOLLIN | EPOLLET);
		assert_int_equal(write(others[i].peer, "x", 1), 1);
	}
	assert_int_equal(write(w.peer, "x", 1), 1);
	turns(loop, 4);
	assert_int_equal(w.n_events, 1);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(others); i++) {
		assert_int_equal(others[i].n_events, 1);
		unwatch(&others[i]);
	}
	unwatch(&w);
	vsw_loop_destroy(loop);
}

/*
 * Loops on threads of their own, as librte_vhost's neighbour has it.
 */

struct runner {
	struct vsw_loop *loop;
	pthread_t thread;
	unsigned int id;
	enum vsw_idle idle;
	void (*prepare)(struct runner *r); /* on the thread, before the loop runs */
	void *ctx;
	/* Of role hooks. */
	bool stay_awake;
	bool has_slept_before;
	sem_t before_sleep;
	uint64_t n_passes;
};

static unsigned int
runner_pass(void *ctx)
{
	struct runner *r = ctx;

	__atomic_fetch_add(&r->n_passes, 1, __ATOMIC_RELAXED);
	return 0;
}

static bool
runner_before_sleep(void *ctx)
{
	struct runner *r = ctx;

	sem_post(&r->before_sleep);
	return !__atomic_load_n(&r->stay_awake, __ATOMIC_RELAXED);
}

static void
runner_after_sleep(void *ctx)
{
	struct runner *r = ctx;

	__atomic_store_n(&r->has_slept_before, true, __ATOMIC_RELAXED);
}

static void *
runner_main(void *arg)
{
	struct runner *r = arg;
	struct rte_mempool *pool;

	/* timers and the message cache are an lcore's */
	if (rte_thread_register() != 0)
		abort();
	if (r->prepare != NULL)
		r->prepare(r);
	vsw_loop_run(r->loop);
	/* what the lcore that ends here still has in its cache */
	pool = rte_mempool_lookup("vsw_msg");
	rte_mempool_cache_flush(rte_mempool_default_cache(pool, rte_lcore_id()), pool);
	rte_thread_unregister();
	return NULL;
}

static void
runner_create(struct runner *r, unsigned int id, enum vsw_idle idle)
{
	memset(r, 0, sizeof(*r));
	r->id = id;
	r->loop = loop_new(id, idle);
	sem_init(&r->before_sleep, 0, 0);
	vsw_loop_add_role(r->loop, &(struct vsw_loop_role){
					   .pass = runner_pass,
					   .before_sleep = runner_before_sleep,
					   .after_sleep = runner_after_sleep,
					   .ctx = r,
				   });
}

static void
runner_start(struct runner *r)
{
	assert_int_equal(pthread_create(&r->thread, NULL, runner_main, r), 0);
}

static void
runner_join(struct runner *r)
{
	pthread_join(r->thread, NULL);
}

static void
runner_destroy(struct runner *r)
{
	vsw_loop_destroy(r->loop);
	sem_destroy(&r->before_sleep);
}

static uint64_t
n_sleeps(const struct vsw_loop *loop)
{
	struct vsw_loop_stats stats;

	vsw_loop_stats_get(loop, &stats);
	return stats.n_sleeps;
}

/* The next sleep has begun, or is about to. */
static void
wait_for_sleep(struct runner *r)
{
	while (sem_trywait(&r->before_sleep) == 0)
		;
	WAIT_UNTIL(sem_trywait(&r->before_sleep) == 0, usleep(100), "a loop to fall asleep");
}

static void
test_a_polling_loop_never_sleeps(void **state)
{
	struct vsw_loop_stats stats;
	struct runner r;

	runner_create(&r, 1, VSW_IDLE_POLL);
	assert_false(vsw_loop_sleeps(r.loop));
	assert_int_equal(vsw_loop_lcore(r.loop), 1);
	runner_start(&r);
	usleep(30000); /* as long as an adaptive loop needs many times over */
	WAIT_UNTIL(__atomic_load_n(&r.n_passes, __ATOMIC_RELAXED) > 1000, usleep(1000), "passes");
	vsw_loop_stop(r.loop);
	runner_join(&r);
	vsw_loop_stats_get(r.loop, &stats);
	assert_int_equal(stats.n_sleeps, 0);
	assert_true(stats.n_turns > 1000);
	assert_true(stats.total_cycles > 0);
	assert_true(stats.busy_cycles < stats.total_cycles);
	runner_destroy(&r);
}

static void
test_an_adaptive_loop_sleeps_unless_a_role_says_no(void **state)
{
	struct runner r;
	uint64_t before;

	runner_create(&r, 1, VSW_IDLE_ADAPTIVE);
	assert_true(vsw_loop_sleeps(r.loop));
	r.stay_awake = true;
	runner_start(&r);
	for (int i = 0; i < 100; i++)
		wait_for_sleep(&r); /* it asks again and again */
	assert_int_equal(n_sleeps(r.loop), 0);
	assert_true(__atomic_load_n(&r.has_slept_before, __ATOMIC_RELAXED));
	__atomic_store_n(&r.stay_awake, false, __ATOMIC_RELAXED);
	WAIT_UNTIL(n_sleeps(r.loop) > 0, usleep(1000), "a sleep that is allowed");
	/* asleep it makes 5 turns a second, not thousands */
	before = __atomic_load_n(&r.n_passes, __ATOMIC_RELAXED);
	usleep(100000);
	assert_true(__atomic_load_n(&r.n_passes, __ATOMIC_RELAXED) - before < 500);
	vsw_loop_stop(r.loop);
	runner_join(&r);
	runner_destroy(&r);
}

/* A stop whose wake-up is lost takes SLEEP_MAX_MS each time. */
static void
test_stop_ends_a_sleep_at_once(void **state)
{
	enum { N = 12 };
	unsigned int n_late = 0;

	for (int i = 0; i < N; i++) {
		struct runner r;
		uint64_t start;

		runner_create(&r, 1, VSW_IDLE_ADAPTIVE);
		runner_start(&r);
		wait_for_sleep(&r);
		if (i % 2 == 0)
			usleep(2000); /* now it certainly sleeps; otherwise it may be about to */
		start = now_ms();
		vsw_loop_stop(r.loop);
		runner_join(&r);
		n_late += now_ms() - start > SLEEP_MAX_MS * 3 / 4;
		runner_destroy(&r);
	}
	if (n_late > N / 4) /* a busy machine is excused now and then */
		fail_msg("%u of %d stops waited for the end of a sleep", n_late, N);
}

static void
test_stop_before_the_start(void **state)
{
	struct runner r;

	runner_create(&r, 1, VSW_IDLE_ADAPTIVE);
	vsw_loop_stop(r.loop);
	runner_start(&r);
	runner_join(&r);
	assert_int_equal(n_sleeps(r.loop), 0);
	runner_destroy(&r);
}

/* A guest's kick: of no interest to a loop that is awake, ends the sleep of one that is not. */
static void
test_a_wakeup_only_watch_ends_a_sleep_and_nothing_else(void **state)
{
	struct watched w = {.reads = true};
	unsigned int n_late = 0;
	struct runner r;

	runner_create(&r, 1, VSW_IDLE_ADAPTIVE);
	watch(&w, r.loop, EPOLLIN | EPOLLET);
	vsw_loop_unwatch(r.loop, &w.watch);
	w.watch.wakeup_only = true;
	assert_int_equal(vsw_loop_watch(r.loop, &w.watch, EPOLLIN | EPOLLET), 0);
	assert_int_equal(write(w.peer, "x", 1), 1);
	turns(r.loop, 100);
	assert_int_equal(w.n_events, 0);

	runner_start(&r);
	for (unsigned int i = 1; i <= 10; i++) {
		uint64_t start = now_ms();

		WAIT_UNTIL(__atomic_load_n(&w.n_events, __ATOMIC_RELAXED) == i, usleep(100),
			   "a kick to end the sleep");
		n_late += now_ms() - start > SLEEP_MAX_MS * 3 / 4;
		wait_for_sleep(&r);
		if (i < 10)
			assert_int_equal(write(w.peer, "x", 1), 1);
	}
	assert_true(n_late <= 3);
	vsw_loop_stop(r.loop);
	runner_join(&r);
	unwatch(&w);
	runner_destroy(&r);
}

static void
timer_fired(struct rte_timer *timer, void *arg)
{
	struct runner *r = arg;

	__atomic_store_n((uint64_t *)r->ctx, now_us(), __ATOMIC_RELEASE);
}

static struct rte_timer sleep_timer;
static uint64_t timer_armed_us;

static void
arm_timer(struct runner *r)
{
	rte_timer_init(&sleep_timer);
	timer_armed_us = now_us();
	rte_timer_reset_sync(&sleep_timer, rte_get_timer_hz() / 50, SINGLE, rte_lcore_id(),
			     timer_fired, r);
}

/* 20 ms, far less than the longest sleep. */
static void
test_a_timer_ends_a_sleep_in_time(void **state)
{
	unsigned int n_late = 0;

	for (int i = 0; i < 4; i++) {
		uint64_t fired_us = 0, took_us;
		struct runner r;

		runner_create(&r, 1, VSW_IDLE_ADAPTIVE);
		r.prepare = arm_timer;
		r.ctx = &fired_us;
		runner_start(&r);
		WAIT_UNTIL(__atomic_load_n(&fired_us, __ATOMIC_ACQUIRE) != 0, usleep(500),
			   "a timer of 20 ms");
		took_us = fired_us - timer_armed_us;
		assert_true(took_us >= 19000);
		n_late += took_us > 1000ull * SLEEP_MAX_MS * 3 / 4;
		assert_true(n_sleeps(r.loop) > 0);
		vsw_loop_stop(r.loop);
		runner_join(&r);
		runner_destroy(&r);
	}
	assert_true(n_late <= 1);
}

/*
 * Under fire. Several threads send around the moments at which the receiver falls asleep: all
 * messages arrive, each sender's in order.
 */

#define N_SENDERS 2
#define N_PER_SENDER 8000

struct hammer {
	struct runner *to;
	uint32_t next[N_SENDERS]; /* expected from each */
	uint32_t n_handled;
	uint32_t n_late;
	uint64_t worst_us;
};

struct sender {
	struct hammer *hammer;
	unsigned int id;
	pthread_t thread;
};

static void
on_hammer(void *ctx, struct vsw_msg *msg)
{
	struct hammer *h = ctx;
	uint64_t sent_us = (uint64_t)(uintptr_t)msg->conn;
	uint64_t took_us = now_us() - sent_us;

	if (msg->len != h->next[msg->port]++)
		abort(); /* another thread's assert would be lost */
	if (took_us > h->worst_us)
		h->worst_us = took_us;
	h->n_late += took_us > 1000ull * SLEEP_MAX_MS * 3 / 4;
	__atomic_fetch_add(&h->n_handled, 1, __ATOMIC_RELEASE);
	vsw_msg_free(msg);
}

/* Wait for about as long as a loop polls before it sleeps (50 us), give or take. */
static void
hesitate(uint32_t r)
{
	uint64_t until = now_us() + 40 + r % 40;

	while (now_us() < until)
		;
}

static void *
sender_main(void *arg)
{
	struct sender *s = arg;
	uint32_t x = s->id * 2654435761u + 1;

	for (uint32_t i = 0; i < N_PER_SENDER; i++) {
		struct vsw_msg *msg;

		while ((msg = vsw_msg_alloc(VSW_MSG_NOTICE)) == NULL)
			usleep(100);
		x = x * 1664525u + 1013904223u;
		msg->port = s->id;
		msg->len = i;
		msg->conn = (void *)(uintptr_t)now_us();
		vsw_msg_send(s->hammer->to->loop, msg);
		/* mostly alone, now and then in bursts */
		if (x >> 28 != 0)
			hesitate(x >> 16);
	}
	return NULL;
}

static void
test_many_senders_and_a_sleeper(void **state)
{
	struct hammer h = {0};
	struct sender senders[N_SENDERS];
	struct runner r;
	uint64_t slept;

	runner_create(&r, 1, VSW_IDLE_ADAPTIVE);
	h.to = &r;
	vsw_loop_on_msg(r.loop, VSW_MSG_NOTICE, on_hammer, &h);
	runner_start(&r);
	for (unsigned int i = 0; i < N_SENDERS; i++) {
		senders[i] = (struct sender){.hammer = &h, .id = i};
		pthread_create(&senders[i].thread, NULL, sender_main, &senders[i]);
	}
	for (unsigned int i = 0; i < N_SENDERS; i++)
		pthread_join(senders[i].thread, NULL);
	WAIT_UNTIL(__atomic_load_n(&h.n_handled, __ATOMIC_ACQUIRE) == N_SENDERS * N_PER_SENDER,
		   usleep(1000), "all messages: %u of %u", h.n_handled, N_SENDERS * N_PER_SENDER);
	slept = n_sleeps(r.loop);
	vsw_loop_stop(r.loop);
	runner_join(&r);
	runner_destroy(&r);
	/* it did sleep, so the test has tested something */
	assert_true(slept > 100);
}

/*
 * The brink: the last thing a loop does before it sleeps is to ask its roles, so a sender that
 * waits for that and sends a moment later, now a little sooner, now a little later, meets the
 * few instructions between the last look and the sleep.
 */
struct brink {
	struct hammer hammer;
	struct runner *to;
	uint32_t n_asked; /* before_sleep() was called so often */
	bool is_over;
};

static unsigned int
brink_pass(void *ctx)
{
	return 0;
}

static bool
brink_before_sleep(void *ctx)
{
	struct brink *brink = ctx;

	/* no locked instruction here: it would be a fence that the loop may lack */
	__atomic_store_n(&brink->n_asked, brink->n_asked + 1, __ATOMIC_RELAXED);
	return true;
}

static void *
brink_main(void *arg)
{
	struct brink *brink = arg;
	uint32_t asked, seen = 0, seq = 0, x = 1;

	while (!__atomic_load_n(&brink->is_over, __ATOMIC_RELAXED)) {
		struct vsw_msg *msg;
		uint64_t until;

		asked = __atomic_load_n(&brink->n_asked, __ATOMIC_RELAXED);
		if (asked == seen)
			continue;
		seen = asked;
		x = x * 1664525u + 1013904223u;
		until = rte_rdtsc() + (x >> 16) % 1500;
		msg = vsw_msg_alloc(VSW_MSG_NOTICE);
		if (msg == NULL)
			abort();
		msg->len = seq++;
		msg->conn = (void *)(uintptr_t)now_us();
		while (rte_rdtsc() < until)
			;
		vsw_msg_send(brink->to->loop, msg);
		/* The message ends this sleep, or keeps it from happening. */
		while (__atomic_load_n(&brink->hammer.n_handled, __ATOMIC_ACQUIRE) != seq)
			rte_pause();
	}
	return NULL;
}

static void
test_no_wake_up_is_lost_on_the_brink(void **state)
{
	struct brink brink = {0};
	pthread_t sender;
	struct runner r;
	uint64_t start;

	runner_create(&r, 1, VSW_IDLE_ADAPTIVE);
	brink.to = &r;
	vsw_loop_add_role(r.loop, &(struct vsw_loop_role){
					  .pass = brink_pass,
					  .before_sleep = brink_before_sleep,
					  .ctx = &brink,
				  });
	vsw_loop_on_msg(r.loop, VSW_MSG_NOTICE, on_hammer, &brink.hammer);
	runner_start(&r);
	pthread_create(&sender, NULL, brink_main, &brink);
	start = now_ms();
	/* On a busy machine it takes longer to come to the brink often enough. */
	while (now_ms() - start < 1500 ||
	       (now_ms() - start < 30000 &&
		__atomic_load_n(&brink.hammer.n_handled, __ATOMIC_RELAXED) <= 100))
		usleep(10000);
	__atomic_store_n(&brink.is_over, true, __ATOMIC_RELAXED);
	pthread_join(sender, NULL);
	vsw_loop_stop(r.loop);
	runner_join(&r);
	runner_destroy(&r);
	if (brink.hammer.n_late > 2)
		fail_msg("%u of %u messages waited for the end of a sleep, the worst %lu us",
			 brink.hammer.n_late, brink.hammer.n_handled,
			 (unsigned long)brink.hammer.worst_us);
	assert_true(brink.hammer.n_handled > 20);
}

/* A request and its reply, each of which wakes a sleeper. */
struct ping {
	struct runner *here, *there;
	uint32_t left;
	sem_t done;
};

static void
on_ping(void *ctx, struct vsw_msg *msg)
{
	struct ping *ping = ctx;

	vsw_msg_reply(ping->here->loop, msg, VSW_MSG_WROTE);
}

static void
on_pong(void *ctx, struct vsw_msg *msg)
{
	struct ping *ping = ctx;

	if (--ping->left > 0) {
		if (ping->left % 8 == 0)
			usleep(60); /* the other falls asleep meanwhile */
		vsw_msg_reply(ping->there->loop, msg, VSW_MSG_WRITE);
		return;
	}
	vsw_msg_free(msg);
	sem_post(&ping->done);
}

static void
test_two_sleepers_wake_each_other(void **state)
{
	enum { N = 20000 };
	struct runner a, b;
	struct ping ping = {.here = &a, .there = &b, .left = N};
	uint64_t start = now_ms();

	sem_init(&ping.done, 0, 0);
	runner_create(&a, 1, VSW_IDLE_ADAPTIVE);
	runner_create(&b, 2, VSW_IDLE_ADAPTIVE);
	vsw_loop_on_msg(b.loop, VSW_MSG_WRITE, on_ping, &ping);
	vsw_loop_on_msg(a.loop, VSW_MSG_WROTE, on_pong, &ping);
	runner_start(&a);
	runner_start(&b);
	send_seq(b.loop, VSW_MSG_WRITE, 0);
	while (sem_trywait(&ping.done) != 0) {
		if (now_ms() - start > 3 * WAIT_MS)
			fail_msg("waited 30 s for %d round trips, %u are left", N, ping.left);
		usleep(1000);
	}
	assert_true(n_sleeps(b.loop) > 10);
	vsw_loop_stop(a.loop);
	vsw_loop_stop(b.loop);
	runner_join(&a);
	runner_join(&b);
	runner_destroy(&a);
	runner_destroy(&b);
	sem_destroy(&ping.done);
}

/*
 * Calls from threads that are no lcore's.
 */

struct slow {
	struct vsw_msg *held[8];
	unsigned int n_held;
	unsigned int n_done;
	bool hold;
};

static void
on_call(void *ctx, struct vsw_msg *msg)
{
	struct slow *slow = ctx;

	slow->held[slow->n_held] = msg;
	__atomic_store_n(&slow->n_held, slow->n_held + 1, __ATOMIC_RELAXED);
}

/* Completes what came in an earlier turn, so that the caller really waits. */
static unsigned int
complete_pass(void *ctx)
{
	struct slow *slow = ctx;
	unsigned int n = slow->n_held;

	if (__atomic_load_n(&slow->hold, __ATOMIC_RELAXED))
		return 0;
	while (slow->n_held > 0) {
		struct vsw_msg *msg = slow->held[slow->n_held - 1];

		__atomic_store_n(&slow->n_held, slow->n_held - 1, __ATOMIC_RELAXED);
		msg->result = (int32_t)msg->len * 2;
		slow->n_done++;
		vsw_msg_complete(msg);
	}
	return n;
}

struct caller {
	struct vsw_loop *to;
	pthread_t thread;
	uint32_t n, n_returned;
	bool is_wrong;
};

static void *
caller_main(void *arg)
{
	struct caller *c = arg;

	for (uint32_t i = 0; i < c->n; i++) {
		struct vsw_msg *msg = vsw_msg_alloc(VSW_MSG_STOP);

		if (msg == NULL)
			abort();
		msg->len = i;
		vsw_msg_call(c->to, msg);
		c->is_wrong |= msg->result != (int32_t)i * 2;
		vsw_msg_free(msg);
		__atomic_fetch_add(&c->n_returned, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void
test_a_call_returns_when_it_is_complete_and_not_before(void **state)
{
	struct slow slow = {.hold = true};
	struct caller caller = {.n = 1};
	struct runner r;

	runner_create(&r, 1, VSW_IDLE_ADAPTIVE);
	vsw_loop_on_msg(r.loop, VSW_MSG_STOP, on_call, &slow);
	vsw_loop_add_role(r.loop, &(struct vsw_loop_role){.pass = complete_pass, .ctx = &slow});
	runner_start(&r);
	caller.to = r.loop;
	pthread_create(&caller.thread, NULL, caller_main, &caller);
	WAIT_UNTIL(__atomic_load_n(&slow.n_held, __ATOMIC_RELAXED) == 1, usleep(1000), "the call");
	usleep(50000);
	assert_int_equal(__atomic_load_n(&caller.n_returned, __ATOMIC_ACQUIRE), 0);
	__atomic_store_n(&slow.hold, false, __ATOMIC_RELAXED);
	pthread_join(caller.thread, NULL);
	assert_int_equal(caller.n_returned, 1);
	assert_false(caller.is_wrong);
	vsw_loop_stop(r.loop);
	runner_join(&r);
	runner_destroy(&r);
}

static void
test_calls_from_many_threads_at_once(void **state)
{
	struct slow slow = {0};
	struct caller callers[4];
	struct runner r;

	runner_create(&r, 1, VSW_IDLE_ADAPTIVE);
	vsw_loop_on_msg(r.loop, VSW_MSG_STOP, on_call, &slow);
	vsw_loop_add_role(r.loop, &(struct vsw_loop_role){.pass = complete_pass, .ctx = &slow});
	runner_start(&r);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(callers); i++) {
		callers[i] = (struct caller){.to = r.loop, .n = 2000};
		pthread_create(&callers[i].thread, NULL, caller_main, &callers[i]);
	}
	for (size_t i = 0; i < VSW_ARRAY_SIZE(callers); i++) {
		pthread_join(callers[i].thread, NULL);
		assert_int_equal(callers[i].n_returned, 2000);
		assert_false(callers[i].is_wrong);
	}
	vsw_loop_stop(r.loop);
	runner_join(&r);
	assert_int_equal(slow.n_done, 8000);
	runner_destroy(&r);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pool_runs_out_and_comes_back),
		TEST(test_a_message_is_clean_whoever_had_it_before),
		cmocka_unit_test(test_every_verb_has_a_name_of_its_own),
		TEST(test_every_verb_reaches_its_handler),
		TEST(test_messages_and_replies_keep_their_order),
		TEST(test_a_handler_may_send_to_its_own_loop),
		TEST(test_a_loop_that_goes_gives_its_messages_back),
		TEST(test_every_role_has_its_pass_in_each_turn),
		TEST(test_level_and_edge),
		TEST(test_events_can_be_changed_and_ended),
		TEST(test_an_ended_watch_gets_no_event_of_the_same_turn),
		TEST(test_an_event_may_end_its_own_watch),
		TEST(test_a_polling_loop_never_sleeps),
		TEST(test_an_adaptive_loop_sleeps_unless_a_role_says_no),
		TEST(test_stop_ends_a_sleep_at_once),
		TEST(test_stop_before_the_start),
		TEST(test_a_wakeup_only_watch_ends_a_sleep_and_nothing_else),
		TEST(test_a_timer_ends_a_sleep_in_time),
		TEST(test_many_senders_and_a_sleeper),
		TEST(test_no_wake_up_is_lost_on_the_brink),
		TEST(test_two_sleepers_wake_each_other),
		TEST(test_a_call_returns_when_it_is_complete_and_not_before),
		TEST(test_calls_from_many_threads_at_once),
	};
	int rc;

	if (eal_up() != 0)
		return 1;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	eal_down();
	return rc;
}
