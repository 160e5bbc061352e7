# SPDX-License-Identifier: BSD-3-Clause
"""A request ends with shutdown(SHUT_WR), its full reply comes after that."""

import hashlib
import os

from framework import host
from framework.matrix import each_setup

REQUEST_SIZE = 300_000
REPLY_SIZE = 1_000_000


@each_setup
def test_host_asks(guest):
    """
    Steps: the host sends a request and shuts down its write side; the guest, which reads up to the
        end of file, replies with the request's SHA-256 and a file.
    Verify: the host gets all of the reply, then an end of file.
    """
    guest.run(f"head -c {REPLY_SIZE} /dev/urandom >reply")
    expected = guest.run("sha256sum <reply").split()[0]
    guest.listen(80, "SYSTEM:'sha256sum; cat reply'")
    request = os.urandom(REQUEST_SIZE)
    answer, _, reply = host.ask(guest.vm, 80, request).partition(b"\n")
    assert answer.decode().split()[0] == hashlib.sha256(request).hexdigest()
    assert len(reply) == REPLY_SIZE
    assert hashlib.sha256(reply).hexdigest() == expected


@each_setup
def test_guest_asks(lab, guest):
    """
    Steps: the guest sends a request and shuts down its write side; the host, which reads up to the
        end of file, replies.
    Verify: the host gets all of the request, the guest all of the reply.
    """
    reply = os.urandom(REPLY_SIZE)
    listener = lab.listen(guest.vm, 80)
    guest.run(f"head -c {REQUEST_SIZE} /dev/urandom >request")
    client = guest.begin("socat -t 60 - VSOCK-CONNECT:2:80 <request >reply")
    with listener.accept() as sock:
        request = host.read_all(sock)
        host.finish(sock, reply)
        assert client.finish() == 0
    assert hashlib.sha256(request).hexdigest() == guest.run("sha256sum <request").split()[0]
    assert hashlib.sha256(reply).hexdigest() == guest.run("sha256sum <reply").split()[0]


def test_guest_replies_after_a_while(guest):
    """
    Steps: the host shuts down its write side; the guest replies only when it is told to, 9 s later:
        8 s is when vswd resets a guest that stays silent after a full close.
    Verify: a half-closed connection stays: the reply arrives.
    """
    guest.run("mkfifo go")
    guest.listen(80, "SYSTEM:'cat; cat go'")
    with host.dial(guest.vm, 80) as sock:
        host.finish(sock, b"question\n")
        assert host.read_line(sock) == b"question\n"
        guest.run("sleep 9; echo answer >go")
        assert host.read_all(sock) == b"answer\n"
