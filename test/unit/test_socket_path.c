/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that only a socket that nobody is bound to is called stale and removed, and that
 * looking does not disturb a live one; and that a refused peer reads an end of file.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vsw_test.h"

#include "vsw_base.h"
#include "vsw_socket_close.h"
#include "vsw_socket_path.h"

static char dir[] = "/tmp/vsw-unit-XXXXXX";
static char path[64];

static int
bind_socket(int type)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	memcpy(addr.sun_path, path, strlen(path));
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static bool
exists(void)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static int
teardown(void **state)
{
	unlink(path);
	rmdir(path);
	return 0;
}

static void
test_nothing_there_is_free(void **state)
{
	assert_int_equal(vsw_socket_path_state(path), VSW_SOCKET_PATH_FREE);
	assert_int_equal(vsw_socket_path_clear(path), 0);
}

static void
test_a_socket_left_behind_is_stale_and_removed(void **state)
{
	static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(types); i++) {
		close(bind_socket(types[i]));
		assert_int_equal(vsw_socket_path_state(path), VSW_SOCKET_PATH_STALE);
		assert_true(exists()); /* looking removes nothing */
		assert_int_equal(vsw_socket_path_clear(path), 0);
		assert_false(exists());
	}
}

static void
test_a_bound_socket_is_in_use_whatever_it_does(void **state)
{
	static const struct {
		int type;
		int backlog; /* -1: does not listen */
	} cases[] = {
		{SOCK_STREAM, 8}, {SOCK_STREAM, 0},    {SOCK_STREAM, -1},
		{SOCK_DGRAM, -1}, {SOCK_SEQPACKET, 1}, {SOCK_SEQPACKET, -1},
	};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		int fd = bind_socket(cases[i].type);

		if (cases[i].backlog >= 0)
			assert_int_equal(listen(fd, cases[i].backlog), 0);
		assert_int_equal(vsw_socket_path_state(path), -EADDRINUSE);
		assert_int_equal(vsw_socket_path_clear(path), -EADDRINUSE);
		assert_true(exists());
		/* and nobody is in its queue */
		if (cases[i].backlog >= 0) {
			assert_int_equal(accept(fd, NULL, NULL), -1);
			assert_int_equal(errno, EAGAIN);
		} else if (cases[i].type == SOCK_DGRAM) {
			char byte;

			assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
			assert_int_equal(errno, EAGAIN);
		}
		close(fd);
		unlink(path);
	}
}

static void
test_a_listener_with_a_full_backlog_is_in_use(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = bind_socket(SOCK_STREAM), waiting[2];

	memcpy(addr.sun_path, path, strlen(path));
	assert_int_equal(listen(fd, 0), 0);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(waiting); i++) {
		waiting[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(waiting[i], (struct sockaddr *)&addr, sizeof(addr));
	}
	assert_int_equal(vsw_socket_path_clear(path), -EADDRINUSE);
	assert_true(exists());
	for (size_t i = 0; i < VSW_ARRAY_SIZE(waiting); i++)
		close(waiting[i]);
	close(fd);
}

static void
test_what_is_no_socket_stays(void **state)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	close(fd);
	assert_int_equal(vsw_socket_path_clear(path), -EEXIST);
	assert_true(exists());
	unlink(path);

	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(vsw_socket_path_clear(path), -EEXIST);
	assert_true(exists());
	rmdir(path);

	/* a link is no socket either, even one to nowhere: it is not ours to follow */
	assert_int_equal(symlink("/nowhere", path), 0);
	assert_int_equal(vsw_socket_path_clear(path), -EEXIST);
	assert_true(exists());
	unlink(path);

	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(vsw_socket_path_clear(path), -EEXIST);
	assert_true(exists());
}

/* @return a listening socket at path. */
static struct vsw_listening
listen_there(void)
{
	const struct vsw_socket_access access = {0700, (uid_t)-1, (gid_t)-1};
	struct vsw_listening listening;

	assert_int_equal(vsw_socket_path_listen(&listening, path, &access), 0);
	return listening;
}

static void
test_the_end_leaves_nothing(void **state)
{
	struct vsw_listening listening = listen_there();

	assert_int_equal(vsw_socket_path_state(path), -EADDRINUSE);
	chmod(path, 0755);
	vsw_socket_path_unlisten(&listening);
	assert_false(exists());

	listening = listen_there();
	assert_int_equal(unlink(path), 0);
	vsw_socket_path_unlisten(&listening);
	assert_false(exists());
}

/* A second process may serve there by now, or somebody may have put something else there. */
static void
test_what_has_taken_its_place_stays(void **state)
{
	struct vsw_listening listening = listen_there(), other;

	assert_int_equal(unlink(path), 0);
	other = listen_there();
	vsw_socket_path_unlisten(&listening);
	assert_int_equal(vsw_socket_path_state(path), -EADDRINUSE);

	assert_int_equal(unlink(path), 0);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	vsw_socket_path_unlisten(&other);
	assert_true(exists());
}

static void
test_paths_that_cannot_be(void **state)
{
	char inside[80], too_long[200];

	snprintf(inside, sizeof(inside), "%s/nowhere/x", dir);
	assert_int_equal(vsw_socket_path_state(inside), VSW_SOCKET_PATH_FREE);

	close(open(path, O_CREAT | O_WRONLY, 0600));
	snprintf(inside, sizeof(inside), "%s/x", path);
	assert_int_equal(vsw_socket_path_state(inside), -ENOTDIR);

	/* A socket can have a longer name than an address holds. */
	unlink(path);
	close(bind_socket(SOCK_STREAM));
	snprintf(too_long, sizeof(too_long), "%s/%0120d", dir, 0);
	assert_int_equal(rename(path, too_long), 0);
	assert_int_equal(vsw_socket_path_clear(too_long), -ENAMETOOLONG);
	assert_int_equal(unlink(too_long), 0);
}

static void
test_a_silent_close_is_an_end_of_file(void **state)
{
	static char much[100000];
	char byte;
	int fd[2];

	for (size_t len = 0; len <= sizeof(much); len += 50000) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
		assert_int_equal(send(fd[0], much, len, 0), len);
		vsw_socket_close_silently(fd[1]);
		assert_int_equal(recv(fd[0], &byte, 1, 0), 0);
		close(fd[0]);
	}
}

static void
test_a_plain_close_would_be_a_reset(void **state)
{
	char byte;
	int fd[2];

	/* What the function above is for: if this changes, it is not needed any more. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(send(fd[0], "unread", 6, 0), 6);
	close(fd[1]);
	assert_int_equal(recv(fd[0], &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd[0]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_nothing_there_is_free, teardown),
		cmocka_unit_test_teardown(test_a_socket_left_behind_is_stale_and_removed, teardown),
		cmocka_unit_test_teardown(test_a_bound_socket_is_in_use_whatever_it_does, teardown),
		cmocka_unit_test_teardown(test_a_listener_with_a_full_backlog_is_in_use, teardown),
		cmocka_unit_test_teardown(test_what_is_no_socket_stays, teardown),
		cmocka_unit_test_teardown(test_the_end_leaves_nothing, teardown),
		cmocka_unit_test_teardown(test_what_has_taken_its_place_stays, teardown),
		cmocka_unit_test_teardown(test_paths_that_cannot_be, teardown),
		cmocka_unit_test(test_a_silent_close_is_an_end_of_file),
		cmocka_unit_test(test_a_plain_close_would_be_a_reset),
	};
	int rc;

	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/s", dir);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return rc;
}
