/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where this sits: step 3 of doc/guides/walk, vsw_virtq_pop().
 *
 * Progress. Four indexes run free modulo 2^16, in this order:
 *
 *   flushed_idx <= used_idx <= last_avail <= avail->idx <= used_idx + size
 *
 * What lies between used_idx and last_avail is out or was put back, at most `size` chains;
 * that bound is what makes `returned` long enough. The guest writes avail->idx, so the last
 * two relations are checked at each pop; a ring that violates them is broken for good, since
 * nobody can tell which entries it meant.
 *
 * Hostile input. A descriptor is copied once into a local and never read again. The walk
 * ends whatever the guest wrote: a table is not followed for more steps than it has entries,
 * an indirect table does not lead to another, and one call reads at most VSW_BURST_SEGS
 * buffers, empty ones included, over all its chains. (A loop in a ring longer than that is
 * therefore counted as a chain of too many pieces.) A chain that does not fit behind others
 * stays where it is and is first in the next call; one that does not fit alone is refused.
 *
 * Memory order. The guest is another cpu that runs virtio_ring.c. Two of its stores publish
 * what it wrote before: avail->idx, which we load with acquire; and our used->idx, which we
 * store with release. Twice both sides write one word and then read the other's, so that at
 * least one of them sees the news; that takes a full fence on both:
 *
 *   F1  we: used->idx, fence, read used_event or avail->flags      vsw_virtq_flush()
 *       it: used_event or avail->flags, fence, read used->idx      virtqueue_enable_cb()
 *   F2  we: avail_event or used->flags, fence, read avail->idx     vsw_virtq_want_kicks()
 *       it: avail->idx, fence, read avail_event or used->flags     virtqueue_kick_prepare()
 *
 * Little-endian throughout: only virtio 1.x guests are served.
 */
#include "vsw_virtq.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_ring.h>

#include "vsw_base.h"

/* Verdict over one chain. All but the first two are counted, see complete_malformed(). */
enum verdict {
	CHAIN_OK,
	CHAIN_NO_ROOM, /* nothing wrong so far, but it does not fit behind the others */
	CHAIN_BAD_HEAD,
	CHAIN_LOOP,
	CHAIN_BAD_NEXT,
	CHAIN_BAD_ADDR,
	CHAIN_BAD_LEN,
	CHAIN_DIRECTION,
	CHAIN_INDIRECT,
};

/* A descriptor in our byte order, copied out of guest memory. */
struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/* Where the walk stands in a table of descriptors: the ring's, or an indirect one, which may
 * lie in several regions. */
struct table {
	uint32_t n_entries;
	uint32_t n_read;
	uint32_t next; /* entry to read */
	bool indirect;
	uint16_t n_parts;
	struct iovec part[VSW_MEM_REGIONS_MAX];
};

/* The walk along the chains of one burst. */
struct walk {
	const struct vsw_virtq *vq;
	struct vsw_chain_burst *burst;
	uint32_t n_buffers; /* descriptors taken in this call */
	/* of the chain at hand */
	bool is_first;   /* nothing in front of it has used up room */
	uint16_t n_segs; /* those of the burst and its own */
	uint64_t len;
};

static uint16_t
load_avail_idx(const struct vsw_virtq *vq)
{
	return le16toh(__atomic_load_n(&vq->conf.avail->idx, __ATOMIC_ACQUIRE));
}

static uint16_t
load_avail_entry(const struct vsw_virtq *vq, uint16_t idx)
{
	const uint16_t *entry = &vq->conf.avail->ring[idx & (vq->conf.size - 1)];

	return le16toh(__atomic_load_n(entry, __ATOMIC_RELAXED));
}

static void
store_used_flags(struct vsw_virtq *vq, uint16_t flags)
{
	__atomic_store_n(&vq->conf.used->flags, htole16(flags), __ATOMIC_RELAXED);
}

/* avail_event: the word behind the used ring (virtio 1.2, 2.7.8). */
static void
store_avail_event(struct vsw_virtq *vq, uint16_t idx)
{
	uint16_t *event = (uint16_t *)&vq->conf.used->ring[vq->conf.size];

	__atomic_store_n(event, htole16(idx), __ATOMIC_RELAXED);
}

