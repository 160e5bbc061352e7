/* SPDX-License-Identifier: BSD-3-Clause */
/* Credit of a connection in both directions; private to lib/conn. */
#ifndef VSW_CREDIT_H
#define VSW_CREDIT_H

#include "vsw_conn.h"

/* Take the guest's window from a packet of it. */
void vsw_credit_from_guest(struct vsw_conn *conn, const struct vsw_pkt *pkt);
/* The host stream took n bytes of the guest. */
void vsw_credit_taken(struct vsw_conn *conn, uint32_t n);
/* A packet of len bytes goes to the guest. */
void vsw_credit_sent(struct vsw_conn *conn, uint32_t len);

#endif /* VSW_CREDIT_H */
