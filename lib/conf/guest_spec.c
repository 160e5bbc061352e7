/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keys of a guest: one table, for command line, file and API alike.
 */
#include "vsw_guest_spec.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <bsd/string.h>

#include "value.h"
#include "vsw_base.h"
#include "vsw_key.h"
#include "vsw_number.h"
#include "vsw_packet.h"

/* sun_path takes 107 characters; for every guest port "_4294967295" must fit behind it. */
#define SOCKET_LEN_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)
#define UDS_PATH_LEN_MAX (SOCKET_LEN_MAX - strlen("_4294967295"))

#define DEFAULT_GROUP "default"

/* Begins the keys that files and JSON have under `limits`. */
#define LIMIT "limit-"

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
	return value_read_bool(value, &spec->client) ? NULL : "it is on or off";
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

static const char *
add_group(struct vsw_guest_spec *spec, const char *value)
{
	char name[VSW_NAME_SIZE] = {0};

	if (value[0] == '\0')
		return "a name is empty; it is a list as in blue+green";
	if (strlcpy(name, value, sizeof(name)) >= sizeof(name))
		return "a group's name has at most 63 characters";
	switch (VALUE_INSERT(spec->group, &spec->n_groups, name, value_order_text)) {
	case -ENOSPC:
		return "a guest has at most 16 groups";
	default: /* twice is once */
		return NULL;
	}
}

#define FORWARD_IS "it is PATH:PORT, a path of at most 107 characters and a port of the guest"

static const char *
join_forward(struct vsw_guest_spec *spec, const char *path, const char *port)
{
	struct vsw_forward forward = {0};

	if (path[0] == '\0' || strlen(path) > SOCKET_LEN_MAX ||
	    !vsw_number_read_u32(port, 0, UINT32_MAX - 1, &forward.port))
		return FORWARD_IS;
	strlcpy(forward.path, path, sizeof(forward.path));
	_Static_assert(offsetof(struct vsw_forward, path) == 0, "they are sorted by path");
	switch (VALUE_INSERT(spec->forward, &spec->n_forwards, &forward, value_order_text)) {
	case -EEXIST:
		return "this path is there twice; a socket leads to one port";
	case -ENOSPC:
		return "a guest has at most 16 plain sockets";
	default:
		return NULL;
	}
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
			 "the host itself";
}

static const char *
add_forward_listen(struct vsw_guest_spec *spec, const char *value)
{
	uint32_t port;

	if (!vsw_number_read_u32(value, 0, UINT32_MAX - 1, &port))
		return "it is AF_VSOCK ports from 0 to 4294967294, as in 9001+9002";
	switch (VALUE_INSERT(spec->forward_listen, &spec->n_forward_listen, &port,
			     value_order_u32)) {
	case -EEXIST:
		return "this port is there twice";
	case -ENOSPC:
		return "a guest has at most 16 such ports";
	default:
		return NULL;
	}
}

static const char *
add_host_cid(struct vsw_guest_spec *spec, const char *value)
{
	uint32_t cid;

	if (!vsw_number_read_u32(value, VSW_CID_GUEST_MIN, VSW_CID_GUEST_MAX, &cid))
		return "it is CIDs from 3 to 4294967294, as in 3+4; 2 is the host in any case";
	switch (VALUE_INSERT(spec->host_cid, &spec->n_host_cids, &cid, value_order_u32)) {
	case -EEXIST:
		return "this CID is there twice";
	case -ENOSPC:
		return "the host has at most 8 CIDs beside 2";
	default:
		return NULL;
	}
}

