# SPDX-License-Identifier: BSD-3-Clause
"""Clients in the wild: what programs of others send to a uds-path, byte by byte, and what they do
with what comes back. Real ones where Debian has them; the others are told by their sources:

    firecracker-go-sdk   vsock/dial.go; also firecracker-containerd and its snapshotter
    Kata Containers      runtime/virtcontainers/pkg/agent/protocols/client (Go),
                         runtime-rs/crates/agent/src/sock/hybrid_vsock.rs
    systemd              src/ssh-generator/ssh-proxy.c
    iperf3 with --vsock  github.com/stefano-garzarella/iperf-vsock
"""

import re
import shlex
import socket
import subprocess

import pytest

from framework import host
from framework.lab import Lab
from framework.ssh import Ssh
from framework.wait import DEADLINE, until

BANNER = b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n"
ECHO, GREETER, SINK = 7, 8, 9
N_PARALLEL = 16


@pytest.fixture(scope="module", params=["0", "0-1"], ids=["l0", "l0-1"])
def guest(request):
    """It echoes, greets and then echoes, and keeps what it gets in the file `got`."""
    with Lab(f"clients.{request.param}") as lab:
        a_guest = lab.guest("uml", lab.switch(3, lcores=request.param).vms[3])
        a_guest.listen(ECHO, "EXEC:cat", port_options=",fork")
        (lab.folder / "banner").write_bytes(BANNER)
        a_guest.listen(GREETER, f"SYSTEM:'cat {lab.folder}/banner -'", port_options=",fork")
        a_guest.listen(SINK, "CREATE:got", options="-u", port_options=",fork")
        yield a_guest


class Client:
    """A connection to the uds-path."""

    def __init__(self, guest):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(str(guest.vm.uds))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def read_to(self, size):
        """@return exactly so much."""
        return self.sock.recv(size, socket.MSG_WAITALL)


def firecracker_go_sdk(client, port):
    """bufio.NewReaderSize(conn, 32).ReadString('\\n'): one read, of which what is behind the newline
    is lost."""
    client.sock.sendall(b"CONNECT %d\n" % port)
    line = client.sock.recv(32).split(b"\n")[0] + b"\n"
    assert line.startswith(b"OK "), line


def kata_go(client, port):
    """A bufio.Reader of 4096 bytes, thrown away, too; the answer must contain OK."""
    client.sock.sendall(b"CONNECT %d\n" % port)
    assert b"OK" in client.sock.recv(4096).split(b"\n")[0]


def kata_rust(client, port):
    """Lower case. A BufReader of 8192 bytes, thrown away."""
    client.sock.sendall(b"connect %d\n" % port)
    assert b"OK" in client.sock.recv(8192).split(b"\n")[0]


def systemd(client, port):
    """Since v259: looks at 9 bytes, which is "OK 65535\\n", without taking them, and takes the line."""
    client.sock.sendall(b"CONNECT %d\n" % port)
    seen = client.sock.recv(9, socket.MSG_PEEK)
    assert seen != b"", "ECONNREFUSED"
    assert b"\n" in seen, f"EIO: {seen}"
    line = client.read_to(seen.index(b"\n") + 1)
    assert re.fullmatch(rb"OK \d+\n", line), line


def iperf3(client, port):
    """Byte by byte."""
    client.sock.sendall(b"CONNECT %d\n" % port)
    assert host.read_line(client.sock).startswith(b"OK ")


HANDSHAKES = [firecracker_go_sdk, kata_go, kata_rust, systemd, iperf3]
each_handshake = pytest.mark.parametrize("handshake", HANDSHAKES, ids=lambda f: f.__name__)


@each_handshake
def test_handshake(guest, handshake):
    """
    Steps: shake hands as the client does; send something to a guest that echoes.
    Verify: it comes back, and then an end of file for one.
    """
    with Client(guest) as client:
        handshake(client, ECHO)
        host.finish(client.sock, b"hello" * 10000)
        assert host.read_all(client.sock) == b"hello" * 10000


@each_handshake
def test_refused(guest, handshake):
    """
    Steps: shake hands with a port that nobody serves.
    Verify: an end of file without a byte.
    """
    with Client(guest) as client:
        with pytest.raises((AssertionError, IndexError)):
            handshake(client, 77)
        assert client.sock.recv(1) == b""


@each_handshake
def test_nothing_is_thrown_away_with_the_answer(guest, handshake):
    """
    Steps: connect to a port that greets at once; read nothing before the greeting must have come.
    Verify: the whole greeting is there after the handshake, also for clients that read as much as
        there is and throw away what is behind OK.
    """
    with Client(guest) as client:
        sent = client.sock.sendall
        # The handshake's own line goes out now, its reading begins when the guest has greeted.
        client.sock = Slow(client.sock, guest)
        handshake(client, GREETER)
        client.sock = client.sock.sock
        assert client.read_to(len(BANNER)) == BANNER
        sent(b"more")
        assert client.read_to(4) == b"more"


class Slow:
    """A socket whose first read comes when all that the guest had to say has passed vswd."""

    def __init__(self, sock, guest):
        self.sock = sock
        self._guest = guest
        self._is_first = True

    def sendall(self, data):
        self.sock.sendall(data)

    def recv(self, *args):
        if self._is_first:
            self._is_first = False
            # OK is there; what the guest sends next is behind the greeting in its ring, so that
            # the greeting was handled when it comes back. That of socat's child is soon there.
            until(lambda: self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"O", "OK")
            for _ in range(20):
                assert host.ask(self._guest.vm, ECHO, b"ping") == b"ping"
        return self.sock.recv(*args)


