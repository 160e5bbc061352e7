/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves what vswd makes of its command line and of signals: every mistake is one sentence
 * that names the --vm and the key, exit status 1, and not a socket made; what is right comes
 * up, as an ordinary user too; and whoever ends it finds its sockets gone and loses no byte.
 *
 * Each case has processes of its own in a folder of its own. In arguments, $ stands for that
 * folder.
 */
#include "own.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define NOBODY 65534

#define A10 "aaaaaaaaaa"
#define A90 A10 A10 A10 A10 A10 A10 A10 A10 A10

static struct daemon daemons[2];
static struct vsw_guest *guest;

static int
setup(void **state)
{
	memset(daemons, 0, sizeof(daemons));
	make_dir(own_dir);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(daemons); i++) {
		strcpy(daemons[i].dir, own_dir);
		daemons[i].log_fd = -1;
	}
	return 0;
}

static int
teardown(void **state)
{
	static char log[8192];

	vsw_guest_destroy(guest);
	guest = NULL;
	for (size_t i = 0; i < VSW_ARRAY_SIZE(daemons); i++) {
		struct daemon *d = &daemons[i];

		if (d->pid > 0) { /* only after a failure */
			daemon_log(d, log, sizeof(log));
			print_error("---- vswd %zu was still there ----\n%s----\n", i, log);
			kill(d->pid, SIGKILL);
			daemon_wait(d, WAIT_MS);
		}
		if (d->log_fd >= 0)
			close(d->log_fd);
	}
	remove_dir(own_dir);
	return 0;
}

/* Sockets in the folder; what EAL keeps in its own is not counted. */
static unsigned int
count_sockets(void)
{
	DIR *d = opendir(own_dir);
	struct dirent *ent;
	unsigned int n = 0;

	while ((ent = readdir(d)) != NULL)
		n += ent->d_type == DT_SOCK;
	closedir(d);
	return n;
}

static struct sockaddr_un
address(const char *name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	strncpy(addr.sun_path, expand(name), sizeof(addr.sun_path) - 1);
	return addr;
}

