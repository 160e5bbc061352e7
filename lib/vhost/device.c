/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest's device as librte_vhost sees it: when its rings start and stop.
 *
 * librte_vhost speaks the protocol, maps the memory and tells us when a ring becomes ready
 * or stops. The rings themselves belong to a poll lcore, which takes no lock of the
 * library. Every change therefore goes: STOP (the lcore gives everything back and says where
 * each ring stands) - the library changes what it wants - START (with a new snapshot). Both
 * are calls from the library's callbacks, which wait for the lcore.
 *
 * What a stop means for the guest's connections depends on the message in the middle of
 * which it happens, so the pre-message hook remembers that:
 *   - memory table, call fd and other updates: PAUSED, connections live on;
 *   - GET_VRING_BASE, ENABLE 0, RESET_OWNER, end of the socket: STOPPED, they are over.
 *     The driver was reset, the guest rebooted or its VMM is gone; the protocol has no way
 *     to tell that from a VM that is suspended and will go on.
 *
 * We do not use new_device/destroy_device as start and stop: UML unbinds its driver without
 * ever causing a destroy_device, and QEMU replaces call fds after new_device. A queue's
 * vring_state_changed is the truth; a device runs while queues 0 and 1 are ready.
 */
#include "device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_ring.h>

#define VSW_LOGTYPE vsw_log_vhost
#include "vsw_guard.h"
#include "vsw_log.h"
#include "vsw_msg.h"
#include "vhost_msg.h"

extern int vsw_log_vhost;

struct device_list devices = TAILQ_HEAD_INITIALIZER(devices);
static pthread_mutex_t devices_lock = PTHREAD_MUTEX_INITIALIZER;

/*
 * All of them.
 */

struct device *
device_create(const struct vsw_guest_conf *guest, struct vsw_loop *control)
{
	struct device *dev = calloc(1, sizeof(*dev));

	if (dev == NULL)
		return NULL;
	dev->guest = guest;
	dev->control = control;
	dev->vid = -1;
	pthread_mutex_init(&dev->lock, NULL);
	pthread_mutex_lock(&devices_lock);
	TAILQ_INSERT_TAIL(&devices, dev, entry);
	pthread_mutex_unlock(&devices_lock);
	return dev;
}

void
device_free(struct device *dev)
{
	if (dev == NULL)
		return;
	pthread_mutex_lock(&devices_lock);
	TAILQ_REMOVE(&devices, dev, entry);
	pthread_mutex_unlock(&devices_lock);
	pthread_mutex_destroy(&dev->lock);
	free(dev);
}

static struct device *
device_by_vid(int vid)
{
	struct device *dev;

	pthread_mutex_lock(&devices_lock);
	TAILQ_FOREACH (dev, &devices, entry) {
		if (dev->vid == vid)
			break;
	}
	pthread_mutex_unlock(&devices_lock);
	return dev;
}

static struct device *
device_by_inner(const char *path)
{
	struct device *dev;

	pthread_mutex_lock(&devices_lock);
	TAILQ_FOREACH (dev, &devices, entry) {
		if (strcmp(dev->inner, path) == 0)
			break;
	}
	pthread_mutex_unlock(&devices_lock);
	return dev;
}

struct device *
device_by_guest(const struct vsw_guest_conf *guest)
{
	struct device *dev;

	pthread_mutex_lock(&devices_lock);
	TAILQ_FOREACH (dev, &devices, entry) {
		if (dev->guest == guest)
			break;
	}
	pthread_mutex_unlock(&devices_lock);
	return dev;
}

bool
device_is_free(void *ctx)
{
	struct device *dev = ctx;
	bool yes;

	pthread_mutex_lock(&devices_lock);
	yes = dev->vid < 0;
	pthread_mutex_unlock(&devices_lock);
	return yes;
}

