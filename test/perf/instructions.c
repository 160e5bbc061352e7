/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole switch and its guests in one thread, stepped by hand: what it does for a message is the
 * same in every round and every run, so that its instructions can be counted (instructions.py
 * does, by valgrind). Only counted() is: the switch's loops, not the guests and hosts.
 *
 *   instructions --path=g2h|h2g|g2g [--guests=N] [--quiet=N] [--connections=N] [--lcores=N]
 *                [--bridges=N] [--size=BYTES] [--batch=N] [--rounds=N]
 *
 * --guests of them talk, --quiet more are there and do nothing; --connections idle ones of the
 * first guest, with its host; --lcores poll them (0: one lcore does everything), --bridges more
 * bridge (0: the main lcore does). In a round each guest sends or gets --batch messages. With
 * --batch=0 a round is a turn of loops that find nothing.
 *
 * Idle connections end at a host application that is there already, at <folder>/3.vsock_99: the
 * folder is the only argument.
 */
#include "eal.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <bsd/string.h>

#include <rte_log.h>

#include "vsw_bridge.h"
#include "vsw_control.h"
#include "vsw_msg.h"
#include "vsw_poll.h"
#include "vsw_vhost.h"

#include "instructions_guest.h"

#define GUESTS_MAX 128
#define LCORES_MAX 16
#define PORT 52
#define IDLE_PORT 99
#define CID_FIRST 3
#define CID_HOST 2
#define WARM_ROUNDS 20
/* Idle connections asked for at a time. */
#define OPEN_AT_ONCE 32

enum path { G2H, H2G, G2G };

static struct {
	enum path path;
	unsigned int n_guests, n_quiet, n_conns, n_lcores, n_bridges, size, batch, rounds;
	const char *dir;
} opt = {.n_guests = 1, .n_lcores = 1, .size = 4096, .batch = 16, .rounds = 200};

/* Who talks to whom. */
struct talk {
	struct vsw_guest_sock *from, *to; /* NULL: the host's end, fd */
	int fd;
};

static struct {
	struct vsw_loop *loop[RTE_MAX_LCORE]; /* n_loops of them */
	unsigned int n_loops;
	struct vsw_control *control;
	struct vsw_request *req; /* of the last ask() */
	struct vsw_guest_spec spec[GUESTS_MAX];
	struct vsw_guest *guest[GUESTS_MAX];
	unsigned int n_guests;
	struct talk talk[GUESTS_MAX];
	unsigned int n_talks;
} t;

static uint8_t buf[1 << 20];

/*
 * Turns.
 */

/* All loops until none finds anything. */
static unsigned int
turn_all(void)
{
	unsigned int sum = 0, work;

	do {
		work = 0;
		for (unsigned int i = 0; i < t.n_loops; i++)
			work += vsw_loop_turn(t.loop[i]);
		sum += work;
	} while (work > 0);
	return sum;
}

/* What valgrind counts: --toggle-collect=counted. */
__attribute__((noinline)) void counted(void);
void
counted(void)
{
	turn_all();
	__asm__ __volatile__("" ::: "memory");
}

static void
poll_guests(void)
{
	for (unsigned int i = 0; i < t.n_guests; i++)
		ig_poll(t.guest[i]);
}

#define AWAIT(cond, what)                                                                          \
	do {                                                                                       \
		uint64_t deadline_ = now_ms() + 120000;                                            \
		while (!(cond)) {                                                                  \
			if (now_ms() > deadline_)                                                  \
				errx(EXIT_FAILURE, "waited two minutes for " what);                \
			if (turn_all() == 0)                                                       \
				usleep(100);                                                       \
			poll_guests();                                                             \
		}                                                                                  \
	} while (0)

/*
 * The switch.
 */

static void
on_done(struct vsw_request *req)
{
	*(bool *)req->ctx = true;
}

static void
ask(enum vsw_request_verb verb)
{
	bool done = false;

	t.req->verb = verb;
	t.req->done = on_done;
	t.req->ctx = &done;
	t.req->n_guests = 0;
	vsw_request_clear(t.req);
	vsw_control_submit(t.control, t.req);
	AWAIT(done, "an answer of control");
	if (t.req->result != 0)
		errx(EXIT_FAILURE, "%s", t.req->error);
}

static void
add_guest(unsigned int i)
{
	struct vsw_guest_spec *spec = &t.spec[i];

	vsw_guest_spec_init(spec);
	spec->cid = CID_FIRST + i;
	spec->max_connections = 65536;
	snprintf(spec->socket, sizeof(spec->socket), "%s/%u.vhost", opt.dir, spec->cid);
	snprintf(spec->uds_path, sizeof(spec->uds_path), "%s/%u.vsock", opt.dir, spec->cid);
	t.req->spec = *spec;
	ask(VSW_REQUEST_ADD_GUEST);
}

static bool
all_run(void)
{
	ask(VSW_REQUEST_LIST_GUESTS);
	for (unsigned int i = 0; i < t.req->n_guests; i++)
		if (t.req->guests[i].state != VSW_GUEST_RUNNING)
			return false;
	return true;
}

