/* SPDX-License-Identifier: BSD-3-Clause */
/* Credit bookkeeping of a connection; private to lib/conn. */
#ifndef VSW_CREDIT_H
#define VSW_CREDIT_H

#include "vsw_conn.h"

void vsw_credit_update(struct vsw_conn *conn, const struct vsw_pkt *pkt);
bool vsw_credit_is_news(const struct vsw_conn *conn);
void vsw_credit_sent(struct vsw_conn *conn, uint32_t len);

#endif
