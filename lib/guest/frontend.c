/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The VMM: vhost-user messages, and the order in which QEMU 7.2 and User-Mode Linux send
 * them (facts: guests.md, librte-vhost.md). Both orders matter: what a back end may assume
 * after one of them does not hold after the other.
 */
#include "guest_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define VERSION 1u
#define FLAG_VERSION_MASK 3u
#define FLAG_REPLY 4u
#define FLAG_NEED_REPLY 8u

#define F_VERSION_1 (1ull << 32)
#define F_PROTOCOL_FEATURES (1ull << 30)
#define F_EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)
#define F_INDIRECT (1ull << VIRTIO_RING_F_INDIRECT_DESC)

#define PROTO_MQ (1ull << 0)
#define PROTO_REPLY_ACK (1ull << 3)
#define PROTO_BACKEND_REQ (1ull << 5)
#define PROTO_CONFIG (1ull << 9)

#define CONFIG_LEN_MAX 256

struct msg_hdr {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
} __attribute__((packed));

struct vring_state {
	uint32_t index;
	uint32_t num;
};

struct vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc, used, avail, log;
};

struct mem_region {
	uint64_t gpa, size, user_addr, mmap_offset;
};

struct mem_table {
	uint32_t n_regions, padding;
	struct mem_region regions[N_REGIONS_MAX];
};

struct config_msg {
	uint32_t offset, size, flags;
	uint8_t region[CONFIG_LEN_MAX];
};

static const char *
request_str(uint32_t request)
{
	static const char *const names[] = {
		[VSW_VHOST_GET_FEATURES] = "GET_FEATURES",
		[VSW_VHOST_SET_FEATURES] = "SET_FEATURES",
		[VSW_VHOST_SET_OWNER] = "SET_OWNER",
		[VSW_VHOST_RESET_OWNER] = "RESET_OWNER",
		[VSW_VHOST_SET_MEM_TABLE] = "SET_MEM_TABLE",
		[VSW_VHOST_SET_VRING_NUM] = "SET_VRING_NUM",
		[VSW_VHOST_SET_VRING_ADDR] = "SET_VRING_ADDR",
		[VSW_VHOST_SET_VRING_BASE] = "SET_VRING_BASE",
		[VSW_VHOST_GET_VRING_BASE] = "GET_VRING_BASE",
		[VSW_VHOST_SET_VRING_KICK] = "SET_VRING_KICK",
		[VSW_VHOST_SET_VRING_CALL] = "SET_VRING_CALL",
		[VSW_VHOST_GET_PROTOCOL_FEATURES] = "GET_PROTOCOL_FEATURES",
		[VSW_VHOST_SET_PROTOCOL_FEATURES] = "SET_PROTOCOL_FEATURES",
		[VSW_VHOST_GET_QUEUE_NUM] = "GET_QUEUE_NUM",
		[VSW_VHOST_SET_VRING_ENABLE] = "SET_VRING_ENABLE",
		[VSW_VHOST_SET_BACKEND_REQ_FD] = "SET_BACKEND_REQ_FD",
		[VSW_VHOST_GET_CONFIG] = "GET_CONFIG",
	};

	if (request < VSW_ARRAY_SIZE(names) && names[request] != NULL)
		return names[request];
	return "an unnamed request";
}

int
vsw_guest_vhost_send(struct vsw_guest *g, uint32_t request, uint32_t flags, const void *payload,
		     uint32_t len, const int *fds, unsigned int n_fds)
{
	struct msg_hdr hdr = {.request = request, .flags = VERSION | flags, .size = len};
	struct iovec iov[2] = {
		{.iov_base = &hdr, .iov_len = sizeof(hdr)},
		{.iov_base = (void *)(uintptr_t)payload, .iov_len = len},
	};
	char control[CMSG_SPACE(sizeof(int) * N_REGIONS_MAX)] = {0};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = len != 0 ? 2 : 1};

	if (n_fds > N_REGIONS_MAX)
		return guest_fail(g, -EINVAL, "sending %u descriptors at once", n_fds);
	if (n_fds != 0) {
		struct cmsghdr *cmsg;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * n_fds);
	}
	if (sendmsg(g->vhost_fd, &msg, MSG_NOSIGNAL) != (ssize_t)(sizeof(hdr) + len))
		return guest_fail(g, -EPIPE, "sending %s: %s", request_str(request),
				  strerror(errno));
	return 0;
}

