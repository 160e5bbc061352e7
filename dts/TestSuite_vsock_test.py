# SPDX-License-Identifier: BSD-3-Clause
"""The kernel's own vsock_test between guests."""

import pytest

from framework import vsock_test
from framework.pair import APART, TOGETHER, Pair

CONTROL_PORT = 1233 # of its client: its server's 1234 is the lowest that it uses
TUNNEL_PORT = 52000


@pytest.fixture(scope="module", params=["together", "apart"])
def pair(request):
    layout = {"together": TOGETHER, "apart": APART}[request.param]
    with Pair(f"vsock_test.{request.param}", ("uml", "uml"), layout) as a_pair:
        yield a_pair


@pytest.mark.parametrize("server_cid", [3, 4])
def test_streams(pair, server_cid):
    """
    Steps: run all tests but those of SEQPACKET, which vswd does not serve, with the server in one
        guest, the client in the other. Their TCP connection, by which the two take turns, goes
        through vsock, too.
    Verify: each test says ok, on both sides.
    """
    client, server = sorted(pair.guests, key=lambda guest: guest.vm.cid == server_cid)
    names = vsock_test.names()
    streams = [name for name in names.values() if "SEQPACKET" not in name]
    assert len(streams) >= 7
    skip = " ".join(f"--skip={i}" for i in names if names[i] not in streams)

    server.listen(TUNNEL_PORT, "TCP:127.0.0.1:1234")
    at_server = server.begin(f"{vsock_test.program()} --mode=server --control-port=1234 "
                             f"--peer-cid={client.vm.cid} {skip}")
    at_server.wait_for_output("Control socket listening on")
    tunnel = client.begin(f"socat -d -d TCP-LISTEN:{CONTROL_PORT},reuseaddr "
                          f"VSOCK-CONNECT:{server.vm.cid}:{TUNNEL_PORT}")
    tunnel.wait_for_output("listening on")
    at_client = client.begin(f"{vsock_test.program()} --mode=client --control-host=127.0.0.1 "
                             f"--control-port={CONTROL_PORT} --peer-cid={server.vm.cid} {skip}")
    vsock_test.verify_has_passed(at_client, streams)
    vsock_test.verify_has_passed(at_server, streams)
