/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For ThreadSanitizer: what rings and pools promise. DPDK's libraries are not instrumented, and
 * on x86 their inline functions order accesses by the strength of the cpu, which it does not
 * see. So the promise is told at the four places where a message changes hands, and what it
 * says of the rings' own words is suppressed (test/tsan.supp). Private to the fabric.
 */
#ifndef VSW_TSAN_H
#define VSW_TSAN_H

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__ 1 /* as gcc says it */
#endif
#endif

#ifdef __SANITIZE_THREAD__

#include <sanitizer/tsan_interface.h>

/* What this thread did to @p msg before happens before what its next owner does. */
static inline void
vsw_tsan_give(void *msg)
{
	__tsan_release(msg);
}

static inline void
vsw_tsan_got(void *msg)
{
	__tsan_acquire(msg);
}

#else

static inline void
vsw_tsan_give(void *msg)
{
}

static inline void
vsw_tsan_got(void *msg)
{
}

#endif

#endif /* VSW_TSAN_H */
