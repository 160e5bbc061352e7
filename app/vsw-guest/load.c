/* SPDX-License-Identifier: BSD-3-Clause */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "vsw_base.h"
#include "vsw_packet.h"

/* What an end does before others get their turn. */
#define BATCH_MESSAGES 64
#define BATCH_BYTES 65536

#define ECHO_LEN 65536

/* Where --corrupt changes a byte. */
#define LIE_AT 50000

/* Connections of a guest that may be closing while new ones are made. */
#define CLOSING_MAX 1024

/* ---- what goes wrong ---- */

static void
broken(struct conn *c, int rc, const char *what)
{
	struct load *load = c->load;

	if (load->rc == 0) {
		fprintf(stderr, "vsw-guest: a connection of the %s %s.\n",
			c->end.s != NULL ? "guest" : "host", what);
		load->rc = rc;
	}
}

static void
failed(struct conn *c, ssize_t err)
{
	broken(c, EXIT_BROKEN, err == 0 ? "has come to its end too early" : strerror((int)-err));
}

/* ---- roles ---- */

static void
lie(struct conn *c, const uint8_t **data, size_t len)
{
	static uint8_t copy[PATTERN_MAX];

	if (!c->load->opt->is_corrupted || c->has_lied || c->out.off + len <= LIE_AT)
		return;
	memcpy(copy, *data, len);
	copy[0] ^= 1;
	*data = copy;
	c->has_lied = true;
}

/* Sends what is left of a message. @return bytes, or -errno. */
static ssize_t
send_left(struct conn *c)
{
	struct load *load = c->load;
	const uint8_t *data;
	size_t len = pattern_next(&c->out, &data, c->left);
	ssize_t n;

	lie(c, &data, len);
	n = end_send(&c->end, data, len);
	if (n < 0)
		return n;
	c->out.off += (size_t)n;
	c->left -= (size_t)n;
	load->bytes_sent += (size_t)n;
	load->all_sent += (size_t)n;
	return n;
}

static bool
is_finished(struct conn *c)
{
	const struct options *opt = c->load->opt;

	return opt->count != 0 && c->n_messages >= opt->count;
}

/* @return whether the message is out; false also when it may not begin. */
static bool
send_message(struct conn *c, ssize_t *err)
{
	while (c->left > 0) {
		ssize_t n = send_left(c);

		if (n < 0) {
			*err = n;
			return false;
		}
	}
	return true;
}

static bool
source(struct conn *c)
{
	struct load *load = c->load;
	ssize_t err = 0;
	size_t batch = 0;
	bool did = false;

	end_cork(&c->end);
	for (unsigned int i = 0; i < BATCH_MESSAGES && batch < BATCH_BYTES; i++) {
		if (c->left == 0) {
			if (!load->is_running || is_finished(c))
				break;
			c->left = load->opt->size;
			c->n_messages++;
		}
		if (!send_message(c, &err))
			break;
		did = true;
		batch += load->opt->size;
		if (is_finished(c))
			load->n_unfinished--;
	}
	end_uncork(&c->end);
	if (err < 0 && err != -EAGAIN)
		failed(c, err);
	else if (err == 0 && did)
		end_wake(&c->end);
	return did;
}

static void
ping_answered(struct conn *c)
{
	struct load *load = c->load;

	hist_add(&load->hist, vsw_now_ns() - c->due_ns);
	load->n_done++;
	if (is_finished(c))
		load->n_unfinished--;
}

/* A ping that is late because the last one was slow counts from when it was due. */
static bool
ping_is_due(struct conn *c)
{
	struct load *load = c->load;
	uint64_t now = vsw_now_ns(), due;

	if (load->opt->rate <= 0) {
		c->due_ns = now;
		return true;
	}
	due = c->due_ns == 0 ? now : c->due_ns + (uint64_t)(1e9 / load->opt->rate);
	if (due > now) {
		end_wake(&c->end);
		load->rig.wake_ns = due;
		return false;
	}
	load->rig.wake_ns = 0;
	c->due_ns = due;
	return true;
}

static bool
ping(struct conn *c)
{
	struct load *load = c->load;
	ssize_t err = 0;

	if (c->left == 0 && c->awaited == 0) {
		if (!load->is_running || is_finished(c) || !ping_is_due(c))
			return false;
		c->left = c->awaited = load->opt->size;
		c->n_messages++;
	}
	if (c->left > 0 && !send_message(c, &err) && err != -EAGAIN)
		failed(c, err);
	return true;
}

/* @return whether all that came has gone back. */
static bool
flush_echo(struct conn *c)
{
	while (c->echo_len > 0) {
		ssize_t n = end_send(&c->end, c->echo + c->echo_off, c->echo_len);

		if (n < 0) {
			if (n != -EAGAIN)
				failed(c, n);
			return false;
		}
		c->echo_off += (uint64_t)n;
		c->echo_len -= (uint64_t)n;
		c->load->bytes_sent += (uint64_t)n;
		c->load->all_sent += (uint64_t)n;
	}
	return true;
}

