/* SPDX-License-Identifier: BSD-3-Clause */
#include "vsw_socket_close.h"

#include <sys/socket.h>
#include <unistd.h>

void
vsw_socket_close_silently(int fd)
{
	char scrap[4096];

	/* After this nothing arrives any more, so the loop ends. */
	shutdown(fd, SHUT_RD);
	while (recv(fd, scrap, sizeof(scrap), MSG_DONTWAIT) > 0)
		;
	close(fd);
}
