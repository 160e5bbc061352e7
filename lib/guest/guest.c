/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Life of a guest, its progress, and its record of violations.
 *
 * Everything happens in guest_process(), one pass over the rings and timers. A blocking
 * call is a loop of "is it there? process; else wait", so a guest that waits for one thing
 * still answers for all others, as a kernel would.
 */
#include "guest_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vsw_now.h"

/* A polling guest looks after its vhost-user connection once in this many empty passes. */
#define CHECK_EVERY 4096

/* Longest sleep, so that a lost interrupt is noticed and not just waited out. */
#define SLEEP_MAX_MS 500

uint64_t
vsw_guest_now_ms(void)
{
	return (uint64_t)vsw_now_ms();
}

int
guest_fail(struct vsw_guest *g, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(g->error, sizeof(g->error), fmt, ap);
	va_end(ap);
	return err;
}

void
guest_violation(struct vsw_guest *g, const char *fmt, ...)
{
	va_list ap;

	if (g->n_violations < N_VIOLATIONS_MAX) {
		va_start(ap, fmt);
		if (vasprintf(&g->violations[g->n_violations], fmt, ap) < 0)
			g->violations[g->n_violations] = NULL;
		va_end(ap);
	}
	g->n_violations++;
}

unsigned int
vsw_guest_violations(const struct vsw_guest *g)
{
	return g->n_violations;
}

const char *
vsw_guest_violation(const struct vsw_guest *g, unsigned int i)
{
	return i < g->n_violations && i < N_VIOLATIONS_MAX ? g->violations[i] : NULL;
}

void
vsw_guest_forgive(struct vsw_guest *g)
{
	for (unsigned int i = 0; i < N_VIOLATIONS_MAX; i++) {
		free(g->violations[i]);
		g->violations[i] = NULL;
	}
	g->n_violations = 0;
}

static bool
conf_is_sane(const struct vsw_guest_conf *c)
{
	return c->socket_path != NULL && c->ring_size >= 2 && c->ring_size <= 32768 &&
	       (c->ring_size & (c->ring_size - 1)) == 0 && c->n_regions >= 1 &&
	       c->n_regions < N_REGIONS_MAX && c->recv_buf_len >= 1 && c->recv_pieces >= 1 &&
	       c->recv_pieces <= c->recv_buf_len && c->recv_pieces <= c->ring_size &&
	       c->recv_pieces <= N_PIECES_MAX && c->send_fragments >= 1 &&
	       c->send_fragments < N_PIECES_MAX && c->send_max >= 1 && c->send_max <= 65536 &&
	       (c->n_rings == 0 || c->n_rings == 2 || c->n_rings == 3);
}

struct vsw_guest *
vsw_guest_create(const struct vsw_guest_conf *conf)
{
	struct vsw_guest *g;
	int err;

	if (!conf_is_sane(conf)) {
		errno = EINVAL;
		return NULL;
	}
	g = calloc(1, sizeof(*g));
	if (g == NULL)
		return NULL;
	g->conf = *conf;
	g->vhost_fd = g->request_fd = -1;
	g->n_rings = conf->n_rings != 0 ? conf->n_rings : conf->shape == VSW_GUEST_UML ? 3 : 2;
	g->socket_path = strdup(conf->socket_path);
	transport_init(g);
	sock_init(g);
	err = g->socket_path != NULL ? 0 : -ENOMEM;
	for (unsigned int q = 0; err == 0 && q < VSW_GUEST_N_QUEUES; q++)
		err = ring_init(&g->rings[q], g, q);
	if (err == 0)
		err = memory_init(g);
	if (err < 0) {
		vsw_guest_destroy(g);
		errno = -err;
		return NULL;
	}
	return g;
}

void
vsw_guest_destroy(struct vsw_guest *g)
{
	if (g == NULL)
		return;
	vsw_guest_detach(g);
	sock_fini(g);
	transport_fini(g);
	for (unsigned int q = 0; q < VSW_GUEST_N_QUEUES; q++)
		ring_fini(&g->rings[q]);
	memory_fini(g);
	vsw_guest_forgive(g);
	free(g->socket_path);
	free(g);
}

int
vsw_guest_attach(struct vsw_guest *g)
{
	if (g->vhost_fd >= 0)
		return guest_fail(g, -EALREADY, "attaching a guest that is attached");
	return frontend_attach(g);
}

