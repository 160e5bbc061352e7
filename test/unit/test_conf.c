/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that --vm is read in both spellings with the documented defaults, that a configuration
 * file may say the same and more, and that each mistake is told in one sentence that names its
 * place, the key and the remedy.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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
	assert_true(conf.guest[0].spec.hairpin);
	assert_int_equal(conf.guest[0].spec.lcore, -1);
	assert_int_equal(conf.guest[0].spec.n_groups, 1);
	assert_string_equal(conf.guest[0].spec.group[0], "default");
}

/* The groups of guest i, by name, sorted. */
static void
expect_groups(unsigned int i, const char *const *names, unsigned int n)
{
	const struct vsw_guest_spec *spec = &conf.guest[i].spec;

	assert_int_equal(spec->n_groups, n);
	for (unsigned int k = 0; k < n; k++)
		assert_string_equal(spec->group[k], names[k]);
}

static void
test_vm_has_groups(void **state)
{
	static const char *const args[] = {
		"socket=/a,uds-path=/b,groups=red+blue",
		"socket=/c,uds-path=/d,groups=blue+green+blue+red,hairpin=off,lcore=7",
		"socket=/e,uds-path=/f,groups=default,hairpin=on,lcore=0",
		"socket=/g,uds-path=/h",
	};
	static const char *const red_blue[] = {"blue", "red"};
	static const char *const all[] = {"blue", "green", "red"};
	static const char *const by_default[] = {"default"};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(args); i++)
		assert_int_equal(vsw_conf_add_vm(&conf, args[i], error), 0);
	expect_groups(0, red_blue, 2);
	expect_groups(1, all, 3);
	expect_groups(2, by_default, 1);
	expect_groups(3, by_default, 1);
	assert_true(conf.guest[0].spec.hairpin);
	assert_false(conf.guest[1].spec.hairpin);
	assert_true(conf.guest[2].spec.hairpin);
	assert_int_equal(conf.guest[1].spec.lcore, 7);
	assert_int_equal(conf.guest[2].spec.lcore, 0);
}

