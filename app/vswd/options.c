/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `vswd [EAL options] -- [options]`, as every DPDK application; and `vswd [options]` when the
 * first argument is one of ours, so that vhost-device-vsock's command lines can be pasted.
 *
 * EAL's own defaults are a dedicated core for every cpu and hugepages. Ours must start on a
 * laptop as an ordinary user: one lcore that floats over the allowed cpus, no hugepages, no
 * PCI. Each default steps back when the user's EAL options speak of its subject.
 */
#include "options.h"

#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include <rte_eal.h>

#include "eal_lcores.h"
#include "vsw_base.h"
#include "vsw_layout.h"
#include "vsw_version.h"

enum {
	OPT_HELP = 'h',
	OPT_VERSION = 'V',
	OPT_API = 256,
	OPT_API_MODE,
	OPT_BRIDGE_LCORES,
	OPT_CHECK,
	OPT_CONFIG,
	OPT_IDLE,
	OPT_MAX_GUESTS,
	OPT_NO_SANDBOX,
	OPT_PRINT_CAPABILITIES,
	OPT_USER,
	OPT_VM,
	OPT_GUEST_KEY, /* and those of the other keys of a guest behind it */
};

#define N_OWN 13

/* The keys of a guest are options, too: for vhost-device-vsock's flat form. */
static struct option long_options[N_OWN + VSW_GUEST_SPEC_N_KEYS + 1] = {
	{"api", required_argument, NULL, OPT_API},
	{"api-mode", required_argument, NULL, OPT_API_MODE},
	{"bridge-lcores", required_argument, NULL, OPT_BRIDGE_LCORES},
	{"check", required_argument, NULL, OPT_CHECK},
	{"config", required_argument, NULL, OPT_CONFIG},
	{"help", no_argument, NULL, OPT_HELP},
	{"idle", required_argument, NULL, OPT_IDLE},
	{"max-guests", required_argument, NULL, OPT_MAX_GUESTS},
	{"no-sandbox", no_argument, NULL, OPT_NO_SANDBOX},
	{"print-capabilities", no_argument, NULL, OPT_PRINT_CAPABILITIES},
	{"user", required_argument, NULL, OPT_USER},
	{"version", no_argument, NULL, OPT_VERSION},
	{"vm", required_argument, NULL, OPT_VM},
};

