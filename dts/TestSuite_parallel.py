# SPDX-License-Identifier: BSD-3-Clause
"""Many connections at once, each with data of its own."""

import contextlib
import os

from framework import host
from framework.matrix import each_kind, each_setup

N = 50
SIZE = 20000


@each_setup
def test_host_to_guest(guest):
    """
    Steps: open 50 connections to a guest that sends back what it gets; only then use them: a part
        of the data on each, in turn, then the rest.
    Verify: each gets back what it sent.
    """
    guest.listen(7, "EXEC:cat", port_options=",fork")
    data = [os.urandom(SIZE) for _ in range(N)]
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(host.dial(guest.vm, 7)) for _ in range(N)]
        for sock, part in zip(socks, data):
            host.send_all(sock, part[:SIZE // 3])
        for sock, part in zip(reversed(socks), reversed(data)):
            host.finish(sock, part[SIZE // 3:])
        for i in range(N):
            assert host.read_all(socks[i]) == data[i], f"connection {i}"


@each_setup
def test_guest_to_host(lab, guest):
    """
    Steps: the guest opens 50 connections, each sends data of its own; the host accepts all, only
        then sends back what it gets.
    Verify: in the guest each gets back what it sent.
    """
    listener = lab.listen(guest.vm, 52)
    guest.run(f"for i in $(seq {N}); do head -c {SIZE} /dev/urandom >sent$i; done")
    clients = guest.begin(
        f"for i in $(seq {N}); do "
        "socat -t 60 - VSOCK-CONNECT:2:52 <sent$i >received$i & "
        "done; wait; "
        f"for i in $(seq {N}); do cmp sent$i received$i && echo same; done")
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(listener.accept()) for _ in range(N)]
        for sock in socks:
            host.finish(sock, host.read_all(sock))
    assert clients.finish() == 0
    assert clients.lines.count("same") == N, clients.output


@each_kind
def test_one_after_the_other(guest):
    """
    Steps: 40 connections to the guest, one after the other.
    Verify: each gets its answer.
    """
    guest.listen(7, "EXEC:cat", port_options=",fork")
    for i in range(40):
        request = b"%d" % i
        assert host.ask(guest.vm, 7, request) == request
