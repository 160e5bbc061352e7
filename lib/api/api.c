/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The API's thread: it waits for HTTP and for answers of the control lcore at once. MHD runs
 * on this thread only (its "external" mode), so that nobody else ever meets its locks: the
 * control lcore does not know that there is HTTP.
 */
#include "api_priv.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bsd/string.h>

#include <rte_errno.h>

#define VSW_LOGTYPE vsw_log_api
#include "vsw_base.h"
#include "vsw_log.h"
#include "vsw_now.h"

RTE_LOG_REGISTER(vsw_log_api, vsw.api, NOTICE);

/* How late a deadline may be noticed, and captured packets. */
#define TICK_MS 500
#define CAPTURE_TICK_MS 10

void
api_wake(struct vsw_api *api)
{
	uint64_t one = 1;

	/* Non-blocking; when the counter is full the thread wakes up anyway. */
	if (write(api->wake_fd, &one, sizeof(one)) < 0)
		return;
}

/*
 * Clients.
 */

void
api_client_expect_request(struct api_client *client)
{
	client->deadline_ms = vsw_now_ms() + API_REQUEST_TIMEOUT_MS;
}

static void
on_connection(void *cls, struct MHD_Connection *conn, void **socket_context,
	      enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info;
	struct vsw_api *api = cls;
	struct api_client *client = *socket_context;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (client != NULL)
			TAILQ_REMOVE(&api->clients, client, link);
		free(client);
		return;
	}
	info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
	client = calloc(1, sizeof(*client));
	*socket_context = client;
	if (client == NULL || info == NULL)
		return;
	client->fd = info->connect_fd;
	api_client_expect_request(client);
	TAILQ_INSERT_TAIL(&api->clients, client, link);
}

/* MHD notices the end and closes it. */
static void
end_late_clients(struct vsw_api *api)
{
	struct api_client *client;
	int64_t now = vsw_now_ms();

	TAILQ_FOREACH (client, &api->clients, link) {
		if (client->deadline_ms == 0 || client->deadline_ms > now)
			continue;
		VSW_LOG_LIMITED(INFO, "api: a client did not finish its request within %u s",
				API_REQUEST_TIMEOUT_MS / 1000);
		shutdown(client->fd, SHUT_RDWR);
		client->deadline_ms = 0;
	}
}

/*
 * The thread.
 */

static void
on_mhd_log(void *cls, const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	VSW_LOG_LIMITED(DEBUG, "api: %s", text);
}

static int
timeout_of(struct vsw_api *api)
{
	const unsigned int tick_ms = api->capture != NULL ? CAPTURE_TICK_MS : TICK_MS;
	MHD_UNSIGNED_LONG_LONG ms;

	if (MHD_get_timeout(api->daemon, &ms) == MHD_YES && ms < tick_ms)
		return (int)ms;
	return (int)tick_ms;
}

static vsw_thread_ret
api_main(void *arg)
{
	struct vsw_api *api = arg;
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(api->daemon, MHD_DAEMON_INFO_EPOLL_FD);

	while (!__atomic_load_n(&api->is_ending, __ATOMIC_ACQUIRE)) {
		struct pollfd fds[] = {
			{.fd = info->epoll_fd, .events = POLLIN},
			{.fd = api->wake_fd, .events = POLLIN},
		};
		uint64_t n;

		poll(fds, VSW_ARRAY_SIZE(fds), timeout_of(api));
		if (fds[1].revents != 0 && read(api->wake_fd, &n, sizeof(n)) < 0)
			continue;
		exchange_take_answers(api);
		api_capture_tick(api);
		MHD_run(api->daemon);
		end_late_clients(api);
	}
	/* Every request is answered by now: tell those who wait. */
	exchange_take_answers(api);
	api_capture_tick(api);
	MHD_run(api->daemon);
	MHD_run(api->daemon);
	return 0;
}

/*
 * The object.
 */

static int
open_socket(struct vsw_api *api, const struct vsw_api_setup *setup)
{
	int fd = vsw_socket_path_listen(setup->path, &setup->access);

	if (fd < 0)
		return fd;
	api->fd = fd;
	strlcpy(api->path, setup->path, sizeof(api->path));
	return 0;
}

static int
start(struct vsw_api *api)
{
	const unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;

	api->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (api->wake_fd < 0)
		return -errno;
	api->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, exchange_on_http, api,                     /**/
		MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, NULL,                    /**/
		MHD_OPTION_LISTEN_SOCKET, api->fd,                               /**/
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)API_CONNECTIONS_MAX,  /**/
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)API_IDLE_TIMEOUT_S, /**/
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, api,                /**/
		MHD_OPTION_NOTIFY_COMPLETED, exchange_on_completed, api,         /**/
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
	if (api->daemon == NULL)
		return -ENOMEM;
	api->fd = -1; /* MHD's now */
	api->has_thread = vsw_thread_create(&api->thread, "vsw-api", api_main, api);
	return api->has_thread ? 0 : -EAGAIN;
}

struct vsw_api *
vsw_api_create(const struct vsw_api_setup *setup)
{
	struct vsw_api *api = calloc(1, sizeof(*api));
	int rc;

	if (api == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	api->control = setup->control;
	api->config = setup->config;
	api->fd = api->wake_fd = -1;
	TAILQ_INIT(&api->clients);
	rc = open_socket(api, setup);
	if (rc == 0)
		rc = start(api);
	if (rc == 0)
		return api;
	vsw_api_destroy(api);
	rte_errno = -rc;
	return NULL;
}

void
vsw_api_destroy(struct vsw_api *api)
{
	if (api == NULL)
		return;
	__atomic_store_n(&api->is_ending, true, __ATOMIC_RELEASE);
	if (api->has_thread) {
		api_wake(api);
		vsw_thread_join(api->thread);
	}
	if (api->daemon != NULL)
		MHD_stop_daemon(api->daemon);
	if (api->path[0] != '\0')
		unlink(api->path);
	if (api->fd >= 0)
		close(api->fd);
	if (api->wake_fd >= 0)
		close(api->wake_fd);
	free(api);
}
