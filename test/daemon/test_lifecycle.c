/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves the device's life on the vhost-user side: what it offers and answers at any time;
 * that updates in the middle of traffic (memory, call descriptors) cost no byte and no
 * interrupt; that a stop, a reboot and the death of a VMM end the guest's streams and nothing
 * else, as often as they come.
 */
#include "raw.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MIB (1u << 20)

static uint64_t
ask_u64(struct env *e, struct vsw_guest *g, uint32_t request)
{
	uint64_t value = 0;

	if (vsw_guest_vhost_send(g, request, 0, NULL, 0, NULL, 0) < 0 ||
	    vsw_guest_vhost_recv(g, request, &value, sizeof(value), WAIT_MS) != sizeof(value))
		fail_env(e, "%s", vsw_guest_error(g));
	return value;
}

static void
ok(struct env *e, struct vsw_guest *g, int rc, const char *what)
{
	if (rc < 0)
		fail_env(e, "%s: %s", what, vsw_guest_error(g));
}

static void
check_both_ways(struct env *e, unsigned int vm)
{
	struct pair p = pair_from_guest(e, vm, 58);

	pair_check(e, &p);
	pair_close(e, &p);
	p = pair_from_host(e, vm, 58);
	pair_check(e, &p);
	pair_close(e, &p);
}

/*
 * What is offered and answered.
 */

static void
test_exactly_these_features_are_offered(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);

	/* VERSION_1, PROTOCOL_FEATURES, EVENT_IDX, INDIRECT_DESC */
	check(e, ask_u64(e, g, VSW_VHOST_GET_FEATURES) ==
			 (1ull << 32 | 1ull << 30 | 1ull << 29 | 1ull << 28));
	/* CONFIG, BACKEND_REQ, REPLY_ACK, MQ */
	check(e, ask_u64(e, g, VSW_VHOST_GET_PROTOCOL_FEATURES) ==
			 (1ull << 9 | 1ull << 5 | 1ull << 3 | 1ull << 0));
	check(e, ask_u64(e, g, VSW_VHOST_GET_QUEUE_NUM) == 3);
	check_both_ways(e, 0);
}

static void
check_config(struct env *e, struct vsw_guest *g, unsigned int vm)
{
	static const uint32_t offsets[] = {0, 1, 2,   3,   4,   5,        7,
					   8, 9, 100, 255, 256, 1u << 31, UINT32_MAX};
	static const uint32_t sizes[] = {1, 2, 4, 7, 8, 9, 64, 255, 256};
	uint8_t config[256] = {(uint8_t)(3 + vm)};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(offsets); i++) {
		for (size_t k = 0; k < VSW_ARRAY_SIZE(sizes); k++) {
			uint8_t got[256], wanted[256] = {0};
			uint32_t offset = offsets[i];

			memset(got, 0xee, sizeof(got));
			if (offset < sizeof(config))
				memcpy(wanted, config + offset, sizeof(config) - offset);
			if (vsw_guest_get_config(g, offset, sizes[k], got) < 0)
				fail_env(e, "%s", vsw_guest_error(g));
			if (memcmp(got, wanted, sizes[k]) != 0)
				fail_env(e, "%u bytes of configuration at %u are wrong", sizes[k],
					 offset);
		}
	}
}

static void
test_config_can_be_read_anywhere_at_any_time(struct env *e)
{
	for (unsigned int vm = 0; vm < 2; vm++) {
		struct vsw_guest_conf conf = guest_conf(e, vm);
		struct vsw_guest *g = vsw_guest_create(&conf);
		struct pair p;

		/* before there are rings */
		ok(e, g, vsw_guest_attach(g), "attaching");
		check_config(e, g, vm);
		vsw_guest_destroy(g);
		env_wait_fds(e, env_baseline_fds(e));
		/* while they run, with a stream open; and after */
		g = guest_up(e, vm, &conf);
		p = pair_from_guest(e, vm, 52);
		check_config(e, g, vm);
		pair_check(e, &p);
		ok(e, g, vsw_guest_stop(g), "stopping");
		check_config(e, g, vm);
		ok(e, g, vsw_guest_start(g, VSW_GUEST_BOOT), "booting");
		pair_close(e, &p);
		guest_down(e, vm);
		env_wait_fds(e, env_baseline_fds(e));
	}
}