static void
test_vm_takes_the_most_groups(void **state)
{
	assert_int_equal(vsw_conf_add_vm(&conf,
					 "socket=/a,uds-path=/b,groups=a+b+c+d+e+f+g+h+i+j+k+l+m+n+"
					 "o+" A10 A10 A10 A10 A10 A10 "123",
					 error),
			 0);
	assert_int_equal(conf.guest[0].spec.n_groups, 16);
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
		{"guest-cid=+3,socket=/a,uds-path=/b", "guest-cid: +3 is wrong"},
		{"guest-cid=00003,socket=/a,uds-path=/b", "guest-cid: 00003 is wrong"},
		{"guest-cid= 3,socket=/a,uds-path=/b", "guest-cid:  3 is wrong"},
		{"guest-cid=18446744073709551619,socket=/a,uds-path=/b", /* 2^64 + 3 */
		 "guest-cid: 18446744073709551619 is wrong"},
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
		{"socket=/a,uds-path=/b,groups=", "groups: it needs a value"},
		{"socket=/a,uds-path=/b,groups=a++b", "groups: a++b is wrong, a name is empty"},
		{"socket=/a,uds-path=/b,groups=a+", "groups: a+ is wrong, a name is empty"},
		{"socket=/a,uds-path=/b,groups=+", "groups: + is wrong, a name is empty"},
		{"socket=/a,uds-path=/b,groups=" A10 A10 A10 A10 A10 A10 "1234", "groups: " A10},
		{"socket=/a,uds-path=/b,groups=a+b+c+d+e+f+g+h+i+j+k+l+m+n+o+p+q",
		 "groups: a+b+c+d+e+f+g+h+i+j+k+l+m+n+o+p+q is wrong, a guest has at most 16"},
		{"socket=/a,uds-path=/b,groups=a,groups=b", "groups: it is given twice"},
		{"socket=/a,uds-path=/b,hairpin=", "hairpin: it needs a value"},
		{"socket=/a,uds-path=/b,hairpin=maybe", "hairpin: maybe is wrong, it is on or off"},
		{"socket=/a,uds-path=/b,lcore=-1", "lcore: -1 is wrong"},
		{"socket=/a,uds-path=/b,lcore=1024", "lcore: 1024 is wrong"},
		{"socket=/a,uds-path=/b,lcore=x", "lcore: x is wrong"},
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

static void
add_in(unsigned int cid, const char *socket_folder, const char *socket_name, const char *uds_folder,
       const char *uds_name)
{
	char arg[1024];

	snprintf(arg, sizeof(arg), "guest-cid=%u,socket=%s/%s,uds-path=%s/%s", cid, socket_folder,
		 socket_name, uds_folder, uds_name);
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

/*
 * Files.
 */

static char file_path[64];

static int
read_text(const char *text)
{
	FILE *file = fopen(file_path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	memset(&conf, 0, sizeof(conf));
	error[0] = '\0';
	return vsw_conf_read_file(&conf, file_path, error);
}

static void
expect_read(const char *text)
{
	if (read_text(text) != 0)
		fail_msg("%s", error);
}

static void
test_file_has_every_key(void **state)
{
	const struct vsw_guest_spec *spec = &conf.guest[0].spec;
	char list[32];

	expect_read(
		"# a comment\n"
		"eal: [-l, 1-3, \"--file-prefix=a b\"]\n"
		"bridge_lcores: 4,2-3\n"
		"idle: poll\n"
		"max_guests: 100\n"
		"vms:\n"
		"  - guest_cid: 7\n"
		"    name: web-1\n"
		"    socket: /run/a\n"
		"    uds_path: '/run/b c'\n"
		"    forward: [{listen: /run/web, port: 80}, {port: 4294967294, listen: /a+b:1}]\n"
		"    host_cids: [9, 3]\n"
		"    tx_buffer_size: 32768\n"
		"    queue_size: 1024\n"
		"    groups: red+blue+red\n"
		"    hairpin: off\n"
		"    lcore: 2\n"
		"    client: on\n"
		"    socket_mode: 0660\n"
		"    socket_owner: root\n"
		"    socket_group: 12345\n"
		"    limits:\n"
		"      connections: 10\n"
		"      spill_bytes: 0\n"
		"  - {guest-cid: 8, socket: /run/c, uds-path: /run/d, groups: [x, a, x],\n"
		"     forward: /run/y:1+/run/x:2, host-cids: 5+4}\n");
	assert_int_equal(conf.n_eal, 3);
	assert_string_equal(conf.eal_text, "-l");
	assert_string_equal(conf.eal_text + 3, "1-3");
	assert_string_equal(conf.eal_text + 7, "--file-prefix=a b");
	assert_int_equal(conf.bridge_lcores.n, 3);
	assert_string_equal(vsw_lcores_write(&conf.bridge_lcores, list, sizeof(list)), "2-4");
	assert_true(conf.has_idle);
	assert_int_equal(conf.idle, VSW_IDLE_POLL);
	assert_int_equal(conf.max_guests, 100);
	assert_int_equal(conf.n_guests, 2);

	assert_string_equal(spec->name, "web-1");
	assert_int_equal(spec->cid, 7);
	assert_string_equal(spec->socket, "/run/a");
	assert_string_equal(spec->uds_path, "/run/b c");
	assert_int_equal(spec->n_forwards, 2);
	assert_string_equal(spec->forward[0].path, "/a+b:1");
	assert_int_equal(spec->forward[0].port, 4294967294u);
	assert_string_equal(spec->forward[1].path, "/run/web");
	assert_int_equal(spec->forward[1].port, 80);
	assert_int_equal(spec->n_host_cids, 2);
	assert_int_equal(spec->host_cid[0], 3);
	assert_int_equal(spec->host_cid[1], 9);
	assert_int_equal(spec->window_bytes, 32768);
	assert_int_equal(spec->queue_size, 1024);
	assert_int_equal(spec->n_groups, 2);
	assert_string_equal(spec->group[0], "blue");
	assert_string_equal(spec->group[1], "red");
	assert_false(spec->hairpin);
	assert_int_equal(spec->lcore, 2);
	assert_true(spec->client);
	assert_int_equal(spec->socket_mode, 0660);
	assert_int_equal(spec->socket_owner, 0);
	assert_int_equal(spec->socket_group, 12345);
	assert_int_equal(spec->max_connections, 10);
	assert_int_equal(spec->spill_bytes, 0);

	spec = &conf.guest[1].spec;
	assert_int_equal(spec->cid, 8);
	assert_string_equal(spec->name, "vm8");
	assert_int_equal(spec->n_groups, 2);
	assert_string_equal(spec->group[0], "a");
	assert_string_equal(spec->group[1], "x");
	assert_int_equal(spec->n_forwards, 2);
	assert_string_equal(spec->forward[0].path, "/run/x");
	assert_int_equal(spec->forward[0].port, 2);
	assert_int_equal(spec->n_host_cids, 2);
	assert_int_equal(spec->host_cid[0], 4);
}

static void
test_file_has_the_defaults_of_the_command_line(void **state)
{
	static struct vsw_conf other;

	memset(&other, 0, sizeof(other));
	assert_int_equal(vsw_conf_add_vm(&other, "socket=/a,uds-path=/b", error), 0);
	expect_read("vms:\n- socket: /a\n  uds_path: /b\n");
	assert_int_equal(vsw_guest_spec_diff(&conf.guest[0].spec, &other.guest[0].spec), 0);
	assert_string_equal(conf.guest[0].spec.group[0], "default");
	assert_false(conf.has_idle);
}

static void
test_file_of_vhost_device_vsock(void **state)
{
	/* From its README. */
	expect_read("vms:\n"
		    "    - guest_cid: 3\n"
		    "      socket: /tmp/vhost3.socket\n"
		    "      uds_path: /tmp/vm3.vsock\n"
		    "      tx_buffer_size: 65536\n"
		    "      queue_size: 1024\n"
		    "      groups: group1+groupA\n"
		    "    - guest_cid: 4\n"
		    "      socket: /tmp/vhost4.socket\n"
		    "      uds_path: /tmp/vm4.vsock\n"
		    "      tx_buffer_size: 32768\n"
		    "      queue_size: 256\n"
		    "      groups: group2+groupB\n");
	assert_int_equal(vsw_conf_check(&conf, error), 0);
	assert_int_equal(conf.n_guests, 2);
	assert_string_equal(conf.guest[1].spec.group[1], "groupB");
}

static void
test_file_that_comes_as_an_example(void **state)
{
	const char *source = getenv("VSW_SOURCE");
	char path[1024];

	if (source == NULL)
		skip();
	snprintf(path, sizeof(path), "%s/config/vsw.yaml", source);
	memset(&conf, 0, sizeof(conf));
	if (vsw_conf_read_file(&conf, path, error) != 0 || vsw_conf_check(&conf, error) != 0)
		fail_msg("%s", error);
	assert_int_equal(conf.n_guests, 2);
}

static void
test_file_may_have_no_guest(void **state)
{
	expect_read("vms: []\n");
	assert_int_equal(conf.n_guests, 0);
	expect_read("vms:\n");
	assert_int_equal(conf.n_guests, 0);
}

#define G "vms:\n- socket: /a\n  uds_path: /b\n"

static void
test_file_tells_each_mistake_and_its_place(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		/* YAML itself */
		{"", "1:1: the file is empty; it needs a list vms:"},
		{"# nothing\n", "1:1: the file is empty; it needs a list vms:"},
		{"vms: [\n", "2:1: this is not YAML: did not find expected node content"},
		{"vms:\n\t- a\n",
		 "2:1: this is not YAML: found character that cannot start any token, while "
		 "scanning for the next token; lines are indented by blanks"},
		{"vms: []\n--- \nvms: []\n", "3:1: a second document begins"},
		{"vms: [\xff]\n", "1:1: at byte 6: invalid leading UTF-8 octet; the file must be"},
		{"- 1\n", "1:1: the file is a list; it must be a mapping with vms:"},
		{"hello\n", "1:1: the file is a value; it must be a mapping with vms:"},
		{"[a]: 1\n", "1:1: a key must be a word"},
		/* around the guests */
		{"idle: poll\n", "1:1: vms: it is missing; it is the list of guests"},
		{"vms: 3\n", "1:6: vms: it is a list of guests, not a value"},
		{"vms: {a: 1}\n", "1:6: vms: it is a list of guests, not a mapping"},
		{"vms: [3]\n", "1:7: vms: a guest is a mapping, as in {guest_cid: 3"},
		{"vms: []\nvms: []\n", "2:1: vms: it is given twice"},
		{"vms: []\ncolor: red\n", "2:1: unknown key 'color'; known are vms, idle, "
					  "max_guests, bridge_lcores, api, api_mode, eal"},
		{"vms: []\nidle: fast\n", "2:7: idle: fast is wrong, it is adaptive or poll"},
		{"vms: []\nidle: [poll]\n", "2:7: idle: it is a value, not a list"},
		{"vms: []\nmax_guests: 513\n",
		 "2:13: max_guests: 513 is wrong, it is a number from 1 to 511"},
		{"vms: []\neal: -l 0\n", "2:6: eal: it is a list of arguments, as in [-l"},
		{"vms: []\neal: [-l, [0]]\n", "2:11: eal: an argument is a word"},
		{"vms: []\neal: [-l, 0, --]\n", "2:14: eal: it ends without --"},
		/* a guest */
		{"vms:\n- guest_cid: 3\n", "2:3: socket: it is missing"},
		{"vms:\n- socket: /a\n", "2:3: uds_path: it is missing"},
		{G "  color: red\n", "4:3: unknown key 'color'; known are name, guest_cid,"},
		{G "  limit_connections: 3\n", "4:3: unknown key 'limit_connections'"},
		{G "  socket: /c\n", "4:3: socket: it is given twice"},
		{G "  uds-path: /c\n", "4:3: uds-path: it is given twice"},
		{G "  guest_cid: 2\n", "4:14: guest_cid: 2 is wrong, a guest has a CID from 3 to "
				       "4294967294"},
		{G "  guest_cid:\n", "4:13: guest_cid: it needs a value"},
		{G "  guest_cid: ~\n", "4:14: guest_cid: it needs a value"},
		{G "  guest_cid: [3]\n", "4:14: guest_cid: it is a value, not a list"},
		{G "  guest_cid: \"3\\0\"\n", "4:14: guest_cid: there is a NUL character in it"},
		{G "  name: 77\n", "4:9: name: 77 is wrong, a name has 1 to 63 letters"},
		{G "  name: a b\n", "4:9: name: a b is wrong, a name has 1 to 63 letters"},
		{"vms:\n- socket: /" A90 A90 "\n", "2:11: socket: /aaaa"},
		{"vms:\n- uds_path: /" A90 A10 "\n", "2:13: uds_path: /aaaa"},
		{G "  tx_buffer_size: 0\n", "4:19: tx_buffer_size: 0 is wrong, it is a number"},
		{G "  tx_buffer_size: 64K\n", "4:19: tx_buffer_size: 64K is wrong"},
		{G "  queue_size: 100\n", "4:15: queue_size: 100 is wrong, it is a power of two"},
		{G "  groups: a++b\n", "4:11: groups: a++b is wrong, a name is empty"},
		{G "  groups: [a, '']\n", "4:15: groups:  is wrong, a name is empty"},
		{G "  groups: [a, b+c]\n", "4:15: groups: b+c is wrong, in a list each stands"},
		{G "  groups: [a, [b]]\n", "4:15: groups: it is a list of values, not of lists"},
		{G "  groups: {a: b}\n", "4:11: groups: it is a value, not a mapping"},
		{G "  groups: a1+a2+a3+a4+a5+a6+a7+a8+a9+b1+b2+b3+b4+b5+b6+b7+b8\n",
		 "4:11: groups: a1+a2"},
		{G "  forward: /x\n", "4:12: forward: /x is wrong, it is PATH:PORT"},
		{G "  forward: '/x:80:'\n", "4:12: forward: /x:80: is wrong, it is PATH:PORT"},
		{G "  forward: ':80'\n", "4:12: forward: :80 is wrong, it is PATH:PORT"},
		{G "  forward: /x:4294967295\n", "4:12: forward: /x:4294967295 is wrong, it is"},
		{G "  forward: /x:1+\n", "4:12: forward: /x:1+ is wrong, it is PATH:PORT"},
		{G "  forward: /" A90 A90 ":1\n", "4:12: forward: /aaaa"},
		{G "  forward: /x:1+/x:2\n", "4:12: forward: /x:1+/x:2 is wrong, this path is"},
		{G "  forward: [/x:1, {listen: /x, port: 2}]\n",
		 "4:19: forward: /x:2 is wrong, this path is there twice"},
		{G "  forward: [{listen: /x}]\n", "4:13: forward: port is missing"},
		{G "  forward: [{port: 1}]\n", "4:13: forward: listen is missing"},
		{G "  forward: [{listen: /x, port: [1]}]\n",
		 "4:32: port: it is a value, not a list"},
		{G "  forward: [{listen: /x, to: 1}]\n", "4:26: unknown key 'to'; a forward has"},
		{G "  forward: [[/x]]\n", "4:13: forward: it is a list of values, not of lists"},
		{G "  forward: {listen: /x, port: 1}\n", "4:12: forward: it is a value, not a map"},
		{G
		 "  forward: a:1+b:1+c:1+d:1+e:1+f:1+g:1+h:1+i:1+j:1+k:1+l:1+m:1+n:1+o:1+p:1+q:1\n",
		 "4:12: forward: a:1+b:1"},
		{G "  host_cids: 2\n", "4:14: host_cids: 2 is wrong, it is CIDs from 3"},
		{G "  host_cids: [0]\n", "4:15: host_cids: 0 is wrong"},
		{G "  host_cids: [1]\n", "4:15: host_cids: 1 is wrong"},
		{G "  host_cids: [4294967295]\n", "4:15: host_cids: 4294967295 is wrong"},
		{G "  host_cids: [7, 7]\n", "4:18: host_cids: 7 is wrong, this CID is there twice"},
		{G "  host_cids: 4+5+6+7+8+9+10+11+12\n", "4:14: host_cids: 4+5+6"},
		{G "  host_cids: [{a: b}]\n",
		 "4:15: host_cids: it is a list of values, not of map"},
		{G "  host_cids: 3\n", "4:14: host_cids: 3 is the guest's own CID"},
		{G "  hairpin: maybe\n", "4:12: hairpin: maybe is wrong, it is on or off"},
		{G "  client: 2\n", "4:11: client: 2 is wrong, it is on or off"},
		{G "  lcore: -1\n", "4:10: lcore: -1 is wrong, it is the number of a polling"},
		{G "  socket_mode: 0888\n", "4:16: socket_mode: 0888 is wrong, it is three octal"},
		{G "  socket_mode: rw\n", "4:16: socket_mode: rw is wrong, it is three octal"},
		{G "  socket_mode: 4755\n", "4:16: socket_mode: 4755 is wrong"},
		{G "  socket_owner: nobody-there\n",
		 "4:17: socket_owner: nobody-there is wrong, there is no such user"},
		{G "  socket_group: nobody-there\n",
		 "4:17: socket_group: nobody-there is wrong, there is no such group"},
		{G "  limits: 3\n", "4:11: limits: it is a mapping, as in {connections: 1000}, not "
				    "a value"},
		{G "  limits: {bytes: 3}\n", "4:12: unknown limit 'bytes'; known are connections, "
					     "handshakes, spill_bytes and loans"},
		{G "  limits: {connections: 0}\n", "4:25: connections: 0 is wrong, it is a number"},
		{G "  limits: {spill_bytes: x}\n", "4:25: spill_bytes: x is wrong"},
		{G "  forward_cid: 1\n",
		 "4:16: forward_cid: a guest has uds-path or forward-cid, not both"},
		{"vms:\n- socket: /a\n  forward_cid: 4294967295\n",
		 "3:16: forward_cid: 4294967295 is wrong, it is an AF_VSOCK CID"},
		{"vms:\n- socket: /a\n", "2:3: uds_path: it is missing; it is the path of a "},
		{G "  forward_listen: [1, x]\n",
		 "4:23: forward_listen: x is wrong, it is AF_VSOCK"},
		{G "  forward_listen: 1+1\n", "4:19: forward_listen: 1+1 is wrong, this port is"},
		{G "  forward_listen: 9001+9002\n",
		 "4:19: forward_listen: it needs forward-cid instead of uds-path"},
	};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		char says[1024];

		snprintf(says, sizeof(says), "%s:%s", file_path, cases[i].says);
		assert_int_equal(read_text(cases[i].text), -EINVAL);
		if (strncmp(error, says, strlen(says)) != 0)
			fail_msg("of '%s' wanted '%s...', got '%s'", cases[i].text, says, error);
		assert_null(strchr(error, '\n'));
	}
}

static void
test_file_that_cannot_be_read(void **state)
{
	memset(&conf, 0, sizeof(conf));
	assert_int_equal(vsw_conf_read_file(&conf, "/nowhere/vsw.yaml", error), -ENOENT);
	assert_string_equal(error,
			    "/nowhere/vsw.yaml: it cannot be read: No such file or directory");
	memset(&conf, 0, sizeof(conf));
	assert_int_equal(vsw_conf_read_file(&conf, dir, error), -EISDIR);
}

static void
test_file_of_two_guests_that_collide(void **state)
{
	static const struct {
		const char *second, *says;
	} cases[] = {
		{"socket: /c\n  uds_path: /d\n  guest_cid: 3",
		 "6:14: guest_cid: two guests have 3"},
		{"socket: /c\n  uds_path: /d", "4:3: guest_cid: two guests have 3"},
		{"guest_cid: 4\n  socket: /a\n  uds_path: /d", "5:11: socket: /a is also the "
							       "socket of guest 3"},
		{"guest_cid: 4\n  socket: /b\n  uds_path: /d", "5:11: socket: /b is also the "
							       "uds-path of guest 3"},
		{"guest_cid: 4\n  socket: /c\n  uds_path: /a", "6:13: uds_path: /a is also the "
							       "socket of guest 3"},
		{"guest_cid: 4\n  socket: /c\n  uds_path: /c", "6:13: uds_path: /c collides with"},
		{"guest_cid: 4\n  socket: /b_80\n  uds_path: /d",
		 "5:11: socket: /b_80, the socket of guest 4, is where guest 3 would reach a port"},
		{"guest_cid: 4\n  socket: /c\n  uds_path: /d\n  forward: [/b:80]",
		 "7:12: forward: /b is also the uds-path of guest 3"},
		{"guest_cid: 4\n  socket: /c\n  uds_path: /d\n  forward: [/d:80]",
		 "7:12: forward: /d is also its uds-path; each"},
		{"guest_cid: 4\n  socket: /c\n  uds_path: /d\n  forward: [/b_80:80]",
		 "7:12: forward: /b_80, the forward of guest 4, is where guest 3 would reach"},
		{"guest_cid: 4\n  socket: /c\n  uds_path: /d\n  forward: [/d_80:80]",
		 "7:12: forward: /d_80, the forward of guest 4, is where guest 4 would reach"},
		{"guest_cid: 4\n  name: vm3\n  socket: /c\n  uds_path: /d",
		 "5:9: name: guest 3 is called vm3, too"},
	};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		char text[512], says[256];

		snprintf(text, sizeof(text), G "- %s\n", cases[i].second);
		expect_read(text);
		snprintf(says, sizeof(says), "%s:%s", file_path, cases[i].says);
		assert_int_equal(vsw_conf_check(&conf, error), -EINVAL);
		if (strncmp(error, says, strlen(says)) != 0)
			fail_msg("of '%s' wanted '%s...', got '%s'", text, says, error);
	}
}

