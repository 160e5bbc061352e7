/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves the table: what was added is found and nothing else, at any size and
 * in any order of leaving; that keys a guest picks cost no more than others;
 * and the promises about the ports handed out to hosts.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "conn_case.h"
#include "vsw_conn_table.h"

#define N_CONNS 10000u
#define LOW_FIRST 1024u
#define LOW_LAST 65535u
#define N_LOW (LOW_LAST - LOW_FIRST + 1)
#define HIGH_FIRST (1u << 30)

static bool no_memory;

/* Memory runs out on demand. */
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *
__wrap_calloc(size_t n, size_t size)
{
	return no_memory ? NULL : __real_calloc(n, size);
}

struct fixture {
	struct vsw_conn_table table;
	struct vsw_conn *conn; /* N_LOW + 100 of them */
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->conn = calloc(N_LOW + 100, sizeof(*f->conn));
	*state = f;
	return vsw_conn_table_init(&f->table, 1);
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	no_memory = false;
	vsw_conn_table_fini(&f->table);
	free(f->conn);
	free(f);
	return 0;
}

static struct vsw_conn *
add(struct fixture *f, uint32_t i, uint32_t guest_port, uint32_t cid, uint32_t far_port)
{
	vsw_conn_init_to_guest(&f->conn[i], GUEST_CID, guest_port, cid, far_port);
	vsw_conn_table_add(&f->table, &f->conn[i]);
	return &f->conn[i];
}

static struct vsw_conn *
find(const struct fixture *f, const struct vsw_conn *conn)
{
	return vsw_conn_table_find(&f->table, conn->guest_port, conn->far_cid, conn->far_port);
}

/* The i-th key of a kind that a guest may choose. */
static void
pick_key(unsigned int kind, uint32_t i, uint32_t key[3])
{
	static const uint32_t fixed[3] = {5000, VSW_CID_HOST, 52};

	for (int k = 0; k < 3; k++)
		key[k] = fixed[k];
	switch (kind) {
	case 0: /* many to one port */
		key[0] += i;
		break;
	case 1: /* one to many ports */
		key[2] += i;
		break;
	case 2: /* the same sum and the same xor */
		key[0] = i;
		key[2] = i;
		break;
	case 3: /* differing in high bits only */
		key[0] = i << 16;
		break;
	case 4: /* a square, several siblings */
		key[0] = i / 100;
		key[1] = 3 + i % 4;
		key[2] = i % 100 / 4;
		break;
	}
}
#define N_KEY_KINDS 5u

static void
fill(struct fixture *f, unsigned int kind)
{
	for (uint32_t i = 0; i < N_CONNS; i++) {
		uint32_t key[3];

		pick_key(kind, i, key);
		add(f, i, key[0], key[1], key[2]);
	}
}

static void
test_what_was_added_is_found_and_nothing_else(void **state)
{
	struct fixture *f = *state;

	for (unsigned int kind = 0; kind < N_KEY_KINDS; kind++) {
		fill(f, kind);
		assert_int_equal(f->table.n_conns, N_CONNS);
		for (uint32_t i = 0; i < N_CONNS; i++)
			assert_ptr_equal(find(f, &f->conn[i]), &f->conn[i]);
		/* one field off is another connection */
		assert_null(vsw_conn_table_find(&f->table, 77777777, VSW_CID_HOST, 52));
		assert_null(vsw_conn_table_find(&f->table, 5000, 99, 52));
		assert_null(vsw_conn_table_find(&f->table, 5000, VSW_CID_HOST, 77777777));
		for (uint32_t i = 0; i < N_CONNS; i++) {
			const struct vsw_conn *c = &f->conn[i];

			assert_null(vsw_conn_table_find(&f->table, c->guest_port, 1000 + i,
							c->far_port));
		}

		/* out again, every other first, in both directions */
		for (uint32_t i = 0; i < N_CONNS; i += 2)
			vsw_conn_table_remove(&f->table, &f->conn[i]);
		for (uint32_t i = 0; i < N_CONNS; i++)
			assert_ptr_equal(find(f, &f->conn[i]), i % 2 == 0 ? NULL : &f->conn[i]);
		for (uint32_t i = N_CONNS - 1; i < N_CONNS; i -= 2)
			vsw_conn_table_remove(&f->table, &f->conn[i]);
		assert_int_equal(f->table.n_conns, 0);
		for (uint32_t i = 0; i < N_CONNS; i++)
			assert_null(find(f, &f->conn[i]));
	}
}

static void
test_a_removed_key_may_come_back(void **state)
{
	struct fixture *f = *state;
	struct vsw_conn *old = add(f, 0, 1, 2, 3);

	add(f, 1, 2, 2, 3);
	vsw_conn_table_remove(&f->table, old);
	add(f, 2, 1, 2, 3);
	assert_ptr_equal(find(f, old), &f->conn[2]);
	vsw_conn_table_remove(&f->table, &f->conn[2]);
	assert_null(find(f, old));
	assert_ptr_equal(find(f, &f->conn[1]), &f->conn[1]);
}

