/* SPDX-License-Identifier: BSD-3-Clause */
#include "vsw_backlog.h"

#include "vsw_base.h"
#include "vsw_iov.h"

void
vsw_backlog_init(struct vsw_backlog *backlog)
{
	vsw_spill_init(&backlog->spill);
	backlog->first_loan = NULL;
	backlog->last_loan = &backlog->first_loan;
	backlog->n_unreported = 0;
	backlog->timed_since = 0;
	backlog->timed_left = 0;
}

size_t
vsw_backlog_len(const struct vsw_backlog *backlog)
{
	size_t len = backlog->spill.len;

	for (const struct vsw_msg *msg = backlog->first_loan; msg != NULL; msg = msg->next)
		len += msg->len;
	return len;
}

void
vsw_backlog_lend(struct vsw_backlog *backlog, struct vsw_msg *msg)
{
	msg->next = NULL;
	*backlog->last_loan = msg;
	backlog->last_loan = &msg->next;
	if (msg->since != 0 && backlog->timed_since == 0) {
		backlog->timed_since = msg->since;
		backlog->timed_left = vsw_backlog_len(backlog);
	}
}

unsigned int
vsw_backlog_peek(const struct vsw_backlog *backlog, struct iovec *iov, unsigned int max)
{
	unsigned int n = vsw_spill_peek(&backlog->spill, iov, max);

	for (const struct vsw_msg *msg = backlog->first_loan; msg != NULL; msg = msg->next) {
		for (unsigned int i = 0; i < msg->n_segs; i++) {
			if (n == max)
				return n;
			iov[n++] = msg->segs[i];
		}
	}
	return n;
}

static struct vsw_msg *
unlink_first(struct vsw_backlog *backlog)
{
	struct vsw_msg *msg = backlog->first_loan;

	backlog->first_loan = msg->next;
	if (backlog->first_loan == NULL)
		backlog->last_loan = &backlog->first_loan;
	msg->next = NULL;
	return msg;
}

/* The front of the first loan was taken: the rest stays first. */
static void
cut_first(struct vsw_backlog *backlog, size_t len)
{
	struct vsw_msg *msg = backlog->first_loan;
	unsigned int first;

	assert(msg != NULL); /* nobody takes more than there is */
	first = vsw_iov_skip(msg->segs, msg->n_segs, len);

	for (unsigned int i = first; i < msg->n_segs; i++)
		msg->segs[i - first] = msg->segs[i];
	msg->n_segs -= first;
	msg->len -= (uint32_t)len;
	backlog->n_unreported += (uint32_t)len;
}

struct vsw_msg *
vsw_backlog_take(struct vsw_backlog *backlog, size_t len)
{
	size_t spilled = len < backlog->spill.len ? len : backlog->spill.len;
	struct vsw_msg *done = NULL, **last = &done;

	backlog->timed_left -= len < backlog->timed_left ? len : backlog->timed_left;
	vsw_spill_drop(&backlog->spill, spilled);
	backlog->n_unreported += (uint32_t)spilled;
	len -= spilled;
	while (backlog->first_loan != NULL && len >= backlog->first_loan->len) {
		struct vsw_msg *msg = unlink_first(backlog);

		len -= msg->len;
		*last = msg;
		last = &msg->next;
	}
	if (len > 0)
		cut_first(backlog, len);
	return done;
}

struct vsw_msg *
vsw_backlog_spill(struct vsw_backlog *backlog)
{
	struct vsw_msg *msg = backlog->first_loan;

	if (vsw_spill_append(&backlog->spill, msg->segs, msg->n_segs) < msg->len)
		return NULL;
	unlink_first(backlog);
	msg->len = 0;
	return msg;
}

struct vsw_msg *
vsw_backlog_drop(struct vsw_backlog *backlog)
{
	struct vsw_msg *loans = backlog->first_loan;

	for (struct vsw_msg *msg = loans; msg != NULL; msg = msg->next)
		msg->len = 0;
	vsw_spill_fini(&backlog->spill);
	backlog->timed_since = 0;
	backlog->first_loan = NULL;
	backlog->last_loan = &backlog->first_loan;
	return loans;
}
