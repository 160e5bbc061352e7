/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The handler runs on the thread that has faulted, in the middle of its access. So the mapping
 * is still there: nobody unmaps a guest's memory before all lcores have let go of it (the
 * quiesce protocol), and this one has not. mmap() is no async-signal-safe function by the
 * letter, but a bare system call in every libc.
 *
 * The whole region is replaced, not one page: huge pages cannot be replaced in part, and a
 * guest that has lost one page is given up anyway.
 */
#include "vsw_guard.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>

#include "vsw_base.h"
#include "vsw_limits.h"

struct region {
	uintptr_t base; /* written last, with size 0: none */
	size_t size;
};

static struct slot {
	struct region region[VSW_GUARD_REGIONS_MAX];
	enum vsw_loss loss;
} slots[VSW_GUESTS_MAX];

static struct sigaction old_action;
static _Thread_local bool is_allowed;
static _Thread_local unsigned int n_faults;

static bool
put_zeroes(uintptr_t base, size_t size)
{
	return mmap((void *)base, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

static bool
save_slot(uintptr_t addr)
{
	for (unsigned int s = 0; s < VSW_GUESTS_MAX; s++) {
		for (unsigned int i = 0; i < VSW_GUARD_REGIONS_MAX; i++) {
			const struct region *region = &slots[s].region[i];
			size_t size = __atomic_load_n(&region->size, __ATOMIC_ACQUIRE);
			uintptr_t base = __atomic_load_n(&region->base, __ATOMIC_RELAXED);

			if (size == 0 || addr < base || addr - base >= size)
				continue;
			vsw_guard_lose(s, VSW_LOSS_MEMORY);
			return put_zeroes(base, size);
		}
	}
	return false;
}

/* Of what size the page is, is not known here. */
static bool
save_page(uintptr_t addr)
{
	static const size_t sizes[] = {4096, 2u << 20, 1u << 30};

	if (!is_allowed)
		return false;
	n_faults++;
	for (size_t i = 0; i < VSW_ARRAY_SIZE(sizes); i++) {
		if (put_zeroes(addr & ~(sizes[i] - 1), sizes[i]))
			return true;
	}
	return false;
}

static void
on_sigbus(int sig, siginfo_t *info, void *context)
{
	int saved = errno;
	uintptr_t addr = (uintptr_t)info->si_addr;

	/* Sent by somebody (si_code <= 0), there is no access to go on with. */
	if (info->si_code <= 0 || (!save_slot(addr) && !save_page(addr)))
		sigaction(SIGBUS, &old_action, NULL); /* and it faults again */
	if (info->si_code <= 0)
		raise(sig);
	errno = saved;
}

int
vsw_guard_install(void)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER};

	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, &old_action) == 0 ? 0 : -errno;
}

void
vsw_guard_set(unsigned int slot, unsigned int i, void *base, size_t size)
{
	struct region *region = &slots[slot].region[i];

	__atomic_store_n(&region->base, (uintptr_t)base, __ATOMIC_RELAXED);
	__atomic_store_n(&region->size, size, __ATOMIC_RELEASE);
}

void
vsw_guard_clear(unsigned int slot)
{
	for (unsigned int i = 0; i < VSW_GUARD_REGIONS_MAX; i++)
		__atomic_store_n(&slots[slot].region[i].size, 0, __ATOMIC_RELEASE);
}

void
vsw_guard_lose(unsigned int slot, enum vsw_loss loss)
{
	__atomic_store_n(&slots[slot].loss, loss, __ATOMIC_RELEASE);
}

void
vsw_guard_forget(unsigned int slot)
{
	vsw_guard_lose(slot, VSW_LOSS_NONE);
}

enum vsw_loss
vsw_guard_loss(unsigned int slot)
{
	return __atomic_load_n(&slots[slot].loss, __ATOMIC_ACQUIRE);
}

void
vsw_guard_this_thread(void)
{
	is_allowed = true;
}

unsigned int
vsw_guard_n_faults(void)
{
	return n_faults;
}
