/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guests from `--vm` arguments, and the settings that are not a guest's.
 */
#include "vsw_conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include "value.h"
#include "vsw_base.h"
#include "vsw_key.h"
#include "vsw_number.h"

/* One `key=value`. @return 0 or -EINVAL. */
static int
read_item(struct vsw_guest_spec *spec, const char *arg, char *item, uint32_t *seen, char *error)
{
	char *value = strchr(item, '=');
	char why[VSW_WHY_SIZE];
	int k, rc;

	if (value != NULL)
		*value++ = '\0';
	k = vsw_guest_spec_find_key(item);
	if (k >= 0 && (*seen & 1u << k)) {
		snprintf(error, VSW_CONF_ERROR_SIZE, "--vm %s: %s: it is given twice", arg,
			 vsw_guest_spec_key_at((unsigned int)k));
		return -EINVAL;
	}
	rc = vsw_guest_spec_set(spec, item, value != NULL ? value : "", why);
	if (rc == 0)
		*seen |= 1u << k;
	else if (k < 0)
		snprintf(error, VSW_CONF_ERROR_SIZE, "--vm %s: %s", arg, why);
	else
		snprintf(error, VSW_CONF_ERROR_SIZE, "--vm %s: %s: %s", arg,
			 vsw_guest_spec_key_at((unsigned int)k), why);
	return rc == 0 ? 0 : -EINVAL;
}

int
vsw_conf_add_guest(struct vsw_conf *conf, const struct vsw_conf_guest *guest, const char *origin,
		   char error[VSW_CONF_ERROR_SIZE])
{
	struct vsw_conf_guest *slot = &conf->guest[conf->n_guests];
	char why[VSW_WHY_SIZE];
	const char *key;

	if (conf->n_guests == VSW_GUESTS_SERVED) {
		snprintf(error, VSW_CONF_ERROR_SIZE,
			 "%s: one vswd serves at most %d guests; start another one", origin,
			 VSW_GUESTS_SERVED);
		return -EINVAL;
	}
	*slot = *guest;
	if (vsw_guest_spec_check(&slot->spec, &key, why) != 0) {
		snprintf(error, VSW_CONF_ERROR_SIZE, "%s: %s: %s", origin, key, why);
		return -EINVAL;
	}
	conf->n_guests++;
	return 0;
}

int
vsw_conf_add_vm(struct vsw_conf *conf, const char *arg, char error[VSW_CONF_ERROR_SIZE])
{
	struct vsw_conf_guest guest = {0};
	char *items, *rest, *item;
	char origin[1024];
	uint32_t seen = 0;
	int rc = 0;

	vsw_guest_spec_init(&guest.spec);
	items = rest = strdup(arg);
	if (items == NULL)
		return -ENOMEM;
	while (rc == 0 && (item = strsep(&rest, ",")) != NULL)
		rc = read_item(&guest.spec, arg, item, &seen, error);
	free(items);
	if (rc != 0)
		return rc;
	snprintf(origin, sizeof(origin), "--vm %s", arg);
	return vsw_conf_add_guest(conf, &guest, origin, error);
}

/*
 * Settings.
 */

static const char *
set_idle(struct vsw_conf *conf, const char *value)
{
	conf->has_idle = true;
	conf->idle = strcmp(value, "poll") == 0 ? VSW_IDLE_POLL : VSW_IDLE_ADAPTIVE;
	if (conf->idle == VSW_IDLE_POLL || strcmp(value, "adaptive") == 0)
		return NULL;
	return "it is adaptive or poll";
}

static const char *
set_max_guests(struct vsw_conf *conf, const char *value)
{
	return vsw_number_read_u32(value, 1, VSW_GUESTS_SERVED, &conf->max_guests)
		       ? NULL
		       : "it is a number from 1 to 511";
}

static const char *
set_bridge_lcores(struct vsw_conf *conf, const char *value)
{
	return vsw_lcores_read(&conf->bridge_lcores, value);
}

static const char *
set_api(struct vsw_conf *conf, const char *value)
{
	if (value[0] == '\0' || strlen(value) >= sizeof(conf->api))
		return "it is the path of a socket, at most 107 characters";
	strlcpy(conf->api, value, sizeof(conf->api));
	return NULL;
}

static const char *
set_api_mode(struct vsw_conf *conf, const char *value)
{
	return value_read_mode(value, &conf->api_mode) && conf->api_mode != 0 ? NULL
									      : VALUE_MODE_IS;
}

/* By their bits. */
static const struct {
	const char *name;
	const char *(*set)(struct vsw_conf *conf, const char *value);
} settings[] = {
	{"idle", set_idle}, {"max-guests", set_max_guests}, {"bridge-lcores", set_bridge_lcores},
	{"api", set_api},   {"api-mode", set_api_mode},     {"eal", NULL}, /* a list of words */
};

int
vsw_conf_set(struct vsw_conf *conf, const char *key, const char *value, char why[VSW_WHY_SIZE])
{
	for (size_t i = 0; i < VSW_ARRAY_SIZE(settings); i++) {
		const char *right;

		if (settings[i].set == NULL || !vsw_key_is(settings[i].name, key))
			continue;
		right = settings[i].set(conf, value);
		if (right == NULL)
			return 0;
		snprintf(why, VSW_WHY_SIZE, "%.128s is wrong, %s", value, right);
		return -EINVAL;
	}
	return -ENOENT;
}

uint32_t
vsw_conf_diff(const struct vsw_conf *start, const struct vsw_conf *now)
{
	enum vsw_idle was = start->has_idle ? start->idle : VSW_IDLE_ADAPTIVE;
	enum vsw_idle is = now->has_idle ? now->idle : VSW_IDLE_ADAPTIVE;
	uint32_t diff = 0;

	diff |= was != is ? VSW_CONF_IDLE : 0;
	diff |= start->max_guests != now->max_guests ? VSW_CONF_MAX_GUESTS : 0;
	diff |= memcmp(&start->bridge_lcores, &now->bridge_lcores, sizeof(now->bridge_lcores)) != 0
			? VSW_CONF_BRIDGE_LCORES
			: 0;
	diff |= strcmp(start->api, now->api) != 0 ? VSW_CONF_API : 0;
	diff |= start->api_mode != now->api_mode ? VSW_CONF_API_MODE : 0;
	diff |= start->eal_len != now->eal_len ||
				memcmp(start->eal_text, now->eal_text, now->eal_len) != 0
			? VSW_CONF_EAL
			: 0;
	return diff & ~start->overrides;
}

const char *
vsw_conf_settings_str(uint32_t set, char names[VSW_WHY_SIZE])
{
	size_t len = 0;

	names[0] = '\0';
	for (size_t i = 0; i < VSW_ARRAY_SIZE(settings); i++) {
		if (set & 1u << i)
			len += (size_t)snprintf(names + len, VSW_WHY_SIZE - len, "%s%s",
						len > 0 ? ", " : "", settings[i].name);
	}
	vsw_key_in_yaml(names, names, VSW_WHY_SIZE);
	return names;
}
