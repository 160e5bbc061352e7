/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The process: its guests, its descriptors, and one loop over both.
 *
 * A turn handles what the devices have used, then what epoll reports, then runs every end
 * (end.h) that may have something to do. With --wait=poll turns follow each other without a
 * pause; with --wait=interrupt a turn that found nothing sleeps until a device or a peer
 * signals.
 */
#ifndef VSW_GUEST_RIG_H
#define VSW_GUEST_RIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/queue.h>

#include "options.h"
#include "vsw_guest.h"
#include "vsw_guest_sock.h"
#include "vsw_now.h"

struct end;
TAILQ_HEAD(end_list, end);

/* Something with a descriptor in the epoll set. */
struct watch {
	void (*ready)(struct watch *w, uint32_t events);
};

struct vm {
	struct watch watch;
	struct rig *rig;
	struct vsw_guest *g;     /* NULL when this process is only the host */
	char uds_path[108];      /* empty when it is only the guest */
	bool is_woken;           /* the device has signalled */
	bool is_gone;            /* the device has closed the connection */
	struct end_list blocked; /* ends that wait for window or slots */
};

struct listener {
	struct watch watch;
	LIST_ENTRY(listener) next;
	struct rig *rig;
	struct vm *vm;
	bool is_guest;
	uint32_t port;
	int fd;
	void (*accepted)(struct listener *l, struct vsw_guest_sock *s, int fd);
	void *arg;
};

struct rig {
	const struct options *opt;
	int epoll_fd;
	unsigned int n_watched;
	struct vm *vms;
	unsigned int n_vms;
	bool is_polling;
	struct end_list runnable; /* to be run in the next turn */
	struct end_list running;  /* to be run in this one */
	struct end_list dialling; /* oldest first */
	struct end_list closed;   /* to be freed at the end of the turn */
	LIST_HEAD(, listener) listeners;
	uint64_t now_ns;  /* at the start of the turn */
	uint64_t wake_ns; /* sleep no longer than until then; 0: no matter */
	uint64_t n_turns;
	uint64_t busy_tsc, idle_tsc, turn_tsc; /* turns that found work, and the others */
	uint8_t *buf;                          /* for what host ends receive */
};

#define RIG_BUF_LEN (256u << 10)

/*
 * Where a host application connects to, or with @p has_port where it listens.
 * @return false when that does not fit into a socket address.
 */
bool vm_host_path(const struct vm *vm, bool has_port, uint32_t port, char *path, size_t size);

/* Attach all guests. @return 0, or an exit status after a message. */
int rig_open(struct rig *rig, const struct options *opt);
void rig_close(struct rig *rig);

/* One turn. @p until_ns: do not sleep past this time; 0: does not matter. */
void rig_turn(struct rig *rig, uint64_t until_ns);

/* Print what the devices did wrong. @return 0 or an exit status. */
int rig_verdict(const struct rig *rig);

/* Add a descriptor; one that epoll cannot watch (a file) is reported as never ready. */
bool rig_watch(struct rig *rig, int fd, uint32_t events, struct watch *w);

/* Take connections to @p port, in the guest or as a host application of it. */
struct listener *rig_listen(struct rig *rig, struct vm *vm, bool is_guest, uint32_t port,
			    void (*accepted)(struct listener *l, struct vsw_guest_sock *s, int fd),
			    void *arg);

#endif /* VSW_GUEST_RIG_H */
