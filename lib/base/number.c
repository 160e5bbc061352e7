/* SPDX-License-Identifier: BSD-3-Clause */
#include "vsw_number.h"

bool
vsw_number_read(const char *text, uint64_t min, uint64_t max, uint64_t *number)
{
	uint64_t value = 0;

	if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0'))
		return false;
	for (; *text != '\0'; text++) {
		uint64_t digit = (uint64_t)(*text - '0');

		if (*text < '0' || *text > '9' || value > (UINT64_MAX - digit) / 10)
			return false;
		value = 10 * value + digit;
	}
	if (value < min || value > max)
		return false;
	*number = value;
	return true;
}

bool
vsw_number_read_u32(const char *text, uint32_t min, uint32_t max, uint32_t *number)
{
	uint64_t value;

	if (!vsw_number_read(text, min, max, &value))
		return false;
	*number = (uint32_t)value;
	return true;
}
