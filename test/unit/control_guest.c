/* SPDX-License-Identifier: BSD-3-Clause */
#include "control_guest.h"

#include "vsw_guest.h"
#include "vsw_guest_sock.h"

#define N_SOCKS 16

static struct vsw_guest_sock *socks[N_SOCKS];
static unsigned int n_socks;

struct vsw_guest *
cg_up(const char *socket)
{
	struct vsw_guest_conf conf = VSW_GUEST_CONF_DEFAULT;
	struct vsw_guest *g;

	conf.socket_path = socket;
	g = vsw_guest_create(&conf);
	if (g == NULL)
		return NULL;
	if (vsw_guest_attach(g) == 0 && vsw_guest_start(g, VSW_GUEST_BOOT) == 0)
		return g;
	vsw_guest_destroy(g);
	return NULL;
}

int
cg_connect(struct vsw_guest *g, uint32_t port)
{
	if (n_socks == N_SOCKS)
		return -1;
	socks[n_socks] = vsw_guest_connect(g, 2, port, 10000);
	return socks[n_socks++] != NULL ? 0 : -1;
}

void
cg_poll(struct vsw_guest *g)
{
	vsw_guest_poll(g, 0);
}

unsigned int
cg_n_reset(struct vsw_guest *g)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < n_socks; i++) {
		struct vsw_guest_sock_info info;

		if (vsw_guest_sock_guest(socks[i]) != g)
			continue;
		vsw_guest_sock_info(socks[i], &info);
		n += info.was_reset;
	}
	return n;
}

void
cg_down(struct vsw_guest *g)
{
	vsw_guest_destroy(g);
}
