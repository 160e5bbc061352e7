/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * What the files of lib/guest share:
 *
 *	guest.c     life of a guest, progress, violations
 *	memory.c    guest memory and what lies where in it
 *	frontend.c  vhost-user messages and the two orders of a start
 *	ring.c      the driver's side of a split ring
 *	transport.c packets in and out of the rings
 *	sock.c      sockets on packets
 *	raw.c       the misbehaving calls
 */
#ifndef GUEST_PRIV_H
#define GUEST_PRIV_H

#include <linux/virtio_ring.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "vsw_base.h"
#include "vsw_guest.h"
#include "vsw_guest_raw.h"
#include "vsw_guest_sock.h"
#include "vsw_packet.h"

#define N_REGIONS_MAX 8
#define N_VIOLATIONS_MAX 32

/* Longest chain that the shapes can ask for, header included. */
#define N_PIECES_MAX 130

/*
 * A packet slot: indirect table, then header and payload next to each other, so that SPLIT
 * and ONE differ only in the descriptors. Fragments are set apart by gaps, which catches a
 * device that takes descriptors for neighbours.
 */
#define SLOT_HDR_OFF 2112
#define SLOT_DATA_OFF (SLOT_HDR_OFF + VSW_PKT_HDR_LEN)
#define SLOT_GAPS_LEN 1024
#define SLOT_LEN 69632 /* the sum, in whole pages */

#define N_SOCK_BUCKETS 1024

/* Linux: SKB_TRUESIZE(0), GOOD_COPY_LEN, VSOCK_CLOSE_TIMEOUT. */
#define SKB_OVERHEAD 576
#define COALESCE_MAX 128
#define CLOSE_TIMEOUT_MS 8000
/* Linux: VIRTIO_VSOCK_MAX_PKT_BUF_SIZE, less free window than which earns an update. */
#define CREDIT_UPDATE_BELOW 65536

struct region {
	uint64_t gpa;
	uint64_t user_addr;
	uint64_t mmap_offset;
	size_t len;
	int fd;
};

/* One piece of a chain, in guest-physical terms. */
struct piece {
	uint64_t gpa;
	uint32_t len;
	uint16_t flags;
};

/* What the driver remembers of a chain in flight, by head. */
struct in_flight {
	bool is_used;      /* the entry, not the chain */
	uint16_t n_descs;  /* to give back */
	uint32_t writable; /* most that used.len may be */
	unsigned int buf;  /* receive buffer or slot */
};

struct ring {
	struct vsw_guest *g;
	enum vsw_guest_queue queue;
	uint16_t size;
	bool event_idx;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint64_t desc_gpa, avail_gpa, used_gpa;

	uint16_t avail_idx;     /* published when equal to avail->idx */
	uint16_t published_idx; /* at the last kick decision */
	uint16_t last_used;
	uint16_t free_head;
	uint16_t n_free;
	uint16_t n_in_flight;
	struct in_flight *flight; /* [size] */
	uint16_t *order;          /* free list links, [size], out of the device's reach */

	int kick_fd;
	int call_fd;      /* ours: the eventfd, or our end of the socketpair */
	int call_peer_fd; /* what the device gets; equal to call_fd for an eventfd */
	bool is_corked;   /* ring_publish() does nothing */
	bool is_armed;
	bool is_enabled;
};

struct kept_pkt {
	STAILQ_ENTRY(kept_pkt) next;
	struct vsw_pkt pkt;
	uint32_t len;
	uint8_t payload[];
};
STAILQ_HEAD(kept_list, kept_pkt);

/* Payload of one received packet, as an skb. */
struct chunk {
	TAILQ_ENTRY(chunk) next;
	uint32_t off;
	uint32_t len;
	uint32_t room; /* what Linux would coalesce into, see sock_enqueue() */
	uint8_t data[];
};
TAILQ_HEAD(chunk_list, chunk);

struct vsw_guest_sock {
	LIST_ENTRY(vsw_guest_sock) hash;
	TAILQ_ENTRY(vsw_guest_sock) all; /* on g->socks, after a close on g->closing */
	STAILQ_ENTRY(vsw_guest_sock) accept;
	TAILQ_ENTRY(vsw_guest_sock) ready;
	bool is_ready; /* on g->ready */
	void *data;    /* the caller's */
	struct vsw_guest *g;
	enum vsw_guest_sock_state state;
	bool is_hashed;    /* receives packets */
	bool is_closed;    /* the caller has closed it; lives until the peer agrees */
	bool is_forgotten; /* the guest booted */
	bool was_reset;
	struct listener *listener; /* whose accept has not happened yet */
	uint64_t close_at;         /* deadline of a close */
	uint32_t local_port, peer_cid, peer_port;
	uint32_t peer_shutdown, own_shutdown;

	/* what the peer may send */
	uint32_t buf_alloc;
	uint32_t fwd_cnt, told_fwd_cnt, received;
	uint32_t granted_edge; /* furthest fwd_cnt + buf_alloc that was ever sent */
	bool has_granted;
	struct chunk_list chunks;
	uint32_t unread, n_chunks;

	/* what we may send */
	uint32_t peer_buf_alloc, peer_fwd_cnt, sent;
	uint32_t n_credit_update;
};
TAILQ_HEAD(sock_list, vsw_guest_sock);
LIST_HEAD(sock_bucket, vsw_guest_sock);

struct listener {
	LIST_ENTRY(listener) next;
	uint32_t port;
	unsigned int backlog, n_waiting;
	STAILQ_HEAD(accept_list, vsw_guest_sock) waiting;
};