static unsigned int
longest_chain(const struct vsw_conn_table *table)
{
	unsigned int longest = 0;

	for (uint32_t b = 0; b < table->n_buckets; b++) {
		unsigned int n = 0;

		for (const struct vsw_conn *c = table->bucket[b]; c != NULL; c = c->hash_next)
			n++;
		if (n > longest)
			longest = n;
	}
	return longest;
}

static void
test_no_choice_of_keys_makes_long_chains(void **state)
{
	for (uint32_t seed = 0; seed < 20; seed++) {
		struct fixture *f = *state;

		vsw_conn_table_fini(&f->table);
		assert_int_equal(vsw_conn_table_init(&f->table, seed * 0x01010101u), 0);
		for (unsigned int kind = 0; kind < N_KEY_KINDS; kind++) {
			fill(f, kind);
			assert_true(f->table.n_buckets >= N_CONNS);
			assert_true(f->table.n_buckets < 4 * N_CONNS);
			/* a perfect hash would have about 8 at this load */
			assert_uint_in_range(longest_chain(&f->table), 2, 14);
			for (uint32_t i = 0; i < N_CONNS; i++)
				vsw_conn_table_remove(&f->table, &f->conn[i]);
		}
	}
}

static void
test_the_seed_moves_the_keys(void **state)
{
	struct vsw_conn conn[2];
	struct vsw_conn_table a, b;
	unsigned int n_same = 0;

	for (uint32_t i = 0; i < 640; i++) {
		uint32_t at[2] = {0, 0};

		vsw_conn_table_init(&a, 2 * i);
		vsw_conn_table_init(&b, 2 * i + 1);
		for (int t = 0; t < 2; t++) {
			struct vsw_conn_table *table = t == 0 ? &a : &b;

			vsw_conn_init_to_guest(&conn[t], GUEST_CID, 1, 2, 3);
			vsw_conn_table_add(table, &conn[t]);
			while (table->bucket[at[t]] == NULL)
				at[t]++;
		}
		n_same += at[0] == at[1];
		vsw_conn_table_fini(&a);
		vsw_conn_table_fini(&b);
	}
	/* one in 64 by chance */
	assert_uint_in_range(n_same, 1, 40);
}

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A guest has all its connections to one port and closes them, oldest first and
 * newest first: a search through the list of that port would take N^2/2 = 50
 * million steps. */
static void
test_removal_does_not_search_the_port(void **state)
{
	struct fixture *f = *state;
	double best = 1e9;

	for (int round = 0; round < 4; round++) {
		double begin;

		fill(f, 0);
		begin = seconds();
		for (uint32_t i = 0; i < N_CONNS; i++)
			vsw_conn_table_remove(&f->table,
					      &f->conn[round % 2 == 0 ? i : N_CONNS - 1 - i]);
		begin = seconds() - begin;
		if (begin < best)
			best = begin;
		assert_true(begin < 0.04);
	}
	print_message("%.0f ns each\n", best / N_CONNS * 1e9);
}

/* Ports for hosts */

static void
test_ports_go_round_from_a_random_start(void **state)
{
	uint32_t first[3];

	for (uint32_t i = 0; i < 3; i++) {
		static const uint32_t seeds[] = {0, N_LOW - 1, 123456789};
		struct vsw_conn_table table;
		uint32_t port;

		assert_int_equal(vsw_conn_table_init(&table, seeds[i]), 0);
		port = vsw_conn_table_far_port(&table, VSW_CID_HOST);
		first[i] = port;
		for (uint32_t n = 1; n < N_LOW; n++) {
			uint32_t next = vsw_conn_table_far_port(&table, VSW_CID_HOST);

			assert_int_equal(next, port == LOW_LAST ? LOW_FIRST : port + 1);
			port = next;
		}
		/* all of them once, and then the first again */
		assert_int_equal(vsw_conn_table_far_port(&table, VSW_CID_HOST), first[i]);
		vsw_conn_table_fini(&table);
	}
	assert_int_equal(first[0], LOW_FIRST);
	assert_int_equal(first[1], LOW_LAST);
	assert_uint_in_range(first[2], LOW_FIRST, LOW_LAST);
}

