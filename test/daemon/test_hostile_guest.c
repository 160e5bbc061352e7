/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that a guest can put into its rings what it likes, while vswd looks at them: its
 * neighbours notice nothing, and a guest that is booted in its place works.
 *
 * The random ones print their seed; VSW_TEST_SEED repeats them.
 */
#include "hostile.h"
#include "raw.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/virtio_ring.h>

/* A guest in the villain's place must find everything as it should be. */
static void
check_place(struct env *e)
{
	struct pair p;

	guest_up(e, 0, NULL);
	p = pair_from_guest(e, 0, 56);
	pair_check(e, &p);
	pair_close(e, &p);
	p = pair_from_host(e, 0, 56);
	pair_check(e, &p);
	pair_close(e, &p);
	guest_down(e, 0);
}

/*
 * Storms of packets.
 */

/* As fast as the ring takes them, whether or not they are answered. */
static void
storm(struct env *e, struct vsw_guest *g, struct neighbours *nb, const struct vsw_pkt *first,
      unsigned int n, uint32_t port_step)
{
	struct vsw_pkt pkt = *first;

	for (unsigned int i = 0; i < n; i++) {
		raw_send(e, g, &pkt, NULL, 0);
		pkt.src_port += port_step;
		if (i % 1000 == 999)
			neighbours_move(e, nb, 2000);
	}
}

static void
drop_kept(struct vsw_guest *g)
{
	vsw_guest_set_raw(g, false);
	vsw_guest_set_raw(g, true);
}

static void
test_storms_of_packets(struct env *e)
{
	static const uint16_t ops[] = {VSW_OP_RST,
				       VSW_OP_RESPONSE,
				       VSW_OP_SHUTDOWN,
				       VSW_OP_CREDIT_UPDATE,
				       VSW_OP_CREDIT_REQUEST,
				       VSW_OP_RW,
				       99};
	static const uint32_t cids[] = {VSW_CID_HOST, 4, 3, 77};
	struct neighbours nb = neighbours_up(e);
	struct vsw_guest *g = guest_up(e, 0, NULL);

	vsw_guest_set_raw(g, true);
	for (size_t c = 0; c < VSW_ARRAY_SIZE(cids); c++) {
		for (size_t i = 0; i < VSW_ARRAY_SIZE(ops); i++) {
			struct vsw_pkt pkt = raw_pkt(0, ops[i]);

			pkt.dst_cid = cids[c];
			pkt.flags = ops[i] == VSW_OP_SHUTDOWN ? VSW_SHUTDOWN_BOTH : 0;
			storm(e, g, &nb, &pkt, 1000, (uint32_t)i % 2);
			drop_kept(g);
		}
	}
	neighbours_check(e, &nb);
	raw_check_alive(e, g, 0);
	vsw_guest_forgive(g);
	guest_down(e, 0);
	check_place(e);
}

/* On a connection that is there: what comes out at the other end is what went in. */
static void
test_storms_on_a_connection(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	struct vsw_guest *g = guest_up(e, 0, NULL);
	int fd = raw_connect(e, g, 0, 262144);
	struct vsw_pkt pkt = raw_pkt(0, VSW_OP_RESPONSE);
	char buf[8];

	storm(e, g, &nb, &pkt, 2000, 0);
	pkt.op = VSW_OP_CREDIT_REQUEST;
	storm(e, g, &nb, &pkt, 2000, 0);
	drop_kept(g);
	/* windows that jump about */
	pkt.op = VSW_OP_CREDIT_UPDATE;
	for (unsigned int i = 0; i < 2000; i++) {
		pkt.buf_alloc = i % 3 == 0 ? 0 : i % 3 == 1 ? UINT32_MAX : i;
		pkt.fwd_cnt = i % 2 ? 0 : UINT32_MAX - i;
		raw_send(e, g, &pkt, NULL, 0);
	}
	pkt = raw_pkt(0, VSW_OP_RW);
	pkt.len = 4;
	raw_send(e, g, &pkt, "true", 4);
	host_read(e, fd, buf, 4);
	check(e, memcmp(buf, "true", 4) == 0);
	host_expect_quiet(e, fd);
	/* and the end, many times */
	pkt = raw_pkt(0, VSW_OP_SHUTDOWN);
	pkt.flags = VSW_SHUTDOWN_BOTH;
	storm(e, g, &nb, &pkt, 2000, 0);
	host_expect_eof(e, fd);
	neighbours_check(e, &nb);
	vsw_guest_forgive(g);
	guest_down(e, 0);
	check_place(e);
}

