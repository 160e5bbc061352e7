/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that a VMM can say and do what it likes on its vhost-user socket: vswd hangs up on
 * it, or puts up with it, and the neighbours notice nothing; no descriptor stays.
 */
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <linux/virtio_ring.h>

#define N_REQUESTS 48

/* A descriptor that is not what a VMM should send, of N_ODD_FDS kinds. */
static int
odd_fd(struct env *e, unsigned int kind)
{
	int pair[2];

	switch (kind) {
	case 0:
		return env_own_fd(e, open("/dev/null", O_RDWR | O_CLOEXEC));
	case 1:
		return env_own_fd(e, open("/dev/zero", O_RDWR | O_CLOEXEC));
	case 2:
		check(e, pipe2(pair, O_CLOEXEC) == 0);
		env_own_fd(e, pair[0]);
		return env_own_fd(e, pair[1]);
	case 3:
		check(e, pipe2(pair, O_CLOEXEC) == 0);
		env_own_fd(e, pair[1]);
		return env_own_fd(e, pair[0]);
	case 4:
		check(e, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
		env_own_fd(e, pair[1]);
		return env_own_fd(e, pair[0]);
	case 5: /* its peer is gone */
		check(e, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
		close(pair[1]);
		return env_own_fd(e, pair[0]);
	case 6:
		return env_own_fd(e, open("/", O_PATH | O_CLOEXEC));
	case 7:
		return env_own_fd(e, open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	case 8:
		return env_own_fd(e, epoll_create1(EPOLL_CLOEXEC));
	case 9:
		return env_own_fd(e, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	case 10:
		return env_own_fd(e, memfd_create("odd", MFD_CLOEXEC)); /* of no length */
	case 11: { /* an eventfd that is full */
		uint64_t full = UINT64_MAX - 1;
		int fd = env_own_fd(e, eventfd(0, EFD_CLOEXEC));

		check(e, write(fd, &full, sizeof(full)) == sizeof(full));
		return fd;
	}
	case 12: /* a socket that is full, blocking */
		check(e, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
		while (send(pair[0], "12345678", 8, MSG_DONTWAIT) > 0)
			;
		env_own_fd(e, pair[1]);
		return env_own_fd(e, pair[0]);
	case 13: { /* a pipe that is full, blocking */
		check(e, pipe2(pair, O_CLOEXEC | O_NONBLOCK) == 0);
		while (write(pair[1], "12345678", 8) > 0)
			;
		check(e, fcntl(pair[1], F_SETFL, 0) == 0);
		env_own_fd(e, pair[0]);
		return env_own_fd(e, pair[1]);
	}
	case 14:
		return env_own_fd(e, open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	case 15: /* a listener */
		pair[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		return env_own_fd(e, pair[0]);
	default:
		return -1;
	}
}
#define N_ODD_FDS 16

/*
 * Slowness: one thread of librte_vhost reads the messages of all.
 */

static void
test_half_messages_hold_up_nobody(struct env *e)
{
	static const uint32_t header[3] = {VSW_VHOST_SET_FEATURES, 1, 8};
	static const size_t lens[] = {0, 1, 4, 11, 12};
	struct neighbours nb = neighbours_up(e);

	for (size_t i = 0; i < VSW_ARRAY_SIZE(lens); i++) {
		struct vmm v = vmm_connect(e, 0);

		check(e, lens[i] == 0 || vmm_send_raw(&v, header, lens[i], NULL, 0));
		neighbours_check(e, &nb);
		vmm_close(e, &v);
	}
	/* the same from a VMM that has begun well */
	for (size_t i = 0; i < VSW_ARRAY_SIZE(lens); i++) {
		struct vmm v = vmm_connect(e, 0);

		check(e, vmm_boot(e, &v));
		check(e, lens[i] == 0 || vmm_send_raw(&v, header, lens[i], NULL, 0));
		neighbours_check(e, &nb);
		vmm_close(e, &v);
	}
}

static void
test_messages_in_single_bytes_are_understood(struct env *e)
{
	struct vmm v = vmm_connect(e, 0);
	uint32_t msg[5] = {VSW_VHOST_SET_PROTOCOL_FEATURES, 1, 8, 1 << 9, 0};

	for (size_t i = 0; i < sizeof(msg); i++) {
		check(e, vmm_send_raw(&v, (uint8_t *)msg + i, 1, NULL, 0));
		if (i % 6 == 0)
			pump_fd(e, -1, 0, 2);
	}
	check(e, vmm_is_served(e, &v));
	vmm_close(e, &v);
}

static void
test_unread_replies_hold_up_nobody(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	struct vmm v = vmm_connect(e, 0);

	for (int i = 0; i < 5000; i++)
		if (!vmm_send(&v, VSW_VHOST_GET_FEATURES, 0, NULL, 0, NULL, 0))
			break;
	neighbours_check(e, &nb);
	vmm_close(e, &v);
	neighbours_check(e, &nb);
}

static void
test_silent_front_ends_keep_nobody_out(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	struct vmm v[24];

	for (size_t i = 0; i < VSW_ARRAY_SIZE(v); i++)
		v[i] = vmm_connect(e, 0);
	guest_up(e, 0, NULL);
	neighbours_check(e, &nb);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(v); i++)
		vmm_close(e, &v[i]);
	guest_sync(e, 0);
}

static void
test_a_second_front_end_is_turned_away(struct env *e)
{
	struct vsw_guest *g = guest_up(e, 0, NULL);
	struct pair p = pair_from_guest(e, 0, 52);

	for (int i = 0; i < 20; i++) {
		struct vmm v = vmm_connect(e, 0);

		vmm_send(&v, VSW_VHOST_GET_FEATURES, 0, NULL, 0, NULL, 0);
		vmm_expect_hangup(e, &v, "a second VMM");
		vmm_close(e, &v);
		pair_check(e, &p);
	}
	check(e, vsw_guest_is_attached(g));
}

static void
test_a_vmm_may_come_back_at_once(struct env *e)
{
	for (int i = 0; i < 100; i++) {
		struct vmm v = vmm_connect(e, 0);

		if (!vmm_boot(e, &v))
			fail_env(e, "VMM number %d is turned away", i);
		vmm_close(e, &v);
	}
}

/*
 * Garbage.
 */

static void
test_garbage_is_hung_up_on(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	uint8_t buf[2048];

	seed_random(__func__);
	for (int i = 0; i < 100; i++) {
		struct vmm v = vmm_connect(e, 0);

		for (size_t j = 0; j < sizeof(buf); j++)
			buf[j] = (uint8_t)random_u64();
		vmm_send_raw(&v, buf, 64 + random_below(sizeof(buf) - 64), NULL, 0);
		vmm_expect_hangup(e, &v, "garbage");
		vmm_close(e, &v);
	}
	neighbours_check(e, &nb);
}

/* Every request that there is and some that are not, with every length that matters, in a
 * connection that is new and in one that runs, with and without descriptors. */
static void
every_request(struct env *e, bool is_booted)
{
	static const uint32_t lens[] = {0, 4, 8, 40, 264, 632, 4096, 0x7fffffff, 0xffffffff};
	struct neighbours nb = neighbours_up(e);
	static uint8_t zeros[4096];
	int fds[32];

	for (size_t i = 0; i < VSW_ARRAY_SIZE(fds); i++)
		fds[i] = odd_fd(e, 4);
	for (uint32_t request = 0; request < N_REQUESTS; request++) {
		for (size_t i = 0; i < VSW_ARRAY_SIZE(lens); i++) {
			const unsigned int n_fds = i % 3 == 0 ? 0 : i % 3 == 1 ? 1 : request % 32;
			const uint32_t flags = (request + i) % 2 ? VMM_NEED_REPLY : 0;
			uint32_t msg[3 + 1024] = {request, 1 | flags, lens[i]};
			struct vmm v = vmm_connect(e, 0);

			if (is_booted && !vmm_boot(e, &v))
				fail_env(e, "before request %u", request);
			vmm_send_raw(&v, msg, 12 + (lens[i] <= 4096 ? lens[i] : 4096), fds, n_fds);
			vmm_send(&v, VSW_VHOST_GET_FEATURES, 0, zeros, 0, NULL, 0);
			vmm_drain(&v);
			vmm_close(e, &v);
		}
		if (request % 8 == 7)
			neighbours_move(e, &nb, 1000);
	}
	neighbours_check(e, &nb);
}

static void
test_every_request_first(struct env *e)
{
	every_request(e, false);
}

static void
test_every_request_while_running(struct env *e)
{
	every_request(e, true);
}

/* Requests of features that are not offered; librte_vhost handles some all the same. */
static void
test_requests_of_other_features(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	/* IOTLB_MSG: iova, size, uaddr, perm, type UPDATE */
	const struct {
		uint64_t iova, size, uaddr;
		uint8_t perm, type;
	} iotlb = {0, 4096, VMM_USER, 3, 2};
	/* GET_INFLIGHT_FD, SET_INFLIGHT_FD: mmap_size, mmap_offset, num_queues, queue_size */
	const struct {
		uint64_t size, offset;
		uint16_t n_queues, queue_size;
	} inflight[] = {{4096, 0, 256, 32768},
			{0, 0, 65535, 65535},
			{4096, 0, 0, 0},
			{1ull << 40, 0, 3, 64}};
	const struct {
		uint64_t size, offset;
	} log = {1ull << 30, 0};
	struct vmm v;

	v = vmm_connect(e, 0);
	check(e, vmm_boot(e, &v));
	vmm_send(&v, 22, 0, &iotlb, sizeof(iotlb), NULL, 0);
	neighbours_check(e, &nb);
	vmm_close(e, &v);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(inflight); i++) {
		v = vmm_connect(e, 0);
		check(e, vmm_boot(e, &v));
		vmm_send(&v, 32, VMM_NEED_REPLY, &inflight[i], 20, &v.mem_fd, 1);
		vmm_send(&v, 31, VMM_NEED_REPLY, &inflight[i], 20, NULL, 0);
		neighbours_move(e, &nb, 1000);
		vmm_close(e, &v);
	}
	v = vmm_connect(e, 0);
	check(e, vmm_boot(e, &v));
	vmm_send(&v, 6, VMM_NEED_REPLY, &log, sizeof(log), &v.mem_fd, 1);
	neighbours_check(e, &nb);
	vmm_close(e, &v);
	v = vmm_connect(e, 0);
	check(e, vmm_boot(e, &v));
	for (uint32_t request = 28; request <= 30; request++)
		vmm_send(&v, request, VMM_NEED_REPLY, NULL, 0, NULL, 0);
	neighbours_check(e, &nb);
	vmm_close(e, &v);
}

/*
 * Descriptors.
 */

/* More descriptors, and where none belong, again and again. */
static void
test_descriptors_do_not_pile_up(struct env *e)
{
	static const uint32_t requests[] = {VSW_VHOST_GET_CONFIG,
					    VSW_VHOST_GET_QUEUE_NUM,
					    VSW_VHOST_GET_FEATURES,
					    VSW_VHOST_SET_VRING_NUM,
					    VSW_VHOST_SET_VRING_CALL,
					    VSW_VHOST_SET_MEM_TABLE,
					    VSW_VHOST_SET_BACKEND_REQ_FD,
					    32,
					    37,
					    6,
					    7,
					    14,
					    0,
					    99};
	struct neighbours nb = neighbours_up(e);
	struct {
		struct vmm_state state;
		uint8_t more[256];
	} payload = {.state = {1000, 8}};
	int fds[64];

	env_settled_fds(e);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(fds); i++)
		fds[i] = odd_fd(e, 0);
	for (size_t r = 0; r < VSW_ARRAY_SIZE(requests); r++) {
		unsigned int before = env_n_fds(e);

		for (int i = 0; i < 40; i++) {
			struct vmm v = vmm_connect(e, 0);

			vmm_send(&v, requests[r], i % 2 ? VMM_NEED_REPLY : 0, &payload, 12 + 8, fds,
				 i % 4 < 2    ? 8
				 : i % 4 == 2 ? 9
					      : 64);
			vmm_close(e, &v);
		}
		env_wait_fds(e, before);
		/* and all in one connection that lives on, as far as it may */
		for (int k = 0; k < 2; k++) {
			struct vmm v = vmm_connect(e, 0);

			payload.state.index = 0;
			check(e, vmm_boot(e, &v));
			before = env_n_fds(e);
			for (int i = 0; i < 50; i++)
				if (!vmm_send(&v, requests[r], VMM_NEED_REPLY, &payload, 12 + 8,
					      fds, k == 0 ? 1 : 8) ||
				    !vmm_drain(&v))
					break;
			neighbours_move(e, &nb, 1000);
			if (env_settled_fds(e) > before + 20)
				fail_env(e, "request %u with descriptors: %u before, now %u",
					 requests[r], before, env_n_fds(e));
			vmm_close(e, &v);
		}
		payload.state.index = 1000;
	}
	neighbours_check(e, &nb);
}

static void
test_odd_descriptors_everywhere(struct env *e)
{
	static const uint32_t requests[] = {VSW_VHOST_SET_VRING_KICK, VSW_VHOST_SET_VRING_CALL, 14,
					    VSW_VHOST_SET_BACKEND_REQ_FD, VSW_VHOST_SET_MEM_TABLE};
	struct neighbours nb = neighbours_up(e);

	for (unsigned int kind = 0; kind < N_ODD_FDS; kind++) {
		int fd = odd_fd(e, kind);

		for (size_t r = 0; r < VSW_ARRAY_SIZE(requests); r++) {
			struct vmm v = vmm_connect(e, 0);
			const struct vmm_table table = {
				.n = 1, .region[0] = {VMM_GPA, VMM_MEM_SIZE / 2, VMM_USER, 0}};
			const uint64_t index = 1;

			check(e, vmm_boot(e, &v));
			if (requests[r] == VSW_VHOST_SET_MEM_TABLE)
				vmm_send(&v, requests[r], VMM_NEED_REPLY, &table, 40, &fd, 1);
			else
				vmm_send(&v, requests[r], 0, &index, 8, &fd, 1);
			/* make it be used: a chain that is malformed comes back, with a signal */
			__atomic_store_n((uint16_t *)(v.mem + VMM_AVAIL(1) + 2), 1,
					 __ATOMIC_RELEASE);
			(void)!write(v.kick[1], "\1\0\0\0\0\0\0\0", 8);
			(void)vmm_is_served(e, &v);
			/* whatever it was put to sleep on, take it back */
			neighbours_move(e, &nb, 1000);
			vmm_close(e, &v);
		}
	}
	neighbours_check(e, &nb);
}

/*
 * Memory tables.
 */

static void
test_memory_tables_that_make_no_sense(struct env *e)
{
	static const struct vmm_region regions[][2] = {
		{{0, 0, 0, 0}},
		{{VMM_GPA, 0, VMM_USER, 0}},
		{{VMM_GPA, VMM_MEM_SIZE, VMM_USER, 1}},
		{{VMM_GPA, VMM_MEM_SIZE, VMM_USER, VMM_MEM_SIZE}},
		{{VMM_GPA, VMM_MEM_SIZE + 4096, VMM_USER, 0}},
		{{VMM_GPA, VMM_MEM_SIZE, VMM_USER, UINT64_MAX - 4095}},
		{{VMM_GPA, VMM_MEM_SIZE, VMM_USER, 1ull << 46}},
		{{VMM_GPA, 1ull << 46, VMM_USER, 0}},
		{{VMM_GPA, UINT64_MAX, VMM_USER, 0}},
		{{VMM_GPA, 1ull << 63, VMM_USER, 1ull << 63}},
		{{UINT64_MAX - 4095, VMM_MEM_SIZE, VMM_USER, 0}},
		{{VMM_GPA, VMM_MEM_SIZE, UINT64_MAX - 4095, 0}},
		/* overlapping */
		{{VMM_GPA, VMM_MEM_SIZE, VMM_USER, 0}, {VMM_GPA, VMM_MEM_SIZE, VMM_USER, 0}},
		{{VMM_GPA, VMM_MEM_SIZE, VMM_USER, 0},
		 {VMM_GPA + 4096, VMM_MEM_SIZE / 2, VMM_USER + 4096, 0}},
	};
	struct neighbours nb = neighbours_up(e);

	for (unsigned int k = 0; k < 2 * VSW_ARRAY_SIZE(regions); k++) {
		const struct vmm_region *r = regions[k / 2];
		struct vmm_table table = {.n = r[1].size != 0 ? 2 : 1, .region = {r[0], r[1]}};
		struct vmm v = vmm_connect(e, 0);
		int fds[2];

		check(e, vmm_boot(e, &v));
		fds[0] = fds[1] = v.mem_fd;
		vmm_send(&v, VSW_VHOST_SET_MEM_TABLE, k % 2 ? VMM_NEED_REPLY : 0, &table,
			 8 + 32 * table.n, fds, table.n);
		/* whoever still listens gets something to do with that memory */
		for (uint64_t q = 0; q < 2; q++) {
			const struct vmm_addr addr = vmm_ring_addr((unsigned int)q);

			vmm_send(&v, VSW_VHOST_SET_VRING_CALL, VMM_NEED_REPLY, &q, 8, &v.call[q],
				 1);
			vmm_send(&v, VSW_VHOST_SET_VRING_ADDR, VMM_NEED_REPLY, &addr, sizeof(addr),
				 NULL, 0);
			vmm_send(&v, VSW_VHOST_SET_VRING_KICK, VMM_NEED_REPLY, &q, 8, &v.kick[q],
				 1);
		}
		vmm_is_served(e, &v);
		neighbours_move(e, &nb, 1000);
		vmm_close(e, &v);
	}
	/* counts that do not fit */
	for (uint32_t n = 0; n < 40; n++) {
		struct vmm_table table = {.n = n < 36 ? n : 0xffffffff};
		struct vmm v = vmm_connect(e, 0);
		int fds[16];

		check(e, vmm_boot(e, &v));
		for (int i = 0; i < 16; i++) {
			fds[i] = v.mem_fd;
			table.region[i] =
				(struct vmm_region){VMM_GPA + i * 65536ull, 65536,
						    VMM_USER + i * 65536ull, i * 65536ull};
		}
		vmm_send(&v, VSW_VHOST_SET_MEM_TABLE, 0, &table, 8 + 32 * (n < 16 ? n : 16), fds,
			 n < 16 ? n : 16);
		vmm_is_served(e, &v);
		vmm_close(e, &v);
	}
	neighbours_check(e, &nb);
}

/*
 * Rings.
 */

static void
test_rings_that_make_no_sense(struct env *e)
{
	static const uint32_t sizes[] = {0,    1,     2,     3,     63,         128,
					 4096, 32768, 65535, 65536, 0x80000000, 0xffffffff};
	static const uint64_t places[] = {0,
					  1,
					  VMM_USER - 16,
					  VMM_USER + 1,
					  VMM_USER + VMM_MEM_SIZE - 1,
					  VMM_USER + VMM_MEM_SIZE - 16,
					  VMM_USER + VMM_MEM_SIZE,
					  UINT64_MAX,
					  UINT64_MAX - 15};
	struct neighbours nb = neighbours_up(e);

	for (size_t i = 0; i < VSW_ARRAY_SIZE(sizes); i++) {
		struct vmm v = vmm_connect(e, 0);
		const struct vmm_state state = {1, sizes[i]};
		uint64_t q = 1;

		check(e, vmm_boot(e, &v));
		vmm_send(&v, VSW_VHOST_SET_VRING_NUM, VMM_NEED_REPLY, &state, sizeof(state), NULL,
			 0);
		vmm_send(&v, VSW_VHOST_SET_VRING_CALL, VMM_NEED_REPLY, &q, 8, &v.call[1], 1);
		memset(v.mem, 0xff, VMM_MEM_SIZE);
		vmm_is_served(e, &v);
		neighbours_move(e, &nb, 1000);
		vmm_close(e, &v);
	}
	for (size_t i = 0; i < 3 * VSW_ARRAY_SIZE(places); i++) {
		struct vmm v = vmm_connect(e, 0);
		struct vmm_addr addr = vmm_ring_addr(1);
		uint64_t q = 1;

		*(i % 3 == 0 ? &addr.desc : i % 3 == 1 ? &addr.used : &addr.avail) = places[i / 3];
		check(e, vmm_boot(e, &v));
		vmm_send(&v, VSW_VHOST_SET_VRING_ADDR, VMM_NEED_REPLY, &addr, sizeof(addr), NULL,
			 0);
		vmm_send(&v, VSW_VHOST_SET_VRING_KICK, VMM_NEED_REPLY, &q, 8, &v.kick[1], 1);
		vmm_is_served(e, &v);
		neighbours_move(e, &nb, 1000);
		vmm_close(e, &v);
	}
	for (uint32_t q = 0; q < 300; q += q < 5 ? 1 : 50) {
		struct vmm v = vmm_connect(e, 0);

		check(e, vmm_boot(e, &v));
		vmm_send_state(&v, VSW_VHOST_SET_VRING_NUM, q, 64);
		vmm_send_state(&v, VSW_VHOST_SET_VRING_BASE, q, 0xfffe);
		vmm_send_state(&v, VSW_VHOST_SET_VRING_ENABLE, q, 7);
		vmm_send_state(&v, VSW_VHOST_GET_VRING_BASE, q, 0);
		vmm_is_served(e, &v);
		vmm_close(e, &v);
	}
	neighbours_check(e, &nb);
}

/* The right messages in every wrong order. */
static void
test_messages_in_any_order(struct env *e)
{
	struct neighbours nb = neighbours_up(e);

	seed_random(__func__);
	for (int i = 0; i < 150; i++) {
		struct vmm v = vmm_connect(e, 0);
		bool ok = i % 2 ? vmm_boot(e, &v) : vmm_begin(e, &v);

		check(e, ok);
		for (unsigned int q = 0; q < VMM_RINGS; q++) {
			if (v.kick[q] >= 0)
				continue;
			v.kick[q] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
			v.call[q] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		}
		for (int k = 0; k < 25 && ok; k++) {
			static const uint32_t states[] = {
				VSW_VHOST_SET_VRING_NUM, VSW_VHOST_SET_VRING_BASE,
				VSW_VHOST_SET_VRING_ENABLE, VSW_VHOST_GET_VRING_BASE};
			const uint64_t q = random_below(VMM_RINGS);
			const struct vmm_addr addr = vmm_ring_addr((unsigned int)q);
			const struct vmm_table table = {
				.n = 1,
				.region[0] = {VMM_GPA, VMM_MEM_SIZE >> random_below(3), VMM_USER,
					      0}};
			const struct vmm_state state = {(uint32_t)q,
							random_below(2) ? 64 : random_below(4)};
			const uint32_t ack = random_below(2) ? VMM_NEED_REPLY : 0;

			switch (random_below(7)) {
			case 0:
				ok = vmm_send(&v, VSW_VHOST_SET_VRING_KICK, ack, &q, 8, &v.kick[q],
					      1);
				break;
			case 1:
				ok = vmm_send(&v, VSW_VHOST_SET_VRING_CALL, ack, &q, 8, &v.call[q],
					      1);
				break;
			case 2:
				ok = vmm_send(&v, VSW_VHOST_SET_VRING_ADDR, ack, &addr,
					      sizeof(addr), NULL, 0);
				break;
			case 3:
				ok = vmm_send(&v, VSW_VHOST_SET_MEM_TABLE, ack, &table, 40,
					      &v.mem_fd, 1);
				break;
			case 4:
				ok = vmm_send(&v, VSW_VHOST_RESET_OWNER, 0, NULL, 0, NULL, 0);
				break;
			default:
				ok = vmm_send(&v, states[random_below(4)], ack, &state,
					      sizeof(state), NULL, 0);
				break;
			}
		}
		if (random_below(2))
			vmm_is_served(e, &v);
		vmm_close(e, &v);
		if (i % 10 == 0)
			neighbours_move(e, &nb, 1000);
	}
	neighbours_check(e, &nb);
}

/*
 * Memory that goes away.
 */

static void
test_memory_that_is_cut_off(struct env *e)
{
	struct neighbours nb = neighbours_up(e);

	for (int i = 0; i < 8; i++) {
		struct vmm v = vmm_connect(e, 0);
		const uint64_t q = 0;

		check(e, vmm_boot(e, &v));
		check(e, ftruncate(v.mem_fd, i % 2 ? 0 : VMM_AVAIL(1)) == 0);
		(void)!write(v.kick[1], "\1\0\0\0\0\0\0\0", 8);
		neighbours_move(e, &nb, 1000);
		if (i >= 4) /* librte_vhost itself looks into the rings */
			vmm_send(&v, VSW_VHOST_SET_VRING_KICK, 0, &q, 8, &v.kick[0], 1);
		vmm_expect_hangup(e, &v, "a VMM whose memory is gone");
		vmm_close(e, &v);
	}
	neighbours_check(e, &nb);
}

/* A chain that means nothing: it comes back used, and the VMM is signalled. */
static void
send_nonsense(struct vmm *v)
{
	struct vring_desc *desc = (void *)(v->mem + VMM_DESC(1));
	struct vring_avail *avail = (void *)(v->mem + VMM_AVAIL(1));

	desc[0] = (struct vring_desc){.addr = VMM_DESC(0), .len = 8};
	avail->ring[0] = 0;
	__atomic_store_n(&avail->idx, 1, __ATOMIC_RELEASE);
	(void)!write(v->kick[1], "\1\0\0\0\0\0\0\0", 8);
}

/* A full eventfd that has become blocking while vswd has it: a write to it waits. All lcores but
 * the one that does go on at once, and that one soon, for the others of its guests. The VMM may
 * not do it again at once. */
static void
test_call_descriptors_that_block(struct env *e)
{
	struct neighbours nb = neighbours_up(e);
	const uint64_t full = UINT64_MAX - 1;
	struct vmm v = vmm_connect(e, 0);

	check(e, vmm_boot(e, &v));
	for (unsigned int q = 0; q < VMM_RINGS; q++) {
		uint64_t n;

		(void)!read(v.call[q], &n, sizeof(n));
		check(e, write(v.call[q], &full, sizeof(full)) == sizeof(full));
		check(e, fcntl(v.call[q], F_SETFL, 0) == 0);
	}
	send_nonsense(&v);
	neighbours_check(e, &nb);
	vmm_expect_hangup(e, &v, "a VMM that makes vswd wait");
	vmm_close(e, &v);
	v = vmm_connect(e, 0);
	check(e, !vmm_is_served(e, &v));
	vmm_close(e, &v);
	neighbours_check(e, &nb);
}

int
main(void)
{
	static const struct test_case cases[] = {
		CASE(test_half_messages_hold_up_nobody),
		CASE(test_messages_in_single_bytes_are_understood),
		CASE(test_unread_replies_hold_up_nobody),
		CASE(test_silent_front_ends_keep_nobody_out),
		CASE(test_a_second_front_end_is_turned_away),
		CASE(test_a_vmm_may_come_back_at_once),
		CASE(test_garbage_is_hung_up_on),
		CASE(test_every_request_first),
		CASE(test_every_request_while_running),
		CASE(test_requests_of_other_features),
		CASE(test_descriptors_do_not_pile_up),
		CASE(test_odd_descriptors_everywhere),
		CASE(test_memory_tables_that_make_no_sense),
		CASE(test_rings_that_make_no_sense),
		CASE(test_messages_in_any_order),
		CASE(test_memory_that_is_cut_off),
		CASE(test_call_descriptors_that_block), /* the last one: guest 0 is banned */
	};

	return run_cases_in("hostile VMM", hostile_variants, N_HOSTILE_VARIANTS, cases,
			    VSW_ARRAY_SIZE(cases));
}