/* The lookups above read it under the other lock. */
static void
set_vid(struct device *dev, int vid)
{
	pthread_mutex_lock(&devices_lock);
	dev->vid = vid;
	pthread_mutex_unlock(&devices_lock);
}

/* Messages run out only while lcores are busy; these threads may wait for them. */
static struct vsw_msg *
alloc_patiently(enum vsw_verb verb)
{
	struct vsw_msg *msg;

	while ((msg = vsw_msg_alloc(verb)) == NULL)
		usleep(100);
	return msg;
}

static void
tell_control(const struct device *dev, enum vsw_vmm vmm)
{
	struct vsw_msg *msg = alloc_patiently(VSW_MSG_VMM);

	msg->guest = dev->guest;
	msg->port = vmm;
	vsw_msg_send(dev->control, msg);
}

/*
 * The snapshot.
 */

static int
snapshot_mem(int vid, unsigned int slot, struct vsw_mem *mem)
{
	struct rte_vhost_memory *table;
	int rc = 0;

	if (rte_vhost_get_mem_table(vid, &table) != 0)
		return -EIO;
	if (table->nregions > VSW_MEM_REGIONS_MAX)
		rc = -E2BIG;
	mem->n_regions = rc == 0 ? table->nregions : 0;
	for (uint32_t i = 0; i < mem->n_regions; i++) {
		mem->region[i] = (struct vsw_mem_region){
			.gpa = table->regions[i].guest_phys_addr,
			.size = table->regions[i].size,
			.hva = (uint8_t *)(uintptr_t)table->regions[i].host_user_addr,
		};
		vsw_guard_set(slot, i, table->regions[i].mmap_addr, table->regions[i].mmap_size);
	}
	free(table);
	return rc;
}

static int
snapshot_queue(int vid, uint16_t q, uint64_t features, struct vsw_virtq_conf *conf)
{
	struct rte_vhost_vring vring;
	uint16_t avail, used;

	if (rte_vhost_get_vhost_vring(vid, q, &vring) != 0 || vring.desc == NULL ||
	    rte_vhost_get_vring_base(vid, q, &avail, &used) != 0)
		return -EIO;
	*conf = (struct vsw_virtq_conf){
		.desc = vring.desc,
		.avail = vring.avail,
		.used = vring.used,
		.size = vring.size,
		.base = avail,
		.callfd = vring.callfd,
		.kickfd = vring.kickfd,
		.event_idx = (features & 1ull << VIRTIO_RING_F_EVENT_IDX) != 0,
		.indirect = (features & 1ull << VIRTIO_RING_F_INDIRECT_DESC) != 0,
	};
	return 0;
}

static int
snapshot(struct device *dev)
{
	const uint32_t longest = vsw_guest_word(&dev->guest->queue_size);
	struct vsw_rings *rings = &dev->rings;
	uint64_t features;
	int rc;

	memset(rings, 0, sizeof(*rings));
	if (rte_vhost_get_negotiated_features(dev->vid, &features) != 0)
		return -EIO;
	rc = snapshot_mem(dev->vid, dev->guest->id, &rings->mem);
	for (uint16_t q = 0; q < VSW_VRINGS_MAX && rc == 0; q++) {
		if (!dev->ready[q])
			continue;
		rc = snapshot_queue(dev->vid, q, features, &rings->queue[q]);
		if (rc == 0 && longest != 0 && rings->queue[q].size > longest)
			rc = -EMSGSIZE;
	}
	return rc;
}

/*
 * The quiesce protocol; both with dev->lock held.
 */

