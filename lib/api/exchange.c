/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One HTTP request and its answer.
 *
 * MHD calls exchange_on_http() when the headers are there (the endpoint is found, mistakes
 * that need no body are answered), for each piece of the body, and when the request is
 * complete: then the endpoint begins. It either has its answer at once, or has asked the
 * control role; then the connection is suspended until exchange_take_answers() resumes it, and
 * MHD calls once more, for the answer.
 */
#include "api_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/stdlib.h>
#include <bsd/string.h>

#include "vsw_base.h"
#include "vsw_number.h"

#define JSON_TYPE "application/json"

/* More than this is not even read to the end to be refused politely. */
#define BODY_DISCARD_MAX (16 * API_BODY_MAX)

static const struct endpoint endpoints[] = {
	{"GET", "/guests", "counters histograms", false, false, api_guests_list},
	{"POST", "/guests", "", true, false, api_guests_add},
	{"GET", "/guests/{}", "", false, false, api_guest_show},
	{"PATCH", "/guests/{}", "", true, false, api_guest_change},
	{"DELETE", "/guests/{}", "", false, false, api_guest_remove},
	{"GET", "/groups", "", false, false, api_groups_list},
	{"GET", "/stats", "", false, false, api_stats_show},
	{"GET", "/connections", "guest port after max", false, false, api_conns_list},
	{"DELETE", "/connections/{}", "", false, false, api_conn_close},
	{"GET", "/lcores", "", false, false, api_lcores_list},
	{"GET", "/info", "", false, false, api_info_show},
	{"GET", "/log", "", false, false, api_log_show},
	{"PUT", "/log", "", true, false, api_log_set},
	{"POST", "/reload", "", false, false, api_reload},
	{"GET", "/healthz", "", false, false, api_health_show},
	{"GET", "/metrics", "", false, false, api_metrics_show},
	{"PUT", "/vsock", "", true, true, api_vsock_put},
	{"GET", "/capture", "guest port snaplen", false, false, api_capture},
};

/*
 * Answers.
 */

static void
answer(struct exchange *x, unsigned int status, const char *content_type, char *text, size_t len)
{
	x->has_answer = true;
	x->status = status;
	x->content_type = content_type;
	x->text = text;
	x->text_len = len;
}

