/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that under the filter what vswd needs still works, what it does not need fails with
 * EPERM, and what only an intruder needs is the end of the process; in all threads, those from
 * before included. Each case is a process of its own: nothing takes the filter away.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vsw_test.h"

#include "sandbox.h"
#include "vsw_base.h"

#define DONE 0
#define FAILED 1
#define NO_SANDBOX 2

/* @return what fn() returned behind the filter; 128 + n when it was killed by signal n. */
static int
behind_filter(int (*fn)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || sandbox_install() != 0)
			_exit(NO_SANDBOX);
		_exit(fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void
need_sandbox(void)
{
	if (sandbox_missing() != NULL)
		skip();
}

/*
 * Allowed.
 */

static void *
nothing(void *arg)
{
	return arg;
}

static void *
forever(void *arg)
{
	for (;;)
		sleep(1);
	return NULL;
}

static int
do_what_vswd_does(void)
{
	pthread_t thread;
	void *memory;
	int fds[2];
	int memfd = memfd_create("x", MFD_CLOEXEC);

	if (socket(AF_UNIX, SOCK_STREAM, 0) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
		return FAILED;
	if (ftruncate(memfd, 4096) != 0)
		return FAILED;
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (memory == MAP_FAILED || munmap(memory, 4096) != 0)
		return FAILED;
	if (pthread_create(&thread, NULL, nothing, NULL) != 0 || pthread_join(thread, NULL) != 0)
		return FAILED;
	if (pthread_create(&thread, NULL, forever, NULL) != 0 || pthread_cancel(thread) != 0 ||
	    pthread_join(thread, NULL) != 0)
		return FAILED;
	if (open("/dev/null", O_RDONLY) < 0 || umask(077) == (mode_t)-1 || raise(SIGCHLD) != 0)
		return FAILED;
	return getpwnam("root") != NULL && getpwnam("nobody at all") == NULL ? DONE : FAILED;
}

static void
test_what_vswd_needs_is_allowed(void **state)
{
	need_sandbox();
	assert_int_equal(behind_filter(do_what_vswd_does), DONE);
}

/*
 * EPERM.
 */

#define IS_REFUSED(call) ((errno = 0, (long)(call) == -1) && errno == EPERM ? DONE : FAILED)

static int
do_fork(void)
{
	return IS_REFUSED(fork());
}

static int
do_vfork(void)
{
	return IS_REFUSED(syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0));
}

static int
do_inet(void)
{
	return IS_REFUSED(socket(AF_INET, SOCK_STREAM, 0));
}

static int
do_netlink(void)
{
	return IS_REFUSED(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int
do_new_code(void)
{
	return IS_REFUSED(
		mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static int
do_old_code(void)
{
	void *memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return IS_REFUSED(mprotect(memory, 4096, PROT_READ | PROT_EXEC));
}

static int
do_signal(void)
{
	return IS_REFUSED(kill(getppid(), 0));
}

static int
do_thread_signal(void)
{
	return IS_REFUSED(syscall(SYS_tgkill, getppid(), getppid(), 0));
}

static int
do_limits(void)
{
	struct rlimit limit;

	return IS_REFUSED(prlimit(getppid(), RLIMIT_NOFILE, NULL, &limit));
}

static int
do_type_into_terminal(void)
{
	return IS_REFUSED(ioctl(0, TIOCSTI, "x"));
}

static int
do_symlink(void)
{
	return IS_REFUSED(symlink("/etc/passwd", "/tmp/vsw-unit-no-such-link"));
}

static void
test_what_it_does_not_need_fails(void **state)
{
	static const struct {
		const char *what;
		int (*fn)(void);
	} cases[] = {
		{"fork", do_fork},
		{"vfork", do_vfork},
		{"AF_INET", do_inet},
		{"AF_NETLINK", do_netlink},
		{"mmap of code", do_new_code},
		{"mprotect to code", do_old_code},
		{"kill", do_signal},
		{"tgkill", do_thread_signal},
		{"prlimit", do_limits},
		{"TIOCSTI", do_type_into_terminal},
		{"symlink", do_symlink},
	};

	need_sandbox();
	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		int got = behind_filter(cases[i].fn);

		if (got != DONE)
			fail_msg("%s: %d", cases[i].what, got);
	}
}

/*
 * Killed.
 */

static int
do_exec(void)
{
	char *argv[] = {(char *)(uintptr_t) "true", NULL};

	execv("/bin/true", argv);
	return FAILED;
}

static int
do_execveat(void)
{
	char *argv[] = {(char *)(uintptr_t) "true", NULL};

	syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, NULL, 0);
	return FAILED;
}

static int
do_ptrace(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	return FAILED;
}

static int
do_read_memory(void)
{
	process_vm_readv(getppid(), NULL, 0, NULL, 0, 0);
	return FAILED;
}

static int
do_become_root(void)
{
	(void)!setuid(0);
	return FAILED;
}

static int
do_namespace(void)
{
	unshare(CLONE_NEWUSER);
	return FAILED;
}

static int
do_chroot(void)
{
	(void)!chroot("/tmp");
	return FAILED;
}

static int
do_bpf(void)
{
	syscall(SYS_bpf, 0, NULL, 0);
	return FAILED;
}

static int
do_io_uring(void)
{
	syscall(SYS_io_uring_setup, 1, NULL);
	return FAILED;
}

/* A thread that the filter was not installed on. */

static sem_t go;

static void *
exec_main(void *arg)
{
	while (sem_wait(&go) != 0)
		;
	do_exec();
	return NULL;
}

static int
exec_in_older_thread(void)
{
	pthread_t thread;

	sem_init(&go, 0, 0);
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	if (pthread_create(&thread, NULL, exec_main, NULL) != 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || sandbox_install() != 0)
		return NO_SANDBOX;
	sem_post(&go);
	pthread_join(thread, NULL);
	return FAILED;
}

static void
test_what_an_intruder_needs_kills(void **state)
{
	static const struct {
		const char *what;
		int (*fn)(void);
	} cases[] = {
		{"execve", do_exec},
		{"execveat", do_execveat},
		{"ptrace", do_ptrace},
		{"process_vm_readv", do_read_memory},
		{"setuid", do_become_root},
		{"unshare", do_namespace},
		{"chroot", do_chroot},
		{"bpf", do_bpf},
		{"io_uring_setup", do_io_uring},
	};

	need_sandbox();
	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		int got = behind_filter(cases[i].fn);

		if (got != 128 + SIGSYS)
			fail_msg("%s: %d", cases[i].what, got);
	}
}

static void
test_threads_from_before_are_behind_it_too(void **state)
{
	pid_t pid;
	int status;

	need_sandbox();
	pid = fork();
	if (pid == 0)
		_exit(exec_in_older_thread());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

/* As of 32-bit programs, whose numbers mean other calls. */
static int
do_other_architecture(void)
{
#ifdef __x86_64__
	long rc;

	__asm__ volatile("int $0x80" : "=a"(rc) : "a"(20) : "memory");
#endif
	return FAILED;
}

static void
test_another_architectures_calls_kill(void **state)
{
	need_sandbox();
#ifdef __x86_64__
	assert_int_equal(behind_filter(do_other_architecture), 128 + SIGSYS);
#else
	(void)do_other_architecture;
	skip();
#endif
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_vswd_needs_is_allowed),
		cmocka_unit_test(test_what_it_does_not_need_fails),
		cmocka_unit_test(test_what_an_intruder_needs_kills),
		cmocka_unit_test(test_threads_from_before_are_behind_it_too),
		cmocka_unit_test(test_another_architectures_calls_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
