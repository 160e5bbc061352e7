/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that no wake-up is lost between awake and asleep, from whichever side it comes: guests,
 * hosts, other lcores. vswd polls for 50 us after its last work, then asks for wake-ups, looks
 * once more, and sleeps; things happen here just then, thousands of times. It sleeps so long
 * (deep_sleep.c) that the first wake-up that is lost is a wait in vain. And --idle=poll never
 * sleeps at all.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "duo.h"
#include "vsw_now.h"

/* Between the last work and the next, at most: around the moment when vswd goes to sleep. */
#define PAUSE_MAX_US 150

static const char *const one_lcore[] = {"-l", "0", NULL};
static const char *const two_lcores[] = {"--lcores", "0@0,1@1", NULL};
static const char *const three_lcores[] = {"--lcores", "0@0,1@1,2@0", NULL};
static const char *const apart[] = {"lcore=1", "lcore=2", "lcore=1"};

static const struct variant variants[] = {
	{"qemu, 1 lcore", VSW_GUEST_QEMU, one_lcore, .n_vms = 3},
	{"uml, 2 lcores", VSW_GUEST_UML, two_lcores, .n_vms = 3},
	{"qemu, 3 lcores, apart", VSW_GUEST_QEMU, three_lcores, .n_vms = 3, .vm_items = apart},
};

/* Not a sleep: that would end when it suits the kernel, and always the same. */
static void
pause_a_while(void)
{
	uint64_t until = vsw_now_ns() + (uint64_t)rand() % (PAUSE_MAX_US * 1000);

	while (vsw_now_ns() < until)
		__builtin_ia32_pause();
}

static void
to_host(struct env *e, const struct pair *p, unsigned int i)
{
	uint8_t out = (uint8_t)i, in = 0;

	pause_a_while();
	guest_send_all(e, p->s, &out, 1);
	host_read(e, p->fd, &in, 1);
	check(e, in == out);
}

static void
to_guest(struct env *e, const struct pair *p, unsigned int i)
{
	uint8_t out = (uint8_t)i, in = 0;

	pause_a_while();
	host_write(e, p->fd, &out, 1);
	guest_recv_exactly(e, p->s, &in, 1);
	check(e, in == out);
}

static void
test_a_guest_and_its_host(struct env *e)
{
	struct pair p;

	guest_up(e, 0, NULL);
	p = pair_from_guest(e, 0, 52);
	for (unsigned int i = 0; i < 3000; i++) {
		to_host(e, &p, i);
		to_guest(e, &p, i);
	}
	pair_close(e, &p);
}

/* Guests without an event index say by a flag whether they want to be kicked. */
static void
test_a_guest_without_event_index(struct env *e)
{
	struct vsw_guest_conf conf = guest_conf(e, 0);
	struct pair p;

	conf.event_idx = false;
	guest_up(e, 0, &conf);
	p = pair_from_host(e, 0, 52);
	for (unsigned int i = 0; i < 3000; i++) {
		to_host(e, &p, i);
		to_guest(e, &p, i);
	}
	pair_close(e, &p);
}

static void
test_guests_and_hosts_in_any_order(struct env *e)
{
	struct pair p[3];

	for (unsigned int vm = 0; vm < VSW_ARRAY_SIZE(p); vm++) {
		guest_up(e, vm, NULL);
		p[vm] = vm % 2 == 0 ? pair_from_guest(e, vm, 52) : pair_from_host(e, vm, 52);
	}
	for (unsigned int i = 0; i < 6000; i++) {
		const struct pair *one = &p[(unsigned int)rand() % VSW_ARRAY_SIZE(p)];

		(rand() % 2 == 0 ? to_host : to_guest)(e, one, i);
	}
}

static void
test_siblings(struct env *e)
{
	struct duo d;

	guest_up(e, 0, NULL);
	guest_up(e, 1, NULL);
	d = duo_connect(e, 0, 1, DUO_PORT);
	for (unsigned int i = 0; i < 2000; i++) {
		pause_a_while();
		sock_send(e, d.a, i, 1);
		sock_recv(e, d.b, i, 1);
		pause_a_while();
		sock_send(e, d.b, i, 1);
		sock_recv(e, d.a, i, 1);
	}
	duo_close(e, &d);
}

/* Data waits for buffers of the guest, and these come when vswd has just gone to sleep. */
static void
test_buffers_that_come_late(struct env *e)
{
	struct vsw_guest_conf conf = guest_conf(e, 0);
	struct vsw_guest *g;
	struct pair p;
	char out[3 * 3732], in[sizeof(out)];

	conf.n_recv_bufs = 2;
	g = guest_up(e, 0, &conf);
	p = pair_from_guest(e, 0, 52);
	for (unsigned int i = 0; i < 1000; i++) {
		vsw_guest_hold_recv(g, true);
		pattern_fill(out, i, sizeof(out));
		host_write(e, p.fd, out, sizeof(out));
		sock_wait_unread(e, p.s, 2 * 3732); /* what there are buffers for */
		pause_a_while();
		vsw_guest_hold_recv(g, false);
		guest_recv_exactly(e, p.s, in, sizeof(in));
		check(e, memcmp(in, out, sizeof(in)) == 0);
	}
}

