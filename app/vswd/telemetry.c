/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK 22.11's containers hold numbers and strings only, one level deep, and an answer has at
 * most 16 KiB; so lists are of numbers, each of which another command tells more about.
 */
#include "telemetry.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vsw_base.h"
#include "vsw_compat.h"
#include "vsw_number.h"

/* Numbers of 16 digits, so that a list stays below 16 KiB; DPDK's own bound is 512. */
#define LIST_MAX 500

/* Held while a command is carried out. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct vsw_control *control; /* NULL: vswd is ending */

/* @return true and the number that @p params is, up to a comma. */
static bool
read_number(const char **params, uint64_t max, uint64_t *number)
{
	char text[32];
	size_t len;
	bool is_right;

	if (*params == NULL)
		return false;
	len = strcspn(*params, ",");
	snprintf(text, sizeof(text), "%.*s", (int)len, *params);
	is_right = vsw_number_read(text, 0, max, number);
	*params = (*params)[len] == ',' ? *params + len + 1 : NULL;
	return is_right;
}

/*
 * Guests.
 */

/* @return guests to free(), or NULL: all, or the one that @p params names. */
static struct vsw_guest_info *
guests_of(const char *params, unsigned int *n)
{
	struct vsw_guest_info *guests = NULL;
	char error[VSW_ERROR_SIZE];

	*n = 0;
	if (control == NULL || vsw_control_list_guests(control, params, &guests, n, error) != 0)
		return NULL;
	return guests;
}

static int
list_guests(const char *params, struct rte_tel_data *data)
{
	unsigned int n;
	struct vsw_guest_info *guests = guests_of(NULL, &n);

	if (guests == NULL)
		return -ESHUTDOWN;
	rte_tel_data_start_array(data, RTE_TEL_UINT_VAL);
	for (unsigned int i = 0; i < n; i++)
		rte_tel_data_add_array_uint(data, guests[i].spec.cid);
	free(guests);
	return 0;
}

/* The one guest that the parameters name; the caller frees it. @return 0 or -errno. */
static int
guest_of(const char *params, struct vsw_guest_info **guest)
{
	unsigned int n;

	if (params == NULL || params[0] == '\0')
		return -EINVAL;
	*guest = guests_of(params, &n);
	return *guest != NULL ? 0 : -ENOENT;
}

static int
tell_guest(const char *params, struct rte_tel_data *data)
{
	struct vsw_guest_info *guest;
	int rc = guest_of(params, &guest);

	if (rc != 0)
		return rc;
	rte_tel_data_start_dict(data);
	rte_tel_data_add_dict_uint(data, "cid", guest->spec.cid);
	rte_tel_data_add_dict_string(data, "name", guest->spec.name);
	rte_tel_data_add_dict_string(data, "state", vsw_guest_state_str(guest->state));
	rte_tel_data_add_dict_uint(data, "connections", guest->n_conns);
	rte_tel_data_add_dict_uint(data, "connections_max", guest->spec.max_connections);
	rte_tel_data_add_dict_uint(data, "handshakes", guest->n_handshakes);
	rte_tel_data_add_dict_uint(data, "handshakes_max", guest->spec.max_handshakes);
	rte_tel_data_add_dict_uint(data, "loans_out", guest->n_loans);
	rte_tel_data_add_dict_uint(data, "loans_out_max", guest->spec.max_loans);
	rte_tel_data_add_dict_uint(data, "far_waiting_bytes", guest->n_waiting);
	rte_tel_data_add_dict_uint(data, "spill_bytes_max", guest->spec.spill_bytes);
	rte_tel_data_add_dict_uint(data, "poll_lcore", guest->poll_lcore);
	rte_tel_data_add_dict_uint(data, "bridge_lcore", guest->bridge_lcore);
	rte_tel_data_add_dict_string(data, "socket", guest->spec.socket);
	rte_tel_data_add_dict_string(data, "uds_path", guest->spec.uds_path);
	free(guest);
	return 0;
}

static int
tell_guest_stats(const char *params, struct rte_tel_data *data)
{
	struct vsw_guest_info *guest;
	int rc = guest_of(params, &guest);

	if (rc != 0)
		return rc;
	rte_tel_data_start_dict(data);
	for (int i = 0; i < VSW_N_COUNTERS; i++)
		rte_tel_data_add_dict_uint(data, vsw_counter_name(i), guest->counters.value[i]);
	free(guest);
	return 0;
}

