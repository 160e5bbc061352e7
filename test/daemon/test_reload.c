/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that guests come, go and change while others go on: vswd serves guests 0 and 1 from a
 * configuration file, which is written anew and applied by SIGHUP, while streams of guest 0
 * are verified byte by byte.
 */
#include "harness.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define N_VMS 4
#define CID(vm) (3 + (vm))

#define FROM_GUEST_PORT 100
#define FROM_HOST_PORT 200
#define SIBLING_PORT 300

/* Two hundred in one variant; the others see what is different there. */
#define N_CYCLES(e) (strcmp(env_variant(e)->name, "uml, 2 lcores") == 0 ? 200u : 30u)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CHECKS_MEMORY 0 /* it is not given back at once; the end of vswd looks for leaks */
#else
#define CHECKS_MEMORY 1
#endif

static const char *const base[N_VMS] = {"", ""};

/*
 * What goes on meanwhile: guest 0 talks to its host, both ways, in two connections.
 */

struct background {
	struct pair pair[2];
	struct flow flow[2];
};

static void
background_begin(struct env *e, struct background *b)
{
	guest_up(e, 0, NULL);
	b->pair[0] = pair_from_guest(e, 0, FROM_GUEST_PORT);
	b->pair[1] = pair_from_host(e, 0, FROM_HOST_PORT);
	for (int i = 0; i < 2; i++)
		b->flow[i] = (struct flow){
			.s = b->pair[i].s,
			.fd = b->pair[i].fd,
			.to_host = UINT64_MAX / 2,
			.to_guest = UINT64_MAX / 2,
			.chunk = i == 0 ? 65536 : 3000,
		};
}

/* Keep everything going for a moment. */
static void
background_step(struct env *e, struct background *b)
{
	if (b == NULL || !step_flows(e, b->flow, 2))
		pump_fd(e, -1, 0, 1);
	else
		pump_fd(e, -1, 0, 0);
}

static void
background_for(struct env *e, struct background *b, unsigned int ms)
{
	uint64_t end = vsw_guest_now_ms() + ms;

	while (vsw_guest_now_ms() < end)
		background_step(e, b);
}

/* What is on its way arrives, and something had. */
static void
background_end(struct env *e, struct background *b)
{
	for (int i = 0; i < 2; i++) {
		b->flow[i].to_host = b->flow[i].guest_sent;
		b->flow[i].to_guest = b->flow[i].host_sent;
		check(e, b->flow[i].to_host > 0 && b->flow[i].to_guest > 0);
	}
	run_flows(e, b->flow, 2);
	for (int i = 0; i < 2; i++)
		pair_close(e, &b->pair[i]);
	guest_down(e, 0);
}

/*
 * Reloads.
 */

/* While everything goes on. @return it was applied. */
static void
step(struct env *e, void *background)
{
	background_step(e, background);
}

static bool
apply(struct env *e, struct background *b)
{
	return env_reload(e, step, b);
}

static void
reload(struct env *e, struct background *b, const char *const *more)
{
	for (unsigned int vm = 0; vm < N_VMS; vm++) {
		if (more[vm] == NULL && env_guest(e, vm) != NULL)
			vsw_guest_expect_end(env_guest(e, vm));
	}
	env_write_config(e, more);
	if (!apply(e, b))
		fail_env(e, "the reload failed");
}

static bool
has_sockets(struct env *e, unsigned int vm)
{
	bool has = access(env_vhost_path(e, vm), F_OK) == 0;

	check(e, has == (access(env_uds_path(e, vm), F_OK) == 0));
	return has;
}

/*
 * Siblings.
 */

struct duo {
	struct vsw_guest_sock *a, *b;
};

static enum vsw_guest_sock_state
state_of(const struct vsw_guest_sock *s)
{
	struct vsw_guest_sock_info info;

	vsw_guest_sock_info(s, &info);
	return info.state;
}

static bool
is_settled(void *arg)
{
	return state_of(arg) != VSW_GUEST_CONNECTING;
}

