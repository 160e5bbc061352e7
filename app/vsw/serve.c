/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsw serve: a port for the other side, as inetd does it. In a guest it is a port of AF_VSOCK,
 * on the host a port of the host as one guest sees it.
 */
#include <errno.h>
#include <linux/vm_sockets.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands.h"
#include "fd.h"
#include "forward.h"
#include "relay.h"
#include "vsw_number.h"

const char serve_more[] =
	"A COMMAND is run for each connection, which is its standard input and output. With\n"
	"--to each connection is joined to one to an ENDPOINT: tcp:HOST:PORT, unix:PATH,\n"
	"vsock:CID:PORT or GUEST:PORT.\n"
	"In a guest, PORT is one of its own. On the host it is the port of CID 2 that a guest\n"
	"connects to, and --guest says which guest.\n"
	"\n"
	"Examples:\n"
	"  vsw serve 22 -- /usr/sbin/sshd -i                     in a guest\n"
	"  vsw serve 445 --guest=web --to=tcp:[::1]:445          on the host\n";

struct service {
	const struct args *args;
	struct relay *relay;
	uint32_t n_children;
};

static bool
parse_at(struct endpoint *at, const struct args *args, char why[WHY_SIZE])
{
	uint32_t port;

	if (!vsw_number_read_u32(args->argv[0], 0, UINT32_MAX - 1, &port)) {
		snprintf(why, WHY_SIZE, "%s is wrong: the port is a number from 0 to 4294967294",
			 args->argv[0]);
		return false;
	}
	if (args->guest != NULL)
		return endpoint_of_guest(at, args->guest, port, why);
	endpoint_of_vsock(at, VMADDR_CID_ANY, port);
	return true;
}

/*
 * COMMAND.
 */

static int
spawn(char **argv, int fd)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, defaults;
	pid_t pid;
	int rc;

	sigemptyset(&none);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, fd, STDOUT_FILENO);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	rc = posix_spawnp(&pid, argv[0], &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

static void
on_accept(struct relay *relay, void *ctx, int fd)
{
	struct service *service = ctx;
	char **argv = service->args->argv + 1;
	int rc;

	fd_make_blocking(fd);
	rc = spawn(argv, fd);
	close(fd);
	if (rc != 0)
		complain(service->args, 0, "cannot run %s: %s", argv[0], strerror(rc));
	else if (++service->n_children >= service->args->max)
		relay_pause(relay, true);
}

static void
on_child(struct relay *relay, void *ctx)
{
	struct service *service = ctx;

	while (waitpid(-1, NULL, WNOHANG) > 0)
		service->n_children--;
	if (service->n_children < service->args->max)
		relay_pause(relay, false);
}

static int
serve_by_command(const struct args *args, const struct endpoint *at)
{
	struct service service = {.args = args, .relay = relay_create(args)};
	struct listening listening = {.fd = -1};
	char why[WHY_SIZE];
	int status;

	if (service.relay == NULL || !relay_take_signals(service.relay, on_child, &service))
		return complain(args, EXIT_BROKEN, "%s", strerror(errno));
	if (!listen_at(&listening, at, why))
		status = complain(args, EXIT_UNREACHABLE, "%s", why);
	else if (!relay_listen(service.relay, listening.fd, on_accept, &service))
		status = complain(args, EXIT_BROKEN, "out of memory");
	else {
		complain(args, 0, "%s is at %s", args->argv[1], at->text);
		status = relay_run(service.relay);
	}
	relay_destroy(service.relay);
	listen_end(&listening);
	return status;
}

int
cmd_serve(struct args *args)
{
	struct forward forward = {0};
	char why[WHY_SIZE];

	if ((args->to != NULL) != (args->argc == 1))
		return complain(args, EXIT_USAGE, "it takes PORT, and --to=ENDPOINT or -- COMMAND");
	if (!parse_at(&forward.at, args, why))
		return complain(args, EXIT_USAGE, "%s", why);
	if (args->guest == NULL && endpoint_is_host())
		complain(args, 0,
			 "this is no port for guests of the vswd here; that takes --guest");
	if (args->to == NULL)
		return serve_by_command(args, &forward.at);
	if (!endpoint_parse(&forward.service, args->to, why) ||
	    !endpoint_can_connect(&forward.service, why))
		return complain(args, EXIT_USAGE, "%s", why);
	return forward_all(args, &forward, 1);
}
