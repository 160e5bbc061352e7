/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * A vswd in a private folder, synthetic guests on it, and host applications beside it.
 *
 * Each test file is a table of cases that runs once per variant: the two shapes of a VMM
 * times one lcore or two, and one with several bridges, or what the file says. vswd lives for all
 * cases of a variant, so that what one case leaves behind fails the next: after each case the
 * guests go, and vswd must be alive, back at the number of descriptors it had before, and no guest
 * may have recorded a violation.
 *
 * Every wait has a deadline and keeps all guests going; a wait that fails says what it was
 * for and prints vswd's log. Descriptors made here are closed when the case ends.
 *
 * The path of vswd comes from the environment variable VSWD. VSW_TEST_VARIANT runs one
 * variant only, VSW_TEST_CASE only the cases whose name contains it.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <sys/types.h>

#include <cmocka.h>

#include "vsw_base.h"
#include "vsw_guest.h"
#include "vsw_guest_raw.h"
#include "vsw_guest_sock.h"
#include "vsw_packet.h"

/** For everything that must happen: generous, the machine is slow and busy. */
#define WAIT_MS 10000
/** For what must not happen. */
#define QUIET_MS 120

#define N_VMS_MAX 64

struct env;

struct variant {
	const char *name;
	enum vsw_guest_shape shape;
	const char *const *eal_args; /* NULL-terminated */
	const char *bridge_lcores;   /* of --bridge-lcores; NULL: without */
	unsigned int n_vms;          /* 0: 2 */
	/* Further items of --vm, as "lcore=1,groups=a+b", for each guest in turn; NULL: none. */
	const char *const *vm_items;
	unsigned int max_fds; /* RLIMIT_NOFILE of vswd; 0: ours */
	/* vswd is given a configuration file with the first so many guests; 0: --vm. */
	unsigned int n_config;
};

struct test_case {
	const char *name;
	void (*run)(struct env *e);
};
#define CASE(f)                                                                                    \
	{                                                                                          \
		.name = #f, .run = f                                                               \
	}

/** Run @p cases in all variants. @return for main(). */
int run_cases(const char *topic, const struct test_case *cases, size_t n);

/** The same in variants of the caller's. */
int run_cases_in(const char *topic, const struct variant *variants, size_t n_variants,
		 const struct test_case *cases, size_t n);

