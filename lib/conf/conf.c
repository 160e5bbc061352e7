/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading `--vm` arguments: one table of keys.
 */
#include "vsw_conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/stdlib.h>
#include <bsd/string.h>

#include "vsw_base.h"
#include "vsw_packet.h"

/* sun_path takes 107 characters; for every guest port "_4294967295" must fit behind it. */
#define SOCKET_LEN_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)
#define UDS_PATH_LEN_MAX (SOCKET_LEN_MAX - strlen("_4294967295"))

/* What is wrong with a value, and what would be right; NULL: nothing. */
typedef const char *(*set_fn)(struct vsw_conf *conf, struct vsw_guest_conf *guest,
			      const char *value);

static const char *
set_guest_cid(struct vsw_conf *conf, struct vsw_guest_conf *guest, const char *value)
{
	const char *wrong;

	guest->cid = (uint32_t)strtonum(value, VSW_CID_GUEST_MIN, VSW_CID_GUEST_MAX, &wrong);
	return wrong == NULL ? NULL : "a guest has a CID from 3 to 4294967294";
}

static const char *
set_socket(struct vsw_conf *conf, struct vsw_guest_conf *guest, const char *value)
{
	if (strlen(value) > SOCKET_LEN_MAX)
		return "the path of a socket has at most 107 characters";
	strlcpy(guest->socket, value, sizeof(guest->socket));
	return NULL;
}

static const char *
set_uds_path(struct vsw_conf *conf, struct vsw_guest_conf *guest, const char *value)
{
	if (strlen(value) > UDS_PATH_LEN_MAX)
		return "it has at most 96 characters, because _<port> is appended to it";
	strlcpy(guest->uds_path, value, sizeof(guest->uds_path));
	return NULL;
}

static const char *
set_tx_buffer_size(struct vsw_conf *conf, struct vsw_guest_conf *guest, const char *value)
{
	const char *wrong;

	guest->buf_alloc = (uint32_t)strtonum(value, 1, 1 << 30, &wrong);
	return wrong == NULL ? NULL : "it is a number of bytes from 1 to 1073741824";
}

static const char *
set_queue_size(struct vsw_conf *conf, struct vsw_guest_conf *guest, const char *value)
{
	const char *wrong;

	guest->queue_size = (uint32_t)strtonum(value, 1, 32768, &wrong);
	if (wrong == NULL && (guest->queue_size & (guest->queue_size - 1)) == 0)
		return NULL;
	return "it is a power of two from 1 to 32768";
}

/* The number of a group's name; -1: there is no room for one more. */
static int
number_of_group(struct vsw_conf *conf, const char *name)
{
	unsigned int n = 0;

	while (n < conf->n_groups && strcmp(conf->group_name[n], name) != 0)
		n++;
	if (n == VSW_CONF_GROUPS_MAX)
		return -1;
	if (n == conf->n_groups)
		strlcpy(conf->group_name[conf->n_groups++], name, VSW_CONF_GROUP_NAME_SIZE);
	return (int)n;
}

/* Keep them sorted, each once. */
static void
join_group(struct vsw_guest_conf *guest, uint16_t group)
{
	unsigned int i = 0;

	while (i < guest->n_groups && guest->group[i] < group)
		i++;
	if (i < guest->n_groups && guest->group[i] == group)
		return;
	memmove(&guest->group[i + 1], &guest->group[i],
		(guest->n_groups - i) * sizeof(guest->group[0]));
	guest->group[i] = group;
	guest->n_groups++;
}

static const char *
set_groups(struct vsw_conf *conf, struct vsw_guest_conf *guest, const char *value)
{
	char copy[VSW_GROUPS_PER_GUEST_MAX * VSW_CONF_GROUP_NAME_SIZE];
	char *rest = copy, *name;

	if (strlcpy(copy, value, sizeof(copy)) >= sizeof(copy))
		return "it is too long; a guest has at most 16 groups of 63 characters";
	while ((name = strsep(&rest, "+")) != NULL) {
		int group;

		if (name[0] == '\0')
			return "a name is empty; it is a list as in groups=blue+green";
		if (strlen(name) >= VSW_CONF_GROUP_NAME_SIZE)
			return "a group's name has at most 63 characters";
		group = number_of_group(conf, name);
		if (group < 0)
			return "there are too many groups; at most 4096 names in all";
		if (guest->n_groups == VSW_GROUPS_PER_GUEST_MAX)
			return "a guest has at most 16 groups";
		join_group(guest, (uint16_t)group);
	}
	return NULL;
}

static const char *
set_hairpin(struct vsw_conf *conf, struct vsw_guest_conf *guest, const char *value)
{
	guest->hairpin = strcmp(value, "on") == 0;
	return guest->hairpin || strcmp(value, "off") == 0 ? NULL : "it is on or off";
}

