/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The whole poll role: two guests of one lcore that send what the input says, write what it says
 * into their rings, post any receive buffers, and stop and start; a bridge that opens, refuses,
 * takes, spills, fills and hangs up as the input says; timers that run out when it says so.
 *
 * Checked: every stream is named only while it is open, asked at most one READ at a time, and
 * closed once; every loan lies in its guest's memory; what a guest is given is a packet to it; a
 * stop comes to its end; at the end all loans, messages and flows are gone.
 *
 * Input: steps, a byte (what) and numbers.
 */
#include "../unit/eal.h"

#include <endian.h>
#include <errno.h>
#include <semaphore.h>

#include <linux/virtio_ring.h>

#include "fuzz.h"

#include "msg_pool.h"
#include "vsw_iov.h"
#include "vsw_loop.h"
#include "vsw_packet.h"
#include "vsw_poll.h"
#include "vsw_rings.h"
#include "vsw_route.h"

#define STEPS_MAX 300
#define TURNS_MAX 2000
#define N_GUESTS 2u
#define N_ENTRIES 16u
#define MEM_SIZE 0x34000u
/* Where the buffers of queue q are that begin with descriptor i. */
#define DATA(q, i) (0x1000u + ((q)*N_ENTRIES + (i)) * SLOT_SIZE)
#define SLOT_SIZE 0x1100u
#define STREAMS_MAX 32
#define TIMERS_MAX 256
#define N_MSGS 128

struct stream {
	bool is_used, is_open, is_accepted, is_closed;
	unsigned int vm;
	void *conn;
	struct vsw_msg *connect; /* not answered yet */
	struct vsw_msg *loans, **last_loan;
	uint32_t n_spilled;
	bool is_asked; /* a READ waits for its answer */
	bool has_hung_up;
};

struct vm {
	struct vsw_guest_conf conf;
	struct vsw_rings rings;
	uint8_t *mem;
	uint64_t gpa;
	bool is_up;
	bool is_liar; /* has written into its rings by hand: what is there means nothing */
	bool is_out[VSW_VRINGS_MAX][N_ENTRIES]; /* descriptors */
	uint16_t seen_used[VSW_VRINGS_MAX];
};

static struct fuzz {
	struct input in;
	struct vsw_loop *loop;
	struct vsw_poll *poll;
	struct vsw_routes *routes;
	struct vm vm[N_GUESTS];
	struct stream stream[STREAMS_MAX];
	unsigned int n_detached;
} fuzz;

/*
 * Timers and random numbers: the linker sends those of lib/poll here (--wrap).
 */

static struct timer {
	struct rte_timer *timer;
	rte_timer_cb_t fn;
	void *arg;
} timers[TIMERS_MAX];

void __wrap_rte_timer_reset_sync(struct rte_timer *timer, uint64_t ticks, enum rte_timer_type type,
				 unsigned int lcore, rte_timer_cb_t fn, void *arg);
void __wrap_rte_timer_stop_sync(struct rte_timer *timer);
int __wrap_rte_timer_pending(struct rte_timer *timer);

/* Numbers of hosts' ports begin with it: an input must mean the same every time. */
uint64_t __wrap_rte_rand(void);

uint64_t
__wrap_rte_rand(void)
{
	return 0;
}

static struct timer *
find_timer(const struct rte_timer *timer)
{
	for (unsigned int i = 0; i < TIMERS_MAX; i++) {
		if (timers[i].timer == timer)
			return &timers[i];
	}
	return NULL;
}

void
__wrap_rte_timer_reset_sync(struct rte_timer *timer, uint64_t ticks, enum rte_timer_type type,
			    unsigned int lcore, rte_timer_cb_t fn, void *arg)
{
	struct timer *t = find_timer(timer);

	if (t == NULL)
		t = find_timer(NULL);
	CHECK(t != NULL);
	*t = (struct timer){timer, fn, arg};
}

void
__wrap_rte_timer_stop_sync(struct rte_timer *timer)
{
	struct timer *t = find_timer(timer);

	if (t != NULL)
		t->timer = NULL;
}

int
__wrap_rte_timer_pending(struct rte_timer *timer)
{
	return find_timer(timer) != NULL;
}

