/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that a guest of forward-cid is joined to AF_VSOCK ports of the host, both ways, raw; that
 * a port nobody listens at is a reset; and that a host without AF_VSOCK is told so. What AF_VSOCK
 * is here, vsock_shim.c says.
 */
#include "harness.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PORT 9001

static socklen_t
name_of(uint32_t port, struct sockaddr_un *un)
{
	*un = (struct sockaddr_un){.sun_family = AF_UNIX};
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			   (size_t)snprintf(un->sun_path + 1, sizeof(un->sun_path) - 1, "vsw-%s-%u",
					    getenv("VSW_TEST_VSOCK"), port));
}

static void
pump_a_little(struct env *e, void *arg)
{
	pump_fd(e, -1, 0, 1);
}

static bool
configure(struct env *e, const char *lines)
{
	FILE *file = fopen(env_config_path(e), "w");

	fprintf(file, "vms:\n- socket: %s\n%s", env_vhost_path(e, 0), lines);
	fclose(file);
	return env_reload(e, pump_a_little, NULL);
}

static void
serve_vsock(struct env *e)
{
	check(e, configure(e, "  forward_cid: 1\n  forward_listen: [9001, 9002]\n"));
}

static void
serve_as_before(struct env *e)
{
	const char *const more[] = {""};

	guest_down(e, 0);
	env_write_config(e, more);
	check(e, env_reload(e, pump_a_little, NULL));
}

static void
test_guest_to_host(struct env *e)
{
	struct vsw_guest *g;
	struct sockaddr_un un;
	struct pair p;
	int fd;

	serve_vsock(e);
	g = guest_up(e, 0, NULL);
	fd = env_own_fd(e, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	check(e, bind(fd, (const void *)&un, name_of(700, &un)) == 0 && listen(fd, 8) == 0);
	p.s = vsw_guest_connect(g, VSW_CID_HOST, 700, WAIT_MS);
	check(e, p.s != NULL);
	p.fd = host_accept(e, fd);
	host_expect_quiet(e, p.fd);
	pair_check(e, &p);
	pair_close(e, &p);
	/* nobody is there */
	check(e, vsw_guest_connect(g, VSW_CID_HOST, 701, WAIT_MS) == NULL);
	check(e, strstr(vsw_guest_error(g), "reset") != NULL ||
			 strstr(vsw_guest_error(g), "refused") != NULL);
	serve_as_before(e);
}

static void
test_host_to_guest(struct env *e)
{
	struct vsw_guest *g;
	struct sockaddr_un un;
	struct pair p;

	serve_vsock(e);
	g = guest_up(e, 0, NULL);
	for (uint32_t port = PORT; port <= PORT + 1; port++) {
		vsw_guest_listen(g, port, 8);
		p.fd = env_own_fd(e, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
		check(e, connect(p.fd, (const void *)&un, name_of(port, &un)) == 0);
		p.s = vsw_guest_accept(g, port, WAIT_MS);
		check(e, p.s != NULL);
		host_expect_quiet(e, p.fd);
		pair_check(e, &p);
		pair_close(e, &p);
	}
	serve_as_before(e);
}

static void
test_a_host_without_af_vsock(struct env *e)
{
	struct daemon d = {0};
	char vm[256], log[4096], before[32];
	const char *const argv[] = {"--vm", vm, NULL};

	snprintf(before, sizeof(before), "%s", getenv("VSW_TEST_VSOCK"));
	make_dir(d.dir);
	snprintf(vm, sizeof(vm), "socket=%s/a,forward-cid=1", d.dir);
	setenv("VSW_TEST_VSOCK", "none", 1);
	daemon_spawn(&d, argv);
	setenv("VSW_TEST_VSOCK", before, 1);
	check(e, daemon_wait(&d, WAIT_MS) == 1);
	daemon_log(&d, log, sizeof(log));
	check(e, strstr(log, "forward-cid: this host has no AF_VSOCK sockets") != NULL);
	remove_dir(d.dir);
}

static const char *const one_lcore[] = {"-l", "0", NULL};
static const char *const two_lcores[] = {"--lcores", "0@0,1@1", NULL};

static const struct variant variants[] = {
	{"qemu, 1 lcore", VSW_GUEST_QEMU, one_lcore, .n_vms = 1, .n_config = 1},
	{"uml, 2 lcores", VSW_GUEST_UML, two_lcores, .n_vms = 1, .n_config = 1},
};

int
main(void)
{
	static const struct test_case cases[] = {
		CASE(test_guest_to_host),
		CASE(test_host_to_guest),
		CASE(test_a_host_without_af_vsock),
	};
	const char *shim = getenv("VSOCK_SHIM");
	char id[32];

	snprintf(id, sizeof(id), "%d", (int)getpid());
	setenv("VSW_TEST_VSOCK", id, 1);
	setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 0);
	if (shim == NULL) {
		fputs("VSOCK_SHIM is not set\n", stderr);
		return 1;
	}
	setenv("LD_PRELOAD", shim, 1);
	return run_cases_in("vsock", variants, VSW_ARRAY_SIZE(variants), cases,
			    VSW_ARRAY_SIZE(cases));
}
