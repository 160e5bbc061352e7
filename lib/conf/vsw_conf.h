/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * What the user asked for: the guests and the settings of vswd, read from `--vm` arguments or a
 * configuration file, and whether that can be.
 *
 * A mistake is told in one sentence that says where it is, what is wrong and what would be
 * right: "vsw.yaml:7:16: guest_cid: 2 is wrong, a guest has a CID from 3 to 4294967294", or
 * "--vm guest-cid=2,...: guest-cid: 2 is wrong, ...". Nothing here creates anything.
 *
 * Thread-safety: any thread, each its own objects; reading a file may block.
 */
#ifndef VSW_CONF_H
#define VSW_CONF_H

#include <limits.h>

#include "vsw_guest_spec.h"
#include "vsw_lcores.h"
#include "vsw_limits.h"
#include "vsw_loop.h"

/** Room for the sentence about a mistake. */
#define VSW_CONF_ERROR_SIZE 4096

/** Room for EAL arguments, with their NULs. */
#define VSW_CONF_EAL_SIZE 8192

/** A place in the file, from 1; line 0: it does not come from a file. */
struct vsw_conf_pos {
	uint32_t line;
	uint32_t column;
};

struct vsw_conf_guest {
	struct vsw_guest_spec spec;
	struct vsw_conf_pos at;
	struct vsw_conf_pos key_at[VSW_GUEST_SPEC_N_KEYS]; /**< of its value; `at` if absent */
};

/** Settings, as bits. */
enum vsw_conf_setting {
	VSW_CONF_IDLE = 1,
	VSW_CONF_MAX_GUESTS = 2,
	VSW_CONF_BRIDGE_LCORES = 4,
	VSW_CONF_API = 8,
	VSW_CONF_API_MODE = 16,
	VSW_CONF_EAL = 32,
};

struct vsw_conf {
	uint32_t overrides;  /**< settings of the command line, which win over the file's */
	char file[PATH_MAX]; /**< "": the guests come from the command line */

	unsigned int n_guests;
	struct vsw_conf_guest guest[VSW_GUESTS_MAX];

	bool has_idle;
	enum vsw_idle idle;
	uint32_t max_guests; /**< 0: not said */

	struct vsw_lcores bridge_lcores;      /**< they bridge; none: not said */
	struct vsw_conf_pos bridge_lcores_at; /**< line 0: on the command line */

	/* Only at the start: a reload does not look at it. */
	char api[sizeof(((struct sockaddr_un *)0)->sun_path)]; /**< control API; "": none */
	struct vsw_conf_pos api_at;                            /**< as bridge_lcores_at */
	int32_t api_mode; /**< of its socket; 0: not said, which is 0600 */

	unsigned int n_eal; /**< arguments for EAL, one behind the other in eal_text */
	char eal_text[VSW_CONF_EAL_SIZE];
	size_t eal_len;
};

/**
 * Add the guest of a `--vm` argument: `key=value,key=value,...`, keys as in vsw_guest_spec.h,
 * each in two spellings.
 *
 * @param error out: the sentence, when it fails.
 * @return 0 or -EINVAL.
 */
int vsw_conf_add_vm(struct vsw_conf *conf, const char *arg, char error[VSW_CONF_ERROR_SIZE]);

/** Add a guest that was set key by key; @p origin begins the sentence about a mistake.
 * @return as above. */
int vsw_conf_add_guest(struct vsw_conf *conf, const struct vsw_conf_guest *guest,
		       const char *origin, char error[VSW_CONF_ERROR_SIZE]);

/** Set `idle`, `max-guests`, `bridge-lcores`, `api`, `api-mode`. @param value as the user wrote it.
 * @return 0; -ENOENT: there is no such setting; -EINVAL with @p why. */
int vsw_conf_set(struct vsw_conf *conf, const char *key, const char *value, char why[VSW_WHY_SIZE]);

/**
 * Read a configuration file into @p conf, an object of zeroes. Keys and examples:
 * config/vsw.yaml.
 *
 * @return 0; -EINVAL with a sentence that begins with file:line:column; -errno when the file
 *         cannot be read.
 */
int vsw_conf_read_file(struct vsw_conf *conf, const char *path, char error[VSW_CONF_ERROR_SIZE]);

/** Which settings would the file, read again as @p now, change if vswd, which was started with
 * @p start, were started again? @return bits of enum vsw_conf_setting. */
uint32_t vsw_conf_diff(const struct vsw_conf *start, const struct vsw_conf *now);

/** The names of settings, as in "idle, eal". @return @p names. */
const char *vsw_conf_settings_str(uint32_t set, char names[VSW_WHY_SIZE]);

/** Do two paths lead to one place, however they are spelled? May look at their folders. */
bool vsw_conf_is_one_path(const char *a, const char *b);

/** Check what only all guests together can tell: duplicates. @return 0 or -EINVAL. */
int vsw_conf_check(const struct vsw_conf *conf, char error[VSW_CONF_ERROR_SIZE]);

/** How strictly paths are looked at. */
enum vsw_conf_paths {
	VSW_CONF_PATHS_LATER, /**< vswd may run now and hold them: live sockets are fine */
	VSW_CONF_PATHS_NOW,   /**< they are about to be used */
};

/** Check what the file system tells: folders that are not there or not writable, files in the
 * way, live sockets. @return 0 or -EINVAL. */
int vsw_conf_check_paths(const struct vsw_conf *conf, enum vsw_conf_paths when,
			 char error[VSW_CONF_ERROR_SIZE]);

/** Tell a mistake in @p key of @p guest with its place. */
void vsw_conf_say(const struct vsw_conf *conf, const struct vsw_conf_guest *guest, const char *key,
		  const char *why, char error[VSW_CONF_ERROR_SIZE]);

/** Tell a mistake in the setting @p key, which is at @p at. */
void vsw_conf_say_setting(const struct vsw_conf *conf, const char *key,
			  const struct vsw_conf_pos *at, const char *why,
			  char error[VSW_CONF_ERROR_SIZE]);

/**
 * The parts of vsw_conf_check() and vsw_conf_check_paths(), for guests and paths that come one by
 * one.
 * @param key out, when it fails: the key of @p spec that @p why is about.
 * @return 0 or -EINVAL (path), -EEXIST (conflict: @p other has the CID, name or path).
 */
int vsw_guest_spec_conflict(const struct vsw_guest_spec *spec, const struct vsw_guest_spec *other,
			    const char **key, char why[VSW_WHY_SIZE]);
int vsw_guest_spec_check_own(const struct vsw_guest_spec *spec, const char **key,
			     char why[VSW_WHY_SIZE]);
int vsw_conf_check_path(const char *path, enum vsw_conf_paths when, char why[VSW_WHY_SIZE]);

#endif /* VSW_CONF_H */
