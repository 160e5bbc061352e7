/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves what becomes of a host between its connect() and the bridge: a whole line passes it
 * on with its data still in the socket, however the line is cut; hosts that do not manage one
 * are limited in number and time, and read an end of file without a byte.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "eal.h"

#include "msg_pool.h"
#include "vsw_guest_conf.h"
#include "vsw_handshake.h"
#include "vsw_limits.h"

#define N_MSGS 64
#define TIMEOUT_MS 600
#define LINE "CONNECT 22\n"

static struct {
	struct vsw_loop *loop;
	struct vsw_guest_conf guest;
	struct vsw_counters counters;
	struct vsw_handshakes *hs;
	char dir[32];
	struct sockaddr_un addr;
	unsigned int n_fds;   /* before the first host */
	unsigned int n_plain; /* sockets beside the one at addr */

	/* Hosts that were passed on. */
	int adopted[256];
	uint32_t port[256];
	uint8_t flags[256];
	unsigned int n_adopted;
} t;

static void
on_adopt(void *ctx, struct vsw_msg *msg)
{
	assert_int_equal(msg->verb, VSW_MSG_ADOPT);
	assert_ptr_equal(msg->guest, &t.guest);
	assert_true(t.n_adopted < VSW_ARRAY_SIZE(t.adopted));
	t.adopted[t.n_adopted] = msg->fd;
	t.flags[t.n_adopted] = msg->flags;
	t.port[t.n_adopted++] = msg->port;
	vsw_msg_free(msg);
}

static unsigned int
count_fds(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int
setup(void **state)
{
	memset(&t, 0, sizeof(t));
	if (vsw_msg_pool_create(N_MSGS) != 0)
		return -1;
	t.loop = vsw_loop_create(0, VSW_IDLE_POLL);
	if (t.loop == NULL)
		return -1;
	vsw_loop_on_msg(t.loop, VSW_MSG_ADOPT, on_adopt, NULL);
	t.guest = (struct vsw_guest_conf){.cid = 3,
					  .max_handshakes = VSW_HANDSHAKES_MAX_DEFAULT,
					  .bridge_loop = t.loop,
					  .poll_loop = t.loop};

	strcpy(t.dir, "/tmp/vsw-unit-XXXXXX");
	if (mkdtemp(t.dir) == NULL)
		return -1;
	t.addr.sun_family = AF_UNIX;
	snprintf(t.addr.sun_path, sizeof(t.addr.sun_path), "%s/s", t.dir);
	t.hs = vsw_handshakes_create(t.loop, &t.guest, &t.counters, TIMEOUT_MS);
	if (t.hs == NULL || vsw_handshakes_listen(t.hs, t.addr.sun_path, VSW_PORT_FROM_LINE) != 0)
		return -1;
	t.n_fds = count_fds();
	return 0;
}

/* Every descriptor and every message is back. */
static int
teardown(void **state)
{
	unsigned int n_fds, n_free = 0, size = vsw_msg_pool_size();
	unsigned int n_listeners = t.hs != NULL ? 1 + t.n_plain : 0;

	for (unsigned int i = 0; i < t.n_adopted; i++)
		close(t.adopted[i]);
	if (t.hs != NULL)
		vsw_handshakes_destroy(t.hs);
	n_fds = count_fds() + n_listeners;
	vsw_loop_destroy(t.loop);
	while (vsw_msg_alloc(VSW_MSG_ADOPT) != NULL)
		n_free++;
	vsw_msg_pool_destroy();
	unlink(t.addr.sun_path);
	rmdir(t.dir);
	if (n_fds == t.n_fds && n_free == size)
		return 0;
	print_error("%u of %u descriptors, %u of %u messages\n", n_fds, t.n_fds, n_free, size);
	return -1;
}

static void
turns(int n)
{
	while (n-- > 0)
		vsw_loop_turn(t.loop);
}

static int
host_at(const char *path)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	assert_true(fd >= 0);
	strcpy(addr.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static int
host(void)
{
	return host_at(t.addr.sun_path);
}

/* A plain socket beside the other one. @return its path. */
static const char *
plain(const char *name, uint32_t port)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s/%s", t.dir, name);
	assert_int_equal(vsw_handshakes_listen(t.hs, path, port), 0);
	t.n_fds++;
	t.n_plain++;
	return path;
}

static void
say(int fd, const char *data, size_t len)
{
	assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), len);
}

static uint64_t
counter(enum vsw_counter c)
{
	return t.counters.value[c];
}

static bool
is_ended(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_PEEK);

	if (n < 0 && errno != EAGAIN)
		fail_msg("a host reads %s instead of its end", strerror(errno));
	assert_true(n <= 0);
	return n == 0;
}

static void
expect_end(int fd)
{
	WAIT_UNTIL(is_ended(fd), turns(1), "a host's end of file");
	close(fd);
}

