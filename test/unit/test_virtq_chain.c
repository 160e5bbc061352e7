/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that every well-formed chain is handed out byte by byte, however it is cut, that
 * every malformed one gets its own counter and a used entry, and that one call is bounded in
 * chains, segments and descriptors whatever the guest wrote.
 *
 * Random cases print their seed; VSW_TEST_SEED=<n> repeats them.
 */
#include <pthread.h>

#include "virtq_guest.h"

/* Translation */

static void
test_mem_translates_ranges(void **state)
{
	static const struct {
		const char *what;
		uint64_t gpa, len;
		uint16_t max;
		enum vsw_mem_verdict verdict;
		uint16_t n;
		uint64_t first_len;
	} cases[] = {
		{"inside", DATA_GPA + 5, 7, 4, VSW_MEM_OK, 1, 7},
		{"a whole region", DATA_GPA, DATA_SIZE, 4, VSW_MEM_OK, 1, DATA_SIZE},
		{"last byte", SEAM1 - 1, 1, 4, VSW_MEM_OK, 1, 1},
		{"over one seam", SEAM1 - 1, 2, 4, VSW_MEM_OK, 2, 1},
		{"over two seams", DATA_GPA + 1, 3 * DATA_SIZE - 1, 4, VSW_MEM_OK, 3,
		 DATA_SIZE - 1},
		{"just enough room", SEAM1 - 1, 2, 2, VSW_MEM_OK, 2, 1},
		{"too little room", SEAM1 - 1, 2, 1, VSW_MEM_TOO_MANY, 0, 0},
		{"no room", DATA_GPA, 1, 0, VSW_MEM_TOO_MANY, 0, 0},
		{"nothing needs no room", DATA_GPA, 0, 0, VSW_MEM_OK, 0, 0},
		{"nothing, outside", 0xdead0000beef, 0, 4, VSW_MEM_OK, 0, 0},
		{"nothing, at the top", UINT64_MAX, 0, 4, VSW_MEM_OK, 0, 0},
		{"outside", 0xdead0000beef, 1, 4, VSW_MEM_OUTSIDE, 0, 0},
		{"just before", DATA_GPA - 1, 1, 4, VSW_MEM_OUTSIDE, 0, 0},
		{"runs in from outside", DATA_GPA - 1, 2, 4, VSW_MEM_OUTSIDE, 0, 0},
		{"just behind", DATA_END, 1, 4, VSW_MEM_OUTSIDE, 0, 0},
		{"runs out", DATA_END - 1, 2, 4, VSW_MEM_OUTSIDE, 0, 0},
		{"to the top of addresses", TOP_GPA, TOP_SIZE, 4, VSW_MEM_OK, 1, TOP_SIZE},
		{"the topmost byte", UINT64_MAX, 1, 4, VSW_MEM_OK, 1, 1},
		{"wraps into region 0", UINT64_MAX, 2, 4, VSW_MEM_OUTSIDE, 0, 0},
		{"wraps whole", TOP_GPA, UINT64_MAX, 4, VSW_MEM_OUTSIDE, 0, 0},
		{"longest there is", 0, UINT64_MAX, 4, VSW_MEM_OUTSIDE, 0, 0},
	};
	struct guest *g = *state;

	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		struct iovec segs[6];
		uint16_t n = 1; /* one is there already */
		uint64_t gpa = cases[i].gpa;
		enum vsw_mem_verdict verdict;

		verdict = vsw_mem_segments(&g->mem, gpa, cases[i].len, segs, 1 + cases[i].max, &n);
		if (verdict != cases[i].verdict || n != 1 + cases[i].n)
			fail_msg("%s: verdict %d, %d segments", cases[i].what, verdict, n - 1);
		if (cases[i].n != 0)
			assert_int_equal(segs[1].iov_len, cases[i].first_len);
		for (uint16_t s = 1; s < n; s++) {
			assert_ptr_equal(segs[s].iov_base, at(g, gpa));
			assert_ptr_equal((uint8_t *)segs[s].iov_base + segs[s].iov_len - 1,
					 at(g, gpa + segs[s].iov_len - 1));
			gpa += segs[s].iov_len;
		}
		if (verdict == VSW_MEM_OK)
			assert_true(gpa == cases[i].gpa + cases[i].len);
	}
}

