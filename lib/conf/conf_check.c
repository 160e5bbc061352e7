/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bsd/string.h>

#include "vsw_base.h"
#include "vsw_conf.h"
#include "vsw_socket_path.h"

static const char *
name_in_folder(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* /run/./vsw, /run/x/../vsw and a link to it are one folder. One that is not there has but its
 * text. */
static bool
are_in_one_folder(const char *a, const char *b)
{
	char copy_a[PATH_MAX], copy_b[PATH_MAX];
	const char *folder_a, *folder_b;
	struct stat st_a, st_b;

	strlcpy(copy_a, a, sizeof(copy_a));
	strlcpy(copy_b, b, sizeof(copy_b));
	folder_a = dirname(copy_a);
	folder_b = dirname(copy_b);
	if (strcmp(folder_a, folder_b) == 0)
		return true;
	return stat(folder_a, &st_a) == 0 && stat(folder_b, &st_b) == 0 &&
	       st_a.st_ino == st_b.st_ino && st_a.st_dev == st_b.st_dev;
}

bool
vsw_conf_is_one_path(const char *a, const char *b)
{
	return strcmp(name_in_folder(a), name_in_folder(b)) == 0 && are_in_one_folder(a, b);
}

static bool
same_paths(const struct vsw_guest_spec *spec, const struct vsw_guest_spec *other, const char **key,
	   char *why)
{
	const char *path, *other_path, *other_key;

	for (unsigned int i = 0; (path = vsw_guest_spec_path(spec, i, key)) != NULL; i++) {
		for (unsigned int j = 0;
		     (other_path = vsw_guest_spec_path(other, j, &other_key)) != NULL; j++) {
			if (!vsw_conf_is_one_path(path, other_path))
				continue;
			if (strcmp(path, other_path) == 0)
				snprintf(why, VSW_WHY_SIZE,
					 "%s is also the %s of guest %u; each socket needs a path "
					 "of its own",
					 path, other_key, other->cid);
			else
				snprintf(why, VSW_WHY_SIZE,
					 "%s is the same place as %s, the %s of guest %u; each "
					 "socket needs a path of its own",
					 path, other_path, other_key, other->cid);
			return true;
		}
	}
	return false;
}

/* Guest's port P leads to <uds-path>_P: nobody else may have his socket there. */
static bool
is_port_path(const char *path, const char *uds_path)
{
	const char *name = name_in_folder(path), *uds = name_in_folder(uds_path);
	size_t len = strlen(uds);
	const char *port = name + len + 1;

	return len > 0 && strncmp(name, uds, len) == 0 && name[len] == '_' && port[0] != '\0' &&
	       port[strspn(port, "0123456789")] == '\0' && are_in_one_folder(path, uds_path);
}

/* @return a path of @p spec that stands where @p uds_path needs the way free; or NULL. */
static const char *
path_in_the_way(const struct vsw_guest_spec *spec, const char *uds_path, const char **key)
{
	const char *path;

	for (unsigned int i = 0; (path = vsw_guest_spec_path(spec, i, key)) != NULL; i++) {
		if (is_port_path(path, uds_path))
			return path;
	}
	return NULL;
}

static void
say_in_the_way(const char *path, const struct vsw_guest_spec *owner, const char *owner_key,
	       const struct vsw_guest_spec *other, char *why)
{
	snprintf(why, VSW_WHY_SIZE,
		 "%s, the %s of guest %u, is where guest %u would reach a port of the host; choose "
		 "another path",
		 path, owner_key, owner->cid, other->cid);
}

static bool
is_in_the_way(const struct vsw_guest_spec *spec, const struct vsw_guest_spec *other,
	      const char **key, char *why)
{
	const char *path = path_in_the_way(spec, other->uds_path, key);

	if (path != NULL) {
		say_in_the_way(path, spec, *key, other, why);
		return true;
	}
	path = path_in_the_way(other, spec->uds_path, key);
	if (path == NULL)
		return false;
	say_in_the_way(path, other, *key, spec, why);
	*key = "uds-path";
	return true;
}

static bool
same_ports(const struct vsw_guest_spec *spec, const struct vsw_guest_spec *other, const char **key,
	   char *why)
{
	for (unsigned int i = 0; i < spec->n_forward_listen; i++) {
		for (unsigned int j = 0; j < other->n_forward_listen; j++) {
			if (spec->forward_listen[i] != other->forward_listen[j])
				continue;
			*key = "forward-listen";
			snprintf(why, VSW_WHY_SIZE,
				 "port %u is also that of guest %u; an AF_VSOCK port leads to one "
				 "guest",
				 spec->forward_listen[i], other->cid);
			return true;
		}
	}
	return false;
}

int
vsw_guest_spec_conflict(const struct vsw_guest_spec *spec, const struct vsw_guest_spec *other,
			const char **key, char why[VSW_WHY_SIZE])
{
	if (spec->cid == other->cid) {
		*key = "guest-cid";
		snprintf(why, VSW_WHY_SIZE, "two guests have %u; each needs its own", spec->cid);
		return -EEXIST;
	}
	if (strcmp(spec->name, other->name) == 0) {
		*key = "name";
		snprintf(why, VSW_WHY_SIZE, "guest %u is called %s, too; each needs its own",
			 other->cid, spec->name);
		return -EEXIST;
	}
	if (same_ports(spec, other, key, why) || same_paths(spec, other, key, why) ||
	    is_in_the_way(spec, other, key, why))
		return -EEXIST;
	return 0;
}

/* The sockets of one guest. */
int
vsw_guest_spec_check_own(const struct vsw_guest_spec *spec, const char **key,
			 char why[VSW_WHY_SIZE])
{
	const unsigned int n_fixed = spec->uds_path[0] != '\0' ? 2 : 1;
	const char *path, *other, *other_key;

	*key = "forward-cid";
	if (spec->forward_cid != VSW_FORWARD_CID_NONE && !vsw_socket_has_vsock()) {
		snprintf(why, VSW_WHY_SIZE,
			 "this host has no AF_VSOCK sockets (%s); load the module vsock, or give "
			 "uds-path instead",
			 strerror(errno));
		return -EINVAL;
	}
	/* The first one that another one hinders is at fault; for `socket`, uds-path is. */
	*key = "uds-path";
	if (is_port_path(spec->socket, spec->uds_path) ||
	    (n_fixed == 2 && vsw_conf_is_one_path(spec->socket, spec->uds_path))) {
		snprintf(why, VSW_WHY_SIZE,
			 "%s collides with the socket of guest %u; each needs its own",
			 spec->uds_path, spec->cid);
		return -EINVAL;
	}
	for (unsigned int i = n_fixed; (path = vsw_guest_spec_path(spec, i, key)) != NULL; i++) {
		if (is_port_path(path, spec->uds_path)) {
			say_in_the_way(path, spec, *key, spec, why);
			return -EINVAL;
		}
		for (unsigned int j = 0; j < n_fixed; j++) {
			other = vsw_guest_spec_path(spec, j, &other_key);
			if (!vsw_conf_is_one_path(path, other))
				continue;
			snprintf(why, VSW_WHY_SIZE,
				 "%s is also its %s; each socket needs a path of its own", path,
				 other_key);
			return -EINVAL;
		}
	}
	return 0;
}

int
vsw_conf_check_path(const char *path, enum vsw_conf_paths when, char why[VSW_WHY_SIZE])
{
	char copy[PATH_MAX];
	const char *folder;
	const char *what = NULL;
	int rc;

	strlcpy(copy, path, sizeof(copy));
	folder = dirname(copy);
	if (access(folder, W_OK | X_OK) != 0) {
		snprintf(why, VSW_WHY_SIZE,
			 "no socket can be made in the folder %s (%s); it must exist and be "
			 "writable",
			 folder, strerror(errno));
		return -EINVAL;
	}
	rc = vsw_socket_path_state(path);
	if (rc == -EADDRINUSE && when == VSW_CONF_PATHS_NOW)
		what = "a live process has its socket there; stop it or choose another path";
	else if (rc == -EEXIST)
		what = "it exists and is not a socket; remove it or choose another path";
	else if (rc < 0 && rc != -EADDRINUSE && rc != -EACCES)
		what = strerror(-rc);
	if (what == NULL)
		return 0;
	snprintf(why, VSW_WHY_SIZE, "%s cannot be used, %s", path, what);
	return -EINVAL;
}

void
vsw_conf_say(const struct vsw_conf *conf, const struct vsw_conf_guest *guest, const char *key,
	     const char *why, char error[VSW_CONF_ERROR_SIZE])
{
	const struct vsw_conf_pos *at = &guest->key_at[vsw_guest_spec_find_key(key)];
	char name[64];

	if (guest->at.line == 0) {
		snprintf(error, VSW_CONF_ERROR_SIZE, "--vm guest-cid=%u: %s: %s", guest->spec.cid,
			 key, why);
		return;
	}
	if (at->line == 0)
		at = &guest->at;
	snprintf(error, VSW_CONF_ERROR_SIZE, "%.1024s:%u:%u: %s: %s", conf->file, at->line,
		 at->column, vsw_key_in_yaml(key, name, sizeof(name)), why);
}

void
vsw_conf_say_setting(const struct vsw_conf *conf, const char *key, const struct vsw_conf_pos *at,
		     const char *why, char error[VSW_CONF_ERROR_SIZE])
{
	char name[64];

	if (at->line == 0)
		snprintf(error, VSW_CONF_ERROR_SIZE, "--%s: %s", key, why);
	else
		snprintf(error, VSW_CONF_ERROR_SIZE, "%.1024s:%u:%u: %s: %s", conf->file, at->line,
			 at->column, vsw_key_in_yaml(key, name, sizeof(name)), why);
}

static int
fail(const struct vsw_conf *conf, const struct vsw_conf_guest *guest, const char *key,
     const char *why, char *error)
{
	vsw_conf_say(conf, guest, key, why, error);
	return -EINVAL;
}

int
vsw_conf_check(const struct vsw_conf *conf, char error[VSW_CONF_ERROR_SIZE])
{
	char why[VSW_WHY_SIZE];
	const char *key;

	for (unsigned int i = 0; i < conf->n_guests; i++) {
		const struct vsw_conf_guest *guest = &conf->guest[i];

		if (vsw_guest_spec_check_own(&guest->spec, &key, why) != 0)
			return fail(conf, guest, key, why, error);
		for (unsigned int j = 0; j < i; j++) {
			if (vsw_guest_spec_conflict(&guest->spec, &conf->guest[j].spec, &key,
						    why) != 0)
				return fail(conf, guest, key, why, error);
		}
	}
	return 0;
}

int
vsw_conf_check_paths(const struct vsw_conf *conf, enum vsw_conf_paths when,
		     char error[VSW_CONF_ERROR_SIZE])
{
	char why[VSW_WHY_SIZE];
	const char *key;

	for (unsigned int i = 0; i < conf->n_guests; i++) {
		const struct vsw_guest_spec *spec = &conf->guest[i].spec;
		const char *path;

		for (unsigned int p = 0; (path = vsw_guest_spec_made_path(spec, p, &key)) != NULL;
		     p++) {
			if (vsw_conf_check_path(path, when, why) != 0)
				return fail(conf, &conf->guest[i], key, why, error);
		}
	}
	if (conf->api[0] != '\0' && vsw_conf_check_path(conf->api, when, why) != 0) {
		vsw_conf_say_setting(conf, "api", &conf->api_at, why, error);
		return -EINVAL;
	}
	return 0;
}