static bool
is_over(void *arg)
{
	struct vsw_guest_sock_info info;

	vsw_guest_sock_info(arg, &info);
	return info.was_reset;
}

static bool
duo_try(struct env *e, unsigned int from, unsigned int to, struct duo *duo)
{
	struct vsw_guest *g = env_guest(e, to);

	vsw_guest_listen(g, SIBLING_PORT, 8);
	duo->a = vsw_guest_connect_start(env_guest(e, from), 0, CID(to), SIBLING_PORT);
	check(e, duo->a != NULL);
	pump_until(e, is_settled, duo->a, "a sibling's answer");
	duo->b = vsw_guest_accept(g, SIBLING_PORT, 0);
	vsw_guest_unlisten(g, SIBLING_PORT);
	if (state_of(duo->a) == VSW_GUEST_CONNECTED) {
		check(e, duo->b != NULL);
		return true;
	}
	vsw_guest_close(duo->a);
	return false;
}

struct wait_unread {
	struct vsw_guest_sock *s;
	uint32_t len;
};

static bool
has_unread(void *arg)
{
	struct wait_unread *w = arg;
	struct vsw_guest_sock_info info;

	vsw_guest_sock_info(w->s, &info);
	return info.unread >= w->len;
}

static void
duo_check(struct env *e, const struct duo *duo)
{
	struct vsw_guest_sock *s[2] = {duo->a, duo->b};
	char buf[5];

	for (int i = 0; i < 2; i++) {
		struct wait_unread w = {s[!i], 5};

		guest_send_all(e, s[i], "hello", 5);
		pump_until(e, has_unread, &w, "a sibling's bytes");
		guest_recv_exactly(e, s[!i], buf, 5);
		check(e, memcmp(buf, "hello", 5) == 0);
	}
}

static void
duo_close(struct env *e, struct duo *duo)
{
	vsw_guest_close(duo->a);
	vsw_guest_close(duo->b);
	pump_fd(e, -1, 0, 5);
}

/*
 * Cases. Each leaves guests 0 and 1 as they were.
 */

static void
test_a_guest_comes_and_goes_while_others_stream(struct env *e)
{
	static const char *const more[N_VMS] = {"", "", "name: third\ngroups: [default, x]"};
	struct background b;
	struct pair p;
	struct duo duo;

	background_begin(e, &b);
	background_for(e, &b, 50);
	for (int i = 0; i < 3; i++) {
		reload(e, &b, more);
		check(e, has_sockets(e, 2));
		guest_up(e, 2, NULL);
		background_for(e, &b, 20);
		p = pair_from_host(e, 2, 7);
		pair_check(e, &p);
		pair_close(e, &p);
		check(e, duo_try(e, 2, 0, &duo));
		duo_check(e, &duo);
		duo_close(e, &duo);
		reload(e, &b, base);
		check(e, !has_sockets(e, 2));
		guest_down(e, 2);
		background_for(e, &b, 20);
	}
	background_end(e, &b);
}

