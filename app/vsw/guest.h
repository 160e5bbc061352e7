/* SPDX-License-Identifier: BSD-3-Clause */
/* What the commands want of JSON objects. */
#ifndef VSW_GUEST_JSON_H
#define VSW_GUEST_JSON_H

#include <jansson.h>

/* "" and 0 when there is none. */
const char *text_at(const json_t *object, const char *key);
long long number_at(const json_t *object, const char *key);

#endif /* VSW_GUEST_JSON_H */