static void
test_mem_holds_only_what_lies_in_one_region(void **state)
{
	struct guest *g = *state;
	uint8_t *data = at(g, DATA_GPA);

	assert_true(vsw_mem_holds(&g->mem, data, DATA_SIZE));
	assert_true(vsw_mem_holds(&g->mem, data + DATA_SIZE - 1, 1));
	assert_false(vsw_mem_holds(&g->mem, data, DATA_SIZE + 1));
	assert_false(vsw_mem_holds(&g->mem, data + DATA_SIZE - 1, 2));
	assert_false(vsw_mem_holds(&g->mem, data, UINT64_MAX));
	assert_false(vsw_mem_holds(&g->mem, data + 1, UINT64_MAX));
	assert_false(vsw_mem_holds(&g->mem, g, 1));
	assert_false(vsw_mem_holds(&g->mem, NULL, 1));
}

/* Chains */

#define TABLE DATA_GPA

/* A verdict over one chain. Direct descriptors 0..n, indirect ones at TABLE. */
struct chain_case {
	const char *what;
	int counter; /* -1: it is handed out */
	struct test_desc direct[4];
	struct test_desc table[3];
	uint32_t len;
	uint16_t n_segs;
	uint16_t head;
	bool to_guest;
	bool no_indirect; /* not negotiated */
};

#define OK -1
#define C(x) VSW_CTR_##x

