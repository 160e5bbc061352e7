/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host's end that is a datagram socket: what the guest sends on one connection is one datagram.
 * It is collected until the guest says that it sends no more, by SHUTDOWN or in CLOSE; bytes count
 * as taken as soon as they are collected, so the guest's window may be smaller than the
 * datagram. When the socket has taken it, the guest is told the end of the stream and that nobody
 * reads any more, in one packet: who sends by sd_notify() waits for that. Nothing comes the
 * other way: our end has no name.
 *
 * A datagram that is too large, or that the socket does not take, is an error of the connection:
 * RST. One that the guest did not finish is none. An empty one is not sent: it would tell
 * nothing, and a guest may have connected to see whether somebody is there.
 *
 * A full receiver makes sendmsg() say EAGAIN and, in doing so, the kernel remember who wants to
 * be told of room (unix_dgram_peer_wake_me(); in unix(7) only "may block"). The bridge's flush
 * timer bounds the wait.
 */
#include <errno.h>
#include <sys/epoll.h>

#include "stream.h"

static void
drop(struct vsw_stream *stream)
{
	stream->account->collected -= stream->backlog.spill.len;
	vsw_stream_return(stream, vsw_backlog_drop(&stream->backlog), 0);
	stream->shut_send = false;
	rte_timer_stop_sync(&stream->flush_timer);
}

/* The guest is told by RST, once. */
static void
lose(struct vsw_stream *stream)
{
	drop(stream);
	if (stream->told_hangup)
		return;
	stream->told_hangup = true;
	stream->notice_flags |= VSW_MSG_F_LOST;
}

static void
fail(struct vsw_stream *stream, enum vsw_counter why)
{
	vsw_count(&stream->account->counters, why, 1);
	stream->is_dead = true;
	lose(stream);
}

/* Copy the first loan. @return false: the datagram has been given up. */
static bool
collect_one(struct vsw_stream *stream)
{
	struct vsw_bridge_guest *account = stream->account;
	uint32_t len = stream->backlog.first_loan->len;
	size_t before;
	struct vsw_msg *msg;

	if (stream->backlog.spill.len + len > VSW_DATAGRAM_MAX) {
		fail(stream, VSW_CTR_DATAGRAMS_TOO_LARGE);
		return false;
	}
	if (account->collected + len > vsw_guest_word(&stream->guest->spill_budget)) {
		fail(stream, VSW_CTR_DATAGRAMS_LOST);
		return false;
	}
	before = stream->backlog.spill.len;
	msg = vsw_backlog_spill(&stream->backlog);
	account->collected += stream->backlog.spill.len - before; /* a part, if memory is short */
	if (msg == NULL) {
		fail(stream, VSW_CTR_DATAGRAMS_LOST);
		return false;
	}
	msg->len = len; /* it need not wait for the rest */
	vsw_stream_return(stream, msg, 0);
	return true;
}

static void
deliver(struct vsw_stream *stream)
{
	ssize_t len = 0;

	if (!vsw_backlog_is_empty(&stream->backlog))
		len = vsw_stream_send(stream);
	if (len < 0 && errno == EAGAIN)
		return; /* shut_send stays: it waits for room */
	if (len < 0) {
		fail(stream,
		     errno == EMSGSIZE ? VSW_CTR_DATAGRAMS_TOO_LARGE : VSW_CTR_DATAGRAMS_LOST);
	} else {
		vsw_count(&stream->account->counters, VSW_CTR_DATAGRAMS, len > 0);
		drop(stream);
		stream->told_hangup = true;
		stream->notice_flags |= VSW_MSG_F_READABLE | VSW_MSG_F_HANGUP;
	}
}

void
vsw_datagram_write(struct vsw_stream *stream)
{
	if (stream->is_dead) {
		lose(stream);
		return;
	}
	while (stream->backlog.first_loan != NULL) {
		if (!collect_one(stream))
			return;
	}
	if (stream->shut_send)
		deliver(stream);
}

void
vsw_datagram_close(struct vsw_stream *stream, bool is_complete)
{
	if (is_complete)
		stream->shut_send = true;
	else
		stream->is_dead = true;
}