static int
read_exactly(struct vsw_guest *g, void *dst, size_t len, uint64_t deadline)
{
	size_t done = 0;

	while (done < len) {
		struct pollfd pfd = {.fd = g->vhost_fd, .events = POLLIN};
		uint64_t now = vsw_guest_now_ms();
		ssize_t got;

		if (poll(&pfd, 1, now < deadline ? (int)(deadline - now) : 0) == 0)
			return -ETIMEDOUT;
		got = recv(g->vhost_fd, (uint8_t *)dst + done, len - done, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
			return -EPIPE;
		if (got > 0)
			done += (size_t)got;
	}
	return 0;
}

int
vsw_guest_vhost_recv(struct vsw_guest *g, uint32_t request, void *reply, uint32_t size,
		     int timeout_ms)
{
	uint64_t deadline = vsw_guest_now_ms() + (timeout_ms < 0 ? INT32_MAX : timeout_ms);
	struct msg_hdr hdr;
	int err = read_exactly(g, &hdr, sizeof(hdr), deadline);

	if (err == 0 && (hdr.request != request || (hdr.flags & FLAG_VERSION_MASK) != VERSION ||
			 (hdr.flags & FLAG_REPLY) == 0 || hdr.size > size))
		return guest_fail(g, -EPROTO,
				  "waiting for the reply to %s: got request %u, flags %#x, size %u",
				  request_str(request), hdr.request, hdr.flags, hdr.size);
	if (err == 0)
		err = read_exactly(g, reply, hdr.size, deadline);
	if (err < 0)
		return guest_fail(g, err, "waiting for the reply to %s: %s", request_str(request),
				  err == -EPIPE ? "the back end closed the connection"
						: "nothing came");
	return (int)hdr.size;
}

/* Sends a message that has no reply of its own, and collects the acknowledgement if any. */
static int
tell(struct vsw_guest *g, uint32_t request, bool wants_ack, const void *payload, uint32_t len,
     const int *fds, unsigned int n_fds)
{
	bool has_ack = wants_ack && (g->protocol_features & PROTO_REPLY_ACK) != 0;
	uint64_t result = 0;
	int n = vsw_guest_vhost_send(g, request, has_ack ? FLAG_NEED_REPLY : 0, payload, len, fds,
				     n_fds);

	if (n < 0 || !has_ack)
		return n;
	n = vsw_guest_vhost_recv(g, request, &result, sizeof(result), g->conf.timeout_ms);
	if (n < 0)
		return n;
	if (n != sizeof(result) || result != 0)
		return guest_fail(g, -EPROTO, "%s was acknowledged with %lu in %d bytes",
				  request_str(request), (unsigned long)result, n);
	return 0;
}

/* UML wants an acknowledgement of everything once it can have it. */
static int
tell_plain(struct vsw_guest *g, uint32_t request, const void *payload, uint32_t len)
{
	return tell(g, request, g->conf.shape == VSW_GUEST_UML, payload, len, NULL, 0);
}

static int
ask_u64(struct vsw_guest *g, uint32_t request, uint64_t *value)
{
	int n = vsw_guest_vhost_send(g, request, 0, NULL, 0, NULL, 0);

	if (n < 0)
		return n;
	n = vsw_guest_vhost_recv(g, request, value, sizeof(*value), g->conf.timeout_ms);
	if (n >= 0 && n != sizeof(*value))
		return guest_fail(g, -EPROTO, "the reply to %s has %d bytes", request_str(request),
				  n);
	return n < 0 ? n : 0;
}

int
vsw_guest_get_config(struct vsw_guest *g, uint32_t offset, uint32_t size, void *dst)
{
	struct config_msg msg = {.offset = offset, .size = size};
	struct config_msg reply;
	uint32_t len = 12 + size;
	int n;

	if (size > CONFIG_LEN_MAX)
		return guest_fail(g, -EINVAL, "GET_CONFIG of %u bytes", size);
	n = vsw_guest_vhost_send(g, VSW_VHOST_GET_CONFIG, 0, &msg, len, NULL, 0);
	if (n < 0)
		return n;
	n = vsw_guest_vhost_recv(g, VSW_VHOST_GET_CONFIG, &reply, sizeof(reply),
				 g->conf.timeout_ms);
	if (n < 0)
		return n;
	/* QEMU and UML both insist on the sizes they sent. */
	if ((uint32_t)n != len || reply.size != size || reply.offset != offset)
		return guest_fail(g, -EPROTO,
				  "GET_CONFIG of %u at %u was answered with %d bytes, %u at %u",
				  size, offset, n, reply.size, reply.offset);
	memcpy(dst, reply.region, size);
	return 0;
}

static int
read_cid(struct vsw_guest *g)
{
	uint64_t cid = 0;
	int err = vsw_guest_get_config(g, 0, sizeof(cid), &cid);

	if (err < 0)
		return err;
	if (cid < VSW_CID_GUEST_MIN || cid > VSW_CID_GUEST_MAX)
		guest_violation(g, "the configuration has CID %lu", (unsigned long)cid);
	g->cid = (uint32_t)cid;
	return 0;
}

static int
send_request_fd(struct vsw_guest *g)
{
	int fds[2], err;

	if ((g->protocol_features & PROTO_BACKEND_REQ) == 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return guest_fail(g, -errno, "making the request channel: %s", strerror(errno));
	g->request_fd = fds[0];
	err = tell(g, VSW_VHOST_SET_BACKEND_REQ_FD, g->conf.shape == VSW_GUEST_UML, NULL, 0,
		   &fds[1], 1);
	close(fds[1]);
	return err;
}

static int
check_queue_num(struct vsw_guest *g)
{
	uint64_t n;
	int err;

	if ((g->protocol_features & PROTO_MQ) == 0)
		return 0;
	err = ask_u64(g, VSW_VHOST_GET_QUEUE_NUM, &n);
	if (err < 0)
		return err;
	/* Linux 7.x under UML refuses the device below 3; a vsock device has exactly 3. */
	if (n != VSW_GUEST_N_QUEUES)
		guest_violation(g, "GET_QUEUE_NUM answers %lu, a vsock device has 3",
				(unsigned long)n);
	return 0;
}

static int
negotiate_protocol(struct vsw_guest *g)
{
	uint64_t offered, known = PROTO_MQ | PROTO_REPLY_ACK | PROTO_BACKEND_REQ | PROTO_CONFIG;
	int err;

	if ((g->features & F_PROTOCOL_FEATURES) == 0)
		return guest_fail(g, -EPROTO, "the back end offers no protocol features");
	err = ask_u64(g, VSW_VHOST_GET_PROTOCOL_FEATURES, &offered);
	if (err < 0)
		return err;
	g->protocol_features = offered & known;
	if ((offered & PROTO_CONFIG) == 0)
		return guest_fail(g, -EPROTO, "the back end offers no CONFIG: no CID");
	return tell_plain(g, VSW_VHOST_SET_PROTOCOL_FEATURES, &g->protocol_features,
			  sizeof(g->protocol_features));
}

static int
get_features(struct vsw_guest *g)
{
	uint64_t wanted = F_VERSION_1 | F_PROTOCOL_FEATURES;
	uint64_t offered;
	int err = ask_u64(g, VSW_VHOST_GET_FEATURES, &offered);

	if (err < 0)
		return err;
	if ((offered & F_VERSION_1) == 0)
		return guest_fail(g, -EPROTO, "the back end offers no VERSION_1");
	if (g->conf.event_idx)
		wanted |= F_EVENT_IDX;
	if (g->conf.indirect)
		wanted |= F_INDIRECT;
	g->features = offered & wanted;
	return 0;
}

/* virtio 1.2, 2.7.4: eventfds in QEMU; in UML a stream socket that its reads block on. */
static int
make_call_fd(struct vsw_guest *g, struct ring *r)
{
	int fds[2];

	if (g->conf.shape == VSW_GUEST_UML) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
			return -errno;
		r->call_fd = fds[0];
		r->call_peer_fd = fds[1];
		return 0;
	}
	r->call_fd = r->call_peer_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return r->call_fd < 0 ? -errno : 0;
}

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void
close_ring_fds(struct ring *r)
{
	if (r->call_peer_fd != r->call_fd)
		close_fd(&r->call_peer_fd);
	close_fd(&r->call_fd);
	r->call_peer_fd = -1;
	close_fd(&r->kick_fd);
}

static int
make_ring_fds(struct vsw_guest *g)
{
	for (unsigned int q = 0; q < g->n_rings; q++) {
		struct ring *r = &g->rings[q];
		int err = make_call_fd(g, r);

		/* UML leaves kick descriptors in blocking mode. */
		if (err == 0) {
			r->kick_fd = eventfd(
				0,
				EFD_CLOEXEC | (g->conf.shape == VSW_GUEST_UML ? 0 : EFD_NONBLOCK));
			err = r->kick_fd < 0 ? -errno : 0;
		}
		if (err < 0)
			return guest_fail(g, err, "making event descriptors: %s", strerror(-err));
	}
	return 0;
}

static int
set_vring_fd(struct vsw_guest *g, uint32_t request, unsigned int q, int fd)
{
	uint64_t index = q;

	return tell(g, request, g->conf.shape == VSW_GUEST_UML, &index, sizeof(index), &fd, 1);
}

static int
set_vring_state(struct vsw_guest *g, uint32_t request, unsigned int q, uint32_t num)
{
	const struct vring_state state = {.index = q, .num = num};

	return tell_plain(g, request, &state, sizeof(state));
}

static int
accept_switch(struct vsw_guest *g)
{
	struct pollfd fd = {.fd = g->conf.listen_fd, .events = POLLIN};

	if (poll(&fd, 1, g->conf.timeout_ms) != 1)
		return guest_fail(g, -ETIMEDOUT, "the switch did not connect within %d ms",
				  g->conf.timeout_ms);
	g->vhost_fd = accept4(g->conf.listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (g->vhost_fd < 0)
		return guest_fail(g, -errno, "accepting the switch: %s", strerror(errno));
	return 0;
}

static int
connect_socket(struct vsw_guest *g)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (g->conf.listen_fd > 0)
		return accept_switch(g);
	if (strlen(g->socket_path) >= sizeof(addr.sun_path))
		return guest_fail(g, -ENAMETOOLONG, "%s is too long for a socket", g->socket_path);
	memcpy(addr.sun_path, g->socket_path, strlen(g->socket_path) + 1);
	g->vhost_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (g->vhost_fd < 0 ||
	    connect(g->vhost_fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return guest_fail(g, -errno, "connecting to %s: %s", g->socket_path,
				  strerror(errno));
	return 0;
}

static int
attach_qemu(struct vsw_guest *g)
{
	int err = get_features(g);

	if (err == 0)
		err = negotiate_protocol(g);
	if (err == 0)
		err = check_queue_num(g);
	if (err == 0)
		err = send_request_fd(g);
	if (err == 0)
		err = tell_plain(g, VSW_VHOST_SET_OWNER, NULL, 0);
	if (err == 0)
		err = get_features(g);
	for (unsigned int q = 0; err == 0 && q < g->n_rings; q++)
		err = set_vring_fd(g, VSW_VHOST_SET_VRING_CALL, q, g->rings[q].call_peer_fd);
	if (err == 0)
		err = read_cid(g);
	return err;
}

static int
attach_uml(struct vsw_guest *g)
{
	int err = tell_plain(g, VSW_VHOST_SET_OWNER, NULL, 0);

	if (err == 0)
		err = get_features(g);
	if (err == 0)
		err = negotiate_protocol(g);
	if (err == 0)
		err = send_request_fd(g);
	if (err == 0)
		err = check_queue_num(g);
	return err;
}

int
frontend_attach(struct vsw_guest *g)
{
	int err = connect_socket(g);

	g->protocol_features = 0;
	if (err == 0)
		err = make_ring_fds(g);
	if (err == 0)
		err = g->conf.shape == VSW_GUEST_UML ? attach_uml(g) : attach_qemu(g);
	if (err < 0)
		frontend_detach(g);
	return err;
}

void
frontend_detach(struct vsw_guest *g)
{
	close_fd(&g->vhost_fd);
	close_fd(&g->request_fd);
	for (unsigned int q = 0; q < VSW_GUEST_N_QUEUES; q++) {
		close_ring_fds(&g->rings[q]);
		g->rings[q].is_enabled = false;
	}
}

int
frontend_mem_table(struct vsw_guest *g)
{
	struct mem_table table = {.n_regions = g->n_regions};
	int fds[N_REGIONS_MAX];
	uint32_t len = 8 + g->n_regions * sizeof(table.regions[0]);

	g->is_disturbed |= g->is_running;
	for (unsigned int i = 0; i < g->n_regions; i++) {
		const struct region *r = &g->regions[i];

		table.regions[i] = (struct mem_region){
			.gpa = r->gpa,
			.size = r->len,
			.user_addr = r->user_addr,
			.mmap_offset = r->mmap_offset,
		};
		fds[i] = r->fd;
	}
	/* UML up to 6.12 always sends room for two regions. */
	if (g->conf.shape == VSW_GUEST_UML && g->n_regions == 1)
		len = 8 + 2 * sizeof(table.regions[0]);
	/* QEMU asks for an acknowledgement of this one. */
	return tell(g, VSW_VHOST_SET_MEM_TABLE, true, &table, len, fds, g->n_regions);
}

static int
set_vring_addr(struct vsw_guest *g, unsigned int q)
{
	const struct ring *r = &g->rings[q];
	const struct vring_addr addr = {
		.index = q,
		.desc = memory_user_addr(g, r->desc_gpa),
		.used = memory_user_addr(g, r->used_gpa),
		.avail = memory_user_addr(g, r->avail_gpa),
	};

	return tell_plain(g, VSW_VHOST_SET_VRING_ADDR, &addr, sizeof(addr));
}

int
frontend_enable(struct vsw_guest *g, enum vsw_guest_queue queue, bool is_enabled)
{
	int err = set_vring_state(g, VSW_VHOST_SET_VRING_ENABLE, queue, is_enabled);

	if (err == 0)
		g->rings[queue].is_enabled = is_enabled;
	return err;
}

static int
start_qemu(struct vsw_guest *g)
{
	int err = tell_plain(g, VSW_VHOST_SET_FEATURES, &g->features, sizeof(g->features));

	if (err == 0)
		err = frontend_mem_table(g);
	for (unsigned int q = 0; err == 0 && q < g->n_rings; q++) {
		const struct ring *r = &g->rings[q];

		err = set_vring_state(g, VSW_VHOST_SET_VRING_NUM, q, r->size);
		if (err == 0)
			err = set_vring_state(g, VSW_VHOST_SET_VRING_BASE, q, r->used->idx);
		if (err == 0)
			err = set_vring_addr(g, q);
		if (err == 0)
			err = set_vring_fd(g, VSW_VHOST_SET_VRING_KICK, q, r->kick_fd);
		if (err == 0)
			err = set_vring_fd(g, VSW_VHOST_SET_VRING_CALL, q, r->call_peer_fd);
	}
	for (unsigned int q = 0; err == 0 && q < g->n_rings; q++)
		err = frontend_enable(g, q, true);
	/* QEMU moves from its masked notifier to the guest's now: vhost_virtqueue_mask(). */
	for (unsigned int q = 0; err == 0 && q < g->n_rings; q++)
		err = set_vring_fd(g, VSW_VHOST_SET_VRING_CALL, q, g->rings[q].call_peer_fd);
	return err;
}

static int
start_uml(struct vsw_guest *g)
{
	int err = tell_plain(g, VSW_VHOST_SET_FEATURES, &g->features, sizeof(g->features));

	if (err == 0)
		err = frontend_mem_table(g);
	for (unsigned int q = 0; err == 0 && q < g->n_rings; q++) {
		const struct ring *r = &g->rings[q];

		err = set_vring_fd(g, VSW_VHOST_SET_VRING_CALL, q, r->call_peer_fd);
		if (err == 0)
			err = set_vring_state(g, VSW_VHOST_SET_VRING_NUM, q, r->size);
		if (err == 0)
			err = set_vring_state(g, VSW_VHOST_SET_VRING_BASE, q, r->used->idx);
		if (err == 0)
			err = set_vring_addr(g, q);
	}
	for (unsigned int q = 0; err == 0 && q < g->n_rings; q++) {
		err = set_vring_fd(g, VSW_VHOST_SET_VRING_KICK, q, g->rings[q].kick_fd);
		if (err == 0)
			err = frontend_enable(g, q, true);
	}
	if (err == 0)
		err = read_cid(g);
	return err;
}

/* A paused UML does not exist; rings that go off and on with nothing else changed do. */
static int
resume_uml(struct vsw_guest *g)
{
	int err = 0;

	for (unsigned int q = 0; err == 0 && q < g->n_rings; q++)
		err = frontend_enable(g, q, true);
	return err;
}

int
frontend_start(struct vsw_guest *g, enum vsw_guest_start_mode mode)
{
	if (g->conf.shape == VSW_GUEST_UML && mode == VSW_GUEST_RESUME)
		return resume_uml(g);
	return g->conf.shape == VSW_GUEST_UML ? start_uml(g) : start_qemu(g);
}

static int
get_vring_base(struct vsw_guest *g, unsigned int q)
{
	const struct vring_state ask = {.index = q};
	struct vring_state reply = {0};
	const struct ring *r = &g->rings[q];
	uint16_t used;
	int n = vsw_guest_vhost_send(g, VSW_VHOST_GET_VRING_BASE, 0, &ask, sizeof(ask), NULL, 0);

	if (n < 0)
		return n;
	n = vsw_guest_vhost_recv(g, VSW_VHOST_GET_VRING_BASE, &reply, sizeof(reply),
				 g->conf.timeout_ms);
	if (n < 0)
		return n;
	/*
	 * The next start begins at this index. Without in-flight tracking, a chain between
	 * the used index and it would never come back.
	 */
	used = __atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE);
	if (n != sizeof(reply) || reply.index != q || reply.num != used)
		guest_violation(g, "GET_VRING_BASE of ring %u gives %u, the used index is %u", q,
				reply.num, used);
	return 0;
}

int
frontend_stop(struct vsw_guest *g)
{
	int err = 0;

	/* UML takes them down in reverse and says no more. */
	for (unsigned int i = 0; err == 0 && i < g->n_rings; i++)
		err = frontend_enable(g, g->conf.shape == VSW_GUEST_UML ? g->n_rings - 1 - i : i,
				      false);
	if (g->conf.shape == VSW_GUEST_UML)
		return err;
	for (unsigned int q = 0; err == 0 && q < g->n_rings; q++)
		err = get_vring_base(g, q);
	return err;
}

/* Looks for the end of the connection and for requests of the back end, which has none. */
int
frontend_check(struct vsw_guest *g)
{
	uint8_t byte;

	if (g->vhost_fd < 0)
		return -EPIPE;
	if (recv(g->vhost_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
		guest_process(g); /* what it did before it closed */
		frontend_detach(g);
		return guest_fail(g, -EPIPE, "the switch closed the vhost-user connection");
	}
	if (g->request_fd >= 0) {
		ssize_t got = recv(g->request_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

		/* For UML the end of this channel is the end of the device. */
		if (got > 0 || (got == 0 && !g->expects_end))
			guest_violation(g, "the switch %s the back-end request channel",
					got == 0 ? "closed" : "sent on");
		if (got >= 0)
			close_fd(&g->request_fd);
	}
	return 0;
}

void
vsw_guest_expect_end(struct vsw_guest *g)
{
	g->expects_end = true;
	g->is_disturbed = true;
}

int
vsw_guest_enable(struct vsw_guest *g, enum vsw_guest_queue queue, bool is_enabled)
{
	g->is_disturbed = true;
	return frontend_enable(g, queue, is_enabled);
}

int
vsw_guest_replace_call(struct vsw_guest *g, enum vsw_guest_queue queue)
{
	struct ring *r = &g->rings[queue];
	int old = r->call_fd, old_peer = r->call_peer_fd;
	int err = make_call_fd(g, r);

	g->is_disturbed = true;
	if (err == 0)
		err = set_vring_fd(g, VSW_VHOST_SET_VRING_CALL, queue, r->call_peer_fd);
	if (old_peer != old)
		close(old_peer);
	close(old);
	return err;
}

int
vsw_guest_send_mem_table(struct vsw_guest *g)
{
	return frontend_mem_table(g);
}
