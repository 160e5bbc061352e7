/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keys of a guest: one table, for command line, file and API alike.
 */
#include "vsw_guest_spec.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/stdlib.h>
#include <bsd/string.h>

#include "vsw_base.h"
#include "vsw_number.h"
#include "vsw_packet.h"

/* sun_path takes 107 characters; for every guest port "_4294967295" must fit behind it. */
#define SOCKET_LEN_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)
#define UDS_PATH_LEN_MAX (SOCKET_LEN_MAX - strlen("_4294967295"))

#define DEFAULT_GROUP "default"

void
vsw_guest_spec_init(struct vsw_guest_spec *spec)
{
	*spec = (struct vsw_guest_spec){
		.cid = VSW_CID_GUEST_MIN,
		.forward_cid = VSW_FORWARD_CID_NONE,
		.window_bytes = VSW_BUF_ALLOC_DEFAULT,
		.max_connections = VSW_CONNS_MAX_DEFAULT,
		.max_handshakes = VSW_HANDSHAKES_MAX_DEFAULT,
		.max_loans = VSW_LOANS_MAX,
		.spill_bytes = VSW_SPILL_BUDGET_DEFAULT,
		.hairpin = true,
		.lcore = -1,
		.socket_mode = VSW_MODE_DEFAULT,
		.socket_owner = (uid_t)-1,
		.socket_group = (gid_t)-1,
	};
}

/*
 * Values. @return what would be right; NULL: it is.
 */

typedef const char *(*set_fn)(struct vsw_guest_spec *spec, const char *value);

static bool
read_bool(const char *value, bool *on)
{
	static const char *const text[] = {"off", "on", "false", "true", "no", "yes"};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(text); i++) {
		if (strcasecmp(value, text[i]) == 0) {
			*on = i % 2 != 0;
			return true;
		}
	}
	return false;
}

/* Names go into tables, labels of metrics and paths of the API. */
static bool
is_name(const char *value)
{
	size_t len = strlen(value);

	return len > 0 && len < VSW_NAME_SIZE &&
	       strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			     "0123456789_.-") == len;
}

static const char *
set_name(struct vsw_guest_spec *spec, const char *value)
{
	if (!is_name(value) || value[strspn(value, "0123456789")] == '\0')
		return "a name has 1 to 63 letters, digits, _ . or -, and is not a number";
	strlcpy(spec->name, value, sizeof(spec->name));
	return NULL;
}

static const char *
set_guest_cid(struct vsw_guest_spec *spec, const char *value)
{
	return vsw_number_read_u32(value, VSW_CID_GUEST_MIN, VSW_CID_GUEST_MAX, &spec->cid)
		       ? NULL
		       : "a guest has a CID from 3 to 4294967294, in plain digits";
}

static const char *
set_socket(struct vsw_guest_spec *spec, const char *value)
{
	if (strlen(value) > SOCKET_LEN_MAX)
		return "the path of a socket has at most 107 characters";
	strlcpy(spec->socket, value, sizeof(spec->socket));
	return NULL;
}

static const char *
set_uds_path(struct vsw_guest_spec *spec, const char *value)
{
	if (strlen(value) > UDS_PATH_LEN_MAX)
		return "it has at most 96 characters, because _<port> is appended to it";
	strlcpy(spec->uds_path, value, sizeof(spec->uds_path));
	return NULL;
}

static const char *
set_client(struct vsw_guest_spec *spec, const char *value)
{
	return read_bool(value, &spec->client) ? NULL : "it is on or off";
}

static const char *
set_tx_buffer_size(struct vsw_guest_spec *spec, const char *value)
{
	return vsw_number_read_u32(value, 1, 1 << 30, &spec->window_bytes)
		       ? NULL
		       : "it is a number of bytes from 1 to 1073741824";
}

static const char *
set_queue_size(struct vsw_guest_spec *spec, const char *value)
{
	if (vsw_number_read_u32(value, 1, 32768, &spec->queue_size) &&
	    (spec->queue_size & (spec->queue_size - 1)) == 0)
		return NULL;
	return "it is a power of two from 1 to 32768";
}

