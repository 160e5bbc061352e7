/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves siblings in numbers: 64 guests that all talk to each other, the fair share of a guest
 * beside one that sends all it can, floods of packets that cost the switch messages, and the
 * end of vswd while all that goes on.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "duo.h"
#include "raw.h"

#define N_GUESTS 64

static const char *const one_lcore[] = {"-l", "0", NULL};
static const char *const three_lcores[] = {"--lcores", "(0-2)@(0,1)", NULL};
static const char *const one_cpu[] = {"--lcores", "(0-3)@0", NULL};

/* Guests are spread by vswd itself. */
static const struct variant variants[] = {
	{"1 lcore", VSW_GUEST_QEMU, one_lcore, .n_vms = N_GUESTS},
	{"3 lcores", VSW_GUEST_UML, three_lcores, .n_vms = N_GUESTS},
	{"4 lcores on one cpu", VSW_GUEST_QEMU, one_cpu, .n_vms = N_GUESTS},
};

static void
small_guest_up(struct env *e, unsigned int vm)
{
	struct vsw_guest_conf conf = guest_conf(e, vm);

	conf.ring_size = 64;
	conf.n_regions = 1;
	guest_up(e, vm, &conf);
}

/*
 * A full mesh.
 */

#define N_PAIRS (N_GUESTS * (N_GUESTS - 1) / 2)

static struct duo mesh[N_GUESTS][N_GUESTS]; /* asked by the lower number */
static struct stream mesh_streams[2 * N_PAIRS];

static uint32_t
peer_of(const struct vsw_guest_sock *s)
{
	struct vsw_guest_sock_info info;

	vsw_guest_sock_info(s, &info);
	return info.peer_cid;
}

struct mesh_wait {
	struct env *e;
	unsigned int n_accepted;
};

static bool
mesh_is_accepted(void *arg)
{
	struct mesh_wait *w = arg;

	for (unsigned int b = 0; b < N_GUESTS; b++) {
		struct vsw_guest_sock *s;

		while ((s = vsw_guest_accept(env_guest(w->e, b), DUO_PORT, 0)) != NULL) {
			unsigned int a = peer_of(s) - CID(0);

			check(w->e, a < b && mesh[a][b].b == NULL);
			mesh[a][b].b = s;
			w->n_accepted++;
		}
	}
	return w->n_accepted == N_PAIRS;
}

static void
mesh_connect(struct env *e)
{
	struct mesh_wait w = {.e = e};

	memset(mesh, 0, sizeof(mesh));
	for (unsigned int b = 0; b < N_GUESTS; b++) {
		vsw_guest_listen(env_guest(e, b), DUO_PORT, N_GUESTS);
		for (unsigned int a = 0; a < b; a++) {
			mesh[a][b].a =
				vsw_guest_connect_start(env_guest(e, a), 0, CID(b), DUO_PORT);
			check(e, mesh[a][b].a != NULL);
		}
	}
	pump_until(e, mesh_is_accepted, &w, "every guest to be asked by every other");
	for (unsigned int b = 0; b < N_GUESTS; b++) {
		vsw_guest_unlisten(env_guest(e, b), DUO_PORT);
		for (unsigned int a = 0; a < b; a++)
			sock_wait_answer(e, mesh[a][b].a);
	}
}

static void
test_full_mesh(struct env *e)
{
	unsigned int n = 0;

	for (unsigned int vm = 0; vm < N_GUESTS; vm++)
		small_guest_up(e, vm);
	mesh_connect(e);
	for (unsigned int b = 0; b < N_GUESTS; b++) {
		for (unsigned int a = 0; a < b; a++) {
			struct duo *d = &mesh[a][b];

			mesh_streams[n] = (struct stream){
				.from = d->a, .to = d->b, .total = 6000, .base = n * 7001};
			n++;
			mesh_streams[n] = (struct stream){
				.from = d->b, .to = d->a, .total = 5000, .base = n * 7001};
			n++;
		}
	}
	run_streams(e, mesh_streams, n);
	/* One of many goes: its 63 peers hear of it, all others go on. */
	guest_down(e, 31);
	for (unsigned int vm = 0; vm < N_GUESTS; vm++) {
		if (vm != 31)
			sock_wait_reset(e, vm < 31 ? mesh[vm][31].a : mesh[31][vm].b);
	}
	for (unsigned int b = 1; b < N_GUESTS; b += 7) {
		for (unsigned int a = 0; a < b; a += 5) {
			if (a != 31 && b != 31)
				duo_check(e, &mesh[a][b]);
		}
	}
	for (unsigned int b = 0; b < N_GUESTS; b++) {
		for (unsigned int a = 0; a < b; a++) {
			if (a != 31 && b != 31)
				vsw_guest_close(mesh[a][b].a);
		}
	}
	for (unsigned int b = 0; b < N_GUESTS; b++) {
		for (unsigned int a = 0; a < b; a++) {
			if (a == 31 || b == 31)
				continue;
			sock_expect_eof(e, mesh[a][b].b);
			vsw_guest_close(mesh[a][b].b);
		}
	}
}

