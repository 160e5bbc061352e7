/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Numbers as people write them: digits and nothing else. strtonum(3) and the like also take
 * blanks, a sign and leading zeros (in YAML 1.1 those mean octal), which are mistakes here.
 */
#ifndef VSW_NUMBER_H
#define VSW_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/** Read @p text. @return false: it is not a decimal number from @p min to @p max; @p number is
 * as it was. */
bool vsw_number_read(const char *text, uint64_t min, uint64_t max, uint64_t *number);

/** The same for 32 bits. */
bool vsw_number_read_u32(const char *text, uint32_t min, uint32_t max, uint32_t *number);

#endif /* VSW_NUMBER_H */