/* One socket by two names: nothing is there yet that a bind could run into. */
static void
test_a_path_may_be_spelled_in_many_ways(void **state)
{
	static const char *const folders[] = {"%s/.", "%s//", "%s/sub/..", "%s/link",
					      "%s/sub/../link/./sub/.."};
	char folder[256], sub[256], link[256], says[768];

	snprintf(sub, sizeof(sub), "%s/sub", dir);
	snprintf(link, sizeof(link), "%s/link", dir);
	assert_int_equal(mkdir(sub, 0700), 0);
	assert_int_equal(symlink(dir, link), 0);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(folders); i++) {
		snprintf(folder, sizeof(folder), folders[i], dir);

		setup(NULL);
		add_in(3, dir, "a", dir, "b");
		add_in(4, folder, "b", dir, "d");
		snprintf(says, sizeof(says),
			 "socket: %s/b is the same place as %s/b, the uds-path of guest 3", folder,
			 dir);
		expect_check_fails(says);

		setup(NULL);
		add_in(3, dir, "a", dir, "b");
		add_in(4, dir, "c", folder, "a");
		expect_check_fails("the socket of guest 3; each socket needs a path of its own");

		setup(NULL);
		add_in(3, dir, "a", dir, "b");
		add_in(4, folder, "b_80", dir, "d");
		expect_check_fails("is where guest 3 would reach a port of the host");

		setup(NULL);
		add_in(3, dir, "a", folder, "a");
		expect_check_fails("collides with the socket of guest 3");

		/* the same names elsewhere */
		setup(NULL);
		add_in(3, folder, "a", folder, "b");
		add_in(4, sub, "a", sub, "b");
		assert_int_equal(vsw_conf_check(&conf, error), 0);
	}
	/* Folders that are not there have but their text. */
	setup(NULL);
	add_in(3, "/nowhere", "a", "/nowhere", "b");
	add_in(4, "/nowhere/x", "a", "/nowhere/x", "b");
	assert_int_equal(vsw_conf_check(&conf, error), 0);
	add_in(5, "/nowhere", "c", "/nowhere", "b");
	expect_check_fails("is also the uds-path of guest 3");
	unlink(link);
	rmdir(sub);
}

