/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves the bridge by its messages: what it says to the poll role, and what the host's end of
 * each socket sees. Two loops are stepped by hand, the bridge's and one that plays the poll
 * role and writes down what it is told.
 *
 * Loans written are counted against what came back: every byte lent is reported exactly once,
 * in a WROTE or in a NOTICE, and every message is back at the end of each test.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "eal.h"

#include "msg_pool.h"
#include "vsw_bridge.h"
#include "vsw_limits.h"
#include "vsw_stats.h"
#include "vsw_guest_conf.h"

#define N_MSGS 512
#define FLUSH_TIMEOUT_MS 1600
#define CONN ((void *)0x1234)
#define TOLD_MAX 4096

static struct {
	struct vsw_loop *bridge_loop, *poll_loop;
	struct vsw_bridge *bridge;
	const struct vsw_counters *counters; /* of the guest's account */
	struct vsw_guest_conf guest;
	char dir[32];

	/* What the poll role was told, in order; the test takes it off. */
	struct vsw_msg *told[TOLD_MAX];
	unsigned int n_told, n_taken;
	/* Bytes of WRITEs that have left: by WROTE and by NOTICE. */
	uint64_t n_left;
	unsigned int n_wrote; /* messages */
} t;

static unsigned int
count_free(void)
{
	struct vsw_msg *first = NULL, *msg;
	unsigned int n = 0;

	while ((msg = vsw_msg_alloc(VSW_MSG_WRITE)) != NULL) {
		msg->next = first;
		first = msg;
		n++;
	}
	while ((msg = first) != NULL) {
		first = msg->next;
		vsw_msg_free(msg);
	}
	return n;
}

/* Loans and notices that only move bytes are settled at once; the rest is for the test. */
static void
on_told(void *ctx, struct vsw_msg *msg)
{
	if (msg->verb == VSW_MSG_WROTE || msg->verb == VSW_MSG_NOTICE) {
		t.n_left += msg->len;
		t.n_wrote += msg->verb == VSW_MSG_WROTE;
		if (msg->result == 0 && msg->flags == 0) {
			vsw_msg_free(msg);
			return;
		}
	}
	assert_true(t.n_told < TOLD_MAX);
	t.told[t.n_told++] = msg;
}

/* As the control role does; here its loop is the poll role's. */
static void
open_account(void)
{
	struct vsw_msg *msg = vsw_msg_alloc(VSW_MSG_OPEN_ACCOUNT);

	msg->guest = &t.guest;
	msg->reply_to = t.poll_loop;
	vsw_msg_send(t.bridge_loop, msg);
	vsw_loop_turn(t.bridge_loop);
	vsw_loop_turn(t.poll_loop);
	t.counters = t.told[t.n_taken]->tally->counters;
	vsw_msg_free(t.told[t.n_taken++]);
}

static int
setup(void **state)
{
	static const enum vsw_verb verbs[] = {
		VSW_MSG_ACCOUNT_OPEN, VSW_MSG_ACCOUNT_CLOSED, VSW_MSG_OPENED, VSW_MSG_INCOMING,
		VSW_MSG_WROTE,        VSW_MSG_FILLED,         VSW_MSG_NOTICE, VSW_MSG_CLOSED,
		VSW_MSG_QUIET,        VSW_MSG_PASSED};

	memset(&t, 0, sizeof(t));
	if (vsw_msg_pool_create(N_MSGS) != 0)
		return -1;
	strcpy(t.dir, "/tmp/vsw-unit-XXXXXX");
	if (mkdtemp(t.dir) == NULL)
		return -1;
	t.bridge_loop = vsw_loop_create(0, VSW_IDLE_POLL);
	t.poll_loop = vsw_loop_create(1, VSW_IDLE_POLL);
	if (t.bridge_loop == NULL || t.poll_loop == NULL)
		return -1;
	t.bridge = vsw_bridge_create(t.bridge_loop, FLUSH_TIMEOUT_MS);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(verbs); i++)
		vsw_loop_on_msg(t.poll_loop, verbs[i], on_told, NULL);
	t.guest = (struct vsw_guest_conf){
		.id = 7,
		.cid = 3,
		.buf_alloc = 262144,
		.spill_budget = 1 << 20, /* of datagrams */
		.poll_loop = t.poll_loop,
		.bridge_loop = t.bridge_loop,
	};
	snprintf(t.guest.uds_path, sizeof(t.guest.uds_path), "%s/vm", t.dir);
	if (t.bridge == NULL)
		return -1;
	open_account();
	return t.counters != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	unsigned int n, size = vsw_msg_pool_size();

	vsw_bridge_destroy(t.bridge);
	while (t.n_taken < t.n_told)
		vsw_msg_free(t.told[t.n_taken++]);
	vsw_loop_destroy(t.bridge_loop);
	vsw_loop_destroy(t.poll_loop);
	n = count_free();
	vsw_msg_pool_destroy();
	rmdir(t.dir);
	if (n != size)
		print_error("%u of %u messages are back\n", n, size);
	return n == size ? 0 : -1;
}

static void
turn(void)
{
	vsw_loop_turn(t.bridge_loop);
	vsw_loop_turn(t.poll_loop);
}

static void
turns(int n)
{
	while (n-- > 0)
		turn();
}

static uint64_t
counter(enum vsw_counter c)
{
	return t.counters->value[c];
}

/* What the poll role is told next must be this. The test frees it. */
static struct vsw_msg *
expect(enum vsw_verb verb)
{
	struct vsw_msg *msg;

	WAIT_UNTIL(t.n_taken < t.n_told, turn(), "'%s'", vsw_msg_verb_str(verb));
	msg = t.told[t.n_taken++];
	if (msg->verb != verb)
		fail_msg("expected '%s', was told '%s'", vsw_msg_verb_str(verb),
			 vsw_msg_verb_str(msg->verb));
	if (t.n_taken == t.n_told)
		t.n_taken = t.n_told = 0;
	return msg;
}