static int
listen_on(const char *name)
{
	struct sockaddr_un addr = address(name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void
boot(const char *socket_name, uint16_t ring_size)
{
	struct vsw_guest_conf conf = VSW_GUEST_CONF_DEFAULT;
	uint64_t deadline = vsw_guest_now_ms() + WAIT_MS;

	conf.socket_path = expand(socket_name);
	conf.ring_size = ring_size;
	guest = vsw_guest_create(&conf);
	assert_non_null(guest);
	/* Refused as long as vswd has not noticed that the VMM before this one is gone. */
	while (vsw_guest_attach(guest) < 0) {
		if (vsw_guest_now_ms() >= deadline)
			fail_msg("attaching for 10 s: %s", vsw_guest_error(guest));
		usleep(1000);
	}
	if (vsw_guest_start(guest, VSW_GUEST_BOOT) < 0)
		fail_msg("%s", vsw_guest_error(guest));
}

/* The guest's end of a stream to host port 52, and the host's. */
static struct vsw_guest_sock *
connect_52(const char *uds_name, int *host)
{
	char name[192];
	struct vsw_guest_sock *s;
	int listener;

	snprintf(name, sizeof(name), "%s_52", uds_name);
	listener = listen_on(name);
	s = vsw_guest_connect(guest, VSW_CID_HOST, 52, WAIT_MS);
	if (s == NULL)
		fail_msg("%s", vsw_guest_error(guest));
	*host = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(*host >= 0);
	close(listener);
	unlink(expand(name));
	return s;
}

static void
check_alive(const char *uds_name)
{
	struct vsw_guest_sock *s;
	char buf[4];
	int host;

	s = connect_52(uds_name, &host);
	assert_int_equal(send(host, "ping", 4, 0), 4);
	if (vsw_guest_recv_all(s, buf, 4, WAIT_MS) != 4)
		fail_msg("%s", vsw_guest_error(guest));
	assert_memory_equal(buf, "ping", 4);
	close(host);
	vsw_guest_close(s);
}

/*
 * Mistakes.
 */

#define GOOD "guest-cid=9,socket=$/g,uds-path=$/h"

static void
test_every_mistake_in_a_vm_is_one_sentence(void **state)
{
	static const struct {
		const char *vm;
		const char *key;
	} cases[] = {
		{"guest-cid=0,socket=$/a,uds-path=$/b", "guest-cid"},
		{"guest-cid=1,socket=$/a,uds-path=$/b", "guest-cid"},
		{"guest-cid=2,socket=$/a,uds-path=$/b", "guest-cid"},
		{"guest-cid=4294967295,socket=$/a,uds-path=$/b", "guest-cid"},
		{"guest_cid=4294967295,socket=$/a,uds_path=$/b", "guest-cid"},
		{"guest-cid=4294967296,socket=$/a,uds-path=$/b", "guest-cid"},
		{"guest-cid=4294967299,socket=$/a,uds-path=$/b", "guest-cid"},
		{"guest-cid=18446744073709551619,socket=$/a,uds-path=$/b", "guest-cid"},
		{"guest-cid=-1,socket=$/a,uds-path=$/b", "guest-cid"},
		{"guest-cid=three,socket=$/a,uds-path=$/b", "guest-cid"},
		{"guest-cid=0x3,socket=$/a,uds-path=$/b", "guest-cid"},
		{"guest-cid=,socket=$/a,uds-path=$/b", "guest-cid"},
		{"guest-cid=3,guest-cid=3,socket=$/a,uds-path=$/b", "guest-cid"},
		{"guest-cid=3,uds-path=$/b", "socket"},
		{"guest-cid=3,socket=,uds-path=$/b", "socket"},
		{"guest-cid=3,socket,uds-path=$/b", "socket"},
		{"guest-cid=3,socket=$/a", "uds-path"},
		{"guest-cid=3,socket=$/a,uds-path=", "uds-path"},
		{"guest-cid=3,socket=$/nowhere/a,uds-path=$/b", "socket"},
		{"guest-cid=3,socket=$/a,uds-path=$/nowhere/b", "uds-path"},
		{"guest-cid=3,socket=$/file/a,uds-path=$/b", "socket"},
		{"guest-cid=3,socket=$/file,uds-path=$/b", "socket"},
		{"guest-cid=3,socket=$/a,uds-path=$/file", "uds-path"},
		{"guest-cid=3,socket=$/a,uds-path=$", "uds-path"},
		{"guest-cid=3,socket=$/live,uds-path=$/b", "socket"},
		{"guest-cid=3,socket=$/a,uds-path=$/live", "uds-path"},
		{"guest-cid=3,socket=$/a,uds-path=$/a", "uds-path"},
		{"guest-cid=3,socket=/" A90 A10 "1234567,uds-path=$/b", "socket"},
		{"guest-cid=3,socket=$/a,uds-path=/" A90 "123456", "uds-path"},
		{"guest-cid=3,socket=$/a,uds-path=$/b,tx-buffer-size=0", "tx-buffer-size"},
		{"guest-cid=3,socket=$/a,uds-path=$/b,tx_buffer_size=x", "tx-buffer-size"},
		{"guest-cid=3,socket=$/a,uds-path=$/b,tx-buffer-size=4294967296", "tx-buffer-size"},
		{"guest-cid=3,socket=$/a,uds-path=$/b,queue-size=0", "queue-size"},
		{"guest-cid=3,socket=$/a,uds-path=$/b,queue-size=100", "queue-size"},
		{"guest-cid=3,socket=$/a,uds-path=$/b,queue_size=65536", "queue-size"},
		{"guest-cid=3,socket=$/a,uds-path=$/b,color=red", "color"},
		{"guest-cid=3,socket=$/a,uds-path=$/b,Socket=$/c", "Socket"},
		{"guest-cid=3,socket=$/a,uds-path=$/b,", "unknown key"},
		{"", "unknown key"},
		/* with the other guest */
		{"guest-cid=9,socket=$/a,uds-path=$/b", "guest-cid"},
		{"guest-cid=3,socket=$/g,uds-path=$/b", "socket"},
		{"guest-cid=3,socket=$/h,uds-path=$/b", "socket"},
		{"guest-cid=3,socket=$/a,uds-path=$/g", "uds-path"},
		{"guest-cid=3,socket=$/a,uds-path=$/h", "uds-path"},
	};
	int live = listen_on("$/live");

	close(open(expand("$/file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		struct daemon *d = &daemons[0];
		const char *log, *line_end;

		/* a good guest before it, which must not come up either */
		SPAWN(d, "--vm", GOOD, "--vm", cases[i].vm);
		expect_exit(d, 1);
		log = log_of(d);
		line_end = strchr(log, '\n');
		if (strstr(log, "--vm") == NULL || strstr(log, cases[i].key) == NULL)
			fail_msg("--vm %s: the sentence names not both --vm and %s: %s",
				 cases[i].vm, cases[i].key, log);
		if (line_end == NULL || line_end[1] != '\0')
			fail_msg("--vm %s: not one line: %s", cases[i].vm, log);
		if (count_sockets() != 1)
			fail_msg("--vm %s: sockets were made before it failed", cases[i].vm);
	}
	/* nobody has disturbed the live one */
	assert_int_equal(accept(live, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	close(live);
}

static void
test_every_other_mistake_ends_with_1_and_makes_no_socket(void **state)
{
	static const struct {
		const char *args[8];
		const char *says;
	} cases[] = {
		{{NULL}, "--vm"},
		{{"--"}, "--vm"},
		{{"-l", "0", "--"}, "--vm"},
		{{"--idle=poll"}, "--vm"},
		{{"--vm"}, "--vm"},
		{{"--idle=never", "--vm", GOOD}, "--idle"},
		{{"--idle", "--vm", GOOD}, "--idle"},
		{{"--vm", GOOD, "--color=red"}, "color"},
		{{"--vm", GOOD, "-x"}, "x"},
		{{"--vm", GOOD, "more"}, "more"},
		{{"more", "--vm", GOOD}, "more"},
		{{"-l", "0", "--vm", GOOD}, "-l"},
		{{"--vm", GOOD, "-l", "0"}, "l"},
		{{"--no-such-eal-option", "--", "--vm", GOOD}, "no-such-eal-option"},
		{{"--no-such-eal-option", "--", "--vm", GOOD}, "vswd: EAL cannot start"},
		{{"-l", "100000", "--", "--vm", GOOD}, "vswd: EAL cannot start"},
		/* vhost-device-vsock's other forms */
		{{"--guest-cid=3", "--socket=$/a"}, "uds-path: it is missing"},
		{{"--guest-cid=2", "--socket=$/a", "--uds-path=$/b"}, "--guest-cid: 2 is wrong"},
		{{"--guest_cid", "2", "--socket", "$/a"}, "--guest-cid: 2 is wrong"},
		{{"--socket=$/a", "--socket=$/c", "--uds-path=$/b"}, "--socket: it is given twice"},
		{{"--socket=$/a", "--uds-path=$/b", "--forward-cid=1"},
		 "forward-cid: a guest has uds-path or forward-cid, not both"},
		{{"--vm", "socket=$/a,uds-path=$/b,forward-listen=9001+9002"},
		 "forward-listen: it needs forward-cid"},
		{{"--socket=$/a", "--forward-cid=x"}, "--forward-cid: x is wrong"},
		{{"--vm", GOOD, "--guest-cid=4"}, "exclude each other"},
		{{"--config=$/no.yaml", "--vm", GOOD}, "exclude each other"},
		{{"--config=$/no.yaml", "--guest-cid=4"}, "exclude each other"},
		{{"--config=$/no.yaml", "--config=$/no.yaml"}, "--config: it is given twice"},
		{{"--config=$/no.yaml"}, "no.yaml: it cannot be read: No such file"},
		{{"--config"}, "config"},
		{{"--check=$/no.yaml"}, "no.yaml: it cannot be read: No such file"},
		{{"--max-guests=0", "--vm", GOOD},
		 "--max-guests: 0 is wrong, it is a number from 1"},
		{{"--check=$/no.yaml", "--config=$/no.yaml"}, "--config: it is given twice"},
		{{"--bridge-lcores=", "--vm", GOOD}, "--bridge-lcores:  is wrong, it is a list"},
		{{"--bridge-lcores=1,", "--vm", GOOD},
		 "--bridge-lcores: 1, is wrong, it is a list"},
		{{"--bridge-lcores=3-1", "--vm", GOOD},
		 "3-1 is wrong, it is a list of lcores as in"},
		{{"--bridge-lcores=(1)", "--vm", GOOD},
		 "(1) is wrong, it is a list of lcores as in"},
		{{"--bridge-lcores=1024", "--vm", GOOD}, "1024 is wrong, it is a list of lcores"},
		{{"--bridge-lcores=0-2,1", "--vm", GOOD}, "each lcore may be there only once"},
		{{"--bridge-lcores=1", "--vm", GOOD},
		 "--bridge-lcores: lcore 1 is none of the EAL's (-l), which are 0\n"},
		{{"--lcores=(1-3)@0", "--", "--bridge-lcores=0,1", "--vm", GOOD},
		 "--bridge-lcores: lcore 0 is none of the EAL's (-l), which are 1-3\n"},
		{{"--lcores=(0-3)@0", "--", "--bridge-lcores=2", "--vm", GOOD ",lcore=2"},
		 "lcore: lcore 2 polls no guests; of the EAL's lcores (-l) these do: 1,3\n"},
	};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		struct daemon *d = &daemons[0];

		spawn(d, cases[i].args);
		expect_exit(d, 1);
		if (strstr(log_of(d), cases[i].says) == NULL)
			fail_msg("case %zu does not speak of %s: %s", i, cases[i].says, log_of(d));
		/* EAL has its say, but not its usage of a hundred lines. */
		if (strlen(log_of(d)) > 1024)
			fail_msg("case %zu is told at length: %s", i, log_of(d));
		assert_int_equal(count_sockets(), 0);
	}
}

static void
test_help_and_version(void **state)
{
	static const struct {
		const char *args[4];
		const char *says[4];
	} cases[] = {
		{{"--help"}, {"Usage: vswd", "guest-cid", "--idle", "Examples:"}},
		{{"-h"}, {"Usage: vswd", "uds-path", "EAL options", "tx-buffer-size"}},
		{{"--help", "--"}, {"--file-prefix", "--no-huge"}},
		{{"--", "--help"}, {"Usage: vswd", "socket=", "queue-size", "--vm"}},
		{{"--vm", GOOD, "--help"}, {"Usage: vswd", "socket=", "queue-size", "--vm"}},
		{{"--version"}, {"vswd "}},
		{{"-V"}, {"vswd 0."}},
	};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		struct daemon *d = &daemons[0];

		spawn(d, cases[i].args);
		expect_exit(d, 0);
		for (size_t k = 0; k < 4 && cases[i].says[k] != NULL; k++) {
			if (strstr(log_of(d), cases[i].says[k]) == NULL)
				fail_msg("%s does not speak of %s: %s", cases[i].args[0],
					 cases[i].says[k], log_of(d));
		}
		assert_int_equal(count_sockets(), 0);
	}
}

/*
 * What is right.
 */

static void
test_every_form_of_the_command_line_comes_up(void **state)
{
	static const char *const forms[][10] = {
		{"--vm", "guest-cid=3,socket=$/a,uds-path=$/b"},
		{"--vm=guest_cid=3,socket=$/a,uds_path=$/b"},
		{"--", "--vm", "guest-cid=3,socket=$/a,uds-path=$/b"},
		{"--idle=adaptive", "--vm", "uds-path=$/b,socket=$/a"},
		{"--vm", "socket=$/a,uds-path=$/b", "--idle", "poll"},
		{"-l", "0", "--", "--vm", "socket=$/a,uds-path=$/b"},
		{"-l0", "--", "--vm", "socket=$/a,uds-path=$/b"},
		{"-c", "1", "--", "--vm", "socket=$/a,uds-path=$/b"},
		{"--lcores=0@0,1@0", "--", "--vm", "socket=$/a,uds-path=$/b"},
		{"--lcores", "3@0,1@0,2@0", "--main-lcore", "3", "--", "--vm",
		 "socket=$/a,uds-path=$/b"},
		{"--lcores", "(0-3)@0", "--", "--bridge-lcores=1-2", "--vm",
		 "socket=$/a,uds-path=$/b"},
		{"-l", "0", "--", "--vm", "socket=$/a,uds-path=$/b", "--bridge-lcores", "0"},
		{"--no-huge", "-m", "64", "--", "--vm", "socket=$/a,uds-path=$/b"},
		{"--file-prefix=mine", "--log-level=vsw.*:debug", "--no-telemetry", "--", "--vm",
		 "socket=$/a,uds-path=$/b"},
	};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(forms); i++) {
		struct daemon *d = &daemons[0];

		spawn(d, forms[i]);
		expect_ready(d);
		/* a second each, until librte_vhost looks at its new listener */
		if (i % 4 == 0 || i == 9) {
			boot("$/a", 128);
			check_alive("$/b");
			vsw_guest_destroy(guest);
			guest = NULL;
		}
		end(d);
		assert_int_equal(count_sockets(), 0);
	}
}

static void
write_file(const char *name, const char *text)
{
	FILE *file = fopen(expand(name), "w");

	assert_non_null(file);
	fputs(expand(text), file);
	fclose(file);
}

static void
test_a_guest_may_be_options_of_their_own(void **state)
{
	struct daemon *d = &daemons[0];

	/* As in the README of vhost-device-vsock. */
	SPAWN(d, "--guest-cid=4", "--uds-path=$/b", "--socket=$/a", "--tx-buffer-size=65536",
	      "--queue-size=1024", "--groups", "g1+g2");
	expect_ready(d);
	boot("$/a", 128);
	assert_int_equal(vsw_guest_cid(guest), 4);
	check_alive("$/b");
	end(d);
	assert_int_equal(count_sockets(), 0);
}

static void
test_guests_may_be_in_a_file(void **state)
{
	struct daemon *d = &daemons[0];

	write_file("$/vsw.yaml", "eal: [--lcores, '0@0,1@0']\nidle: adaptive\nvms:\n"
				 "- guest_cid: 9\n  socket: $/a\n  uds_path: $/b\n  lcore: 1\n");
	SPAWN(d, "--config=$/vsw.yaml", "--idle=poll");
	expect_ready(d);
	boot("$/a", 128);
	assert_int_equal(vsw_guest_cid(guest), 9);
	check_alive("$/b");
	vsw_guest_destroy(guest);
	guest = NULL;
	/* A file that is in use is not wrong for that. */
	SPAWN(&daemons[1], "--check", "$/vsw.yaml");
	expect_exit(&daemons[1], 0);
	assert_non_null(strstr(log_of(&daemons[1]), "vsw.yaml: 1 guest, no mistakes"));
	end(d);
	assert_int_equal(count_sockets(), 0);

	/* The command line's EAL options come behind those of the file. */
	SPAWN(d, "--file-prefix=mine", "--", "--config", "$/vsw.yaml");
	expect_ready(d);
	end(d);
}

static void
test_a_file_is_checked(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"vms:\n- socket: $/a\n  uds_path: $/a\n", "vsw.yaml:3:13: uds_path: "},
		{"vms:\n- socket: $/no/a\n  uds_path: $/b\n",
		 "vsw.yaml:2:11: socket: no socket can"},
		{"vms: [{}]\n", "vsw.yaml:1:7: socket: it is missing"},
		{"vms:\n- socket: $/a\n  uds_path: $/b\n  colour: red\n",
		 "vsw.yaml:4:3: unknown key 'colour'"},
	};
	struct daemon *d = &daemons[0];

	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		write_file("$/vsw.yaml", cases[i].text);
		for (int k = 0; k < 2; k++) {
			SPAWN(d, k == 0 ? "--check" : "--config", "$/vsw.yaml");
			expect_exit(d, 1);
			if (strstr(log_of(d), cases[i].says) == NULL)
				fail_msg("wanted '%s', got '%s'", cases[i].says, log_of(d));
			assert_int_equal(count_sockets(), 0);
		}
	}
}

