/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preloaded into vswd by test_idle: a loop with nothing to do sleeps for a minute instead of its
 * 200 ms. Those bound the harm of a wake-up that is lost; here it is to be seen.
 *
 * A shorter sleep ends with a timer of vswd, and stays.
 */
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

/* SLEEP_MAX_MS of lib/fabric/loop.c. */
#define LONGEST_MS 200
#define DEEP_MS 60000

int
epoll_wait(int fd, struct epoll_event *events, int n, int timeout_ms)
{
	if (timeout_ms == LONGEST_MS)
		timeout_ms = DEEP_MS;
	return (int)syscall(SYS_epoll_wait, fd, events, n, timeout_ms);
}
