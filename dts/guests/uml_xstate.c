/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For LD_PRELOAD: lets a User-Mode Linux kernel older than 6.13 run on a CPU with AMX.
 *
 * Such a kernel sets its processes' FPU state from a buffer of 2696 bytes. The host's kernel
 * takes all of its xstate or nothing (EFAULT), and with AMX that is 11008 bytes: "ptrace set
 * fp regs failed, errno = 14", and the guest's init is dead. Here what UML has is completed
 * with the initial state of the rest. The rest is AMX's tiles: a process has them only after it
 * has asked the host's kernel, and UML passes on no such question.
 */
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Static: UML calls from its small kernel stacks, and one at a time. */
static char whole[64 * 1024];
static size_t whole_len;

static long
set_xstate(pid_t pid, const struct iovec *part)
{
	struct iovec iov = {whole, sizeof(whole)};

	if (whole_len == 0) {
		if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, NT_X86_XSTATE, &iov) != 0)
			return -1;
		whole_len = iov.iov_len;
	}
	if (part->iov_len >= whole_len)
		return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, NT_X86_XSTATE, part);
	memcpy(whole, part->iov_base, part->iov_len);
	iov.iov_len = whole_len;
	return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, NT_X86_XSTATE, &iov);
}

/* Instead of glibc's, which differs from the system call in how a PEEK gives its result. */
long
ptrace(enum __ptrace_request request, ...)
{
	va_list args;
	pid_t pid;
	void *addr, *data;
	long peeked;

	va_start(args, request);
	pid = va_arg(args, pid_t);
	addr = va_arg(args, void *);
	data = va_arg(args, void *);
	va_end(args);

	switch (request) {
	case PTRACE_SETREGSET:
		if (addr == (void *)NT_X86_XSTATE)
			return set_xstate(pid, data);
		break;
	case PTRACE_PEEKTEXT:
	case PTRACE_PEEKDATA:
	case PTRACE_PEEKUSER:
		if (syscall(SYS_ptrace, request, pid, addr, &peeked) != 0)
			return -1;
		errno = 0;
		return peeked;
	default:
		break;
	}
	return syscall(SYS_ptrace, request, pid, addr, data);
}
