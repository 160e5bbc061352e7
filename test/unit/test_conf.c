/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that --vm is read in both spellings with the documented defaults, and that each
 * mistake is told in one sentence that names the argument, the key and the remedy.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vsw_test.h"

#include "vsw_base.h"
#include "vsw_conf.h"

#define A10 "aaaaaaaaaa"
#define A90 A10 A10 A10 A10 A10 A10 A10 A10 A10

static struct vsw_conf conf;
static char error[VSW_CONF_ERROR_SIZE];

static int
setup(void **state)
{
	memset(&conf, 0, sizeof(conf));
	error[0] = '\0';
	return 0;
}

static void
test_vm_takes_both_spellings(void **state)
{
	assert_int_equal(vsw_conf_add_vm(&conf,
					 "guest-cid=7,socket=/a,uds-path=/b,tx-buffer-size=32768,"
					 "queue-size=256",
					 error),
			 0);
	assert_int_equal(vsw_conf_add_vm(&conf,
					 "uds_path=/d,socket=/c,guest_cid=4294967294,"
					 "tx_buffer_size=1,queue_size=1024",
					 error),
			 0);
	assert_int_equal(conf.n_guests, 2);
	assert_int_equal(conf.guest[0].spec.cid, 7);
	assert_string_equal(conf.guest[0].spec.socket, "/a");
	assert_string_equal(conf.guest[0].spec.uds_path, "/b");
	assert_int_equal(conf.guest[0].spec.window_bytes, 32768);
	assert_int_equal(conf.guest[0].spec.queue_size, 256);
	assert_int_equal(conf.guest[1].spec.cid, 4294967294u);
	assert_string_equal(conf.guest[1].spec.uds_path, "/d");
}

static void
test_vm_has_defaults(void **state)
{
	assert_int_equal(vsw_conf_add_vm(&conf, "socket=/a,uds-path=/b", error), 0);
	assert_int_equal(conf.guest[0].spec.cid, 3);
	assert_int_equal(conf.guest[0].spec.window_bytes, 262144);
	assert_int_equal(conf.guest[0].spec.queue_size, 0);
	assert_int_equal(conf.guest[0].spec.max_connections, 4096);
}

static void
test_vm_tells_each_mistake(void **state)
{
	static const struct {
		const char *arg;
		const char *says; /* behind "--vm <arg>: " */
	} cases[] = {
		{"guest-cid=0,socket=/a,uds-path=/b", "guest-cid: 0 is wrong"},
		{"guest-cid=1,socket=/a,uds-path=/b", "guest-cid: 1 is wrong"},
		{"guest-cid=2,socket=/a,uds-path=/b", "guest-cid: 2 is wrong"},
		{"guest-cid=4294967295,socket=/a,uds-path=/b", "guest-cid: 4294967295 is wrong"},
		{"guest-cid=4294967299,socket=/a,uds-path=/b", "guest-cid: 4294967299 is wrong"},
		{"guest-cid=-3,socket=/a,uds-path=/b", "guest-cid: -3 is wrong"},
		{"guest-cid=x,socket=/a,uds-path=/b", "guest-cid: x is wrong"},
		{"guest-cid=3x,socket=/a,uds-path=/b", "guest-cid: 3x is wrong"},
		{"guest-cid=,socket=/a,uds-path=/b", "guest-cid: it needs a value"},
		{"guest-cid,socket=/a,uds-path=/b", "guest-cid: it needs a value"},
		{"guest-cid=3,guest_cid=4,socket=/a,uds-path=/b", "guest-cid: it is given twice"},
		{"guest-cid=3,uds-path=/b", "socket: it is missing"},
		{"guest-cid=3,socket=/a", "uds-path: it is missing"},
		{"socket=/a,uds-path=/b,color=red", "unknown key 'color'"},
		{"socket=/a,uds-path=/b,", "unknown key ''"},
		{"", "unknown key ''"},
		{"socket=/" A90 A10 "1234567,uds-path=/b", "socket: "},
		{"socket=/a,uds-path=/" A90 "123456", "uds-path: "},
		{"socket=/a,uds-path=/b,tx-buffer-size=0", "tx-buffer-size: 0 is wrong"},
		{"socket=/a,uds-path=/b,tx-buffer-size=9999999999", "tx-buffer-size: 9999999999"},
		{"socket=/a,uds-path=/b,queue-size=100", "queue-size: 100 is wrong"},
		{"socket=/a,uds-path=/b,queue-size=65536", "queue-size: 65536 is wrong"},
	};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		char says[1024];

		snprintf(says, sizeof(says), "--vm %s: %s", cases[i].arg, cases[i].says);
		assert_int_equal(vsw_conf_add_vm(&conf, cases[i].arg, error), -EINVAL);
		if (strncmp(error, says, strlen(says)) != 0)
			fail_msg("wanted '%s...', got '%s'", says, error);
		assert_null(strchr(error, '\n'));
	}
	assert_int_equal(conf.n_guests, 0);
}

