/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One table of options for all subcommands. What an option means to a subcommand that has no
 * use for it is nothing; that is cheaper for people than remembering which one takes which.
 */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <bsd/stdlib.h>

#include "commands.h"
#include "vsw_base.h"
#include "vsw_number.h"
#include "vsw_packet.h"

enum {
	OPT_CORRUPT = 256,
	OPT_DIRECTION,
	OPT_FIRST,
	OPT_IDLE,
	OPT_NO_LISTEN,
	OPT_NO_VERIFY,
	OPT_ONCE,
	OPT_PACKET,
	OPT_PATH,
	OPT_PLAIN,
	OPT_RATE,
	OPT_RECV_BUF,
	OPT_RING,
	OPT_SEND,
	OPT_SERVE,
	OPT_SETTLE,
	OPT_SHAPE,
	OPT_TIMEOUT,
	OPT_WARMUP,
	OPT_WATCH,
	OPT_WINDOW,
};

static const struct option long_options[] = {
	{"connections", required_argument, NULL, 'c'},
	{"corrupt", no_argument, NULL, OPT_CORRUPT},
	{"count", required_argument, NULL, 'N'},
	{"direction", required_argument, NULL, OPT_DIRECTION},
	{"first", required_argument, NULL, OPT_FIRST},
	{"guest", required_argument, NULL, 'g'},
	{"guests", required_argument, NULL, 'n'},
	{"help", no_argument, NULL, 'h'},
	{"host", required_argument, NULL, 'H'},
	{"idle", required_argument, NULL, OPT_IDLE},
	{"json", no_argument, NULL, 'j'},
	{"no-listen", no_argument, NULL, OPT_NO_LISTEN},
	{"no-verify", no_argument, NULL, OPT_NO_VERIFY},
	{"once", no_argument, NULL, OPT_ONCE},
	{"packet", required_argument, NULL, OPT_PACKET},
	{"path", required_argument, NULL, OPT_PATH},
	{"plain", no_argument, NULL, OPT_PLAIN},
	{"port", required_argument, NULL, 'p'},
	{"rate", required_argument, NULL, OPT_RATE},
	{"recv-buf", required_argument, NULL, OPT_RECV_BUF},
	{"ring", required_argument, NULL, OPT_RING},
	{"send", required_argument, NULL, OPT_SEND},
	{"serve", required_argument, NULL, OPT_SERVE},
	{"settle", required_argument, NULL, OPT_SETTLE},
	{"shape", required_argument, NULL, OPT_SHAPE},
	{"size", required_argument, NULL, 's'},
	{"time", required_argument, NULL, 't'},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"wait", required_argument, NULL, 'w'},
	{"warmup", required_argument, NULL, OPT_WARMUP},
	{"watch", required_argument, NULL, OPT_WATCH},
	{"window", required_argument, NULL, OPT_WINDOW},
	{0},
};

static const char common_help[] =
	"\n"
	"Who, and where (%u in a PATH is the number of the guest):\n"
	"  -g, --guest=PATH        be a guest on this vhost-user socket\n"
	"  -H, --host=PATH         be a host application on this uds-path\n"
	"  -n, --guests=N          as many guests, numbered from --first (default 1)\n"
	"      --first=N           number of the first guest (default 3)\n"
	"      --path=g2h|h2g|g2g  with both ends here: who dials whom (default g2h)\n"
	"  -p, --port=N            port to use when both ends are here (default 1024)\n"
	"      --no-listen         with both ends here: do not, so that all is refused\n"
	"      --plain             --host is the peer's own socket: no CONNECT line\n"
	"      --settle=SECONDS    between the start of the guests and the first connection: the\n"
	"                          switch may need time to see the device (default 0.05)\n"
	"      --timeout=SECONDS   for the device and for connections (default 10)\n"
	"\n"
	"The guest (defaults: a Linux guest under QEMU):\n"
	"      --shape=qemu|uml    order of messages and number of rings\n"
	"  -w, --wait=poll|interrupt\n"
	"                          spin on everything, or sleep when there is nothing to do\n"
	"                          (default: poll for loads, else interrupt)\n"
	"      --ring=N            entries of a ring (default 128)\n"
	"      --recv-buf=N        bytes of a receive buffer (default 3776)\n"
	"      --window=N          receive window of a socket, bytes (default 262144)\n"
	"      --send=one|split|indirect\n"
	"                          descriptors of a packet (default one, as Linux 6.1.63+)\n"
	"      --packet=N          most payload of a packet (default 65536)\n"
	"\n"
	"The load:\n"
	"  -c, --connections=N     connections of each guest (default 1)\n"
	"      --idle=N            idle connections beside them, per guest (default 0)\n"
	"  -s, --size=N            bytes of a message (default 65536; ping: 64)\n"
	"  -t, --time=SECONDS      measure so long (default 1)\n"
	"      --warmup=SECONDS    after this time (default 0.2)\n"
	"  -N, --count=N           stop after N messages of each connection\n"
	"      --direction=send|recv|both\n"
	"                          what the dialling end does (default send)\n"
	"      --rate=N            pings per second; latency counts from when one was due\n"
	"      --no-verify         do not look at the payload, for raw speed\n"
	"      --corrupt           let senders make a mistake, to see it found\n"
	"      --watch=PID         report CPU time and memory of this process\n"
	"  -j, --json              print the result as one line of JSON\n"
	"\n"
	"Exit status: 0 all is well; 1 wrong usage; 2 the device is not there; 3 a connection\n"
	"was refused; 4 a connection or the device broke; 5 wrong payload, or the device broke\n"
	"a rule of virtio.\n";

