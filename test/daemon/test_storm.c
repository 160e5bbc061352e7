/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proves that guests may come and go as they like: 32 guests of both kinds, each with a stream
 * to the host and one to a sibling, all bytes verified; 200 times one of them is killed, boots,
 * loses its VMM and gets another, or starts over with its streams. Every stream that nobody has
 * ended is exact to the last byte, every guest answers afterwards, and vswd has as many
 * descriptors and as much memory as before.
 */
#include "duo.h"
#include "hostile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define N_GUESTS 32
#define N_EVENTS 200
#define N_STREAMS 64
#define STEP 8192

struct end {
	unsigned int vm;
	struct vsw_guest_sock *s; /* NULL: the host's */
	int fd;
	uint64_t sent, received;
};

struct line {
	bool is_open;
	struct end end[2];
};

struct storm {
	struct env *e;
	struct line stream[N_STREAMS];
	bool is_up[N_GUESTS];
	uint64_t n_bytes;
	unsigned int n_ended;
};

static bool
is_again(const struct end *x, ssize_t n)
{
	return n == -EAGAIN || (x->s == NULL && n < 0 && errno == EAGAIN);
}

static void
push(struct storm *st, struct end *x, size_t len)
{
	static uint8_t buf[STEP];
	ssize_t n;

	if (len > sizeof(buf))
		len = sizeof(buf);
	pattern_fill(buf, x->sent, len);
	n = x->s != NULL ? vsw_guest_send(x->s, buf, len, 0)
			 : send(x->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && !is_again(x, n))
		fail_env(st->e, "a stream of guest %u that nobody ended cannot be sent to", x->vm);
	x->sent += n > 0 ? (uint64_t)n : 0;
}

static void
pull(struct storm *st, struct end *x, uint64_t sent)
{
	static uint8_t buf[STEP];
	ssize_t n;

	if (x->received == sent)
		return;
	n = x->s != NULL ? vsw_guest_recv(x->s, buf, sizeof(buf), 0)
			 : recv(x->fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n == 0 || (n < 0 && !is_again(x, n)))
		fail_env(st->e, "a stream of guest %u that nobody ended has ended", x->vm);
	if (n > 0 && !pattern_matches(buf, x->received, (size_t)n))
		fail_env(st->e, "guest %u or its host received wrong bytes after %lu", x->vm,
			 (unsigned long)x->received);
	x->received += n > 0 ? (uint64_t)n : 0;
	st->n_bytes += n > 0 ? (uint64_t)n : 0;
}

static void
traffic(struct storm *st)
{
	for (struct line *s = st->stream; s < st->stream + N_STREAMS; s++) {
		if (!s->is_open)
			continue;
		for (int i = 0; i < 2; i++) {
			push(st, &s->end[i], 1 + random_below(STEP));
			pull(st, &s->end[1 - i], s->end[i].sent);
		}
	}
	pump_fd(st->e, -1, 0, 0);
}

/* All that was sent arrives. */
static void
drain(struct storm *st)
{
	uint64_t deadline = vsw_guest_now_ms() + 3 * WAIT_MS;
	bool is_done = false;

	while (!is_done) {
		is_done = true;
		for (struct line *s = st->stream; s < st->stream + N_STREAMS; s++) {
			for (int i = 0; i < 2 && s->is_open; i++) {
				pull(st, &s->end[1 - i], s->end[i].sent);
				is_done &= s->end[1 - i].received == s->end[i].sent;
			}
		}
		if (vsw_guest_now_ms() >= deadline)
			fail_env(st->e, "waited %d ms for the last bytes of all streams",
				 3 * WAIT_MS);
		pump_fd(st->e, -1, 0, 0);
	}
}

static struct line *
free_stream(struct storm *st)
{
	for (struct line *s = st->stream; s < st->stream + N_STREAMS; s++)
		if (!s->is_open)
			return s;
	return NULL;
}

static void
open_to_host(struct storm *st, unsigned int vm)
{
	struct line *s = free_stream(st);
	struct pair p;

	if (s == NULL)
		return;
	p = random_below(2) ? pair_from_guest(st->e, vm, 52) : pair_from_host(st->e, vm, 53);
	*s = (struct line){.is_open = true, .end = {{vm, p.s, -1}, {vm, NULL, p.fd}}};
}

static void
open_to_sibling(struct storm *st, unsigned int vm)
{
	unsigned int other = random_below(N_GUESTS);
	struct line *s = free_stream(st);
	struct duo d;

	if (s == NULL || other == vm || !st->is_up[other])
		return;
	d = duo_connect(st->e, vm, other, 4300);
	*s = (struct line){.is_open = true, .end = {{vm, d.a, -1}, {other, d.b, -1}}};
}

static void
close_stream(struct storm *st, struct line *s)
{
	for (int i = 0; i < 2; i++) {
		struct end *x = &s->end[i];

		if (x->s == NULL)
			env_close(st->e, x->fd);
		else
			vsw_guest_close(x->s);
	}
	s->is_open = false;
	st->n_ended++;
}

/* Before the guest goes: what the test holds of its streams. */
static void
close_streams_of(struct storm *st, unsigned int vm)
{
	for (struct line *s = st->stream; s < st->stream + N_STREAMS; s++)
		if (s->is_open && (s->end[0].vm == vm || s->end[1].vm == vm))
			close_stream(st, s);
}

