/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves the life of a queue: that it starts only on sound rings and stops without a loss,
 * that chains come and go in any order and over the wrap of the indexes, that a ring that
 * jumps rests, and that neither side's wake-up is lost and none is sent that is not wanted.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>

#include "virtq_guest.h"

/* Start and stop */

static void
test_start_refuses_unsound_rings(void **state)
{
	static const struct {
		const char *what;
		int size;
		int result;
	} sizes[] = {
		{"no entries", 0, -EINVAL}, {"one", 1, 0},
		{"three", 3, -EINVAL},      {"128", 128, 0},
		{"129", 129, -EINVAL},      {"the longest", 32768, 0},
		{"49152", 49152, -EINVAL},  {"65535", 65535, -EINVAL},
	};
	struct guest *g = *state;
	uint8_t *end = at(g, RINGS_GPA) + RINGS_SIZE;

	for (size_t i = 0; i < VSW_ARRAY_SIZE(sizes); i++) {
		int result;

		lay_out_rings(g, 32768);
		g->conf.size = sizes[i].size;
		result = vsw_virtq_start(&g->vq, VSW_FROM_GUEST, &g->conf, &g->mem, &g->counters);
		if (result != sizes[i].result)
			fail_msg("%s: %d", sizes[i].what, result);
		guest_stop(g);
	}

#define START_WITH(member, ptr)                                                                    \
	({                                                                                         \
		struct vsw_virtq_conf conf = g->conf;                                              \
		int result;                                                                        \
                                                                                                   \
		conf.member = (void *)(ptr);                                                       \
		result = vsw_virtq_start(&g->vq, VSW_FROM_GUEST, &conf, &g->mem, &g->counters);    \
		guest_stop(g);                                                                     \
		result;                                                                            \
	})
	lay_out_rings(g, 16);
	assert_int_equal(START_WITH(desc, NULL), -EINVAL);
	assert_int_equal(START_WITH(avail, NULL), -EINVAL);
	assert_int_equal(START_WITH(used, NULL), -EINVAL);
	assert_int_equal(START_WITH(desc, (uint8_t *)g->conf.desc + 8), -EINVAL);
	assert_int_equal(START_WITH(avail, (uint8_t *)g->conf.avail + 1), -EINVAL);
	assert_int_equal(START_WITH(used, (uint8_t *)g->conf.used + 2), -EINVAL);
	assert_int_equal(START_WITH(desc, end - 256), 0);
	assert_int_equal(START_WITH(desc, end - 240), -EINVAL);
	assert_int_equal(START_WITH(avail, end - 36), 0);
	assert_int_equal(START_WITH(avail, end - 34), -EINVAL);
	assert_int_equal(START_WITH(used, end - 132), 0);
	assert_int_equal(START_WITH(used, end - 128), -EINVAL);
	/* the event words count only where they are used */
	g->conf.event_idx = true;
	assert_int_equal(START_WITH(avail, end - 38), 0);
	assert_int_equal(START_WITH(avail, end - 36), -EINVAL);
	assert_int_equal(START_WITH(used, end - 136), 0);
	assert_int_equal(START_WITH(used, end - 132), -EINVAL);
#undef START_WITH
}

static void
test_a_queue_that_is_not_started_does_nothing(void **state)
{
	struct guest *g = *state;

	for (int stopped = 0; stopped < 2; stopped++) {
		assert_int_equal(pop(g, VSW_BURST), 0);
		assert_false(vsw_virtq_has_avail(&g->vq));
		assert_false(vsw_virtq_want_kicks(&g->vq, true));
		assert_int_equal(vsw_virtq_n_out(&g->vq), 0);
		vsw_virtq_flush(&g->vq);
		assert_int_equal(vsw_virtq_stop(&g->vq), stopped * 3);

		guest_start(g, VSW_FROM_GUEST, 4, 3);
		assert_int_equal(vsw_virtq_stop(&g->vq), 3);
		g->conf.used->flags = 0x55;
		offer_simple(g, 0);
	}
	assert_int_equal(g->conf.used->flags, 0x55);
	assert_int_equal(signals(g), 0);
}

