/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsw connect: one connection to an endpoint, joined to standard input and output, or passed to
 * who called us.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "dial.h"
#include "fd.h"
#include "relay.h"
#include "vsw_now.h"

#define RETRY_MS 50

const char connect_more[] =
	"A GUEST is its name, its CID or its uds-path; a CID stands for\n"
	"$VSW_RUN_DIR/vm<CID>.vsock, where VSW_RUN_DIR is " RUN_DIR " if it is not set; if that\n"
	"is not there, or for a name, vswd is asked at its API socket. In a guest the CID 2\n"
	"is its host, others are siblings. An ENDPOINT is also tcp:HOST:PORT, unix:PATH or\n"
	"vsock:CID:PORT.\n"
	"\n"
	"Exit status: 0 the other side has closed in order; 1 wrong usage; 2 no vswd serves\n"
	"the path; 3 the guest refused: it does not run, or nobody listens on that port;\n"
	"4 the connection broke.\n"
	"\n"
	"Examples:\n"
	"  vsw connect web 1234\n"
	"  vsw connect /run/vsw/vm3.vsock 1234\n"
	"  ssh -o ProxyCommand='vsw connect --wait=30 3 22' root@vm3\n";

/* GUEST PORT is GUEST:PORT. ssh hands us its host as it was written: vsw/web, or vsw%web, which
 * scp does not take for a path. */
static bool
parse_target(struct endpoint *to, const struct args *args, char why[WHY_SIZE])
{
	const char *where = args->argv[0];
	char *both = NULL;
	bool is_right;

	if (strncmp(where, "vsw/", 4) == 0 || strncmp(where, "vsw%", 4) == 0)
		where += 4;
	if (args->argc == 1)
		return endpoint_parse(to, where, why);
	if (asprintf(&both, "%s:%s", where, args->argv[1]) < 0) {
		snprintf(why, WHY_SIZE, "out of memory");
		return false;
	}
	is_right = endpoint_parse(to, both, why);
	free(both);
	return is_right;
}

static int
dial_until(struct dial *dial, const struct endpoint *to, int64_t deadline)
{
	for (;;) {
		int fd = dial_wait(dial, to);

		if (fd >= 0 || vsw_now_ms() >= deadline)
			return fd;
		poll(NULL, 0, RETRY_MS);
	}
}

/* As nc -F does it, and ssh's ProxyUseFdpass wants it: a byte, and the descriptor with it. */
static int
pass(const struct args *args, int fd)
{
	char byte = '\0';
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr hdr = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&hdr);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	fd_make_blocking(fd);
	if (sendmsg(STDOUT_FILENO, &hdr, MSG_NOSIGNAL) == 1)
		return EXIT_SUCCESS;
	if (errno == ENOTSOCK)
		return complain(args, EXIT_USAGE,
				"--fdpass: standard output is no socket; this is for ssh's "
				"ProxyUseFdpass");
	return complain(args, EXIT_BROKEN, "--fdpass: %s", strerror(errno));
}

static int
join(const struct args *args, int fd)
{
	struct relay *relay = relay_create(args);
	int status;

	if (relay == NULL || !relay_join_stdio(relay, fd))
		return complain(args, EXIT_BROKEN, "out of memory");
	status = relay_run(relay);
	relay_destroy(relay);
	return status;
}

int
cmd_connect(struct args *args)
{
	int64_t deadline = 0;
	struct endpoint to;
	struct dial dial;
	char why[WHY_SIZE];
	int fd;

	if (args->argc == 3)
		return complain(args, EXIT_USAGE,
				args->is_waiting && args->seconds == 0
					? "the seconds of --wait stand behind a =, as in --wait=30"
					: "it takes GUEST and PORT, or an ENDPOINT");
	if (!parse_target(&to, args, why) || !endpoint_can_connect(&to, why))
		return complain(args, EXIT_USAGE, "%s", why);
	if (args->is_waiting)
		deadline = args->seconds > 0 ? vsw_now_ms() + 1000 * (int64_t)args->seconds
					     : INT64_MAX;
	fd = dial_until(&dial, &to, deadline);
	if (fd < 0)
		return complain(args, dial.status, "%s", dial.why);
	return args->is_fdpass ? pass(args, fd) : join(args, fd);
}