struct vsw_guest {
	struct vsw_guest_conf conf;
	char *socket_path;
	bool expects_end; /* the switch may close its channels */
	unsigned int n_rings;
	uint32_t cid;

	/* memory.c */
	uint8_t *base; /* where guest memory starts in our address space */
	uint64_t base_gpa;
	size_t mem_len, reserved_len;
	struct region regions[N_REGIONS_MAX];
	unsigned int n_regions;
	uint64_t recv_gpa;
	uint32_t recv_stride;
	unsigned int n_recv_bufs;
	uint64_t slots_gpa;
	unsigned int n_slots;
	unsigned int *free_slots; /* a stack: a hot slot is a cached slot */
	unsigned int n_free_slots;
	uint64_t event_gpa;

	/* frontend.c */
	int vhost_fd;
	int request_fd; /* our end of the back end's request channel */
	uint64_t features, protocol_features;
	bool is_running;
	bool is_stopped;   /* used_at_stop holds */
	bool is_disturbed; /* the device had to let go of rings that had begun */

	struct ring rings[VSW_GUEST_N_QUEUES];
	uint16_t used_at_stop[VSW_GUEST_N_QUEUES];
	bool has_news;      /* something was handled since vsw_guest_process() */
	unsigned int spins; /* since the connection was last looked at */

	/* transport.c */
	struct kept_list outgoing; /* packets that found no free slot */
	unsigned int n_outgoing;
	bool is_raw;
	struct kept_list kept;
	bool is_holding;
	unsigned int *held;
	unsigned int n_held;
	struct chunk_list free_chunks;
	unsigned int n_free_chunks;

	/* sock.c */
	struct sock_bucket buckets[N_SOCK_BUCKETS];
	struct sock_list socks;
	struct sock_list ready;
	struct sock_list closing; /* oldest first: all have the same time to live */
	unsigned int n_socks;
	LIST_HEAD(, listener) listeners;
	uint32_t next_port;

	struct vsw_guest_stats stats;
	char error[320];
	unsigned int n_violations;
	char *violations[N_VIOLATIONS_MAX];
};

/* guest.c */
int guest_fail(struct vsw_guest *g, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void guest_violation(struct vsw_guest *g, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
bool guest_process(struct vsw_guest *g);

/** What a blocking call waits for; NULL pointers of @p arg are the callee's business. */
typedef bool guest_cond_fn(void *arg);

/**
 * Keep the guest going until @p cond holds.
 * @return 0; -ETIMEDOUT or -EPIPE with the guest's error naming @p what.
 */
int guest_wait(struct vsw_guest *g, guest_cond_fn *cond, void *arg, int timeout_ms,
	       const char *what);

/* memory.c */
int memory_init(struct vsw_guest *g);
void memory_fini(struct vsw_guest *g);
int memory_add_region(struct vsw_guest *g, size_t len);
uint64_t memory_user_addr(const struct vsw_guest *g, uint64_t gpa);
uint64_t memory_recv_gpa(const struct vsw_guest *g, unsigned int buf);
/* Guest memory by address, NULL outside of it. */
void *memory_va(const struct vsw_guest *g, uint64_t gpa);
uint64_t memory_slot_gpa(const struct vsw_guest *g, unsigned int slot);

/* ring.c */
int ring_init(struct ring *r, struct vsw_guest *g, enum vsw_guest_queue queue);
void ring_fini(struct ring *r);
void ring_reset(struct ring *r);
int ring_add(struct ring *r, const struct piece *pieces, unsigned int n, uint64_t table_gpa,
	     unsigned int buf);
void ring_publish(struct ring *r);
void ring_flush(struct ring *r);
int ring_pop(struct ring *r, unsigned int *buf, uint32_t *len);
bool ring_has_used(const struct ring *r);
void ring_arm(struct ring *r);
void ring_disarm(struct ring *r);
uint64_t ring_drain_calls(struct ring *r);
void ring_kick(struct ring *r);

/* frontend.c */
int frontend_attach(struct vsw_guest *g);
void frontend_detach(struct vsw_guest *g);
int frontend_start(struct vsw_guest *g, enum vsw_guest_start_mode mode);
int frontend_stop(struct vsw_guest *g);
int frontend_mem_table(struct vsw_guest *g);
int frontend_enable(struct vsw_guest *g, enum vsw_guest_queue queue, bool is_enabled);
int frontend_check(struct vsw_guest *g);

/* transport.c */
void transport_init(struct vsw_guest *g);
void transport_fini(struct vsw_guest *g);
void transport_reset(struct vsw_guest *g);
void transport_post_all(struct vsw_guest *g);
bool transport_process(struct vsw_guest *g);
bool transport_can_send(const struct vsw_guest *g);
int transport_send(struct vsw_guest *g, const uint8_t hdr[VSW_PKT_HDR_LEN], const void *payload,
		   uint32_t len);
void transport_queue(struct vsw_guest *g, const struct vsw_pkt *pkt);
void transport_repost(struct vsw_guest *g, unsigned int buf);

/* sock.c */
void sock_init(struct vsw_guest *g);
void sock_fini(struct vsw_guest *g);
void sock_forget_all(struct vsw_guest *g);
void sock_transport_reset(struct vsw_guest *g);
void sock_input(struct vsw_guest *g, const struct vsw_pkt *pkt, const struct iovec *iov,
		unsigned int n_iov);
bool sock_timers(struct vsw_guest *g);
int sock_next_timer(const struct vsw_guest *g);

#endif /* GUEST_PRIV_H */
