/* SPDX-License-Identifier: BSD-3-Clause */
#include "json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vsw_base.h"

/* Paths and groups may be anything; JSON is UTF-8. */
static json_t *
text_of(const char *text)
{
	json_t *json = json_string(text);
	char copy[256];
	size_t len = 0;

	if (json != NULL)
		return json;
	for (; len < sizeof(copy) - 1 && text[len] != '\0'; len++) {
		copy[len] = '?';
		if ((unsigned char)text[len] < 0x80)
			copy[len] = text[len];
	}
	copy[len] = '\0';
	return json_string(copy);
}

/*
 * Guests, one way.
 */

static json_t *
groups_of(const struct vsw_guest_spec *spec)
{
	json_t *groups = json_array();

	for (unsigned int i = 0; i < spec->n_groups; i++)
		json_array_append_new(groups, text_of(spec->group[i]));
	return groups;
}

static json_t *
forward_of(const struct vsw_guest_spec *spec)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < spec->n_forwards; i++)
		json_array_append_new(list, json_pack("{s:o, s:I}", "listen",
						      text_of(spec->forward[i].path), "port",
						      (json_int_t)spec->forward[i].port));
	return list;
}

static json_t *
numbers_of(const uint32_t *number, unsigned int n)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < n; i++)
		json_array_append_new(list, json_integer(number[i]));
	return list;
}

static json_t *
path_or_null(const char *path)
{
	return path[0] != '\0' ? text_of(path) : json_null();
}

static json_t *
number_unless(int64_t value, int64_t none)
{
	return value != none ? json_integer(value) : json_null();
}

static json_t *
mode_of(const struct vsw_guest_spec *spec)
{
	char text[16];

	if (spec->socket_mode == VSW_MODE_DEFAULT)
		return json_null();
	snprintf(text, sizeof(text), "%04o", (unsigned int)spec->socket_mode);
	return json_string(text);
}

/* What is under "limits". */
static const struct limit {
	const char *name, *key;
	size_t offset;
} limits[] = {
	{"connections", "limit-connections", offsetof(struct vsw_guest_spec, max_connections)},
	{"handshakes", "limit-handshakes", offsetof(struct vsw_guest_spec, max_handshakes)},
	{"loans", "limit-loans", offsetof(struct vsw_guest_spec, max_loans)},
	{"spill_bytes", "limit-spill-bytes", offsetof(struct vsw_guest_spec, spill_bytes)},
};

static uint32_t *
limit_at(const struct vsw_guest_spec *spec, const struct limit *limit)
{
	return (uint32_t *)((uintptr_t)spec + limit->offset);
}

static json_t *
limits_of(const struct vsw_guest_spec *spec)
{
	json_t *object = json_object();

	for (size_t i = 0; i < VSW_ARRAY_SIZE(limits); i++)
		json_object_set_new(object, limits[i].name,
				    json_integer(*limit_at(spec, &limits[i])));
	return object;
}

json_t *
json_of_spec(const struct vsw_guest_spec *spec)
{
	return json_pack("{s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:b, s:o, s:b, "
			 "s:o, s:o, s:o, s:o}",
			 "name", spec->name,                                                    /**/
			 "guest_cid", (json_int_t)spec->cid,                                    /**/
			 "socket", text_of(spec->socket),                                       /**/
			 "uds_path", path_or_null(spec->uds_path),                              /**/
			 "forward_cid", number_unless(spec->forward_cid, VSW_FORWARD_CID_NONE), /**/
			 "forward_listen",
			 numbers_of(spec->forward_listen, spec->n_forward_listen),     /**/
			 "forward", forward_of(spec),                                  /**/
			 "host_cids", numbers_of(spec->host_cid, spec->n_host_cids),   /**/
			 "tx_buffer_size", (json_int_t)spec->window_bytes,             /**/
			 "queue_size", number_unless(spec->queue_size, 0),             /**/
			 "groups", groups_of(spec),                                    /**/
			 "hairpin", spec->hairpin,                                     /**/
			 "lcore", number_unless(spec->lcore, -1),                      /**/
			 "client", spec->client,                                       /**/
			 "socket_mode", mode_of(spec),                                 /**/
			 "socket_owner", number_unless(spec->socket_owner, (uid_t)-1), /**/
			 "socket_group", number_unless(spec->socket_group, (gid_t)-1), /**/
			 "limits", limits_of(spec));
}

json_t *
json_of_counters(const struct vsw_counters *counters)
{
	json_t *object = json_object();

	for (int i = 0; i < VSW_N_COUNTERS; i++)
		json_object_set_new(object, vsw_counter_name(i),
				    json_integer((json_int_t)counters->value[i]));
	return object;
}

