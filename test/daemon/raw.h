/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Packets by hand: a guest in raw mode and the header of one stream.
 */
#ifndef RAW_H
#define RAW_H

#include "harness.h"

/** Ports of the stream that raw tests use; the guest's CID is vm + 3. */
#define RAW_GUEST_PORT 7000
#define RAW_HOST_PORT 52

/** A header from guest @p vm to the host with the ports above and a window of 256 KiB. */
struct vsw_pkt raw_pkt(unsigned int vm, uint16_t op);

void raw_send(struct env *e, struct vsw_guest *g, const struct vsw_pkt *pkt, const void *payload,
	      size_t len);
void raw_send_op(struct env *e, struct vsw_guest *g, unsigned int vm, uint16_t op);

/** The next packet must be @p op. */
struct vsw_pkt raw_expect(struct env *e, struct vsw_guest *g, uint16_t op);

/** Packets until the first @p op; others are dropped. */
struct vsw_pkt raw_find(struct env *e, struct vsw_guest *g, uint16_t op);

/** No packet may come for QUIET_MS. */
void raw_expect_quiet(struct env *e, struct vsw_guest *g);

/** A connection from the guest, by hand. @return the host's end. */
int raw_connect(struct env *e, struct vsw_guest *g, unsigned int vm, uint32_t buf_alloc);

/** The guest must still be served: one round trip with sockets. Leaves raw mode. */
void raw_check_alive(struct env *e, struct vsw_guest *g, unsigned int vm);

#endif /* RAW_H */
