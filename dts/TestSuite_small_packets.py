# SPDX-License-Identifier: BSD-3-Clause
"""Many small packets for a reader that sleeps. Linux 6.12.92, 6.18.32, 7.0 and newer reset a
connection with more than some 455 unread packets, whatever is in them (the newest first try to put
them together): vswd must not send so many.

Debian's User-Mode Linux is older. The newer kernels are those that VSW_UML_NEWER names, separated
by colons, or ../shared/guests/linux-uml-*."""

import hashlib
import os
import pathlib
import re
import select

import pytest

from framework import host
from framework.paths import TOP

OLDER = "Debian's"
SIZE = 129
# The reader's pipe takes the first 64 KiB; then more than 455 packets of less than the window.
N_PACKETS = 1800


def newer_kernels():
    named = os.environ.get("VSW_UML_NEWER")
    if named is not None:
        return named.split(":")
    return sorted(map(str, (TOP.parent / "shared" / "guests").glob("linux-uml-*")))


@pytest.fixture(params=[OLDER, *newer_kernels()] if newer_kernels() else [OLDER, None],
                ids=lambda path: pathlib.Path(path).name if path else "newer")
def kernel(request, monkeypatch):
    if request.param is None:
        pytest.skip("no User-Mode Linux with the rule: VSW_UML_NEWER names none")
    if request.param != OLDER:
        monkeypatch.setenv("VSW_UML", request.param)
    return request.param


def boot(lab, kernel, *vms):
    """@return guests. A static kernel cannot be helped where its cpu has more state than it
    knows (dts/guests/uml_xstate.c)."""
    try:
        return lab.guests(*[("uml", vm) for vm in vms])
    except AssertionError as error:
        if kernel == OLDER or "instead of booting" not in str(error):
            raise
        pytest.skip(f"{kernel} does not boot on this machine")


def begin_to_sleep(guest):
    """@return a reader of port 1234 that takes no more than a pipe until it is woken."""
    guest.run("mkfifo go")
    return guest.listen(1234, "SYSTEM:'cat go; sha256sum >&2'", options="-u")


def send_one_by_one(sock, data, echo):
    """@return how much of the data the socket has taken."""
    for i in range(0, len(data), SIZE):
        _, writable, _ = select.select([], [sock], [], 0)
        if not writable: # its room is for more than a message, or it is not
            return i
        host.send_all(sock, data[i:i + SIZE])
        host.send_all(echo, b"x")
        assert host.receive(echo, 1) == b"x"
    return len(data)


def test_from_the_host(lab, kernel):
    """
    Steps: a host sends messages of 129 bytes to a guest's reader that sleeps, until its
        socket is full; after each, an echo on another connection gives vswd the time to pass it
        on alone. Then the reader wakes, and the host sends the rest.
    Verify: the connection lives; all bytes are there.
    """
    [guest] = boot(lab, kernel, lab.switch().vms[3])
    data = os.urandom(SIZE * N_PACKETS)
    guest.listen(7, "EXEC:cat")
    reader = begin_to_sleep(guest)
    with host.dial(guest.vm, 7) as echo, host.dial(guest.vm, 1234) as sock:
        sent = send_one_by_one(sock, data, echo)
        guest.run("echo >go")
        host.finish(sock, data[sent:])
        assert reader.finish() == 0, reader.output
    assert hashlib.sha256(data).hexdigest() in reader.output


def test_from_a_sibling(lab, kernel):
    """
    Steps: from guest to guest; the sender's socat makes a packet of each 129 bytes.
    Verify: the sender sends all, the connection lives; all bytes are there.
    """
    vms = lab.switch(3, 4).vms
    guest, sibling = boot(lab, kernel, vms[3], vms[4])
    data = sibling.run(f"head -c {SIZE * N_PACKETS} /dev/urandom >data; sha256sum data")
    digest = re.search(r"[0-9a-f]{64}", data)[0]
    reader = begin_to_sleep(guest)
    sender = sibling.begin(f"socat -u -b {SIZE} OPEN:data VSOCK-CONNECT:3:1234")
    assert sender.finish() == 0, sender.output
    guest.run("echo >go")
    assert reader.finish() == 0, reader.output
    assert digest in reader.output
