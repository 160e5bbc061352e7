/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory, and what lies where in it:
 *
 *	ring 0 | ring 1 | ring 2 | event buffers | receive buffers | packet slots
 *
 * The regions follow each other in guest-physical space and in ours, so that the driver
 * needs no translation table, but each is a mapping of its own for the device: a buffer
 * that lies across a border is in two places there. The first border is put inside the
 * receive buffers, the second inside the first packet slot; rings stay whole because a
 * vhost-user ring is one user address (vhost-user, "Vring address description").
 */
#include "guest_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096ul

/* Address space set aside for regions added later. */
#define RESERVED_MIN (512ul << 20)

/* Guest memory of User-Mode Linux starts where its executable ends (facts: 0xeaf9000). */
#define UML_BASE_GPA 0xeaf9000ull
#define QEMU_BASE_GPA 0x40000000ull

#define N_EVENT_BUFS 8
#define N_SLOTS_MAX 128

static uint64_t
page_up(uint64_t x)
{
	return (x + PAGE - 1) & ~(PAGE - 1);
}

/* Maps region @p i over its part of the reservation. */
static int
region_map(struct vsw_guest *g, unsigned int i, uint64_t gpa, size_t len)
{
	struct region *r = &g->regions[i];
	bool is_uml = g->conf.shape == VSW_GUEST_UML;
	void *va = g->base + (gpa - g->base_gpa);

	r->gpa = gpa;
	r->len = len;
	/* UML has all its memory in one file that it maps at offset = address. */
	r->user_addr = is_uml ? gpa : (uint64_t)(uintptr_t)va;
	r->mmap_offset = is_uml ? gpa : i * PAGE;
	r->fd = memfd_create("vsw-guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (r->fd < 0)
		return -errno;
	if (ftruncate(r->fd, (off_t)(r->mmap_offset + len)) < 0 ||
	    fcntl(r->fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0 ||
	    mmap(va, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, r->fd,
		 (off_t)r->mmap_offset) == MAP_FAILED) {
		int err = -errno;

		close(r->fd);
		r->fd = -1;
		return err;
	}
	return 0;
}

/* Places the rings; returns the first address after them. */
static uint64_t
layout_rings(struct vsw_guest *g, uint64_t gpa)
{
	uint32_t size = g->conf.ring_size;

	for (unsigned int q = 0; q < VSW_GUEST_N_QUEUES; q++) {
		struct ring *r = &g->rings[q];

		/* sizes with the event fields: virtio 1.2, 2.7 */
		r->desc_gpa = gpa;
		gpa += page_up(16ull * size);
		r->avail_gpa = gpa;
		gpa += page_up(6 + 2ull * size);
		r->used_gpa = gpa;
		gpa += page_up(6 + 8ull * size);
	}
	return gpa;
}

static void
layout(struct vsw_guest *g, uint64_t border[2])
{
	const struct vsw_guest_conf *conf = &g->conf;
	uint64_t gpa = layout_rings(g, g->base_gpa);
	uint32_t recv_len = conf->recv_buf_len + 16 * (conf->recv_pieces - 1);

	g->event_gpa = gpa;
	gpa = page_up(gpa + N_EVENT_BUFS * 8);

	g->n_recv_bufs = conf->ring_size / conf->recv_pieces;
	if (conf->n_recv_bufs != 0 && conf->n_recv_bufs < g->n_recv_bufs)
		g->n_recv_bufs = conf->n_recv_bufs;
	g->recv_gpa = gpa;
	g->recv_stride = (recv_len + 63) & ~63u;
	/* At a page border inside the buffers, or right after them if they are that few. */
	border[0] = page_up(gpa + (uint64_t)g->recv_stride * g->n_recv_bufs / 2);
	gpa = page_up(gpa + (uint64_t)g->recv_stride * g->n_recv_bufs);

	/* QEMU's ring full of packets; with half of that, small ones are a fifth slower. */
	g->n_slots = conf->ring_size < N_SLOTS_MAX ? conf->ring_size : N_SLOTS_MAX;
	g->slots_gpa = gpa;
	border[1] = gpa + 2 * PAGE;
	g->mem_len = gpa + (uint64_t)g->n_slots * SLOT_LEN - g->base_gpa;
}

int
memory_init(struct vsw_guest *g)
{
	uint64_t border[2], at, end;
	unsigned int n = g->conf.n_regions;

	for (unsigned int i = 0; i < N_REGIONS_MAX; i++)
		g->regions[i].fd = -1;
	g->base_gpa = g->conf.shape == VSW_GUEST_UML ? UML_BASE_GPA : QEMU_BASE_GPA;
	layout(g, border);

	/* Regions past the third only make the table longer: one page each, at the end. */
	if (n > 3)
		g->mem_len += (n - 3) * PAGE;
	g->reserved_len = g->mem_len + RESERVED_MIN;
	g->base = mmap(NULL, g->reserved_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g->base == MAP_FAILED) {
		g->base = NULL;
		return -errno;
	}

	at = g->base_gpa;
	end = g->base_gpa + g->mem_len;
	for (unsigned int i = 0; i < n; i++) {
		uint64_t next = i == n - 1 ? end : i < 2 ? border[i] : end - (n - 1 - i) * PAGE;
		int err = region_map(g, i, at, next - at);

		if (err < 0)
			return err;
		g->n_regions++;
		at = next;
	}

	g->free_slots = calloc(g->n_slots, sizeof(*g->free_slots));
	g->held = calloc(g->n_recv_bufs, sizeof(*g->held));
	if (g->free_slots == NULL || g->held == NULL)
		return -ENOMEM;

	for (unsigned int q = 0; q < VSW_GUEST_N_QUEUES; q++) {
		struct ring *r = &g->rings[q];

		r->desc = memory_va(g, r->desc_gpa);
		r->avail = memory_va(g, r->avail_gpa);
		r->used = memory_va(g, r->used_gpa);
	}
	return 0;
}

void
memory_fini(struct vsw_guest *g)
{
	for (unsigned int i = 0; i < g->n_regions; i++)
		close(g->regions[i].fd);
	if (g->base != NULL)
		munmap(g->base, g->reserved_len);
	free(g->free_slots);
	free(g->held);
}

int
memory_add_region(struct vsw_guest *g, size_t len)
{
	uint64_t gpa = g->base_gpa + g->mem_len;
	int err;

	len = page_up(len);
	if (g->n_regions == N_REGIONS_MAX || len < (size_t)g->n_slots * SLOT_LEN ||
	    g->mem_len + len > g->reserved_len)
		return -EINVAL;
	err = region_map(g, g->n_regions, gpa, len);
	if (err < 0)
		return err;
	g->n_regions++;
	g->mem_len += len;
	return 0;
}

void *
memory_va(const struct vsw_guest *g, uint64_t gpa)
{
	if (gpa < g->base_gpa || gpa >= g->base_gpa + g->mem_len)
		return NULL;
	return g->base + (gpa - g->base_gpa);
}

uint64_t
memory_user_addr(const struct vsw_guest *g, uint64_t gpa)
{
	for (unsigned int i = 0; i < g->n_regions; i++) {
		const struct region *r = &g->regions[i];

		if (gpa >= r->gpa && gpa - r->gpa < r->len)
			return r->user_addr + (gpa - r->gpa);
	}
	return 0;
}

uint64_t
memory_recv_gpa(const struct vsw_guest *g, unsigned int buf)
{
	return g->recv_gpa + (uint64_t)buf * g->recv_stride;
}

uint64_t
memory_slot_gpa(const struct vsw_guest *g, unsigned int slot)
{
	return g->slots_gpa + (uint64_t)slot * SLOT_LEN;
}
