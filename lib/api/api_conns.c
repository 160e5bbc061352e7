/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections, page by page.
 */
#include <stdlib.h>

#include <bsd/stdlib.h>
#include <bsd/string.h>

#include "api_priv.h"
#include "json.h"
#include "vsw_number.h"

#define ID_MAX ((1ull << 53) - 1)

#define PAGE_DEFAULT 100

static void
tell_page(struct exchange *x)
{
	const struct vsw_conn_page *page = &x->req.page;
	json_t *list = json_array();

	for (uint32_t i = 0; i < page->n_conns; i++)
		json_array_append_new(list, json_of_conn(&page->conn[i]));
	exchange_answer_json(
		x, MHD_HTTP_OK,
		json_pack("{s:o, s:o}", "connections", list, "next",
			  page->next != 0 ? json_integer((json_int_t)page->next) : json_null()));
}

static void
list_of_guest(struct exchange *x)
{
	x->req.query.cid = x->req.guests[0].spec.cid;
	exchange_ask(x, VSW_REQUEST_LIST_CONNS, tell_page);
}

void
api_conns_list(struct exchange *x)
{
	const char *guest = exchange_param(x, "guest");
	uint64_t port = 0, after = 0, max = PAGE_DEFAULT;

	if (!exchange_number(x, "port", UINT32_MAX, &port) ||
	    !exchange_number(x, "after", ID_MAX, &after) ||
	    !exchange_number(x, "max", VSW_CONN_PAGE_MAX, &max))
		return;
	if (max == 0) {
		exchange_fail(x, MHD_HTTP_BAD_REQUEST, "max: it is a number from 1 to %d",
			      VSW_CONN_PAGE_MAX);
		return;
	}
	x->req.query = (struct vsw_conn_query){
		.port = (uint32_t)port,
		.has_port = exchange_param(x, "port") != NULL,
		.after = after,
		.max = (uint32_t)max,
	};
	if (guest == NULL) {
		exchange_ask(x, VSW_REQUEST_LIST_CONNS, tell_page);
		return;
	}
	/* Which CID is that? */
	strlcpy(x->req.who, guest, sizeof(x->req.who));
	exchange_ask(x, VSW_REQUEST_LIST_GUESTS, list_of_guest);
}

void
api_conn_close(struct exchange *x)
{
	if (!vsw_number_read(x->who, 1, ID_MAX, &x->req.conn_id))
		exchange_fail(x, MHD_HTTP_NOT_FOUND,
			      "there is no connection %s: an id is a number, as GET /connections "
			      "lists it",
			      x->who);
	else
		exchange_ask(x, VSW_REQUEST_CLOSE_CONN, exchange_answer_nothing);
}
