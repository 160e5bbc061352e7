/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file
 * Compile-time limits, each with its reason. What an operator may want to change is an
 * option of vswd instead; what is here follows from a protocol, a kernel or a measured cost.
 */
#ifndef VSW_LIMITS_H
#define VSW_LIMITS_H

/* Slots of guests in one process; and how many of them can be served: librte_vhost watches 1024
 * descriptors, one of its own, one to wake it by, and two of each guest. */
#define VSW_GUESTS_MAX 512
#define VSW_GUESTS_SERVED 511

/* Guests that messages are made for unless max-guests says otherwise: these, or twice as many
 * as vswd starts with. A guest's messages take 100 KiB. */
#define VSW_GUESTS_DEFAULT 64

/* Groups that one guest may be in: a list that a person writes. */
#define VSW_GROUPS_PER_GUEST_MAX 16

/* CIDs that one guest may take for the host, and plain sockets that lead to ports of it. */
#define VSW_HOST_CIDS_MAX 8
#define VSW_FORWARDS_MAX 16

/* rx, tx, event (virtio 1.2, 5.10.2). QEMU hands over two, all others three. */
#define VSW_VRINGS_MAX 3

/* Chains handled per guest and pass: the burst quantum between guests of one lcore. */
#define VSW_BURST 32

/*
 * Segments of one burst of chains. One chain may use all of them; a chain cut into more
 * pieces than this to carry at most 64 KiB is refused.
 */
#define VSW_BURST_SEGS 2048

/* Payload of one packet, both ways: VIRTIO_VSOCK_MAX_PKT_BUF_SIZE of Linux. */
#define VSW_PKT_PAYLOAD_MAX (64u * 1024)

/*
 * Segments that one message carries. 64 KiB into a Linux guest takes 18 receive buffers,
 * out of it at most 17 fragments.
 */
#define VSW_MSG_SEGS 30

/* Receive window we advertise per connection unless tx-buffer-size says otherwise: Linux'
 * own default, above which Linux caps senders anyway. */
#define VSW_BUF_ALLOC_DEFAULT (256u * 1024)

/* Live connections of one guest unless its limit says otherwise. */
#define VSW_CONNS_MAX_DEFAULT 4096

/* Bytes one guest may have spilled in the switch, all its connections together. */
#define VSW_SPILL_BUDGET_DEFAULT (16u << 20)

/* Messages with loans of what one guest sends. They come from a pool that all guests share,
 * so this is also the default. */
#define VSW_LOANS_MAX 64

/* A guest or host that does not answer a connection request: 2 s, as Linux connect(). */
#define VSW_REQUEST_TIMEOUT_MS 2000

/* A guest that got SHUTDOWN(both), has taken everything and stays silent: 8 s, as Linux
 * VSOCK_CLOSE_TIMEOUT. */
#define VSW_CLOSE_TIMEOUT_MS 8000

/* A host reader that takes nothing of what a closed connection left behind. */
#define VSW_FLUSH_TIMEOUT_MS 30000

/* What a guest sends on one connection to a datagram socket. A message of sd_notify() has 4 KiB at
 * most; Linux' default SO_SNDBUF takes 208 KiB. */
#define VSW_DATAGRAM_MAX (64u * 1024)

/* Hosts that have not finished their CONNECT line: how many per guest unless its limit says
 * otherwise, for how long. A person may be typing. */
#define VSW_HANDSHAKES_MAX_DEFAULT 64
#define VSW_HANDSHAKE_TIMEOUT_MS 60000

/* The whole CONNECT line with its newline, as in Firecracker. */
#define VSW_CONNECT_LINE_MAX 32

#endif /* VSW_LIMITS_H */