static const struct chain_case chain_cases[] = {
	/* well-formed */
	{"one buffer", OK, {{SEAM1, 100}}, .len = 100, .n_segs = 1},
	{"to guest", OK, {{SEAM1, 100, W}}, .len = 100, .n_segs = 1, .to_guest = true},
	{"in the last entry", OK, {{0}, {0}, {0}, {SEAM1, 9}}, .head = 3, .len = 9, .n_segs = 1},
	{"header and data", OK, {{SEAM1, 44, N, 1}, {SEAM2, 64}}, .len = 108, .n_segs = 2},
	{"backwards",
	 OK,
	 {{SEAM1, 1}, {SEAM1, 2, N, 0}, {SEAM1, 4, N, 1}, {SEAM1, 8, N, 2}},
	 .head = 3,
	 .len = 15,
	 .n_segs = 4},
	{"as long as the table",
	 OK,
	 {{SEAM1, 1, N, 1}, {SEAM1, 2, N, 2}, {SEAM1, 4, N, 3}, {SEAM1, 8}},
	 .len = 15,
	 .n_segs = 4},
	{"crossing two regions", OK, {{SEAM1 - 4, 44}}, .len = 44, .n_segs = 2},
	{"crossing three regions", OK, {{SEAM1 - 1, 65538}}, .len = 65538, .n_segs = 3},
	{"empty buffer", OK, {{SEAM1, 0}}, .len = 0, .n_segs = 0},
	{"empty buffer outside", OK, {{DATA_END, 0, N, 1}, {SEAM1, 8}}, .len = 8, .n_segs = 1},
	{"next without its flag", OK, {{SEAM1, 5, 0, 77}}, .len = 5, .n_segs = 1},
	{"unknown flags", OK, {{SEAM1, 5, 0xfff8}}, .len = 5, .n_segs = 1},
	{"4 GiB less one",
	 OK,
	 {{HUGE_GPA, 1u << 31, N, 1}, {HUGE_GPA, (1u << 31) - 1}},
	 .len = UINT32_MAX,
	 .n_segs = 2},
	{"indirect", OK, {{TABLE, 16, I}}, {{SEAM1, 7}}, .len = 7, .n_segs = 1},
	{"indirect to guest",
	 OK,
	 {{TABLE, 16, I}},
	 {{SEAM1, 7, W}},
	 .len = 7,
	 .n_segs = 1,
	 .to_guest = true},
	{"write flag on the indirect one", OK, {{TABLE, 16, I | W}}, {{SEAM1, 7}}, 7, 1},
	{"next on the indirect one counts only with its flag",
	 OK,
	 {{TABLE, 16, I, 2}},
	 {{SEAM1, 7}},
	 7,
	 1},
	{"direct, then indirect",
	 OK,
	 {{SEAM1, 44, N, 1}, {TABLE, 32, I}},
	 {{SEAM2, 7, N, 1}, {SEAM2, 8}},
	 59,
	 3},
	{"indirect table in any order",
	 OK,
	 {{TABLE, 48, I}},
	 {{SEAM1, 1, N, 2}, {SEAM1, 2}, {SEAM1, 4, N, 1}},
	 7,
	 3},

	/* malformed */
	{"loop of one", C(CHAIN_LOOP), {{SEAM1, 1, N, 0}}},
	{"loop of empty ones", C(CHAIN_LOOP), {{SEAM1, 0, N, 1}, {SEAM1, 0, N, 0}}},
	{"loop off the head",
	 C(CHAIN_LOOP),
	 {{SEAM1, 1, N, 1}, {SEAM1, 1, N, 2}, {SEAM1, 1, N, 3}, {SEAM1, 1, N, 1}}},
	{"loop in a table",
	 C(CHAIN_LOOP),
	 {{TABLE, 48, I}},
	 {{SEAM1, 1, N, 1}, {SEAM1, 1, N, 2}, {SEAM1, 1, N, 1}}},
	{"next is the size", C(CHAIN_BAD_NEXT), {{SEAM1, 1, N, 4}}},
	{"next is far out", C(CHAIN_BAD_NEXT), {{SEAM1, 1, N, 65535}}},
	{"next leaves the table",
	 C(CHAIN_BAD_NEXT),
	 {{TABLE, 32, I}},
	 {{SEAM1, 1, N, 2}, {SEAM1, 1}, {SEAM1, 1}}},
	{"outside", C(CHAIN_BAD_ADDR), {{DATA_END, 1}}},
	{"runs out of memory", C(CHAIN_BAD_ADDR), {{DATA_END - 1, 2}}},
	{"second buffer outside", C(CHAIN_BAD_ADDR), {{SEAM1, 44, N, 1}, {DATA_GPA - 1, 1}}},
	{"wraps", C(CHAIN_BAD_ADDR), {{UINT64_MAX, 2}}},
	{"table outside", C(CHAIN_BAD_ADDR), {{DATA_END, 16, I}}},
	{"table runs out of memory", C(CHAIN_BAD_ADDR), {{DATA_END - 16, 32, I}}},
	{"table wraps", C(CHAIN_BAD_ADDR), {{UINT64_MAX - 7, 16, I}}},
	{"buffer of a table outside", C(CHAIN_BAD_ADDR), {{TABLE, 16, I}}, {{DATA_END, 1}}},
	{"4 GiB", C(CHAIN_BAD_LEN), {{HUGE_GPA, 1u << 31, N, 1}, {HUGE_GPA, 1u << 31}}},
	{"far above 4 GiB",
	 C(CHAIN_BAD_LEN),
	 {{HUGE_GPA, 0xb0000000, N, 1}, {HUGE_GPA, 0xb0000000, N, 2}, {HUGE_GPA, 0xb0000000}}},
	{"writable from guest", C(CHAIN_DIRECTION), {{SEAM1, 1, W}}},
	{"writable behind readable", C(CHAIN_DIRECTION), {{SEAM1, 44, N, 1}, {SEAM1, 1, W}}},
	{"readable to guest", C(CHAIN_DIRECTION), {{SEAM1, 1}}, .to_guest = true},
	{"readable before writable",
	 C(CHAIN_DIRECTION),
	 {{SEAM1, 1, N, 1}, {SEAM1, 1, W}},
	 .to_guest = true},
	{"empty but of the wrong direction", C(CHAIN_DIRECTION), {{SEAM1, 0, W}}},
	{"writable in a table", C(CHAIN_DIRECTION), {{TABLE, 16, I}}, {{SEAM1, 1, W}}},
	{"readable in a table",
	 C(CHAIN_DIRECTION),
	 {{TABLE, 16, I | W}},
	 {{SEAM1, 1}},
	 .to_guest = true},
	{"indirect not negotiated",
	 C(CHAIN_INDIRECT),
	 {{TABLE, 16, I}},
	 {{SEAM1, 1}},
	 .no_indirect = true},
	{"indirect with next",
	 C(CHAIN_INDIRECT),
	 {{TABLE, 16, I | N, 1}, {SEAM1, 1}},
	 {{SEAM1, 1}}},
	{"nested", C(CHAIN_INDIRECT), {{TABLE, 16, I}}, {{TABLE, 16, I}}},
	{"nested behind a buffer",
	 C(CHAIN_INDIRECT),
	 {{TABLE, 32, I}},
	 {{SEAM1, 1, N, 1}, {TABLE, 16, I}}},
	{"empty table", C(CHAIN_INDIRECT), {{TABLE, 0, I}}},
	{"half an entry", C(CHAIN_INDIRECT), {{TABLE, 8, I}}},
	{"one and a half entries", C(CHAIN_INDIRECT), {{TABLE, 24, I}}, {{SEAM1, 1}}},
	{"head is the size", C(RING_BAD_HEAD), .head = 4},
	{"head is far out", C(RING_BAD_HEAD), .head = 65535},
};