static void
test_port_floods(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct vsw_pkt pkt = raw_pkt(0, VSW_OP_REQUEST);
	int listener = host_listen(e, 0, RAW_HOST_PORT, 1);

	vsw_guest_set_raw(g, true);
	/* to a listener that accepts nobody: a full backlog */
	storm(e, g, &nb, &pkt, 3000, 1);
	drop_kept(g);
	env_close(e, listener);
	/* to nobody, to a sibling that refuses, to oneself */
	pkt.dst_port = 9;
	storm(e, g, &nb, &pkt, 3000, 1);
	pkt.dst_cid = 4;
	storm(e, g, &nb, &pkt, 3000, 1);
	drop_kept(g);
	pkt.dst_cid = 3;
	storm(e, g, &nb, &pkt, 3000, 1);
	drop_kept(g);
	neighbours_check(e, &nb);
	vsw_guest_forgive(g);
	guest_down(e, 0);
	check_place(e);
}

/* Many connections to a sibling's listener that are never spoken on, and no buffer ever for
 * its answers. */
static void
test_a_sibling_that_takes_nothing(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct vsw_pkt pkt = raw_pkt(0, VSW_OP_REQUEST);

	vsw_guest_listen(env_guest(e, 1), 4200, 512);
	vsw_guest_set_raw(g, true);
	vsw_guest_hold_recv(g, true);
	pkt.dst_cid = 4;
	pkt.dst_port = 4200;
	for (unsigned int i = 0; i < 400; i++) {
		if (vsw_guest_send_pkt(g, &pkt, NULL, 0) < 0)
			break; /* its own ring is full: nobody else's business */
		pkt.src_port++;
		if (i % 50 == 49)
			neighbours_move(e, &nb, 2000);
	}
	/* the neighbour sends to it all the same */
	for (unsigned int i = 0; i < 20; i++) {
		struct vsw_guest_sock *s = vsw_guest_accept(env_guest(e, 1), 4200, 0);
		static uint8_t buf[65536];

		if (s == NULL)
			break;
		vsw_guest_send(s, buf, sizeof(buf), 0);
		neighbours_move(e, &nb, 2000);
	}
	neighbours_check(e, &nb);
	vsw_guest_unlisten(env_guest(e, 1), 4200);
	guest_down(e, 0);
	neighbours_check(e, &nb);
	check_place(e);
}

/* Hosts write to a guest that returns no buffers; the host's data waits, nobody else does. */
static void
test_buffers_that_never_come_back(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct pair p = pair_from_guest(e, 0, 52);
	static uint8_t buf[65536];

	vsw_guest_hold_recv(g, true);
	for (unsigned int i = 0; i < 64; i++)
		(void)!send(p.fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL);
	neighbours_check(e, &nb);
	for (unsigned int i = 0; i < 20; i++)
		env_close(e, host_connect(e, 0));
	neighbours_check(e, &nb);
	guest_down(e, 0);
	check_place(e);
}

static void
test_rings_that_go_off_and_on(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	struct vsw_guest *g = guest_up(e, 0, NULL);

	for (unsigned int i = 0; i < 60; i++) {
		static uint8_t buf[65536];
		struct vsw_guest_sock *s =
			vsw_guest_connect_start(g, 0, i % 2 ? 4 : VSW_CID_HOST, 52);

		if (s != NULL)
			vsw_guest_send(s, buf, sizeof(buf), 0);
		vsw_guest_enable(g, i % 2, false);
		neighbours_move(e, &nb, 2000);
		vsw_guest_enable(g, i % 2, true);
		if (vsw_guest_stop(g) < 0 || vsw_guest_start(g, VSW_GUEST_BOOT) < 0)
			fail_env(e, "boot %u: %s", i, vsw_guest_error(g));
	}
	neighbours_check(e, &nb);
	vsw_guest_forgive(g);
	guest_down(e, 0);
	check_place(e);
}

/*
 * At random, in memory that belongs to both.
 */

static struct vring_desc *
desc_at(struct vmm *v, unsigned int q, unsigned int i)
{
	return (struct vring_desc *)(v->mem + VMM_DESC(q)) + i % VMM_RING_SIZE;
}

