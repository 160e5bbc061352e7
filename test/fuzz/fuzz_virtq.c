/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Walking rings in hostile memory. The input lays out the guest's regions and where the rings
 * lie in them (also over each other, misaligned or outside), writes what it likes anywhere at
 * any time, and makes the switch pop, push, put back, flush and restart.
 *
 * Each region is an allocation of just its size, so that AddressSanitizer sees a step outside.
 * A second walk (expect_chain()), written from virtio 1.2, 2.7, says what must come of each
 * head: the segments, or a used entry of length 0. Every head that was taken gets exactly one
 * used entry, in order, and no call looks at more than its share.
 *
 * Input: layout (see lay_out()), then steps: a byte (what), and numbers.
 */
#include <endian.h>
#include <errno.h>

#include <linux/virtio_ring.h>

#include "fuzz.h"

#include "vsw_base.h"
#include "vsw_virtq.h"

#define STEPS_MAX 400
#define SIZE_MAX_LOG2 6

struct model {
	struct vsw_mem mem;
	struct vsw_virtq_conf conf;
	enum vsw_virtq_dir dir;
	struct vsw_counters counters;
	struct vsw_virtq vq;
	struct vsw_chain_burst burst;
	bool overlaps; /* rings lie over each other: what is read may change meanwhile */

	/* Chains that are out, and those that were put back, in order. */
	uint16_t out[1 << SIZE_MAX_LOG2];
	unsigned int n_out;
	uint16_t back[1 << SIZE_MAX_LOG2];
	unsigned int n_back;
	uint16_t n_taken; /* available entries, mod 2^16 */
	uint16_t n_used;
};

/* What must come of a chain. */
struct expected {
	bool is_good;
	bool is_vague; /* an indirect table lies over the used ring */
	uint64_t len;
	unsigned int n_descs; /* read */
	unsigned int n_buffers;
	unsigned int n_segs;
	struct iovec seg[VSW_BURST_SEGS];
};

/*
 * The layout.
 */

static void
add_region(struct model *m, struct input *in)
{
	/* Some touch, some do not, one ends with the address space. */
	static const uint64_t gpas[] = {0, 0x1000, 0x2000, 0x4000, 0x100000000, 0x100001000};
	uint8_t what = take_u8(in);
	/* up to the start of the next one, if there is one */
	uint64_t size = what >> 3 == 31 ? 4096 : 16 + (what >> 3) * 132u;
	uint64_t gpa = (what & 7) < 6 ? gpas[what & 7] : UINT64_MAX - size + (what & 1);
	uint8_t *hva = calloc(1, size);

	CHECK(hva != NULL);
	for (uint32_t i = 0; i < m->mem.n_regions; i++) {
		const struct vsw_mem_region *r = &m->mem.region[i];

		/* librte_vhost's regions come from a VMM and do not overlap */
		if (gpa <= r->gpa + (r->size - 1) && r->gpa <= gpa + (size - 1)) {
			free(hva);
			return;
		}
	}
	m->mem.region[m->mem.n_regions++] = (struct vsw_mem_region){gpa, size, hva};
}

/* Somewhere in a region or a little behind it. */
static void *
place(struct model *m, struct input *in, unsigned int align)
{
	uint8_t where = take_u8(in);
	const struct vsw_mem_region *r = &m->mem.region[where % m->mem.n_regions];
	uintptr_t offset = take_u16(in) % (r->size + 32);

	/* misaligned only now and then */
	if (where < 0xf0)
		offset -= offset % align;
	return (void *)((uintptr_t)r->hva + offset);
}

static bool
holds(const struct model *m, const void *ptr, size_t len)
{
	for (uint32_t i = 0; i < m->mem.n_regions; i++) {
		uintptr_t begin = (uintptr_t)m->mem.region[i].hva;
		uintptr_t end = begin + m->mem.region[i].size;

		if ((uintptr_t)ptr >= begin && (uintptr_t)ptr <= end && end - (uintptr_t)ptr >= len)
			return true;
	}
	return false;
}

static bool
meet(const void *a, size_t a_len, const void *b, size_t b_len)
{
	return (uintptr_t)a < (uintptr_t)b + b_len && (uintptr_t)b < (uintptr_t)a + a_len;
}

static size_t
desc_len(const struct model *m)
{
	return 16 * (size_t)m->conf.size;
}

static size_t
avail_len(const struct model *m)
{
	return 4 + 2 * (size_t)m->conf.size + (m->conf.event_idx ? 2 : 0);
}