static void
bring_up(struct storm *st, unsigned int vm)
{
	struct vsw_guest_conf conf = guest_conf(st->e, vm);

	conf.shape = vm % 2 ? VSW_GUEST_UML : VSW_GUEST_QEMU;
	conf.ring_size = vm % 3 ? 64 : 128;
	conf.n_regions = 1 + vm % 3;
	guest_up(st->e, vm, &conf);
	st->is_up[vm] = true;
	open_to_host(st, vm);
	open_to_sibling(st, vm);
}

static void
ok(struct storm *st, unsigned int vm, int rc, const char *what)
{
	if (rc < 0)
		fail_env(st->e, "guest %u, %s: %s", vm, what,
			 vsw_guest_error(env_guest(st->e, vm)));
}

static void
event(struct storm *st)
{
	unsigned int vm = random_below(N_GUESTS);
	struct vsw_guest *g = env_guest(st->e, vm);

	if (!st->is_up[vm]) {
		bring_up(st, vm);
		return;
	}
	switch (random_below(5)) {
	case 0: /* killed; its streams are cut in the middle, also for vswd */
		for (int i = 0; i < 3; i++)
			traffic(st);
		for (struct line *s = st->stream; s < st->stream + N_STREAMS; s++)
			if (s->is_open && (s->end[0].vm == vm || s->end[1].vm == vm)) {
				for (int i = 0; i < 2; i++)
					if (s->end[i].s == NULL)
						env_close(st->e, s->end[i].fd);
					else if (s->end[i].vm != vm)
						vsw_guest_close(s->end[i].s);
				s->is_open = false;
				st->n_ended++;
			}
		guest_down(st->e, vm);
		st->is_up[vm] = false;
		break;
	case 1: /* boots */
		close_streams_of(st, vm);
		ok(st, vm, vsw_guest_stop(g), "stopping");
		ok(st, vm, vsw_guest_start(g, VSW_GUEST_BOOT), "booting");
		guest_sync(st->e, vm);
		open_to_host(st, vm);
		open_to_sibling(st, vm);
		break;
	case 2: /* the VMM's connection breaks, and comes again at once */
		close_streams_of(st, vm);
		vsw_guest_detach(g);
		ok(st, vm, vsw_guest_attach(g), "attaching");
		ok(st, vm, vsw_guest_start(g, VSW_GUEST_BOOT), "booting");
		guest_sync(st->e, vm);
		open_to_sibling(st, vm);
		break;
	case 3: /* the same memory again, in the middle of everything */
		ok(st, vm, vsw_guest_send_mem_table(g), "sending its memory table");
		break;
	default: /* starts over */
		close_streams_of(st, vm);
		open_to_host(st, vm);
		open_to_sibling(st, vm);
		break;
	}
}

/* Resident memory that is vswd's own, in KiB. */
static unsigned long
own_memory(struct env *e)
{
	char path[64], line[128];
	unsigned long kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", env_pid(e));
	f = fopen(path, "r");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "RssAnon: %lu kB", &kib) == 1)
			break;
	if (f != NULL)
		fclose(f);
	return kib;
}

static void
all_down(struct storm *st)
{
	for (unsigned int vm = 0; vm < N_GUESTS; vm++) {
		close_streams_of(st, vm);
		if (st->is_up[vm])
			guest_down(st->e, vm);
		st->is_up[vm] = false;
	}
	env_wait_fds(st->e, env_baseline_fds(st->e));
}

static void
test_200_events_on_32_guests(struct env *e)
{
	static struct storm st;
	unsigned long before, after;

	memset(&st, 0, sizeof(st));
	st.e = e;
	seed_random(__func__);
	/* once, so that what is kept for later is there */
	for (unsigned int vm = 0; vm < N_GUESTS; vm++)
		bring_up(&st, vm);
	for (int i = 0; i < 20; i++)
		traffic(&st);
	all_down(&st);
	before = own_memory(e);

	for (unsigned int vm = 0; vm < N_GUESTS; vm++)
		bring_up(&st, vm);
	for (unsigned int i = 0; i < N_EVENTS; i++) {
		traffic(&st);
		event(&st);
	}
	drain(&st);
	for (unsigned int vm = 0; vm < N_GUESTS; vm++) {
		struct pair p;

		if (!st.is_up[vm])
			bring_up(&st, vm);
		p = pair_from_host(e, vm, 54);
		pair_check(e, &p);
		pair_close(e, &p);
	}
	drain(&st);
	all_down(&st);
	after = own_memory(e);
	print_message("%u streams ended, %lu MiB moved; memory %lu KiB, then %lu KiB\n", st.n_ended,
		      (unsigned long)(st.n_bytes >> 20), before, after);
	if (after > before + 4096)
		fail_env(e, "vswd had %lu KiB of its own, and has %lu KiB", before, after);
}

int
main(void)
{
	static const char *const one_lcore[] = {"-l", "0", NULL};
	static const char *const three_lcores[] = {"--lcores", "0@0,1@1,2@0", NULL};
	static const struct variant variants[] = {
		{"1 lcore", VSW_GUEST_QEMU, one_lcore, .n_vms = N_GUESTS},
		{"3 lcores", VSW_GUEST_QEMU, three_lcores, .n_vms = N_GUESTS},
	};
	static const struct test_case cases[] = {CASE(test_200_events_on_32_guests)};

	return run_cases_in("storm", variants, 2, cases, 1);
}