static void
test_removal_ends_every_connection_of_the_guest(struct env *e)
{
	static const char *const more[N_VMS] = {"", "", "", ""};
	static uint8_t out[600000], in[sizeof(out)];
	struct pair lingering, idle;
	struct duo from, to, own;
	struct background b;
	ssize_t sent;
	int half;

	background_begin(e, &b);
	reload(e, &b, more);
	for (unsigned int vm = 1; vm < N_VMS; vm++)
		guest_up(e, vm, NULL);
	idle = pair_from_host(e, 2, 8);
	lingering = pair_from_guest(e, 2, 9);
	half = host_connect(e, 2);
	host_puts(e, half, "CONN");
	check(e, duo_try(e, 2, 0, &from) && duo_try(e, 3, 2, &to) && duo_try(e, 2, 2, &own));
	duo_check(e, &from);
	duo_check(e, &to);
	duo_check(e, &own);
	/* A slow host: what it does not take is flushed without the guest. */
	pattern_fill(out, 0, sizeof(out));
	sent = vsw_guest_send(lingering.s, out, sizeof(out), 500);
	check(e, sent > 100000);
	/* Siblings that do not read: loans and spilled bytes. */
	check(e, vsw_guest_send(from.a, out, 200000, 0) > 0);
	check(e, vsw_guest_send(to.a, out, 200000, 0) > 0);

	reload(e, &b, (const char *const[N_VMS]){"", "", NULL, ""});
	check(e, !has_sockets(e, 2));
	pump_until(e, is_over, from.b, "the sibling to be told");
	pump_until(e, is_over, to.a, "the sibling to be told");
	host_expect_eof(e, idle.fd);
	host_expect_eof(e, half);
	background_for(e, &b, 50);
	host_read(e, lingering.fd, in, (size_t)sent);
	check(e, memcmp(in, out, (size_t)sent) == 0);
	host_expect_eof(e, lingering.fd);
	vsw_guest_close(from.b);
	vsw_guest_close(to.a);
	guest_down(e, 2);
	check(e, duo_try(e, 3, 0, &to)); /* the others still talk */
	duo_check(e, &to);
	duo_close(e, &to);

	/* The same CID and paths again, while the old guest's... nothing is left of it. */
	reload(e, &b, more);
	guest_up(e, 2, NULL);
	idle = pair_from_host(e, 2, 8);
	pair_check(e, &idle);
	check(e, duo_try(e, 3, 2, &to));
	duo_check(e, &to);
	duo_close(e, &to);
	pair_close(e, &idle);
	reload(e, &b, base);
	background_end(e, &b);
}

static void
test_a_guest_leaves_while_its_host_is_slow(struct env *e)
{
	static const char *const more[N_VMS] = {"", "", ""};
	static uint8_t out[600000], in[sizeof(out)];
	struct pair old, new;
	ssize_t sent;

	reload(e, NULL, more);
	guest_up(e, 2, NULL);
	old = pair_from_guest(e, 2, 9);
	pattern_fill(out, 0, sizeof(out));
	sent = vsw_guest_send(old.s, out, sizeof(out), 500);
	check(e, sent > 100000);
	/* Gone and back with the same slot's name, while bytes of the first life still wait. */
	reload(e, NULL, base);
	guest_down(e, 2);
	reload(e, NULL, more);
	guest_up(e, 2, NULL);
	new = pair_from_guest(e, 2, 9);
	pair_check(e, &new);
	host_read(e, old.fd, in, (size_t)sent);
	check(e, memcmp(in, out, (size_t)sent) == 0);
	host_expect_eof(e, old.fd);
	pair_check(e, &new);
	pair_close(e, &new);
	reload(e, NULL, base);
}

static void
test_a_guest_that_does_not_listen_leaves_too(struct env *e)
{
	static const char *const more[N_VMS] = {"", "", ""};
	struct vsw_guest_conf conf = guest_conf(e, 2);
	struct background b;
	struct pair p;
	char byte;

	/* It never posts another receive buffer, so it cannot be told anything. */
	background_begin(e, &b);
	reload(e, &b, more);
	conf.n_recv_bufs = 1;
	guest_up(e, 2, &conf);
	p = pair_from_guest(e, 2, 9);
	vsw_guest_hold_recv(env_guest(e, 2), true);
	host_puts(e, p.fd, "fills the one buffer");
	background_for(e, &b, 50);
	reload(e, &b, base);
	check(e, !has_sockets(e, 2));
	pump_fd(e, p.fd, POLLIN, WAIT_MS);
	check(e, recv(p.fd, &byte, 1, MSG_DONTWAIT) <= 0);
	background_end(e, &b);
}

