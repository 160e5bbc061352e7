/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsw conn: connections, all pages of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "guest.h"
#include "http.h"
#include "table.h"

/* Append the page behind @p *next to @p list. */
static int
take_page(const struct args *args, const char *filter, long long *next, json_t *list)
{
	json_t *reply;
	int status = http_call(args, "GET", NULL, &reply, "/connections?max=1000&after=%lld%s",
			       *next, filter);

	if (status != EXIT_SUCCESS)
		return status;
	json_array_extend(list, json_object_get(reply, "connections"));
	*next = number_at(reply, "next");
	json_decref(reply);
	return EXIT_SUCCESS;
}

static int
take_all(const struct args *args, json_t *list)
{
	char *guest = http_escape(args->guest != NULL ? args->guest : "");
	char filter[512];
	char port[32] = "";
	long long next = 0;
	int status;

	if (args->has_port)
		snprintf(port, sizeof(port), "&port=%u", args->port);
	snprintf(filter, sizeof(filter), "%s%.256s%s", args->guest != NULL ? "&guest=" : "", guest,
		 port);
	free(guest);
	do
		status = take_page(args, filter, &next, list);
	while (status == EXIT_SUCCESS && next != 0);
	return status;
}

static const char *
end_of(const json_t *conn, const char *who, char text[32])
{
	char cid_key[16], port_key[16];
	long long cid;

	snprintf(cid_key, sizeof(cid_key), "%s_cid", who);
	snprintf(port_key, sizeof(port_key), "%s_port", who);
	cid = number_at(conn, cid_key);
	if (strcmp(who, "far") == 0 && json_is_true(json_object_get(conn, "far_is_host")))
		snprintf(text, 32, "host:%lld", number_at(conn, port_key));
	else
		snprintf(text, 32, "%lld:%lld", cid, number_at(conn, port_key));
	return text;
}

static void
add_row(struct table *table, const json_t *conn)
{
	char text[32], number[HUMAN_SIZE];

	table_add(table, "%lld", number_at(conn, "id"));
	table_add(table, "%s", end_of(conn, "guest", text));
	table_add(table, "%s", strcmp(text_at(conn, "opened_by"), "guest") == 0 ? "->" : "<-");
	table_add(table, "%s", end_of(conn, "far", text));
	table_add(table, "%s", text_at(conn, "state"));
	table_add(table, "%.1f", json_real_value(json_object_get(conn, "age_s")));
	table_add(table, "%s", human((double)number_at(conn, "from_guest_bytes"), number));
	table_add(table, "%s", human((double)number_at(conn, "to_guest_bytes"), number));
}

int
cmd_conn_list(struct args *args)
{
	static const char *const titles[] = {">ID",         ">GUEST",    "",
					     "FAR END",     "STATE",     ">AGE/s",
					     ">FROM GUEST", ">TO GUEST", NULL};
	json_t *list = json_array();
	json_t *conn;
	struct table table;
	size_t i;
	int status = take_all(args, list);

	if (status == EXIT_SUCCESS && args->is_json) {
		json_t *object = json_pack("{s:O}", "connections", list);

		print_json(object);
		json_decref(object);
	} else if (status == EXIT_SUCCESS) {
		table_begin(&table, titles);
		json_array_foreach(list, i, conn) add_row(&table, conn);
		table_end(&table, stdout);
	}
	json_decref(list);
	return status;
}

int
cmd_conn_close(struct args *args)
{
	return http_delete_all(args, "/connections");
}
