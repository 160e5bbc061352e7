/* SPDX-License-Identifier: BSD-3-Clause */
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SIBLING_PORT 4100

static const char *const one_lcore[] = {"-l", "0", NULL};
static const char *const two_lcores[] = {"--lcores", "0@0,1@1", NULL};
static const char *const three_lcores[] = {"--lcores", "0@0,1@1,2@0", NULL};
static const char *const placed[] = {"lcore=1", "lcore=1", "lcore=2"};

const struct variant hostile_variants[] = {
	{"qemu, 1 lcore", VSW_GUEST_QEMU, one_lcore, .n_vms = N_HOSTILE_VMS},
	{"uml, 2 lcores", VSW_GUEST_UML, two_lcores, .n_vms = N_HOSTILE_VMS},
	{"qemu, 3 lcores, 2 poll and bridge", VSW_GUEST_QEMU, three_lcores, .bridge_lcores = "1,2",
	 .n_vms = N_HOSTILE_VMS, .vm_items = placed},
};

/*
 * Neighbours.
 */

struct accept_wait {
	struct vsw_guest *g;
	struct vsw_guest_sock *s;
};

static bool
has_accepted(void *arg)
{
	struct accept_wait *w = arg;

	w->s = vsw_guest_accept(w->g, SIBLING_PORT, 0);
	return w->s != NULL;
}

static bool
is_connected(void *arg)
{
	struct vsw_guest_sock_info info;

	vsw_guest_sock_info(arg, &info);
	return info.state == VSW_GUEST_CONNECTED;
}

struct neighbours
neighbours_up(struct env *e)
{
	struct neighbours nb = {0};
	struct accept_wait w;

	guest_up(e, 1, NULL);
	w.g = guest_up(e, 2, NULL);
	nb.host = pair_from_guest(e, 1, 52);
	vsw_guest_listen(w.g, SIBLING_PORT, 8);
	nb.a = vsw_guest_connect_start(env_guest(e, 1), 0, 5, SIBLING_PORT);
	check(e, nb.a != NULL);
	pump_until(e, has_accepted, &w, "guest 2 to accept its sibling");
	pump_until(e, is_connected, nb.a, "guest 1 to hear of it");
	vsw_guest_unlisten(w.g, SIBLING_PORT);
	nb.b = w.s;
	neighbours_move(e, &nb, 4096);
	return nb;
}

/* One stream's progress: who sends, who receives, as far as `end`. */
struct half {
	struct vsw_guest_sock *s; /* NULL: the host's fd */
	int fd;
	uint64_t at;
};

static bool
push(struct env *e, struct half *h, uint64_t end)
{
	static uint8_t buf[16384];
	size_t len = end - h->at < sizeof(buf) ? (size_t)(end - h->at) : sizeof(buf);
	ssize_t n;

	if (len == 0)
		return false;
	pattern_fill(buf, h->at, len);
	n = h->s != NULL ? vsw_guest_send(h->s, buf, len, 0)
			 : send(h->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && n != -EAGAIN && !(h->s == NULL && errno == EAGAIN))
		fail_env(e, "a neighbour's stream broke while sending, after %lu bytes",
			 (unsigned long)h->at);
	h->at += n > 0 ? (uint64_t)n : 0;
	return n > 0;
}

static bool
pull(struct env *e, struct half *h, uint64_t end)
{
	static uint8_t buf[16384];
	size_t len = end - h->at < sizeof(buf) ? (size_t)(end - h->at) : sizeof(buf);
	ssize_t n;

	if (len == 0)
		return false;
	n = h->s != NULL ? vsw_guest_recv(h->s, buf, len, 0) : recv(h->fd, buf, len, MSG_DONTWAIT);
	if (n == 0 || (n < 0 && n != -EAGAIN && !(h->s == NULL && errno == EAGAIN)))
		fail_env(e, "a neighbour's stream ended after %lu bytes received",
			 (unsigned long)h->at);
	if (n > 0 && !pattern_matches(buf, h->at, (size_t)n))
		fail_env(e, "a neighbour received wrong bytes after %lu", (unsigned long)h->at);
	h->at += n > 0 ? (uint64_t)n : 0;
	return n > 0;
}