static void
step_timer(uint8_t which)
{
	for (unsigned int i = 0; i < TIMERS_MAX; i++) {
		struct timer t = timers[i];

		if (t.timer == NULL || which-- > 0)
			continue;
		timers[i].timer = NULL;
		t.fn(t.timer, t.arg);
		return;
	}
}

/*
 * The bridge.
 */

static bool
holds(const struct vm *vm, const struct iovec *seg)
{
	return (uint8_t *)seg->iov_base >= vm->mem && seg->iov_len > 0 &&
	       (uint8_t *)seg->iov_base + seg->iov_len <= vm->mem + MEM_SIZE;
}

static unsigned int
vm_of(const struct vsw_msg *msg)
{
	CHECK(msg->guest == &fuzz.vm[0].conf || msg->guest == &fuzz.vm[1].conf);
	return msg->guest == &fuzz.vm[1].conf;
}

static void
check_loan(const struct vsw_msg *msg)
{
	CHECK(msg->n_segs <= VSW_MSG_SEGS);
	for (unsigned int i = 0; i < msg->n_segs; i++)
		CHECK(holds(&fuzz.vm[vm_of(msg)], &msg->segs[i]));
	CHECK(vsw_iov_len(msg->segs, msg->n_segs) == msg->len);
}

static struct stream *
stream_new(unsigned int vm)
{
	for (unsigned int i = 0; i < STREAMS_MAX; i++) {
		struct stream *s = &fuzz.stream[i];

		if (s->is_used)
			continue;
		*s = (struct stream){.is_used = true, .vm = vm};
		s->last_loan = &s->loans;
		return s;
	}
	return NULL;
}

static struct stream *
stream_of(const struct vsw_msg *msg)
{
	struct stream *s = msg->stream;

	CHECK(s != NULL && s->is_used && s->is_open && s->vm == vm_of(msg));
	return s;
}

static void
give_back(struct stream *s, uint32_t taken)
{
	struct vsw_msg *msg = s->loans;

	if (msg == NULL)
		return;
	s->loans = msg->next;
	if (s->loans == NULL)
		s->last_loan = &s->loans;
	taken = vsw_min_u32(taken, msg->len);
	s->n_spilled += msg->len - taken;
	msg->len = taken;
	msg->next = NULL;
	vsw_msg_reply(fuzz.loop, msg, VSW_MSG_WROTE);
}

static void
on_connect(void *ctx, struct vsw_msg *msg)
{
	struct stream *s = stream_new(vm_of(msg));

	if (s == NULL) {
		msg->result = -EMFILE;
		vsw_msg_reply(fuzz.loop, msg, VSW_MSG_OPENED);
		return;
	}
	s->connect = msg;
	s->conn = msg->conn;
}

static void
on_accept(void *ctx, struct vsw_msg *msg)
{
	struct stream *s = stream_of(msg);

	CHECK(!s->is_accepted && s->conn == NULL);
	s->is_accepted = true;
	s->conn = msg->conn;
	vsw_msg_free(msg);
}

static void
on_write(void *ctx, struct vsw_msg *msg)
{
	struct stream *s = stream_of(msg);

	CHECK(s->conn == msg->conn && s->is_accepted && msg->len > 0);
	check_loan(msg);
	msg->next = NULL;
	*s->last_loan = msg;
	s->last_loan = &msg->next;
}

static void
on_read(void *ctx, struct vsw_msg *msg)
{
	struct stream *s = stream_of(msg);
	uint8_t what = take_u8(&fuzz.in);
	uint32_t len = vsw_min_u32(msg->len, take_u16(&fuzz.in));

	CHECK(s->conn == msg->conn && s->is_accepted);
	CHECK(msg->n_chains > 0 && msg->n_segs > 0);
	check_loan(msg);
	if (what & 1)
		len = msg->len;
	for (unsigned int i = 0; i < msg->n_segs && len > 0; i++)
		memset(msg->segs[i].iov_base, 'x', vsw_min_u32(len, msg->segs[i].iov_len));
	msg->len = what & 2 ? 0 : len;
	msg->flags = msg->len == 0 ? VSW_MSG_F_EOF : what & 4 ? VSW_MSG_F_DRAINED : 0;
	vsw_msg_reply(fuzz.loop, msg, VSW_MSG_FILLED);
}