static const char help[] =
	"Usage: vswd [EAL options] -- [options]\n"
	"       vswd [options]\n"
	"\n"
	"Serve virtio-vsock devices to virtual machines over vhost-user, and join their\n"
	"connections to AF_UNIX sockets of the host.\n"
	"\n"
	"  --vm KEY=VALUE,...     serve a guest; once for each:\n"
	"    guest-cid=N          its context id, 3 to 4294967294 (default 3)\n"
	"    socket=PATH          where its VMM connects (vhost-user)\n"
	"    uds-path=PATH        where hosts connect and say CONNECT <port>; the guest's\n"
	"                         connections to host port P go to PATH_P\n"
	"    forward-cid=N        instead of uds-path: the guest's connections to host port P\n"
	"                         go to AF_VSOCK port P of CID N, 1 for the host itself\n"
	"    forward-listen=N+M   with forward-cid: AF_VSOCK ports of the host that lead to\n"
	"                         the guest's same ports\n"
	"    forward=PATH:PORT+.. plain sockets: who connects to PATH is joined to the guest's\n"
	"                         PORT, without CONNECT\n"
	"    host-cids=N+M        CIDs that are the host to this guest, beside 2\n"
	"    name=TEXT            what people call it (default: vm<cid>)\n"
	"    client=on|off        vswd connects to socket, where the VMM listens (default off)\n"
	"    tx-buffer-size=N     receive window of each connection, bytes (default 262144)\n"
	"    queue-size=N         longest ring the VMM may use (default: any)\n"
	"    groups=A+B           guests that share a group reach each other by CID\n"
	"                         (default: the group named default)\n"
	"    hairpin=on|off       the guest reaches its own CID (default on)\n"
	"    lcore=N              poll it on this lcore (default: the one with fewest guests)\n"
	"    limit-connections=N  live connections (default 4096)\n"
	"    limit-handshakes=N   hosts that have not finished their line (default 64)\n"
	"    limit-loans=N        loans of its buffers that are out at a time (default 64)\n"
	"    limit-spill-bytes=N  bounds windows, so what slow readers leave (default 16777216)\n"
	"    socket-mode=MODE     of its sockets, octal (default: 777 without the umask)\n"
	"    socket-owner=USER    of its sockets, by name or number\n"
	"    socket-group=GROUP   likewise\n"
	"  --config FILE          serve the guests of a YAML file; SIGHUP reads it again\n"
	"  --guest-cid N --socket PATH --uds-path PATH ...\n"
	"                         serve one guest: each key above is an option, too\n"
	"  --check FILE           say whether --config FILE, with the same other options, is "
	"right,\n"
	"                         and exit\n"
	"  --bridge-lcores=LIST   serve the host's sockets on these of EAL's lcores, as in 2,4-6\n"
	"                         (default: the main lcore)\n"
	"  --idle=adaptive|poll   when nothing happens: sleep (default), or poll on, for\n"
	"                         dedicated cores\n"
	"  --max-guests=N         make room for so many, up to 511 (default: 64, or twice as\n"
	"                         many as there are at the start)\n"
	"  --user=NAME[:GROUP]    started as root: go on as this user once the sockets are made;\n"
	"                         what a reload adds is made as this user\n"
	"  --no-sandbox           allow every system call, not only those that vswd needs\n"
	"  --api PATH             listen there for the control API (HTTP, see vsw(1)); guests\n"
	"                         can be added later\n"
	"  --api-mode MODE        of that socket, octal (default: 600)\n"
	"  --print-capabilities   print what QEMU and libvirt ask vhost-user programs, and exit\n"
	"  -h, --help             print this and exit; vswd --help -- prints EAL's options\n"
	"  -V, --version          print the version and exit\n"
	"\n"
	"EAL options place the work: with -l 0 one lcore does everything; with -l 0-2 the\n"
	"main lcore serves the host's sockets, the others poll guests; with --bridge-lcores the\n"
	"main lcore only controls, unless it is in LIST, and lcores in LIST poll only if there "
	"are\n"
	"no others. Without any, vswd runs one lcore on any cpu, without hugepages; --in-memory "
	"or\n"
	"--socket-mem use them. A file may have them under eal:.\n"
	"\n"
	"Examples:\n"
	"  vswd --vm guest-cid=3,socket=/run/vsw/vm3.vhost,uds-path=/run/vsw/vm3.vsock\n"
	"  vswd --config /etc/vsw/vsw.yaml\n"
	"  vswd -l 1-3 --in-memory -- --idle=poll \\\n"
	"      --vm guest-cid=3,socket=/run/vsw/vm3.vhost,uds-path=/run/vsw/vm3.vsock \\\n"
	"      --vm guest-cid=4,socket=/run/vsw/vm4.vhost,uds-path=/run/vsw/vm4.vsock\n";

static void
add_guest_options(void)
{
	for (unsigned int i = 0; i < VSW_GUEST_SPEC_N_KEYS; i++)
		long_options[N_OWN + i] = (struct option){
			.name = vsw_guest_spec_key_at(i),
			.has_arg = required_argument,
			.val = OPT_GUEST_KEY + (int)i,
		};
}

/* Our options in either spelling, as keys are: --guest_cid is --guest-cid. */
static void
spell_with_dashes(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		size_t len = strncmp(argv[i], "--", 2) == 0 ? strcspn(argv[i], "=") : 0;

		for (size_t c = 0; c < len; c++) {
			if (argv[i][c] == '_')
				argv[i][c] = '-';
		}
	}
}

static bool
is_ours(const char *arg)
{
	size_t len = strcspn(arg, "=");

	if (strcmp(arg, "-h") == 0 || strcmp(arg, "-V") == 0)
		return true;
	for (const struct option *o = long_options; o->name != NULL; o++) {
		if (strncmp(arg, "--", 2) == 0 && strlen(o->name) == len - 2 &&
		    strncmp(arg + 2, o->name, len - 2) == 0)
			return true;
	}
	return false;
}

/* @return where ours begin: argv[that] is "--", or the program's name when all are ours. */
static int
find_ours(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0)
			return i;
	}
	if (argc < 2 || is_ours(argv[1]))
		return 0;
	errx(EXIT_FAILURE,
	     "%s is not an option of vswd; EAL options come first and end with --, as in "
	     "vswd -l 0 -- --vm ...",
	     argv[1]);
}

