/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK's telemetry: /vsock/... for dpdk-telemetry.py and whatever speaks its protocol. Its
 * threads ask the control role as the API does.
 */
#ifndef VSW_TELEMETRY_H
#define VSW_TELEMETRY_H

#include "vsw_control.h"

/* After rte_eal_init(). */
void telemetry_start(struct vsw_control *control);

/* After vsw_control_close(): commands that still come are refused. */
void telemetry_stop(void);

#endif /* VSW_TELEMETRY_H */