static void
on_shutdown(void *ctx, struct vsw_msg *msg)
{
	struct stream *s = stream_of(msg);

	CHECK(s->conn == msg->conn);
	CHECK(msg->flags != 0);
	vsw_msg_free(msg);
}

static void
on_close(void *ctx, struct vsw_msg *msg)
{
	struct stream *s = stream_of(msg);

	for (struct vsw_msg *loan = s->loans; loan != NULL; loan = loan->next)
		loan->conn = NULL;
	while (s->loans != NULL)
		give_back(s, UINT32_MAX);
	s->is_used = false;
	vsw_msg_reply(fuzz.loop, msg, VSW_MSG_CLOSED);
}

static void
on_recall(void *ctx, struct vsw_msg *msg)
{
	for (unsigned int i = 0; i < STREAMS_MAX; i++) {
		struct stream *s = &fuzz.stream[i];

		while (s->is_used && s->vm == vm_of(msg) && s->loans != NULL)
			give_back(s, 0);
	}
	vsw_msg_reply(fuzz.loop, msg, VSW_MSG_RECALLED);
}

static void
answer_connect(struct stream *s, bool yes)
{
	struct vsw_msg *msg = s->connect;

	s->connect = NULL;
	msg->result = yes ? 0 : -ECONNREFUSED;
	msg->stream = yes ? s : NULL;
	s->is_open = s->is_accepted = yes;
	s->is_used = yes;
	vsw_msg_reply(fuzz.loop, msg, VSW_MSG_OPENED);
}

static void
notice(struct stream *s, uint8_t what)
{
	struct vsw_msg *msg;
	uint32_t len = what & 4 ? s->n_spilled : vsw_min_u32(s->n_spilled, 100);

	if (!s->is_open || !s->is_accepted)
		return;
	msg = vsw_msg_alloc(VSW_MSG_NOTICE);
	if (msg == NULL)
		return;
	msg->guest = &fuzz.vm[s->vm].conf;
	msg->conn = s->conn;
	msg->len = len;
	s->n_spilled -= len;
	msg->flags = what & 1 ? VSW_MSG_F_READABLE : 0;
	if ((what & 2) && !s->has_hung_up) {
		msg->flags |= VSW_MSG_F_HANGUP;
		s->has_hung_up = true;
	}
	if (what & 16)
		msg->flags |= VSW_MSG_F_LOST;
	vsw_msg_send(fuzz.loop, msg);
}

static void
step_bridge(uint8_t what)
{
	struct stream *s = &fuzz.stream[take_u8(&fuzz.in) % STREAMS_MAX];

	if (!s->is_used)
		return;
	if (s->connect != NULL)
		answer_connect(s, what & 1);
	else if (what & 8)
		give_back(s, take_u16(&fuzz.in));
	else
		notice(s, what);
}

/* A host asks for a port. */
static void
step_incoming(unsigned int vm, uint8_t port)
{
	struct stream *s = stream_new(vm);
	struct vsw_msg *msg = s != NULL ? vsw_msg_alloc(VSW_MSG_INCOMING) : NULL;

	if (msg == NULL) {
		if (s != NULL)
			s->is_used = false;
		return;
	}
	s->is_open = true;
	msg->guest = &fuzz.vm[vm].conf;
	msg->stream = s;
	msg->port = port;
	vsw_msg_send(fuzz.loop, msg);
}

/*
 * The control role and vhost.
 */

static void
on_answer(void *ctx, struct vsw_msg *msg)
{
	CHECK(msg->result == 0);
	vsw_msg_free(msg);
}

static void
on_detached(void *ctx, struct vsw_msg *msg)
{
	fuzz.n_detached++;
	vsw_msg_free(msg);
}

static void
ask(enum vsw_verb verb, const struct vm *vm)
{
	struct vsw_msg *msg = vsw_msg_alloc(verb);

	CHECK(msg != NULL);
	msg->reply_to = fuzz.loop;
	if (vm != NULL)
		msg->guest = &vm->conf;
	if (verb == VSW_MSG_ROUTES)
		msg->routes = fuzz.routes;
	vsw_msg_send(fuzz.loop, msg);
}

