/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where this sits: step 5 of doc/guides/walk.
 *
 * Two hashes over the same connections: one by the whole key, for every packet; one by the
 * far port, for handing out host ports that nobody uses. The second must not be searched when
 * a connection is removed (a guest may have thousands to one port), hence its double links.
 */
#include "vsw_conn_table.h"

#include <errno.h>
#include <stdlib.h>

#define N_BUCKETS_FIRST 64

/* Ports that are handed out first, then those from 2^30, as Firecracker's. */
#define LOW_PORT_FIRST 1024u
#define N_LOW_PORTS (65536u - LOW_PORT_FIRST)
#define HIGH_PORT_FIRST (1u << 30)

/* The finalizer of MurmurHash3: every bit of the key moves every bit of the result. */
static uint32_t
mix(const struct vsw_conn_table *table, uint64_t key)
{
	uint64_t h = key ^ table->seed * 0x9e3779b97f4a7c15ull;

	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdull;
	h ^= h >> 33;
	h *= 0xc4ceb9fe1a85ec53ull;
	h ^= h >> 33;
	return (uint32_t)h & (table->n_buckets - 1);
}

static struct vsw_conn **
bucket_of(const struct vsw_conn_table *table, uint32_t guest_port, uint32_t far_cid,
	  uint32_t far_port)
{
	uint64_t ports = (uint64_t)guest_port << 32 | far_port;

	return &table->bucket[mix(table, ports ^ far_cid * 0xd6e8feb86659fd93ull)];
}

static struct vsw_conn_list *
far_port_list(const struct vsw_conn_table *table, uint32_t far_cid, uint32_t far_port)
{
	return &table->far_port[mix(table, (uint64_t)far_cid << 32 | far_port)];
}

static int
alloc_buckets(struct vsw_conn_table *table, uint32_t n_buckets)
{
	struct vsw_conn **bucket = calloc(n_buckets, sizeof(*bucket));
	struct vsw_conn_list *far_port = calloc(n_buckets, sizeof(*far_port));

	if (bucket == NULL || far_port == NULL) {
		free(bucket);
		free(far_port);
		return -ENOMEM;
	}
	table->bucket = bucket;
	table->far_port = far_port;
	table->n_buckets = n_buckets;
	return 0;
}

int
vsw_conn_table_init(struct vsw_conn_table *table, uint32_t seed)
{
	*table = (struct vsw_conn_table){
		.seed = seed,
		.next_port = LOW_PORT_FIRST + seed % N_LOW_PORTS,
		.next_high_port = HIGH_PORT_FIRST,
	};
	return alloc_buckets(table, N_BUCKETS_FIRST);
}

void
vsw_conn_table_fini(struct vsw_conn_table *table)
{
	free(table->bucket);
	free(table->far_port);
}

struct vsw_conn *
vsw_conn_table_find(const struct vsw_conn_table *table, uint32_t guest_port, uint32_t far_cid,
		    uint32_t far_port)
{
	struct vsw_conn *conn = *bucket_of(table, guest_port, far_cid, far_port);

	while (conn != NULL && (conn->guest_port != guest_port || conn->far_cid != far_cid ||
				conn->far_port != far_port))
		conn = conn->hash_next;
	return conn;
}

static void
link_in(struct vsw_conn_table *table, struct vsw_conn *conn)
{
	struct vsw_conn **bucket =
		bucket_of(table, conn->guest_port, conn->far_cid, conn->far_port);

	conn->hash_next = *bucket;
	*bucket = conn;
	LIST_INSERT_HEAD(far_port_list(table, conn->far_cid, conn->far_port), conn, far_port_entry);
}

static void
grow(struct vsw_conn_table *table)
{
	struct vsw_conn_table old = *table;

	if (alloc_buckets(table, old.n_buckets * 2) != 0)
		return;
	for (uint32_t i = 0; i < old.n_buckets; i++) {
		struct vsw_conn *conn, *next;

		for (conn = old.bucket[i]; conn != NULL; conn = next) {
			next = conn->hash_next;
			link_in(table, conn);
		}
	}
	vsw_conn_table_fini(&old);
}

void
vsw_conn_table_add(struct vsw_conn_table *table, struct vsw_conn *conn)
{
	if (table->n_conns >= table->n_buckets)
		grow(table);
	link_in(table, conn);
	table->n_conns++;
}

void
vsw_conn_table_remove(struct vsw_conn_table *table, struct vsw_conn *conn)
{
	struct vsw_conn **link = bucket_of(table, conn->guest_port, conn->far_cid, conn->far_port);

	while (*link != conn)
		link = &(*link)->hash_next;
	*link = conn->hash_next;
	LIST_REMOVE(conn, far_port_entry);
	table->n_conns--;
}

static bool
far_port_is_used(const struct vsw_conn_table *table, uint32_t far_cid, uint32_t far_port)
{
	const struct vsw_conn *conn;

	LIST_FOREACH(conn, far_port_list(table, far_cid, far_port), far_port_entry)
	{
		if (conn->far_cid == far_cid && conn->far_port == far_port)
			return true;
	}
	return false;
}

/* There are fewer connections than high ports, so this ends. */
static uint32_t
next_high_port(struct vsw_conn_table *table)
{
	uint32_t port = table->next_high_port++;

	if (table->next_high_port == VSW_CID_ANY)
		table->next_high_port = HIGH_PORT_FIRST;
	return port;
}

uint32_t
vsw_conn_table_far_port(struct vsw_conn_table *table, uint32_t far_cid)
{
	uint32_t port;

	for (uint32_t i = 0; i < N_LOW_PORTS; i++) {
		port = table->next_port++;
		if (table->next_port > 65535)
			table->next_port = LOW_PORT_FIRST;
		if (!far_port_is_used(table, far_cid, port))
			return port;
	}
	do {
		port = next_high_port(table);
	} while (far_port_is_used(table, far_cid, port));
	return port;
}