static json_t *
json_of_hist(const struct vsw_hist *h)
{
	json_t *buckets = json_array();

	for (unsigned int i = 0; i < VSW_HIST_N_BUCKETS; i++) {
		uint64_t end = vsw_hist_from(i + 1);

		if (h->bucket[i] == 0)
			continue;
		json_array_append_new(
			buckets,
			json_pack("{s:I, s:o, s:I}",                       /**/
				  "from_us", (json_int_t)vsw_hist_from(i), /**/
				  "below_us",
				  end == UINT64_MAX ? json_null() : json_integer((json_int_t)end),
				  "count", (json_int_t)h->bucket[i]));
	}
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}",                 /**/
			 "count", (json_int_t)vsw_hist_count(h),           /**/
			 "sum_us", (json_int_t)h->sum_us,                  /**/
			 "p50_us", (json_int_t)vsw_hist_percentile(h, 50), /**/
			 "p99_us", (json_int_t)vsw_hist_percentile(h, 99), /**/
			 "max_us", (json_int_t)h->max_us,                  /**/
			 "buckets", buckets);
}

json_t *
json_of_hists(const struct vsw_hists *hists)
{
	json_t *object = json_object();

	for (int i = 0; i < VSW_N_HISTS; i++)
		json_object_set_new(object, vsw_hist_name(i), json_of_hist(&hists->of[i]));
	return object;
}

json_t *
json_of_guest(const struct vsw_guest_info *info, bool with_counters, bool with_hists)
{
	json_t *guest = json_of_spec(&info->spec);

	json_object_set_new(guest, "status",
			    json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:b}",       /**/
				      "state", vsw_guest_state_str(info->state),        /**/
				      "connections", (json_int_t)info->n_conns,         /**/
				      "handshakes", (json_int_t)info->n_handshakes,     /**/
				      "loans_out", (json_int_t)info->n_loans,           /**/
				      "far_waiting_bytes", (json_int_t)info->n_waiting, /**/
				      "poll_lcore", (json_int_t)info->poll_lcore,       /**/
				      "bridge_lcore", (json_int_t)info->bridge_lcore,   /**/
				      "from_config", info->from_config));
	if (with_counters)
		json_object_set_new(guest, "counters", json_of_counters(&info->counters));
	if (with_hists)
		json_object_set_new(guest, "histograms", json_of_hists(&info->hists));
	return guest;
}

json_t *
json_of_groups(const struct vsw_guest_info *guests, unsigned int n)
{
	json_t *groups = json_object();

	for (unsigned int i = 0; i < n; i++) {
		for (unsigned int k = 0; k < guests[i].spec.n_groups; k++) {
			const char *name = guests[i].spec.group[k];
			json_t *members = json_object_get(groups, name);

			if (members == NULL) {
				members = json_array();
				json_object_set_new(groups, name, members);
			}
			json_array_append_new(members, json_string(guests[i].spec.name));
		}
	}
	return groups;
}

/*
 * Guests, the other way.
 */

#define IS_STRING 1u
#define IS_NUMBER 2u
#define IS_BOOL 4u
#define IS_LIST 8u
#define IS_OBJECT 16u

static const struct {
	const char *key;
	unsigned int is;
	const char *right;
} spec_keys[] = {
	{"name", IS_STRING, "a string"},
	{"guest_cid", IS_NUMBER, "a number from 3 to 4294967294"},
	{"socket", IS_STRING, "a string"},
	{"uds_path", IS_STRING, "a string"},
	{"forward_cid", IS_NUMBER, "a number, or null for none"},
	{"forward_listen", IS_LIST | IS_STRING | IS_NUMBER, "a list of numbers"},
	{"forward", IS_LIST | IS_STRING,
	 "a list, as in [{\"listen\": \"/run/web\", \"port\": 80}]"},
	{"host_cids", IS_LIST | IS_STRING | IS_NUMBER, "a list of numbers"},
	{"tx_buffer_size", IS_NUMBER, "a number"},
	{"queue_size", IS_NUMBER, "a number, or null for any"},
	{"groups", IS_LIST | IS_STRING, "a list of strings"},
	{"hairpin", IS_BOOL, "true or false"},
	{"lcore", IS_NUMBER, "a number, or null for any"},
	{"client", IS_BOOL, "true or false"},
	{"socket_mode", IS_STRING, "a string of octal digits as in \"0660\""},
	{"socket_owner", IS_STRING | IS_NUMBER, "a user's name or number"},
	{"socket_group", IS_STRING | IS_NUMBER, "a group's name or number"},
	{"limits", IS_OBJECT, "an object, as in {\"connections\": 1000}"},
};

