/* SPDX-License-Identifier: BSD-3-Clause */
#include "endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include <bsd/string.h>

#include "commands.h"
#include "vsw_number.h"

/* The longest name that getaddrinfo() takes, and its brackets. */
#define HOST_SIZE (NI_MAXHOST + 2)

static bool
set_unix(struct address *address, const char *path)
{
	address->un = (struct sockaddr_un){.sun_family = AF_UNIX};
	address->len = sizeof(address->un);
	return strlcpy(address->un.sun_path, path, UNIX_PATH_SIZE) < UNIX_PATH_SIZE;
}

static void
set_vsock(struct address *address, uint32_t cid, uint32_t port)
{
	const struct sockaddr_vm vm = {.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};

	memcpy(&address->storage, &vm, sizeof(vm));
	address->len = sizeof(vm);
}

/*
 * Parse.
 */

/* Names of hosts are looked up here and now, once. A static program cannot: glibc would want
 * its shared libraries for it. */
static bool
set_inet(struct address *address, const char *host, uint16_t port, char why[WHY_SIZE])
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1) {
		memcpy(&address->storage, &in6, sizeof(in6));
		address->len = sizeof(in6);
		return true;
	}
	if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &in.sin_addr) ==
	    1) {
		memcpy(&address->storage, &in, sizeof(in));
		address->len = sizeof(in);
		return true;
	}
#ifdef VSW_STATIC
	snprintf(why, WHY_SIZE, "%s is no address; this vsw is static and looks no names up", host);
	return false;
#else
	struct addrinfo *found = NULL;
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	char service[16];
	int rc;

	snprintf(service, sizeof(service), "%u", port);
	rc = getaddrinfo(host, service, &hints, &found);
	if (rc != 0) {
		snprintf(why, WHY_SIZE, "%s: %s", host, gai_strerror(rc));
		return false;
	}
	memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
	address->len = found->ai_addrlen;
	freeaddrinfo(found);
	return true;
#endif
}

static bool
parse_tcp(struct endpoint *e, const char *text, char why[WHY_SIZE])
{
	const char *colon = strrchr(text, ':');
	char host[HOST_SIZE] = "";
	size_t len = colon != NULL ? (size_t)(colon - text) : 0;
	uint32_t port;

	e->kind = ENDPOINT_TCP;
	if (len == 0 || len >= sizeof(host) ||
	    !vsw_number_read_u32(colon + 1, 0, UINT16_MAX, &port)) {
		snprintf(why, WHY_SIZE,
			 "tcp:%s is wrong: it is tcp:HOST:PORT, as tcp:127.0.0.1:8080 or "
			 "tcp:[::1]:8080",
			 text);
		return false;
	}
	if (text[0] == '[' && text[len - 1] == ']')
		memcpy(host, text + 1, len - 2);
	else
		memcpy(host, text, len);
	return set_inet(&e->address, host, (uint16_t)port, why);
}

static bool
parse_unix(struct endpoint *e, const char *path, char why[WHY_SIZE])
{
	e->kind = ENDPOINT_UNIX;
	if (path[0] != '\0' && set_unix(&e->address, path))
		return true;
	snprintf(why, WHY_SIZE, "unix:%s is wrong: it is unix:PATH, of at most 107 characters",
		 path);
	return false;
}

static bool
parse_vsock(struct endpoint *e, const char *text, char why[WHY_SIZE])
{
	const char *colon = strchr(text, ':');
	char cid_text[16] = "";
	uint32_t cid = VMADDR_CID_ANY, port;
	bool is_right =
		vsw_number_read_u32(colon != NULL ? colon + 1 : text, 0, UINT32_MAX - 1, &port);

	e->kind = ENDPOINT_VSOCK;
	if (colon != NULL) {
		size_t len = (size_t)(colon - text);

		is_right &= len < sizeof(cid_text);
		if (is_right)
			memcpy(cid_text, text, len);
		is_right &= vsw_number_read_u32(cid_text, 0, UINT32_MAX - 1, &cid);
	}
	if (!is_right) {
		snprintf(why, WHY_SIZE,
			 "vsock:%s is wrong: it is vsock:CID:PORT, or vsock:PORT to listen at",
			 text);
		return false;
	}
	e->port = port;
	set_vsock(&e->address, cid, port);
	return true;
}

bool
endpoint_can_connect(const struct endpoint *e, char why[WHY_SIZE])
{
	struct sockaddr_vm vm;

	if (e->kind != ENDPOINT_VSOCK)
		return true;
	memcpy(&vm, &e->address.storage, sizeof(vm));
	if (vm.svm_cid != VMADDR_CID_ANY)
		return true;
	snprintf(why, WHY_SIZE, "%s is where one listens; to connect it takes a CID, as vsock:2:%u",
		 e->text, e->port);
	return false;
}

void
endpoint_of_vsock(struct endpoint *e, uint32_t cid, uint32_t port)
{
	*e = (struct endpoint){.kind = ENDPOINT_VSOCK, .port = port};
	set_vsock(&e->address, cid, port);
	if (cid == VMADDR_CID_ANY)
		snprintf(e->text, sizeof(e->text), "vsock:%u", port);
	else
		snprintf(e->text, sizeof(e->text), "vsock:%u:%u", cid, port);
}

