/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The system calls that a running vswd makes, and no others: a seccomp filter over all threads,
 * which nothing takes away again. doc/guides/security says what for.
 */
#ifndef VSW_SANDBOX_H
#define VSW_SANDBOX_H

/** @return why this build has no sandbox; NULL: it has one. */
const char *sandbox_missing(void);

/**
 * Install it, over every thread of the process. Needs no_new_privs (privilege_forgo()) or root.
 * @return 0 or -errno; then nothing has changed.
 */
int sandbox_install(void);

#endif /* VSW_SANDBOX_H */
