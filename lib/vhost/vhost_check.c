/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * librte_vhost trusts its front ends more than we can: in 22.11 a message with too many
 * descriptors leaks them, an IOTLB or INFLIGHT message that was never negotiated writes
 * through wild pointers, a table that cannot be mapped leaves pointers to the last one. So
 * only what a vsock device needs passes, in its one right form: known request, its exact
 * number of descriptors, indexes and addresses that exist. State (order of messages, features)
 * is left to the library, which checks that.
 */
#include "vhost_check.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "vsw_base.h"
#include "vsw_limits.h"
#include "vhost_msg.h"

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif
#ifndef CIFS_SUPER_MAGIC
#define CIFS_SUPER_MAGIC 0xff534d42
#endif

#define VERSION_MASK 3u
#define VERSION 1u
#define REPLY 4u

#define REGIONS_MAX 8
#define RING_SIZE_MAX 32768

/* Of SET_VRING_KICK and its kin: the ring's number, and that no descriptor comes. */
#define VRING_INDEX 0xffu
#define VRING_NO_FD 0x100u

struct state {
	uint32_t index;
	uint32_t num;
};

struct addr {
	uint32_t index;
	uint32_t flags;
	uint64_t part[4];
};

struct region {
	uint64_t gpa;
	uint64_t size;
	uint64_t user_addr;
	uint64_t offset;
};

struct table {
	uint32_t n_regions;
	uint32_t padding;
	struct region region[REGIONS_MAX];
};

static bool
wraps(uint64_t start, uint64_t size)
{
	return size == 0 || start > UINT64_MAX - size;
}

/* Whose pages may be as long in coming as somebody else likes. */
static bool
is_remote(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) != 0)
		return true;
	switch ((uint32_t)fs.f_type) {
	case (uint32_t)FUSE_SUPER_MAGIC:
	case (uint32_t)NFS_SUPER_MAGIC:
	case (uint32_t)SMB_SUPER_MAGIC:
	case (uint32_t)CIFS_SUPER_MAGIC:
	case (uint32_t)V9FS_MAGIC:
	case (uint32_t)CODA_SUPER_MAGIC:
	case (uint32_t)AFS_SUPER_MAGIC:
		return true;
	default:
		return false;
	}
}

static const char *
check_memory_file(int fd, const struct region *region)
{
	int flags = fcntl(fd, F_GETFL), seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return "memory that is no file";
	if (flags < 0 || (flags & O_PATH) || (flags & O_ACCMODE) != O_RDWR)
		return "a memory file that cannot be written";
	if (seals > 0 && (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)))
		return "a memory file that is sealed against writing";
	if ((uint64_t)st.st_size < region->offset + region->size)
		return "a region beyond the end of its file";
	if (is_remote(fd))
		return "a memory file on a file system that may keep us waiting";
	return NULL;
}

static const char *
check_table(const struct vsw_vhost_raw *msg, const int *fds, unsigned int n_fds, uint64_t span_max)
{
	struct table table;
	uint64_t span = 0;

	memcpy(&table, msg->payload, sizeof(table));
	if (table.n_regions == 0 || table.n_regions > REGIONS_MAX ||
	    msg->size < 8 + table.n_regions * sizeof(table.region[0]))
		return "a memory table of a wrong length";
	if (n_fds != table.n_regions)
		return "a memory table with a wrong number of descriptors";
	for (unsigned int i = 0; i < table.n_regions; i++) {
		const struct region *region = &table.region[i];
		const char *wrong;

		if (wraps(region->gpa, region->size) || wraps(region->user_addr, region->size) ||
		    wraps(region->offset, region->size))
			return "a memory region that is empty or wraps";
		wrong = check_memory_file(fds[i], region);
		if (wrong != NULL)
			return wrong;
		/* librte_vhost maps each file from its beginning. */
		span += region->offset + region->size;
		if (span > span_max)
			return "more memory than there is address space for";
	}
	return NULL;
}

static const char *
check_ring_fd(const struct vsw_vhost_raw *msg, const int *fds, unsigned int n_fds)
{
	struct stat st;
	uint64_t word;

	memcpy(&word, msg->payload, sizeof(word));
	if ((word & ~(uint64_t)(VRING_INDEX | VRING_NO_FD)) != 0 ||
	    (word & VRING_INDEX) >= VSW_VRINGS_MAX)
		return "a ring that a vsock device does not have";
	if (n_fds != (word & VRING_NO_FD ? 0 : 1))
		return "a wrong number of descriptors for a ring";
	/* An eventfd has no file type. All others may block, or mean something else. */
	if (n_fds == 1 &&
	    (fstat(fds[0], &st) != 0 || ((st.st_mode & S_IFMT) != 0 && !S_ISSOCK(st.st_mode))))
		return "a ring descriptor that is neither an eventfd nor a socket";
	return NULL;
}

