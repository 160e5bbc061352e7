/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * EAL's folder, <base>/dpdk/vswd<pid>: telemetry's socket and those of librte_vhost behind the
 * gate are in it. EAL leaves it; here is who may go there, and what becomes of it.
 */
#ifndef VSW_RUNTIME_DIR_H
#define VSW_RUNTIME_DIR_H

#include "privilege.h"

/**
 * Before EAL: choose the base, one that @p user can reach later if it is set, and take away
 * what vswds that were killed have left there. Ends the process if that cannot be.
 */
void runtime_dir_prepare(const struct privilege *user);

/** Behind EAL: @p user, whom vswd is about to become, owns what is in the folder.
 * @return 0, or -errno with the sentence in @p why. */
int runtime_dir_give(const struct privilege *user, char why[VSW_WHY_SIZE]);

#endif /* VSW_RUNTIME_DIR_H */