static void
add_time(struct rte_tel_data *data, const char *hist, const char *what, uint64_t value)
{
	char key[64];

	snprintf(key, sizeof(key), "%s_%s", hist, what);
	rte_tel_data_add_dict_uint(data, key, value);
}

static int
tell_guest_times(const char *params, struct rte_tel_data *data)
{
	struct vsw_guest_info *guest;
	int rc = guest_of(params, &guest);

	if (rc != 0)
		return rc;
	rte_tel_data_start_dict(data);
	for (int i = 0; i < VSW_N_HISTS; i++) {
		const struct vsw_hist *h = &guest->hists.of[i];
		const char *name = vsw_hist_name(i);

		add_time(data, name, "count", vsw_hist_count(h));
		add_time(data, name, "sum_us", h->sum_us);
		add_time(data, name, "p50_us", vsw_hist_percentile(h, 50));
		add_time(data, name, "p99_us", vsw_hist_percentile(h, 99));
		add_time(data, name, "max_us", h->max_us);
	}
	free(guest);
	return 0;
}

/*
 * Connections.
 */

static int
list_conns(const char *params, struct rte_tel_data *data)
{
	struct vsw_conn_query query = {.max = LIST_MAX};
	struct vsw_conn_page page;
	char error[VSW_ERROR_SIZE];
	uint64_t cid;

	if (params != NULL && params[0] != '\0') {
		if (!read_number(&params, UINT32_MAX, &cid) ||
		    (params != NULL && !read_number(&params, INT64_MAX, &query.after)))
			return -EINVAL;
		query.cid = (uint32_t)cid;
	}
	if (control == NULL || vsw_control_list_conns(control, &query, &page, error) != 0)
		return -ENOENT;
	rte_tel_data_start_array(data, RTE_TEL_UINT_VAL);
	for (uint32_t i = 0; i < page.n_conns; i++)
		rte_tel_data_add_array_uint(data, page.conn[i].id);
	free(page.conn);
	return 0;
}

static void
describe_conn(const struct vsw_conn_info *conn, struct rte_tel_data *data)
{
	rte_tel_data_start_dict(data);
	rte_tel_data_add_dict_uint(data, "id", conn->id);
	rte_tel_data_add_dict_uint(data, "guest_cid", conn->guest_cid);
	rte_tel_data_add_dict_uint(data, "guest_port", conn->guest_port);
	rte_tel_data_add_dict_uint(data, "far_cid", conn->far_cid);
	rte_tel_data_add_dict_uint(data, "far_port", conn->far_port);
	rte_tel_data_add_dict_string(data, "opened_by", conn->from_guest ? "guest" : "far");
	rte_tel_data_add_dict_string(data, "state", conn->state);
	rte_tel_data_add_dict_uint(data, "age_ms", conn->age_ms);
	rte_tel_data_add_dict_uint(data, "from_guest_bytes", conn->from_guest_bytes);
	rte_tel_data_add_dict_uint(data, "to_guest_bytes", conn->to_guest_bytes);
	rte_tel_data_add_dict_uint(data, "from_guest_packets", conn->from_guest_packets);
	rte_tel_data_add_dict_uint(data, "to_guest_packets", conn->to_guest_packets);
	rte_tel_data_add_dict_uint(data, "from_guest_stalls", conn->from_guest_stalls);
	rte_tel_data_add_dict_uint(data, "to_guest_stalls", conn->to_guest_stalls);
	rte_tel_data_add_dict_uint(data, "loans_out", conn->loans_out);
}

static int
tell_conn(const char *params, struct rte_tel_data *data)
{
	struct vsw_conn_query query = {.max = 1};
	struct vsw_conn_page page;
	char error[VSW_ERROR_SIZE];
	uint64_t id;
	int rc = -ENOENT;

	if (!read_number(&params, INT64_MAX, &id) || id == 0)
		return -EINVAL;
	query.after = id - 1;
	if (control == NULL || vsw_control_list_conns(control, &query, &page, error) != 0)
		return -ENOENT;
	if (page.n_conns == 1 && page.conn[0].id == id) {
		describe_conn(&page.conn[0], data);
		rc = 0;
	}
	free(page.conn);
	return rc;
}

