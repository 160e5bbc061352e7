#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The relay of vsw, by vsw forward, serve and connect: on a real vswd with a synthetic guest, and, for what
has nothing to do with vsock, between sockets of the host."""

import array
import os
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

from daemon import VSW, WAIT, DaemonCase, end, wait_for
from relay import Relay

CONFIG = """\
vms:
  - {guest_cid: 3, name: web, socket: $/vm3.vhost, uds_path: $/w.vsock}
"""
MIB = 1 << 20
N_MANY = 3000


class Peer(socket.socket):
    """A stream socket whose waits end."""

    def __init__(self, family=socket.AF_UNIX, **kwargs):
        super().__init__(family, **kwargs)
        self.settimeout(WAIT)

    def read_all(self):
        return b"".join(iter(lambda: self.recv(1 << 16), b""))

    def take(self):
        fd, _ = self._accept()
        return Peer(self.family, fileno=fd)


def dial(address):
    peer = Peer(socket.AF_INET6 if isinstance(address, tuple) else socket.AF_UNIX)
    peer.connect(address)
    return peer


class Between(unittest.TestCase):
    """Two AF_UNIX sockets, or TCP."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="vsw-test-")
        self.at, self.service = f"{self.folder.name}/at", f"{self.folder.name}/service"
        self.listener = Peer()
        self.listener.bind(self.service)
        self.listener.listen(1024)

    def tearDown(self):
        self.listener.close()
        self.assertFalse(os.path.exists(self.at), "its socket is still there")
        self.folder.cleanup()

    def forward(self, at=None):
        return Relay("forward", f"unix:{self.service}", at or f"unix:{self.at}")

    def pair(self):
        near = dial(self.at)
        return near, self.listener.take()

    def test_each_way_ends_on_its_own(self):
        with self.forward():
            for first, second in (0, 1), (1, 0):
                ends = self.pair()
                ends[first].sendall(b"request")
                ends[first].shutdown(socket.SHUT_WR)
                self.assertEqual(b"request", ends[second].read_all())
                ends[second].sendall(b"reply" * 10000)
                ends[second].close()
                self.assertEqual(50000, len(ends[first].read_all()))
                ends[first].close()

    def test_much_both_ways_at_once(self):
        data = [os.urandom(8 * MIB), os.urandom(8 * MIB)]
        with self.forward():
            ends = self.pair()

            def send(i):
                ends[i].sendall(data[i])
                ends[i].shutdown(socket.SHUT_WR)

            senders = [threading.Thread(target=send, args=[i]) for i in range(2)]
            got = [None, None]

            def read(i):
                got[i] = ends[i].read_all()

            readers = [threading.Thread(target=read, args=[i]) for i in range(2)]
            for thread in senders + readers:
                thread.start()
            for thread in senders + readers:
                thread.join()
            self.assertTrue(got == data[::-1])
            for peer in ends:
                peer.close()

    def test_a_reader_that_waits_makes_the_writer_wait(self):
        with self.forward() as relay:
            near, far = self.pair()
            near.setblocking(False)
            sent = 0
            with self.assertRaises(BlockingIOError):
                while sent < 100 * MIB:
                    sent += near.send(b"x" * 65536)
            # It sleeps until the reader reads, and serves others.
            wait_for(relay.is_asleep, "the relay to sleep")
            other, its = self.pair()
            other.sendall(b"hello")
            self.assertEqual(b"hello", its.recv(5))
            wait_for(relay.is_asleep, "the relay to sleep")
            near.setblocking(True)
            near.shutdown(socket.SHUT_WR)
            self.assertEqual(sent, len(far.read_all()))
            for peer in near, far, other, its:
                peer.close()

    def test_who_goes_is_missed(self):
        with self.forward() as relay:
            idle = relay.n_descriptors()
            for goes, stays in (0, 1), (1, 0):
                ends = self.pair()
                ends[goes].close()
                self.assertEqual(b"", ends[stays].recv(1))
                wait_for(lambda: relay.n_descriptors() == idle, "the pair to be closed")
                with self.assertRaises(BrokenPipeError):
                    ends[stays].sendall(b"x")
                ends[stays].close()

    def test_who_said_its_last_and_goes_is_missed(self):
        with self.forward() as relay:
            idle = relay.n_descriptors()
            near, far = self.pair()
            near.shutdown(socket.SHUT_WR)
            self.assertEqual(b"", far.recv(1))
            wait_for(relay.is_asleep, "the relay to sleep")
            near.close()
            wait_for(lambda: relay.n_descriptors() == idle, "the pair to be closed")
            far.close()

    def test_thousands(self):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 3 * N_MANY:
            self.skipTest(f"{hard} descriptors are too few")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        with self.forward() as relay:
            idle = relay.n_descriptors()
            pairs = [self.pair() for _ in range(N_MANY)]
            for i, (near, far) in enumerate(pairs):
                near.sendall(b"%d" % i)
                far.sendall(b"%d" % -i)
            for i, (near, far) in enumerate(pairs):
                self.assertEqual((b"%d" % i, b"%d" % -i), (far.recv(99), near.recv(99)))
            for near, far in pairs:
                near.close()
                far.close()
            wait_for(lambda: relay.n_descriptors() == idle, "all to be closed")

    def test_tcp(self):
        with self.forward("tcp:[::1]:19555"):
            with dial(("::1", 19555)) as near, self.listener.take() as far:
                near.sendall(b"hello")
                self.assertEqual(b"hello", far.recv(5))
                far.sendall(b"there")
                far.close()
                self.assertEqual(b"there", near.read_all())
        self.listener.close()
        with self.forward("tcp:127.0.0.1:19556") as relay:
            with self.assertRaises(ConnectionResetError):
                with socket.create_connection(("127.0.0.1", 19556), WAIT) as near:
                    near.recv(1)
            relay.wait_to_say(f"cannot reach {self.service}: Connection refused")

    def test_more_than_the_queue_of_the_service(self):
        self.listener.listen(1)
        with self.forward():
            peers = [dial(self.at) for _ in range(50)]
            for peer in peers:
                peer.sendall(b"hello")
            for _ in peers:
                with self.listener.take() as far:
                    self.assertEqual(b"hello", far.recv(5))
            for peer in peers:
                self.assertEqual(b"", peer.read_all())
                peer.close()

    def test_too_few_descriptors_make_wait(self):
        with self.forward() as relay:
            n = relay.n_descriptors() + 4
            subprocess.run(["prlimit", f"--nofile={n}:{n}", f"--pid={relay.pid}"], check=True)
            pairs = [self.pair(), self.pair()]
            third = dial(self.at)
            relay.wait_to_say("no descriptor is left for another connection")
            wait_for(relay.is_asleep, "the relay to sleep")
            for peer in pairs[0]:
                peer.close()
            with self.listener.take() as far:
                third.sendall(b"hello")
                self.assertEqual(b"hello", far.recv(5))
            for peer in *pairs[1], third:
                peer.close()

    def test_a_stale_socket_is_replaced_and_a_live_one_is_not(self):
        with Peer() as stale:
            stale.bind(self.at)
        with self.forward():
            done = subprocess.run([VSW, "forward", f"unix:{self.service}", f"unix:{self.at}"],
                                  stderr=subprocess.PIPE, text=True, timeout=WAIT, check=False)
            self.assertEqual((2, f"vsw forward: cannot listen at unix:{self.at}: somebody else "
                              "does already\n"), (done.returncode, done.stderr))
            for peer in self.pair():
                peer.close()

    def test_signals_end_it(self):
        for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
            relay = self.forward()
            ends = self.pair()
            self.assertEqual(0, relay.end(number))
            for peer in ends:
                self.assertEqual(b"", peer.recv(1))
                peer.close()


