/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A tap is a ring of bytes: records of the pcap file as they will be written, each behind a
 * word with its length, so that the reader has to do nothing but to copy. The writer moves
 * `tail` when a record is complete, the reader `head` when it is copied.
 *
 * The rings get their memory at the first capture and keep it, so that an lcore that still
 * believes in a capture that has just ended writes into something that is there. What it writes
 * then is thrown away when the next one begins.
 */
#include "vsw_capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <linux/vsockmon.h>

#include "vsw_base.h"
#include "vsw_iov.h"

/* Of each tap: some ms of a fast stream's full packets, or 30000 of its headers. */
#define RING_SIZE (4u << 20)

#define TAPS_MAX 128

#define LINKTYPE_VSOCK 271
#define PCAP_MAGIC_NS 0xa1b23c4du

/* At the end of the ring: the next record is at its start. */
#define WRAP UINT32_MAX

struct file_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, sigfigs, snaplen, linktype;
};

struct record {
	uint32_t sec, nsec, captured, original;
	struct af_vsockmon_hdr mon;
	uint8_t header[VSW_PKT_HDR_LEN];
} __attribute__((packed, aligned(4)));

#define FIXED_LEN (sizeof(struct af_vsockmon_hdr) + VSW_PKT_HDR_LEN)

struct vsw_capture_tap {
	/* The writer's. */
	uint64_t tail __attribute__((aligned(64)));
	uint64_t n_drops;
	/* The reader's. */
	uint64_t head __attribute__((aligned(64)));
	/* Set before the first capture. */
	uint8_t *ring __attribute__((aligned(64)));
};

bool vsw_capture_flag;

static struct {
	struct vsw_capture_filter filter; /* fixed while the flag is set */
	struct vsw_capture_tap *tap[TAPS_MAX];
	unsigned int n_taps;
	bool has_file_header;
	uint64_t drops_before;
} capture;

struct vsw_capture_tap *
vsw_capture_tap_create(void)
{
	struct vsw_capture_tap *tap;

	if (capture.n_taps == TAPS_MAX)
		return NULL;
	tap = aligned_alloc(64, sizeof(*tap));
	if (tap == NULL)
		return NULL;
	memset(tap, 0, sizeof(*tap));
	capture.tap[capture.n_taps++] = tap;
	return tap;
}

void
vsw_capture_tap_destroy(struct vsw_capture_tap *tap)
{
	for (unsigned int i = 0; i < capture.n_taps; i++) {
		if (capture.tap[i] == tap) {
			capture.tap[i] = capture.tap[--capture.n_taps];
			break;
		}
	}
	if (tap != NULL)
		free(tap->ring);
	free(tap);
}

/*
 * Writing.
 */

static uint16_t
mon_op(uint16_t op)
{
	switch (op) {
	case VSW_OP_REQUEST:
	case VSW_OP_RESPONSE:
		return AF_VSOCK_OP_CONNECT;
	case VSW_OP_RST:
	case VSW_OP_SHUTDOWN:
		return AF_VSOCK_OP_DISCONNECT;
	case VSW_OP_RW:
		return AF_VSOCK_OP_PAYLOAD;
	case VSW_OP_CREDIT_UPDATE:
	case VSW_OP_CREDIT_REQUEST:
		return AF_VSOCK_OP_CONTROL;
	default:
		return AF_VSOCK_OP_UNKNOWN;
	}
}

static bool
is_wanted(const struct vsw_capture_filter *filter, uint32_t cid, const struct vsw_pkt *pkt)
{
	return (filter->cid == 0 || filter->cid == cid) &&
	       (!filter->has_port || filter->port == pkt->src_port ||
		filter->port == pkt->dst_port);
}

/* With the word of its length, in whole words of 8 bytes. */
static uint32_t
room_for(uint32_t len)
{
	return (len + (uint32_t)sizeof(uint32_t) + 7) & ~7u;
}

/* @return where a record of @p len bytes may be written and, by @p skip, what is lost at the end
 * of the ring before it; NULL: there is no room. */
static uint8_t *
reserve(struct vsw_capture_tap *tap, uint32_t len, uint32_t *skip)
{
	uint64_t used = tap->tail - __atomic_load_n(&tap->head, __ATOMIC_ACQUIRE);
	uint32_t at = (uint32_t)(tap->tail % RING_SIZE);
	uint32_t need = room_for(len);

	*skip = at + need > RING_SIZE ? RING_SIZE - at : 0;
	if (used + *skip + need > RING_SIZE)
		return NULL;
	if (*skip > 0) {
		*(uint32_t *)(void *)&tap->ring[at] = WRAP;
		at = 0;
	}
	*(uint32_t *)(void *)&tap->ring[at] = len;
	return &tap->ring[at] + sizeof(uint32_t);
}

