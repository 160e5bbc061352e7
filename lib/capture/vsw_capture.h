/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Packets as they pass the rings of guests, for whoever wants to see them: copied by the poll
 * lcores into a ring each, read by one other thread as a pcap file (link type VSOCK, 271).
 *
 * Off, it costs the poll lcores a load of a word once a turn, vsw_capture_is_on(). On, it costs
 * them the copy; they never wait: when its ring is full, the packet is not captured, and
 * counted as dropped. Nothing here knows of guests that are siblings: a packet between two
 * is seen twice, when it leaves one and when it reaches the other.
 *
 * Thread-safety: a struct vsw_capture_tap has one writer, its lcore. All else from one
 * reading thread, but for what is marked.
 */
#ifndef VSW_CAPTURE_H
#define VSW_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vsw_packet.h"

/** What is to be captured. */
struct vsw_capture_filter {
	uint32_t cid;  /**< only at this guest's rings; 0: at all */
	uint32_t port; /**< only with this port at either end, if has_port */
	bool has_port;
	uint32_t snaplen; /**< payload bytes of each packet, at most */
};

/*
 * The poll lcores.
 */

struct vsw_capture_tap;

/** A tap of an lcore; its ring has memory once something is captured. NULL: out of memory.
 * Create and destroy while nobody reads. */
struct vsw_capture_tap *vsw_capture_tap_create(void);
/** NULL is allowed. */
void vsw_capture_tap_destroy(struct vsw_capture_tap *tap);

/** Is anything being captured? Any thread. */
extern bool vsw_capture_flag;
static inline bool
vsw_capture_is_on(void)
{
	return __atomic_load_n(&vsw_capture_flag, __ATOMIC_ACQUIRE);
}

/**
 * A packet of @p cid's rings; while it is on.
 * @param raw its header; NULL: what @p pkt says.
 * @param payload pkt->len bytes, or NULL: it has none.
 */
void vsw_capture_packet(struct vsw_capture_tap *tap, uint32_t cid, const struct vsw_pkt *pkt,
			const uint8_t *raw, const struct iovec *payload, unsigned int n);

/*
 * The reader.
 */

/** Begin. @return 0; -EBUSY: somebody else reads; -ENOMEM. */
int vsw_capture_begin(const struct vsw_capture_filter *filter);

/** The next bytes of the file, whole records; @p size is 128 KiB at least. @return 0: nothing
 * more has come. */
size_t vsw_capture_read(char *buf, size_t size);

/** Packets that were not captured for want of room, since the beginning. Any thread. */
uint64_t vsw_capture_n_drops(void);

void vsw_capture_end(void);

#endif /* VSW_CAPTURE_H */
