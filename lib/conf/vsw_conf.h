/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * What the user asked for: the guests, read from `--vm` arguments, and whether that can be.
 *
 * A mistake is told in one sentence that names the argument, the key, what is wrong and what
 * would be right. Nothing here creates anything.
 *
 * Thread-safety: before the switch runs; one thread.
 */
#ifndef VSW_CONF_H
#define VSW_CONF_H

#include "vsw_guest_conf.h"
#include "vsw_limits.h"

/** Room for the sentence about a mistake. */
#define VSW_CONF_ERROR_SIZE 4096

/** Names of groups in all guests together, and their length with the final NUL. */
#define VSW_CONF_GROUPS_MAX 4096
#define VSW_CONF_GROUP_NAME_SIZE 64

struct vsw_conf {
	unsigned int n_guests;
	struct vsw_guest_conf guest[VSW_GUESTS_MAX]; /**< ids are their places here */

	unsigned int n_groups;
	char group_name[VSW_CONF_GROUPS_MAX][VSW_CONF_GROUP_NAME_SIZE]; /**< by number */
};

/**
 * Add the guest of a `--vm` argument: `key=value,key=value,...`. Keys, each in two
 * spellings: guest-cid (3 if absent), socket, uds-path (both required), tx-buffer-size,
 * queue-size, groups (`a+b`; "default" if absent), hairpin (on, off), lcore.
 *
 * @param error out: the sentence, when it fails.
 * @return 0 or -EINVAL.
 */
int vsw_conf_add_vm(struct vsw_conf *conf, const char *arg, char error[VSW_CONF_ERROR_SIZE]);

/**
 * Check what only all guests together and the file system can tell: duplicates, folders
 * that are not there or not writable, sockets that are alive.
 *
 * @return 0 or -EINVAL with @p error.
 */
int vsw_conf_check(const struct vsw_conf *conf, char error[VSW_CONF_ERROR_SIZE]);

#endif /* VSW_CONF_H */
