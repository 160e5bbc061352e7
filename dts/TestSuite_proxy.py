# SPDX-License-Identifier: BSD-3-Clause
"""Programs that know nothing of vsock, by vsw proxy's IPv6 addresses: HTTP and Samba. The guest has
no network; the host's programs run in a network namespace. doc/guides/howto/proxy.md."""

import hashlib
import os
import shlex
import signal
import sys

import pytest

from framework.lab import Lab
from framework.netns import Netns
from framework.paths import VSW
from framework.samba import smbclient, smbd

MIB = 1 << 20
PREFIX = "fd00:abcd:ef12::"
PROXY = ["proxy", f"--prefix={PREFIX}/64"]
SIZE = 8 * MIB
# curl: while it connected; while it waited for the answer.
CURL_RESET = 7, 56


@pytest.fixture(scope="module")
def lab():
    with Lab("proxy") as a_lab:
        yield a_lab


@pytest.fixture(scope="module")
def guests(lab):
    """3 and 4."""
    booted = lab.guests(*[("uml", vm) for vm in lab.switch(3, 4, lcores="0-1").vms.values()])
    for guest in booted:
        guest.load_ipv6()
    return booted


@pytest.fixture
def host(lab):
    """A namespace for each test: smbd and vsw proxy cannot have port 445 both."""
    return Netns(lab)


@pytest.fixture
def vsw(lab, host):
    """Runs vsw on the host until the test has ended."""
    env = {**os.environ, "VSW_RUN_DIR": str(lab.folder)}

    def run(name, *args, ready):
        process = host.run(name, [VSW, *map(str, args)], env=env)
        process.wait_for_output(ready)
        return process

    return run


def stop(process):
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0, process.output


def begin_vsw(guest, *args, ready="is at vsock:"):
    """@return a Task, for end_vsw()."""
    task = guest.begin(f"echo pid $$; exec {shlex.join([guest.vsw, *args])}")
    task.wait_for_output(ready)
    return task


def begin_proxy(guest, ports):
    return begin_vsw(guest, *PROXY, f"--ports={ports}", ready="ready: ")


def end_vsw(guest, task):
    guest.run(f"kill {task.lines[0].removeprefix('pid ')}")
    assert task.finish() == 0, task.output


def make_file(path):
    data = os.urandom(SIZE)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def verify_fetches(run, url, digest):
    assert digest in run(f"curl -sS -g --max-time 60 {url} | sha256sum")


def run_in(host):
    def run(command):
        process = host.run("sh", ["sh", "-c", command])
        assert process.wait() == 0, process.output
        return process.output

    return run


def test_http_from_the_host(guests, host, vsw):
    """
    Steps: the guest's busybox serves a file by HTTP at its [::1]:80, vsw serve makes that its vsock
        port 80; the host's curl fetches http://[PREFIX::3]/ by vsw proxy.
    Verify: the file is what it was, by SHA-256; the route is gone with vsw proxy.
    """
    guest = guests[0]
    guest.run(f"mkdir -p www; head -c {SIZE} /dev/urandom >www/file; busybox httpd -p [::1]:80 -h www")
    digest = guest.run("sha256sum www/file").split()[0]
    serving = begin_vsw(guest, "serve", "80", "--to=tcp:[::1]:80")
    proxy = vsw("proxy", *PROXY, "--ports=80", ready="ready: ")
    verify_fetches(run_in(host), f"http://[{PREFIX}3]/file", digest)
    stop(proxy)
    assert PREFIX not in run_in(host)("ip -6 route show table local")
    end_vsw(guest, serving)


def test_http_from_a_guest(lab, guests, host, vsw):
    """
    Steps: the host's python3 serves a file at its [::1]:8000, vsw serve makes that a port of the host
        for guest 3; the guest's curl fetches http://[PREFIX::2]:8000/ by vsw proxy.
    Verify: the file is what it was, by SHA-256.
    """
    guest, _ = guests
    (lab.folder / "www").mkdir()
    digest = make_file(lab.folder / "www" / "file")
    run_in(host)("ip link set lo up")
    host.run("http.server", [sys.executable, "-m", "http.server", "--bind=::1", "8000"],
             cwd=lab.folder / "www")
    host.wait_for_listener(8000)
    serving = vsw("serve", "serve", "8000", "--guest=3", "--to=tcp:[::1]:8000", ready="is at 3:8000")
    proxy = begin_proxy(guest, "8000")
    verify_fetches(guest.run, f"http://[{PREFIX}2]:8000/file", digest)
    stop(serving)
    end_vsw(guest, proxy)
    assert "abcd" not in guest.run("cat /proc/net/ipv6_route")