/* The guest may write the source at any time; the fence keeps the compiler from going back
 * to it for what it has copied already. */
static void
copy_once(void *dst, const void *src, size_t len)
{
	memcpy(dst, src, len);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Copy out of an indirect table that is not in one piece: an entry may itself be cut. */
static void
copy_parts(const struct table *t, uint64_t offset, uint8_t *dst, size_t len)
{
	for (uint16_t i = 0; i < t->n_parts && len != 0; i++) {
		const struct iovec *part = &t->part[i];
		size_t n;

		if (offset >= part->iov_len) {
			offset -= part->iov_len;
			continue;
		}
		n = part->iov_len - offset;
		if (n > len)
			n = len;
		copy_once(dst, (const uint8_t *)part->iov_base + offset, n);
		dst += n;
		len -= n;
		offset = 0;
	}
}

static enum verdict
read_desc(struct table *t, struct desc *d)
{
	uint64_t offset = (uint64_t)t->next * sizeof(struct vring_desc);
	struct vring_desc raw;

	if (t->next >= t->n_entries)
		return CHAIN_BAD_NEXT;
	if (t->n_read == t->n_entries)
		return CHAIN_LOOP;
	t->n_read++;

	if (t->n_parts == 1)
		copy_once(&raw, (const uint8_t *)t->part[0].iov_base + offset, sizeof(raw));
	else
		copy_parts(t, offset, (uint8_t *)&raw, sizeof(raw));
	/* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): a table's parts hold all of it */
	d->addr = le64toh(raw.addr);
	d->len = le32toh(raw.len);
	d->flags = le16toh(raw.flags);
	d->next = le16toh(raw.next);
	return CHAIN_OK;
}

static void
open_ring_table(struct table *t, const struct vsw_virtq *vq, uint16_t head)
{
	t->n_entries = vq->conf.size;
	t->n_read = 0;
	t->next = head;
	t->indirect = false;
	t->n_parts = 1;
	t->part[0].iov_base = vq->conf.desc;
}

/* virtio 1.2, 2.7.5.3: the indirect descriptor is the last of its chain; its write flag means
 * nothing. A table outside of memory is a bad address like that of any buffer. */
static enum verdict
open_indirect_table(struct table *t, const struct vsw_virtq *vq, const struct desc *d)
{
	if (!vq->conf.indirect || t->indirect || (d->flags & VRING_DESC_F_NEXT) != 0)
		return CHAIN_INDIRECT;
	if (d->len == 0 || d->len % sizeof(struct vring_desc) != 0)
		return CHAIN_INDIRECT;

	t->n_entries = d->len / sizeof(struct vring_desc);
	t->n_read = 0;
	t->next = 0;
	t->indirect = true;
	t->n_parts = 0;
	/* Never too many parts: going up, a range enters each region at most once. */
	if (vsw_mem_segments(vq->mem, d->addr, d->len, t->part, VSW_MEM_REGIONS_MAX, &t->n_parts) !=
	    VSW_MEM_OK)
		return CHAIN_BAD_ADDR;
	return CHAIN_OK;
}

static enum verdict
no_room(const struct walk *w)
{
	return w->is_first ? CHAIN_BAD_LEN : CHAIN_NO_ROOM;
}

static enum verdict
take_buffer(struct walk *w, const struct desc *d)
{
	bool writable = (d->flags & VRING_DESC_F_WRITE) != 0;

	if (writable != (w->vq->dir == VSW_TO_GUEST))
		return CHAIN_DIRECTION;
	if (w->n_buffers == VSW_BURST_SEGS)
		return no_room(w);
	w->n_buffers++;
	w->len += d->len;
	if (w->len > UINT32_MAX)
		return CHAIN_BAD_LEN;

	switch (vsw_mem_segments(w->vq->mem, d->addr, d->len, w->burst->seg, VSW_BURST_SEGS,
				 &w->n_segs)) {
	case VSW_MEM_OK:
		return CHAIN_OK;
	case VSW_MEM_TOO_MANY:
		return no_room(w);
	default:
		return CHAIN_BAD_ADDR;
	}
}

static enum verdict
walk_chain(struct walk *w, uint16_t head)
{
	enum verdict verdict;
	struct table t;
	struct desc d;

	if (head >= w->vq->conf.size)
		return CHAIN_BAD_HEAD;

	open_ring_table(&t, w->vq, head);
	for (;;) {
		verdict = read_desc(&t, &d);
		if (verdict != CHAIN_OK)
			return verdict;

		if ((d.flags & VRING_DESC_F_INDIRECT) != 0) {
			verdict = open_indirect_table(&t, w->vq, &d);
		} else {
			verdict = take_buffer(w, &d);
			if ((d.flags & VRING_DESC_F_NEXT) == 0)
				return verdict;
			t.next = d.next;
		}
		if (verdict != CHAIN_OK)
			return verdict;
	}
}

/* Start over behind the chains that are in the burst. */
static void
start_chain(struct walk *w)
{
	w->is_first = w->n_buffers == 0;
	w->n_segs = w->burst->n_segs;
	w->len = 0;
}

static void
add_chain(struct walk *w, uint16_t head)
{
	struct vsw_chain_burst *burst = w->burst;
	struct vsw_chain *chain = &burst->chain[burst->n_chains++];

	chain->head = head;
	chain->n_segs = w->n_segs - burst->n_segs;
	chain->len = (uint32_t)w->len;
	chain->segs = &burst->seg[burst->n_segs];
	burst->n_segs = w->n_segs;
}

static void
complete_malformed(struct vsw_virtq *vq, uint16_t head, enum verdict verdict)
{
	static const enum vsw_counter counter[] = {
		[CHAIN_BAD_HEAD] = VSW_CTR_RING_BAD_HEAD,
		[CHAIN_LOOP] = VSW_CTR_CHAIN_LOOP,
		[CHAIN_BAD_NEXT] = VSW_CTR_CHAIN_BAD_NEXT,
		[CHAIN_BAD_ADDR] = VSW_CTR_CHAIN_BAD_ADDR,
		[CHAIN_BAD_LEN] = VSW_CTR_CHAIN_BAD_LEN,
		[CHAIN_DIRECTION] = VSW_CTR_CHAIN_DIRECTION,
		[CHAIN_INDIRECT] = VSW_CTR_CHAIN_INDIRECT,
	};

	vsw_count(vq->counters, counter[verdict], 1);
	vsw_virtq_push(vq, head, 0);
}

/* New available entries; none, and the ring is broken, when the guest's index makes no sense:
 * too far ahead, or behind what was popped. */
static uint16_t
count_new(struct vsw_virtq *vq)
{
	uint16_t avail_idx = load_avail_idx(vq);
	uint16_t ahead = avail_idx - vq->used_idx;
	uint16_t taken = vq->last_avail - vq->used_idx;

	if (ahead > vq->conf.size || ahead < taken) {
		vq->broken = true;
		vsw_count(vq->counters, VSW_CTR_RING_JUMP, 1);
		return 0;
	}
	return ahead - taken;
}

static uint16_t
peek_head(const struct vsw_virtq *vq)
{
	if (vq->n_returned != 0)
		return vq->returned[vq->returned_first];
	return load_avail_entry(vq, vq->last_avail);
}

static void
drop_head(struct vsw_virtq *vq)
{
	if (vq->n_returned == 0) {
		vq->last_avail++;
		return;
	}
	vq->returned_first = (vq->returned_first + 1) & (vq->conf.size - 1);
	vq->n_returned--;
}

/* The guest wrote its descriptors on another cpu: let the lines travel together. With a guest
 * that refills 128 entries as fast as it can, pop to flush costs 24 instead of 26 ns per direct
 * chain, 58 instead of 63 per indirect one (medians of 15 runs, two cpus); the same for the
 * first buffer gained nothing. */
static void
prefetch_descs(const struct vsw_virtq *vq, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint16_t head = load_avail_entry(vq, vq->last_avail + i);

		__builtin_prefetch(&vq->conf.desc[head & (vq->conf.size - 1)]);
	}
}