static void
expect_notice(uint8_t flags)
{
	struct vsw_msg *msg = expect(VSW_MSG_NOTICE);

	assert_int_equal(msg->flags, flags);
	assert_ptr_equal(msg->conn, CONN);
	vsw_msg_free(msg);
}

static void
expect_nothing(void)
{
	turns(20);
	if (t.n_taken < t.n_told)
		fail_msg("expected nothing, was told '%s'",
			 vsw_msg_verb_str(t.told[t.n_taken]->verb));
}

/* Edges that may be told or not, and are nothing to the test. */
static void
take_notices(void)
{
	while (t.n_taken < t.n_told) {
		assert_int_equal(t.told[t.n_taken]->verb, VSW_MSG_NOTICE);
		vsw_msg_free(t.told[t.n_taken++]);
	}
}

static struct vsw_msg *
new_msg(enum vsw_verb verb, void *stream)
{
	struct vsw_msg *msg = vsw_msg_alloc(verb);

	assert_non_null(msg);
	msg->guest = &t.guest;
	msg->conn = CONN;
	msg->stream = stream;
	return msg;
}

static void
tell(enum vsw_verb verb, void *stream, uint8_t flags)
{
	struct vsw_msg *msg = new_msg(verb, stream);

	msg->flags = flags;
	msg->port = 1025;
	vsw_msg_send(t.bridge_loop, msg);
}

/* A stream that the guest has not accepted yet. @return the stream; host: the other end. */
static void *
adopt(int type, int *host)
{
	struct vsw_msg *msg = new_msg(VSW_MSG_ADOPT, NULL);
	void *stream;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	msg->conn = NULL;
	msg->fd = fd[0];
	msg->port = 22;
	vsw_msg_send(t.bridge_loop, msg);
	msg = expect(VSW_MSG_INCOMING);
	assert_int_equal(msg->port, 22);
	assert_ptr_equal(msg->guest, &t.guest);
	stream = msg->stream;
	assert_non_null(stream);
	vsw_msg_free(msg);
	*host = fd[1];
	return stream;
}

static void *
open_stream(int type, int *host)
{
	void *stream = adopt(type, host);
	char ok[16];

	tell(VSW_MSG_ACCEPT, stream, 0);
	turns(4);
	assert_int_equal(recv(*host, ok, sizeof(ok), 0), 8);
	assert_memory_equal(ok, "OK 1025\n", 8);
	return stream;
}

/* Say CLOSE and see the host read its end. */
static void
close_stream(void *stream, int host)
{
	struct pollfd pfd = {.fd = host, .events = POLLRDHUP};

	tell(VSW_MSG_CLOSE, stream, 0);
	vsw_msg_free(expect(VSW_MSG_CLOSED));
	WAIT_UNTIL(poll(&pfd, 1, 0) == 1, turn(), "the host's end of file");
	close(host);
}

/* The byte at each place of the one pattern that all data is. */
static uint8_t
byte_at(uint64_t pos)
{
	return (uint8_t)(pos * 37 + pos / 255);
}

/* Guest memory: what WRITEs lend. Filled with the pattern; changed once a loan is back. */
static uint8_t memory[8 << 20];

static void
fill_memory(void)
{
	for (size_t i = 0; i < sizeof(memory); i++)
		memory[i] = byte_at(i);
}

static void
lend(void *stream, uint64_t pos, uint32_t len, unsigned int n_segs)
{
	struct vsw_msg *msg = new_msg(VSW_MSG_WRITE, stream);
	uint32_t done = 0;

	for (unsigned int i = 0; i < n_segs; i++) {
		uint32_t part = (len - done) / (n_segs - i);

		msg->segs[i] = (struct iovec){&memory[pos + done], part};
		done += part;
	}
	msg->n_segs = (uint16_t)n_segs;
	msg->len = len;
	vsw_msg_send(t.bridge_loop, msg);
}

static void
check_bytes(const uint8_t *data, size_t len, uint64_t pos)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] != byte_at(pos + i))
			fail_msg("byte %lu is wrong", (unsigned long)(pos + i));
	}
}

/* The host reads everything up to pos end. */
static void
host_reads(int host, uint64_t from, uint64_t end)
{
	static uint8_t buf[65536];

	while (from < end) {
		ssize_t n = -1;

		WAIT_UNTIL((n = recv(host, buf, end - from < sizeof(buf) ? end - from : sizeof(buf),
				     MSG_DONTWAIT)) >= 0,
			   turn(), "the host's data at %lu of %lu", (unsigned long)from,
			   (unsigned long)end);
		if (n == 0)
			fail_msg("the stream ended at %lu of %lu", (unsigned long)from,
				 (unsigned long)end);
		check_bytes(buf, (size_t)n, from);
		from += (uint64_t)n;
	}
}

static void
host_reads_eof(int host)
{
	char byte;
	ssize_t n;

	WAIT_UNTIL((n = recv(host, &byte, 1, MSG_DONTWAIT)) >= 0 || errno != EAGAIN, turn(),
		   "the end of the host's stream");
	assert_int_equal(n, 0);
}

/* READ up to len bytes into two buffers. @return FILLED's flags; got: bytes. */
static uint8_t
read_stream(void *stream, uint8_t *buf, uint32_t len, uint32_t *got)
{
	struct vsw_msg *msg = new_msg(VSW_MSG_READ, stream);
	uint8_t flags;

	msg->segs[0] = (struct iovec){buf, len / 3};
	msg->segs[1] = (struct iovec){buf + len / 3, len - len / 3};
	msg->n_segs = 2;
	vsw_msg_send(t.bridge_loop, msg);
	for (;;) {
		WAIT_UNTIL(t.n_taken < t.n_told, turn(), "'filled'");
		msg = t.told[t.n_taken++];
		if (msg->verb == VSW_MSG_FILLED)
			break;
		/* an edge that is no news any more when the READ is answered */
		assert_int_equal(msg->verb, VSW_MSG_NOTICE);
		vsw_msg_free(msg);
	}
	if (t.n_taken == t.n_told)
		t.n_taken = t.n_told = 0;
	*got = msg->len;
	flags = msg->flags;
	assert_true(*got <= len);
	vsw_msg_free(msg);
	return flags;
}