static void
test_groups_change_under_the_guests(struct env *e)
{
	static const char *const apart[N_VMS] = {"groups: a", "groups: [b, c]"};
	static const char *const together[N_VMS] = {"groups: a+c", "groups: b+c"};
	struct background b;
	struct pair p;
	struct duo duo;

	background_begin(e, &b);
	guest_up(e, 1, NULL);
	p = pair_from_host(e, 1, 7);
	check(e, duo_try(e, 0, 1, &duo));
	reload(e, &b, apart);
	pump_until(e, is_over, duo.a, "a connection that is forbidden now");
	pump_until(e, is_over, duo.b, "a connection that is forbidden now");
	duo_close(e, &duo);
	check(e, !duo_try(e, 0, 1, &duo) && !duo_try(e, 1, 0, &duo));
	pair_check(e, &p);
	reload(e, &b, together);
	check(e, duo_try(e, 1, 0, &duo));
	reload(e, &b, base);
	duo_check(e, &duo); /* still allowed, so still there */
	duo_close(e, &duo);
	pair_check(e, &p);
	pair_close(e, &p);
	background_end(e, &b);
}

static bool
is_refused(struct env *e, unsigned int vm)
{
	int fd = host_connect(e, vm);
	char line[32];
	bool refused;

	vsw_guest_listen(env_guest(e, vm), 7, 8);
	host_puts(e, fd, "CONNECT 7\n");
	pump_fd(e, fd, POLLIN, WAIT_MS);
	refused = recv(fd, line, sizeof(line), MSG_DONTWAIT) <= 0;
	env_close(e, fd);
	vsw_guest_unlisten(env_guest(e, vm), 7);
	return refused;
}

static void
test_limits_change_under_the_guest(struct env *e)
{
	static const char *const limited[N_VMS] = {
		"", "limits: {connections: 1, spill_bytes: 1000}\ntx_buffer_size: 4096"};
	struct background b;
	struct pair p, q;

	background_begin(e, &b);
	guest_up(e, 1, NULL);
	p = pair_from_host(e, 1, 7);
	reload(e, &b, limited);
	pair_check(e, &p);
	check(e, is_refused(e, 1));
	pair_close(e, &p);
	p = pair_from_host(e, 1, 7); /* with the new window */
	pair_check(e, &p);
	reload(e, &b, base);
	q = pair_from_host(e, 1, 7);
	pair_check(e, &q);
	pair_check(e, &p);
	pair_close(e, &p);
	pair_close(e, &q);
	background_end(e, &b);
}

static unsigned int
mode_of(struct env *e, const char *path)
{
	struct stat st;

	check(e, stat(path, &st) == 0);
	return st.st_mode & 07777;
}

static void
test_sockets_have_their_mode(struct env *e)
{
	static const char *const more[N_VMS] = {"", "socket_mode: 0600", "socket_mode: '666'"};
	struct pair p;

	guest_up(e, 1, NULL);
	p = pair_from_host(e, 1, 7);
	reload(e, NULL, more);
	check(e, mode_of(e, env_vhost_path(e, 1)) == 0600);
	check(e, mode_of(e, env_uds_path(e, 1)) == 0600);
	check(e, mode_of(e, env_vhost_path(e, 2)) == 0666);
	check(e, mode_of(e, env_uds_path(e, 2)) == 0666);
	pair_check(e, &p);
	reload(e, NULL, base);
	check(e, mode_of(e, env_uds_path(e, 1)) == 0755);
	pair_check(e, &p);
	pair_close(e, &p);
}

static void
test_another_place_is_another_guest(struct env *e)
{
	const char *lcore = env_variant(e)->eal_args[0][1] == 'l' ? "lcore: 0" : "lcore: 1";
	const char *const moved[N_VMS] = {"", lcore};
	struct background b;
	struct pair p;

	background_begin(e, &b);
	guest_up(e, 1, NULL);
	p = pair_from_host(e, 1, 7);
	vsw_guest_expect_end(env_guest(e, 1));
	reload(e, &b, moved);
	host_expect_eof(e, p.fd);
	guest_down(e, 1);
	guest_up(e, 1, NULL);
	p = pair_from_host(e, 1, 7);
	pair_check(e, &p);
	pair_close(e, &p);
	vsw_guest_expect_end(env_guest(e, 1));
	reload(e, &b, base);
	guest_down(e, 1);
	background_end(e, &b);
}

