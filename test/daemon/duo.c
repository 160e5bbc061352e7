/* SPDX-License-Identifier: BSD-3-Clause */
#include "duo.h"

#include <errno.h>

#define STREAM_CHUNK_MAX 65536u

/*
 * Layouts. Guests 4 to 6 have groups in a chain, guest 7 has nobody, not even itself.
 */

#define N_VMS 8
#define GROUPS_4 "groups=a+b"
#define GROUPS_5 "groups=b+c"
#define GROUPS_6 "groups=c+d+c"
#define GROUPS_7 "groups=lonely,hairpin=off"

static const char *const one_lcore[] = {"-l", "0", NULL};
static const char *const two_lcores[] = {"--lcores", "0@0,1@1", NULL};
static const char *const three_lcores[] = {"--lcores", "(0-2)@(0,1)", NULL};
static const char *const one_cpu[] = {"--lcores", "(0-3)@0", NULL};

static const char *const anywhere[N_VMS] = {
	NULL, NULL, NULL, NULL, GROUPS_4, GROUPS_5, GROUPS_6, GROUPS_7,
};
static const char *const apart[N_VMS] = {
	"lcore=1",           "lcore=2",           "lcore=1",           "lcore=2",
	GROUPS_4 ",lcore=1", GROUPS_5 ",lcore=2", GROUPS_6 ",lcore=1", GROUPS_7 ",lcore=2",
};
static const char *const together[N_VMS] = {
	"lcore=1",           "lcore=1",           "lcore=2",           "lcore=2",
	GROUPS_4 ",lcore=2", GROUPS_5 ",lcore=2", GROUPS_6 ",lcore=2", GROUPS_7 ",lcore=1",
};
static const char *const all_apart[N_VMS] = {
	"lcore=1",           "lcore=2",           "lcore=3",           "lcore=1",
	GROUPS_4 ",lcore=1", GROUPS_5 ",lcore=2", GROUPS_6 ",lcore=3", GROUPS_7 ",lcore=3",
};

const struct variant sibling_variants[] = {
	{"1 lcore", VSW_GUEST_QEMU, one_lcore, .n_vms = N_VMS, .vm_items = anywhere},
	{"2 lcores", VSW_GUEST_UML, two_lcores, .n_vms = N_VMS, .vm_items = anywhere},
	{"3 lcores, apart", VSW_GUEST_QEMU, three_lcores, .n_vms = N_VMS, .vm_items = apart},
	{"3 lcores, together", VSW_GUEST_UML, three_lcores, .n_vms = N_VMS, .vm_items = together},
	{"4 lcores on one cpu", VSW_GUEST_QEMU, one_cpu, .n_vms = N_VMS, .vm_items = all_apart},
};
const size_t n_sibling_variants = VSW_ARRAY_SIZE(sibling_variants);

/*
 * Waiting.
 */

struct sock_wait {
	struct vsw_guest_sock *s;
	uint32_t n; /* bytes, or VSW_SHUTDOWN_* */
};

bool
sock_is_alive(const struct vsw_guest_sock *s)
{
	struct vsw_guest_sock_info info = info_of(s);

	return info.state == VSW_GUEST_CONNECTED && !info.was_reset && info.peer_shutdown == 0;
}

static bool
is_answered(void *arg)
{
	return info_of(arg).state != VSW_GUEST_CONNECTING;
}

void
sock_wait_answer(struct env *e, struct vsw_guest_sock *s)
{
	pump_until(e, is_answered, s, "the answer to a request");
}

static bool
has_unread(void *arg)
{
	const struct sock_wait *w = arg;
	struct vsw_guest_sock_info info = info_of(w->s);

	return info.unread >= w->n || info.state == VSW_GUEST_DONE;
}

void
sock_wait_unread(struct env *e, struct vsw_guest_sock *s, uint32_t len)
{
	struct sock_wait w = {.s = s, .n = len};

	pump_until(e, has_unread, &w, "bytes from a sibling");
}

static bool
is_reset(void *arg)
{
	return info_of(arg).was_reset;
}

void
sock_wait_reset(struct env *e, struct vsw_guest_sock *s)
{
	pump_until(e, is_reset, s, "a RST");
}