static void
check_chain_case(struct guest *g, const struct chain_case *c)
{
	const struct vsw_chain *chain = &g->burst.chain[0];

	if (pop(g, 2) != (c->counter == OK ? 1 : 0))
		fail_msg("%s: %d chains", c->what, g->burst.n_chains);
	assert_only_counter(g, c->counter, 1, c->what);
	if (c->counter == OK) {
		if (chain->len != c->len || chain->n_segs != c->n_segs)
			fail_msg("%s: %u bytes, %u segments", c->what, chain->len, chain->n_segs);
		assert_int_equal(vsw_virtq_n_out(&g->vq), 1);
		vsw_virtq_push(&g->vq, chain->head, 3);
	}
	assert_int_equal(vsw_virtq_n_out(&g->vq), 0);
	assert_int_equal(n_used(g), 0); /* until it is flushed */
	vsw_virtq_flush(&g->vq);
	assert_used(g, c->head, c->counter == OK ? 3 : 0);
}

static void
test_every_chain_gets_its_verdict(void **state)
{
	struct guest *g = *state;

	for (size_t i = 0; i < VSW_ARRAY_SIZE(chain_cases); i++) {
		const struct chain_case *c = &chain_cases[i];

		g->conf.indirect = !c->no_indirect;
		guest_start(g, c->to_guest ? VSW_TO_GUEST : VSW_FROM_GUEST, 4, 0);
		for (uint16_t d = 0; d < 4; d++)
			put_desc(g, d, c->direct[d]);
		for (uint16_t d = 0; d < 3; d++)
			put_table_entry(g, TABLE, d, c->table[d]);
		offer(g, c->head);
		check_chain_case(g, c);

		/* the queue goes on */
		offer_simple(g, 1);
		pop_one(g, 1);
		vsw_virtq_push(&g->vq, 1, 0);
		guest_stop(g);
	}
}

static void
test_malformed_chains_do_not_disturb_their_neighbours(void **state)
{
	struct guest *g = *state;

	guest_start(g, VSW_FROM_GUEST, 16, 0);
	offer_simple(g, 0);
	put_desc(g, 1, (struct test_desc){SEAM1, 5, N, 2}); /* a buffer, then a bad one */
	put_desc(g, 2, (struct test_desc){DATA_END, 5});
	offer(g, 1);
	offer_simple(g, 3);
	offer(g, 16);
	offer_simple(g, 4);

	assert_int_equal(pop(g, VSW_BURST), 3);
	assert_int_equal(g->burst.n_segs, 3);
	for (uint16_t i = 0; i < 3; i++) {
		const uint16_t heads[] = {0, 3, 4};

		assert_int_equal(g->burst.chain[i].head, heads[i]);
		assert_int_equal(g->burst.chain[i].len, 64);
		assert_ptr_equal(g->burst.chain[i].segs, &g->burst.seg[i]);
		assert_ptr_equal(g->burst.seg[i].iov_base, at(g, DATA_GPA + 64 * heads[i]));
		vsw_virtq_push(&g->vq, heads[i], 0);
	}
	vsw_virtq_flush(&g->vq);
	assert_used(g, 1, 0);
	assert_used(g, 16, 0);
	assert_used(g, 0, 0);
	assert_used(g, 3, 0);
	assert_used(g, 4, 0);
	assert_int_equal(g->counters.value[VSW_CTR_CHAIN_BAD_ADDR], 1);
	assert_int_equal(g->counters.value[VSW_CTR_RING_BAD_HEAD], 1);
	guest_stop(g);
}

