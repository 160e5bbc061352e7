/* SPDX-License-Identifier: BSD-3-Clause */
/* The subcommands of vsw, and the exit statuses they share. */
#ifndef VSW_COMMANDS_H
#define VSW_COMMANDS_H

enum {
	EXIT_USAGE = 1,       /* the command line is wrong */
	EXIT_UNREACHABLE = 2, /* no vsw serves that path, or it is not ours to use */
	EXIT_REFUSED = 3,     /* vsw does, but the guest does not take connections to that port */
	EXIT_BROKEN = 4,      /* the connection broke in the middle */
};

/* argv[0] is the subcommand's name. @return exit status. */
int cmd_connect(int argc, char **argv);

#endif /* VSW_COMMANDS_H */
