/* SPDX-License-Identifier: BSD-3-Clause */
#include "commands.h"

#include "vsw_base.h"

#define ANY 1000000

const struct command api_commands[] = {
	{"guest list", "sj", 0, 0, "", "list the guests", cmd_guest_list},
	{"guest show", "sj", 1, 1, "GUEST", "show what is known of a guest", cmd_guest_show},
	{"guest add", "sj", 1, ANY, "KEY=VALUE...", "serve another guest", cmd_guest_add},
	{"guest change", "sj", 2, ANY, "GUEST KEY=VALUE...", "change a guest", cmd_guest_change},
	{"guest del", "s", 1, ANY, "GUEST...", "remove guests", cmd_guest_del},
	{"conn list", "sjgp", 0, 0, "", "list connections", cmd_conn_list},
	{"conn close", "s", 1, ANY, "ID...", "reset connections", cmd_conn_close},
	{"stats", "sja", 0, 1, "[GUEST]", "print counters and times", cmd_stats},
	{"top", "sdn", 0, 0, "", "watch guests and lcores", cmd_top},
	{"capture", "sgpwl", 0, 0, "", "write packets to a pcap file", cmd_capture},
	{"config show", "sj", 0, 0, "", "print the guests as a configuration file",
	 cmd_config_show},
	{"config check", "", 1, 1, "FILE", "look for mistakes in a configuration file",
	 cmd_config_check},
	{"reload", "s", 0, 0, "", "make vswd read its configuration file again", cmd_reload},
	{"log", "sjt", 0, 1, "[LEVEL]", "show or set log levels", cmd_log},
};
const size_t n_api_commands = VSW_ARRAY_SIZE(api_commands);
