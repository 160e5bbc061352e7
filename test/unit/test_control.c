/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves what other threads may ask of the control lcore (vsw_control.h), on a whole switch in
 * this process, whose one lcore the test steps: guests come, go and change; what is told of
 * guests, connections and lcores; each mistake in one sentence, with nothing changed; requests
 * from many threads at once, and while vswd goes.
 */
#include "eal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <rte_log.h>
#include <rte_malloc.h>

#include "vsw_bridge.h"
#include "vsw_control.h"
#include "vsw_poll.h"
#include "vsw_vhost.h"

#include "control_guest.h"

#define MAX_GUESTS 6

static struct {
	char dir[32];
	struct vsw_loop *loop;
	struct vsw_poll *poll;
	struct vsw_bridge *bridge;
	struct vsw_control *control;
	struct vsw_request *req; /* of the last ask() */
} t;

/* In the place of DPDK's, also for librte_vhost (the test exports its symbols). */
static bool no_memory;

void *
rte_zmalloc(const char *type, size_t size, unsigned int align)
{
	if (__atomic_load_n(&no_memory, __ATOMIC_RELAXED))
		return NULL;
	return rte_zmalloc_socket(type, size, align, SOCKET_ID_ANY);
}

/*
 * The switch.
 */

static void
turn(void)
{
	if (vsw_loop_turn(t.loop) == 0)
		usleep(50);
}

static int
group_setup(void **state)
{
	static struct vsw_conf conf;
	static struct vsw_loop *loops[RTE_MAX_LCORE];
	struct vsw_lcores lcores = {0};
	struct vsw_layout layout;
	char error[VSW_CONF_ERROR_SIZE];
	struct vsw_control_setup setup = {.layout = &layout,
					  .loops = loops,
					  .max_guests = MAX_GUESTS,
					  .umask = 022,
					  .conf = &conf};

	strcpy(t.dir, "/tmp/vsw-unit-XXXXXX");
	if (mkdtemp(t.dir) == NULL || vsw_msg_pool_create(2048) != 0)
		return -1;
	t.loop = vsw_loop_create(0, VSW_IDLE_POLL);
	t.poll = vsw_poll_create(t.loop);
	t.bridge = vsw_bridge_create(t.loop, 1000);
	vsw_lcores_add(&lcores, 0);
	if (vsw_layout_make(&layout, &lcores, 0, &conf, error) != 0)
		return -1;
	loops[0] = t.loop;
	setup.vhost = vsw_vhost_create();
	t.control = vsw_control_create(&setup);
	t.req = calloc(1, sizeof(*t.req));
	return t.control != NULL && t.req != NULL ? 0 : -1;
}

static int
group_teardown(void **state)
{
	if (t.control == NULL)
		return -1;
	/* The last case has closed the switch down. */
	vsw_vhost_stop(t.loop);
	vsw_vhost_destroy();
	vsw_bridge_destroy(t.bridge);
	vsw_poll_destroy(t.poll);
	vsw_control_destroy(t.control);
	vsw_loop_destroy(t.loop);
	vsw_msg_pool_destroy();
	free(t.req);
	return rmdir(t.dir);
}

/*
 * Requests.
 */

static void
on_done(struct vsw_request *req)
{
	*(bool *)req->ctx = true;
}

static int
ask(enum vsw_request_verb verb)
{
	bool done = false;

	t.req->verb = verb;
	t.req->done = on_done;
	t.req->ctx = &done;
	t.req->n_guests = 0;
	vsw_request_clear(t.req);
	vsw_control_submit(t.control, t.req);
	WAIT_UNTIL(done, turn(), "an answer");
	return t.req->result;
}

static void
expect(int rc, const char *says)
{
	if (t.req->result != rc || strncmp(t.req->error, says, strlen(says)) != 0)
		fail_msg("wanted %d '%s...', got %d '%s'", rc, says, t.req->result, t.req->error);
}

static struct vsw_guest_spec
spec_of(uint32_t cid)
{
	struct vsw_guest_spec spec;

	vsw_guest_spec_init(&spec);
	spec.cid = cid;
	snprintf(spec.socket, sizeof(spec.socket), "%s/%u.vhost", t.dir, cid);
	snprintf(spec.uds_path, sizeof(spec.uds_path), "%s/%u.vsock", t.dir, cid);
	return spec;
}

