#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What happens to guests and connections is in the trace that --trace=vsw.* leaves, in order, as
babeltrace2 reads it."""

import re
import shutil
import socket
import subprocess
import tempfile
import unittest

from daemon import VSW_GUEST, WAIT, DaemonCase, end, wait_for

CONFIG = """\
vms:
  - {guest_cid: 3, name: web, socket: $/vm3.vhost, uds_path: $/vm3.vsock}
"""
OTHER = "  - {guest_cid: 4, socket: $/vm4.vhost, uds_path: $/vm4.vsock}\n"
EVENT = re.compile(r"^\[.*?\] \(.*?\) (vsw\.[a-z_.]+): \{.*?\}, \{ (.*) \}$", re.MULTILINE)


class Trace(DaemonCase):
    CONFIG = CONFIG

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="vsw-trace-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.EAL = ("--trace=vsw.*", f"--trace-dir={self.folder}")
        super().setUp()

    def events(self):
        """[(name, {field: value})...] once vswd has ended."""
        self.d.close()
        text = subprocess.run(["babeltrace2", self.folder], check=True, capture_output=True,
                              timeout=WAIT, text=True).stdout
        events = []
        for name, fields in EVENT.findall(text):
            pairs = (field.split(" = ") for field in fields.split(", "))
            events.append((name, {key: value.strip('"') if value[0] == '"' else int(value, 0)
                                  for key, value in pairs}))
        self.assertEqual(text.count("\n"), len(events), text)
        return events

    def conn_of(self, events, **fields):
        """The id of the one connection that was requested so, and its later events."""
        mine = [e for name, e in events
                if name == "vsw.conn.requested" and fields.items() <= e.items()]
        self.assertEqual(1, len(mine), fields)
        return [(name[len("vsw.conn."):], e.get("reason")) for name, e in events
                if name.startswith("vsw.conn.") and e.get("id") == mine[0]["id"]]

    def refused_by(self, cid, port):
        """A host's connection that vswd closes without a word."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(WAIT)
        sock.connect(f"{self.d.folder}/vm{cid}.vsock")
        sock.sendall(f"CONNECT {port}\n".encode())
        self.assertEqual(b"", sock.recv(1))
        sock.close()

    def n_ended(self):
        counters = self.d.ask("GET", "/guests/3").json["counters"]
        return counters["conns_closed"] + counters["reset_by_operator"]

    def test_connections(self):
        self.refused_by(3, 7)
        guest = self.d.serve(3)
        sock, closed = self.d.dial(3)
        sock.close()
        wait_for(lambda: self.n_ended() == 1, "the connection to close")
        sock, reset = self.d.dial(3)
        conn, = self.d.ask("GET", "/connections").json["connections"]
        self.assertEqual(204, self.d.ask("DELETE", f"/connections/{conn['id']}").status)
        sock.close()
        self.refused_by(3, 8)
        end(guest)
        for where in ("host:99", "9:1"):
            subprocess.run([VSW_GUEST, "connect", f"--guest={self.d.folder}/vm3.vhost", where],
                           stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=WAIT,
                           check=False)
        events = self.events()
        self.assertIn(("vsw.conn.turned_away", {"guest_cid": 3, "guest_port": 7, "far_cid": 2,
                                                "reason": "refused_not_ready"}), events)
        host = {"guest_cid": 3, "far_cid": 2, "from_guest": 0}
        *begin, (name, reason) = self.conn_of(events, far_port=closed, **host)
        self.assertEqual([("requested", None), ("established", None)], begin)
        self.assertEqual("closed", name)
        self.assertIn(reason, ("FAR_CLOSED", "GUEST_CLOSED"))
        self.assertEqual([("requested", None), ("established", None), ("reset", "ABORTED")],
                         self.conn_of(events, far_port=reset, **host))
        self.assertEqual([("requested", None), ("refused", "REFUSED_BY_GUEST")],
                         self.conn_of(events, guest_port=8, **host))
        self.assertEqual([("requested", None), ("refused", "REFUSED_BY_FAR")],
                         self.conn_of(events, far_port=99, from_guest=1))
        self.assertEqual([("reset_unknown_cid", 9, 1)],
                         [(e["reason"], e["far_cid"], e["far_port"]) for name, e in events
                          if name == "vsw.packet.refused"])

    def test_guests(self):
        guest = self.d.serve(3)
        end(guest)
        wait_for(lambda: self.d.ask("GET", "/guests/3").json["status"]["state"] == "not attached",
                 "the VMM to go")
        self.d.write_config(CONFIG + OTHER)
        self.assertEqual(204, self.d.ask("POST", "/reload").status)
        self.d.write_config(OTHER.replace("  -", "vms:\n  -"))
        self.assertEqual(204, self.d.ask("POST", "/reload").status)
        events = self.events()
        of_3 = [(name, e) for name, e in events if e.get("cid") == 3]
        names = [name for name, _ in of_3]
        self.assertEqual(("vsw.guest.added", {"cid": 3, "name": "web"}), of_3[0])
        self.assertEqual(("vsw.guest.gone", {"cid": 3, "name": "web"}), of_3[-1])
        vmm = [e["vmm"] for name, e in of_3 if name == "vsw.guest.vmm"]
        self.assertEqual(["connected", "running"], vmm[:2])
        self.assertEqual("none", vmm[-1])
        for before, after in (("start", "quiesce"), ("quiesce", "stopped")):
            self.assertLess(names.index(f"vsw.guest.{before}"), names.index(f"vsw.guest.{after}"))
        self.assertEqual(1, next(e["is_reset"] for name, e in reversed(of_3)
                                 if name == "vsw.guest.quiesce"))
        self.assertEqual([{"result": 0, "came": 1, "left": 0, "changed": 0},
                          {"result": 0, "came": 0, "left": 1, "changed": 0}],
                         [e for name, e in events if name == "vsw.reload"])
        numbers = [e["number"] for name, e in events if name == "vsw.routes.changed"]
        self.assertEqual(list(range(1, len(numbers) + 1)), numbers)
        self.assertLessEqual(4, len(numbers))  # 3 came, 4 came, 3 left, 4 left


if __name__ == "__main__":
    unittest.main()
