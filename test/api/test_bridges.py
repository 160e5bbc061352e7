#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Several bridges: which guest is where, that each bridge moves what is its own and nothing else, and
that all are waited for at the end."""

import glob
import subprocess
import unittest

from daemon import WAIT, DaemonCase, wait_for

CONFIG = """
eal: [--lcores, '(0-3)@(0,1)']
bridge_lcores: 2,3
vms:
- {guest_cid: 3, socket: $/vm3.vhost, uds_path: $/vm3.vsock}
- {guest_cid: 4, socket: $/vm4.vhost, uds_path: $/vm4.vsock}
"""
PAYLOAD = bytes(range(256)) * 4096
PIECE = 16384
QUIET = 0.3


class Bridges(DaemonCase):
    CONFIG = CONFIG

    def lcores(self):
        return {c["lcore"]: c for c in self.d.ask("GET", "/lcores").json["lcores"]}

    def bridge_of(self, cid):
        return self.d.ask("GET", f"/guests/{cid}").json["status"]["bridge_lcore"]

    def counter(self, cid, name):
        return self.d.ask("GET", f"/guests/{cid}").json["counters"][name]

    def bridged(self):
        lcores = self.lcores()
        return {lcore: lcores[lcore]["bridged_guests"] for lcore in lcores}

    def echo(self, sock):
        """There and back, in pieces that fit in between."""
        for i in range(0, len(PAYLOAD), PIECE):
            piece = PAYLOAD[i:i + PIECE]
            sock.sendall(piece)
            got = b""
            while len(got) < len(piece):
                got += sock.recv(len(piece) - len(got))
            self.assertEqual(piece, got)

    def test_roles_of_lcores(self):
        self.assertEqual({0: ["control"], 1: ["poll"], 2: ["bridge"], 3: ["bridge"]},
                         {i: c["roles"] for i, c in self.lcores().items()})
        metrics = self.d.ask("GET", "/metrics").text.splitlines()
        self.assertIn('vsw_lcore_bridged_guests{lcore="3"} 1',
                      [line for line in metrics if "_bridged_" in line])
        top = self.d.vsw("top", "--count=1", "--delay=1").stdout
        self.assertRegex(top, r"(?m)^ *1 +poll +2 +0 ")
        self.assertRegex(top, r"(?m)^ *3 +bridge +0 +1 ")

    def test_a_guest_comes_to_the_bridge_with_the_fewest(self):
        self.assertEqual({0: 0, 1: 0, 2: 1, 3: 1}, self.bridged())
        self.assertNotEqual(self.bridge_of(3), self.bridge_of(4))
        gone = self.bridge_of(3)
        self.assertEqual(204, self.d.ask("DELETE", "/guests/3").status)
        self.assertEqual({0: 0, 1: 0, 2: int(gone != 2), 3: int(gone != 3)}, self.bridged())
        self.d.add(5)
        self.assertEqual(gone, self.bridge_of(5))
        self.d.add(6)
        self.d.add(7)
        self.assertEqual({0: 0, 1: 0, 2: 2, 3: 2}, self.bridged())

    def test_each_bridge_carries_its_own_guest(self):
        for cid in (3, 4):
            self.serve(cid)
        socks = {cid: self.d.dial(cid)[0] for cid in (3, 4)}
        for cid, other in ((3, 4), (4, 3)):
            mine, theirs = self.bridge_of(cid), self.bridge_of(other)
            before = self.lcores()
            self.echo(socks[cid])
            after = self.lcores()
            grown = {i: after[i]["messages"] - before[i]["messages"] for i in after}
            # each piece is a READ and a WRITE at least, each answered
            self.assertGreaterEqual(grown[mine], 2 * len(PAYLOAD) // PIECE)
            self.assertGreaterEqual(grown[1], 2 * len(PAYLOAD) // PIECE)
            self.assertEqual(0, grown[theirs])
            self.assertGreater(after[mine]["busy_cycles"], before[mine]["busy_cycles"])
        for sock in socks.values():
            sock.close()

    def test_connections_are_listed_and_closed(self):
        for cid in (3, 4):
            self.serve(cid)
        socks = {cid: self.d.dial(cid)[0] for cid in (3, 4)}
        conns = self.d.ask("GET", "/connections").json["connections"]
        self.assertEqual([3, 4], [c["guest_cid"] for c in conns])
        for conn in conns:
            self.d.vsw("conn", "close", str(conn["id"]))
            sock = socks[conn["guest_cid"]]
            self.assertEqual(b"", sock.recv(1))
            sock.close()

    def test_all_are_flushed_at_the_end(self):
        """What a slow host has not read when vswd is told to go comes from each bridge."""
        socks = {}
        for cid in (3, 4):
            self.serve(cid, serve="source")
            socks[cid] = self.d.dial(cid)[0]
            wait_for(lambda cid=cid: self.counter(cid, "spilled_bytes") > 0,
                     "bytes that the host does not read")
        wanted = {cid: self.counter(cid, "from_guest_bytes") for cid in (3, 4)}
        self.d.process.terminate()
        wait_for(lambda: not glob.glob(f"{self.d.folder}/*.vhost"), "the guests to leave")
        for cid, sock in socks.items():
            # one bridge is done, the other is waited for
            with self.assertRaises(subprocess.TimeoutExpired):
                self.d.process.wait(QUIET)
            got = 0
            while data := sock.recv(1 << 20):
                got += len(data)
            self.assertGreaterEqual(got, wanted[cid])
            sock.close()
        self.assertEqual(0, self.d.process.wait(WAIT))  # a second signal would end it at once
        self.d.close()


if __name__ == "__main__":
    unittest.main()
