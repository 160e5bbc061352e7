/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * The first line of the hybrid protocol: `CONNECT <port>\n`. Pure; fed piece by piece.
 */
#ifndef VSW_CONNECT_LINE_H
#define VSW_CONNECT_LINE_H

#include <stddef.h>
#include <stdint.h>

#include "vsw_limits.h"

/** A line that is being read. */
struct vsw_connect_line {
	uint8_t len;
	char text[VSW_CONNECT_LINE_MAX];
};

enum vsw_connect_verdict {
	VSW_CONNECT_MORE, /**< no newline yet */
	VSW_CONNECT_DONE, /**< the line is complete and right */
	VSW_CONNECT_BAD,  /**< it never will be */
};

/**
 * Feed @p size bytes to a line (an object of zeroes at first; not after DONE or BAD).
 * @param used out: bytes that belong to the line, its newline included; the rest is data.
 * @param port out, when DONE: the guest port.
 * @return BAD: anything but `CONNECT <port>`, or VSW_CONNECT_LINE_MAX bytes without a newline.
 */
enum vsw_connect_verdict vsw_connect_line_feed(struct vsw_connect_line *line, const char *data,
					       size_t size, size_t *used, uint32_t *port);

#endif /* VSW_CONNECT_LINE_H */
