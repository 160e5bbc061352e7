/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * What a user asks for a guest: a plain value, which may be copied and compared. Command line,
 * configuration file and API all make one, key by key, through the one table of keys here;
 * the control role makes a guest of it.
 *
 *   struct vsw_guest_spec spec;
 *   char why[VSW_WHY_SIZE];
 *
 *   vsw_guest_spec_init(&spec);
 *   rc = vsw_guest_spec_set(&spec, "guest_cid", "7", why);     -ENOENT: there is no such key
 *   rc = vsw_guest_spec_set(&spec, "uds-path", "/run/v7", why);
 *   rc = vsw_guest_spec_check(&spec, why);                     nothing is missing
 *
 * Thread-safety: any thread, each its own objects. socket-owner and socket-group look into the
 * user database, which may block: not on an lcore.
 */
#ifndef VSW_GUEST_SPEC_H
#define VSW_GUEST_SPEC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "vsw_key.h"
#include "vsw_limits.h"
#include "vsw_socket_path.h"

/** Room for a name of a guest or a group, and for a phrase about a mistake. */
#define VSW_NAME_SIZE 64
#define VSW_WHY_SIZE 512

#define VSW_MODE_DEFAULT (-1)

/** No forward-cid; as VMADDR_CID_ANY it is nobody's. */
#define VSW_FORWARD_CID_NONE UINT32_MAX

/** A plain socket: who connects to it is joined to a port of the guest, without CONNECT. */
struct vsw_forward {
	char path[VSW_SOCKET_PATH_SIZE];
	uint32_t port;
};

struct vsw_guest_spec {
	char name[VSW_NAME_SIZE]; /**< letters, digits, _ . -; not all digits. "": vm<cid> */
	uint32_t cid;             /**< 3 to 4294967294 */
	char socket[VSW_SOCKET_PATH_SIZE];
	char uds_path[VSW_SOCKET_PATH_SIZE]; /**< "": forward_cid is in its place */
	uint32_t forward_cid;  /**< guest's port P of the host: AF_VSOCK forward_cid:P */
	bool client;           /**< the VMM listens at `socket`, vswd connects */
	uint32_t window_bytes; /**< tx-buffer-size: receive window per connection */
	uint32_t queue_size;   /**< longest ring; 0: what virtio allows */
	uint32_t max_connections;
	uint32_t max_handshakes; /**< hosts that have not finished their line */
	uint32_t spill_bytes;
	uint32_t max_loans; /**< loans of its buffers that slow hosts may hold */
	bool hairpin;
	int32_t lcore; /**< -1: the one with the fewest guests */

	uint8_t n_forwards;
	struct vsw_forward forward[VSW_FORWARDS_MAX]; /**< sorted by path, each path once */

	uint8_t n_forward_listen;
	uint32_t forward_listen[VSW_FORWARDS_MAX]; /**< AF_VSOCK ports; sorted, each once */

	uint8_t n_host_cids;
	uint32_t host_cid[VSW_HOST_CIDS_MAX]; /**< the host, too; sorted, each once */

	/* Of all its sockets. */
	int32_t socket_mode; /**< VSW_MODE_DEFAULT: 0777 without the umask */
	uid_t socket_owner;  /**< (uid_t)-1: vswd's own */
	gid_t socket_group;  /**< (gid_t)-1: vswd's own */

	uint8_t n_groups;                                    /**< 0: the group "default" */
	char group[VSW_GROUPS_PER_GUEST_MAX][VSW_NAME_SIZE]; /**< sorted, each once */
};

/** A guest with every default; its paths are empty. */
void vsw_guest_spec_init(struct vsw_guest_spec *spec);

#define VSW_GUEST_SPEC_N_KEYS 21

/** Number of the key that @p key spells ("guest_cid" is "guest-cid"), or -1. */
int vsw_guest_spec_find_key(const char *key);

/** Number of the key that is @p name under `limits` of files and JSON: "loans" is limit-loans. */
int vsw_guest_spec_find_limit(const char *name);

/** Name of key number @p i, from 0, with dashes; NULL behind the last. Static. */
const char *vsw_guest_spec_key_at(unsigned int i);

/** Of key number @p key. */
enum vsw_key_kind vsw_guest_spec_kind(int key);

enum vsw_known {
	VSW_KNOWN_KEYS,   /**< "name, guest-cid, ... and limit-loans" */
	VSW_KNOWN_FIELDS, /**< of files and JSON: "name, guest_cid, ... and limits" */
	VSW_KNOWN_LIMITS, /**< under `limits`: "connections, ... and loans" */
};

/** All keys, for messages. @return @p names. */
const char *vsw_guest_spec_known(enum vsw_known known, char names[VSW_WHY_SIZE]);

/**
 * Set a key. Numbers are decimal, booleans on/off (or true/false), groups, forward, forward-listen
 * and host-cids `+`-joined lists, which replace what was set before.
 *
 * @param key in either spelling, guest-cid or guest_cid.
 * @param why out, when it fails: what is wrong with the value and what would be right.
 * @return 0; -ENOENT: no such key; -EINVAL.
 */
int vsw_guest_spec_set(struct vsw_guest_spec *spec, const char *key, const char *value,
		       char why[VSW_WHY_SIZE]);

/** Set key number @p key to its default; of a list: empty it. */
void vsw_guest_spec_reset(struct vsw_guest_spec *spec, int key);

/** One more element of the list that is key number @p key: a group, `PATH:PORT` of forward, a
 * port, a CID. @return 0 or -EINVAL. */
int vsw_guest_spec_add(struct vsw_guest_spec *spec, int key, const char *value,
		       char why[VSW_WHY_SIZE]);

/** The same for forward, in two pieces: the path may be anything. */
int vsw_guest_spec_add_forward(struct vsw_guest_spec *spec, const char *path, const char *port,
			       char why[VSW_WHY_SIZE]);

/**
 * The paths of all sockets of a guest, one by one: `socket` is number 0, then come those that
 * hosts connect to. A guest of forward-cid has no uds-path among them.
 *
 * @param key out: the key that path @p i is of.
 * @return NULL: there is no such.
 */
const char *vsw_guest_spec_path(const struct vsw_guest_spec *spec, unsigned int i,
				const char **key);

/** The same of those at which vswd makes a socket: at `socket` of a client it makes none. */
const char *vsw_guest_spec_made_path(const struct vsw_guest_spec *spec, unsigned int i,
				     const char **key);

/**
 * Is anything missing? Completes the name and the groups.
 * @param key out, when it fails: the key that @p why is about.
 * @return 0 or -EINVAL.
 */
int vsw_guest_spec_check(struct vsw_guest_spec *spec, const char **key, char why[VSW_WHY_SIZE]);

/** What differs between two guests: a bit each. */
#define VSW_SPEC_DIFF_NAME 0x01u
#define VSW_SPEC_DIFF_ROUTES 0x02u /**< groups, hairpin, host-cids */
#define VSW_SPEC_DIFF_LIMITS 0x04u /**< limits, window, queue size */
#define VSW_SPEC_DIFF_ACCESS 0x08u /**< mode, owner and group of the sockets */
#define VSW_SPEC_DIFF_PLACE                                                                        \
	0x10u /**< CID, paths, forward-cid, forward-listen, client, lcore: it                      \
	       * becomes another guest */
#define VSW_SPEC_DIFF_FORWARD 0x20u /**< plain sockets */
uint32_t vsw_guest_spec_diff(const struct vsw_guest_spec *a, const struct vsw_guest_spec *b);

#endif /* VSW_GUEST_SPEC_H */