static const char *
set_hairpin(struct vsw_guest_spec *spec, const char *value)
{
	return value_read_bool(value, &spec->hairpin) ? NULL : "it is on or off";
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
	return value_read_mode(value, &spec->socket_mode) ? NULL : VALUE_MODE_IS;
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

/* Where a key's value is, so that its default can be put there. */
#define AT(member)                                                                                 \
	offsetof(struct vsw_guest_spec, member), sizeof(((struct vsw_guest_spec *)0)->member)
/* A list and the number of its elements, which stands in front of it. */
#define AT_LIST(n, member)                                                                         \
	offsetof(struct vsw_guest_spec, n), offsetof(struct vsw_guest_spec, member) -              \
						    offsetof(struct vsw_guest_spec, n) +           \
						    sizeof(((struct vsw_guest_spec *)0)->member)

static const struct key {
	const char *name;
	enum vsw_key_kind kind;
	set_fn set; /* of a list: adds one element */
	size_t offset, size;
} keys[] = {
	{"name", VSW_KEY_TEXT, set_name, AT(name)},
	{"guest-cid", VSW_KEY_CID, set_guest_cid, AT(cid)},
	{"socket", VSW_KEY_TEXT, set_socket, AT(socket)},
	{"uds-path", VSW_KEY_TEXT, set_uds_path, AT(uds_path)},
	{"forward-cid", VSW_KEY_NUMBER, set_forward_cid, AT(forward_cid)},
	{"forward-listen", VSW_KEY_NUMBERS, add_forward_listen,
	 AT_LIST(n_forward_listen, forward_listen)},
	{"forward", VSW_KEY_FORWARDS, add_forward, AT_LIST(n_forwards, forward)},
	{"host-cids", VSW_KEY_NUMBERS, add_host_cid, AT_LIST(n_host_cids, host_cid)},
	{"tx-buffer-size", VSW_KEY_NUMBER, set_tx_buffer_size, AT(window_bytes)},
	{"queue-size", VSW_KEY_NUMBER, set_queue_size, AT(queue_size)},
	{"groups", VSW_KEY_TEXTS, add_group, AT_LIST(n_groups, group)},
	{"hairpin", VSW_KEY_BOOL, set_hairpin, AT(hairpin)},
	{"lcore", VSW_KEY_NUMBER, set_lcore, AT(lcore)},
	{"client", VSW_KEY_BOOL, set_client, AT(client)},
	{"socket-mode", VSW_KEY_MODE, set_socket_mode, AT(socket_mode)},
	{"socket-owner", VSW_KEY_ID, set_socket_owner, AT(socket_owner)},
	{"socket-group", VSW_KEY_ID, set_socket_group, AT(socket_group)},
	{"limit-connections", VSW_KEY_LIMIT, set_limit_connections, AT(max_connections)},
	{"limit-handshakes", VSW_KEY_LIMIT, set_limit_handshakes, AT(max_handshakes)},
	{"limit-spill-bytes", VSW_KEY_LIMIT, set_limit_spill_bytes, AT(spill_bytes)},
	{"limit-loans", VSW_KEY_LIMIT, set_limit_loans, AT(max_loans)},
};

_Static_assert(VSW_ARRAY_SIZE(keys) == VSW_GUEST_SPEC_N_KEYS, "VSW_GUEST_SPEC_N_KEYS");

int
vsw_guest_spec_find_key(const char *key)
{
	for (size_t i = 0; i < VSW_ARRAY_SIZE(keys); i++) {
		if (vsw_key_is(keys[i].name, key))
			return (int)i;
	}
	return -1;
}

int
vsw_guest_spec_find_limit(const char *name)
{
	char key[VSW_NAME_SIZE];

	snprintf(key, sizeof(key), LIMIT "%.50s", name);
	return vsw_guest_spec_find_key(key);
}

const char *
vsw_guest_spec_key_at(unsigned int i)
{
	return i < VSW_ARRAY_SIZE(keys) ? keys[i].name : NULL;
}

enum vsw_key_kind
vsw_guest_spec_kind(int key)
{
	return keys[key].kind;
}

const char *
vsw_guest_spec_known(enum vsw_known known, char names[VSW_WHY_SIZE])
{
	const char *name[VSW_ARRAY_SIZE(keys) + 1];
	size_t n = 0, len = 0;

	for (size_t i = 0; i < VSW_ARRAY_SIZE(keys); i++) {
		const bool is_limit = keys[i].kind == VSW_KEY_LIMIT;

		if (known == VSW_KNOWN_KEYS || (known == VSW_KNOWN_LIMITS) == is_limit)
			name[n++] = keys[i].name + (known == VSW_KNOWN_LIMITS ? strlen(LIMIT) : 0);
	}
	if (known == VSW_KNOWN_FIELDS)
		name[n++] = "limits";
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(names + len, VSW_WHY_SIZE - len, "%s%s", name[i],
					i + 1 == n   ? ""
					: i + 2 == n ? " and "
						     : ", ");
	return known == VSW_KNOWN_KEYS ? names : vsw_key_in_yaml(names, names, VSW_WHY_SIZE);
}

void
vsw_guest_spec_reset(struct vsw_guest_spec *spec, int key)
{
	const struct key *k = &keys[key];
	struct vsw_guest_spec def;

	vsw_guest_spec_init(&def);
	memcpy((char *)spec + k->offset, (const char *)&def + k->offset, k->size);
}

/*
 * Lists.
 */

static const char *
set_list(struct vsw_guest_spec *spec, int key, const char *value)
{
	const char *wrong = NULL;

	vsw_guest_spec_reset(spec, key);
	while (wrong == NULL) {
		char item[256];
		size_t len = strcspn(value, "+");

		/* One that is too long stays too long. */
		snprintf(item, sizeof(item), "%.*s", (int)len, value);
		wrong = keys[key].set(spec, item);
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

int
vsw_guest_spec_add(struct vsw_guest_spec *spec, int key, const char *value, char why[VSW_WHY_SIZE])
{
	/* A path may have one. */
	if (keys[key].kind != VSW_KEY_FORWARDS && strchr(value, '+') != NULL)
		return say(value, "in a list each stands alone", why);
	return say(value, keys[key].set(spec, value), why);
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
	char names[VSW_WHY_SIZE];
	const char *right;

	if (k < 0) {
		snprintf(why, VSW_WHY_SIZE, "unknown key '%.64s'; known are %.400s", key,
			 vsw_guest_spec_known(VSW_KNOWN_KEYS, names));
		return -ENOENT;
	}
	if (value[0] == '\0') {
		snprintf(why, VSW_WHY_SIZE, "it needs a value");
		return -EINVAL;
	}
	right = vsw_key_is_list(keys[k].kind) ? set_list(spec, k, value) : keys[k].set(spec, value);
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

int
vsw_guest_spec_check(struct vsw_guest_spec *spec, const char **key, char why[VSW_WHY_SIZE])
{
	const char *wrong = check_host(spec, key);

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