static void
create_switch(unsigned int n_guests)
{
	static struct vsw_conf conf;
	struct vsw_lcores lcores = {0};
	struct vsw_layout layout;
	char error[VSW_CONF_ERROR_SIZE];
	struct vsw_control_setup setup = {.layout = &layout,
					  .loops = t.loop,
					  .max_guests = n_guests,
					  .umask = 022,
					  .conf = &conf};

	t.req = calloc(1, sizeof(*t.req));
	if (t.req == NULL || vsw_msg_pool_create(4096 + 144 * n_guests) != 0)
		errx(EXIT_FAILURE, "no memory");
	t.n_loops = 1 + opt.n_lcores + opt.n_bridges;
	for (unsigned int i = 0; i < t.n_loops; i++) {
		vsw_lcores_add(&lcores, i);
		if (i > opt.n_lcores)
			vsw_lcores_add(&conf.bridge_lcores, i);
	}
	if (vsw_layout_make(&layout, &lcores, 0, &conf, error) != 0)
		errx(EXIT_FAILURE, "%s", error);
	for (unsigned int i = 0; i < t.n_loops; i++) {
		t.loop[i] = vsw_loop_create(i, VSW_IDLE_POLL);
		if (t.loop[i] == NULL ||
		    (layout.poll.has[i] && vsw_poll_create(t.loop[i]) == NULL) ||
		    (layout.bridge.has[i] && vsw_bridge_create(t.loop[i], 1000) == NULL))
			errx(EXIT_FAILURE, "lcore %u cannot be made", i);
	}
	setup.vhost = vsw_vhost_create();
	t.control = vsw_control_create(&setup);
	if (t.control == NULL)
		errx(EXIT_FAILURE, "the switch cannot be made");
	for (unsigned int i = 0; i < n_guests; i++)
		add_guest(i);
}

/*
 * Guests and their talks.
 */

struct boot {
	unsigned int i;
	bool is_done;
};

static void *
boot(void *arg)
{
	struct boot *b = arg;
	struct vsw_guest *g = ig_up(t.spec[b->i].socket);

	t.guest[b->i] = g;
	__atomic_store_n(&b->is_done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void
boot_guests(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct boot b = {.i = i};
		pthread_t thread;

		if (pthread_create(&thread, NULL, boot, &b) != 0)
			err(EXIT_FAILURE, "a thread");
		AWAIT(__atomic_load_n(&b.is_done, __ATOMIC_ACQUIRE), "a guest to boot");
		pthread_join(thread, NULL);
		t.n_guests++;
	}
	AWAIT(all_run(), "the guests to run");
}

static int
uds_socket(const char *path, struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	addr->sun_family = AF_UNIX;
	if (strlcpy(addr->sun_path, path, sizeof(addr->sun_path)) >= sizeof(addr->sun_path))
		errx(EXIT_FAILURE, "%s is too long a path", path);
	if (fd < 0)
		err(EXIT_FAILURE, "a socket");
	return fd;
}

static void
talk_to_host(struct talk *k, unsigned int i)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
	struct sockaddr_un addr;
	int listener;

	snprintf(path, sizeof(path), "%s_%u", t.spec[i].uds_path, PORT);
	listener = uds_socket(path, &addr);
	if (bind(listener, (const struct sockaddr *)&addr, sizeof(addr)) != 0 ||
	    listen(listener, 1) != 0)
		err(EXIT_FAILURE, "%s", path);
	k->from = ig_connect(t.guest[i], CID_HOST, PORT);
	AWAIT(ig_is_connected(k->from), "a connection to the host");
	k->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	if (k->fd < 0)
		err(EXIT_FAILURE, "%s", path);
	close(listener);
	unlink(path);
}