static void
test_a_port_in_use_is_passed_over_whoever_opened_it(void **state)
{
	struct fixture *f = *state;
	uint32_t next = vsw_conn_table_far_port(&f->table, VSW_CID_HOST) + 1;
	struct vsw_pkt request = {.src_cid = GUEST_CID, .dst_cid = VSW_CID_HOST, .src_port = 9};

	/* of the guest, of the host, of both; several to one port */
	request.dst_port = next;
	vsw_conn_init_from_guest(&f->conn[0], &request, false);
	vsw_conn_table_add(&f->table, &f->conn[0]);
	add(f, 1, 22, VSW_CID_HOST, next + 1);
	add(f, 2, 23, VSW_CID_HOST, next + 1);
	/* with another far end it does not count */
	add(f, 3, 22, SIBLING_CID, next + 2);
	assert_int_equal(vsw_conn_table_far_port(&f->table, VSW_CID_HOST), next + 2);
	assert_int_equal(vsw_conn_table_far_port(&f->table, SIBLING_CID), next + 3);

	/* until the last of a port is gone */
	f->table.next_port = next;
	vsw_conn_table_remove(&f->table, &f->conn[0]);
	vsw_conn_table_remove(&f->table, &f->conn[2]);
	assert_int_equal(vsw_conn_table_far_port(&f->table, VSW_CID_HOST), next);
	f->table.next_port = next + 1;
	assert_int_equal(vsw_conn_table_far_port(&f->table, VSW_CID_HOST), next + 2);
	vsw_conn_table_remove(&f->table, &f->conn[1]);
	f->table.next_port = next + 1;
	assert_int_equal(vsw_conn_table_far_port(&f->table, VSW_CID_HOST), next + 1);
}

static void
test_a_port_that_siblings_use_is_free_for_the_host(void **state)
{
	struct fixture *f = *state;

	/* so many in few buckets that some share the one that is looked at */
	for (uint32_t seed = 0; seed < 20; seed++) {
		uint32_t port = LOW_FIRST + seed;

		vsw_conn_table_fini(&f->table);
		assert_int_equal(vsw_conn_table_init(&f->table, seed), 0);
		for (uint32_t i = 0; i < 60; i++)
			add(f, i, 22, SIBLING_CID + i, port);
		assert_int_equal(vsw_conn_table_far_port(&f->table, VSW_CID_HOST), port);
	}
}

static void
test_high_ports_serve_when_the_low_ones_are_used_up(void **state)
{
	struct fixture *f = *state;
	uint32_t n = 0;

	for (; n < N_LOW; n++) {
		uint32_t port = vsw_conn_table_far_port(&f->table, VSW_CID_HOST);

		assert_uint_in_range(port, LOW_FIRST, LOW_LAST);
		add(f, n, 22, VSW_CID_HOST, port);
	}
	add(f, n++, 22, VSW_CID_HOST, HIGH_FIRST + 1); /* the guest's doing */
	for (uint32_t i = 0; i < 3; i++) {
		uint32_t port = vsw_conn_table_far_port(&f->table, VSW_CID_HOST);

		assert_int_equal(port, HIGH_FIRST + i + (i > 0));
		add(f, n++, 22, VSW_CID_HOST, port);
	}
	/* they go round, too, and never give "any" */
	f->table.next_high_port = UINT32_MAX - 1;
	assert_int_equal(vsw_conn_table_far_port(&f->table, VSW_CID_HOST), UINT32_MAX - 1);
	assert_int_equal(vsw_conn_table_far_port(&f->table, VSW_CID_HOST), HIGH_FIRST + 4);
	/* one low port comes free, right behind where the search begins */
	vsw_conn_table_remove(&f->table, &f->conn[500]);
	f->table.next_port = f->conn[501].far_port;
	assert_int_equal(vsw_conn_table_far_port(&f->table, VSW_CID_HOST), f->conn[500].far_port);
}

/* Memory */

static void
test_no_memory_for_a_table_is_said(void **state)
{
	struct vsw_conn_table table;
	int result;

	no_memory = true;
	result = vsw_conn_table_init(&table, 1);
	no_memory = false;
	assert_int_equal(result, -ENOMEM);
}

static void
test_a_table_that_cannot_grow_serves_all_the_same(void **state)
{
	struct fixture *f = *state;
	uint32_t i = 0;

	no_memory = true;
	for (; i < 1000; i++)
		add(f, i, i, VSW_CID_HOST, 52);
	no_memory = false;
	for (i = 0; i < 1000; i++)
		assert_ptr_equal(find(f, &f->conn[i]), &f->conn[i]);
	/* and grows when there is memory again */
	for (; i < 1010; i++)
		add(f, i, i, VSW_CID_HOST, 52);
	assert_true(f->table.n_buckets >= 1000);
	for (uint32_t k = 0; k < i; k++)
		assert_ptr_equal(find(f, &f->conn[k]), &f->conn[k]);
	for (uint32_t k = 0; k < i; k++)
		vsw_conn_table_remove(&f->table, &f->conn[k]);
	assert_int_equal(f->table.n_conns, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(test_what_was_added_is_found_and_nothing_else),
		T(test_a_removed_key_may_come_back),
		T(test_no_choice_of_keys_makes_long_chains),
		T(test_the_seed_moves_the_keys),
		T(test_removal_does_not_search_the_port),
		T(test_ports_go_round_from_a_random_start),
		T(test_a_port_in_use_is_passed_over_whoever_opened_it),
		T(test_a_port_that_siblings_use_is_free_for_the_host),
		T(test_high_ports_serve_when_the_low_ones_are_used_up),
		T(test_no_memory_for_a_table_is_said),
		T(test_a_table_that_cannot_grow_serves_all_the_same),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
