/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What this machine can do, at this minute, without any switch: the fingerprint that tells a
 * quiet pass of a benchmark from a noisy one, and the price of the copies nobody can avoid.
 *
 * Two threads, one on the first and one on the last of the allowed cpus, meet in a word of
 * memory: whoever finds its own number in it may go on.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "rig.h"

#define COPY_LEN 65536
#define N_COPIES 400
#define N_TURNS 20000
#define N_SPINS 20000000u

struct pair {
	_Alignas(64) atomic_uint turn;
	_Alignas(64) uint8_t source[COPY_LEN];
	uint8_t copy[COPY_LEN];
	int cpu;
};

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t
median(uint64_t *values, size_t n)
{
	qsort(values, n, sizeof(*values), compare);
	return values[n / 2];
}

static void
pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

/* Arithmetic that depends on itself: no memory, no kernel, only this cpu's share of time. */
static double
spin_ms(void)
{
	uint64_t x = 88172645463325252ull, begin = vsw_now_ns();

	for (unsigned int i = 0; i < N_SPINS; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		__asm__ __volatile__("" : "+r"(x));
	}
	return (double)(vsw_now_ns() - begin) * 1e-6;
}

static double
local_copy_gbs(struct pair *p)
{
	static uint64_t ns[N_COPIES];

	for (unsigned int i = 0; i < N_COPIES; i++) {
		uint64_t begin = vsw_now_ns();

		for (unsigned int k = 0; k < 8; k++) {
			memcpy(p->copy, p->source, COPY_LEN);
			__asm__ __volatile__("" ::: "memory");
		}
		ns[i] = (vsw_now_ns() - begin) / 8;
	}
	return (double)COPY_LEN / (double)median(ns, N_COPIES);
}

static void
await(struct pair *p, unsigned int turn)
{
	while (atomic_load_explicit(&p->turn, memory_order_acquire) != turn)
		__builtin_ia32_pause();
}

static void
pass(struct pair *p, unsigned int turn)
{
	atomic_store_explicit(&p->turn, turn, memory_order_release);
}

/* The other thread: answers, then makes the source new for each copy. */
static void *
answer(void *arg)
{
	struct pair *p = arg;

	pin(p->cpu);
	for (unsigned int i = 0; i < N_TURNS; i++) {
		await(p, 2 * i + 1);
		pass(p, 2 * i + 2);
	}
	for (unsigned int i = 0; i < N_COPIES; i++) {
		await(p, 2 * (N_TURNS + i) + 1);
		memset(p->source, (int)i, COPY_LEN);
		pass(p, 2 * (N_TURNS + i) + 2);
	}
	return NULL;
}

static void
across(struct pair *p, double *line_ns, double *copy_gbs)
{
	static uint64_t ns[N_TURNS];
	pthread_t thread;

	if (pthread_create(&thread, NULL, answer, p) != 0)
		abort();
	for (unsigned int i = 0; i < N_TURNS; i++) {
		uint64_t begin = vsw_now_ns();

		pass(p, 2 * i + 1);
		await(p, 2 * i + 2);
		ns[i] = vsw_now_ns() - begin;
	}
	*line_ns = (double)median(ns, N_TURNS);
	for (unsigned int i = 0; i < N_COPIES; i++) {
		uint64_t begin;

		pass(p, 2 * (N_TURNS + i) + 1);
		await(p, 2 * (N_TURNS + i) + 2);
		begin = vsw_now_ns();
		memcpy(p->copy, p->source, COPY_LEN);
		__asm__ __volatile__("" ::: "memory");
		ns[i] = vsw_now_ns() - begin;
	}
	*copy_gbs = (double)COPY_LEN / (double)median(ns, N_COPIES);
	pthread_join(thread, NULL);
}

int
cmd_limits(const struct options *opt)
{
	static struct pair p;
	double spin, local, line_ns = 0, copy_gbs = 0;
	int first = -1;
	cpu_set_t set;

	sched_getaffinity(0, sizeof(set), &set);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &set)) {
			first = first < 0 ? cpu : first;
			p.cpu = cpu;
		}
	}
	pin(first);
	spin = spin_ms();
	memset(p.source, 1, COPY_LEN);
	local = local_copy_gbs(&p);
	/* On one cpu they would wait for each other's time slice. */
	if (p.cpu != first)
		across(&p, &line_ns, &copy_gbs);
	printf(opt->is_json
		       ? "{\"spin_ms\": %.3f, \"copy_gbytes_per_s\": %.3f, "
			 "\"cross_line_ns\": %.1f, \"cross_copy_gbytes_per_s\": %.3f}\n"
		       : "spin %.2f ms; copy of 64 KiB %.2f GB/s; between cpus: cache line and "
			 "back %.0f ns, copy %.2f GB/s\n",
	       spin, local, line_ns, copy_gbs);
	return 0;
}