static void
test_a_feature_that_was_not_offered_ends_the_connection(struct env *e)
{
	/* SEQPACKET, RING_PACKED, an unknown one, IOMMU_PLATFORM */
	static const unsigned int bits[] = {1, 34, 24, 33};
	struct pair p;
	unsigned int before;

	guest_up(e, 1, NULL);
	p = pair_from_guest(e, 1, 52);
	before = env_settled_fds(e);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(bits); i++) {
		struct vsw_guest_conf conf = guest_conf(e, 0);
		struct vsw_guest *g = vsw_guest_create(&conf);
		uint64_t features = 1ull << 32 | 1ull << 30 | 1ull << bits[i];
		uint8_t byte;

		ok(e, g, vsw_guest_attach(g), "attaching");
		vsw_guest_vhost_send(g, VSW_VHOST_SET_FEATURES, 0, &features, sizeof(features),
				     NULL, 0);
		check(e,
		      vsw_guest_vhost_recv(g, VSW_VHOST_SET_FEATURES, &byte, 1, WAIT_MS) == -EPIPE);
		vsw_guest_destroy(g);
		env_wait_fds(e, before);
	}
	guest_up(e, 0, NULL);
	check_both_ways(e, 0);
	pair_check(e, &p);
}

/*
 * Shapes of rings. Buffers in every shape are test_stream's.
 */

static void
test_every_size_and_kind_of_ring(struct env *e)
{
	static const uint16_t sizes[] = {2, 4, 8, 64, 128, 256, 512, 1024};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(sizes); i++) {
		for (unsigned int kind = 0; kind < 4; kind++) {
			struct vsw_guest_conf conf = guest_conf(e, 0);
			struct flow f = {.to_host = 100000, .to_guest = 100000};
			struct pair p;

			conf.ring_size = sizes[i];
			conf.event_idx = kind & 1;
			conf.indirect = kind & 2;
			if (conf.indirect)
				conf.send_shape = VSW_GUEST_SEND_INDIRECT;
			conf.n_rings = 2 + (i + kind) % 2;
			guest_up(e, 0, &conf);
			p = pair_from_guest(e, 0, 52);
			f.s = p.s;
			f.fd = p.fd;
			run_flows(e, &f, 1);
			/* without anything else going on: each needs its kick and its interrupt */
			for (int k = 0; k < 3; k++)
				pair_check(e, &p);
			pair_close(e, &p);
			guest_down(e, 0);
			env_wait_fds(e, env_baseline_fds(e));
		}
	}
}

/*
 * Updates in the middle of traffic.
 */

struct disturbance {
	struct vsw_guest *g;
	uint64_t every, next;
	unsigned int n, max;
	void (*disturb)(struct env *e, struct disturbance *d);
};

static void
disturb(struct env *e, uint64_t arrived, void *arg)
{
	struct disturbance *d = arg;

	if (arrived < d->next || d->n == d->max)
		return;
	d->next += d->every;
	d->n++;
	d->disturb(e, d);
}

/* Two streams both ways, disturbed; no byte may be lost, no stream reset. */
static void
move_disturbed(struct env *e, struct disturbance *d)
{
	struct flow flows[2];
	struct pair p[2];

	for (unsigned int i = 0; i < 2; i++) {
		p[i] = i == 0 ? pair_from_guest(e, 0, 52) : pair_from_host(e, 0, 5252);
		flows[i] = (struct flow){.s = p[i].s,
					 .fd = p[i].fd,
					 .to_host = 2 * MIB,
					 .to_guest = 2 * MIB,
					 .chunk = i == 0 ? 65536 : 3000};
	}
	run_flows_with(e, flows, 2, disturb, d);
	check(e, d->n == d->max);
	for (unsigned int i = 0; i < 2; i++) {
		pair_check(e, &p[i]);
		pair_close(e, &p[i]);
	}
	guest_wait_no_socks(e, 0);
}