def test_http_from_guest_to_guest(guests):
    """
    Steps: guest 4 serves HTTP at its vsock port 80, guest 3's curl fetches http://[PREFIX::4]:8080/,
        by vsw proxy --ports=8080:80, as a server of its own may have port 80.
    Verify: the file is what it was, by SHA-256; a CID that is not there is a reset.
    """
    asker, server = guests
    server.run(f"mkdir -p www; head -c {SIZE} /dev/urandom >www/file")
    digest = server.run("sha256sum www/file").split()[0]
    # inetd style.
    serving = begin_vsw(server, "serve", "80", "--", "busybox", "httpd", "-i", "-h", "www")
    proxy = begin_proxy(asker, "8080:80")
    verify_fetches(asker.run, f"http://[{PREFIX}4]:8080/file", digest)
    missing = asker.begin(f"curl -sS -g --max-time 60 http://[{PREFIX}9]:8080/file")
    assert missing.finish() in CURL_RESET, missing.output
    end_vsw(asker, proxy)
    end_vsw(server, serving)


def test_samba_of_the_host(lab, guests, host, vsw):
    """
    Steps: the talk's example: Samba at the host's [::1]:445; the guest's smbclient puts a file to
        //PREFIX::2/share and gets it back; then its kernel mounts the share.
    Verify: host and guest have what was sent, by SHA-256; so has the mount.
    """
    guest, _ = guests
    run_in(host)("ip link set lo up")
    share, folder = lab.folder / "share", lab.folder / "samba"
    share.mkdir()
    folder.mkdir()
    host.run("smbd", smbd(lab.folder / "smb.conf", folder, share))
    host.wait_for_listener(445)
    serving = vsw("serve", "serve", "445", "--guest=3", "--to=tcp:[::1]:445", ready="is at 3:445")
    proxy = begin_proxy(guest, "445")
    guest.run(f"head -c {SIZE} /dev/urandom >sent")
    guest.run(shlex.join(smbclient(f"{PREFIX}2", "put sent; get sent back; ls")))
    assert guest.run("sha256sum <sent") == guest.run("sha256sum <back")
    digest = hashlib.sha256((share / "sent").read_bytes()).hexdigest()
    assert digest in guest.run("sha256sum <sent")
    guest.load_cifs()
    # -i: what mount.cifs would look up is said here.
    guest.run(f"mkdir mounted; mount -i -t cifs //{PREFIX}2/share mounted "
              f"-o 'vers=3.0,sec=none,ip={PREFIX}2,unc=\\\\{PREFIX}2\\share'")
    assert digest in guest.run("sha256sum <mounted/sent")
    guest.run("cp mounted/sent mounted/again; umount mounted")
    assert hashlib.sha256((share / "again").read_bytes()).hexdigest() == digest
    stop(serving)
    end_vsw(guest, proxy)


def test_samba_of_a_guest(lab, guests, host, vsw):
    """
    Steps: Samba at a guest's [::1]:445; the host's smbclient puts a file to //PREFIX::3/share and
        gets it back.
    Verify: the host gets what it sent, by SHA-256; so has the guest.
    """
    guest, _ = guests
    guest.run("mkdir -p samba share")
    server = guest.begin(shlex.join(smbd(lab.folder / "guest.conf", "/mnt/samba", "/mnt/share")))
    serving = begin_vsw(guest, "serve", "445", "--to=tcp:[::1]:445")
    guest.run("for i in $(seq 600); do grep -q :01BD.*0A /proc/net/tcp6 && exit; sleep 0.1; done; "
              "exit 1")
    proxy = vsw("proxy", *PROXY, "--ports=445", ready="ready: ")
    digest = make_file(lab.folder / "sent")
    client = host.run("smbclient", smbclient(f"{PREFIX}3", "put sent; get sent back; ls"),
                      cwd=lab.folder)
    assert client.wait() == 0, client.output
    assert hashlib.sha256((lab.folder / "back").read_bytes()).hexdigest() == digest
    assert digest in guest.run("sha256sum share/sent")
    stop(proxy)
    end_vsw(guest, serving)
    assert server.status is None, server.output
