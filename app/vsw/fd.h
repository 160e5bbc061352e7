/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a socket is before others have it.
 */
#ifndef VSW_FD_H
#define VSW_FD_H

#include <fcntl.h>
#include <sys/socket.h>

/* As programs expect their descriptors. */
static inline void
fd_make_blocking(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

/* TCP can say that a connection failed, and not only that it is over: it will, when it is closed.
 */
static inline void
fd_reset_at_close(int fd)
{
	const struct linger linger = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

#endif /* VSW_FD_H */
