/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Which lcore does what. Known from the EAL's lcores and the configuration alone, before
 * anything is made, so that a configuration can be checked without starting.
 *
 * The main lcore controls. Those that bridge are named by the user, or it is the main one. The
 * workers poll guests, unless they bridge; if all of them bridge, all of them poll as well, and
 * an EAL with a main lcore alone does everything there.
 *
 *   -l 0                          0: control, bridge and poll
 *   -l 0-2                        0: control and bridge      1, 2: poll
 *   -l 0-3 --bridge-lcores 2,3    0: control    1: poll      2, 3: bridge
 *   -l 0-3 --bridge-lcores 0,3    0: control and bridge      1, 2: poll     3: bridge
 *   -l 0-2 --bridge-lcores 1,2    0: control                 1, 2: poll and bridge
 */
#ifndef VSW_LAYOUT_H
#define VSW_LAYOUT_H

#include "vsw_conf.h"
#include "vsw_lcores.h"

struct vsw_layout {
	unsigned int main_lcore;
	struct vsw_lcores poll, bridge;
};

/**
 * Lay out the lcores that EAL has, as @p conf says, and check that its guests can be where it
 * wants them.
 *
 * @param error out: the sentence, with the place of the mistake.
 * @return 0 or -EINVAL.
 */
int vsw_layout_make(struct vsw_layout *layout, const struct vsw_lcores *lcores,
		    unsigned int main_lcore, const struct vsw_conf *conf,
		    char error[VSW_CONF_ERROR_SIZE]);

/** May a guest be polled on @p lcore (negative: on any)? @return 0; -EINVAL with @p why. */
int vsw_layout_check_lcore(const struct vsw_layout *layout, int32_t lcore, char why[VSW_WHY_SIZE]);

#endif /* VSW_LAYOUT_H */
