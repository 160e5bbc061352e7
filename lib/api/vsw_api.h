/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The control API: HTTP on a Unix socket, JSON both ways (doc/guides/api.md).
 *
 * One thread of its own does all HTTP and all JSON. It asks the control lcore by requests
 * (vsw_control.h) and goes on with other clients until the answer comes; an answer costs the
 * control lcore one atomic exchange and one write to an eventfd, whatever the client does.
 *
 * Limits, so that clients can hold up each other at most: connections, size of a body, time
 * for sending a request, time in which nothing is read of an answer (api_priv.h).
 */
#ifndef VSW_API_H
#define VSW_API_H

#include "vsw_control.h"
#include "vsw_socket_path.h"

struct vsw_api;

/** Clients at once; each costs a descriptor and up to 100 KiB. */
#define VSW_API_CLIENTS_MAX 64

struct vsw_api_setup {
	struct vsw_control *control;
	const char *path;                /**< of the socket */
	struct vsw_socket_access access; /**< who may use it */
	const char *config;              /**< what POST /reload reads; NULL: there is no file */
};

/**
 * Listen and start the thread. After vsw_control_create(), before or while its loop runs.
 * @return NULL with rte_errno; EADDRINUSE: somebody listens there, EEXIST: that is no socket.
 */
struct vsw_api *vsw_api_create(const struct vsw_api_setup *setup);

/**
 * End the thread and remove the socket. After vsw_control_close(), which makes sure that every
 * request is answered; clients that wait get that answer. NULL is allowed.
 */
void vsw_api_destroy(struct vsw_api *api);

#endif /* VSW_API_H */