static unsigned int
kind_of(const json_t *value)
{
	return json_is_string(value)    ? IS_STRING
	       : json_is_integer(value) ? IS_NUMBER
	       : json_is_boolean(value) ? IS_BOOL
	       : json_is_array(value)   ? IS_LIST
	       : json_is_object(value)  ? IS_OBJECT
					: 0;
}

/* The default of one key: that of a guest about which nothing was said. */
static void
reset_key(struct vsw_guest_spec *spec, const char *key)
{
	struct vsw_guest_spec def;

	vsw_guest_spec_init(&def);
	if (strcmp(key, "name") == 0)
		memcpy(spec->name, def.name, sizeof(spec->name));
	else if (strcmp(key, "guest_cid") == 0)
		spec->cid = def.cid;
	else if (strcmp(key, "socket") == 0)
		memcpy(spec->socket, def.socket, sizeof(spec->socket));
	else if (strcmp(key, "uds_path") == 0)
		memcpy(spec->uds_path, def.uds_path, sizeof(spec->uds_path));
	else if (strcmp(key, "forward_cid") == 0)
		spec->forward_cid = def.forward_cid;
	else if (strcmp(key, "tx_buffer_size") == 0)
		spec->window_bytes = def.window_bytes;
	else if (strcmp(key, "queue_size") == 0)
		spec->queue_size = def.queue_size;
	else if (vsw_guest_spec_clear_list(spec, key) == 0)
		return;
	else if (strcmp(key, "hairpin") == 0)
		spec->hairpin = def.hairpin;
	else if (strcmp(key, "lcore") == 0)
		spec->lcore = def.lcore;
	else if (strcmp(key, "client") == 0)
		spec->client = def.client;
	else if (strcmp(key, "socket_mode") == 0)
		spec->socket_mode = def.socket_mode;
	else if (strcmp(key, "socket_owner") == 0)
		spec->socket_owner = def.socket_owner;
	else if (strcmp(key, "socket_group") == 0)
		spec->socket_group = def.socket_group;
	else if (strcmp(key, "limits") == 0) {
		for (size_t i = 0; i < VSW_ARRAY_SIZE(limits); i++)
			*limit_at(spec, &limits[i]) = *limit_at(&def, &limits[i]);
	}
}

/* {"listen": PATH, "port": N} */
static int
add_forward(struct vsw_guest_spec *spec, const json_t *object, char why[VSW_WHY_SIZE])
{
	const char *path = json_string_value(json_object_get(object, "listen"));
	const json_t *port = json_object_get(object, "port");
	char number[32];

	if (path == NULL || !json_is_integer(port) || json_object_size(object) != 2) {
		snprintf(why, VSW_WHY_SIZE,
			 "it is a list of objects as in {\"listen\": \"/run/web\", \"port\": 80}");
		return -EINVAL;
	}
	snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(port));
	return vsw_guest_spec_add_forward(spec, path, number, why);
}

static bool
is_of_numbers(const char *key)
{
	return strcmp(key, "host_cids") == 0 || strcmp(key, "forward_listen") == 0;
}

static int
add_item(struct vsw_guest_spec *spec, const char *key, const json_t *item, char why[VSW_WHY_SIZE])
{
	char number[32];

	if (json_is_object(item) && strcmp(key, "forward") == 0)
		return add_forward(spec, item, why);
	if (json_is_integer(item) && is_of_numbers(key)) {
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(item));
		return vsw_guest_spec_add(spec, key, number, why);
	}
	if (json_is_string(item))
		return vsw_guest_spec_add(spec, key, json_string_value(item), why);
	snprintf(why, VSW_WHY_SIZE, "it is a list of %s",
		 strcmp(key, "forward") == 0 ? "objects"
		 : is_of_numbers(key)        ? "numbers"
					     : "strings");
	return -EINVAL;
}

static int
set_list(struct vsw_guest_spec *spec, const char *key, const json_t *list, char why[VSW_WHY_SIZE])
{
	int rc = vsw_guest_spec_clear_list(spec, key);

	for (size_t i = 0; i < json_array_size(list) && rc == 0; i++)
		rc = add_item(spec, key, json_array_get(list, i), why);
	return rc;
}

