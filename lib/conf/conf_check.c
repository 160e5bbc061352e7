/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include "vsw_conf.h"
#include "vsw_socket_path.h"

/* The two paths of a guest, by key. */
static const char *
path_of(const struct vsw_guest_conf *guest, unsigned int which, const char **key)
{
	*key = which == 0 ? "socket" : "uds-path";
	return which == 0 ? guest->socket : guest->uds_path;
}

static int
check_pair(const struct vsw_guest_conf *a, const struct vsw_guest_conf *b, char *error)
{
	if (a != b && a->cid == b->cid) {
		snprintf(error, VSW_CONF_ERROR_SIZE,
			 "--vm guest-cid=%u: guest-cid: two guests have it; each needs its own",
			 a->cid);
		return -EINVAL;
	}
	for (unsigned int i = 0; i < 4; i++) {
		const char *key_a, *key_b;
		const char *path_a = path_of(a, i / 2, &key_a);
		const char *path_b = path_of(b, i % 2, &key_b);

		if ((a == b && i / 2 >= i % 2) || strcmp(path_a, path_b) != 0)
			continue;
		snprintf(error, VSW_CONF_ERROR_SIZE,
			 "--vm guest-cid=%u: %s: %s is also the %s of guest %u; each socket "
			 "needs a path of its own",
			 b->cid, key_b, path_b, key_a, a->cid);
		return -EINVAL;
	}
	return 0;
}

static int
check_path(const struct vsw_guest_conf *guest, const char *key, const char *path, char *error)
{
	char copy[PATH_MAX];
	const char *folder;
	const char *what = NULL;
	int rc;

	strlcpy(copy, path, sizeof(copy));
	folder = dirname(copy);
	if (access(folder, W_OK | X_OK) != 0) {
		snprintf(error, VSW_CONF_ERROR_SIZE,
			 "--vm guest-cid=%u: %s: no socket can be made in the folder %s (%s); it "
			 "must exist and be writable",
			 guest->cid, key, folder, strerror(errno));
		return -EINVAL;
	}
	rc = vsw_socket_path_state(path);
	if (rc == -EADDRINUSE)
		what = "a live process has its socket there; stop it or choose another path";
	else if (rc == -EEXIST)
		what = "it exists and is not a socket; remove it or choose another path";
	else if (rc < 0)
		what = strerror(-rc);
	if (what == NULL)
		return 0;
	snprintf(error, VSW_CONF_ERROR_SIZE, "--vm guest-cid=%u: %s: %s cannot be used, %s",
		 guest->cid, key, path, what);
	return -EINVAL;
}

int
vsw_conf_check(const struct vsw_conf *conf, char error[VSW_CONF_ERROR_SIZE])
{
	for (unsigned int i = 0; i < conf->n_guests; i++) {
		const struct vsw_guest_conf *guest = &conf->guest[i];

		for (unsigned int j = 0; j <= i; j++) {
			if (check_pair(&conf->guest[j], guest, error) != 0)
				return -EINVAL;
		}
		if (check_path(guest, "socket", guest->socket, error) != 0 ||
		    check_path(guest, "uds-path", guest->uds_path, error) != 0)
			return -EINVAL;
	}
	return 0;
}
