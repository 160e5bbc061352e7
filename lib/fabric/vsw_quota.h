/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Descriptors of host connections: how many each guest may have.
 *
 * A process has a limit of descriptors, and a guest or its hosts could use it up. Half of what
 * is there for connections is divided among the guests: that much each has whatever the others
 * do. The other half goes to whoever asks first.
 *
 * Thread-safety: init before guests exist; the rest from any thread.
 */
#ifndef VSW_QUOTA_H
#define VSW_QUOTA_H

#include <stdbool.h>

/** @param n_fds for connections, of all @p n_guests guests. Without init nothing is limited. */
void vsw_quota_init(unsigned int n_fds, unsigned int n_guests);

/** One more for the guest with this id. @return false: it has had its share. */
bool vsw_quota_take(unsigned int guest_id);
void vsw_quota_give(unsigned int guest_id);

#endif /* VSW_QUOTA_H */
