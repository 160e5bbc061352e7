#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vsw capture: what tshark reads of it is what passed; filters; slow readers cost packets of the
capture and nothing else."""

import shutil
import struct
import subprocess
import time
import unittest

from daemon import VSW, VSW_GUEST, WAIT, DaemonCase, UnixConnection, end, wait_for


def records(data):
    """(captured, original, vsockmon header, virtio header, payload) of each packet."""
    magic, major, minor, _, _, _, linktype = struct.unpack("<IHHiIII", data[:24])
    assert (magic, major, minor, linktype) == (0xa1b23c4d, 2, 4, 271)
    at = 24
    while at + 16 <= len(data):
        _, _, captured, original = struct.unpack("<IIII", data[at:at + 16])
        packet = data[at + 16:at + 16 + captured]
        if len(packet) < captured:
            return
        yield (captured, original, struct.unpack("<QQIIHHH", packet[:30]),
               struct.unpack("<QQIIIHHIII", packet[32:76]), packet[76:])
        at += 16 + captured


class Capture(DaemonCase):
    EAL = ("-l0,1",)

    def setUp(self):
        super().setUp()
        self.d.add(3, name="web")
        self.d.add(4)
        self.serve(3)

    def begin(self, *args, **kwargs):
        process = subprocess.Popen([VSW, "capture", *args], env=self.d.env, **kwargs)
        wait_for(lambda: "capture: begun" in self.d.read_log(), "the capture to begin")
        time.sleep(0.3)  # an lcore that sleeps looks five times a second
        return process

    def talk(self, text=b"hello"):
        sock, port = self.d.dial(3)
        sock.sendall(text)
        got = b""
        while len(got) < len(text):
            got += sock.recv(65536)
        self.assertEqual(text, got)
        sock.close()
        return port

    def capture_to_file(self, *args, what=None):
        path = f"{self.d.folder}/out.pcap"
        process = self.begin("-w", path, *args)
        (what or self.talk)()
        time.sleep(0.5)
        end(process)
        self.assertEqual(0, process.returncode)
        with open(path, "rb") as f:
            return list(records(f.read()))

    def test_what_passes_is_seen(self):
        seen = self.capture_to_file()
        ops = [(mon[0], mon[1], mon[4], hdr[6]) for _, _, mon, hdr, _ in seen]
        for op in ((2, 3, 1, 1), (3, 2, 1, 2), (2, 3, 4, 5), (3, 2, 4, 5)):
            self.assertIn(op, ops)
        self.assertEqual(ops[0], (2, 3, 1, 1))
        for direction in ((2, 3), (3, 2)):
            self.assertEqual(b"hello", b"".join(
                payload for _, _, mon, _, payload in seen if mon[:2] == direction))
        for captured, original, mon, hdr, payload in seen:
            self.assertEqual(captured, original)
            self.assertEqual((2, 44), mon[5:])
            self.assertEqual(mon[:4], hdr[:4])
            self.assertEqual(hdr[4], len(payload))

    def test_filters_and_snaplen(self):
        self.assertEqual([], self.capture_to_file("--guest=4"))
        self.assertEqual([], self.capture_to_file("--port=1001"))
        seen = self.capture_to_file("--guest=web", "--port=1000", "--snaplen=2",
                                    what=lambda: self.talk(100000 * b"x"))
        self.assertLess(0, len(seen))
        self.assertEqual(200000, sum(original - 76 for _, original, *_ in seen))
        self.assertEqual({0, 2}, {len(payload) for *_, payload in seen})

    def test_siblings(self):
        def ask():
            subprocess.run([VSW_GUEST, "connect", f"--guest={self.d.folder}/vm4.vhost", "3:1000"],
                           input=b"between us", timeout=WAIT, check=True,
                           stdout=subprocess.DEVNULL)
        seen = self.capture_to_file("--guest=3", what=ask)
        self.assertEqual(b"between us", b"".join(
            payload for _, _, mon, _, payload in seen if mon[:2] == (4, 3)))

    @unittest.skipUnless(shutil.which("tshark"), "needs tshark")
    def test_tshark_reads_it_live(self):
        process = self.begin("-w", "-", stdout=subprocess.PIPE)
        tshark = subprocess.Popen(
            ["tshark", "-l", "-n", "-i", "-", "-T", "fields", "-e", "vsock.src_cid", "-e",
             "vsock.dst_cid", "-e", "vsock.dst_port", "-e", "vsock.virtio.op"],
            stdin=process.stdout, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        process.stdout.close()
        time.sleep(2)
        self.talk()
        line = tshark.stdout.readline().split()
        self.assertEqual([b"2", b"3", b"1000"], line[:3])
        end(tshark)
        tshark.stdout.close()
        end(process)

    def test_one_at_a_time_and_an_end_is_noticed(self):
        process = self.begin("-w", "/dev/null")
        answer = self.d.ask("GET", "/capture")
        self.assertEqual(409, answer.status)
        self.assertIn("somebody else is capturing", answer.error)
        process.kill()
        process.wait()
        wait_for(lambda: "capture: ended" in self.d.read_log(), "the end to be noticed")
        self.assertEqual(404, self.d.ask("GET", "/capture?guest=x").status)
        self.assertEqual(400, self.d.ask("GET", "/capture?snaplen=x").status)

    def test_vswd_ends_under_a_capture(self):
        process = self.begin("-w", "/dev/null")
        self.d.process.terminate()
        self.assertEqual(0, process.wait(WAIT))

    def test_a_reader_that_stands_still(self):
        """It loses packets; what the guest echoes is right, and the API goes on."""
        conn = UnixConnection(self.d.api)
        conn.request("GET", "/capture")
        answer = conn.getresponse()
        time.sleep(0.3)
        for _ in range(100):
            self.talk(100000 * b"x")
        self.assertEqual(200, self.d.ask("GET", "/healthz").status)
        answer.close()
        conn.close()
        wait_for(lambda: "capture: ended" in self.d.read_log())
        self.assertNotIn("ended; 0 packets", self.d.read_log())


if __name__ == "__main__":
    unittest.main()