/* What the command line says of a setting wins over the file, for --check as for the start. */
static void
test_options_win_over_the_file(void **state)
{
	struct daemon *d = &daemons[0];

	write_file("$/vsw.yaml", "api: $/no/api\nvms: []\n");
	for (int k = 0; k < 2; k++) {
		SPAWN(d, k == 0 ? "--check" : "--config", "$/vsw.yaml");
		expect_exit(d, 1);
		assert_non_null(strstr(log_of(d), "vsw.yaml:1:6: api: no socket can be made in"));
		SPAWN(d, "--api=$/none/api", k == 0 ? "--check" : "--config", "$/vsw.yaml");
		expect_exit(d, 1);
		assert_non_null(strstr(log_of(d), "--api: no socket can be made in"));
	}
	SPAWN(d, "--check", "$/vsw.yaml", "--api", "$/api");
	expect_exit(d, 0);
	SPAWN(d, "--config", "$/vsw.yaml", "--api", "$/api");
	expect_ready(d);
	/* A file that is in use is not wrong for that. */
	SPAWN(&daemons[1], "--check", "$/vsw.yaml", "--api", "$/api");
	expect_exit(&daemons[1], 0);
	end(d);
}

/* --check foresees the lcores that EAL will have; --config finds them. Both say the same. */
static void
test_lcores_of_a_file_are_checked(void **state)
{
	static const struct {
		const char *eal, *more, *lcore;
		const char *says; /* NULL: all is well */
	} cases[] = {
		{"[-l, 0]", "", "0", NULL},
		{"[-l, 0]", "", "1",
		 "lcore 1 polls no guests; of the EAL's lcores (-l) these do: 0"},
		{"[--lcores, '(0-2,5)@0']", "", "5", NULL},
		{"[--lcores, '(0-2,5)@0']", "", "4", "these do: 1-2,5\n"},
		{"['--lcores=0@0,(2-3)@0']", "", "3", NULL},
		{"['--lcores=0@0,(2-3)@0']", "", "1", "these do: 2-3\n"},
		{"[-c, 0x1]", "", "1", "these do: 0\n"},
		{"['--lcores=(1-3)@0', --main-lcore=2]", "", "2", "these do: 1,3\n"},
		{"['--lcores=(1-3)@0', --main-lcore, '2']", "", "1", NULL},
		{"['--lcores=(0-3)@0']", "bridge_lcores: 2-3\n", "1", NULL},
		{"['--lcores=(0-3)@0']", "bridge_lcores: 2-3\n", "3", "these do: 1\n"},
		{"['--lcores=(0-3)@0']", "bridge-lcores: 1-3\n", "3", NULL},
		{"['--lcores=(0-3)@0']", "bridge_lcores: 2,4\n", "1",
		 "vsw.yaml:2:16: bridge_lcores: lcore 4 is none of the EAL's (-l), which are "
		 "0-3\n"},
		{"['--lcores=(0-3)@0']", "bridge_lcores: 2,2\n", "1",
		 "vsw.yaml:2:16: bridge_lcores: 2,2 is wrong, each lcore may be there only once\n"},
		{"['--lcores=(0-3)@0']", "bridge_lcores: [2]\n", "1",
		 "vsw.yaml:2:16: bridge_lcores: it is a value, not a list\n"},
		{"[]", "", "0", NULL},
		{"[]", "", "1", "vsw.yaml:5:10: lcore: lcore 1 polls no guests"},
	};
	struct daemon *d = &daemons[0];
	char text[512];

	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof(text),
			 "eal: %s\n%svms:\n- socket: $/a\n  uds_path: $/b\n  lcore: %s\n",
			 cases[i].eal, cases[i].more, cases[i].lcore);
		write_file("$/vsw.yaml", text);
		SPAWN(d, "--check", "$/vsw.yaml");
		expect_exit(d, cases[i].says != NULL);
		if (strstr(log_of(d), cases[i].says != NULL ? cases[i].says : "no mistakes") ==
		    NULL)
			fail_msg("case %zu: --check: %s", i, log_of(d));
		SPAWN(d, "--config", "$/vsw.yaml");
		if (cases[i].says == NULL) {
			expect_ready(d);
			end(d);
			continue;
		}
		expect_exit(d, 1);
		if (strstr(log_of(d), cases[i].says) == NULL)
			fail_msg("case %zu: --config: %s", i, log_of(d));
	}

	/* The command line's count, too. */
	write_file("$/vsw.yaml", "bridge_lcores: 7\nvms:\n- socket: $/a\n  uds_path: $/b\n"
				 "  lcore: 3\n");
	SPAWN(d, "--lcores=(0-3)@0", "--", "--bridge-lcores=2", "--check", "$/vsw.yaml");
	expect_exit(d, 0);
	SPAWN(d, "--lcores=(0-3)@0", "--", "--check", "$/vsw.yaml", "--bridge-lcores=3");
	expect_exit(d, 1);
	assert_non_null(strstr(log_of(d), "these do: 1-2\n"));
	SPAWN(d, "--lcores=(0-3)@0", "--", "--check", "$/vsw.yaml");
	expect_exit(d, 1);
	assert_non_null(strstr(log_of(d), "vsw.yaml:1:16: bridge_lcores: lcore 7 is none"));
	assert_int_equal(count_sockets(), 0);
}