static void
add_memory(struct env *e, struct disturbance *d)
{
	ok(e, d->g, vsw_guest_add_region(d->g, 32 * MIB), "adding memory");
}

static void
test_memory_added_in_the_middle_loses_no_byte(struct env *e)
{
	for (unsigned int n_regions = 1; n_regions <= 3; n_regions++) {
		struct vsw_guest_conf conf = guest_conf(e, 0);
		struct disturbance d = {
			.disturb = add_memory, .max = 4, .every = 2 * MIB, .next = MIB / 2};

		conf.n_regions = n_regions;
		d.g = guest_up(e, 0, &conf);
		move_disturbed(e, &d);
		guest_down(e, 0);
		env_wait_fds(e, env_baseline_fds(e));
	}
}

static void
same_memory(struct env *e, struct disturbance *d)
{
	ok(e, d->g, vsw_guest_send_mem_table(d->g), "telling the same memory");
}

static void
test_the_same_memory_again_and_again(struct env *e)
{
	struct disturbance d = {.disturb = same_memory, .max = 60, .every = 100000};

	d.g = guest_up(e, 0, NULL);
	move_disturbed(e, &d);
}

static void
new_call_fds(struct env *e, struct disturbance *d)
{
	ok(e, d->g, vsw_guest_replace_call(d->g, d->n % 2), "replacing a call descriptor");
}

static void
test_new_call_descriptors_in_the_middle(struct env *e)
{
	struct disturbance d = {.disturb = new_call_fds, .max = 60, .every = 100000};

	d.g = guest_up(e, 0, NULL);
	move_disturbed(e, &d);
}

/*
 * The driver sleeps on the new descriptor while what it waits for may have been signalled on
 * the old one. A violation says if it would have slept on.
 */
static void
test_no_interrupt_is_lost_with_the_old_call_descriptor(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct pair p = pair_from_guest(e, 0, 52);
	char buf[1000] = "", got[1000];

	for (int i = 0; i < 60; i++) {
		host_write(e, p.fd, buf, sizeof(buf));
		if (i % 3 != 0)
			ok(e, g, vsw_guest_replace_call(g, VSW_GUEST_TO_GUEST), "replacing");
		guest_recv_exactly(e, p.s, got, sizeof(got));
		guest_send_all(e, p.s, buf, sizeof(buf));
		if (i % 3 != 1)
			ok(e, g, vsw_guest_replace_call(g, VSW_GUEST_FROM_GUEST), "replacing");
		host_read(e, p.fd, got, sizeof(got));
	}
	check(e, vsw_guest_violations(g) == 0);
}

/*
 * Ends.
 */

/* A stream of which both directions are full of data. */
struct busy {
	struct pair p;
	size_t sent;
};

static struct busy
busy_stream(struct env *e, struct vsw_guest *g, unsigned int vm, uint32_t port)
{
	static uint8_t buf[400000];
	struct busy b = {.p = pair_from_guest(e, vm, port)};
	ssize_t n;

	pattern_fill(buf, 0, sizeof(buf));
	n = vsw_guest_send(b.p.s, buf, sizeof(buf), 20);
	if (n <= 0)
		fail_env(e, "the guest sends: %zd, %s", n, vsw_guest_error(g));
	b.sent = (size_t)n;
	send(b.p.fd, buf, 100000, MSG_NOSIGNAL | MSG_DONTWAIT);
	return b;
}