static void
test_stop_completes_what_it_cannot_put_back(void **state)
{
	struct guest *g = *state;

	guest_start(g, VSW_TO_GUEST, 8, 65534);
	for (uint16_t i = 0; i < 5; i++)
		offer_simple(g, i);
	assert_int_equal(pop(g, 4), 4);
	vsw_virtq_unpop(&g->vq, 2);
	vsw_virtq_push(&g->vq, 1, 10);
	vsw_virtq_unpop(&g->vq, 0);
	vsw_virtq_push(&g->vq, 3, 30);

	assert_int_equal(vsw_virtq_stop(&g->vq), 2);
	assert_used(g, 1, 10);
	assert_used(g, 3, 30);
	assert_used(g, 2, 0);
	assert_used(g, 0, 0);
	assert_int_equal(n_used(g), 0);
	assert_int_equal(signals(g), 1);
	assert_int_equal(vsw_virtq_stop(&g->vq), 2);
	assert_int_equal(n_used(g), 0);

	/* and goes on where it stopped */
	g->conf.base = 2;
	start_queue(g);
	pop_one(g, 4);
	vsw_virtq_push(&g->vq, 4, 40);
	assert_int_equal(vsw_virtq_stop(&g->vq), 3);
	assert_used(g, 4, 40);
	assert_int_equal(n_used(g), 0);
}

static void
test_stop_forgets_that_it_took_what_was_put_back(void **state)
{
	/* which of four chains are put back, in that order; which are used; the base then */
	static const struct {
		uint16_t back[5], used[5];
		uint16_t base;
	} cases[] = {
		{{3, 99}, {0, 1, 2, 99}, 3}, {{2, 3, 99}, {1, 0, 99}, 2},
		{{3, 2, 99}, {0, 1, 99}, 2}, {{0, 1, 2, 3, 99}, {99}, 0},
		{{2, 1, 3, 0, 99}, {99}, 0}, {{0, 99}, {1, 2, 3, 99}, 4},
		{{0, 3, 2, 99}, {1, 99}, 2}, {{1, 3, 99}, {2, 0, 99}, 3},
	};
	struct guest *g = *state;

	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		const uint16_t start = 65534;

		guest_start(g, VSW_FROM_GUEST, 8, start);
		for (uint16_t head = 0; head < 5; head++)
			offer_simple(g, head);
		assert_int_equal(pop(g, 4), 4);
		for (const uint16_t *head = cases[i].used; *head != 99; head++)
			vsw_virtq_push(&g->vq, *head, 0);
		for (const uint16_t *head = cases[i].back; *head != 99; head++)
			vsw_virtq_unpop(&g->vq, *head);
		g->conf.base = vsw_virtq_stop(&g->vq);
		assert_int_equal(g->conf.base, (uint16_t)(start + cases[i].base));
		assert_int_equal(n_used(g), cases[i].base);
		/* those that have no used entry come again, in the guest's order */
		start_queue(g);
		assert_int_equal(pop(g, VSW_BURST), 5 - cases[i].base);
		for (uint16_t k = 0; k < g->burst.n_chains; k++) {
			assert_int_equal(g->burst.chain[k].head, cases[i].base + k);
			vsw_virtq_push(&g->vq, g->burst.chain[k].head, 0);
		}
		guest_stop(g);
	}
}

/* Order */

static void
test_chains_put_back_come_first_and_in_order(void **state)
{
	struct guest *g = *state;

	guest_start(g, VSW_TO_GUEST, 8, 0);
	for (uint16_t i = 0; i < 6; i++)
		offer_simple(g, i);
	assert_int_equal(pop(g, 4), 4);
	vsw_virtq_unpop(&g->vq, 2);
	vsw_virtq_unpop(&g->vq, 0);
	assert_int_equal(vsw_virtq_n_out(&g->vq), 2);
	put_desc(g, 2, (struct test_desc){SEAM2, 99, W}); /* looked at anew */

	pop_one(g, 2);
	assert_int_equal(g->burst.chain[0].len, 99);
	assert_ptr_equal(g->burst.chain[0].segs[0].iov_base, at(g, SEAM2));
	assert_int_equal(vsw_virtq_n_out(&g->vq), 3);
	vsw_virtq_unpop(&g->vq, 2);
	assert_int_equal(pop(g, VSW_BURST), 4);
	assert_int_equal(g->burst.chain[0].head, 0);
	assert_int_equal(g->burst.chain[1].head, 2);
	assert_int_equal(g->burst.chain[2].head, 4);
	assert_int_equal(g->burst.chain[3].head, 5);
	assert_int_equal(vsw_virtq_n_out(&g->vq), 6);

	/* the guest spoils one that was put back */
	vsw_virtq_unpop(&g->vq, 4);
	vsw_virtq_unpop(&g->vq, 5);
	assert_true(vsw_virtq_has_avail(&g->vq));
	put_desc(g, 4, (struct test_desc){SEAM2, 99});
	assert_int_equal(pop(g, VSW_BURST), 1);
	assert_int_equal(g->burst.chain[0].head, 5);
	assert_only_counter(g, VSW_CTR_CHAIN_DIRECTION, 1, "spoilt");
	assert_false(vsw_virtq_has_avail(&g->vq));
	assert_int_equal(vsw_virtq_n_out(&g->vq), 5);
	for (uint16_t i = 0; i < 6; i++)
		if (i != 4)
			vsw_virtq_push(&g->vq, i, 0);
	guest_stop(g);
}

