/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that connections keep their promises over hundreds of thousands of random steps,
 * between a Linux-like guest and a host and between two such guests (conn_model.c). Every
 * run has a seed of its own; a broken rule prints it, and VSW_SEED=<seed> repeats just that
 * run. VSW_RUNS=<n> makes more of them.
 */
#include <stdlib.h>
#include <time.h>

#include "vsw_test.h"

#include "conn_model.h"
#include "linux_guest.h"
#include "vsw_base.h"

#define N_RUNS 3000

static uint64_t seed;

_Noreturn void
model_broken(const char *file, int line, const char *what)
{
	print_error("%s:%d: broken: %s\nrepeat with VSW_SEED=%llu\n", file, line, what,
		    (unsigned long long)seed);
	fail();
	abort(); /* not reached */
}

static void
run(struct model_stats *stats)
{
	struct choices choices = {.rng = seed};
	static const uint32_t lengths[] = {50, 500, 2000, 6000};

	conn_model_run(&choices, lengths[choose(&choices, VSW_ARRAY_SIZE(lengths))], stats);
}

static void
check_coverage(const struct model_stats *stats)
{
	for (int reason = VSW_CONN_REASON_NONE + 1; reason < VSW_CONN_N_REASONS; reason++) {
		if (stats->n_reasons[reason] == 0)
			fail_msg("no connection ended because: %s", vsw_conn_reason_str(reason));
	}
	for (int op = VSW_OP_RESPONSE; op <= VSW_OP_CREDIT_REQUEST; op++) {
		assert_int_not_equal(stats->n_inputs[VSW_CONN_OPENING][op], 0);
		assert_int_not_equal(stats->n_inputs[VSW_CONN_REQUESTING][op], 0);
		assert_int_not_equal(stats->n_inputs[VSW_CONN_ESTABLISHED][op], 0);
	}
	for (int ev = 0; ev < VSW_CONN_N_EVENTS; ev++) {
		uint64_t n = 0;

		for (int s = 0; s < VSW_CONN_CLOSED; s++)
			n += stats->n_events[s][ev];
		assert_int_not_equal(n, 0);
	}
	assert_int_equal(stats->all_actions, 0x7ff);
	assert_int_not_equal(stats->n_stalls, 0);
}

static void
test_random_conversations_break_no_rule(void **state)
{
	const char *again = getenv("VSW_SEED"), *runs = getenv("VSW_RUNS");
	struct model_stats stats = {0};
	unsigned long n_runs = runs != NULL ? strtoul(runs, NULL, 0) : N_RUNS;

	if (again != NULL) {
		seed = strtoull(again, NULL, 0);
		run(&stats);
		return;
	}
	seed = (uint64_t)time(NULL) << 20;
	print_message("seeds from %llu\n", (unsigned long long)seed);
	for (unsigned long i = 0; i < n_runs; i++, seed++)
		run(&stats);
	print_message("%llu steps, %llu MiB, %llu stalls\n", (unsigned long long)stats.n_steps,
		      (unsigned long long)stats.n_bytes >> 20, (unsigned long long)stats.n_stalls);
	check_coverage(&stats);
}

/* The steps may come from bytes as well; when they are used up, everybody goes home. */
static void
test_a_conversation_can_be_steered_by_bytes(void **state)
{
	static uint8_t bytes[4096];
	struct model_stats stats = {0};

	for (seed = 1; seed <= 100; seed++) {
		struct choices rng = {.rng = seed};
		struct choices choices = {.byte = bytes, .n_bytes = choose(&rng, sizeof(bytes))};

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)choose(&rng, 256);
		conn_model_run(&choices, 1000, &stats);
	}
	assert_uint_in_range(stats.n_steps, 1000, 100000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_conversations_break_no_rule),
		cmocka_unit_test(test_a_conversation_can_be_steered_by_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
