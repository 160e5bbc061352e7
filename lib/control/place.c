/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which lcores serve a new guest: the poll lcore and the bridge with the fewest guests.
 *
 * Fewest guests, not least busy: a guest is placed before it has sent anything and stays where
 * it is for its life, so what an lcore did in the last second says little about what it will
 * have to do; and who restarts vswd finds the guests where they were.
 *
 * A guest as a whole, not each of its connections, has a bridge. Its spill budget then has one
 * owner who can keep it exactly, a stop waits for one RECALL, and everything that it and its
 * hosts say to the bridge is in one order, which the BARRIER of its removal relies on. The
 * price is that a single guest cannot use two bridges; its one poll lcore would be the next
 * limit.
 *
 * Among bridges with equally few guests the guest's own poll lcore comes first, if it is one:
 * messages that stay on one lcore wake nobody and move no cache line.
 */
#include "control_priv.h"

unsigned int
place_n_polled(const struct vsw_control *control, const struct vsw_loop *loop)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++)
		n += control->entry[i] != NULL && control->entry[i]->conf.poll_loop == loop;
	return n;
}

unsigned int
place_n_bridged(const struct vsw_control *control, const struct vsw_loop *loop)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < VSW_GUESTS_MAX; i++)
		n += control->entry[i] != NULL && control->entry[i]->conf.bridge_loop == loop;
	return n;
}

static struct vsw_loop *
place_poll(const struct vsw_control *control, int32_t lcore)
{
	struct vsw_loop *best = NULL;
	unsigned int n_best = 0;

	if (lcore >= 0)
		return control->loops[lcore];
	for (unsigned int i = 0; i < control->n_poll; i++) {
		unsigned int n = place_n_polled(control, control->poll[i]);

		if (best == NULL || n < n_best) {
			best = control->poll[i];
			n_best = n;
		}
	}
	return best;
}

static struct vsw_loop *
place_bridge(const struct vsw_control *control, const struct vsw_loop *poll)
{
	struct vsw_loop *best = NULL;
	unsigned int n_best = 0;

	for (unsigned int i = 0; i < control->n_bridges; i++) {
		struct vsw_loop *loop = control->bridge[i];
		unsigned int n = place_n_bridged(control, loop);

		if (best == NULL || n < n_best || (n == n_best && loop == poll)) {
			best = loop;
			n_best = n;
		}
	}
	return best;
}

void
place(const struct vsw_control *control, struct vsw_guest_conf *guest, int32_t lcore)
{
	guest->poll_loop = place_poll(control, lcore);
	guest->bridge_loop = place_bridge(control, guest->poll_loop);
}
