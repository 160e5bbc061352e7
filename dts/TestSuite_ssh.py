# SPDX-License-Identifier: BSD-3-Clause
"""ssh and scp to a guest without a network, by a real sshd: doc/guides/howto/ssh.md."""

import hashlib
import os

import pytest

from framework.lab import Lab
from framework.others import SYSTEMD_SSH_PROXY, has_systemd_ssh_proxy
from framework.paths import VSW
from framework.ssh import Ssh

MIB = 1 << 20


@pytest.fixture(scope="module")
def lab():
    with Lab("ssh") as a_lab:
        yield a_lab


@pytest.fixture(scope="module")
def guest(lab):
    """Its context id is 3, its name is web, and its sshd serves port 22."""
    switch = lab.switch(3, lcores="0-1", options={3: ",name=web"}, api=lab.folder / "vsw.api")
    return lab.guest("uml", switch.vms[3])


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
    Steps: ssh with vsw connect as ProxyCommand, by path, by CID and by name.
    Verify: the guest runs the command; ssh has its exit status.
    """
    verify_logs_in(ssh, guest, "-o", f"ProxyCommand={VSW} connect {guest.vm.uds} 22", "a")
    verify_logs_in(ssh, guest, "-o", "ProxyCommand=vsw connect --wait=30 3 %p", "b")
    verify_logs_in(ssh, guest, "-o", "ProxyCommand=vsw connect %h %p", "web")


def test_ssh_config(ssh, guest):
    """
    Steps: ssh vsw/3 and vsw%web, with nothing but what vsw ssh-config prints: by --fdpass.
    Verify: as above.
    """
    verify_logs_in(ssh, guest, "vsw/3")
    verify_logs_in(ssh, guest, "vsw%web")


@pytest.mark.skipif(not has_systemd_ssh_proxy(), reason="no systemd-ssh-proxy; it is systemd 257's")
def test_systemd_ssh_proxy(ssh, guest):
    """
    Steps: ssh vsock-mux/PATH by systemd's own program; to a port that nobody serves.
    Verify: it logs in as above; it fails.
    """
    proxy = ["-o", f"ProxyCommand={SYSTEMD_SSH_PROXY} %h %p", "-o", "ProxyUseFdpass=yes"]
    verify_logs_in(ssh, guest, *proxy, f"vsock-mux/{guest.vm.uds}")
    refused = ssh.run("ssh", *proxy, "-p", 23, f"vsock-mux/{guest.vm.uds}", "true")
    assert refused.returncode == 255, refused.stderr


def test_multiplexed(lab, ssh, guest):
    """
    Steps: a ControlMaster by --fdpass, two logins over it, and its end.
    Verify: one connection carries all.
    """
    options = ["-S", lab.folder / "master"]
    assert ssh.run("ssh", *options, "-M", "-f", "-N", "vsw%web").returncode == 0
    for n in range(2):
        done = ssh.run("ssh", *options, "-o", "ProxyCommand=false", "vsw%web", f"echo {n}")
        assert (done.returncode, done.stdout) == (0, f"{n}\n"), done.stderr
    assert ssh.run("ssh", *options, "-O", "exit", "vsw%web").returncode == 0


def test_refused(ssh, guest):
    """
    Steps: ssh to a guest that is not there, and to a port that nobody serves.
    Verify: ssh fails, and says what vsw says.
    """
    for args, says in ((("vsw/4",), "vswd has no guest 4"), (("vsw/db",), "vswd has no guest db"),
                       (("-p", 23, "vsw/3"), "refused port 23")):
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
    for source, target in (sent, "vsw%3:/mnt/data"), ("vsw%web:/mnt/data", back):
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