static void
test_a_whole_ring_can_be_put_back(void **state)
{
	struct guest *g = *state;

	guest_start(g, VSW_FROM_GUEST, 8, 0);
	for (uint16_t i = 0; i < 8; i++)
		offer_simple(g, i);
	for (int round = 0; round < 5; round++) {
		assert_int_equal(pop(g, VSW_BURST), 8);
		for (uint16_t i = 0; i < 8; i++)
			vsw_virtq_unpop(&g->vq, (3 * i + round) & 7);
		assert_int_equal(vsw_virtq_n_out(&g->vq), 0);
		assert_int_equal(pop(g, 3), 3);
		for (uint16_t i = 0; i < 3; i++) {
			assert_int_equal(g->burst.chain[i].head, (3 * i + round) & 7);
			vsw_virtq_unpop(&g->vq, g->burst.chain[i].head);
		}
	}
	assert_int_equal(vsw_virtq_stop(&g->vq), 0);
	assert_int_equal(n_used(g), 0);
}

/* The model of a driver and of the device's bookkeeping, over more than 2^16 chains. */
#define MODEL_RING 8

struct model {
	uint16_t free[MODEL_RING], n_free;
	uint16_t avail[MODEL_RING], n_avail; /* what the next pops must return */
	uint16_t out[MODEL_RING], n_out;
	uint16_t pushed[MODEL_RING], n_pushed;
	uint32_t n_chains;
};

static void
model_pop(struct guest *g, struct model *m, uint64_t *rng)
{
	uint16_t max = roll(rng, MODEL_RING + 1);
	uint16_t n = pop(g, max);

	assert_int_equal(n, m->n_avail < max ? m->n_avail : max);
	for (uint16_t i = 0; i < n; i++) {
		assert_int_equal(g->burst.chain[i].head, m->avail[i]);
		m->out[m->n_out++] = m->avail[i];
	}
	m->n_avail -= n;
	memmove(m->avail, m->avail + n, m->n_avail * sizeof(m->avail[0]));
	shuffle(rng, m->out, m->n_out);
}

/* Only while nothing new is available, so that the order stays a plain queue. */
static void
model_unpop(struct guest *g, struct model *m)
{
	if (m->n_avail != 0 || m->n_out == 0)
		return;
	m->avail[m->n_avail++] = m->out[--m->n_out];
	vsw_virtq_unpop(&g->vq, m->avail[0]);
}

static void
model_push(struct guest *g, struct model *m)
{
	if (m->n_out == 0)
		return;
	m->pushed[m->n_pushed] = m->out[--m->n_out];
	vsw_virtq_push(&g->vq, m->pushed[m->n_pushed++], m->n_chains);
}

static void
model_flush(struct guest *g, struct model *m)
{
	uint16_t n = n_used(g);

	assert_int_equal(n, 0);
	vsw_virtq_flush(&g->vq);
	assert_int_equal(n_used(g), m->n_pushed);
	for (uint16_t i = 0; i < m->n_pushed; i++) {
		const struct vring_used_elem *e =
			&g->conf.used->ring[g->seen_used & (MODEL_RING - 1)];

		assert_used(g, m->pushed[i], le32toh(e->len));
		m->free[m->n_free++] = m->pushed[i];
	}
	m->n_pushed = 0;
}