static void
set(struct vsw_guest_spec *spec, const char *key, const char *value)
{
	char why[VSW_WHY_SIZE];

	if (vsw_guest_spec_set(spec, key, value, why) != 0)
		fail_msg("%s: %s", key, why);
}

/* From a thread of its own, which waits. */
static int
alter(enum vsw_request_verb verb, const struct vsw_guest_spec *spec)
{
	struct vsw_request *req = calloc(1, sizeof(*req));
	int rc;

	assert_non_null(req);
	req->verb = verb;
	req->spec = *spec;
	snprintf(req->who, sizeof(req->who), "%u", spec->cid);
	rc = vsw_control_call(t.control, req);
	free(req);
	return rc;
}

static int
add(const struct vsw_guest_spec *spec)
{
	t.req->spec = *spec;
	return ask(VSW_REQUEST_ADD_GUEST);
}

static void
add_cid(uint32_t cid)
{
	struct vsw_guest_spec spec = spec_of(cid);

	if (add(&spec) != 0)
		fail_msg("%s", t.req->error);
}

static int
remove_guest(const char *who)
{
	strcpy(t.req->who, who);
	return ask(VSW_REQUEST_REMOVE_GUEST);
}

static int
change(const char *who, const struct vsw_guest_spec *spec)
{
	strcpy(t.req->who, who);
	t.req->spec = *spec;
	return ask(VSW_REQUEST_CHANGE_GUEST);
}

static unsigned int
list(const char *who)
{
	strcpy(t.req->who, who);
	return ask(VSW_REQUEST_LIST_GUESTS) == 0 ? t.req->n_guests : 0;
}

static bool
exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static void
expect_no_guest(void)
{
	assert_int_equal(list(""), 0);
	assert_int_equal(t.req->result, 0);
}

/*
 * Guests.
 */

