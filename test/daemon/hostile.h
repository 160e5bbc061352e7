/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * What tests of hostility share: neighbours, whose streams must not notice anything; and a
 * VMM that is nothing but a socket, so that it can say what no VMM says.
 *
 * Guest 0 is the villain. Guests 1 and 2 are the neighbours: guest 1 has a stream with the
 * host and one with guest 2, both verified byte by byte.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include "harness.h"

#define N_HOSTILE_VMS 3

/** One lcore and two, three guests; the villain is polled by the lcore of guest 1. */
extern const struct variant hostile_variants[];
#define N_HOSTILE_VARIANTS 3

/* ---- neighbours ---- */

struct neighbours {
	struct pair host;
	struct vsw_guest_sock *a, *b; /* of guests 1 and 2 */
	uint64_t moved;               /* on each stream, each way */
};

/** Boot guests 1 and 2 and connect them. */
struct neighbours neighbours_up(struct env *e);

/** Move and verify @p n more bytes each way on both streams. */
void neighbours_move(struct env *e, struct neighbours *nb, uint64_t n);

/** Both can also be reached anew, and vswd still handles their VMMs' messages. */
void neighbours_check(struct env *e, struct neighbours *nb);

/* ---- time ---- */

/**
 * Nobody can go on, and vswd (which polls adaptively) sleeps. Others spin where somebody waits: a
 * tenth of the time is far more than nothing takes, and far less than all.
 */
void expect_sleep(struct env *e, const char *what);

/* ---- counters ---- */

/** What guest @p vm, whose CID is vm + 3, has counted as @p name (counters.md) so far. */
uint64_t counter_of(struct env *e, unsigned int vm, const char *name);

/* ---- randomness ---- */

/** Seed from VSW_TEST_SEED, or of the moment; it is printed. */
void seed_random(const char *what);
uint64_t random_u64(void);
/** Below @p n. */
uint32_t random_below(uint32_t n);

/* ---- a VMM by hand ---- */

#define VMM_RINGS 2
#define VMM_MEM_SIZE (1u << 20)
#define VMM_GPA 0x100000ull
#define VMM_NEED_REPLY 8u

struct vmm {
	int fd; /* -1: closed */
	int mem_fd;
	uint8_t *mem;
	int kick[VMM_RINGS], call[VMM_RINGS], call_far[VMM_RINGS];
};

struct vmm_region {
	uint64_t gpa, size, user_addr, offset;
};

struct vmm_table {
	uint32_t n, padding;
	struct vmm_region region[16];
};

struct vmm_state {
	uint32_t index, num;
};

struct vmm_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail, log;
};

/** Connect to guest @p vm's vhost-user socket, nothing more. */
struct vmm vmm_connect(struct env *e, unsigned int vm);
void vmm_close(struct env *e, struct vmm *v);

/** Send bytes and descriptors as they are. @return false when vswd has hung up. */
bool vmm_send_raw(struct vmm *v, const void *buf, size_t len, const int *fds, unsigned int n_fds);

/** Send a whole message. */
bool vmm_send(struct vmm *v, uint32_t request, uint32_t flags, const void *payload, uint32_t len,
	      const int *fds, unsigned int n_fds);
bool vmm_send_state(struct vmm *v, uint32_t request, uint32_t index, uint32_t num);

/** Read what has come, and throw it away. @return false at the end of the connection. */
bool vmm_drain(struct vmm *v);

/** Wait until vswd hangs up. */
void vmm_expect_hangup(struct env *e, struct vmm *v, const char *why);

/** Wait for the answer to GET_FEATURES, sent now. @return false when vswd hung up instead. */
bool vmm_is_served(struct env *e, struct vmm *v);

/** Negotiate, hand over 1 MiB of memory. */
bool vmm_begin(struct env *e, struct vmm *v);
/** ... and two rings of 64, which run afterwards. @return false when vswd hung up. */
bool vmm_boot(struct env *e, struct vmm *v);

/** Where vmm_boot() puts the parts of ring @p q: user addresses, and offsets in memory. */
struct vmm_addr vmm_ring_addr(unsigned int q);
#define VMM_RING_SIZE 64
#define VMM_DESC(q) (0x1000u + (q)*0x4000u)
#define VMM_AVAIL(q) (0x2000u + (q)*0x4000u)
#define VMM_USED(q) (0x3000u + (q)*0x4000u)
#define VMM_USER 0x7f0000000000ull

#endif /* HOSTILE_H */