static void
test_header_and_17_fragments_come_out_in_order(void **state)
{
	struct guest *g = *state;

	for (int indirect = 0; indirect < 2; indirect++) {
		const uint64_t table = SEAM1 - 40; /* the third entry is cut in two */

		g->conf.indirect = true;
		guest_start(g, VSW_FROM_GUEST, 128, 0);
		for (uint16_t i = 0; i < 18; i++) {
			struct test_desc d = {SEAM2 + 3000 * i, i == 0 ? 44 : 2999, i == 17 ? 0 : N,
					      i + 1};

			if (indirect)
				put_table_entry(g, table, i, d);
			else
				put_desc(g, i, d);
		}
		if (indirect)
			put_desc(g, 0, (struct test_desc){table, 18 * 16, I});
		offer(g, 0);
		pop_one(g, 0);
		assert_int_equal(g->burst.chain[0].n_segs, 18);
		assert_int_equal(g->burst.chain[0].len, 44 + 17 * 2999);
		for (uint16_t i = 0; i < 18; i++) {
			assert_ptr_equal(g->burst.seg[i].iov_base, at(g, SEAM2 + 3000 * i));
			assert_int_equal(g->burst.seg[i].iov_len, i == 0 ? 44 : 2999);
		}
		vsw_virtq_push(&g->vq, 0, 0);
		guest_stop(g);
	}
}

/*
 * A random chain: `len` bytes cut into pieces, some of them empty, laid one behind the other
 * over the three data regions with random gaps; the descriptors sit at random entries of the
 * ring, or of an indirect table at a random address, or some here and some there.
 */
#define RANDOM_RING 64
#define RANDOM_PIECES 60

struct random_chain {
	uint32_t len;
	uint16_t n_pieces;
	uint16_t head;
	struct test_desc piece[RANDOM_PIECES];
};

/* The end of the pieces; the table lies behind it. */
static uint64_t
cut_into_pieces(struct random_chain *c, uint64_t *rng, uint16_t flags)
{
	uint64_t gpa = SEAM1 - roll(rng, 60000);

	c->len = 0;
	c->n_pieces = 1 + roll(rng, RANDOM_PIECES);
	for (uint16_t i = 0; i < c->n_pieces; i++) {
		uint32_t longest = 1u << roll(rng, 12);
		uint32_t len = roll(rng, longest + 1);

		c->piece[i] = (struct test_desc){gpa, len, flags, 0};
		c->len += len;
		gpa += len + roll(rng, 3) * roll(rng, 20);
		if (gpa > SEAM2 + 60000)
			c->n_pieces = i + 1;
	}
	return gpa;
}

static void
write_chain(struct guest *g, struct random_chain *c, uint64_t *rng, uint64_t free_gpa)
{
	uint16_t entry[RANDOM_RING], slot[RANDOM_RING];
	uint16_t n_direct = roll(rng, 3) != 0 ? roll(rng, c->n_pieces + 1) : c->n_pieces;
	uint16_t n_table = c->n_pieces - n_direct;
	uint64_t table = roll(rng, 2) != 0 ? SEAM1 - 60000 - 1000 - roll(rng, 900)
					   : free_gpa + roll(rng, 40);

	for (uint16_t i = 0; i < RANDOM_RING; i++)
		entry[i] = slot[i] = i;
	shuffle(rng, entry, RANDOM_RING);
	if (n_table > 1)
		shuffle(rng, slot + 1, n_table - 1); /* a table starts at its entry 0 */

	for (uint16_t i = 0; i < n_direct; i++) {
		struct test_desc d = c->piece[i];

		d.flags |= i + 1 < c->n_pieces ? N : 0;
		d.next = entry[i + 1];
		put_desc(g, entry[i], d);
	}
	for (uint16_t i = 0; i < n_table; i++) {
		struct test_desc d = c->piece[n_direct + i];

		d.flags |= i + 1 < n_table ? N : 0;
		d.next = i + 1 < n_table ? slot[i + 1] : 0xffff;
		put_table_entry(g, table, slot[i], d);
	}
	if (n_table != 0)
		put_desc(g, entry[n_direct], (struct test_desc){table, 16u * n_table, I, 0xffff});
	c->head = entry[0];
}

