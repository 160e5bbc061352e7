/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that a guest may know its host by more CIDs than 2, and no other guest by those: answers
 * come from the CID that it asked, hosts call from 2 as ever, and what it takes for the host
 * changes when the file is read again.
 */
#include "harness.h"
#include "raw.h"

#include <stdio.h>
#include <string.h>

#define PORT 52
#define ALIAS 77

static void
pump_a_little(struct env *e, void *arg)
{
	pump_fd(e, -1, 0, 1);
}

static void
configure(struct env *e, const char *first)
{
	const char *const more[] = {first, ""};

	env_write_config(e, more);
	if (!env_reload(e, pump_a_little, NULL))
		fail_env(e, "the reload failed");
}

static bool
is_settled(void *arg)
{
	struct vsw_guest_sock_info info;

	vsw_guest_sock_info(arg, &info);
	return info.state != VSW_GUEST_CONNECTING;
}

/* While all guests go on. */
static bool
try_connect(struct env *e, unsigned int vm, uint32_t cid, struct vsw_guest_sock **s)
{
	struct vsw_guest_sock_info info;

	*s = vsw_guest_connect_start(env_guest(e, vm), 0, cid, PORT);
	check(e, *s != NULL);
	pump_until(e, is_settled, *s, "the answer to a connect");
	vsw_guest_sock_info(*s, &info);
	return info.state == VSW_GUEST_CONNECTED;
}

static struct vsw_guest_sock *
connects(struct env *e, unsigned int vm, uint32_t cid)
{
	struct vsw_guest_sock *s;

	if (!try_connect(e, vm, cid, &s))
		fail_env(e, "guest %u is refused by CID %u", vm, cid);
	return s;
}

static void
expect_refused(struct env *e, unsigned int vm, uint32_t cid)
{
	struct vsw_guest_sock *s;

	if (try_connect(e, vm, cid, &s))
		fail_env(e, "guest %u: CID %u accepts", vm, cid);
	vsw_guest_close(s);
}

static void
test_answers_come_from_the_cid_that_was_asked(struct env *e)
{
	struct vsw_guest_sock_info info;
	struct pair p, q;
	int listener;

	guest_up(e, 0, NULL);
	configure(e, "host_cids: [77, 78]");
	listener = host_listen(e, 0, PORT, 8);
	p.s = connects(e, 0, ALIAS);
	p.fd = host_accept(e, listener);
	vsw_guest_sock_info(p.s, &info);
	check(e, info.peer_cid == ALIAS);
	pair_check(e, &p);
	/* the same ports to each of its names are connections of their own */
	q.s = vsw_guest_connect_start(env_guest(e, 0), info.local_port, VSW_CID_HOST, PORT);
	check(e, q.s != NULL);
	q.fd = host_accept(e, listener);
	pump_until(e, is_settled, q.s, "the answer to a connect");
	pair_check(e, &q);
	pair_check(e, &p);
	pair_close(e, &q);
	pair_check(e, &p);
	/* half closes, as with any */
	vsw_guest_shutdown(p.s, VSW_SHUTDOWN_SEND);
	host_expect_eof(e, p.fd);
	host_puts(e, p.fd, "late");
	guest_recv_exactly(e, p.s, (char[4]){0}, 4);
	env_close(e, p.fd);
	guest_expect_eof(e, p.s);
	vsw_guest_close(p.s);
	guest_wait_no_socks(e, 0);
	env_close(e, listener);
	expect_refused(e, 0, ALIAS); /* nobody listens any more */
	configure(e, "");
}

static void
test_hosts_call_from_2_and_others_know_nothing(struct env *e)
{
	struct vsw_guest_sock_info info;
	struct pair p;

	guest_up(e, 0, NULL);
	guest_up(e, 1, NULL);
	configure(e, "host_cids: 77");
	host_listen(e, 1, PORT, 8);
	expect_refused(e, 1, ALIAS);
	p = pair_from_host(e, 0, 5252);
	vsw_guest_sock_info(p.s, &info);
	check(e, info.peer_cid == VSW_CID_HOST);
	pair_close(e, &p);
	configure(e, "");
}

/* Guest 1 has CID 4. */
static void
test_a_guests_cid_may_be_the_host_to_another(struct env *e)
{
	struct vsw_guest *g[2] = {guest_up(e, 0, NULL), guest_up(e, 1, NULL)};
	int listener = host_listen(e, 0, PORT, 8);
	struct vsw_guest_sock *sibling;
	struct pair p;

	for (int vm = 0; vm < 2; vm++)
		vsw_guest_listen(g[vm], PORT, 8);
	sibling = connects(e, 0, 4);
	configure(e, "host_cids: [4]");
	check(e,
	      vsw_guest_recv(sibling, (char[1]){0}, 1, WAIT_MS) == 0); /* now the host is there */
	vsw_guest_close(sibling);
	p.s = connects(e, 0, 4);
	p.fd = host_accept(e, listener);
	pair_check(e, &p);
	expect_refused(e, 1, 3); /* it would come from 4 */
	/* and back: to a guest the host may not stay what it is no more */
	configure(e, "");
	check(e, vsw_guest_recv(p.s, (char[1]){0}, 1, WAIT_MS) == 0);
	vsw_guest_close(p.s);
	host_expect_eof(e, p.fd);
	vsw_guest_close(connects(e, 0, 4));
	vsw_guest_close(connects(e, 1, 3));
	check(e, vsw_guest_n_waiting(g[0], PORT) == 1);
}

static void
test_a_guest_does_not_speak_as_the_host(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct vsw_pkt pkt;

	configure(e, "host_cids: [77]");
	vsw_guest_set_raw(g, true);
	pkt = raw_pkt(0, VSW_OP_REQUEST);
	pkt.src_cid = ALIAS;
	raw_send(e, g, &pkt, NULL, 0);
	raw_expect_quiet(e, g);
	/* nothing is there: the answer names whom the guest asked */
	pkt = raw_pkt(0, VSW_OP_RW);
	pkt.dst_cid = ALIAS;
	raw_send(e, g, &pkt, NULL, 0);
	pkt = raw_expect(e, g, VSW_OP_RST);
	check(e, pkt.src_cid == ALIAS && pkt.dst_cid == 3);
	configure(e, "");
}

static const char *const one_lcore[] = {"-l", "0", NULL};
static const char *const three_lcores[] = {"--lcores", "0@0,1@1,2@0", NULL};

static const struct variant variants[] = {
	{"uml, 1 lcore", VSW_GUEST_UML, one_lcore, .n_vms = 2, .n_config = 2},
	{"qemu, 3 lcores", VSW_GUEST_QEMU, three_lcores, .n_vms = 2, .n_config = 2},
};

int
main(void)
{
	static const struct test_case cases[] = {
		CASE(test_answers_come_from_the_cid_that_was_asked),
		CASE(test_hosts_call_from_2_and_others_know_nothing),
		CASE(test_a_guests_cid_may_be_the_host_to_another),
		CASE(test_a_guest_does_not_speak_as_the_host),
	};

	return run_cases_in("host_cids", variants, VSW_ARRAY_SIZE(variants), cases,
			    VSW_ARRAY_SIZE(cases));
}
