/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The sockets of one guest that hosts connect to, and the hosts that have connected but are not
 * with the bridge yet. Runs on: the control lcore.
 *
 * A socket leads to a port of the guest, or to whatever port its hosts name in a CONNECT line.
 * A host goes to the guest's bridge as ADOPT, with its socket, as soon as its port is known; what
 * it sent behind its line, or at all, is still in the socket. A wrong line, the guest's limit of
 * unfinished hosts or of descriptors, or a line that does not come in time: the host reads an end
 * of file.
 */
#ifndef VSW_HANDSHAKE_H
#define VSW_HANDSHAKE_H

#include "vsw_guest_conf.h"
#include "vsw_loop.h"
#include "vsw_stats.h"

struct vsw_handshakes;

/** The port of a socket whose hosts say it themselves. */
#define VSW_PORT_FROM_LINE UINT32_MAX

/**
 * No sockets, no hosts.
 *
 * @param counters   where HANDSHAKE_* and ACCEPT_ERRORS are counted.
 * @param timeout_ms for a line; VSW_HANDSHAKE_TIMEOUT_MS but for tests.
 * @return NULL when out of memory.
 */
struct vsw_handshakes *vsw_handshakes_create(struct vsw_loop *loop,
					     const struct vsw_guest_conf *guest,
					     struct vsw_counters *counters,
					     unsigned int timeout_ms);

/**
 * Make a socket at @p path, with the guest's access, and accept hosts there. A stale socket in
 * its place is removed.
 *
 * @param path NULL: listen at the host's AF_VSOCK port @p port instead, for all its CIDs.
 * @param port of the guest, or VSW_PORT_FROM_LINE.
 * @return 0; -EADDRINUSE: somebody is there; other -errno. There is no socket then.
 */
int vsw_handshakes_listen(struct vsw_handshakes *hs, const char *path, uint32_t port);

bool vsw_handshakes_is_listening(const struct vsw_handshakes *hs, const char *path);

/** Close and unlink the socket at @p path; hosts that it has let in stay. */
void vsw_handshakes_unlisten(struct vsw_handshakes *hs, const char *path);

/** How many hosts have not been passed on yet, because of their line. */
unsigned int vsw_handshakes_n_hosts(const struct vsw_handshakes *hs);

/** Close and unlink all sockets and drop every host that was not passed on. NULL is allowed. */
void vsw_handshakes_destroy(struct vsw_handshakes *hs);

#endif /* VSW_HANDSHAKE_H */
