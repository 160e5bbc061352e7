/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsw capture: vswd sends a pcap file as long as it is asked for; it is written as it comes.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "http.h"

static int interrupted;

static void
on_signal(int number)
{
	__atomic_store_n(&interrupted, 1, __ATOMIC_RELAXED);
}

/* @return false: the reader has gone, or we are told to end. */
static bool
write_on(void *ctx, const char *data, size_t len)
{
	const int *fd = ctx;

	while (len > 0) {
		ssize_t n = write(*fd, data, len);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return true;
}

static char *
path_of(const struct args *args)
{
	char *guest = args->guest != NULL ? http_escape(args->guest) : NULL;
	char *path = NULL;
	char port[32] = "";

	if (args->has_port)
		snprintf(port, sizeof(port), "&port=%u", args->port);
	if (asprintf(&path, "/capture?snaplen=%u%s%s%s", args->snaplen,
		     guest != NULL ? "&guest=" : "", guest != NULL ? guest : "", port) < 0)
		path = NULL;
	free(guest);
	return path;
}

int
cmd_capture(struct args *args)
{
	bool is_stdout = args->file == NULL || strcmp(args->file, "-") == 0;
	int fd = STDOUT_FILENO;
	char *path;
	int status;

	if (is_stdout && isatty(STDOUT_FILENO))
		return complain(
			args, EXIT_USAGE,
			"a capture is no text: name a file by -w, or pipe it to tshark -r -");
	if (!is_stdout)
		fd = open(args->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return complain(args, EXIT_USAGE, "%s: %s", args->file, strerror(errno));
	/* What has come so far is a whole file, so an interrupt is an ordinary end. */
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	path = path_of(args);
	status = path != NULL ? http_stream(args, path, write_on, &fd, &interrupted)
			      : complain(args, EXIT_BROKEN, "out of memory");
	free(path);
	if (!is_stdout && close(fd) != 0)
		return complain(args, EXIT_BROKEN, "%s: %s", args->file, strerror(errno));
	return status;
}
