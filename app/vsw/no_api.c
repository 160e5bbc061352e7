/* SPDX-License-Identifier: BSD-3-Clause */
/* In the place of all that asks vswd, in a program without libcurl and jansson. */
#include "commands.h"

#include <stdio.h>

const struct command api_commands[1];
const size_t n_api_commands = 0;

bool
guest_uds_path(const char *who, char *path, size_t size, char *why, size_t why_size)
{
	snprintf(why, why_size,
		 "this vsw cannot ask vswd where guest %s is; its uds-path would do, or, "
		 "in a guest, its CID",
		 who);
	return false;
}