/* The host is with the bridge, and this is what it still has to say. */
static void
expect_adopted(unsigned int n, uint32_t port, const char *data, size_t len)
{
	char buf[256];
	ssize_t got;

	WAIT_UNTIL(t.n_adopted == n, turns(1), "host %u to be passed on", n);
	assert_int_equal(t.port[n - 1], port);
	got = recv(t.adopted[n - 1], buf, sizeof(buf), MSG_DONTWAIT);
	if (len == 0) {
		assert_int_equal(got, -1);
		assert_int_equal(errno, EAGAIN);
	} else {
		assert_int_equal(got, len);
		assert_memory_equal(buf, data, len);
	}
}

static void
test_a_line_passes_the_host_on(void **state)
{
	int fd = host();

	say(fd, LINE, strlen(LINE));
	expect_adopted(1, 22, "", 0);
	/* it is the bridge's: not watched, not ended any more */
	say(fd, "data", 4);
	turns(10);
	expect_adopted(1, 22, "data", 4);
	assert_true(fcntl(t.adopted[0], F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(t.adopted[0], F_GETFD) & FD_CLOEXEC);
	close(fd);
}

static void
test_a_line_in_two_pieces_and_data_behind_it(void **state)
{
	static const char text[] = "CONNECT 4294967295\r\nearly\ndata";
	size_t line = strlen("CONNECT 4294967295\r\n"), len = sizeof(text) - 1;

	for (size_t cut = 1; cut <= len; cut++) {
		int fd = host();

		say(fd, text, cut);
		turns(3);
		assert_int_equal(t.n_adopted, cut < line ? cut - 1 : cut);
		say(fd, text + cut, len - cut);
		expect_adopted((unsigned int)cut, 4294967295u, text + line, len - line);
		close(fd);
	}
}

static void
test_a_line_byte_by_byte(void **state)
{
	int fd = host();

	for (const char *p = LINE "x"; *p != '\0'; p++) {
		say(fd, p, 1);
		turns(2);
	}
	expect_adopted(1, 22, "x", 1);
	close(fd);
}

static void
test_a_wrong_line_is_the_end_as_soon_as_it_is_one(void **state)
{
	static const char *const lines[] = {"\n", "CONNECT\n", "CONNECT x\nand data",
					    "0123456789012345678901234567890123456789"};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(lines); i++) {
		int fd = host();

		say(fd, lines[i], strlen(lines[i]));
		expect_end(fd);
		assert_int_equal(counter(VSW_CTR_HANDSHAKE_BAD_LINE), i + 1);
	}
	assert_int_equal(t.n_adopted, 0);
}

static void
test_hosts_that_leave_leave_nothing(void **state)
{
	for (int i = 0; i < 100; i++) {
		int fd = host();

		if (i % 3 > 0)
			say(fd, LINE, i % 3);
		if (i % 2)
			turns(2);
		if (i % 5 == 0) {
			shutdown(fd, SHUT_WR);
			expect_end(fd);
		} else {
			close(fd);
		}
	}
	WAIT_UNTIL(count_fds() == t.n_fds, turns(1), "100 hosts to be forgotten");
	assert_int_equal(counter(VSW_CTR_HANDSHAKE_BAD_LINE), 0);
	assert_int_equal(t.n_adopted, 0);
}

/* A line that is complete counts, also from a host that is gone. */
static void
test_a_host_that_left_behind_its_line_is_passed_on(void **state)
{
	int fd = host();

	say(fd, LINE "farewell", strlen(LINE "farewell"));
	close(fd);
	expect_adopted(1, 22, "farewell", 8);
}

static void
test_no_more_than_the_cap_may_be_busy_with_their_line(void **state)
{
	int fd[VSW_HANDSHAKES_MAX_DEFAULT], late;

	for (int i = 0; i < VSW_HANDSHAKES_MAX_DEFAULT; i++) {
		fd[i] = host();
		say(fd[i], "CONN", 4);
	}
	turns(10);
	for (int i = 0; i < 3; i++)
		expect_end(host());
	/* not even with a whole line: it is over the cap when it comes */
	late = host();
	say(late, LINE, strlen(LINE));
	expect_end(late);
	assert_int_equal(counter(VSW_CTR_HANDSHAKE_FULL), 4);
	for (int i = 0; i < VSW_HANDSHAKES_MAX_DEFAULT; i++)
		assert_false(is_ended(fd[i]));

	/* one finishes, one leaves: there is room for two */
	say(fd[0], "ECT 22\n", 7);
	expect_adopted(1, 22, "", 0);
	close(fd[1]);
	turns(4);
	for (int i = 0; i < 2; i++) {
		late = host();
		say(late, LINE, strlen(LINE));
		expect_adopted(2 + (unsigned int)i, 22, "", 0);
		close(late);
	}
	assert_int_equal(counter(VSW_CTR_HANDSHAKE_FULL), 4);
	close(fd[0]);
	for (int i = 2; i < VSW_HANDSHAKES_MAX_DEFAULT; i++)
		close(fd[i]);
	WAIT_UNTIL(count_fds() == t.n_fds + t.n_adopted, turns(1), "the others to be forgotten");
}

