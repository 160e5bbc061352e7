/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's side of a split virtqueue (virtio 1.2, 2.7).
 *
 * What the driver must know to free a chain is kept in `flight` and `order`, outside of
 * guest memory: a device that scribbles over the descriptor table is then noticed rather
 * than believed. Each used entry is checked: its id must be the head of a chain in flight,
 * its length no more than the device could have written, and the index may not pass what
 * was made available.
 */
#include "guest_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define NONE UINT16_MAX

int
ring_init(struct ring *r, struct vsw_guest *g, enum vsw_guest_queue queue)
{
	r->g = g;
	r->queue = queue;
	r->size = g->conf.ring_size;
	r->kick_fd = r->call_fd = r->call_peer_fd = -1;
	r->flight = calloc(r->size, sizeof(*r->flight));
	r->order = calloc(r->size, sizeof(*r->order));
	return r->flight != NULL && r->order != NULL ? 0 : -ENOMEM;
}

void
ring_fini(struct ring *r)
{
	free(r->flight);
	free(r->order);
}

/* A driver that just loaded: zeroed rings, all descriptors free. */
void
ring_reset(struct ring *r)
{
	memset(r->desc, 0, 16ul * r->size);
	memset(r->avail, 0, 6 + 2ul * r->size);
	memset(r->used, 0, 6 + 8ul * r->size);
	memset(r->flight, 0, r->size * sizeof(*r->flight));
	for (uint16_t i = 0; i < r->size; i++)
		r->order[i] = i + 1 < r->size ? i + 1 : NONE;
	r->avail_idx = r->published_idx = r->last_used = 0;
	r->free_head = 0;
	r->n_free = r->size;
	r->n_in_flight = 0;
	r->event_idx = (r->g->features & 1ull << VIRTIO_RING_F_EVENT_IDX) != 0;
	r->is_armed = true;
	ring_disarm(r);
}

static void
put_avail(struct ring *r, uint16_t head)
{
	r->avail->ring[r->avail_idx % r->size] = head;
	r->avail_idx++;
	r->n_in_flight++;
}

/*
 * Adds a chain. With table_gpa the pieces go into an indirect table there. The entry is
 * seen by the device after ring_publish(). Returns the head or -ENOSPC.
 */
int
ring_add(struct ring *r, const struct piece *pieces, unsigned int n, uint64_t table_gpa,
	 unsigned int buf)
{
	struct vring_desc *table = table_gpa != 0 ? memory_va(r->g, table_gpa) : r->desc;
	uint16_t head = r->free_head, at = head, last = head;
	unsigned int n_ring = table_gpa != 0 ? 1 : n;
	struct in_flight *f;

	if (r->n_free < n_ring)
		return -ENOSPC;

	f = &r->flight[head];
	*f = (struct in_flight){.is_used = true, .n_descs = (uint16_t)n_ring, .buf = buf};
	for (unsigned int i = 0; i < n; i++) {
		bool is_last = i == n - 1;
		uint16_t slot = table_gpa != 0 ? (uint16_t)i : at;
		uint16_t next = table_gpa != 0 ? (uint16_t)(i + 1) : r->order[at];

		table[slot].addr = pieces[i].gpa;
		table[slot].len = pieces[i].len;
		table[slot].flags = pieces[i].flags | (is_last ? 0 : VRING_DESC_F_NEXT);
		table[slot].next = is_last ? 0 : next;
		if (pieces[i].flags & VRING_DESC_F_WRITE)
			f->writable += pieces[i].len;
		if (table_gpa == 0) {
			last = at;
			at = r->order[at];
		}
	}
	if (table_gpa != 0) {
		r->desc[head].addr = table_gpa;
		r->desc[head].len = n * 16;
		r->desc[head].flags = VRING_DESC_F_INDIRECT;
		r->desc[head].next = 0;
	}
	r->free_head = r->order[last];
	r->n_free -= (uint16_t)n_ring;
	put_avail(r, head);
	return head;
}

void
ring_kick(struct ring *r)
{
	if (r->kick_fd >= 0 && eventfd_write(r->kick_fd, 1) == 0)
		r->g->stats.kicks++;
}