/* Keep them sorted, each once. */
static const char *
add_group(struct vsw_guest_spec *spec, const char *name)
{
	unsigned int i = 0;
	int order = 1;

	if (name[0] == '\0')
		return "a name is empty; it is a list as in blue+green";
	if (strlen(name) >= VSW_NAME_SIZE)
		return "a group's name has at most 63 characters";
	while (i < spec->n_groups && (order = strcmp(spec->group[i], name)) < 0)
		i++;
	if (i < spec->n_groups && order == 0)
		return NULL;
	if (spec->n_groups == VSW_GROUPS_PER_GUEST_MAX)
		return "a guest has at most 16 groups";
	memmove(spec->group[i + 1], spec->group[i], (spec->n_groups - i) * VSW_NAME_SIZE);
	memset(spec->group[i], 0, VSW_NAME_SIZE);
	strlcpy(spec->group[i], name, VSW_NAME_SIZE);
	spec->n_groups++;
	return NULL;
}

#define FORWARD_IS "it is PATH:PORT, a path of at most 107 characters and a port of the guest"

/* Keep them sorted by path. */
static const char *
join_forward(struct vsw_guest_spec *spec, const char *path, const char *port)
{
	struct vsw_forward forward = {0};
	unsigned int i = 0;
	int order = 1;

	if (path[0] == '\0' || strlen(path) > SOCKET_LEN_MAX ||
	    !vsw_number_read_u32(port, 0, UINT32_MAX - 1, &forward.port))
		return FORWARD_IS;
	strlcpy(forward.path, path, sizeof(forward.path));
	while (i < spec->n_forwards && (order = strcmp(spec->forward[i].path, path)) < 0)
		i++;
	if (i < spec->n_forwards && order == 0)
		return "this path is there twice; a socket leads to one port";
	if (spec->n_forwards == VSW_FORWARDS_MAX)
		return "a guest has at most 16 plain sockets";
	memmove(&spec->forward[i + 1], &spec->forward[i], (spec->n_forwards - i) * sizeof(forward));
	spec->forward[i] = forward;
	spec->n_forwards++;
	return NULL;
}

static const char *
add_forward(struct vsw_guest_spec *spec, const char *value)
{
	char path[SOCKET_LEN_MAX + 2]; /* one that is too long stays too long */
	const char *colon = strrchr(value, ':');

	if (colon == NULL)
		return FORWARD_IS;
	snprintf(path, sizeof(path), "%.*s", (int)(colon - value), value);
	return join_forward(spec, path, colon + 1);
}

static const char *
set_forward_cid(struct vsw_guest_spec *spec, const char *value)
{
	return vsw_number_read_u32(value, 0, UINT32_MAX - 1, &spec->forward_cid)
		       ? NULL
		       : "it is an AF_VSOCK CID as the host sees it, from 0 to 4294967294; 1 is "
			 "the "
			 "host itself";
}

static const char *
add_forward_listen(struct vsw_guest_spec *spec, const char *value)
{
	unsigned int i = 0;
	uint32_t port;

	if (!vsw_number_read_u32(value, 0, UINT32_MAX - 1, &port))
		return "it is AF_VSOCK ports from 0 to 4294967294, as in 9001+9002";
	while (i < spec->n_forward_listen && spec->forward_listen[i] < port)
		i++;
	if (i < spec->n_forward_listen && spec->forward_listen[i] == port)
		return "this port is there twice";
	if (spec->n_forward_listen == VSW_FORWARDS_MAX)
		return "a guest has at most 16 such ports";
	memmove(&spec->forward_listen[i + 1], &spec->forward_listen[i],
		(spec->n_forward_listen - i) * sizeof(port));
	spec->forward_listen[i] = port;
	spec->n_forward_listen++;
	return NULL;
}

static const char *
add_host_cid(struct vsw_guest_spec *spec, const char *value)
{
	unsigned int i = 0;
	uint32_t cid;

	if (!vsw_number_read_u32(value, VSW_CID_GUEST_MIN, VSW_CID_GUEST_MAX, &cid))
		return "it is CIDs from 3 to 4294967294, as in 3+4; 2 is the host in any case";
	while (i < spec->n_host_cids && spec->host_cid[i] < cid)
		i++;
	if (i < spec->n_host_cids && spec->host_cid[i] == cid)
		return "this CID is there twice";
	if (spec->n_host_cids == VSW_HOST_CIDS_MAX)
		return "the host has at most 8 CIDs beside 2";
	memmove(&spec->host_cid[i + 1], &spec->host_cid[i], (spec->n_host_cids - i) * sizeof(cid));
	spec->host_cid[i] = cid;
	spec->n_host_cids++;
	return NULL;
}

static const char *
set_hairpin(struct vsw_guest_spec *spec, const char *value)
{
	return read_bool(value, &spec->hairpin) ? NULL : "it is on or off";
}

static const char *
set_lcore(struct vsw_guest_spec *spec, const char *value)
{
	uint32_t lcore;

	if (!vsw_number_read_u32(value, 0, 1023, &lcore))
		return "it is the number of a polling lcore";
	spec->lcore = (int32_t)lcore;
	return NULL;
}