static void
test_hangup_without_a_file_changes_nothing(void **state)
{
	struct daemon *d = &daemons[0];

	SPAWN(d, "--vm", GOOD);
	expect_ready(d);
	kill(d->pid, SIGHUP);
	for (int i = 0; i < 1000 && strstr(log_of(d), "reload failed") == NULL; i++)
		usleep(10000);
	assert_non_null(strstr(log_of(d), "vswd was started without --config"));
	assert_int_equal(count_sockets(), 2);
	end(d);
}

static void
test_keys_do_what_they_say(void **state)
{
	static const char *const vms[] = {
		"guest-cid=77,socket=$/a,uds-path=$/b,tx-buffer-size=65536,queue-size=64",
		"guest_cid=77,socket=$/a,uds_path=$/b,tx_buffer_size=65536,queue_size=64",
	};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(vms); i++) {
		struct vsw_guest_sock_info info;
		struct vsw_guest_sock *s;
		int host;

		SPAWN(&daemons[0], "--vm", vms[i]);
		expect_ready(&daemons[0]);
		boot("$/a", 64);
		assert_int_equal(vsw_guest_cid(guest), 77);
		s = connect_52("$/b", &host);
		vsw_guest_sock_info(s, &info);
		assert_int_equal(info.peer_buf_alloc, 65536);
		close(host);
		vsw_guest_close(s);
		vsw_guest_destroy(guest);

		/* a longer ring is not served, and said to be why */
		boot("$/a", 128);
		if (!daemon_wait_log(&daemons[0], "queue-size=64", WAIT_MS))
			fail_msg("nothing said of queue-size: %s", log_of(&daemons[0]));
		assert_null(vsw_guest_connect(guest, VSW_CID_HOST, 52, 300));
		vsw_guest_destroy(guest);
		guest = NULL;
		end(&daemons[0]);
	}
}

