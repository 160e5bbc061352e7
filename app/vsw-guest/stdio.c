/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * connect, and listen --serve=stdio: one connection joined to standard input and output.
 *
 * The end of the input is passed on as a half-close, and the rest of what the peer says is
 * still printed, as vsw connect does.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "end.h"
#include "vsw_base.h"

struct join {
	struct rig rig;
	struct end end;
	struct watch input;
	bool is_there; /* the connection */
	bool is_over;
	bool has_input; /* standard input may be read */
	uint8_t *data;  /* read and not sent yet */
	size_t off, len;
	bool is_at_end;
	int rc;
};

#define DATA_LEN 65536

static struct join the_join;

static bool
print_all(const uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, data, len);
		struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};

		if (n < 0 && errno == EAGAIN)
			poll(&p, 1, -1);
		else if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return true;
}

/* From the peer to standard output. */
static bool
print_some(struct join *j)
{
	const uint8_t *data;
	ssize_t n = end_take(&j->end, &data, DATA_LEN);

	if (n == -EAGAIN)
		return false;
	if (n > 0 && print_all(data, (size_t)n)) {
		end_wake(&j->end);
		return true;
	}
	if (n < 0)
		j->rc = EXIT_BROKEN;
	j->is_over = true;
	return true;
}

/* From standard input to the peer. */
static bool
send_some(struct join *j)
{
	ssize_t n;

	if (j->len == 0 && j->has_input && !j->is_at_end) {
		n = read(STDIN_FILENO, j->data, DATA_LEN);
		j->has_input = false;
		j->off = 0;
		j->len = n > 0 ? (size_t)n : 0;
		j->is_at_end = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
		if (j->is_at_end)
			end_shutdown(&j->end);
	}
	if (j->len == 0)
		return false;
	n = end_send(&j->end, j->data + j->off, j->len);
	if (n > 0) {
		j->off += (size_t)n;
		j->len -= (size_t)n;
		end_wake(&j->end);
	} else if (n != -EAGAIN) {
		/* The peer takes no more; what it still says is worth hearing. */
		j->len = 0;
		j->is_at_end = true;
	}
	return n > 0;
}

static bool
run(struct end *e)
{
	struct join *j = VSW_CONTAINER_OF(e, struct join, end);
	bool did;

	if (e->state == END_FAILED) {
		fprintf(stderr, "vsw-guest: the connection was refused, or not answered.\n");
		j->rc = EXIT_REFUSED;
		j->is_over = true;
		return true;
	}
	did = print_some(j);
	if (!j->is_over)
		did |= send_some(j);
	return did;
}

static void
keep(struct end *e)
{
}

static void
input_ready(struct watch *w, uint32_t events)
{
	struct join *j = VSW_CONTAINER_OF(w, struct join, input);

	j->has_input = true;
	if (j->is_there)
		end_wake(&j->end);
}

static void
accepted(struct listener *l, struct vsw_guest_sock *s, int fd)
{
	struct join *j = VSW_CONTAINER_OF(l->rig, struct join, rig);

	if (j->is_there) {
		if (s != NULL)
			vsw_guest_abort(s);
		else
			close(fd);
		return;
	}
	j->is_there = true;
	end_accept(&j->end, l->vm, s, fd);
}

static int
begin(struct join *j, const struct options *opt)
{
	bool is_guest = opt->guest_path != NULL;

	if (strcmp(opt->command, "listen") == 0)
		return rig_listen(&j->rig, &j->rig.vms[0], is_guest, opt->port, accepted, NULL) !=
				       NULL
			       ? 0
			       : EXIT_UNREACHABLE;
	end_dial(&j->end, &j->rig.vms[0], is_guest, opt->cid, opt->port);
	j->is_there = true;
	return 0;
}

/* A file cannot be watched, and can always be read. */
static bool
watch_input(struct join *j)
{
	j->input.ready = input_ready;
	return rig_watch(&j->rig, STDIN_FILENO, EPOLLIN, &j->input);
}

/* Until the close has been heard of at the other side: a guest's takes an answer. */
static void
linger(struct join *j)
{
	uint64_t deadline = vsw_now_ns() + (uint64_t)j->rig.opt->timeout_ms * 1000000;
	struct vsw_guest *g = j->rig.vms[0].g;

	if (j->is_there)
		end_close(&j->end);
	while (g != NULL && vsw_guest_n_socks(g) > 0 && vsw_now_ns() < deadline &&
	       !j->rig.vms[0].is_gone)
		rig_turn(&j->rig, deadline);
}

int
cmd_stdio(const struct options *opt)
{
	struct join *j = &the_join;
	bool is_file;
	int rc;

	j->data = malloc(DATA_LEN);
	if (j->data == NULL)
		abort();
	j->end.run = run;
	j->end.free = keep;
	rc = rig_open(&j->rig, opt);
	if (rc == 0)
		rc = begin(j, opt);
	if (rc == 0) {
		is_file = !watch_input(j);
		while (!j->is_over && !j->rig.vms[0].is_gone) {
			if (is_file && !j->is_at_end)
				input_ready(&j->input, 0);
			rig_turn(&j->rig, is_file && !j->is_at_end && j->len == 0 ? 1 : 0);
		}
		linger(j);
		rc = rig_verdict(&j->rig);
		if (rc == 0)
			rc = j->rc;
	}
	rig_close(&j->rig);
	free(j->data);
	return rc;
}