static uint64_t
random_addr(void)
{
	switch (random_below(8)) {
	case 0:
		return random_u64();
	case 1:
		return VMM_GPA + VMM_MEM_SIZE - random_below(64);
	case 2:
		return VMM_GPA - random_below(64);
	case 3: /* the rings themselves */
		return VMM_GPA + random_below(0x8000);
	default:
		return VMM_GPA + 0x10000 + random_below(VMM_MEM_SIZE - 0x20000);
	}
}

static uint32_t
random_len(void)
{
	static const uint32_t lens[] = {0,   1,    43,    44,    45,           48,
					100, 4096, 65536, 65580, VMM_MEM_SIZE, UINT32_MAX};

	return lens[random_below(VSW_ARRAY_SIZE(lens))];
}

/* A header that is plausible in most fields, so that it comes far. */
static void
random_header(uint8_t *at)
{
	static const uint32_t cids[] = {VSW_CID_HOST, VSW_CID_HOST, 4, 5, 3, 77};
	struct vsw_pkt pkt = {
		.src_cid = random_below(16) ? 3 : (uint32_t)random_u64(),
		.dst_cid = cids[random_below(VSW_ARRAY_SIZE(cids))],
		.src_port = 1000 + random_below(20),
		.dst_port = random_below(4) ? 52 : 60 + random_below(4),
		.type = random_below(16) ? VSW_TYPE_STREAM : (uint16_t)random_u64(),
		.op = (uint16_t)random_below(9),
		.flags = random_below(8) ? random_below(4) : (uint32_t)random_u64(),
		.len = random_below(3) ? random_below(200) : random_len(),
		.buf_alloc = random_below(4) ? 262144 : (uint32_t)random_u64(),
		.fwd_cnt = random_below(4) ? 0 : (uint32_t)random_u64(),
	};

	vsw_pkt_encode(at, &pkt);
}

static void
random_chain(struct vmm *v, unsigned int q, unsigned int head)
{
	unsigned int n = 1 + random_below(4), at = head;

	for (unsigned int i = 0; i < n; i++) {
		struct vring_desc *d = desc_at(v, q, at);
		bool is_last = i + 1 == n;
		uint64_t addr = random_addr();

		*d = (struct vring_desc){
			.addr = addr,
			.len = random_below(2) ? 44 + random_below(4096) : random_len(),
			.flags = (is_last ? 0 : VRING_DESC_F_NEXT) |
				 (random_below(16) ? (q == 0 ? VRING_DESC_F_WRITE : 0)
						   : VRING_DESC_F_WRITE) |
				 (random_below(16) ? 0 : VRING_DESC_F_INDIRECT) |
				 (random_below(64) ? 0 : (uint16_t)random_u64()),
			.next = random_below(16) ? (uint16_t)((at + 1) % VMM_RING_SIZE)
						 : (uint16_t)random_below(100),
		};
		if (q == 1 && i == 0 && addr >= VMM_GPA && addr + 44 <= VMM_GPA + VMM_MEM_SIZE)
			random_header(v->mem + (addr - VMM_GPA));
		at++;
	}
}

static void
random_burst(struct vmm *v, unsigned int q)
{
	struct vring_avail *avail = (struct vring_avail *)(v->mem + VMM_AVAIL(q));
	struct vring_used *used = (struct vring_used *)(v->mem + VMM_USED(q));
	uint16_t idx = __atomic_load_n(&avail->idx, __ATOMIC_RELAXED);
	uint16_t used_idx = __atomic_load_n(&used->idx, __ATOMIC_RELAXED);
	unsigned int n = random_below(16);

	for (unsigned int i = 0; i < n && (uint16_t)(idx - used_idx) < VMM_RING_SIZE; i++, idx++) {
		unsigned int head = random_below(VMM_RING_SIZE);

		random_chain(v, q, head);
		avail->ring[idx % VMM_RING_SIZE] =
			random_below(64) ? (uint16_t)head : (uint16_t)random_u64();
	}
	if (random_below(400) == 0)
		idx = (uint16_t)random_u64();
	__atomic_store_n(&avail->idx, idx, __ATOMIC_RELEASE);
	(void)!write(v->kick[q], "\1\0\0\0\0\0\0\0", 8);
}

