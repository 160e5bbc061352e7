/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Logging through rte_log: one log type per module, "vsw.<module>", so that EAL's
 * --log-level=vsw.*:debug works. Only for the slow path, and for what a guest or a host
 * application causes only through VSW_LOG_LIMITED.
 *
 * A module that logs has in one of its .c files
 *
 *   RTE_LOG_REGISTER(vsw_log_<module>, vsw.<module>, NOTICE);
 *
 * and defines VSW_LOGTYPE to that variable before it logs. This is the one header here that
 * needs DPDK; nothing in this library itself does.
 */
#ifndef VSW_LOG_H
#define VSW_LOG_H

#include <rte_cycles.h>
#include <rte_log.h>

#define VSW_LOG(level, fmt, ...)                                                                   \
	rte_log(RTE_LOG_##level, VSW_LOGTYPE, "vsw: " fmt "\n", ##__VA_ARGS__)

/** As VSW_LOG, at most once a second for each place in the code. */
#define VSW_LOG_LIMITED(level, fmt, ...)                                                           \
	do {                                                                                       \
		static _Thread_local uint64_t next_tsc_;                                           \
		uint64_t now_ = rte_rdtsc();                                                       \
                                                                                                   \
		if (now_ >= next_tsc_) {                                                           \
			next_tsc_ = now_ + rte_get_tsc_hz();                                       \
			VSW_LOG(level, fmt, ##__VA_ARGS__);                                        \
		}                                                                                  \
	} while (0)

#endif /* VSW_LOG_H */
