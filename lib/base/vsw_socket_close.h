/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Refuse an AF_UNIX peer without a byte and without an error.
 */
#ifndef VSW_SOCKET_CLOSE_H
#define VSW_SOCKET_CLOSE_H

/**
 * Close the stream socket @p fd so that its peer reads an end of file. A plain close() with
 * bytes unread would make that ECONNRESET. Does not block.
 */
void vsw_socket_close_silently(int fd);

#endif /* VSW_SOCKET_CLOSE_H */
