/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_FDS_MAX 512
#define PATTERN_LEN 1048573 /* prime, so that no power of two hides a shift */

struct env {
	const struct variant *variant;
	struct daemon d;
	struct {
		uint32_t cid;
		char socket[128], uds[128];
		struct vsw_guest *g;
	} vms[N_VMS_MAX];
	unsigned int n_vms;
	char config[128];
	unsigned int baseline_fds;
	int fds[N_FDS_MAX];
	unsigned int n_fds;
	char unlinks[64][160];
	unsigned int n_unlinks;
	bool has_failed;
	const struct test_case *cases;
	unsigned int i_case;
};

static struct env the_env;

/* ---- own daemons ---- */

void
make_dir(char *dir)
{
	strcpy(dir, "/tmp/vsw-test-XXXXXX");
	if (mkdtemp(dir) == NULL)
		fail_msg("mkdtemp: %s", strerror(errno));
}

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void
remove_dir(const char *dir)
{
	nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

void
daemon_spawn(struct daemon *d, const char *const *argv)
{
	const char *path = getenv("VSWD");
	char *args[256] = {(char *)(uintptr_t) "vswd"};
	pid_t parent = getpid();
	unsigned int n = 1;

	if (path == NULL)
		fail_msg("the environment variable VSWD must name vswd");
	while (*argv != NULL && n < VSW_ARRAY_SIZE(args) - 1)
		args[n++] = (char *)(uintptr_t)*argv++;
	d->log_fd = memfd_create("vswd-log", MFD_CLOEXEC);
	if (d->log_fd < 0)
		fail_msg("memfd_create: %s", strerror(errno));
	d->pid = fork();
	if (d->pid == 0) {
		/* A test program that is killed takes its daemon along. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(127);
		if (d->max_fds != 0 &&
		    setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_cur = d->max_fds,
							      .rlim_max = d->max_fds}) != 0)
			_exit(127);
		dup2(d->log_fd, 1);
		dup2(d->log_fd, 2);
		setenv("RUNTIME_DIRECTORY", d->dir, 1);
		if (d->uid != 0 &&
		    (setgroups(0, NULL) != 0 || setgid(d->uid) != 0 || setuid(d->uid) != 0))
			_exit(127);
		execv(path, args);
		dprintf(2, "execv %s: %s\n", path, strerror(errno));
		_exit(127);
	}
	if (d->pid < 0)
		fail_msg("fork: %s", strerror(errno));
}

int
daemon_wait(struct daemon *d, int timeout_ms)
{
	uint64_t deadline = vsw_guest_now_ms() + (uint64_t)timeout_ms;
	int status;

	/* pidfd_open() is not in this libc; a child's end has no other descriptor. */
	while (waitpid(d->pid, &status, WNOHANG) == 0) {
		if (vsw_guest_now_ms() >= deadline)
			return -1;
		usleep(2000);
	}
	d->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void
daemon_log(const struct daemon *d, char *buf, size_t size)
{
	off_t end = lseek(d->log_fd, 0, SEEK_END);
	off_t from = end > (off_t)size - 1 ? end - (off_t)size + 1 : 0;
	ssize_t n = pread(d->log_fd, buf, size - 1, from);

	buf[n > 0 ? n : 0] = '\0';
}

static int
try_connect(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -1;
}

bool
daemon_wait_log(struct daemon *d, const char *text, int timeout_ms)
{
	uint64_t deadline = vsw_guest_now_ms() + (uint64_t)timeout_ms;
	static char log[65536];

	for (;;) {
		siginfo_t info = {0};

		daemon_log(d, log, sizeof(log));
		if (strstr(log, text) != NULL)
			return true;
		/* dead already? leave it for daemon_wait() */
		if (waitid(P_PID, (id_t)d->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		    info.si_pid == d->pid)
			return false;
		if (vsw_guest_now_ms() >= deadline)
			return false;
		usleep(2000);
	}
}

bool
daemon_wait_ready(struct daemon *d)
{
	return daemon_wait_log(d, "vsw: ready: ", 3 * WAIT_MS);
}

/* ---- environment ---- */

static void
print_log(struct env *e)
{
	static char log[16384];

	daemon_log(&e->d, log, sizeof(log));
	print_error("---- end of vswd's log ----\n%s---------------------------\n", log);
}

void
env_fail(struct env *e, const char *file, int line, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	e->has_failed = true;
	print_error("%s: %s\n", e->variant->name, text);
	for (unsigned int i = 0; i < e->n_vms; i++) {
		struct vsw_guest *g = e->vms[i].g;

		for (unsigned int v = 0; g != NULL && vsw_guest_violation(g, v) != NULL; v++)
			print_error("guest %u: violation: %s\n", e->vms[i].cid,
				    vsw_guest_violation(g, v));
	}
	print_log(e);
	_fail(file, line);
	abort(); /* _fail() does not return, but does not say so */
}

const struct variant *
env_variant(const struct env *e)
{
	return e->variant;
}

struct vsw_guest *
env_guest(const struct env *e, unsigned int vm)
{
	return e->vms[vm].g;
}

pid_t
env_pid(const struct env *e)
{
	return e->d.pid;
}

const char *
env_vhost_path(const struct env *e, unsigned int vm)
{
	return e->vms[vm].socket;
}

const char *
env_uds_path(const struct env *e, unsigned int vm)
{
	return e->vms[vm].uds;
}

unsigned int
env_n_fds(const struct env *e)
{
	char path[64];
	unsigned int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", e->d.pid);
	d = opendir(path);
	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		closedir(d);
	return n;
}

unsigned int
env_baseline_fds(const struct env *e)
{
	return e->baseline_fds;
}

int
env_own_fd(struct env *e, int fd)
{
	if (fd < 0)
		fail_env(e, "no descriptor: %s", strerror(errno));
	if (e->n_fds == N_FDS_MAX)
		fail_env(e, "the case has more than %d descriptors", N_FDS_MAX);
	e->fds[e->n_fds++] = fd;
	return fd;
}

void
env_close(struct env *e, int fd)
{
	for (unsigned int i = 0; i < e->n_fds; i++)
		if (e->fds[i] == fd) {
			e->fds[i] = e->fds[--e->n_fds];
			break;
		}
	close(fd);
}

const char *
env_config_path(const struct env *e)
{
	return e->config;
}

void
env_write_config(const struct env *e, const char *const *more)
{
	FILE *file = fopen(e->config, "w");

	if (file == NULL)
		fail_msg("%s: %s", e->config, strerror(errno));
	fputs("vms:\n", file);
	for (unsigned int i = 0; i < e->n_vms; i++) {
		if (more[i] == NULL)
			continue;
		fprintf(file, "  - guest_cid: %u\n    socket: %s\n    uds_path: %s\n",
			e->vms[i].cid, e->vms[i].socket, e->vms[i].uds);
		for (const char *line = more[i]; *line != '\0'; line += strspn(line, "\n")) {
			int len = (int)strcspn(line, "\n");

			fprintf(file, "    %.*s\n", len, line);
			line += len;
		}
	}
	fclose(file);
}

unsigned int
env_count_in_log(struct env *e, const char *text)
{
	static char log[1 << 18];
	unsigned int n = 0;

	env_log(e, log, sizeof(log));
	for (const char *p = log; (p = strstr(p, text)) != NULL; p += strlen(text))
		n++;
	return n;
}

bool
env_reload(struct env *e, void (*step)(struct env *e, void *arg), void *arg)
{
	uint64_t deadline = vsw_guest_now_ms() + WAIT_MS;
	unsigned int n_good = env_count_in_log(e, "vsw: reloaded");
	unsigned int n_bad = env_count_in_log(e, "vsw: reload failed");

	kill(env_pid(e), SIGHUP);
	for (;;) {
		step(e, arg);
		if (env_count_in_log(e, "vsw: reloaded") > n_good)
			return true;
		if (env_count_in_log(e, "vsw: reload failed") > n_bad)
			return false;
		if (vsw_guest_now_ms() > deadline)
			fail_env(e, "waited %d ms for a reload", WAIT_MS);
	}
}

void
env_log(const struct env *e, char *buf, size_t size)
{
	daemon_log(&e->d, buf, size);
}

static bool
env_start(struct env *e)
{
	const char *const *items = e->variant->vm_items;
	const char *argv[16 + 2 * N_VMS_MAX];
	const char *more_lines[N_VMS_MAX] = {NULL};
	char vm[N_VMS_MAX][384];
	unsigned int n = 0;

	e->n_vms = e->variant->n_vms != 0 ? e->variant->n_vms : 2;
	e->d.max_fds = e->variant->max_fds;
	make_dir(e->d.dir);
	snprintf(e->config, sizeof(e->config), "%s/vsw.yaml", e->d.dir);
	for (const char *const *a = e->variant->eal_args; *a != NULL; a++)
		argv[n++] = *a;
	argv[n++] = "--";
	if (e->variant->bridge_lcores != NULL) {
		argv[n++] = "--bridge-lcores";
		argv[n++] = e->variant->bridge_lcores;
	}
	for (unsigned int i = 0; i < e->n_vms; i++) {
		const char *more = items != NULL ? items[i] : NULL;

		e->vms[i].cid = 3 + i;
		snprintf(e->vms[i].socket, sizeof(e->vms[i].socket), "%s/vm%u.vhost", e->d.dir, i);
		snprintf(e->vms[i].uds, sizeof(e->vms[i].uds), "%s/vm%u.vsock", e->d.dir, i);
		snprintf(vm[i], sizeof(vm[i]), "guest-cid=%u,socket=%s,uds-path=%s%s%s",
			 e->vms[i].cid, e->vms[i].socket, e->vms[i].uds, more != NULL ? "," : "",
			 more != NULL ? more : "");
		more_lines[i] = i < e->variant->n_config ? "" : NULL;
		if (e->variant->n_config > 0)
			continue;
		argv[n++] = "--vm";
		argv[n++] = vm[i];
	}
	if (e->variant->n_config > 0) {
		env_write_config(e, more_lines);
		argv[n++] = "--config";
		argv[n++] = e->config;
	}
	argv[n] = NULL;
	daemon_spawn(&e->d, argv);
	if (daemon_wait_ready(&e->d))
		return true;
	print_error("%s: vswd does not become ready\n", e->variant->name);
	print_log(e);
	return false;
}

unsigned int
env_settled_fds(struct env *e)
{
	unsigned int last = 0, n_same = 0;

	for (int i = 0; i < 500 && n_same < 5; i++) {
		unsigned int n = env_n_fds(e);

		n_same = n == last ? n_same + 1 : 0;
		last = n;
		usleep(10000);
	}
	return last;
}

static int
env_stop(struct env *e)
{
	int status;
	int rc = 0;

	status = 0;
	if (e->d.pid != 0) {
		kill(e->d.pid, SIGTERM);
		status = daemon_wait(&e->d, 3 * WAIT_MS);
	}
	if (status != 0) {
		print_error("%s: vswd ended with %d after SIGTERM\n", e->variant->name, status);
		print_log(e);
		rc = -1;
	}
	if (e->d.pid != 0) {
		kill(e->d.pid, SIGKILL);
		daemon_wait(&e->d, WAIT_MS);
	}
	for (unsigned int i = 0; i < e->n_vms; i++)
		if (status == 0 &&
		    (access(e->vms[i].socket, F_OK) == 0 || access(e->vms[i].uds, F_OK) == 0)) {
			print_error("%s: vswd left sockets of guest %u behind\n", e->variant->name,
				    i);
			rc = -1;
		}
	close(e->d.log_fd);
	remove_dir(e->d.dir);
	return rc;
}

static int
group_setup(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	if (!env_start(&the_env))
		return -1;
	the_env.baseline_fds = env_settled_fds(&the_env);
	return 0;
}

/* Variants after which vswd did not end well, say with a leak: cmocka prints, but does not count,
 * a teardown of a group that fails. */
static int n_bad_ends;

static int
group_teardown(void **state)
{
	int rc = env_stop(&the_env);

	n_bad_ends += rc != 0;
	return rc;
}

static int
report_violations(struct env *e, unsigned int vm)
{
	struct vsw_guest *g = e->vms[vm].g;

	for (unsigned int v = 0; vsw_guest_violation(g, v) != NULL; v++)
		print_error("%s: guest %u: violation: %s\n", e->variant->name, e->vms[vm].cid,
			    vsw_guest_violation(g, v));
	return vsw_guest_violations(g) == 0 ? 0 : -1;
}

static bool
is_at_baseline(struct env *e)
{
	uint64_t deadline = vsw_guest_now_ms() + 2 * WAIT_MS;

	while (env_n_fds(e) != e->baseline_fds) {
		if (vsw_guest_now_ms() >= deadline)
			return false;
		usleep(5000);
	}
	return true;
}

static int
case_teardown(void **state)
{
	struct env *e = &the_env;
	siginfo_t info = {0};
	bool is_broken = false;
	int rc = 0;

	for (unsigned int i = 0; i < e->n_fds; i++)
		close(e->fds[i]);
	e->n_fds = 0;
	for (unsigned int i = 0; i < e->n_vms; i++) {
		if (e->vms[i].g == NULL)
			continue;
		if (report_violations(e, i) < 0)
			rc = -1;
		vsw_guest_destroy(e->vms[i].g);
		e->vms[i].g = NULL;
	}
	for (unsigned int i = 0; i < e->n_unlinks; i++)
		unlink(e->unlinks[i]);
	e->n_unlinks = 0;

	if (waitid(P_PID, (id_t)e->d.pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	    info.si_pid == e->d.pid) {
		print_error("%s: vswd died of %d\n", e->variant->name, info.si_status);
		print_log(e);
		daemon_wait(&e->d, 0);
		is_broken = true;
	} else if (!is_at_baseline(e)) {
		print_error("%s: vswd has %u descriptors, %u before the case\n", e->variant->name,
			    env_n_fds(e), e->baseline_fds);
		print_log(e);
		is_broken = true;
	}
	if (!is_broken)
		return rc;

	/* The next case deserves a daemon that works. */
	env_stop(e);
	if (env_start(e))
		e->baseline_fds = env_settled_fds(e);
	return -1;
}

static void
case_run(void **state)
{
	const struct test_case *c = *state;

	the_env.has_failed = false;
	c->run(&the_env);
}

static const char *const one_lcore[] = {"-l", "0", NULL};
static const char *const two_lcores[] = {"--lcores", "0@0,1@1", NULL};
static const char *const four_lcores[] = {"--lcores", "(0-3)@(0,1)", NULL};

static const struct variant variants[] = {
	{"qemu, 1 lcore", VSW_GUEST_QEMU, one_lcore},
	{"qemu, 2 lcores", VSW_GUEST_QEMU, two_lcores},
	{"uml, 4 lcores, 2 bridge", VSW_GUEST_UML, four_lcores, .bridge_lcores = "2,3"},
};

int
run_cases(const char *topic, const struct test_case *cases, size_t n)
{
	return run_cases_in(topic, variants, VSW_ARRAY_SIZE(variants), cases, n);
}

/* With sanitizers, which are slow, the first and the last variant must do: between them they have
 * both shapes of a VMM, and the fewest lcores and the most. */
static bool
is_left_out(size_t variant, size_t n_variants)
{
#if defined(__SANITIZE_ADDRESS__)
	return variant != 0 && variant != n_variants - 1;
#else
	return false;
#endif
}

int
run_cases_in(const char *topic, const struct variant *in, size_t n_variants,
	     const struct test_case *cases, size_t n)
{
	const char *only_variant = getenv("VSW_TEST_VARIANT");
	const char *only_case = getenv("VSW_TEST_CASE");
	struct CMUnitTest *tests = calloc(n, sizeof(*tests));
	int n_failed = 0;

	for (size_t v = 0; v < n_variants; v++) {
		char group[128];
		size_t n_tests = 0;

		if (only_variant != NULL ? strstr(in[v].name, only_variant) == NULL
					 : is_left_out(v, n_variants))
			continue;
		the_env = (struct env){.variant = &in[v]};
		snprintf(group, sizeof(group), "%s (%s)", topic, in[v].name);
		for (size_t i = 0; i < n; i++) {
			if (only_case != NULL && strstr(cases[i].name, only_case) == NULL)
				continue;
			tests[n_tests++] = (struct CMUnitTest){
				.name = cases[i].name,
				.test_func = case_run,
				.teardown_func = case_teardown,
				.initial_state = (void *)(uintptr_t)&cases[i],
			};
		}
		n_failed +=
			_cmocka_run_group_tests(group, tests, n_tests, group_setup, group_teardown);
	}
	free(tests);
	return n_failed + n_bad_ends;
}

struct vsw_guest_conf
guest_conf(struct env *e, unsigned int vm)
{
	struct vsw_guest_conf conf = VSW_GUEST_CONF_DEFAULT;

	conf.socket_path = e->vms[vm].socket;
	conf.shape = e->variant->shape;
	conf.ring_size = conf.shape == VSW_GUEST_UML ? 256 : 128;
	return conf;
}

void
guest_sync(struct env *e, unsigned int vm)
{
	uint64_t cid;

	if (vsw_guest_get_config(e->vms[vm].g, 0, sizeof(cid), &cid) < 0)
		fail_env(e, "guest %u: %s", vm, vsw_guest_error(e->vms[vm].g));
}

struct vsw_guest *
guest_up(struct env *e, unsigned int vm, const struct vsw_guest_conf *conf)
{
	struct vsw_guest_conf own = guest_conf(e, vm);
	struct vsw_guest *g = vsw_guest_create(conf != NULL ? conf : &own);

	if (g == NULL)
		fail_env(e, "creating a guest: %s", strerror(errno));
	e->vms[vm].g = g;
	if (vsw_guest_attach(g) < 0 || vsw_guest_start(g, VSW_GUEST_BOOT) < 0)
		fail_env(e, "starting guest %u: %s", vm, vsw_guest_error(g));
	/*
	 * QEMU's last messages have no reply. A host that connects before vswd has read them
	 * is rightly refused, so wait for something that is answered in order.
	 */
	guest_sync(e, vm);
	if (vsw_guest_cid(g) != e->vms[vm].cid)
		fail_env(e, "guest %u has CID %u", vm, vsw_guest_cid(g));
	return g;
}

void
guest_down(struct env *e, unsigned int vm)
{
	int rc = report_violations(e, vm);

	vsw_guest_destroy(e->vms[vm].g);
	e->vms[vm].g = NULL;
	if (rc < 0)
		fail_env(e, "guest %u saw violations", vm);
}

/* ---- progress ---- */

short
pump_fd(struct env *e, int fd, short events, int timeout_ms)
{
	uint64_t deadline = vsw_guest_now_ms() + (uint64_t)timeout_ms;

	for (;;) {
		struct pollfd fds[1 + N_VMS_MAX * VSW_GUEST_N_FDS] = {{.fd = fd, .events = events}};
		unsigned int n = 1;
		uint64_t now = vsw_guest_now_ms();
		int sleep_ms = now < deadline ? (int)(deadline - now) : 0;

		for (unsigned int i = 0; i < e->n_vms; i++) {
			unsigned int n_guest;
			int guest_ms;

			if (e->vms[i].g == NULL)
				continue;
			guest_ms = vsw_guest_pollfds(e->vms[i].g, &fds[n], &n_guest);
			n += n_guest;
			if (guest_ms >= 0 && guest_ms < sleep_ms)
				sleep_ms = guest_ms;
		}
		if (poll(fds, n, sleep_ms) < 0)
			fail_env(e, "poll: %s", strerror(errno));
		/* A guest whose connection is gone says so to the calls on it. */
		for (unsigned int i = 0; i < e->n_vms; i++)
			if (e->vms[i].g != NULL)
				vsw_guest_poll(e->vms[i].g, 0);
		if (fds[0].revents != 0)
			return fds[0].revents;
		if (now >= deadline)
			return 0;
	}
}

void
pump_until(struct env *e, bool (*cond)(void *arg), void *arg, const char *what)
{
	uint64_t deadline = vsw_guest_now_ms() + WAIT_MS;

	while (!cond(arg)) {
		if (vsw_guest_now_ms() >= deadline)
			fail_env(e, "waited %d ms for %s", WAIT_MS, what);
		pump_fd(e, -1, 0, 2);
	}
}

void
env_wait_fds(struct env *e, unsigned int n)
{
	uint64_t deadline = vsw_guest_now_ms() + WAIT_MS;

	while (env_n_fds(e) != n) {
		if (vsw_guest_now_ms() >= deadline)
			fail_env(e, "waited %d ms for vswd's descriptors to become %u: %u", WAIT_MS,
				 n, env_n_fds(e));
		pump_fd(e, -1, 0, 5);
	}
}

void
guest_wait_no_socks(struct env *e, unsigned int vm)
{
	/* Linux would give up by itself after 8 s: too late. */
	uint64_t deadline = vsw_guest_now_ms() + 5000;

	while (vsw_guest_n_socks(e->vms[vm].g) != 0) {
		if (vsw_guest_now_ms() >= deadline)
			fail_env(e, "waited 5000 ms for the RST of %u closed connections",
				 vsw_guest_n_socks(e->vms[vm].g));
		pump_fd(e, -1, 0, 5);
	}
}

/* ---- host applications ---- */

int
host_connect_to(struct env *e, const char *path)
{
	int fd = try_connect(path);

	if (fd < 0)
		fail_env(e, "connecting to %s: %s", path, strerror(errno));
	return env_own_fd(e, fd);
}

int
host_connect(struct env *e, unsigned int vm)
{
	return host_connect_to(e, e->vms[vm].uds);
}

int
host_listen(struct env *e, unsigned int vm, uint32_t port, int backlog)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s_%u", e->vms[vm].uds, port);
	unlink(addr.sun_path);
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, backlog) < 0)
		fail_env(e, "listening on %s: %s", addr.sun_path, strerror(errno));
	if (e->n_unlinks < VSW_ARRAY_SIZE(e->unlinks))
		strcpy(e->unlinks[e->n_unlinks++], addr.sun_path);
	return env_own_fd(e, fd);
}

int
host_accept(struct env *e, int listener)
{
	if (pump_fd(e, listener, POLLIN, WAIT_MS) == 0)
		fail_env(e, "waited %d ms for a connection to the host's listener", WAIT_MS);
	return env_own_fd(e, accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

void
host_write(struct env *e, int fd, const void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = send(fd, (const uint8_t *)buf + done, len - done, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			fail_env(e, "the host writes: %s", strerror(errno));
		if (n >= 0)
			done += (size_t)n;
		else if (pump_fd(e, fd, POLLOUT, WAIT_MS) == 0)
			fail_env(e, "waited %d ms for vswd to read: %zu of %zu bytes written",
				 WAIT_MS, done, len);
	}
}

void
host_puts(struct env *e, int fd, const char *s)
{
	host_write(e, fd, s, strlen(s));
}

void
host_read(struct env *e, int fd, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n;

		if (pump_fd(e, fd, POLLIN, WAIT_MS) == 0)
			fail_env(e, "waited %d ms for data to the host: %zu of %zu bytes came",
				 WAIT_MS, done, len);
		n = recv(fd, (uint8_t *)buf + done, len - done, 0);
		if (n <= 0)
			fail_env(e, "the host reads: %s after %zu of %zu bytes",
				 n == 0 ? "end of stream" : strerror(errno), done, len);
		done += (size_t)n;
	}
}

void
host_expect_eof(struct env *e, int fd)
{
	char buf[256];
	ssize_t n;

	if (pump_fd(e, fd, POLLIN, WAIT_MS) == 0)
		fail_env(e, "waited %d ms for the end of the host's stream", WAIT_MS);
	n = recv(fd, buf, sizeof(buf), 0);
	if (n > 0)
		fail_env(e, "the host expected the end of the stream, got %zd bytes: '%.*s'", n,
			 (int)n, buf);
	if (n < 0 && errno != ECONNRESET)
		fail_env(e, "the host expected the end of the stream: %s", strerror(errno));
}

void
host_expect_quiet(struct env *e, int fd)
{
	char buf[64];
	ssize_t n;

	if (pump_fd(e, fd, POLLIN, QUIET_MS) == 0)
		return;
	n = recv(fd, buf, sizeof(buf), 0);
	fail_env(e, "the host expected nothing yet, got %s of %zd bytes: '%.*s'",
		 n > 0 ? "data" : "the end", n, n > 0 ? (int)n : 0, buf);
}

uint32_t
host_expect_ok(struct env *e, int fd)
{
	char line[32] = "", *end;
	unsigned long port;
	ssize_t n;

	if (pump_fd(e, fd, POLLIN, WAIT_MS) == 0)
		fail_env(e, "waited %d ms for OK", WAIT_MS);
	/* One write, so one read has it whole. Data may follow at once: take only the line. */
	n = recv(fd, line, sizeof(line) - 1, MSG_PEEK);
	if (n <= 0)
		fail_env(e, "expected OK, got %s", n == 0 ? "the end" : strerror(errno));
	line[n] = '\0';
	end = strchr(line, '\n');
	if (strncmp(line, "OK ", 3) != 0 || end == NULL || line[3] < '1' || line[3] > '9')
		fail_env(e, "expected 'OK <port>' and a newline in one write, got '%s'", line);
	port = strtoul(line + 3, &end, 10);
	if (*end != '\n' || port < 1024 || port > UINT32_MAX)
		fail_env(e, "'%s' is no host port", line);
	recv(fd, line, (size_t)(end + 1 - line), 0);
	return (uint32_t)port;
}

/* ---- pairs ---- */

struct pair
pair_from_guest(struct env *e, unsigned int vm, uint32_t port)
{
	int listener = host_listen(e, vm, port, 8);
	struct pair p = {0};

	p.s = vsw_guest_connect(e->vms[vm].g, VSW_CID_HOST, port, WAIT_MS);
	if (p.s == NULL)
		fail_env(e, "guest to host: %s", vsw_guest_error(e->vms[vm].g));
	p.fd = host_accept(e, listener);
	env_close(e, listener);
	return p;
}

struct pair
pair_from_host(struct env *e, unsigned int vm, uint32_t port)
{
	struct vsw_guest *g = e->vms[vm].g;
	struct pair p = {0};
	char line[64];

	if (vsw_guest_listen(g, port, 8) < 0)
		fail_env(e, "%s", vsw_guest_error(g));
	p.fd = host_connect(e, vm);
	snprintf(line, sizeof(line), "CONNECT %u\n", port);
	host_puts(e, p.fd, line);
	p.s = vsw_guest_accept(g, port, WAIT_MS);
	if (p.s == NULL)
		fail_env(e, "host to guest: %s", vsw_guest_error(g));
	vsw_guest_unlisten(g, port);
	p.host_port = host_expect_ok(e, p.fd);
	return p;
}

void
guest_send_all(struct env *e, struct vsw_guest_sock *s, const void *buf, size_t len)
{
	ssize_t n = vsw_guest_send(s, buf, len, WAIT_MS);

	if (n != (ssize_t)len)
		fail_env(e, "the guest sent %zd of %zu bytes: %s", n, len,
			 vsw_guest_error(vsw_guest_sock_guest(s)));
}

void
guest_recv_exactly(struct env *e, struct vsw_guest_sock *s, void *buf, size_t len)
{
	ssize_t n = vsw_guest_recv_all(s, buf, len, WAIT_MS);

	if (n != (ssize_t)len)
		fail_env(e, "the guest received %zd of %zu bytes: %s", n, len,
			 vsw_guest_error(vsw_guest_sock_guest(s)));
}

void
guest_expect_eof(struct env *e, struct vsw_guest_sock *s)
{
	char byte;
	ssize_t n = vsw_guest_recv(s, &byte, 1, WAIT_MS);

	if (n != 0)
		fail_env(e, "the guest expected the end of the stream: %zd, %s", n,
			 n > 0 ? "a byte" : vsw_guest_error(vsw_guest_sock_guest(s)));
}

void
pair_check(struct env *e, const struct pair *p)
{
	char buf[4];

	host_write(e, p->fd, "ping", 4);
	guest_recv_exactly(e, p->s, buf, 4);
	check(e, memcmp(buf, "ping", 4) == 0);
	guest_send_all(e, p->s, "pong", 4);
	host_read(e, p->fd, buf, 4);
	check(e, memcmp(buf, "pong", 4) == 0);
}

struct fewer_socks {
	const struct vsw_guest *g;
	unsigned int before;
};

static bool
has_fewer_socks(void *arg)
{
	const struct fewer_socks *f = arg;

	return vsw_guest_n_socks(f->g) < f->before;
}

void
pair_close(struct env *e, struct pair *p)
{
	struct vsw_guest *g = vsw_guest_sock_guest(p->s);
	struct fewer_socks f = {.g = g, .before = vsw_guest_n_socks(g)};

	vsw_guest_close(p->s);
	pump_until(e, has_fewer_socks, &f, "vswd's RST for a socket the guest has closed");
	env_close(e, p->fd);
	p->s = NULL;
	p->fd = -1;
}

struct vsw_guest_sock_info
info_of(const struct vsw_guest_sock *s)
{
	struct vsw_guest_sock_info info;

	vsw_guest_sock_info(s, &info);
	return info;
}

/* ---- bulk ---- */

static const uint8_t *
pattern(void)
{
	static uint8_t *bytes;
	uint64_t x = 0x9e3779b97f4a7c15ull;

	if (bytes != NULL)
		return bytes;
	/* Twice, so that any window of up to PATTERN_LEN bytes is contiguous. */
	bytes = malloc(2 * PATTERN_LEN);
	for (size_t i = 0; i < PATTERN_LEN; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		bytes[i] = bytes[i + PATTERN_LEN] = (uint8_t)(x >> 56);
	}
	return bytes;
}

void
pattern_fill(void *buf, uint64_t off, size_t len)
{
	memcpy(buf, pattern() + off % PATTERN_LEN, len);
}

bool
pattern_matches(const void *buf, uint64_t off, size_t len)
{
	return memcmp(buf, pattern() + off % PATTERN_LEN, len) == 0;
}

static size_t
part(uint64_t total, uint64_t done, size_t chunk)
{
	return total - done < chunk ? (size_t)(total - done) : chunk;
}

/* One step of each direction. Returns whether a byte moved. */
static bool
flow_step(struct env *e, struct flow *f)
{
	static uint8_t buf[PATTERN_LEN];
	uint64_t before = f->guest_sent + f->host_received + f->host_sent + f->guest_received;
	size_t chunk = f->chunk != 0 ? f->chunk : 65536;
	ssize_t n;

	if (f->guest_sent < f->to_host) {
		pattern_fill(buf, f->guest_sent, part(f->to_host, f->guest_sent, chunk));
		n = vsw_guest_send(f->s, buf, part(f->to_host, f->guest_sent, chunk), 0);
		if (n < 0 && n != -EAGAIN)
			fail_env(e, "the guest sends: %zd after %lu bytes", n,
				 (unsigned long)f->guest_sent);
		f->guest_sent += n > 0 ? (uint64_t)n : 0;
	}
	if (f->host_received < f->to_host) {
		n = recv(f->fd, buf, part(f->to_host, f->host_received, chunk), 0);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			fail_env(e, "the host reads: %s after %lu bytes",
				 n == 0 ? "the end" : strerror(errno),
				 (unsigned long)f->host_received);
		if (n > 0 && !pattern_matches(buf, f->host_received, (size_t)n))
			fail_env(e, "wrong bytes to the host after %lu",
				 (unsigned long)f->host_received);
		f->host_received += n > 0 ? (uint64_t)n : 0;
	}
	if (f->host_sent < f->to_guest) {
		pattern_fill(buf, f->host_sent, part(f->to_guest, f->host_sent, chunk));
		n = send(f->fd, buf, part(f->to_guest, f->host_sent, chunk), MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			fail_env(e, "the host writes: %s after %lu bytes", strerror(errno),
				 (unsigned long)f->host_sent);
		f->host_sent += n > 0 ? (uint64_t)n : 0;
	}
	if (f->guest_received < f->to_guest) {
		n = vsw_guest_recv(f->s, buf, part(f->to_guest, f->guest_received, chunk), 0);
		if (n == 0 || (n < 0 && n != -EAGAIN))
			fail_env(e, "the guest receives: %zd after %lu bytes", n,
				 (unsigned long)f->guest_received);
		if (n > 0 && !pattern_matches(buf, f->guest_received, (size_t)n))
			fail_env(e, "wrong bytes to the guest after %lu",
				 (unsigned long)f->guest_received);
		f->guest_received += n > 0 ? (uint64_t)n : 0;
	}
	return f->guest_sent + f->host_received + f->host_sent + f->guest_received != before;
}

bool
step_flows(struct env *e, struct flow *flows, unsigned int n)
{
	bool has_moved = false;

	for (unsigned int i = 0; i < n; i++)
		has_moved |= flow_step(e, &flows[i]);
	return has_moved;
}

static bool
flow_is_done(const struct flow *f)
{
	return f->host_received == f->to_host && f->guest_received == f->to_guest;
}

void
run_flows(struct env *e, struct flow *flows, unsigned int n)
{
	run_flows_with(e, flows, n, NULL, NULL);
}

void
run_flows_with(struct env *e, struct flow *flows, unsigned int n,
	       void (*hook)(struct env *e, uint64_t arrived, void *arg), void *arg)
{
	uint64_t deadline = vsw_guest_now_ms() + WAIT_MS;

	for (;;) {
		bool has_moved = false, is_done = true;
		uint64_t arrived = 0;

		for (unsigned int i = 0; i < n; i++) {
			has_moved |= flow_step(e, &flows[i]);
			is_done &= flow_is_done(&flows[i]);
			arrived += flows[i].host_received + flows[i].guest_received;
		}
		if (hook != NULL)
			hook(e, arrived, arg);
		if (is_done)
			return;
		if (has_moved) {
			deadline = vsw_guest_now_ms() + WAIT_MS;
			continue;
		}
		if (vsw_guest_now_ms() >= deadline)
			fail_env(e,
				 "no byte moved for %d ms: to the host %lu sent, %lu arrived of "
				 "%lu; to the guest %lu sent, %lu arrived of %lu (flow 0)",
				 WAIT_MS, (unsigned long)flows[0].guest_sent,
				 (unsigned long)flows[0].host_received,
				 (unsigned long)flows[0].to_host, (unsigned long)flows[0].host_sent,
				 (unsigned long)flows[0].guest_received,
				 (unsigned long)flows[0].to_guest);
		pump_fd(e, n == 1 ? flows[0].fd : -1, POLLIN, 1);
	}
}
