/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves what is left of root behind --user: nothing, in no thread; that the sockets are that
 * user's, guests attach, a reload adds more, and the end removes what the user may; that every
 * mistake is one sentence; and that the filter is on unless --no-sandbox says otherwise.
 *
 * Each case has a vswd of its own in a folder of root's; $ stands for that folder, and $/theirs
 * is the user's. As an ordinary user only the refusal and the filter can be tested.
 */
#include "own.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534

#define VM "guest-cid=3,socket=$/theirs/a,uds-path=$/theirs/b"

static struct daemon vswd;
static struct vsw_guest *guest;
static char vswd_path[4096]; /* VSWD as it was */

static int
setup(void **state)
{
	char theirs[80];

	memset(&vswd, 0, sizeof(vswd));
	make_dir(own_dir);
	snprintf(theirs, sizeof(theirs), "%s/theirs", own_dir);
	assert_int_equal(chmod(own_dir, 0755), 0);
	assert_int_equal(mkdir(theirs, 0755), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(theirs, NOBODY, NOBODY), 0);
	strcpy(vswd.dir, own_dir);
	vswd.log_fd = -1;
	return 0;
}

static int
teardown(void **state)
{
	vsw_guest_destroy(guest);
	guest = NULL;
	setenv("VSWD", vswd_path, 1);
	if (vswd.pid > 0) { /* only after a failure */
		kill(vswd.pid, SIGKILL);
		daemon_wait(&vswd, WAIT_MS);
	}
	if (vswd.log_fd >= 0)
		close(vswd.log_fd);
	remove_dir(own_dir);
	return 0;
}

static bool
is_root(void)
{
	if (geteuid() == 0)
		return true;
	print_message("only root can test this\n");
	return false;
}

static void
expect_owner(const char *name, uid_t uid, gid_t gid, mode_t mode)
{
	struct stat st;

	if (lstat(expand(name), &st) != 0)
		fail_msg("%s: %s", name, strerror(errno));
	if (st.st_uid != uid || st.st_gid != gid || (st.st_mode & 07777) != mode)
		fail_msg("%s is %u:%u %o, not %u:%u %o", name, st.st_uid, st.st_gid,
			 st.st_mode & 07777, uid, gid, mode);
}

static void
boot(const char *socket_name)
{
	struct vsw_guest_conf conf = VSW_GUEST_CONF_DEFAULT;
	uint64_t deadline = vsw_guest_now_ms() + WAIT_MS;

	vsw_guest_destroy(guest);
	conf.socket_path = expand(socket_name);
	guest = vsw_guest_create(&conf);
	assert_non_null(guest);
	while (vsw_guest_attach(guest) < 0) {
		if (vsw_guest_now_ms() >= deadline)
			fail_msg("attaching for 10 s: %s; %s", vsw_guest_error(guest),
				 log_of(&vswd));
		usleep(1000);
	}
	if (vsw_guest_start(guest, VSW_GUEST_BOOT) < 0)
		fail_msg("%s; %s", vsw_guest_error(guest), log_of(&vswd));
}

/*
 * What the kernel says of each thread.
 */

static void
expect_in_status(const char *status, const char *what, const char *value)
{
	char line[256];

	snprintf(line, sizeof(line), "\n%s:\t%s\n", what, value);
	if (strstr(status, line) == NULL)
		fail_msg("not %s: %s in %s", what, value, status);
}

static void
read_status(const char *task, char *buf, size_t size)
{
	char path[600];
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/status", vswd.pid, task);
	file = fopen(path, "r");
	assert_non_null(file);
	n = fread(buf, 1, size - 1, file);
	buf[n] = '\0';
	fclose(file);
}

/* @return the number of threads */
static unsigned int
expect_in_all_threads(const char *what, const char *value)
{
	char path[64], status[8192];
	unsigned int n = 0;
	struct dirent *ent;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", vswd.pid);
	tasks = opendir(path);
	assert_non_null(tasks);
	while ((ent = readdir(tasks)) != NULL) {
		if (ent->d_name[0] == '.')
			continue;
		read_status(ent->d_name, status, sizeof(status));
		expect_in_status(status, what, value);
		n++;
	}
	closedir(tasks);
	return n;
}

static void
expect_nobody(const char *groups)
{
	static const char *const none[] = {"CapInh", "CapPrm", "CapEff", "CapAmb"};

	expect_in_all_threads("Uid", "65534\t65534\t65534\t65534");
	expect_in_all_threads("Gid", "65534\t65534\t65534\t65534");
	expect_in_all_threads("Groups", groups);
	expect_in_all_threads("NoNewPrivs", "1");
	for (size_t i = 0; i < VSW_ARRAY_SIZE(none); i++)
		expect_in_all_threads(none[i], "0000000000000000");
}

/*
 * --user.
 */

