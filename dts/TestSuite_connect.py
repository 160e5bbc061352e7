# SPDX-License-Identifier: BSD-3-Clause
"""vsw connect: what its help promises."""

import os
import subprocess

import pytest

from framework import host
from framework.paths import VSW
from framework.wait import DEADLINE

OK, USAGE, UNREACHABLE, REFUSED, BROKEN = range(5)


def connect(*args, **options):
    return subprocess.run([VSW, "connect", *map(str, args)], timeout=DEADLINE,
                          capture_output="stdout" not in options,
                          **{"stdin": subprocess.DEVNULL, **options})


@pytest.mark.parametrize("args", [
    [], ["3"], ["3", "22", "more"], ["3", "ssh"], ["3", "-1"], ["3", "4294967296"],
    ["--wait=soon", "3", "22"], ["--no-such-option", "3", "22"], ["/" + "x" * 108, "22"],
], ids=" ".join)
def test_wrong_usage(args):
    """
    Steps: run it with wrong arguments.
    Verify: exit status 1, and a sentence that says what is wrong.
    """
    ran = connect(*args)
    assert ran.returncode == USAGE
    assert ran.stderr and not ran.stdout


def test_no_vswd(lab):
    """
    Steps: name a path without a socket, a socket that nobody listens on, one that does not say OK.
    Verify: exit status 2.
    """
    path = lab.folder / "vm3.vsock"
    assert connect(path, 22).returncode == UNREACHABLE
    server = lab.run("socat", ["socat", "-d", "-d", f"UNIX-LISTEN:{path},unlink-close=0",
                               "SYSTEM:'read line; echo hello'"])
    server.wait_for_output("listening on")
    assert connect(path, 22).returncode == UNREACHABLE
    server.wait()
    assert path.is_socket()
    assert connect(path, 22).returncode == UNREACHABLE


def test_no_guest(switch):
    """
    Steps: connect to a guest that does not run; the same with --wait=1.
    Verify: exit status 3.
    """
    assert connect(switch.vms[3].uds, 22).returncode == REFUSED
    assert connect("--wait=1", switch.vms[3].uds, 22).returncode == REFUSED


def test_statuses_with_a_guest(lab, guest):
    """
    Steps: connect to a port that the guest serves, also by CID; to one that nobody listens on; with
        standard output that takes nothing.
    Verify: exit status 0, with all of input and output; 3; 4.
    """
    request = os.urandom(1_000_000)
    guest.listen(7, "EXEC:cat", port_options=",fork")
    by_path = connect(guest.vm.uds, 7, stdin=None, input=request)
    assert (by_path.returncode, by_path.stdout, by_path.stderr) == (OK, request, b"")
    by_cid = connect(3, 7, stdin=None, input=request,
                     env={**os.environ, "VSW_RUN_DIR": str(lab.folder)})
    assert (by_cid.returncode, by_cid.stdout) == (OK, request)
    refused = connect(guest.vm.uds, 77)
    assert refused.returncode == REFUSED and b"port 77" in refused.stderr
    with open("/dev/full", "wb") as full:
        broken = connect(guest.vm.uds, 7, stdin=None, input=request, stdout=full)
    assert broken.returncode == BROKEN


def test_wait(lab, switch):
    """
    Steps: start vsw connect --wait, then boot the guest, then let it listen.
    Verify: exit status 0 and the guest's line.
    """
    vm = switch.vms[3]
    client = lab.run("vsw", [VSW, "connect", f"--wait={DEADLINE}", vm.uds, "1234"])
    guest = lab.guest("uml", vm)
    assert client.is_alive()
    guest.listen(1234, "SYSTEM:'echo hello'")
    assert client.wait() == OK
    assert client.lines == ["hello"]


def test_end_of_the_guest(lab, guest):
    """
    Steps: kill the guest's VMM while vsw connect is connected.
    Verify: vsw connect ends.
    """
    guest.listen(7, "SYSTEM:'echo hello; cat'")
    stdin, held_open = os.pipe()
    client = lab.run("vsw", [VSW, "connect", guest.vm.uds, "7"], stdin=stdin)
    try:
        client.wait_for_output("hello")
        guest.kill()
        assert client.wait() in (OK, BROKEN)
    finally:
        os.close(stdin)
        os.close(held_open)
