/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vswd itself: lcores, log levels, the configuration file, health.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_log.h>

#include <bsd/string.h>

#include "api_priv.h"
#include "json.h"
#include "vsw_version.h"

static void
tell_lcores(struct exchange *x)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < x->req.n_lcores; i++)
		json_array_append_new(list, json_of_lcore(&x->req.lcores[i]));
	exchange_answer_json(x, MHD_HTTP_OK, json_pack("{s:o}", "lcores", list));
}

void
api_lcores_list(struct exchange *x)
{
	exchange_ask(x, VSW_REQUEST_LIST_LCORES, tell_lcores);
}

static json_t *
json_of_info(const struct vsw_control_info *info)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:b, s:b, s:s?}",     /**/
			 "version", VSW_VERSION,                     /**/
			 "guests", (json_int_t)info->n_guests,       /**/
			 "max_guests", (json_int_t)info->max_guests, /**/
			 "connections", (json_int_t)info->n_conns,   /**/
			 "ready", info->is_ready,                    /**/
			 "closing_down", info->is_going,             /**/
			 "config", info->config);
}

static void
tell_info(struct exchange *x)
{
	exchange_answer_json(x, MHD_HTTP_OK, json_of_info(&x->req.info));
}

void
api_info_show(struct exchange *x)
{
	exchange_ask(x, VSW_REQUEST_INFO, tell_info);
}

static void
tell_health(struct exchange *x)
{
	const struct vsw_control_info *info = &x->req.info;
	bool is_well = info->is_ready && !info->is_going;

	exchange_answer_json(x, is_well ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
			     json_pack("{s:s}", "status",
				       is_well          ? "ok"
				       : info->is_going ? "closing down"
							: "starting"));
}

void
api_health_show(struct exchange *x)
{
	exchange_ask(x, VSW_REQUEST_INFO, tell_health);
}

/*
 * Log levels.
 */

/* Of a line "id 0: lib.eal, level is info". */
static void
read_log_line(json_t *types, char *line)
{
	char *name = strstr(line, ": ");
	char *level = strstr(line, ", level is ");

	if (strncmp(line, "id ", 3) != 0 || name == NULL || level == NULL)
		return;
	*level = '\0';
	level += strlen(", level is ");
	level[strcspn(level, "\n")] = '\0';
	json_object_set_new(types, name + 2,
			    json_string(json_log_level_str(json_log_level(level))));
}

/* EAL tells its log types in this way only. */
static json_t *
log_types(void)
{
	json_t *types = json_object();
	char *text = NULL, *rest, *line;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (f == NULL)
		return types;
	rte_log_dump(f);
	fclose(f);
	for (rest = text; (line = strsep(&rest, "\n")) != NULL;)
		read_log_line(types, line);
	free(text);
	return types;
}

void
api_log_show(struct exchange *x)
{
	exchange_answer_json(x, MHD_HTTP_OK, json_pack("{s:o}", "types", log_types()));
}

static int
read_log(const json_t *body, struct vsw_request *req, char error[VSW_ERROR_SIZE])
{
	static const struct json_field fields[] = {
		{"level", true, false},
		{"pattern", false, false},
		{NULL},
	};
	const char *level = json_string_value(json_object_get(body, "level"));
	const char *pattern = json_string_value(json_object_get(body, "pattern"));
	int rc = json_check_fields(body, fields, error);

	if (rc != 0)
		return rc;
	req->log_level = level != NULL ? json_log_level(level) : 0;
	if (req->log_level == 0) {
		snprintf(error, VSW_ERROR_SIZE,
			 "level: '%.64s' is wrong, it is emergency, alert, critical, error, "
			 "warning, notice, info or debug",
			 level != NULL ? level : "");
		return -EINVAL;
	}
	if (strlcpy(req->log_pattern, pattern != NULL ? pattern : "vsw.*",
		    sizeof(req->log_pattern)) >= sizeof(req->log_pattern)) {
		snprintf(error, VSW_ERROR_SIZE, "pattern: it has at most %zu characters",
			 sizeof(req->log_pattern) - 1);
		return -EINVAL;
	}
	return 0;
}

void
api_log_set(struct exchange *x)
{
	if (exchange_take(x, read_log))
		exchange_ask(x, VSW_REQUEST_SET_LOG_LEVEL, exchange_answer_nothing);
}

/*
 * The configuration file: read here, where it may take its time; applied by the control role.
 */

void
api_reload(struct exchange *x)
{
	char error[VSW_ERROR_SIZE];
	int rc;

	if (x->api->config == NULL) {
		exchange_fail(x, MHD_HTTP_CONFLICT,
			      "vswd was started without --config: there is no file to read again");
		return;
	}
	x->conf = calloc(1, sizeof(*x->conf));
	if (x->conf == NULL) {
		exchange_fail(x, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
		return;
	}
	rc = vsw_control_read_config(x->conf, x->api->config, error);
	if (rc != 0) {
		exchange_fail(x, MHD_HTTP_BAD_REQUEST, "%s", error);
		return;
	}
	x->req.conf = x->conf;
	exchange_ask(x, VSW_REQUEST_APPLY, exchange_answer_nothing);
}
