/* SPDX-License-Identifier: BSD-3-Clause */
/* The subcommands of vsw-guest, and the exit statuses they share (1 to 4 as in vsw). */
#ifndef VSW_GUEST_COMMANDS_H
#define VSW_GUEST_COMMANDS_H

#include "options.h"

enum {
	EXIT_USAGE = 1,       /* the command line is wrong */
	EXIT_UNREACHABLE = 2, /* nobody serves the socket, or the device cannot be started */
	EXIT_REFUSED = 3,     /* a connection was refused or not answered */
	EXIT_BROKEN = 4,      /* a connection or the device broke in the middle */
	EXIT_WRONG = 5,       /* wrong payload, or the device broke a rule of virtio */
};

/* @return exit status; what went wrong has been printed. */
int cmd_stdio(const struct options *opt);
int cmd_listen(const struct options *opt);
int cmd_stream(const struct options *opt);
int cmd_ping(const struct options *opt);
int cmd_churn(const struct options *opt);
int cmd_hold(const struct options *opt);
int cmd_limits(const struct options *opt);

#endif /* VSW_GUEST_COMMANDS_H */