/** Fail the case with a sentence, vswd's log, and what the guests know. */
#define fail_env(e, ...) env_fail(e, __FILE__, __LINE__, __VA_ARGS__)
void env_fail(struct env *e, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5), noreturn));
#define check(e, cond)                                                                             \
	do {                                                                                       \
		if (!(cond))                                                                       \
			fail_env(e, "expected: %s", #cond);                                        \
	} while (0)

/* ---- vswd ---- */

/** A configuration of the variant's shape for guest @p vm. */
struct vsw_guest_conf guest_conf(struct env *e, unsigned int vm);

/** Create, attach and boot guest @p vm; @p conf NULL is guest_conf(). */
struct vsw_guest *guest_up(struct env *e, unsigned int vm, const struct vsw_guest_conf *conf);

/** Return when vswd has handled every vhost-user message of guest @p vm so far. */
void guest_sync(struct env *e, unsigned int vm);

/** Destroy guest @p vm as if its VMM had been killed; checks its violations first. */
void guest_down(struct env *e, unsigned int vm);

const struct variant *env_variant(const struct env *e);
struct vsw_guest *env_guest(const struct env *e, unsigned int vm); /* NULL: it is down */
pid_t env_pid(const struct env *e);

/** The configuration file of a variant with n_config. */
const char *env_config_path(const struct env *e);
/** Write it: guest i is in it when more[i] is not NULL, with these lines, as "lcore: 1\n". */
void env_write_config(const struct env *e, const char *const *more);
/**
 * Have the file that is there applied (SIGHUP), calling @p step until it was.
 * @return false: vswd found a mistake in it.
 */
bool env_reload(struct env *e, void (*step)(struct env *e, void *arg), void *arg);
/** The end of vswd's log. */
void env_log(const struct env *e, char *buf, size_t size);
/** How often it says @p text. */
unsigned int env_count_in_log(struct env *e, const char *text);
/** The folder in which all of it is. */
const char *env_dir(const struct env *e);
const char *env_vhost_path(const struct env *e, unsigned int vm);
const char *env_uds_path(const struct env *e, unsigned int vm);
unsigned int env_n_fds(const struct env *e);
/** Descriptors of vswd once their number has stood still for 50 ms. */
unsigned int env_settled_fds(struct env *e);

/** Keep all guests going until vswd has @p n descriptors; fails if it never does. */
void env_wait_fds(struct env *e, unsigned int n);

unsigned int env_baseline_fds(const struct env *e);

/** Close @p fd when the case ends. @return @p fd. */
int env_own_fd(struct env *e, int fd);
/** Close now. */
void env_close(struct env *e, int fd);

/* ---- progress ---- */

/**
 * Keep all guests going until one of @p events is on @p fd (-1: just for the time).
 * @return revents, 0 when @p timeout_ms passed.
 */
short pump_fd(struct env *e, int fd, short events, int timeout_ms);

/** Keep all guests going until @p cond(@p arg); fails with "waiting for @p what". */
void pump_until(struct env *e, bool (*cond)(void *arg), void *arg, const char *what);

/* ---- host applications ---- */

/** Connect to guest @p vm's uds-path, or to another socket. */
int host_connect(struct env *e, unsigned int vm);
int host_connect_to(struct env *e, const char *path);

/** Listen on uds-path_port. */
int host_listen(struct env *e, unsigned int vm, uint32_t port, int backlog);
int host_accept(struct env *e, int listener);

void host_write(struct env *e, int fd, const void *buf, size_t len);
void host_puts(struct env *e, int fd, const char *s);

/** Read exactly @p len bytes. */
void host_read(struct env *e, int fd, void *buf, size_t len);

/** The stream must end now, without a byte more. */
void host_expect_eof(struct env *e, int fd);

/** Nothing may come for QUIET_MS, neither a byte nor the end. */
void host_expect_quiet(struct env *e, int fd);

/** Read the line "OK <port>\n" and nothing more. @return the port. */
uint32_t host_expect_ok(struct env *e, int fd);

/* ---- pairs ---- */

struct pair {
	struct vsw_guest_sock *s;
	int fd;
	uint32_t host_port; /* of an accepted CONNECT */
};

/** The guest connects to host port @p port. */
struct pair pair_from_guest(struct env *e, unsigned int vm, uint32_t port);

/** The host connects to guest port @p port; the guest listens for the time of the call. */
struct pair pair_from_host(struct env *e, unsigned int vm, uint32_t port);

/** Guest calls that must succeed. */
void guest_send_all(struct env *e, struct vsw_guest_sock *s, const void *buf, size_t len);
void guest_recv_exactly(struct env *e, struct vsw_guest_sock *s, void *buf, size_t len);
void guest_expect_eof(struct env *e, struct vsw_guest_sock *s);

/** Wait until guest @p vm has no connection left, closing ones included; well below 8 s. */
void guest_wait_no_socks(struct env *e, unsigned int vm);

/** "ping" there, "pong" back. */
void pair_check(struct env *e, const struct pair *p);

/** Close both ends, the guest's first: when vswd has agreed no packet of theirs can follow. */
void pair_close(struct env *e, struct pair *p);

/** What there is to know of a guest's socket. */
struct vsw_guest_sock_info info_of(const struct vsw_guest_sock *s);

/* ---- bulk ---- */

/** Bytes [@p off, @p off + @p len) of the one pattern that all bulk data is. */
void pattern_fill(void *buf, uint64_t off, size_t len);
bool pattern_matches(const void *buf, uint64_t off, size_t len);

/** A stream being pumped; zero lengths for a direction that is not used. */
struct flow {
	struct vsw_guest_sock *s;
	int fd;
	uint64_t to_host, to_guest;         /* bytes to move */
	uint64_t guest_sent, host_received; /* progress */
	uint64_t host_sent, guest_received;
	size_t chunk; /* bytes of one call; 0 = 64 KiB */
};

/** One step of each flow. @return whether a byte moved. */
bool step_flows(struct env *e, struct flow *flows, unsigned int n);

/** Move and verify the bytes of all flows at once. */
void run_flows(struct env *e, struct flow *flows, unsigned int n);

/** The same, disturbed: after each step @p hook is told how many bytes have arrived. */
void run_flows_with(struct env *e, struct flow *flows, unsigned int n,
		    void (*hook)(struct env *e, uint64_t arrived, void *arg), void *arg);

/* ---- own daemons, for tests of the process ---- */

struct daemon {
	unsigned int max_fds; /* RLIMIT_NOFILE; 0: as ours */
	pid_t pid;
	int log_fd;
	char dir[64]; /* EAL's runtime folder goes here */
	uid_t uid;    /* who it runs as; 0: as the test */
};

/** A fresh private folder in @p dir (64 bytes); remove_dir() takes all that is in it along. */
void make_dir(char *dir);
void remove_dir(const char *dir);

/** Start VSWD with @p argv (argv[0] is set). stdout and stderr go to the log. */
void daemon_spawn(struct daemon *d, const char *const *argv);

/** Wait for the end. @return exit status, 128 + n for a signal; -1 at the deadline. */
int daemon_wait(struct daemon *d, int timeout_ms);

/** Wait until the log has @p text. @return false at the deadline or when the daemon has ended. */
bool daemon_wait_log(struct daemon *d, const char *text, int timeout_ms);

/** Wait until all sockets of the daemon listen. @return false if they never do. */
bool daemon_wait_ready(struct daemon *d);

/** The end of the log so far, @p size bytes at most with the terminating zero. */
void daemon_log(const struct daemon *d, char *buf, size_t size);

#endif /* HARNESS_H */
