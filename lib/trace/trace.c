/* SPDX-License-Identifier: BSD-3-Clause */
#include <rte_trace_point_register.h>

#include "vsw_trace.h"

RTE_TRACE_POINT_REGISTER(vsw_trace_guest_added, vsw.guest.added)
RTE_TRACE_POINT_REGISTER(vsw_trace_guest_vmm, vsw.guest.vmm)
RTE_TRACE_POINT_REGISTER(vsw_trace_guest_gone, vsw.guest.gone)
RTE_TRACE_POINT_REGISTER(vsw_trace_routes_changed, vsw.routes.changed)
RTE_TRACE_POINT_REGISTER(vsw_trace_reload, vsw.reload)
RTE_TRACE_POINT_REGISTER(vsw_trace_guest_start, vsw.guest.start)
RTE_TRACE_POINT_REGISTER(vsw_trace_guest_quiesce, vsw.guest.quiesce)
RTE_TRACE_POINT_REGISTER(vsw_trace_guest_stopped, vsw.guest.stopped)
RTE_TRACE_POINT_REGISTER(vsw_trace_conn_requested, vsw.conn.requested)
RTE_TRACE_POINT_REGISTER(vsw_trace_conn_established, vsw.conn.established)
RTE_TRACE_POINT_REGISTER(vsw_trace_conn_refused, vsw.conn.refused)
RTE_TRACE_POINT_REGISTER(vsw_trace_conn_closed, vsw.conn.closed)
RTE_TRACE_POINT_REGISTER(vsw_trace_conn_reset, vsw.conn.reset)
RTE_TRACE_POINT_REGISTER(vsw_trace_conn_turned_away, vsw.conn.turned_away)
RTE_TRACE_POINT_REGISTER(vsw_trace_packet_refused, vsw.packet.refused)
