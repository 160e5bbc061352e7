#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""HTTP clients that are slow, loud, many or mad, while a stream runs whose every byte is
verified: neither it nor other clients notice, and vswd keeps no descriptor of them."""

import os
import random
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from daemon import Daemon, VSW_GUEST, WAIT, end, wait_for


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Daemon()
        cls.d.add(3)
        cls.stream = subprocess.Popen(
            [VSW_GUEST, "stream", "--path=g2h", "--direction=both",
             f"--guest={cls.d.folder}/vm%u.vhost", f"--host={cls.d.folder}/vm%u.vsock",
             "--time=3600"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_for(lambda: cls.moved() > 0, "the stream to begin")
        cls.n_fds = cls.count_fds()

    @classmethod
    def tearDownClass(cls):
        status = cls.stream.poll()
        cls.stream.terminate()
        cls.stream.wait(WAIT)
        cls.d.close()
        assert status is None, f"the stream ended with {status}"

    @classmethod
    def moved(cls):
        return cls.d.ask("GET", "/guests/3").json["counters"]["from_guest_bytes"]

    @classmethod
    def count_fds(cls):
        return len(os.listdir(f"/proc/{cls.d.process.pid}/fd"))

    def setUp(self):
        self.socks = []

    def tearDown(self):
        for sock in self.socks:
            sock.close()
        before = self.moved()
        wait_for(lambda: self.moved() > before, "the stream to go on")
        self.assertIsNone(self.stream.poll())
        wait_for(lambda: self.count_fds() <= self.n_fds, "descriptors to be closed")

    def connect(self):
        sock = self.d.join(self.d.api)
        self.socks.append(sock)
        return sock

    def read_all(self, sock):
        text = b""
        try:
            while piece := sock.recv(65536):
                text += piece
        except ConnectionResetError:
            pass
        return text

    def send(self, *pieces):
        sock = self.connect()
        try:
            for piece in pieces:
                sock.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self.read_all(sock)

    def test_byte_by_byte(self):
        sock = self.connect()
        for byte in b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n":
            sock.sendall(bytes([byte]))
            time.sleep(0.002)
        self.assertIn(b"200 OK", self.read_all(sock))

    def test_body_byte_by_byte(self):
        sock = self.connect()
        sock.sendall(b"POST /guests HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                     b"Content-Length: 100\r\n\r\n")
        for _ in range(100):
            sock.sendall(b"{")
            time.sleep(0.002)
        self.assertIn(b"400 Bad Request", self.read_all(sock))

    def test_others_are_served_beside_one_that_never_ends_and_it_is_cut_off(self):
        sock = self.connect()
        sock.sendall(b"POST /guests HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
        start = time.monotonic()
        ended = threading.Event()

        def drip():
            try:
                while True:
                    sock.sendall(b" ")
                    time.sleep(1)
            except OSError:
                ended.set()

        threading.Thread(target=drip, daemon=True).start()
        while not ended.is_set() and time.monotonic() < start + WAIT:
            self.assertEqual(200, self.d.ask("GET", "/healthz").status)
            time.sleep(0.2)
        self.assertTrue(ended.is_set())
        self.assertLess(10, time.monotonic() - start)

    def test_huge_bodies(self):
        head = b"POST /guests HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        for length in (65537, 10**9, 2**63):
            answer = self.send(head + f"Content-Length: {length}\r\n\r\n".encode())
            self.assertIn(b" 413 ", answer)
            self.assertIn(b"it has at most 65536 bytes", answer)
        answer = self.send(head + b"Transfer-Encoding: chunked\r\n\r\n",
                           b"20000\r\n" + 0x20000 * b" " + b"\r\n0\r\n\r\n")
        self.assertIn(b" 413 ", answer)
        chunk = b"10000\r\n" + 0x10000 * b" " + b"\r\n"
        self.send(head + b"Transfer-Encoding: chunked\r\n\r\n", *1000 * [chunk])  # cut off

    def test_body_of_the_greatest_size_is_taken(self):
        body = b'{"guest_cid": 1}' + (65536 - 16) * b" "
        answer = self.send(b"POST /guests HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                           b"Content-Length: 65536\r\n\r\n", body)
        self.assertIn(b"guest_cid: 1 is wrong", answer)

    def test_deep_json(self):
        for text in (60000 * "[", '{"a":' * 10000):
            self.assertEqual(400, self.d.ask("POST", "/guests", raw=text).status)

    def test_long_urls_and_headers(self):
        self.assertIn(b" 414 ", self.send(b"GET /" + 100000 * b"x" + b" HTTP/1.1\r\n\r\n")[:20])
        answer = self.send(b"GET /healthz HTTP/1.1\r\nX: " + 100000 * b"x" + b"\r\n\r\n")
        self.assertRegex(answer[:20], rb" 4(13|31) ")

    def test_many_clients_that_say_nothing(self):
        socks = [self.connect() for _ in range(60)]
        self.assertEqual(200, self.d.ask("GET", "/healthz").status)
        for sock in socks:
            sock.close()

    def test_more_clients_than_there_are_places(self):
        socks = [self.connect() for _ in range(64)]
        before = self.moved_by_host()
        time.sleep(0.5)
        self.assertLess(before, self.moved_by_host())
        for sock in socks:
            sock.close()
        wait_for(lambda: self.d.ask("GET", "/healthz").status == 200)

    def moved_by_host(self):
        """How far the stream is, as its process says: no API is needed for that."""
        with open(f"/proc/{self.stream.pid}/schedstat", encoding="ascii") as f:
            return int(f.read().split()[0])

    def test_clients_that_go_in_the_middle(self):
        for text in (b"G", b"GET /metrics HTTP/1.1\r\n", b"GET /metrics HTTP/1.1\r\n\r\n",
                     b"POST /guests HTTP/1.1\r\nContent-Length: 10\r\n\r\n{"):
            for _ in range(20):
                sock = self.connect()
                sock.sendall(text)
                sock.close()

    def test_a_client_that_goes_while_its_guest_is_removed(self):
        self.d.add(5)
        sock = self.connect()
        sock.sendall(b"DELETE /guests/5 HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.01)
        sock.close()
        self.assertIn(self.d.ask("DELETE", "/guests/5").status, (204, 404))
        self.assertEqual(1, len(self.d.guests()))

    def test_pipelined_requests(self):
        sock = self.connect()
        sock.sendall(50 * b"GET /info HTTP/1.1\r\nHost: x\r\n\r\n" +
                     b"GET /info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.assertEqual(51, self.read_all(sock).count(b"200 OK"))

    def test_a_client_that_does_not_read(self):
        sock = self.connect()
        sock.settimeout(2)
        try:
            while True:
                sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        except TimeoutError:
            pass
        self.assertEqual(200, self.d.ask("GET", "/healthz").status)

    def test_no_file_is_free(self):
        """Who comes then waits, without cost, and is served afterwards, whoever else stays."""
        flag = tempfile.mkdtemp(prefix="vsw-test-") + "/none"
        d = Daemon(env={"LD_PRELOAD": os.environ["NO_FILES_SHIM"], "VSW_TEST_NO_FILES": flag,
                        "ASAN_OPTIONS": "verify_asan_link_order=0"})

        def connect(request):
            sock = d.join(d.api)
            sock.sendall(request + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            return sock

        def cpu():
            with open(f"/proc/{d.process.pid}/stat", encoding="ascii") as f:
                user, system = f.read().rsplit(")", 1)[1].split()[11:13]
            return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

        said = "api: no client can connect: Too many open files in system"
        for stays in (None, connect(b"GET /capture")):
            if stays is not None:
                self.assertIn(b"200 OK", stays.recv(65536))
            with open(flag, "w", encoding="ascii"):
                pass
            waits = connect(b"GET /healthz")
            n_told = d.read_log().count(said)
            wait_for(lambda: d.read_log().count(said) > n_told, "the log to say so again")
            since, before = time.monotonic(), cpu()
            time.sleep(0.5)
            self.assertLess(cpu() - before, (time.monotonic() - since) / 4)
            os.remove(flag)
            self.assertIn(b"200 OK", waits.recv(65536))
            waits.close()
        stays.close()
        os.rmdir(os.path.dirname(flag))
        d.close()

    def test_clients_take_no_descriptors_of_guests(self):
        """All places are taken, and still the share of a guest is what it was promised."""
        d = Daemon(eal=("--lcores=(0-7)@0",), n_files=210, config="vms: [{guest_cid: 3, "
                   "socket: $/vm3.vhost, uds_path: $/vm3.vsock}]\n")
        guest = d.serve(3)
        clients = [d.join(d.api) for _ in range(64)]
        wait_for(lambda: len(os.listdir(f"/proc/{d.process.pid}/fd")) > 110, "them to be let in")
        hosts = []
        while True:
            hosts.append(d.join(f"{d.folder}/vm3.vsock"))
            hosts[-1].sendall(b"CONNECT 1000\n")
            if not hosts[-1].recv(16):
                break
        for client in clients:
            client.close()
        counters = d.ask("GET", "/guests/3").json["counters"]
        # Beside those of 8 lcores, of the API and of one guest.
        self.assertEqual(210 - 52 - 8 * 6 - 64 - 24, len(hosts) - 1)
        self.assertEqual((1, 0), (counters["refused_descriptors"], counters["accept_errors"]))
        for host in hosts:
            host.close()
        end(guest)
        d.close()

    def test_noise(self):
        rng = random.Random(6)
        for _ in range(100):
            self.connect().sendall(rng.randbytes(rng.randrange(1, 2000)) + b"\r\n\r\n")
            self.socks.pop().close()
        for text in (b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 100,
                     b"POST /guests HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                     b"GET /guests/%00 HTTP/1.1\r\nConnection: close\r\n\r\n",
                     b"GET /guests/%ff%2f HTTP/1.1\r\nConnection: close\r\n\r\n"):
            sock = self.connect()
            sock.sendall(text)
            sock.shutdown(socket.SHUT_WR)
        for sock in self.socks:  # together: some are cut off after a while only
            self.read_all(sock)
        self.assertEqual(200, self.d.ask("GET", "/healthz").status)


if __name__ == "__main__":
    unittest.main()