/*
 * Guest to host: CONNECT.
 */

static int
listen_at(uint32_t port, int backlog)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/vm_%u", t.dir, port);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	if (backlog >= 0)
		assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static void
unlink_port(uint32_t port)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/vm_%u", t.dir, port);
	unlink(path);
}

static int
connect_result(uint32_t port, void **stream)
{
	struct vsw_msg *msg = new_msg(VSW_MSG_CONNECT, NULL);
	int result;

	msg->port = port;
	vsw_msg_send(t.bridge_loop, msg);
	msg = expect(VSW_MSG_OPENED);
	result = msg->result;
	*stream = msg->stream;
	assert_ptr_equal(msg->conn, CONN);
	assert_true((result == 0) == (*stream != NULL));
	vsw_msg_free(msg);
	return result;
}

static void
test_connect_opens_or_says_why_not(void **state)
{
	int listener = listen_at(4294967295u, 1), silent = listen_at(53, -1), host, peer;
	void *stream;

	assert_int_equal(connect_result(52, &stream), -ENOENT);
	assert_int_equal(connect_result(53, &stream), -ECONNREFUSED);
	assert_int_equal(connect_result(4294967295u, &stream), 0);
	host = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	assert_true(host >= 0);
	lend(stream, 0, 100, 1);
	host_reads(host, 0, 100);
	close_stream(stream, host);

	/* listen(1) admits two; the third is told at once, and nothing waits */
	assert_int_equal(connect_result(4294967295u, &stream), 0);
	tell(VSW_MSG_CLOSE, stream, 0);
	vsw_msg_free(expect(VSW_MSG_CLOSED));
	assert_int_equal(connect_result(4294967295u, &stream), 0);
	tell(VSW_MSG_CLOSE, stream, 0);
	vsw_msg_free(expect(VSW_MSG_CLOSED));
	for (int i = 0; i < 5; i++)
		assert_int_equal(connect_result(4294967295u, &stream), -EAGAIN);
	peer = accept(listener, NULL, NULL);
	assert_int_equal(connect_result(4294967295u, &stream), 0);
	tell(VSW_MSG_CLOSE, stream, 0);
	vsw_msg_free(expect(VSW_MSG_CLOSED));
	close(peer);
	close(listener);
	close(silent);
	unlink_port(4294967295u);
	unlink_port(53);
}

static void
test_connect_to_a_path_that_is_too_long(void **state)
{
	void *stream;

	memset(t.guest.uds_path, 'a', sizeof(t.guest.uds_path) - 1);
	assert_int_equal(connect_result(52, &stream), -ENAMETOOLONG);
}

/*
 * Host to guest: ADOPT, ACCEPT, refusal.
 */

static void
test_nothing_is_said_before_accept_and_all_of_it_after(void **state)
{
	uint8_t buf[64];
	uint32_t got;
	void *stream;
	int host;
	char ok[16];

	stream = adopt(SOCK_STREAM, &host);
	assert_int_equal(send(host, "early", 5, 0), 5);
	shutdown(host, SHUT_WR);
	expect_nothing();
	assert_int_equal(recv(host, ok, sizeof(ok), MSG_DONTWAIT), -1);

	tell(VSW_MSG_ACCEPT, stream, 0);
	expect_notice(VSW_MSG_F_READABLE);
	assert_int_equal(recv(host, ok, sizeof(ok), MSG_DONTWAIT), 8);
	assert_memory_equal(ok, "OK 1025\n", 8);
	read_stream(stream, buf, sizeof(buf), &got);
	assert_int_equal(got, 5);
	assert_memory_equal(buf, "early", 5);
	assert_int_equal(read_stream(stream, buf, sizeof(buf), &got), VSW_MSG_F_EOF);
	close_stream(stream, host);
}

static void
test_a_refused_host_reads_an_end_and_no_byte(void **state)
{
	int host;
	void *stream = adopt(SOCK_STREAM, &host);

	/* unread data must not make it ECONNRESET */
	assert_int_equal(send(host, "CONNECT and more", 16, 0), 16);
	turns(4);
	tell(VSW_MSG_CLOSE, stream, 0);
	vsw_msg_free(expect(VSW_MSG_CLOSED));
	host_reads_eof(host);
	expect_nothing();
	close(host);
}

static void
test_a_host_that_is_gone_at_ok_has_still_sent_its_data(void **state)
{
	uint8_t buf[64];
	uint32_t got;
	int host;
	void *stream = adopt(SOCK_STREAM, &host);
	struct vsw_msg *msg;

	assert_int_equal(send(host, "farewell", 8, 0), 8);
	close(host);
	turns(4);
	tell(VSW_MSG_ACCEPT, stream, 0);
	msg = expect(VSW_MSG_NOTICE);
	assert_true(msg->flags & VSW_MSG_F_READABLE);
	assert_true(msg->flags & VSW_MSG_F_HANGUP);
	vsw_msg_free(msg);
	read_stream(stream, buf, sizeof(buf), &got);
	assert_int_equal(got, 8);
	assert_memory_equal(buf, "farewell", 8);
	assert_int_equal(read_stream(stream, buf, sizeof(buf), &got), VSW_MSG_F_EOF);
	tell(VSW_MSG_CLOSE, stream, 0);
	vsw_msg_free(expect(VSW_MSG_CLOSED));
}

