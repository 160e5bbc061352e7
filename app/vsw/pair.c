/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pairs: two ends, and a way from each to the other.
 *
 * Events are level-triggered, and asked for only while they are wanted: input while the way holds
 * nothing, room for output while it does. An end that wants neither stays in epoll for its edges
 * (EPOLLET), because nothing else would say that its peer has gone.
 *
 * That a peer has gone, and does not only send no more, shows differently:
 *   AF_UNIX, pipes   EPOLLHUP or EPOLLERR
 *   AF_VSOCK         writing fails, also writing nothing; no event says more than RDHUP
 *   TCP              not before something was written, by its nature
 *
 * Descriptors that we were given (standard input and output) stay blocking, because others may
 * use the same file. They are read after an event only, and a pipe that has room takes PIPE_BUF
 * bytes without waiting.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "fd.h"
#include "relay_priv.h"
#include "vsw_base.h"

#define PIECE (64 * 1024)
#define GONE (EPOLLHUP | EPOLLERR)

struct way {
	char *held; /* what the reader has not taken */
	size_t held_len, held_done;
	bool is_readable; /* there was an event */
	bool has_ended;   /* the writer's end of file was read */
	bool is_over;     /* all was delivered and the reader told; or nobody reads */
};

struct end {
	struct watch in;
	struct watch out; /* of standard output; else in is both */
	bool has_out;
	struct way to_other;
};

struct pair {
	TAILQ_ENTRY(pair) entry;
	struct pair_list *list;
	struct relay *relay;
	struct end ends[2]; /* the second is the one that is dialled */
	bool is_stdio;
	struct endpoint to;
	struct dial *dial; /* while the second end is not there */
};

static struct end *
other(struct pair *pair, const struct end *end)
{
	return end == &pair->ends[0] ? &pair->ends[1] : &pair->ends[0];
}

static struct watch *
out_of(struct end *end)
{
	return end->has_out ? &end->out : &end->in;
}

static void
move_to(struct pair *pair, struct pair_list *list)
{
	if (pair->list == list)
		return;
	TAILQ_REMOVE(pair->list, pair, entry);
	TAILQ_INSERT_TAIL(list, pair, entry);
	pair->list = list;
}

/*
 * Its end.
 */

static void
close_watch(struct relay *relay, struct watch *watch)
{
	if (watch->fd < 0)
		return;
	relay_unwatch(relay, watch);
	close(watch->fd);
	watch->fd = -1;
}

/* What is freed may still be named by an event of this turn: the descriptors go now. */
static void
kill_pair(struct pair *pair)
{
	struct relay *relay = pair->relay;

	if (pair->list == &relay->dead)
		return;
	for (int i = 0; i < 2; i++) {
		struct end *end = &pair->ends[i];

		close_watch(relay, &end->in);
		if (end->has_out)
			close_watch(relay, &end->out);
		free(end->to_other.held);
		end->to_other.held = NULL;
	}
	free(pair->dial);
	pair->dial = NULL;
	move_to(pair, &relay->dead);
}

bool
pair_free_dead(struct relay *relay)
{
	bool had_some = !TAILQ_EMPTY(&relay->dead);
	struct pair *pair;

	while ((pair = TAILQ_FIRST(&relay->dead)) != NULL) {
		TAILQ_REMOVE(&relay->dead, pair, entry);
		free(pair);
	}
	return had_some;
}

void
pair_free_all(struct relay *relay)
{
	struct pair_list *lists[] = {&relay->pairs, &relay->ready, &relay->again};

	for (size_t i = 0; i < VSW_ARRAY_SIZE(lists); i++) {
		while (!TAILQ_EMPTY(lists[i]))
			kill_pair(TAILQ_FIRST(lists[i]));
	}
	pair_free_dead(relay);
}

/*
 * One way.
 */

