/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The device side of a split virtqueue (virtio 1.2, 2.7), walked by ourselves: librte_vhost
 * maps the memory and speaks vhost-user, but its own ring code serves mbufs and takes locks.
 *
 * A queue works on a snapshot: the ring pointers, file descriptors and the guest's memory
 * regions as they stood when the rings started. Whoever changes those makes the owner stop
 * first (the quiesce protocol, doc/guides/threads); a queue that is started is valid until
 * it is stopped.
 *
 * Life of a chain: vsw_virtq_pop() hands it out as segments in the switch's address space;
 * it is then *out* until vsw_virtq_push() queues its used entry, and the guest sees that
 * entry at the next vsw_virtq_flush(), which also signals, once. Chains may be pushed in any
 * order (VIRTIO_F_IN_ORDER is never offered). A chain that was popped but not touched can be
 * put back with vsw_virtq_unpop() and will be popped again.
 *
 * Everything in guest memory is hostile. Each descriptor is copied once, checked in the
 * copy, then used. A chain that fails a check is never handed out: it gets a used entry of
 * length 0, so that the guest's ring does not leak, and a counter. A ring whose index jumps
 * further than it is long, or back, cannot be trusted any more: it is `broken` and pops
 * nothing until the guest starts it anew; nobody else notices.
 *
 * Thread-safety: a queue belongs to the lcore that owns the guest; every function runs
 * there, none blocks or logs. Only vsw_virtq_start() allocates, and vsw_virtq_stop() frees (and
 * _abandon()). On the packet path only vsw_virtq_flush() makes a system call, at most one: the
 * signal. The process ignores SIGPIPE, because a call fd may be a socket whose guest is gone.
 */
#ifndef VSW_VIRTQ_H
#define VSW_VIRTQ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vsw_limits.h"
#include "vsw_signal_fd.h"
#include "vsw_stats.h"

/** librte_vhost maps at most this many regions (VHOST_MEMORY_MAX_NREGIONS). */
#define VSW_MEM_REGIONS_MAX 8

/** The guest's memory as the switch sees it. */
struct vsw_mem {
	uint32_t n_regions;
	struct vsw_mem_region {
		uint64_t gpa;  /**< guest-physical address of the first byte */
		uint64_t size; /**< bytes */
		uint8_t *hva;  /**< where that byte is mapped in this process */
	} region[VSW_MEM_REGIONS_MAX];
};

/** Which way the buffers of a queue go. */
enum vsw_virtq_dir {
	VSW_FROM_GUEST, /**< device-readable buffers: the guest's transmit queue */
	VSW_TO_GUEST,   /**< device-writable buffers: the guest's receive and event queues */
};

struct vring_desc;
struct vring_avail;
struct vring_used;

/** What it takes to start a queue; a plain value, filled by vsw_vhost. */
struct vsw_virtq_conf {
	struct vring_desc *desc; /**< mapped, `size` entries */
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t size;  /**< entries, a power of two, 1..32768 */
	uint16_t base;  /**< index at which both sides stand (last avail == last used) */
	int callfd;     /**< signals the guest: an eventfd or a stream socket; < 0: none */
	int kickfd;     /**< the guest's kicks; read by nobody while polling; < 0: none */
	bool event_idx; /**< VIRTIO_F_EVENT_IDX was negotiated */
	bool indirect;  /**< VIRTIO_F_INDIRECT_DESC was negotiated */
};

struct vsw_virtq {
	/* Set by start, then read only. Owner: the guest's lcore. */
	struct vsw_virtq_conf conf;
	enum vsw_virtq_dir dir;
	const struct vsw_mem *mem;
	struct vsw_counters *counters;

	/* Progress; indexes run free modulo 2^16. */
	uint16_t last_avail;    /**< next available entry to read */
	uint16_t used_idx;      /**< next used entry to write */
	uint16_t flushed_idx;   /**< used index that the guest has been shown */
	uint16_t signalled_idx; /**< used index at the last test for a signal */
	bool signal_valid;      /**< false: signal the next flush whatever the guest says */
	enum vsw_signal_kind signal_kind; /**< of the call fd */
	bool started;
	bool broken;   /**< the ring is beyond repair until it is started anew */
	bool is_stuck; /**< its call fd made us wait: it is not used any more */

	/* Heads that were put back, popped again before new ones; FIFO of `size` entries. */
	uint16_t *returned;
	uint16_t returned_first;
	uint16_t n_returned;
};

/** One chain of a burst. */
struct vsw_chain {
	uint16_t head; /**< names the chain to push and unpop */
	uint16_t n_segs;
	uint32_t len;       /**< bytes of all segments */
	struct iovec *segs; /**< inside the burst; the caller may edit them */
};

/** Chains popped at once; the segments of all share one array. */
struct vsw_chain_burst {
	uint16_t n_chains;
	uint16_t n_segs;
	struct vsw_chain chain[VSW_BURST];
	struct iovec seg[VSW_BURST_SEGS];
};

