# SPDX-License-Identifier: BSD-3-Clause
"""ssh and scp to a guest without a network, by a real sshd: doc/guides/howto/ssh.md."""

import hashlib
import os

import pytest

from framework.lab import Lab
from framework.paths import VSW
from framework.ssh import Ssh

MIB = 1 << 20


@pytest.fixture(scope="module")
def lab():
    with Lab("ssh") as a_lab:
        yield a_lab


@pytest.fixture(scope="module")
def guest(lab):
    """Its context id is 3, and its sshd serves port 22."""
    return lab.guest("uml", lab.switch(3, lcores="0-1").vms[3])


@pytest.fixture(scope="module")
def ssh(lab, guest):
    an_ssh = Ssh(lab)
    an_ssh.serve(guest)
    return an_ssh


def verify_logs_in(ssh, guest, *args):
    done = ssh.run("ssh", *args, "uname -r; echo $SSH_CLIENT; exit 7")
    assert done.returncode == 7, done.stderr
    assert done.stdout.splitlines()[0] == guest.run("uname -r")


def test_proxy_command(ssh, guest):
    """
    Steps: ssh with vsw connect as ProxyCommand, by path and by CID.
    Verify: the guest runs the command; ssh has its exit status.
    """
    verify_logs_in(ssh, guest, "-o", f"ProxyCommand={VSW} connect {guest.vm.uds} 22", "a")
    verify_logs_in(ssh, guest, "-o", "ProxyCommand=vsw connect --wait=30 3 %p", "b")


def test_ssh_config(ssh, guest):
    """
    Steps: ssh vsw/3 and vsw%3, with nothing but what vsw ssh-config prints: by --fdpass.
    Verify: as above.
    """
    verify_logs_in(ssh, guest, "vsw/3")
    verify_logs_in(ssh, guest, "vsw%3")


def test_refused(ssh, guest):
    """
    Steps: ssh to a guest that is not there, and to a port that nobody serves.
    Verify: ssh fails, and says what vsw says.
    """
    for args, says in ((("vsw/4",), "cannot reach"), (("-p", 23, "vsw/3"), "refused port 23")):
        done = ssh.run("ssh", *args, "true")
        assert done.returncode == 255
        assert says in done.stderr


@pytest.mark.parametrize("options", [
    [], ["-o", "ProxyCommand=vsw connect %h %p", "-o", "ProxyUseFdpass=no"],
], ids=["fdpass", "pipes"])
def test_scp(lab, ssh, guest, options):
    """
    Steps: scp 64 MiB to the guest, and back, with the descriptor passed and by vsw connect's pipes.
    Verify: the guest has what was sent, and so has the host, by SHA-256.
    """
    data = os.urandom(64 * MIB)
    sent, back = lab.folder / "sent", lab.folder / "back"
    sent.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    for source, target in (sent, "vsw%3:/mnt/data"), ("vsw%3:/mnt/data", back):
        done = ssh.run("scp", *options, source, target)
        assert done.returncode == 0, done.stderr
    assert digest in guest.run("sha256sum /mnt/data")
    assert hashlib.sha256(back.read_bytes()).hexdigest() == digest
    guest.run("rm /mnt/data")


def test_many_sessions(lab, ssh, guest):
    """
    Steps: eight logins at once.
    Verify: all get their answer.
    """
    sessions = [lab.run(f"ssh{n}", ["ssh", "-F", ssh.config, "vsw/3", f"echo hello {n}"],
                        env=ssh.env) for n in range(8)]
    for n, session in enumerate(sessions):
        assert session.wait() == 0, session.output
        assert session.lines[-1] == f"hello {n}"
