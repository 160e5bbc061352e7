/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What systemd wants to know: that all sockets listen, that vswd makes progress, that it ends.
 */
#ifndef VSW_SERVICE_H
#define VSW_SERVICE_H

#include "vsw_control.h"

/* Start telling systemd, if it has asked (Type=notify). A thread of its own does it, because a
 * message to systemd may block. */
void service_start(struct vsw_control *control);

/* After vsw_control_close(). */
void service_stop(void);

#endif /* VSW_SERVICE_H */
