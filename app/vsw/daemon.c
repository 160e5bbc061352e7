/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsw reload, vsw log: vswd itself.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "guest.h"
#include "http.h"
#include "table.h"

int
cmd_reload(struct args *args)
{
	return http_call(args, "POST", NULL, NULL, "/reload");
}

static int
show_levels(struct args *args)
{
	static const char *const titles[] = {"TYPE", "LEVEL", NULL};
	const char *pattern = args->types != NULL ? args->types : "vsw.*";
	struct table table;
	const char *type;
	json_t *reply, *level;
	void *tmp;
	int status = http_call(args, "GET", NULL, &reply, "/log");

	if (status != EXIT_SUCCESS)
		return status;
	json_object_foreach_safe(json_object_get(reply, "types"), tmp, type, level)
	{
		if (fnmatch(pattern, type, 0) != 0)
			json_object_del(json_object_get(reply, "types"), type);
	}
	if (args->is_json) {
		print_json(reply);
	} else {
		table_begin(&table, titles);
		json_object_foreach(json_object_get(reply, "types"), type, level)
		{
			table_add(&table, "%s", type);
			table_add(&table, "%s", json_string_value(level));
		}
		table_end(&table, stdout);
	}
	json_decref(reply);
	return EXIT_SUCCESS;
}

int
cmd_log(struct args *args)
{
	json_t *body;

	if (args->argc == 0)
		return show_levels(args);
	body = json_pack("{s:s, s:s}", "level", args->argv[0], "pattern",
			 args->types != NULL ? args->types : "vsw.*");
	return http_call(args, "PUT", body, NULL, "/log");
}