static const char *
set_lcore(struct vsw_conf *conf, struct vsw_guest_conf *guest, const char *value)
{
	const char *wrong;

	guest->lcore = (int32_t)strtonum(value, 0, 1023, &wrong);
	return wrong == NULL ? NULL : "it is the number of a polling lcore";
}

static const struct {
	const char *name;
	set_fn set;
	bool required;
} keys[] = {
	{"guest-cid", set_guest_cid, false},   {"socket", set_socket, true},
	{"uds-path", set_uds_path, true},      {"tx-buffer-size", set_tx_buffer_size, false},
	{"queue-size", set_queue_size, false}, {"groups", set_groups, false},
	{"hairpin", set_hairpin, false},       {"lcore", set_lcore, false},
};

/* guest_cid is guest-cid. */
static bool
same_key(const char *name, const char *key, size_t key_len)
{
	if (strlen(name) != key_len)
		return false;
	for (size_t i = 0; i < key_len; i++) {
		char c = key[i] == '_' ? '-' : key[i];

		if (c != name[i])
			return false;
	}
	return true;
}

static int
find_key(const char *key, size_t key_len)
{
	for (size_t i = 0; i < VSW_ARRAY_SIZE(keys); i++) {
		if (same_key(keys[i].name, key, key_len))
			return (int)i;
	}
	return -1;
}

/* One `key=value`. @return 0 or -EINVAL. */
static int
read_item(struct vsw_conf *conf, struct vsw_guest_conf *guest, const char *arg, char *item,
	  uint32_t *seen, char *error)
{
	char *value = strchr(item, '=');
	size_t key_len = value != NULL ? (size_t)(value - item) : strlen(item);
	int k = find_key(item, key_len);
	const char *wrong;

	if (k < 0) {
		snprintf(error, VSW_CONF_ERROR_SIZE,
			 "--vm %s: unknown key '%.*s'; known are guest-cid, socket, uds-path, "
			 "tx-buffer-size, queue-size, groups, hairpin and lcore",
			 arg, (int)key_len, item);
		return -EINVAL;
	}
	if (*seen & 1u << k) {
		snprintf(error, VSW_CONF_ERROR_SIZE, "--vm %s: %s: it is given twice", arg,
			 keys[k].name);
		return -EINVAL;
	}
	*seen |= 1u << k;
	if (value == NULL || value[1] == '\0') {
		snprintf(error, VSW_CONF_ERROR_SIZE, "--vm %s: %s: it needs a value, %s=...", arg,
			 keys[k].name, keys[k].name);
		return -EINVAL;
	}
	wrong = keys[k].set(conf, guest, value + 1);
	if (wrong != NULL) {
		snprintf(error, VSW_CONF_ERROR_SIZE, "--vm %s: %s: %s is wrong, %s", arg,
			 keys[k].name, value + 1, wrong);
		return -EINVAL;
	}
	return 0;
}

static int
require_keys(const char *arg, uint32_t seen, char *error)
{
	for (size_t i = 0; i < VSW_ARRAY_SIZE(keys); i++) {
		if (keys[i].required && !(seen & 1u << i)) {
			snprintf(error, VSW_CONF_ERROR_SIZE,
				 "--vm %s: %s: it is missing, add %s=PATH", arg, keys[i].name,
				 keys[i].name);
			return -EINVAL;
		}
	}
	return 0;
}

int
vsw_conf_add_vm(struct vsw_conf *conf, const char *arg, char error[VSW_CONF_ERROR_SIZE])
{
	struct vsw_guest_conf guest = {
		.id = (uint16_t)conf->n_guests,
		.cid = VSW_CID_GUEST_MIN,
		.buf_alloc = VSW_BUF_ALLOC_DEFAULT,
		.max_conns = VSW_CONNS_MAX_DEFAULT,
		.max_handshakes = VSW_HANDSHAKES_MAX_DEFAULT,
		.max_loans = VSW_LOANS_MAX,
		.spill_budget = VSW_SPILL_BUDGET_DEFAULT,
		.hairpin = true,
		.lcore = VSW_LCORE_ANY,
	};
	/* The first guest makes it number 0: there is room for it. */
	const uint16_t default_group = (uint16_t)number_of_group(conf, "default");
	char *items, *rest, *item;
	uint32_t seen = 0;
	int rc = 0;

	if (conf->n_guests == VSW_GUESTS_MAX) {
		snprintf(error, VSW_CONF_ERROR_SIZE,
			 "--vm %s: one vswd serves at most %u guests; start another one", arg,
			 VSW_GUESTS_MAX);
		return -EINVAL;
	}
	items = rest = strdup(arg);
	if (items == NULL)
		return -ENOMEM;
	while (rc == 0 && (item = strsep(&rest, ",")) != NULL)
		rc = read_item(conf, &guest, arg, item, &seen, error);
	free(items);
	if (rc == 0)
		rc = require_keys(arg, seen, error);
	if (rc == 0 && guest.n_groups == 0)
		join_group(&guest, default_group);
	if (rc == 0)
		conf->guest[conf->n_guests++] = guest;
	return rc;
}