/* As vsw_msg_call(), and the loop turns meanwhile. A stop is waited for by a thread; it may take
 * what time it wants, but not for ever. */
static int
call(enum vsw_verb verb, struct vm *vm, uint8_t flags)
{
	struct vsw_msg *msg = vsw_msg_alloc(verb);
	unsigned int n_turns = 0;
	sem_t done;
	int result;

	while (msg == NULL) {
		CHECK(n_turns++ < TURNS_MAX);
		vsw_loop_turn(fuzz.loop);
		msg = vsw_msg_alloc(verb);
	}
	sem_init(&done, 0, 0);
	msg->guest = &vm->conf;
	msg->rings = &vm->rings;
	msg->waiter = &done;
	msg->flags = flags;
	vsw_msg_send(fuzz.loop, msg);
	while (sem_trywait(&done) != 0) {
		CHECK(n_turns++ < TURNS_MAX);
		vsw_loop_turn(fuzz.loop);
	}
	sem_destroy(&done);
	result = msg->result;
	vsw_msg_free(msg);
	return result;
}

static struct vring_avail *
avail_of(struct vm *vm, unsigned int q)
{
	return vm->rings.queue[q].avail;
}

/* A driver begins anew, or goes on. */
static void
vm_start(struct vm *vm)
{
	for (unsigned int q = 0; q < VSW_VRINGS_MAX; q++) {
		uint8_t *at = vm->mem + 0x400 * q;

		vm->rings.queue[q] = (struct vsw_virtq_conf){
			.desc = (void *)at,
			.avail = (void *)(at + 0x100),
			.used = (void *)(at + 0x200),
			.size = N_ENTRIES,
			.base = vm->rings.base[q],
			.callfd = -1,
			.kickfd = -1,
			.indirect = true,
		};
	}
	CHECK(call(VSW_MSG_START, vm, 0) == 0);
	vm->is_up = true;
}

static void
vm_stop(struct vm *vm, bool is_reset)
{
	call(VSW_MSG_STOP, vm, is_reset ? VSW_MSG_F_RESET : 0);
	vm->is_up = false;
}

static void
vm_reboot(struct vm *vm)
{
	memset(vm->rings.base, 0, sizeof(vm->rings.base));
	memset(vm->mem, 0, MEM_SIZE);
	memset(vm->is_out, 0, sizeof(vm->is_out));
	memset(vm->seen_used, 0, sizeof(vm->seen_used));
	vm->is_liar = false;
	vm_start(vm);
}

/*
 * The guests.
 */

/* A descriptor that is not out; N_ENTRIES: all are. */
static unsigned int
free_desc(const struct vm *vm, unsigned int q)
{
	unsigned int i = 0;

	while (i < N_ENTRIES && vm->is_out[q][i])
		i++;
	return i;
}

/* A chain of at most n pieces of len bytes in all, each but the last of `first` bytes. */
static void
offer(struct vm *vm, unsigned int q, uint32_t len, uint32_t first, unsigned int n)
{
	struct vring_desc *desc = vm->rings.queue[q].desc;
	struct vring_avail *avail = avail_of(vm, q);
	unsigned int head = free_desc(vm, q), at = head, i;
	uint64_t gpa = vm->gpa + DATA(q, head);
	uint16_t idx = le16toh(avail->idx);

	for (i = 0; i < n && at < N_ENTRIES; i++) {
		unsigned int last = at;
		uint32_t part;

		vm->is_out[q][at] = true;
		at = free_desc(vm, q);
		part = i + 1 == n || at == N_ENTRIES ? len : vsw_min_u32(len, first);
		desc[last] = (struct vring_desc){
			.addr = htole64(gpa),
			.len = htole32(part),
			.flags = htole16((q == VSW_QUEUE_FROM_GUEST ? 0 : VRING_DESC_F_WRITE) |
					 (part < len ? VRING_DESC_F_NEXT : 0)),
			.next = htole16((uint16_t)at),
		};
		gpa += part;
		len -= part;
		if (len == 0)
			break;
	}
	avail->ring[idx % N_ENTRIES] = htole16((uint16_t)head);
	avail->idx = htole16((uint16_t)(idx + 1));
}

