#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What others watch vswd by: systemd's notifications, with a watchdog that is fed only while every
lcore makes progress, and DPDK's telemetry."""

import ctypes
import glob
import json
import os
import re
import select
import socket
import tempfile
import time
import unittest

from daemon import VSWD, WAIT, Daemon, DaemonCase, wait_for

PTRACE_ATTACH, PTRACE_DETACH = 16, 17
libc = ctypes.CDLL(None, use_errno=True)


class Systemd(unittest.TestCase):
    """The test is systemd."""

    def setUp(self):
        with open(VSWD, "rb") as f:
            has_it = b"sd_notify" in f.read()
        if not has_it:
            self.skipTest("vswd was built without libsystemd")
        self.folder = tempfile.TemporaryDirectory(prefix="vsw-test-")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = f"{self.folder.name}/notify"
        self.sock.bind(path)
        os.environ.update(NOTIFY_SOCKET=path, WATCHDOG_USEC="1500000")
        try:
            self.d = Daemon("--bridge-lcores=2", eal=("--lcores=(0-2)@(0,1)",),
                            config="vms: [{guest_cid: 3, socket: $/s, uds_path: $/u}]\n")
        finally:
            del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]

    def tearDown(self):
        self.d.close()
        self.sock.close()
        self.folder.cleanup()

    def next(self, timeout=WAIT):
        if not select.select([self.sock], [], [], timeout)[0]:
            return None
        return self.sock.recv(4096).decode()

    def wait_for(self, text):
        wait_for(lambda: self.next() == text, text)

    def test_ready_status_and_stopping(self):
        self.wait_for("READY=1")
        self.assertTrue(os.path.exists(f"{self.d.folder}/s"))
        self.wait_for("STATUS=1 guests, 0 connections")
        self.d.add(4)
        self.wait_for("STATUS=2 guests, 0 connections")
        self.d.close()
        self.wait_for("STOPPING=1")

    def thread(self, name):
        for task in glob.glob(f"/proc/{self.d.process.pid}/task/*"):
            with open(f"{task}/comm", encoding="ascii") as comm:
                if re.fullmatch(name, comm.read().strip()):
                    return int(os.path.basename(task))
        raise LookupError(name)

    def is_fed(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.next(0.1) == "WATCHDOG=1":
                return True
        return False

    def test_the_watchdog_goes_hungry_when_one_lcore_stands_still(self):
        for name in (r".*worker-?1", r".*worker-?2", "vswd"):  # rte-worker-1, dpdk-worker1
            with self.subTest(thread=name):
                self.assertTrue(self.is_fed(WAIT))
                tid = self.thread(name)
                self.assertEqual(0, libc.ptrace(PTRACE_ATTACH, tid, 0, 0))
                os.waitpid(tid, 0x40000000)  # __WALL
                self.is_fed(1.5)  # what was on its way
                self.assertFalse(self.is_fed(2.5))
                self.assertEqual(0, libc.ptrace(PTRACE_DETACH, tid, 0, 0))
                self.assertTrue(self.is_fed(WAIT))


class Telemetry(DaemonCase):
    CONFIG = "vms: [{guest_cid: 3, name: web, socket: $/vm3.vhost, uds_path: $/vm3.vsock}]\n"

    def setUp(self):
        super().setUp()
        path, = glob.glob(f"{self.d.folder}/dpdk/*/dpdk_telemetry.v2*")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(WAIT)
        self.sock.connect(path)
        self.sock.recv(4096)

    def tearDown(self):
        self.sock.close()

    def ask(self, command):
        self.sock.sendall(command.encode())
        return json.loads(self.sock.recv(16384))[re.sub(",.*", "", command)]

    def test_commands(self):
        self.serve(3)
        self.assertEqual([3], self.ask("/vsock/guest/list"))
        for who in ("3", "web"):
            self.assertEqual("running", self.ask(f"/vsock/guest/info,{who}")["state"])
        self.assertEqual([], self.ask("/vsock/conn/list"))
        socks = [self.d.dial(3) for _ in range(3)]
        ids = self.ask("/vsock/conn/list")
        self.assertEqual(3, len(ids))
        self.assertEqual(ids, self.ask("/vsock/conn/list,3"))
        self.assertEqual(ids[1:], self.ask(f"/vsock/conn/list,3,{ids[0]}"))
        conn = self.ask(f"/vsock/conn/info,{ids[2]}")
        self.assertEqual((3, 1000, 2, socks[2][1], "established"),
                         tuple(conn[k] for k in ("guest_cid", "guest_port", "far_cid", "far_port",
                                                 "state")))
        self.assertEqual(3, self.ask("/vsock/guest/stats,3")["conns_from_host"])
        times = self.ask("/vsock/guest/times,web")
        self.assertEqual((3, 0), (times["connect_from_host_count"], times["wait_to_host_count"]))
        self.assertLessEqual(times["connect_from_host_p50_us"], times["connect_from_host_max_us"])
        lcores = self.ask("/vsock/lcore/stats")
        self.assertEqual(([0], [1]), (lcores["lcore_ids"], lcores["guests"]))
        self.assertLess(lcores["busy_cycles"][0], lcores["total_cycles"][0])
        for sock, _ in socks:
            sock.close()

    def test_what_is_not_there(self):
        for command in ("/vsock/guest/info", "/vsock/guest/info,9", "/vsock/guest/stats,x",
                        "/vsock/guest/times,x", "/vsock/conn/info,7", "/vsock/conn/info,x",
                        "/vsock/conn/list,x", "/vsock/conn/list,9"):
            self.assertIsNone(self.ask(command), command)

    def test_help(self):
        for command in self.ask("/"):
            if command.startswith("/vsock/"):
                self.assertIn("aram", str(self.ask(f"/help,{command}")))


if __name__ == "__main__":
    unittest.main()