struct word {
	const char *name;
	int value;
};

/* @return whether @p arg is one of the words; @p what names the option. */
static bool
parse_word(int *value, const char *what, const char *arg, const struct word *words)
{
	for (const struct word *w = words; w->name != NULL; w++) {
		if (strcmp(w->name, arg) == 0) {
			*value = w->value;
			return true;
		}
	}
	fprintf(stderr, "vsw-guest: --%s=%s: it is one of", what, arg);
	for (const struct word *w = words; w->name != NULL; w++)
		fprintf(stderr, " %s", w->name);
	fputs(".\n", stderr);
	return false;
}

static bool
parse_number(long long *value, const char *what, const char *arg, long long min, long long max)
{
	uint64_t number;
	bool is_right = vsw_number_read(arg, (uint64_t)min, (uint64_t)max, &number);

	if (is_right)
		*value = (long long)number;
	else
		fprintf(stderr, "vsw-guest: %s %s: it is a number from %lld to %lld.\n", what, arg,
			min, max);
	return is_right;
}

static bool
parse_float(double *value, const char *what, const char *arg)
{
	char *end;

	*value = strtod(arg, &end);
	if (end == arg || *end != '\0' || *value < 0 || *value > 1e9) {
		fprintf(stderr, "vsw-guest: %s %s: it is a positive number.\n", what, arg);
		return false;
	}
	return true;
}

static bool
parse_words(struct options *opt, int c)
{
	static const struct word paths[] = {{"g2h", PATH_GUEST_TO_HOST},
					    {"h2g", PATH_HOST_TO_GUEST},
					    {"g2g", PATH_GUEST_TO_GUEST},
					    {0}};
	static const struct word directions[] = {
		{"send", SEND}, {"recv", RECV}, {"both", BOTH}, {0}};
	static const struct word sends[] = {{"one", VSW_GUEST_SEND_ONE},
					    {"split", VSW_GUEST_SEND_SPLIT},
					    {"indirect", VSW_GUEST_SEND_INDIRECT},
					    {0}};
	static const struct word services[] = {{"stdio", SERVE_STDIO},
					       {"echo", SERVE_ECHO},
					       {"sink", SERVE_SINK},
					       {"source", SERVE_SOURCE},
					       {0}};
	static const struct word shapes[] = {{"qemu", VSW_GUEST_QEMU}, {"uml", VSW_GUEST_UML}, {0}};
	static const struct word waits[] = {
		{"poll", VSW_GUEST_POLL}, {"interrupt", VSW_GUEST_INTERRUPT}, {0}};
	int v = 0;

	switch (c) {
	case OPT_PATH:
		if (!parse_word(&v, "path", optarg, paths))
			return false;
		opt->path = (enum path)v;
		opt->has_path = true;
		return true;
	case OPT_DIRECTION:
		if (!parse_word(&v, "direction", optarg, directions))
			return false;
		opt->direction = (enum direction)v;
		return true;
	case OPT_SEND:
		if (!parse_word(&v, "send", optarg, sends))
			return false;
		opt->conf.send_shape = (enum vsw_guest_send_shape)v;
		return true;
	case OPT_SERVE:
		if (!parse_word(&v, "serve", optarg, services))
			return false;
		opt->service = (enum service)v;
		return true;
	case OPT_SHAPE:
		if (!parse_word(&v, "shape", optarg, shapes))
			return false;
		opt->conf.shape = (enum vsw_guest_shape)v;
		return true;
	default: /* 'w' */
		if (!parse_word(&v, "wait", optarg, waits))
			return false;
		opt->conf.wait = (enum vsw_guest_wait)v;
		return true;
	}
}

