# SPDX-License-Identifier: BSD-3-Clause
"""Guests talk to each other by context id.

Not to themselves: Linux's virtio driver sends nothing to its own CID (ENODEV), so that vswd's
hairpin is for guests that are not Linux, and for the synthetic ones of test/daemon to prove."""

import re
import time

import pytest

from framework.pair import APART, TOGETHER, Pair
from framework.wait import AT_ONCE, fastest

MIB = 1 << 20
SETUPS = {
    "uml-uml-together": (("uml", "uml"), TOGETHER),
    "uml-uml-apart": (("uml", "uml"), APART),
    "uml-qemu-apart": (("uml", "qemu"), APART),
}
N_PARALLEL = 20
# A guest that says nothing after its peer has closed is reset after 8 s; here nobody waits.
END_DEADLINE = 5


# QEMU's guests are slow: with them only what depends on the guest's kind.
each_pair = pytest.mark.parametrize("booted_pair", SETUPS, indirect=True, scope="module")
each_uml_pair = pytest.mark.parametrize(
    "booted_pair", [setup for setup in SETUPS if "qemu" not in setup], indirect=True,
    scope="module")


@pytest.fixture(scope="module")
def booted_pair(request):
    with Pair(f"sibling.{request.param}", *SETUPS[request.param]) as a_pair:
        yield a_pair


@pytest.fixture
def pair(booted_pair):
    booted_pair.repair()
    return booted_pair


def connect_to(guest, port):
    return f"VSOCK-CONNECT:{guest.vm.cid}:{port}"


def hash_in(output):
    found = re.search(r"\b[0-9a-f]{64}\b", output)
    assert found, f"no SHA-256 in: {output}"
    return found[0]


def make_data(guest, size):
    """Random bytes in the guest's file `data`. @return their SHA-256."""
    return hash_in(guest.run(f"head -c {size} /dev/urandom >data; sha256sum data"))


def verify_hello(asker, server, port):
    task = server.listen(port, f"SYSTEM:'echo hello from {server.name}; cat'")
    said = asker.run(f"echo hello from {asker.name} | socat -t 60 - {connect_to(server, port)}")
    assert said.splitlines() == [f"hello from {server.name}", f"hello from {asker.name}"]
    assert task.finish() == 0
    assert f"cid:{asker.vm.cid} " in task.output, "the peer's context id is another"


def verify_is_refused(asker, cid, port):
    def refused():
        client = asker.begin(f"socat -u - VSOCK-CONNECT:{cid}:{port}")
        assert client.finish() == 1
        assert "Connection reset by peer" in client.output

    assert fastest(refused) < AT_ONCE, f"CID {cid}, port {port}"


@each_pair
def test_hello(pair):
    """
    Steps: each guest listens, the other connects by its CID.
    Verify: both get the other's line; who accepts sees the CID of who connects.
    """
    for asker, server in pair.each_way():
        verify_hello(asker, server, 100)


@each_pair
def test_much_both_ways_at_once(pair):
    """
    Steps: over one connection each guest sends random data, 64 MiB (16 from and to QEMU), while it
        receives the other's.
    Verify: each receives what the other has sent, by SHA-256.
    """
    asker, server = pair.guests
    size = (16 if "qemu" in (asker.kind, server.kind) else 64) * MIB
    sent = [make_data(guest, size) for guest in pair.guests]
    # Two processes share the socket. A socat that writes does not read: two could wait for ever.
    swap = f"SYSTEM:'cat data & head -c {size} | sha256sum >&2; wait',nofork"
    at_server = server.listen(101, swap)
    at_asker = asker.begin(f"socat {connect_to(server, 101)} {swap}")
    assert at_asker.finish() == 0
    assert at_server.finish() == 0
    assert [hash_in(at_server.output), hash_in(at_asker.output)] == sent


@each_pair
def test_half_close(pair):
    """
    Steps: a guest sends a request and shuts down its write side; the other reads up to the end of
        file, then replies with the request's SHA-256 and a file.
    Verify: all of both arrives, then an end of file.
    """
    for asker, server in pair.each_way():
        reply = make_data(server, 1_000_000)
        request = make_data(asker, 300_000)
        server.listen(102, "SYSTEM:'sha256sum; cat data'")
        asker.run(f"socat -t 60 - {connect_to(server, 102)} <data >reply")
        assert hash_in(asker.run("head -n 1 reply")) == request
        assert hash_in(asker.run("tail -n +2 reply | sha256sum")) == reply


