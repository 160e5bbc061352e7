/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * LD_PRELOAD for vswd: AF_VSOCK on a host that need not have a transport for it. Port P of any CID
 * is the abstract AF_UNIX socket vsw-$VSW_TEST_VSOCK-P. As with AF_VSOCK a connect() is in progress
 * first, and SO_ERROR says how it ended. VSW_TEST_VSOCK=none: a host without AF_VSOCK.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <linux/vm_sockets.h>

static socklen_t
name_of(const struct sockaddr *addr, struct sockaddr_un *un)
{
	const struct sockaddr_vm *vm = (const void *)addr;

	*un = (struct sockaddr_un){.sun_family = AF_UNIX};
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			   (size_t)snprintf(un->sun_path + 1, sizeof(un->sun_path) - 1, "vsw-%s-%u",
					    getenv("VSW_TEST_VSOCK"), vm->svm_port));
}

int
socket(int domain, int type, int protocol)
{
	int (*real)(int, int, int) = dlsym(RTLD_NEXT, "socket");
	const char *id = getenv("VSW_TEST_VSOCK");

	if (domain == AF_VSOCK && id != NULL && strcmp(id, "none") == 0) {
		errno = EAFNOSUPPORT;
		return -1;
	}
	return real(domain == AF_VSOCK ? AF_UNIX : domain, type, protocol);
}

int
bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
	struct sockaddr_un un;

	if (addr->sa_family == AF_VSOCK) {
		len = name_of(addr, &un);
		addr = (const void *)&un;
	}
	return real(fd, addr, len);
}

int
connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
	struct sockaddr_un un;

	if (addr->sa_family != AF_VSOCK)
		return real(fd, addr, len);
	len = name_of(addr, &un);
	real(fd, (const void *)&un, len);
	errno = EINPROGRESS;
	return -1;
}

int
getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	int (*real)(int, int, int, void *, socklen_t *) = dlsym(RTLD_NEXT, "getsockopt");
	struct sockaddr_un un;
	socklen_t size = sizeof(un);
	int rc = real(fd, level, name, value, len);

	if (rc == 0 && level == SOL_SOCKET && name == SO_ERROR && *(int *)value == 0 &&
	    getpeername(fd, (void *)&un, &size) != 0)
		*(int *)value = ECONNREFUSED;
	return rc;
}