static uint16_t
n_used(const struct vmm *v)
{
	const struct vring_used *used = (const struct vring_used *)(v->mem + VMM_USED(1));

	return __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE);
}

/* More of it, for those who have time. */
static int
n_rounds(int n)
{
	const char *factor = getenv("VSW_TEST_ROUNDS");

	return factor != NULL ? n * atoi(factor) : n;
}

static void
test_random_rings(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	int listener = host_listen(e, 0, 52, 64);
	unsigned int n_taken = 0;

	seed_random(__func__);
	for (int round = 0; round < n_rounds(15); round++) {
		struct vmm v = vmm_connect(e, 0);

		check(e, vmm_boot(e, &v));
		for (int i = 0; i < 300; i++) {
			random_burst(&v, 0);
			random_burst(&v, 1);
			usleep(50);
			if (i % 60 == 59) {
				int fd = accept(listener, NULL, NULL);

				neighbours_move(e, &nb, 2000);
				if (fd >= 0) { /* somebody who writes, and reads nothing */
					(void)!send(fd, "something", 9, MSG_NOSIGNAL);
					close(fd);
				}
			}
		}
		n_taken += n_used(&v);
		vmm_close(e, &v);
	}
	if (n_taken < 1000)
		fail_env(e, "vswd has looked at %u random chains only", n_taken);
	neighbours_check(e, &nb);
	check_place(e);
}

/* Another thread writes into rings and packets while they are looked at. */
struct scribbler {
	struct vmm *v;
	uint64_t random;
	bool is_over;
};

static void *
scribble(void *arg)
{
	struct scribbler *s = arg;
	uint64_t x = s->random | 1;

	while (!__atomic_load_n(&s->is_over, __ATOMIC_RELAXED)) {
		uint32_t at, *word;

		x ^= x >> 12;
		x ^= x << 25;
		x ^= x >> 27;
		/* descriptors and headers; not the indexes, which would end the game at once */
		at = x & 1 ? VMM_DESC((x >> 1) & 1) + (uint32_t)(x >> 8) % (VMM_RING_SIZE * 16)
			   : 0x10000 + (uint32_t)(x >> 8) % 0x4000;
		word = (uint32_t *)(s->v->mem + (at & ~3u));
		__atomic_store_n(word, x & 2 ? (uint32_t)(x >> 32) : (uint32_t)(x >> 32) & 0x7f,
				 __ATOMIC_RELAXED);
	}
	return NULL;
}

static void
test_memory_that_changes_while_it_is_read(struct env *e)
{
	struct neighbours nb = neighbours_up(e);

	host_listen(e, 0, 52, 64);
	seed_random(__func__);
	for (int round = 0; round < n_rounds(6); round++) {
		struct vmm v = vmm_connect(e, 0);
		struct scribbler s = {.v = &v, .random = random_u64()};
		pthread_t thread;

		check(e, vmm_boot(e, &v));
		check(e, pthread_create(&thread, NULL, scribble, &s) == 0);
		for (int i = 0; i < 200; i++) {
			random_burst(&v, 0);
			random_burst(&v, 1);
			usleep(50);
			if (i % 50 == 49)
				neighbours_move(e, &nb, 2000);
		}
		__atomic_store_n(&s.is_over, true, __ATOMIC_RELAXED);
		pthread_join(thread, NULL);
		vmm_close(e, &v);
	}
	neighbours_check(e, &nb);
	check_place(e);
}

/*
 * Receive buffers that hold no header come back unused. A guest sees them come, in the used
 * ring's entries, and can post the next ones at that pace.
 */

#define LONG_RING 4096u
#define LONG_DESC 0x40000u
#define LONG_AVAIL 0x50000u
#define LONG_USED 0x54000u
#define PACKET_AT 0x10000u

