/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CIDs are looked up in an open-addressed table twice as long as there may be guests; who may
 * talk to whom is a bit per pair of guest ids: 64 KiB for 512 guests.
 */
#include "vsw_route.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vsw_limits.h"
#include "vsw_packet.h"

#define N_SLOTS (2 * VSW_GUESTS_MAX)

_Static_assert((N_SLOTS & (N_SLOTS - 1)) == 0, "slots are found by a mask");

struct vsw_routes {
	const struct vsw_guest_conf *slot[N_SLOTS]; /* NULL: free */
	uint64_t may[VSW_GUESTS_MAX][VSW_GUESTS_MAX / 64];
	struct aliases { /* by guest id */
		unsigned int n;
		uint32_t cid[VSW_HOST_CIDS_MAX];
	} host[VSW_GUESTS_MAX];
};

/* Fibonacci hashing: neither neighbouring CIDs, which is what people use, nor those at equal
 * distances, as 1000, 2000, 3000, collide much. The good bits are the upper ones. */
static unsigned int
slot_of(uint32_t cid)
{
	return (uint64_t)(uint32_t)(cid * 0x9e3779b1u) * N_SLOTS >> 32;
}

static void
insert(struct vsw_routes *routes, const struct vsw_guest_conf *guest)
{
	unsigned int i = slot_of(guest->cid);

	while (routes->slot[i] != NULL)
		i = (i + 1) % N_SLOTS;
	routes->slot[i] = guest;
}

/* Group numbers are sorted. */
static bool
share_a_group(const struct vsw_guest_conf *a, const struct vsw_guest_conf *b)
{
	unsigned int i = 0, j = 0;

	while (i < a->n_groups && j < b->n_groups) {
		if (a->group[i] == b->group[j])
			return true;
		if (a->group[i] < b->group[j])
			i++;
		else
			j++;
	}
	return false;
}

/* Copied, since the guest's own may change while the snapshot is in use. */
static void
note_aliases(struct aliases *host, const struct vsw_guest_conf *guest)
{
	host->n = guest->n_host_cids;
	memcpy(host->cid, guest->host_cid, sizeof(host->cid));
}

static bool
is_alias(const struct aliases *host, uint32_t cid)
{
	for (unsigned int i = 0; i < host->n; i++) {
		if (host->cid[i] == cid)
			return true;
	}
	return false;
}

/* What one takes for the host it cannot tell from a guest. */
static bool
may_talk(const struct vsw_routes *routes, const struct vsw_guest_conf *a,
	 const struct vsw_guest_conf *b)
{
	if (a == b)
		return a->hairpin;
	return share_a_group(a, b) && !is_alias(&routes->host[a->id], b->cid) &&
	       !is_alias(&routes->host[b->id], a->cid);
}

static void
permit(struct vsw_routes *routes, uint16_t from, uint16_t to)
{
	routes->may[from][to / 64] |= 1ull << to % 64;
}

static bool
is_permitted(const struct vsw_routes *routes, uint16_t from, uint16_t to)
{
	return (routes->may[from][to / 64] & 1ull << to % 64) != 0;
}

struct vsw_routes *
vsw_routes_create(const struct vsw_guest_conf *const *guests, unsigned int n)
{
	struct vsw_routes *routes = calloc(1, sizeof(*routes));

	if (routes == NULL)
		return NULL;
	for (unsigned int i = 0; i < n; i++) {
		insert(routes, guests[i]);
		note_aliases(&routes->host[guests[i]->id], guests[i]);
	}
	for (unsigned int i = 0; i < n; i++) {
		for (unsigned int j = 0; j < n; j++) {
			if (may_talk(routes, guests[i], guests[j]))
				permit(routes, guests[i]->id, guests[j]->id);
		}
	}
	return routes;
}

void
vsw_routes_destroy(struct vsw_routes *routes)
{
	free(routes);
}

enum vsw_route_verdict
vsw_routes_find(const struct vsw_routes *routes, const struct vsw_guest_conf *from, uint32_t cid,
		const struct vsw_guest_conf **to)
{
	unsigned int i = slot_of(cid);

	if (cid == VSW_CID_HOST || is_alias(&routes->host[from->id], cid))
		return VSW_ROUTE_HOST;
	while (routes->slot[i] != NULL && routes->slot[i]->cid != cid)
		i = (i + 1) % N_SLOTS;
	if (routes->slot[i] == NULL)
		return VSW_ROUTE_UNKNOWN;
	if (!is_permitted(routes, from->id, routes->slot[i]->id))
		return VSW_ROUTE_FORBIDDEN;
	*to = routes->slot[i];
	return VSW_ROUTE_OK;
}
