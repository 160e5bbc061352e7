#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vsw-guest on a real vswd: each load with both ends in one process and in two, its exit
statuses, and above all that it notices what it is there to notice."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

VSWD, VSW_GUEST = os.environ["VSWD"], os.environ["VSW_GUEST"]
WAIT = 60


def wait_for(path):
    deadline = time.monotonic() + WAIT
    while not os.path.exists(path):
        if time.monotonic() > deadline:
            raise TimeoutError(path)
        time.sleep(0.01)


class VswGuest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="vsw-test-")
        vms = [f"--vm=guest-cid={c},socket={cls.folder}/vm{c}.vhost,uds-path={cls.folder}/vm{c}.vsock"
               for c in (3, 4)]
        cls.vswd = subprocess.Popen([VSWD, *vms], stdin=subprocess.DEVNULL,
                                    env=dict(os.environ, XDG_RUNTIME_DIR=cls.folder))
        wait_for(f"{cls.folder}/vm4.vhost")
        wait_for(f"{cls.folder}/vm4.vsock")
        cls.guest = f"--guest={cls.folder}/vm%u.vhost"
        cls.host = f"--host={cls.folder}/vm%u.vsock"

    @classmethod
    def tearDownClass(cls):
        cls.vswd.terminate()
        status = cls.vswd.wait(WAIT)
        shutil.rmtree(cls.folder)
        assert status == 0, f"vswd ended with {status}"

    def run_it(self, *args, status=0, data=None):
        done = subprocess.run([VSW_GUEST, *args], capture_output=True, timeout=WAIT, input=data,
                              stdin=subprocess.DEVNULL if data is None else None, check=False)
        self.assertEqual(status, done.returncode, done.stderr.decode())
        return done

    def load(self, *args, status=0):
        return json.loads(self.run_it(*args, self.guest, self.host, "--json", status=status).stdout)

    def test_stream_moves_every_byte_both_ways(self):
        for path in ("g2h", "h2g"):
            for extra in ((), ("--wait=interrupt", "--shape=uml"), ("--guests=2",)):
                with self.subTest(path=path, extra=extra):
                    r = self.load("stream", f"--path={path}", "--direction=both", "--size=3000",
                                  "--count=500", "--connections=3", *extra)
                    n = 2 if "--guests=2" in extra else 1
                    self.assertEqual(n * 3 * 2 * 500 * 3000, r["bytes"])

    def test_wrong_bytes_are_noticed(self):
        for path in ("g2h", "h2g"):
            done = self.run_it("stream", f"--path={path}", "--corrupt", self.guest, self.host,
                               status=5)
            self.assertIn(b"wrong bytes", done.stderr)

    def test_ping_counts_and_times_round_trips(self):
        for path in ("g2h", "h2g"):
            r = self.load("ping", f"--path={path}", "--count=200")
            self.assertEqual(200, r["done"])
            self.assertLess(0, r["p50_us"])
            self.assertLessEqual(r["p50_us"], r["p999_us"])

    def test_churn_makes_connections_or_is_refused(self):
        for path in ("g2h", "h2g"):
            self.assertLessEqual(100, self.load("churn", f"--path={path}", "--count=100")["done"])
            r = self.load("churn", f"--path={path}", "--count=100", "--no-listen")
            self.assertEqual(0, r["done"])
            self.assertLess(0, r["refused_per_s"])

    def test_idle_connections_stay_beside_a_load(self):
        r = self.load("ping", "--idle=70", "--count=50", f"--watch={self.vswd.pid}")
        before, during, _ = r["watched_fds"]
        self.assertLess(before + 70, during)

    def test_connect_and_listen_join_standard_input_and_output(self):
        text = os.urandom(300000)
        server = subprocess.Popen([VSW_GUEST, "listen", self.host, "--serve=echo", "--once", "52"])
        wait_for(f"{self.folder}/vm3.vsock_52")
        self.assertEqual(text, self.run_it("connect", self.guest, "host:52", data=text).stdout)
        self.assertEqual(0, server.wait(WAIT))

    def test_one_process_for_each_end(self):
        server = subprocess.Popen([VSW_GUEST, "listen", self.guest, "--serve=sink", "53"])
        time.sleep(0.5)
        done = self.run_it("stream", self.host, "--size=1000", "--count=1000", "--json", "53")
        self.assertEqual(1000000, json.loads(done.stdout)["bytes"])
        server.terminate()
        self.assertEqual(0, server.wait(WAIT))

    def test_exit_status_tells_what_went_wrong(self):
        self.run_it("connect", status=1)
        self.run_it("stream", "--size=x", status=1)
        self.run_it("hold", "--guest=/nowhere", "--connections=0", status=2)
        self.run_it("connect", self.guest, "host:54", status=3)


if __name__ == "__main__":
    unittest.main()
