/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The gate in front of librte_vhost: it owns a guest's vhost-user socket, admits one VMM, and
 * passes on whole messages that vsw_vhost_check() lets pass. Private to lib/vhost; runs on the
 * "vsw-vhost" thread, never blocks.
 */
#ifndef VSW_GATE_H
#define VSW_GATE_H

#include <stdbool.h>

#include "vsw_guest_conf.h"
#include "vsw_loop.h"

struct gate;

/** Does librte_vhost know of no VMM of the guest? */
typedef bool (*gate_is_free_fn)(void *ctx);

/**
 * Listen at the guest's socket, or call the VMM that does.
 *
 * @param inner where librte_vhost listens.
 * @param error out: -errno when it fails.
 */
struct gate *gate_create(struct vsw_loop *loop, const struct vsw_guest_conf *guest,
			 const char *inner, gate_is_free_fn is_free, void *ctx, int *error);

/** Remove the socket. */
void gate_unlisten(struct gate *gate);

/** The same, and hang up on everybody. NULL is allowed. */
void gate_destroy(struct gate *gate);

/**
 * Hang up on the VMM that librte_vhost is connected to, if there is one.
 *
 * @param ban_s seconds in which nobody is let in, after what must not happen often; 0: none.
 */
void gate_hang_up(struct gate *gate, const char *why, unsigned int ban_s);

#endif /* VSW_GATE_H */