static void
test_the_highest_cid_and_the_longest_paths(void **state)
{
	char vm[512], uds[128], port[160];
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct vsw_guest_sock *s;
	int listener;

	/* 107 and 96 characters */
	snprintf(uds, sizeof(uds), "%s/%0*d", own_dir, (int)(95 - strlen(own_dir)), 0);
	assert_int_equal(strlen(uds), 96);
	snprintf(vm, sizeof(vm), "guest-cid=4294967294,socket=%s/%0*d,uds-path=%s", own_dir,
		 (int)(106 - strlen(own_dir)), 1, uds);
	SPAWN(&daemons[0], "--vm", vm);
	expect_ready(&daemons[0]);

	snprintf(vm, sizeof(vm), "%s/%0*d", own_dir, (int)(106 - strlen(own_dir)), 1);
	assert_int_equal(strlen(vm), 107);
	boot(vm, 128);
	assert_int_equal(vsw_guest_cid(guest), 4294967294u);
	snprintf(port, sizeof(port), "%s_4294967295", uds);
	memcpy(addr.sun_path, port, 107);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 1), 0);
	s = vsw_guest_connect(guest, VSW_CID_HOST, 4294967295u, WAIT_MS);
	if (s == NULL)
		fail_msg("%s", vsw_guest_error(guest));
	close(listener);
	unlink(port);
	end(&daemons[0]);
	assert_int_equal(count_sockets(), 0);
}

