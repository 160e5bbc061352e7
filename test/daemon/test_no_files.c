/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that a system without a free open file (ENFILE; no_files_shim.c says how) harms nobody who
 * is there: streams go on, guests are refused at once, hosts and VMMs wait and are served
 * afterwards, and waiting costs no time.
 */
#include "hostile.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char no_files[64]; /* while it exists */

static void
let_there_be_none(struct env *e)
{
	int fd = open(no_files, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	check(e, fd >= 0);
	close(fd);
}

static void
test_who_is_there_goes_on(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct pair p = pair_from_guest(e, 0, 52);
	int listener = host_listen(e, 0, 54, 8);
	uint64_t since, n_refused = counter_of(e, 0, "refused_descriptors");
	uint64_t n_host = counter_of(e, 0, "refused_by_host");

	let_there_be_none(e);
	neighbours_move(e, &nb, 20000);
	since = vsw_guest_now_ms();
	for (int i = 0; i < 20; i++)
		check(e, vsw_guest_connect(g, VSW_CID_HOST, 54, WAIT_MS) == NULL);
	check(e, vsw_guest_now_ms() - since < WAIT_MS);
	pair_check(e, &p);
	neighbours_move(e, &nb, 20000);
	unlink(no_files);
	check(e, vsw_guest_connect(g, VSW_CID_HOST, 54, WAIT_MS) != NULL);
	host_accept(e, listener);
	pair_check(e, &p);
	check(e, counter_of(e, 0, "refused_descriptors") == n_refused + 20);
	check(e, counter_of(e, 0, "refused_by_host") == n_host);
	neighbours_check(e, &nb);
}

static void
test_hosts_wait(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	struct vsw_guest *g = guest_up(e, 0, NULL);
	uint64_t n_errors = counter_of(e, 0, "accept_errors");
	struct vsw_guest_sock *s;
	int fd[10];
	char byte;

	vsw_guest_listen(g, 61, VSW_ARRAY_SIZE(fd));
	let_there_be_none(e);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(fd); i++) {
		fd[i] = host_connect(e, 0);
		host_puts(e, fd[i], "CONNECT 61\nx");
	}
	host_expect_quiet(e, fd[0]);
	neighbours_move(e, &nb, 20000);
	unlink(no_files);
	check(e, counter_of(e, 0, "accept_errors") > n_errors);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(fd); i++) {
		s = vsw_guest_accept(g, 61, WAIT_MS);
		check(e, s != NULL);
		guest_recv_exactly(e, s, &byte, 1);
		host_expect_ok(e, fd[i]);
	}
	neighbours_check(e, &nb);
}

static void
test_vmms_wait(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	struct vmm waits;
	struct pair p;
	uint64_t deadline = vsw_guest_now_ms() + WAIT_MS;

	let_there_be_none(e);
	waits = vmm_connect(e, 0);
	while (env_count_in_log(e, "no VMM can connect") == 0) {
		pump_fd(e, -1, 0, 10);
		check(e, vsw_guest_now_ms() < deadline);
	}
	expect_sleep(e, "a VMM for which no file is free");
	neighbours_move(e, &nb, 20000);
	unlink(no_files);
	guest_up(e, 0, NULL);
	p = pair_from_host(e, 0, 66);
	pair_check(e, &p);
	vmm_close(e, &waits);
	neighbours_check(e, &nb);
}

static void
test_waiting_costs_no_time(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	int fd[10];

	guest_up(e, 0, NULL);
	let_there_be_none(e);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(fd); i++)
		fd[i] = host_connect(e, 0);
	expect_sleep(e, "hosts for whom no file is free");
	unlink(no_files);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(fd); i++)
		env_close(e, fd[i]);
	neighbours_check(e, &nb);
}

int
main(void)
{
	static const struct test_case cases[] = {
		CASE(test_who_is_there_goes_on),
		CASE(test_hosts_wait),
		CASE(test_vmms_wait),
		CASE(test_waiting_costs_no_time),
	};
	const char *shim = getenv("NO_FILES_SHIM");

	if (shim == NULL) {
		fputs("NO_FILES_SHIM is not set\n", stderr);
		return 1;
	}
	snprintf(no_files, sizeof(no_files), "/tmp/vsw-test-no-files-%d", (int)getpid());
	unlink(no_files);
	setenv("VSW_TEST_NO_FILES", no_files, 1);
	setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 0);
	setenv("LD_PRELOAD", shim, 1);
	return run_cases_in("no files", hostile_variants, N_HOSTILE_VARIANTS, cases,
			    VSW_ARRAY_SIZE(cases));
}