/* The host reads what the guest has sent, or less of it, and then the end. */
static size_t
expect_busy_end(struct env *e, struct busy *b)
{
	static uint8_t buf[65536];
	size_t got = 0;
	ssize_t n;

	for (;;) {
		if (pump_fd(e, b->p.fd, POLLIN, WAIT_MS) == 0)
			fail_env(e, "waited for the end of a stream after %zu bytes", got);
		n = recv(b->p.fd, buf, sizeof(buf), 0);
		if (n <= 0)
			break;
		if (!pattern_matches(buf, got, (size_t)n))
			fail_env(e, "wrong bytes after %zu", got);
		got += (size_t)n;
	}
	check(e, n == 0 || errno == ECONNRESET);
	check(e, got <= b->sent);
	env_close(e, b->p.fd);
	return got;
}

static void
test_a_reboot_ends_streams_and_begins_anew(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct vsw_guest_stats stats;
	struct pair other;

	guest_up(e, 1, NULL);
	other = pair_from_guest(e, 1, 52);
	for (int i = 0; i < 6; i++) {
		struct busy b = busy_stream(e, g, 0, 53);

		/* the VMM stops the rings and answers with where they stand: lib/guest checks */
		ok(e, g, vsw_guest_stop(g), "stopping");
		expect_busy_end(e, &b);
		ok(e, g, vsw_guest_start(g, VSW_GUEST_BOOT), "booting");
		guest_sync(e, 0);
		check(e, vsw_guest_recv(b.p.s, NULL, 1, 0) == -ECONNRESET);
		vsw_guest_close(b.p.s);
		check_both_ways(e, 0);
		pair_check(e, &other);
	}
	/* empty rings belong to a driver that knows of nothing */
	vsw_guest_stats(g, &stats);
	check(e, stats.transport_resets == 0);
}

static bool
is_done(void *arg)
{
	struct vsw_guest_sock_info info;

	vsw_guest_sock_info(arg, &info);
	return info.state == VSW_GUEST_DONE;
}

/* A host that finds the rings stopped is refused, whatever it had said before; the device is none
 * the worse for it (vhost-device-vsock's worker was dead from then on). */
static void
test_hosts_that_connect_while_the_rings_are_stopped(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);

	for (int i = 0; i < 4; i++) {
		bool stays_stopped = i % 2 == 0;
		int silent = host_connect(e, 0), half = host_connect(e, 0), whole;

		host_puts(e, half, "CONNECT ");
		ok(e, g, vsw_guest_stop(g), "stopping");
		whole = host_connect(e, 0);
		host_puts(e, whole, "CONNECT 22\n");
		if (stays_stopped) {
			host_puts(e, half, "22\n");
			host_expect_eof(e, half);
		}
		host_expect_eof(e, whole);
		ok(e, g, vsw_guest_start(g, VSW_GUEST_BOOT), "booting");
		guest_sync(e, 0);
		check_both_ways(e, 0);
		/* who waited for the guest finds it */
		check(e, vsw_guest_listen(g, 22, 2) == 0);
		if (!stays_stopped) {
			host_puts(e, half, "22\n");
			host_expect_ok(e, half);
		}
		host_puts(e, silent, "CONNECT 22\n");
		host_expect_ok(e, silent);
		vsw_guest_unlisten(g, 22);
		env_close(e, half);
		env_close(e, whole);
		env_close(e, silent);
	}
}