static size_t
used_len(const struct model *m)
{
	return 4 + 8 * (size_t)m->conf.size + (m->conf.event_idx ? 2 : 0);
}

static bool
rings_are_sound(const struct model *m)
{
	if (m->conf.size == 0 || (m->conf.size & (m->conf.size - 1)) != 0)
		return false;
	if ((uintptr_t)m->conf.desc % 16 != 0 || (uintptr_t)m->conf.avail % 2 != 0 ||
	    (uintptr_t)m->conf.used % 4 != 0)
		return false;
	return holds(m, m->conf.desc, desc_len(m)) && holds(m, m->conf.avail, avail_len(m)) &&
	       holds(m, m->conf.used, used_len(m));
}

static bool
start(struct model *m)
{
	int rc = vsw_virtq_start(&m->vq, m->dir, &m->conf, &m->mem, &m->counters);

	CHECK(rc == 0 || rc == -EINVAL);
	CHECK((rc == 0) == rings_are_sound(m));
	/* The device writes only the used ring, so only what lies over that can change. */
	m->overlaps = meet(m->conf.used, used_len(m), m->conf.desc, desc_len(m)) ||
		      meet(m->conf.used, used_len(m), m->conf.avail, avail_len(m));
	m->n_taken = m->n_used = m->conf.base;
	return rc == 0;
}

/* @return false: the input places the rings where they cannot be. */
static bool
lay_out(struct model *m, struct input *in)
{
	uint8_t flags = take_u8(in);
	uint8_t size = take_u8(in);
	unsigned int n_regions = 1 + (flags >> 3 & 7);

	m->dir = flags & 1 ? VSW_TO_GUEST : VSW_FROM_GUEST;
	m->conf.event_idx = flags & 2;
	m->conf.indirect = flags & 4;
	m->conf.size = size & 0x80 ? size & 0x7f : (uint16_t)(1u << size % (SIZE_MAX_LOG2 + 1));
	m->conf.base = take_u16(in);
	m->conf.callfd = m->conf.kickfd = -1;
	for (unsigned int i = 0; i < n_regions; i++)
		add_region(m, in);
	m->conf.desc = place(m, in, 16);
	m->conf.avail = place(m, in, 2);
	m->conf.used = place(m, in, 4);
	if (!start(m))
		return false;
	CHECK(m->conf.size <= 1u << SIZE_MAX_LOG2);
	m->conf.avail->idx = htole16(m->conf.base); /* of a driver that begins well */
	return true;
}

/*
 * The second walk.
 */

static uint8_t *
guest_byte(const struct model *m, uint64_t gpa)
{
	for (uint32_t i = 0; i < m->mem.n_regions; i++) {
		const struct vsw_mem_region *r = &m->mem.region[i];

		if (gpa >= r->gpa && gpa <= r->gpa + (r->size - 1))
			return r->hva + (gpa - r->gpa);
	}
	return NULL;
}

static bool
read_guest(const struct model *m, uint64_t gpa, void *dst, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const uint8_t *byte = guest_byte(m, gpa + i);

		if (byte == NULL)
			return false;
		((uint8_t *)dst)[i] = *byte;
	}
	return true;
}

/* All of a range is guest memory: one look per region that it enters. */
static bool
add_segments(const struct model *m, struct expected *e, uint64_t gpa, uint64_t len)
{
	while (len > 0) {
		uint8_t *first = guest_byte(m, gpa);
		uint64_t part = 0;

		for (uint32_t i = 0; first != NULL && i < m->mem.n_regions; i++) {
			const struct vsw_mem_region *r = &m->mem.region[i];

			if (first >= r->hva && first < r->hva + r->size)
				part = (uint64_t)(r->hva + r->size - first);
		}
		if (part == 0)
			return false;
		part = part < len ? part : len;
		if (e->n_segs == VSW_BURST_SEGS)
			return false;
		e->seg[e->n_segs++] = (struct iovec){first, part};
		if (part < len && gpa + part < gpa)
			return false;
		gpa += part;
		len -= part;
	}
	return true;
}

static bool
expect_buffer(const struct model *m, struct expected *e, const struct vring_desc *d)
{
	bool is_writable = le16toh(d->flags) & VRING_DESC_F_WRITE;

	if (is_writable != (m->dir == VSW_TO_GUEST))
		return false;
	e->len += le32toh(d->len);
	if (e->n_buffers == VSW_BURST_SEGS || e->len > UINT32_MAX)
		return false;
	e->n_buffers++;
	return add_segments(m, e, le64toh(d->addr), le32toh(d->len));
}

