/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Descriptors by which a guest is signalled. They come from a VMM, which keeps its end of
 * them: O_NONBLOCK, which is the file's and not the descriptor's, it may take away again, and
 * fill the counter of an eventfd; a write then waits, and the kernel knows no way to write to
 * an eventfd that cannot (neither MSG_DONTWAIT nor RWF_NOWAIT; a second open file there is
 * not). So some other thread has an eye on those that write: who has not come back after one
 * to two of its looks is called back by SIGURG.
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

enum vsw_signal_result {
	VSW_SIGNAL_SENT,
	VSW_SIGNAL_NOT_SENT, /**< one is pending, or nobody is there: no matter */
	VSW_SIGNAL_STUCK,    /**< it waited, and was called back: not to be used again */
};

/** Signal once. */
enum vsw_signal_result vsw_signal_fd_send(int fd, enum vsw_signal_kind kind);

/** Call back who waits in the above since the last call of this. From one thread, one that does
 * not signal itself, again and again. */
void vsw_signal_fd_watch(void);

#endif /* VSW_SIGNAL_FD_H */