static void
test_af_vsock_in_place_of_a_path(void **state)
{
	struct vsw_guest_spec other;
	char why[VSW_WHY_SIZE];
	const char *key;

	expect_read("vms:\n- socket: /a\n  forward_cid: 1\n  forward_listen: [9002, 9001]\n"
		    "- {guest_cid: 4, socket: /b, forward_cid: 0, forward_listen: 9003+9002}\n");
	assert_int_equal(conf.guest[0].spec.forward_cid, 1);
	assert_int_equal(conf.guest[0].spec.n_forward_listen, 2);
	assert_int_equal(conf.guest[0].spec.forward_listen[0], 9001);
	assert_int_equal(conf.guest[0].spec.forward_listen[1], 9002);
	assert_null(vsw_guest_spec_path(&conf.guest[0].spec, 1, &key));
	other = conf.guest[1].spec;
	assert_int_equal(other.forward_cid, 0);
	assert_int_equal(vsw_guest_spec_conflict(&conf.guest[0].spec, &other, &key, why), -EEXIST);
	assert_string_equal(key, "forward-listen");
	assert_string_equal(why, "port 9002 is also that of guest 4; an AF_VSOCK port leads to one "
				 "guest");
	assert_int_equal(vsw_guest_spec_set(&other, "forward-listen", "9003", why), 0);
	assert_int_equal(vsw_guest_spec_conflict(&conf.guest[0].spec, &other, &key, why), 0);
}

