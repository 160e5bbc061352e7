/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Descriptors by which a guest is signalled. They come from a VMM, which keeps its end of
 * them: O_NONBLOCK, which is the file's and not the descriptor's, it may take away again.
 */
#ifndef VSW_SIGNAL_FD_H
#define VSW_SIGNAL_FD_H

#include <stdbool.h>

enum vsw_signal_kind {
	VSW_SIGNAL_NONE,   /**< nothing that can be used without waiting */
	VSW_SIGNAL_EVENT,  /**< an eventfd */
	VSW_SIGNAL_SOCKET, /**< of User-Mode Linux */
};

/** Look at @p fd (< 0: NONE) and make it non-blocking. */
enum vsw_signal_kind vsw_signal_fd_init(int fd);

/** Signal once, without waiting. No error matters: one says that a signal is pending, others
 * that nobody is there. @return true when it was sent. */
bool vsw_signal_fd_send(int fd, enum vsw_signal_kind kind);

#endif /* VSW_SIGNAL_FD_H */
