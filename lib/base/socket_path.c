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

static int
bind_to(int fd, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (strlcpy(addr.sun_path, path, sizeof(addr.sun_path)) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	return bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 ? 0 : -errno;
}

int
vsw_socket_path_listen(struct vsw_listening *listening, const char *path,
		       const struct vsw_socket_access *access)
{
	struct stat st;
	int rc;

	rc = vsw_socket_path_clear(path);
	if (rc != 0)
		return rc;
	*listening = (struct vsw_listening){
		.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
	};
	if (listening->fd < 0)
		return -errno;
	rc = bind_to(listening->fd, path);
	if (rc == 0 && lstat(path, &st) == 0) {
		strlcpy(listening->path, path, sizeof(listening->path));
		listening->dev = st.st_dev;
		listening->ino = st.st_ino;
	}
	if (rc == 0)
		rc = vsw_socket_path_set_access(path, access);
	if (rc == 0 && listen(listening->fd, SOMAXCONN) != 0)
		rc = -errno;
	if (rc != 0)
		vsw_socket_path_unlisten(listening);
	return rc;
}

/* Unlinked first: nobody finds a socket that nobody serves. Until it is closed its inode is its
 * own, so no other file can be taken for it. */
void
vsw_socket_path_unlisten(struct vsw_listening *listening)
{
	struct stat st;

	if (listening->path[0] != '\0' && lstat(listening->path, &st) == 0 &&
	    st.st_dev == listening->dev && st.st_ino == listening->ino)
		unlink(listening->path);
	close(listening->fd);
	listening->fd = -1;
	listening->path[0] = '\0';
}

bool
vsw_socket_has_vsock(void)
{
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}