static void
test_what_differs_is_told_by_kind(void **state)
{
	static const struct {
		const char *key, *value;
		uint32_t diff;
	} cases[] = {
		{"name", "x", VSW_SPEC_DIFF_NAME},
		{"guest-cid", "9", VSW_SPEC_DIFF_PLACE},
		{"socket", "/x", VSW_SPEC_DIFF_PLACE},
		{"uds-path", "/x", VSW_SPEC_DIFF_PLACE},
		{"client", "on", VSW_SPEC_DIFF_PLACE},
		{"lcore", "5", VSW_SPEC_DIFF_PLACE},
		{"groups", "x", VSW_SPEC_DIFF_ROUTES},
		{"groups", "default+x", VSW_SPEC_DIFF_ROUTES},
		{"groups", "default+default", 0},
		{"hairpin", "off", VSW_SPEC_DIFF_ROUTES},
		{"hairpin", "true", 0},
		{"host-cids", "5", VSW_SPEC_DIFF_ROUTES},
		{"forward-cid", "1", VSW_SPEC_DIFF_PLACE},
		{"forward-listen", "9001+9002", VSW_SPEC_DIFF_PLACE},
		{"forward", "/x:5", VSW_SPEC_DIFF_FORWARD},
		{"tx-buffer-size", "4096", VSW_SPEC_DIFF_LIMITS},
		{"queue-size", "64", VSW_SPEC_DIFF_LIMITS},
		{"limit-connections", "1", VSW_SPEC_DIFF_LIMITS},
		{"limit-spill-bytes", "1", VSW_SPEC_DIFF_LIMITS},
		{"socket-mode", "600", VSW_SPEC_DIFF_ACCESS},
		{"socket-owner", "1", VSW_SPEC_DIFF_ACCESS},
		{"socket-group", "1", VSW_SPEC_DIFF_ACCESS},
	};
	char why[VSW_WHY_SIZE];

	expect_read(G);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		struct vsw_guest_spec spec = conf.guest[0].spec;

		assert_int_equal(vsw_guest_spec_set(&spec, cases[i].key, cases[i].value, why), 0);
		assert_int_equal(vsw_guest_spec_diff(&conf.guest[0].spec, &spec), cases[i].diff);
		assert_int_equal(vsw_guest_spec_diff(&spec, &conf.guest[0].spec), cases[i].diff);
	}
}