static void
check(struct conn *c, const uint8_t *data, size_t len)
{
	char what[96];

	if (!c->load->opt->is_verified || pattern_check(&c->in, data, len))
		return;
	snprintf(what, sizeof(what), "got wrong bytes between %llu and %llu of its stream",
		 (unsigned long long)c->in.off, (unsigned long long)c->in.off + len);
	broken(c, EXIT_WRONG, what);
}

static bool
taken(struct conn *c, const uint8_t *data, size_t len)
{
	struct load *load = c->load;

	load->bytes_received += len;
	load->all_received += len;
	if ((c->roles & ROLE_ECHO) != 0) {
		memcpy(c->echo, data, len);
		c->echo_off = 0;
		c->echo_len = len;
		return flush_echo(c);
	}
	check(c, data, len);
	if ((c->roles & ROLE_PING) != 0) {
		c->awaited -= len < c->awaited ? len : c->awaited;
		if (c->awaited == 0)
			ping_answered(c);
	}
	return true;
}

/* Takes what has come. @return false when the connection is over and closed. */
static bool
sink(struct conn *c, bool *did)
{
	for (size_t batch = 0; batch < BATCH_BYTES;) {
		const uint8_t *data;
		ssize_t n;

		if (c->echo_len > 0 && !flush_echo(c))
			return true;
		n = end_take(&c->end, &data, ECHO_LEN);
		if (n == -EAGAIN)
			return true;
		*did = true;
		if (n <= 0) {
			if (c->is_dialler)
				failed(c, n);
			end_close(&c->end);
			return false;
		}
		if (!taken(c, data, (size_t)n))
			return true;
		batch += (size_t)n;
	}
	end_wake(&c->end);
	return true;
}

static void dial(struct load *load, struct vm *vm, bool is_guest, uint32_t cid, uint32_t port,
		 unsigned int roles);

/* One connection of a churn has got its answer: count it, close it, dial the next. */
static void
churn(struct conn *c)
{
	struct load *load = c->load;
	struct end *e = &c->end;
	struct vm *vm = e->vm;
	bool is_guest = e->s != NULL;
	uint32_t cid = load->opt->cid;

	if (is_guest) {
		struct vsw_guest_sock_info info;

		vsw_guest_sock_info(e->s, &info);
		cid = info.peer_cid;
		/* Closed sockets that nobody confirms must not pile up. */
		if (vsw_guest_n_socks(vm->g) > CLOSING_MAX) {
			end_wake(e);
			return;
		}
	}
	if (e->state == END_OPEN)
		load->n_done++;
	else
		load->n_refused++;
	hist_add(&load->hist, vsw_now_ns() - e->dialled_ns);
	end_close(e);
	if (load->is_running)
		dial(load, vm, is_guest, cid, e->port, c->roles);
}

static bool
run(struct end *e)
{
	struct conn *c = VSW_CONTAINER_OF(e, struct conn, end);
	bool did = false;

	if ((c->roles & ROLE_CHURN) != 0) {
		churn(c);
		return true;
	}
	if (c->is_dialler && !c->was_open) {
		c->was_open = true;
		c->load->n_open++;
	}
	if (e->state == END_FAILED) {
		broken(c, EXIT_REFUSED, "was refused, or not answered in time");
		return false;
	}
	if (!sink(c, &did))
		return true;
	if ((c->roles & ROLE_SOURCE) != 0)
		did |= source(c);
	if ((c->roles & ROLE_PING) != 0)
		did |= ping(c);
	return did;
}

/* ---- connections ---- */

static void
conn_free(struct end *e)
{
	struct conn *c = VSW_CONTAINER_OF(e, struct conn, end);

	LIST_REMOVE(c, next);
	free(c->echo);
	free(c);
}

static struct conn *
conn_new(struct load *load, unsigned int roles)
{
	struct conn *c = calloc(1, sizeof(*c));
	uint32_t name = ++load->n_names;

	if (c == NULL)
		abort();
	c->end.run = run;
	c->end.free = conn_free;
	c->load = load;
	c->roles = roles;
	memcpy(c->out.name, &name, sizeof(name));
	if ((roles & ROLE_ECHO) != 0) {
		c->echo = malloc(ECHO_LEN);
		if (c->echo == NULL)
			abort();
	}
	LIST_INSERT_HEAD(&load->conns, c, next);
	return c;
}

static void
dial(struct load *load, struct vm *vm, bool is_guest, uint32_t cid, uint32_t port,
     unsigned int roles)
{
	struct conn *c = conn_new(load, roles);

	c->is_dialler = true;
	end_dial(&c->end, vm, is_guest, cid, port);
}