void
vsw_guest_detach(struct vsw_guest *g)
{
	frontend_detach(g);
	g->is_running = false;
	g->is_stopped = false;
}

bool
vsw_guest_is_attached(const struct vsw_guest *g)
{
	return g->vhost_fd >= 0;
}

/* Between the end of a stop and the next start the rings are nobody's but the driver's. */
static void
check_rings_were_left_alone(struct vsw_guest *g)
{
	for (unsigned int q = 0; g->is_stopped && q < g->n_rings; q++) {
		uint16_t used = __atomic_load_n(&g->rings[q].used->idx, __ATOMIC_ACQUIRE);

		if (used != g->used_at_stop[q])
			guest_violation(g, "ring %u was used from %u to %u while stopped", q,
					g->used_at_stop[q], used);
	}
}

int
vsw_guest_start(struct vsw_guest *g, enum vsw_guest_start_mode mode)
{
	int err;

	if (g->vhost_fd < 0)
		return guest_fail(g, -ENOTCONN, "starting a guest that is not attached");
	if (g->is_running)
		return guest_fail(g, -EALREADY, "starting a guest that runs");
	check_rings_were_left_alone(g);
	if (mode == VSW_GUEST_BOOT) {
		sock_forget_all(g);
		transport_reset(g);
		g->is_disturbed = false;
		for (unsigned int q = 0; q < VSW_GUEST_N_QUEUES; q++)
			ring_reset(&g->rings[q]);
	}
	err = frontend_start(g, mode);
	if (err < 0)
		return err;
	g->is_running = true;
	g->is_stopped = false;
	if (mode == VSW_GUEST_BOOT)
		transport_post_all(g);
	else
		for (unsigned int q = 0; q < g->n_rings; q++)
			ring_kick(&g->rings[q]);
	return 0;
}

int
vsw_guest_stop(struct vsw_guest *g)
{
	int err;

	if (!g->is_running)
		return guest_fail(g, -ENOTCONN, "stopping a guest that does not run");
	g->is_running = false;
	g->is_disturbed = true;
	err = frontend_stop(g);
	if (err < 0)
		return err;
	for (unsigned int q = 0; q < g->n_rings; q++)
		g->used_at_stop[q] = __atomic_load_n(&g->rings[q].used->idx, __ATOMIC_ACQUIRE);
	g->is_stopped = true;
	return 0;
}

uint32_t
vsw_guest_cid(const struct vsw_guest *g)
{
	return g->cid;
}

const char *
vsw_guest_error(const struct vsw_guest *g)
{
	return g->error;
}

void
vsw_guest_stats(const struct vsw_guest *g, struct vsw_guest_stats *stats)
{
	*stats = g->stats;
}

int
vsw_guest_add_region(struct vsw_guest *g, size_t len)
{
	int err = memory_add_region(g, len);

	if (err < 0)
		return guest_fail(g, err, "adding a region of %zu bytes: %s", len, strerror(-err));
	err = frontend_mem_table(g);
	if (err < 0)
		return err;
	/*
	 * Slots in flight keep their old numbers and addresses in the ring; only where a
	 * number points from now on changes, and both places are valid.
	 */
	g->slots_gpa = g->regions[g->n_regions - 1].gpa;
	return 0;
}

/* One pass. Returns whether there was anything to do. */
bool
guest_process(struct vsw_guest *g)
{
	bool did = sock_timers(g);

	if (g->is_running)
		did |= transport_process(g);
	g->has_news |= did;
	return did;
}

bool
vsw_guest_process(struct vsw_guest *g)
{
	bool has_news;

	guest_process(g);
	has_news = g->has_news;
	g->has_news = false;
	return has_news;
}

void
vsw_guest_cork(struct vsw_guest *g)
{
	g->rings[VSW_GUEST_FROM_GUEST].is_corked = true;
}

void
vsw_guest_uncork(struct vsw_guest *g)
{
	g->rings[VSW_GUEST_FROM_GUEST].is_corked = false;
	if (g->is_running)
		ring_flush(&g->rings[VSW_GUEST_FROM_GUEST]);
}

static bool
has_work(const struct vsw_guest *g)
{
	for (unsigned int q = 0; g->is_running && q < g->n_rings; q++)
		if (ring_has_used(&g->rings[q]))
			return true;
	return false;
}

