/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsw connect: one connection to a guest's port, joined to standard input and output.
 *
 * The handshake's answer is read byte by byte: what follows its newline is the guest's.
 * End of input is passed on as a half-close, and the rest of what the guest says is still
 * printed. A refusal is an end of file instead of OK; that the path cannot be reached at all
 * is another matter, and another exit status.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <bsd/string.h>

#include "commands.h"
#include "vsw_number.h"
#include "vsw_version.h"

#define RETRY_MS 50

static const char help[] =
	"Usage: vsw connect [--wait[=SECONDS]] PATH|CID|NAME PORT\n"
	"\n"
	"Join standard input and output to a port of a guest, for example as ssh's\n"
	"ProxyCommand. PATH is the guest's uds-path; a CID stands for\n"
	"$VSW_RUN_DIR/vm<CID>.vsock, where VSW_RUN_DIR is " RUN_DIR " if it is not set;\n"
	"if that is not there, or for a NAME, vswd is asked at its API socket ($VSW_API,\n"
	"or $VSW_RUN_DIR/vsw.api).\n"
	"\n"
	"  -w, --wait[=SECONDS]  try until the guest accepts (at most SECONDS)\n"
	"  -h, --help            print this and exit\n"
	"\n"
	"Exit status: 0 the guest has closed in order; 1 wrong usage; 2 no vswd serves the\n"
	"path; 3 the guest refused: it does not run, or nobody listens on that port;\n"
	"4 the connection broke.\n"
	"\n"
	"Examples:\n"
	"  vsw connect /run/vsw/vm3.vsock 1234\n"
	"  ssh -o ProxyCommand='vsw connect --wait=30 3 22' root@vm3\n";

struct target {
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	uint32_t port;
};

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* All of it, also to a descriptor that somebody has made non-blocking. */
static bool
write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = {.fd = fd, .events = POLLOUT};

			poll(&p, 1, -1);
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* @return a socket on which vswd has said OK, or minus the exit status with @p why. */
static int
dial(const struct target *target, char *why, size_t why_size)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char line[32] = "";
	size_t len = 0;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strlcpy(addr.sun_path, target->path, sizeof(addr.sun_path));
	if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0) {
		snprintf(why, why_size, "cannot reach %s: %s", target->path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -EXIT_UNREACHABLE;
	}
	snprintf(line, sizeof(line), "CONNECT %u\n", target->port);
	if (write_all(fd, line, strlen(line))) {
		while (len < sizeof(line) - 1 && read(fd, line + len, 1) == 1 &&
		       line[len++] != '\n')
			;
	}
	if (len > 3 && strncmp(line, "OK ", 3) == 0 && line[len - 1] == '\n')
		return fd;
	close(fd);
	if (len > 0) {
		snprintf(why, why_size, "%s is not a socket of vswd: it does not answer with OK",
			 target->path);
		return -EXIT_UNREACHABLE;
	}
	snprintf(why, why_size, "%s refused port %u: the guest does not run, or nobody listens",
		 target->path, target->port);
	return -EXIT_REFUSED;
}

static int
dial_until(const struct target *target, int64_t deadline, char *why, size_t why_size)
{
	for (;;) {
		int fd = dial(target, why, why_size);

		if (fd >= 0 || now_ms() >= deadline)
			return fd;
		poll(NULL, 0, RETRY_MS);
	}
}

/* One way of the conversation. */
struct pipe_end {
	int from;
	int to;
	bool is_open;
};

/* @return bytes moved, 0: end of file, -1: error. */
static ssize_t
pump(const struct pipe_end *end)
{
	static char data[64 * 1024];
	ssize_t n = read(end->from, data, sizeof(data));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 1;
	if (n > 0 && !write_all(end->to, data, (size_t)n))
		return -1;
	return n;
}

static int
join(int fd)
{
	struct pipe_end to_guest = {STDIN_FILENO, fd, true};
	struct pipe_end from_guest = {fd, STDOUT_FILENO, true};

	while (from_guest.is_open) {
		struct pollfd p[] = {
			{.fd = from_guest.from, .events = POLLIN},
			{.fd = to_guest.is_open ? to_guest.from : -1, .events = POLLIN},
		};

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return EXIT_BROKEN;
		if (p[1].revents != 0 && pump(&to_guest) <= 0) {
			/* Our input is at its end, or the guest takes no more: say so, listen on.
			 */
			shutdown(fd, SHUT_WR);
			to_guest.is_open = false;
		}
		if (p[0].revents != 0) {
			ssize_t n = pump(&from_guest);

			/* vswd closed with input of ours unread: the guest has gone. */
			if (n < 0 && errno != ECONNRESET)
				return EXIT_BROKEN;
			from_guest.is_open = n > 0;
		}
	}
	return EXIT_SUCCESS;
}

/* A guest that is named, and whose socket is not where it would be by its CID: vswd knows,
 * if it has an API. */
static void
ask_for_path(struct target *target, const char *where)
{
#ifdef VSW_HAS_CLIENT
	char path[sizeof(target->path)];

	if (strchr(where, '/') == NULL && access(target->path, F_OK) != 0 &&
	    guest_uds_path(where, path, sizeof(path)))
		strlcpy(target->path, path, sizeof(target->path));
#endif
}

static const char *
parse_target(struct target *target, const char *where, const char *port)
{
	const char *run_dir = getenv("VSW_RUN_DIR");
	int len;

	if (where[0] != '\0' && where[strspn(where, "0123456789")] == '\0')
		len = snprintf(target->path, sizeof(target->path), "%s/vm%s.vsock",
			       run_dir != NULL ? run_dir : RUN_DIR, where);
	else
		len = snprintf(target->path, sizeof(target->path), "%s", where);
	if (len >= (int)sizeof(target->path))
		return "the path is longer than 107 characters";
	ask_for_path(target, where);
	return vsw_number_read_u32(port, 0, UINT32_MAX, &target->port)
		       ? NULL
		       : "the port is a number from 0 to 4294967295";
}

int
cmd_connect(int argc, char **argv)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'},
		{"wait", optional_argument, NULL, 'w'},
		{0},
	};
	struct target target;
	int64_t deadline = 0;
	uint32_t seconds;
	const char *wrong = NULL;
	char why[256];
	int c, fd;

	while ((c = getopt_long(argc, argv, "hw", options, NULL)) != -1) {
		switch (c) {
		case 'h':
			fputs(help, stdout);
			return EXIT_SUCCESS;
		case 'w':
			deadline = INT64_MAX;
			if (optarg == NULL)
				break;
			if (vsw_number_read_u32(optarg, 0, 1 << 30, &seconds))
				deadline = now_ms() + 1000 * (int64_t)seconds;
			else
				wrong = "--wait takes a number of seconds, as in --wait=30";
			break;
		default:
			fputs("Try vsw connect --help.\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (wrong == NULL && deadline == INT64_MAX && argc - optind == 3)
		wrong = "the seconds of --wait stand behind a =, as in --wait=30";
	if (wrong == NULL && argc - optind != 2)
		wrong = "it takes a PATH, CID or NAME, and a PORT";
	if (wrong == NULL)
		wrong = parse_target(&target, argv[optind], argv[optind + 1]);
	if (wrong != NULL) {
		fprintf(stderr, "vsw connect: %s\n", wrong);
		return EXIT_USAGE;
	}

	fd = dial_until(&target, deadline, why, sizeof(why));
	if (fd < 0) {
		fprintf(stderr, "vsw connect: %s\n", why);
		return -fd;
	}
	return join(fd);
}