static uint8_t
pattern(uint32_t i)
{
	return (uint8_t)(i * 167 + (i >> 8) * 13 + 1);
}

/* The guest's side: pieces in order, byte by byte. */
static void
guest_fill(struct guest *g, const struct random_chain *c)
{
	uint32_t n = 0;

	for (uint16_t i = 0; i < c->n_pieces; i++)
		for (uint32_t b = 0; b < c->piece[i].len; b++)
			*at(g, c->piece[i].addr + b) = pattern(n++);
}

static void
guest_check(struct guest *g, const struct random_chain *c)
{
	uint32_t n = 0;

	for (uint16_t i = 0; i < c->n_pieces; i++)
		for (uint32_t b = 0; b < c->piece[i].len; b++)
			if (*at(g, c->piece[i].addr + b) != pattern(n++))
				fail_msg("byte %u of the chain", n - 1);
}

/* The switch's side. */
static void
segs_fill(const struct vsw_chain *chain)
{
	uint32_t n = 0;

	for (uint16_t i = 0; i < chain->n_segs; i++)
		for (size_t b = 0; b < chain->segs[i].iov_len; b++)
			((uint8_t *)chain->segs[i].iov_base)[b] = pattern(n++);
}

static void
segs_check(const struct vsw_chain *chain)
{
	uint32_t n = 0;

	for (uint16_t i = 0; i < chain->n_segs; i++) {
		assert_int_not_equal(chain->segs[i].iov_len, 0);
		for (size_t b = 0; b < chain->segs[i].iov_len; b++)
			if (((uint8_t *)chain->segs[i].iov_base)[b] != pattern(n++))
				fail_msg("byte %u of the segments", n - 1);
	}
	assert_int_equal(n, chain->len);
}

static void
test_random_cuts_carry_every_byte(void **state)
{
	struct guest *g = *state;
	uint64_t rng = new_seed("random cuts");

	for (int dir = VSW_FROM_GUEST; dir <= VSW_TO_GUEST; dir++) {
		g->conf.indirect = true;
		guest_start(g, dir, RANDOM_RING, roll(&rng, 65536));
		for (int round = 0; round < 1000; round++) {
			const struct vsw_chain *chain = &g->burst.chain[0];
			struct random_chain c;
			uint64_t end;

			end = cut_into_pieces(&c, &rng, dir == VSW_TO_GUEST ? W : 0);
			write_chain(g, &c, &rng, end);
			if (dir == VSW_FROM_GUEST)
				guest_fill(g, &c);
			offer(g, c.head);
			pop_one(g, c.head);
			assert_int_equal(chain->len, c.len);
			if (dir == VSW_FROM_GUEST) {
				segs_check(chain);
			} else {
				segs_fill(chain);
				guest_check(g, &c);
			}
			vsw_virtq_push(&g->vq, c.head, c.len);
			vsw_virtq_flush(&g->vq);
			assert_used(g, c.head, c.len);
		}
		assert_only_counter(g, -1, 0, "random cuts");
		guest_stop(g);
	}
}

/* Bursts */

static void
test_burst_is_limited_by_count(void **state)
{
	struct guest *g = *state;

	guest_start(g, VSW_FROM_GUEST, 64, 0);
	for (uint16_t i = 0; i < 40; i++)
		offer_simple(g, i);
	assert_int_equal(pop(g, 0), 0);
	assert_int_equal(pop(g, 3), 3);
	assert_int_equal(vsw_virtq_n_out(&g->vq), 3);
	assert_int_equal(pop(g, VSW_BURST), VSW_BURST);
	assert_int_equal(g->burst.chain[0].head, 3);
	assert_int_equal(g->burst.chain[VSW_BURST - 1].head, 34);
	assert_true(vsw_virtq_has_avail(&g->vq));
	assert_int_equal(pop(g, VSW_BURST), 5);
	assert_int_equal(g->burst.chain[0].head, 35);
	assert_false(vsw_virtq_has_avail(&g->vq));
	assert_int_equal(pop(g, VSW_BURST), 0);
	assert_int_equal(vsw_virtq_n_out(&g->vq), 40);
	for (uint16_t i = 0; i < 40; i++)
		vsw_virtq_push(&g->vq, i, 0);
	guest_stop(g);
}