static void
model_offer(struct guest *g, struct model *m)
{
	if (m->n_free == 0)
		return;
	m->avail[m->n_avail] = m->free[--m->n_free];
	offer_simple(g, m->avail[m->n_avail++]);
	m->n_chains++;
}

static void
test_indexes_wrap_at_2_16(void **state)
{
	struct guest *g = *state;
	uint64_t rng = new_seed("index wrap");
	struct model m = {.n_free = MODEL_RING};

	for (uint16_t i = 0; i < MODEL_RING; i++)
		m.free[i] = i;
	guest_start(g, VSW_FROM_GUEST, MODEL_RING, 40000);
	while (m.n_chains < 150000) {
		switch (roll(&rng, 8)) {
		case 0:
			model_pop(g, &m, &rng);
			break;
		case 1:
			model_unpop(g, &m);
			break;
		case 2:
			model_flush(g, &m);
			break;
		case 3:
		case 4:
			model_push(g, &m);
			break;
		default:
			model_offer(g, &m);
			break;
		}
		assert_int_equal(vsw_virtq_n_out(&g->vq), m.n_out);
		assert_int_equal(vsw_virtq_has_avail(&g->vq), m.n_avail != 0);
	}
	assert_only_counter(g, -1, 0, "wrap");
	while (m.n_out != 0)
		model_push(g, &m);
	guest_stop(g);
}

/* Broken rings */

static void
test_ring_is_broken_by_a_jump(void **state)
{
	static const struct {
		const char *what;
		uint16_t avail_idx; /* 8 entries, used_idx at 0, last_avail at 3 */
		bool broken;
	} cases[] = {
		{"nothing new", 3, false},         {"full", 8, false},
		{"one too many", 9, true},         {"far ahead", 30000, true},
		{"back by one", 2, true},          {"back to used", 0, true},
		{"back beyond used", 65535, true},
	};
	struct guest *g = *state;

	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		const struct vsw_virtq *vq = &g->vq;
		uint16_t n_popped;

		guest_start(g, VSW_FROM_GUEST, 8, 0);
		for (uint16_t d = 0; d < 8; d++) {
			put_simple(g, d);
			g->conf.avail->ring[d] = htole16(d);
		}
		for (uint16_t d = 0; d < 3; d++)
			offer(g, d);
		assert_int_equal(pop(g, 3), 3);

		g->conf.avail->idx = htole16(cases[i].avail_idx);
		n_popped = pop(g, VSW_BURST);
		if (vq->broken != cases[i].broken ||
		    n_popped != (cases[i].broken ? 0 : cases[i].avail_idx - 3))
			fail_msg("%s: popped %d", cases[i].what, n_popped);
		assert_only_counter(g, VSW_CTR_RING_JUMP, cases[i].broken, cases[i].what);
		for (uint16_t d = 0; d < 3 + n_popped; d++)
			vsw_virtq_push(&g->vq, d, 0);
		guest_stop(g);
		assert_int_equal(n_used(g), 3 + n_popped);
	}
}

static void
test_broken_ring_rests_until_it_is_started_anew(void **state)
{
	struct guest *g = *state;

	guest_start(g, VSW_FROM_GUEST, 8, 100);
	offer_simple(g, 5);
	offer_simple(g, 6);
	assert_int_equal(pop(g, 2), 2);
	vsw_virtq_unpop(&g->vq, 6);
	g->conf.avail->idx = htole16(200);
	assert_true(vsw_virtq_has_avail(&g->vq));
	for (int i = 0; i < 3; i++)
		assert_int_equal(pop(g, VSW_BURST), 0);
	assert_only_counter(g, VSW_CTR_RING_JUMP, 1, "counted once");
	assert_false(vsw_virtq_has_avail(&g->vq));
	assert_false(vsw_virtq_want_kicks(&g->vq, true));
	/* even if the guest thinks better of it */
	g->conf.avail->idx = htole16(102);
	assert_int_equal(pop(g, VSW_BURST), 0);

	/* what is out can still be completed */
	assert_int_equal(vsw_virtq_n_out(&g->vq), 1);
	vsw_virtq_push(&g->vq, 5, 0);
	vsw_virtq_flush(&g->vq);
	assert_used(g, 5, 0);
	/* what was put back is still to come, should the guest start it anew */
	assert_int_equal(vsw_virtq_stop(&g->vq), 101);
	assert_int_equal(n_used(g), 0);

	guest_start(g, VSW_FROM_GUEST, 8, 0);
	offer_simple(g, 7);
	pop_one(g, 7);
	vsw_virtq_push(&g->vq, 7, 0);
	guest_stop(g);
}