void
neighbours_move(struct env *e, struct neighbours *nb, uint64_t n)
{
	const uint64_t at = nb->moved, end = nb->moved + n;
	struct half from[4] = {
		{nb->host.s, -1, at}, {NULL, nb->host.fd, at}, {nb->a, -1, at}, {nb->b, -1, at}};
	struct half to[4] = {
		{NULL, nb->host.fd, at}, {nb->host.s, -1, at}, {nb->b, -1, at}, {nb->a, -1, at}};
	uint64_t deadline = vsw_guest_now_ms() + WAIT_MS;
	bool is_done = false;

	while (!is_done) {
		bool has_moved = false;

		is_done = true;
		for (int i = 0; i < 4; i++) {
			has_moved |= push(e, &from[i], end);
			has_moved |= pull(e, &to[i], end);
			is_done &= to[i].at == end;
		}
		if (has_moved)
			deadline = vsw_guest_now_ms() + WAIT_MS;
		else if (vsw_guest_now_ms() >= deadline)
			fail_env(e,
				 "the neighbours' streams stood still for %d ms at %lu, %lu, %lu, "
				 "%lu of %lu",
				 WAIT_MS, (unsigned long)to[0].at, (unsigned long)to[1].at,
				 (unsigned long)to[2].at, (unsigned long)to[3].at,
				 (unsigned long)end);
		if (!is_done)
			pump_fd(e, -1, 0, has_moved ? 0 : 1);
	}
	nb->moved = end;
}

void
neighbours_check(struct env *e, struct neighbours *nb)
{
	struct pair p;

	neighbours_move(e, nb, 100000);
	guest_sync(e, 1);
	guest_sync(e, 2);
	p = pair_from_host(e, 2, 57);
	pair_check(e, &p);
	pair_close(e, &p);
}

/*
 * Time.
 */

/* Milliseconds of cpu that vswd has used. */
static uint64_t
cpu_ms(const struct env *e)
{
	unsigned long user = 0, system = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", env_pid(e));
	f = fopen(path, "r");
	if (f == NULL ||
	    fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
		   &system) != 2)
		fail_msg("%s makes no sense", path);
	fclose(f);
	return (user + system) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK);
}

void
expect_sleep(struct env *e, const char *what)
{
	uint64_t since, before, used;

	pump_fd(e, -1, 0, 50);
	since = vsw_guest_now_ms();
	before = cpu_ms(e);
	pump_fd(e, -1, 0, 600);
	used = cpu_ms(e) - before;
	if (used > (vsw_guest_now_ms() - since) / 10)
		fail_env(e, "%s: vswd used %lu ms of %lu", what, (unsigned long)used,
			 (unsigned long)(vsw_guest_now_ms() - since));
}

/*
 * Counters, as DPDK's telemetry tells them.
 */

static int
telemetry_connect(struct env *e)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char greeting[4096];
	glob_t found;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(greeting, sizeof(greeting), "%s/dpdk/vswd*/dpdk_telemetry.v2*", env_dir(e));
	check(e, glob(greeting, 0, NULL, &found) == 0 && found.gl_pathc == 1);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", found.gl_pathv[0]);
	globfree(&found);
	check(e, fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0);
	check(e, recv(fd, greeting, sizeof(greeting), 0) > 0);
	return fd;
}

uint64_t
counter_of(struct env *e, unsigned int vm, const char *name)
{
	static char text[16384];
	int fd = telemetry_connect(e);
	char key[64];
	const char *at;
	ssize_t n;

	snprintf(text, sizeof(text), "/vsock/guest/stats,%u", vm + 3);
	check(e, send(fd, text, strlen(text), 0) > 0);
	n = recv(fd, text, sizeof(text) - 1, 0);
	close(fd);
	check(e, n > 0);
	text[n] = '\0';
	snprintf(key, sizeof(key), "\"%s\":", name);
	at = strstr(text, key);
	if (at == NULL)
		fail_env(e, "no counter %s in %s", name, text);
	return strtoull(at + strlen(key), NULL, 10);
}

