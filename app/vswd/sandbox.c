/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Three answers:
 *   allowed  what vswd, librte_vhost, EAL with its threads, telemetry, an HTTP server on AF_UNIX
 *            and libc need from the moment on when the guests of the start are up: attach,
 *            reload, reconnect, threads that come and go, closing down.
 *   killed   what only somebody asks for who has taken the process over: it is vswd no more,
 *            and no second attempt shall follow.
 *   EPERM    all the rest, and a line in the kernel's log. Another libc or DPDK may make a call
 *            on a rare path that we have not seen; that must fail as it would in a container,
 *            and not end everybody's connections.
 *
 * Calls of the packet path are allowed without a look at their arguments: the kernel (5.11 and
 * newer) then answers from a bitmap and does not run the filter.
 */
#include "sandbox.h"

#include <errno.h>

#include "vsw_version.h"

#if defined(VSW_HAS_SANITIZER)

const char *
sandbox_missing(void)
{
	return "built with a sanitizer, which makes calls of its own";
}

#elif !defined(VSW_HAS_SECCOMP)

const char *
sandbox_missing(void)
{
	return "built without libseccomp";
}

#endif

#if defined(VSW_HAS_SANITIZER) || !defined(VSW_HAS_SECCOMP)

int
sandbox_install(void)
{
	return -ENOSYS;
}

#else

#include <dlfcn.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/sockios.h>
#include <seccomp.h>

#include "vsw_base.h"

/* Names, not numbers: what an architecture or an older libseccomp does not have is left out. */
static const char *const allowed[] = {
	/* the packet path, and whoever waits */
	"read",
	"write",
	"readv",
	"writev",
	"recvfrom",
	"recvmsg",
	"recvmmsg",
	"sendto",
	"sendmsg",
	"sendmmsg",
	"sendfile",
	"splice",
	"epoll_wait",
	"epoll_pwait",
	"epoll_pwait2",
	"poll",
	"ppoll",
	"select",
	"pselect6",
	"futex",
	"nanosleep",
	"clock_nanosleep",
	"clock_gettime",
	"clock_getres",
	"gettimeofday",
	"time",
	"sched_yield",
	"getcpu",
	"membarrier",
	"restart_syscall",
	/* sockets and other descriptors; which kinds of sockets, see below */
	"accept",
	"accept4",
	"bind",
	"listen",
	"connect",
	"shutdown",
	"getsockname",
	"getpeername",
	"getsockopt",
	"setsockopt",
	"close",
	"close_range",
	"dup",
	"dup2",
	"dup3",
	"fcntl",
	"pipe",
	"pipe2",
	"eventfd2",
	"epoll_create", /* librte_vhost of DPDK 24.07 and later */
	"epoll_create1",
	"epoll_ctl",
	"signalfd4",
	"timerfd_create",
	"timerfd_settime",
	"timerfd_gettime",
	/* files: sockets' paths, a configuration that is read again or written, EAL's folder */
	"open",
	"openat",
	"lseek",
	"pread64",
	"pwrite64",
	"preadv",
	"pwritev",
	"stat",
	"fstat",
	"lstat",
	"newfstatat",
	"statx",
	"statfs",
	"fstatfs",
	"access",
	"faccessat",
	"faccessat2",
	"readlink",
	"readlinkat",
	"getdents64",
	"getcwd",
	"unlink",
	"unlinkat",
	"mkdir",
	"mkdirat",
	"rmdir",
	"rename",
	"renameat",
	"renameat2",
	"chmod",
	"fchmod",
	"fchmodat",
	"chown",
	"lchown",
	"fchown",
	"fchownat",
	"umask",
	"ftruncate",
	"fallocate",
	"fsync",
	"fdatasync",
	"flock",
	/* memory; that nothing becomes code, see below */
	"brk",
	"munmap",
	"mremap",
	"madvise",
	"msync",
	"mlock",
	"munlock",
	"memfd_create",
	"mbind",
	"get_mempolicy",
	"set_mempolicy",
	"move_pages",
	/* threads, signals, the end */
	"set_robust_list",
	"rseq",
	"gettid",
	"getpid",
	"getppid",
	"sched_getaffinity",
	"sched_setaffinity",
	"sched_getparam",
	"sched_getscheduler",
	"sched_get_priority_max",
	"sched_get_priority_min",
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigpending",
	"rt_sigtimedwait",
	"rt_sigreturn",
	"sigaltstack",
	"exit",
	"exit_group",
	/* what is known of oneself and of the machine */
	"getuid",
	"geteuid",
	"getgid",
	"getegid",
	"getresuid",
	"getresgid",
	"getgroups",
	"getrlimit",
	"getrusage",
	"times",
	"sysinfo",
	"uname",
	"getrandom",
};