static void
test_check_later_takes_live_sockets(void **state)
{
	char path[64];
	int fd;

	memset(&conf, 0, sizeof(conf));
	add(VM, 3, "a", "b");
	snprintf(path, sizeof(path), "%s/b", dir);
	fd = bind_socket(path);
	assert_int_equal(vsw_conf_check_paths(&conf, VSW_CONF_PATHS_LATER, error), 0);
	assert_int_equal(vsw_conf_check_paths(&conf, VSW_CONF_PATHS_NOW, error), -EINVAL);
	close(fd);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_vm_takes_both_spellings, setup),
		cmocka_unit_test_setup(test_vm_has_defaults, setup),
		cmocka_unit_test_setup(test_vm_has_groups, setup),
		cmocka_unit_test_setup(test_vm_takes_the_most_groups, setup),
		cmocka_unit_test_setup(test_vm_tells_each_mistake, setup),
		cmocka_unit_test_setup(test_vm_takes_the_longest_paths, setup),
		cmocka_unit_test_setup(test_check_accepts_fresh_paths, setup),
		cmocka_unit_test_setup(test_check_finds_duplicates, setup),
		cmocka_unit_test_setup(test_check_looks_at_the_file_system, setup),
		cmocka_unit_test_setup(test_check_later_takes_live_sockets, setup),
		cmocka_unit_test_setup(test_file_has_every_key, setup),
		cmocka_unit_test_setup(test_file_has_the_defaults_of_the_command_line, setup),
		cmocka_unit_test_setup(test_file_of_vhost_device_vsock, setup),
		cmocka_unit_test_setup(test_file_that_comes_as_an_example, setup),
		cmocka_unit_test_setup(test_file_may_have_no_guest, setup),
		cmocka_unit_test_setup(test_file_tells_each_mistake_and_its_place, setup),
		cmocka_unit_test_setup(test_file_that_cannot_be_read, setup),
		cmocka_unit_test_setup(test_file_of_two_guests_that_collide, setup),
		cmocka_unit_test_setup(test_a_path_may_be_spelled_in_many_ways, setup),
		cmocka_unit_test_setup(test_af_vsock_in_place_of_a_path, setup),
		cmocka_unit_test_setup(test_what_differs_is_told_by_kind, setup),
	};
	int rc;

	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(file_path, sizeof(file_path), "%s/vsw.yaml", dir);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(file_path);
	rmdir(dir);
	return rc;
}