static void
test_stale_sockets_are_replaced(void **state)
{
	close(listen_on("$/a"));
	close(listen_on("$/b"));
	SPAWN(&daemons[0], "--vm", "socket=$/a,uds-path=$/b");
	expect_ready(&daemons[0]);
	boot("$/a", 128);
	check_alive("$/b");

	/* and those of a vswd that was killed */
	kill(daemons[0].pid, SIGKILL);
	expect_exit(&daemons[0], 128 + SIGKILL);
	assert_int_equal(count_sockets(), 2);
	vsw_guest_destroy(guest);
	SPAWN(&daemons[0], "--vm", "socket=$/a,uds-path=$/b");
	expect_ready(&daemons[0]);
	boot("$/a", 128);
	check_alive("$/b");
	end(&daemons[0]);
	assert_int_equal(count_sockets(), 0);
}

static void
test_a_second_vswd_on_the_same_paths_is_refused_and_disturbs_nothing(void **state)
{
	static const struct {
		const char *vm;
		const char *key;
	} cases[] = {
		{"socket=$/a,uds-path=$/c", "socket: "},
		{"socket=$/c,uds-path=$/b", "uds-path: "},
		{"socket=$/b,uds-path=$/c", "socket: "},
		{"socket=$/a,uds-path=$/b", "socket: "},
	};

	SPAWN(&daemons[0], "--vm", "socket=$/a,uds-path=$/b");
	expect_ready(&daemons[0]);
	/* before a VMM has come: the probe must not take its place */
	for (int with_guest = 0; with_guest < 2; with_guest++) {
		for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
			SPAWN(&daemons[1], "--vm", cases[i].vm);
			expect_exit(&daemons[1], 1);
			if (strstr(log_of(&daemons[1]), cases[i].key) == NULL)
				fail_msg("not told of %s: %s", cases[i].key, log_of(&daemons[1]));
			assert_int_equal(count_sockets(), 2);
		}
		if (!with_guest)
			boot("$/a", 128);
		check_alive("$/b");
	}
	end(&daemons[0]);
}

static void
test_two_vswd_on_different_paths(void **state)
{
	SPAWN(&daemons[0], "--vm", "guest-cid=3,socket=$/a,uds-path=$/b");
	SPAWN(&daemons[1], "--vm", "guest-cid=3,socket=$/c,uds-path=$/d");
	for (int i = 0; i < 2; i++)
		expect_ready(&daemons[i]);
	for (int i = 0; i < 2; i++) {
		boot(i == 0 ? "$/a" : "$/c", 128);
		check_alive(i == 0 ? "$/b" : "$/d");
		vsw_guest_destroy(guest);
		guest = NULL;
	}
	end(&daemons[0]);
	assert_int_equal(count_sockets(), 2); /* the other's */
	boot("$/c", 128);
	check_alive("$/d");
	end(&daemons[1]);
}

/* A copy where an ordinary user can run it: the tree may be in somebody's home. */
static void
copy_vswd(void)
{
	char buf[65536];
	int from = open(getenv("VSWD"), O_RDONLY | O_CLOEXEC), to;
	ssize_t n;

	to = open(expand("$/vswd"), O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
	assert_true(from >= 0 && to >= 0);
	while ((n = read(from, buf, sizeof(buf))) > 0)
		assert_int_equal(write(to, buf, (size_t)n), n);
	close(from);
	close(to);
}

/* A file system of its own at $/full, with room for so many sockets. */
static bool
mount_full(unsigned int n_sockets)
{
	char options[32];

	snprintf(options, sizeof(options), "size=64k,nr_inodes=%u", 1 + n_sockets);
	mkdir(expand("$/full"), 0755);
	return mount("vsw", expand("$/full"), "tmpfs", 0, options) == 0;
}

/* Full, read-only, not there: one sentence, and nothing left of what was made before. */
static void
test_folders_that_take_no_socket(void **state)
{
	static const char *const cases[] = {
		"guest-cid=4,socket=$/full/c,uds-path=$/full/d",
		"guest-cid=4,socket=$/full/c,uds-path=$/d",
		"guest-cid=4,socket=$/c,uds-path=$/full/d",
	};
	static const char *const places[] = {"$/a", "$/b", "$/c", "$/d", "$/full/c", "$/full/d"};
	struct daemon *d = &daemons[0];

	for (unsigned int room = 0; room < 3; room++) {
		bool is_read_only = room == 2;

		if (!mount_full(room))
			skip(); /* not root, or a root that may not */
		if (is_read_only)
			assert_int_equal(
				mount(NULL, expand("$/full"), NULL, MS_REMOUNT | MS_RDONLY, NULL),
				0);
		for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
			if (room == 1 && i > 0)
				continue; /* they fit */
			SPAWN(d, "--vm", "guest-cid=3,socket=$/a,uds-path=$/b", "--vm", cases[i]);
			expect_exit(d, 1);
			if (strstr(log_of(d), is_read_only ? "(Read-only file system); it must"
							   : "No space left on device") == NULL)
				fail_msg("%s: %s", cases[i], log_of(d));
			for (size_t k = 0; k < VSW_ARRAY_SIZE(places); k++)
				assert_false(exists(places[k]));
		}
		assert_int_equal(umount(expand("$/full")), 0);
	}
	SPAWN(d, "--vm", "guest-cid=3,socket=$/a,uds-path=$/b", "--vm",
	      "guest-cid=4,socket=$/nowhere/c,uds-path=$/d");
	expect_exit(d, 1);
	assert_non_null(
		strstr(log_of(d), "guest-cid=4: socket: no socket can be made in the folder"));
	assert_false(exists("$/a") || exists("$/b") || exists("$/d"));
	rmdir(expand("$/full"));
}

