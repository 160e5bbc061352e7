# SPDX-License-Identifier: BSD-3-Clause
"""README.md's lines: socat in the guest, vsw connect and socat on the host."""

from framework.matrix import each_setup
from framework.paths import VSW
from framework.wait import until


@each_setup
def test_host_to_guest(lab, guest):
    """
    Steps: the guest listens, the host runs vsw connect.
    Verify: the guest's lines arrive, after which vsw connect ends with status 0.
    """
    guest.listen(1234, "SYSTEM:'echo hello from; uname -r'")
    client = lab.run("vsw", [VSW, "connect", guest.vm.uds, "1234"])
    assert client.wait() == 0
    assert client.lines == ["hello from", guest.run("uname -r")]


@each_setup
def test_guest_to_host(lab, guest):
    """
    Steps: the host's socat listens at <uds-path>_52, the guest's socat connects to CID 2, port 52.
    Verify: the host's socat gets the guest's line and ends.
    """
    server = lab.run("socat", ["socat", "-u", f"UNIX-LISTEN:{guest.vm.uds_of_port(52)}", "-"])
    until(guest.vm.uds_of_port(52).is_socket, "socat's socket")
    guest.run("echo hello from $(uname -r) | socat -u - VSOCK-CONNECT:2:52")
    assert server.wait() == 0
    assert server.lines == ["hello from " + guest.run("uname -r")]