/* Where the guests come from; one of these. */
enum form {
	FORM_NONE,
	FORM_VM,
	FORM_FLAT,
	FORM_FILE,
};

static void
use_form(enum form *form, enum form this)
{
	if (*form != FORM_NONE && *form != this)
		errx(EXIT_FAILURE,
		     "--vm, --config and the options of a single guest (--guest-cid, "
		     "--socket, --uds-path, ...) exclude each other; use one of them");
	*form = this;
}

static void
set(struct vsw_conf *conf, const char *key, const char *value)
{
	char why[VSW_WHY_SIZE];

	if (vsw_conf_set(conf, key, value, why) != 0)
		errx(EXIT_FAILURE, "--%s: %s", key, why);
}

static void
set_flat(struct vsw_conf_guest *guest, uint32_t *seen, unsigned int key, const char *value)
{
	const char *name = vsw_guest_spec_key_at(key);
	char why[VSW_WHY_SIZE];

	if (*seen & 1u << key)
		errx(EXIT_FAILURE, "--%s: it is given twice; use --vm for several guests", name);
	*seen |= 1u << key;
	if (vsw_guest_spec_set(&guest->spec, name, value, why) != 0)
		errx(EXIT_FAILURE, "--%s: %s", name, why);
}

/* What the command line says of settings wins. */
static void
read_file(struct options *opt, const char *path)
{
	struct vsw_conf *conf = &opt->conf;
	bool has_idle = conf->has_idle;
	enum vsw_idle idle = conf->idle;
	uint32_t max_guests = conf->max_guests;
	int32_t api_mode = conf->api_mode;
	struct vsw_lcores bridge_lcores = conf->bridge_lcores;
	char error[VSW_CONF_ERROR_SIZE];
	char api[sizeof(conf->api)];

	strlcpy(api, conf->api, sizeof(api));

	if (vsw_conf_read_file(conf, path, error) != 0)
		errx(EXIT_FAILURE, "%s", error);
	if (has_idle) {
		conf->overrides |= VSW_CONF_IDLE;
		conf->idle = idle;
	}
	if (max_guests != 0) {
		conf->overrides |= VSW_CONF_MAX_GUESTS;
		conf->max_guests = max_guests;
	}
	if (api[0] != '\0') {
		conf->overrides |= VSW_CONF_API;
		strlcpy(conf->api, api, sizeof(conf->api));
		conf->api_at = (struct vsw_conf_pos){0};
	}
	if (api_mode != 0) {
		conf->overrides |= VSW_CONF_API_MODE;
		conf->api_mode = api_mode;
	}
	if (bridge_lcores.n > 0) {
		conf->overrides |= VSW_CONF_BRIDGE_LCORES;
		conf->bridge_lcores = bridge_lcores;
		conf->bridge_lcores_at = (struct vsw_conf_pos){0};
	}
}

