/* SPDX-License-Identifier: BSD-3-Clause */
#include "http.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

/* Removing a guest may take 3 s; more than that and vswd is not well. */
#define TIMEOUT_S 60L

struct received {
	char *text;
	size_t len;
	bool (*take)(void *ctx, const char *data, size_t len); /* NULL: keep it */
	void *ctx;
	const int *interrupted;
	bool was_enough;
	CURL *curl;
};

static bool
keep(struct received *r, const char *data, size_t len)
{
	char *text = realloc(r->text, r->len + len + 1);

	if (text == NULL)
		return false;
	r->text = text;
	memcpy(text + r->len, data, len);
	r->len += len;
	text[r->len] = '\0';
	return true;
}

static size_t
on_data(char *data, size_t size, size_t n, void *ctx)
{
	struct received *r = ctx;
	size_t len = size * n;
	long status = 0;

	/* An error is text, also where a stream was asked for. */
	curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &status);
	if (r->take == NULL || status != 200)
		return keep(r, data, len) ? len : 0;
	if (r->take(r->ctx, data, len))
		return len;
	r->was_enough = true;
	return 0;
}

/* Called about once a second also while nothing comes. */
static int
on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct received *r = ctx;

	r->was_enough |= __atomic_load_n(r->interrupted, __ATOMIC_RELAXED) != 0;
	return r->was_enough;
}

/* @return false: out of memory. */
static bool
set_up(CURL *curl, const struct args *args, const char *path, struct received *r)
{
	char *url = NULL;
	bool is_set;

	if (asprintf(&url, "http://vswd%s", path) < 0)
		return false;
	is_set = curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK;
	free(url);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, args->api);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, r);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* whatever the environment says */
	return is_set;
}

/* @return exit status. */
static int
perform(CURL *curl, const struct args *args, struct received *r)
{
	CURLcode rc = curl_easy_perform(curl);
	const char *why = NULL;
	json_t *error;
	long status = 0;

	if (rc == CURLE_COULDNT_CONNECT)
		return complain(args, EXIT_UNREACHABLE,
				"no vswd answers at %s: is it running with --api, and may you use "
				"its socket?",
				args->api);
	if (rc != CURLE_OK && !r->was_enough)
		return complain(args, EXIT_BROKEN, "%s: %s", args->api, curl_easy_strerror(rc));
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (status < 400)
		return EXIT_SUCCESS;
	error = r->text != NULL ? json_loads(r->text, 0, NULL) : NULL;
	why = json_string_value(json_object_get(error, "error"));
	if (why != NULL)
		complain(args, 0, "%s", why);
	else
		complain(args, 0, "vswd answered with %ld", status);
	json_decref(error);
	return EXIT_REFUSED;
}

static int
call(const struct args *args, const char *method, const char *body, const char *path,
     json_t **reply)
{
	CURL *curl = curl_easy_init();
	struct received r = {.curl = curl};
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	json_error_t error;
	int status;

	if (curl == NULL || headers == NULL || !set_up(curl, args, path, &r))
		return complain(args, EXIT_BROKEN, "out of memory");
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
	if (body != NULL) {
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	}
	status = perform(curl, args, &r);
	if (status == EXIT_SUCCESS && reply != NULL && r.text != NULL) {
		*reply = json_loads(r.text, 0, &error);
		if (*reply == NULL)
			status = complain(args, EXIT_BROKEN, "%s does not speak JSON: %s",
					  args->api, error.text);
	}
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	free(r.text);
	return status;
}

int
http_call(const struct args *args, const char *method, json_t *body, json_t **reply,
	  const char *path_fmt, ...)
{
	char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
	char *path = NULL;
	va_list ap;
	int status;

	if (reply != NULL)
		*reply = NULL;
	va_start(ap, path_fmt);
	if (vasprintf(&path, path_fmt, ap) < 0)
		path = NULL;
	va_end(ap);
	if (path == NULL || (body != NULL && text == NULL))
		status = complain(args, EXIT_BROKEN, "out of memory");
	else
		status = call(args, method, text, path, reply);
	json_decref(body);
	free(text);
	free(path);
	return status;
}

int
http_call_named(const struct args *args, const char *method, json_t *body, json_t **reply,
		const char *folder, const char *name)
{
	char *escaped = http_escape(name);
	int status = http_call(args, method, body, reply, "%s/%s", folder, escaped);

	free(escaped);
	return status;
}

int
http_delete_all(const struct args *args, const char *folder)
{
	int worst = EXIT_SUCCESS;

	for (int i = 0; i < args->argc; i++) {
		int status = http_call_named(args, "DELETE", NULL, NULL, folder, args->argv[i]);

		worst = status != EXIT_SUCCESS ? status : worst;
	}
	return worst;
}

int
http_stream(const struct args *args, const char *path,
	    bool (*take)(void *ctx, const char *data, size_t len), void *ctx,
	    const int *interrupted)
{
	CURL *curl = curl_easy_init();
	struct received r = {.curl = curl, .take = take, .ctx = ctx, .interrupted = interrupted};
	int status;

	if (curl == NULL || !set_up(curl, args, path, &r))
		return complain(args, EXIT_BROKEN, "out of memory");
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &r);
	status = perform(curl, args, &r);
	curl_easy_cleanup(curl);
	free(r.text);
	return status;
}

char *
http_escape(const char *text)
{
	char *curls = curl_easy_escape(NULL, text, 0);
	char *ours = curls != NULL ? strdup(curls) : NULL;

	curl_free(curls);
	return ours != NULL ? ours : strdup("");
}

int
print_json(json_t *json)
{
	json_dumpf(json, stdout, JSON_INDENT(2));
	putchar('\n');
	return EXIT_SUCCESS;
}