/* Rings that go on in the middle: the driver remembers streams that are over. */
static void
test_a_driver_that_goes_on_is_told_that_its_streams_are_over(struct env *e)
{
	for (uint16_t n_rings = 2; n_rings <= 3; n_rings++) {
		struct vsw_guest_conf conf = guest_conf(e, 0);
		struct vsw_guest_stats stats;
		struct vsw_guest *g;

		conf.n_rings = n_rings;
		g = guest_up(e, 0, &conf);
		for (unsigned int i = 1; i <= 3; i++) {
			struct busy b = busy_stream(e, g, 0, 53);

			ok(e, g, vsw_guest_stop(g), "stopping");
			expect_busy_end(e, &b);
			ok(e, g, vsw_guest_start(g, VSW_GUEST_RESUME), "going on");
			guest_sync(e, 0);
			if (n_rings == 2) /* nobody can tell it, until it speaks */
				vsw_guest_set_window(b.p.s, 100000);
			pump_until(e, is_done, b.p.s, "the guest to hear that its stream is over");
			vsw_guest_stats(g, &stats);
			if (stats.transport_resets != (n_rings == 3 ? i : 0))
				fail_env(e, "%lu TRANSPORT_RESET after %u stops of %u rings",
					 (unsigned long)stats.transport_resets, i, n_rings);
			vsw_guest_close(b.p.s);
			check_both_ways(e, 0);
		}
		guest_down(e, 0);
		env_wait_fds(e, env_baseline_fds(e));
	}
}

/* One ring off and on again, nothing else said: UML's driver does so one by one. */
static void
test_a_single_ring_that_goes_off_and_on(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);

	for (unsigned int i = 0; i < 6; i++) {
		struct busy b = busy_stream(e, g, 0, 53);

		ok(e, g, vsw_guest_enable(g, i % 2, false), "switching off");
		guest_sync(e, 0);
		ok(e, g, vsw_guest_enable(g, i % 2, true), "switching on");
		guest_sync(e, 0);
		expect_busy_end(e, &b);
		vsw_guest_set_window(b.p.s, 100000);
		pump_until(e, is_done, b.p.s, "the guest to hear that its stream is over");
		vsw_guest_close(b.p.s);
		check_both_ways(e, 0);
	}
}

/*
 * Host readers that stand still, until all windows are used up.
 */
#define N_STUFFED 120

static struct busy stuffed[N_STUFFED];

static bool
is_stuffed(const struct busy *b)
{
	struct vsw_guest_sock_info info;

	vsw_guest_sock_info(b->p.s, &info);
	return info.sendable == 0;
}

/* Each chain takes two messages, so that they run out before the ring is full. */
static struct vsw_guest *
stuffed_guest(struct env *e)
{
	static uint8_t buf[600000];
	struct vsw_guest_conf conf = guest_conf(e, 0);
	struct vsw_guest *g;
	unsigned int n_stuffed;

	conf.ring_size = 64;
	conf.send_shape = VSW_GUEST_SEND_INDIRECT;
	conf.send_fragments = 40;
	g = guest_up(e, 0, &conf);
	pattern_fill(buf, 0, sizeof(buf));
	for (int i = 0; i < N_STUFFED; i++)
		stuffed[i] = (struct busy){.p = pair_from_guest(e, 0, 53)};
	for (int n_idle = 0; n_idle < 5; n_idle++) {
		n_stuffed = 0;
		for (int i = 0; i < N_STUFFED; i++) {
			struct busy *b = &stuffed[i];
			ssize_t n = vsw_guest_send(b->p.s, buf + b->sent, sizeof(buf) - b->sent, 0);

			n_stuffed += is_stuffed(b);
			if (n <= 0)
				continue;
			b->sent += (size_t)n;
			n_idle = -1;
		}
		pump_fd(e, -1, 0, n_idle < 0 ? 0 : 20);
	}
	if (n_stuffed < N_STUFFED)
		fail_env(e, "%u of %d windows are used up", n_stuffed, N_STUFFED);
	return g;
}

static void
test_a_stop_while_hosts_do_not_read(struct env *e)
{
	struct vsw_guest *g = stuffed_guest(e);

	ok(e, g, vsw_guest_stop(g), "stopping");
	for (int i = 0; i < N_STUFFED; i++)
		expect_busy_end(e, &stuffed[i]);
	ok(e, g, vsw_guest_start(g, VSW_GUEST_BOOT), "booting");
	guest_sync(e, 0);
	check_both_ways(e, 0);
	for (int i = 0; i < N_STUFFED; i++)
		vsw_guest_close(stuffed[i].p.s);
}

