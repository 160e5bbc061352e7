/* SPDX-License-Identifier: BSD-3-Clause */
/* Listen at an endpoint. */
#ifndef VSW_LISTEN_H
#define VSW_LISTEN_H

#include "endpoint.h"

struct listening {
	int fd;                    /* -1: it does not */
	char path[UNIX_PATH_SIZE]; /* "": there is no file to be removed */
};

/* A socket file that nobody is bound to any more is replaced. @return false, and @p why is a
 * sentence. */
bool listen_at(struct listening *l, const struct endpoint *at, char why[WHY_SIZE]);

/* Close it, and remove its file. */
void listen_end(struct listening *l);

#endif /* VSW_LISTEN_H */
