/* SPDX-License-Identifier: BSD-3-Clause */
#include "vsw_signal_fd.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum vsw_signal_kind
vsw_signal_fd_init(int fd)
{
	struct stat st;
	int flags;

	if (fd < 0 || fstat(fd, &st) != 0)
		return VSW_SIGNAL_NONE;
	if (S_ISSOCK(st.st_mode))
		return VSW_SIGNAL_SOCKET;
	/* An eventfd is an anonymous inode, of no type. Files, pipes and terminals may keep us
	 * waiting, whatever their flags. */
	flags = fcntl(fd, F_GETFL);
	if ((st.st_mode & S_IFMT) != 0 || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return VSW_SIGNAL_NONE;
	return VSW_SIGNAL_EVENT;
}

bool
vsw_signal_fd_send(int fd, enum vsw_signal_kind kind)
{
	const uint64_t one = 1;

	switch (kind) {
	case VSW_SIGNAL_EVENT:
		return write(fd, &one, sizeof(one)) == sizeof(one);
	case VSW_SIGNAL_SOCKET:
		return send(fd, &one, sizeof(one), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(one);
	default:
		return false;
	}
}
