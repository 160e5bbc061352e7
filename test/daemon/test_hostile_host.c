/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that what goes wrong on the host's side stays with the guest whose side it is:
 * applications that do nothing, or too much, and a process that has run out of descriptors.
 */
#include "vsw_limits.h"
#include "hostile.h"
#include "raw.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Non-blocking; -1: refused or the backlog is full. */
static int
knock(struct env *e, unsigned int vm)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", env_uds_path(e, vm));
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static void
test_hosts_that_say_nothing(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	unsigned int n_closed = 0;
	int fd[400];

	guest_up(e, 0, NULL);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(fd); i++) {
		fd[i] = knock(e, 0);
		if (i % 100 == 99)
			neighbours_move(e, &nb, 2000);
	}
	neighbours_check(e, &nb);
	/* all but the limit's worth have been told to go */
	for (size_t i = 0; i < VSW_ARRAY_SIZE(fd); i++) {
		char byte;

		n_closed += fd[i] < 0 || recv(fd[i], &byte, 1, MSG_DONTWAIT) == 0;
	}
	check(e, n_closed >= VSW_ARRAY_SIZE(fd) - 64);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(fd); i++)
		close(fd[i]);
	neighbours_check(e, &nb);
}

static void
test_hosts_that_speak_in_single_bytes(struct env *e)
{
	static const char line[] = "CONNECT 61\n";
	struct neighbours nb = neighbours_up(e);
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct vsw_guest_sock *s;
	int fd = host_connect(e, 0);
	char buf[600];

	vsw_guest_listen(g, 61, 4);
	for (size_t i = 0; i < sizeof(line) - 1; i++) {
		host_write(e, fd, line + i, 1);
		pump_fd(e, -1, 0, 1);
	}
	s = vsw_guest_accept(g, 61, WAIT_MS);
	check(e, s != NULL);
	host_expect_ok(e, fd);
	for (size_t i = 0; i < sizeof(buf); i++) {
		char byte = (char)i;

		host_write(e, fd, &byte, 1);
	}
	guest_recv_exactly(e, s, buf, sizeof(buf));
	for (size_t i = 0; i < sizeof(buf); i++)
		check(e, buf[i] == (char)i);
	for (size_t i = 0; i < sizeof(buf); i++)
		guest_send_all(e, s, buf + i, 1);
	host_read(e, fd, buf, sizeof(buf));
	neighbours_check(e, &nb);
}

/* As much as the window admits; the ring must take it. @return bytes. */
static size_t
send_a_window(struct env *e, struct vsw_guest_sock *s)
{
	static uint8_t buf[1 << 20]; /* more than a window and what a socket takes */
	uint64_t deadline = vsw_guest_now_ms() + WAIT_MS;
	size_t sent = 0;

	pattern_fill(buf, 0, sizeof(buf));
	for (int n_idle = 0; n_idle < 3; n_idle += info_of(s).sendable == 0) {
		ssize_t n = vsw_guest_send(s, buf + sent, sizeof(buf) - sent, 0);

		sent += n > 0 ? (size_t)n : 0;
		check(e, sent < sizeof(buf));
		if (n <= 0)
			pump_fd(e, -1, 0, 1);
		if (vsw_guest_now_ms() > deadline)
			fail_env(e, "the guest cannot send: %u bytes of its window are left",
				 info_of(s).sendable);
	}
	return sent;
}

static void
read_all(struct env *e, int fd, size_t len)
{
	static uint8_t buf[65536];

	for (size_t got = 0, part; got < len; got += part) {
		part = len - got < sizeof(buf) ? len - got : sizeof(buf);
		host_read(e, fd, buf, part);
		check(e, pattern_matches(buf, got, part));
	}
}

/* What a guest has beside the connections that nobody reads. */
static void
the_rest_goes_on(struct env *e, const struct pair *old)
{
	struct pair p = pair_from_guest(e, 0, 52), q = pair_from_host(e, 0, 53);

	pair_check(e, old);
	pair_check(e, &p);
	pair_check(e, &q);
	vsw_guest_abort(p.s); /* RST */
	host_expect_eof(e, p.fd);
	check(e, vsw_guest_shutdown(q.s, VSW_SHUTDOWN_SEND) == 0);
	host_expect_eof(e, q.fd);
	pair_close(e, &q);
	check(e, vsw_guest_connect(env_guest(e, 0), VSW_CID_HOST, 99, WAIT_MS) == NULL);
}

