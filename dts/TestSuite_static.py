# SPDX-License-Identifier: BSD-3-Clause
"""The static vsw in guests: QEMU's has nothing but busybox, socat and it."""

import os
import subprocess

from framework import host
from framework.matrix import each_kind
from framework.paths import VSW, VSW_STATIC
from framework.wait import DEADLINE

DATA = os.urandom(1_000_000)


def test_is_static():
    """
    Steps: ldd.
    Verify: it is no dynamic executable.
    """
    said = subprocess.run(["ldd", VSW_STATIC], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True).stdout
    assert "not a dynamic executable" in said or "statically linked" in said, said


@each_kind
def test_host_to_guest(guest):
    """
    Steps: the guest serves a command, and by --to another port of its own; the host's vsw connects.
    Verify: all that was sent comes back.
    """
    guest.begin(f"{guest.vsw} serve 7 -- cat").wait_for_output("cat is at vsock:7")
    task = guest.begin(f"{guest.vsw} serve 8 --to=unix:sock")
    task.wait_for_output("unix:sock is at vsock:8")
    guest.begin("socat UNIX-LISTEN:sock,fork EXEC:cat")
    guest.run("for i in $(seq 600); do [ -S sock ] && exit; sleep 0.1; done; exit 1")
    for port in "7", "8":
        done = subprocess.run([VSW, "connect", guest.vm.uds, port], input=DATA, timeout=DEADLINE,
                              stdout=subprocess.PIPE)
        assert (done.returncode, done.stdout == DATA) == (0, True)


@each_kind
def test_guest_to_host(lab, guest):
    """
    Steps: the host listens at a port; the guest's vsw connects to 2, and forwards a socket of its own
        there; to a port that nobody serves.
    Verify: all that was sent arrives; status 3.
    """
    listener = lab.listen(guest.vm, 52)
    guest.run("head -c 1000000 /dev/urandom >data")
    digest = guest.run("sha256sum <data").split()[0]
    guest.begin(f"{guest.vsw} forward vsock:2:52 unix:at").wait_for_output("is at unix:at")
    for command in f"{guest.vsw} connect 2 52", f"{guest.vsw} connect unix:at":
        task = guest.begin(f"{command} <data")
        with listener.accept() as sock:
            assert host.hash_all(sock) == (digest, 1_000_000)
            host.finish(sock, b"thanks\n")
        assert task.finish() == 0
        assert task.output == "thanks"
    refused = guest.begin(f"{guest.vsw} connect vsock:2:77")
    assert (refused.finish(), refused.output) == (
        3, "vsw connect: cannot reach vsock:2:77: nobody listens there")
