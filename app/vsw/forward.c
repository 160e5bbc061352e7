/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsw forward: make services reachable elsewhere.
 */
#include "forward.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/stdlib.h>

#include "relay.h"

#define BLANKS " \t\r\n"

const char forward_more[] =
	"SERVICE is what is connected to, AT is where it is listened. Each is\n"
	"  GUEST:PORT      a port of a guest, by its name, CID or uds-path; AT: a port of\n"
	"                  the host as that guest sees it\n"
	"  tcp:HOST:PORT   tcp:127.0.0.1:8080, tcp:[::1]:8080\n"
	"  unix:PATH       a stream socket\n"
	"  vsock:CID:PORT  AF_VSOCK, in a guest: CID 2 is its host; AT: vsock:PORT\n"
	"A FILE has a SERVICE and an AT on each line; # begins a comment.\n"
	"\n"
	"Examples:\n"
	"  vsw forward web:80 tcp:127.0.0.1:8080    the guest's web server, on the host\n"
	"  vsw forward tcp:[::1]:631 web:631        the host's printers, for the guest\n"
	"  vsw forward vsock:2:631 tcp:[::1]:631    in the guest: those, at its localhost\n";

static void
on_accept(struct relay *relay, void *ctx, int fd)
{
	const struct forward *forward = ctx;

	relay_dial(relay, fd, &forward->service);
}

/* @return @p status. @p line: of the file; 0: there is none. */
static int
complain_of_line(const struct args *args, int status, unsigned int line, const char *why)
{
	if (line == 0)
		return complain(args, status, "%s", why);
	return complain(args, status, "%s:%u: %s", args->file, line, why);
}

static int
listen_for_all(const struct args *args, struct relay *relay, struct forward *forwards, size_t n)
{
	char why[WHY_SIZE];

	for (size_t i = 0; i < n; i++) {
		struct forward *f = &forwards[i];

		if (!listen_at(&f->listening, &f->at, why))
			return complain_of_line(args, EXIT_UNREACHABLE, f->line, why);
		if (!relay_listen(relay, f->listening.fd, on_accept, f))
			return complain(args, EXIT_BROKEN, "out of memory");
		complain(args, 0, "%s is at %s", f->service.text, f->at.text);
	}
	return EXIT_SUCCESS;
}

int
forward_all(const struct args *args, struct forward *forwards, size_t n)
{
	struct relay *relay = relay_create(args);
	int status;

	for (size_t i = 0; i < n; i++)
		forwards[i].listening.fd = -1;
	relay_raise_limit();
	if (relay == NULL || !relay_take_signals(relay, NULL, NULL))
		return complain(args, EXIT_BROKEN, "%s", strerror(errno));
	status = listen_for_all(args, relay, forwards, n);
	if (status == EXIT_SUCCESS)
		status = relay_run(relay);
	relay_destroy(relay);
	for (size_t i = 0; i < n; i++)
		listen_end(&forwards[i].listening);
	return status;
}

static bool
parse(struct forward *forward, const char *service, const char *at, char why[WHY_SIZE])
{
	return endpoint_parse(&forward->service, service, why) &&
	       endpoint_can_connect(&forward->service, why) &&
	       endpoint_parse(&forward->at, at, why);
}

/*
 * A file.
 */

struct list {
	struct forward *forwards;
	size_t n;
};

static bool
take_line(struct list *list, char *line, unsigned int number, char why[WHY_SIZE])
{
	char *rest = line;
	const char *service, *at = NULL, *more = NULL;
	struct forward *all;

	line[strcspn(line, "#")] = '\0';
	line += strspn(line, BLANKS);
	if (line[0] == '\0')
		return true;
	service = strtok_r(line, BLANKS, &rest);
	at = strtok_r(NULL, BLANKS, &rest);
	more = strtok_r(NULL, BLANKS, &rest);
	if (at == NULL || more != NULL) {
		snprintf(why, WHY_SIZE, "a line is SERVICE AT, as web:80 tcp:127.0.0.1:8080");
		return false;
	}
	all = reallocarray(list->forwards, list->n + 1, sizeof(all[0]));
	if (all == NULL) {
		snprintf(why, WHY_SIZE, "out of memory");
		return false;
	}
	list->forwards = all;
	all[list->n] = (struct forward){.line = number};
	return parse(&all[list->n++], service, at, why);
}

/* @return exit status. */
static int
read_file(const struct args *args, FILE *file, struct list *list)
{
	char why[WHY_SIZE];
	char *line = NULL;
	size_t size = 0;
	unsigned int number = 0;
	int status = EXIT_SUCCESS;

	while (status == EXIT_SUCCESS && getline(&line, &size, file) >= 0) {
		number++;
		if (!take_line(list, line, number, why))
			status = complain_of_line(args, EXIT_USAGE, number, why);
	}
	if (ferror(file))
		status = complain(args, EXIT_USAGE, "%s: %s", args->file, strerror(errno));
	free(line);
	if (status == EXIT_SUCCESS && list->n == 0)
		status = complain(args, EXIT_USAGE, "%s: there is nothing in it", args->file);
	return status;
}

static int
forward_file(const struct args *args)
{
	struct list list = {0};
	FILE *file = fopen(args->file, "re");
	int status;

	if (file == NULL)
		return complain(args, EXIT_USAGE, "%s: %s", args->file, strerror(errno));
	status = read_file(args, file, &list);
	fclose(file);
	if (status == EXIT_SUCCESS)
		status = forward_all(args, list.forwards, list.n);
	free(list.forwards);
	return status;
}

int
cmd_forward(struct args *args)
{
	struct forward forward = {0};
	char why[WHY_SIZE];

	if (args->file != NULL && args->argc == 0)
		return forward_file(args);
	if (args->file != NULL || args->argc != 2)
		return complain(args, EXIT_USAGE, "it takes SERVICE and AT, or --file=FILE");
	if (!parse(&forward, args->argv[0], args->argv[1], why))
		return complain(args, EXIT_USAGE, "%s", why);
	return forward_all(args, &forward, 1);
}