/* Signals */

static void
push_some(struct guest *g, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		offer_simple(g, i);
		pop_one(g, i);
		vsw_virtq_push(&g->vq, i, 0);
	}
}

static void
test_first_flush_signals_whatever_the_guest_says(void **state)
{
	struct guest *g = *state;

	for (int event_idx = 0; event_idx < 2; event_idx++) {
		for (uint16_t pushed = 0; pushed < 2; pushed++) {
			lay_out_rings(g, 8);
			g->conf.base = 0;
			g->avail_idx = 0;
			g->seen_used = 0;
			g->conf.event_idx = event_idx;
			g->conf.avail->flags = htole16(VRING_AVAIL_F_NO_INTERRUPT);
			*used_event(g) = htole16(1000);
			start_queue(g);
			assert_int_equal(signals(g), 0);
			push_some(g, pushed);
			vsw_virtq_flush(&g->vq);
			assert_int_equal(signals(g), 1);
			assert_int_equal(g->counters.value[VSW_CTR_SIGNALS], 1);
			assert_int_equal(n_used(g), pushed);
			push_some(g, 1);
			vsw_virtq_flush(&g->vq);
			assert_int_equal(signals(g), 0);
			assert_int_equal(n_used(g), pushed + 1);
			guest_stop(g);
		}
	}
}

static void
test_flags_suppress_signals(void **state)
{
	struct guest *g = *state;

	guest_start(g, VSW_FROM_GUEST, 8, 0);
	*used_event(g) = htole16(7); /* not negotiated: means nothing */
	push_some(g, 2);
	vsw_virtq_flush(&g->vq);
	assert_int_equal(signals(g), 1);
	vsw_virtq_flush(&g->vq);
	assert_int_equal(signals(g), 0); /* nothing new */
	g->conf.avail->flags = htole16(VRING_AVAIL_F_NO_INTERRUPT);
	push_some(g, 1);
	vsw_virtq_flush(&g->vq);
	assert_int_equal(signals(g), 0);
	g->conf.avail->flags = htole16(0xfffe); /* the other bits are reserved */
	push_some(g, 1);
	vsw_virtq_flush(&g->vq);
	assert_int_equal(signals(g), 1);
	assert_int_equal(g->counters.value[VSW_CTR_SIGNALS], 2);
	assert_int_equal(n_used(g), 4);
	guest_stop(g);
}

static void
test_event_idx_suppresses_signals(void **state)
{
	static const struct {
		uint16_t old; /* used index at the last flush */
		uint16_t n;   /* pushed since */
		uint16_t used_event;
		bool signal;
	} cases[] = {
		{0, 1, 0, true},          {0, 1, 1, false},        {0, 1, 65535, false},
		{0, 5, 0, true},          {0, 5, 4, true},         {0, 5, 5, false},
		{10, 1, 9, false},        {10, 1, 10, true},       {10, 8, 17, true},
		{10, 8, 18, false},       {65535, 1, 65535, true}, {65535, 1, 0, false},
		{65534, 4, 65533, false}, {65534, 4, 65534, true}, {65534, 4, 1, true},
		{65534, 4, 2, false},     {100, 1, 32868, false},
	};
	struct guest *g = *state;

	g->conf.event_idx = true;
	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		guest_start(g, VSW_FROM_GUEST, 8, cases[i].old);
		g->conf.avail->flags = htole16(VRING_AVAIL_F_NO_INTERRUPT); /* means nothing */
		*used_event(g) = htole16(cases[i].used_event);
		push_some(g, cases[i].n);
		vsw_virtq_flush(&g->vq);
		if (signals(g) != cases[i].signal)
			fail_msg("case %zu", i);
		assert_int_equal(g->counters.value[VSW_CTR_SIGNALS], cases[i].signal);
		guest_stop(g);
	}
}

