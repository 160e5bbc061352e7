/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GET /capture: a pcap file that grows as long as the client stays. The lcores do not wake
 * anybody for a packet, so their rings are looked at every few milliseconds.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <bsd/string.h>

#define VSW_LOGTYPE vsw_log_api
#include "vsw_log.h"
#include "api_priv.h"
#include "vsw_capture.h"

extern int vsw_log_api;

#define BLOCK (256 * 1024)

static bool
has_gone(const struct exchange *x)
{
	struct pollfd p = {.fd = x->client != NULL ? x->client->fd : -1, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* MHD has room for @p max bytes. */
static ssize_t
on_room(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct exchange *x = cls;
	size_t n;

	if (__atomic_load_n(&x->api->is_ending, __ATOMIC_RELAXED) || has_gone(x))
		return MHD_CONTENT_READER_END_OF_STREAM;
	n = vsw_capture_read(buf, max);
	if (n == 0) {
		MHD_suspend_connection(x->conn);
		x->is_suspended = true;
	}
	return (ssize_t)n;
}

void
api_capture_tick(struct vsw_api *api)
{
	struct exchange *x = api->capture;

	if (x == NULL || !x->is_suspended)
		return;
	x->is_suspended = false;
	MHD_resume_connection(x->conn);
}

void
api_capture_end(struct exchange *x)
{
	if (x->api->capture != x)
		return;
	vsw_capture_end();
	x->api->capture = NULL;
	VSW_LOG(NOTICE, "capture: ended; %llu packets were dropped for want of room",
		(unsigned long long)vsw_capture_n_drops());
}

static void
begin(struct exchange *x, uint32_t cid)
{
	uint64_t port = 0, snaplen = 65536;
	struct vsw_capture_filter filter = {.cid = cid,
					    .has_port = exchange_param(x, "port") != NULL};
	int rc;

	if (!exchange_number(x, "port", UINT32_MAX, &port) ||
	    !exchange_number(x, "snaplen", 65536, &snaplen))
		return;
	filter.port = (uint32_t)port;
	filter.snaplen = (uint32_t)snaplen;
	rc = vsw_capture_begin(&filter);
	if (rc == -EBUSY) {
		exchange_fail(x, MHD_HTTP_CONFLICT,
			      "somebody else is capturing; there is one capture at a time");
		return;
	}
	if (rc != 0) {
		exchange_fail(x, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
		return;
	}
	VSW_LOG(NOTICE, "capture: begun");
	x->api->capture = x;
	MHD_set_connection_option(x->conn, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
	exchange_answer_stream(x, "application/vnd.tcpdump.pcap", BLOCK, on_room);
}

static void
begin_at_guest(struct exchange *x)
{
	begin(x, x->req.guests[0].spec.cid);
}

void
api_capture(struct exchange *x)
{
	const char *guest = exchange_param(x, "guest");

	if (guest == NULL) {
		begin(x, 0);
		return;
	}
	strlcpy(x->req.who, guest, sizeof(x->req.who));
	exchange_ask(x, VSW_REQUEST_LIST_GUESTS, begin_at_guest);
}
