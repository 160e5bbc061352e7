/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests to vswd's control API.
 */
#ifndef VSW_HTTP_H
#define VSW_HTTP_H

#include <jansson.h>

#include "commands.h"

/*
 * Do a request. @p body is stolen, NULL: none. @p reply out: what came, NULL: nothing; may be
 * NULL itself. Complains when it fails.
 *
 * @return exit status: EXIT_SUCCESS, EXIT_UNREACHABLE, EXIT_REFUSED or EXIT_BROKEN.
 */
int http_call(const struct args *args, const char *method, json_t *body, json_t **reply,
	      const char *path_fmt, ...) __attribute__((format(printf, 5, 6)));

/* The same for @p name, as a user wrote it, in @p folder. */
int http_call_named(const struct args *args, const char *method, json_t *body, json_t **reply,
		    const char *folder, const char *name);

/* DELETE all that the command line names in @p folder. @return the last failure's status. */
int http_delete_all(const struct args *args, const char *folder);

/* GET @p path and hand all that comes to @p take as it comes, until it returns false or
 * @p interrupted is set. */
int http_stream(const struct args *args, const char *path,
		bool (*take)(void *ctx, const char *data, size_t len), void *ctx,
		const int *interrupted);

/* @p text as a part of a path or a parameter; free() it. */
char *http_escape(const char *text);

/* Print JSON as programs want it. */
int print_json(json_t *json);

#endif /* VSW_HTTP_H */