static int
set_limit(struct vsw_guest_spec *spec, const struct limit *limit, const json_t *value,
	  char why[VSW_WHY_SIZE])
{
	struct vsw_guest_spec def;
	char number[32];

	if (json_is_null(value)) {
		vsw_guest_spec_init(&def);
		*limit_at(spec, limit) = *limit_at(&def, limit);
		return 0;
	}
	if (!json_is_integer(value)) {
		snprintf(why, VSW_WHY_SIZE, "it is a number");
		return -EINVAL;
	}
	snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return vsw_guest_spec_set(spec, limit->key, number, why);
}

static const struct limit *
find_limit(const char *name)
{
	for (size_t i = 0; i < VSW_ARRAY_SIZE(limits); i++) {
		if (strcmp(limits[i].name, name) == 0)
			return &limits[i];
	}
	return NULL;
}

static int
set_limits(struct vsw_guest_spec *spec, const json_t *object, char why[VSW_WHY_SIZE])
{
	char reason[VSW_WHY_SIZE];
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, name, value)
	{
		const struct limit *limit = find_limit(name);

		if (limit == NULL) {
			snprintf(why, VSW_WHY_SIZE,
				 "unknown field '%.64s'; known are connections, "
				 "handshakes, loans and spill_bytes",
				 name);
			return -EINVAL;
		}
		if (set_limit(spec, limit, value, reason) != 0) {
			snprintf(why, VSW_WHY_SIZE, "%s: %.256s", name, reason);
			return -EINVAL;
		}
	}
	return 0;
}

static int
set_key(struct vsw_guest_spec *spec, const char *key, const json_t *value, char why[VSW_WHY_SIZE])
{
	char number[32];

	if (json_is_null(value)) {
		reset_key(spec, key);
		return 0;
	}
	if (json_is_array(value))
		return set_list(spec, key, value, why);
	if (json_is_object(value))
		return set_limits(spec, value, why);
	if (json_is_string(value))
		return vsw_guest_spec_set(spec, key, json_string_value(value), why);
	if (json_is_boolean(value))
		return vsw_guest_spec_set(spec, key, json_is_true(value) ? "on" : "off", why);
	snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return vsw_guest_spec_set(spec, key, number, why);
}

static int
find_key(const char *key)
{
	for (size_t i = 0; i < VSW_ARRAY_SIZE(spec_keys); i++) {
		if (strcmp(spec_keys[i].key, key) == 0)
			return (int)i;
	}
	return -1;
}

/* Such as " name, guest_cid and socket". */
static int
refuse_key(const char *key, char error[VSW_ERROR_SIZE])
{
	size_t len =
		(size_t)snprintf(error, VSW_ERROR_SIZE, "unknown field '%.64s'; known are ", key);

	for (size_t i = 0; i < VSW_ARRAY_SIZE(spec_keys); i++) {
		const char *before = i == 0                              ? ""
				     : i + 1 < VSW_ARRAY_SIZE(spec_keys) ? ", "
									 : " and ";

		len += (size_t)snprintf(error + len, VSW_ERROR_SIZE - len, "%s%s", before,
					spec_keys[i].key);
	}
	return -EINVAL;
}

int
json_to_spec(const json_t *object, struct vsw_guest_spec *spec, char error[VSW_ERROR_SIZE])
{
	struct vsw_guest_spec wanted = *spec;
	char why[VSW_WHY_SIZE];
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		int k = find_key(key);

		if (k < 0)
			return refuse_key(key, error);
		if (!json_is_null(value) && !(kind_of(value) & spec_keys[k].is)) {
			snprintf(error, VSW_ERROR_SIZE, "%s: it is %s", key, spec_keys[k].right);
			return -EINVAL;
		}
		if (set_key(&wanted, key, value, why) != 0) {
			snprintf(error, VSW_ERROR_SIZE, "%s: %s", key, why);
			return -EINVAL;
		}
	}
	*spec = wanted;
	return 0;
}

/*
 * Others.
 */