static void
test_vm_takes_the_longest_paths(void **state)
{
	assert_int_equal(
		vsw_conf_add_vm(&conf, "socket=/" A90 A10 "123456,uds-path=/" A90 "12345", error),
		0);
	assert_int_equal(strlen(conf.guest[0].spec.socket), 107);
	assert_int_equal(strlen(conf.guest[0].spec.uds_path), 96);
}

static char dir[] = "/tmp/vsw-test-conf-XXXXXX";

static void
add(const char *fmt, unsigned int cid, const char *socket_name, const char *uds_name)
{
	char arg[512];

	snprintf(arg, sizeof(arg), fmt, cid, dir, socket_name, dir, uds_name);
	assert_int_equal(vsw_conf_add_vm(&conf, arg, error), 0);
}

#define VM "guest-cid=%u,socket=%s/%s,uds-path=%s/%s"

static void
expect_check_fails(const char *part)
{
	int rc = vsw_conf_check(&conf, error);

	if (rc == 0)
		rc = vsw_conf_check_paths(&conf, VSW_CONF_PATHS_NOW, error);
	assert_int_equal(rc, -EINVAL);
	if (strstr(error, part) == NULL)
		fail_msg("wanted '...%s...', got '%s'", part, error);
}

static void
test_check_accepts_fresh_paths(void **state)
{
	add(VM, 3, "a", "b");
	add(VM, 4, "c", "d");
	assert_int_equal(vsw_conf_check(&conf, error), 0);
}

static void
test_check_finds_duplicates(void **state)
{
	static const struct {
		unsigned int cid;
		const char *socket_name, *uds_name, *says;
	} cases[] = {
		{3, "c", "d", "guest-cid=3: guest-cid: two guests"},
		{4, "a", "d", "guest-cid=4: socket: "},
		{4, "c", "b", "guest-cid=4: uds-path: "},
		{4, "b", "d", "guest-cid=4: socket: "},
		{4, "c", "a", "guest-cid=4: uds-path: "},
		{4, "c", "c", "guest-cid=4: uds-path: "},
	};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		memset(&conf, 0, sizeof(conf));
		add(VM, 3, "a", "b");
		add(VM, cases[i].cid, cases[i].socket_name, cases[i].uds_name);
		expect_check_fails(cases[i].says);
	}
}

static int
bind_socket(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(addr.sun_path, path, strlen(path));
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void
test_check_looks_at_the_file_system(void **state)
{
	char path[64];
	int fd, peer;

	add(VM, 3, "nowhere/a", "b");
	expect_check_fails("guest-cid=3: socket: no socket can be made in the folder");

	memset(&conf, 0, sizeof(conf));
	add(VM, 3, "a", "b");
	snprintf(path, sizeof(path), "%s/b", dir);
	fd = bind_socket(path);
	expect_check_fails("uds-path: ");

	/* The test has not touched the listener: nobody is in its queue. */
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	peer = accept(fd, NULL, NULL);
	assert_int_equal(peer, -1);
	assert_int_equal(errno, EAGAIN);

	close(fd); /* stale now */
	assert_int_equal(vsw_conf_check(&conf, error), 0);
	unlink(path);

	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	expect_check_fails("it exists and is not a socket");
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_vm_takes_both_spellings, setup),
		cmocka_unit_test_setup(test_vm_has_defaults, setup),
		cmocka_unit_test_setup(test_vm_tells_each_mistake, setup),
		cmocka_unit_test_setup(test_vm_takes_the_longest_paths, setup),
		cmocka_unit_test_setup(test_check_accepts_fresh_paths, setup),
		cmocka_unit_test_setup(test_check_finds_duplicates, setup),
		cmocka_unit_test_setup(test_check_looks_at_the_file_system, setup),
	};
	int rc;

	if (mkdtemp(dir) == NULL)
		return 1;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return rc;
}