static const char *
set_limit_connections(struct vsw_guest_spec *spec, const char *value)
{
	return vsw_number_read_u32(value, 1, 1 << 20, &spec->max_connections)
		       ? NULL
		       : "it is a number of connections from 1 to 1048576";
}

static const char *
set_limit_handshakes(struct vsw_guest_spec *spec, const char *value)
{
	return vsw_number_read_u32(value, 1, 1 << 20, &spec->max_handshakes)
		       ? NULL
		       : "it is a number of hosts from 1 to 1048576";
}

static const char *
set_limit_loans(struct vsw_guest_spec *spec, const char *value)
{
	return vsw_number_read_u32(value, 1, VSW_LOANS_MAX, &spec->max_loans)
		       ? NULL
		       : "it is a number of buffers from 1 to 64";
}

static const char *
set_limit_spill_bytes(struct vsw_guest_spec *spec, const char *value)
{
	return vsw_number_read_u32(value, 0, 1 << 30, &spec->spill_bytes)
		       ? NULL
		       : "it is a number of bytes from 0 to 1073741824";
}

static const char *
set_socket_mode(struct vsw_guest_spec *spec, const char *value)
{
	const char *digits = strncasecmp(value, "0o", 2) == 0 ? value + 2 : value;
	size_t len = strlen(digits);

	if (len < 3 || len > 4 || strspn(digits, "01234567") != len ||
	    (len == 4 && digits[0] != '0'))
		return "it is three octal digits as in 660 or 0660";
	spec->socket_mode = (int32_t)strtol(digits, NULL, 8);
	return NULL;
}

static const char *
set_socket_owner(struct vsw_guest_spec *spec, const char *value)
{
	const struct passwd *user;

	if (vsw_number_read_u32(value, 0, UINT32_MAX - 1, &spec->socket_owner))
		return NULL;
	user = getpwnam(value);
	if (user == NULL)
		return "there is no such user; it is the name or number of one";
	spec->socket_owner = user->pw_uid;
	return NULL;
}

static const char *
set_socket_group(struct vsw_guest_spec *spec, const char *value)
{
	const struct group *group;

	if (vsw_number_read_u32(value, 0, UINT32_MAX - 1, &spec->socket_group))
		return NULL;
	group = getgrnam(value);
	if (group == NULL)
		return "there is no such group of users; it is the name or number of one";
	spec->socket_group = group->gr_gid;
	return NULL;
}

/*
 * Keys.
 */

struct key {
	const char *name;
	set_fn set;   /* of a list: adds one element */
	bool is_list; /* elements are joined by + */
};

static const struct key keys[] = {
	{"name", set_name},
	{"guest-cid", set_guest_cid},
	{"socket", set_socket},
	{"uds-path", set_uds_path},
	{"forward-cid", set_forward_cid},
	{"forward-listen", add_forward_listen, .is_list = true},
	{"forward", add_forward, .is_list = true},
	{"host-cids", add_host_cid, .is_list = true},
	{"tx-buffer-size", set_tx_buffer_size},
	{"queue-size", set_queue_size},
	{"groups", add_group, .is_list = true},
	{"hairpin", set_hairpin},
	{"lcore", set_lcore},
	{"client", set_client},
	{"socket-mode", set_socket_mode},
	{"socket-owner", set_socket_owner},
	{"socket-group", set_socket_group},
	{"limit-connections", set_limit_connections},
	{"limit-handshakes", set_limit_handshakes},
	{"limit-spill-bytes", set_limit_spill_bytes},
	{"limit-loans", set_limit_loans},
};

_Static_assert(VSW_ARRAY_SIZE(keys) == VSW_GUEST_SPEC_N_KEYS, "VSW_GUEST_SPEC_N_KEYS");

/* guest_cid is guest-cid. */
static bool
same_key(const char *name, const char *key)
{
	for (; *name != '\0'; name++, key++) {
		if (*name != (*key == '_' ? '-' : *key))
			return false;
	}
	return *key == '\0';
}

int
vsw_guest_spec_find_key(const char *key)
{
	for (size_t i = 0; i < VSW_ARRAY_SIZE(keys); i++) {
		if (same_key(keys[i].name, key))
			return (int)i;
	}
	return -1;
}

const char *
vsw_guest_spec_key_at(unsigned int i)
{
	return i < VSW_ARRAY_SIZE(keys) ? keys[i].name : NULL;
}

