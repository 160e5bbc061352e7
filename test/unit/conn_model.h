/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * A model of the switch around lib/conn: Linux-like guests at one end, a host stream or a
 * second such guest at the other, packets and events on their way in between, and every rule
 * that can be stated checked after every step.
 *
 * What happens next is drawn from a seed, or from bytes, so that a fuzzer can steer it:
 *
 *   struct choices choices = {.byte = data, .n_bytes = size};
 *   conn_model_run(&choices, VSW_ARRAY_SIZE(...), &stats);
 *
 * The program supplies model_broken(), linux_guest.h.
 */
#ifndef CONN_MODEL_H
#define CONN_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "vsw_conn.h"

struct choices {
	uint64_t rng;        /**< any seed; not used with bytes */
	const uint8_t *byte; /**< or NULL */
	size_t n_bytes;
};

/** One of 0..n-1. */
uint32_t choose(struct choices *choices, uint32_t n);

/** What was seen, so that a test can tell that it saw enough. */
struct model_stats {
	uint64_t n_steps;
	uint64_t n_bytes; /**< read by guests and hosts */
	uint64_t n_stalls;
	uint64_t n_inputs[VSW_CONN_N_STATES][8]; /**< by state and op */
	uint64_t n_events[VSW_CONN_N_STATES][VSW_CONN_N_EVENTS];
	uint64_t n_reasons[VSW_CONN_N_REASONS];
	uint32_t all_actions;
};

/** One connection from its first packet to its last, at most n_steps and then to its end. */
void conn_model_run(struct choices *choices, unsigned int n_steps, struct model_stats *stats);

#endif /* CONN_MODEL_H */
