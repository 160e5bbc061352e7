/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Guest memory that goes away.
 *
 * A guest's memory is a file that its VMM may cut off at any time; what is touched beyond the
 * end raises SIGBUS, which would end the process. User-Mode Linux and file back ends cannot
 * seal their files against that, so it is survived: the handler puts zeroes in the place of
 * the guest's memory and notes that it is lost; the access goes on. Whoever serves the guest
 * looks at the note and gives the guest up. A SIGBUS anywhere else is what it always was.
 *
 * Thread-safety: set and clear from one thread per slot, and only while nobody accesses that
 * guest's memory; everything else from any thread, and signal handlers.
 */
#ifndef VSW_GUARD_H
#define VSW_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#define VSW_GUARD_REGIONS_MAX 8

/** Install the handler; before other threads exist, after EAL, which has one, too.
 * @return 0 or -errno. */
int vsw_guard_install(void);

/** Of slot @p slot (a guest's id): the mapping of its region @p i, whole pages. */
void vsw_guard_set(unsigned int slot, unsigned int i, void *base, size_t size);

/** The slot has no mappings any more. */
void vsw_guard_clear(unsigned int slot);

/** Why a guest is to be given up. */
enum vsw_loss {
	VSW_LOSS_NONE,
	VSW_LOSS_MEMORY, /**< it was cut off */
	VSW_LOSS_CALL,   /**< its call descriptor made an lcore wait, see vsw_signal_fd.h */
};

/** Note it; memory, also for who learns it from the kernel, by EFAULT. */
void vsw_guard_lose(unsigned int slot, enum vsw_loss loss);
enum vsw_loss vsw_guard_loss(unsigned int slot);
static inline bool
vsw_guard_is_lost(unsigned int slot)
{
	return vsw_guard_loss(slot) != VSW_LOSS_NONE;
}
/** Another VMM comes, with other memory and descriptors. */
void vsw_guard_forget(unsigned int slot);

/**
 * The calling thread accesses mappings that are not (or not yet) of a slot: librte_vhost's,
 * which looks into the rings of a table that it has just mapped.
 */
void vsw_guard_this_thread(void);

/** How often that happened to the calling thread. */
unsigned int vsw_guard_n_faults(void);

#endif /* VSW_GUARD_H */