/*
 * Randomness.
 */

static uint64_t random_state;

uint64_t
random_u64(void)
{
	/* xorshift64* */
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 2685821657736338717ull;
}

uint32_t
random_below(uint32_t n)
{
	return (uint32_t)((random_u64() >> 32) % n);
}

void
seed_random(const char *what)
{
	const char *given = getenv("VSW_TEST_SEED");
	uint64_t seed = given != NULL ? strtoull(given, NULL, 0)
				      : vsw_guest_now_ms() ^ (uint64_t)getpid() << 32;

	random_state = seed | 1;
	print_message("%s: VSW_TEST_SEED=%lu\n", what, (unsigned long)seed);
}

/*
 * A VMM by hand.
 */

struct vmm
vmm_connect(struct env *e, unsigned int vm)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct vmm v = {.mem_fd = -1};

	v.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	for (int q = 0; q < VMM_RINGS; q++)
		v.kick[q] = v.call[q] = v.call_far[q] = -1;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", env_vhost_path(e, vm));
	if (connect(v.fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
		fail_env(e, "a VMM connects to %s: %s", addr.sun_path, strerror(errno));
	return v;
}

void
vmm_close(struct env *e, struct vmm *v)
{
	if (v->fd >= 0)
		close(v->fd);
	if (v->mem != NULL)
		munmap(v->mem, VMM_MEM_SIZE);
	if (v->mem_fd >= 0)
		close(v->mem_fd);
	for (int q = 0; q < VMM_RINGS; q++) {
		if (v->kick[q] >= 0)
			close(v->kick[q]);
		if (v->call[q] >= 0)
			close(v->call[q]);
		if (v->call_far[q] >= 0)
			close(v->call_far[q]);
	}
	*v = (struct vmm){.fd = -1, .mem_fd = -1};
}

#define FDS_MAX 250

bool
vmm_send_raw(struct vmm *v, const void *buf, size_t len, const int *fds, unsigned int n_fds)
{
	static _Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS_MAX * sizeof(int))];
	struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n_fds > 0) {
		struct cmsghdr *cmsg = (struct cmsghdr *)control;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
	}
	/* A front end that is read slowly waits a little; one that is not read gives up. */
	for (int i = 0; i < 1000; i++) {
		struct pollfd pfd = {.fd = v->fd, .events = POLLOUT};
		ssize_t n = sendmsg(v->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0)
			return n == (ssize_t)len;
		if (errno != EAGAIN)
			return false;
		poll(&pfd, 1, 5);
	}
	return false;
}

bool
vmm_send(struct vmm *v, uint32_t request, uint32_t flags, const void *payload, uint32_t len,
	 const int *fds, unsigned int n_fds)
{
	uint32_t msg[3 + 1024] = {request, 1 | flags, len};

	if (len > 4096)
		return false;
	if (len > 0)
		memcpy(&msg[3], payload, len);
	return vmm_send_raw(v, msg, 12 + len, fds, n_fds);
}

bool
vmm_send_state(struct vmm *v, uint32_t request, uint32_t index, uint32_t num)
{
	const struct vmm_state state = {index, num};

	return vmm_send(v, request, 0, &state, sizeof(state), NULL, 0);
}