uint16_t
vsw_virtq_pop(struct vsw_virtq *vq, struct vsw_chain_burst *burst, uint16_t max)
{
	struct walk w = {.vq = vq, .burst = burst};
	uint32_t n_new, n_looks;

	assert(max <= VSW_BURST);
	burst->n_chains = 0;
	burst->n_segs = 0;
	if (!vq->started || vq->broken)
		return 0;
	n_new = count_new(vq);
	if (vq->broken)
		return 0;
	n_looks = vsw_min_u32(vq->n_returned + n_new, VSW_BURST);
	prefetch_descs(vq, vsw_min_u32(n_new, n_looks));

	while (n_looks-- != 0 && burst->n_chains < max) {
		uint16_t head = peek_head(vq);
		enum verdict verdict;

		start_chain(&w);
		verdict = walk_chain(&w, head);
		if (verdict == CHAIN_NO_ROOM)
			break;
		drop_head(vq);
		if (verdict == CHAIN_OK)
			add_chain(&w, head);
		else
			complete_malformed(vq, head, verdict);
	}
	return burst->n_chains;
}

void
vsw_virtq_unpop(struct vsw_virtq *vq, uint16_t head)
{
	uint16_t last = (vq->returned_first + vq->n_returned) & (vq->conf.size - 1);

	assert(vsw_virtq_n_out(vq) != 0);
	vq->returned[last] = head;
	vq->n_returned++;
}

