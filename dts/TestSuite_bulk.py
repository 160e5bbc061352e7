# SPDX-License-Identifier: BSD-3-Clause
"""Much data, all of it and in order; and who does not read holds up nobody else."""

import hashlib
import os
import re
import threading

from framework import host
from framework.matrix import each_kind, each_setup

MIB = 1 << 20
# QEMU's guests are some ten times slower.
SIZES = {"uml": 64 * MIB, "qemu": 16 * MIB}


def hash_in(output):
    found = re.search(r"\b[0-9a-f]{64}\b", output)
    assert found, f"no SHA-256 in: {output}"
    return found[0]


@each_setup
def test_host_to_guest(guest):
    """
    Steps: the guest listens and hashes what it gets; the host sends random data and closes.
    Verify: the guest's SHA-256 is that of the data.
    """
    data = os.urandom(SIZES[guest.kind])
    receiver = guest.listen(1234, "STDOUT | sha256sum", options="-u")
    with host.dial(guest.vm, 1234) as sock:
        host.send_all(sock, data)
    assert receiver.finish() == 0
    assert hash_in(receiver.output) == hashlib.sha256(data).hexdigest()


@each_setup
def test_guest_to_host(lab, guest):
    """
    Steps: the guest hashes random data and sends it to the host.
    Verify: the host gets all of it, with that SHA-256.
    """
    size = SIZES[guest.kind]
    listener = lab.listen(guest.vm, 53)
    sent = hash_in(guest.run(f"head -c {size} /dev/urandom >data; sha256sum data"))
    sender = guest.begin("socat -u -b 65536 OPEN:data VSOCK-CONNECT:2:53")
    with listener.accept() as sock:
        assert host.hash_all(sock) == (sent, size)
    assert sender.finish() == 0


@each_kind
def test_both_ways_at_once(guest):
    """
    Steps: the guest sends back what it gets; the host sends random data and reads at the same time.
    Verify: what comes back is what was sent.
    """
    data = os.urandom(SIZES[guest.kind] // 4)
    guest.listen(1234, "EXEC:cat")
    with host.dial(guest.vm, 1234) as sock:
        sender = threading.Thread(target=host.finish, args=(sock, data))
        sender.start()
        received = host.hash_all(sock)
        sender.join()
    assert received == (hashlib.sha256(data).hexdigest(), len(data))


@each_setup
def test_slow_host_holds_up_nobody(lab, guest):
    """
    Steps: a guest's sender has filled all there is between it and a host that does not read;
        meanwhile other connections ask and answer; then the host reads.
    Verify: the others get their answers while the sender is stuck; its data is complete.
    """
    size = 8 * MIB
    guest.listen(7, "EXEC:cat", port_options=",fork")
    listener = lab.listen(guest.vm, 53)
    sent = hash_in(guest.run(f"head -c {size} /dev/urandom >data; sha256sum data"))
    sender = guest.begin("socat -u -b 65536 OPEN:data VSOCK-CONNECT:2:53")
    with listener.accept() as sock:
        assert host.ask(guest.vm, 7, b"ping" * 50000) == b"ping" * 50000
        assert not sender.has_ended(), "8 MiB went to a host that does not read"
        assert host.hash_all(sock) == (sent, size)
    assert sender.finish() == 0


@each_kind
def test_slow_guest_holds_up_nobody(guest):
    """
    Steps: a host has filled all there is between it and a guest that does not read;
        meanwhile other connections ask and answer; then the guest reads.
    Verify: the others get their answers; the stuck host's data is complete.
    """
    data = os.urandom(8 * MIB)
    guest.listen(7, "EXEC:cat", port_options=",fork")
    guest.run("mkfifo go")
    receiver = guest.listen(1234, "SYSTEM:'cat go; sha256sum >&2'", options="-u")
    with host.dial(guest.vm, 1234) as sock:
        sender = threading.Thread(target=host.finish, args=(sock, data))
        sender.start()
        assert host.ask(guest.vm, 7, b"ping" * 50000) == b"ping" * 50000
        assert sender.is_alive(), "8 MiB went to a guest that does not read"
        guest.run("echo >go")
        sender.join()
        assert receiver.finish() == 0
    assert hash_in(receiver.output) == hashlib.sha256(data).hexdigest()