/* A reader that takes as much as there is, and throws away what is behind OK, loses nothing. */
static void
test_payload_waits_until_ok_was_read(void **state)
{
	int host;
	void *stream = adopt(SOCK_STREAM, &host);
	char buf[64];

	tell(VSW_MSG_ACCEPT, stream, 0);
	lend(stream, 0, 1000, 1);
	tell(VSW_MSG_SHUTDOWN, stream, VSW_MSG_F_SHUT_SEND);
	turns(20);
	assert_int_equal(recv(host, buf, 3, 0), 3);
	assert_int_equal(recv(host, buf, sizeof(buf), MSG_PEEK), 5);
	turns(20);
	assert_int_equal(recv(host, buf, sizeof(buf), 0), 5);
	assert_memory_equal(buf, "1025\n", 5);
	host_reads(host, 0, 1000);
	host_reads_eof(host);
	WAIT_UNTIL(t.n_wrote == 1, turn(), "the loan");
	take_notices();
	close_stream(stream, host);
}

/* It cannot read OK any more, and does not hold up what would be behind it. */
static void
test_who_will_not_read_ok_is_missed(void **state)
{
	int host;
	void *stream = adopt(SOCK_STREAM, &host);

	tell(VSW_MSG_ACCEPT, stream, 0);
	lend(stream, 0, 1000, 1);
	turns(20);
	shutdown(host, SHUT_RD);
	expect_notice(VSW_MSG_F_HANGUP);
	close_stream(stream, host);
}

/*
 * Writing.
 */

/* A record socket shows what one system call wrote. */
static void
test_loans_of_a_burst_are_one_write(void **state)
{
	static uint8_t buf[65536];
	int host;
	void *stream = open_stream(SOCK_SEQPACKET, &host);
	uint64_t pos = 0;

	for (int i = 0; i < 32; i++, pos += 1000)
		lend(stream, pos, 1000, 1 + (unsigned int)i % 30);
	turn();
	assert_int_equal(recv(host, buf, sizeof(buf), MSG_DONTWAIT), 32000);
	check_bytes(buf, 32000, 0);
	assert_int_equal(recv(host, buf, sizeof(buf), MSG_DONTWAIT), -1);
	turn();
	assert_int_equal(t.n_wrote, 32);
	assert_int_equal(t.n_left, 32000);
	close_stream(stream, host);
}

/* More pieces of 10 bytes than the 1024 that one system call takes. */
static void
test_more_pieces_than_one_call_takes_are_two_writes(void **state)
{
	static uint8_t buf[65536];
	int host;
	void *stream = open_stream(SOCK_SEQPACKET, &host);

	for (int i = 0; i < 40; i++)
		lend(stream, (uint64_t)i * 300, 300, 30);
	turns(3);
	assert_int_equal(recv(host, buf, sizeof(buf), MSG_DONTWAIT), 1024 * 10);
	check_bytes(buf, 1024 * 10, 0);
	assert_int_equal(recv(host, buf, sizeof(buf), MSG_DONTWAIT), 40 * 300 - 1024 * 10);
	check_bytes(buf, 40 * 300 - 1024 * 10, 1024 * 10);
	assert_int_equal(t.n_wrote, 40);
	assert_int_equal(t.n_left, 40 * 300);
	close_stream(stream, host);
}

static void
test_what_the_socket_does_not_take_is_spilled_at_once(void **state)
{
	int host;
	void *stream = open_stream(SOCK_STREAM, &host);
	uint64_t total = 0;

	/* far more than a socket buffer, far less than the budget beyond it */
	for (int i = 0; i < 16; i++, total += 60000)
		lend(stream, total, 60000, 17);
	WAIT_UNTIL(t.n_wrote == 16, turn(), "all loans");
	assert_true(t.n_left < total);
	assert_int_equal(counter(VSW_CTR_SPILLED_BYTES), total - t.n_left);
	/* the loans are back: the guest may do with its memory what it likes */
	memset(memory, 0xee, total);
	host_reads(host, 0, total);
	WAIT_UNTIL(t.n_left == total, turn(), "the rest of the bytes in notices: %lu of %lu",
		   (unsigned long)t.n_left, (unsigned long)total);
	fill_memory();
	close_stream(stream, host);
}

static void
test_a_host_that_reads_no_more_is_told_once_and_drops_what_comes(void **state)
{
	struct vsw_msg *msg;
	int host;
	void *stream = open_stream(SOCK_STREAM, &host);

	close(host);
	expect_notice(VSW_MSG_F_READABLE | VSW_MSG_F_HANGUP);
	for (int i = 0; i < 3; i++) {
		lend(stream, 0, 1000, 1);
		msg = expect(VSW_MSG_WROTE);
		assert_true(msg->result < 0);
		assert_int_equal(msg->len, 1000); /* as good as taken */
		vsw_msg_free(msg);
	}
	expect_nothing();
	tell(VSW_MSG_CLOSE, stream, 0);
	vsw_msg_free(expect(VSW_MSG_CLOSED));
}

/* shutdown(SHUT_RD) of a host raises no event: the next write finds it. */
static void
test_a_host_that_shuts_its_read_side_is_found_by_the_next_write(void **state)
{
	struct vsw_msg *msg;
	uint8_t buf[64];
	uint32_t got;
	int host;
	void *stream = open_stream(SOCK_STREAM, &host);

	shutdown(host, SHUT_RD);
	turns(4);
	lend(stream, 0, 1000, 1);
	msg = expect(VSW_MSG_WROTE);
	assert_true(msg->result < 0);
	assert_int_equal(t.n_left, 1000);
	vsw_msg_free(msg);
	msg = expect(VSW_MSG_NOTICE);
	assert_true(msg->flags & VSW_MSG_F_HANGUP);
	vsw_msg_free(msg);
	/* the other direction lives */
	assert_int_equal(send(host, "still here", 10, 0), 10);
	turns(4);
	take_notices();
	read_stream(stream, buf, sizeof(buf), &got);
	assert_int_equal(got, 10);
	close_stream(stream, host);
}