bool
vmm_drain(struct vmm *v)
{
	char buf[4096];
	ssize_t n;

	while ((n = recv(v->fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		;
	return n < 0 && errno == EAGAIN;
}

void
vmm_expect_hangup(struct env *e, struct vmm *v, const char *why)
{
	uint64_t deadline = vsw_guest_now_ms() + WAIT_MS;

	while (vmm_drain(v)) {
		if (vsw_guest_now_ms() >= deadline)
			fail_env(e, "waited %d ms for vswd to hang up on %s", WAIT_MS, why);
		pump_fd(e, v->fd, POLLIN, 20);
	}
}

bool
vmm_is_served(struct env *e, struct vmm *v)
{
	uint64_t deadline = vsw_guest_now_ms() + WAIT_MS;
	uint32_t reply[5];
	ssize_t n;

	if (!vmm_drain(v) || !vmm_send(v, VSW_VHOST_GET_FEATURES, 0, NULL, 0, NULL, 0))
		return false;
	for (;;) {
		n = recv(v->fd, reply, sizeof(reply), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return false;
		/* acknowledgements of earlier messages, of the same length, may come first */
		if (n > 0 && reply[0] == VSW_VHOST_GET_FEATURES)
			return true;
		if (n > 0)
			continue;
		if (vsw_guest_now_ms() >= deadline)
			fail_env(e, "waited %d ms for the answer to GET_FEATURES", WAIT_MS);
		pump_fd(e, v->fd, POLLIN, 20);
	}
}

struct vmm_addr
vmm_ring_addr(unsigned int q)
{
	return (struct vmm_addr){
		.index = q,
		.desc = VMM_USER + VMM_DESC(q),
		.used = VMM_USER + VMM_USED(q),
		.avail = VMM_USER + VMM_AVAIL(q),
	};
}

bool
vmm_begin(struct env *e, struct vmm *v)
{
	const uint64_t features = 1ull << 32 | 1ull << 30 | 1ull << 28;
	const uint64_t protocol = 1 << 0 | 1 << 3 | 1 << 5 | 1 << 9;
	const struct vmm_table table = {.n = 1, .region[0] = {VMM_GPA, VMM_MEM_SIZE, VMM_USER, 0}};

	v->mem_fd = memfd_create("vmm", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (v->mem_fd < 0 || ftruncate(v->mem_fd, VMM_MEM_SIZE) != 0)
		fail_env(e, "memfd: %s", strerror(errno));
	v->mem = mmap(NULL, VMM_MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, v->mem_fd, 0);
	check(e, v->mem != MAP_FAILED);
	return vmm_send(v, VSW_VHOST_SET_PROTOCOL_FEATURES, 0, &protocol, 8, NULL, 0) &&
	       vmm_send(v, VSW_VHOST_SET_OWNER, 0, NULL, 0, NULL, 0) &&
	       vmm_send(v, VSW_VHOST_SET_FEATURES, 0, &features, 8, NULL, 0) &&
	       vmm_send(v, VSW_VHOST_SET_MEM_TABLE, 0, &table, 8 + 32, &v->mem_fd, 1);
}

bool
vmm_boot(struct env *e, struct vmm *v)
{
	bool ok = vmm_begin(e, v);

	for (unsigned int q = 0; q < VMM_RINGS && ok; q++) {
		const struct vmm_addr addr = vmm_ring_addr(q);
		const uint64_t index = q;

		v->kick[q] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		v->call[q] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		ok = vmm_send_state(v, VSW_VHOST_SET_VRING_NUM, q, VMM_RING_SIZE) &&
		     vmm_send_state(v, VSW_VHOST_SET_VRING_BASE, q, 0) &&
		     vmm_send(v, VSW_VHOST_SET_VRING_ADDR, 0, &addr, sizeof(addr), NULL, 0) &&
		     vmm_send(v, VSW_VHOST_SET_VRING_KICK, 0, &index, 8, &v->kick[q], 1) &&
		     vmm_send(v, VSW_VHOST_SET_VRING_CALL, 0, &index, 8, &v->call[q], 1);
	}
	for (unsigned int q = 0; q < VMM_RINGS && ok; q++)
		ok = vmm_send_state(v, VSW_VHOST_SET_VRING_ENABLE, q, 1);
	return ok && vmm_is_served(e, v);
}