/* Its descriptors are the driver's again. */
static void
take_back(struct vm *vm, unsigned int q, uint16_t head)
{
	const struct vring_desc *desc = vm->rings.queue[q].desc;

	for (unsigned int i = 0; i < N_ENTRIES && head < N_ENTRIES; i++) {
		CHECK(vm->is_liar || vm->is_out[q][head]);
		vm->is_out[q][head] = false;
		if (!(le16toh(desc[head].flags) & VRING_DESC_F_NEXT))
			break;
		head = le16toh(desc[head].next);
	}
}

static void
step_send(struct vm *vm, uint8_t what)
{
	static const uint32_t cids[] = {VSW_CID_HOST, VSW_CID_HOST, 3, 4, 4, 3, 5, 1};
	static const uint32_t windows[] = {262144, 65536, 4096, 1000, 100, 0, 1, UINT32_MAX};
	uint8_t to = take_u8(&fuzz.in), ports = take_u8(&fuzz.in), cut = take_u8(&fuzz.in);
	struct vsw_pkt pkt = {
		.src_cid = to == 0xff ? 77 : vm->conf.cid,
		.dst_cid = cids[to & 7],
		.src_port = ports & 3,
		.dst_port = ports >> 2 & 3,
		.type = to == 0xfe ? VSW_TYPE_SEQPACKET : VSW_TYPE_STREAM,
		.op = what & 7,
		.flags = to >> 3 & 3,
		.buf_alloc = windows[to >> 5],
		.fwd_cnt = take_u16(&fuzz.in),
	};
	unsigned int head = free_desc(vm, VSW_QUEUE_FROM_GUEST);
	uint32_t len = 0;

	if (!vm->is_up || head == N_ENTRIES)
		return;
	if (pkt.op == VSW_OP_RW)
		len = take_u16(&fuzz.in) % 0x1000;
	if (ports & 0x80) /* host streams get ports of their own */
		pkt.dst_port += 1024;
	pkt.len = len;
	vsw_pkt_encode(vm->mem + DATA(VSW_QUEUE_FROM_GUEST, head), &pkt);
	offer(vm, VSW_QUEUE_FROM_GUEST, VSW_PKT_HDR_LEN + len,
	      cut & 0x80 ? 1 + (cut & 0x3f) : VSW_PKT_HDR_LEN, 1 + (cut & 3));
}

static void
step_post(struct vm *vm, uint8_t what)
{
	static const uint32_t sizes[] = {4096, 44 + 100, 45, 44, 10, 1500, 3000, 300};
	uint8_t cut = take_u8(&fuzz.in);
	unsigned int q = what & 8 && cut == 0xff ? VSW_QUEUE_EVENT : VSW_QUEUE_TO_GUEST;

	if (vm->is_up && free_desc(vm, q) < N_ENTRIES)
		offer(vm, q, sizes[what & 7], cut & 0x40 ? 1 + (cut & 0x1f) : VSW_PKT_HDR_LEN,
		      1 + (cut >> 7) * (cut & 3));
}

/* What an honest guest is given. */
static void
check_packet(struct vm *vm, uint16_t head, uint32_t len)
{
	const struct vring_desc *desc = vm->rings.queue[VSW_QUEUE_TO_GUEST].desc;
	uint8_t raw[VSW_PKT_HDR_LEN] = {0};
	struct vsw_pkt pkt;
	size_t done = 0;

	if (len == 0)
		return; /* too small, or given back */
	CHECK(len >= VSW_PKT_HDR_LEN);
	for (unsigned int i = 0; i < N_ENTRIES && done < sizeof(raw); i++) {
		const struct vring_desc *d = &desc[head];
		size_t part = vsw_min_u32(le32toh(d->len), (uint32_t)(sizeof(raw) - done));

		memcpy(raw + done, vm->mem + (le64toh(d->addr) - vm->gpa), part);
		done += part;
		head = le16toh(d->next);
	}
	vsw_pkt_decode(&pkt, raw, sizeof(raw), len - VSW_PKT_HDR_LEN, 0);
	CHECK(pkt.dst_cid == vm->conf.cid);
	CHECK(pkt.op >= VSW_OP_REQUEST && pkt.op <= VSW_OP_CREDIT_REQUEST);
	CHECK(pkt.len == len - VSW_PKT_HDR_LEN);
	CHECK(pkt.op == VSW_OP_RW ? pkt.len > 0 : pkt.len == 0);
	CHECK(pkt.type == VSW_TYPE_STREAM || pkt.op == VSW_OP_RST);
	/* any CID can be answered for by RST; else only who is there speaks, the host with the CID
	 * that was called */
	CHECK(pkt.op == VSW_OP_RST || pkt.src_cid == VSW_CID_HOST || pkt.src_cid == 3 ||
	      pkt.src_cid == 4 || (pkt.src_cid == 5 && vm->conf.cid == 3));
}

