/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the base is, EAL decides: RUNTIME_DIRECTORY (systemd's); root's is /run, whose dpdk
 * nobody else may enter; others have XDG_RUNTIME_DIR, or /tmp. With --user the user must be
 * able to connect to librte_vhost in it for as long as vswd lives, so there it is /run/vswd.
 * Everything down to the folder of this process stays root's then, so that a user gone bad has
 * nothing to put in the way of the next start; it cannot remove its folder at the end either,
 * so the next start does that.
 */
#include "runtime_dir.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bsd/string.h>

#include <rte_eal.h>

#include "vsw_number.h"
#include "vsw_socket_path.h"

#define BASE_WITH_USER "/run/vswd"

/* EAL, and the sockets inside of vswd, want a folder at run time. One that was inherited from
 * another user (su, sudo), or whose name is too long for sockets in it, is not for us: without
 * it EAL uses /tmp. */
#define BASE_LEN_MAX 60

static void
forget_foreign_base(void)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");

	if (dir != NULL && (strlen(dir) > BASE_LEN_MAX || access(dir, W_OK | X_OK) != 0))
		unsetenv("XDG_RUNTIME_DIR");
}

/* As EAL chooses it. */
static const char *
base(void)
{
	const char *dir = getenv("RUNTIME_DIRECTORY");

	if (dir == NULL)
		dir = geteuid() == 0 ? "/run" : getenv("XDG_RUNTIME_DIR");
	return dir != NULL ? dir : "/tmp";
}

/* Does anybody listen in @p path? Its process may be in a container, and have another id there. */
static bool
is_used(const char *path, DIR *dir)
{
	char file[PATH_MAX];
	const struct dirent *ent;

	while ((ent = readdir(dir)) != NULL) {
		if (snprintf(file, sizeof(file), "%s/%s", path, ent->d_name) >= (int)sizeof(file) ||
		    vsw_socket_path_state(file) == -EADDRINUSE)
			return true;
	}
	return false;
}

static void
remove_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *ent;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	if (!is_used(path, dir)) {
		rewinddir(dir);
		while ((ent = readdir(dir)) != NULL)
			unlinkat(fd, ent->d_name, 0); /* not . and .. */
		rmdir(path);
	}
	closedir(dir);
}

/* Folders of processes that are no more. */
static void
remove_left_over(void)
{
	char parent[PATH_MAX], path[PATH_MAX];
	const struct dirent *ent;
	uint32_t pid;
	DIR *dir;

	snprintf(parent, sizeof(parent), "%s/dpdk", base());
	dir = opendir(parent);
	if (dir == NULL)
		return;
	while ((ent = readdir(dir)) != NULL) {
		if (strncmp(ent->d_name, "vswd", 4) != 0 ||
		    !vsw_number_read_u32(ent->d_name + 4, 1, INT_MAX, &pid) ||
		    kill((pid_t)pid, 0) == 0 || errno != ESRCH)
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", parent, ent->d_name) < (int)sizeof(path))
			remove_folder(path);
	}
	closedir(dir);
}

/* It is empty by now, unless files are shared on purpose. */
static void
remove_ours(void)
{
	rmdir(rte_eal_get_runtime_dir());
}

void
runtime_dir_prepare(const struct privilege *user)
{
	forget_foreign_base();
	if (user->is_set && getenv("RUNTIME_DIRECTORY") == NULL &&
	    ((mkdir(BASE_WITH_USER, 0755) != 0 && errno != EEXIST) ||
	     chmod(BASE_WITH_USER, 0755) != 0 ||
	     setenv("RUNTIME_DIRECTORY", BASE_WITH_USER, 1) != 0))
		err(EXIT_FAILURE, "--user: %s", BASE_WITH_USER);
	remove_left_over();
	atexit(remove_ours); /* before EAL's own, so that it runs after them */
}

static int
fail(char why[VSW_WHY_SIZE], const char *path)
{
	int rc = -errno;

	snprintf(why, VSW_WHY_SIZE, "%.300s: %s", path, strerror(-rc));
	return rc;
}

/* Nobody but root could go there until now, so what is in it is what EAL and we have made. */
int
runtime_dir_give(const struct privilege *user, char why[VSW_WHY_SIZE])
{
	const char *path = rte_eal_get_runtime_dir();
	char parent[PATH_MAX];
	DIR *dir = opendir(path);
	const struct dirent *ent;
	int rc = 0;

	if (dir == NULL)
		return fail(why, path);
	while (rc == 0 && (ent = readdir(dir)) != NULL) {
		if (strcmp(ent->d_name, "..") != 0 && fchownat(dirfd(dir), ent->d_name, user->uid,
							       user->gid, AT_SYMLINK_NOFOLLOW) != 0)
			rc = fail(why, path);
	}
	closedir(dir);
	strlcpy(parent, path, sizeof(parent));
	*strrchr(parent, '/') = '\0';
	if (rc == 0 && chmod(parent, 0711) != 0)
		rc = fail(why, parent);
	return rc;
}
