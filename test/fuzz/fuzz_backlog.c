/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backlog of a stream, and the spill below it: lent, spilled, taken and dropped in any
 * order and in any portions, with memory that runs out, it remains a queue of bytes in which
 * none is lost, doubled or reported twice, and every loan comes back once.
 *
 * Input: steps of a byte (what) and a number.
 */
#include <sys/uio.h>

#include "fuzz.h"

#include "vsw_backlog.h"
#include "vsw_base.h"
#include "vsw_iov.h"

#define MSGS_MAX 64
#define STEPS_MAX 400

/* The linker sends allocations through here (--wrap). */
static bool no_memory;
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *
__wrap_malloc(size_t size)
{
	return no_memory ? NULL : __real_malloc(size);
}

/* The stream: byte n of it is byte_at(n); [first, end) is in the backlog. */
struct model {
	struct vsw_backlog backlog;
	uint64_t first, end;
	uint64_t n_reported;
	unsigned int n_loans;
	bool given_up;
	struct loan {
		struct vsw_msg msg;
		uint8_t *data;
		uint32_t len;
		bool is_out;
	} loan[MSGS_MAX];
};

static uint8_t
byte_at(uint64_t n)
{
	return (uint8_t)(n * 167 + n / 256);
}

static struct loan *
free_loan(struct model *m)
{
	for (unsigned int i = 0; i < MSGS_MAX; i++) {
		if (!m->loan[i].is_out)
			return &m->loan[i];
	}
	return NULL;
}

static void
lend(struct model *m, uint32_t len, unsigned int n_segs)
{
	struct loan *loan = free_loan(m);
	uint32_t done = 0;

	if (loan == NULL || len == 0)
		return;
	if (n_segs > len)
		n_segs = len; /* no segment is empty, vsw_virtq_pop() */
	loan->data = malloc(len);
	CHECK(loan->data != NULL);
	for (uint32_t i = 0; i < len; i++)
		loan->data[i] = byte_at(m->end + i);
	loan->msg.len = loan->len = len;
	loan->msg.n_segs = (uint16_t)n_segs;
	for (unsigned int i = 0; i < n_segs; i++) {
		uint32_t part = (len - done) / (n_segs - i);

		loan->msg.segs[i] = (struct iovec){loan->data + done, part};
		done += part;
	}
	loan->is_out = true;
	m->n_loans++;
	m->end += len;
	vsw_backlog_lend(&m->backlog, &loan->msg);
}

/* Loans come back in their order: their memory is the lender's again. */
static void
give_back(struct model *m, struct vsw_msg *msg)
{
	while (msg != NULL) {
		struct loan *loan = VSW_CONTAINER_OF(msg, struct loan, msg);

		CHECK(loan->is_out && msg->len <= loan->len);
		m->n_reported += msg->len;
		msg = msg->next;
		loan->is_out = false;
		memset(loan->data, 0xee, loan->len);
		free(loan->data);
		m->n_loans--;
	}
	m->n_reported += m->backlog.n_unreported;
	m->backlog.n_unreported = 0;
}

static unsigned int
count_loans(const struct vsw_backlog *backlog)
{
	unsigned int n = 0;

	for (const struct vsw_msg *msg = backlog->first_loan; msg != NULL; msg = msg->next)
		n++;
	return n;
}

static void
check_front(struct model *m, unsigned int max)
{
	struct iovec iov[MSGS_MAX * VSW_MSG_SEGS];
	unsigned int n = vsw_backlog_peek(&m->backlog, iov, max);
	uint64_t pos = m->first;

	CHECK(n <= max);
	for (unsigned int i = 0; i < n; i++) {
		const uint8_t *byte = iov[i].iov_base;

		for (size_t k = 0; k < iov[i].iov_len; k++)
			CHECK(byte[k] == byte_at(pos++));
	}
	CHECK(pos <= m->end && (n == max || pos == m->end));
	CHECK(vsw_backlog_is_empty(&m->backlog) == (m->first == m->end));
	CHECK(count_loans(&m->backlog) == m->n_loans);
}

static void
take(struct model *m, uint32_t len)
{
	uint64_t left = m->end - m->first;

	if (len > left)
		len = (uint32_t)left;
	m->first += len;
	give_back(m, vsw_backlog_take(&m->backlog, len));
	CHECK(m->n_reported == m->first);
}

static void
spill(struct model *m, bool without_memory)
{
	struct vsw_msg *msg;

	if (m->n_loans == 0)
		return;
	no_memory = without_memory;
	msg = vsw_backlog_spill(&m->backlog);
	no_memory = false;
	if (msg == NULL) {
		CHECK(without_memory);
		m->given_up = true;
		return;
	}
	CHECK(msg->len == 0);
	give_back(m, msg);
	CHECK(m->n_reported == m->first);
}

static void
drop(struct model *m)
{
	uint64_t n_reported = m->n_reported;

	give_back(m, vsw_backlog_drop(&m->backlog));
	CHECK(m->n_reported == n_reported && m->n_loans == 0);
	CHECK(vsw_backlog_is_empty(&m->backlog));
	m->first = m->n_reported = m->end;
}

static void
step(struct model *m, struct input *in)
{
	uint8_t what = take_u8(in);

	switch (what & 7) {
	case 0:
	case 1:
		lend(m, take_u16(in), 1 + (what >> 3) % VSW_MSG_SEGS);
		break;
	case 2:
		lend(m, what >> 3, 1 + (what >> 3) % 3u);
		break;
	case 3:
		take(m, take_u16(in));
		break;
	case 4:
		take(m, what >> 3);
		break;
	case 5:
		spill(m, what == 0xfd);
		break;
	case 6:
		check_front(m, what >> 3);
		break;
	default:
		if (what == 0xff)
			drop(m);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct model model;
	struct model *m = &model;
	struct input in = {data, size};

	memset(m, 0, sizeof(*m));
	vsw_backlog_init(&m->backlog);
	for (unsigned int i = 0; i < STEPS_MAX && in.len > 0 && !m->given_up; i++) {
		step(m, &in);
		if (!m->given_up)
			check_front(m, MSGS_MAX * VSW_MSG_SEGS);
	}
	drop(m);
	return 0;
}