/* The buffers of a table of n entries at gpa. */
static bool
expect_indirect(const struct model *m, struct expected *e, const struct vring_desc *table)
{
	uint64_t gpa = le64toh(table->addr);
	uint32_t len = le32toh(table->len), next = 0;
	struct expected whole;

	whole.n_segs = 0;
	if (!m->conf.indirect || (le16toh(table->flags) & VRING_DESC_F_NEXT) || len == 0 ||
	    len % 16 != 0 || !add_segments(m, &whole, gpa, len))
		return false;
	for (unsigned int i = 0; i < whole.n_segs; i++)
		e->is_vague |= meet(whole.seg[i].iov_base, whole.seg[i].iov_len, m->conf.used,
				    used_len(m));
	for (uint32_t i = 0; i < len / 16; i++) {
		struct vring_desc d;

		if (next >= len / 16)
			return false;
		CHECK(read_guest(m, gpa + 16ull * next, &d, sizeof(d)));
		e->n_descs++;
		if ((le16toh(d.flags) & VRING_DESC_F_INDIRECT) || !expect_buffer(m, e, &d))
			return false;
		if (!(le16toh(d.flags) & VRING_DESC_F_NEXT))
			return true;
		next = le16toh(d.next);
	}
	return false;
}

static void
expect_chain(const struct model *m, struct expected *e, uint16_t head)
{
	uint32_t next = head;

	e->is_good = e->is_vague = false;
	e->len = 0;
	e->n_descs = e->n_buffers = e->n_segs = 0;
	for (uint32_t i = 0; i < m->conf.size; i++) {
		struct vring_desc d;

		if (next >= m->conf.size)
			return;
		memcpy(&d, &m->conf.desc[next], sizeof(d));
		e->n_descs++;
		if (le16toh(d.flags) & VRING_DESC_F_INDIRECT) {
			e->is_good = expect_indirect(m, e, &d);
			return;
		}
		if (!expect_buffer(m, e, &d))
			return;
		if (!(le16toh(d.flags) & VRING_DESC_F_NEXT)) {
			e->is_good = true;
			return;
		}
		next = le16toh(d.next);
	}
}

/*
 * What must be true.
 */

static void
check_chain(const struct model *m, const struct vsw_chain *chain, const struct expected *e)
{
	uint64_t len = 0;

	CHECK(chain->n_segs <= VSW_BURST_SEGS);
	CHECK(chain->segs >= m->burst.seg);
	CHECK(chain->segs + chain->n_segs <= m->burst.seg + m->burst.n_segs);
	for (uint16_t i = 0; i < chain->n_segs; i++) {
		CHECK(chain->segs[i].iov_len > 0);
		CHECK(holds(m, chain->segs[i].iov_base, chain->segs[i].iov_len));
		len += chain->segs[i].iov_len;
	}
	CHECK(len == chain->len);
	if (e == NULL)
		return;
	CHECK(e->is_good && e->len == chain->len && e->n_segs == chain->n_segs);
	CHECK(chain->n_segs == 0 ||
	      memcmp(e->seg, chain->segs, chain->n_segs * sizeof(e->seg[0])) == 0);
}

static void
check_used(struct model *m, uint16_t head, uint32_t len)
{
	const struct vring_used_elem *elem = &m->conf.used->ring[m->n_used % m->conf.size];

	/* only the last one of a full turn is still there */
	if (!m->overlaps && (uint16_t)(m->vq.used_idx - m->n_used) <= m->conf.size)
		CHECK(le32toh(elem->id) == head && le32toh(elem->len) == len);
	m->n_used++;
}

/* Used entries are written over what is read: the rings, or an indirect table. */
static bool
is_vague(const struct model *m, const uint16_t *head, unsigned int n_heads)
{
	static struct expected e;

	for (unsigned int i = 0; i < n_heads && !m->overlaps; i++) {
		expect_chain(m, &e, head[i]);
		if (e.is_vague)
			return true;
	}
	return m->overlaps;
}

