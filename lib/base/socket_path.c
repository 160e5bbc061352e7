/* SPDX-License-Identifier: BSD-3-Clause */
#include "vsw_socket_path.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <bsd/string.h>

int
vsw_socket_path_state(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct stat st;
	int fd, rc;

	if (lstat(path, &st) != 0)
		return errno == ENOENT ? VSW_SOCKET_PATH_FREE : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	if (strlcpy(addr.sun_path, path, sizeof(addr.sun_path)) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;

	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	rc = connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 ? 0 : errno;
	close(fd);
	if (rc == ECONNREFUSED)
		return VSW_SOCKET_PATH_STALE;
	if (rc == 0 || rc == EPROTOTYPE)
		return -EADDRINUSE;
	return -rc;
}

int
vsw_socket_path_clear(const char *path)
{
	int state = vsw_socket_path_state(path);

	if (state == VSW_SOCKET_PATH_STALE)
		return unlink(path) == 0 ? 0 : -errno;
	return state;
}

int
vsw_socket_path_set_access(const char *path, const struct vsw_socket_access *access)
{
	/* The owner first: a change of owner may take bits of the mode away. */
	if ((access->owner != (uid_t)-1 || access->group != (gid_t)-1) &&
	    lchown(path, access->owner, access->group) != 0)
		return -errno;
	return chmod(path, access->mode) == 0 ? 0 : -errno;
}

int
vsw_socket_path_listen(const char *path, const struct vsw_socket_access *access)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd, rc;

	rc = vsw_socket_path_clear(path);
	if (rc != 0)
		return rc;
	if (strlcpy(addr.sun_path, path, sizeof(addr.sun_path)) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	rc = vsw_socket_path_set_access(path, access);
	if (rc == 0 && listen(fd, SOMAXCONN) != 0)
		rc = -errno;
	if (rc != 0) {
		unlink(path);
		close(fd);
		return rc;
	}
	return fd;
}

bool
vsw_socket_has_vsock(void)
{
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}
