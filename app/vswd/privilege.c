/* SPDX-License-Identifier: BSD-3-Clause */
#include "privilege.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bsd/string.h>

#include "runtime_dir.h"
#define VSW_LOGTYPE vsw_log_main
#include "vsw_base.h"
#include "vsw_log.h"
#include "vsw_number.h"

RTE_LOG_REGISTER(vsw_log_main, vsw.main, NOTICE);

static int __attribute__((format(printf, 3, 4)))
say(char why[VSW_WHY_SIZE], int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, VSW_WHY_SIZE, fmt, ap);
	va_end(ap);
	return rc;
}

/*
 * Who.
 */

static int
find_group(struct privilege *privilege, const char *name, char why[VSW_WHY_SIZE])
{
	const struct group *group;

	if (!vsw_number_read_u32(name, 0, UINT32_MAX - 1, &privilege->gid)) {
		group = getgrnam(name);
		if (group == NULL)
			return say(why, -EINVAL, "there is no group %s", name);
		privilege->gid = group->gr_gid;
	}
	privilege->group[0] = privilege->gid;
	privilege->n_groups = 1;
	return 0;
}

static int
find_groups_of(struct privilege *privilege, const struct passwd *user, char why[VSW_WHY_SIZE])
{
	if (user == NULL)
		return say(why, -EINVAL,
			   "user %s has no entry, so the group must be said, as in %s:%s",
			   privilege->name, privilege->name, privilege->name);
	privilege->gid = user->pw_gid;
	privilege->n_groups = PRIVILEGE_GROUPS_MAX;
	if (getgrouplist(user->pw_name, user->pw_gid, privilege->group, &privilege->n_groups) < 0)
		return say(why, -EINVAL,
			   "user %s is in more than %u groups; say which one, as in %s:GROUP",
			   privilege->name, PRIVILEGE_GROUPS_MAX, privilege->name);
	return 0;
}

int
privilege_parse(struct privilege *privilege, const char *text, char why[VSW_WHY_SIZE])
{
	const char *colon = strchr(text, ':');
	size_t len = colon != NULL ? (size_t)(colon - text) : strlen(text);
	const struct passwd *user;
	int rc;

	if (privilege->is_set)
		return say(why, -EINVAL, "it is given twice");
	if (len == 0 || len >= sizeof(privilege->name) || (colon != NULL && colon[1] == '\0'))
		return say(why, -EINVAL, "%s is not NAME or NAME:GROUP", text);
	memcpy(privilege->name, text, len);
	privilege->name[len] = '\0';
	if (vsw_number_read_u32(privilege->name, 0, UINT32_MAX - 1, &privilege->uid)) {
		user = getpwuid(privilege->uid);
	} else {
		user = getpwnam(privilege->name);
		if (user == NULL)
			return say(why, -EINVAL, "there is no user %s", privilege->name);
		privilege->uid = user->pw_uid;
	}
	rc = colon != NULL ? find_group(privilege, colon + 1, why)
			   : find_groups_of(privilege, user, why);
	if (rc != 0)
		return rc;
	if (privilege->uid == 0)
		return say(why, -EINVAL, "%s is root; name somebody with fewer rights",
			   privilege->name);
	if (geteuid() != 0)
		return say(why, -EINVAL,
			   "only root can become another user; start vswd as root, or as %s "
			   "without --user",
			   privilege->name);
	privilege->is_set = true;
	return 0;
}

void
privilege_forgo(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		err(EXIT_FAILURE, "no_new_privs");
}

/*
 * Sockets.
 */

int
privilege_give_socket(const struct privilege *privilege, const char *path, uid_t owner, gid_t group)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int rc = 0;

	if (fd < 0)
		return -errno;
	/* In a folder of somebody else's it may be another thing by now. */
	if (fstat(fd, &st) != 0 || !S_ISSOCK(st.st_mode) || st.st_nlink != 1)
		rc = -EEXIST;
	else if (fchownat(fd, "", owner == (uid_t)-1 ? privilege->uid : (uid_t)-1,
			  group == (gid_t)-1 ? privilege->gid : (gid_t)-1, AT_EMPTY_PATH) != 0)
		rc = -errno;
	close(fd);
	return rc;
}