/* The heads that the call took, in order: each was put into the burst or got its used entry. */
static void
check_pop(struct model *m, const uint16_t *head, unsigned int n_heads)
{
	static struct expected e;
	unsigned int n_descs = 0, n_buffers = 0, n = 0;

	for (unsigned int i = 0; i < n_heads; i++) {
		bool is_out = n < m->burst.n_chains && m->burst.chain[n].head == head[i];

		expect_chain(m, &e, head[i]);
		n_descs += e.n_descs;
		n_buffers += e.n_buffers;
		/* an equal head behind it means the same descriptors */
		CHECK(is_out == e.is_good);
		if (is_out) {
			check_chain(m, &m->burst.chain[n++], &e);
			m->out[m->n_out++] = head[i];
		} else {
			check_used(m, head[i], 0);
		}
	}
	CHECK(n == m->burst.n_chains);
	/* Empty buffers count; what leads to an indirect table or ends a walk need not. */
	CHECK(n_buffers <= VSW_BURST_SEGS && n_descs <= VSW_BURST_SEGS + 2 * VSW_BURST);
}

static void
check_counts(const struct model *m)
{
	CHECK(vsw_virtq_n_out(&m->vq) == m->n_out);
	CHECK(m->n_out + m->n_back <= m->conf.size);
	CHECK(m->vq.last_avail == m->n_taken);
	CHECK(m->vq.used_idx == m->n_used);
	CHECK((uint16_t)(m->n_taken - m->n_used) == m->n_out + m->n_back);
}

/*
 * Steps.
 */

static void
step_pop(struct model *m, uint16_t max)
{
	uint16_t head[VSW_BURST + 1];
	uint16_t avail_idx = le16toh(m->conf.avail->idx);
	uint16_t ahead = avail_idx - m->n_used;
	bool must_break = !m->vq.broken && (ahead > m->conf.size || ahead < m->n_out + m->n_back);
	unsigned int n_back = m->n_back, n_heads, i;
	uint16_t n_used = m->vq.used_idx;

	/* The heads in the order in which they will be looked at. */
	for (i = 0; i < VSW_BURST; i++) {
		if (i < n_back)
			head[i] = m->back[i];
		else
			head[i] = le16toh(m->conf.avail->ring[(uint16_t)(m->n_taken + i - n_back) %
							      m->conf.size]);
	}
	vsw_virtq_pop(&m->vq, &m->burst, max);
	CHECK(!must_break || (m->vq.broken && m->burst.n_chains == 0));
	CHECK(!m->vq.broken || m->burst.n_chains == 0);
	CHECK(m->burst.n_chains <= max && m->burst.n_segs <= VSW_BURST_SEGS);

	n_heads = n_back - m->vq.n_returned + (uint16_t)(m->vq.last_avail - m->n_taken);
	CHECK(n_heads <= VSW_BURST);
	CHECK(n_heads == m->burst.n_chains + (uint16_t)(m->vq.used_idx - n_used));
	m->n_taken = m->vq.last_avail;
	m->n_back = m->vq.n_returned;
	memmove(m->back, m->back + (n_back - m->n_back), m->n_back * sizeof(m->back[0]));
	if (is_vague(m, head, n_heads)) {
		/* Which heads came out cannot be foretold, only how many. */
		for (i = 0; i < m->burst.n_chains; i++) {
			check_chain(m, &m->burst.chain[i], NULL);
			m->out[m->n_out++] = m->burst.chain[i].head;
		}
		m->n_used = m->vq.used_idx;
	} else {
		check_pop(m, head, n_heads);
	}
}

static uint16_t
take_out(struct model *m, uint8_t which)
{
	unsigned int i = which % m->n_out;
	uint16_t head = m->out[i];

	m->out[i] = m->out[--m->n_out];
	return head;
}

static void
step_push(struct model *m, uint8_t which, uint32_t len)
{
	uint16_t head;

	if (m->n_out == 0)
		return;
	head = take_out(m, which);
	vsw_virtq_push(&m->vq, head, len);
	check_used(m, head, len);
}

static void
step_unpop(struct model *m, uint8_t which)
{
	if (m->n_out == 0)
		return;
	m->back[m->n_back] = take_out(m, which);
	vsw_virtq_unpop(&m->vq, m->back[m->n_back++]);
}

static void
step_flush(struct model *m)
{
	bool is_news = m->vq.used_idx != m->vq.flushed_idx || !m->vq.signal_valid;

	vsw_virtq_flush(&m->vq);
	CHECK(!is_news || m->overlaps || le16toh(m->conf.used->idx) == m->n_used);
}

/* Put back and still the last that is available: as if it had not been taken. */
static bool
untake(struct model *m)
{
	uint16_t head = le16toh(m->conf.avail->ring[(uint16_t)(m->n_taken - 1) % m->conf.size]);

	for (unsigned int i = 0; i < m->n_back; i++) {
		if (m->back[i] == head) {
			m->back[i] = m->back[--m->n_back];
			m->n_taken--;
			return true;
		}
	}
	return false;
}