static bool
is_shut(void *arg)
{
	const struct sock_wait *w = arg;

	return (info_of(w->s).peer_shutdown & w->n) == w->n;
}

void
sock_wait_shutdown(struct env *e, struct vsw_guest_sock *s, uint32_t shutdown)
{
	struct sock_wait w = {.s = s, .n = shutdown};

	pump_until(e, is_shut, &w, "the sibling's shutdown");
}

/*
 * Bytes.
 */

size_t
sock_send_now(struct env *e, struct vsw_guest_sock *s, uint64_t off, size_t len)
{
	static uint8_t buf[STREAM_CHUNK_MAX];
	ssize_t n;

	len = len < sizeof(buf) ? len : sizeof(buf);
	pattern_fill(buf, off, len);
	n = vsw_guest_send(s, buf, len, 0);
	if (n < 0 && n != -EAGAIN)
		fail_env(e, "a guest sends at %lu: %s", (unsigned long)off,
			 vsw_guest_error(vsw_guest_sock_guest(s)));
	return n > 0 ? (size_t)n : 0;
}

static size_t
recv_now(struct env *e, struct vsw_guest_sock *s, uint64_t off, size_t len)
{
	static uint8_t buf[STREAM_CHUNK_MAX];
	ssize_t n;

	len = len < sizeof(buf) ? len : sizeof(buf);
	n = vsw_guest_recv(s, buf, len, 0);
	if (n == 0 || (n < 0 && n != -EAGAIN))
		fail_env(e, "a guest receives at %lu: %s", (unsigned long)off,
			 n == 0 ? "the end" : vsw_guest_error(vsw_guest_sock_guest(s)));
	if (n > 0 && !pattern_matches(buf, off, (size_t)n))
		fail_env(e, "wrong bytes at %lu", (unsigned long)off);
	return n > 0 ? (size_t)n : 0;
}

bool
stream_step(struct env *e, struct stream *s)
{
	size_t chunk = s->chunk != 0 ? s->chunk : STREAM_CHUNK_MAX;
	size_t n_out = 0, n_in = 0;

	if (s->sent < s->total)
		n_out = sock_send_now(e, s->from, s->base + s->sent,
				      s->total - s->sent < chunk ? s->total - s->sent : chunk);
	if (s->received < s->total && info_of(s->to).is_readable)
		n_in = recv_now(e, s->to, s->base + s->received, s->total - s->received);
	s->sent += n_out;
	s->received += n_in;
	return n_out + n_in > 0;
}

void
run_streams(struct env *e, struct stream *streams, unsigned int n)
{
	uint64_t deadline = vsw_guest_now_ms() + WAIT_MS;

	for (;;) {
		bool has_moved = false;
		unsigned int n_done = 0;

		for (unsigned int i = 0; i < n; i++) {
			has_moved |= stream_step(e, &streams[i]);
			n_done += streams[i].received == streams[i].total;
		}
		if (n_done == n)
			return;
		if (has_moved)
			deadline = vsw_guest_now_ms() + WAIT_MS;
		else if (vsw_guest_now_ms() >= deadline)
			fail_env(e,
				 "no byte moved for %d ms: %u of %u streams are done, the first "
				 "has %lu sent and %lu received of %lu",
				 WAIT_MS, n_done, n, (unsigned long)streams[0].sent,
				 (unsigned long)streams[0].received,
				 (unsigned long)streams[0].total);
		pump_fd(e, -1, 0, has_moved ? 0 : 1);
	}
}

void
sock_send(struct env *e, struct vsw_guest_sock *s, uint64_t off, size_t len)
{
	uint64_t deadline = vsw_guest_now_ms() + WAIT_MS;
	size_t done = 0;

	while (done < len) {
		size_t n = sock_send_now(e, s, off + done, len - done);

		done += n;
		if (vsw_guest_now_ms() >= deadline)
			fail_env(e, "waited %d ms to send %zu bytes, %zu went", WAIT_MS, len, done);
		if (n == 0)
			pump_fd(e, -1, 0, 1);
	}
}