static bool
parse_numbers(struct options *opt, int c)
{
	static const struct {
		int c;
		const char *name;
		long long min, max;
	} numbers[] = {
		{'c', "--connections", 0, 1000000},
		{'n', "--guests", 1, 4096},
		{'N', "--count", 1, INT64_MAX},
		{'p', "--port", 0, UINT32_MAX},
		{'s', "--size", 1, 64 << 20},
		{OPT_FIRST, "--first", 0, UINT32_MAX},
		{OPT_IDLE, "--idle", 0, 1000000},
		{OPT_PACKET, "--packet", 1, 65536},
		{OPT_RECV_BUF, "--recv-buf", 45, 1 << 20},
		{OPT_RING, "--ring", 2, 32768},
		{OPT_WATCH, "--watch", 1, INT32_MAX},
		{OPT_WINDOW, "--window", 0, UINT32_MAX},
	};
	long long v = 0;

	for (size_t i = 0; i < VSW_ARRAY_SIZE(numbers); i++) {
		if (numbers[i].c == c &&
		    !parse_number(&v, numbers[i].name, optarg, numbers[i].min, numbers[i].max))
			return false;
	}
	switch (c) {
	case 'c':
		opt->n_connections = (unsigned int)v;
		break;
	case 'n':
		opt->n_guests = (unsigned int)v;
		break;
	case 'N':
		opt->count = (uint64_t)v;
		break;
	case 'p':
		opt->port = (uint32_t)v;
		break;
	case 's':
		opt->size = (size_t)v;
		break;
	case OPT_FIRST:
		opt->first = (unsigned int)v;
		break;
	case OPT_IDLE:
		opt->n_idle = (unsigned int)v;
		break;
	case OPT_PACKET:
		opt->conf.send_max = (uint32_t)v;
		break;
	case OPT_RECV_BUF:
		opt->conf.recv_buf_len = (uint32_t)v;
		break;
	case OPT_RING:
		opt->conf.ring_size = (uint16_t)v;
		break;
	case OPT_WATCH:
		opt->watched = (pid_t)v;
		break;
	default:
		opt->conf.buf_alloc = (uint32_t)v;
		break;
	}
	return true;
}

/* @return false after a message. */
static bool
parse_one(struct options *opt, int c)
{
	double seconds;

	switch (c) {
	case 'g':
		opt->guest_path = optarg;
		return true;
	case 'H':
		opt->host_path = optarg;
		return true;
	case 'j':
		opt->is_json = true;
		return true;
	case 't':
		return parse_float(&opt->seconds, "--time", optarg);
	case OPT_WARMUP:
		return parse_float(&opt->warmup, "--warmup", optarg);
	case OPT_SETTLE:
		return parse_float(&opt->settle, "--settle", optarg);
	case OPT_RATE:
		return parse_float(&opt->rate, "--rate", optarg);
	case OPT_TIMEOUT:
		if (!parse_float(&seconds, "--timeout", optarg))
			return false;
		opt->timeout_ms = (int)(seconds * 1000);
		return true;
	case OPT_CORRUPT:
		opt->is_corrupted = true;
		return true;
	case OPT_NO_LISTEN:
		opt->is_deaf = true;
		return true;
	case OPT_NO_VERIFY:
		opt->is_verified = false;
		return true;
	case OPT_ONCE:
		opt->is_once = true;
		return true;
	case OPT_PLAIN:
		opt->is_plain = true;
		return true;
	case OPT_PATH:
	case OPT_DIRECTION:
	case OPT_SEND:
	case OPT_SERVE:
	case OPT_SHAPE:
	case 'w':
		return parse_words(opt, c);
	default:
		return parse_numbers(opt, c);
	}
}

/* [CID:]PORT */
static bool
parse_target(struct options *opt, const char *arg)
{
	const char *colon = strchr(arg, ':');
	char cid[16];
	long long v;

	if (colon != NULL && strncmp(arg, "host:", 5) != 0) {
		snprintf(cid, sizeof(cid), "%.*s", (int)(colon - arg), arg);
		if (!parse_number(&v, "CID", cid, 0, UINT32_MAX))
			return false;
		opt->cid = (uint32_t)v;
	}
	if (!parse_number(&v, "port", colon != NULL ? colon + 1 : arg, 0, UINT32_MAX))
		return false;
	opt->port = (uint32_t)v;
	opt->has_target = true;
	return true;
}

