/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The guest of the virtq tests, written from the specification: its memory is a handful of
 * separate allocations (so that a sanitizer sees each step over a region's end), it is read
 * and written byte by byte, and its driver side shares no code with what is tested.
 */
#ifndef VIRTQ_GUEST_H
#define VIRTQ_GUEST_H

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/virtio_ring.h>

#include "vsw_test.h"

#include "vsw_base.h"
#include "vsw_virtq.h"

/* Guest-physical layout: DATA0..2 touch each other, everything else has gaps around it. */
#define RINGS_GPA 0x0ull
#define RINGS_SIZE 0x100000ull
#define DATA_GPA 0x10000000ull
#define DATA_SIZE 0x10000ull
#define DATA_END (DATA_GPA + 3 * DATA_SIZE)
#define SEAM1 (DATA_GPA + DATA_SIZE)
#define SEAM2 (DATA_GPA + 2 * DATA_SIZE)
#define HUGE_GPA 0x100000000ull /* never touched */
#define HUGE_SIZE 0xc0000000ull
#define TOP_GPA 0xffffffffffff0000ull /* ends with the address space */
#define TOP_SIZE 0x10000ull

#define N VRING_DESC_F_NEXT
#define W VRING_DESC_F_WRITE
#define I VRING_DESC_F_INDIRECT

struct guest {
	struct vsw_mem mem;
	struct vsw_virtq_conf conf;
	enum vsw_virtq_dir dir;
	struct vsw_counters counters;
	struct vsw_virtq vq;
	struct vsw_chain_burst burst;
	uint16_t avail_idx;
	uint16_t seen_used; /* used entries taken */
};

struct test_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

static inline uint8_t *
at(const struct guest *g, uint64_t gpa)
{
	for (uint32_t i = 0; i < g->mem.n_regions; i++) {
		const struct vsw_mem_region *r = &g->mem.region[i];

		if (gpa >= r->gpa && gpa <= r->gpa + (r->size - 1))
			return r->hva + (gpa - r->gpa);
	}
	fail_msg("the test itself is wrong: no memory at %#llx", (unsigned long long)gpa);
	return NULL;
}

static inline void
guest_write(struct guest *g, uint64_t gpa, const void *src, size_t len)
{
	for (size_t i = 0; i < len; i++)
		*at(g, gpa + i) = ((const uint8_t *)src)[i];
}

static inline void
add_region(struct guest *g, uint64_t gpa, uint64_t size, void *hva)
{
	g->mem.region[g->mem.n_regions++] = (struct vsw_mem_region){gpa, size, hva};
}

static inline uint8_t *
pages(uint64_t size)
{
	uint8_t *p = aligned_alloc(4096, size);

	assert_non_null(p);
	memset(p, 0, size);
	return p;
}

static inline int
guest_create(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));
	void *huge = mmap(NULL, HUGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			  -1, 0);

	assert_non_null(g);
	assert_ptr_not_equal(huge, MAP_FAILED);
	/* not in the order of their addresses: nobody promises one */
	add_region(g, SEAM1, DATA_SIZE, pages(DATA_SIZE));
	add_region(g, RINGS_GPA, RINGS_SIZE, pages(RINGS_SIZE));
	add_region(g, SEAM2, DATA_SIZE, pages(DATA_SIZE));
	add_region(g, HUGE_GPA, HUGE_SIZE, huge);
	add_region(g, DATA_GPA, DATA_SIZE, pages(DATA_SIZE));
	add_region(g, TOP_GPA, TOP_SIZE, pages(TOP_SIZE));
	g->conf.callfd = eventfd(0, 0);
	g->conf.kickfd = -1;
	assert_true(g->conf.callfd >= 0);
	*state = g;
	return 0;
}

static inline int
guest_destroy(void **state)
{
	struct guest *g = *state;

	free(g->vq.returned); /* of a test that failed */
	for (uint32_t i = 0; i < g->mem.n_regions; i++) {
		if (g->mem.region[i].gpa == HUGE_GPA)
			munmap(g->mem.region[i].hva, HUGE_SIZE);
		else
			free(g->mem.region[i].hva);
	}
	close(g->conf.callfd);
	free(g);
	return 0;
}

static inline void
lay_out_rings(struct guest *g, uint16_t size)
{
	uint8_t *p = at(g, RINGS_GPA);

	memset(p, 0, RINGS_SIZE);
	g->conf.size = size;
	g->conf.desc = (void *)p;
	p += 16 * (size_t)size;
	g->conf.avail = (void *)p;
	p += (6 + 2 * (size_t)size + 3) & ~3ull;
	g->conf.used = (void *)p;
}

static inline uint16_t *
used_event(struct guest *g)
{
	return &g->conf.avail->ring[g->conf.size];
}

static inline uint16_t *
avail_event(struct guest *g)
{
	return (uint16_t *)&g->conf.used->ring[g->conf.size];
}