@each_uml_pair
def test_refused(pair):
    """
    Steps: a guest connects to a port on which the other does not listen; to a guest that does not
        run; to a CID that nobody has.
    Verify: ECONNRESET, sooner than the 2 s after which Linux would say ETIMEDOUT.
    """
    for asker, server in pair.each_way():
        for cid in server.vm.cid, 5, 99:
            verify_is_refused(asker, cid, 77)


@each_uml_pair
def test_parallel(pair):
    """
    Steps: 20 connections in each direction at once, each with data of its own, which comes back.
    Verify: each gets back what it sent.
    """
    clients = []
    for asker, server in pair.each_way():
        server.listen(103, "EXEC:cat", port_options=",fork")
        asker.run(f"for i in $(seq {N_PARALLEL}); do head -c 20000 /dev/urandom >sent$i; done")
        clients.append((
            asker,
            f"for i in $(seq {N_PARALLEL}); do "
            f"socat -t 60 - {connect_to(server, 103)} <sent$i >received$i & "
            "done; wait; "
            f"for i in $(seq {N_PARALLEL}); do cmp sent$i received$i && echo same; done"))
    for task in [asker.begin(command) for asker, command in clients]:
        assert task.finish() == 0
        assert task.lines.count("same") == N_PARALLEL, task.output


def begin_traffic(leaver, stayer):
    """@return tasks of stayer, each at one end of a connection with leaver: opened by either,
    pouring data in either direction, and one idle."""
    leaver.listen(106, "OPEN:/dev/null", options="-u", port_options=",fork")
    leaver.listen(107, "OPEN:/dev/zero", options="-U", port_options=",fork")
    leaver.listen(108, "SYSTEM:'sleep 1000'", options="-U", port_options=",fork")
    tasks = [stayer.begin(f"socat -d -d -u -b 65536 OPEN:/dev/zero {connect_to(leaver, 106)}"),
             stayer.begin(f"socat -d -d -u {connect_to(leaver, 107)} OPEN:/dev/null"),
             stayer.begin(f"socat -d -d -u {connect_to(leaver, 108)} -"),
             stayer.listen(109, "OPEN:/dev/null", options="-u")]
    leaver.begin(f"socat -u -b 65536 OPEN:/dev/zero {connect_to(stayer, 109)}")
    for task in tasks:
        task.wait_for_output("starting data transfer")
    return tasks


def verify_ends(tasks):
    end = time.monotonic() + END_DEADLINE
    for task in tasks:
        task.finish(max(0, end - time.monotonic()))


@each_pair
def test_killed(pair):
    """
    Steps: kill -9 a guest's VMM in the middle of its traffic with the other; connect to it; start it
        again.
    Verify: the other sees the end of each connection at once; refused; both ways work again.
    """
    leaver, stayer = pair.guests
    tasks = begin_traffic(leaver, stayer)
    leaver.kill()
    verify_ends(tasks)
    verify_is_refused(stayer, leaver.vm.cid, 106)
    leaver.start()
    for asker, server in pair.each_way():
        verify_hello(asker, server, 110)


@each_pair
def test_reboot(pair):
    """
    Steps: reboot a guest from inside, in the middle of its traffic with the other.
    Verify: the other sees the end of each connection; both ways work again.
    """
    stayer, leaver = pair.guests
    tasks = begin_traffic(leaver, stayer)
    n_boots = leaver.agent.n_boots
    leaver.begin("busybox reboot -f")
    leaver.wait_for_boot(n_boots + 1)
    verify_ends(tasks)
    for asker, server in pair.each_way():
        verify_hello(asker, server, 111)


def test_groups(lab):
    """
    Steps: of three guests one shares a group with each of the others; all listen.
    Verify: the two without a common group refuse each other, at once; the third reaches both.
    """
    switch = lab.switch(lcores="0", options={3: ",groups=red", 4: ",groups=blue",
                                             5: ",groups=blue+red"})
    guests = lab.guests(*[("uml", vm) for vm in switch.vms.values()])
    red, blue, both = guests
    red.listen(112, "-")
    blue.listen(112, "-")
    verify_is_refused(red, 4, 112)
    verify_is_refused(blue, 3, 112)
    for guest in red, blue:
        verify_hello(both, guest, 113)
        verify_hello(guest, both, 113)