static void
test_the_deadline_is_each_hosts_own(void **state)
{
	int first = host(), second, in_time;
	uint64_t start = now_ms(), took;

	turns(3);
	while (now_ms() - start < TIMEOUT_MS / 2)
		turns(1);
	say(first, "CONN", 4); /* a word does not buy time */
	second = host();
	in_time = host();
	say(second, "CONNECT 2", 9);
	turns(3);
	WAIT_UNTIL(is_ended(first), turns(1), "the first host's deadline");
	took = now_ms() - start;
	assert_true(took >= TIMEOUT_MS - 5);
	assert_true(took < 2 * TIMEOUT_MS - 5);
	/* If the machine stood still this proves nothing. */
	if (took < TIMEOUT_MS + TIMEOUT_MS / 4) {
		assert_false(is_ended(second));
		say(in_time, LINE, strlen(LINE));
		expect_adopted(1, 22, "", 0);
	}
	expect_end(second);
	assert_true(now_ms() - start >= TIMEOUT_MS + TIMEOUT_MS / 2 - 5);
	assert_int_equal(counter(VSW_CTR_HANDSHAKE_TIMEOUT), 3 - t.n_adopted);
	close(first);
	close(in_time);
}

static void
test_without_a_free_message_the_host_waits(void **state)
{
	struct vsw_msg *first = NULL, *msg;
	int fd[4];

	while ((msg = vsw_msg_alloc(VSW_MSG_WRITE)) != NULL) {
		msg->next = first;
		first = msg;
	}
	for (int i = 0; i < 3; i++) {
		char line[32];

		fd[i] = host();
		snprintf(line, sizeof(line), "CONNECT %d\nmore", 30 + i);
		say(fd[i], line, strlen(line));
		turns(10);
	}
	usleep(20000);
	turns(10);
	assert_int_equal(t.n_adopted, 0);
	for (int i = 0; i < 3; i++)
		assert_false(is_ended(fd[i]));
	while ((msg = first) != NULL) {
		first = msg->next;
		vsw_msg_free(msg);
	}
	/* one that finds a message does not overtake those that wait */
	fd[3] = host();
	say(fd[3], "CONNECT 33\nmore", strlen("CONNECT 33\nmore"));
	WAIT_UNTIL(t.n_adopted == 4, turns(1), "four hosts to be passed on");
	for (unsigned int i = 0; i < 4; i++) {
		char buf[16];

		assert_int_equal(t.port[i], 30 + i); /* in their order */
		assert_int_equal(recv(t.adopted[i], buf, sizeof(buf), 0), 4);
		close(fd[i]);
	}
}

/* No descriptor is free: nobody is lost who stays, and the loop does not spin on it. */
static void
test_without_a_free_descriptor_accepting_pauses(void **state)
{
	struct rlimit before, limit;
	int fd = host(), highest;
	uint64_t n_errors;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	say(fd, LINE, strlen(LINE));
	limit = before;
	highest = dup(fd);
	close(highest); /* the lowest that is free */
	limit.rlim_cur = (rlim_t)highest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	WAIT_UNTIL(counter(VSW_CTR_ACCEPT_ERRORS) > 0, turns(1), "accept() to fail");
	turns(1000);
	n_errors = counter(VSW_CTR_ACCEPT_ERRORS);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(n_errors <= 2); /* one a pause of 100 ms, not one a turn */
	expect_adopted(1, 22, "", 0);
	close(fd);
}

static void
test_going_ends_everybody(void **state)
{
	int waiting = host(), reading = host(), finished = host();
	struct vsw_msg *first = NULL, *msg;

	say(reading, "CONNECT", 7);
	while ((msg = vsw_msg_alloc(VSW_MSG_WRITE)) != NULL) {
		msg->next = first;
		first = msg;
	}
	say(finished, LINE "data", strlen(LINE "data"));
	turns(10);
	vsw_handshakes_destroy(t.hs);
	t.hs = NULL;
	expect_end(waiting);
	expect_end(reading);
	expect_end(finished);
	while ((msg = first) != NULL) {
		first = msg->next;
		vsw_msg_free(msg);
	}
	turns(10);
	assert_int_equal(t.n_adopted, 0);
	t.n_fds--; /* the listener is gone */
	vsw_handshakes_destroy(NULL);
}

