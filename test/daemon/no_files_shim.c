/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * LD_PRELOAD for vswd: while the file VSW_TEST_NO_FILES exists, the system has no open file left
 * for anybody (ENFILE). The real limit, fs.file-max, is that of the whole machine, and root's
 * processes are beyond it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static bool
is_full(void)
{
	const char *path = getenv("VSW_TEST_NO_FILES");
	int error = errno;

	if (path == NULL || access(path, F_OK) != 0) {
		errno = error;
		return false;
	}
	errno = ENFILE;
	return true;
}

int
socket(int domain, int type, int protocol)
{
	int (*real)(int, int, int) = dlsym(RTLD_NEXT, "socket");

	return is_full() ? -1 : real(domain, type, protocol);
}

int
accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	int (*real)(int, struct sockaddr *, socklen_t *) = dlsym(RTLD_NEXT, "accept");

	return is_full() ? -1 : real(fd, addr, len);
}

int
accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	int (*real)(int, struct sockaddr *, socklen_t *, int) = dlsym(RTLD_NEXT, "accept4");

	return is_full() ? -1 : real(fd, addr, len, flags);
}

int
eventfd(unsigned int value, int flags)
{
	int (*real)(unsigned int, int) = dlsym(RTLD_NEXT, "eventfd");

	return is_full() ? -1 : real(value, flags);
}
