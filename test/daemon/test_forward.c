/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that a plain socket joins a host to a port of the guest without a word: nothing of
 * CONNECT or OK is seen on either side, what a host sends or closes before the guest has
 * answered counts, a refusal is an end of file, the guest's limits hold; and that the sockets come,
 * go and change hands when the file is read again, while connections live on.
 */
#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PORT 5252

/* A path beside the guest's uds path. */
static const char *
path_of(struct env *e, const char *name)
{
	static char path[4][128];
	static unsigned int i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s.%s", env_uds_path(e, 0), name);
	return path[i];
}

static void
pump_a_little(struct env *e, void *arg)
{
	pump_fd(e, -1, 0, 1);
}

/* Lines for guest 0 and guest 1. @return it was applied. */
static bool
configure(struct env *e, const char *first, const char *second)
{
	const char *const more[] = {first, second};

	env_write_config(e, more);
	return env_reload(e, pump_a_little, NULL);
}

/* Guest 0 has the plain socket `web`. */
static void
serve_web(struct env *e, const char *more)
{
	char lines[512];

	snprintf(lines, sizeof(lines), "forward: [{listen: %s, port: %u}]\n%s", path_of(e, "web"),
		 PORT, more);
	if (!configure(e, lines, ""))
		fail_env(e, "the reload failed");
}

static void
serve_nothing(struct env *e)
{
	check(e, configure(e, "", ""));
	check(e, access(path_of(e, "web"), F_OK) != 0);
}

static struct vsw_guest_sock *
accepts(struct env *e, struct vsw_guest *g, uint32_t port)
{
	struct vsw_guest_sock *s = vsw_guest_accept(g, port, WAIT_MS);

	if (s == NULL)
		fail_env(e, "plain socket to guest: %s", vsw_guest_error(g));
	return s;
}

static void
test_a_host_is_joined_without_a_word(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct vsw_guest_sock_info info;
	struct pair p, other;

	serve_web(e, "");
	vsw_guest_listen(g, PORT, 8);
	p.fd = host_connect_to(e, path_of(e, "web"));
	p.s = accepts(e, g, PORT);
	host_expect_quiet(e, p.fd);
	vsw_guest_sock_info(p.s, &info);
	check(e, info.peer_cid == VSW_CID_HOST);
	check(e, info.peer_port >= 1024 && info.peer_port <= 65535);
	pair_check(e, &p);
	/* the other socket is as it was */
	other = pair_from_host(e, 0, PORT + 1);
	pair_check(e, &other);
	/* CONNECT is data here */
	host_puts(e, p.fd, "CONNECT 1\n");
	guest_recv_exactly(e, p.s, (char[10]){0}, 10);
	pair_check(e, &p);
	pair_close(e, &p);
	pair_close(e, &other);
	serve_nothing(e);
}

static void
test_early_data_and_early_end_count(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct vsw_guest_sock *s;
	char buf[8];
	int fd;

	serve_web(e, "");
	fd = host_connect_to(e, path_of(e, "web"));
	host_puts(e, fd, "request");
	shutdown(fd, SHUT_WR);
	vsw_guest_listen(g, PORT, 8);
	s = accepts(e, g, PORT);
	guest_recv_exactly(e, s, buf, 7);
	check(e, memcmp(buf, "request", 7) == 0);
	guest_expect_eof(e, s);
	guest_send_all(e, s, "reply", 5);
	host_read(e, fd, buf, 5);
	check(e, memcmp(buf, "reply", 5) == 0);
	vsw_guest_close(s);
	host_expect_eof(e, fd);

	/* one that is gone before it is accepted */
	fd = host_connect_to(e, path_of(e, "web"));
	host_puts(e, fd, "farewell");
	env_close(e, fd);
	s = accepts(e, g, PORT);
	guest_recv_exactly(e, s, buf, 8);
	check(e, memcmp(buf, "farewell", 8) == 0);
	guest_expect_eof(e, s);
	vsw_guest_close(s);
	serve_nothing(e);
}

