/* SPDX-License-Identifier: BSD-3-Clause */
#include "listen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bsd/string.h>

#include "vsw_socket_path.h"

#define BACKLOG 1024

/* Where vswd connects for a guest that connects to its host. */
static bool
find_path(struct listening *l, const struct endpoint *at, struct address *address,
	  char why[WHY_SIZE])
{
	char uds_path[UNIX_PATH_SIZE];
	int len;

	strlcpy(uds_path, address->un.sun_path, sizeof(uds_path));
	len = snprintf(l->path, sizeof(l->path), "%s_%u", uds_path, at->port);
	strlcpy(address->un.sun_path, l->path, UNIX_PATH_SIZE);
	if (len < (int)sizeof(l->path) && access(uds_path, F_OK) == 0)
		return true;
	snprintf(why, WHY_SIZE,
		 len < (int)sizeof(l->path)
			 ? "cannot listen at %s: vswd does not serve a guest at %s"
			 : "cannot listen at %s: %s_PORT is longer than 107 characters",
		 at->text, uds_path);
	return false;
}

/* vswd must be able to connect: whose its own socket is, his is this one, too. Only root can
 * give it away; others have it as their umask says. */
static void
give_to_vswd(const char *path, const struct endpoint *at, const char *uds_path)
{
	struct stat st;

	if (at->kind == ENDPOINT_GUEST && geteuid() == 0 && stat(uds_path, &st) == 0)
		(void)!lchown(path, st.st_uid, st.st_gid);
}

static bool
say_why(const struct endpoint *at, int error, char why[WHY_SIZE])
{
	snprintf(why, WHY_SIZE, "cannot listen at %s: %s", at->text,
		 error == EADDRINUSE     ? "somebody else does already"
		 : error == EEXIST       ? "there is a file that is no socket"
		 : error == EAFNOSUPPORT ? "there is no AF_VSOCK here"
					 : strerror(error));
	return false;
}

bool
listen_at(struct listening *l, const struct endpoint *at, char why[WHY_SIZE])
{
	const int one = 1;
	struct address address;
	char uds_path[UNIX_PATH_SIZE] = "", reason[WHY_SIZE];
	bool is_hybrid;
	int rc = 0;

	*l = (struct listening){.fd = -1};
	if (!endpoint_locate(at, &address, &is_hybrid, reason)) {
		snprintf(why, WHY_SIZE, "cannot listen at %s: %.350s", at->text, reason);
		return false;
	}
	if (at->kind == ENDPOINT_GUEST && !is_hybrid) {
		snprintf(why, WHY_SIZE,
			 "cannot listen at %s: vswd does not serve it here; a guest listens at "
			 "vsock:PORT",
			 at->text);
		return false;
	}
	if (is_hybrid) {
		strlcpy(uds_path, address.un.sun_path, sizeof(uds_path));
		if (!find_path(l, at, &address, why))
			return false;
	} else if (at->kind == ENDPOINT_UNIX) {
		strlcpy(l->path, address.un.sun_path, sizeof(l->path));
	}
	if (l->path[0] != '\0')
		rc = vsw_socket_path_clear(l->path);
	if (rc < 0)
		return say_why(at, -rc, why);
	l->fd = socket(address.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return say_why(at, errno, why);
	if (at->kind == ENDPOINT_TCP)
		setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l->fd, &address.sa, address.len) != 0 || listen(l->fd, BACKLOG) != 0) {
		rc = errno;
		close(l->fd);
		*l = (struct listening){.fd = -1};
		return say_why(at, rc, why);
	}
	give_to_vswd(l->path, at, uds_path);
	return true;
}

void
listen_end(struct listening *l)
{
	if (l->fd < 0)
		return;
	close(l->fd);
	l->fd = -1;
	if (l->path[0] != '\0')
		unlink(l->path);
}
