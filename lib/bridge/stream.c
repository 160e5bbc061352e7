/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host stream.
 *
 * Its socket is in epoll once, edge-triggered, for both directions, so that no packet costs an
 * epoll_ctl(). Edges must then not be lost:
 *
 * Input. An edge makes a NOTICE(READABLE), one, after which the poll role READs whenever it
 * has room until it is told DRAINED (or EOF); edges meanwhile are no news and cost no message.
 * DRAINED is said when the socket was empty at some moment T after all events that epoll has
 * handed over so far were looked at (messages are never handled between epoll_wait() and the
 * last event's delivery). What arrives after T raises an edge after T, which makes a new
 * NOTICE, behind the DRAINED in the same queue. That the socket is empty is known from EAGAIN,
 * or, at half the price of another round of messages, from FIONREAD after a short read. A
 * short read alone does not say so: a read also stops at the end of a piece that carried
 * descriptors.
 *
 * End of file. EAGAIN rules it out at T. FIONREAD does not: the end may be in the socket
 * already. If its edge (RDHUP, HUP) was looked at before, no other will come, so DRAINED is not
 * said and the next READ finds the end. If the edge was not looked at yet, it will be, and
 * makes a NOTICE.
 *
 * Output. The socket is written until it says EAGAIN, never less: only then an edge for its
 * room is certain, and only then a host that shut its read side in the middle is noticed.
 *
 * OK. Clients of firecracker-go-sdk and Kata read it by a buffered reader, which they throw away
 * with all that came along. So payload waits until OK was read: then SIOCOUTQ is 0, and the
 * kernel raises an edge for output when it frees the piece; just after the edge (sock_wfree()) it
 * may still be 1, and there is no other edge, so 1 is 0, too: a piece is hundreds. A reader that
 * has shut its read side or gone is told by the write that fails; also one of nothing does.
 *
 * Guest memory that its VMM has cut off is EFAULT in the calls, and SIGBUS, which lib/base/guard.c
 * handles, where small pieces are packed: the guest is given up.
 *
 * Descriptors that a host application sends along (SCM_RIGHTS) are closed by the kernel,
 * because nobody here offers a control buffer.
 */
#include "stream.h"

#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "vsw_clock.h"
#include "vsw_guard.h"
#include "vsw_iov.h"

/* A piece costs the kernel some 70 ns beside its bytes, so those of up to 256 are packed, 16 KiB
 * of them in one call: 64-byte packets are a third faster. Pieces of 1 KiB gain nothing. */
#define PACKED_PIECE_MAX 256
#define PACKED_MAX (16u * 1024)

static ssize_t
send_iov(int fd, struct iovec *iov, unsigned int n)
{
	const struct msghdr hdr = {.msg_iov = iov, .msg_iovlen = n};
	ssize_t len;

	do {
		len = sendmsg(fd, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (len < 0 && errno == EINTR);
	return len;
}

void
vsw_stream_greet(struct vsw_stream *stream, uint32_t port)
{
	char ok[sizeof("OK 4294967295\n")];
	int len = snprintf(ok, sizeof(ok), "OK %u\n", port);

	/* A host that is gone already may still have sent something: it goes to the guest. */
	stream->awaits_greeting =
		send(stream->watch.fd, ok, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) == len;
}

/* Has the host read OK, if it was told? */
static bool
is_greeted(struct vsw_stream *stream)
{
	int unread = 0;

	if (stream->awaits_greeting)
		stream->awaits_greeting =
			ioctl(stream->watch.fd, SIOCOUTQ, &unread) == 0 && unread > 1 &&
			send(stream->watch.fd, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT) == 0;
	return !stream->awaits_greeting;
}

void
vsw_stream_lend(struct vsw_stream *stream, struct vsw_msg *msg)
{
	vsw_backlog_lend(&stream->backlog, msg);
}

void
vsw_stream_return(struct vsw_stream *stream, struct vsw_msg *loans, int result)
{
	while (loans != NULL) {
		struct vsw_msg *msg = loans;

		loans = msg->next;
		msg->result = result;
		vsw_msg_reply(stream->guest->poll_loop, msg, VSW_MSG_WROTE);
	}
}

static void
note_readable(struct vsw_stream *stream)
{
	if (stream->told_readable)
		return;
	stream->told_readable = true;
	stream->notice_flags |= VSW_MSG_F_READABLE;
}

static void
note_hangup(struct vsw_stream *stream)
{
	if (stream->told_hangup)
		return;
	stream->told_hangup = true;
	stream->notice_flags |= VSW_MSG_F_HANGUP;
}

/* The host reads no more, so what waits for it is as good as taken. It may still have sent
 * something: reading goes on. */
static void
die(struct vsw_stream *stream, int error)
{
	size_t len = vsw_backlog_len(&stream->backlog);

	stream->is_dead = true;
	vsw_stream_return(stream, vsw_backlog_take(&stream->backlog, len), -error);
	note_hangup(stream);
}

static void
took(struct vsw_stream *stream, size_t len)
{
	struct vsw_msg *loans = vsw_backlog_take(&stream->backlog, len);
	uint64_t since = vsw_backlog_timed(&stream->backlog);

	if (since != 0)
		vsw_hist_add(&stream->account->hists.of[VSW_HIST_WAIT_TO_HOST],
			     vsw_us_since(since));
	vsw_stream_return(stream, loans, 0);
}

/* Small pieces that follow each other are copied together. @return how many there are now. */
static unsigned int
pack_small(struct iovec *iov, unsigned int n)
{
	static _Thread_local uint8_t buf[PACKED_MAX];
	size_t used = 0;
	unsigned int n_out = 0;
	bool is_packing = false;

	for (unsigned int i = 0; i < n; i++) {
		size_t len = iov[i].iov_len;

		if (len > PACKED_PIECE_MAX || used + len > sizeof(buf)) {
			iov[n_out++] = iov[i];
			is_packing = false;
			continue;
		}
		memcpy(buf + used, iov[i].iov_base, len);
		if (is_packing)
			iov[n_out - 1].iov_len += len;
		else
			iov[n_out++] = (struct iovec){buf + used, len};
		used += len;
		is_packing = true;
	}
	return n_out;
}

ssize_t
vsw_stream_send(struct vsw_stream *stream)
{
	static _Thread_local struct iovec iov[IOV_MAX];
	unsigned int n = vsw_backlog_peek(&stream->backlog, iov, IOV_MAX);

	return send_iov(stream->watch.fd, iov, pack_small(iov, n));
}

/* @return true: all is written; false: the socket is full, or dead. */
static bool
write_backlog(struct vsw_stream *stream)
{
	while (!vsw_backlog_is_empty(&stream->backlog)) {
		ssize_t len = vsw_stream_send(stream);

		if (len < 0) {
			if (errno == EFAULT)
				vsw_guard_lose(stream->guest_id, VSW_LOSS_MEMORY);
			if (errno != EAGAIN)
				die(stream, errno);
			return false;
		}
		took(stream, (size_t)len);
	}
	return true;
}

/* Copy loans behind the spill, so that they can go back. There is room: the guest sends no more
 * than it was promised (lib/poll/window.c). */
static void
spill_loans(struct vsw_stream *stream)
{
	while (stream->backlog.first_loan != NULL) {
		size_t before = stream->backlog.spill.len;
		struct vsw_msg *msg = vsw_backlog_spill(&stream->backlog);

		vsw_count(&stream->account->counters, VSW_CTR_SPILLED_BYTES,
			  stream->backlog.spill.len - before);
		if (msg == NULL) { /* no memory */
			vsw_count(&stream->account->counters, VSW_CTR_RESET_NO_MEMORY, 1);
			die(stream, ENOMEM);
			return;
		}
		vsw_stream_return(stream, msg, 0);
	}
}

bool
vsw_stream_write(struct vsw_stream *stream)
{
	size_t spilled = stream->backlog.spill.len;
	uint32_t unreported = stream->backlog.n_unreported;
	const struct vsw_msg *first_loan = stream->backlog.first_loan;

	if (stream->is_datagram) {
		vsw_datagram_write(stream);
		return false;
	}
	if (stream->is_dead)
		die(stream, EPIPE);
	else if (!vsw_stream_is_flushed(stream) && (!is_greeted(stream) || !write_backlog(stream)))
		spill_loans(stream);
	if (stream->shut_send && vsw_stream_is_flushed(stream)) {
		stream->shut_send = false;
		shutdown(stream->watch.fd, SHUT_WR);
	}
	return stream->backlog.spill.len < spilled || stream->backlog.n_unreported != unreported ||
	       stream->backlog.first_loan != first_loan;
}

bool
vsw_stream_is_flushed(const struct vsw_stream *stream)
{
	return vsw_backlog_is_empty(&stream->backlog);
}

void
vsw_stream_read(struct vsw_stream *stream, struct vsw_msg *msg)
{
	const size_t wanted = vsw_iov_len(msg->segs, msg->n_segs);
	struct msghdr hdr = {.msg_iov = msg->segs, .msg_iovlen = msg->n_segs};
	ssize_t len;
	int left;

	if (stream->is_datagram) { /* nothing ever comes; who reads was told of the end */
		msg->len = 0;
		msg->flags = VSW_MSG_F_EOF;
		return;
	}
	do {
		len = recvmsg(stream->watch.fd, &hdr, MSG_DONTWAIT);
	} while (len < 0 && errno == EINTR);

	if (len < 0 && errno == EFAULT)
		vsw_guard_lose(stream->guest_id, VSW_LOSS_MEMORY);
	msg->len = len > 0 ? (uint32_t)len : 0;
	msg->flags = 0;
	if (len < 0 && errno == EAGAIN)
		msg->flags = VSW_MSG_F_DRAINED;
	else if (len <= 0) /* ECONNRESET: the host closed with data unread; nothing more comes */
		msg->flags = VSW_MSG_F_EOF;
	else if ((size_t)len < wanted && !stream->read_hangup &&
		 ioctl(stream->watch.fd, FIONREAD, &left) == 0 && left == 0)
		msg->flags = VSW_MSG_F_DRAINED;
	if (msg->flags & VSW_MSG_F_DRAINED)
		stream->told_readable = false;
}

bool
vsw_stream_notify(struct vsw_stream *stream)
{
	struct vsw_msg *msg;

	if (stream->conn == NULL ||
	    (stream->backlog.n_unreported == 0 && stream->notice_flags == 0))
		return true;
	msg = vsw_msg_alloc(VSW_MSG_NOTICE);
	if (msg == NULL)
		return false;
	msg->guest = stream->guest;
	msg->conn = stream->conn;
	msg->len = stream->backlog.n_unreported;
	msg->flags = stream->notice_flags;
	stream->backlog.n_unreported = 0;
	stream->notice_flags = 0;
	vsw_msg_send(stream->guest->poll_loop, msg);
	return true;
}

void
vsw_stream_event(struct vsw_stream *stream, uint32_t events)
{
	if (stream->is_datagram)
		return; /* there may be room; that is all that matters */
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		stream->read_hangup = true;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		note_readable(stream);
	if (events & (EPOLLHUP | EPOLLERR))
		note_hangup(stream);
}