/* The range of a test starts where the last test ended, also one that sent no signal. */
static void
test_event_idx_is_tested_from_flush_to_flush(void **state)
{
	struct guest *g = *state;

	g->conf.event_idx = true;
	guest_start(g, VSW_FROM_GUEST, 8, 0);
	*used_event(g) = htole16(6);
	push_some(g, 4);
	vsw_virtq_flush(&g->vq);
	assert_int_equal(signals(g), 0);
	*used_event(g) = htole16(2);
	push_some(g, 1);
	vsw_virtq_flush(&g->vq);
	assert_int_equal(signals(g), 0);
	*used_event(g) = htole16(5);
	push_some(g, 1);
	vsw_virtq_flush(&g->vq);
	assert_int_equal(signals(g), 1);
	guest_stop(g);
}

static void
test_full_call_socket_never_blocks(void **state)
{
	struct guest *g = *state;
	int event = g->conf.callfd;
	const uint64_t one = 1;
	uint64_t got;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	while (send(fds[0], &one, sizeof(one), MSG_DONTWAIT) == sizeof(one))
		;
	g->conf.callfd = fds[0];
	lay_out_rings(g, 8);
	g->conf.base = 0;
	g->avail_idx = 0;
	g->seen_used = 0;
	start_queue(g);
	alarm(10);
	for (uint16_t i = 0; i < 3; i++) {
		push_some(g, 1);
		vsw_virtq_flush(&g->vq);
		assert_used(g, 0, 0);
	}
	assert_int_equal(g->counters.value[VSW_CTR_SIGNALS], 0);

	/* there is room again */
	while (recv(fds[1], &got, sizeof(got), MSG_DONTWAIT) == sizeof(got))
		;
	push_some(g, 1);
	vsw_virtq_flush(&g->vq);
	assert_int_equal(g->counters.value[VSW_CTR_SIGNALS], 1);
	assert_int_equal(recv(fds[1], &got, sizeof(got), MSG_DONTWAIT), sizeof(got));

	/* nobody is there any more */
	close(fds[1]);
	push_some(g, 1);
	vsw_virtq_flush(&g->vq);
	assert_int_equal(g->counters.value[VSW_CTR_SIGNALS], 1);
	assert_int_equal(n_used(g), 2);
	guest_stop(g);
	alarm(0);
	close(fds[0]);
	g->conf.callfd = event;
}

static void
test_queue_without_call_fd_is_silent(void **state)
{
	struct guest *g = *state;
	int event = g->conf.callfd;
	int closed = dup(event);

	close(closed);
	for (int i = 0; i < 2; i++) {
		g->conf.callfd = i == 0 ? -1 : closed;
		lay_out_rings(g, 8);
		g->conf.base = 0;
		g->avail_idx = 0;
		g->seen_used = 0;
		start_queue(g);
		assert_int_equal(g->vq.conf.callfd, -1); /* the number may be reused */
		push_some(g, 2);
		vsw_virtq_flush(&g->vq);
		assert_int_equal(n_used(g), 2);
		assert_int_equal(g->counters.value[VSW_CTR_SIGNALS], 0);
		guest_stop(g);
	}
	g->conf.callfd = event;
}

/* Kicks */

static void
test_want_kicks_with_flags(void **state)
{
	struct guest *g = *state;

	guest_start(g, VSW_FROM_GUEST, 8, 0);
	*avail_event(g) = htole16(4711); /* not negotiated: not ours */
	assert_int_equal(le16toh(g->conf.used->flags), VRING_USED_F_NO_NOTIFY);
	assert_false(vsw_virtq_want_kicks(&g->vq, true));
	assert_int_equal(le16toh(g->conf.used->flags), 0);
	assert_false(vsw_virtq_want_kicks(&g->vq, false));
	assert_int_equal(le16toh(g->conf.used->flags), VRING_USED_F_NO_NOTIFY);

	offer_simple(g, 0);
	assert_true(vsw_virtq_want_kicks(&g->vq, true));
	assert_false(vsw_virtq_want_kicks(&g->vq, false));
	pop_one(g, 0);
	assert_false(vsw_virtq_want_kicks(&g->vq, true));
	vsw_virtq_unpop(&g->vq, 0);
	assert_false(vsw_virtq_want_kicks(&g->vq, true)); /* put back: does not count */
	assert_int_equal(le16toh(*avail_event(g)), 4711);
	guest_stop(g);
}

