/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * EAL for unit tests: an ordinary user, no hugepages, no devices, nothing shared with other
 * processes, one lcore that floats over the cpus; and what tests of loops need beside it.
 */
#ifndef VSW_TEST_EAL_H
#define VSW_TEST_EAL_H

#include "vsw_test.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_timer.h>

#include "vsw_base.h"
#include "vsw_now.h"

/** For everything that must happen: generous, the machine is slow and busy. */
#define WAIT_MS 10000

static char eal_dir[] = "/tmp/vsw-unit-XXXXXX";

/* "0@(0,1,5)": lcore 0 on any cpu that this process may use. Threads inherit it. */
static inline void
eal_lcores(char *arg, size_t size)
{
	size_t len = (size_t)snprintf(arg, size, "--lcores=0@(");
	const char *comma = "";
	cpu_set_t set;

	sched_getaffinity(0, sizeof(set), &set);
	for (int cpu = 0; cpu < CPU_SETSIZE && len + 8 < size; cpu++) {
		if (!CPU_ISSET(cpu, &set))
			continue;
		len += (size_t)snprintf(arg + len, size - len, "%s%d", comma, cpu);
		comma = ",";
	}
	snprintf(arg + len, size - len, ")");
}

/** Start EAL and its timers. @return 0 or -1, for main(). */
static inline int
eal_up(void)
{
	char lcores[4096], prefix[64];
	char *argv[] = {
		(char *)(uintptr_t) "test",
		lcores,
		prefix,
		(char *)(uintptr_t) "--no-huge",
		(char *)(uintptr_t) "--no-shconf",
		(char *)(uintptr_t) "--no-pci",
		(char *)(uintptr_t) "--no-telemetry",
		(char *)(uintptr_t) "--log-level=lib.eal:error",
		(char *)(uintptr_t) "-m64",
		NULL,
	};

	if (mkdtemp(eal_dir) == NULL)
		return -1;
	setenv("RUNTIME_DIRECTORY", eal_dir, 1);
	eal_lcores(lcores, sizeof(lcores));
	snprintf(prefix, sizeof(prefix), "--file-prefix=vsw-unit-%d", (int)getpid());
	if (rte_eal_init((int)VSW_ARRAY_SIZE(argv) - 1, argv) < 0)
		return -1;
	return rte_timer_subsystem_init();
}

/** Stop EAL and remove its folder. */
static inline void
eal_down(void)
{
	char path[256];

	rte_timer_subsystem_finalize();
	rte_eal_cleanup();
	snprintf(path, sizeof(path), "%s/dpdk/vsw-unit-%d", eal_dir, (int)getpid());
	rmdir(path);
	snprintf(path, sizeof(path), "%s/dpdk", eal_dir);
	rmdir(path);
	rmdir(eal_dir);
}

static inline uint64_t
now_us(void)
{
	return vsw_now_ns() / 1000;
}

static inline uint64_t
now_ms(void)
{
	return now_us() / 1000;
}

/** Wait for @p cond, doing @p step; fail with a sentence at the deadline. */
#define WAIT_UNTIL(cond, step, ...)                                                                \
	do {                                                                                       \
		uint64_t deadline_ = now_ms() + WAIT_MS;                                           \
                                                                                                   \
		while (!(cond)) {                                                                  \
			if (now_ms() >= deadline_)                                                 \
				fail_msg("waited 10 s for " __VA_ARGS__);                          \
			step;                                                                      \
		}                                                                                  \
	} while (0)

#endif /* VSW_TEST_EAL_H */
