/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest's device behind its gate; private to lib/vhost. They come and go on the vsw-vhost thread;
 * librte_vhost's threads call device_ops.
 */
#ifndef VSW_VHOST_DEVICE_H
#define VSW_VHOST_DEVICE_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>

#include <rte_vhost.h>

#include "gate.h"
#include "vsw_guest_conf.h"
#include "vsw_loop.h"
#include "vsw_rings.h"

enum device_state {
	DEVICE_STOPPED, /* the poll lcore has no rings and no connections */
	DEVICE_PAUSED,  /* no rings, connections wait */
	DEVICE_RUNNING,
};

struct device {
	const struct vsw_guest_conf *guest;
	struct vsw_loop *control;  /* is told of the VMM */
	TAILQ_ENTRY(device) entry; /* of `devices` */
	char inner[PATH_MAX];      /* where the library listens, for the gate alone */
	struct gate *gate;         /* owner: vsw-vhost */

	/* Owner: whoever holds the lock, which is held over START and STOP but never over a
	 * call into librte_vhost that may block. */
	pthread_mutex_t lock;
	int vid;               /* -1: no VMM connected */
	uint32_t request;      /* the message that vhost-events is handling */
	bool has_mem;          /* librte_vhost has a memory table */
	unsigned int n_faults; /* of vhost-events, before that message */
	bool ready[VSW_VRINGS_MAX];
	bool going; /* being unlistened: never started again */
	enum device_state state;
	struct vsw_rings rings;
};

/* Only vsw-vhost may walk it. */
extern TAILQ_HEAD(device_list, device) devices;

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
