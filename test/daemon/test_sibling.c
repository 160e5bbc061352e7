/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves traffic between guests: routing, one stream in each direction bit by bit, and that
 * the ends of a conversation see each other's goodbyes.
 */
#include "raw.h"

#include <errno.h>
#include <string.h>

#define PORT 4000

struct duo {
	struct vsw_guest_sock *a, *b;
};

struct accept_wait {
	struct vsw_guest *g;
	struct vsw_guest_sock *s;
};

static bool
has_accepted(void *arg)
{
	struct accept_wait *w = arg;

	w->s = vsw_guest_accept(w->g, PORT, 0);
	return w->s != NULL;
}

static bool
is_settled(void *arg)
{
	struct vsw_guest_sock_info info;

	vsw_guest_sock_info(arg, &info);
	return info.state != VSW_GUEST_CONNECTING;
}

static struct duo
duo_up(struct env *e, struct vsw_guest *ga, struct vsw_guest *gb, uint32_t cid)
{
	struct accept_wait w = {.g = gb};
	struct vsw_guest_sock_info info;
	struct duo d;

	vsw_guest_listen(gb, PORT, 128);
	d.a = vsw_guest_connect_start(ga, 0, cid, PORT);
	check(e, d.a != NULL);
	pump_until(e, has_accepted, &w, "the sibling to accept");
	pump_until(e, is_settled, d.a, "the sibling's answer");
	vsw_guest_sock_info(d.a, &info);
	check(e, info.state == VSW_GUEST_CONNECTED);
	d.b = w.s;
	return d;
}

static void
test_siblings_talk(struct env *e)
{
	struct vsw_guest *g0 = guest_up(e, 0, NULL), *g1 = guest_up(e, 1, NULL);
	struct duo d = duo_up(e, g0, g1, 4);
	char buf[8];

	guest_send_all(e, d.a, "hello", 5);
	pump_fd(e, -1, 0, 20);
	guest_recv_exactly(e, d.b, buf, 5);
	check(e, memcmp(buf, "hello", 5) == 0);
	guest_send_all(e, d.b, "world", 5);
	pump_fd(e, -1, 0, 20);
	guest_recv_exactly(e, d.a, buf, 5);
	check(e, memcmp(buf, "world", 5) == 0);
	vsw_guest_close(d.a);
	pump_fd(e, -1, 0, 20);
	guest_expect_eof(e, d.b);
	vsw_guest_close(d.b);
	guest_wait_no_socks(e, 0);
	guest_wait_no_socks(e, 1);
}

/* Move n bytes each way at once and compare them. */
static void
run_duo(struct env *e, struct duo *d, uint64_t n)
{
	static uint8_t out[65536], in[65536];
	uint64_t sent[2] = {0}, received[2] = {0};
	struct vsw_guest_sock *s[2] = {d->a, d->b};
	uint64_t deadline = vsw_guest_now_ms() + 60000;

	while (received[0] < n || received[1] < n) {
		for (int i = 0; i < 2; i++) {
			size_t len = n - sent[i] < sizeof(out) ? n - sent[i] : sizeof(out);
			ssize_t r;

			if (len > 0) {
				pattern_fill(out, sent[i], len);
				r = vsw_guest_send(s[i], out, len, 0);
				check(e, r > 0 || r == -EAGAIN);
				sent[i] += r > 0 ? (uint64_t)r : 0;
			}
			r = vsw_guest_recv(s[i], in, sizeof(in), 0);
			check(e, r > 0 || r == -EAGAIN);
			if (r > 0) {
				check(e, pattern_matches(in, received[i], (size_t)r));
				received[i] += (uint64_t)r;
			}
		}
		if (vsw_guest_now_ms() > deadline)
			fail_env(e, "waited 60 s for %lu bytes: %lu and %lu came", (unsigned long)n,
				 (unsigned long)received[0], (unsigned long)received[1]);
	}
}

static void
test_bulk_both_ways(struct env *e)
{
	struct vsw_guest *g0 = guest_up(e, 0, NULL), *g1 = guest_up(e, 1, NULL);
	struct duo d = duo_up(e, g0, g1, 4);

	run_duo(e, &d, 32 << 20);
	vsw_guest_close(d.a);
	vsw_guest_close(d.b);
	guest_wait_no_socks(e, 0);
	guest_wait_no_socks(e, 1);
}

static void
test_hairpin(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct duo d = duo_up(e, g, g, 3);

	run_duo(e, &d, 8 << 20);
	vsw_guest_close(d.a);
	vsw_guest_close(d.b);
	guest_wait_no_socks(e, 0);
}

static void
test_nobody_listens(struct env *e)
{
	struct vsw_guest *g0 = guest_up(e, 0, NULL);
	struct vsw_guest_sock *s;

	guest_up(e, 1, NULL);
	s = vsw_guest_connect_start(g0, 0, 4, 9);
	pump_until(e, is_settled, s, "a refusal");
	vsw_guest_close(s);
	guest_down(e, 1);
	s = vsw_guest_connect_start(g0, 0, 4, 9);
	pump_until(e, is_settled, s, "a refusal by a guest that is not there");
	vsw_guest_close(s);
}

static void
test_dead_sibling_is_a_reset(struct env *e)
{
	struct vsw_guest *g0 = guest_up(e, 0, NULL), *g1 = guest_up(e, 1, NULL);
	struct duo d = duo_up(e, g0, g1, 4);

	guest_send_all(e, d.a, "hello", 5);
	guest_down(e, 1);
	pump_fd(e, -1, 0, 20);
	guest_expect_eof(e, d.a);
	vsw_guest_close(d.a);
}

int
main(void)
{
	static const struct test_case cases[] = {
		CASE(test_siblings_talk),  CASE(test_bulk_both_ways),          CASE(test_hairpin),
		CASE(test_nobody_listens), CASE(test_dead_sibling_is_a_reset),
	};

	return run_cases("sibling", cases, VSW_ARRAY_SIZE(cases));
}
