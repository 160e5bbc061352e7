/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user side of a guest, on librte_vhost in server mode, behind a gate (gate.c): VMMs
 * connect to the gate at the guest's socket, the gate to the library at a socket of its own in
 * EAL's runtime folder.
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
 *
 * F_STATUS must not be offered: with it the library waits for a DRIVER_OK that QEMU never
 * sends for vsock. BACKEND_REQ must be: UML takes its interrupt number from it.
 */
#include "vsw_vhost.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_timer.h>
#include <rte_vhost.h>

#define VSW_LOGTYPE vsw_log_vhost
#include "gate.h"
#include "vsw_guard.h"
#include "vsw_signal_fd.h"
#include "vsw_guest_conf.h"
#include "vsw_log.h"
#include "vsw_msg.h"
#include "vsw_rings.h"
#include "vhost_msg.h"

RTE_LOG_REGISTER(vsw_log_vhost, vsw.vhost, NOTICE);

#define FEATURES                                                                                   \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_INDIRECT_DESC |                        \
	 1ull << VIRTIO_RING_F_EVENT_IDX | 1ull << VHOST_USER_F_PROTOCOL_FEATURES)

/* Bit 5 was called SLAVE_REQ before DPDK 23.03. */
#define PROTOCOL_F_BACKEND_REQ 5

#define PROTOCOL_FEATURES                                                                          \
	(1ull << VHOST_USER_PROTOCOL_F_MQ | 1ull << VHOST_USER_PROTOCOL_F_REPLY_ACK |              \
	 1ull << PROTOCOL_F_BACKEND_REQ | 1ull << VHOST_USER_PROTOCOL_F_CONFIG)

enum device_state {
	DEVICE_STOPPED, /* the poll lcore has no rings and no connections */
	DEVICE_PAUSED,  /* no rings, connections wait */
	DEVICE_RUNNING,
};

/* How often the vsw-vhost thread looks for guests whose memory is lost. */
#define LOST_CHECK_MS 100
/* A VMM that made an lcore wait, for up to twice the above, does so once a minute at most. */
#define CALL_BAN_S 60

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

static TAILQ_HEAD(, device) devices = TAILQ_HEAD_INITIALIZER(devices);
static pthread_mutex_t devices_lock = PTHREAD_MUTEX_INITIALIZER;

/* Of the VHOST role. */
static struct vsw_loop *vhost_loop;
static pthread_t thread;
static struct rte_timer lost_timer;

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

static struct device *
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

/* The lookup above reads it under the other lock. */
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

static const struct rte_vhost_device_ops device_ops = {
	.new_device = new_device,
	.destroy_device = destroy_device,
	.vring_state_changed = vring_state_changed,
	.new_connection = new_connection,
	.destroy_connection = destroy_connection,
};

/*
 * The VHOST role.
 */

/*
 * The bell. Until DPDK 24.07 the library looks at a new listener only when its poll() returns,
 * after a second or when something happens at an old one. So it has one from the beginning at
 * which something can be made to happen: a caller whom new_connection() turns away.
 */
static struct sockaddr_un bell = {.sun_family = AF_UNIX};

static void
hang_bell(void)
{
	int n = snprintf(bell.sun_path, sizeof(bell.sun_path), "%s/vhost.bell",
			 rte_eal_get_runtime_dir());

	if (n < (int)sizeof(bell.sun_path)) {
		unlink(bell.sun_path);
		if (rte_vhost_driver_register(bell.sun_path, 0) == 0) {
			if (rte_vhost_driver_callback_register(bell.sun_path, &device_ops) == 0 &&
			    rte_vhost_driver_start(bell.sun_path) == 0)
				return;
			rte_vhost_driver_unregister(bell.sun_path);
		}
	}
	bell.sun_path[0] = '\0'; /* new guests wait for their second */
}

static void
take_down_bell(void)
{
	if (bell.sun_path[0] != '\0')
		rte_vhost_driver_unregister(bell.sun_path);
}

static void
ring_bell(void)
{
	int fd;

	if (bell.sun_path[0] == '\0')
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)!connect(fd, (const struct sockaddr *)&bell, sizeof(bell));
	close(fd);
}

/* The socket between the gate and the library. The folder is this process's own; what may lie
 * there is left over from one that died. */
static int
register_inner(struct device *dev)
{
	const struct vsw_guest_conf *guest = dev->guest;
	int n = snprintf(dev->inner, sizeof(dev->inner), "%s/vhost.%u", rte_eal_get_runtime_dir(),
			 guest->id);

	if (n >= (int)sizeof(((struct sockaddr_un *)0)->sun_path))
		return -ENAMETOOLONG;
	unlink(dev->inner);
	if (rte_vhost_driver_register(dev->inner, 0) != 0)
		return -ENOSPC; /* of librte_vhost's table of sockets */
	if (rte_vhost_driver_set_features(dev->inner, FEATURES) == 0 &&
	    rte_vhost_driver_set_protocol_features(dev->inner, PROTOCOL_FEATURES) == 0 &&
	    rte_vhost_driver_callback_register(dev->inner, &device_ops) == 0 &&
	    rte_vhost_driver_start(dev->inner) == 0) {
		ring_bell();
		return 0;
	}
	rte_vhost_driver_unregister(dev->inner);
	return -EADDRNOTAVAIL;
}

static bool
is_free(void *ctx)
{
	struct device *dev = ctx;
	bool yes;

	pthread_mutex_lock(&devices_lock);
	yes = dev->vid < 0;
	pthread_mutex_unlock(&devices_lock);
	return yes;
}

