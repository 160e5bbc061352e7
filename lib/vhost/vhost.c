/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user side of a guest, on librte_vhost in server mode, behind a gate (gate.c): VMMs
 * connect to the gate at the guest's socket, the gate to the library at a socket of its own in
 * EAL's runtime folder.
 *
 * Here is the VHOST role, which makes these sockets and takes them down; device.c is called by the
 * library.
 */
#include "vsw_vhost.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
#include "device.h"
#include "gate.h"
#include "vsw_guard.h"
#include "vsw_signal_fd.h"
#include "vsw_guest_conf.h"
#include "vsw_log.h"
#include "vsw_msg.h"

RTE_LOG_REGISTER(vsw_log_vhost, vsw.vhost, NOTICE);

#define FEATURES                                                                                   \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_INDIRECT_DESC |                        \
	 1ull << VIRTIO_RING_F_EVENT_IDX | 1ull << VHOST_USER_F_PROTOCOL_FEATURES)

/* Bit 5 was called SLAVE_REQ before DPDK 23.03. */
#define PROTOCOL_F_BACKEND_REQ 5

/* F_STATUS must not be offered: with it the library waits for a DRIVER_OK that QEMU never sends for
 * vsock. BACKEND_REQ must be: UML takes its interrupt number from it. */
#define PROTOCOL_FEATURES                                                                          \
	(1ull << VHOST_USER_PROTOCOL_F_MQ | 1ull << VHOST_USER_PROTOCOL_F_REPLY_ACK |              \
	 1ull << PROTOCOL_F_BACKEND_REQ | 1ull << VHOST_USER_PROTOCOL_F_CONFIG)

/* How often the vsw-vhost thread looks for guests whose memory is lost. */
#define LOST_CHECK_MS 100
/* A VMM that made an lcore wait, for up to twice the above, does so once a minute at most. */
#define CALL_BAN_S 60

static struct vsw_loop *vhost_loop;
static pthread_t thread;
static struct rte_timer lost_timer;

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

static int
open_device(struct device *dev)
{
	int rc = register_inner(dev);

	if (rc != 0)
		return rc;
	dev->gate = gate_create(vhost_loop, dev->guest, dev->inner, device_is_free, dev, &rc);
	if (dev->gate == NULL)
		rte_vhost_driver_unregister(dev->inner);
	return rc;
}

static void
on_listen(void *ctx, struct vsw_msg *msg)
{
	struct device *dev = device_create(msg->guest, msg->reply_to);

	msg->result = dev != NULL ? open_device(dev) : -ENOMEM;
	if (msg->result != 0)
		device_free(dev);
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
		device_end(dev);
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
		if (dev->gate == NULL || device_is_free(dev))
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
	vsw_loop_destroy(vhost_loop);
	vhost_loop = NULL;
}
