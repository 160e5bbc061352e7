# SPDX-License-Identifier: BSD-3-Clause
"""iperf3 over vsock, as in doc/guides/performance.md. Skipped unless the iperf3 on PATH has --vsock:
https://github.com/stefano-garzarella/iperf-vsock."""

import json
import shlex

import pytest

from framework.others import IPERF3, has_iperf3_with_vsock

SIZE = 64 << 20
SERVE = [IPERF3, "--vsock", "--forceflush", "-s", "-1"]
LOAD = [IPERF3, "--vsock", "-J", "-P", "2", "-n", str(SIZE), "-c"]
LISTENING = "Server listening"

pytestmark = pytest.mark.skipif(not has_iperf3_with_vsock(), reason="no iperf3 with --vsock")


def verify_received(report):
    """Its server stops when its client has sent all, without the last that is on its way."""
    received = json.loads(report)["end"]["sum_received"]["bytes"]
    assert received > SIZE / 2, report


def test_host_to_guest(lab, guest):
    """
    Steps: the guest serves, the host's client sends 64 MiB over two streams.
    Verify: both end well; the report says that it was received.
    """
    server = guest.begin(shlex.join(SERVE))
    server.wait_for_output(LISTENING)
    client = lab.run("iperf3", [*LOAD, guest.vm.uds])
    assert client.wait() == 0
    verify_received(client.output)
    assert server.finish() == 0


def test_guest_to_host(lab, guest):
    """
    Steps: as above, the other way.
    Verify: as above.
    """
    server = lab.run("iperf3", [*SERVE, "-B", guest.vm.uds])
    server.wait_for_output(LISTENING)
    verify_received(guest.run(shlex.join([*LOAD, "2"])))
    assert server.wait() == 0


def test_siblings(lab):
    """
    Steps: as above, from guest to guest.
    Verify: as above.
    """
    guests = lab.guests(*[("uml", vm) for vm in lab.switch(3, 4).vms.values()])
    for client, server in guests, reversed(guests):
        serving = server.begin(shlex.join(SERVE))
        serving.wait_for_output(LISTENING)
        verify_received(client.run(shlex.join([*LOAD, f"s{server.vm.cid}"])))
        assert serving.finish() == 0