static void
write_text(struct env *e, const char *fmt, const char *path)
{
	FILE *file = fopen(env_config_path(e), "w");

	check(e, file != NULL);
	fprintf(file, fmt, path, path);
	fclose(file);
}

static void
append_text(struct env *e, const char *text)
{
	FILE *file = fopen(env_config_path(e), "a");

	check(e, file != NULL);
	fputs(text, file);
	fclose(file);
}

static void
test_a_bad_file_changes_nothing(struct env *e)
{
	/* %s: the uds path of guest 3. */
	static const struct {
		const char *text, *says;
	} bad[] = {
		{"vms: [3", "vsw.yaml:2:1: this is not YAML"},
		{"vms:\n  - guest_cid: 2\n", "vsw.yaml:2:16: guest_cid: 2 is wrong"},
		{"vms:\n  - guest_cid: 6\n", "vsw.yaml:2:5: socket: it is missing"},
		{"vms:\n  - guest_cid: 6\n    socket: /nowhere/a\n    uds_path: %s\n",
		 "vsw.yaml:3:13: socket: no socket can be made in the folder /nowhere"},
		{"vms:\n  - guest_cid: 6\n    socket: %s.vh\n    uds_path: %s\n    lcore: 99\n",
		 "vsw.yaml:5:12: lcore: lcore 99 polls no guests"},
		{"vms:\n  - guest_cid: 6\n    socket: /tmp\n    uds_path: %s\n",
		 "vsw.yaml:3:13: socket: /tmp cannot be used, it exists and is not a socket"},
		{"vms: 3\n", "vsw.yaml:1:6: vms: it is a list of guests, not a value"},
	};
	struct background b;
	struct pair p;

	background_begin(e, &b);
	guest_up(e, 1, NULL);
	p = pair_from_host(e, 1, 7);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(bad); i++) {
		write_text(e, bad[i].text, env_uds_path(e, 3));
		if (apply(e, &b))
			fail_env(e, "a bad file was taken: %s", bad[i].text);
		if (env_count_in_log(e, bad[i].says) == 0)
			fail_env(e, "the log has no '%s'", bad[i].says);
		pair_check(e, &p);
		check(e, has_sockets(e, 0) && has_sockets(e, 1));
		check(e, !has_sockets(e, 2) && !has_sockets(e, 3));
	}
	unlink(env_config_path(e));
	check(e, !apply(e, &b));
	check(e, env_count_in_log(e, "it cannot be read") > 0);
	pair_check(e, &p);
	/* a pipe that nobody writes into must keep neither this reload nor the end of vswd */
	check(e, mkfifo(env_config_path(e), 0600) == 0);
	check(e, !apply(e, &b));
	check(e, env_count_in_log(e, "it cannot be read again: it is a pipe") > 0);
	unlink(env_config_path(e));
	pair_check(e, &p);
	reload(e, &b, base);
	pair_check(e, &p);
	pair_close(e, &p);
	background_end(e, &b);
}

static unsigned int
n_folder_failures(struct env *e)
{
	return env_count_in_log(e, "vsw: reload failed: guest 9: cannot serve") +
	       env_count_in_log(e, "socket: no socket can be made in the folder");
}

/* A guest is added whose folder is full, or has become read-only: it is not there, the others do
 * not notice, and it comes once there is room. */