/*
 * Shutdown.
 */

static void
test_shutdown_send_comes_after_what_was_spilled(void **state)
{
	uint8_t buf[64];
	uint32_t got;
	int host;
	void *stream = open_stream(SOCK_STREAM, &host);
	uint64_t total = 0;

	for (int i = 0; i < 16; i++, total += 60000)
		lend(stream, total, 60000, 1);
	tell(VSW_MSG_SHUTDOWN, stream, VSW_MSG_F_SHUT_SEND);
	turns(20);
	assert_true(t.n_left < total);
	host_reads(host, 0, total);
	host_reads_eof(host);
	/* half: the host can still send */
	assert_int_equal(send(host, "reply", 5, MSG_NOSIGNAL), 5);
	expect_notice(VSW_MSG_F_READABLE);
	read_stream(stream, buf, sizeof(buf), &got);
	assert_int_equal(got, 5);
	close_stream(stream, host);
}

static void
test_shutdown_recv_makes_the_hosts_writes_fail(void **state)
{
	int host;
	void *stream = open_stream(SOCK_STREAM, &host);

	tell(VSW_MSG_SHUTDOWN, stream, VSW_MSG_F_SHUT_RECV);
	turns(4);
	assert_int_equal(send(host, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	lend(stream, 0, 500, 1);
	host_reads(host, 0, 500);
	take_notices();
	close_stream(stream, host);
}

/*
 * Reading.
 */

static void
test_readable_is_told_once_until_drained(void **state)
{
	uint8_t buf[64];
	uint32_t got;
	int host;
	void *stream = open_stream(SOCK_STREAM, &host);

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 5; i++) {
			assert_int_equal(send(host, "12345678", 8, 0), 8);
			turns(2);
		}
		expect_notice(VSW_MSG_F_READABLE);
		expect_nothing();
		assert_int_equal(read_stream(stream, buf, 16, &got), 0);
		assert_int_equal(got, 16);
		assert_int_equal(read_stream(stream, buf, 64, &got), VSW_MSG_F_DRAINED);
		assert_int_equal(got, 24);
		assert_int_equal(read_stream(stream, buf, 64, &got), VSW_MSG_F_DRAINED);
		assert_int_equal(got, 0);
		expect_nothing();
	}
	close_stream(stream, host);
}

static void
test_the_end_is_an_end_however_it_comes(void **state)
{
	uint8_t buf[64];
	uint32_t got;

	for (int how = 0; how < 4; how++) {
		int host;
		void *stream = open_stream(SOCK_STREAM, &host);
		struct vsw_msg *msg;

		if (how == 1) { /* unread data at the host: ECONNRESET here */
			lend(stream, 0, 100, 1);
			turns(4);
		}
		assert_int_equal(send(host, "last", 4, 0), 4);
		if (how == 2)
			turns(4); /* the data's edge comes first */
		if (how == 3)
			shutdown(host, SHUT_WR);
		else
			close(host);
		msg = expect(VSW_MSG_NOTICE);
		assert_true(msg->flags & VSW_MSG_F_READABLE);
		vsw_msg_free(msg);
		turns(4);
		while (t.n_taken < t.n_told) {
			assert_int_equal(t.told[t.n_taken]->verb, VSW_MSG_NOTICE);
			assert_int_equal(t.told[t.n_taken]->flags, VSW_MSG_F_HANGUP);
			vsw_msg_free(t.told[t.n_taken++]);
		}
		/* never DRAINED: nothing would tell of the end any more */
		assert_int_equal(read_stream(stream, buf, sizeof(buf), &got) & VSW_MSG_F_DRAINED,
				 0);
		assert_int_equal(got, 4);
		assert_memory_equal(buf, "last", 4);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(read_stream(stream, buf, sizeof(buf), &got),
					 VSW_MSG_F_EOF);
			assert_int_equal(got, 0);
		}
		tell(VSW_MSG_CLOSE, stream, 0);
		vsw_msg_free(expect(VSW_MSG_CLOSED));
		if (how == 3)
			close(host);
	}
}

static unsigned int
count_fds(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void
send_with_fd(int host, const char *data, int fd)
{
	struct iovec iov = {(char *)(uintptr_t)data, strlen(data)};
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {.buf = ""};
	struct msghdr hdr = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&hdr);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	assert_int_equal(sendmsg(host, &hdr, MSG_NOSIGNAL), strlen(data));
}

/* A read stops at the end of a piece that carries descriptors: that is no end of data. */
static void
test_descriptors_that_a_host_sends_along_are_closed_and_cost_no_byte(void **state)
{
	uint8_t buf[256];
	uint32_t got, sum = 0;
	int host;
	void *stream = open_stream(SOCK_STREAM, &host);
	unsigned int before = count_fds();
	uint8_t flags;

	send_with_fd(host, "aaaa", 0);
	send_with_fd(host, "bbbb", 0);
	assert_int_equal(send(host, "cccc", 4, 0), 4);
	send_with_fd(host, "dddd", 0);
	expect_notice(VSW_MSG_F_READABLE);
	do {
		flags = read_stream(stream, buf + sum, sizeof(buf) - sum, &got);
		sum += got;
	} while (!(flags & VSW_MSG_F_DRAINED));
	assert_int_equal(sum, 16);
	assert_memory_equal(buf, "aaaabbbbccccdddd", 16);
	assert_int_equal(count_fds(), before);
	close_stream(stream, host);
}

/* A writer on another cpu that stops and goes: no edge is lost between READs. */
#define N_HAMMER (4u << 20)

static void *
write_all(void *arg)
{
	int fd = *(int *)arg;
	uint32_t x = 1;

	for (uint64_t done = 0; done < N_HAMMER;) {
		size_t len;
		ssize_t n;

		x = x * 1664525u + 1013904223u;
		len = (x >> 12) % 5000 + 1;
		if (len > N_HAMMER - done)
			len = N_HAMMER - done;
		n = send(fd, &memory[done], len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0)
			done += (uint64_t)n;
		else
			usleep(50);
		if (x >> 27 == 0)
			usleep(100);
	}
	shutdown(fd, SHUT_WR);
	return NULL;
}