/*
 * Fair shares.
 */

/* One byte to and fro. */
struct ping {
	struct duo d;
	bool is_out, is_back;
	unsigned int n; /* round trips */
};

static void
ping_step(struct env *e, struct ping *p)
{
	struct vsw_guest_sock *from = p->is_back ? p->d.b : p->d.a;
	struct vsw_guest_sock *to = p->is_back ? p->d.a : p->d.b;
	struct vsw_guest_sock_info info;

	if (!p->is_out)
		p->is_out = sock_send_now(e, from, p->n, 1) == 1;
	vsw_guest_sock_info(to, &info);
	if (!p->is_out || info.unread == 0)
		return;
	sock_recv(e, to, p->n, 1);
	p->is_out = false;
	p->n += p->is_back;
	p->is_back = !p->is_back;
}

/*
 * Streams at full speed from guest 0 to guest 1, which has few buffers for them, and a byte to and
 * fro on connections of either with each other and with guest 2. What is a fair share, counted:
 * in the time of 64 KiB of each stream one round trip, with a generous margin.
 */
static void
share_fairly(struct env *e, uint16_t sender_ring, unsigned int n_bufs)
{
	enum { N_STREAMS = 4, N_PINGS = 3, ROUNDS = 300 };
	struct vsw_guest_conf conf = guest_conf(e, 0);
	struct stream s[N_STREAMS];
	struct ping p[N_PINGS];
	uint64_t deadline;

	conf.ring_size = sender_ring;
	guest_up(e, 0, &conf);
	conf = guest_conf(e, 1);
	conf.n_recv_bufs = n_bufs;
	guest_up(e, 1, &conf);
	guest_up(e, 2, NULL);
	for (unsigned int i = 0; i < N_STREAMS; i++) {
		struct duo d = duo_connect(e, 0, 1, DUO_PORT);

		s[i] = (struct stream){.from = d.a, .to = d.b, .total = 1ull << 40};
	}
	p[0] = (struct ping){.d = duo_connect(e, 0, 1, DUO_PORT)};
	p[1] = (struct ping){.d = duo_connect(e, 2, 1, DUO_PORT)};
	p[2] = (struct ping){.d = duo_connect(e, 2, 0, DUO_PORT)};
	deadline = vsw_guest_now_ms() + WAIT_MS;
	while (s[0].received < ROUNDS * 65536ull / 4) {
		for (unsigned int i = 0; i < N_STREAMS; i++)
			stream_step(e, &s[i]);
		for (unsigned int i = 0; i < N_PINGS; i++)
			ping_step(e, &p[i]);
		pump_fd(e, -1, 0, 0);
		if (vsw_guest_now_ms() > deadline)
			fail_env(e, "streams and pings: %lu bytes, %u %u %u round trips in %d ms",
				 (unsigned long)s[0].received, p[0].n, p[1].n, p[2].n, WAIT_MS);
	}
	for (unsigned int i = 0; i < N_PINGS; i++) {
		if (p[i].n < ROUNDS / 60)
			fail_env(e, "ping %u: %u round trips beside %lu bytes", i, p[i].n,
				 (unsigned long)s[0].received);
	}
	for (unsigned int i = 1; i < N_STREAMS; i++) {
		if (s[i].received < s[0].received / 8 || s[i].received > s[0].received * 8)
			fail_env(e, "stream %u got %lu bytes, stream 0 %lu", i,
				 (unsigned long)s[i].received, (unsigned long)s[0].received);
	}
	for (unsigned int vm = 0; vm < 3; vm++)
		guest_down(e, vm);
	env_wait_fds(e, env_baseline_fds(e));
}

static void
test_fair_shares(struct env *e)
{
	share_fairly(e, 128, 0);
	share_fairly(e, 128, 8);
	share_fairly(e, 8, 8);
}

/* Packets that cost a message each and need no credit, from six guests at a time, do not keep
 * others from having messages for theirs. */