/* Applications that never read, of far more connections than the budget has windows for: each
 * stalls its own, closed ones included; all that was sent arrives when it is read after all. */
static void
test_hosts_that_read_nothing(struct env *e)
{
	enum { N = 150 };
	static struct pair unread[N];
	static size_t sent[N];
	struct neighbours nb = neighbours_up(e);
	struct pair other;

	guest_up(e, 0, NULL);
	other = pair_from_guest(e, 0, 52);
	for (unsigned int i = 0; i < N; i++) {
		unread[i] = pair_from_guest(e, 0, 62);
		sent[i] = send_a_window(e, unread[i].s);
		check(e, sent[i] >= VSW_WINDOW_MIN);
		if (i % 25 == 24) {
			neighbours_check(e, &nb);
			the_rest_goes_on(e, &other);
		}
	}
	for (unsigned int i = 0; i < N / 2; i++)
		vsw_guest_close(unread[i].s);
	the_rest_goes_on(e, &other);
	for (unsigned int i = 0; i < N; i++)
		read_all(e, unread[i].fd, sent[i]);
	for (unsigned int i = 0; i < N; i++) {
		if (i < N / 2)
			host_expect_eof(e, unread[i].fd);
		else
			pair_close(e, &unread[i]);
	}
	unread[0] = pair_from_guest(e, 0, 62);
	check(e, info_of(unread[0].s).sendable == VSW_BUF_ALLOC_DEFAULT);
	pair_close(e, &unread[0]);
	pair_close(e, &other);
	neighbours_check(e, &nb);
}

struct deaf {
	struct pair p;
	uint8_t buf[65536];
};

/* vswd finds it by the next write, when the socket has room for that. */
static bool
is_found(void *arg)
{
	struct deaf *d = arg;

	(void)recv(d->p.fd, d->buf, sizeof(d->buf), MSG_DONTWAIT);
	(void)vsw_guest_send(d->p.s, "x", 1, 0);
	return info_of(d->p.s).peer_shutdown == VSW_SHUTDOWN_RCV;
}

static void
read_no_more(struct env *e, struct pair p)
{
	static struct deaf d;

	d.p = p;
	check(e, shutdown(p.fd, SHUT_RD) == 0);
	pump_until(e, is_found, &d, "the guest to hear that nobody reads");
}

/* Applications that read no more of connections which stay: what they would not take does not
 * count for ever, nor what they would not take if it came. */
static void
test_hosts_that_shut_their_read_side(struct env *e)
{
	enum { N = 100 };
	static struct pair deaf[N];
	struct pair p;

	guest_up(e, 0, NULL);
	for (unsigned int i = 0; i < N; i++) {
		deaf[i] = pair_from_guest(e, 0, 62);
		send_a_window(e, deaf[i].s);
	}
	for (unsigned int i = 0; i < N; i++)
		read_no_more(e, deaf[i]);
	p = pair_from_guest(e, 0, 52);
	check(e, info_of(p.s).sendable == VSW_BUF_ALLOC_DEFAULT);
	pair_check(e, &p);
	for (unsigned int i = 0; i < N; i++) {
		host_puts(e, deaf[i].fd, "pong");
		guest_recv_exactly(e, deaf[i].s, (char[4]){0}, 4);
		pair_close(e, &deaf[i]);
	}
	pair_close(e, &p);
}

/* The guest goes while nobody reads: what was flushed for it does not keep it. */
static void
test_a_guest_that_goes_while_nobody_reads(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	struct pair p[20], other;

	guest_up(e, 0, NULL);
	for (unsigned int i = 0; i < VSW_ARRAY_SIZE(p); i++) {
		p[i] = pair_from_guest(e, 0, 62);
		send_a_window(e, p[i].s);
		if (i % 2)
			vsw_guest_close(p[i].s);
	}
	guest_down(e, 0);
	neighbours_check(e, &nb);
	guest_up(e, 0, NULL);
	other = pair_from_guest(e, 0, 52);
	the_rest_goes_on(e, &other);
	neighbours_check(e, &nb);
}

