/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * A guest without a virtual machine: the vhost-user front end that a VMM would be, and the
 * virtio-vsock driver that the guest's kernel would be, in one process.
 *
 * It exists to test and to load a switch, so it has three faces:
 *  - a well-behaved guest, shaped like the ones that exist: QEMU's order of messages with
 *    two rings, or User-Mode Linux' with three; receive buffers, packet sizes, credit and
 *    RST rules as in Linux' virtio_transport_common.c (sockets: vsw_guest_sock.h);
 *  - an oracle: everything the device writes is checked against virtio 1.2, 2.7 and 5.10,
 *    and what the device got wrong is recorded as a violation, not repaired;
 *  - a guest that misbehaves on purpose (vsw_guest_raw.h).
 *
 * It shares no code with the switch but the header codec, so the two cannot agree on a
 * mistake.
 *
 * Addresses are guest-physical ("gpa") unless called pointers. Times are milliseconds.
 * Functions return 0 or a count, or -errno; after a failure vsw_guest_error() says in one
 * sentence what was being done or waited for. A negative timeout waits for ever.
 *
 * Thread-safety: one guest belongs to one thread. Nothing happens behind the caller's back:
 * the guest makes progress only inside calls on it, so a caller that waits for something
 * else keeps it going with vsw_guest_pollfds() and vsw_guest_poll().
 *
 * Example:
 *	struct vsw_guest_conf conf = VSW_GUEST_CONF_DEFAULT;
 *	conf.socket_path = "/run/vsw/vm3.vhost";
 *	struct vsw_guest *g = vsw_guest_create(&conf);
 *	if (vsw_guest_attach(g) == 0 && vsw_guest_start(g, VSW_GUEST_BOOT) == 0)
 *		sock = vsw_guest_connect(g, VSW_CID_HOST, 52, 2000);
 */
#ifndef VSW_GUEST_H
#define VSW_GUEST_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Rings by index (virtio 1.2, 5.10.2, where they are called rx, tx and event). */
enum vsw_guest_queue {
	VSW_GUEST_TO_GUEST,
	VSW_GUEST_FROM_GUEST,
	VSW_GUEST_EVENT,
	VSW_GUEST_N_QUEUES
};

/** Which VMM the vhost-user side resembles. */
enum vsw_guest_shape {
	/**
	 * QEMU 7.2: protocol features before SET_OWNER, GET_CONFIG before any ring, two
	 * rings, eventfds, SET_VRING_CALL sent again after the start, ENABLE 0 and
	 * GET_VRING_BASE at the stop.
	 */
	VSW_GUEST_QEMU,
	/**
	 * User-Mode Linux: three rings, GET_CONFIG after the rings run, an acknowledgement
	 * asked for on every message, call descriptors that are blocking stream sockets,
	 * user addresses equal to guest addresses at a file offset of the same value, and
	 * ENABLE 0 as the only thing said at the stop.
	 */
	VSW_GUEST_UML,
};

/** Descriptors that one outgoing packet is made of. */
enum vsw_guest_send_shape {
	VSW_GUEST_SEND_SPLIT,    /**< header, then the payload in send_fragments pieces */
	VSW_GUEST_SEND_ONE,      /**< header and payload in one descriptor, as Linux >= 6.1.63 */
	VSW_GUEST_SEND_INDIRECT, /**< as SPLIT, in an indirect table */
};

/** How the guest learns of used buffers. */
enum vsw_guest_wait {
	VSW_GUEST_INTERRUPT, /**< sleeps on the call descriptors; notices lost interrupts */
	VSW_GUEST_POLL,      /**< asks for no interrupts and spins on the used indexes */
};

struct vsw_guest_conf {
	const char *socket_path; /**< the switch's vhost-user socket; copied */
	/** A listening socket to which the switch connects, the caller's; 0: connect to
	 * socket_path. */
	int listen_fd;
	enum vsw_guest_shape shape;
	enum vsw_guest_wait wait;
	uint16_t n_rings;   /**< 2 or 3; 0 = what the shape has */
	uint16_t ring_size; /**< power of two, 2..32768 */
	bool event_idx;     /**< take VIRTIO_F_EVENT_IDX if offered */
	bool indirect;      /**< take VIRTIO_F_INDIRECT_DESC if offered */

	/**
	 * Memory regions, 1..7. They follow each other in guest-physical space and are
	 * separate mappings for the switch. With two, some receive buffers lie across the
	 * border; with three, the first outgoing packet slot does as well.
	 */
	unsigned int n_regions;

	uint32_t recv_buf_len;    /**< bytes of a receive buffer, header included */
	unsigned int recv_pieces; /**< descriptors that one receive buffer is cut into */
	unsigned int n_recv_bufs; /**< receive buffers posted; 0 = as many as fit */

	enum vsw_guest_send_shape send_shape;
	unsigned int send_fragments; /**< at least 1; for SPLIT and INDIRECT */
	uint32_t send_max;           /**< payload bytes of one packet, at most 64 KiB */

	uint32_t buf_alloc; /**< receive window of a socket, bytes */
	/**
	 * Reset a connection that has (unread packets + 1) * 576 > buf_alloc, as Linux does
	 * since 6.12.92. Not applied to windows below 4 KiB, which Linux does not have.
	 */
	bool count_packets;

	int timeout_ms; /**< for each vhost-user reply and for the lost-interrupt check */
};

/** A Linux guest under QEMU. socket_path is the caller's to set. */
#define VSW_GUEST_CONF_DEFAULT                                                                     \
	{                                                                                          \
		.shape = VSW_GUEST_QEMU, .ring_size = 128, .event_idx = true, .indirect = true,    \
		.n_regions = 3, .recv_buf_len = 3776, .recv_pieces = 1, .send_fragments = 1,       \
		.send_max = 65536, .buf_alloc = 262144, .count_packets = true,                     \
		.timeout_ms = 10000,                                                               \
	}

