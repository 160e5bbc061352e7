/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest's device behind its gate; private to lib/vhost. They come and go on the vsw-vhost thread;
 * librte_vhost's threads call device_ops.
 */
#ifndef VSW_VHOST_DEVICE_H
#define VSW_VHOST_DEVICE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/queue.h>

#include <rte_vhost.h>

#include "gate.h"
#include "vsw_guest_conf.h"
#include "vsw_loop.h"
#include "vsw_mutex.h"
#include "vsw_rings.h"

enum device_state {
	DEVICE_STOPPED, /* the poll lcore has no rings and no connections */
	DEVICE_PAUSED,  /* no rings, connections wait */
	DEVICE_RUNNING,
};

/* May be taken while a device's own is held. */
extern struct vsw_mutex devices_lock;
/* Stands for `lock` of the device in hand, see vsw_mutex.h. */
extern struct vsw_mutex this_device_lock;

struct device {
	const struct vsw_guest_conf *guest;
	struct vsw_loop *control;  /* is told of the VMM */
	TAILQ_ENTRY(device) entry; /* of `devices` */
	char inner[PATH_MAX];      /* where the library listens, for the gate alone */
	struct gate *gate;         /* owner: vsw-vhost */

	/* -1: no VMM connected. Changes with both locks held: to read it either will do. */
	int vid VSW_GUARDED_BY(devices_lock);

	/* Held over START and STOP but never over a call into librte_vhost that may block. */
	struct vsw_mutex lock;
	/* The message that vhost-events is handling. */
	uint32_t request VSW_GUARDED_BY(this_device_lock);
	/* librte_vhost has a memory table. */
	bool has_mem VSW_GUARDED_BY(this_device_lock);
	/* Of vhost-events, before that message. */
	unsigned int n_faults VSW_GUARDED_BY(this_device_lock);
	bool ready[VSW_VRINGS_MAX] VSW_GUARDED_BY(this_device_lock);
	/* Being unlistened: never started again. */
	bool going VSW_GUARDED_BY(this_device_lock);
	enum device_state state VSW_GUARDED_BY(this_device_lock);
	struct vsw_rings rings VSW_GUARDED_BY(this_device_lock);
};

/* Changes on vsw-vhost alone, which therefore may walk it without the lock. */
TAILQ_HEAD(device_list, device);
extern struct device_list devices VSW_GUARDED_BY(devices_lock);

extern const struct rte_vhost_device_ops device_ops;

/* @p control is told of the VMM. @return NULL: out of memory. */
struct device *device_create(const struct vsw_guest_conf *guest, struct vsw_loop *control);
/* NULL is allowed. */
void device_free(struct device *dev);
struct device *device_by_guest(const struct vsw_guest_conf *guest);

/* Has the library let go of the last VMM? @param ctx the device. */
bool device_is_free(void *ctx);

/* Stop its rings for good; its connections are over. */
void device_end(struct device *dev);

#endif /* VSW_VHOST_DEVICE_H */
