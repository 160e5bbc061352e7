# SPDX-License-Identifier: BSD-3-Clause
"""Guests, VMMs and vswd come and go, in the middle of their traffic."""

import contextlib
import os
from concurrent import futures

import pytest

from framework import host
from framework.matrix import each_kind, each_layout, each_setup


def verify_works(lab, guest):
    """Both ways, with new connections."""
    data = os.urandom(200000)
    server = guest.listen(7, "EXEC:cat")
    assert host.ask(guest.vm, 7, data) == data
    assert server.finish() == 0
    listener = lab.listen(guest.vm, 52)
    client = guest.begin("echo hello from $(uname -r) | socat -t 60 - VSOCK-CONNECT:2:52")
    with listener.accept() as sock:
        assert host.read_all(sock).startswith(b"hello from ")
        host.finish(sock, b"hello from the host")
        assert client.finish() == 0
    assert client.output == "hello from the host"
    listener.close()


class Traffic:
    """Connections of each sort, as long as the guest lives: from the host and from the guest, idle
    and under load in both directions."""

    def __init__(self, lab, guest):
        guest.listen(1000, "EXEC:cat", port_options=",fork")
        listener = lab.listen(guest.vm, 1001)
        guest.begin("socat OPEN:/dev/zero VSOCK-CONNECT:2:1001")
        guest.begin("sleep 1000 | socat -t 60 - VSOCK-CONNECT:2:1001")
        socks = [lab.enter(sock) for sock in (listener.accept(), listener.accept(),
                                              host.dial(guest.vm, 1000), host.dial(guest.vm, 1000))]
        listener.close()
        idle, busy = socks[2:]
        host.send_all(idle, b"idle\n")
        assert host.read_line(idle) == b"idle\n"
        pool = futures.ThreadPoolExecutor()
        self._ends = [pool.submit(host.wait_for_end, sock) for sock in socks]
        self._ends.append(pool.submit(self._pour, busy))
        pool.shutdown(wait=False)

    @staticmethod
    def _pour(sock):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while True:
                host.send_all(sock, bytes(65536))

    def verify_ends(self):
        """All sockets of the host read their end. A deadline that passes is raised here."""
        for end in self._ends:
            end.result()


def waiting_guest(lab, guest):
    """@return the task of a guest's client that waits for what its host may say."""
    listener = lab.listen(guest.vm, 1002)
    client = guest.begin("socat -u VSOCK-CONNECT:2:1002 -")
    lab.enter(listener.accept())
    listener.close()
    return client


@each_setup
def test_vmm_killed(lab, guest):
    """
    Steps: kill -9 the VMM in the middle of its traffic; start it again on the same vswd.
    Verify: all connections of the old life end on the host; the new life works.
    """
    traffic = Traffic(lab, guest)
    guest.kill()
    traffic.verify_ends()
    guest.start()
    verify_works(lab, guest)


@each_kind
def test_power_off(lab, guest):
    """
    Steps: power off the guest from inside, in the middle of its traffic; connect to it; start it again.
    Verify: all connections end; refused while it is off; the new life works.
    """
    traffic = Traffic(lab, guest)
    guest.power_off()
    traffic.verify_ends()
    with pytest.raises(host.Refused):
        host.dial(guest.vm, 1000)
    guest.start()
    verify_works(lab, guest)


@each_layout
@pytest.mark.parametrize("kind", ["qemu"])
def test_reboot(lab, guest):
    """
    Steps: reboot the guest from inside, in the middle of its traffic. Twice.
    Verify: the VMM lives on; all connections of the old life end on the host; the new life works.
    """
    for n_boots in 2, 3:
        traffic = Traffic(lab, guest)
        guest.begin("busybox reboot -f")
        guest.wait_for_boot(n_boots)
        traffic.verify_ends()
        assert guest.process.is_alive()
        verify_works(lab, guest)


@each_layout
@pytest.mark.parametrize("kind", ["qemu"])
def test_stop_and_cont(lab, guest):
    """
    Steps: stop the VM by QEMU's monitor, in the middle of its traffic; connect to it; let it
        continue. Twice.
    Verify: connections end, as doc/guides/threads.md says; refused while stopped; usable after that.
    """
    for _ in range(2):
        traffic = Traffic(lab, guest)
        guest.monitor("stop")
        traffic.verify_ends()
        with pytest.raises(host.Refused):
            host.dial(guest.vm, 1000)
        guest.monitor("cont")
        guest.run("killall socat sleep; true")
        verify_works(lab, guest)