static void
test_a_host_of_a_plain_socket_is_passed_on_as_it_is(void **state)
{
	const char *path = plain("plain", 80);
	int silent = host_at(path), talks, with_line = host();

	expect_adopted(1, 80, "", 0);
	assert_int_equal(t.flags[0], VSW_MSG_F_PLAIN);
	talks = host_at(path);
	say(talks, LINE, strlen(LINE)); /* is data here */
	close(talks);
	expect_adopted(2, 80, LINE, strlen(LINE));
	assert_true(fcntl(t.adopted[1], F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(t.adopted[1], F_GETFD) & FD_CLOEXEC);
	say(with_line, LINE, strlen(LINE));
	expect_adopted(3, 22, "", 0);
	assert_int_equal(t.flags[2], 0);
	close(silent);
	close(with_line);
}

/* They wait for nothing, so those who wait do not keep them out. */
static void
test_plain_sockets_are_open_while_many_are_busy_with_their_line(void **state)
{
	const char *path = plain("plain", 80);
	int busy[2], fd;

	t.guest.max_handshakes = 2;
	for (int i = 0; i < 2; i++)
		busy[i] = host();
	turns(10);
	expect_end(host());
	fd = host_at(path);
	expect_adopted(1, 80, "", 0);
	close(fd);
	for (int i = 0; i < 2; i++)
		close(busy[i]);
	WAIT_UNTIL(count_fds() == t.n_fds + 1, turns(1), "the others to be forgotten");
}

/* When messages have run out, hosts of both kinds wait in one order, and are counted. */
static void
test_without_a_free_message_plain_hosts_wait(void **state)
{
	const char *path = plain("plain", 80);
	struct vsw_msg *first = NULL, *msg;
	int fd[3];

	t.guest.max_handshakes = 3;
	while ((msg = vsw_msg_alloc(VSW_MSG_WRITE)) != NULL) {
		msg->next = first;
		first = msg;
	}
	for (int i = 0; i < 3; i++) {
		fd[i] = i == 1 ? host() : host_at(path);
		say(fd[i], LINE, strlen(LINE));
		turns(10);
	}
	expect_end(host_at(path));
	assert_int_equal(counter(VSW_CTR_HANDSHAKE_FULL), 1);
	assert_int_equal(t.n_adopted, 0);
	while ((msg = first) != NULL) {
		first = msg->next;
		vsw_msg_free(msg);
	}
	WAIT_UNTIL(t.n_adopted == 3, turns(1), "three hosts to be passed on");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(t.port[i], i == 1 ? 22 : 80);
		assert_int_equal(t.flags[i], i == 1 ? 0 : VSW_MSG_F_PLAIN);
		close(fd[i]);
	}
}

static void
test_sockets_come_and_go_one_by_one(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char one[64];
	const char *two;
	int fd, reading;

	strcpy(one, plain("one", 1));
	two = plain("two", 2);
	assert_true(vsw_handshakes_is_listening(t.hs, one));
	assert_int_equal(vsw_handshakes_listen(t.hs, two, 3), -EADDRINUSE);
	assert_int_equal(vsw_handshakes_listen(t.hs, t.dir, 3), -EEXIST);
	reading = host();
	turns(3);
	vsw_handshakes_unlisten(t.hs, one);
	vsw_handshakes_unlisten(t.hs, "nowhere");
	t.n_fds--;
	t.n_plain--;
	assert_false(vsw_handshakes_is_listening(t.hs, one));
	assert_int_equal(access(one, F_OK), -1);
	fd = host_at(two);
	expect_adopted(1, 2, "", 0);
	close(fd);
	say(reading, LINE, strlen(LINE));
	expect_adopted(2, 22, "", 0);
	close(reading);
	/* what a process left behind that is gone is in nobody's way */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(addr.sun_path, one);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	plain("one", 4);
	fd = host_at(one);
	expect_adopted(3, 4, "", 0);
	close(fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_line_passes_the_host_on),
		TEST(test_a_line_in_two_pieces_and_data_behind_it),
		TEST(test_a_line_byte_by_byte),
		TEST(test_a_wrong_line_is_the_end_as_soon_as_it_is_one),
		TEST(test_hosts_that_leave_leave_nothing),
		TEST(test_a_host_that_left_behind_its_line_is_passed_on),
		TEST(test_no_more_than_the_cap_may_be_busy_with_their_line),
		TEST(test_the_deadline_is_each_hosts_own),
		TEST(test_without_a_free_message_the_host_waits),
		TEST(test_without_a_free_descriptor_accepting_pauses),
		TEST(test_a_host_of_a_plain_socket_is_passed_on_as_it_is),
		TEST(test_plain_sockets_are_open_while_many_are_busy_with_their_line),
		TEST(test_without_a_free_message_plain_hosts_wait),
		TEST(test_sockets_come_and_go_one_by_one),
		TEST(test_going_ends_everybody),
	};
	int rc;

	if (eal_up() != 0)
		return 1;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	eal_down();
	return rc;
}