void
sock_recv(struct env *e, struct vsw_guest_sock *s, uint64_t off, size_t len)
{
	uint64_t deadline = vsw_guest_now_ms() + WAIT_MS;
	size_t done = 0;

	while (done < len) {
		size_t n = recv_now(e, s, off + done, len - done);

		done += n;
		if (vsw_guest_now_ms() >= deadline)
			fail_env(e, "waited %d ms for %zu bytes, %zu came", WAIT_MS, len, done);
		if (n == 0)
			pump_fd(e, -1, 0, 1);
	}
}

static bool
is_readable(void *arg)
{
	return info_of(arg).is_readable;
}

void
sock_expect_eof(struct env *e, struct vsw_guest_sock *s)
{
	char byte;
	ssize_t n;

	pump_until(e, is_readable, s, "the end of a stream");
	n = vsw_guest_recv(s, &byte, 1, 0);
	if (n != 0)
		fail_env(e, "expected the end of the stream, got %zd", n);
}

/*
 * Connections.
 */

struct accept_wait {
	struct vsw_guest *g;
	uint32_t port;
	struct vsw_guest_sock *s;
};

static bool
has_accepted(void *arg)
{
	struct accept_wait *w = arg;

	w->s = vsw_guest_accept(w->g, w->port, 0);
	return w->s != NULL;
}

struct duo
duo_connect(struct env *e, unsigned int from, unsigned int to, uint32_t port)
{
	struct accept_wait w = {.g = env_guest(e, to), .port = port};
	struct duo d = {0};

	if (vsw_guest_listen(w.g, port, 8) < 0)
		fail_env(e, "%s", vsw_guest_error(w.g));
	d.a = vsw_guest_connect_start(env_guest(e, from), 0, CID(to), port);
	check(e, d.a != NULL);
	sock_wait_answer(e, d.a);
	if (info_of(d.a).state != VSW_GUEST_CONNECTED)
		fail_env(e, "guest %u to guest %u: refused", from, to);
	pump_until(e, has_accepted, &w, "a connection to accept");
	vsw_guest_unlisten(w.g, port);
	check(e, info_of(w.s).peer_cid == CID(from));
	d.b = w.s;
	return d;
}

void
duo_refused(struct env *e, unsigned int from, uint32_t cid, uint32_t port)
{
	struct vsw_guest_sock *s = vsw_guest_connect_start(env_guest(e, from), 0, cid, port);
	uint64_t before = vsw_guest_now_ms();

	check(e, s != NULL);
	sock_wait_answer(e, s);
	check(e, info_of(s).was_reset);
	if (vsw_guest_now_ms() - before > 1500)
		fail_env(e, "the refusal of CID %u took %lu ms", cid,
			 (unsigned long)(vsw_guest_now_ms() - before));
	vsw_guest_close(s);
}

void
duo_check(struct env *e, const struct duo *d)
{
	sock_send(e, d->a, 1, 5);
	sock_recv(e, d->b, 1, 5);
	sock_send(e, d->b, 2, 7);
	sock_recv(e, d->a, 2, 7);
}

static bool
has_fewer_socks(void *arg)
{
	const struct accept_wait *w = arg;

	return vsw_guest_n_socks(w->g) < w->port;
}

static void
wait_socks_below(struct env *e, struct vsw_guest *g, unsigned int n)
{
	struct accept_wait w = {.g = g, .port = n};

	pump_until(e, has_fewer_socks, &w, "the RST of a closed connection");
}

void
duo_close(struct env *e, struct duo *d)
{
	struct vsw_guest *ga = vsw_guest_sock_guest(d->a), *gb = vsw_guest_sock_guest(d->b);
	unsigned int n_a = vsw_guest_n_socks(ga), n_b = vsw_guest_n_socks(gb);

	vsw_guest_close(d->a);
	sock_expect_eof(e, d->b);
	vsw_guest_close(d->b);
	wait_socks_below(e, ga, n_a);
	wait_socks_below(e, gb, n_b);
	d->a = d->b = NULL;
}

void
duo_works(struct env *e, unsigned int from, unsigned int to)
{
	struct duo d = duo_connect(e, from, to, DUO_PORT);

	duo_check(e, &d);
	duo_close(e, &d);
}
