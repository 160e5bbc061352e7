/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The route is of the table `local` and of type local, as those that the kernel has for a
 * machine's own addresses: rtnetlink(7).
 */
#include "anyip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "vsw_number.h"

#define CID_BITS 32U
#define ADDRESS_BITS 128U
#define LEN_MIN 16U
#define LEN_MAX (ADDRESS_BITS - CID_BITS)
#define ATTRIBUTE_SIZE 64
/* Whose a route is. 118 is nobody's in rtnetlink.h: only ours are removed. */
#define RTPROT_VSW 118

/* To this machine and its network, which would be cut off: loopback and IPv4's, link-local,
 * multicast. A prefix has 16 bits at least. */
static bool
has_another_meaning(const struct in6_addr *prefix)
{
	return (prefix->s6_addr[0] == 0 && prefix->s6_addr[1] == 0) ||
	       IN6_IS_ADDR_LINKLOCAL(prefix) || IN6_IS_ADDR_MULTICAST(prefix);
}

bool
anyip_parse(struct anyip *anyip, const char *text, char why[WHY_SIZE])
{
	char address[INET6_ADDRSTRLEN] = "";
	const char *slash = strchr(text, '/');
	size_t n = slash != NULL ? (size_t)(slash - text) : sizeof(address);
	uint32_t len;

	*anyip = (struct anyip){.lock_fd = -1};
	if (n < sizeof(address))
		memcpy(address, text, n);
	if (inet_pton(AF_INET6, address, &anyip->prefix) != 1 ||
	    !vsw_number_read_u32(slash + 1, LEN_MIN, LEN_MAX, &len)) {
		snprintf(why, WHY_SIZE,
			 "--prefix %s is wrong: it is an IPv6 prefix of %u to %u bits, as "
			 "fd00:abcd:ef12::/64",
			 text, LEN_MIN, LEN_MAX);
		return false;
	}
	if (has_another_meaning(&anyip->prefix)) {
		snprintf(why, WHY_SIZE,
			 "--prefix %s is wrong: these addresses mean something else; take some of "
			 "fd00::/8, as fd00:abcd:ef12::/64",
			 text);
		return false;
	}
	anyip->len = len;
	for (unsigned int i = len; i < ADDRESS_BITS; i++) {
		if ((anyip->prefix.s6_addr[i / 8] & (0x80U >> i % 8)) == 0)
			continue;
		snprintf(why, WHY_SIZE, "--prefix %s is wrong: there is more than %u bits of it",
			 text, len);
		return false;
	}
	return true;
}

bool
anyip_cid(const struct anyip *anyip, const struct in6_addr *address, uint32_t *cid)
{
	uint32_t low;

	/* What is between the prefix and the CID is zero in both. */
	if (memcmp(address, &anyip->prefix, LEN_MAX / 8) != 0)
		return false;
	memcpy(&low, &address->s6_addr[LEN_MAX / 8], sizeof(low));
	*cid = ntohl(low);
	return true;
}

/*
 * rtnetlink.
 */

struct request {
	struct nlmsghdr header;
	struct rtmsg route;
	char attributes[ATTRIBUTE_SIZE];
};

static void
add_attribute(struct request *request, unsigned short type, const void *data, size_t len)
{
	struct rtattr *attribute =
		(struct rtattr *)((char *)request + NLMSG_ALIGN(request->header.nlmsg_len));

	attribute->rta_type = type;
	attribute->rta_len = (unsigned short)RTA_LENGTH(len);
	memcpy(RTA_DATA(attribute), data, len);
	request->header.nlmsg_len =
		(uint32_t)(NLMSG_ALIGN(request->header.nlmsg_len) + RTA_ALIGN(attribute->rta_len));
}

/* @return 0 or -errno. */
static int
call_kernel(const struct request *request)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char request[sizeof(struct request)];
	} reply;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int rc = -EIO;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = send(fd, request, request->header.nlmsg_len, 0);
	if (n > 0)
		n = recv(fd, &reply, sizeof(reply), 0);
	if (n < 0)
		rc = -errno;
	else if (n >= (ssize_t)NLMSG_LENGTH(sizeof(reply.error)) &&
		 reply.header.nlmsg_type == NLMSG_ERROR)
		rc = reply.error.error;
	close(fd);
	return rc;
}