void
vsw_virtq_push(struct vsw_virtq *vq, uint16_t head, uint32_t len)
{
	struct vring_used_elem *elem = &vq->conf.used->ring[vq->used_idx & (vq->conf.size - 1)];

	assert(vsw_virtq_n_out(vq) != 0);
	__atomic_store_n(&elem->id, htole32(head), __ATOMIC_RELAXED);
	__atomic_store_n(&elem->len, htole32(len), __ATOMIC_RELAXED);
	vq->used_idx++;
}

/* virtio 1.2, 2.7.7. To be asked after used->idx was stored and F1 passed. */
static bool
wants_signal(const struct vsw_virtq *vq)
{
	const struct vring_avail *avail = vq->conf.avail;
	uint16_t word;

	if (!vq->signal_valid)
		return true;
	if (!vq->conf.event_idx) {
		word = __atomic_load_n(&avail->flags, __ATOMIC_RELAXED);
		return (le16toh(word) & VRING_AVAIL_F_NO_INTERRUPT) == 0;
	}
	/* used_event: the word behind the available ring */
	word = __atomic_load_n(&avail->ring[vq->conf.size], __ATOMIC_RELAXED);
	return vring_need_event(le16toh(word), vq->used_idx, vq->signalled_idx);
}

static void
signal_guest(struct vsw_virtq *vq)
{
	enum vsw_signal_result result = vsw_signal_fd_send(vq->conf.callfd, vq->signal_kind);

	if (result == VSW_SIGNAL_SENT)
		vsw_count(vq->counters, VSW_CTR_SIGNALS, 1);
	if (result == VSW_SIGNAL_STUCK) {
		vq->signal_kind = VSW_SIGNAL_NONE;
		vq->is_stuck = true;
	}
}

void
vsw_virtq_flush(struct vsw_virtq *vq)
{
	if (!vq->started || (vq->used_idx == vq->flushed_idx && vq->signal_valid))
		return;

	__atomic_store_n(&vq->conf.used->idx, htole16(vq->used_idx), __ATOMIC_RELEASE);
	vq->flushed_idx = vq->used_idx;

	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* F1 */
	if (wants_signal(vq))
		signal_guest(vq);
	vq->signalled_idx = vq->used_idx;
	vq->signal_valid = true;
}

uint16_t
vsw_virtq_n_out(const struct vsw_virtq *vq)
{
	return vq->last_avail - vq->used_idx - vq->n_returned;
}

bool
vsw_virtq_has_avail(const struct vsw_virtq *vq)
{
	if (!vq->started || vq->broken)
		return false;
	return vq->n_returned != 0 || load_avail_idx(vq) != vq->last_avail;
}

bool
vsw_virtq_want_kicks(struct vsw_virtq *vq, bool on)
{
	if (!vq->started || vq->broken)
		return false;

	/* One behind the next entry: the guest's index meets it again after 2^16 - 1 more. */
	if (vq->conf.event_idx)
		store_avail_event(vq, on ? vq->last_avail : vq->last_avail - 1);
	else
		store_used_flags(vq, on ? 0 : VRING_USED_F_NO_NOTIFY);
	if (!on)
		return false;

	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* F2 */
	return load_avail_idx(vq) != vq->last_avail;
}