static void
test_a_folder_that_is_full(struct env *e)
{
	static const char *const options[] = {"size=64k,nr_inodes=1", "size=64k,nr_inodes=2",
					      "ro,size=64k", "size=64k"};
	struct background b;
	char folder[256], *name;
	unsigned int n_failed;
	uint64_t deadline;
	struct pair p;

	snprintf(folder, sizeof(folder), "%s", env_config_path(e));
	name = strrchr(folder, '/');
	snprintf(name, sizeof(folder) - (size_t)(name - folder), "/full");
	background_begin(e, &b);
	guest_up(e, 1, NULL);
	p = pair_from_host(e, 1, 7);
	mkdir(folder, 0755);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(options); i++) {
		bool is_last = i + 1 == VSW_ARRAY_SIZE(options);
		unsigned long flags = strncmp(options[i], "ro,", 3) == 0 ? MS_RDONLY : 0;
		char text[1200], path[300];

		if (mount("vsw", folder, "tmpfs", flags, strstr(options[i], "size")) != 0)
			break; /* a root that may not */
		env_write_config(e, base);
		snprintf(text, sizeof(text),
			 "  - guest_cid: 9\n    socket: %s/a\n    uds_path: %s/b\n", folder,
			 folder);
		append_text(e, text);
		n_failed = n_folder_failures(e);
		apply(e, &b);
		/* It also says how many came, first. */
		deadline = vsw_guest_now_ms() + WAIT_MS;
		while (!is_last && n_failed == n_folder_failures(e)) {
			background_step(e, &b);
			check(e, vsw_guest_now_ms() < deadline);
		}
		snprintf(path, sizeof(path), "%s/a", folder);
		check(e, (access(path, F_OK) == 0) == is_last);
		snprintf(path, sizeof(path), "%s/b", folder);
		check(e, (access(path, F_OK) == 0) == is_last);
		check(e, has_sockets(e, 0) && has_sockets(e, 1));
		pair_check(e, &p);
		reload(e, &b, base);
		check(e, umount(folder) == 0);
	}
	rmdir(folder);
	pair_close(e, &p);
	background_end(e, &b);
}

static int
listen_at(struct env *e, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	unlink(path);
	check(e, bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0);
	check(e, listen(fd, 1) == 0);
	return env_own_fd(e, fd);
}

static void
test_vswd_connects_to_the_vmm(struct env *e)
{
	static const char *const more[N_VMS] = {"", "", "client: on"};
	struct vsw_guest_conf conf = guest_conf(e, 2);
	struct background b;
	struct pair p;

	background_begin(e, &b);
	reload(e, &b, more); /* the VMM is not there yet */
	for (int i = 0; i < 2; i++) {
		if (i == 0)
			conf.listen_fd = listen_at(e, env_vhost_path(e, 2));
		guest_up(e, 2, &conf);
		p = pair_from_host(e, 2, 7);
		pair_check(e, &p);
		pair_close(e, &p);
		guest_down(e, 2); /* the VMM restarts; vswd comes again */
		background_for(e, &b, 10);
	}
	/* It is gone for good, with its VMM there. */
	guest_up(e, 2, &conf);
	p = pair_from_host(e, 2, 7);
	reload(e, &b, base);
	host_expect_eof(e, p.fd);
	check(e, access(env_vhost_path(e, 2), F_OK) == 0); /* the VMM's own */
	check(e, access(env_uds_path(e, 2), F_OK) != 0);
	unlink(env_vhost_path(e, 2));
	background_end(e, &b);
}

/*
 * Random cycles.
 */

static unsigned long
memory_of(struct env *e)
{
	char path[64], line[256];
	unsigned long kib = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", env_pid(e));
	file = fopen(path, "r");
	check(e, file != NULL);
	while (fgets(line, sizeof(line), file) != NULL)
		sscanf(line, "VmRSS: %lu", &kib);
	fclose(file);
	return kib;
}

