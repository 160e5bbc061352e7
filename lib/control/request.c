/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests: the side of the threads that ask.
 */
#include <errno.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#define VSW_LOGTYPE vsw_log_control
#include "vsw_log.h"
#include "control_priv.h"

extern int vsw_log_control;

int
request_fail(struct vsw_request *req, int rc, const char *fmt, ...)
{
	va_list ap;

	req->result = rc;
	va_start(ap, fmt);
	vsnprintf(req->error, sizeof(req->error), fmt, ap);
	va_end(ap);
	return rc;
}

/* The last access to what the control role knows of it; the object may be gone at once. */
void
request_answer(struct vsw_control *control, struct vsw_request *req)
{
	req->done(req);
	__atomic_sub_fetch(&control->n_requests, 1, __ATOMIC_SEQ_CST);
}

void
request_turn_away(struct vsw_control *control, struct vsw_request *req)
{
	request_fail(req, -ESHUTDOWN, "vswd is closing down");
	request_answer(control, req);
}

/* The pool is empty only while lcores are very busy; these threads may wait. */
static struct vsw_msg *
alloc_patiently(void)
{
	struct vsw_msg *msg;

	while ((msg = vsw_msg_alloc(VSW_MSG_REQUEST)) == NULL)
		usleep(100);
	return msg;
}

void
vsw_control_submit(struct vsw_control *control, struct vsw_request *req)
{
	struct vsw_msg *msg;

	req->result = 0;
	req->error[0] = '\0';
	/* Counted before the look at is_closed: vsw_control_close() closes before it counts. */
	__atomic_add_fetch(&control->n_requests, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&control->is_closed, __ATOMIC_SEQ_CST)) {
		request_turn_away(control, req);
		return;
	}
	msg = alloc_patiently();
	msg->request = req;
	vsw_msg_send(control->loop, msg);
}

static void
wake(struct vsw_request *req)
{
	sem_post(req->ctx);
}

int
vsw_control_call(struct vsw_control *control, struct vsw_request *req)
{
	sem_t answered;

	sem_init(&answered, 0, 0);
	req->done = wake;
	req->ctx = &answered;
	vsw_control_submit(control, req);
	while (sem_wait(&answered) != 0)
		; /* EINTR */
	sem_destroy(&answered);
	return req->result;
}

void
vsw_request_clear(struct vsw_request *req)
{
	free(req->guests);
	free(req->lcores);
	free(req->page.conn);
	req->guests = NULL;
	req->lcores = NULL;
	req->page.conn = NULL;
}

/*
 * One function each.
 */

static struct vsw_request *
new_request(enum vsw_request_verb verb, const char *who, char error[VSW_ERROR_SIZE])
{
	struct vsw_request *req = calloc(1, sizeof(*req));

	if (req == NULL) {
		strlcpy(error, "out of memory", VSW_ERROR_SIZE);
		return NULL;
	}
	req->verb = verb;
	if (who != NULL)
		strlcpy(req->who, who, sizeof(req->who));
	return req;
}

static int
call(struct vsw_control *control, struct vsw_request *req, char error[VSW_ERROR_SIZE])
{
	int rc = vsw_control_call(control, req);

	if (rc != 0)
		strlcpy(error, req->error, VSW_ERROR_SIZE);
	return rc;
}

static int
end(struct vsw_request *req, int rc)
{
	vsw_request_clear(req);
	free(req);
	return rc;
}

int
vsw_control_list_guests(struct vsw_control *control, const char *who,
			struct vsw_guest_info **guests, unsigned int *n, char error[VSW_ERROR_SIZE])
{
	struct vsw_request *req = new_request(VSW_REQUEST_LIST_GUESTS, who, error);
	int rc;

	if (req == NULL)
		return -ENOMEM;
	req->with_hists = who != NULL;
	rc = call(control, req, error);
	*guests = req->guests;
	*n = req->n_guests;
	req->guests = NULL;
	return end(req, rc);
}

int
vsw_control_list_conns(struct vsw_control *control, const struct vsw_conn_query *query,
		       struct vsw_conn_page *page, char error[VSW_ERROR_SIZE])
{
	struct vsw_request *req = new_request(VSW_REQUEST_LIST_CONNS, NULL, error);
	int rc;

	if (req == NULL)
		return -ENOMEM;
	req->query = *query;
	rc = call(control, req, error);
	if (rc == 0) {
		*page = req->page;
		req->page.conn = NULL;
	}
	return end(req, rc);
}

int
vsw_control_list_lcores(struct vsw_control *control, struct vsw_lcore_info **lcores,
			unsigned int *n, char error[VSW_ERROR_SIZE])
{
	struct vsw_request *req = new_request(VSW_REQUEST_LIST_LCORES, NULL, error);
	int rc;

	if (req == NULL)
		return -ENOMEM;
	rc = call(control, req, error);
	*lcores = req->lcores;
	*n = req->n_lcores;
	req->lcores = NULL;
	return end(req, rc);
}

int
vsw_control_info(struct vsw_control *control, struct vsw_control_info *info,
		 char error[VSW_ERROR_SIZE])
{
	struct vsw_request *req = new_request(VSW_REQUEST_INFO, NULL, error);
	int rc;

	if (req == NULL)
		return -ENOMEM;
	rc = call(control, req, error);
	*info = req->info;
	return end(req, rc);
}

static int
apply(struct vsw_control *control, const struct vsw_conf *conf, char error[VSW_ERROR_SIZE])
{
	struct vsw_request *req = new_request(VSW_REQUEST_APPLY, NULL, error);

	if (req == NULL)
		return -ENOMEM;
	req->conf = conf;
	return end(req, call(control, req, error));
}

int
vsw_control_read_config(struct vsw_conf *conf, const char *file, char error[VSW_ERROR_SIZE])
{
	int rc = vsw_conf_read_file(conf, file, error);

	if (rc == 0)
		rc = vsw_conf_check(conf, error);
	if (rc != 0)
		VSW_LOG(ERR, "reload failed: %s", error);
	return rc;
}

int
vsw_control_reload(struct vsw_control *control, char error[VSW_ERROR_SIZE])
{
	struct vsw_conf *conf;
	int rc;

	if (control->conf->file[0] == '\0') {
		strlcpy(error, "vswd was started without --config: there is no file to read again",
			VSW_ERROR_SIZE);
		VSW_LOG(ERR, "reload failed: %s", error);
		return -EINVAL;
	}
	conf = calloc(1, sizeof(*conf));
	if (conf == NULL) {
		strlcpy(error, "out of memory", VSW_ERROR_SIZE);
		return -ENOMEM;
	}
	rc = vsw_control_read_config(conf, control->conf->file, error);
	if (rc == 0)
		rc = apply(control, conf, error);
	free(conf);
	return rc;
}