static void
test_an_ordinary_user(void **state)
{
	struct daemon *d = &daemons[0];
	char *vswd = strdup(getenv("VSWD"));

	if (geteuid() != 0) { /* all other cases prove it then */
		free(vswd);
		return;
	}
	copy_vswd();
	setenv("VSWD", expand("$/vswd"), 1);
	assert_int_equal(chmod(own_dir, 0755), 0);
	assert_int_equal(mkdir(expand("$/theirs"), 0755), 0);
	assert_int_equal(chown(expand("$/theirs"), NOBODY, NOBODY), 0);
	strcat(d->dir, "/theirs");
	d->uid = NOBODY;

	/* a folder of root's */
	SPAWN(d, "--vm", "socket=$/a,uds-path=$/theirs/b");
	expect_exit(d, 1);
	assert_non_null(strstr(log_of(d), "socket: "));
	SPAWN(d, "--vm", "socket=$/theirs/a,uds-path=$/b");
	expect_exit(d, 1);
	assert_non_null(strstr(log_of(d), "uds-path: "));
	assert_false(exists("$/theirs/a"));

	SPAWN(d, "--vm", "socket=$/theirs/a,uds-path=$/theirs/b");
	expect_ready(d);
	boot("$/theirs/a", 128);
	assert_int_equal(chmod(expand("$/theirs"), 0777), 0);
	{
		struct vsw_guest_sock *s;
		int listener = listen_on("$/theirs/b_52");

		/* root's listener, which nobody has no right to connect to */
		s = vsw_guest_connect(guest, VSW_CID_HOST, 52, WAIT_MS);
		assert_null(s);
		assert_int_equal(errno, ECONNRESET);
		assert_int_equal(chmod(expand("$/theirs/b_52"), 0777), 0);
		s = vsw_guest_connect(guest, VSW_CID_HOST, 52, WAIT_MS);
		if (s == NULL)
			fail_msg("%s", vsw_guest_error(guest));
		close(listener);
	}
	end(d);
	assert_false(exists("$/theirs/a"));
	assert_false(exists("$/theirs/b"));
	setenv("VSWD", vswd, 1);
	free(vswd);
}

/*
 * Signals.
 */

static void
test_term_and_int_remove_the_sockets_and_exit_0(void **state)
{
	static const int signals[] = {SIGTERM, SIGINT};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(signals); i++) {
		DIR *eal;
		struct dirent *ent;

		SPAWN(&daemons[0], "--vm", "guest-cid=3,socket=$/a,uds-path=$/b", "--vm",
		      "guest-cid=4,socket=$/c,uds-path=$/d");
		expect_ready(&daemons[0]);
		assert_int_equal(count_sockets(), 4);
		kill(daemons[0].pid, signals[i]);
		expect_exit(&daemons[0], 0);
		assert_int_equal(count_sockets(), 0);
		/* nor does it leave a folder of EAL's with every start */
		eal = opendir(expand("$/dpdk"));
		assert_non_null(eal);
		while ((ent = readdir(eal)) != NULL) {
			if (ent->d_name[0] != '.')
				fail_msg("dpdk/%s is left", ent->d_name);
		}
		closedir(eal);
	}
}

/* Whenever it comes: the process ends, and what it made is gone. */
static void
test_a_signal_while_it_comes_up(void **state)
{
	for (unsigned int i = 0; i < 20; i++) {
		struct daemon *d = &daemons[0];
		int status;

		SPAWN(d, "--vm", "guest-cid=3,socket=$/a,uds-path=$/b");
		usleep(i * 8000);
		kill(d->pid, SIGTERM);
		status = daemon_wait(d, 3 * WAIT_MS);
		/* before it takes signals in hand, it dies of them, having made nothing */
		if (status != 0 && status != 128 + SIGTERM)
			fail_msg("vswd ended with %d: %s", status, log_of(d));
		assert_int_equal(count_sockets(), 0);
	}
}

static void
test_a_guest_is_told_before_vswd_goes(void **state)
{
	struct vsw_guest_sock *s;
	struct vsw_guest_sock_info info;
	uint64_t deadline = vsw_guest_now_ms() + WAIT_MS;
	int host;

	SPAWN(&daemons[0], "--vm", "guest-cid=3,socket=$/a,uds-path=$/b");
	expect_ready(&daemons[0]);
	boot("$/a", 128);
	s = connect_52("$/b", &host);
	kill(daemons[0].pid, SIGTERM);
	do {
		if (vsw_guest_now_ms() >= deadline)
			fail_msg("waited 10 s for the guest's reset");
		vsw_guest_poll(guest, 10);
		vsw_guest_sock_info(s, &info);
	} while (!info.was_reset);
	expect_exit(&daemons[0], 0);
	assert_int_equal(recv(host, &info, 1, 0), 0);
	assert_int_equal(vsw_guest_violations(guest), 0);
	close(host);
}

static uint8_t data[1 << 20];

/* The guest sends as much as it may to a host that does not read. */
static size_t
stuff(struct vsw_guest_sock *s)
{
	ssize_t n;

	pattern_fill(data, 0, sizeof(data));
	n = vsw_guest_send(s, data, sizeof(data), 500);
	assert_true(n > 300000); /* more than a socket buffer: some is in vswd */
	assert_true(n < (ssize_t)sizeof(data));
	return (size_t)n;
}