static inline uint64_t
signals(struct guest *g)
{
	uint64_t n;

	return read(g->conf.callfd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static inline void
start_queue(struct guest *g)
{
	memset(&g->counters, 0, sizeof(g->counters));
	assert_int_equal(vsw_virtq_start(&g->vq, g->dir, &g->conf, &g->mem, &g->counters), 0);
}

/* A driver that has just been reset; the first signal, which is always sent, is behind us. */
static inline void
guest_start(struct guest *g, enum vsw_virtq_dir dir, uint16_t size, uint16_t base)
{
	lay_out_rings(g, size);
	g->dir = dir;
	g->conf.base = base;
	g->avail_idx = base;
	g->seen_used = base;
	g->conf.avail->idx = htole16(base);
	g->conf.used->idx = htole16(base);
	start_queue(g);
	(void)signals(g); /* of a queue before this one */
	vsw_virtq_flush(&g->vq);
	assert_int_equal(signals(g), 1);
	g->counters.value[VSW_CTR_SIGNALS] = 0;
}

static inline void
guest_stop(struct guest *g)
{
	vsw_virtq_stop(&g->vq);
}

static inline void
put_desc(struct guest *g, uint16_t i, struct test_desc d)
{
	g->conf.desc[i] = (struct vring_desc){htole64(d.addr), htole32(d.len), htole16(d.flags),
					      htole16(d.next)};
}

static inline void
put_table_entry(struct guest *g, uint64_t table, uint16_t i, struct test_desc d)
{
	const struct vring_desc raw = {htole64(d.addr), htole32(d.len), htole16(d.flags),
				       htole16(d.next)};

	guest_write(g, table + 16 * (uint64_t)i, &raw, sizeof(raw));
}

static inline void
offer(struct guest *g, uint16_t head)
{
	g->conf.avail->ring[g->avail_idx++ & (g->conf.size - 1)] = htole16(head);
	__atomic_store_n(&g->conf.avail->idx, htole16(g->avail_idx), __ATOMIC_RELEASE);
}

static inline uint16_t
n_used(struct guest *g)
{
	uint16_t idx = le16toh(__atomic_load_n(&g->conf.used->idx, __ATOMIC_ACQUIRE));

	return idx - g->seen_used;
}

static inline void
assert_used(struct guest *g, uint32_t head, uint32_t len)
{
	const struct vring_used_elem *e;

	assert_int_not_equal(n_used(g), 0);
	e = &g->conf.used->ring[g->seen_used++ & (g->conf.size - 1)];
	assert_int_equal(le32toh(e->id), head);
	assert_int_equal(le32toh(e->len), len);
}

static inline void
assert_only_counter(const struct guest *g, int counter, uint64_t value, const char *what)
{
	for (int c = 0; c < VSW_N_COUNTERS; c++) {
		uint64_t expected = c == counter ? value : 0;

		if (c != VSW_CTR_SIGNALS && g->counters.value[c] != expected)
			fail_msg("%s: %s is %llu, not %llu", what, vsw_counter_name(c),
				 (unsigned long long)g->counters.value[c],
				 (unsigned long long)expected);
	}
}

/* One direct descriptor of 64 bytes at entry @p i. */
static inline void
put_simple(struct guest *g, uint16_t i)
{
	put_desc(
		g, i,
		(struct test_desc){DATA_GPA + 64 * (i & 1023), 64, g->dir == VSW_TO_GUEST ? W : 0});
}

static inline void
offer_simple(struct guest *g, uint16_t i)
{
	put_simple(g, i);
	offer(g, i);
}

static inline uint16_t
pop(struct guest *g, uint16_t max)
{
	return vsw_virtq_pop(&g->vq, &g->burst, max);
}

static inline void
pop_one(struct guest *g, uint16_t head)
{
	assert_int_equal(pop(g, 1), 1);
	assert_int_equal(g->burst.chain[0].head, head);
}

static inline uint64_t
new_seed(const char *what)
{
	const char *given = getenv("VSW_TEST_SEED");
	uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) ^ getpid();

	print_message("%s: VSW_TEST_SEED=%llu\n", what, (unsigned long long)seed);
	return seed * 0x9e3779b97f4a7c15ull | 1;
}

/* 0..n-1 */
static inline uint32_t
roll(uint64_t *rng, uint32_t n)
{
	*rng ^= *rng << 13;
	*rng ^= *rng >> 7;
	*rng ^= *rng << 17;
	return (uint32_t)(*rng >> 32) % n;
}

static inline void
shuffle(uint64_t *rng, uint16_t *v, uint32_t n)
{
	for (uint32_t i = n; i > 1; i--) {
		uint32_t j = roll(rng, i);
		uint16_t swap = v[i - 1];

		v[i - 1] = v[j];
		v[j] = swap;
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_create, guest_destroy)

#endif /* VIRTQ_GUEST_H */