static void
test_the_guest_may_close_its_half_first(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct vsw_guest_sock *s;
	char buf[8];
	int fd;

	serve_web(e, "");
	vsw_guest_listen(g, PORT, 8);
	fd = host_connect_to(e, path_of(e, "web"));
	s = accepts(e, g, PORT);
	guest_send_all(e, s, "hello", 5);
	vsw_guest_shutdown(s, VSW_SHUTDOWN_SEND);
	host_read(e, fd, buf, 5);
	host_expect_eof(e, fd);
	host_puts(e, fd, "answer");
	guest_recv_exactly(e, s, buf, 6);
	check(e, memcmp(buf, "answer", 6) == 0);
	env_close(e, fd);
	guest_expect_eof(e, s);
	vsw_guest_close(s);
	serve_nothing(e);
}

static void
test_a_refusal_is_the_end_without_a_byte(struct env *e)
{
	int fd;

	serve_web(e, "");
	/* no guest runs */
	fd = host_connect_to(e, path_of(e, "web"));
	host_expect_eof(e, fd);
	/* one runs, and nobody listens */
	guest_up(e, 0, NULL);
	for (int i = 0; i < 20; i++) {
		fd = host_connect_to(e, path_of(e, "web"));
		if (i % 2)
			host_puts(e, fd, "GET / HTTP/1.0\r\n\r\n");
		host_expect_eof(e, fd);
		env_close(e, fd);
	}
	serve_nothing(e);
}

static void
test_limits_hold(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct vsw_guest_sock *s[2];
	int fd[3];

	serve_web(e, "limits: {connections: 2, handshakes: 1}\n");
	vsw_guest_listen(g, PORT, 8);
	host_connect(e, 0); /* this one thinks about its line: others need none */
	for (int i = 0; i < 2; i++) {
		fd[i] = host_connect_to(e, path_of(e, "web"));
		s[i] = accepts(e, g, PORT);
	}
	fd[2] = host_connect_to(e, path_of(e, "web"));
	host_expect_eof(e, fd[2]);
	for (int i = 0; i < 2; i++) {
		struct pair p = {.s = s[i], .fd = fd[i]};

		pair_check(e, &p);
		pair_close(e, &p);
	}
	serve_nothing(e);
}

static void
test_sockets_come_go_and_move_while_connections_live(struct env *e)
{
	struct vsw_guest *g[2] = {guest_up(e, 0, NULL), guest_up(e, 1, NULL)};
	char web[128], two[128], lines[512];
	struct pair old, p;

	snprintf(web, sizeof(web), "%s", path_of(e, "web"));
	snprintf(two, sizeof(two), "%s", path_of(e, "two"));
	serve_web(e, "");
	vsw_guest_listen(g[0], PORT, 8);
	vsw_guest_listen(g[0], PORT + 1, 8);
	vsw_guest_listen(g[1], PORT, 8);
	old.fd = host_connect_to(e, web);
	old.s = accepts(e, g[0], PORT);

	/* a second one comes, the first leads elsewhere */
	snprintf(lines, sizeof(lines), "forward: %s:%u+%s:%u\n", web, PORT + 1, two, PORT);
	check(e, configure(e, lines, ""));
	p.fd = host_connect_to(e, web);
	p.s = accepts(e, g[0], PORT + 1);
	pair_check(e, &p);
	pair_close(e, &p);
	p.fd = host_connect_to(e, two);
	p.s = accepts(e, g[0], PORT);
	pair_check(e, &p);
	pair_close(e, &p);

	/* the guests swap: one gets what the other lets go of, in one reload */
	snprintf(lines, sizeof(lines), "forward: [%s:%u]\n", web, PORT);
	check(e, configure(e, "", lines));
	check(e, access(two, F_OK) != 0);
	p.fd = host_connect_to(e, web);
	p.s = accepts(e, g[1], PORT);
	pair_check(e, &p);
	pair_close(e, &p);

	/* that guest leaves, and with it its socket: the first has it back */
	vsw_guest_expect_end(g[1]);
	snprintf(lines, sizeof(lines), "forward: [%s:%u]\n", web, PORT);
	check(e, configure(e, lines, NULL));
	guest_down(e, 1);
	p.fd = host_connect_to(e, web);
	p.s = accepts(e, g[0], PORT);
	pair_check(e, &p);
	pair_close(e, &p);

	pair_check(e, &old);
	pair_close(e, &old);
	serve_nothing(e);
}