static void
step_look(struct vm *vm)
{
	for (unsigned int q = 0; q < VSW_VRINGS_MAX && vm->is_up; q++) {
		const struct vring_used *used = vm->rings.queue[q].used;
		uint16_t n = le16toh(used->idx) - vm->seen_used[q];

		CHECK(vm->is_liar || n <= N_ENTRIES);
		for (; n > 0; n--) {
			const struct vring_used_elem *e =
				&used->ring[vm->seen_used[q]++ % N_ENTRIES];

			CHECK(vm->is_liar || le32toh(e->id) < N_ENTRIES);
			if (!vm->is_liar && q == VSW_QUEUE_TO_GUEST)
				check_packet(vm, (uint16_t)le32toh(e->id), le32toh(e->len));
			take_back(vm, q, (uint16_t)le32toh(e->id));
		}
	}
}

static void
step_lie(struct vm *vm)
{
	uint16_t at = take_u16(&fuzz.in) % (3 * 0x400);

	if (!vm->is_up)
		return;
	vm->mem[at] = take_u8(&fuzz.in);
	vm->is_liar = true;
}

static void
step_life(struct vm *vm, uint8_t what)
{
	if (!vm->is_up) {
		if (what & 1)
			vm_reboot(vm);
		else
			vm_start(vm);
		return;
	}
	/* a pause for an update, a stop that may go on, or a reset */
	vm_stop(vm, what & 2);
	if (!(what & 4))
		vm_start(vm);
}

static void
step(void)
{
	uint8_t what = take_u8(&fuzz.in);
	struct vm *vm = &fuzz.vm[what >> 4 & 1];
	uint8_t more = what >> 5;

	switch (what & 15) {
	case 0:
	case 1:
		vsw_loop_turn(fuzz.loop);
		break;
	case 2:
	case 3:
	case 4:
		step_send(vm, take_u8(&fuzz.in));
		break;
	case 5:
	case 6:
		step_post(vm, take_u8(&fuzz.in));
		break;
	case 7:
	case 8:
	case 9:
		step_bridge(take_u8(&fuzz.in));
		break;
	case 10:
		step_incoming(vm == &fuzz.vm[1], more);
		break;
	case 11:
		step_timer(take_u8(&fuzz.in));
		break;
	case 12:
		step_look(vm);
		break;
	case 13:
		step_life(vm, more);
		break;
	case 14:
		if (more == 7)
			step_lie(vm);
		else
			vsw_loop_turn(fuzz.loop);
		break;
	default:
		for (unsigned int i = 0; i < 8; i++)
			vsw_loop_turn(fuzz.loop);
	}
}

/*
 * Up and down.
 */