void
exchange_answer_text(struct exchange *x, unsigned int status, const char *content_type, char *text,
		     size_t len)
{
	if (text == NULL)
		exchange_fail(x, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
	else
		answer(x, status, content_type, text, len);
}

void
exchange_answer_json(struct exchange *x, unsigned int status, json_t *json)
{
	char *text = json_dumps(json, JSON_INDENT(2));
	size_t len = text != NULL ? strlen(text) : 0;
	char *line = text != NULL ? realloc(text, len + 2) : NULL;

	json_decref(json);
	if (line == NULL) {
		free(text);
		answer(x, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, NULL, 0);
		return;
	}
	memcpy(line + len, "\n", 2);
	answer(x, status, JSON_TYPE, line, len + 1);
}

void
exchange_answer_stream(struct exchange *x, const char *content_type, size_t block,
		       MHD_ContentReaderCallback read_on)
{
	answer(x, MHD_HTTP_OK, content_type, NULL, 0);
	x->block = block;
	x->read_on = read_on;
}

void
exchange_answer_nothing(struct exchange *x)
{
	answer(x, MHD_HTTP_NO_CONTENT, NULL, NULL, 0);
}

void
exchange_fail(struct exchange *x, unsigned int status, const char *fmt, ...)
{
	bool is_firecracker = x->endpoint != NULL && x->endpoint->is_firecracker;
	char text[VSW_ERROR_SIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* What a client sent may be quoted, and JSON takes only UTF-8. */
	for (char *p = text; *p != '\0'; p++) {
		if ((unsigned char)*p >= 0x80 || (unsigned char)*p < ' ')
			*p = '?';
	}
	exchange_answer_json(x, status,
			     json_pack("{s:s}", is_firecracker ? "fault_message" : "error", text));
}

static unsigned int
status_of(int rc)
{
	switch (-rc) {
	case EINVAL:
		return MHD_HTTP_BAD_REQUEST;
	case ENOENT:
		return MHD_HTTP_NOT_FOUND;
	case EEXIST:
	case EADDRINUSE:
	case ENOSPC:
		return MHD_HTTP_CONFLICT;
	case EAGAIN:
	case ENOMEM:
	case ESHUTDOWN:
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	default:
		return MHD_HTTP_INTERNAL_SERVER_ERROR;
	}
}

void
exchange_fail_rc(struct exchange *x, int rc, const char *error)
{
	unsigned int status = status_of(rc);

	/* Firecracker knows no other. */
	if (x->endpoint->is_firecracker)
		status = MHD_HTTP_BAD_REQUEST;
	exchange_fail(x, status, "%s", error);
}

/*
 * Asking the control role.
 */

/* Runs on the control lcore, or on the API's thread when vswd is closing down. */
static void
exchange_on_done(struct vsw_request *req)
{
	struct exchange *x = VSW_CONTAINER_OF(req, struct exchange, req);
	struct vsw_api *api = x->api;

	x->next_answered = __atomic_load_n(&api->answered, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&api->answered, &x->next_answered, x, true,
					    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
	/* From here on x is the other thread's. */
	api_wake(api);
}

void
exchange_ask(struct exchange *x, enum vsw_request_verb verb, void (*next)(struct exchange *x))
{
	x->req.verb = verb;
	x->req.done = exchange_on_done;
	x->next = next;
	if (!x->is_suspended) {
		MHD_suspend_connection(x->conn);
		x->is_suspended = true;
	}
	vsw_control_submit(x->api->control, &x->req);
}

void
exchange_change(struct exchange *x, unsigned int i, void (*again)(struct exchange *x),
		void (*next)(struct exchange *x))
{
	x->req.expected = &x->req.guests[i].spec;
	/* The CID: whoever renames it meanwhile has changed it. */
	snprintf(x->req.who, sizeof(x->req.who), "%u", x->req.expected->cid);
	x->again = again;
	exchange_ask(x, VSW_REQUEST_CHANGE_GUEST, next);
}

static void
take_answer(struct exchange *x)
{
	void (*next)(struct exchange * x) = x->next;

	x->next = NULL;
	if (x->req.result == -ESTALE && x->again != NULL)
		x->again(x);
	else if (x->req.result != 0)
		exchange_fail_rc(x, x->req.result, x->req.error);
	else
		next(x);
	if (x->next != NULL)
		return; /* it has asked again */
	x->is_suspended = false;
	MHD_resume_connection(x->conn);
}

void
exchange_take_answers(struct vsw_api *api)
{
	struct exchange *x;

	/* Until none comes: at the end vswd answers the further questions at once. */
	while ((x = __atomic_exchange_n(&api->answered, NULL, __ATOMIC_ACQUIRE)) != NULL) {
		while (x != NULL) {
			struct exchange *following = x->next_answered;

			take_answer(x);
			x = following;
		}
	}
}

/*
 * Requests.
 */

/* @return NULL after an error was answered. */
static json_t *
object_of(struct exchange *x)
{
	json_error_t error;
	json_t *json;

	if (x->body_len == 0) {
		exchange_fail(x, MHD_HTTP_BAD_REQUEST, "the body is empty; it must be JSON");
		return NULL;
	}
	json = json_loadb(x->body, x->body_len, JSON_REJECT_DUPLICATES, &error);
	if (json == NULL) {
		exchange_fail(x, MHD_HTTP_BAD_REQUEST, "body:%d:%d: %s", error.line, error.column,
			      error.text);
		return NULL;
	}
	if (!json_is_object(json)) {
		json_decref(json);
		exchange_fail(x, MHD_HTTP_BAD_REQUEST,
			      "the body must be an object, as in {\"guest_cid\": 3}");
		return NULL;
	}
	return json;
}

bool
exchange_take(struct exchange *x, exchange_read_fn read)
{
	char error[VSW_ERROR_SIZE];
	json_t *body = object_of(x);
	int rc;

	if (body == NULL)
		return false;
	rc = read(body, &x->req, error);
	json_decref(body);
	if (rc != 0)
		exchange_fail_rc(x, rc, error);
	return rc == 0;
}

const char *
exchange_param(struct exchange *x, const char *name)
{
	return MHD_lookup_connection_value(x->conn, MHD_GET_ARGUMENT_KIND, name);
}

bool
exchange_number(struct exchange *x, const char *name, uint64_t max, uint64_t *value)
{
	const char *text = exchange_param(x, name);

	if (text == NULL || vsw_number_read(text, 0, max, value))
		return true;
	exchange_fail(x, MHD_HTTP_BAD_REQUEST,
		      "%s: '%.64s' is wrong, it is a number from 0 to %llu", name, text,
		      (unsigned long long)max);
	return false;
}

/* Is @p name one of the blank-separated @p names? */
static bool
is_among(const char *name, const char *names)
{
	size_t len = strlen(name);

	for (const char *at = names; len > 0 && (at = strstr(at, name)) != NULL; at++) {
		if ((at == names || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
			return true;
	}
	return false;
}

static enum MHD_Result
on_param(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct exchange *x = cls;
	const char *known = x->endpoint->params;

	if (is_among(name, known) && value != NULL)
		return MHD_YES;
	if (is_among(name, known))
		exchange_fail(x, MHD_HTTP_BAD_REQUEST, "%s: it needs a value", name);
	else if (known[0] != '\0')
		exchange_fail(x, MHD_HTTP_BAD_REQUEST, "unknown parameter '%.64s'; known are %s",
			      name, known);
	else
		exchange_fail(x, MHD_HTTP_BAD_REQUEST, "unknown parameter '%.64s'; %s takes none",
			      name, x->endpoint->path);
	return MHD_NO;
}

/* Does @p url match @p path? {} takes one part of it, without a slash. */
static bool
matches(const char *path, const char *url, char who[VSW_NAME_SIZE])
{
	size_t len = strcspn(path, "{");

	who[0] = '\0';
	if (strncmp(path, url, len) != 0)
		return false;
	if (path[len] == '\0')
		return url[len] == '\0';
	return url[len] != '\0' && strchr(url + len, '/') == NULL &&
	       strlcpy(who, url + len, VSW_NAME_SIZE) < VSW_NAME_SIZE;
}

static void
refuse_method(struct exchange *x, const char *url)
{
	char methods[64] = "";

	for (size_t i = 0; i < VSW_ARRAY_SIZE(endpoints); i++) {
		if (!matches(endpoints[i].path, url, x->who))
			continue;
		x->endpoint = &endpoints[i]; /* for the shape of the error */
		strlcat(methods, methods[0] != '\0' ? ", " : "", sizeof(methods));
		strlcat(methods, endpoints[i].method, sizeof(methods));
	}
	if (methods[0] == '\0') {
		exchange_fail(x, MHD_HTTP_NOT_FOUND, "there is no %.128s", url);
		return;
	}
	strlcpy(x->allow, methods, sizeof(x->allow));
	exchange_fail(x, MHD_HTTP_METHOD_NOT_ALLOWED, "%.128s takes %s, not %.16s", url, methods,
		      x->method);
}

/* Find the endpoint; answer what is wrong with method, path, parameters or length. */
static void
route(struct exchange *x, const char *url)
{
	const char *method = strcmp(x->method, "HEAD") == 0 ? "GET" : x->method;
	const char *length;

	for (size_t i = 0; i < VSW_ARRAY_SIZE(endpoints) && x->endpoint == NULL; i++) {
		if (strcmp(endpoints[i].method, method) == 0 &&
		    matches(endpoints[i].path, url, x->who))
			x->endpoint = &endpoints[i];
	}
	if (x->endpoint == NULL) {
		refuse_method(x, url);
		return;
	}
	MHD_get_connection_values(x->conn, MHD_GET_ARGUMENT_KIND, on_param, x);
	length = MHD_lookup_connection_value(x->conn, MHD_HEADER_KIND, "Content-Length");
	if (!x->has_answer && length != NULL && strtoull(length, NULL, 10) > API_BODY_MAX)
		x->is_too_big = true;
}

/* @return false when it is beyond all measure. */
static bool
take_body(struct exchange *x, const char *data, size_t len)
{
	char *body;

	x->body_len += len;
	if (x->has_answer || x->is_too_big || x->body_len > API_BODY_MAX) {
		x->is_too_big |= !x->has_answer;
		return x->body_len <= BODY_DISCARD_MAX;
	}
	body = realloc(x->body, x->body_len);
	if (body == NULL)
		return false;
	x->body = body;
	memcpy(x->body + x->body_len - len, data, len);
	return true;
}

static void
begin(struct exchange *x)
{
	x->is_begun = true;
	if (x->client != NULL)
		x->client->deadline_ms = 0;
	if (x->has_answer)
		return;
	if (x->is_too_big)
		exchange_fail(x, MHD_HTTP_CONTENT_TOO_LARGE,
			      "the body is too long; it has at most %d bytes", API_BODY_MAX);
	else if (!x->endpoint->has_body && x->body_len > 0)
		exchange_fail(x, MHD_HTTP_BAD_REQUEST, "%s %s takes no body", x->endpoint->method,
			      x->endpoint->path);
	else
		x->endpoint->begin(x);
}

static struct MHD_Response *
response_of(struct exchange *x)
{
	if (x->read_on != NULL)
		return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, x->block, x->read_on, x,
							 NULL);
	return MHD_create_response_from_buffer(
		x->text_len, x->text != NULL ? x->text : (char *)(uintptr_t) "",
		x->text != NULL ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result
respond(struct exchange *x)
{
	struct MHD_Response *response = response_of(x);
	enum MHD_Result rc;

	if (response == NULL)
		return MHD_NO;
	x->text = NULL;
	if (x->content_type != NULL)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, x->content_type);
	if (x->location[0] != '\0')
		MHD_add_response_header(response, MHD_HTTP_HEADER_LOCATION, x->location);
	if (x->allow[0] != '\0')
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, x->allow);
	rc = MHD_queue_response(x->conn, x->status, response);
	MHD_destroy_response(response);
	return rc;
}

static struct exchange *
create(struct vsw_api *api, struct MHD_Connection *conn, const char *method)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct exchange *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	x->api = api;
	x->conn = conn;
	x->client = info != NULL ? info->socket_context : NULL;
	strlcpy(x->method, method, sizeof(x->method));
	return x;
}

enum MHD_Result
exchange_on_http(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
		 const char *version, const char *data, size_t *len, void **state)
{
	struct exchange *x = *state;

	if (x == NULL) {
		x = *state = create(cls, conn, method);
		if (x == NULL)
			return MHD_NO;
		route(x, url);
		/* A body that will not be looked at need not come. */
		if (x->is_too_big) {
			begin(x);
			return respond(x);
		}
		return MHD_YES;
	}
	if (*len > 0) {
		bool is_bearable = take_body(x, data, *len);

		*len = 0;
		return is_bearable ? MHD_YES : MHD_NO;
	}
	if (!x->is_begun)
		begin(x);
	/* Without one it is suspended. */
	return x->has_answer ? respond(x) : MHD_YES;
}

void
exchange_on_completed(void *cls, struct MHD_Connection *conn, void **state,
		      enum MHD_RequestTerminationCode why)
{
	struct exchange *x = *state;

	if (x == NULL)
		return;
	api_capture_end(x);
	if (x->client != NULL)
		api_client_expect_request(x->client);
	vsw_request_clear(&x->req);
	free(x->conf);
	free(x->body);
	free(x->text);
	free(x);
	*state = NULL;
}
