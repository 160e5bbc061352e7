#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vsw proxy with synthetic guests, in a network namespace of its own, which nobody has set up."""

import ctypes
import os
import signal
import socket
import subprocess
import threading
import unittest

from daemon import VSW, WAIT, DaemonCase
from relay import Relay

CLONE_NEWNET = 0x40000000
PREFIX = "fd00:abcd:ef12::"
CONFIG = """\
vms:
  - {guest_cid: 3, socket: $/vm3.vhost, uds_path: $/vm3.vsock}
  - {guest_cid: 4, socket: $/vm4.vhost, uds_path: $/vm4.vsock}
  - {guest_cid: 1024, name: far, socket: $/vm1024.vhost, uds_path: $/elsewhere.1024}
"""
LISTEN = "0A"


def setUpModule():
    if ctypes.CDLL(None).unshare(CLONE_NEWNET) != 0:
        raise unittest.SkipTest("a network namespace takes root")


def routes():
    with open("/proc/net/ipv6_route", encoding="ascii") as f:
        return [line for line in f if line.startswith("fd00abcdef12")]


def n_listening():
    with open("/proc/net/tcp6", encoding="ascii") as f:
        return sum(line.split()[3] == LISTEN for line in f)


class Proxy(DaemonCase):
    CONFIG = CONFIG

    def tearDown(self):
        self.assertEqual([], routes())

    def proxy(self, *args, ports="1000", env=None, cwd=None):
        return Relay("proxy", f"--prefix={PREFIX}/64", f"--ports={ports}", *args,
                     ready="ready: ", env=env or self.d.env, cwd=cwd)

    def fails(self, status, says, *args):
        done = self.d.vsw("proxy", *args, status=status)
        self.assertIn(says, done.stderr)
        self.assertEqual(1, done.stderr.count("\n"), done.stderr)

    def dial(self, cid, port=1000):
        return socket.create_connection((f"{PREFIX}{cid:x}", port), timeout=WAIT)

    def verify_echo(self, cid, port=1000):
        data = os.urandom(3_000_000)
        with self.dial(cid, port) as sock:
            sender = threading.Thread(target=lambda: (sock.sendall(data),
                                                      sock.shutdown(socket.SHUT_WR)))
            sender.start()
            back = b"".join(iter(lambda: sock.recv(1 << 16), b""))
            sender.join()
        self.assertTrue(back == data, f"{len(back)} bytes of {len(data)}, or others")

    def verify_reset(self, address, port=1000):
        with self.assertRaises(ConnectionResetError):
            with socket.create_connection((address, port), timeout=WAIT) as sock:
                sock.recv(1)

    def test_addresses_are_guests(self):
        self.serve(3)
        self.serve(1024) # whose path only the API knows
        with self.proxy(ports="1000,1001,2000:1000"):
            self.assertEqual(3, n_listening())
            self.verify_echo(3)
            self.verify_echo(1024)
            self.verify_echo(3, 2000)
            self.verify_reset(PREFIX + "3", 1001)

    def test_who_is_not_there_is_a_reset(self):
        with self.proxy() as proxy:
            for address in f"{PREFIX}4", f"{PREFIX}9", f"{PREFIX}1:0:3":
                self.verify_reset(address)
            self.verify_reset("::1")
            proxy.wait_to_say("refused port 1000")

    def test_paths_are_given(self):
        self.serve(3)
        self.serve(4)
        env = dict(self.d.env, VSW_RUN_DIR="/tmp", VSW_API="/nowhere")
        with self.proxy(f"--uds={self.d.folder}/vm%.vsock", env=env):
            self.verify_echo(3)
            self.verify_echo(4)
        with self.proxy(f"--uds=3={self.d.folder}/vm4.vsock", env=env) as proxy:
            self.verify_echo(3)
            self.verify_reset(PREFIX + "4")
            proxy.wait_to_say("cannot reach 4:1000: there is no /tmp/vm4.vsock")
        with self.proxy("--uds=vm%.vsock", env=env, cwd=self.d.folder):
            self.verify_echo(3)

    def test_the_route_goes_with_it(self):
        for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
            proxy = self.proxy()
            self.assertEqual(1, len(routes()))
            self.assertEqual(0, proxy.end(number))
            self.assertEqual([], routes())

    def test_what_a_killed_one_left_is_taken_over(self):
        self.serve(3)
        self.proxy().end(signal.SIGKILL)
        self.assertEqual(1, len(routes()))
        with self.proxy():
            self.assertEqual(1, len(routes()))
            self.verify_echo(3)

    def test_somebody_elses_route_stays(self):
        route = ["local", f"{PREFIX}/64", "dev", "lo"]
        subprocess.run(["ip", "-6", "route", "add", *route], check=True)
        with self.proxy():
            pass
        self.assertEqual(1, len(routes()))
        subprocess.run(["ip", "-6", "route", "del", *route], check=True)

    def test_one_for_each_prefix(self):
        self.serve(3)
        with self.proxy():
            self.fails(2, "another vsw proxy has this prefix", f"--prefix={PREFIX}/64",
                       "--ports=1001")
            self.verify_echo(3)

    def test_a_port_may_be_taken(self):
        with socket.create_server(("::", 1000), family=socket.AF_INET6):
            self.fails(2, "port 1000 is taken by another server; --ports 11000:1000",
                       f"--prefix={PREFIX}/64", "--ports=999,1000")
        self.assertEqual([], routes())

    def test_it_has_its_mistakes_told(self):
        for says, *args in (
                ("it takes --prefix=PREFIX and --ports=PORTS", "--ports=1"),
                ("it takes --prefix=PREFIX and --ports=PORTS", f"--prefix={PREFIX}/64"),
                ("--prefix fd00:: is wrong", "--prefix=fd00::", "--ports=1"),
                ("--prefix ::/0 is wrong", "--prefix=::/0", "--ports=1"),
                ("--prefix fd00::/97 is wrong", "--prefix=fd00::/97", "--ports=1"),
                ("--prefix 10.0.0.0/8 is wrong", "--prefix=10.0.0.0/8", "--ports=1"),
                ("there is more than 64 bits of it", "--prefix=fd00::1/64", "--ports=1"),
                ("--prefix ::/64 is wrong: these addresses mean", "--prefix=::/64", "--ports=1"),
                ("--prefix fe80::/64 is wrong: these", "--prefix=fe80::/64", "--ports=1"),
                ("--prefix ff02::/64 is wrong: these", "--prefix=ff02::/64", "--ports=1"),
                ("--ports 80,1:2,80 is wrong: 80 is there twice", f"--prefix={PREFIX}/64",
                 "--ports=80,1:2,80"),
                ("--ports 0 is wrong", f"--prefix={PREFIX}/64", "--ports=0"),
                ("--ports 80,x is wrong", f"--prefix={PREFIX}/64", "--ports=80,x"),
                ("--ports 65536:1 is wrong", f"--prefix={PREFIX}/64", "--ports=65536:1")):
            with self.subTest(args=args):
                self.fails(1, says, *args)

    def test_a_prefix_may_be_of_a_network(self):
        address = [f"{PREFIX}1234:5/128", "dev", "lo"]
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        subprocess.run(["ip", "-6", "address", "add", *address], check=True)
        self.fails(2, f"lo has an address of this prefix, {PREFIX}1234:5: take another",
                   f"--prefix={PREFIX}/64", "--ports=1")
        with Relay("proxy", "--prefix=fd00:abcd:ef13::/64", "--ports=1", ready="ready: "):
            pass
        subprocess.run(["ip", "-6", "address", "del", *address], check=True)

    def test_others_may_not(self):
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all",
             "--bounding-set=-all", VSW, "proxy", f"--prefix={PREFIX}/64", "--ports=1"],
            stderr=subprocess.PIPE, text=True, timeout=WAIT, check=False)
        self.assertEqual((2, True), (done.returncode, "it takes root" in done.stderr), done.stderr)


if __name__ == "__main__":
    unittest.main()
