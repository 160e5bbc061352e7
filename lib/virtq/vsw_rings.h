/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The rings of one virtio-vsock device as the vhost-user side hands them to the lcore that
 * walks them: a plain value, no reference to librte_vhost in it.
 */
#ifndef VSW_RINGS_H
#define VSW_RINGS_H

#include "vsw_limits.h"
#include "vsw_virtq.h"

/** Queue numbers (virtio 1.2, 5.10.2), named by where the data goes. */
enum vsw_queue {
	VSW_QUEUE_TO_GUEST,   /**< the driver calls it rx */
	VSW_QUEUE_FROM_GUEST, /**< tx */
	VSW_QUEUE_EVENT,      /**< absent where the VMM keeps it (QEMU) */
};

struct vsw_rings {
	struct vsw_mem mem;
	struct vsw_virtq_conf queue[VSW_VRINGS_MAX]; /**< size 0: absent */
	uint16_t base[VSW_VRINGS_MAX]; /**< filled at the stop: where each queue stands */
};

#endif /* VSW_RINGS_H */
