/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * What is told of connections, and which of them are asked for.
 *
 * Connections come and go while they are listed, so a list is taken page by page, each
 * beginning behind the last connection of the one before:
 *
 *   query = (struct vsw_conn_query){.max = 100};
 *   do {
 *           list(&query, &page);        page.conn[0..page.n_conns)
 *           query.after = page.next;
 *   } while (page.next != 0);
 *
 * What lives through the whole list is in it once. Two guests that talk have a connection
 * each, and each is listed.
 */
#ifndef VSW_CONN_INFO_H
#define VSW_CONN_INFO_H

#include <stdbool.h>
#include <stdint.h>

/** Most connections of one page. */
#define VSW_CONN_PAGE_MAX 1000

struct vsw_conn_query {
	uint32_t cid;  /**< only of this guest; 0: of all */
	uint32_t port; /**< only with this port at either end, if has_port */
	bool has_port;
	uint64_t after; /**< only behind this one; 0: from the first */
	uint32_t max;   /**< at most so many; 0 or too many: VSW_CONN_PAGE_MAX */
};

struct vsw_conn_info {
	uint64_t id; /**< 1 to 2^53-1, so that JSON can hold it; not used again */
	uint32_t guest_cid;
	uint32_t guest_port;
	uint32_t far_cid; /**< as the guest knows it */
	uint32_t far_port;
	bool far_is_host;  /**< the far end is a host application, not a guest */
	bool from_guest;   /**< the guest asked for it */
	const char *state; /**< of lib/conn: "established", ... Static */
	uint32_t age_ms;
	uint64_t from_guest_bytes;
	uint64_t to_guest_bytes;
	uint64_t from_guest_packets; /**< of any kind */
	uint64_t to_guest_packets;
	uint32_t from_guest_stalls; /**< times that the guest had used up its window */
	uint32_t to_guest_stalls;   /**< times that data waited for the guest's window */
	uint32_t loans_out;         /**< messages with its payload that have not come back */
	uint32_t guest_window;      /**< bytes that the guest would take now */
	uint32_t waiting_bytes;     /**< for the guest to take, from a sibling */
	uint32_t far_waiting_bytes; /**< that the host or the sibling has not taken */
	bool guest_sends;           /**< it has not shut its side down */
	bool guest_receives;
};

struct vsw_conn_page {
	struct vsw_conn_info *conn;
	uint32_t n_conns;
	uint64_t next; /**< `after` of the next page; 0: this was the last */
};

/**
 * A page that is being filled, one guest's connections after the other: between the control
 * role, who owns it, and the poll roles.
 *
 * An id is the slot of the guest and a serial number that grows with every connection of its
 * poll role, so connections are listed by slot, then by age.
 */
struct vsw_conn_scan {
	struct vsw_conn_query query; /**< max: room in page.conn */
	struct vsw_conn_page page;   /**< next: not 0 when there was no room for more */
};

#define VSW_CONN_SERIAL_BITS 44

static inline uint64_t
vsw_conn_id(uint16_t guest_id, uint64_t serial)
{
	return (uint64_t)guest_id << VSW_CONN_SERIAL_BITS | serial;
}

static inline uint16_t
vsw_conn_id_guest(uint64_t id)
{
	return (uint16_t)(id >> VSW_CONN_SERIAL_BITS);
}

#endif /* VSW_CONN_INFO_H */
