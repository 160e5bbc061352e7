/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many guests one vswd serves, and what each costs: starts vswd with so many guests, boots
 * them all, lets each echo through the host, and prints start-up time, memory and descriptors.
 * Fails when a guest does not answer, or when descriptors are left of those that have gone.
 *
 *   VSWD=build/app/vswd density [guests]     500 unless told otherwise
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "harness.h"

#define N_MAX 511
#define PORT 52
#define ROUNDS 20
/* Ours and vswd's, of a guest. */
#define FDS_OF_A_GUEST 32
#define SKIPPED 77 /* meson's */

struct vm {
	struct vsw_guest *g;
	struct vsw_guest_sock *s;
	int fd;
	char socket[100], uds[100];
};

static struct vm vms[N_MAX];
static struct daemon d;
static unsigned int n_vms = 500;

#define die(...)                                                                                   \
	do {                                                                                       \
		fprintf(stderr, __VA_ARGS__);                                                      \
		fputc('\n', stderr);                                                               \
		exit_badly();                                                                      \
	} while (0)

static void __attribute__((noreturn)) exit_badly(void)
{
	static char log[8192];

	daemon_log(&d, log, sizeof(log));
	fprintf(stderr, "---- vswd said ----\n%s", log);
	kill(d.pid, SIGKILL);
	remove_dir(d.dir);
	exit(EXIT_FAILURE);
}

static unsigned long
status_kib(const char *key)
{
	char path[64], line[128];
	unsigned long kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", d.pid);
	f = fopen(path, "r");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			kib = strtoul(line + strlen(key) + 1, NULL, 10);
	if (f != NULL)
		fclose(f);
	return kib;
}

static unsigned int
n_fds(void)
{
	char command[64];
	unsigned int n = 0;
	FILE *f;

	snprintf(command, sizeof(command), "ls /proc/%d/fd | wc -l", d.pid);
	f = popen(command, "r");
	if (f != NULL && fscanf(f, "%u", &n) != 1)
		n = 0;
	if (f != NULL)
		pclose(f);
	return n;
}

static void
report(const char *what, uint64_t since)
{
	printf("| %s | %.2f s | %lu KiB | %lu KiB | %u |\n", what,
	       (double)(vsw_guest_now_ms() - since) / 1000, status_kib("RssAnon"),
	       status_kib("VmRSS"), n_fds());
}

static void
start_vswd(const char *config)
{
	const char *argv[] = {"--lcores", "0@0,1@1", "--", "--config", config, NULL};
	FILE *f = fopen(config, "w");

	if (f == NULL)
		die("%s: %s", config, strerror(errno));
	fprintf(f, "vms:\n");
	for (unsigned int i = 0; i < n_vms; i++) {
		snprintf(vms[i].socket, sizeof(vms[i].socket), "%s/%u.vhost", d.dir, i);
		snprintf(vms[i].uds, sizeof(vms[i].uds), "%s/%u.vsock", d.dir, i);
		fprintf(f, "  - guest_cid: %u\n    socket: %s\n    uds_path: %s\n", 3 + i,
			vms[i].socket, vms[i].uds);
	}
	fclose(f);
	daemon_spawn(&d, argv);
	if (!daemon_wait_ready(&d))
		die("vswd does not become ready");
}

static void
boot(struct vm *vm)
{
	struct vsw_guest_conf conf = VSW_GUEST_CONF_DEFAULT;

	conf.socket_path = vm->socket;
	conf.n_regions = 1;
	conf.ring_size = 128;
	conf.timeout_ms = 30000;
	vm->g = vsw_guest_create(&conf);
	if (vm->g == NULL)
		die("creating a guest: %s", strerror(errno));
	if (vsw_guest_attach(vm->g) < 0 || vsw_guest_start(vm->g, VSW_GUEST_BOOT) < 0)
		die("%s: %s", vm->socket, vsw_guest_error(vm->g));
}

static void
connect_host(struct vm *vm)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s_%u", vm->uds, PORT);
	if (bind(listener, (const struct sockaddr *)&addr, sizeof(addr)) != 0 ||
	    listen(listener, 1) != 0)
		die("%s: %s", addr.sun_path, strerror(errno));
	vm->s = vsw_guest_connect(vm->g, VSW_CID_HOST, PORT, 30000);
	if (vm->s == NULL)
		die("%s: %s", vm->uds, vsw_guest_error(vm->g));
	vm->fd = accept(listener, NULL, NULL);
	close(listener);
	unlink(addr.sun_path);
}

static void
echo(struct vm *vm, unsigned int round)
{
	uint32_t word = round, back = 0;

	if (vsw_guest_send(vm->s, &word, sizeof(word), 30000) != sizeof(word) ||
	    recv(vm->fd, &back, sizeof(back), MSG_WAITALL) != sizeof(back) || back != word ||
	    send(vm->fd, &back, sizeof(back), 0) != sizeof(back))
		die("%s: no echo on the host", vm->uds);
	back = 0;
	if (vsw_guest_recv_all(vm->s, &back, sizeof(back), 30000) != sizeof(back) || back != word)
		die("%s: no echo in the guest: %s", vm->uds, vsw_guest_error(vm->g));
}

/* All have been killed: vswd has let go of all that was theirs. */
static void
wait_for_fds(unsigned int n)
{
	uint64_t deadline = vsw_guest_now_ms() + WAIT_MS;

	while (n_fds() != n) {
		if (vsw_guest_now_ms() > deadline)
			die("vswd had %u descriptors before the guests came, and has %u", n,
			    n_fds());
		usleep(50000);
	}
}

int
main(int argc, char **argv)
{
	struct rlimit limit;
	unsigned int n_ready;
	char config[100];
	uint64_t start;

	if (argc > 1)
		n_vms = (unsigned int)atoi(argv[1]);
	if (n_vms < 1 || n_vms > N_MAX)
		n_vms = N_MAX;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < n_vms * FDS_OF_A_GUEST) {
		printf("skipped: ulimit -Hn is below %u\n", n_vms * FDS_OF_A_GUEST);
		return SKIPPED;
	}
	signal(SIGPIPE, SIG_IGN);
	make_dir(d.dir);
	snprintf(config, sizeof(config), "%s/vsw.yaml", d.dir);

	printf("%u guests\n\n| | time | own memory | with shared | descriptors "
	       "|\n|---|---|---|---|---|\n",
	       n_vms);
	start = vsw_guest_now_ms();
	start_vswd(config);
	report("vswd is ready", start);
	n_ready = n_fds();
	start = vsw_guest_now_ms();
	for (unsigned int i = 0; i < n_vms; i++)
		boot(&vms[i]);
	report("all have booted", start);
	start = vsw_guest_now_ms();
	for (unsigned int i = 0; i < n_vms; i++)
		connect_host(&vms[i]);
	report("each has a connection", start);
	start = vsw_guest_now_ms();
	for (unsigned int round = 0; round < ROUNDS; round++)
		for (unsigned int i = 0; i < n_vms; i++)
			echo(&vms[i], round);
	report("each has echoed 20 times, in turn", start);
	start = vsw_guest_now_ms();
	for (unsigned int i = 0; i < n_vms; i++) {
		vsw_guest_destroy(vms[i].g);
		close(vms[i].fd);
	}
	wait_for_fds(n_ready);
	report("all have been killed", start);
	kill(d.pid, SIGTERM);
	if (daemon_wait(&d, 30000) != 0)
		die("vswd does not end well");
	remove_dir(d.dir);
	return 0;
}