static void
test_a_guest_that_comes_anew_has_them(struct env *e)
{
	char lines[512];

	snprintf(lines, sizeof(lines), "forward: [%s:%u]\n", path_of(e, "web"), PORT);
	check(e, configure(e, "", NULL));
	check(e, configure(e, "", lines));
	check(e, access(path_of(e, "web"), F_OK) == 0);
	check(e, configure(e, "", NULL));
	check(e, access(path_of(e, "web"), F_OK) != 0);
	check(e, configure(e, "", ""));
}

static mode_t
mode_of(struct env *e, const char *path)
{
	struct stat st;

	check(e, stat(path, &st) == 0 && S_ISSOCK(st.st_mode));
	return st.st_mode & 07777;
}

static void
test_they_have_the_mode_of_the_others(struct env *e)
{
	serve_web(e, "socket_mode: 0600\n");
	check(e, mode_of(e, path_of(e, "web")) == 0600);
	check(e, mode_of(e, env_uds_path(e, 0)) == 0600);
	serve_web(e, "socket_mode: 0666\n");
	check(e, mode_of(e, path_of(e, "web")) == 0666);
	check(e, mode_of(e, env_uds_path(e, 0)) == 0666);
	serve_nothing(e);
}

static int
bind_at(struct env *e, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = env_own_fd(e, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

	memcpy(addr.sun_path, path, strlen(path));
	check(e, bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0);
	return fd;
}

static void
test_what_is_in_the_way_stops_a_reload(struct env *e)
{
	char web[128], lines[512];
	int fd;

	snprintf(web, sizeof(web), "%s", path_of(e, "web"));
	guest_up(e, 0, NULL);
	fd = bind_at(e, web);
	check(e, listen(fd, 1) == 0);
	snprintf(lines, sizeof(lines), "name: other\nforward: [%s:1]\n", web);
	check(e, !configure(e, lines, ""));
	check(e,
	      env_count_in_log(e, "web cannot be used, a live process has its socket there") > 0);
	/* two guests want it */
	snprintf(lines, sizeof(lines), "forward: [%s:1]\n", path_of(e, "x"));
	check(e, !configure(e, lines, lines));
	check(e, access(path_of(e, "x"), F_OK) != 0);
	check(e, env_count_in_log(e, "x is also the forward of guest 3") > 0);
	/* what a dead process has left is no hindrance */
	env_close(e, fd);
	serve_web(e, "");
	guest_up(e, 1, NULL);
	serve_nothing(e);
}

static const char *const one_lcore[] = {"-l", "0", NULL};
static const char *const two_lcores[] = {"--lcores", "0@0,1@1", NULL};

static const struct variant variants[] = {
	{"qemu, 1 lcore", VSW_GUEST_QEMU, one_lcore, .n_vms = 2, .n_config = 2},
	{"uml, 2 lcores", VSW_GUEST_UML, two_lcores, .n_vms = 2, .n_config = 2},
};

int
main(void)
{
	static const struct test_case cases[] = {
		CASE(test_a_host_is_joined_without_a_word),
		CASE(test_early_data_and_early_end_count),
		CASE(test_the_guest_may_close_its_half_first),
		CASE(test_a_refusal_is_the_end_without_a_byte),
		CASE(test_limits_hold),
		CASE(test_sockets_come_go_and_move_while_connections_live),
		CASE(test_a_guest_that_comes_anew_has_them),
		CASE(test_they_have_the_mode_of_the_others),
		CASE(test_what_is_in_the_way_stops_a_reload),
	};

	return run_cases_in("forward", variants, VSW_ARRAY_SIZE(variants), cases,
			    VSW_ARRAY_SIZE(cases));
}
