/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Endpoints: what a command connects to or listens at, as a user writes it.
 *
 *   tcp:HOST:PORT    tcp:127.0.0.1:8080, tcp:[::1]:445
 *   unix:PATH        a stream socket
 *   vsock:CID:PORT   AF_VSOCK: from a guest, 2 is its host; vsock:PORT to listen at
 *   GUEST:PORT       a guest's name, CID or uds-path: web:80, 3:22, /run/vsw/vm3.vsock:22
 *
 * A port of a guest that is connected to is one that the guest serves; one that is listened at
 * is a port of the guest's host, as the guest sees it.
 */
#ifndef VSW_ENDPOINT_H
#define VSW_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define UNIX_PATH_SIZE sizeof(((struct sockaddr_un *)0)->sun_path)
#define WHY_SIZE 512

enum endpoint_kind {
	ENDPOINT_TCP,
	ENDPOINT_UNIX,
	ENDPOINT_VSOCK,
	ENDPOINT_GUEST,
};

struct endpoint {
	enum endpoint_kind kind;
	char guest[UNIX_PATH_SIZE]; /* GUEST: name, CID or path */
	uint32_t port;              /* of GUEST and VSOCK */
	struct address {
		union {
			struct sockaddr sa;
			struct sockaddr_un un;
			struct sockaddr_storage storage;
		};
		socklen_t len;
	} address;                      /* of the others */
	char text[UNIX_PATH_SIZE + 16]; /* as it was written */
};

/* @return false, and @p why is a sentence. */
bool endpoint_parse(struct endpoint *e, const char *text, char why[WHY_SIZE]);

/* Not where one can only listen, vsock:PORT. */
bool endpoint_can_connect(const struct endpoint *e, char why[WHY_SIZE]);

/* A guest's port: @p who is its name, its CID or its uds-path. */
bool endpoint_of_guest(struct endpoint *e, const char *who, uint32_t port, char why[WHY_SIZE]);
/* The AF_VSOCK port @p port of @p cid. */
void endpoint_of_vsock(struct endpoint *e, uint32_t cid, uint32_t port);

/*
 * Where it is now. A guest is where vswd says: at vm<CID>.vsock in $VSW_RUN_DIR, or where vswd's
 * API says. CID 2 is always the host, by AF_VSOCK; where no vswd is and we are in a guest
 * ourselves, other CIDs are its siblings.
 *
 * @p is_hybrid out: the address is a uds-path, which wants CONNECT.
 *
 * @return false: nobody knows such a guest, and @p why is a sentence.
 */
bool endpoint_locate(const struct endpoint *e, struct address *address, bool *is_hybrid,
		     char why[WHY_SIZE]);

/* Is there a $VSW_RUN_DIR? Then it is here that vswd runs, and guests are its. */
bool endpoint_is_host(void);

#endif /* VSW_ENDPOINT_H */