class WithGuest(DaemonCase):
    """Guest 3, whose name is web, echoes on port 1000."""

    CONFIG = CONFIG

    def setUp(self):
        super().setUp()
        self.serve(3)
        self.at = f"{self.d.folder}/at"

    def vsw(self, *args):
        return Relay(*args, env=self.d.env)

    def verify_echo(self, address=None, data=b"hello" * MIB):
        with dial(address or self.at) as peer:
            sender = threading.Thread(target=lambda: (peer.sendall(data),
                                                      peer.shutdown(socket.SHUT_WR)))
            sender.start()
            back = peer.read_all()
            sender.join()
        self.assertTrue(back == data, f"{len(back)} bytes of {len(data)}, or others")

    def fails(self, status, says, *args):
        done = self.d.vsw(*args, status=status)
        self.assertIn(says, done.stderr)
        self.assertEqual(1, done.stderr.count("\n"), done.stderr)

    def test_forward_from_a_guest(self):
        for service in "web:1000", "3:1000", f"{self.d.folder}/w.vsock:1000":
            with self.vsw("forward", service, f"unix:{self.at}"):
                self.verify_echo()

    def test_forward_to_a_guest_and_serve(self):
        """Where vswd connects for port 52 of CID 2 is where a host's program may, too."""
        with Peer() as service:
            service.bind(self.at)
            service.listen()
            for args in (("forward", f"unix:{self.at}", "web:52"),
                         ("serve", "52", "--guest=web", f"--to=unix:{self.at}")):
                with self.vsw(*args):
                    with dial(f"{self.d.folder}/w.vsock_52") as near, service.take() as far:
                        near.sendall(b"hello")
                        self.assertEqual(b"hello", far.recv(5))
                self.assertFalse(os.path.exists(f"{self.d.folder}/w.vsock_52"))

    def test_serve_commands(self):
        port = f"{self.d.folder}/w.vsock_53"
        with self.vsw("serve", "53", "--guest=3", "--max=2", "--", "sh", "-c",
                      "exec 2>&-; echo $$; exec cat") as relay:
            first, second, third = dial(port), dial(port), dial(port)
            pids = {int(peer.recv(100)) for peer in (first, second)}
            self.assertEqual(2, len(pids))
            third.settimeout(0)
            with self.assertRaises(BlockingIOError):
                third.recv(1)
            third.settimeout(WAIT)
            first.sendall(b"hello")
            first.shutdown(socket.SHUT_WR)
            self.assertEqual(b"hello", first.read_all())
            self.assertNotIn(int(third.recv(100)), pids)
            self.assertEqual(0, relay.end())
            second.sendall(b"I live on")
            self.assertEqual(b"I live on", second.recv(9))
            for peer in first, second, third:
                peer.close()
        with self.vsw("serve", "53", "--guest=3", "--", "/no/such/command") as relay:
            with dial(port) as peer:
                self.assertEqual(b"", peer.read_all())
            relay.wait_to_say("cannot run /no/such/command: No such file or directory")

    def test_serve_on_the_host_without_a_guest(self):
        """It may be meant, for the machine's own AF_VSOCK; more likely --guest was forgotten."""
        serving = subprocess.Popen([VSW, "serve", "53", "--", "cat"], stderr=subprocess.PIPE,
                                   text=True, env=self.d.env)
        said = serving.stderr.readline()
        end(serving)
        serving.stderr.close()
        self.assertEqual("vsw serve: this is no port for guests of the vswd here; that takes "
                         "--guest\n", said)

    def test_several_from_a_file(self):
        path = f"{self.d.folder}/forwards"
        with open(path, "w", encoding="ascii") as f:
            f.write(f"# what\n\n  web:1000\tunix:{self.at}1 # where\nweb:1000 unix:{self.at}2\n")
        with self.vsw("forward", "--file", path) as relay:
            relay.wait_to_say(f"{self.at}2")
            self.verify_echo(self.at + "1")
            self.verify_echo(self.at + "2")
        for text, says in ((f"web:1 unix:{self.at}\nweb:1\n", f"{path}:2: a line is SERVICE AT"),
                           ("web:1 a b\n", f"{path}:1: a line is SERVICE AT"),
                           ("# none\n", f"{path}: there is nothing in it"),
                           ("web:x unix:/x\n", f"{path}:1: web:x is wrong: the port")):
            with open(path, "w", encoding="ascii") as f:
                f.write(text)
            self.fails(1, says, "forward", "--file", path)
        with open(path, "w", encoding="ascii") as f:
            f.write("# where nobody can listen\nweb:1 unix:/nowhere/x\n")
        self.fails(2, f"{path}:2: cannot listen at unix:/nowhere/x: No such file", "forward",
                   "--file", path)

    def test_a_file_of_that_name_is_no_guest(self):
        os.mkdir(f"{self.d.folder}/web")
        done = subprocess.run([VSW, "connect", "web", "1000"], input=b"hello", env=self.d.env,
                              stdout=subprocess.PIPE, cwd=self.d.folder, timeout=WAIT, check=False)
        os.rmdir(f"{self.d.folder}/web")
        self.assertEqual((0, b"hello"), (done.returncode, done.stdout))

    def test_names_take_the_api(self):
        env = dict(self.d.env, VSW_API="/nowhere")
        for args, says in (
                (("web", "1000"), "web:1000: no vswd answers at /nowhere, which would know where "
                 "guest web is"),
                (("77", "1"), f"77:1: there is no {self.d.folder}/vm77.vsock, and no vswd answers "
                 "at /nowhere")):
            done = subprocess.run([VSW, "connect", *args], stderr=subprocess.PIPE, text=True,
                                  stdin=subprocess.DEVNULL, timeout=WAIT, env=env, check=False)
            self.assertEqual(2, done.returncode)
            self.assertIn(f"cannot reach {says}", done.stderr)

    def test_connect_without_standard_input_or_output(self):
        for redirection, status, says in (
                ("<&-", 0, ""),
                (">&-", 4, "vsw connect: standard output: Bad file descriptor\n"),
                (">/dev/full", 4, "vsw connect: standard output: No space left on device\n")):
            with self.subTest(redirection):
                done = subprocess.run(
                    ["sh", "-c", f'exec "$0" connect web 1000 {redirection}', VSW], input="hello",
                    stderr=subprocess.PIPE, text=True, timeout=WAIT, env=self.d.env, check=False)
                self.assertEqual((status, says), (done.returncode, done.stderr))

    def test_mistakes(self):
        for status, says, *args in (
                (1, "it takes SERVICE and AT, or --file=FILE", "forward", "web:1"),
                (1, "it takes SERVICE and AT, or --file=FILE", "forward", "-f", "x", "a:1", "b:1"),
                (1, "/nowhere: No such file", "forward", "-f", "/nowhere"),
                (1, "tcp:1 is wrong: it is tcp:HOST:PORT", "forward", "web:1", "tcp:1"),
                (1, "tcp:[::1]:65536 is wrong", "forward", "web:1", "tcp:[::1]:65536"),
                (1, "unix: is wrong", "forward", "web:1", "unix:"),
                (1, "vsock:x:1 is wrong", "forward", "vsock:x:1", "unix:/x"),
                (1, "vsock:1 is where one listens", "forward", "vsock:1", "unix:/x"),
                (1, "web is wrong: an endpoint is", "forward", "web", "unix:/x"),
                (1, "the guest has no name", "connect", ":1"),
                (1, "it takes PORT, and --to=ENDPOINT or -- COMMAND", "serve", "1"),
                (1, "it takes PORT, and --to", "serve", "1", "--to=web:1", "--", "cat"),
                (1, "ssh is wrong: the port is", "serve", "ssh", "--to=web:1"),
                (1, "/: Is a directory", "forward", "-f", "/"),
                (2, "cannot listen at nobody:1: vswd has no guest nobody",
                 "serve", "1", "--guest=nobody", "--to=web:1"),
                (2, "cannot reach nobody:1: vswd has no guest nobody", "connect", "nobody", "1"),
                (2, f"there is no {self.d.folder}/vm77.vsock, and vswd has no guest 77",
                 "connect", "77", "1"),
                (2, "cannot listen at unix:/nowhere/x: No such file", "forward", "web:1",
                 "unix:/nowhere/x")):
            with self.subTest(args=args):
                self.fails(status, says, *args)

    def test_connect_with_its_descriptor_passed(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            subprocess.run([VSW, "connect", "--fdpass", "web", "1000"], stdin=subprocess.DEVNULL,
                           stdout=theirs, env=self.d.env, timeout=WAIT, check=True)
            fds = array.array("i")
            data, control, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(fds.itemsize))
            fds.frombytes(control[0][2])
        self.assertEqual(1, len(data))
        with Peer(fileno=fds[0]) as peer:
            self.assertTrue(os.get_blocking(fds[0]) or peer.gettimeout())
            peer.sendall(b"hello")
            self.assertEqual(b"hello", peer.recv(99))
        self.fails(1, "standard output is no socket", "connect", "--fdpass", "web", "1000")
        self.fails(3, "refused port 1001", "connect", "--fdpass", "web", "1001")

    def test_connect_takes_not_a_byte_too_much(self):
        """The guest's first bytes may be behind OK at once: vsw connect --fdpass leaves them."""
        path = f"{self.d.folder}/fake"
        with Peer() as fake:
            fake.bind(path)
            fake.listen()
            ours, theirs = socket.socketpair()
            with ours, theirs:
                client = subprocess.Popen([VSW, "connect", "--fdpass", path, "7"], stdout=theirs)
                with fake.take() as vswd:
                    self.assertEqual(b"CONNECT 7\n", vswd.recv(99))
                    vswd.sendall(b"OK 1")
                    vswd.sendall(b"024\nSSH-2.0-")
                    self.assertEqual(0, client.wait(WAIT))
                    fds = array.array("i")
                    _, control, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(fds.itemsize))
                    fds.frombytes(control[0][2])
                    with Peer(fileno=fds[0]) as peer:
                        self.assertEqual(b"SSH-2.0-", peer.recv(99))

    def test_connect_sends_all_after_the_guest_has_said_its_last(self):
        listener = Peer()
        path = f"{self.d.folder}/fake"
        listener.bind(path)
        listener.listen()
        client = subprocess.Popen([VSW, "connect", path, "7"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)
        with listener, listener.take() as vswd:
            vswd.recv(99)
            vswd.sendall(b"OK 1024\nbye")
            vswd.shutdown(socket.SHUT_WR)
            self.assertEqual(b"bye", client.stdout.read())
            client.stdin.write(b"much" * 10000)
            client.stdin.close()
            self.assertEqual(40000, len(vswd.read_all()))
        client.stdout.close()
        self.assertEqual(0, client.wait(WAIT))

    def test_connect_to_other_endpoints(self):
        with Peer() as service:
            service.bind(self.at)
            service.listen()
            client = subprocess.Popen([VSW, "connect", f"unix:{self.at}"],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            with service.take() as far:
                far.sendall(b"hello")
                far.close()
            self.assertEqual(b"hello", client.stdout.read())
            client.stdout.close()
            self.assertEqual(0, client.wait(WAIT))

    def test_connect_leaves_standard_output_to_others(self):
        """A script that serves a connection goes on with it."""
        ours, theirs = socket.socketpair()
        with ours, theirs, Peer() as service:
            service.bind(self.at)
            service.listen()
            client = subprocess.Popen([VSW, "connect", f"unix:{self.at}"],
                                      stdin=subprocess.DEVNULL, stdout=theirs)
            with service.take() as far:
                self.assertEqual(b"", far.recv(1)) # its end of input
                far.sendall(b"hello")
            self.assertEqual(0, client.wait(WAIT))
            theirs.sendall(b" and more")
            theirs.close()
            self.assertEqual(b"hello and more", ours.recv(99, socket.MSG_WAITALL))

    def test_ssh_config(self):
        said = self.d.vsw("ssh-config").stdout
        path = f"{self.d.folder}/ssh_config"
        with open(path, "w", encoding="ascii") as f:
            f.write(said)
        for host in "vsw/web", "vsw%web":
            conf = subprocess.run(["ssh", "-F", path, "-G", host], stdout=subprocess.PIPE,
                                  stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  text=True, timeout=WAIT, check=True).stdout
            self.assertIn("proxyusefdpass yes", conf)
            self.assertIn("proxycommand vsw connect --fdpass %h %p", conf)


if __name__ == "__main__":
    unittest.main()