int
vsw_guest_pollfds(struct vsw_guest *g, struct pollfd *fds, unsigned int *n)
{
	*n = 0;
	if (g->vhost_fd >= 0)
		fds[(*n)++] = (struct pollfd){.fd = g->vhost_fd, .events = POLLIN};
	if (g->request_fd >= 0)
		fds[(*n)++] = (struct pollfd){.fd = g->request_fd, .events = POLLIN};
	if (!g->is_running)
		return sock_next_timer(g);
	for (unsigned int q = 0; q < g->n_rings; q++)
		fds[(*n)++] = (struct pollfd){.fd = g->rings[q].call_fd, .events = POLLIN};
	if (g->conf.wait == VSW_GUEST_POLL)
		return 0;
	for (unsigned int q = 0; q < g->n_rings; q++)
		ring_arm(&g->rings[q]);
	return has_work(g) ? 0 : sock_next_timer(g);
}

/*
 * Nothing woke us, yet there may be used entries although interrupts were asked for: then
 * one must be on its way, or the device has lost it and a real guest would hang.
 */
static void
check_lost_interrupt(struct vsw_guest *g)
{
	for (unsigned int q = 0; q < g->n_rings; q++) {
		struct ring *r = &g->rings[q];
		struct pollfd fd = {.fd = r->call_fd, .events = POLLIN};

		if (!r->is_enabled || !ring_has_used(r))
			continue;
		if (poll(&fd, 1, g->conf.timeout_ms) == 0)
			guest_violation(g, "ring %u: used index moved from %u to %u, no interrupt",
					q, r->last_used, r->used->idx);
	}
}

static int
wait_interrupt(struct vsw_guest *g, int timeout_ms)
{
	struct pollfd fds[VSW_GUEST_N_FDS];
	unsigned int n;
	int sleep_ms = vsw_guest_pollfds(g, fds, &n);

	if (sleep_ms < 0 || sleep_ms > SLEEP_MAX_MS)
		sleep_ms = SLEEP_MAX_MS;
	if (timeout_ms >= 0 && timeout_ms < sleep_ms)
		sleep_ms = timeout_ms;
	if (sleep_ms > 0 && poll(fds, n, sleep_ms) == 0 && g->is_running)
		check_lost_interrupt(g);
	if (g->is_running)
		for (unsigned int q = 0; q < g->n_rings; q++) {
			ring_drain_calls(&g->rings[q]);
			ring_disarm(&g->rings[q]);
		}
	return frontend_check(g);
}

static int
wait_polling(struct vsw_guest *g)
{
	__builtin_ia32_pause();
	if (++g->spins < CHECK_EVERY)
		return 0;
	g->spins = 0;
	/* The device may signal in spite of it, at least once a start: keep it counted. */
	for (unsigned int q = 0; g->is_running && q < g->n_rings; q++)
		ring_drain_calls(&g->rings[q]);
	return frontend_check(g);
}

int
vsw_guest_poll(struct vsw_guest *g, int timeout_ms)
{
	uint64_t deadline = vsw_guest_now_ms() + (timeout_ms < 0 ? INT32_MAX : timeout_ms);

	for (;;) {
		uint64_t now;
		int err;

		if (guest_process(g)) {
			g->spins = 0;
			return 1;
		}
		now = vsw_guest_now_ms();
		if (g->conf.wait == VSW_GUEST_POLL && g->is_running)
			err = wait_polling(g);
		else
			err = wait_interrupt(g, now < deadline ? (int)(deadline - now) : 0);
		if (err < 0)
			return err;
		if (now >= deadline)
			return guest_process(g);
	}
}

int
guest_wait(struct vsw_guest *g, guest_cond_fn *cond, void *arg, int timeout_ms, const char *what)
{
	uint64_t deadline = vsw_guest_now_ms() + (timeout_ms < 0 ? INT32_MAX : timeout_ms);

	while (!cond(arg)) {
		uint64_t now = vsw_guest_now_ms();
		int n = vsw_guest_poll(g, now < deadline ? (int)(deadline - now) : 0);

		if (n < 0)
			return guest_fail(g, n, "waiting for %s: the switch closed the connection",
					  what);
		if (n == 0 && now >= deadline && !cond(arg))
			return guest_fail(g, -ETIMEDOUT, "waited %d ms for %s", timeout_ms, what);
	}
	return 0;
}