json_t *
json_of_conn(const struct vsw_conn_info *conn)
{
	return json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:b, s:s, s:s, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I,"
		" s:I, s:I, s:I, s:b, s:b}",
		"id", (json_int_t)conn->id,                                 /**/
		"guest_cid", (json_int_t)conn->guest_cid,                   /**/
		"guest_port", (json_int_t)conn->guest_port,                 /**/
		"far_cid", (json_int_t)conn->far_cid,                       /**/
		"far_port", (json_int_t)conn->far_port,                     /**/
		"far_is_host", conn->far_is_host,                           /**/
		"opened_by", conn->from_guest ? "guest" : "far",            /**/
		"state", conn->state,                                       /**/
		"age_s", (double)conn->age_ms / 1000,                       /**/
		"from_guest_bytes", (json_int_t)conn->from_guest_bytes,     /**/
		"to_guest_bytes", (json_int_t)conn->to_guest_bytes,         /**/
		"from_guest_packets", (json_int_t)conn->from_guest_packets, /**/
		"to_guest_packets", (json_int_t)conn->to_guest_packets,     /**/
		"from_guest_stalls", (json_int_t)conn->from_guest_stalls,   /**/
		"to_guest_stalls", (json_int_t)conn->to_guest_stalls,       /**/
		"loans_out", (json_int_t)conn->loans_out,                   /**/
		"guest_window", (json_int_t)conn->guest_window,             /**/
		"waiting_bytes", (json_int_t)conn->waiting_bytes,           /**/
		"far_waiting_bytes", (json_int_t)conn->far_waiting_bytes,   /**/
		"guest_sends", conn->guest_sends,                           /**/
		"guest_receives", conn->guest_receives);
}

json_t *
json_of_lcore(const struct vsw_lcore_info *lcore)
{
	const struct vsw_loop_stats *stats = &lcore->stats;
	json_t *roles = json_array();

	if (lcore->is_control)
		json_array_append_new(roles, json_string("control"));
	if (lcore->is_bridge)
		json_array_append_new(roles, json_string("bridge"));
	if (lcore->is_poll)
		json_array_append_new(roles, json_string("poll"));
	return json_pack("{s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", /**/
			 "lcore", (json_int_t)lcore->lcore,                    /**/
			 "roles", roles,                                       /**/
			 "guests", (json_int_t)lcore->n_guests,                /**/
			 "bridged_guests", (json_int_t)lcore->n_bridged,       /**/
			 "busy_cycles", (json_int_t)stats->busy_cycles,        /**/
			 "idle_cycles", (json_int_t)(stats->total_cycles - stats->busy_cycles),
			 "total_cycles", (json_int_t)stats->total_cycles, /**/
			 "turns", (json_int_t)stats->n_turns,             /**/
			 "messages", (json_int_t)stats->n_messages,       /**/
			 "sleeps", (json_int_t)stats->n_sleeps);
}

/*
 * Fields of small objects.
 */

static int
check_field(const struct json_field *field, const json_t *value, char error[VSW_ERROR_SIZE])
{
	if (!field->is_cid && json_is_string(value))
		return 0;
	if (field->is_cid && json_is_integer(value) && json_integer_value(value) >= 0 &&
	    json_integer_value(value) <= UINT32_MAX)
		return 0; /* which of them a guest may have is seen where it is set */
	snprintf(error, VSW_ERROR_SIZE, "%s: it is a %s", field->name,
		 field->is_cid ? "number from 3 to 4294967294" : "string");
	return -EINVAL;
}

static const struct json_field *
find_field(const struct json_field *field, const char *name)
{
	while (field->name != NULL && strcmp(field->name, name) != 0)
		field++;
	return field;
}

int
json_check_fields(const json_t *object, const struct json_field *fields, char error[VSW_ERROR_SIZE])
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		const struct json_field *field = find_field(fields, key);

		if (field->name == NULL) {
			size_t len = (size_t)snprintf(error, VSW_ERROR_SIZE,
						      "unknown field '%.64s'; known are", key);

			for (field = fields; field->name != NULL; field++)
				len += (size_t)snprintf(error + len, VSW_ERROR_SIZE - len, "%s %s",
							field == fields ? "" : ",", field->name);
			return -EINVAL;
		}
		if (check_field(field, value, error) != 0)
			return -EINVAL;
	}
	for (const struct json_field *field = fields; field->name != NULL; field++) {
		if (field->is_required && json_object_get(object, field->name) == NULL) {
			snprintf(error, VSW_ERROR_SIZE, "%s: it is missing", field->name);
			return -EINVAL;
		}
	}
	return 0;
}

static const char *const log_levels[] = {
	"",        "emergency", "alert", "critical", "error", /* as EAL names them */
	"warning", "notice",    "info",  "debug",
};

uint32_t
json_log_level(const char *text)
{
	for (uint32_t i = 1; i < VSW_ARRAY_SIZE(log_levels); i++) {
		if (strcmp(text, log_levels[i]) == 0)
			return i;
	}
	return text[0] >= '1' && text[0] <= '8' && text[1] == '\0' ? (uint32_t)(text[0] - '0') : 0;
}

const char *
json_log_level_str(uint32_t level)
{
	return level < VSW_ARRAY_SIZE(log_levels) ? log_levels[level] : "unknown";
}
