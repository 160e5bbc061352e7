/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The connection state machine against an independent one: Linux-like guests
 * (test/unit/linux_guest.c) with a host or another such guest behind it. Every choice of the
 * model (test/unit/conn_model.c) is drawn from the input; the model checks itself.
 *
 * Input: the choices, one to four bytes each.
 */
#include "fuzz.h"

#include "conn_model.h"
#include "linux_guest.h"

/* A step takes a few bytes; behind the end of the input everybody goes home. */
#define STEPS_MAX 2000

_Noreturn void
model_broken(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: broken: %s\n", file, line, what);
	abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t nothing;
	struct choices choices = {.byte = size > 0 ? data : &nothing, .n_bytes = size};
	struct model_stats stats = {0};

	conn_model_run(&choices, size < STEPS_MAX ? (unsigned int)size : STEPS_MAX, &stats);
	return 0;
}