static void
set_up(void)
{
	static const struct {
		enum vsw_verb verb;
		vsw_msg_fn fn;
	} handlers[] = {
		{VSW_MSG_CONNECT, on_connect},   {VSW_MSG_ACCEPT, on_accept},
		{VSW_MSG_WRITE, on_write},       {VSW_MSG_READ, on_read},
		{VSW_MSG_SHUTDOWN, on_shutdown}, {VSW_MSG_CLOSE, on_close},
		{VSW_MSG_RECALL, on_recall},     {VSW_MSG_ATTACHED, on_answer},
		{VSW_MSG_ROUTED, on_answer},     {VSW_MSG_DETACHED, on_detached},
	};
	const struct vsw_guest_conf *guests[N_GUESTS];

	fuzz.loop = vsw_loop_create(0, VSW_IDLE_POLL);
	CHECK(fuzz.loop != NULL);
	fuzz.poll = vsw_poll_create(fuzz.loop);
	CHECK(fuzz.poll != NULL);
	for (size_t i = 0; i < VSW_ARRAY_SIZE(handlers); i++)
		vsw_loop_on_msg(fuzz.loop, handlers[i].verb, handlers[i].fn, NULL);
	for (unsigned int i = 0; i < N_GUESTS; i++) {
		struct vm *vm = &fuzz.vm[i];

		vm->conf = (struct vsw_guest_conf){
			.id = (uint16_t)i,
			.cid = 3 + i,
			.buf_alloc = 65536,
			.max_conns = 12,
			.spill_budget = 20000,
			.n_groups = 1,
			.hairpin = true,
			.n_host_cids = i == 0, /* 5 is the host to guest 3 */
			.host_cid = {5},
			.poll_loop = fuzz.loop,
			.bridge_loop = fuzz.loop,
		};
		vm->mem = calloc(1, MEM_SIZE);
		CHECK(vm->mem != NULL);
		vm->gpa = 0x100000 * i;
		vm->rings.mem = (struct vsw_mem){1, {{vm->gpa, MEM_SIZE, vm->mem}}};
		guests[i] = &vm->conf;
	}
	fuzz.routes = vsw_routes_create(guests, N_GUESTS);
	CHECK(fuzz.routes != NULL);
	ask(VSW_MSG_ROUTES, NULL);
	for (unsigned int i = 0; i < N_GUESTS; i++)
		ask(VSW_MSG_ATTACH, &fuzz.vm[i]);
	for (unsigned int i = 0; i < N_GUESTS; i++)
		vm_start(&fuzz.vm[i]);
}

static void
check_all_messages_are_back(void)
{
	struct vsw_msg *first = NULL, *msg;
	unsigned int n = 0;

	while ((msg = vsw_msg_alloc(VSW_MSG_WRITE)) != NULL) {
		msg->next = first;
		first = msg;
		n++;
	}
	CHECK(n == vsw_msg_pool_size());
	while ((msg = first) != NULL) {
		first = msg->next;
		vsw_msg_free(msg);
	}
}

/* Everybody goes: what was open must be told so. */
static void
tear_down(void)
{
	for (unsigned int i = 0; i < N_GUESTS; i++)
		vm_stop(&fuzz.vm[i], true);
	for (unsigned int i = 0; i < N_GUESTS; i++)
		ask(VSW_MSG_DETACH, &fuzz.vm[i]);
	for (unsigned int n = 0; fuzz.n_detached < N_GUESTS; n++) {
		CHECK(n < TURNS_MAX);
		for (unsigned int i = 0; i < STREAMS_MAX; i++) {
			if (fuzz.stream[i].is_used && fuzz.stream[i].connect != NULL)
				answer_connect(&fuzz.stream[i], i & 1);
		}
		vsw_loop_turn(fuzz.loop);
	}
	for (unsigned int i = 0; i < STREAMS_MAX; i++)
		CHECK(!fuzz.stream[i].is_used);
	for (unsigned int i = 0; i < TIMERS_MAX; i++)
		CHECK(timers[i].timer == NULL);
	vsw_poll_destroy(fuzz.poll);
	vsw_loop_destroy(fuzz.loop);
	vsw_routes_destroy(fuzz.routes);
	for (unsigned int i = 0; i < N_GUESTS; i++)
		free(fuzz.vm[i].mem);
	check_all_messages_are_back();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool is_up;

	if (!is_up) {
		CHECK(eal_up() == 0);
		CHECK(vsw_msg_pool_create(N_MSGS) == 0);
		atexit(eal_down);
		is_up = true;
	}
	memset(&fuzz, 0, sizeof(fuzz));
	fuzz.in = (struct input){data, size};
	set_up();
	for (unsigned int i = 0; i < STEPS_MAX && fuzz.in.len > 0; i++)
		step();
	tear_down();
	return 0;
}