/* @return bytes that were taken, 0: none now, -1: nobody reads. */
static ssize_t
write_some(const struct watch *out, const char *data, size_t len)
{
	struct pollfd p = {.fd = out->fd, .events = POLLOUT};
	ssize_t n;

	if (out->is_socket) {
		n = send(out->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else if (out->is_plain) {
		n = write(out->fd, data, len);
	} else {
		if (poll(&p, 1, 0) == 0)
			return 0;
		n = write(out->fd, data, len < PIPE_BUF ? len : PIPE_BUF);
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return n;
}

/* @return how much was taken before it would have had to wait; -1: nobody reads. */
static ssize_t
write_all(const struct watch *out, const char *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write_some(out, data + done, len - done);

		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* @return bytes, 0: end of file, -1: nothing now. */
static ssize_t
read_some(const struct watch *in, char *data, size_t len)
{
	ssize_t n = in->is_socket ? recv(in->fd, data, len, MSG_DONTWAIT) : read(in->fd, data, len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -1;
	/* An error is an end: an AF_UNIX peer that closed with input unread is ECONNRESET. */
	return n < 0 ? 0 : n;
}

/* Nobody reads what @p from says any more: whoever writes shall know. @p error: why, as errno. */
static void
give_up(struct pair *pair, struct end *from, int error)
{
	struct way *way = &from->to_other;

	free(way->held);
	way->held = NULL;
	way->is_over = true;
	if (from->in.is_socket)
		shutdown(from->in.fd, SHUT_RD);
	if (pair->is_stdio && other(pair, from)->has_out) {
		pair->relay->status = EXIT_BROKEN;
		/* That a reader has enough is no mistake: vsw connect web 80 | head. */
		if (error != EPIPE)
			complain(pair->relay->args, 0, "standard output: %s", strerror(error));
		kill_pair(pair);
	}
}

/* All was delivered. */
static void
pass_end_on(struct pair *pair, struct end *from)
{
	struct end *to = other(pair, from);

	from->to_other.is_over = true;
	/* The end of the process, which follows, is enough: others may have standard output,
	 * too, as the shell that goes on with its script. */
	if (to->has_out && to->to_other.is_over)
		return;
	if (out_of(to)->is_socket)
		shutdown(out_of(to)->fd, SHUT_WR);
	else
		close_watch(pair->relay, out_of(to));
}

/* @return false: it cannot be kept. */
static bool
hold(struct way *way, const char *data, size_t len)
{
	way->held = malloc(len);
	if (way->held == NULL)
		return false;
	memcpy(way->held, data, len);
	way->held_len = len;
	way->held_done = 0;
	return true;
}

/* Write what is held. @return false: not all, or nobody reads. */
static bool
flush(struct pair *pair, struct end *from)
{
	struct way *way = &from->to_other;
	ssize_t n;

	if (way->held == NULL)
		return true;
	n = write_all(out_of(other(pair, from)), way->held + way->held_done,
		      way->held_len - way->held_done);
	if (n < 0) {
		give_up(pair, from, errno);
		return false;
	}
	way->held_done += (size_t)n;
	if (way->held_done < way->held_len)
		return false;
	free(way->held);
	way->held = NULL;
	return true;
}

static void
move_piece(struct pair *pair, struct end *from)
{
	static char data[PIECE];
	struct way *way = &from->to_other;
	ssize_t n = read_some(&from->in, data, sizeof(data));
	ssize_t taken;

	way->is_readable = false;
	if (n == 0)
		way->has_ended = true;
	if (n <= 0)
		return;
	taken = write_all(out_of(other(pair, from)), data, (size_t)n);
	if (taken < 0)
		give_up(pair, from, errno);
	else if (taken < n && !hold(way, data + taken, (size_t)(n - taken)))
		give_up(pair, from, ENOMEM);
}

static void
serve_way(struct pair *pair, struct end *from)
{
	struct way *way = &from->to_other;

	if (way->is_over || !flush(pair, from))
		return;
	if (!way->has_ended && (way->is_readable || from->in.is_plain))
		move_piece(pair, from);
	if (way->has_ended && way->held == NULL && !way->is_over)
		pass_end_on(pair, from);
}

/*
 * Both.
 */

static void
want(struct relay *relay, struct end *end, const struct way *from_other)
{
	const struct way *way = &end->to_other;
	uint32_t in = !way->is_over && !way->has_ended && way->held == NULL ? EPOLLIN : 0;
	uint32_t out = !from_other->is_over && from_other->held != NULL ? EPOLLOUT : 0;

	if (end->has_out) {
		relay_want(relay, &end->in, in != 0 ? in : EPOLLET);
		if (end->out.fd >= 0)
			relay_want(relay, &end->out, out != 0 ? out : EPOLLET);
	} else {
		relay_want(relay, &end->in, in + out != 0 ? in | out : EPOLLRDHUP | EPOLLET);
	}
}

static bool
reads_from_file(const struct pair *pair)
{
	for (int i = 0; i < 2; i++) {
		const struct way *way = &pair->ends[i].to_other;

		if (pair->ends[i].in.is_plain && !way->is_over && way->held == NULL)
			return true;
	}
	return false;
}

static void
serve_pair(struct pair *pair)
{
	struct relay *relay = pair->relay;
	struct end *a = &pair->ends[0], *b = &pair->ends[1];

	serve_way(pair, a);
	if (pair->list != &relay->dead)
		serve_way(pair, b);
	if (pair->list == &relay->dead)
		return;
	if (a->to_other.is_over && b->to_other.is_over) {
		kill_pair(pair);
		return;
	}
	want(relay, a, &b->to_other);
	want(relay, b, &a->to_other);
	move_to(pair, reads_from_file(pair) ? &relay->ready : &relay->pairs);
}

/* Has the peer of @p end closed, so that it will never read again? */
static bool
is_deaf(struct end *end, const struct watch *watch, uint32_t events)
{
	const struct watch *out = out_of(end);

	if (watch == out && (events & GONE))
		return true;
	return out->is_socket && (events & (EPOLLRDHUP | EPOLLIN)) && end->to_other.has_ended &&
	       send(out->fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN;
}

static void
on_pair_event(struct watch *watch, uint32_t events)
{
	struct pair *pair = watch->ctx;
	struct end *end = watch == &pair->ends[0].in || watch == &pair->ends[0].out
				  ? &pair->ends[0]
				  : &pair->ends[1];
	struct end *peer = other(pair, end);

	if (pair->list == &pair->relay->dead || pair->dial != NULL)
		return;
	if (watch == &end->in && (events & ~(uint32_t)EPOLLOUT))
		end->to_other.is_readable = true;
	serve_pair(pair);
	if (pair->list == &pair->relay->dead || peer->to_other.is_over)
		return;
	if (is_deaf(end, watch, events)) {
		give_up(pair, peer, EPIPE);
		serve_pair(pair);
	}
}

void
pair_serve_ready(struct relay *relay)
{
	struct pair *pair, *next;

	for (pair = TAILQ_FIRST(&relay->ready); pair != NULL; pair = next) {
		next = TAILQ_NEXT(pair, entry);
		serve_pair(pair);
	}
}

/*
 * Its beginning.
 */

static struct pair *
create(struct relay *relay)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	if (pair == NULL)
		return NULL;
	pair->relay = relay;
	pair->list = &relay->pairs;
	for (int i = 0; i < 2; i++) {
		pair->ends[i].in = (struct watch){.fn = on_pair_event, .ctx = pair, .fd = -1};
		pair->ends[i].out = pair->ends[i].in;
	}
	TAILQ_INSERT_TAIL(&relay->pairs, pair, entry);
	return pair;
}

static bool
watch_end(struct pair *pair, struct watch *watch, int fd)
{
	watch->fd = fd;
	watch->events = EPOLLRDHUP | EPOLLET;
	return relay_watch(pair->relay, watch);
}

static void
be_quick(int fd)
{
	const int one = 1;

	/* Not TCP: an error, which is none. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void
on_dialled(struct pair *pair)
{
	free(pair->dial);
	pair->dial = NULL;
	be_quick(pair->ends[0].in.fd);
	be_quick(pair->ends[1].in.fd);
	pair->ends[1].in.fn = on_pair_event;
	serve_pair(pair); /* which asks for the first events */
}

static void
fail(struct pair *pair, const char *why)
{
	relay_complain(pair->relay, why);
	fd_reset_at_close(pair->ends[0].in.fd);
	kill_pair(pair);
}

static void on_dial_event(struct watch *watch, uint32_t events);

/* Wait for the dial's next step, or join what it has brought. */
static void
settle_dial(struct pair *pair)
{
	struct dial *dial = pair->dial;
	struct watch *watch = &pair->ends[1].in;

	if (dial->state == DIAL_FAILED) {
		watch->fd = -1; /* the dial has closed it, and so epoll has forgotten it */
		fail(pair, dial->why);
		return;
	}
	if (dial->state == DIAL_CROWDED) {
		move_to(pair, &pair->relay->again);
		return;
	}
	if (watch->fd < 0) {
		watch->fn = on_dial_event;
		if (!watch_end(pair, watch, dial->fd)) {
			fail(pair, "out of memory");
			return;
		}
	}
	if (dial->state == DIAL_DONE)
		on_dialled(pair);
	else
		relay_want(pair->relay, watch, dial->state == DIAL_CONNECTING ? EPOLLOUT : EPOLLIN);
}

static void
on_dial_event(struct watch *watch, uint32_t events)
{
	struct pair *pair = watch->ctx;

	if (pair->list == &pair->relay->dead)
		return;
	dial_step(pair->dial);
	settle_dial(pair);
}

void
pair_serve_again(struct relay *relay)
{
	struct pair *pair;

	/* In turn: one that is crowded still goes to the end of the list. */
	while ((pair = TAILQ_FIRST(&relay->again)) != NULL) {
		move_to(pair, &relay->pairs);
		dial_step(pair->dial);
		settle_dial(pair);
		if (pair->list == &relay->again)
			break;
	}
}

void
relay_dial(struct relay *relay, int fd, const struct endpoint *to)
{
	struct pair *pair = create(relay);

	if (pair == NULL) {
		relay_complain(relay, "out of memory");
		close(fd);
		return;
	}
	pair->to = *to;
	pair->dial = calloc(1, sizeof(*pair->dial));
	if (!watch_end(pair, &pair->ends[0].in, fd) || pair->dial == NULL) {
		pair->ends[0].in.fd = fd;
		fail(pair, "out of memory");
		return;
	}
	dial_begin(pair->dial, &pair->to);
	settle_dial(pair);
}

bool
relay_join_stdio(struct relay *relay, int fd)
{
	struct pair *pair = create(relay);

	if (pair == NULL)
		return false;
	pair->is_stdio = true;
	pair->ends[0].has_out = true;
	if (!watch_end(pair, &pair->ends[0].in, STDIN_FILENO) ||
	    !watch_end(pair, &pair->ends[0].out, STDOUT_FILENO) ||
	    !watch_end(pair, &pair->ends[1].in, fd)) {
		kill_pair(pair);
		return false;
	}
	on_dialled(pair);
	return true;
}
