/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The message pool.
 *
 * Every inbox ring has room for every message there is, so that a send cannot fail and no
 * two lcores can wait for room at each other. What can run out is the pool, and only at
 * the start of a conversation, where the caller can keep its work for later.
 */
#include "vsw_msg.h"

#include <semaphore.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mempool.h>

#include "vsw_base.h"
#include "msg_pool.h"
#include "tsan.h"

/* Per-lcore cache: a few bursts, so that most traffic stays off the shared ring. */
#define CACHE_SIZE 128

static struct rte_mempool *pool;

const char *
vsw_msg_verb_str(enum vsw_verb verb)
{
	static const char *const text[] = {
#define X(name, role, str) [VSW_MSG_##name] = str,
		VSW_MSG_TABLE(X)
#undef X
	};

	return (unsigned int)verb < VSW_N_VERBS ? text[verb] : "unknown";
}

int
vsw_msg_pool_create(unsigned int n)
{
	/* What lcore caches may strand must not eat into what was asked for. */
	n += rte_lcore_count() * CACHE_SIZE * 3 / 2;
	pool = rte_mempool_create("vsw_msg", n, sizeof(struct vsw_msg), CACHE_SIZE, 0, NULL, NULL,
				  NULL, NULL, SOCKET_ID_ANY, 0);
	return pool != NULL ? 0 : -rte_errno;
}

void
vsw_msg_pool_destroy(void)
{
	rte_mempool_free(pool);
	pool = NULL;
}

unsigned int
vsw_msg_pool_size(void)
{
	return pool->size;
}

struct vsw_msg *
vsw_msg_alloc(enum vsw_verb verb)
{
	struct vsw_msg *msg;

	if (rte_mempool_get(pool, (void **)&msg) != 0)
		return NULL;
	vsw_tsan_got(msg);
	memset(msg, 0, offsetof(struct vsw_msg, chain));
	msg->verb = verb;
	msg->fd = -1;
	return msg;
}

void
vsw_msg_free(struct vsw_msg *msg)
{
	if (msg == NULL)
		return;
	vsw_tsan_give(msg);
	rte_mempool_put(pool, msg);
}

void
vsw_msg_reply(struct vsw_loop *to, struct vsw_msg *msg, enum vsw_verb verb)
{
	msg->verb = verb;
	vsw_msg_send(to, msg);
}

void
vsw_msg_call(struct vsw_loop *to, struct vsw_msg *msg)
{
	sem_t done;

	sem_init(&done, 0, 0);
	msg->waiter = &done;
	vsw_msg_send(to, msg);
	while (sem_wait(&done) != 0)
		; /* EINTR */
	sem_destroy(&done);
}

void
vsw_msg_complete(struct vsw_msg *msg)
{
	sem_post(msg->waiter);
}
