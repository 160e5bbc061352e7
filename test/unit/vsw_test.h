/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * What every unit test includes: cmocka needs these headers before its own.
 */
#ifndef VSW_TEST_H
#define VSW_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* cmocka 2 calls it so, and deprecates the name of 1. */
#ifndef assert_uint_in_range
#define assert_uint_in_range assert_in_range
#endif

#endif /* VSW_TEST_H */
