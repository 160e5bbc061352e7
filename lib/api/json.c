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

static json_t *
limits_of(const struct vsw_guest_spec *spec)
{
	return json_pack("{s:I, s:I, s:I, s:I}",                           /**/
			 "connections", (json_int_t)spec->max_connections, /**/
			 "handshakes", (json_int_t)spec->max_handshakes,   /**/
			 "loans", (json_int_t)spec->max_loans,             /**/
			 "spill_bytes", (json_int_t)spec->spill_bytes);
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
			    json_pack("{s:s, s:I, s:I, s:I, s:I, s:b}",               /**/
				      "state", vsw_guest_state_str(info->state),      /**/
				      "connections", (json_int_t)info->n_conns,       /**/
				      "loans_out", (json_int_t)info->n_loans,         /**/
				      "poll_lcore", (json_int_t)info->poll_lcore,     /**/
				      "bridge_lcore", (json_int_t)info->bridge_lcore, /**/
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

static const struct {
	unsigned int is;
	const char *right;
} kinds[] = {
	[VSW_KEY_TEXT] = {IS_STRING, "a string"},
	[VSW_KEY_NUMBER] = {IS_NUMBER, "a number, or null for the default"},
	[VSW_KEY_LIMIT] = {IS_NUMBER, "a number, or null for the default"},
	[VSW_KEY_CID] = {IS_NUMBER, "a number from 3 to 4294967294"},
	[VSW_KEY_BOOL] = {IS_BOOL, "true or false"},
	[VSW_KEY_MODE] = {IS_STRING, "a string of octal digits as in \"0660\""},
	[VSW_KEY_ID] = {IS_STRING | IS_NUMBER, "a name or a number"},
	[VSW_KEY_TEXTS] = {IS_LIST | IS_STRING, "a list of strings"},
	[VSW_KEY_NUMBERS] = {IS_LIST | IS_STRING | IS_NUMBER, "a list of numbers"},
	[VSW_KEY_FORWARDS] = {IS_LIST | IS_STRING,
			      "a list, as in [{\"listen\": \"/run/web\", \"port\": 80}]"},
};

static unsigned int
kind_of(const json_t *value)
{
	return json_is_string(value)    ? IS_STRING
	       : json_is_integer(value) ? IS_NUMBER
	       : json_is_boolean(value) ? IS_BOOL
	       : json_is_array(value)   ? IS_LIST
					: 0;
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

static int
add_item(struct vsw_guest_spec *spec, int k, const json_t *item, char why[VSW_WHY_SIZE])
{
	const enum vsw_key_kind kind = vsw_guest_spec_kind(k);
	char number[32];

	if (json_is_object(item) && kind == VSW_KEY_FORWARDS)
		return add_forward(spec, item, why);
	if (json_is_integer(item) && kind == VSW_KEY_NUMBERS) {
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(item));
		return vsw_guest_spec_add(spec, k, number, why);
	}
	if (json_is_string(item))
		return vsw_guest_spec_add(spec, k, json_string_value(item), why);
	snprintf(why, VSW_WHY_SIZE, "it is a list of %s",
		 kind == VSW_KEY_FORWARDS  ? "objects"
		 : kind == VSW_KEY_NUMBERS ? "numbers"
					   : "strings");
	return -EINVAL;
}

static int
set_list(struct vsw_guest_spec *spec, int k, const json_t *list, char why[VSW_WHY_SIZE])
{
	int rc = 0;

	vsw_guest_spec_reset(spec, k);
	for (size_t i = 0; i < json_array_size(list) && rc == 0; i++)
		rc = add_item(spec, k, json_array_get(list, i), why);
	return rc;
}

/* Key number k. */
static int
set_key(struct vsw_guest_spec *spec, int k, const json_t *value, char why[VSW_WHY_SIZE])
{
	const char *key = vsw_guest_spec_key_at((unsigned int)k);
	char number[32];

	if (json_is_null(value)) {
		vsw_guest_spec_reset(spec, k);
		return 0;
	}
	if (!(kind_of(value) & kinds[vsw_guest_spec_kind(k)].is)) {
		snprintf(why, VSW_WHY_SIZE, "it is %s", kinds[vsw_guest_spec_kind(k)].right);
		return -EINVAL;
	}
	if (json_is_array(value))
		return set_list(spec, k, value, why);
	if (json_is_string(value))
		return vsw_guest_spec_set(spec, key, json_string_value(value), why);
	if (json_is_boolean(value))
		return vsw_guest_spec_set(spec, key, json_is_true(value) ? "on" : "off", why);
	snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return vsw_guest_spec_set(spec, key, number, why);
}

/* Here there is but one spelling. */
static bool
is_spelled_right(const char *key)
{
	return strchr(key, '-') == NULL;
}

static int
set_limits(struct vsw_guest_spec *spec, const json_t *limits, char why[VSW_WHY_SIZE])
{
	char reason[VSW_WHY_SIZE];
	const char *name;
	json_t *value;

	if (!json_is_null(limits) && !json_is_object(limits)) {
		snprintf(why, VSW_WHY_SIZE, "it is an object, as in {\"connections\": 1000}");
		return -EINVAL;
	}
	for (unsigned int k = 0; json_is_null(limits) && vsw_guest_spec_key_at(k) != NULL; k++) {
		if (vsw_guest_spec_kind((int)k) == VSW_KEY_LIMIT)
			vsw_guest_spec_reset(spec, (int)k);
	}
	json_object_foreach((json_t *)(uintptr_t)limits, name, value)
	{
		int k = vsw_guest_spec_find_limit(name);

		if (k < 0 || !is_spelled_right(name)) {
			snprintf(why, VSW_WHY_SIZE, "unknown field '%.64s'; known are %.400s", name,
				 vsw_guest_spec_known(VSW_KNOWN_LIMITS, reason));
			return -EINVAL;
		}
		if (set_key(spec, k, value, reason) != 0) {
			snprintf(why, VSW_WHY_SIZE, "%s: %.256s", name, reason);
			return -EINVAL;
		}
	}
	return 0;
}

static int
set_field(struct vsw_guest_spec *spec, const char *key, const json_t *value,
	  char error[VSW_ERROR_SIZE])
{
	const int k = vsw_guest_spec_find_key(key);
	const bool is_limits = strcmp(key, "limits") == 0;
	char why[VSW_WHY_SIZE];
	int rc;

	if (!is_limits &&
	    (k < 0 || vsw_guest_spec_kind(k) == VSW_KEY_LIMIT || !is_spelled_right(key))) {
		snprintf(error, VSW_ERROR_SIZE, "unknown field '%.64s'; known are %s", key,
			 vsw_guest_spec_known(VSW_KNOWN_FIELDS, why));
		return -EINVAL;
	}
	rc = is_limits ? set_limits(spec, value, why) : set_key(spec, k, value, why);
	if (rc != 0)
		snprintf(error, VSW_ERROR_SIZE, "%s: %s", key, why);
	return rc;
}

int
json_to_spec(const json_t *object, struct vsw_guest_spec *spec, char error[VSW_ERROR_SIZE])
{
	struct vsw_guest_spec wanted = *spec;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		if (set_field(&wanted, key, value, error) != 0)
			return -EINVAL;
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