struct vsw_guest;

/**
 * Allocate guest memory and lay out the rings; no contact with the switch yet.
 *
 * @return the guest; NULL with errno when the configuration makes no sense (EINVAL) or
 * memory is short.
 */
struct vsw_guest *vsw_guest_create(const struct vsw_guest_conf *conf);

/** Drop everything, without a word to the switch: for it, the VMM died. NULL is fine. */
void vsw_guest_destroy(struct vsw_guest *g);

/**
 * Connect to the vhost-user socket and negotiate up to the point where a VMM creates the
 * device: features, protocol features, owner, request channel, and in QEMU's shape the CID.
 */
int vsw_guest_attach(struct vsw_guest *g);

/** Close the vhost-user connection and all its descriptors without stopping the rings. */
void vsw_guest_detach(struct vsw_guest *g);

/**
 * The switch is about to take the device away: from now on it may close its channels, which
 * librte_vhost does one by one, the connection itself up to a second after the others; and
 * give buffers back unused.
 */
void vsw_guest_expect_end(struct vsw_guest *g);

/** Whether the vhost-user connection is there; false once the switch has closed it. */
bool vsw_guest_is_attached(const struct vsw_guest *g);

enum vsw_guest_start_mode {
	VSW_GUEST_BOOT,   /**< a driver that just loaded: empty rings, no sockets */
	VSW_GUEST_RESUME, /**< a VMM that was paused: rings and sockets as they were */
};

/** Hand memory and rings to the device and post the receive buffers. */
int vsw_guest_start(struct vsw_guest *g, enum vsw_guest_start_mode mode);

/**
 * Take the rings back in the way of the shape. From the reply on the device must leave
 * them alone; the next start checks that it did. Sockets stay for VSW_GUEST_RESUME and are
 * forgotten, without a packet, by VSW_GUEST_BOOT.
 */
int vsw_guest_stop(struct vsw_guest *g);

/** CID as last read from the device; 0 before that. */
uint32_t vsw_guest_cid(const struct vsw_guest *g);

/**
 * Read @p size bytes at @p offset of the device's configuration, at any time while
 * attached. @return 0; -EPROTO when the reply is not one (wrong size, offset or flags).
 */
int vsw_guest_get_config(struct vsw_guest *g, uint32_t offset, uint32_t size, void *dst);

/**
 * Handle whatever the device has used and every timer; wait for it if there is nothing.
 *
 * @return packets and buffers handled, 0 when @p timeout_ms passed without any, -EPIPE when
 * the switch closed the connection.
 */
int vsw_guest_poll(struct vsw_guest *g, int timeout_ms);

/**
 * One pass: handle what the device has used and the timers, and nothing else. It costs no
 * system call, so it is for callers that spin; they still call vsw_guest_poll(g, 0) now and
 * then, which notices the end of the connection.
 *
 * @return whether there was anything to handle since the last call, also by other calls.
 */
bool vsw_guest_process(struct vsw_guest *g);

/**
 * Collect the packets that are sent from now on, and show them to the device together, with
 * at most one kick: at vsw_guest_uncork() or at the next pass, whichever is first. Linux'
 * send worker does the same with what several send calls have queued.
 */
void vsw_guest_cork(struct vsw_guest *g);
void vsw_guest_uncork(struct vsw_guest *g);

/**
 * For a caller with descriptors of its own: ask for interrupts and say what to poll(2).
 *
 * @param fds  out: at most VSW_GUEST_N_FDS entries, events set.
 * @param n    out: entries written.
 * @return how long the caller may sleep: 0 when work is pending already, else the time to
 * the guest's next timer, or -1. Call vsw_guest_poll(g, 0) afterwards in every case. A
 * guest in VSW_GUEST_POLL never lets the caller sleep.
 */
int vsw_guest_pollfds(struct vsw_guest *g, struct pollfd *fds, unsigned int *n);
#define VSW_GUEST_N_FDS (VSW_GUEST_N_QUEUES + 2)

/**
 * Add a memory region while running, as memory hot-plug does: a SET_MEM_TABLE with one
 * region more, new addresses for all user pointers of the switch. Packet slots move to the
 * new region, so traffic after the call proves that it is used.
 */
int vsw_guest_add_region(struct vsw_guest *g, size_t len);

/** What the last failing call was doing. Never NULL; storage of the guest. */
const char *vsw_guest_error(const struct vsw_guest *g);

/** How often the device broke a rule. */
unsigned int vsw_guest_violations(const struct vsw_guest *g);

/** The @p i-th violation in words, NULL past the last one kept (32 are kept). */
const char *vsw_guest_violation(const struct vsw_guest *g, unsigned int i);

/** Forget violations, for a caller that provoked them. */
void vsw_guest_forgive(struct vsw_guest *g);

struct vsw_guest_stats {
	uint64_t packets_sent;
	uint64_t packets_received;
	uint64_t bytes_sent; /**< payload */
	uint64_t bytes_received;
	uint64_t rst_sent;
	uint64_t rst_received;
	uint64_t kicks;      /**< eventfd writes */
	uint64_t kicks_kept; /**< publications for which the device wanted no kick */
	uint64_t interrupts;
	uint64_t transport_resets;
	uint64_t buffers_unused; /**< receive buffers that came back with length 0 */
};

void vsw_guest_stats(const struct vsw_guest *g, struct vsw_guest_stats *stats);

/** Wall-clock free milliseconds, for deadlines. */
uint64_t vsw_guest_now_ms(void);

#endif /* VSW_GUEST_H */
