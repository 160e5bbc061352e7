/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The watchdog is fed only when the control lcore has answered and every loop has made a turn
 * since the time before: a loop that sleeps still makes some each second (lib/fabric/loop.c).
 */
#include "service.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_lcore.h>

#include <systemd/sd-daemon.h>

#include "vsw_compat.h"
#include "vsw_mutex.h"

/* How often it is looked whether all is ready, and how often at all, milliseconds. */
#define STARTING_MS 50
#define TICK_MS 2000

static struct {
	struct vsw_control *control;
	vsw_thread thread;
	bool is_running;
	uint64_t tick_ms;
	bool is_ready;
	bool is_going;
	char status[64]; /* as told last */
	uint64_t n_turns[RTE_MAX_LCORE];
} service;

static struct vsw_mutex lock = VSW_MUTEX_INITIALIZER;
static pthread_cond_t ending = PTHREAD_COND_INITIALIZER;
static bool is_ending VSW_GUARDED_BY(lock);

/* @return true when every lcore has made a turn since the last call. */
static bool
makes_progress(void)
{
	struct vsw_lcore_info *lcores = NULL;
	char error[VSW_ERROR_SIZE];
	bool does = true;
	unsigned int n;

	if (vsw_control_list_lcores(service.control, &lcores, &n, error) != 0)
		return false;
	for (unsigned int i = 0; i < n; i++) {
		uint64_t *before = &service.n_turns[lcores[i].lcore];

		does = does && lcores[i].stats.n_turns != *before;
		*before = lcores[i].stats.n_turns;
	}
	free(lcores);
	return does;
}

static void
tell_state(void)
{
	struct vsw_control_info info;
	char error[VSW_ERROR_SIZE], status[sizeof(service.status)];

	if (vsw_control_info(service.control, &info, error) != 0)
		return;
	if (info.is_ready && !service.is_ready)
		sd_notify(0, "READY=1");
	if (info.is_going && !service.is_going)
		sd_notify(0, "STOPPING=1");
	service.is_ready |= info.is_ready;
	service.is_going |= info.is_going;
	snprintf(status, sizeof(status), "%u guests, %u connections", info.n_guests, info.n_conns);
	if (!service.is_ready || strcmp(status, service.status) == 0)
		return;
	memcpy(service.status, status, sizeof(status));
	sd_notifyf(0, "STATUS=%s", status);
}

/* @return false when it is time to end. */
static bool
wait_a_tick(void)
{
	uint64_t ms = service.is_ready ? service.tick_ms : STARTING_MS;
	struct timespec until;
	bool goes_on;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	vsw_mutex_lock(&lock);
	if (!is_ending)
		pthread_cond_timedwait(&ending, &lock.mutex, &until);
	goes_on = !is_ending;
	vsw_mutex_unlock(&lock);
	return goes_on;
}

static vsw_thread_ret
service_main(void *arg)
{
	do {
		tell_state();
		/* Closing down has a deadline of its own. */
		if (makes_progress() || service.is_going)
			sd_notify(0, "WATCHDOG=1");
	} while (wait_a_tick());
	return 0;
}

void
service_start(struct vsw_control *control)
{
	const char *notify_socket = getenv("NOTIFY_SOCKET");
	uint64_t watchdog_us = 0;

	if (notify_socket == NULL)
		return;
	service.control = control;
	service.tick_ms = TICK_MS;
	if (sd_watchdog_enabled(0, &watchdog_us) > 0 && watchdog_us / 3000 < TICK_MS)
		service.tick_ms = watchdog_us / 3000;
	/* Below that a loop that sleeps would not have made its turn. */
	if (service.tick_ms < 300)
		service.tick_ms = 300;
	service.is_running = vsw_thread_create(&service.thread, "vsw-service", service_main, NULL);
}

void
service_stop(void)
{
	if (!service.is_running)
		return;
	vsw_mutex_lock(&lock);
	is_ending = true;
	pthread_cond_signal(&ending);
	vsw_mutex_unlock(&lock);
	vsw_thread_join(service.thread);
	if (!service.is_going)
		sd_notify(0, "STOPPING=1");
}