/* Whether the guest would kick for the next @p n chains it makes available, one by one. */
static bool
guest_would_kick(struct guest *g, uint32_t n)
{
	uint16_t event = le16toh(*avail_event(g));
	uint16_t idx = le16toh(g->conf.avail->idx);

	for (uint32_t i = 0; i < n; i++)
		if ((uint16_t)(idx + i) == event)
			return true;
	return false;
}

static void
test_want_kicks_with_event_idx(void **state)
{
	struct guest *g = *state;

	g->conf.event_idx = true;
	for (uint32_t base = 65533; base < 65539; base++) {
		g->conf.used = NULL;
		guest_start(g, VSW_FROM_GUEST, 8, base);
		assert_false(guest_would_kick(g, 65535)); /* polling from the start */
		assert_int_equal(g->conf.used->flags, 0);
		assert_false(vsw_virtq_want_kicks(&g->vq, true));
		assert_true(guest_would_kick(g, 1));
		offer_simple(g, 0);
		assert_true(vsw_virtq_want_kicks(&g->vq, true));
		pop_one(g, 0);
		assert_false(vsw_virtq_want_kicks(&g->vq, true));
		assert_true(guest_would_kick(g, 1));
		assert_false(vsw_virtq_want_kicks(&g->vq, false));
		assert_false(guest_would_kick(g, 65535));
		assert_int_equal(g->conf.used->flags, 0);
		vsw_virtq_push(&g->vq, 0, 0);
		guest_stop(g);
	}
}

static void
test_start_takes_back_what_an_earlier_driver_was_told(void **state)
{
	struct guest *g = *state;

	lay_out_rings(g, 8);
	g->conf.base = 0;
	g->conf.event_idx = true;
	g->conf.used->flags = htole16(VRING_USED_F_NO_NOTIFY);
	start_queue(g);
	assert_int_equal(g->conf.used->flags, 0);
	guest_stop(g);
}

/*
 * Two threads, one of which polls while the other goes to sleep a random moment after its
 * last work, so that often enough the news comes at that very moment. Who misses it sleeps
 * for STALL_MS and fails the test. (Two sleepers would hardly ever meet there: the way
 * through the kernel takes a hundred times as long.)
 */
#define STALL_MS 5000
#define TURNS 50000

struct duel {
	struct guest *g;
	int kickfd;
	bool event_idx;
	bool device_sleeps; /* else the guest does */
	bool stalled;
	uint64_t rng[2]; /* of the device, of the guest */
	uint32_t n_sleeps;
};