static void
test_flood_of_news(struct env *e)
{
	enum { N = 6, ROUNDS = 50 };
	struct vsw_guest_sock *flooding[N];
	uint64_t deadline;
	struct pair host;
	struct ping p;

	for (unsigned int vm = 0; vm < N + 2; vm++)
		guest_up(e, vm, NULL);
	for (unsigned int vm = 0; vm < N; vm += 2) {
		struct duo d = duo_connect(e, vm, vm + 1, DUO_PORT);

		flooding[vm] = d.a;
		flooding[vm + 1] = d.b;
	}
	p = (struct ping){.d = duo_connect(e, N, N + 1, DUO_PORT)};
	host = pair_from_guest(e, N, 52);
	deadline = vsw_guest_now_ms() + WAIT_MS;
	while (p.n < ROUNDS) {
		for (unsigned int vm = 0; vm < N; vm++) {
			struct vsw_guest_sock *s = flooding[vm];

			for (unsigned int k = 0; k < 64; k++)
				vsw_guest_set_window(s, 100000 + k);
		}
		ping_step(e, &p);
		pump_fd(e, -1, 0, 0);
		if (vsw_guest_now_ms() >= deadline)
			fail_env(e, "%u of %u round trips beside a flood", p.n, ROUNDS);
	}
	pair_check(e, &host);
	pair_close(e, &host);
}

/*
 * The end of vswd.
 */

static void
poll_both(struct vsw_guest *g[2])
{
	vsw_guest_poll(g[0], 1);
	vsw_guest_poll(g[1], 1);
}

static bool
was_reset(const struct vsw_guest_sock *s)
{
	struct vsw_guest_sock_info info;

	vsw_guest_sock_info(s, &info);
	return info.was_reset;
}

/* In the middle of streams in both directions: both guests hear of it, vswd ends in time. */
static void
test_sigterm(struct env *e)
{
	uint64_t deadline = vsw_guest_now_ms() + 3 * WAIT_MS;
	char socket[2][128], vm[2][384];
	const char *argv[16];
	struct vsw_guest *g[2];
	struct stream s[2];
	struct duo d = {0};
	struct daemon own = {0};
	unsigned int n = 0;

	make_dir(own.dir);
	for (const char *const *a = env_variant(e)->eal_args; *a != NULL; a++)
		argv[n++] = *a;
	argv[n++] = "--";
	for (unsigned int i = 0; i < 2; i++) {
		snprintf(socket[i], sizeof(socket[i]), "%s/vm%u.vhost", own.dir, i);
		snprintf(vm[i], sizeof(vm[i]), "guest-cid=%u,socket=%s,uds-path=%s/vm%u.vsock",
			 CID(i), socket[i], own.dir, i);
		argv[n++] = "--vm";
		argv[n++] = vm[i];
	}
	argv[n] = NULL;
	daemon_spawn(&own, argv);
	check(e, daemon_wait_ready(&own));
	for (unsigned int i = 0; i < 2; i++) {
		struct vsw_guest_conf conf = guest_conf(e, i);

		conf.socket_path = socket[i];
		g[i] = vsw_guest_create(&conf);
		check(e, g[i] != NULL && vsw_guest_attach(g[i]) == 0);
		check(e, vsw_guest_start(g[i], VSW_GUEST_BOOT) == 0);
	}
	vsw_guest_listen(g[1], DUO_PORT, 8);
	while (d.b == NULL) { /* its rings may not run yet */
		if (d.a == NULL || was_reset(d.a))
			d.a = vsw_guest_connect_start(g[0], 0, CID(1), DUO_PORT);
		poll_both(g);
		d.b = vsw_guest_accept(g[1], DUO_PORT, 0);
		check(e, vsw_guest_now_ms() < deadline);
	}
	for (unsigned int k = 0; k < 5; k++)
		poll_both(g);
	s[0] = (struct stream){.from = d.a, .to = d.b, .total = 1ull << 40};
	s[1] = (struct stream){.from = d.b, .to = d.a, .total = 1ull << 40};
	while (s[0].received < 1 << 20 || s[1].received < 1 << 20) {
		stream_step(e, &s[0]);
		stream_step(e, &s[1]);
		poll_both(g);
		check(e, vsw_guest_now_ms() < deadline);
	}
	for (unsigned int i = 0; i < 2; i++) {
		if (vsw_guest_violations(g[i]) != 0)
			fail_env(e, "guest %u: violation: %s", i, vsw_guest_violation(g[i], 0));
	}
	kill(own.pid, SIGTERM);
	while (!was_reset(d.a) || !was_reset(d.b)) {
		poll_both(g);
		check(e, vsw_guest_now_ms() < deadline);
	}
	check(e, daemon_wait(&own, WAIT_MS) == 0);
	vsw_guest_destroy(g[0]);
	vsw_guest_destroy(g[1]);
	close(own.log_fd);
	remove_dir(own.dir);
}

int
main(void)
{
	static const struct test_case cases[] = {
		CASE(test_full_mesh),
		CASE(test_fair_shares),
		CASE(test_flood_of_news),
		CASE(test_sigterm),
	};

	return run_cases_in("sibling-many", variants, VSW_ARRAY_SIZE(variants), cases,
			    VSW_ARRAY_SIZE(cases));
}