/* Nobody can go on, and vswd sleeps (it polls adaptively here). */
static void
test_who_waits_costs_no_time(struct env *e)
{
	static uint8_t buf[65536];
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct pair unread = pair_from_guest(e, 0, 62), closed = pair_from_guest(e, 0, 62);
	struct pair p = pair_from_guest(e, 0, 52);

	for (unsigned int i = 0; i < 20; i++) /* a probe: nothing is said, nothing is left */
		env_close(e, host_connect(e, 0));
	expect_sleep(e, "hosts that came and went");
	send_a_window(e, unread.s);
	expect_sleep(e, "a host that does not read");
	send_a_window(e, closed.s);
	vsw_guest_close(closed.s);
	expect_sleep(e, "a closed connection with bytes left");
	vsw_guest_hold_recv(g, true);
	for (unsigned int i = 0; i < 64; i++)
		(void)!send(p.fd, buf, sizeof(buf), MSG_NOSIGNAL | MSG_DONTWAIT);
	expect_sleep(e, "a guest without receive buffers");
	vsw_guest_hold_recv(g, false);
	expect_sleep(e, "a guest that does not read");
	guest_down(e, 0);
}

static void
test_hosts_that_close_with_data_unread(struct env *e)
{
	static uint8_t buf[65536];
	struct neighbours nb = neighbours_up(e);
	struct vsw_guest *g = guest_up(e, 0, NULL);
	int listener = host_listen(e, 0, 63, 16);

	for (unsigned int i = 0; i < 60; i++) {
		struct vsw_guest_sock *s = vsw_guest_connect(g, VSW_CID_HOST, 63, WAIT_MS);
		int fd;

		check(e, s != NULL);
		fd = host_accept(e, listener);
		vsw_guest_send(s, buf, sizeof(buf), 0);
		(void)!send(fd, buf, 1000, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (i % 2)
			shutdown(fd, i % 4 == 1 ? SHUT_RD : SHUT_RDWR);
		env_close(e, fd);
		vsw_guest_send(s, buf, sizeof(buf), 0);
		vsw_guest_close(s);
		if (i % 20 == 19)
			neighbours_move(e, &nb, 2000);
	}
	neighbours_check(e, &nb);
	check(e, vsw_guest_is_attached(g));
}

/* Descriptors beside the bytes: the kernel must close them, not vswd keep them. */
static void
test_hosts_that_pass_descriptors(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	struct vsw_guest *g = guest_up(e, 0, NULL);
	int fds[32], before;
	struct vmm host = {.mem_fd = -1};
	char buf[12];
	struct vsw_guest_sock *s;

	for (size_t i = 0; i < VSW_ARRAY_SIZE(fds); i++)
		fds[i] = nb.host.fd;
	vsw_guest_listen(g, 64, 4);
	before = (int)env_settled_fds(e);
	host.fd = host_connect(e, 0);
	for (const char *line = "CONNECT 64\n"; *line != '\0'; line++)
		check(e, vmm_send_raw(&host, line, 1, fds, 32));
	s = vsw_guest_accept(g, 64, WAIT_MS);
	check(e, s != NULL);
	host_expect_ok(e, host.fd);
	for (int i = 0; i < 12; i++)
		check(e, vmm_send_raw(&host, "x", 1, fds, 32));
	guest_recv_exactly(e, s, buf, sizeof(buf));
	check(e, memcmp(buf, "xxxxxxxxxxxx", 12) == 0);
	env_wait_fds(e, (unsigned int)before + 1);
	neighbours_check(e, &nb);
}

/*
 * With so few descriptors that one guest could take them all.
 */

static void
test_a_guest_cannot_use_up_the_descriptors(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	struct vsw_guest *g = guest_up(e, 0, NULL);
	int listener = host_listen(e, 0, 65, 256);
	uint64_t n_refused = counter_of(e, 0, "refused_descriptors");
	unsigned int n = 0;

	while (n < 300) {
		struct vsw_guest_sock *s = vsw_guest_connect(g, VSW_CID_HOST, 65, WAIT_MS);

		if (s == NULL)
			break;
		host_accept(e, listener);
		n++;
	}
	check(e, n > 10 && n < 300);
	check(e, counter_of(e, 0, "refused_descriptors") == n_refused + 1);
	check(e, counter_of(e, 0, "refused_by_host") == 0);
	/* the others find room for theirs; and for a VMM that comes now */
	for (int i = 0; i < 5; i++) {
		struct pair p = pair_from_guest(e, 1, 66);
		struct pair q = pair_from_host(e, 2, 66);

		pair_check(e, &p);
		pair_check(e, &q);
	}
	neighbours_check(e, &nb);
	guest_down(e, 2);
	guest_up(e, 2, NULL);
	guest_down(e, 0);
	guest_up(e, 0, NULL);
}

/* Not even for a moment: a message has 8 at most, the kernel would take in 253. */
static void
test_vmms_cannot_use_up_the_descriptors(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	uint64_t n_refused = counter_of(e, 1, "refused_descriptors");
	const uint8_t header[12] = {1, 0, 0, 0, 1};
	int fds[200];

	for (size_t i = 0; i < VSW_ARRAY_SIZE(fds); i++)
		fds[i] = nb.host.fd;
	for (int i = 0; i < 20; i++) {
		struct vmm v = vmm_connect(e, 0);
		struct pair p;

		vmm_send_raw(&v, header, sizeof(header), fds, VSW_ARRAY_SIZE(fds));
		p = pair_from_guest(e, 1, 66);
		pair_check(e, &p);
		pair_close(e, &p);
		vmm_expect_hangup(e, &v, "200 descriptors");
	}
	check(e, env_count_in_log(e, "more descriptors than a message has") > 0);
	check(e, counter_of(e, 1, "refused_descriptors") == n_refused);
	neighbours_check(e, &nb);
}

static void
test_hosts_cannot_use_up_the_descriptors(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	struct vsw_guest *g = guest_up(e, 0, NULL);
	static int fd[200];

	vsw_guest_listen(g, 67, 512);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(fd); i++) {
		fd[i] = knock(e, 0);
		if (fd[i] >= 0)
			(void)!send(fd[i], "CONNECT 67\n", 11, MSG_NOSIGNAL);
		pump_fd(e, -1, 0, 0);
	}
	neighbours_check(e, &nb);
	for (int i = 0; i < 5; i++) {
		struct pair p = pair_from_guest(e, 1, 66);
		struct pair q = pair_from_host(e, 2, 66);

		pair_check(e, &p);
		pair_check(e, &q);
	}
	for (size_t i = 0; i < VSW_ARRAY_SIZE(fd); i++)
		close(fd[i]);
	neighbours_check(e, &nb);
	vsw_guest_unlisten(g, 67);
}

