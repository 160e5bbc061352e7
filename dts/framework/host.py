# SPDX-License-Identifier: BSD-3-Clause
"""Applications of the host: AF_UNIX sockets that speak the hybrid protocol. Not vsw's own
client, so that the two check each other."""

import hashlib
import os
import socket

from .wait import DEADLINE, WaitedInVain


class Refused(Exception):
    """An end of file instead of OK."""


class _Socket(socket.socket):
    """A socket whose waits have a deadline and a name."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.settimeout(DEADLINE)


def dial(vm, port):
    """Connect to a guest's port. @return the socket, after OK."""
    sock = _Socket(socket.AF_UNIX)
    try:
        sock.connect(str(vm.uds))
        sock.sendall(f"CONNECT {port}\n".encode())
        answer = read_line(sock)
        if answer == b"":
            raise Refused(f"{vm.uds} refused port {port}")
        assert answer.startswith(b"OK ") and answer.endswith(b"\n"), answer
        return sock
    except BaseException:
        sock.close()
        raise


def read_line(sock):
    line = b""
    while not line.endswith(b"\n"):
        byte = receive(sock, 1)
        if byte == b"":
            break
        line += byte
    return line


def receive(sock, n, what="data"):
    try:
        return sock.recv(n)
    except TimeoutError:
        raise WaitedInVain(f"{what} on a socket of the host", DEADLINE) from None


def read_all(sock):
    """Until the end of file."""
    return b"".join(iter(lambda: receive(sock, 1 << 20, "an end of file"), b""))


def hash_all(sock):
    """As read_all. @return the SHA-256, how many bytes."""
    digest = hashlib.sha256()
    n = 0
    while data := receive(sock, 1 << 20, "an end of file"):
        digest.update(data)
        n += len(data)
    return digest.hexdigest(), n


def send_all(sock, data):
    try:
        sock.sendall(data)
    except TimeoutError:
        raise WaitedInVain(f"room for {len(data)} bytes on a socket of the host",
                           DEADLINE) from None


def finish(sock, data=b""):
    """Send the last data and an end of file."""
    send_all(sock, data)
    sock.shutdown(socket.SHUT_WR)


def wait_for_end(sock):
    """Until the other side has gone, in order or not; what it said is thrown away."""
    try:
        read_all(sock)
    except (ConnectionResetError, BrokenPipeError):
        pass


def ask(vm, port, request=b""):
    """@return the full reply to a request that ends with a half-close."""
    with dial(vm, port) as sock:
        finish(sock, request)
        return read_all(sock)


class Listener:
    """Listens where a guest's connections to a port of its host arrive."""

    def __init__(self, vm, port):
        self.path = vm.uds_of_port(port)
        self._sock = _Socket(socket.AF_UNIX)
        self._sock.bind(str(self.path))
        os.chmod(self.path, 0o777)
        self._sock.listen(128)

    def accept(self):
        try:
            fd, _ = self._sock._accept()
        except TimeoutError:
            raise WaitedInVain(f"a connection to {self.path}", DEADLINE) from None
        return _Socket(fileno=fd)

    def stop_listening(self):
        """The socket's file stays."""
        self._sock.close()

    def close(self):
        self.stop_listening()
        self.path.unlink(missing_ok=True)
