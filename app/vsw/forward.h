/* SPDX-License-Identifier: BSD-3-Clause */
/* Services that are made reachable elsewhere. */
#ifndef VSW_FORWARD_H
#define VSW_FORWARD_H

#include "commands.h"
#include "endpoint.h"
#include "listen.h"

struct forward {
	struct endpoint service; /* what is connected to */
	struct endpoint at;      /* where it is listened */
	struct listening listening;
	unsigned int line; /* of the file that has it; 0: none */
};

/* Until a signal comes. @return exit status. */
int forward_all(const struct args *args, struct forward *forwards, size_t n);

#endif /* VSW_FORWARD_H */