/* Makes everything added visible and kicks if the device wants it (virtio 1.2, 2.7.13). */
void
ring_flush(struct ring *r)
{
	uint16_t old = r->published_idx;
	bool wants_kick;

	if (r->avail_idx == old)
		return;
	__atomic_store_n(&r->avail->idx, r->avail_idx, __ATOMIC_RELEASE);
	r->published_idx = r->avail_idx;

	/* The index must be out before the device's wish is read: 2.7.13.4.1. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (r->event_idx) {
		uint16_t event;

		/* avail_event lies where the next used element would be (2.7.8) */
		memcpy(&event, &r->used->ring[r->size], sizeof(event));
		wants_kick = vring_need_event(event, r->avail_idx, old);
	} else {
		wants_kick = (r->used->flags & VRING_USED_F_NO_NOTIFY) == 0;
	}
	if (wants_kick)
		ring_kick(r);
	else
		r->g->stats.kicks_kept++;
}

void
ring_publish(struct ring *r)
{
	if (!r->is_corked)
		ring_flush(r);
}

bool
ring_has_used(const struct ring *r)
{
	return __atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE) != r->last_used;
}

/* Gives the descriptors of a chain back, in the order they had. */
static void
free_chain(struct ring *r, uint16_t head)
{
	uint16_t last = head;

	for (unsigned int i = 1; i < r->flight[head].n_descs; i++)
		last = r->order[last];
	r->order[last] = r->free_head;
	r->free_head = head;
	r->n_free += r->flight[head].n_descs;
	r->n_in_flight--;
	r->flight[head].is_used = false;
}

/*
 * Takes one used entry. Returns 1 with the buffer and length, 0 when there is none, -1 for
 * an entry that broke a rule: it is consumed, nothing to do.
 */
int
ring_pop(struct ring *r, unsigned int *buf, uint32_t *len)
{
	uint16_t idx = __atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE);
	const struct vring_used_elem *elem;
	struct in_flight *f;
	uint32_t id;

	if (idx == r->last_used)
		return 0;
	if ((uint16_t)(idx - r->last_used) > r->n_in_flight) {
		guest_violation(r->g, "ring %d: used index %u passes %u entries in flight from %u",
				r->queue, idx, r->n_in_flight, r->last_used);
		r->last_used = idx;
		return -1;
	}
	elem = &r->used->ring[r->last_used % r->size];
	id = elem->id;
	*len = elem->len;
	r->last_used++;
	if (id >= r->size || !r->flight[id].is_used) {
		guest_violation(r->g, "ring %d: used entry names %u, which is not in flight",
				r->queue, id);
		return -1;
	}
	f = &r->flight[id];
	if (*len > f->writable)
		guest_violation(r->g, "ring %d: used length %u of a chain with %u writable bytes",
				r->queue, *len, f->writable);
	*buf = f->buf;
	free_chain(r, (uint16_t)id);
	return 1;
}

static uint16_t *
used_event(struct ring *r)
{
	return &r->avail->ring[r->size];
}

/* Asks for an interrupt at the next used entry; the caller looks once more afterwards. */
void
ring_arm(struct ring *r)
{
	if (r->event_idx)
		__atomic_store_n(used_event(r), r->last_used, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&r->avail->flags, 0, __ATOMIC_RELAXED);
	r->is_armed = true;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void
ring_disarm(struct ring *r)
{
	if (!r->is_armed)
		return;
	/* With EVENT_IDX there is no off, only far away (virtio 1.2, 2.7.10). */
	if (r->event_idx)
		__atomic_store_n(used_event(r), (uint16_t)(r->last_used + 0x8000),
				 __ATOMIC_RELAXED);
	else
		__atomic_store_n(&r->avail->flags, VRING_AVAIL_F_NO_INTERRUPT, __ATOMIC_RELAXED);
	r->is_armed = false;
}

/* Empties the call descriptor. Returns the interrupts that were in it. */
uint64_t
ring_drain_calls(struct ring *r)
{
	uint64_t buf[64], n = 0;

	if (r->call_fd < 0)
		return 0;
	if (r->call_fd == r->call_peer_fd) {
		if (read(r->call_fd, buf, 8) == 8)
			n = buf[0];
	} else {
		ssize_t got;

		while ((got = recv(r->call_fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
			n += (uint64_t)got / 8;
	}
	r->g->stats.interrupts += n;
	return n;
}
