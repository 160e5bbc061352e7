/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * What differs between the versions of DPDK that vsw is built with, from 22.11 on: all of it is
 * here, nobody else asks for the version. `test/dpdk-versions.sh` builds with others.
 */
#ifndef VSW_COMPAT_H
#define VSW_COMPAT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_lcore.h>
#include <rte_telemetry.h>
#include <rte_thread.h>
#include <rte_version.h>

/*
 * A thread on the cpus that EAL leaves to control threads:
 *
 *   static vsw_thread_ret main(void *arg) { ...; return 0; }
 */
#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
typedef rte_thread_t vsw_thread;
typedef uint32_t vsw_thread_ret;
#else
typedef pthread_t vsw_thread;
typedef void *vsw_thread_ret;
#endif

/** @return whether it runs. */
static inline bool
vsw_thread_create(vsw_thread *thread, const char *name, vsw_thread_ret (*main)(void *), void *arg)
{
#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
	return rte_thread_create_control(thread, name, main, arg) == 0;
#else
	return rte_ctrl_thread_create(thread, name, NULL, main, arg) == 0;
#endif
}

static inline void
vsw_thread_join(vsw_thread thread)
{
#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
	rte_thread_join(thread, NULL);
#else
	pthread_join(thread, NULL);
#endif
}

/* Telemetry's numbers. */
#if RTE_VERSION < RTE_VERSION_NUM(23, 11, 0, 0)
#define RTE_TEL_UINT_VAL RTE_TEL_U64_VAL
#define rte_tel_data_add_array_uint rte_tel_data_add_array_u64
#define rte_tel_data_add_dict_uint rte_tel_data_add_dict_u64
#endif

#endif /* VSW_COMPAT_H */