/* Decides which ends are here. @return what is wrong, or NULL. */
static const char *
choose_path(struct options *opt)
{
	bool needs_target;

	if (opt->guest_path == NULL && opt->host_path == NULL)
		return "it needs --guest=PATH, --host=PATH, or both";
	if (opt->n_guests > 1 &&
	    ((opt->guest_path != NULL && strstr(opt->guest_path, "%u") == NULL) ||
	     (opt->host_path != NULL && strstr(opt->host_path, "%u") == NULL)))
		return "with more than one guest, the paths have a %u for the guest's number";
	if (opt->has_target) {
		if (opt->guest_path != NULL && opt->host_path != NULL)
			return "a target is for one of --guest and --host; with both ends here, "
			       "use --port";
		opt->path = opt->guest_path != NULL ? PATH_GUEST : PATH_HOST;
		return NULL;
	}
	needs_target = strcmp(opt->command, "hold") != 0 || opt->n_connections != 0;
	if (!opt->has_path && (opt->guest_path == NULL || opt->host_path == NULL))
		return needs_target ? "it takes [CID:]PORT, or --path and both ends" : NULL;
	if (opt->path == PATH_GUEST_TO_GUEST && (opt->guest_path == NULL || opt->n_guests < 2))
		return "g2g takes --guest and at least two --guests";
	if (opt->path != PATH_GUEST_TO_GUEST && (opt->guest_path == NULL || opt->host_path == NULL))
		return "g2h and h2g take --guest and --host";
	return NULL;
}

static void
set_defaults(struct options *opt, const char *command)
{
	const struct vsw_guest_conf conf = VSW_GUEST_CONF_DEFAULT;
	bool is_load = strcmp(command, "connect") != 0 && strcmp(command, "listen") != 0;

	*opt = (struct options){
		.command = command,
		.n_guests = 1,
		.first = 3,
		.path = PATH_GUEST_TO_HOST,
		.cid = VSW_CID_HOST,
		.port = 1024,
		.conf = conf,
		.n_connections = 1,
		.size = strcmp(command, "ping") == 0 ? 64 : 65536,
		.seconds = 1,
		.settle = 0.05,
		.warmup = 0.2,
		.direction = SEND,
		.is_verified = true,
		.timeout_ms = 10000,
	};
	opt->conf.n_regions = 1;
	opt->conf.send_shape = VSW_GUEST_SEND_ONE;
	opt->conf.wait = is_load ? VSW_GUEST_POLL : VSW_GUEST_INTERRUPT;
}

int
options_parse(struct options *opt, int argc, char **argv, const char *help)
{
	const char *wrong = NULL;
	int c;

	set_defaults(opt, argv[0]);
	while ((c = getopt_long(argc, argv, "c:g:hH:jn:N:p:s:t:w:", long_options, NULL)) != -1) {
		if (c == 'h') {
			fputs(help, stdout);
			fputs(common_help, stdout);
			return -1;
		}
		if (c == '?') {
			fprintf(stderr, "Try vsw-guest %s --help.\n", argv[0]);
			return EXIT_USAGE;
		}
		if (!parse_one(opt, c))
			return EXIT_USAGE;
	}
	if (strcmp(argv[0], "limits") == 0)
		return 0;
	if (argc - optind > 1)
		wrong = "it takes one target, [CID:]PORT";
	else if (argc - optind == 1 && !parse_target(opt, argv[optind]))
		return EXIT_USAGE;
	if (wrong == NULL)
		wrong = choose_path(opt);
	if (wrong != NULL) {
		fprintf(stderr, "vsw-guest %s: %s.\n", argv[0], wrong);
		return EXIT_USAGE;
	}
	opt->conf.timeout_ms = opt->timeout_ms;
	return 0;
}

void
options_path(const struct options *opt, const char *pattern, unsigned int i, char *path,
	     size_t size)
{
	const char *at = strstr(pattern, "%u");

	if (at == NULL)
		snprintf(path, size, "%s", pattern);
	else
		snprintf(path, size, "%.*s%u%s", (int)(at - pattern), pattern, opt->first + i,
			 at + 2);
}