/*
 * Lcores: the shape of newer DPDK's /eal/lcore/usage.
 */

static int
add_numbers(struct rte_tel_data *data, const char *name, const struct vsw_lcore_info *lcores,
	    unsigned int n, uint64_t (*value)(const struct vsw_lcore_info *lcore))
{
	struct rte_tel_data *list = rte_tel_data_alloc();

	if (list == NULL)
		return -ENOMEM;
	rte_tel_data_start_array(list, RTE_TEL_UINT_VAL);
	for (unsigned int i = 0; i < n; i++)
		rte_tel_data_add_array_uint(list, value(&lcores[i]));
	return rte_tel_data_add_dict_container(data, name, list, 0);
}

static uint64_t
id_of(const struct vsw_lcore_info *lcore)
{
	return lcore->lcore;
}

static uint64_t
total_of(const struct vsw_lcore_info *lcore)
{
	return lcore->stats.total_cycles;
}

static uint64_t
busy_of(const struct vsw_lcore_info *lcore)
{
	return lcore->stats.busy_cycles;
}

static uint64_t
guests_at(const struct vsw_lcore_info *lcore)
{
	return lcore->n_guests;
}

static uint64_t
bridged_at(const struct vsw_lcore_info *lcore)
{
	return lcore->n_bridged;
}

static uint64_t
messages_of(const struct vsw_lcore_info *lcore)
{
	return lcore->stats.n_messages;
}

static int
tell_lcores(const char *params, struct rte_tel_data *data)
{
	struct vsw_lcore_info *lcores = NULL;
	char error[VSW_ERROR_SIZE];
	unsigned int n;
	int rc;

	if (control == NULL || vsw_control_list_lcores(control, &lcores, &n, error) != 0)
		return -ESHUTDOWN;
	rte_tel_data_start_dict(data);
	rc = add_numbers(data, "lcore_ids", lcores, n, id_of);
	if (rc == 0)
		rc = add_numbers(data, "total_cycles", lcores, n, total_of);
	if (rc == 0)
		rc = add_numbers(data, "busy_cycles", lcores, n, busy_of);
	if (rc == 0)
		rc = add_numbers(data, "guests", lcores, n, guests_at);
	if (rc == 0)
		rc = add_numbers(data, "bridged_guests", lcores, n, bridged_at);
	if (rc == 0)
		rc = add_numbers(data, "messages", lcores, n, messages_of);
	free(lcores);
	return rc;
}

/*
 * Registration.
 */

static const struct {
	const char *name;
	int (*tell)(const char *params, struct rte_tel_data *data);
	const char *help;
} commands[] = {
	{"/vsock/guest/list", list_guests, "CIDs of the guests. Takes no parameters"},
	{"/vsock/guest/info", tell_guest, "What a guest is. Parameter: its CID or name"},
	{"/vsock/guest/stats", tell_guest_stats,
	 "Counters of a guest, see counters.md. Parameter: its CID or name"},
	{"/vsock/guest/times", tell_guest_times,
	 "How long things took for a guest, see counters.md. Parameter: its CID or name"},
	{"/vsock/conn/list", list_conns,
	 "Ids of connections, up to 500. Parameters: CID (0: all guests), the id behind which to "
	 "begin"},
	{"/vsock/conn/info", tell_conn, "What a connection is. Parameter: its id"},
	{"/vsock/lcore/stats", tell_lcores, "Cycles of each lcore. Takes no parameters"},
};

static int
on_command(const char *cmd, const char *params, struct rte_tel_data *data)
{
	int rc = -ENOENT;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, cmd) == 0)
			rc = commands[i].tell(params, data);
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

void
telemetry_start(struct vsw_control *of)
{
	control = of;
	for (size_t i = 0; i < VSW_ARRAY_SIZE(commands); i++)
		rte_telemetry_register_cmd(commands[i].name, on_command, commands[i].help);
}

void
telemetry_stop(void)
{
	pthread_mutex_lock(&lock);
	control = NULL;
	pthread_mutex_unlock(&lock);
}
