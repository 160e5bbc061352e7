/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sockets of a guest that hosts connect to: its uds path or AF_VSOCK ports, and the plain ones.
 * While the guest serves they follow its spec: those that go are closed when the spec changes,
 * those that come are made when guests that leave have let go of their paths.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "control_priv.h"

static bool
has_forward(const struct vsw_guest_spec *spec, const struct vsw_forward *forward)
{
	for (unsigned int i = 0; i < spec->n_forwards; i++) {
		if (spec->forward[i].port == forward->port &&
		    strcmp(spec->forward[i].path, forward->path) == 0)
			return true;
	}
	return false;
}

/* A guest of uds-path has the one socket, one of forward-cid has AF_VSOCK ports. */
static int
listen_for_hosts(struct vsw_handshakes *hs, const struct vsw_guest_spec *spec, const char **what)
{
	int rc = 0;

	*what = spec->uds_path;
	if (spec->uds_path[0] != '\0')
		return vsw_handshakes_listen(hs, spec->uds_path, VSW_PORT_FROM_LINE);
	*what = "forward-listen";
	for (unsigned int i = 0; i < spec->n_forward_listen && rc == 0; i++)
		rc = vsw_handshakes_listen(hs, NULL, spec->forward_listen[i]);
	return rc;
}

int
hosts_admit(struct entry *entry, const char **path)
{
	const struct vsw_guest_spec *spec = &entry->spec;
	struct vsw_handshakes *hs;
	int rc;

	*path = spec->socket;
	hs = vsw_handshakes_create(entry->control->loop, &entry->conf, &entry->counters,
				   VSW_HANDSHAKE_TIMEOUT_MS);
	if (hs == NULL)
		return -ENOMEM;
	rc = listen_for_hosts(hs, spec, path);
	for (unsigned int i = 0; i < spec->n_forwards && rc == 0; i++) {
		*path = spec->forward[i].path;
		rc = vsw_handshakes_listen(hs, *path, spec->forward[i].port);
	}
	if (rc != 0)
		vsw_handshakes_destroy(hs);
	else
		entry->handshakes = hs;
	return rc;
}

void
hosts_shut_out(struct entry *entry)
{
	vsw_handshakes_destroy(entry->handshakes);
	entry->handshakes = NULL;
}

void
hosts_close_old(struct entry *entry, const struct vsw_guest_spec *spec)
{
	for (unsigned int i = 0; i < entry->spec.n_forwards; i++) {
		const struct vsw_forward *forward = &entry->spec.forward[i];

		if (!has_forward(spec, forward))
			vsw_handshakes_unlisten(entry->handshakes, forward->path);
	}
}

/* The spec says what is there: whoever asks for the rest once more gets another try. */
static void
forget_forward(struct vsw_guest_spec *spec, unsigned int i)
{
	spec->n_forwards--;
	memmove(&spec->forward[i], &spec->forward[i + 1],
		(spec->n_forwards - i) * sizeof(spec->forward[0]));
}

int
hosts_open_new(struct entry *entry, char path[VSW_SOCKET_PATH_SIZE])
{
	struct vsw_guest_spec *spec = &entry->spec;
	int first_rc = 0;

	for (unsigned int i = 0; i < spec->n_forwards;) {
		const struct vsw_forward *forward = &spec->forward[i];
		int rc = 0;

		if (!vsw_handshakes_is_listening(entry->handshakes, forward->path))
			rc = vsw_handshakes_listen(entry->handshakes, forward->path, forward->port);
		if (rc == 0) {
			i++;
			continue;
		}
		if (first_rc == 0) {
			first_rc = rc;
			memcpy(path, forward->path, VSW_SOCKET_PATH_SIZE);
		}
		forget_forward(spec, i);
	}
	return first_rc;
}

static int
set_access(const struct entry *entry, const struct vsw_socket_access *access)
{
	const char *path, *key;
	int rc = 0;

	for (unsigned int i = 0;
	     rc == 0 && (path = vsw_guest_spec_made_path(&entry->spec, i, &key)) != NULL; i++)
		rc = vsw_socket_path_set_access(path, access);
	return rc;
}

int
hosts_change_access(struct entry *entry, const struct vsw_socket_access *access)
{
	int rc = set_access(entry, access);

	if (rc != 0)
		set_access(entry, &entry->conf.access); /* as far as it had come */
	else
		entry->conf.access = *access;
	return rc;
}
