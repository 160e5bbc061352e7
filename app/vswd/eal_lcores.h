/* SPDX-License-Identifier: BSD-3-Clause */
/* What EAL will make of its arguments, lcores above all: for looking ahead without starting it. */
#ifndef VSW_EAL_LCORES_H
#define VSW_EAL_LCORES_H

#include "vsw_lcores.h"

/** The value of an option in one of its forms: "-l 1", "-l1", "--lcores 1", "--lcores=1". @return
 * NULL: argv[i] is another. */
const char *eal_value(int argc, char *const *argv, int i, const char *name);

/**
 * @param main_lcore out: where main() will run.
 * @return false: that cannot be told, because of service cores, or because EAL will refuse the
 *         arguments.
 */
bool eal_lcores_foresee(int argc, char *const *argv, struct vsw_lcores *lcores,
			unsigned int *main_lcore);

#endif /* VSW_EAL_LCORES_H */
