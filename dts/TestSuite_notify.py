# SPDX-License-Identifier: BSD-3-Clause
"""A guest's notifications reach a datagram socket of the host, as $NOTIFY_SOCKET is one."""

import contextlib
import os
import shutil
import socket

import pytest

from framework.matrix import each_layout, each_setup
from framework.paths import GUESTS
from framework.wait import DEADLINE

PORT = 8888
N_UNITS = 200


@pytest.fixture
def receiver(lab, switch):
    """What a service manager has, behind a symbolic link where the guest's port 8888 leads."""
    path = lab.folder / "notify"
    sock = lab.enter(contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)))
    sock.settimeout(DEADLINE)
    sock.bind(str(path))
    os.symlink(path, switch.vms[3].uds_of_port(PORT))
    return sock


def begin_to_notify(guest, message, n):
    script = shutil.copy(GUESTS / "notify.py", guest.lab.folder)
    return guest.begin(f"python3 {script} 2 {PORT} {message} {n}")


@each_setup
def test_message(guest, receiver):
    """
    Steps: the guest's socat sends a message of two lines, and then another one.
    Verify: the host gets two datagrams, each whole.
    """
    for _ in range(2):
        guest.run(fr"printf 'READY=1\nSTATUS=up' | socat -u - VSOCK-CONNECT:2:{PORT}")
        assert receiver.recv(1 << 20) == b"READY=1\nSTATUS=up"


@each_layout
def test_boot_of_systemd(guest, receiver):
    """
    Steps: the guest says something of 200 units, one after the other, all from one port.
    Verify: all of it arrives, in order; the guest sees the end of each connection and no reset.
    """
    task = begin_to_notify(guest, "X_SYSTEMD_UNIT_ACTIVE=", N_UNITS)
    for i in range(N_UNITS):
        assert receiver.recv(1 << 20) == b"X_SYSTEMD_UNIT_ACTIVE=%d" % i
    assert task.finish() == 0, task.output
    assert task.output == "notified"


def test_receiver_is_gone(guest, receiver):
    """
    Steps: the receiver goes; the guest notifies.
    Verify: the guest's connect() fails.
    """
    receiver.close()
    task = begin_to_notify(guest, "READY=", 1)
    assert task.finish() != 0
    assert "ConnectionResetError" in task.output