static void
dawdle(uint64_t *rng)
{
	for (uint32_t i = roll(rng, 1000); i != 0; i--)
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Let the other thread go on if there is but one cpu. */
static void
spin(uint32_t *n)
{
	if (++*n % 4096 == 0)
		sched_yield();
}

static bool
sleep_on(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t n;

	if (poll(&p, 1, STALL_MS) != 1)
		return false;
	return read(fd, &n, sizeof(n)) == sizeof(n);
}

static bool
is_stalled(const struct duel *d)
{
	return __atomic_load_n(&d->stalled, __ATOMIC_RELAXED);
}

static bool
device_wait(struct duel *d)
{
	struct vsw_virtq *vq = &d->g->vq;
	uint32_t n_spins = 0;
	bool ok = true;

	while (!d->device_sleeps && !vsw_virtq_has_avail(vq) && !is_stalled(d))
		spin(&n_spins);
	dawdle(&d->rng[0]);
	while (ok && !vsw_virtq_has_avail(vq) && !is_stalled(d)) {
		if (!vsw_virtq_want_kicks(vq, true)) {
			d->n_sleeps++;
			ok = sleep_on(d->kickfd);
		}
		vsw_virtq_want_kicks(vq, false);
	}
	return ok && !is_stalled(d);
}

static void *
device_thread(void *arg)
{
	struct duel *d = arg;
	struct guest *g = d->g;

	for (int i = 0; i < TURNS; i++) {
		if (!device_wait(d)) {
			__atomic_store_n(&d->stalled, true, __ATOMIC_RELAXED);
			return NULL;
		}
		if (vsw_virtq_pop(&g->vq, &g->burst, 1) == 1)
			vsw_virtq_push(&g->vq, g->burst.chain[0].head, 0);
		vsw_virtq_flush(&g->vq);
	}
	return NULL;
}

/* What virtio_ring.c does, with a full fence between each store and the load behind it. */
static bool
guest_kick(struct duel *d)
{
	struct guest *g = d->g;
	const uint64_t one = 1;
	uint16_t old = g->avail_idx;
	bool kick;

	offer(g, 0);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (d->event_idx)
		kick = le16toh(__atomic_load_n(avail_event(g), __ATOMIC_RELAXED)) == old;
	else
		kick = le16toh(__atomic_load_n(&g->conf.used->flags, __ATOMIC_RELAXED)) == 0;
	return !kick || write(d->kickfd, &one, sizeof(one)) == sizeof(one);
}

static void
guest_arm(struct duel *d, bool on)
{
	struct guest *g = d->g;
	uint16_t event = on ? g->seen_used : g->seen_used - 1;

	if (d->event_idx)
		__atomic_store_n(used_event(g), htole16(event), __ATOMIC_RELAXED);
	else
		__atomic_store_n(&g->conf.avail->flags,
				 htole16(on ? 0 : VRING_AVAIL_F_NO_INTERRUPT), __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static bool
guest_wait(struct duel *d)
{
	uint32_t n_spins = 0;

	while (d->device_sleeps && n_used(d->g) == 0 && !is_stalled(d))
		spin(&n_spins);
	dawdle(&d->rng[1]);
	while (n_used(d->g) == 0) {
		guest_arm(d, true);
		if (n_used(d->g) == 0 && !sleep_on(d->g->conf.callfd))
			return false;
	}
	d->g->seen_used++;
	guest_arm(d, false);
	return true;
}

static void
run_duel(struct duel *d)
{
	struct guest *g = d->g;
	bool guest_ok = true;
	pthread_t thread;

	d->kickfd = eventfd(0, EFD_NONBLOCK);
	g->conf.event_idx = d->event_idx;
	guest_start(g, VSW_FROM_GUEST, 4, 65000);
	guest_arm(d, false);
	put_simple(g, 0);
	assert_int_equal(pthread_create(&thread, NULL, device_thread, d), 0);
	for (int i = 0; i < TURNS && guest_ok; i++)
		guest_ok = guest_kick(d) && guest_wait(d);
	if (!guest_ok)
		__atomic_store_n(&d->stalled, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	print_message("duel: %d turns, %u sleeps of the device, %llu signals to the guest\n", TURNS,
		      d->n_sleeps, (unsigned long long)g->counters.value[VSW_CTR_SIGNALS]);
	assert_false(d->stalled);
	guest_stop(g);
	close(d->kickfd);
}

static void
test_no_wake_up_is_lost_between_two_cpus(void **state)
{
	uint64_t rng = new_seed("duel");

	for (int mode = 0; mode < 4; mode++) {
		struct duel d = {
			.g = *state,
			.event_idx = (mode & 1) != 0,
			.device_sleeps = (mode & 2) != 0,
			.rng = {rng + mode, ~rng},
		};

		run_duel(&d);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_start_refuses_unsound_rings),
		TEST(test_a_queue_that_is_not_started_does_nothing),
		TEST(test_stop_completes_what_it_cannot_put_back),
		TEST(test_stop_forgets_that_it_took_what_was_put_back),
		TEST(test_chains_put_back_come_first_and_in_order),
		TEST(test_a_whole_ring_can_be_put_back),
		TEST(test_indexes_wrap_at_2_16),
		TEST(test_ring_is_broken_by_a_jump),
		TEST(test_broken_ring_rests_until_it_is_started_anew),
		TEST(test_first_flush_signals_whatever_the_guest_says),
		TEST(test_flags_suppress_signals),
		TEST(test_event_idx_suppresses_signals),
		TEST(test_event_idx_is_tested_from_flush_to_flush),
		TEST(test_full_call_socket_never_blocks),
		TEST(test_queue_without_call_fd_is_silent),
		TEST(test_want_kicks_with_flags),
		TEST(test_want_kicks_with_event_idx),
		TEST(test_start_takes_back_what_an_earlier_driver_was_told),
		TEST(test_no_wake_up_is_lost_between_two_cpus),
	};

	signal(SIGPIPE, SIG_IGN); /* as vswd does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
