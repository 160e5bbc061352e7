/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsw: the client. It needs no DPDK and no vswd library: it speaks HTTP to the control API,
 * and the hybrid protocol to the sockets of guests, or, in a guest, AF_VSOCK.
 */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "commands.h"
#include "vsw_base.h"
#include "vsw_number.h"
#include "vsw_version.h"

#define ANY 1000000

static const struct command commands[] = {
	{"connect", "WF", 1, 3, "GUEST PORT|ENDPOINT",
	 "join standard input and output to a port of a guest", cmd_connect, connect_more},
	{"forward", "f", 0, 2, "SERVICE AT", "make a service reachable elsewhere", cmd_forward,
	 forward_more},
	{"serve", "gom", 1, ANY, "PORT [-- COMMAND [ARGUMENT...]]",
	 "serve a port for the other side", cmd_serve, serve_more},
	{"proxy", "PNu", 0, 0, "", "give guests IPv6 addresses", cmd_proxy, proxy_more},
	{"ssh-config", "", 0, 0, "", "print what ssh needs to reach guests", cmd_ssh_config,
	 ssh_config_more},
};

static const struct {
	int letter;
	const char *name;
	const char *value; /* NULL: none; [...]: optional */
	const char *help;
} options[] = {
	{'s', "api", "PATH",
	 "vswd's API socket (default: $VSW_API, or vsw.api in\n"
	 "                         $VSW_RUN_DIR or " RUN_DIR ")"},
	{'j', "json", NULL, "print JSON, for programs"},
	{'a', "all", NULL, "also what is 0"},
	{'g', "guest", "GUEST", "of this guest"},
	{'p', "port", "PORT", "with this port at either end"},
	{'d', "delay", "SECONDS", "between two looks (default 2)"},
	{'n', "count", "N", "end after so many looks (default: never)"},
	{'t', "types", "PATTERN", "only these log types (default vsw.*)"},
	{'w', "write", "FILE", "where to write; -: standard output"},
	{'l', "snaplen", "N", "payload bytes of each packet (default: all)"},
	{'W', "wait", "[SECONDS]", "try until it accepts (at most SECONDS)"},
	{'F', "fdpass", NULL, "pass the connection to who reads standard output"},
	{'f', "file", "FILE", "several at once"},
	{'o', "to", "ENDPOINT", "what connections are joined to"},
	{'m', "max", "N", "commands at once; others wait (default 256)"},
	{'P', "prefix", "PREFIX", "of the addresses, as fd00:abcd:ef12::/64"},
	{'N', "ports", "PORTS", "a list of ports"},
	{'u', "uds", "[CID=]PATH", "where a guest's socket is; may be repeated"},
};