static void
test_no_edge_is_lost_between_reads(void **state)
{
	static uint8_t buf[20000];
	uint64_t done = 0;
	pthread_t writer;
	uint32_t got;
	int host;
	void *stream = open_stream(SOCK_STREAM, &host);
	uint8_t flags = VSW_MSG_F_DRAINED;

	assert_int_equal(pthread_create(&writer, NULL, write_all, &host), 0);
	while (!(flags & VSW_MSG_F_EOF)) {
		if (flags & VSW_MSG_F_DRAINED) {
			struct vsw_msg *msg = expect(VSW_MSG_NOTICE);

			assert_int_equal(msg->flags, VSW_MSG_F_READABLE);
			vsw_msg_free(msg);
		}
		flags = read_stream(stream, buf, done % 3 ? 3732 : sizeof(buf), &got);
		check_bytes(buf, got, done);
		done += got;
	}
	assert_int_equal(done, N_HAMMER);
	pthread_join(writer, NULL);
	close_stream(stream, host);
}

/*
 * Closing.
 */

static void
expect_closed(void *stream, uint8_t flags)
{
	struct vsw_msg *msg;

	tell(VSW_MSG_CLOSE, stream, 0);
	msg = expect(VSW_MSG_CLOSED);
	assert_int_equal(msg->flags, flags);
	vsw_msg_free(msg);
}

/* What is left is reported as it leaves, and that nothing is left. */
static void
test_close_flushes_what_was_spilled(void **state)
{
	int host;
	void *stream = open_stream(SOCK_STREAM, &host);
	uint64_t total = 0;

	for (int i = 0; i < 16; i++, total += 60000)
		lend(stream, total, 60000, 1);
	turns(4);
	expect_closed(stream, VSW_MSG_F_FLUSHING);
	assert_true(t.n_left < total);
	host_reads(host, 0, total - 1);
	turns(4);
	host_reads(host, total - 1, total);
	host_reads_eof(host);
	expect_notice(VSW_MSG_F_FLUSHED);
	assert_int_equal(t.n_left, total);
	assert_int_equal(counter(VSW_CTR_FLUSH_TIMEOUTS), 0);
	expect_nothing(); /* of a connection that is over nothing is told */
	close(host);
}