static void
test_flood_of_malformed_chains_is_cut(void **state)
{
	struct guest *g = *state;

	guest_start(g, VSW_FROM_GUEST, 64, 0);
	for (uint16_t i = 0; i < 40; i++)
		offer(g, 64);
	offer_simple(g, 1);
	assert_int_equal(pop(g, VSW_BURST), 0);
	assert_only_counter(g, VSW_CTR_RING_BAD_HEAD, VSW_BURST, "first call");
	assert_true(vsw_virtq_has_avail(&g->vq));
	assert_int_equal(pop(g, VSW_BURST), 1);
	assert_only_counter(g, VSW_CTR_RING_BAD_HEAD, 40, "second call");
	vsw_virtq_push(&g->vq, 1, 0);
	vsw_virtq_flush(&g->vq);
	assert_int_equal(n_used(g), 41);
	guest_stop(g);
}

/* A chain of @p n descriptors of @p len bytes, entries first..first + n - 1. */
static void
put_long_chain(struct guest *g, uint16_t first, uint16_t n, uint32_t len)
{
	for (uint16_t i = 0; i < n; i++)
		put_desc(g, first + i,
			 (struct test_desc){DATA_GPA, len, i + 1 < n ? N : 0, first + i + 1});
}

static void
test_burst_is_limited_by_segments(void **state)
{
	struct guest *g = *state;

	guest_start(g, VSW_FROM_GUEST, 4096, 0);
	for (uint16_t i = 0; i < 30; i++) {
		put_long_chain(g, i * 100, 100, 8);
		offer(g, i * 100);
	}
	assert_int_equal(pop(g, VSW_BURST), VSW_BURST_SEGS / 100);
	assert_int_equal(g->burst.n_segs, 2000);
	assert_int_equal(g->burst.chain[19].n_segs, 100);
	assert_int_equal(pop(g, VSW_BURST), 10);
	assert_int_equal(g->burst.chain[0].head, 2000);
	assert_only_counter(g, -1, 0, "segments");
	for (uint16_t i = 0; i < 30; i++)
		vsw_virtq_unpop(&g->vq, i * 100);
	/* the same for those that were put back */
	assert_int_equal(pop(g, VSW_BURST), VSW_BURST_SEGS / 100);
	assert_int_equal(pop(g, VSW_BURST), 10);
	assert_int_equal(g->burst.chain[0].head, 2000);
	for (uint16_t i = 0; i < 30; i++)
		vsw_virtq_push(&g->vq, i * 100, 0);
	guest_stop(g);
}

static void
test_one_chain_may_use_all_segments_and_not_one_more(void **state)
{
	static const struct {
		const char *what;
		uint64_t addr; /* of every piece */
		uint32_t len;
		uint16_t n;
		bool taken;
	} cases[] = {
		{"all", DATA_GPA, 8, VSW_BURST_SEGS, true},
		{"one more", DATA_GPA, 8, VSW_BURST_SEGS + 1, false},
		{"all, two in each", SEAM1 - 1, 2, VSW_BURST_SEGS / 2, true},
		{"two more", SEAM1 - 1, 2, VSW_BURST_SEGS / 2 + 1, false},
		{"all, empty", DATA_GPA, 0, VSW_BURST_SEGS, true},
		{"one more, empty", DATA_GPA, 0, VSW_BURST_SEGS + 1, false},
	};
	struct guest *g = *state;

	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		for (int behind = 0; behind < 2; behind++) {
			guest_start(g, VSW_FROM_GUEST, 4096, 0);
			put_long_chain(g, 0, cases[i].n, cases[i].len);
			for (uint16_t d = 0; d < cases[i].n; d++)
				g->conf.desc[d].addr = htole64(cases[i].addr);
			if (behind) {
				offer_simple(g, 4000);
				offer(g, 0);
				assert_int_equal(pop(g, 2), 1);
				assert_int_equal(g->burst.chain[0].head, 4000);
				assert_int_equal(vsw_virtq_n_out(&g->vq), 1);
				vsw_virtq_push(&g->vq, 4000, 0);
			} else {
				offer(g, 0);
			}
			assert_only_counter(g, -1, 0, cases[i].what);

			assert_int_equal(pop(g, 2), cases[i].taken);
			assert_only_counter(g, VSW_CTR_CHAIN_BAD_LEN, !cases[i].taken,
					    cases[i].what);
			if (cases[i].taken)
				vsw_virtq_push(&g->vq, 0, 0);
			assert_int_equal(vsw_virtq_n_out(&g->vq), 0);
			guest_stop(g);
		}
	}
}