static bool
step_restart(struct model *m)
{
	unsigned int n_back = m->n_back;

	while (m->n_out > 0)
		step_push(m, 0, 0);
	step_flush(m);
	while (!m->overlaps && untake(m))
		;
	m->conf.base = vsw_virtq_stop(&m->vq);
	if (m->overlaps)
		CHECK((uint16_t)(m->n_taken - m->conf.base) <= n_back);
	else
		CHECK(m->conf.base == m->n_taken);
	/* all others got their used entry; with none, what is there may be the guest's own lie */
	CHECK(m->overlaps || m->n_back == 0 || le16toh(m->conf.used->idx) == m->n_taken);
	m->n_back = 0;
	return start(m);
}

static uint8_t *
region_byte(struct model *m, uint8_t region, uint16_t offset)
{
	const struct vsw_mem_region *r = &m->mem.region[region % m->mem.n_regions];

	return r->hva + offset % r->size;
}

/* A descriptor in the ring, or anywhere: such as in an indirect table. */
static void
write_desc(struct model *m, struct input *in, uint8_t *at)
{
	const struct vsw_mem_region *r = &m->mem.region[take_u8(in) % m->mem.n_regions];
	struct vring_desc d = {.addr = htole64(r->gpa + take_u16(in) % (r->size + 16)),
			       .len = htole32(take_u16(in)),
			       .flags = htole16(take_u8(in)),
			       .next = htole16(take_u8(in))};

	if (holds(m, at, sizeof(d)))
		memcpy(at, &d, sizeof(d));
}

static void
write_bytes(struct model *m, struct input *in, uint8_t n)
{
	uint8_t region = take_u8(in);
	uint16_t offset = take_u16(in);

	for (uint8_t i = 0; i < n; i++)
		*region_byte(m, region, (uint16_t)(offset + i)) = take_u8(in);
}

/* As a driver would: an entry, then the index. */
static void
offer(struct model *m, struct input *in)
{
	uint16_t idx = le16toh(m->conf.avail->idx);

	m->conf.avail->ring[idx % m->conf.size] = htole16(take_u8(in));
	m->conf.avail->idx = htole16((uint16_t)(idx + 1));
}

static void
write_word(uint16_t *word, struct input *in)
{
	*word = htole16(take_u16(in));
}

/* @return false: the rings could not be started again. */
static bool
step(struct model *m, struct input *in)
{
	uint8_t what = take_u8(in), more = what >> 4;

	switch (what & 15) {
	case 0:
		step_pop(m, more == 0 ? VSW_BURST : more);
		break;
	case 1:
		step_push(m, more, take_u16(in));
		break;
	case 2:
		step_unpop(m, more);
		break;
	case 3:
		step_flush(m);
		break;
	case 4:
		(void)vsw_virtq_has_avail(&m->vq);
		(void)vsw_virtq_want_kicks(&m->vq, more & 1);
		break;
	case 5:
		return more != 15 || step_restart(m);
	case 6:
	case 7:
		write_desc(m, in, (uint8_t *)&m->conf.desc[take_u8(in) % m->conf.size]);
		break;
	case 8:
		write_desc(m, in, region_byte(m, more, take_u16(in)));
		break;
	case 9:
		write_bytes(m, in, more);
		break;
	case 10:
	case 11:
	case 12:
		offer(m, in);
		break;
	case 13:
		write_word(&m->conf.avail->idx, in);
		break;
	case 14:
		write_word(&m->conf.avail->ring[more % m->conf.size], in);
		break;
	default:
		write_word(&m->conf.avail->flags, in);
		if (m->conf.event_idx)
			write_word(&m->conf.avail->ring[m->conf.size], in);
	}
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct model model;
	struct model *m = &model;
	struct input in = {data, size};
	bool is_up;

	memset(m, 0, offsetof(struct model, burst));
	m->n_out = m->n_back = 0;
	is_up = lay_out(m, &in);
	for (unsigned int i = 0; i < STEPS_MAX && in.len > 0 && is_up; i++) {
		is_up = step(m, &in);
		if (is_up)
			check_counts(m);
	}
	while (is_up && m->n_out > 0)
		step_push(m, 0, 0);
	vsw_virtq_stop(&m->vq);
	for (uint32_t i = 0; i < m->mem.n_regions; i++)
		free(m->mem.region[i].hva);
	return 0;
}
