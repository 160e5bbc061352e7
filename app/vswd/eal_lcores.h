/* SPDX-License-Identifier: BSD-3-Clause */
/* Which lcores EAL will make of its arguments: for looking ahead without starting it. */
#ifndef VSW_EAL_LCORES_H
#define VSW_EAL_LCORES_H

#include "vsw_lcores.h"

/**
 * @param main_lcore out: where main() will run.
 * @return false: that cannot be told, because of service cores, or because EAL will refuse the
 *         arguments.
 */
bool eal_lcores_foresee(int argc, char **argv, struct vsw_lcores *lcores, unsigned int *main_lcore);

#endif /* VSW_EAL_LCORES_H */
