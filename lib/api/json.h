/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between JSON and the values of the switch. Pure.
 */
#ifndef VSW_API_JSON_H
#define VSW_API_JSON_H

#include <jansson.h>

#include "vsw_control.h"

/* A guest as it is configured: what json_to_spec() takes. NULL: out of memory. */
json_t *json_of_spec(const struct vsw_guest_spec *spec);
/* The same with "status", and "counters" and "histograms" if wanted. */
json_t *json_of_guest(const struct vsw_guest_info *info, bool with_counters, bool with_hists);
json_t *json_of_counters(const struct vsw_counters *counters);
/* Each by its name; only buckets that are not empty. */
json_t *json_of_hists(const struct vsw_hists *hists);
json_t *json_of_conn(const struct vsw_conn_info *conn);
json_t *json_of_lcore(const struct vsw_lcore_info *lcore);
/* Every group with the names of its guests. */
json_t *json_of_groups(const struct vsw_guest_info *guests, unsigned int n);

/*
 * Set the keys that @p object has; null sets what is the default. Others stay.
 * @return 0, or -EINVAL with a sentence that begins with the key.
 */
int json_to_spec(const json_t *object, struct vsw_guest_spec *spec, char error[VSW_ERROR_SIZE]);

/* What a small object may have; ends with a field without a name. */
struct json_field {
	const char *name;
	bool is_required;
	bool is_cid; /* a number; else a string */
};
/* @return 0: it has that and nothing else; -EINVAL with a sentence. */
int json_check_fields(const json_t *object, const struct json_field *fields,
		      char error[VSW_ERROR_SIZE]);

/* "debug" and so on, or a digit. @return 0: it is none. */
uint32_t json_log_level(const char *text);
const char *json_log_level_str(uint32_t level);

#endif /* VSW_API_JSON_H */