static void
start_if_ready(struct device *dev)
{
	struct vsw_msg *msg;
	int rc;

	if (dev->state == DEVICE_RUNNING || dev->going || !dev->has_mem ||
	    vsw_guard_is_lost(dev->guest->id) || !dev->ready[VSW_QUEUE_TO_GUEST] ||
	    !dev->ready[VSW_QUEUE_FROM_GUEST])
		return;

	rc = snapshot(dev);
	if (rc == 0) {
		msg = alloc_patiently(VSW_MSG_START);
		msg->guest = dev->guest;
		msg->rings = &dev->rings;
		vsw_msg_call(dev->guest->poll_loop, msg);
		rc = msg->result;
		vsw_msg_free(msg);
	}
	if (rc == 0) {
		/* After a pause it was never told that the guest does not run. */
		if (dev->state == DEVICE_STOPPED)
			tell_control(dev, VSW_VMM_RUNNING);
		dev->state = DEVICE_RUNNING;
	} else if (rc == -EMSGSIZE) {
		VSW_LOG_LIMITED(ERR, "guest %u: a ring is longer than queue-size=%u",
				dev->guest->cid, vsw_guest_word(&dev->guest->queue_size));
	} else {
		VSW_LOG_LIMITED(ERR, "guest %u: cannot use the rings of its VMM: %s",
				dev->guest->cid, strerror(-rc));
	}
}

static void
stop(struct device *dev, bool end_of_life)
{
	struct vsw_msg *msg;

	if (dev->state == DEVICE_STOPPED || (dev->state == DEVICE_PAUSED && !end_of_life))
		return;

	msg = alloc_patiently(VSW_MSG_STOP);
	msg->guest = dev->guest;
	msg->rings = &dev->rings;
	msg->flags = end_of_life ? VSW_MSG_F_RESET : 0;
	vsw_msg_call(dev->guest->poll_loop, msg);
	vsw_msg_free(msg);
	vsw_guard_clear(dev->guest->id);

	/* Before GET_VRING_BASE is handled, or the VMM hears an old index. */
	for (uint16_t q = 0; q < VSW_VRINGS_MAX && dev->state == DEVICE_RUNNING; q++) {
		if (dev->rings.queue[q].size != 0)
			rte_vhost_set_vring_base(dev->vid, q, dev->rings.base[q],
						 dev->rings.base[q]);
	}
	dev->state = end_of_life ? DEVICE_STOPPED : DEVICE_PAUSED;
	if (end_of_life)
		tell_control(dev, VSW_VMM_CONNECTED);
}

void
device_end(struct device *dev)
{
	pthread_mutex_lock(&dev->lock);
	dev->going = true;
	stop(dev, true);
	pthread_mutex_unlock(&dev->lock);
}

/*
 * Callbacks of librte_vhost. All on vhost-events, but for the ones that
 * rte_vhost_driver_unregister() makes on vsw-vhost.
 */