static void
talk_to_guest(struct talk *k, unsigned int i)
{
	static const char line[] = "CONNECT 52\n";
	struct sockaddr_un addr;
	char ok[32];

	ig_listen(t.guest[i], PORT);
	k->fd = uds_socket(t.spec[i].uds_path, &addr);
	if (connect(k->fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0 ||
	    write(k->fd, line, sizeof(line) - 1) != sizeof(line) - 1)
		err(EXIT_FAILURE, "%s", t.spec[i].uds_path);
	AWAIT((k->to = ig_accept(t.guest[i], PORT)) != NULL, "a connection to the guest");
	AWAIT(read(k->fd, ok, sizeof(ok)) > 0, "OK");
}

/* Each guest talks to the next one: two that are polled by different lcores, if there are more
 * than one. */
static void
talk_to_sibling(struct talk *k, unsigned int i)
{
	unsigned int to = (i + 1) % opt.n_guests;

	ig_listen(t.guest[to], PORT);
	k->fd = -1;
	k->from = ig_connect(t.guest[i], CID_FIRST + to, PORT);
	AWAIT(ig_is_connected(k->from), "a connection between guests");
	AWAIT((k->to = ig_accept(t.guest[to], PORT)) != NULL, "a connection between guests");
}

static void
open_talks(void)
{
	static void (*const open[])(struct talk * k, unsigned int i) = {
		[G2H] = talk_to_host, [H2G] = talk_to_guest, [G2G] = talk_to_sibling};

	for (; t.n_talks < opt.n_guests; t.n_talks++)
		open[opt.path](&t.talk[t.n_talks], t.n_talks);
}

static void
open_idle(void)
{
	struct vsw_guest_sock *s[OPEN_AT_ONCE];

	for (unsigned int done = 0; done < opt.n_conns;) {
		unsigned int n =
			opt.n_conns - done < OPEN_AT_ONCE ? opt.n_conns - done : OPEN_AT_ONCE;

		for (unsigned int i = 0; i < n; i++)
			s[i] = ig_connect(t.guest[0], CID_HOST, IDLE_PORT);
		for (unsigned int i = 0; i < n; i++)
			AWAIT(ig_is_connected(s[i]), "an idle connection");
		done += n;
	}
}

/*
 * Rounds.
 */

static void
say(const struct talk *k)
{
	for (unsigned int i = 0; i < opt.batch; i++) {
		if (k->from != NULL)
			ig_send(k->from, buf, opt.size);
		else if (write(k->fd, buf, opt.size) != (ssize_t)opt.size)
			err(EXIT_FAILURE, "the host's socket does not take a batch");
	}
}

/* @return bytes that have come. */
static size_t
hear(const struct talk *k)
{
	size_t sum = 0;
	ssize_t n;

	if (k->to != NULL)
		return ig_drain(k->to);
	while ((n = read(k->fd, buf, sizeof(buf))) > 0)
		sum += (size_t)n;
	return sum;
}

/* All that is said in a round is heard in it. */
static void
run_round(void (*turns)(void))
{
	size_t heard = 0;

	for (unsigned int i = 0; i < t.n_talks; i++)
		say(&t.talk[i]);
	turns();
	poll_guests();
	for (unsigned int i = 0; i < t.n_talks; i++)
		heard += hear(&t.talk[i]);
	if (heard != (size_t)t.n_talks * opt.batch * opt.size)
		errx(EXIT_FAILURE, "%zu of %zu bytes of a round have come", heard,
		     (size_t)t.n_talks * opt.batch * opt.size);
	if (heard == 0)
		return;
	/* What the readers say of their windows is work, too, and must reach the writers. */
	turns();
	poll_guests();
}

static void
uncounted(void)
{
	turn_all();
}

/*
 * The command line.
 */

static unsigned int
number(const char *text, unsigned int max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (end == text || *end != '\0' || n > max)
		errx(2, "%s: a number up to %u", text, max);
	return (unsigned int)n;
}

static enum path
path_of(const char *name)
{
	static const char *const names[] = {[G2H] = "g2h", [H2G] = "h2g", [G2G] = "g2g"};

	for (unsigned int i = 0; i < VSW_ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return i;
	errx(2, "--path=%s: g2h, h2g or g2g", name);
}

static void
parse(int argc, char **argv)
{
	static const struct option options[] = {
		{"path", required_argument, NULL, 'p'},
		{"guests", required_argument, NULL, 'g'},
		{"quiet", required_argument, NULL, 'q'},
		{"connections", required_argument, NULL, 'c'},
		{"lcores", required_argument, NULL, 'l'},
		{"bridges", required_argument, NULL, 'B'},
		{"size", required_argument, NULL, 's'},
		{"batch", required_argument, NULL, 'b'},
		{"rounds", required_argument, NULL, 'r'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'p':
			opt.path = path_of(optarg);
			break;
		case 'g':
			opt.n_guests = number(optarg, GUESTS_MAX / 2);
			break;
		case 'q':
			opt.n_quiet = number(optarg, GUESTS_MAX / 2);
			break;
		case 'c':
			opt.n_conns = number(optarg, 60000);
			break;
		case 'l':
			opt.n_lcores = number(optarg, LCORES_MAX);
			break;
		case 'B':
			opt.n_bridges = number(optarg, LCORES_MAX);
			break;
		case 's':
			opt.size = number(optarg, 65536);
			break;
		case 'b':
			opt.batch = number(optarg, 1000);
			break;
		case 'r':
			opt.rounds = number(optarg, 1000000);
			break;
		default:
			exit(2);
		}
	}
	if (optind != argc - 1)
		errx(2, "name a folder");
	opt.dir = argv[optind];
}

int
main(int argc, char **argv)
{
	unsigned int n;

	parse(argc, argv);
	n = opt.n_guests + opt.n_quiet;
	if (eal_up() != 0)
		errx(EXIT_FAILURE, "EAL cannot start");
	rte_log_set_global_level(RTE_LOG_CRIT);
	create_switch(n);
	boot_guests(n);
	open_talks();
	open_idle();
	for (unsigned int i = 0; i < WARM_ROUNDS; i++)
		run_round(uncounted);
	for (unsigned int i = 0; i < opt.rounds; i++)
		run_round(counted);
	printf("%u rounds, %u messages\n", opt.rounds, opt.rounds * opt.batch * t.n_talks);
	/* Nothing of what is to be counted happens in an orderly end. */
	fflush(stdout);
	for (unsigned int i = 0; i < t.n_guests; i++)
		ig_down(t.guest[i]);
	_exit(EXIT_SUCCESS);
}