static void
test_connections_that_come_and_go(struct env *e)
{
	guest_up(e, 0, NULL);
	for (unsigned int i = 0; i < 500; i++) {
		struct pair p;

		pause_a_while();
		p = i % 2 == 0 ? pair_from_host(e, 0, 52) : pair_from_guest(e, 0, 52);
		pause_a_while();
		pair_close(e, &p);
	}
}

/*
 * How often a loop's thread has slept, by the kernel's account.
 */

static unsigned long
sleeps_of_lcores(pid_t pid)
{
	char path[300], line[128];
	unsigned long sum = 0, n;
	struct dirent *ent;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	while (d != NULL && (ent = readdir(d)) != NULL) {
		bool is_lcore = atoi(ent->d_name) == pid;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)pid, ent->d_name);
		f = fopen(path, "r");
		while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
			is_lcore |= strncmp(line, "Name:\tlcore-worker", 18) == 0 ||
				    strncmp(line, "Name:\trte-worker", 16) == 0;
			if (is_lcore && sscanf(line, "voluntary_ctxt_switches: %lu", &n) == 1)
				sum += n;
		}
		if (f != NULL)
			fclose(f);
	}
	if (d != NULL)
		closedir(d);
	return sum;
}

static void
expect_sleeps(const char *const *eal_args, const char *idle, bool sleeps)
{
	char vm[256];
	const char *argv[8] = {0};
	struct daemon d = {0};
	unsigned long before, after;
	unsigned int n = 0;

	make_dir(d.dir);
	snprintf(vm, sizeof(vm), "--vm=guest-cid=3,socket=%s/a,uds-path=%s/b", d.dir, d.dir);
	while (*eal_args != NULL)
		argv[n++] = *eal_args++;
	argv[n++] = "--";
	argv[n++] = idle;
	argv[n++] = vm;
	daemon_spawn(&d, argv);
	if (!daemon_wait_ready(&d))
		fail_msg("%s: vswd does not become ready", idle);
	usleep(QUIET_MS * 1000); /* the start is over */
	before = sleeps_of_lcores(d.pid);
	usleep(1000 * 1000);
	after = sleeps_of_lcores(d.pid);
	kill(d.pid, SIGTERM);
	assert_int_equal(daemon_wait(&d, 3 * WAIT_MS), 0);
	close(d.log_fd);
	remove_dir(d.dir);
	assert_true(before > 0); /* these are the threads: they have slept in the start */
	if (sleeps ? after == before : after != before)
		fail_msg("%s: the lcores have slept %lu times", idle, after - before);
}

static void
test_poll_never_sleeps(void **state)
{
	expect_sleeps(one_lcore, "--idle=poll", false);
	expect_sleeps(two_lcores, "--idle=poll", false);
}

static void
test_adaptive_sleeps(void **state)
{
	expect_sleeps(one_lcore, "--idle=adaptive", true);
	expect_sleeps(two_lcores, "--idle=adaptive", true);
}

/* Else no case here could fail: the longest sleep must be what deep_sleep.c takes it for. */
static void
test_it_sleeps_deeply(void **state)
{
#if !defined(__SANITIZE_ADDRESS__)
	expect_sleeps(one_lcore, "--idle=adaptive", false);
#endif
}

/* deep_sleep.so is beside this program. The preloaded library would come before the sanitizers',
 * which they do not like; with them the sleep is what it is. */
static void
sleep_deeply(void)
{
#if !defined(__SANITIZE_ADDRESS__)
	char path[512];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);

	if (n < 0)
		abort();
	path[n] = '\0';
	strcpy(strrchr(path, '/') + 1, "deep_sleep.so");
	if (access(path, R_OK) != 0) {
		fprintf(stderr, "there is no %s\n", path);
		exit(EXIT_FAILURE);
	}
	setenv("LD_PRELOAD", path, 1);
#endif
}

int
main(void)
{
	static const struct test_case cases[] = {
		CASE(test_a_guest_and_its_host),          CASE(test_a_guest_without_event_index),
		CASE(test_guests_and_hosts_in_any_order), CASE(test_siblings),
		CASE(test_buffers_that_come_late),        CASE(test_connections_that_come_and_go),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_poll_never_sleeps),
		cmocka_unit_test(test_adaptive_sleeps),
	};
	const struct CMUnitTest deep_tests[] = {
		cmocka_unit_test(test_it_sleeps_deeply),
	};
	int n_failed = cmocka_run_group_tests(tests, NULL, NULL);

	sleep_deeply();
	n_failed += cmocka_run_group_tests(deep_tests, NULL, NULL);
	return n_failed + run_cases_in("idle", variants, VSW_ARRAY_SIZE(variants), cases,
				       VSW_ARRAY_SIZE(cases));
}