static void
test_every_mistake_is_one_sentence(void **state)
{
	static const struct {
		const char *user;
		const char *told;
	} cases[] = {
		{"", "--user:  is not NAME or NAME:GROUP"},
		{":nogroup", "--user: :nogroup is not NAME or NAME:GROUP"},
		{"nobody:", "--user: nobody: is not NAME or NAME:GROUP"},
		{"no-such-user", "--user: there is no user no-such-user"},
		{"nobody:no-such-group", "--user: there is no group no-such-group"},
		{"3123456789", "--user: user 3123456789 has no entry, so the group must be said"},
		{"root", "--user: root is root"},
		{"0:nogroup", "--user: 0 is root"},
	};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		SPAWN(&vswd, "--user", cases[i].user, "--vm", VM);
		expect_exit(&vswd, 1);
		if (strstr(log_of(&vswd), cases[i].told) == NULL ||
		    strchr(log_of(&vswd), '\n') != strrchr(log_of(&vswd), '\n'))
			fail_msg("--user %s: told %s", cases[i].user, log_of(&vswd));
		assert_false(exists("$/theirs/a"));
	}
	SPAWN(&vswd, "--user", "nobody", "--user", "nobody", "--vm", VM);
	expect_exit(&vswd, 1);
	assert_non_null(strstr(log_of(&vswd), geteuid() == 0 ? "given twice" : "only root"));
}

/* A copy where an ordinary user can run it: the tree may be in somebody's home. */
static const char *
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
	return expand("$/vswd");
}

static void
test_only_root_may_become_somebody_else(void **state)
{
	if (geteuid() == 0) {
		setenv("VSWD", copy_vswd(), 1);
		vswd.uid = NOBODY;
	}
	SPAWN(&vswd, "--user", "nobody", "--vm", VM);
	expect_exit(&vswd, 1);
	assert_non_null(strstr(log_of(&vswd),
			       "--user: only root can become another user; start vswd as "
			       "root, or as nobody without --user\n"));
}

static void
test_nothing_of_root_is_left(void **state)
{
	if (!is_root())
		return;
	SPAWN(&vswd, "-l", "0,1", "--", "--user", "65534:65534", "--vm", VM);
	expect_ready(&vswd);
	/* main, a worker, vsw-vhost, vhost-events, and EAL's own */
	assert_true(expect_in_all_threads("NoNewPrivs", "1") >= 5);
	expect_nobody("65534 ");
	end(&vswd);
}