int
complain(const struct args *args, int status, const char *fmt, ...)
{
	va_list ap;

	if (args->is_quiet)
		return status;
	fprintf(stderr, "vsw %s: ", args->command->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

static size_t
n_commands(void)
{
	return n_api_commands + VSW_ARRAY_SIZE(commands);
}

static const struct command *
command_at(size_t i)
{
	return i < n_api_commands ? &api_commands[i] : &commands[i - n_api_commands];
}

static bool
is_optional(const char *value)
{
	return value != NULL && value[0] == '[' && value[strlen(value) - 1] == ']';
}

/*
 * Help.
 */

static void
print_help(FILE *out)
{
	fputs("Usage: vsw COMMAND [ARGUMENTS]\n\n", out);
	for (size_t i = 0; i < n_commands(); i++)
		fprintf(out, "  %-13s %s\n", command_at(i)->name, command_at(i)->help);
	fputs("\n"
	      "A GUEST is its name or its CID. vsw COMMAND --help tells more; vsw --version\n"
	      "prints the version.\n"
	      "\n"
	      "Exit status: 0 done; 1 wrong usage; 2 no vswd answers there; 3 it refused, and\n"
	      "why was printed; 4 the connection broke.\n",
	      out);
}

static void
print_command_help(const struct command *command)
{
	printf("Usage: vsw %s%s%s%s\n\n%c%s.\n\n", command->name,
	       command->options[0] ? " [OPTIONS]" : "", command->usage[0] != '\0' ? " " : "",
	       command->usage, command->help[0] - 'a' + 'A', command->help + 1);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(options); i++) {
		char name[32];

		if (strchr(command->options, options[i].letter) == NULL)
			continue;
		if (is_optional(options[i].value)) /* [SECONDS] becomes [=SECONDS] */
			snprintf(name, sizeof(name), "%s[=%s", options[i].name,
				 options[i].value + 1);
		else
			snprintf(name, sizeof(name), "%s%s%s", options[i].name,
				 options[i].value != NULL ? "=" : "",
				 options[i].value != NULL ? options[i].value : "");
		printf("  -%c, --%-16s %s\n", options[i].letter, name, options[i].help);
	}
	printf("  -h, --%-16s %s\n", "help", "print this and exit");
	if (command->more != NULL)
		printf("\n%s", command->more);
}

/*
 * The command line.
 */

/* @return false: it was not right; said so. */
static bool
take_option(struct args *args, int letter, const char *value)
{
	const char *wrong = NULL;
	char *end = NULL;

	switch (letter) {
	case 's':
		args->api = value;
		break;
	case 'j':
		args->is_json = true;
		break;
	case 'a':
		args->is_all = true;
		break;
	case 'g':
		args->guest = value;
		break;
	case 'p':
		args->has_port = true;
		if (!vsw_number_read_u32(value, 0, UINT32_MAX, &args->port))
			wrong = "it is a number from 0 to 4294967295";
		break;
	case 'd':
		args->delay = strtod(value, &end);
		if (*end != '\0' || !(args->delay >= 0.1 && args->delay <= 3600))
			wrong = "it is a number from 0.1 to 3600";
		break;
	case 'n':
		if (!vsw_number_read_u32(value, 0, UINT32_MAX, &args->count))
			wrong = "it is a number from 0 to 4294967295";
		break;
	case 't':
		args->types = value;
		break;
	case 'w':
		args->file = value;
		break;
	case 'l':
		if (!vsw_number_read_u32(value, 0, 65536, &args->snaplen))
			wrong = "it is a number from 0 to 65536";
		break;
	case 'W':
		args->is_waiting = true;
		if (value != NULL && !vsw_number_read_u32(value, 0, 1 << 30, &args->seconds))
			wrong = "it is a number of seconds, as in --wait=30";
		break;
	case 'F':
		args->is_fdpass = true;
		break;
	case 'f':
		args->file = value;
		break;
	case 'o':
		args->to = value;
		break;
	case 'm':
		if (!vsw_number_read_u32(value, 1, UINT32_MAX, &args->max))
			wrong = "it is a number from 1 to 4294967295";
		break;
	case 'P':
		args->prefix = value;
		break;
	case 'N':
		args->ports = value;
		break;
	case 'u':
		if (args->n_uds == UDS_MAX)
			wrong = "there are too many";
		else
			args->uds[args->n_uds++] = value;
		break;
	default:
		return false; /* getopt has said what */
	}
	if (wrong != NULL)
		complain(args, 0, "-%c: %s is wrong, %s", letter, value, wrong);
	return wrong == NULL;
}

static void
make_getopt(const struct command *command, char *letters, struct option *longs)
{
	*letters++ = 'h';
	*longs++ = (struct option){"help", no_argument, NULL, 'h'};
	for (size_t i = 0; i < VSW_ARRAY_SIZE(options); i++) {
		int has_value = options[i].value == NULL        ? no_argument
				: is_optional(options[i].value) ? optional_argument
								: required_argument;

		if (strchr(command->options, options[i].letter) == NULL)
			continue;
		*letters++ = (char)options[i].letter;
		for (int colons = 0; colons < has_value; colons++)
			*letters++ = ':';
		*longs++ = (struct option){options[i].name, has_value, NULL, options[i].letter};
	}
	*letters = '\0';
	*longs = (struct option){0};
}

const char *
run_dir(void)
{
	const char *set = getenv("VSW_RUN_DIR");

	return set != NULL ? set : RUN_DIR;
}

const char *
default_api(void)
{
	static char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *api = getenv("VSW_API");

	if (api != NULL && api[0] != '\0')
		return api;
	snprintf(path, sizeof(path), "%s/vsw.api", run_dir());
	return path;
}

/* argv[0] is the command's full name: getopt puts it in front of what it says. */
static int
run(const struct command *command, int argc, char **argv)
{
	struct args args = {
		.command = command, .api = default_api(), .delay = 2, .snaplen = 65536, .max = 256};
	struct option longs[VSW_ARRAY_SIZE(options) + 2];
	char letters[3 * VSW_ARRAY_SIZE(options) + 2];
	int c;

	make_getopt(command, letters, longs);
	optind = 1;
	while ((c = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		if (c == 'h') {
			print_command_help(command);
			return EXIT_SUCCESS;
		}
		if (!take_option(&args, c, optarg)) {
			fprintf(stderr, "Try vsw %s --help.\n", command->name);
			return EXIT_USAGE;
		}
	}
	args.argc = argc - optind;
	args.argv = argv + optind;
	if (args.argc < command->min_args || args.argc > command->max_args) {
		fprintf(stderr, "vsw %s: it takes %s; try --help\n", command->name,
			command->usage[0] != '\0' ? command->usage : "no arguments");
		return EXIT_USAGE;
	}
	return command->run(&args);
}

/* @return how many words of @p argv name @p command: 0, 1 or 2. */
static int
names(const struct command *command, int argc, char **argv)
{
	size_t len = strcspn(command->name, " ");

	if (strlen(argv[1]) != len || strncmp(argv[1], command->name, len) != 0)
		return 0;
	if (command->name[len] == '\0')
		return 1;
	return argc > 2 && strcmp(argv[2], command->name + len + 1) == 0 ? 2 : 0;
}

static int
refuse(int argc, char **argv)
{
	bool is_begun = false;

	for (size_t i = 0; i < n_commands(); i++) {
		const char *name = command_at(i)->name;
		size_t len = strlen(argv[1]);

		if (strncmp(name, argv[1], len) != 0 || name[len] != ' ')
			continue;
		fprintf(stderr, is_begun ? ", %s" : "vsw: it is one of %s", name);
		is_begun = true;
	}
	if (is_begun)
		fputc('\n', stderr);
	else
		fprintf(stderr, "vsw: there is no command '%s'; vsw --help lists them\n", argv[1]);
	return EXIT_USAGE;
}

/* What the caller has closed would be the next descriptor that we open. Nothing comes from it, and
 * writing to it fails. */
static void
fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int
main(int argc, char **argv)
{
	fill_standard_descriptors();
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_help(stdout);
		return EXIT_SUCCESS;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		puts("vsw " VSW_VERSION);
		return EXIT_SUCCESS;
	}
	for (size_t i = 0; i < n_commands(); i++) {
		int n = names(command_at(i), argc, argv);
		char full_name[32];

		if (n == 0)
			continue;
		snprintf(full_name, sizeof(full_name), "vsw %s", command_at(i)->name);
		argv[n] = full_name;
		return run(command_at(i), argc - n, argv + n);
	}
	return refuse(argc, argv);
}
