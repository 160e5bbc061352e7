/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsw ssh-config: what ssh(1) is to be told.
 */
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"

const char ssh_config_more[] =
	"ssh then reaches a guest by its name or CID, when its network does not work, too. % is\n"
	"for scp and rsync, which take a / for a path's.\n"
	"\n"
	"Examples:\n"
	"  vsw ssh-config >~/.ssh/vsw.conf     and in ~/.ssh/config: Include vsw.conf\n"
	"  ssh root@vsw/web\n"
	"  scp core.gz root@vsw%web:/tmp\n";

int
cmd_ssh_config(struct args *args)
{
	puts("# Guests of vswd: ssh root@vsw/NAME, scp FILE root@vsw%NAME:\n"
	     "Host vsw/* vsw%*\n"
	     "\tProxyCommand vsw connect --fdpass %h %p\n"
	     "\tProxyUseFdpass yes\n"
	     "\tCheckHostIP no");
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_BROKEN;
}