@each_layout
def test_uml_and_qemu_at_once(lab, lcores):
    """
    Steps: guests of two kinds on one vswd, both with traffic; kill one of them, start it again.
    Verify: each has its own ports and its own CID; the other's connections stay as they are.
    """
    switch = lab.switch(3, 4, lcores=lcores)
    uml, qemu = lab.guest("uml", switch.vms[3]), lab.guest("qemu", switch.vms[4])
    for guest in uml, qemu:
        guest.listen(5, f"SYSTEM:'echo {guest.name}; cat'", port_options=f",bind={guest.vm.cid}")
    with host.dial(uml.vm, 5) as to_uml, host.dial(qemu.vm, 5) as to_qemu:
        assert host.read_line(to_uml) == b"uml3\n"
        assert host.read_line(to_qemu) == b"qemu4\n"
        traffic = Traffic(lab, uml)
        verify_works(lab, qemu)
        uml.kill()
        traffic.verify_ends()
        host.send_all(to_qemu, b"still there?\n")
        assert host.read_line(to_qemu) == b"still there?\n"
    uml.start()
    for guest in uml, qemu:
        verify_works(lab, guest)


def test_ordinary_user(lab):
    """
    Steps: vswd and the guest's VMM run as nobody.
    Verify: everything works.
    """
    if os.geteuid() != 0:
        pytest.skip("all tests run as an ordinary user")
    lab.let_own("nobody")
    switch = lab.switch(user="nobody")
    guest = lab.guest("uml", switch.vms[3], user="nobody")
    assert switch.vms[3].uds.owner() == "nobody"
    verify_works(lab, guest)


@each_setup
def test_sigterm(lab, switch, guest):
    """
    Steps: SIGTERM for vswd in the middle of a guest's traffic.
    Verify: exit status 0; its sockets are gone; the hosts' connections end.
    """
    traffic = Traffic(lab, guest)
    assert switch.terminate() == 0
    switch.verify_sockets_are_gone()
    traffic.verify_ends()


def test_vswd_killed(lab, switch, guest):
    """
    Steps: kill -9 vswd, which leaves its sockets; start it again; boot a guest.
    Verify: the hosts' connections end; the new vswd takes the sockets over and works.
    """
    traffic = Traffic(lab, guest)
    switch.kill()
    traffic.verify_ends()
    guest.kill()
    assert guest.vm.uds.is_socket()
    verify_works(lab, lab.guest("uml", lab.switch().vms[3]))


VMM_LISTENS = {3: ",client=on"}


def start_again(lab, guest):
    """@return the vswd, which has come back to the VMM; that is not enough."""
    switch = lab.switch(options=VMM_LISTENS)
    switch.wait_for_vmm(3)
    with pytest.raises(host.Refused):
        host.dial(guest.vm, 1000)
    return switch


def test_vswd_restarts_under_a_vmm_that_listens(lab):
    """
    Steps: client=on. In the middle of the guest's traffic kill -9 vswd, start it again, bind the
        guest's driver anew. Kill it, bind the driver while it is away, start it, reset the VM.
        Terminate it, start it, stop and continue the VM.
    Verify: the hosts' connections end with vswd, the guest's when its driver starts anew or when
        vswd says goodbye; vswd comes back to the VMM by itself; refused until the rings were
        started again, then everything works.
    """
    switch = lab.switch(options=VMM_LISTENS)
    guest = lab.guest("qemu", switch.vms[3])
    traffic, client = Traffic(lab, guest), waiting_guest(lab, guest)
    switch.kill()
    traffic.verify_ends()
    switch = start_again(lab, guest)
    assert not client.has_ended()
    guest.bind_anew()
    client.finish()
    guest.run("killall socat sleep; true")
    verify_works(lab, guest)

    switch.kill()
    guest.bind_anew()
    switch = start_again(lab, guest)
    guest.monitor("system_reset")
    guest.wait_for_boot(2)
    verify_works(lab, guest)

    client = waiting_guest(lab, guest)
    assert switch.terminate() == 0
    client.finish()
    start_again(lab, guest)
    guest.monitor("stop")
    guest.monitor("cont")
    verify_works(lab, guest)


def test_vswd_restarts_under_a_vmm_that_connects(lab, switch):
    """
    Steps: kill -9 vswd, start it again; let the guest bind its driver anew; then take the device
        out of the running VM and plug in another one.
    Verify: refused after the first, for the VMM does not come back; the new device works.
    """
    guest = lab.guest("qemu", switch.vms[3])
    verify_works(lab, guest)
    switch.kill()
    switch = lab.switch()
    guest.bind_anew()
    with pytest.raises(host.Refused):
        host.dial(guest.vm, 1000)
    guest.plug_anew()
    switch.wait_for_vmm(3)
    verify_works(lab, guest)