def test_systemd_passes_the_descriptor_unread(guest):
    """
    Steps: as ssh vsock-mux/PATH does it before v259: CONNECT is written and the descriptor handed on,
        with OK still in it.
    Verify: who gets the descriptor reads OK, then the guest's greeting.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with Client(guest) as client:
            client.sock.sendall(b"CONNECT %d\n" % GREETER)
            socket.send_fds(theirs, [b"\0"], [client.sock.fileno()])
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
    with socket.socket(fileno=fds[0]) as passed:
        passed.settimeout(DEADLINE)
        assert host.read_line(passed).startswith(b"OK ")
        assert host.read_line(passed) == BANNER


def test_ssh_reads_over_the_answer(guest):
    """
    Steps: real ssh with a ProxyCommand that is no more than CONNECT and cat, as vsock-mux/ before v259.
    Verify: it logs in: OpenSSH takes OK for a line before the banner.
    """
    ssh = Ssh(guest.lab)
    ssh.serve(guest)
    command = f"{{ echo CONNECT 22; cat; }} | socat -t 60 - UNIX-CONNECT:{guest.vm.uds}"
    done = ssh.run("ssh", "-o", f"ProxyCommand=sh -c {shlex.quote(command)}", "x", "echo hello")
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr


def pipe_through(argv, data):
    """@return what the program prints when it gets data and an end of file."""
    done = subprocess.run(argv, input=data, stdout=subprocess.PIPE, timeout=DEADLINE, check=True)
    return done.stdout


@pytest.mark.parametrize("argv", [
    ["socat", "-t", "60", "-", "UNIX-CONNECT:{}"],
    ["ncat", "-U", "{}"],
], ids=["socat", "ncat"])
def test_payload_in_the_same_write(guest, argv):
    """
    Steps: CONNECT, its newline and data in one write, then an end of file before OK was there, by
        real socat and ncat.
    Verify: OK and all that the guest echoes come.
    """
    argv = [word.format(guest.vm.uds) for word in argv]
    data = b"hi" * 3000
    answer = pipe_through(argv, b"CONNECT %d\n" % ECHO + data)
    assert re.fullmatch(rb"OK \d+\n" + data, answer), answer[:100]


def test_who_never_reads(guest):
    """
    Steps: socat -u, which shuts down its read side: it cannot even get OK.
    Verify: the guest gets the data.
    """
    guest.run("rm -f got")
    pipe_through(["socat", "-u", "-", f"UNIX-CONNECT:{guest.vm.uds}"],
                 b"CONNECT %d\nhello" % SINK)
    until(lambda: guest.run("cat got || true") == "hello", "the guest's file")


def test_who_shuts_its_read_side_and_is_talked_to(guest):
    """
    Steps: CONNECT to a port that greets, shut down the read side before OK and after it; send.
    Verify: the connection ends when the client closes, and vswd serves on.
    """
    for waits in False, True:
        with Client(guest) as client:
            client.sock.sendall(b"CONNECT %d\n" % GREETER)
            if waits:
                client.sock.recv(1, socket.MSG_PEEK)
            client.sock.shutdown(socket.SHUT_RD)
    assert host.ask(guest.vm, ECHO, b"ping") == b"ping"


def test_iperf3_server(guest):
    """
    Steps: a server binds <uds-path>_5201, is gone, and another unlinks and binds it; the guest connects
        16 times at once to that one port.
    Verify: all connections arrive at the second.
    """
    path = guest.vm.uds_of_port(5201)
    for _ in range(2):
        path.unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.listen(N_PARALLEL)
        server.settimeout(DEADLINE)
        guest.run(f"for i in $(seq {N_PARALLEL}); do echo $i | socat -u - VSOCK-CONNECT:2:5201 & done; "
                  "wait")
        got = []
        for _ in range(N_PARALLEL):
            with server.accept()[0] as sock:
                got.append(int(host.read_all(sock)))
        assert sorted(got) == list(range(1, N_PARALLEL + 1))
        server.close()
    path.unlink()


@pytest.mark.parametrize("said", [
    b"", b"CONNECT", b"CONNECT 7", b"CONNECT \n", b"CONNECT x\n", b"CONNECT 4294967296\n", b"\n",
    b"GET / HTTP/1.1\r\n", b"X" * 40, b"passfd\n",
], ids=repr)
def test_what_ended_others(guest, said):
    """
    Steps: say that, and close, with and without reading.
    Verify: no answer; vswd serves on.
    """
    for reads in False, True:
        with Client(guest) as client:
            client.sock.sendall(said)
            client.sock.shutdown(socket.SHUT_WR)
            assert not reads or client.sock.recv(99) == b""
    assert host.ask(guest.vm, ECHO, b"ping") == b"ping"


def test_redials_in_a_loop(guest):
    """
    Steps: 1500 dials of a port that nobody serves, as Kata does while a guest boots; then one that works.
    Verify: each is refused at once, the last is not.
    """
    for _ in range(1500):
        with pytest.raises(host.Refused):
            host.dial(guest.vm, 1024).close()
    assert host.ask(guest.vm, ECHO, b"ping") == b"ping"