const char *
vsw_guest_spec_yaml_key(const char *key, char name[VSW_NAME_SIZE])
{
	strlcpy(name, key, VSW_NAME_SIZE);
	for (char *p = name; *p != '\0'; p++) {
		if (*p == '-')
			*p = '_';
	}
	return name;
}

const char *
vsw_guest_spec_keys(void)
{
	return "name, guest-cid, socket, uds-path, forward-cid, forward-listen, forward, "
	       "host-cids, "
	       "tx-buffer-size, queue-size, groups, hairpin, lcore, client, socket-mode, "
	       "socket-owner, socket-group, "
	       "limit-connections, limit-handshakes, limit-spill-bytes and limit-loans";
}

/*
 * Lists.
 */

static void
clear_list(struct vsw_guest_spec *spec, set_fn add)
{
	if (add == add_forward) {
		spec->n_forwards = 0;
		memset(spec->forward, 0, sizeof(spec->forward));
	} else if (add == add_forward_listen) {
		spec->n_forward_listen = 0;
		memset(spec->forward_listen, 0, sizeof(spec->forward_listen));
	} else if (add == add_host_cid) {
		spec->n_host_cids = 0;
		memset(spec->host_cid, 0, sizeof(spec->host_cid));
	} else {
		spec->n_groups = 0;
		memset(spec->group, 0, sizeof(spec->group));
	}
}

static const char *
set_list(struct vsw_guest_spec *spec, set_fn add, const char *value)
{
	const char *wrong = NULL;

	clear_list(spec, add);
	while (wrong == NULL) {
		char item[256];
		size_t len = strcspn(value, "+");

		/* One that is too long stays too long. */
		snprintf(item, sizeof(item), "%.*s", (int)len, value);
		wrong = add(spec, item);
		if (value[len] == '\0')
			break;
		value += len + 1;
	}
	return wrong;
}

static int
say(const char *value, const char *right, char why[VSW_WHY_SIZE])
{
	if (right == NULL)
		return 0;
	snprintf(why, VSW_WHY_SIZE, "%.128s is wrong, %s", value, right);
	return -EINVAL;
}

static const struct key *
find_list(const char *key)
{
	int k = vsw_guest_spec_find_key(key);

	return k >= 0 && keys[k].is_list ? &keys[k] : NULL;
}

int
vsw_guest_spec_clear_list(struct vsw_guest_spec *spec, const char *key)
{
	const struct key *list = find_list(key);

	if (list == NULL)
		return -ENOENT;
	clear_list(spec, list->set);
	return 0;
}

int
vsw_guest_spec_add(struct vsw_guest_spec *spec, const char *key, const char *value,
		   char why[VSW_WHY_SIZE])
{
	const struct key *list = find_list(key);

	if (list == NULL) {
		snprintf(why, VSW_WHY_SIZE, "it is a value, not a list");
		return -ENOENT;
	}
	/* A path may have one. */
	if (list->set != add_forward && strchr(value, '+') != NULL)
		return say(value, "in a list each stands alone", why);
	return say(value, list->set(spec, value), why);
}

int
vsw_guest_spec_add_forward(struct vsw_guest_spec *spec, const char *path, const char *port,
			   char why[VSW_WHY_SIZE])
{
	char value[128];

	snprintf(value, sizeof(value), "%.100s:%.20s", path, port);
	return say(value, join_forward(spec, path, port), why);
}

int
vsw_guest_spec_set(struct vsw_guest_spec *spec, const char *key, const char *value,
		   char why[VSW_WHY_SIZE])
{
	int k = vsw_guest_spec_find_key(key);
	const char *right;

	if (k < 0) {
		snprintf(why, VSW_WHY_SIZE, "unknown key '%.64s'; known are %s", key,
			 vsw_guest_spec_keys());
		return -ENOENT;
	}
	if (value[0] == '\0') {
		snprintf(why, VSW_WHY_SIZE, "it needs a value");
		return -EINVAL;
	}
	right = keys[k].is_list ? set_list(spec, keys[k].set, value) : keys[k].set(spec, value);
	return say(value, right, why);
}

const char *
vsw_guest_spec_path(const struct vsw_guest_spec *spec, unsigned int i, const char **key)
{
	if (i > 0 && spec->uds_path[0] == '\0')
		i++; /* it is not there */
	*key = i == 0 ? "socket" : i == 1 ? "uds-path" : "forward";
	if (i < 2)
		return i == 0 ? spec->socket : spec->uds_path;
	return i - 2 < spec->n_forwards ? spec->forward[i - 2].path : NULL;
}