static void
test_a_host_that_takes_nothing_loses_the_rest_in_the_end(void **state)
{
	static uint8_t buf[65536];
	unsigned int before = count_fds();
	int host;
	void *stream = open_stream(SOCK_STREAM, &host);
	uint64_t start, got = 0;
	ssize_t n;

	for (int i = 0; i < 16; i++)
		lend(stream, (uint64_t)i * 60000, 60000, 1);
	turns(4);
	start = now_ms();
	expect_closed(stream, VSW_MSG_F_FLUSHING);
	WAIT_UNTIL(counter(VSW_CTR_FLUSH_TIMEOUTS) == 1, turn(), "the flush to be given up");
	assert_true(now_ms() - start >= FLUSH_TIMEOUT_MS - 10);
	expect_notice(VSW_MSG_F_FLUSHED);
	assert_int_equal(t.n_left, 16 * 60000);    /* nothing waits any more */
	assert_int_equal(count_fds(), before + 1); /* the host's */
	while ((n = recv(host, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		check_bytes(buf, (size_t)n, got);
		got += (uint64_t)n;
	}
	assert_int_equal(n, 0);
	assert_true(got < 16 * 60000);
	close(host);
}

/* The deadline is for standing still, not for being slow. */
static void
test_a_slow_host_loses_nothing(void **state)
{
	int host;
	void *stream = open_stream(SOCK_STREAM, &host);
	uint64_t start = now_ms(), pos = 0;

	for (int i = 0; i < 16; i++)
		lend(stream, (uint64_t)i * 60000, 60000, 1);
	expect_closed(stream, VSW_MSG_F_FLUSHING);
	while (now_ms() - start < FLUSH_TIMEOUT_MS * 7 / 4) {
		uint64_t until = now_ms() + FLUSH_TIMEOUT_MS / 8;

		host_reads(host, pos, pos + 60000); /* the socket takes more when 3/4 are read */
		pos += 60000;
		while (now_ms() < until)
			turn();
	}
	host_reads(host, pos, 16 * 60000);
	host_reads_eof(host);
	expect_notice(VSW_MSG_F_FLUSHED);
	assert_int_equal(counter(VSW_CTR_FLUSH_TIMEOUTS), 0);
	close(host);
}

/* A message to which the bridge answers the control role. */
static void
ask(enum vsw_verb verb, enum vsw_verb answer)
{
	struct vsw_msg *msg = new_msg(verb, NULL);

	msg->reply_to = t.poll_loop;
	vsw_msg_send(t.bridge_loop, msg);
	vsw_msg_free(expect(answer));
}

/* From the BARRIER on the guest need not wait for its slow hosts, whether they were closed before
 * or are after; they lose nothing by it. */
static void
test_a_guest_that_leaves_does_not_wait(void **state)
{
	void *stream[2];
	int host[2];

	for (int i = 0; i < 2; i++) {
		stream[i] = open_stream(SOCK_STREAM, &host[i]);
		for (int k = 0; k < 16; k++)
			lend(stream[i], (uint64_t)k * 60000, 60000, 1);
	}
	turns(4);
	expect_closed(stream[0], VSW_MSG_F_FLUSHING);
	ask(VSW_MSG_BARRIER, VSW_MSG_PASSED);
	expect_notice(VSW_MSG_F_FLUSHED);
	expect_closed(stream[1], 0);
	ask(VSW_MSG_CLOSE_ACCOUNT, VSW_MSG_ACCOUNT_CLOSED);
	for (int i = 0; i < 2; i++) {
		host_reads(host[i], 0, 16 * 60000);
		host_reads_eof(host[i]);
		close(host[i]);
	}
	expect_nothing();
}

/*
 * FLUSH.
 */

static void
flush(uint32_t within_ms)
{
	struct vsw_msg *msg = new_msg(VSW_MSG_FLUSH, NULL);

	msg->reply_to = t.poll_loop;
	msg->port = within_ms;
	vsw_msg_send(t.bridge_loop, msg);
}

static void
test_flush_is_answered_when_all_is_written(void **state)
{
	int host;
	void *stream = open_stream(SOCK_STREAM, &host);
	uint64_t start = now_ms();

	flush(WAIT_MS * 10);
	vsw_msg_free(expect(VSW_MSG_QUIET)); /* nothing to write: at once */
	for (int i = 0; i < 16; i++)
		lend(stream, (uint64_t)i * 60000, 60000, 1);
	turns(4);
	flush(WAIT_MS * 10);
	expect_nothing();
	host_reads(host, 0, 16 * 60000);
	vsw_msg_free(expect(VSW_MSG_QUIET));
	assert_true(now_ms() - start < WAIT_MS * 10);
	close_stream(stream, host);
}

static void
test_flush_is_answered_when_its_time_is_over(void **state)
{
	int host;
	void *stream = open_stream(SOCK_STREAM, &host);
	uint64_t start;

	for (int i = 0; i < 16; i++)
		lend(stream, (uint64_t)i * 60000, 60000, 1);
	turns(4);
	start = now_ms();
	flush(100);
	vsw_msg_free(expect(VSW_MSG_QUIET));
	assert_true(now_ms() - start >= 95);
	host_reads(host, 0, 16 * 60000);
	close_stream(stream, host);
}

/*
 * Shortage, and the end of the bridge.
 */

static void
test_a_notice_waits_for_a_free_message(void **state)
{
	struct vsw_msg *first = NULL, *msg;
	int host;
	void *stream = open_stream(SOCK_STREAM, &host);

	while ((msg = vsw_msg_alloc(VSW_MSG_WRITE)) != NULL) {
		msg->next = first;
		first = msg;
	}
	assert_int_equal(send(host, "x", 1, 0), 1);
	expect_nothing();
	while ((msg = first) != NULL) {
		first = msg->next;
		vsw_msg_free(msg);
	}
	expect_notice(VSW_MSG_F_READABLE);
	close_stream(stream, host);
}

/* With bytes spilled, notices due and a FLUSH open; teardown counts messages. */
static void
test_a_bridge_that_goes_leaves_nothing(void **state)
{
	unsigned int before = count_fds();
	int host[3];
	void *stream;

	for (int i = 0; i < 3; i++) {
		stream = open_stream(SOCK_STREAM, &host[i]);
		for (int k = 0; k < 10; k++)
			lend(stream, (uint64_t)k * 50000, 50000, 1);
	}
	tell(VSW_MSG_CLOSE, stream, 0);
	flush(WAIT_MS * 10);
	turns(4);
	assert_int_equal(send(host[0], "x", 1, 0), 1);
	vsw_bridge_destroy(t.bridge);
	t.bridge = NULL;
	assert_int_equal(count_fds(), before + 3);
	for (int i = 0; i < 3; i++)
		close(host[i]);
}

/*
 * Datagram sockets.
 */

/* @return the stream to a datagram socket at port 54; host: that. */
static void *
open_datagram(int *host)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	void *stream;

	*host = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/vm_54", t.dir);
	unlink(addr.sun_path);
	assert_int_equal(bind(*host, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(connect_result(54, &stream), 0);
	return stream;
}

/* @return how many datagrams of one byte the socket at port 54 has taken. */
static int
fill_datagrams(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int n = 0, fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/vm_54", t.dir);
	while (sendto(fd, "x", 1, 0, (struct sockaddr *)&addr, sizeof(addr)) == 1)
		n++;
	assert_int_equal(errno, EAGAIN);
	close(fd);
	return n;
}

static void
close_datagram(void *stream, int host, uint8_t flags)
{
	tell(VSW_MSG_CLOSE, stream, flags);
	vsw_msg_free(expect(VSW_MSG_CLOSED));
	close(host);
	unlink_port(54);
}

static void
test_a_datagram_goes_when_the_guest_has_sent_it_all(void **state)
{
	static uint8_t buf[VSW_DATAGRAM_MAX];
	uint32_t got;
	int host;
	void *stream = open_datagram(&host);

	/* taken at once, whether it goes or not: the guest's window is not the limit */
	for (unsigned int i = 0; i < 16; i++) {
		lend(stream, i * 4096, 4096, 3);
		WAIT_UNTIL(t.n_left == (i + 1) * 4096, turn(), "a loan to come back");
	}
	expect_nothing();
	assert_int_equal(recv(host, buf, sizeof(buf), 0), -1);
	tell(VSW_MSG_SHUTDOWN, stream, VSW_MSG_F_SHUT_SEND);
	expect_notice(VSW_MSG_F_READABLE | VSW_MSG_F_HANGUP);
	assert_int_equal(recv(host, buf, sizeof(buf), MSG_TRUNC), 16 * 4096);
	check_bytes(buf, sizeof(buf), 0);
	assert_int_equal(read_stream(stream, buf, 300, &got), VSW_MSG_F_EOF);
	assert_int_equal(got, 0);
	assert_int_equal(counter(VSW_CTR_DATAGRAMS), 1);
	assert_int_equal(counter(VSW_CTR_SPILLED_BYTES), 0);
	close_datagram(stream, host, VSW_MSG_F_SHUT_SEND);
	turns(4);
	assert_int_equal(counter(VSW_CTR_DATAGRAMS), 1);
}

static void
test_a_datagram_that_cannot_be_is_lost_once(void **state)
{
	uint8_t byte;
	int host;
	void *stream = open_datagram(&host);

	/* too large */
	lend(stream, 0, VSW_DATAGRAM_MAX, 20);
	lend(stream, 0, 1, 1);
	lend(stream, 0, 1, 1);
	expect_notice(VSW_MSG_F_LOST);
	lend(stream, 0, 1, 1);
	tell(VSW_MSG_SHUTDOWN, stream, VSW_MSG_F_SHUT_SEND);
	expect_nothing();
	assert_int_equal(t.n_wrote, 4);
	assert_int_equal(recv(host, &byte, 1, 0), -1);
	assert_int_equal(counter(VSW_CTR_DATAGRAMS_TOO_LARGE), 1);
	assert_int_equal(counter(VSW_CTR_DATAGRAMS_LOST), 0);
	close_datagram(stream, host, VSW_MSG_F_SHUT_SEND);

	/* no room to collect it */
	t.guest.spill_budget = 1000;
	stream = open_datagram(&host);
	lend(stream, 0, 1000, 1);
	expect_nothing();
	lend(stream, 0, 1, 1);
	expect_notice(VSW_MSG_F_LOST);
	assert_int_equal(counter(VSW_CTR_DATAGRAMS_LOST), 1);
	close_datagram(stream, host, 0);
	turns(4);

	/* what was lost holds no room; and what the guest breaks off is none */
	stream = open_datagram(&host);
	lend(stream, 0, 1000, 1);
	tell(VSW_MSG_CLOSE, stream, 0);
	vsw_msg_free(expect(VSW_MSG_CLOSED));
	turns(4);
	assert_int_equal(recv(host, &byte, 1, 0), -1);
	close(host);
	stream = open_datagram(&host);
	lend(stream, 0, 1000, 1);
	tell(VSW_MSG_CLOSE, stream, VSW_MSG_F_SHUT_SEND);
	vsw_msg_free(expect(VSW_MSG_CLOSED));
	turns(4);
	assert_int_equal(recv(host, &byte, 1, MSG_TRUNC), 1000);
	close(host);
	unlink_port(54);
	assert_int_equal(counter(VSW_CTR_DATAGRAMS), 1);
	assert_int_equal(counter(VSW_CTR_DATAGRAMS_LOST), 1);
}

static void
test_a_full_datagram_socket_is_waited_for_with_a_bound(void **state)
{
	uint8_t byte;
	int host, n;
	void *stream = open_datagram(&host);
	uint64_t start;

	n = fill_datagrams();
	lend(stream, 0, 100, 1);
	tell(VSW_MSG_SHUTDOWN, stream, VSW_MSG_F_SHUT_SEND);
	expect_nothing();
	while (n-- > 0)
		assert_int_equal(recv(host, &byte, 1, MSG_TRUNC), 1);
	expect_notice(VSW_MSG_F_READABLE | VSW_MSG_F_HANGUP);
	assert_int_equal(recv(host, &byte, 1, MSG_TRUNC), 100);
	close_datagram(stream, host, VSW_MSG_F_SHUT_SEND);

	stream = open_datagram(&host);
	fill_datagrams();
	start = now_ms();
	lend(stream, 0, 100, 1);
	tell(VSW_MSG_SHUTDOWN, stream, VSW_MSG_F_SHUT_SEND);
	expect_notice(VSW_MSG_F_LOST);
	assert_true(now_ms() - start >= FLUSH_TIMEOUT_MS - 10);
	assert_int_equal(counter(VSW_CTR_DATAGRAMS_LOST), 1);
	close_datagram(stream, host, VSW_MSG_F_SHUT_SEND);
	expect_nothing();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_connect_opens_or_says_why_not),
		TEST(test_connect_to_a_path_that_is_too_long),
		TEST(test_nothing_is_said_before_accept_and_all_of_it_after),
		TEST(test_a_refused_host_reads_an_end_and_no_byte),
		TEST(test_a_host_that_is_gone_at_ok_has_still_sent_its_data),
		TEST(test_payload_waits_until_ok_was_read),
		TEST(test_who_will_not_read_ok_is_missed),
		TEST(test_loans_of_a_burst_are_one_write),
		TEST(test_more_pieces_than_one_call_takes_are_two_writes),
		TEST(test_what_the_socket_does_not_take_is_spilled_at_once),
		TEST(test_a_host_that_reads_no_more_is_told_once_and_drops_what_comes),
		TEST(test_a_host_that_shuts_its_read_side_is_found_by_the_next_write),
		TEST(test_shutdown_send_comes_after_what_was_spilled),
		TEST(test_shutdown_recv_makes_the_hosts_writes_fail),
		TEST(test_readable_is_told_once_until_drained),
		TEST(test_the_end_is_an_end_however_it_comes),
		TEST(test_descriptors_that_a_host_sends_along_are_closed_and_cost_no_byte),
		TEST(test_no_edge_is_lost_between_reads),
		TEST(test_close_flushes_what_was_spilled),
		TEST(test_a_host_that_takes_nothing_loses_the_rest_in_the_end),
		TEST(test_a_slow_host_loses_nothing),
		TEST(test_a_guest_that_leaves_does_not_wait),
		TEST(test_flush_is_answered_when_all_is_written),
		TEST(test_flush_is_answered_when_its_time_is_over),
		TEST(test_a_notice_waits_for_a_free_message),
		TEST(test_a_datagram_goes_when_the_guest_has_sent_it_all),
		TEST(test_a_datagram_that_cannot_be_is_lost_once),
		TEST(test_a_full_datagram_socket_is_waited_for_with_a_bound),
		TEST(test_a_bridge_that_goes_leaves_nothing),
	};
	int rc;

	if (eal_up() != 0)
		return 1;
	fill_memory();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	eal_down();
	return rc;
}
