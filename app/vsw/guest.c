/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsw guest, vsw config: guests as vswd has them.
 */
#include <ctype.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include "commands.h"
#include "guest.h"
#include "http.h"
#include "table.h"
#include "vsw_base.h"
#include "vsw_number.h"

const char *
text_at(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

long long
number_at(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* "a+b" */
static const char *
groups_of(const json_t *guest, char *text, size_t size)
{
	const json_t *groups = json_object_get(guest, "groups");
	size_t i;
	json_t *group;

	text[0] = '\0';
	json_array_foreach((json_t *)(uintptr_t)groups, i, group)
	{
		strlcat(text, i > 0 ? "+" : "", size);
		strlcat(text, json_string_value(group), size);
	}
	return text;
}

int
cmd_guest_list(struct args *args)
{
	static const char *const titles[] = {">CID",   "NAME",   "STATE",    ">CONNS",
					     ">LCORE", "GROUPS", "UDS PATH", NULL};
	struct table table;
	char groups[1100];
	json_t *reply, *guest;
	size_t i;
	int status = http_call(args, "GET", NULL, &reply, "/guests");

	if (status != EXIT_SUCCESS)
		return status;
	if (args->is_json) {
		print_json(reply);
		json_decref(reply);
		return EXIT_SUCCESS;
	}
	table_begin(&table, titles);
	json_array_foreach(json_object_get(reply, "guests"), i, guest)
	{
		const json_t *state = json_object_get(guest, "status");

		table_add(&table, "%lld", number_at(guest, "guest_cid"));
		table_add(&table, "%s", text_at(guest, "name"));
		table_add(&table, "%s", text_at(state, "state"));
		table_add(&table, "%lld", number_at(state, "connections"));
		table_add(&table, "%lld", number_at(state, "poll_lcore"));
		table_add(&table, "%s", groups_of(guest, groups, sizeof(groups)));
		table_add(&table, "%s", text_at(guest, "uds_path"));
	}
	table_end(&table, stdout);
	json_decref(reply);
	return EXIT_SUCCESS;
}

static void
print_limits(const json_t *limits)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)limits, key, value)
		printf("limit_%-14s %lld\n", key, (long long)json_integer_value(value));
}

/* "PATH:PORT+PATH:PORT", or "3+4": as `vsw guest add` takes it. */
static void
print_list(const char *key, const json_t *list)
{
	size_t i;
	json_t *item;

	printf("%-20s ", key);
	json_array_foreach((json_t *)(uintptr_t)list, i, item)
	{
		fputs(i > 0 ? "+" : "", stdout);
		if (json_is_object(item))
			printf("%s:%lld", text_at(item, "listen"), number_at(item, "port"));
		else
			printf("%lld", (long long)json_integer_value(item));
	}
	putchar('\n');
}

/* A value as one word. */
static void
print_value(const json_t *guest, const char *key, const json_t *value)
{
	char groups[1100];

	if (strcmp(key, "groups") == 0)
		printf("%-20s %s\n", key, groups_of(guest, groups, sizeof(groups)));
	else if (json_is_string(value))
		printf("%-20s %s\n", key, json_string_value(value));
	else if (json_is_boolean(value))
		printf("%-20s %s\n", key, json_is_true(value) ? "on" : "off");
	else if (json_is_integer(value))
		printf("%-20s %lld\n", key, (long long)json_integer_value(value));
	else if (strcmp(key, "limits") == 0)
		print_limits(value);
	else if (json_array_size(value) > 0)
		print_list(key, value);
}

static void
print_time(const char *key, const json_t *hist)
{
	char p50[HUMAN_SIZE], p99[HUMAN_SIZE], max[HUMAN_SIZE];

	printf("%-20s %lld, half within %s, 99%% within %s, all within %s\n", key,
	       number_at(hist, "count"), duration(number_at(hist, "p50_us"), p50),
	       duration(number_at(hist, "p99_us"), p99), duration(number_at(hist, "max_us"), max));
}