/* The same for an update: streams live on, so every byte that was sent must arrive. */
static void
test_memory_added_while_hosts_do_not_read(struct env *e)
{
	static uint8_t buf[65536];
	struct vsw_guest *g = stuffed_guest(e);

	ok(e, g, vsw_guest_add_region(g, 32 * MIB), "adding memory");
	ok(e, g, vsw_guest_send_mem_table(g), "telling the same memory");
	for (int i = 0; i < N_STUFFED; i++) {
		const struct busy *b = &stuffed[i];

		for (size_t got = 0, part; got < b->sent; got += part) {
			part = b->sent - got < sizeof(buf) ? b->sent - got : sizeof(buf);
			host_read(e, b->p.fd, buf, part);
			if (!pattern_matches(buf, got, part))
				fail_env(e, "stream %d: wrong bytes after %zu of %zu", i, got,
					 b->sent);
		}
	}
	for (int i = 0; i < N_STUFFED; i++) {
		pair_check(e, &stuffed[i].p);
		pair_close(e, &stuffed[i].p);
	}
}

static void
test_a_vmm_that_dies_and_comes_back_20_times(struct env *e)
{
	struct pair other;
	unsigned int before;

	guest_up(e, 1, NULL);
	other = pair_from_guest(e, 1, 52);
	before = env_settled_fds(e);
	for (unsigned int i = 0; i < 20; i++) {
		struct vsw_guest_conf conf = guest_conf(e, 0);
		struct vsw_guest *g;
		struct busy b;

		/* not always the same VMM */
		conf.shape = i % 3 == 0 ? VSW_GUEST_UML : VSW_GUEST_QEMU;
		conf.n_regions = 1 + i % 3;
		g = guest_up(e, 0, &conf);
		check_both_ways(e, 0);
		b = busy_stream(e, g, 0, 53);
		guest_down(e, 0);
		expect_busy_end(e, &b);
		env_wait_fds(e, before);
		pair_check(e, &other);
	}
}

/* Resets that found no receive buffer belong to the driver that is gone. */
static void
test_nothing_of_an_old_life_reaches_the_new(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct vsw_pkt pkt = raw_pkt(0, VSW_OP_SHUTDOWN);

	raw_connect(e, g, 0, 262144);
	vsw_guest_hold_recv(g, true);
	/* each answer takes one of the buffers that vswd has still */
	for (int i = 0; i < 300; i++) {
		raw_send_op(e, g, 0, VSW_OP_CREDIT_REQUEST);
		ok(e, g, vsw_guest_wait_used(g, VSW_GUEST_FROM_GUEST, WAIT_MS), "asking");
	}
	pkt.flags = VSW_SHUTDOWN_BOTH;
	raw_send(e, g, &pkt, NULL, 0);
	ok(e, g, vsw_guest_wait_used(g, VSW_GUEST_FROM_GUEST, WAIT_MS), "closing");
	ok(e, g, vsw_guest_stop(g), "stopping");
	vsw_guest_hold_recv(g, false);
	ok(e, g, vsw_guest_start(g, VSW_GUEST_BOOT), "booting");
	raw_expect_quiet(e, g);
	raw_check_alive(e, g, 0);
}

static void
test_a_second_vmm_is_refused_and_the_first_goes_on(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct pair p = pair_from_guest(e, 0, 52);
	unsigned int before = env_settled_fds(e);

	for (int i = 0; i < 5; i++) {
		struct vsw_guest_conf conf = guest_conf(e, 0);
		struct vsw_guest *second = vsw_guest_create(&conf);

		check(e, vsw_guest_attach(second) < 0);
		vsw_guest_destroy(second);
		pair_check(e, &p);
	}
	env_wait_fds(e, before);
	check(e, vsw_guest_is_attached(g));
	check_both_ways(e, 0);
}