static int
give_sockets(const struct privilege *privilege, const struct vsw_conf *conf, char why[VSW_WHY_SIZE])
{
	for (unsigned int i = 0; i < conf->n_guests; i++) {
		const struct vsw_guest_spec *spec = &conf->guest[i].spec;
		const char *path, *key;

		for (unsigned int p = 0; (path = vsw_guest_spec_made_path(spec, p, &key)) != NULL;
		     p++) {
			int rc = privilege_give_socket(privilege, path, spec->socket_owner,
						       spec->socket_group);

			if (rc != 0)
				return say(why, rc, "%s: %s", path, strerror(-rc));
		}
	}
	if (conf->api[0] != '\0') {
		int rc = privilege_give_socket(privilege, conf->api, (uid_t)-1, (gid_t)-1);

		if (rc != 0)
			return say(why, rc, "%s: %s", conf->api, strerror(-rc));
	}
	return 0;
}

static bool
may(const char *path, int mode)
{
	return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0;
}

/* What will not work, said before it does not. */
static void
look_ahead(const struct privilege *privilege, const struct vsw_conf *conf)
{
	char last[PATH_MAX] = "", folder[PATH_MAX];

	if (conf->file[0] != '\0' && !may(conf->file, R_OK))
		VSW_LOG(WARNING, "user %s cannot read %s: a reload will fail", privilege->name,
			conf->file);
	for (unsigned int i = 0; i < conf->n_guests; i++) {
		const struct vsw_guest_spec *spec = &conf->guest[i].spec;
		const char *path, *key;

		for (unsigned int p = 0; (path = vsw_guest_spec_made_path(spec, p, &key)) != NULL;
		     p++) {
			char *slash;

			strlcpy(folder, path, sizeof(folder));
			slash = strrchr(folder, '/');
			if (slash == NULL)
				continue;
			slash[slash == folder] = '\0';
			if (strcmp(folder, last) == 0 || may(folder, W_OK | X_OK))
				continue;
			VSW_LOG(WARNING,
				"user %s cannot write in %s: sockets will be left there, and no "
				"guest "
				"can be added",
				privilege->name, folder);
			strlcpy(last, folder, sizeof(last));
		}
	}
}

/*
 * Becoming it. libc does it for all threads, or ends the process.
 */

static int
verify(const struct privilege *privilege, char why[VSW_WHY_SIZE])
{
	gid_t group[PRIVILEGE_GROUPS_MAX];
	uid_t uid[3];
	gid_t gid[3];

	if (getresuid(&uid[0], &uid[1], &uid[2]) != 0 || getresgid(&gid[0], &gid[1], &gid[2]) != 0)
		return say(why, -errno, "%s", strerror(errno));
	for (int i = 0; i < 3; i++) {
		if (uid[i] != privilege->uid || gid[i] != privilege->gid)
			return say(why, -EPERM, "user %s was not become entirely", privilege->name);
	}
	if (getgroups(PRIVILEGE_GROUPS_MAX, group) != privilege->n_groups)
		return say(why, -EPERM, "groups of root are left");
	if (setresuid(0, 0, 0) == 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return say(why, -EPERM, "there is a way back to root");
	return 0;
}

int
privilege_drop(const struct privilege *privilege, const struct vsw_conf *conf,
	       char why[VSW_WHY_SIZE])
{
	int rc;

	if (!privilege->is_set)
		return 0;
	rc = give_sockets(privilege, conf, why);
	if (rc == 0)
		rc = runtime_dir_give(privilege, why);
	if (rc != 0)
		return rc;
	if (setgroups((size_t)privilege->n_groups, privilege->group) != 0 ||
	    setresgid(privilege->gid, privilege->gid, privilege->gid) != 0 ||
	    setresuid(privilege->uid, privilege->uid, privilege->uid) != 0)
		return say(why, -errno, "cannot become user %s: %s", privilege->name,
			   strerror(errno));
	rc = verify(privilege, why);
	if (rc == 0)
		look_ahead(privilege, conf);
	return rc;
}