/* Guests that may come and go have connections of every kind; they are left open. */
static void
use(struct env *e, unsigned int vm)
{
	struct pair p[2];
	struct duo duo;

	p[0] = pair_from_host(e, vm, 7);
	p[1] = pair_from_guest(e, vm, 9);
	pair_check(e, &p[0]);
	pair_check(e, &p[1]);
	if (rand() % 2 == 0) /* the host reads it later, or never */
		vsw_guest_send(p[1].s, (uint8_t[70000]){1}, 70000, 0);
	if (rand() % 2 == 0)
		env_close(e, p[1].fd);
	if (rand() % 2 == 0)
		env_close(e, p[0].fd);
	for (unsigned int to = 0; to < N_VMS; to++) {
		if (env_guest(e, to) == NULL || rand() % 2 == 0)
			continue;
		check(e, duo_try(e, vm, to, &duo));
		duo_check(e, &duo);
		if (rand() % 2 == 0)
			vsw_guest_send(duo.a, (uint8_t[30000]){2}, 30000, 0);
	}
}

static void
test_many_cycles_leave_nothing(struct env *e)
{
	const char *more[N_VMS] = {"", ""};
	unsigned int n_fds = env_n_fds(e);
	unsigned long kib = 0;
	struct background b;

	srand(11);
	background_begin(e, &b);
	for (unsigned int i = 0; i < N_CYCLES(e); i++) {
		unsigned int vm = 1 + (unsigned int)rand() % (N_VMS - 1);

		if (i == N_CYCLES(e) / 4)
			kib = memory_of(e);
		more[vm] = more[vm] == NULL  ? (rand() % 2 == 0 ? "" : "groups: default+x")
			   : rand() % 4 == 0 ? "limits: {connections: 500}"
					     : NULL;
		reload(e, &b, more);
		check(e, has_sockets(e, vm) == (more[vm] != NULL));
		if (more[vm] == NULL && env_guest(e, vm) != NULL)
			guest_down(e, vm);
		if (more[vm] != NULL && env_guest(e, vm) == NULL && rand() % 4 != 0) {
			guest_up(e, vm, NULL);
			use(e, vm);
		}
		background_for(e, &b, 2);
	}
	if (CHECKS_MEMORY && memory_of(e) > kib + 4096)
		fail_env(e, "vswd has grown from %lu to %lu KiB", kib, memory_of(e));
	reload(e, &b, base);
	background_end(e, &b);
	for (unsigned int vm = 1; vm < N_VMS; vm++) {
		if (env_guest(e, vm) != NULL)
			guest_down(e, vm);
	}
	check(e, n_fds == env_baseline_fds(e));
}

static const char *const one_lcore[] = {"-l", "0", NULL};
static const char *const two_lcores[] = {"--lcores", "0@0,1@1", NULL};
static const char *const three_lcores[] = {"--lcores", "0@0,1@1,2@0", NULL};

static const struct variant variants[] = {
	{"qemu, 1 lcore", VSW_GUEST_QEMU, one_lcore, .n_vms = N_VMS, .n_config = 2},
	{"uml, 2 lcores", VSW_GUEST_UML, two_lcores, .n_vms = N_VMS, .n_config = 2},
	{"qemu, 3 lcores, 2 poll and bridge", VSW_GUEST_QEMU, three_lcores, .bridge_lcores = "1,2",
	 .n_vms = N_VMS, .n_config = 2},
};

int
main(void)
{
	static const struct test_case cases[] = {
		CASE(test_a_guest_comes_and_goes_while_others_stream),
		CASE(test_removal_ends_every_connection_of_the_guest),
		CASE(test_a_guest_leaves_while_its_host_is_slow),
		CASE(test_a_guest_that_does_not_listen_leaves_too),
		CASE(test_groups_change_under_the_guests),
		CASE(test_limits_change_under_the_guest),
		CASE(test_sockets_have_their_mode),
		CASE(test_another_place_is_another_guest),
		CASE(test_a_bad_file_changes_nothing),
		CASE(test_a_folder_that_is_full),
		CASE(test_vswd_connects_to_the_vmm),
		CASE(test_many_cycles_leave_nothing),
	};

	return run_cases_in("reload", variants, VSW_ARRAY_SIZE(variants), cases,
			    VSW_ARRAY_SIZE(cases));
}