static const char *const killed[] = {
	/* other programs, other processes */
	"execve",
	"execveat",
	"ptrace",
	"process_vm_readv",
	"process_vm_writev",
	"process_madvise",
	"pidfd_getfd",
	"pidfd_send_signal",
	"kcmp",
	/* the kernel itself, and its wide surfaces */
	"init_module",
	"finit_module",
	"delete_module",
	"kexec_load",
	"kexec_file_load",
	"bpf",
	"perf_event_open",
	"userfaultfd",
	"io_uring_setup",
	"io_uring_enter",
	"io_uring_register",
	"add_key",
	"request_key",
	"keyctl",
	"iopl",
	"ioperm",
	"modify_ldt",
	"personality",
	/* another view of the system */
	"mount",
	"umount2",
	"move_mount",
	"open_tree",
	"fsopen",
	"fsmount",
	"pivot_root",
	"chroot",
	"setns",
	"unshare",
	"open_by_handle_at",
	"swapon",
	"swapoff",
	"reboot",
	"acct",
	/* another user */
	"setuid",
	"setgid",
	"setreuid",
	"setregid",
	"setresuid",
	"setresgid",
	"setfsuid",
	"setfsgid",
	"setgroups",
	"capset",
};

/* The kernel takes an int from the lower half of a register. */
#define INT(i, value) SCMP_CMP64(i, SCMP_CMP_MASKED_EQ, UINT32_MAX, (uint32_t)(value))
#define WITHOUT(i, bits) SCMP_CMP64(i, SCMP_CMP_MASKED_EQ, bits, 0)
#define WITH(i, bits) SCMP_CMP64(i, SCMP_CMP_MASKED_EQ, bits, bits)

static int
add(scmp_filter_ctx ctx, uint32_t action, const char *name, const struct scmp_arg_cmp *arg,
    unsigned int n_args)
{
	int nr = seccomp_syscall_resolve_name(name);

	return nr < 0 ? 0 : seccomp_rule_add_array(ctx, action, nr, n_args, arg);
}

static int
add_all(scmp_filter_ctx ctx, uint32_t action, const char *const *names, size_t n)
{
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = add(ctx, action, names[i], NULL, 0);
	return rc;
}

/* Those whose arguments matter. */
static int
add_narrow(scmp_filter_ctx ctx)
{
	const struct {
		const char *name;
		struct scmp_arg_cmp arg;
	} narrow[] = {
		{"socket", INT(0, AF_UNIX)},
		/* whoever comes later may have forward-cid */
		{"socket", INT(0, AF_VSOCK)},
		{"socketpair", INT(0, AF_UNIX)},
		/* no memory of code, neither new nor old */
		{"mmap", WITHOUT(2, PROT_EXEC)},
		{"mprotect", WITHOUT(2, PROT_EXEC)},
		/* threads, no processes */
		{"clone", WITH(0, CLONE_THREAD)},
		{"tgkill", INT(0, getpid())},
		{"prlimit64", INT(0, 0)},
		{"prctl", INT(0, PR_SET_NAME)},
		{"prctl", INT(0, PR_GET_NAME)},
		{"ioctl", INT(1, SIOCOUTQ)},
		{"ioctl", INT(1, SIOCINQ)},
		{"ioctl", INT(1, FIONBIO)},
		{"ioctl", INT(1, TCGETS)}, /* stdio asks whether it writes to a terminal */
	};
	int rc = 0;

	for (size_t i = 0; i < VSW_ARRAY_SIZE(narrow) && rc == 0; i++)
		rc = add(ctx, SCMP_ACT_ALLOW, narrow[i].name, &narrow[i].arg, 1);
	/* Its flags are in memory, out of reach; libc takes clone() when it is not there. */
	if (rc == 0)
		rc = add(ctx, SCMP_ACT_ERRNO(ENOSYS), "clone3", NULL, 0);
	return rc;
}

static int
set_attributes(scmp_filter_ctx ctx)
{
	const struct {
		enum scmp_filter_attr attr;
		uint32_t value;
	} attributes[] = {
		{SCMP_FLTATR_CTL_TSYNC, 1},
		{SCMP_FLTATR_CTL_LOG, 1},
		{SCMP_FLTATR_API_SYSRAWRC, 1},
		{SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS},
		/* Kernels before 5.16 make a filtered process slower against branch prediction, for
		 * the sake of code that is not trusted. There is none in this one. */
		{SCMP_FLTATR_CTL_SSB, 1},
	};
	int rc = 0;

	for (size_t i = 0; i < VSW_ARRAY_SIZE(attributes) && rc == 0; i++)
		rc = seccomp_attr_set(ctx, attributes[i].attr, attributes[i].value);
	/* A binary tree; libseccomp has it since 2.5, and does without. */
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return rc;
}

/*
 * No code can be loaded later, so what libc loads on demand is loaded now: what ends a thread
 * that is cancelled (EAL's, in the end), and what nsswitch.conf names, at a question that goes
 * down to its end, for a reload that looks up a user. What is not there is not needed either.
 */
static void
load_code(void)
{
	static const char nobody[] = "vsw no such name";

	(void)dlopen("libgcc_s.so.1", RTLD_NOW);
	(void)getpwnam(nobody);
	(void)getgrnam(nobody);
}

const char *
sandbox_missing(void)
{
	return NULL;
}

int
sandbox_install(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc;

	if (ctx == NULL)
		return -ENOMEM;
	load_code();
	rc = set_attributes(ctx);
	if (rc == 0)
		rc = add_all(ctx, SCMP_ACT_ALLOW, allowed, VSW_ARRAY_SIZE(allowed));
	if (rc == 0)
		rc = add_narrow(ctx);
	if (rc == 0)
		rc = add_all(ctx, SCMP_ACT_KILL_PROCESS, killed, VSW_ARRAY_SIZE(killed));
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	return rc < 0 ? rc : 0;
}

#endif
