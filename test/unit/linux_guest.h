/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * A guest with one stream socket, as net/vmw_vsock of Linux would have it: written from what
 * that code does, and sharing nothing with lib/conn but the packet header.
 *
 * What must never reach such a guest calls model_broken().
 */
#ifndef LINUX_GUEST_H
#define LINUX_GUEST_H

#include <stdbool.h>

#include "vsw_packet.h"

/** Of the program that uses the model: say what is wrong, and do not return. */
_Noreturn void model_broken(const char *file, int line, const char *what);

#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			model_broken(__FILE__, __LINE__, #condition);                              \
	} while (0)

/** Packets on their way, in order; for RW with the place of its first byte in the stream. */
#define WIRE_SIZE 256u
struct wire {
	struct wire_entry {
		struct vsw_pkt pkt;
		uint64_t offset;
	} entry[WIRE_SIZE];
	unsigned int first;
	unsigned int n;
};

void wire_put(struct wire *wire, const struct vsw_pkt *pkt, uint64_t offset);
bool wire_get(struct wire *wire, struct wire_entry *entry);

/** Room for what is not an answer to a packet: answers always find some. */
static inline bool
wire_has_room(const struct wire *wire)
{
	return wire->n < WIRE_SIZE / 2;
}

enum guest_state { GUEST_NONE, GUEST_SYN_SENT, GUEST_EST };

/** As many packets as Linux lets queue up with the greatest buffer of the model. */
#define GUEST_BUF_MAX (1u << 20)
#define GUEST_QUEUE (GUEST_BUF_MAX / 576 + 1)

struct guest {
	struct wire *out;
	uint32_t cid, port, far_cid, far_port;
	bool listening; /**< a REQUEST makes a socket of it */
	bool quiet;     /**< an older kernel: silent about credit as long as 64 KiB are free */
	bool strict;    /**< its window is constant: nothing beyond it may come */
	bool is_sane;   /**< sends what Linux sends, so it must be answered in kind */
	bool was_reset; /**< a RST ended the socket */
	bool app_closed;

	enum guest_state state;
	uint8_t shutdown; /**< VSW_SHUTDOWN_* of our own */
	uint8_t peer_shutdown;

	uint32_t buf_alloc, fwd_cnt, last_fwd_cnt; /* what we receive */
	uint32_t rx_bytes;
	uint32_t queue[GUEST_QUEUE]; /* bytes left of each unread packet */
	unsigned int first, n_queued;
	uint64_t n_received, n_read;

	uint32_t tx_cnt, peer_buf_alloc, peer_fwd_cnt; /* what we send */
	uint64_t n_sent;
};

void guest_connect(struct guest *g);
/** Up to len bytes in one packet. @return how many; 0: not now. */
uint32_t guest_send(struct guest *g, uint32_t len);
/** @return bytes read. */
uint32_t guest_read(struct guest *g, uint32_t len);
void guest_shutdown(struct guest *g, uint32_t flags);
void guest_close(struct guest *g);
/** The 8 s of a closed socket, or the 2 s of connect(), are over. */
void guest_timeout(struct guest *g);
void guest_resize(struct guest *g, uint32_t buf_alloc);
void guest_packet(struct guest *g, uint16_t op);

void guest_receive(struct guest *g, const struct wire_entry *entry);

/** The application has read everything and there will not be more. */
bool guest_saw_eof(const struct guest *g);

#endif /* LINUX_GUEST_H */