static const char *
check_state(const struct vsw_vhost_raw *msg)
{
	struct state state;

	memcpy(&state, msg->payload, sizeof(state));
	if (state.index >= VSW_VRINGS_MAX)
		return "a ring that a vsock device does not have";
	if (msg->request == VSW_VHOST_USER_SET_VRING_NUM &&
	    (state.num == 0 || state.num > RING_SIZE_MAX || (state.num & (state.num - 1)) != 0))
		return "a ring size that is no power of two up to 32768";
	if (msg->request == VSW_VHOST_USER_SET_VRING_BASE && state.num > UINT16_MAX)
		return "a ring index above 65535";
	return NULL;
}

static const char *
check_addr(const struct vsw_vhost_raw *msg)
{
	struct addr addr;

	memcpy(&addr, msg->payload, sizeof(addr));
	if (addr.index >= VSW_VRINGS_MAX)
		return "a ring that a vsock device does not have";
	return addr.flags == 0 ? NULL : "a ring with a log, which is not offered";
}

static const char *
check_config(const struct vsw_vhost_raw *msg)
{
	uint32_t size;

	memcpy(&size, msg->payload + 4, sizeof(size));
	if (size > 256 || msg->size < 12 + size)
		return "a configuration of a wrong length";
	return NULL;
}

/* What a request must have; fewer bytes of payload are wrong, more are what UML sends. */
static const struct form {
	uint16_t size;
	int8_t n_fds; /* -1: its own check says */
} forms[] = {
	[VSW_VHOST_USER_GET_FEATURES] = {0, 0},
	[VSW_VHOST_USER_SET_FEATURES] = {8, 0},
	[VSW_VHOST_USER_SET_OWNER] = {0, 0},
	[VSW_VHOST_USER_RESET_OWNER] = {0, 0},
	[VSW_VHOST_USER_SET_MEM_TABLE] = {8, -1},
	[VSW_VHOST_USER_SET_VRING_NUM] = {sizeof(struct state), 0},
	[VSW_VHOST_USER_SET_VRING_ADDR] = {sizeof(struct addr), 0},
	[VSW_VHOST_USER_SET_VRING_BASE] = {sizeof(struct state), 0},
	[VSW_VHOST_USER_GET_VRING_BASE] = {sizeof(struct state), 0},
	[VSW_VHOST_USER_SET_VRING_KICK] = {8, -1},
	[VSW_VHOST_USER_SET_VRING_CALL] = {8, -1},
	[VSW_VHOST_USER_SET_VRING_ERR] = {8, -1},
	[VSW_VHOST_USER_GET_PROTOCOL_FEATURES] = {0, 0},
	[VSW_VHOST_USER_SET_PROTOCOL_FEATURES] = {8, 0},
	[VSW_VHOST_USER_GET_QUEUE_NUM] = {0, 0},
	[VSW_VHOST_USER_SET_VRING_ENABLE] = {sizeof(struct state), 0},
	[VSW_VHOST_USER_SET_BACKEND_REQ_FD] = {0, 1},
	[VSW_VHOST_USER_GET_CONFIG] = {12, 0},
};

static bool
is_known(uint32_t request)
{
	/* GET_FEATURES is the first; its form is all zeroes like that of a gap. */
	switch (request) {
	case VSW_VHOST_USER_GET_FEATURES:
	case VSW_VHOST_USER_SET_OWNER:
	case VSW_VHOST_USER_RESET_OWNER:
	case VSW_VHOST_USER_GET_PROTOCOL_FEATURES:
	case VSW_VHOST_USER_GET_QUEUE_NUM:
		return true;
	default:
		return request < VSW_ARRAY_SIZE(forms) &&
		       (forms[request].size != 0 || forms[request].n_fds != 0);
	}
}

const char *
vsw_vhost_check(const struct vsw_vhost_raw *msg, const int *fds, unsigned int n_fds,
		uint64_t span_max)
{
	const struct form *form = &forms[msg->request < VSW_ARRAY_SIZE(forms) ? msg->request : 0];

	if ((msg->flags & VERSION_MASK) != VERSION || (msg->flags & REPLY))
		return "a message that is no vhost-user request";
	if (!is_known(msg->request))
		return "a request that a vsock device has no use for";
	if (msg->size < form->size)
		return "a message that is too short";
	if (form->n_fds >= 0 && n_fds != (unsigned int)form->n_fds)
		return "a wrong number of descriptors";

	switch (msg->request) {
	case VSW_VHOST_USER_SET_MEM_TABLE:
		return check_table(msg, fds, n_fds, span_max);
	case VSW_VHOST_USER_SET_VRING_NUM:
	case VSW_VHOST_USER_SET_VRING_BASE:
	case VSW_VHOST_USER_GET_VRING_BASE:
	case VSW_VHOST_USER_SET_VRING_ENABLE:
		return check_state(msg);
	case VSW_VHOST_USER_SET_VRING_ADDR:
		return check_addr(msg);
	case VSW_VHOST_USER_SET_VRING_KICK:
	case VSW_VHOST_USER_SET_VRING_CALL:
	case VSW_VHOST_USER_SET_VRING_ERR:
		return check_ring_fd(msg, fds, n_fds);
	case VSW_VHOST_USER_GET_CONFIG:
		return check_config(msg);
	default:
		return NULL;
	}
}
