#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What is counted and how long things took, as the API, /metrics, vsw and telemetry tell it, moves
with real traffic in each direction."""

import json
import os
import socket
import subprocess
import unittest

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from daemon import VSW_GUEST, WAIT, DaemonCase, wait_for

CONFIG = """\
vms:
  - {guest_cid: 3, name: web, socket: $/vm3.vhost, uds_path: $/vm3.vsock}
  - {guest_cid: 4, name: db, socket: $/vm4.vhost, uds_path: $/vm4.vsock}
"""
NAMES = ["connect_from_guest", "connect_from_host", "connect_to_sibling", "wait_from_sibling",
         "wait_to_host"]
WINDOW = 262144


def kill(process):
    process.kill()  # it may be stuck in its output
    process.wait(WAIT)
    process.stdin.close()
    process.stdout.close()


class Stats(DaemonCase):
    CONFIG = CONFIG

    def guest(self, command, *args):
        """A guest with pipes; its output is not read unless somebody does."""
        process = subprocess.Popen([VSW_GUEST, command, *args], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        self.addCleanup(kill, process)
        return process

    def listen(self, cid, port):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(WAIT)
        sock.bind(f"{self.d.folder}/vm{cid}.vsock_{port}")
        sock.listen()
        return sock

    def show(self, cid):
        return self.d.ask("GET", f"/guests/{cid}").json

    def counts(self, cid):
        """{name: count} of the histograms of a guest that have any; each is whole."""
        histograms = self.show(cid)["histograms"]
        self.assertEqual(NAMES, sorted(histograms))
        for h in histograms.values():
            self.assertEqual(h["count"], sum(bucket["count"] for bucket in h["buckets"]))
            self.assertLessEqual(h["p50_us"], h["p99_us"])
            self.assertLessEqual(h["p99_us"], h["max_us"])
            self.assertLessEqual(h["max_us"], h["sum_us"])
            if h["count"] > 0:
                last = h["buckets"][-1]
                self.assertLessEqual(last["from_us"], h["max_us"])
                self.assertLess(h["max_us"], last["below_us"])
        return {name: h["count"] for name, h in histograms.items() if h["count"] > 0}

    def expect(self, cid, **wanted):
        try:
            wait_for(lambda: self.counts(cid) == wanted)
        except TimeoutError:
            self.assertEqual(wanted, self.counts(cid))

    def host_talks_to(self, cid):
        sock, _ = self.d.dial(cid)
        sock.sendall(b"hello")
        self.assertEqual(b"hello", sock.recv(5))
        return sock

    def test_nothing_has_no_time(self):
        self.expect(3)
        self.assertEqual({"count": 0, "sum_us": 0, "p50_us": 0, "p99_us": 0, "max_us": 0,
                          "buckets": []}, self.show(3)["histograms"]["wait_to_host"])

    def test_host_to_guest(self):
        self.serve(4)
        self.host_talks_to(4).close()
        self.expect(4, connect_from_host=1, wait_to_host=1)
        self.expect(3)
        wait_for(lambda: self.show(4)["counters"]["conns_closed"] == 1)

    def test_guest_to_host(self):
        listener = self.listen(3, 52)
        guest = self.guest("connect", f"--guest={self.d.folder}/vm3.vhost", "host:52")
        guest.stdin.write(b"hello")
        guest.stdin.flush()
        host, _ = listener.accept()
        host.settimeout(WAIT)
        self.assertEqual(b"hello", host.recv(5))
        self.expect(3, connect_from_guest=1, wait_to_host=1)
        listener.close()
        host.close()

    def test_guest_to_guest(self):
        self.serve(4)
        guest = self.guest("connect", f"--guest={self.d.folder}/vm3.vhost", "4:1000")
        guest.stdin.write(b"hello")
        guest.stdin.flush()
        self.assertEqual(b"hello", guest.stdout.read(5))
        self.expect(3, connect_to_sibling=1, wait_from_sibling=1)
        self.expect(4, wait_from_sibling=1)
        total = self.d.ask("GET", "/stats").json
        self.assertEqual(2, total["guests"])
        self.assertEqual(2, total["histograms"]["wait_from_sibling"]["count"])
        self.assertEqual((1, 1), tuple(total["counters"][name] for name in
                                       ("conns_to_sibling", "conns_from_sibling")))

    def test_payload_is_a_sample(self):
        subprocess.run([VSW_GUEST, "stream", f"--guest={self.d.folder}/vm3.vhost",
                        f"--host={self.d.folder}/vm3.vsock", "--size=4096", "--time=0.3"],
                       check=True, stdout=subprocess.DEVNULL, timeout=WAIT)
        shown = self.show(3)
        self.assertGreater(shown["histograms"]["wait_to_host"]["count"], 1)
        self.assertLessEqual(shown["histograms"]["wait_to_host"]["count"],
                             shown["counters"]["from_guest_packets"] // 64 + 1)

    def conn_of(self, cid):
        conn, = self.d.ask("GET", f"/connections?guest={cid}").json["connections"]
        return conn

    def test_a_host_that_does_not_read(self):
        """What the switch holds then is the guest's window, and the guest is stalled."""
        listener = self.listen(3, 52)
        guest = self.guest("connect", f"--guest={self.d.folder}/vm3.vhost", "host:52")
        os.set_blocking(guest.stdin.fileno(), False)
        host, _ = listener.accept()
        listener.close()

        def is_stalled():
            try:
                os.write(guest.stdin.fileno(), bytes(65536))
            except BlockingIOError:
                pass
            return self.conn_of(3)["from_guest_stalls"] > 0
        wait_for(is_stalled, "the guest to use up its window")
        conn = wait_for(lambda: (c := self.conn_of(3)) and c["loans_out"] == 0 and c,
                        "the loans to be spilled")
        self.assertLessEqual(conn["far_waiting_bytes"], WINDOW)
        # What was taken and not told is less than a quarter of it.
        self.assertGreater(conn["far_waiting_bytes"], WINDOW * 3 / 4)
        self.assertGreater(conn["from_guest_packets"], conn["from_guest_bytes"] // 65536)
        self.assertGreater(conn["to_guest_packets"], 0)
        self.assertEqual(0, conn["to_guest_stalls"])
        counters = self.show(3)["counters"]
        self.assertEqual(conn["from_guest_stalls"], counters["credit_stalls_from_guest"])
        self.assertEqual(0, counters["credit_stalls"])
        host.close()

    def test_a_guest_that_does_not_read(self):
        self.guest("listen", f"--guest={self.d.folder}/vm4.vhost", "--serve=stdio", "1000")
        wait_for(lambda: self.show(4)["status"]["state"] == "running", "the guest to run")
        sock, _ = self.d.dial(4)
        sock.setblocking(False)

        def is_stalled():
            try:
                sock.send(bytes(65536))
            except BlockingIOError:
                pass
            return self.conn_of(4)["to_guest_stalls"] > 0
        wait_for(is_stalled, "data to wait for the guest's window")
        conn = self.conn_of(4)
        self.assertEqual(0, conn["from_guest_stalls"])
        counters = self.show(4)["counters"]
        self.assertEqual((conn["to_guest_stalls"], 0),
                         (counters["credit_stalls"], counters["credit_stalls_from_guest"]))
        self.assertEqual(204, self.d.ask("DELETE", f"/connections/{conn['id']}").status)
        self.assertEqual(1, self.show(4)["counters"]["reset_by_operator"])
        sock.close()

    def test_metrics(self):
        self.serve(4)
        sock = self.host_talks_to(4)
        self.expect(4, connect_from_host=1, wait_to_host=1)
        text = self.d.ask("GET", "/metrics").text
        families = {f.name: f for f in text_string_to_metric_families(text)}
        shown = self.show(4)
        for name in NAMES:
            family = families[f"vsw_guest_{name}_seconds"]
            self.assertEqual(("histogram", "seconds"), (family.type, family.unit))
            samples = [s for s in family.samples if s.labels["cid"] == "4"]
            value = {s.name.rsplit("_", 1)[1]: s.value for s in samples}
            buckets = [s.value for s in samples if s.name.endswith("_bucket")]
            bounds = [float(s.labels["le"]) for s in samples if s.name.endswith("_bucket")]
            self.assertEqual([2**i / 1e6 for i in range(27)] + [float("inf")], bounds)
            self.assertEqual(sorted(buckets), buckets)
            self.assertEqual(shown["histograms"][name]["count"], value["count"])
            self.assertEqual(buckets[-1], value["count"])
            self.assertAlmostEqual(shown["histograms"][name]["sum_us"] / 1e6, value["sum"])
        self.assertEqual(("counter", "bytes"), (families["vsw_guest_to_guest_bytes"].type,
                                                families["vsw_guest_to_guest_bytes"].unit))
        self.assertEqual([0, 0], [s.value for s in families["vsw_guest_loans_out"].samples])
        sock.close()

    def test_vsw(self):
        self.serve(4)
        sock = self.host_talks_to(4)
        self.expect(4, connect_from_host=1, wait_to_host=1)
        time = r" +1 +\d+(\.\d)?(us|ms|s) +\d+(\.\d)?(us|ms|s) +\d+(\.\d)?(us|ms|s)\n"
        for who in ((), ("db",)):
            out = self.d.vsw("stats", *who).stdout
            self.assertRegex(out, rf"\n\nTIME +COUNT +P50 +P99 +MAX\nconnect_from_host{time}"
                             rf"wait_to_host{time}$")
            self.assertIn("\nconnect_to_sibling ", self.d.vsw("stats", "--all", *who).stdout)
        self.assertNotIn("connect_", self.d.vsw("stats", "web").stdout)
        stats = json.loads(self.d.vsw("stats", "--json", "db").stdout)
        self.assertEqual(5, stats["from_guest_bytes"])
        self.assertEqual(1, stats["histograms"]["wait_to_host"]["buckets"][0]["count"])
        stats = json.loads(self.d.vsw("stats", "--json").stdout)
        self.assertEqual([0, 1], [g["histograms"]["wait_to_host"]["count"]
                                  for g in stats["guests"]])
        self.assertEqual(1, stats["total"]["histograms"]["wait_to_host"]["count"])
        shown = self.d.vsw("guest", "show", "db").stdout
        self.assertRegex(shown, r"\nwait_to_host +1, half within ")
        self.assertNotIn("limit_state", shown)
        sock.close()


if __name__ == "__main__":
    unittest.main()
