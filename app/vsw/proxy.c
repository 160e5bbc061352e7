/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vsw proxy: [PREFIX::CID]:PORT is port PORT of CID.
 *
 * A port has one listening socket for all CIDs, at [::], and getsockname() of a connection says
 * which address was meant. The socket is bound to lo, where connections to a machine's own
 * addresses come from, so that nobody else reaches guests by it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include "anyip.h"
#include "commands.h"
#include "fd.h"
#include "relay.h"
#include "vsw_number.h"

#define PORTS_MAX 256
#define BACKLOG 1024

const char proxy_more[] =
	"Until it is ended, programs that know nothing of vsock reach port P of the guest with\n"
	"CID 3 at [PREFIX::3]:P. Run in a guest, [PREFIX::2]:P is its host, others are siblings.\n"
	"CIDs in addresses are hexadecimal: CID 1024 is PREFIX::400.\n"
	"PORTS is a list, as 22,445; 2222:22 listens at 2222 for port 22 of guests, where 22 is\n"
	"taken. A guest's uds-path is found as for vsw connect, unless --uds gives it; in a\n"
	"--uds for all, % stands for the CID. It takes root, or CAP_NET_ADMIN.\n"
	"\n"
	"Examples:\n"
	"  vsw proxy --prefix=fd00:abcd:ef12::/64 --ports=22,445\n"
	"  vsw proxy --prefix=fd00:abcd:ef12::/64 --ports=80 --uds=/srv/vms/%/vsock\n"
	"  curl http://[fd00:abcd:ef12::3]/\n";

struct proxy;

struct port {
	struct proxy *proxy;
	uint32_t local, remote;
	int fd;
};

struct proxy {
	const struct args *args;
	struct anyip anyip;
	struct port ports[PORTS_MAX];
	unsigned int n_ports;
};

/*
 * The command line.
 */

static bool
parse_port_pair(struct port *port, char *text)
{
	char *colon = strchr(text, ':');

	if (colon != NULL)
		*colon = '\0';
	return vsw_number_read_u32(text, 1, UINT16_MAX, &port->local) &&
	       vsw_number_read_u32(colon != NULL ? colon + 1 : text, 0, UINT32_MAX - 1,
				   &port->remote);
}

static bool
is_listed(const struct proxy *proxy, uint32_t local)
{
	for (unsigned int i = 0; i < proxy->n_ports; i++) {
		if (proxy->ports[i].local == local)
			return true;
	}
	return false;
}

/* @return exit status. */
static int
parse_ports(struct proxy *proxy, const char *text)
{
	char *copy = strdup(text), *rest = copy, *one;
	int status = EXIT_SUCCESS;

	while (copy != NULL && status == EXIT_SUCCESS && (one = strsep(&rest, ",")) != NULL) {
		struct port *port = &proxy->ports[proxy->n_ports];

		if (proxy->n_ports == PORTS_MAX)
			status = complain(proxy->args, EXIT_USAGE, "--ports: more than %u",
					  PORTS_MAX);
		else if (!parse_port_pair(port, one))
			status = complain(proxy->args, EXIT_USAGE,
					  "--ports %s is wrong: it is a list, as 22,445 or "
					  "2222:22,445",
					  text);
		else if (is_listed(proxy, port->local))
			status = complain(proxy->args, EXIT_USAGE,
					  "--ports %s is wrong: %u is there twice", text,
					  port->local);
		else
			*port = (struct port){proxy, port->local, port->remote, -1};
		proxy->n_ports += status == EXIT_SUCCESS;
	}
	free(copy);
	return status;
}

/* Of [CID=]PATH: @return the path, if it is for @p cid. */
static const char *
path_for(const char *uds, uint32_t cid)
{
	char prefix[16];
	size_t len = (size_t)snprintf(prefix, sizeof(prefix), "%u=", cid);

	if (strncmp(uds, prefix, len) == 0)
		return uds + len;
	return uds[0] != '\0' && uds[strspn(uds, "0123456789")] == '=' ? NULL : uds;
}

/* With the CID for the first %; and a / at least, that it is no name. */
static void
expand(char path[UNIX_PATH_SIZE], const char *pattern, uint32_t cid)
{
	const char *percent = strchr(pattern, '%');
	const char *here = strchr(pattern, '/') == NULL ? "./" : "";

	if (percent == NULL)
		snprintf(path, UNIX_PATH_SIZE, "%s%s", here, pattern);
	else
		snprintf(path, UNIX_PATH_SIZE, "%s%.*s%u%s", here, (int)(percent - pattern),
			 pattern, cid, percent + 1);
}

