/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Trace points, for EAL's --trace=vsw.*: what happens to guests and connections, in order and
 * with times, where counters only say how often. None is on the path of a packet with payload.
 *
 * This header is where a trace point is defined; its name, as --trace knows it, is in trace.c;
 * doc/guides/trace.md says how they are used. One that is not enabled costs a load and a branch.
 * A string field holds 31 characters; longer ones are cut.
 *
 * Runs on: any lcore.
 */
#ifndef VSW_TRACE_H
#define VSW_TRACE_H

#include <rte_trace_point.h>

/* clang-format off */

/* Guests: of the control role. */

/* Its sockets listen. */
RTE_TRACE_POINT(vsw_trace_guest_added, RTE_TRACE_POINT_ARGS(uint32_t cid, const char *name),
		rte_trace_point_emit_u32(cid);
		rte_trace_point_emit_string(name);)

/* Its VMM has come or gone: "none", "connected", "running". */
RTE_TRACE_POINT(vsw_trace_guest_vmm, RTE_TRACE_POINT_ARGS(uint32_t cid, const char *vmm),
		rte_trace_point_emit_u32(cid);
		rte_trace_point_emit_string(vmm);)

/* It is removed: nobody names it any more. */
RTE_TRACE_POINT(vsw_trace_guest_gone, RTE_TRACE_POINT_ARGS(uint32_t cid, const char *name),
		rte_trace_point_emit_u32(cid);
		rte_trace_point_emit_string(name);)

/* All poll lcores use the routes with this number. */
RTE_TRACE_POINT(vsw_trace_routes_changed, RTE_TRACE_POINT_ARGS(uint64_t number),
		rte_trace_point_emit_u64(number);)

/* The configuration file was applied; result: 0 or -errno. */
RTE_TRACE_POINT(vsw_trace_reload,
		RTE_TRACE_POINT_ARGS(int32_t result, uint32_t came, uint32_t left, uint32_t changed),
		rte_trace_point_emit_i32(result);
		rte_trace_point_emit_u32(came);
		rte_trace_point_emit_u32(left);
		rte_trace_point_emit_u32(changed);)

/* Quiescing: of the poll role. Positions are available indexes of the two rings. */

RTE_TRACE_POINT(vsw_trace_guest_start,
		RTE_TRACE_POINT_ARGS(uint32_t cid, uint16_t to_guest, uint16_t from_guest),
		rte_trace_point_emit_u32(cid);
		rte_trace_point_emit_u16(to_guest);
		rte_trace_point_emit_u16(from_guest);)

/* It is to stop; so many loans have to come back before. is_reset: its connections end. */
RTE_TRACE_POINT(vsw_trace_guest_quiesce,
		RTE_TRACE_POINT_ARGS(uint32_t cid, uint8_t is_reset, uint16_t loans, uint16_t reads),
		rte_trace_point_emit_u32(cid);
		rte_trace_point_emit_u8(is_reset);
		rte_trace_point_emit_u16(loans);
		rte_trace_point_emit_u16(reads);)

RTE_TRACE_POINT(vsw_trace_guest_stopped,
		RTE_TRACE_POINT_ARGS(uint32_t cid, uint16_t to_guest, uint16_t from_guest),
		rte_trace_point_emit_u32(cid);
		rte_trace_point_emit_u16(to_guest);
		rte_trace_point_emit_u16(from_guest);)

/* Connections: of the poll role. id: as the control API lists them. */

RTE_TRACE_POINT(vsw_trace_conn_requested,
		RTE_TRACE_POINT_ARGS(uint64_t id, uint32_t guest_cid, uint32_t guest_port,
				     uint32_t far_cid, uint32_t far_port, uint8_t from_guest),
		rte_trace_point_emit_u64(id);
		rte_trace_point_emit_u32(guest_cid);
		rte_trace_point_emit_u32(guest_port);
		rte_trace_point_emit_u32(far_cid);
		rte_trace_point_emit_u32(far_port);
		rte_trace_point_emit_u8(from_guest);)

RTE_TRACE_POINT(vsw_trace_conn_established, RTE_TRACE_POINT_ARGS(uint64_t id),
		rte_trace_point_emit_u64(id);)

/* Its end; reason: enum vsw_conn_reason. */
RTE_TRACE_POINT(vsw_trace_conn_refused, RTE_TRACE_POINT_ARGS(uint64_t id, const char *reason),
		rte_trace_point_emit_u64(id);
		rte_trace_point_emit_string(reason);)

RTE_TRACE_POINT(vsw_trace_conn_closed, RTE_TRACE_POINT_ARGS(uint64_t id, const char *reason),
		rte_trace_point_emit_u64(id);
		rte_trace_point_emit_string(reason);)

RTE_TRACE_POINT(vsw_trace_conn_reset, RTE_TRACE_POINT_ARGS(uint64_t id, const char *reason),
		rte_trace_point_emit_u64(id);
		rte_trace_point_emit_string(reason);)

/* A packet of the guest that belongs to no connection was answered by RST; reason: the
 * counter. */
RTE_TRACE_POINT(vsw_trace_packet_refused,
		RTE_TRACE_POINT_ARGS(uint32_t guest_cid, uint32_t guest_port, uint32_t far_cid,
				     uint32_t far_port, const char *reason),
		rte_trace_point_emit_u32(guest_cid);
		rte_trace_point_emit_u32(guest_port);
		rte_trace_point_emit_u32(far_cid);
		rte_trace_point_emit_u32(far_port);
		rte_trace_point_emit_string(reason);)

/* A connection to the guest was refused before it began; reason: the counter. */
RTE_TRACE_POINT(vsw_trace_conn_turned_away,
		RTE_TRACE_POINT_ARGS(uint32_t guest_cid, uint32_t guest_port, uint32_t far_cid,
				     const char *reason),
		rte_trace_point_emit_u32(guest_cid);
		rte_trace_point_emit_u32(guest_port);
		rte_trace_point_emit_u32(far_cid);
		rte_trace_point_emit_string(reason);)

#endif /* VSW_TRACE_H */