static bool
is_aligned(const void *ptr, size_t alignment)
{
	return (uintptr_t)ptr % alignment == 0;
}

static bool
rings_are_aligned(const struct vsw_virtq_conf *conf)
{
	return is_aligned(conf->desc, VRING_DESC_ALIGN_SIZE) &&
	       is_aligned(conf->avail, VRING_AVAIL_ALIGN_SIZE) &&
	       is_aligned(conf->used, VRING_USED_ALIGN_SIZE);
}

static bool
rings_are_sound(const struct vsw_virtq_conf *conf, const struct vsw_mem *mem)
{
	uint64_t n = conf->size;
	uint64_t event = conf->event_idx ? sizeof(uint16_t) : 0;

	if (n == 0 || (n & (n - 1)) != 0 || !rings_are_aligned(conf))
		return false;
	return vsw_mem_holds(mem, conf->desc, n * sizeof(conf->desc[0])) &&
	       vsw_mem_holds(mem, conf->avail,
			     sizeof(*conf->avail) + n * sizeof(conf->avail->ring[0]) + event) &&
	       vsw_mem_holds(mem, conf->used,
			     sizeof(*conf->used) + n * sizeof(conf->used->ring[0]) + event);
}

int
vsw_virtq_start(struct vsw_virtq *vq, enum vsw_virtq_dir dir, const struct vsw_virtq_conf *conf,
		const struct vsw_mem *mem, struct vsw_counters *counters)
{
	uint16_t *returned;

	assert(!vq->started);
	if (!rings_are_sound(conf, mem))
		return -EINVAL;
	returned = calloc(conf->size, sizeof(*returned));
	if (returned == NULL)
		return -ENOMEM;

	*vq = (struct vsw_virtq){
		.conf = *conf,
		.dir = dir,
		.mem = mem,
		.counters = counters,
		.last_avail = conf->base,
		.used_idx = conf->base,
		.flushed_idx = conf->base,
		.signalled_idx = conf->base,
		.started = true,
		.returned = returned,
	};
	vq->signal_kind = vsw_signal_fd_init(conf->callfd);
	if (vq->signal_kind == VSW_SIGNAL_NONE)
		vq->conf.callfd = -1; /* the number may be reused */

	/* virtio 1.2, 2.7.10: with EVENT_IDX the flags stay 0. */
	store_used_flags(vq, 0);
	vsw_virtq_want_kicks(vq, false);
	return 0;
}

/* Take a head out of the chains that were put back. */
static bool
forget_returned(struct vsw_virtq *vq, uint16_t head)
{
	uint16_t mask = vq->conf.size - 1;
	uint16_t last = (vq->returned_first + vq->n_returned - 1) & mask;

	for (uint16_t i = 0; i < vq->n_returned; i++) {
		uint16_t at = (vq->returned_first + i) & mask;

		if (vq->returned[at] != head)
			continue;
		vq->returned[at] = vq->returned[last];
		vq->n_returned--;
		return true;
	}
	return false;
}

/* Chains that were put back and are the last that were taken: as if they never had been. What
 * a guest has sent must not be called done unless it was looked at. */
static void
untake_returned(struct vsw_virtq *vq)
{
	while (vq->n_returned != 0 && forget_returned(vq, load_avail_entry(vq, vq->last_avail - 1)))
		vq->last_avail--;
}

void
vsw_virtq_abandon(struct vsw_virtq *vq)
{
	free(vq->returned);
	vq->returned = NULL;
	vq->started = false;
}

uint16_t
vsw_virtq_stop(struct vsw_virtq *vq)
{
	uint16_t base;

	if (!vq->started)
		return vq->last_avail;

	assert(vsw_virtq_n_out(vq) == 0);
	untake_returned(vq);
	base = vq->last_avail;
	while (vq->n_returned != 0) {
		uint16_t head = peek_head(vq);

		drop_head(vq);
		vsw_virtq_push(vq, head, 0);
	}
	vsw_virtq_flush(vq);

	free(vq->returned);
	*vq = (struct vsw_virtq){
		.conf = {.callfd = -1, .kickfd = -1},
		.last_avail = base,
		.used_idx = base,
		.flushed_idx = base,
		.signalled_idx = base,
	};
	return base;
}
