/* SPDX-License-Identifier: BSD-3-Clause */
#include "vsw_layout.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* For a sentence; longer lists are cut off. */
#define LIST_SIZE 256

/* @return false: a bridge is where EAL has no lcore. */
static bool
lay_out_bridges(struct vsw_layout *layout, const struct vsw_lcores *lcores,
		const struct vsw_lcores *bridges, char why[VSW_WHY_SIZE])
{
	char list[LIST_SIZE];

	if (bridges->n == 0) {
		vsw_lcores_add(&layout->bridge, layout->main_lcore);
		return true;
	}
	for (unsigned int lcore = 0; lcore < VSW_LCORES_MAX; lcore++) {
		if (!bridges->has[lcore] || lcores->has[lcore])
			continue;
		snprintf(why, VSW_WHY_SIZE, "lcore %u is none of the EAL's (-l), which are %s",
			 lcore, vsw_lcores_write(lcores, list, sizeof(list)));
		return false;
	}
	layout->bridge = *bridges;
	return true;
}

static void
lay_out_polls(struct vsw_layout *layout, const struct vsw_lcores *lcores)
{
	struct vsw_lcores workers = *lcores, idle_workers = {0};

	workers.n--;
	workers.has[layout->main_lcore] = false;
	for (unsigned int lcore = 0; lcore < VSW_LCORES_MAX; lcore++) {
		if (workers.has[lcore] && !layout->bridge.has[lcore])
			vsw_lcores_add(&idle_workers, lcore);
	}
	if (workers.n == 0)
		layout->poll = *lcores;
	else
		layout->poll = idle_workers.n > 0 ? idle_workers : workers;
}

int
vsw_layout_check_lcore(const struct vsw_layout *layout, int32_t lcore, char why[VSW_WHY_SIZE])
{
	char list[LIST_SIZE];

	if (lcore < 0 || (lcore < VSW_LCORES_MAX && layout->poll.has[lcore]))
		return 0;
	snprintf(why, VSW_WHY_SIZE,
		 "lcore %d polls no guests; of the EAL's lcores (-l) these do: %s", lcore,
		 vsw_lcores_write(&layout->poll, list, sizeof(list)));
	return -EINVAL;
}

int
vsw_layout_make(struct vsw_layout *layout, const struct vsw_lcores *lcores, unsigned int main_lcore,
		const struct vsw_conf *conf, char error[VSW_CONF_ERROR_SIZE])
{
	char why[VSW_WHY_SIZE];

	memset(layout, 0, sizeof(*layout));
	layout->main_lcore = main_lcore;
	if (!lay_out_bridges(layout, lcores, &conf->bridge_lcores, why)) {
		vsw_conf_say_setting(conf, "bridge-lcores", &conf->bridge_lcores_at, why, error);
		return -EINVAL;
	}
	lay_out_polls(layout, lcores);
	for (unsigned int i = 0; i < conf->n_guests; i++) {
		if (vsw_layout_check_lcore(layout, conf->guest[i].spec.lcore, why) == 0)
			continue;
		vsw_conf_say(conf, &conf->guest[i], "lcore", why, error);
		return -EINVAL;
	}
	return 0;
}