/**
 * Start a queue.
 *
 * @param vq       an object of zeroes, or one that was stopped.
 * @param conf     copied.
 * @param mem      the guest's memory; must stay valid and unchanged until the stop.
 * @param counters of the guest; malformed input is counted there. Owned by the same lcore.
 * @return 0, -EINVAL for a size that is no power of two in 1..32768 or a ring that is
 *         misaligned or not wholly inside @p mem (librte_vhost checks a ring against the
 *         size it had then, and lets the VMM change the size later), -ENOMEM.
 *
 * The call fd is used without ever waiting (User-Mode Linux passes a blocking socket, facts of
 * doc/guides/threads); one that is neither an eventfd nor a socket is not used. The first flush
 * signals even if the guest does not ask and nothing was pushed: a call fd that was replaced while
 * the rings stood still may have lost a signal (spdk#3150), and the guest may wait for it before it
 * makes anything available. The guest is told not to kick.
 */
int vsw_virtq_start(struct vsw_virtq *vq, enum vsw_virtq_dir dir, const struct vsw_virtq_conf *conf,
		    const struct vsw_mem *mem, struct vsw_counters *counters);

/**
 * Stop a queue, flush, and forget the rings. No chain may be out. Idempotent.
 *
 * Chains that were put back are as if they had never been popped. Where that cannot be,
 * because one that was made available later is used already, they are completed with length
 * 0; it happens to receive buffers only, as long as what a guest sends is taken in order.
 *
 * @return the index to hand to the guest's VMM as vring base: every chain before it has a
 *         used entry, none after it.
 */
uint16_t vsw_virtq_stop(struct vsw_virtq *vq);

/** Free what a queue has and do not touch its rings, which may be gone: vswd ends in haste, with
 * chains out. Idempotent. */
void vsw_virtq_abandon(struct vsw_virtq *vq);

/**
 * Pop up to @p max chains.
 *
 * @param vq     may be stopped or broken: pops nothing then.
 * @param burst  out; overwritten. Fewer chains come back when the guest has no more, or when
 *               the next would not fit behind those already looked at: VSW_BURST_SEGS
 *               segments, and as many descriptors, empty and malformed ones included.
 * @param max    at most VSW_BURST.
 * @return burst->n_chains.
 *
 * Malformed chains are completed (push with length 0) and counted on the way and are not in
 * the burst; the caller flushes in any case. A buffer that crosses two regions comes back as
 * two segments. A descriptor of length 0 yields no segment. At most VSW_BURST available
 * entries are looked at per call, so that a flood of malformed ones cannot hold the lcore:
 * 0 does not mean that nothing is available, vsw_virtq_has_avail() tells.
 */
uint16_t vsw_virtq_pop(struct vsw_virtq *vq, struct vsw_chain_burst *burst, uint16_t max);

/** Put back a chain that is out and whose buffers were not written. It is popped again, in
 * the order of unpop, before any new one (and looked at anew: the guest may have changed it). */
void vsw_virtq_unpop(struct vsw_virtq *vq, uint16_t head);

/** Queue the used entry of a chain that is out. @p len: bytes written to it; 0 for chains
 * from the guest (virtio 1.2, 2.7.8). */
void vsw_virtq_push(struct vsw_virtq *vq, uint16_t head, uint32_t len);

/** Show the guest all pushed entries (one index store) and signal it if it wants that: its
 * used_event lies between, or without EVENT_IDX it did not set NO_INTERRUPT. Does nothing
 * when nothing was pushed since, but for the first signal, see vsw_virtq_start(). */
void vsw_virtq_flush(struct vsw_virtq *vq);

/** Chains that are out now. */
uint16_t vsw_virtq_n_out(const struct vsw_virtq *vq);

/** True when the guest has made a chain available that was not popped yet, or one was put
 * back. False when stopped or broken. */
bool vsw_virtq_has_avail(const struct vsw_virtq *vq);

/**
 * Ask the guest to kick when it makes the next chain available, or stop asking. A polling
 * lcore needs no kicks and asks only before it sleeps; the fence that makes the return value
 * safe to sleep on is in here. Without EVENT_IDX this sets used->flags, with it avail_event.
 *
 * @return with @p on: true when chains newer than the last popped are there already, so
 *         that no kick will come for them. Chains that were put back do not count.
 */
bool vsw_virtq_want_kicks(struct vsw_virtq *vq, bool on);

/** Outcome of a translation, see vsw_mem_segments(). */
enum vsw_mem_verdict {
	VSW_MEM_OK,
	VSW_MEM_OUTSIDE,  /**< not all of the range is guest memory, or it wraps */
	VSW_MEM_TOO_MANY, /**< more segments than there is room for */
};

/**
 * Translate a guest-physical range into segments of this process.
 *
 * @param segs,max  room for the segments.
 * @param n         in/out: how many of them are filled; new ones are appended. Unchanged
 *                  unless the verdict is VSW_MEM_OK.
 */
enum vsw_mem_verdict vsw_mem_segments(const struct vsw_mem *mem, uint64_t gpa, uint64_t len,
				      struct iovec *segs, uint16_t max, uint16_t *n);

/** True when the @p len bytes at @p ptr of this process lie inside one region. */
bool vsw_mem_holds(const struct vsw_mem *mem, const void *ptr, uint64_t len);

#endif /* VSW_VIRTQ_H */