static void
test_a_user_brings_its_groups_or_the_one_that_is_named(void **state)
{
	const struct passwd *user = getpwnam("nobody");
	gid_t group[64];
	char text[512] = "";
	int n = VSW_ARRAY_SIZE(group);

	if (!is_root())
		return;
	assert_non_null(user);
	assert_int_equal(user->pw_uid, NOBODY);
	assert_true(getgrouplist("nobody", user->pw_gid, group, &n) > 0);
	for (int i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%u ", group[i]);
	SPAWN(&vswd, "--user", "nobody", "--vm", VM);
	expect_ready(&vswd);
	expect_in_all_threads("Groups", text);
	end(&vswd);
	SPAWN(&vswd, "--user", "nobody:daemon", "--vm", VM);
	expect_ready(&vswd);
	snprintf(text, sizeof(text), "%u ", getgrnam("daemon")->gr_gid);
	expect_in_all_threads("Groups", text);
	end(&vswd);
}

static void
test_the_sockets_are_the_users_unless_they_are_somebodys(void **state)
{
	if (!is_root())
		return;
	SPAWN(&vswd, "--user", "nobody:65534", "--vm", VM ",socket-mode=660", "--vm",
	      "guest-cid=4,socket=$/theirs/c,uds-path=$/theirs/d,socket-mode=600,socket-owner=1,"
	      "socket-group=2,forward=$/theirs/g:80",
	      "--vm", "guest-cid=5,socket=$/theirs/e,uds-path=$/theirs/f,socket-group=2");
	expect_ready(&vswd);
	expect_owner("$/theirs/a", NOBODY, NOBODY, 0660);
	expect_owner("$/theirs/b", NOBODY, NOBODY, 0660);
	expect_owner("$/theirs/c", 1, 2, 0600);
	expect_owner("$/theirs/d", 1, 2, 0600);
	expect_owner("$/theirs/g", 1, 2, 0600);
	expect_owner("$/theirs/e", NOBODY, 2, 0777 & ~022);
	expect_owner("$/theirs/f", NOBODY, 2, 0777 & ~022);
	boot("$/theirs/a");
	boot("$/theirs/a"); /* after another VMM */
	boot("$/theirs/c");
	end(&vswd);
	assert_false(exists("$/theirs/a"));
	assert_false(exists("$/theirs/f"));
	assert_false(exists("$/theirs/g"));
}

static void
write_config(const char *const *names, unsigned int n)
{
	FILE *file = fopen(expand("$/vsw.yaml"), "w");

	assert_non_null(file);
	fputs("vms:\n", file);
	for (unsigned int i = 0; i < n; i++)
		fprintf(file, "  - guest_cid: %u\n    socket: %s\n    uds_path: %s_h\n", 3 + i,
			expand(names[i]), expand(names[i]));
	fclose(file);
}

static void
test_a_reload_adds_guests_as_the_user(void **state)
{
	static const char *const names[] = {"$/theirs/a", "$/theirs/b", "$/refused"};

	if (!is_root())
		return;
	write_config(names, 1);
	SPAWN(&vswd, "--user", "nobody:65534", "--config", "$/vsw.yaml");
	expect_ready(&vswd);
	boot("$/theirs/a");
	write_config(names, 2);
	kill(vswd.pid, SIGHUP);
	assert_true(daemon_wait_log(&vswd, "reloaded: 1 guest came", WAIT_MS));
	expect_owner("$/theirs/b", NOBODY, NOBODY, 0777 & ~022);
	boot("$/theirs/b");
	/* in a folder of root's */
	write_config(names, 3);
	kill(vswd.pid, SIGHUP);
	assert_true(daemon_wait_log(&vswd, "reload failed: ", WAIT_MS));
	assert_false(exists("$/refused"));
	boot("$/theirs/b");
	end(&vswd);
}

static unsigned int
count_eal_folders(void)
{
	DIR *eal = opendir(expand("$/dpdk"));
	const struct dirent *ent;
	unsigned int n = 0;

	assert_non_null(eal);
	while ((ent = readdir(eal)) != NULL)
		n += ent->d_name[0] != '.';
	closedir(eal);
	return n;
}

static void
test_a_folder_that_the_user_cannot_write_in_is_named(void **state)
{
	if (!is_root())
		return;
	SPAWN(&vswd, "--user", "nobody", "--vm", "guest-cid=3,socket=$/a,uds-path=$/theirs/b");
	expect_ready(&vswd);
	assert_non_null(
		strstr(log_of(&vswd), expand("user nobody cannot write in $: sockets will be")));
	boot("$/a");
	end(&vswd);
	assert_true(exists("$/a"));
	assert_false(exists("$/theirs/b"));
	/* and the next start replaces what was left, and removes EAL's folder of the last one */
	SPAWN(&vswd, "--user", "nobody", "--vm", "guest-cid=3,socket=$/a,uds-path=$/theirs/b");
	expect_ready(&vswd);
	boot("$/a");
	assert_int_equal(count_eal_folders(), 1);
	end(&vswd);
}

static void
test_what_a_killed_vswd_has_left_goes_with_the_next_start(void **state)
{
	SPAWN(&vswd, "--vm", VM);
	expect_ready(&vswd);
	kill(vswd.pid, SIGKILL);
	daemon_wait(&vswd, WAIT_MS);
	assert_int_equal(count_eal_folders(), 1);
	SPAWN(&vswd, "--vm", VM);
	expect_ready(&vswd);
	assert_int_equal(count_eal_folders(), 1);
	end(&vswd);
	assert_int_equal(count_eal_folders(), 0);
}

/* A start that fails does so as root, with nothing left. */
static void
test_a_start_that_fails_leaves_no_sockets(void **state)
{
	if (!is_root())
		return;
	SPAWN(&vswd, "--user", "nobody", "--vm", VM, "--vm",
	      "guest-cid=4,socket=/proc/vsw,uds-path=$/theirs/d");
	expect_exit(&vswd, 1);
	assert_false(exists("$/theirs/a"));
	assert_false(exists("$/theirs/d"));
}

/*
 * The filter; test_sandbox shows what it does.
 */

static void
test_the_filter_is_on_unless_it_is_turned_off(void **state)
{
	SPAWN(&vswd, "-l", "0,1", "--", "--vm", VM);
	expect_ready(&vswd);
	if (strstr(log_of(&vswd), "no sandbox: built with") == NULL)
		assert_true(expect_in_all_threads("Seccomp", "2") >= 5);
	expect_in_all_threads("NoNewPrivs", "1");
	boot("$/theirs/a");
	/* and on threads that came later */
	if (strstr(log_of(&vswd), "no sandbox: built with") == NULL)
		expect_in_all_threads("Seccomp", "2");
	end(&vswd);
	SPAWN(&vswd, "-l", "0,1", "--", "--no-sandbox", "--vm", VM);
	expect_ready(&vswd);
	expect_in_all_threads("Seccomp", "0");
	boot("$/theirs/a");
	end(&vswd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_mistake_is_one_sentence),
		TEST(test_only_root_may_become_somebody_else),
		TEST(test_nothing_of_root_is_left),
		TEST(test_a_user_brings_its_groups_or_the_one_that_is_named),
		TEST(test_the_sockets_are_the_users_unless_they_are_somebodys),
		TEST(test_a_reload_adds_guests_as_the_user),
		TEST(test_a_folder_that_the_user_cannot_write_in_is_named),
		TEST(test_what_a_killed_vswd_has_left_goes_with_the_next_start),
		TEST(test_a_start_that_fails_leaves_no_sockets),
		TEST(test_the_filter_is_on_unless_it_is_turned_off),
	};
	const char *only_case = getenv("VSW_TEST_CASE");
	char filter[256];

	signal(SIGPIPE, SIG_IGN);
	umask(022);
	snprintf(vswd_path, sizeof(vswd_path), "%s", getenv("VSWD") != NULL ? getenv("VSWD") : "");
	if (only_case != NULL) {
		snprintf(filter, sizeof(filter), "*%s*", only_case);
		cmocka_set_test_filter(filter);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