int
main(void)
{
	static const struct test_case cases[] = {
		CASE(test_hosts_that_say_nothing),
		CASE(test_hosts_that_speak_in_single_bytes),
		CASE(test_hosts_that_read_nothing),
		CASE(test_hosts_that_shut_their_read_side),
		CASE(test_a_guest_that_goes_while_nobody_reads),
		CASE(test_who_waits_costs_no_time),
		CASE(test_hosts_that_close_with_data_unread),
		CASE(test_hosts_that_pass_descriptors),
	};
	static const struct test_case few[] = {
		CASE(test_a_guest_cannot_use_up_the_descriptors),
		CASE(test_hosts_cannot_use_up_the_descriptors),
		CASE(test_vmms_cannot_use_up_the_descriptors),
		CASE(test_hosts_that_say_nothing),
	};
	static const char *const args[] = {"--lcores", "0@0,1@1", NULL};
	/* 52 + 2 * 6 + 3 * 24 are set aside */
	static const struct variant tight[] = {
		{"uml, 2 lcores, 220 descriptors", VSW_GUEST_UML, args, .n_vms = N_HOSTILE_VMS,
		 .max_fds = 220},
	};
	int n_failed;

	n_failed = run_cases_in("hostile host", hostile_variants, N_HOSTILE_VARIANTS, cases,
				VSW_ARRAY_SIZE(cases));
	return n_failed + run_cases_in("few descriptors", tight, 1, few, VSW_ARRAY_SIZE(few));
}