static void
test_a_guest_comes_and_goes(void **state)
{
	struct vsw_guest_spec spec = spec_of(7);
	struct stat st;

	set(&spec, "groups", "b+a");
	set(&spec, "socket-mode", "640");
	assert_int_equal(add(&spec), 0);
	assert_int_equal(stat(spec.socket, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(stat(spec.uds_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	add_cid(5);

	assert_int_equal(list(""), 2);
	assert_int_equal(t.req->guests[0].spec.cid, 5);
	assert_int_equal(t.req->guests[1].spec.cid, 7);
	assert_string_equal(t.req->guests[1].spec.name, "vm7");
	assert_string_equal(t.req->guests[1].spec.group[0], "a");
	assert_int_equal(t.req->guests[1].state, VSW_GUEST_WAITING);
	assert_string_equal(vsw_guest_state_str(t.req->guests[1].state), "not attached");
	assert_false(t.req->guests[1].from_config);
	assert_int_equal(t.req->guests[1].n_conns, 0);
	assert_int_equal(list("vm5"), 1);
	assert_int_equal(t.req->guests[0].spec.cid, 5);
	assert_int_equal(list("7"), 1);
	assert_int_equal(ask(VSW_REQUEST_INFO), 0);
	assert_int_equal(t.req->info.n_guests, 2);
	assert_int_equal(t.req->info.max_guests, MAX_GUESTS);
	assert_true(t.req->info.is_ready);
	assert_null(t.req->info.config);

	assert_int_equal(remove_guest("vm7"), 0);
	assert_false(exists(spec.socket) || exists(spec.uds_path));
	assert_int_equal(remove_guest("5"), 0);
	expect_no_guest();
}

static void
test_each_mistake_changes_nothing(void **state)
{
	struct vsw_guest_spec spec;
	int fd;

	add_cid(7);
	spec = spec_of(7);
	add(&spec);
	expect(-EEXIST, "guest 7: guest-cid: two guests have 7; each needs its own");
	spec = spec_of(8);
	strcpy(spec.name, "vm7");
	add(&spec);
	expect(-EEXIST, "guest 8: name: guest 7 is called vm7, too");
	spec = spec_of(8);
	strcpy(spec.socket, spec_of(7).uds_path);
	add(&spec);
	expect(-EEXIST, "guest 8: socket: /tmp/vsw-unit-");
	spec = spec_of(8);
	strcpy(spec.socket, spec.uds_path);
	add(&spec);
	expect(-EINVAL, "guest 8: uds-path: /tmp/vsw-unit-");
	spec = spec_of(8);
	spec.uds_path[0] = '\0';
	add(&spec);
	expect(-EINVAL, "guest 8: uds-path: it is missing");
	spec = spec_of(8);
	strcpy(spec.socket, "/nowhere/a");
	add(&spec);
	expect(-EINVAL, "guest 8: socket: no socket can be made in the folder /nowhere");
	spec = spec_of(8);
	spec.lcore = 4;
	add(&spec);
	expect(-EINVAL, "guest 8: lcore: lcore 4 polls no guests");
	remove_guest("9");
	expect(-ENOENT, "there is no guest 9");
	remove_guest("vm9");
	expect(-ENOENT, "there is no guest vm9");
	list("vm9");
	expect(-ENOENT, "there is no guest vm9");
	spec = spec_of(8);
	change("vm9", &spec);
	expect(-ENOENT, "there is no guest vm9");

	/* Somebody else listens there. */
	spec = spec_of(8);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	{
		struct sockaddr_un addr = {.sun_family = AF_UNIX};

		strcpy(addr.sun_path, spec.uds_path);
		assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
		assert_int_equal(listen(fd, 1), 0);
	}
	add(&spec);
	expect(-EINVAL, "guest 8: uds-path: /tmp/vsw-unit-");
	close(fd);
	assert_int_equal(add(&spec), 0); /* stale now */

	for (uint32_t cid = 9; cid < 9 + MAX_GUESTS - 2; cid++)
		add_cid(cid);
	spec = spec_of(20);
	add(&spec);
	expect(-ENOSPC, "7 guests are too many: vswd was started for 6");
	assert_int_equal(list(""), MAX_GUESTS);
	for (uint32_t cid = 7; cid < 7 + MAX_GUESTS; cid++) {
		char who[16];

		snprintf(who, sizeof(who), "%u", cid);
		assert_int_equal(remove_guest(who), 0);
	}
	expect_no_guest();
}

static void
test_a_guest_changes(void **state)
{
	struct vsw_guest_spec spec = spec_of(7);

	add_cid(7);
	add_cid(8);
	strcpy(spec.name, "web");
	spec.max_connections = 3;
	set(&spec, "groups", "x");
	assert_int_equal(change("7", &spec), 0);
	assert_int_equal(list("web"), 1);
	assert_int_equal(t.req->guests[0].spec.max_connections, 3);
	assert_string_equal(t.req->guests[0].spec.group[0], "x");

	strcpy(spec.name, "vm8");
	change("web", &spec);
	expect(-EEXIST, "guest 7: name: guest 8 is called vm8, too");
	assert_int_equal(list("web"), 1);

	/* Another place. */
	spec = spec_of(9);
	strcpy(spec.name, "web");
	assert_int_equal(change("web", &spec), 0);
	assert_int_equal(list("7"), 0);
	assert_int_equal(list("9"), 1);
	assert_string_equal(t.req->guests[0].spec.name, "web");
	assert_false(exists(spec_of(7).socket));
	assert_true(exists(spec_of(9).socket));
	/* The same paths, another CID. */
	spec.cid = 10;
	assert_int_equal(change("9", &spec), 0);
	assert_true(exists(spec_of(9).socket));
	assert_int_equal(remove_guest("web"), 0);
	assert_int_equal(remove_guest("8"), 0);
	expect_no_guest();
}

static void
test_a_configuration_is_applied(void **state)
{
	static struct vsw_conf conf;

	memset(&conf, 0, sizeof(conf));
	strcpy(conf.file, "vsw.yaml");
	conf.n_guests = 2;
	conf.guest[0] = (struct vsw_conf_guest){.spec = spec_of(3), .at = {2, 5}};
	conf.guest[1] = (struct vsw_conf_guest){.spec = spec_of(4), .at = {6, 5}};
	conf.guest[0].key_at[vsw_guest_spec_find_key("socket")] = (struct vsw_conf_pos){3, 13};
	strcpy(conf.guest[0].spec.name, "a");
	strcpy(conf.guest[1].spec.name, "b");
	add_cid(7); /* not the file's, so it stays */
	t.req->conf = &conf;
	assert_int_equal(ask(VSW_REQUEST_APPLY), 0);
	assert_int_equal(list(""), 3);
	assert_true(t.req->guests[0].from_config);
	assert_false(t.req->guests[2].from_config);

	/* One goes, one takes over its paths, the guest of the API becomes the file's. */
	conf.guest[0] = conf.guest[1];
	strcpy(conf.guest[0].spec.socket, spec_of(3).socket);
	conf.guest[1].spec = spec_of(7);
	strcpy(conf.guest[1].spec.name, "c");
	assert_int_equal(ask(VSW_REQUEST_APPLY), 0);
	assert_int_equal(list(""), 2);
	assert_int_equal(t.req->guests[0].spec.cid, 4);
	assert_string_equal(t.req->guests[0].spec.socket, spec_of(3).socket);
	assert_string_equal(t.req->guests[1].spec.name, "c");
	assert_true(t.req->guests[1].from_config);

	add_cid(8);
	strcpy(conf.guest[0].spec.socket, spec_of(8).uds_path);
	conf.guest[0].key_at[vsw_guest_spec_find_key("socket")] = (struct vsw_conf_pos){3, 13};
	ask(VSW_REQUEST_APPLY);
	expect(-EEXIST, "vsw.yaml:3:13: socket: /tmp/vsw-unit-");
	assert_int_equal(list(""), 3);

	conf.n_guests = 0;
	assert_int_equal(ask(VSW_REQUEST_APPLY), 0);
	assert_int_equal(list(""), 1);
	assert_int_equal(remove_guest("8"), 0);
	expect_no_guest();
}

static void
test_lcores_and_levels(void **state)
{
	assert_int_equal(ask(VSW_REQUEST_LIST_LCORES), 0);
	assert_int_equal(t.req->n_lcores, 1);
	assert_int_equal(t.req->lcores[0].lcore, 0);
	assert_true(t.req->lcores[0].is_control && t.req->lcores[0].is_poll);
	assert_true(t.req->lcores[0].stats.n_turns > 0);

	strcpy(t.req->log_pattern, "vsw.*");
	t.req->log_level = 0;
	ask(VSW_REQUEST_SET_LOG_LEVEL);
	expect(-EINVAL, "0 is no log level");
	t.req->log_level = 4;
	assert_int_equal(ask(VSW_REQUEST_SET_LOG_LEVEL), 0);
}

/*
 * Connections: a guest in a thread of its own.
 */

struct guest_call {
	struct vsw_guest *g;
	char socket[108];
	uint32_t port;
	int rc;
	bool done;
};

static void *
call_up(void *arg)
{
	struct guest_call *call = arg;

	call->g = cg_up(call->socket);
	call->rc = call->g != NULL ? 0 : -1;
	__atomic_store_n(&call->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void *
call_connect(void *arg)
{
	struct guest_call *call = arg;

	call->rc = cg_connect(call->g, call->port);
	__atomic_store_n(&call->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void
try(void *(*fn)(void *), struct guest_call *call)
{
	pthread_t thread;

	call->done = false;
	assert_int_equal(pthread_create(&thread, NULL, fn, call), 0);
	WAIT_UNTIL(__atomic_load_n(&call->done, __ATOMIC_ACQUIRE), turn(), "the guest");
	pthread_join(thread, NULL);
}

static void
run(void *(*fn)(void *), struct guest_call *call)
{
	try(fn, call);
	assert_int_equal(call->rc, 0);
}

/* For want of memory librte_vhost drops a connection without a word to us. */
static void
test_a_vmm_that_the_library_drops_keeps_nobody_out(void **state)
{
	struct vsw_guest_spec spec = spec_of(5);
	struct guest_call call = {0};

	strcpy(call.socket, spec.socket);
	add_cid(5);
	for (int i = 0; i < 3; i++) {
		__atomic_store_n(&no_memory, true, __ATOMIC_RELAXED);
		try(call_up, &call);
		assert_int_equal(call.rc, -1);
		__atomic_store_n(&no_memory, false, __ATOMIC_RELAXED);
		run(call_up, &call);
		cg_down(call.g);
	}
	assert_int_equal(remove_guest("5"), 0);
}

static unsigned int
list_conns(struct vsw_conn_query query)
{
	t.req->query = query;
	if (ask(VSW_REQUEST_LIST_CONNS) != 0)
		fail_msg("%s", t.req->error);
	return t.req->page.n_conns;
}

static int
host_listen(uint32_t cid, uint32_t port)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%u.vsock_%u", t.dir, cid, port);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static unsigned int
count_pages(struct vsw_conn_query query, unsigned int *n_pages)
{
	uint64_t last = 0;
	unsigned int n = 0;

	*n_pages = 0;
	do {
		list_conns(query);
		assert_true(t.req->page.n_conns <= query.max);
		for (unsigned int i = 0; i < t.req->page.n_conns; i++) {
			assert_true(t.req->page.conn[i].id > last);
			last = t.req->page.conn[i].id;
			n++;
		}
		query.after = t.req->page.next;
		(*n_pages)++;
	} while (t.req->page.next != 0);
	return n;
}

static void
test_connections_are_listed_and_closed(void **state)
{
	struct guest_call call[2] = {0};
	unsigned int n_pages;
	char path[128];
	int fd[2];
	uint64_t id;

	for (uint32_t i = 0; i < 2; i++) {
		struct vsw_guest_spec spec = spec_of(3 + i);

		add_cid(3 + i);
		fd[i] = host_listen(3 + i, 50);
		strcpy(call[i].socket, spec.socket);
		run(call_up, &call[i]);
		call[i].port = 50;
		for (unsigned int k = 0; k < 5; k++)
			run(call_connect, &call[i]);
	}
	assert_int_equal(list("3"), 1);
	assert_int_equal(t.req->guests[0].state, VSW_GUEST_RUNNING);
	assert_int_equal(t.req->guests[0].n_conns, 5);
	assert_int_equal(t.req->guests[0].counters.value[VSW_CTR_CONNS_FROM_GUEST], 5);

	assert_int_equal(list_conns((struct vsw_conn_query){0}), 10);
	assert_int_equal(t.req->page.next, 0);
	assert_int_equal(t.req->page.conn[0].guest_cid, 3);
	assert_int_equal(t.req->page.conn[0].far_cid, 2);
	assert_int_equal(t.req->page.conn[0].far_port, 50);
	assert_true(t.req->page.conn[0].from_guest);
	assert_string_equal(t.req->page.conn[0].state, "established");
	assert_int_equal(t.req->page.conn[9].guest_cid, 4);

	for (uint32_t max = 1; max <= 11; max++) {
		assert_int_equal(count_pages((struct vsw_conn_query){.max = max}, &n_pages), 10);
		assert_true(n_pages >= (10 + max - 1) / max && n_pages <= 10 / max + 2);
	}
	assert_int_equal(count_pages((struct vsw_conn_query){.cid = 4, .max = 2}, &n_pages), 5);
	assert_int_equal(list_conns((struct vsw_conn_query){.has_port = true, .port = 50}), 10);
	assert_int_equal(list_conns((struct vsw_conn_query){.has_port = true, .port = 51}), 0);
	t.req->query = (struct vsw_conn_query){.cid = 9};
	ask(VSW_REQUEST_LIST_CONNS);
	expect(-ENOENT, "there is no guest 9");

	list_conns((struct vsw_conn_query){.cid = 4});
	id = t.req->page.conn[2].id;
	assert_true(id < 1ull << 53);
	t.req->conn_id = id;
	assert_int_equal(ask(VSW_REQUEST_CLOSE_CONN), 0);
	ask(VSW_REQUEST_CLOSE_CONN);
	expect(-ENOENT, "there is no connection ");
	t.req->conn_id = UINT64_MAX;
	ask(VSW_REQUEST_CLOSE_CONN);
	expect(-ENOENT, "there is no connection 18446744073709551615");
	WAIT_UNTIL(cg_n_reset(call[1].g) == 1, (turn(), cg_poll(call[1].g)), "the guest's reset");
	assert_int_equal(list_conns((struct vsw_conn_query){.cid = 4}), 4);
	assert_int_equal(list_conns((struct vsw_conn_query){.cid = 3}), 5);

	assert_int_equal(remove_guest("3"), 0);
	assert_int_equal(list_conns((struct vsw_conn_query){0}), 4);
	cg_down(call[1].g);
	WAIT_UNTIL(list("4") == 1 && t.req->guests[0].state == VSW_GUEST_WAITING, turn(),
		   "the VMM to be missed");
	assert_int_equal(remove_guest("4"), 0);
	cg_down(call[0].g);
	for (uint32_t i = 0; i < 2; i++) {
		close(fd[i]);
		snprintf(path, sizeof(path), "%s/%u.vsock_50", t.dir, 3 + i);
		unlink(path);
	}
	expect_no_guest();
}

/*
 * Many threads.
 */

#define N_THREADS 4
#define N_CALLS 60

static unsigned int n_running;

static void *
call_at_random(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;
	char error[VSW_ERROR_SIZE];
	struct vsw_control_info info;
	struct vsw_guest_info *guests;
	unsigned int n;

	for (int i = 0; i < N_CALLS; i++) {
		uint32_t cid = 3 + (uint32_t)rand_r(&seed) % 8;
		struct vsw_guest_spec spec = spec_of(cid);

		switch (rand_r(&seed) % 4) {
		case 0:
			alter(VSW_REQUEST_ADD_GUEST, &spec);
			break;
		case 1:
			alter(VSW_REQUEST_REMOVE_GUEST, &spec);
			break;
		case 2:
			spec.max_connections = 1 + (uint32_t)i;
			alter(VSW_REQUEST_CHANGE_GUEST, &spec);
			break;
		default:
			if (vsw_control_list_guests(t.control, NULL, &guests, &n, error) == 0)
				free(guests);
			vsw_control_info(t.control, &info, error);
			break;
		}
	}
	__atomic_sub_fetch(&n_running, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void
test_many_threads_ask_at_once(void **state)
{
	pthread_t thread[N_THREADS];

	n_running = N_THREADS;
	for (uintptr_t i = 0; i < N_THREADS; i++)
		pthread_create(&thread[i], NULL, call_at_random, (void *)(i + 1));
	WAIT_UNTIL(__atomic_load_n(&n_running, __ATOMIC_SEQ_CST) == 0, turn(), "the threads");
	for (unsigned int i = 0; i < N_THREADS; i++)
		pthread_join(thread[i], NULL);
	for (uint32_t cid = 3; cid < 11; cid++) {
		char who[16];
		bool is_there;

		snprintf(who, sizeof(who), "%u", cid);
		is_there = list(who) == 1;
		assert_int_equal(exists(spec_of(cid).socket), is_there);
		assert_int_equal(exists(spec_of(cid).uds_path), is_there);
		if (is_there)
			assert_int_equal(remove_guest(who), 0);
	}
	expect_no_guest();
}

static void *
call_until_the_end(void *arg)
{
	struct vsw_guest_spec spec = spec_of(5);
	int rc;

	do {
		rc = alter(VSW_REQUEST_ADD_GUEST, &spec);
		if (rc == 0)
			rc = alter(VSW_REQUEST_REMOVE_GUEST, &spec);
	} while (rc == 0);
	*(int *)arg = rc;
	return NULL;
}

static void
test_who_asks_while_vswd_goes_is_told(void **state)
{
	pthread_t thread;
	int rc = 0;

	add_cid(7);
	pthread_create(&thread, NULL, call_until_the_end, &rc);
	for (int i = 0; i < 2000; i++)
		turn();
	kill(getpid(), SIGTERM);
	vsw_loop_run(t.loop);
	vsw_control_close(t.control);
	pthread_join(thread, NULL);
	assert_int_equal(rc, -ESHUTDOWN);
	assert_int_equal(vsw_control_exit_status(t.control), 0);
	assert_false(exists(spec_of(7).socket) || exists(spec_of(7).uds_path));
	assert_false(exists(spec_of(5).socket) || exists(spec_of(5).uds_path));
	assert_int_equal(list(""), 0);
	expect(-ESHUTDOWN, "vswd is closing down");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_guest_comes_and_goes),
		cmocka_unit_test(test_each_mistake_changes_nothing),
		cmocka_unit_test(test_a_guest_changes),
		cmocka_unit_test(test_a_configuration_is_applied),
		cmocka_unit_test(test_lcores_and_levels),
		cmocka_unit_test(test_a_vmm_that_the_library_drops_keeps_nobody_out),
		cmocka_unit_test(test_connections_are_listed_and_closed),
		cmocka_unit_test(test_many_threads_ask_at_once),
		cmocka_unit_test(test_who_asks_while_vswd_goes_is_told), /* the last one */
	};
	sigset_t set;
	int rc;

	/* Before EAL makes threads, which inherit it. */
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (eal_up() != 0)
		return 1;
	/* librte_vhost tells of every message at INFO. */
	rte_log_set_level_pattern("lib.vhost.*", RTE_LOG_WARNING);
	rc = cmocka_run_group_tests(tests, group_setup, group_teardown);
	eal_down();
	return rc;
}