static void
parse_ours(struct options *opt, int argc, char **argv)
{
	struct vsw_conf *conf = &opt->conf;
	struct vsw_conf_guest flat = {0};
	char error[VSW_CONF_ERROR_SIZE];
	char why[VSW_WHY_SIZE];
	enum form form = FORM_NONE;
	const char *file = NULL;
	uint32_t seen = 0;
	int c;

	vsw_guest_spec_init(&flat.spec);
	while ((c = getopt_long(argc, argv, "+hV", long_options, NULL)) != -1) {
		switch (c) {
		case OPT_HELP:
			fputs(help, stdout);
			exit(EXIT_SUCCESS);
		case OPT_VERSION:
			puts("vswd " VSW_VERSION);
			exit(EXIT_SUCCESS);
		case OPT_API:
			set(conf, "api", optarg);
			break;
		case OPT_API_MODE:
			set(conf, "api-mode", optarg);
			break;
		case OPT_BRIDGE_LCORES:
			set(conf, "bridge-lcores", optarg);
			break;
		case OPT_CHECK:
		case OPT_CONFIG:
			if (file != NULL)
				errx(EXIT_FAILURE,
				     "--config: it is given twice (--check counts, too)");
			use_form(&form, FORM_FILE);
			opt->is_check = c == OPT_CHECK;
			file = optarg;
			break;
		case OPT_IDLE:
			set(conf, "idle", optarg);
			break;
		case OPT_MAX_GUESTS:
			set(conf, "max-guests", optarg);
			break;
		case OPT_PRINT_CAPABILITIES:
			puts("{\n  \"type\": \"vsock\"\n}");
			exit(EXIT_SUCCESS);
		case OPT_NO_SANDBOX:
			opt->no_sandbox = true;
			break;
		case OPT_USER:
			if (privilege_parse(&opt->user, optarg, why) != 0)
				errx(EXIT_FAILURE, "--user: %s", why);
			break;
		case OPT_VM:
			use_form(&form, FORM_VM);
			if (vsw_conf_add_vm(conf, optarg, error) != 0)
				errx(EXIT_FAILURE, "%s", error);
			break;
		case '?': /* getopt has said what */
			fputs("Try vswd --help.\n", stderr);
			exit(EXIT_FAILURE);
		default:
			use_form(&form, FORM_FLAT);
			set_flat(&flat, &seen, (unsigned int)(c - OPT_GUEST_KEY), optarg);
			break;
		}
	}
	if (optind < argc)
		errx(EXIT_FAILURE, "%s is not an option; vswd takes --vm KEY=VALUE,...",
		     argv[optind]);
	if (form == FORM_FLAT && vsw_conf_add_guest(conf, &flat, "the guest", error) != 0)
		errx(EXIT_FAILURE, "%s", error);
	if (form == FORM_FILE)
		read_file(opt, file);
	if (form == FORM_NONE && conf->api[0] == '\0')
		errx(EXIT_FAILURE, "--vm: there is no guest to serve; add --vm "
				   "guest-cid=3,socket=PATH,uds-path=PATH, or --api PATH to add "
				   "guests later");
	if (vsw_conf_check(conf, error) != 0 ||
	    vsw_conf_check_paths(conf, opt->is_check ? VSW_CONF_PATHS_LATER : VSW_CONF_PATHS_NOW,
				 error) != 0)
		errx(EXIT_FAILURE, "%s", error);
}

unsigned int
options_max_guests(const struct options *opt)
{
	unsigned int n = 2 * opt->conf.n_guests;

	if (opt->conf.max_guests != 0)
		n = opt->conf.max_guests;
	else if (n < VSW_GUESTS_DEFAULT)
		n = VSW_GUESTS_DEFAULT;
	if (n < opt->conf.n_guests)
		n = opt->conf.n_guests;
	return n < VSW_GUESTS_SERVED ? n : VSW_GUESTS_SERVED;
}

/*
 * EAL.
 */

/* Is any of these options there? */
static bool
has_eal(const struct options *opt, const char *const *names)
{
	for (int i = 1; i < opt->eal_argc; i++) {
		for (const char *const *name = names; *name != NULL; name++) {
			if (eal_value(opt->eal_argc, opt->eal_argv, i, *name) != NULL)
				return true;
		}
	}
	return false;
}

static void __attribute__((format(printf, 2, 3))) add_eal(struct options *opt, const char *fmt, ...)
{
	char *arg = opt->eal_text + opt->eal_text_len;
	size_t room = sizeof(opt->eal_text) - opt->eal_text_len;
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(arg, room, fmt, ap);
	va_end(ap);
	if (opt->eal_argc == OPTIONS_EAL_MAX - 1 || (size_t)len >= room)
		errx(EXIT_FAILURE, "there are too many EAL options, or they are too long");
	opt->eal_argv[opt->eal_argc++] = arg;
	opt->eal_text_len += (size_t)len + 1;
}

/* "0@(0,1,5)": lcore 0 on any cpu that this process may use. */
static void
add_floating_lcore(struct options *opt)
{
	char cpus[4 * CPU_SETSIZE] = "";
	size_t len = 0;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		err(EXIT_FAILURE, "sched_getaffinity");
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &set))
			len += (size_t)snprintf(cpus + len, sizeof(cpus) - len, "%s%d",
						len > 0 ? "," : "", cpu);
	}
	add_eal(opt, "--lcores=0@(%s)", cpus);
}

