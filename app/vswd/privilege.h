/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --user: vswd starts as root, makes the sockets of its first guests where only root may, and
 * goes on as somebody else. What it makes later, at a reload, it makes as that user.
 */
#ifndef VSW_PRIVILEGE_H
#define VSW_PRIVILEGE_H

#include <stdbool.h>
#include <sys/types.h>

#include "vsw_conf.h"

#define PRIVILEGE_GROUPS_MAX 256

struct privilege {
	bool is_set; /* --user was given */
	char name[64];
	uid_t uid;
	gid_t gid;
	int n_groups;
	gid_t group[PRIVILEGE_GROUPS_MAX];
};

/**
 * Read `NAME[:GROUP]`, names or numbers. NAME alone brings all groups of that user; with GROUP
 * it is that one and no other.
 * @return 0, or -EINVAL with the sentence in @p why.
 */
int privilege_parse(struct privilege *privilege, const char *text, char why[VSW_WHY_SIZE]);

/** Before EAL and its threads: whoever this process becomes, no program that it may start has
 * more rights than it. Ends the process if that cannot be. */
void privilege_forgo(void);

/** The socket at @p path, which root has just made, is the user's from now on; an owner or a
 * group other than -1 is kept. For each, before the drop. @return 0 or -errno. */
int privilege_give_socket(const struct privilege *privilege, const char *path, uid_t owner,
			  gid_t group);

/**
 * When the sockets of @p conf are there: give them, and EAL's folder, to the user and become
 * that user, with all threads, for good. Nothing happens without --user.
 * @return 0, or -errno with the sentence in @p why: the process must not go on.
 */
int privilege_drop(const struct privilege *privilege, const struct vsw_conf *conf,
		   char why[VSW_WHY_SIZE]);

#endif /* VSW_PRIVILEGE_H */
