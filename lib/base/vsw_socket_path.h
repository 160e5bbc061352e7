/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * A listening AF_UNIX socket at a path: may it be put there, and who may use it?
 */
#ifndef VSW_SOCKET_PATH_H
#define VSW_SOCKET_PATH_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

/** Room for the path of a socket. */
#define VSW_SOCKET_PATH_SIZE sizeof(((struct sockaddr_un *)0)->sun_path)

#define VSW_SOCKET_PATH_FREE 0  /**< nothing is there */
#define VSW_SOCKET_PATH_STALE 1 /**< a socket that nobody is bound to any more */

/**
 * What is at @p path?
 *
 * The test does not disturb a live listener: it tries to connect a datagram socket, which
 * the kernel refuses with EPROTOTYPE before the listener hears of it. (A vhost-user back end
 * that serves one connection would be used up by a real one.)
 *
 * @return VSW_SOCKET_PATH_FREE, VSW_SOCKET_PATH_STALE; -EADDRINUSE: somebody is bound to it;
 *         -EEXIST: not a socket; other -errno.
 */
int vsw_socket_path_state(const char *path);

/** Remove a stale socket. @return 0 when the path is free now, else as above. */
int vsw_socket_path_clear(const char *path);

/** Who may connect to a socket. */
struct vsw_socket_access {
	mode_t mode;
	uid_t owner; /**< (uid_t)-1: whoever made it */
	gid_t group; /**< (gid_t)-1: that of whoever made it */
};

/** Set mode and owner of the socket at @p path. @return 0 or -errno. */
int vsw_socket_path_set_access(const char *path, const struct vsw_socket_access *access);

/** A listening socket and what was made for it in the file system. */
struct vsw_listening {
	int fd; /**< a stream socket that does not block */
	dev_t dev;
	ino_t ino;
	char path[VSW_SOCKET_PATH_SIZE]; /**< "": nothing was made */
};

/**
 * Listen at @p path, with the backlog that the system allows; a stale socket there is removed
 * first. The umask keeps others out until the access is set.
 *
 * @return 0, and vsw_socket_path_unlisten() ends it; or -errno, and then nothing was made.
 */
int vsw_socket_path_listen(struct vsw_listening *listening, const char *path,
			   const struct vsw_socket_access *access);

/** Close the socket and remove it from its path, unless somebody else's, or another thing, has
 * taken its place there. */
void vsw_socket_path_unlisten(struct vsw_listening *listening);

/** Does this host have AF_VSOCK sockets? errno says why not. Any thread. */
bool vsw_socket_has_vsock(void);

#endif /* VSW_SOCKET_PATH_H */