static void
test_huge_tables_of_nothing_are_cut(void **state)
{
	struct guest *g = *state;
	const uint32_t n = 4096;

	g->conf.indirect = true;
	guest_start(g, VSW_FROM_GUEST, 64, 0);
	for (uint16_t i = 0; i < n; i++)
		put_table_entry(g, SEAM1 - 8, i,
				(struct test_desc){DATA_GPA, 0, i + 1u < n ? N : 0, i + 1});
	for (uint16_t i = 0; i < 4; i++) {
		put_desc(g, i, (struct test_desc){SEAM1 - 8, 16 * (i < 2 ? n : 700), I});
		offer(g, i);
	}
	assert_int_equal(pop(g, VSW_BURST), 0);
	assert_only_counter(g, VSW_CTR_CHAIN_BAD_LEN, 1, "one per call");
	assert_int_equal(pop(g, VSW_BURST), 0);
	assert_only_counter(g, VSW_CTR_CHAIN_BAD_LEN, 2, "one per call");
	/* these end at an entry that is not there; two of them are within one call's bounds */
	assert_int_equal(pop(g, VSW_BURST), 0);
	assert_int_equal(g->counters.value[VSW_CTR_CHAIN_BAD_NEXT], 2);
	guest_stop(g);
}

/* A guest that rewrites a descriptor while it is looked at: good and bad halves may mix, but
 * what is handed out was checked. */
struct flipper {
	struct guest *g;
	bool stop;
};

static void *
flip_thread(void *arg)
{
	struct flipper *f = arg;
	uint64_t *word = (uint64_t *)f->g->conf.desc; /* addr; len, flags, next */

	for (uint32_t i = 0; !__atomic_load_n(&f->stop, __ATOMIC_RELAXED); i++) {
		bool good = i % 2 == 0;

		__atomic_store_n(&word[1], htole64(good ? 64 : 0xffffffff), __ATOMIC_RELAXED);
		__atomic_store_n(&word[0], htole64(good ? DATA_GPA : DATA_END), __ATOMIC_RELAXED);
	}
	return NULL;
}

static void
test_descriptors_are_read_once(void **state)
{
	struct guest *g = *state;
	struct flipper f = {.g = g};
	uint32_t n_taken = 0;
	pthread_t thread;

	guest_start(g, VSW_FROM_GUEST, 4, 0);
	put_simple(g, 0);
	assert_int_equal(pthread_create(&thread, NULL, flip_thread, &f), 0);
	for (uint32_t i = 0; i < 1000000; i++) {
		const struct vsw_chain *chain = &g->burst.chain[0];

		offer(g, 0);
		if (pop(g, 1) == 0)
			continue;
		n_taken++;
		assert_int_equal(chain->n_segs, 1);
		assert_int_equal(chain->len, 64);
		assert_int_equal(chain->segs[0].iov_len, 64);
		assert_ptr_equal(chain->segs[0].iov_base, at(g, DATA_GPA));
		vsw_virtq_push(&g->vq, 0, 0);
	}
	__atomic_store_n(&f.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	print_message("flips: %u of 1000000 taken\n", n_taken);
	assert_only_counter(g, VSW_CTR_CHAIN_BAD_ADDR, 1000000 - n_taken, "flips");
	guest_stop(g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_mem_translates_ranges),
		TEST(test_mem_holds_only_what_lies_in_one_region),
		TEST(test_every_chain_gets_its_verdict),
		TEST(test_malformed_chains_do_not_disturb_their_neighbours),
		TEST(test_header_and_17_fragments_come_out_in_order),
		TEST(test_random_cuts_carry_every_byte),
		TEST(test_burst_is_limited_by_count),
		TEST(test_flood_of_malformed_chains_is_cut),
		TEST(test_burst_is_limited_by_segments),
		TEST(test_one_chain_may_use_all_segments_and_not_one_more),
		TEST(test_huge_tables_of_nothing_are_cut),
		TEST(test_descriptors_are_read_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