/*
 * Connections.
 */

static void
find_target(const struct proxy *proxy, uint32_t cid, char who[UNIX_PATH_SIZE])
{
	for (int i = 0; i < proxy->args->n_uds; i++) {
		const char *path = path_for(proxy->args->uds[i], cid);

		if (path != NULL) {
			expand(who, path, cid);
			return;
		}
	}
	snprintf(who, UNIX_PATH_SIZE, "%u", cid);
}

static void
refuse(int fd)
{
	fd_reset_at_close(fd);
	close(fd);
}

static void
on_accept(struct relay *relay, void *ctx, int fd)
{
	const struct port *port = ctx;
	struct sockaddr_in6 in6;
	socklen_t len = sizeof(in6);
	struct endpoint to;
	char who[UNIX_PATH_SIZE], why[WHY_SIZE];
	uint32_t cid;

	if (getsockname(fd, (struct sockaddr *)&in6, &len) != 0 ||
	    !anyip_cid(&port->proxy->anyip, &in6.sin6_addr, &cid)) {
		refuse(fd);
		return;
	}
	find_target(port->proxy, cid, who);
	if (endpoint_of_guest(&to, who, port->remote, why))
		relay_dial(relay, fd, &to);
	else
		refuse(fd);
}

static bool
listen_at_port(struct port *port)
{
	const int one = 1;
	const struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
					 .sin6_port = htons((uint16_t)port->local)};

	port->fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return port->fd >= 0 &&
	       setsockopt(port->fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0 &&
	       setsockopt(port->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
	       setsockopt(port->fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof("lo")) == 0 &&
	       bind(port->fd, (const struct sockaddr *)&in6, sizeof(in6)) == 0 &&
	       listen(port->fd, BACKLOG) == 0;
}

/* @return exit status. */
static int
listen_at_all(struct proxy *proxy, struct relay *relay)
{
	for (unsigned int i = 0; i < proxy->n_ports; i++) {
		struct port *port = &proxy->ports[i];

		if (!listen_at_port(port) && errno == EADDRINUSE)
			return complain(proxy->args, EXIT_UNREACHABLE,
					"port %u is taken by another server; --ports %u:%u would "
					"listen at another",
					port->local,
					port->local < 10000 ? port->local + 10000 : 10000,
					port->remote);
		if (port->fd < 0 || !relay_listen(relay, port->fd, on_accept, port))
			return complain(proxy->args, EXIT_UNREACHABLE,
					"cannot listen at port %u: %s", port->local,
					strerror(errno));
	}
	return EXIT_SUCCESS;
}

static int
run(struct proxy *proxy, struct relay *relay)
{
	int status = listen_at_all(proxy, relay);

	if (status != EXIT_SUCCESS)
		return status;
	complain(proxy->args, 0, "ready: guests are at %s", proxy->args->prefix);
	return relay_run(relay);
}

int
cmd_proxy(struct args *args)
{
	static struct proxy proxy; /* of 256 ports */
	struct relay *relay;
	char why[WHY_SIZE];
	int status;

	proxy.args = args;
	if (args->prefix == NULL || args->ports == NULL)
		return complain(args, EXIT_USAGE, "it takes --prefix=PREFIX and --ports=PORTS");
	if (!anyip_parse(&proxy.anyip, args->prefix, why))
		return complain(args, EXIT_USAGE, "%s", why);
	status = parse_ports(&proxy, args->ports);
	if (status != EXIT_SUCCESS)
		return status;
	relay_raise_limit();
	relay = relay_create(args);
	if (relay == NULL || !relay_take_signals(relay, NULL, NULL))
		return complain(args, EXIT_BROKEN, "%s", strerror(errno));
	if (anyip_begin(&proxy.anyip, why))
		status = run(&proxy, relay);
	else
		status = complain(args, EXIT_UNREACHABLE, "%s", why);
	anyip_end(&proxy.anyip);
	relay_destroy(relay);
	for (unsigned int i = 0; i < proxy.n_ports; i++) {
		if (proxy.ports[i].fd >= 0)
			close(proxy.ports[i].fd);
	}
	return status;
}