bool
endpoint_of_guest(struct endpoint *e, const char *who, uint32_t port, char why[WHY_SIZE])
{
	*e = (struct endpoint){.kind = ENDPOINT_GUEST, .port = port};
	snprintf(e->text, sizeof(e->text), "%s:%u", who, port);
	if (who[0] != '\0' && strlcpy(e->guest, who, sizeof(e->guest)) < sizeof(e->guest))
		return true;
	snprintf(why, WHY_SIZE,
		 who[0] == '\0' ? "the guest has no name"
				: "the path is longer than 107 characters");
	return false;
}

static bool
parse_guest(struct endpoint *e, const char *text, char why[WHY_SIZE])
{
	const char *colon = strrchr(text, ':');
	size_t len = colon != NULL ? (size_t)(colon - text) : 0;
	char who[UNIX_PATH_SIZE] = "";
	uint32_t port;

	if (colon == NULL) {
		snprintf(why, WHY_SIZE,
			 "%s is wrong: an endpoint is GUEST:PORT, tcp:HOST:PORT, unix:PATH or "
			 "vsock:CID:PORT",
			 text);
		return false;
	}
	if (!vsw_number_read_u32(colon + 1, 0, UINT32_MAX, &port)) {
		snprintf(why, WHY_SIZE, "%s is wrong: the port is a number from 0 to 4294967295",
			 text);
		return false;
	}
	if (len >= sizeof(who)) {
		snprintf(why, WHY_SIZE, "the path is longer than 107 characters");
		return false;
	}
	memcpy(who, text, len);
	return endpoint_of_guest(e, who, port, why);
}

bool
endpoint_parse(struct endpoint *e, const char *text, char why[WHY_SIZE])
{
	static const struct {
		const char *prefix;
		bool (*parse)(struct endpoint *e, const char *text, char why[WHY_SIZE]);
	} kinds[] = {{"tcp:", parse_tcp}, {"unix:", parse_unix}, {"vsock:", parse_vsock}};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t len = strlen(kinds[i].prefix);

		if (strncmp(text, kinds[i].prefix, len) != 0)
			continue;
		*e = (struct endpoint){0};
		strlcpy(e->text, text, sizeof(e->text));
		return kinds[i].parse(e, text + len, why);
	}
	return parse_guest(e, text, why);
}

/*
 * Where guests are.
 */

bool
endpoint_is_host(void)
{
	return access(run_dir(), F_OK) == 0;
}

/* Our own CID, if we are in a guest; else 0. */
static uint32_t
own_cid(void)
{
	uint32_t cid = 0;
	int fd = open("/dev/vsock", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) != 0 || cid <= VMADDR_CID_HOST ||
	    cid == VMADDR_CID_ANY)
		cid = 0;
	close(fd);
	return cid;
}

/* Where vswd runs, a CID is one of its guests, though this may be a guest, too, of another. */
static bool
is_sibling(uint32_t cid)
{
	return cid == VMADDR_CID_HOST || (!endpoint_is_host() && own_cid() != 0);
}

/* Where the file is not that a CID stands for, and for a name. */
static bool
ask_for_path(const struct endpoint *e, struct address *address, const char *tried,
	     char why[WHY_SIZE])
{
	char path[UNIX_PATH_SIZE], said[WHY_SIZE / 2];

	if (guest_uds_path(e->guest, path, sizeof(path), said, sizeof(said)))
		return set_unix(address, path);
	if (tried != NULL)
		snprintf(why, WHY_SIZE, "there is no %s, and %s", tried, said);
	else
		strlcpy(why, said, WHY_SIZE);
	return false;
}

static bool
locate_guest(const struct endpoint *e, struct address *address, bool *is_hybrid, char why[WHY_SIZE])
{
	char path[UNIX_PATH_SIZE];
	uint32_t cid = 0;

	*is_hybrid = true;
	/* A name without a / is no path, whatever files there are. */
	if (strchr(e->guest, '/') != NULL)
		return set_unix(address, e->guest);
	if (!vsw_number_read_u32(e->guest, 0, UINT32_MAX - 1, &cid))
		return ask_for_path(e, address, NULL, why);
	snprintf(path, sizeof(path), "%s/vm%u.vsock", run_dir(), cid);
	set_unix(address, path);
	if (access(path, F_OK) == 0 || errno != ENOENT)
		return true;
	if (!is_sibling(cid))
		return ask_for_path(e, address, path, why);
	set_vsock(address, cid, e->port);
	*is_hybrid = false;
	return true;
}

bool
endpoint_locate(const struct endpoint *e, struct address *address, bool *is_hybrid,
		char why[WHY_SIZE])
{
	*is_hybrid = false;
	if (e->kind == ENDPOINT_GUEST)
		return locate_guest(e, address, is_hybrid, why);
	*address = e->address;
	return true;
}
