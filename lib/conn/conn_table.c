/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>

#include "vsw_conn.h"

static uint32_t
hash(const struct vsw_conn_table *t, uint32_t gp, uint32_t fc, uint32_t fp)
{
	uint64_t h = ((uint64_t)gp << 32 | fp) ^ ((uint64_t)t->seed * 0x9e3779b97f4a7c15ull) ^ fc;

	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdull;
	h ^= h >> 33;
	h *= 0xc4ceb9fe1a85ec53ull;
	h ^= h >> 33;
	return (uint32_t)h & (t->n_buckets - 1);
}

int
vsw_conn_table_init(struct vsw_conn_table *t, uint32_t seed)
{
	t->n_buckets = 64;
	t->bucket = calloc(64, sizeof(t->bucket[0]));
	t->seed = seed;
	t->n_conns = 0;
	t->next_port = 1024 + seed % (65536 - 1024);
	return t->bucket != NULL ? 0 : -ENOMEM;
}

void
vsw_conn_table_fini(struct vsw_conn_table *t)
{
	free(t->bucket);
}

struct vsw_conn *
vsw_conn_table_find(const struct vsw_conn_table *t, uint32_t gp, uint32_t fc, uint32_t fp)
{
	struct vsw_conn *c = t->bucket[hash(t, gp, fc, fp)];

	while (c != NULL && (c->guest_port != gp || c->far_cid != fc || c->far_port != fp))
		c = c->hash_next;
	return c;
}

void
vsw_conn_table_add(struct vsw_conn_table *t, struct vsw_conn *c)
{
	struct vsw_conn **b = &t->bucket[hash(t, c->guest_port, c->far_cid, c->far_port)];

	c->hash_next = *b;
	*b = c;
	t->n_conns++;
}

void
vsw_conn_table_remove(struct vsw_conn_table *t, struct vsw_conn *c)
{
	struct vsw_conn **b = &t->bucket[hash(t, c->guest_port, c->far_cid, c->far_port)];

	while (*b != c)
		b = &(*b)->hash_next;
	*b = c->hash_next;
	t->n_conns--;
}

uint32_t
vsw_conn_table_far_port(struct vsw_conn_table *t, uint32_t far_cid)
{
	uint32_t p = t->next_port++;

	if (t->next_port > 65535)
		t->next_port = 1024;
	return p;
}