static void
describe(struct record *r, const struct vsw_pkt *pkt, const uint8_t *raw, uint32_t captured)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	*r = (struct record){
		.sec = (uint32_t)now.tv_sec,
		.nsec = (uint32_t)now.tv_nsec,
		.captured = (uint32_t)FIXED_LEN + captured,
		.original = (uint32_t)FIXED_LEN + pkt->len,
		.mon =
			{
				.src_cid = pkt->src_cid,
				.dst_cid = pkt->dst_cid,
				.src_port = pkt->src_port,
				.dst_port = pkt->dst_port,
				.op = mon_op(pkt->op),
				.transport = AF_VSOCK_TRANSPORT_VIRTIO,
				.len = VSW_PKT_HDR_LEN,
			},
	};
	if (raw != NULL)
		memcpy(r->header, raw, sizeof(r->header));
	else
		vsw_pkt_encode(r->header, pkt);
}

void
vsw_capture_packet(struct vsw_capture_tap *tap, uint32_t cid, const struct vsw_pkt *pkt,
		   const uint8_t *raw, const struct iovec *payload, unsigned int n)
{
	const struct vsw_capture_filter *filter = &capture.filter;
	uint32_t captured, len, skip;
	struct record record;
	uint8_t *at;

	if (!is_wanted(filter, cid, pkt))
		return;
	captured = payload != NULL ? vsw_min_u32(pkt->len, filter->snaplen) : 0;
	len = (uint32_t)sizeof(record) + captured;
	at = reserve(tap, len, &skip);
	if (at == NULL) {
		__atomic_store_n(&tap->n_drops, tap->n_drops + 1, __ATOMIC_RELAXED);
		return;
	}
	describe(&record, pkt, raw, captured);
	memcpy(at, &record, sizeof(record));
	if (captured > 0)
		vsw_iov_copy_out(at + sizeof(record), payload, n, captured);
	__atomic_store_n(&tap->tail, tap->tail + skip + room_for(len), __ATOMIC_RELEASE);
}

/*
 * Reading.
 */

uint64_t
vsw_capture_n_drops(void)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < capture.n_taps; i++)
		n += __atomic_load_n(&capture.tap[i]->n_drops, __ATOMIC_RELAXED);
	return n - capture.drops_before;
}

int
vsw_capture_begin(const struct vsw_capture_filter *filter)
{
	if (vsw_capture_is_on())
		return -EBUSY;
	for (unsigned int i = 0; i < capture.n_taps; i++) {
		struct vsw_capture_tap *tap = capture.tap[i];

		if (tap->ring == NULL)
			tap->ring = aligned_alloc(64, RING_SIZE);
		if (tap->ring == NULL)
			return -ENOMEM;
		__atomic_store_n(&tap->head, __atomic_load_n(&tap->tail, __ATOMIC_ACQUIRE),
				 __ATOMIC_RELEASE);
	}
	capture.drops_before = 0;
	capture.drops_before = vsw_capture_n_drops();
	capture.filter = *filter;
	capture.has_file_header = false;
	__atomic_store_n(&vsw_capture_flag, true, __ATOMIC_RELEASE);
	return 0;
}

void
vsw_capture_end(void)
{
	__atomic_store_n(&vsw_capture_flag, false, __ATOMIC_RELEASE);
}

/* The next record of a tap; NULL: none. */
static const struct record *
peek(struct vsw_capture_tap *tap, uint32_t *len)
{
	uint32_t at = (uint32_t)(tap->head % RING_SIZE);

	if (tap->head == __atomic_load_n(&tap->tail, __ATOMIC_ACQUIRE))
		return NULL;
	*len = *(const uint32_t *)(const void *)&tap->ring[at];
	if (*len == WRAP) {
		__atomic_store_n(&tap->head, tap->head + RING_SIZE - at, __ATOMIC_RELEASE);
		at = 0;
		*len = *(const uint32_t *)(const void *)&tap->ring[at];
	}
	return (const struct record *)(const void *)(&tap->ring[at] + sizeof(uint32_t));
}

static bool
is_older(const struct record *a, const struct record *b)
{
	return a->sec < b->sec || (a->sec == b->sec && a->nsec < b->nsec);
}

/* The tap with the oldest record. */
static struct vsw_capture_tap *
oldest(const struct record **record, uint32_t *len)
{
	struct vsw_capture_tap *found = NULL;

	for (unsigned int i = 0; i < capture.n_taps; i++) {
		uint32_t this_len;
		const struct record *this = peek(capture.tap[i], &this_len);

		if (this == NULL || (found != NULL && !is_older(this, *record)))
			continue;
		found = capture.tap[i];
		*record = this;
		*len = this_len;
	}
	return found;
}

static size_t
put_file_header(char *buf)
{
	const struct file_header header = {
		.magic = PCAP_MAGIC_NS,
		.major = 2,
		.minor = 4,
		.snaplen = (uint32_t)FIXED_LEN + 65536,
		.linktype = LINKTYPE_VSOCK,
	};

	memcpy(buf, &header, sizeof(header));
	capture.has_file_header = true;
	return sizeof(header);
}

size_t
vsw_capture_read(char *buf, size_t size)
{
	const struct record *record = NULL;
	struct vsw_capture_tap *tap;
	uint32_t len = 0;
	size_t n = 0;

	if (!capture.has_file_header)
		n = put_file_header(buf);
	while ((tap = oldest(&record, &len)) != NULL && n + len <= size) {
		memcpy(buf + n, record, len);
		n += len;
		__atomic_store_n(&tap->head, tap->head + room_for(len), __ATOMIC_RELEASE);
	}
	return n;
}