static void
print_guest(json_t *guest)
{
	const char *key;
	json_t *value;

	json_object_foreach(guest, key, value) print_value(guest, key, value);
	json_object_foreach(json_object_get(guest, "status"), key, value)
		print_value(guest, key, value);
	json_object_foreach(json_object_get(guest, "counters"), key, value)
	{
		if (json_integer_value(value) != 0)
			print_value(guest, key, value);
	}
	json_object_foreach(json_object_get(guest, "histograms"), key, value)
	{
		if (number_at(value, "count") != 0)
			print_time(key, value);
	}
}

/* Print what vswd answered and let go of it. */
static int
show(const struct args *args, int status, json_t *guest)
{
	if (status == EXIT_SUCCESS && args->is_json)
		print_json(guest);
	else if (status == EXIT_SUCCESS)
		print_guest(guest);
	json_decref(guest);
	return status;
}

int
cmd_guest_show(struct args *args)
{
	json_t *guest;
	int status = http_call_named(args, "GET", NULL, &guest, "/guests", args->argv[0]);

	return show(args, status, guest);
}

bool
guest_uds_path(const char *who, char *path, size_t size, char *why, size_t why_size)
{
	struct args args = {.api = default_api(), .is_quiet = true};
	json_t *guest;
	int status = http_call_named(&args, "GET", NULL, &guest, "/guests", who);

	strlcpy(path, text_at(guest, "uds_path"), size);
	json_decref(guest);
	if (path[0] != '\0')
		return true;
	if (status == EXIT_UNREACHABLE)
		snprintf(why, why_size,
			 "no vswd answers at %s, which would know where guest %s is: has it --api, "
			 "and may you use it?",
			 args.api, who);
	else
		snprintf(why, why_size, "vswd has no guest %s", who);
	return false;
}

/*
 * Add and change.
 */

/* Relative to us, not to vswd. */
static json_t *
path_of(const char *value)
{
	char path[PATH_MAX], cwd[PATH_MAX];

	if (value[0] == '/' || value[0] == '\0' || getcwd(cwd, sizeof(cwd)) == NULL)
		return json_string(value);
	snprintf(path, sizeof(path), "%.2000s/%.2000s", cwd, value);
	return json_string(path);
}

/* "PATH:PORT+PATH:PORT"; nothing: an empty list. */
static json_t *
forward_of(const char *value)
{
	char copy[4096];
	char *rest = copy, *item;
	json_t *list = json_array();
	uint32_t port;

	strlcpy(copy, value, sizeof(copy));
	while (value[0] != '\0' && (item = strsep(&rest, "+")) != NULL) {
		char *colon = strrchr(item, ':');

		if (colon == NULL || !vsw_number_read_u32(colon + 1, 0, UINT32_MAX, &port)) {
			json_decref(list);
			return json_string(value);
		}
		*colon = '\0';
		json_array_append_new(list, json_pack("{s:o, s:I}", "listen", path_of(item), "port",
						      (json_int_t)port));
	}
	return list;
}

/* As JSON has it; what is not of the right type is sent as it is, and vswd says what would
 * be right. */
static json_t *
value_of(const char *key, const char *value)
{
	static const char *const numbers[] = {"guest_cid",   "forward_cid", "tx_buffer_size",
					      "queue_size",  "lcore",       "connections",
					      "spill_bytes", "handshakes",  "loans"};
	static const char *const booleans[] = {"hairpin", "client"};
	uint32_t number;

	for (size_t i = 0; i < VSW_ARRAY_SIZE(numbers); i++) {
		if (strcmp(key, numbers[i]) == 0 &&
		    vsw_number_read_u32(value, 0, UINT32_MAX, &number))
			return json_integer(number);
	}
	for (size_t i = 0; i < VSW_ARRAY_SIZE(booleans); i++) {
		if (strcmp(key, booleans[i]) != 0)
			continue;
		if (strcmp(value, "on") == 0 || strcmp(value, "true") == 0)
			return json_true();
		if (strcmp(value, "off") == 0 || strcmp(value, "false") == 0)
			return json_false();
	}
	if (strcmp(key, "socket") == 0 || strcmp(key, "uds_path") == 0)
		return path_of(value);
	if (strcmp(key, "forward") == 0)
		return forward_of(value);
	if ((strcmp(key, "host_cids") == 0 || strcmp(key, "forward_listen") == 0) &&
	    value[0] == '\0')
		return json_array();
	return json_string(value);
}