static enum rte_vhost_msg_result
pre_msg(int vid, void *arg)
{
	struct vsw_vhost_user_msg *msg = arg;
	struct device *dev = device_by_vid(vid);

	if (dev == NULL)
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	if (msg->request == VSW_VHOST_USER_GET_CONFIG) {
		vsw_vhost_answer_config(msg, dev->guest->cid);
		return RTE_VHOST_MSG_RESULT_REPLY;
	}
	if (msg->request == VSW_VHOST_USER_GET_QUEUE_NUM) {
		vsw_vhost_answer_queue_num(msg);
		return RTE_VHOST_MSG_RESULT_REPLY;
	}

	pthread_mutex_lock(&dev->lock);
	dev->request = msg->request;
	dev->n_faults = vsw_guard_n_faults();
	if (vsw_vhost_needs_quiesce(msg->request))
		stop(dev, vsw_vhost_ends_life(msg->request));
	if (msg->request == VSW_VHOST_USER_GET_VRING_BASE &&
	    msg->payload.state.index < VSW_VRINGS_MAX)
		dev->ready[msg->payload.state.index] = false;
	if (msg->request == VSW_VHOST_USER_RESET_OWNER)
		memset(dev->ready, 0, sizeof(dev->ready));
	/* Should the library fail to map the new table, it has none, and pointers into the old
	 * one; post_msg() is called only when all went well. */
	if (msg->request == VSW_VHOST_USER_SET_MEM_TABLE ||
	    msg->request == VSW_VHOST_USER_RESET_OWNER)
		dev->has_mem = false;
	pthread_mutex_unlock(&dev->lock);
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

static enum rte_vhost_msg_result
post_msg(int vid, void *arg)
{
	struct vsw_vhost_user_msg *msg = arg;
	struct device *dev = device_by_vid(vid);

	if (dev == NULL)
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	pthread_mutex_lock(&dev->lock);
	if (msg->request == VSW_VHOST_USER_SET_MEM_TABLE)
		dev->has_mem = true;
	if (vsw_vhost_needs_quiesce(msg->request) && !vsw_vhost_ends_life(msg->request))
		start_if_ready(dev);
	if (dev->n_faults != vsw_guard_n_faults())
		vsw_guard_lose(dev->guest->id, VSW_LOSS_MEMORY);
	pthread_mutex_unlock(&dev->lock);
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

static const struct rte_vhost_user_extern_ops extern_ops = {
	.pre_msg_handle = pre_msg,
	.post_msg_handle = post_msg,
};

static int
vring_state_changed(int vid, uint16_t queue, int ready)
{
	struct device *dev = device_by_vid(vid);

	if (dev == NULL || queue >= VSW_VRINGS_MAX)
		return 0;
	pthread_mutex_lock(&dev->lock);
	/* Also when a queue comes: the snapshot must be taken anew to include it. */
	stop(dev, ready == 0 && vsw_vhost_ends_life(dev->request));
	dev->ready[queue] = ready != 0;
	start_if_ready(dev);
	pthread_mutex_unlock(&dev->lock);
	return 0;
}

/* One at a time; the gate sees to that. */
static int
new_connection(int vid)
{
	char path[PATH_MAX];
	struct device *dev = NULL;
	int rc = -1;

	if (rte_vhost_get_ifname(vid, path, sizeof(path)) == 0)
		dev = device_by_inner(path);
	if (dev == NULL)
		return -1;
	vsw_guard_this_thread();
	pthread_mutex_lock(&dev->lock);
	if (dev->vid < 0 && !dev->going &&
	    rte_vhost_extern_callback_register(vid, &extern_ops, NULL) == 0) {
		vsw_guard_forget(dev->guest->id); /* of the one before */
		set_vid(dev, vid);
		dev->request = VSW_VHOST_USER_NONE;
		dev->has_mem = false;
		tell_control(dev, VSW_VMM_CONNECTED);
		rc = 0;
	}
	pthread_mutex_unlock(&dev->lock);
	if (rc == 0)
		VSW_LOG(INFO, "guest %u: VMM connected", dev->guest->cid);
	return rc;
}

static void
destroy_connection(int vid)
{
	struct device *dev = device_by_vid(vid);

	if (dev == NULL)
		return;
	pthread_mutex_lock(&dev->lock);
	dev->request = VSW_VHOST_USER_NONE;
	stop(dev, true);
	memset(dev->ready, 0, sizeof(dev->ready));
	set_vid(dev, -1);
	tell_control(dev, VSW_VMM_NONE);
	pthread_mutex_unlock(&dev->lock);
	VSW_LOG(INFO, "guest %u: VMM disconnected", dev->guest->cid);
}

static int
new_device(int vid)
{
	return 0;
}

/* Memory goes after this when the socket was closed, before destroy_connection(). */
static void
destroy_device(int vid)
{
	struct device *dev = device_by_vid(vid);

	if (dev == NULL)
		return;
	pthread_mutex_lock(&dev->lock);
	stop(dev, true);
	pthread_mutex_unlock(&dev->lock);
}

const struct rte_vhost_device_ops device_ops = {
	.new_device = new_device,
	.destroy_device = destroy_device,
	.vring_state_changed = vring_state_changed,
	.new_connection = new_connection,
	.destroy_connection = destroy_connection,
};
