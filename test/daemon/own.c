/* SPDX-License-Identifier: BSD-3-Clause */
#include "own.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARGS_MAX 16

char own_dir[64];

const char *
expand(const char *text)
{
	static char arena[65536];
	static size_t at;
	char *start;

	if (at + 2 * strlen(text) + 4 * sizeof(own_dir) > sizeof(arena))
		at = 0;
	start = &arena[at];
	for (; *text != '\0'; text++) {
		if (*text == '$')
			at += (size_t)sprintf(&arena[at], "%s", own_dir);
		else
			arena[at++] = *text;
	}
	arena[at++] = '\0';
	return start;
}

void
spawn(struct daemon *d, const char *const *args)
{
	const char *argv[ARGS_MAX + 1] = {NULL};

	for (int i = 0; i < ARGS_MAX && args[i] != NULL; i++)
		argv[i] = expand(args[i]);
	if (d->log_fd >= 0)
		close(d->log_fd);
	daemon_spawn(d, argv);
}

const char *
log_of(const struct daemon *d)
{
	static char log[16384];

	daemon_log(d, log, sizeof(log));
	return log;
}

void
expect_ready(struct daemon *d)
{
	if (!daemon_wait_ready(d))
		fail_msg("vswd does not become ready: %s", log_of(d));
}

void
expect_exit(struct daemon *d, int status)
{
	int got = daemon_wait(d, 3 * WAIT_MS);

	if (got != status)
		fail_msg("vswd ended with %d, not %d: %s", got, status, log_of(d));
}

void
end(struct daemon *d)
{
	kill(d->pid, SIGTERM);
	expect_exit(d, 0);
}

bool
exists(const char *name)
{
	struct stat st;

	return lstat(expand(name), &st) == 0;
}