/* limit_connections is connections of limits. */
static void
set_value(json_t *body, const char *key, const char *value)
{
	static const char prefix[] = "limit_";
	const char *limit = key + strlen(prefix);

	if (strncmp(key, prefix, strlen(prefix)) != 0) {
		json_object_set_new(body, key, value_of(key, value));
		return;
	}
	if (json_object_get(body, "limits") == NULL)
		json_object_set_new(body, "limits", json_object());
	json_object_set_new(json_object_get(body, "limits"), limit, value_of(limit, value));
}

/* Of "key=value,key=value", keys in either spelling. @return NULL after a complaint. */
static json_t *
body_of(const struct args *args, int first)
{
	json_t *body = json_object();

	for (int i = first; i < args->argc; i++) {
		char *rest = args->argv[i];
		char *item;

		while ((item = strsep(&rest, ",")) != NULL) {
			char *value = strchr(item, '=');

			if (value == NULL) {
				complain(args, 0, "'%s': it must be KEY=VALUE, as in guest-cid=7",
					 item);
				json_decref(body);
				return NULL;
			}
			*value++ = '\0';
			for (char *p = item; *p != '\0'; p++) {
				if (*p == '-')
					*p = '_';
			}
			set_value(body, item, value);
		}
	}
	return body;
}

int
cmd_guest_add(struct args *args)
{
	json_t *body = body_of(args, 0);
	json_t *guest;
	int status;

	if (body == NULL)
		return EXIT_USAGE;
	status = http_call(args, "POST", body, &guest, "/guests");
	if (args->is_json || status != EXIT_SUCCESS)
		return show(args, status, guest);
	printf("guest %lld (%s): its VMM may connect to %s\n", number_at(guest, "guest_cid"),
	       text_at(guest, "name"), text_at(guest, "socket"));
	json_decref(guest);
	return status;
}

int
cmd_guest_change(struct args *args)
{
	json_t *body = body_of(args, 1);
	json_t *guest;
	int status;

	if (body == NULL)
		return EXIT_USAGE;
	status = http_call_named(args, "PATCH", body, &guest, "/guests", args->argv[0]);
	if (args->is_json)
		return show(args, status, guest);
	json_decref(guest);
	return status;
}

int
cmd_guest_del(struct args *args)
{
	return http_delete_all(args, "/guests");
}

/*
 * vsw config.
 */

static void
print_yaml(const char *key, const json_t *value, bool is_first)
{
	printf("%s%s: ", is_first ? "  - " : "    ", key);
	/* A value of JSON is one of YAML. */
	json_dumpf(value, stdout, JSON_ENCODE_ANY);
	putchar('\n');
}

int
cmd_config_show(struct args *args)
{
	json_t *reply, *guest, *value;
	const char *key;
	size_t i;
	int status = http_call(args, "GET", NULL, &reply, "/guests");

	if (status != EXIT_SUCCESS)
		return status;
	json_array_foreach(json_object_get(reply, "guests"), i, guest)
		json_object_del(guest, "status");
	if (args->is_json) {
		print_json(reply);
		json_decref(reply);
		return EXIT_SUCCESS;
	}
	puts(json_array_size(json_object_get(reply, "guests")) > 0 ? "vms:" : "vms: []");
	json_array_foreach(json_object_get(reply, "guests"), i, guest)
	{
		bool is_first = true;

		json_object_foreach(guest, key, value)
		{
			if (json_is_null(value))
				continue; /* the default */
			print_yaml(key, value, is_first);
			is_first = false;
		}
	}
	json_decref(reply);
	return EXIT_SUCCESS;
}

/* vswd knows; the one beside this program rather than any other. */
int
cmd_config_check(struct args *args)
{
	char self[PATH_MAX] = "";
	char vswd[PATH_MAX + 8];

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) > 0) {
		snprintf(vswd, sizeof(vswd), "%s/vswd", dirname(self));
		execl(vswd, "vswd", "--check", args->argv[0], NULL);
	}
	execlp("vswd", "vswd", "--check", args->argv[0], NULL);
	return complain(args, EXIT_BROKEN, "vswd, which has to look at it, cannot be run: %s",
			strerror(errno));
}
