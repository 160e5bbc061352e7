/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that has n descriptors holds max(0, n - guaranteed) of the shared half: which of
 * them those are does not matter, so giving one back needs no memory of how it was taken.
 */
#include "vsw_quota.h"

#include "vsw_limits.h"

static unsigned int guaranteed, shared; /* set once; both 0: no limit */
static unsigned int n_shared;
static unsigned int n_taken[VSW_GUESTS_MAX];

void
vsw_quota_init(unsigned int n_fds, unsigned int n_guests)
{
	guaranteed = n_fds / 2 / n_guests;
	shared = n_fds - guaranteed * n_guests;
}

bool
vsw_quota_take(unsigned int guest_id)
{
	unsigned int before = __atomic_fetch_add(&n_taken[guest_id], 1, __ATOMIC_RELAXED);

	if (before < guaranteed || (guaranteed == 0 && shared == 0))
		return true;
	if (__atomic_fetch_add(&n_shared, 1, __ATOMIC_RELAXED) < shared)
		return true;
	vsw_quota_give(guest_id);
	return false;
}

void
vsw_quota_give(unsigned int guest_id)
{
	unsigned int before = __atomic_fetch_sub(&n_taken[guest_id], 1, __ATOMIC_RELAXED);

	if (before > guaranteed && (guaranteed != 0 || shared != 0))
		__atomic_fetch_sub(&n_shared, 1, __ATOMIC_RELAXED);
}