static void
accepted(struct listener *l, struct vsw_guest_sock *s, int fd)
{
	struct load *load = VSW_CONTAINER_OF(l->rig, struct load, rig);
	struct conn *c = conn_new(load, (unsigned int)(uintptr_t)l->arg);

	load->n_accepted++;
	end_accept(&c->end, l->vm, s, fd);
}

int
load_listen(struct load *load, bool is_guest, uint32_t port, unsigned int roles)
{
	struct rig *rig = &load->rig;

	for (unsigned int i = 0; i < rig->n_vms; i++)
		if (rig_listen(rig, &rig->vms[i], is_guest, port, accepted,
			       (void *)(uintptr_t)roles) == NULL)
			return EXIT_UNREACHABLE;
	return 0;
}

/* Guests are paired for g2g: each even one dials the one after it. */
static void
dial_from(struct load *load, unsigned int i, uint32_t port, unsigned int n, unsigned int roles)
{
	const struct options *opt = load->opt;
	struct rig *rig = &load->rig;
	bool is_guest = opt->path != PATH_HOST && opt->path != PATH_HOST_TO_GUEST;
	uint32_t cid = opt->has_target ? opt->cid : VSW_CID_HOST;

	if (opt->path == PATH_GUEST_TO_GUEST) {
		if (i % 2 == 1 || i + 1 == rig->n_vms)
			return;
		cid = vsw_guest_cid(rig->vms[i + 1].g);
	}
	for (unsigned int k = 0; k < n; k++) {
		dial(load, &rig->vms[i], is_guest, cid, port, roles);
		load->n_dialled++;
	}
}

/* Turns until every connection dialled so far has its answer. */
static int
await_open(struct load *load)
{
	while (load->n_open < load->n_dialled && load->rc == 0 && rig_verdict(&load->rig) == 0)
		rig_turn(&load->rig, 0);
	return load->rc;
}

/* A switch learns of a started device by and by, and refuses hosts before it has. */
static void
settle(struct load *load)
{
	uint64_t until = vsw_now_ns() + (uint64_t)(load->opt->settle * 1e9);

	while (vsw_now_ns() < until)
		rig_turn(&load->rig, until);
}

int
load_open(struct load *load, const struct options *opt, unsigned int dialler_roles,
	  unsigned int listener_roles)
{
	bool is_guest = opt->path == PATH_HOST_TO_GUEST || opt->path == PATH_GUEST_TO_GUEST;
	unsigned int n_senders, n_idle = 0, n_active = 0;
	int rc;

	memset(load, 0, sizeof(*load));
	load->opt = opt;
	LIST_INIT(&load->conns);
	pattern_init();
	rc = rig_open(&load->rig, opt);
	if (rc != 0 || (!opt->has_target && opt->n_connections + opt->n_idle == 0))
		return rc;
	settle(load);
	if (!opt->has_target && !opt->is_deaf) {
		rc = load_listen(load, is_guest, opt->port, listener_roles);
		if (rc == 0 && opt->n_idle != 0)
			rc = load_listen(load, is_guest, opt->port + 1, ROLE_SINK);
	}
	for (unsigned int i = 0; rc == 0 && i < load->rig.n_vms; i++) {
		/* In small groups: backlogs and closing guests are somebody else's test. */
		for (unsigned int n = opt->n_idle; rc == 0 && n > 0; n -= n < 64 ? n : 64) {
			dial_from(load, i, opt->port + 1, n < 64 ? n : 64, ROLE_SINK);
			rc = await_open(load);
		}
		n_idle = load->n_dialled - n_active;
		if (rc == 0 && (dialler_roles & ROLE_CHURN) == 0)
			dial_from(load, i, opt->port, opt->n_connections, dialler_roles);
		n_active = load->n_dialled - n_idle;
	}
	if (rc == 0)
		rc = await_open(load);
	n_senders = (dialler_roles & (ROLE_SOURCE | ROLE_PING)) != 0;
	n_senders += !opt->has_target && (listener_roles & ROLE_SOURCE) != 0;
	if (opt->count != 0)
		load->n_unfinished = n_senders * (load->n_dialled - n_idle);
	return rc;
}

void
load_start(struct load *load)
{
	struct conn *c;

	load->is_running = true;
	LIST_FOREACH(c, &load->conns, next)
	end_wake(&c->end);
}

void
load_churn(struct load *load)
{
	load->is_running = true;
	for (unsigned int i = 0; i < load->rig.n_vms; i++)
		dial_from(load, i, load->opt->port, load->opt->n_connections, ROLE_CHURN);
}

void
load_close(struct load *load)
{
	struct conn *c;

	LIST_FOREACH(c, &load->conns, next)
	if (c->end.s != NULL || c->end.fd >= 0)
		end_close(&c->end);
	end_free_closed(&load->rig);
	/* What the closes have to say, as far as it can be said now. */
	rig_turn(&load->rig, vsw_now_ns());
	rig_close(&load->rig);
}
