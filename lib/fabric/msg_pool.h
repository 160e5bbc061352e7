/* SPDX-License-Identifier: BSD-3-Clause */
/* What loops need to know of the message pool; private to the fabric. */
#ifndef VSW_MSG_POOL_H
#define VSW_MSG_POOL_H

/** Messages there are: how long an inbox must be. */
unsigned int vsw_msg_pool_size(void);

#endif /* VSW_MSG_POOL_H */
