# SPDX-License-Identifier: BSD-3-Clause
"""Nobody listens: the answer comes at once. Patience is 2 s on both sides, and would show."""

import pytest

from framework import host
from framework.matrix import each_layout, each_setup
from framework.wait import AT_ONCE, fastest


@each_setup
def test_host_to_guest(guest):
    """
    Steps: the host says CONNECT for a port on which the guest does not listen.
    Verify: an end of file without a byte, sooner than the 2 s that vswd waits for an answer.
    """
    def refused():
        with pytest.raises(host.Refused):
            host.dial(guest.vm, 77)

    assert fastest(refused) < AT_ONCE


@each_setup
def test_guest_to_host(lab, guest):
    """
    Steps: the guest connects to ports of its host where there is no socket, a socket that nobody
        listens on any more, a file that is no socket.
    Verify: ECONNRESET, sooner than the 2 s after which the guest itself would say ETIMEDOUT.
    """
    lab.listen(guest.vm, 78).stop_listening()
    assert guest.vm.uds_of_port(78).is_socket()
    guest.vm.uds_of_port(79).touch()
    for port in 77, 78, 79:
        def refused():
            client = guest.begin(f"socat -u - VSOCK-CONNECT:2:{port}")
            assert client.finish() == 1
            assert "Connection reset by peer" in client.output

        assert fastest(refused) < AT_ONCE, f"port {port}"


@each_layout
def test_listener_that_comes_and_goes(lab, guest):
    """
    Steps: the guest connects before the host listens, while it does, after it did.
    Verify: refused, accepted, refused: nothing is cached.
    """
    connect = "socat -u - VSOCK-CONNECT:2:52"
    assert guest.begin(connect).finish() == 1
    listener = lab.listen(guest.vm, 52)
    guest.run("echo hello | " + connect)
    with listener.accept() as sock:
        assert host.read_all(sock) == b"hello\n"
    listener.close()
    assert guest.begin(connect).finish() == 1