static int
connect_raw(struct env *e, unsigned int vm)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = env_own_fd(e, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

	strncpy(addr.sun_path, env_vhost_path(e, vm), sizeof(addr.sun_path) - 1);
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
		fail_env(e, "connecting to %s: %s", addr.sun_path, strerror(errno));
	return fd;
}

/* A header {request, flags, size}, or less, or nonsense behind it. */
static void
test_front_ends_that_say_nothing_or_nonsense(struct env *e)
{
	static const struct {
		const char *what;
		uint32_t words[8];
		size_t len;
		bool is_closed; /* by vswd; otherwise it waits for more */
	} cases[] = {
		{"nothing", {0}, 0, false},
		{"half a header", {1, 1}, 6, false},
		{"a header without its payload", {2, 1, 8}, 12, false},
		{"a request that is none", {250, 1, 0}, 12, true},
		{"a version that is none", {1, 2, 0}, 12, false},
		{"a payload of 4 GiB", {2, 1, UINT32_MAX}, 12, true},
		{"a ring that is none", {8, 1, 8, 200, 128}, 20, false},
		{"GET_VRING_BASE of a ring that was never there", {11, 1, 8, 1, 0}, 20, false},
		{"ENABLE of a ring that was never there", {18, 1, 8, 2, 1}, 20, false},
		{"text", {0x4e4e4f43, 0x20544345, 0x0a323235}, 12, true},
	};
	struct pair other;
	unsigned int before;

	guest_up(e, 1, NULL);
	other = pair_from_guest(e, 1, 52);
	before = env_settled_fds(e);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(cases); i++) {
		int fd = connect_raw(e, 0), host;

		if (cases[i].len > 0)
			check(e, send(fd, cases[i].words, cases[i].len, MSG_NOSIGNAL) ==
					 (ssize_t)cases[i].len);
		if (cases[i].is_closed && pump_fd(e, fd, POLLHUP, WAIT_MS) == 0)
			fail_env(e, "%s: waited 10 s to be turned away", cases[i].what);
		/* neither the other guest nor a host of this one suffers */
		pair_check(e, &other);
		host = host_connect(e, 0);
		host_puts(e, host, "CONNECT 22\n");
		host_expect_eof(e, host);
		env_close(e, host);
		env_close(e, fd);
		env_wait_fds(e, before);
	}
	guest_up(e, 0, NULL);
	check_both_ways(e, 0);
}

int
main(void)
{
	static const struct test_case cases[] = {
		CASE(test_exactly_these_features_are_offered),
		CASE(test_config_can_be_read_anywhere_at_any_time),
		CASE(test_a_feature_that_was_not_offered_ends_the_connection),
		CASE(test_every_size_and_kind_of_ring),
		CASE(test_memory_added_in_the_middle_loses_no_byte),
		CASE(test_the_same_memory_again_and_again),
		CASE(test_new_call_descriptors_in_the_middle),
		CASE(test_no_interrupt_is_lost_with_the_old_call_descriptor),
		CASE(test_a_reboot_ends_streams_and_begins_anew),
		CASE(test_hosts_that_connect_while_the_rings_are_stopped),
		CASE(test_a_driver_that_goes_on_is_told_that_its_streams_are_over),
		CASE(test_a_single_ring_that_goes_off_and_on),
		CASE(test_a_stop_while_hosts_do_not_read),
		CASE(test_memory_added_while_hosts_do_not_read),
		CASE(test_a_vmm_that_dies_and_comes_back_20_times),
		CASE(test_nothing_of_an_old_life_reaches_the_new),
		CASE(test_a_second_vmm_is_refused_and_the_first_goes_on),
		CASE(test_front_ends_that_say_nothing_or_nonsense),
	};

	return run_cases("lifecycle", cases, VSW_ARRAY_SIZE(cases));
}