/* The villain's receive ring stops and goes on as a long one, full of buffers of 16 bytes. */
static bool
fill_long_ring(struct env *e, struct vmm *v)
{
	const struct vmm_addr addr = {.index = 0,
				      .desc = VMM_USER + LONG_DESC,
				      .used = VMM_USER + LONG_USED,
				      .avail = VMM_USER + LONG_AVAIL};
	const uint64_t index = 0;
	struct vring_desc *desc = (void *)(v->mem + LONG_DESC);
	struct vring_avail *avail = (void *)(v->mem + LONG_AVAIL);
	struct vring_used *used = (void *)(v->mem + LONG_USED);

	for (uint16_t i = 0; i < LONG_RING; i++) {
		desc[i] = (struct vring_desc){VMM_GPA + 0x20000, 16, VRING_DESC_F_WRITE, 0};
		avail->ring[i] = i;
		used->ring[i].id = UINT32_MAX;
	}
	avail->idx = LONG_RING;
	return vmm_send_state(v, VSW_VHOST_GET_VRING_BASE, 0, 0) &&
	       vmm_send_state(v, VSW_VHOST_SET_VRING_NUM, 0, LONG_RING) &&
	       vmm_send_state(v, VSW_VHOST_SET_VRING_BASE, 0, 0) &&
	       vmm_send(v, VSW_VHOST_SET_VRING_ADDR, 0, &addr, sizeof(addr), NULL, 0) &&
	       vmm_send(v, VSW_VHOST_SET_VRING_KICK, 0, &index, 8, &v->kick[0], 1) &&
	       vmm_send(v, VSW_VHOST_SET_VRING_CALL, 0, &index, 8, &v->call[0], 1) &&
	       vmm_send_state(v, VSW_VHOST_SET_VRING_ENABLE, 0, 1) && vmm_is_served(e, v);
}

/* A packet to nobody, so that there is a RST to say. */
static void
send_to_nobody(struct vmm *v)
{
	struct vsw_pkt pkt = raw_pkt(0, VSW_OP_RESPONSE);
	struct vring_desc *desc = (void *)(v->mem + VMM_DESC(1));
	struct vring_avail *avail = (void *)(v->mem + VMM_AVAIL(1));

	vsw_pkt_encode(v->mem + PACKET_AT, &pkt);
	desc[0] = (struct vring_desc){VMM_GPA + PACKET_AT, VSW_PKT_HDR_LEN, 0, 0};
	avail->ring[0] = 0;
	__atomic_store_n(&avail->idx, 1, __ATOMIC_RELEASE);
	eventfd_write(v->kick[1], 1);
}

/* Whoever takes these buffers must stop to look after others: what has come back is shown at the
 * end of each pass. */
static void
test_receive_buffers_of_no_use_without_end(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	struct vmm v = vmm_connect(e, 0);
	struct vring_avail *avail;
	struct vring_used *used;
	uint64_t deadline = vsw_guest_now_ms() + WAIT_MS;
	uint16_t n = 0, most = 0;

	check(e, vmm_boot(e, &v) && fill_long_ring(e, &v));
	avail = (void *)(v.mem + LONG_AVAIL);
	used = (void *)(v.mem + LONG_USED);
	send_to_nobody(&v);
	for (unsigned int total = 0; total < 20 * LONG_RING;) {
		uint32_t *id = &used->ring[n % LONG_RING].id;
		uint16_t n_hidden;

		if (__atomic_load_n(id, __ATOMIC_ACQUIRE) == UINT32_MAX) {
			if (vsw_guest_now_ms() >= deadline)
				fail_env(e, "vswd has taken %u buffers only", total);
			continue;
		}
		n_hidden = ++n - __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE);
		if (n_hidden < INT16_MAX && n_hidden > most)
			most = n_hidden;
		*id = UINT32_MAX;
		__atomic_store_n(&avail->idx, (uint16_t)(n + LONG_RING), __ATOMIC_RELEASE);
		total++;
	}
	if (most > LONG_RING / 4)
		fail_env(e, "vswd took %u buffers without a look at anything else", most);
	neighbours_check(e, &nb);
	vmm_close(e, &v);
	check_place(e);
}

int
main(void)
{
	static const struct test_case cases[] = {
		CASE(test_storms_of_packets),
		CASE(test_storms_on_a_connection),
		CASE(test_port_floods),
		CASE(test_a_sibling_that_takes_nothing),
		CASE(test_buffers_that_never_come_back),
		CASE(test_rings_that_go_off_and_on),
		CASE(test_random_rings),
		CASE(test_memory_that_changes_while_it_is_read),
		CASE(test_receive_buffers_of_no_use_without_end),
	};

	return run_cases_in("hostile guest", hostile_variants, N_HOSTILE_VARIANTS, cases,
			    VSW_ARRAY_SIZE(cases));
}
