/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * A mutex that clang follows: clang-tidy (check_tidy) fails where a field is touched without the
 * mutex that guards it, where a function is called without the one it needs, and where one is
 * still held at the end.
 *
 * Until clang 20 an attribute of a member of a C struct cannot name another member. Where each
 * object has a mutex of its own, its fields name a stand-in, a mutex that is declared and nothing
 * more: "that of the object in hand".
 *
 * Lcores take no mutex on the way of a packet; what they share is handed over by messages, which
 * this says nothing about (doc/guides/fuzzing, "Lints").
 */
#ifndef VSW_MUTEX_H
#define VSW_MUTEX_H

#include <pthread.h>

#ifdef __clang__
#define VSW_ATTRIBUTE(a) __attribute__((a))
#else
#define VSW_ATTRIBUTE(a)
#endif

/** Of a field or variable. */
#define VSW_GUARDED_BY(mutex) VSW_ATTRIBUTE(guarded_by(mutex))
/** Of a function: its caller holds @p mutex; it returns with it held; without it. */
#define VSW_NEEDS(mutex) VSW_ATTRIBUTE(requires_capability(mutex))
#define VSW_LOCKS(mutex) VSW_ATTRIBUTE(acquire_capability(mutex))
#define VSW_UNLOCKS(mutex) VSW_ATTRIBUTE(release_capability(mutex))
/** Of a function that is right although clang cannot see why; a comment says why. */
#define VSW_NOT_FOLLOWED VSW_ATTRIBUTE(no_thread_safety_analysis)

struct VSW_ATTRIBUTE(capability("mutex")) vsw_mutex {
	pthread_mutex_t mutex;
};

#define VSW_MUTEX_INITIALIZER                                                                      \
	{                                                                                          \
		.mutex = PTHREAD_MUTEX_INITIALIZER                                                 \
	}

static inline void vsw_mutex_lock(struct vsw_mutex *m) VSW_LOCKS(*m) VSW_NOT_FOLLOWED;
static inline void vsw_mutex_unlock(struct vsw_mutex *m) VSW_UNLOCKS(*m) VSW_NOT_FOLLOWED;

static inline void
vsw_mutex_lock(struct vsw_mutex *m)
{
	pthread_mutex_lock(&m->mutex);
}

static inline void
vsw_mutex_unlock(struct vsw_mutex *m)
{
	pthread_mutex_unlock(&m->mutex);
}

#endif /* VSW_MUTEX_H */
