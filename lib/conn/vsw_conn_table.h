/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The table of one guest's connections, by (guest port, far CID, far port). Chained; it grows
 * with its content; the hash is seeded, because the guest chooses the ports.
 *
 * Thread-safety: a table belongs to the lcore that owns the guest.
 */
#ifndef VSW_CONN_TABLE_H
#define VSW_CONN_TABLE_H

#include "vsw_conn.h"

LIST_HEAD(vsw_conn_list, vsw_conn);

struct vsw_conn_table {
	struct vsw_conn **bucket;
	struct vsw_conn_list *far_port; /**< the same connections by far CID and far port */
	uint32_t n_buckets;             /**< of both; power of two */
	uint32_t n_conns;
	uint32_t seed;
	uint32_t next_port;      /**< where the search for a free far port goes on */
	uint32_t next_high_port; /**< the same above 2^30 */
};

/** @p seed: random. @return 0 or -ENOMEM. */
int vsw_conn_table_init(struct vsw_conn_table *table, uint32_t seed);

/** Free the buckets; the connections are the caller's. */
void vsw_conn_table_fini(struct vsw_conn_table *table);

/** @return the connection, or NULL. */
struct vsw_conn *vsw_conn_table_find(const struct vsw_conn_table *table, uint32_t guest_port,
				     uint32_t far_cid, uint32_t far_port);

/** Add; the key must not be in use. Never fails: when it cannot grow it gets slower. */
void vsw_conn_table_add(struct vsw_conn_table *table, struct vsw_conn *conn);

/** Remove; @p conn must be in the table. */
void vsw_conn_table_remove(struct vsw_conn_table *table, struct vsw_conn *conn);

/**
 * A far port for a connection that the host opens to this guest: unique among all live
 * connections of the guest with @p far_cid, whoever opened them. From 1024..65535, beginning
 * at a random place and going round (systemd-ssh-proxy reads at most "OK 65535\n"), and from
 * 2^30 upward when those are used up.
 */
uint32_t vsw_conn_table_far_port(struct vsw_conn_table *table, uint32_t far_cid);

#endif /* VSW_CONN_TABLE_H */