const char *
vsw_guest_spec_made_path(const struct vsw_guest_spec *spec, unsigned int i, const char **key)
{
	return vsw_guest_spec_path(spec, spec->client ? i + 1 : i, key);
}

/* Where the host's end is: uds-path or forward-cid, as in vhost-device-vsock.
 * @return what is wrong. */
static const char *
check_host(const struct vsw_guest_spec *spec, const char **key)
{
	const bool has_path = spec->uds_path[0] != '\0';
	const bool has_cid = spec->forward_cid != VSW_FORWARD_CID_NONE;

	*key = has_path ? "forward-cid" : "uds-path";
	if (has_path && has_cid)
		return "a guest has uds-path or forward-cid, not both";
	if (!has_path && !has_cid)
		return "it is missing; it is the path of a socket, or there is forward-cid instead";
	*key = "forward-listen";
	return spec->n_forward_listen > 0 && !has_cid
		       ? "it needs forward-cid instead of uds-path; with that, see forward"
		       : NULL;
}

/* They go into logs, tables and terminals. @return what is wrong. */
static const char *
check_paths(const struct vsw_guest_spec *spec, const char **key)
{
	const char *path;

	for (unsigned int i = 0; (path = vsw_guest_spec_path(spec, i, key)) != NULL; i++) {
		for (; *path != '\0'; path++) {
			if ((unsigned char)*path < ' ' || *path == 0x7f)
				return "a path has no control characters, as line ends are";
		}
	}
	return NULL;
}

int
vsw_guest_spec_check(struct vsw_guest_spec *spec, const char **key, char why[VSW_WHY_SIZE])
{
	const char *wrong = check_paths(spec, key);

	if (wrong == NULL)
		wrong = check_host(spec, key);
	if (spec->socket[0] == '\0') {
		*key = "socket";
		wrong = "it is missing; it is the path of a socket";
	}
	if (wrong != NULL) {
		strlcpy(why, wrong, VSW_WHY_SIZE);
		return -EINVAL;
	}
	for (unsigned int i = 0; i < spec->n_host_cids; i++) {
		if (spec->host_cid[i] != spec->cid)
			continue;
		*key = "host-cids";
		snprintf(why, VSW_WHY_SIZE, "%u is the guest's own CID; the host has another",
			 spec->cid);
		return -EINVAL;
	}
	if (spec->name[0] == '\0')
		snprintf(spec->name, sizeof(spec->name), "vm%u", spec->cid);
	if (spec->n_groups == 0)
		add_group(spec, DEFAULT_GROUP);
	return 0;
}

uint32_t
vsw_guest_spec_diff(const struct vsw_guest_spec *a, const struct vsw_guest_spec *b)
{
	uint32_t diff = 0;

	if (strcmp(a->name, b->name) != 0)
		diff |= VSW_SPEC_DIFF_NAME;
	if (a->n_groups != b->n_groups || a->hairpin != b->hairpin ||
	    memcmp(a->group, b->group, a->n_groups * sizeof(a->group[0])) != 0 ||
	    a->n_host_cids != b->n_host_cids ||
	    memcmp(a->host_cid, b->host_cid, a->n_host_cids * sizeof(a->host_cid[0])) != 0)
		diff |= VSW_SPEC_DIFF_ROUTES;
	if (a->n_forwards != b->n_forwards ||
	    memcmp(a->forward, b->forward, a->n_forwards * sizeof(a->forward[0])) != 0)
		diff |= VSW_SPEC_DIFF_FORWARD;
	if (a->window_bytes != b->window_bytes || a->queue_size != b->queue_size ||
	    a->max_connections != b->max_connections || a->spill_bytes != b->spill_bytes ||
	    a->max_handshakes != b->max_handshakes || a->max_loans != b->max_loans)
		diff |= VSW_SPEC_DIFF_LIMITS;
	if (a->socket_mode != b->socket_mode || a->socket_owner != b->socket_owner ||
	    a->socket_group != b->socket_group)
		diff |= VSW_SPEC_DIFF_ACCESS;
	if (a->forward_cid != b->forward_cid || a->n_forward_listen != b->n_forward_listen ||
	    memcmp(a->forward_listen, b->forward_listen,
		   a->n_forward_listen * sizeof(a->forward_listen[0])) != 0)
		diff |= VSW_SPEC_DIFF_PLACE;
	if (a->cid != b->cid || a->client != b->client || a->lcore != b->lcore ||
	    strcmp(a->socket, b->socket) != 0 || strcmp(a->uds_path, b->uds_path) != 0)
		diff |= VSW_SPEC_DIFF_PLACE;
	return diff;
}
