/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The objects of the API; private to lib/api. Everything runs on the API's thread, but for
 * exchange_on_done().
 *
 *   api.c              the thread, the socket, connections and their deadlines
 *   exchange.c         one HTTP request and its answer: routes, bodies, errors
 *   api_guests.c ...   what the endpoints do
 *   json.c             between JSON and the values of the switch; pure
 */
#ifndef VSW_API_PRIV_H
#define VSW_API_PRIV_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <jansson.h>
#include <microhttpd.h>

#include "vsw_api.h"
#include "vsw_compat.h"

/* A guest has 2 KiB of JSON at most, unless somebody is fond of blanks. */
#define API_BODY_MAX (64 * 1024)

/* Clients at once; each costs a descriptor and up to 100 KiB. */
#define API_CONNECTIONS_MAX 64

/* A connection on which nothing happens, also one that reads nothing of its answer. */
#define API_IDLE_TIMEOUT_S 30

/* From the first byte of a connection, or from the answer before, to the end of the request:
 * whoever sends byte by byte does not hold a place for ever. */
#define API_REQUEST_TIMEOUT_MS 20000

/* A client's connection: what MHD does not bound. */
struct api_client {
	TAILQ_ENTRY(api_client) link;
	int fd;
	int64_t deadline_ms; /* of the request that is being received; 0: none is */
};

struct vsw_api {
	struct vsw_control *control;
	const char *config;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int fd;
	int wake_fd; /* eventfd: answers have come, or the end has */
	struct MHD_Daemon *daemon;
	vsw_thread thread;
	bool has_thread;
	TAILQ_HEAD(, api_client) clients;
	struct exchange *capture; /* the one that captures */

	/* Any thread. */
	bool is_ending;
	struct exchange *answered; /* a stack */
};

/* One HTTP request and its answer. */
struct exchange {
	struct vsw_api *api;
	struct MHD_Connection *conn;
	const struct endpoint *endpoint;
	char method[16];
	struct api_client *client;
	char who[VSW_NAME_SIZE]; /* the {} of the path */

	char *body;
	size_t body_len;
	bool is_too_big;

	struct vsw_request req;
	void (*next)(struct exchange *x);  /* when the answer to req has come */
	void (*again)(struct exchange *x); /* when it was -ESTALE */
	struct exchange *next_answered;
	bool is_begun;
	struct vsw_conf *conf; /* of a reload */

	bool has_answer;
	bool is_suspended;
	unsigned int status;
	char *text; /* malloc()ed */
	size_t text_len;
	const char *content_type;
	MHD_ContentReaderCallback read_on; /* of a stream */
	size_t block;
	char location[32 + VSW_NAME_SIZE]; /* headers of the answer */
	char allow[64];
};

/*
 * For endpoints. Each ends in exactly one answer, or goes on in `next`.
 */

/* Ask the control role for what x->req is filled with; @p next runs when it has answered with
 * 0. An error is told to the client instead. */
void exchange_ask(struct exchange *x, enum vsw_request_verb verb, void (*next)(struct exchange *x));

/* Change the guest that was x->req.guests[@p i] when it was listed to x->req.spec; if somebody
 * else has changed it meanwhile, begin @p again. */
void exchange_change(struct exchange *x, unsigned int i, void (*again)(struct exchange *x),
		     void (*next)(struct exchange *x));

/* 204: it is done. */
void exchange_answer_nothing(struct exchange *x);
/* A reference to @p json is stolen; NULL: out of memory. */
void exchange_answer_json(struct exchange *x, unsigned int status, json_t *json);
/* @p text is free()d; NULL: out of memory. */
void exchange_answer_text(struct exchange *x, unsigned int status, const char *content_type,
			  char *text, size_t len);
/* A body that @p read_on gives piece by piece, at most @p block bytes each. */
void exchange_answer_stream(struct exchange *x, const char *content_type, size_t block,
			    MHD_ContentReaderCallback read_on);
void exchange_fail(struct exchange *x, unsigned int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* What the control role and lib/conf make of -errno. */
void exchange_fail_rc(struct exchange *x, int rc, const char *error);

/* Set of @p req what the body says. @return 0, or -errno with a sentence. */
typedef int (*exchange_read_fn)(const json_t *body, struct vsw_request *req,
				char error[VSW_ERROR_SIZE]);
/* Let @p read have the body, which must be an object. @return false after an error was answered. */
bool exchange_take(struct exchange *x, exchange_read_fn read);
/* A parameter of the query, or NULL. */
const char *exchange_param(struct exchange *x, const char *name);
/* @return false after an error was answered. */
bool exchange_number(struct exchange *x, const char *name, uint64_t max, uint64_t *value);

/* api.c */
void api_client_expect_request(struct api_client *client);
void api_wake(struct vsw_api *api);

/* exchange.c, for api.c */
enum MHD_Result exchange_on_http(void *cls, struct MHD_Connection *conn, const char *url,
				 const char *method, const char *version, const char *data,
				 size_t *len, void **state);
void exchange_on_completed(void *cls, struct MHD_Connection *conn, void **state,
			   enum MHD_RequestTerminationCode why);
void exchange_take_answers(struct vsw_api *api);

/* The endpoints. */
struct endpoint {
	const char *method;
	const char *path;    /* {}: one part, which becomes x->who */
	const char *params;  /* of the query, blank-separated; "": none */
	bool has_body;       /* it takes JSON */
	bool is_firecracker; /* errors are told as fault_message */
	void (*begin)(struct exchange *x);
};

/* List the guest @p who, or all ("") into x->req.guests. */
void api_ask_for_guests(struct exchange *x, const char *who, void (*next)(struct exchange *x));

void api_guests_list(struct exchange *x);
void api_guests_add(struct exchange *x);
void api_guest_show(struct exchange *x);
void api_guest_change(struct exchange *x);
void api_guest_remove(struct exchange *x);
void api_groups_list(struct exchange *x);
void api_stats_show(struct exchange *x);
void api_conns_list(struct exchange *x);
void api_conn_close(struct exchange *x);
void api_lcores_list(struct exchange *x);
void api_info_show(struct exchange *x);
void api_log_show(struct exchange *x);
void api_log_set(struct exchange *x);
void api_reload(struct exchange *x);
void api_health_show(struct exchange *x);
void api_metrics_show(struct exchange *x);
void api_vsock_put(struct exchange *x);
void api_capture(struct exchange *x);

/* api_capture.c: see whether packets have come; the exchange is over. */
void api_capture_tick(struct vsw_api *api);
void api_capture_end(struct exchange *x);

#endif /* VSW_API_PRIV_H */