static void
test_a_slow_host_gets_everything_while_vswd_goes(void **state)
{
	struct vsw_guest_sock *s;
	size_t sent, got = 0;
	uint64_t deadline;
	int host;

	SPAWN(&daemons[0], "--vm", "guest-cid=3,socket=$/a,uds-path=$/b");
	expect_ready(&daemons[0]);
	boot("$/a", 128);
	s = connect_52("$/b", &host);
	sent = stuff(s);
	kill(daemons[0].pid, SIGTERM);
	deadline = vsw_guest_now_ms() + WAIT_MS;
	for (;;) {
		struct pollfd pfd = {.fd = host, .events = POLLIN};
		static uint8_t buf[50000];
		ssize_t n;

		vsw_guest_poll(guest, 0);
		usleep(50000); /* slow */
		if (poll(&pfd, 1, 0) == 0) {
			if (vsw_guest_now_ms() >= deadline)
				fail_msg("waited 10 s for the rest: %zu of %zu", got, sent);
			continue;
		}
		n = recv(host, buf, sizeof(buf), 0);
		assert_true(n >= 0);
		if (n == 0)
			break;
		assert_true(pattern_matches(buf, got, (size_t)n));
		got += (size_t)n;
	}
	assert_int_equal(got, sent);
	expect_exit(&daemons[0], 0);
	assert_int_equal(count_sockets(), 0);
	close(host);
}

static void
test_a_host_that_never_reads_is_given_up_and_a_second_signal_does_not_wait(void **state)
{
	for (int n_signals = 1; n_signals <= 2; n_signals++) {
		struct vsw_guest_sock *s;
		uint64_t start, took;
		int host;

		SPAWN(&daemons[0], "--vm", "guest-cid=3,socket=$/a,uds-path=$/b");
		expect_ready(&daemons[0]);
		boot("$/a", 128);
		s = connect_52("$/b", &host);
		stuff(s);
		start = vsw_guest_now_ms();
		kill(daemons[0].pid, SIGTERM);
		if (n_signals == 2) {
			if (!daemon_wait_log(&daemons[0], "closing down", WAIT_MS))
				fail_msg("nothing said: %s", log_of(&daemons[0]));
			assert_int_equal(daemon_wait(&daemons[0], 300), -1);
			kill(daemons[0].pid, SIGINT);
		}
		expect_exit(&daemons[0], 0);
		took = vsw_guest_now_ms() - start;
		if (n_signals == 1 ? took < 4500 : took > 4500)
			fail_msg("%d signals took %lu ms", n_signals, (unsigned long)took);
		assert_int_equal(count_sockets(), 0);
		close(host);
		vsw_guest_destroy(guest);
		guest = NULL;
	}
}

/* The second signal comes when hosts see their ends: then the guest's rings are about to be
 * stopped, which takes its poll lcore. */
static void
test_a_second_signal_while_guests_leave(void **state)
{
	static const char *const layouts[][2] = {
		{"--lcores=0@0", "--bridge-lcores=0"},
		{"--lcores=(0-1)@0", "--bridge-lcores=0"},
		{"--lcores=(0-2)@0", "--bridge-lcores=2"},
	};

	for (unsigned int i = 0; i < 6; i++) {
		struct vsw_guest_sock *s;
		struct pollfd pfd = {.events = POLLIN};
		uint64_t deadline;
		int host;

		SPAWN(&daemons[0], layouts[i % 3][0], "--", layouts[i % 3][1], "--vm",
		      "guest-cid=3,socket=$/a,uds-path=$/b");
		expect_ready(&daemons[0]);
		boot("$/a", 128);
		s = connect_52("$/b", &host);
		assert_non_null(s);
		kill(daemons[0].pid, SIGTERM);
		deadline = vsw_guest_now_ms() + WAIT_MS;
		for (pfd.fd = host; poll(&pfd, 1, 0) == 0;) {
			vsw_guest_poll(guest, 0);
			if (vsw_guest_now_ms() >= deadline)
				fail_msg("waited 10 s for the host's end");
		}
		kill(daemons[0].pid, SIGINT);
		expect_exit(&daemons[0], 0);
		assert_int_equal(count_sockets(), 0);
		close(host);
		vsw_guest_destroy(guest);
		guest = NULL;
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_mistake_in_a_vm_is_one_sentence),
		TEST(test_every_other_mistake_ends_with_1_and_makes_no_socket),
		TEST(test_help_and_version),
		TEST(test_every_form_of_the_command_line_comes_up),
		TEST(test_a_guest_may_be_options_of_their_own),
		TEST(test_guests_may_be_in_a_file),
		TEST(test_a_file_is_checked),
		TEST(test_options_win_over_the_file),
		TEST(test_lcores_of_a_file_are_checked),
		TEST(test_hangup_without_a_file_changes_nothing),
		TEST(test_keys_do_what_they_say),
		TEST(test_the_highest_cid_and_the_longest_paths),
		TEST(test_stale_sockets_are_replaced),
		TEST(test_a_second_vswd_on_the_same_paths_is_refused_and_disturbs_nothing),
		TEST(test_two_vswd_on_different_paths),
		TEST(test_folders_that_take_no_socket),
		TEST(test_an_ordinary_user),
		TEST(test_term_and_int_remove_the_sockets_and_exit_0),
		TEST(test_a_signal_while_it_comes_up),
		TEST(test_a_guest_is_told_before_vswd_goes),
		TEST(test_a_slow_host_gets_everything_while_vswd_goes),
		TEST(test_a_host_that_never_reads_is_given_up_and_a_second_signal_does_not_wait),
		TEST(test_a_second_signal_while_guests_leave),
	};
	const char *only_case = getenv("VSW_TEST_CASE");
	char filter[256];

	signal(SIGPIPE, SIG_IGN);
	if (only_case != NULL) {
		snprintf(filter, sizeof(filter), "*%s*", only_case);
		cmocka_set_test_filter(filter);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