static void
add_eal_defaults(struct options *opt)
{
	static const char *const lcores[] = {"-l", "--lcores", "-c", "-s", "-S", NULL};
	static const char *const memory[] = {"--no-huge",    "--in-memory",         "--socket-mem",
					     "--numa-mem",   "--huge-dir",          "--huge-unlink",
					     "--legacy-mem", "--huge-worker-stack", NULL};
	static const char *const size[] = {"-m", "--socket-mem", "--numa-mem", NULL};
	static const char *const no_huge[] = {"--no-huge", NULL};
	static const char *const pci[] = {"--no-pci", "-a", "-b", "--allow", "--block", NULL};
	static const char *const prefix[] = {"--file-prefix", NULL};

	if (!has_eal(opt, lcores))
		add_floating_lcore(opt);
	if (!has_eal(opt, memory)) {
		/* --in-memory, which we would prefer, contradicts --no-huge in 22.11. */
		add_eal(opt, "--no-huge");
		add_eal(opt, "--no-shconf");
	}
	/* Without hugepages memory cannot grow, but what is not used costs nothing. */
	if (has_eal(opt, no_huge) && !has_eal(opt, size))
		add_eal(opt, "-m%u", 256 + options_max_guests(opt));
	if (!has_eal(opt, pci))
		add_eal(opt, "--no-pci");
	if (!has_eal(opt, prefix))
		add_eal(opt, "--file-prefix=vswd%d", (int)getpid());
}

/* `vswd --help --`: EAL prints its usage and ends the process. */
static void
help_with_eal(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
			rte_eal_init(argc, argv);
	}
}

static bool is_starting_eal;

static void
say_eal_cannot_start(void)
{
	warnx("EAL cannot start, for the reason that it gives above; vswd --help -- lists its "
	      "options");
}

/* From DPDK 25.11 on EAL ends the process when an option is wrong. */
static void
on_exit_of_eal(void)
{
	if (!is_starting_eal)
		return;
	say_eal_cannot_start();
	_exit(EXIT_FAILURE);
}

/* When an option of EAL's is wrong EAL says so on standard error, in a line or two; behind that
 * it prints a hundred of its usage on standard output. */
void
options_start_eal(struct options *opt)
{
	int out = dup(STDOUT_FILENO);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int rc;

	fflush(stdout);
	if (out >= 0 && null >= 0)
		dup2(null, STDOUT_FILENO);
	is_starting_eal = true;
	atexit(on_exit_of_eal);
	rc = rte_eal_init(opt->eal_argc, opt->eal_argv);
	is_starting_eal = false;
	fflush(stdout);
	if (out >= 0)
		dup2(out, STDOUT_FILENO);
	close(out);
	close(null);
	if (rc < 0) {
		say_eal_cannot_start();
		exit(EXIT_FAILURE);
	}
}

/* What is left of --check when the options are known: lcores, as far as they can be foreseen. */
static void
check_and_exit(struct options *opt)
{
	const struct vsw_conf *conf = &opt->conf;
	struct vsw_layout layout;
	struct vsw_lcores lcores;
	unsigned int main_lcore;
	char error[VSW_CONF_ERROR_SIZE];

	if (eal_lcores_foresee(opt->eal_argc, opt->eal_argv, &lcores, &main_lcore) &&
	    vsw_layout_make(&layout, &lcores, main_lcore, conf, error) != 0)
		errx(EXIT_FAILURE, "%s", error);
	printf("%s: %u guest%s, no mistakes\n", conf->file, conf->n_guests,
	       conf->n_guests == 1 ? "" : "s");
	exit(EXIT_SUCCESS);
}

void
options_parse(struct options *opt, int argc, char **argv)
{
	const char *arg;
	int split;

	add_guest_options();
	spell_with_dashes(argc, argv);
	split = find_ours(argc, argv);
	help_with_eal(split, argv);
	memset(opt, 0, sizeof(*opt));
	opt->conf.idle = VSW_IDLE_ADAPTIVE;
	argv[split] = argv[0];
	add_eal(opt, "%s", argv[0]);
	/* librte_vhost tells of every message at INFO, and of what a VMM does wrong without limit.
	 * First, so that the user's win. */
	add_eal(opt, "--log-level=lib.vhost.*:critical");
	add_eal(opt, "--log-level=lib.eal:warning");
	add_eal(opt, "--log-level=lib.telemetry:error");
	parse_ours(opt, argc - split, argv + split);
	arg = opt->conf.eal_text;
	for (unsigned int i = 0; i < opt->conf.n_eal; i++, arg += strlen(arg) + 1)
		add_eal(opt, "%s", arg);
	for (int i = 1; i < split; i++)
		add_eal(opt, "%s", argv[i]);
	add_eal_defaults(opt);
	if (opt->is_check)
		check_and_exit(opt);
}