static int
change_route(const struct anyip *anyip, uint16_t type, uint16_t flags)
{
	const uint32_t lo = if_nametoindex("lo");
	struct request request = {
		.header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)),
			   .nlmsg_type = type,
			   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags},
		.route = {.rtm_family = AF_INET6,
			  .rtm_dst_len = (unsigned char)anyip->len,
			  .rtm_table = RT_TABLE_LOCAL,
			  .rtm_protocol = RTPROT_VSW,
			  .rtm_scope = RT_SCOPE_UNIVERSE,
			  .rtm_type = RTN_LOCAL},
	};

	add_attribute(&request, RTA_DST, &anyip->prefix, sizeof(anyip->prefix));
	add_attribute(&request, RTA_OIF, &lo, sizeof(lo));
	return call_kernel(&request);
}

/* A network that was never set up has not even this. @return 0 or -errno. */
static int
bring_lo_up(void)
{
	struct ifreq ifr = {.ifr_name = "lo"};
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCGIFFLAGS, &ifr) != 0)
		rc = -errno;
	else if ((ifr.ifr_flags & IFF_UP) == 0) {
		ifr.ifr_flags |= IFF_UP;
		rc = ioctl(fd, SIOCSIFFLAGS, &ifr) != 0 ? -errno : 0;
	}
	close(fd);
	return rc;
}

/*
 * Whose it is: an abstract socket's name belongs to a network namespace, as the route does, and
 * goes with its process.
 */
static bool
lock(struct anyip *anyip, char why[WHY_SIZE])
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	char prefix[INET6_ADDRSTRLEN];
	int n;

	inet_ntop(AF_INET6, &anyip->prefix, prefix, sizeof(prefix));
	n = snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "vsw-proxy/%s/%u", prefix,
		     anyip->len);
	anyip->lock_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (anyip->lock_fd >= 0 &&
	    bind(anyip->lock_fd, (const struct sockaddr *)&un,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) == 0)
		return true;
	snprintf(why, WHY_SIZE, "%s/%u: %s", prefix, anyip->len,
		 errno == EADDRINUSE ? "another vsw proxy has this prefix; one can serve many ports"
				     : strerror(errno));
	return false;
}

static void
unlock(struct anyip *anyip)
{
	if (anyip->lock_fd >= 0)
		close(anyip->lock_fd);
	anyip->lock_fd = -1;
}

static bool
has(const struct anyip *anyip, const struct in6_addr *address)
{
	for (unsigned int i = 0; i < anyip->len; i++) {
		unsigned int differ = anyip->prefix.s6_addr[i / 8] ^ address->s6_addr[i / 8];

		if ((differ & (0x80U >> i % 8)) != 0)
			return false;
	}
	return true;
}

/* Whoever is in the network of an interface would not be reached any more. */
static bool
is_in_use(const struct anyip *anyip, char why[WHY_SIZE])
{
	struct ifaddrs *all = NULL;
	bool is_used = false;

	if (getifaddrs(&all) != 0)
		return false;
	for (const struct ifaddrs *i = all; i != NULL && !is_used; i = i->ifa_next) {
		char text[INET6_ADDRSTRLEN];
		struct sockaddr_in6 in6;

		if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_INET6)
			continue;
		memcpy(&in6, i->ifa_addr, sizeof(in6));
		is_used = has(anyip, &in6.sin6_addr);
		if (is_used)
			snprintf(why, WHY_SIZE,
				 "%s has an address of this prefix, %s: take another prefix",
				 i->ifa_name,
				 inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof(text)));
	}
	freeifaddrs(all);
	return is_used;
}

bool
anyip_begin(struct anyip *anyip, char why[WHY_SIZE])
{
	int rc;

	if (is_in_use(anyip, why))
		return false;
	if (!lock(anyip, why)) {
		unlock(anyip);
		return false;
	}
	rc = bring_lo_up();
	if (rc == 0)
		rc = change_route(anyip, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	if (rc == 0 || rc == -EEXIST)
		return true;
	unlock(anyip);
	snprintf(why, WHY_SIZE, "cannot add the route of the prefix to lo: %s",
		 rc == -EPERM          ? "it takes root, or CAP_NET_ADMIN"
		 : rc == -EAFNOSUPPORT ? "this kernel has no IPv6"
				       : strerror(-rc));
	return false;
}

void
anyip_end(struct anyip *anyip)
{
	if (anyip->lock_fd < 0)
		return;
	change_route(anyip, RTM_DELROUTE, 0);
	unlock(anyip);
}