static int
open_device(struct device *dev)
{
	int rc = register_inner(dev);

	if (rc != 0)
		return rc;
	dev->gate = gate_create(vhost_loop, dev->guest, dev->inner, is_free, dev, &rc);
	if (dev->gate == NULL)
		rte_vhost_driver_unregister(dev->inner);
	return rc;
}

static void
device_free(struct device *dev)
{
	pthread_mutex_lock(&devices_lock);
	TAILQ_REMOVE(&devices, dev, entry);
	pthread_mutex_unlock(&devices_lock);
	pthread_mutex_destroy(&dev->lock);
	free(dev);
}

static void
on_listen(void *ctx, struct vsw_msg *msg)
{
	struct device *dev = calloc(1, sizeof(*dev));

	msg->result = -ENOMEM;
	if (dev != NULL) {
		dev->guest = msg->guest;
		dev->control = msg->reply_to;
		dev->vid = -1;
		pthread_mutex_init(&dev->lock, NULL);
		pthread_mutex_lock(&devices_lock);
		TAILQ_INSERT_TAIL(&devices, dev, entry);
		pthread_mutex_unlock(&devices_lock);

		msg->result = open_device(dev);
		if (msg->result != 0)
			device_free(dev);
	}
	vsw_msg_reply(msg->reply_to, msg, VSW_MSG_LISTENING);
}

static void
on_unlisten(void *ctx, struct vsw_msg *msg)
{
	struct device *dev = device_by_guest(msg->guest);

	if (dev != NULL) {
		/* First, so that vhost-events cannot be waiting for it. */
		gate_destroy(dev->gate);
		/* The library tells of the end only devices that it thinks complete. */
		pthread_mutex_lock(&dev->lock);
		dev->going = true;
		stop(dev, true);
		pthread_mutex_unlock(&dev->lock);
		rte_vhost_driver_unregister(dev->inner);
		device_free(dev);
	}
	vsw_msg_reply(msg->reply_to, msg, VSW_MSG_UNLISTENED);
}

/* A poll lcore has seen the loss and serves the guest no more; its VMM must go, too. */
static void
on_lost_timer(struct rte_timer *timer, void *arg)
{
	struct device *dev;

	vsw_signal_fd_watch();
	/* Devices come and go only on this thread. */
	TAILQ_FOREACH (dev, &devices, entry) {
		/* What the one before has lost is not the next one's. */
		if (dev->gate == NULL || is_free(dev))
			continue;
		if (vsw_guard_loss(dev->guest->id) == VSW_LOSS_MEMORY)
			gate_hang_up(dev->gate, "its memory has gone away", 0);
		else if (vsw_guard_loss(dev->guest->id) == VSW_LOSS_CALL)
			gate_hang_up(dev->gate, "its call descriptor makes vswd wait", CALL_BAN_S);
	}
}

/* What the new thread tells its creator: 0 or an errno. */
struct thread_start {
	sem_t done;
	int error;
};

static void *
thread_main(void *arg)
{
	struct thread_start *start = arg;
	bool ok;

	pthread_setname_np(pthread_self(), "vsw-vhost");
	/* The loop needs an lcore id of its own for timers and the message cache. */
	ok = rte_thread_register() == 0;
	start->error = ok ? 0 : rte_errno;
	/* The library makes its thread and its epoll set with the first listener. */
	if (ok)
		hang_bell();
	sem_post(&start->done);
	if (ok) {
		rte_timer_reset_sync(&lost_timer, rte_get_timer_hz() / 1000 * LOST_CHECK_MS,
				     PERIODICAL, rte_lcore_id(), on_lost_timer, NULL);
		vsw_loop_run(vhost_loop);
		take_down_bell();
		rte_timer_stop_sync(&lost_timer);
		rte_thread_unregister();
	}
	return NULL;
}

static int
start_thread(void)
{
	struct thread_start start;
	int rc;

	sem_init(&start.done, 0, 0);
	rc = pthread_create(&thread, NULL, thread_main, &start);
	if (rc == 0) {
		while (sem_wait(&start.done) != 0)
			; /* EINTR */
		rc = start.error;
		if (rc != 0)
			pthread_join(thread, NULL);
	}
	sem_destroy(&start.done);
	return rc;
}

struct vsw_loop *
vsw_vhost_create(void)
{
	int rc;

	vhost_loop = vsw_loop_create(LCORE_ID_ANY, VSW_IDLE_ADAPTIVE);
	if (vhost_loop == NULL)
		return NULL;
	rte_timer_init(&lost_timer);
	vsw_loop_on_msg(vhost_loop, VSW_MSG_LISTEN, on_listen, NULL);
	vsw_loop_on_msg(vhost_loop, VSW_MSG_UNLISTEN, on_unlisten, NULL);
	rc = start_thread();
	if (rc != 0) {
		rte_errno = rc;
		vsw_loop_destroy(vhost_loop);
		vhost_loop = NULL;
	}
	return vhost_loop;
}

void
vsw_vhost_stop(struct vsw_loop *own)
{
	vsw_loop_stop(vhost_loop);
	while (pthread_tryjoin_np(thread, NULL) == EBUSY) {
		if (vsw_loop_turn(own) == 0)
			usleep(100);
	}
}

void
vsw_vhost_destroy(void)
{
	struct device *dev;

	/* vswd ends in a hurry: nobody has unlistened. */
	TAILQ_FOREACH (dev, &devices, entry)
		gate_unlisten(dev->gate);
	vsw_loop_destroy(vhost_loop);
	vhost_loop = NULL;
}
