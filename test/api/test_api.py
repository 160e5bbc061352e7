#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The control API on a real vswd with synthetic guests: every endpoint, and every mistake, after
which nothing is changed."""

import os
import socket
import re
import stat
import threading
import unittest

from daemon import Daemon, DaemonCase, SharedDaemonCase, end, wait_for

CONFIG = """\
vms:
  - {guest_cid: 3, socket: $/vm3.vhost, uds_path: $/vm3.vsock}
  - {guest_cid: 4, name: db, socket: $/vm4.vhost, uds_path: $/vm4.vsock, groups: blue}
"""


class Guests(SharedDaemonCase):
    ARGS = ("--max-guests=8",)

    def tearDown(self):
        for guest in self.d.guests():
            self.assertEqual(204, self.d.ask("DELETE", f"/guests/{guest['guest_cid']}").status)
        self.assertEqual([], self.d.guests())

    def refused(self, status, says, method, path, body=None, raw=None):
        before = self.d.guests()
        answer = self.d.ask(method, path, body, raw)
        self.assertEqual(status, answer.status, answer.text)
        self.assertIn(says, answer.error)
        self.assertNotIn("\n", answer.error)
        self.assertEqual(before, self.d.guests())

    def test_socket_is_its_owners_only(self):
        self.assertEqual(0o600, stat.S_IMODE(os.stat(self.d.api).st_mode))

    def test_a_guest_comes_is_shown_and_goes(self):
        answer = self.d.ask("POST", "/guests", self.d.vm(7, name="web", groups=["b", "a"],
                                                         limits={"connections": 10}))
        self.assertEqual(201, answer.status)
        self.assertEqual("/guests/7", answer.headers["Location"])
        self.assertTrue(os.path.exists(f"{self.d.folder}/vm7.vhost"))
        for who in ("7", "web"):
            guest = self.d.ask("GET", f"/guests/{who}").json
            self.assertEqual(["a", "b"], guest["groups"])
            self.assertEqual({"connections": 10, "spill_bytes": 16777216, "handshakes": 64,
                              "loans": 64}, guest["limits"])
            self.assertEqual("not attached", guest["status"]["state"])
            self.assertFalse(guest["status"]["from_config"])
            self.assertEqual(0, guest["counters"]["from_guest_packets"])
        self.assertNotIn("counters", self.d.guests()[0])
        self.assertIn("counters", self.d.ask("GET", "/guests?counters=1").json["guests"][0])
        self.assertEqual(204, self.d.ask("DELETE", "/guests/web").status)
        self.assertFalse(os.path.exists(f"{self.d.folder}/vm7.vhost"))
        self.refused(404, "there is no guest web", "DELETE", "/guests/web")
        self.refused(404, "there is no guest web", "GET", "/guests/web")

    def test_what_is_shown_can_be_added_again(self):
        self.d.add(7, name="web", socket_mode="0660", socket_owner=os.getuid(), queue_size=256,
                   tx_buffer_size=65536, hairpin=False, groups="x+y", host_cids=[9, 3],
                   forward=[{"listen": f"{self.d.folder}/web", "port": 80}])
        shown = self.d.ask("GET", "/guests/7").json
        again = {k: v for k, v in shown.items() if k not in ("status", "counters", "histograms")}
        self.assertEqual(204, self.d.ask("DELETE", "/guests/7").status)
        answer = self.d.ask("POST", "/guests", again)
        self.assertEqual(201, answer.status, answer.text)
        self.assertEqual(shown, answer.json)

    def test_mistakes_are_told_and_change_nothing(self):
        self.d.add(3)
        vm = self.d.vm
        cases = [
            (400, "the body is empty", None, ""),
            (400, "body:1:1: ", None, "{"),
            (400, "body:2:", None, '{"guest_cid": 7,\n "guest_cid": 8}'),
            (400, "body:1:3: end of file expected", None, "{}{"),
            (400, "the body must be an object", None, "[]"),
            (400, "body:", None, b'{"name": "\xff"}'),
            (400, "unknown field 'cid'; known are name, guest_cid,", {"cid": 3}, None),
            (400, "unknown field 'status'", vm(7, status={}), None),
            (400, "guest_cid: it is missing", {"socket": "/x", "uds_path": "/y"}, None),
            (400, "guest_cid: it is a number", vm("7"), None),
            (400, "guest_cid: it is a number", vm(7.5), None),
            (400, "guest_cid: 2 is wrong, a guest has a CID from 3", vm(2), None),
            (400, "guest_cid: 4294967295 is wrong", vm(4294967295), None),
            (400, "guest_cid: -1 is wrong", vm(-1), None),
            (400, "socket: it is missing", {"guest_cid": 7, "uds_path": "/y"}, None),
            (400, "uds_path: it is missing", {"guest_cid": 7, "socket": "/y"}, None),
            (400, "name: a b is wrong", vm(7, name="a b"), None),
            (400, "groups: it is a list of strings", vm(7, groups=[1]), None),
            (400, "groups: ", vm(7, groups=["a+b"]), None),
            (400, "groups: 16 is wrong, a guest has at most 16", vm(7, groups=[str(i) for i in range(17)]), None),
            (400, "hairpin: it is true or false", vm(7, hairpin="on"), None),
            (400, "forward: it is a list of objects as in", vm(7, forward=[{"listen": "/x"}]), None),
            (400, "forward: /x:4294967295 is wrong", vm(7, forward=["/x:4294967295"]), None),
            (400, "forward: no socket can be made in the folder /nowhere", vm(7, forward=["/nowhere/x:1"]), None),
            (400, "forward: ", vm(7, forward=[f"{vm(7)['uds_path']}_80:80"]), None),
            (409, "forward: ", vm(7, forward=[f"{vm(3)['uds_path']}:80"]), None),
            (400, "host_cids: 2 is wrong, it is CIDs from 3", vm(7, host_cids=[2]), None),
            (400, "host_cids: 7 is the guest's own CID", vm(7, host_cids=[7]), None),
            (400, "limits: unknown field 'x'", vm(7, limits={"x": 1}), None),
            (400, "limits: connections: 0 is wrong", vm(7, limits={"connections": 0}), None),
            (400, "socket_mode: it is a string of octal", vm(7, socket_mode=660), None),
            (400, "socket_mode: 999 is wrong", vm(7, socket_mode="999"), None),
            (400, "lcore: lcore 9 polls no guests", vm(7, lcore=9), None),
            (400, "socket: ", vm(7, socket="/nowhere/at/all"), None),
            (409, "guest-cid: two guests have 3", vm(3, socket="/x", uds_path="/y"), None),
            (409, "socket", {**vm(7), "socket": vm(3)["socket"]}, None),
            (409, "uds-path", {**vm(7), "uds_path": vm(3)["uds_path"]}, None),
            (409, "name", vm(7, name="vm3"), None),
        ]
        for status, says, body, raw in cases:
            with self.subTest(says=says, body=body, raw=raw):
                self.refused(status, says, "POST", "/guests", body, raw)

    def test_too_many_guests(self):
        for cid in range(3, 11):
            self.d.add(cid)
        self.refused(409, "9 guests are too many: vswd was started for 8", "POST", "/guests",
                     self.d.vm(11))

    def test_change_keeps_what_is_not_named(self):
        self.d.add(3, name="a", groups=["x"], hairpin=False)
        self.d.add(4)
        answer = self.d.ask("PATCH", "/guests/a", {"name": "b", "limits": {"spill_bytes": 1000}})
        self.assertEqual(200, answer.status, answer.text)
        self.assertEqual(("b", ["x"], False),
                         tuple(answer.json[k] for k in ("name", "groups", "hairpin")))
        self.assertEqual((4096, 1000), tuple(answer.json["limits"][k]
                                             for k in ("connections", "spill_bytes")))
        self.assertEqual(["default"],
                         self.d.ask("PATCH", "/guests/b", {"groups": None}).json["groups"])
        self.refused(400, "guest_cid: 1 is wrong", "PATCH", "/guests/b", {"guest_cid": 1})
        self.refused(409, "guest-cid: two guests have 4", "PATCH", "/guests/b", {"guest_cid": 4})
        self.refused(400, "unknown field", "PATCH", "/guests/b", {"nam": "c"})
        self.refused(404, "there is no guest c", "PATCH", "/guests/c", {"name": "d"})

    def test_plain_sockets_follow_the_guest(self):
        web, ssh = f"{self.d.folder}/web", f"{self.d.folder}/ssh"
        guest = self.d.add(7, forward=[{"listen": web, "port": 1000}])
        self.assertEqual([{"listen": web, "port": 1000}], guest["forward"])
        running = self.d.serve(7)
        with self.d.join(web) as sock:
            sock.sendall(b"hello")
            self.assertEqual(b"hello", sock.recv(5))
            # another guest has it now, and this one another
            answer = self.d.ask("PATCH", "/guests/7", {"forward": [{"listen": ssh, "port": 1000}]})
            self.assertEqual((200, [{"listen": ssh, "port": 1000}]), (answer.status, answer.json["forward"]))
            self.assertFalse(os.path.exists(web))
            self.d.add(8, forward=[f"{web}:22"])
            self.refused(409, "forward: ", "PATCH", "/guests/7", {"forward": [f"{web}:22"]})
            sock.sendall(b"still here")
            self.assertEqual(b"still here", sock.recv(10, socket.MSG_WAITALL))
        with self.d.join(ssh) as sock:
            sock.sendall(b"hello")
            self.assertEqual(b"hello", sock.recv(5))
        self.assertEqual([], self.d.ask("PATCH", "/guests/7", {"forward": None}).json["forward"])
        self.assertFalse(os.path.exists(ssh))
        self.d.ask("DELETE", "/guests/8")
        self.assertFalse(os.path.exists(web))
        end(running)

    def test_a_plain_socket_in_use_changes_nothing(self):
        self.d.add(7, name="web")
        path = f"{self.d.folder}/theirs"
        with socket.socket(socket.AF_UNIX) as theirs:
            theirs.bind(path)
            theirs.listen()
            self.refused(400, "a live process has its socket there", "PATCH", "/guests/web",
                         {"name": "x", "forward": [f"{path}:80"]})
        self.assertEqual(200, self.d.ask("PATCH", "/guests/web", {"forward": [f"{path}:80"]}).status)

    def test_another_cid_is_another_guest(self):
        self.d.add(3)
        answer = self.d.ask("PATCH", "/guests/3", {"guest_cid": 9})
        self.assertEqual(200, answer.status, answer.text)
        self.assertEqual((9, "vm9"), (answer.json["guest_cid"], answer.json["name"]))
        self.assertEqual([9], [g["guest_cid"] for g in self.d.guests()])

    def test_groups(self):
        self.d.add(3, groups=["x", "y"])
        self.d.add(4, groups=["y"])
        self.assertEqual({"groups": {"x": ["vm3"], "y": ["vm3", "vm4"]}},
                         self.d.ask("GET", "/groups").json)

    def test_many_clients_alter_at_once(self):
        statuses = []

        def alter(cid):
            for _ in range(10):
                statuses.append(self.d.ask("POST", "/guests", self.d.vm(cid)).status)
                statuses.append(self.d.ask("DELETE", f"/guests/{cid}").status)

        threads = [threading.Thread(target=alter, args=(3 + i % 4,)) for i in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(160, len(statuses))
        self.assertEqual(set(), set(statuses) - {201, 204, 404, 409})
        self.assertEqual([], self.d.guests())


    def test_no_change_is_lost(self):
        """Clients change one guest at once, each another key, which nobody else may put back."""
        self.d.add(3)
        keys = {"tx_buffer_size": (4096, 8192), "queue_size": (256, 1024),
                "groups": (["x"], ["y"]), "hairpin": (False, True)}
        lost = []

        def change(key, values):
            for value in values * 10:
                self.d.ask("PATCH", "/guests/3", {key: value})
                is_now = self.d.ask("GET", "/guests/3").json[key]
                if is_now != value:
                    lost.append((key, value, is_now))

        threads = [threading.Thread(target=change, args=item) for item in keys.items()]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual([], lost)


class Start(unittest.TestCase):
    @unittest.skipUnless(os.geteuid() == 0, "only root may become somebody else")
    def test_without_guests_the_socket_is_the_users_too(self):
        d = Daemon("--user=65534:65534")
        os.chmod(d.folder, 0o777)
        self.assertEqual(65534, os.stat(d.api).st_uid)
        self.assertEqual([], d.guests())
        d.close()


class Firecracker(SharedDaemonCase):
    def put(self, **body):
        return self.d.ask("PUT", "/vsock", body)

    def test_put_adds_changes_and_refuses(self):
        path = f"{self.d.folder}/v.sock"
        answer = self.put(vsock_id="1", guest_cid=3, uds_path=path)
        self.assertEqual((204, ""), (answer.status, answer.text))
        self.assertTrue(os.path.exists(path) and os.path.exists(path + ".vhost"))
        self.assertEqual(204, self.put(vsock_id="1", guest_cid=3, uds_path=path).status)
        self.assertEqual("vsock-1", self.d.guests()[0]["name"])
        self.assertEqual(204, self.put(vsock_id="1", guest_cid=5, uds_path=path).status)
        self.assertEqual([5], [g["guest_cid"] for g in self.d.guests()])
        self.assertEqual(204, self.put(guest_cid=6, uds_path=f"{self.d.folder}/six").status)
        before = self.d.guests()
        for says, body in (
                ("guest-cid: two guests have 5",
                 dict(vsock_id="x", guest_cid=5, uds_path=f"{self.d.folder}/n")),
                ("guest_cid: it is missing", dict(vsock_id="1", uds_path=path)),
                ("uds_path: it is missing", dict(vsock_id="1", guest_cid=3)),
                ("unknown field 'cid'; known are vsock_id, guest_cid, uds_path", dict(cid=3)),
                ("guest_cid: 2 is wrong", dict(vsock_id="1", guest_cid=2, uds_path=path)),
                ("guest_cid: it is a number", dict(vsock_id="1", guest_cid="3", uds_path=path)),
                ("vsock_id: ", dict(vsock_id="a/b", guest_cid=9, uds_path=path)),
                ("is wrong, it has at most 96", dict(guest_cid=9, uds_path="/" + 200 * "x"))):
            with self.subTest(says=says):
                answer = self.put(**body)
                self.assertEqual(400, answer.status)
                self.assertEqual(["fault_message"], list(answer.json))
                self.assertIn(says, answer.json["fault_message"])
                self.assertEqual(before, self.d.guests())
        answer = self.d.ask("PUT", "/vsock", raw="{")
        self.assertEqual(400, answer.status)
        self.assertIn("body:1:", answer.json["fault_message"])
        self.assertIn("fault_message", self.d.ask("GET", "/vsock").json)


class Connections(SharedDaemonCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.d.add(3, name="web")
        cls.d.add(4)
        cls.addClassCleanup(end, cls.d.serve(3))

    def list(self, query=""):
        answer = self.d.ask("GET", f"/connections{query}")
        self.assertEqual(200, answer.status, answer.text)
        return answer.json

    def test_listed_page_by_page_filtered_and_closed(self):
        socks = [self.d.dial(3) for _ in range(25)]
        conns, after, pages = [], 0, 0
        while True:
            page = self.list(f"?max=10&after={after}")
            conns += page["connections"]
            pages += 1
            after = page["next"]
            if after is None:
                break
        self.assertEqual(3, pages)
        self.assertEqual(25, len({c["id"] for c in conns}))
        self.assertEqual({port for _, port in socks}, {c["far_port"] for c in conns})
        self.assertEqual({(3, 1000, 2, "far", "established")},
                         {(c["guest_cid"], c["guest_port"], c["far_cid"], c["opened_by"],
                           c["state"]) for c in conns})
        self.assertEqual(25, len(self.list("?guest=web")["connections"]))
        self.assertEqual(0, len(self.list("?guest=4")["connections"]))
        sock, port = socks[7]
        mine = self.list(f"?guest=3&port={port}")["connections"]
        self.assertEqual(1, len(mine))
        self.assertEqual(204, self.d.ask("DELETE", f"/connections/{mine[0]['id']}").status)
        self.assertEqual(b"", sock.recv(1))
        wait_for(lambda: not self.list(f"?port={port}")["connections"])
        self.assertEqual(404, self.d.ask("DELETE", f"/connections/{mine[0]['id']}").status)
        for sock, _ in socks:
            sock.close()
        wait_for(lambda: not self.list()["connections"], "connections to go")

    def test_mistakes(self):
        for status, says, query in (
                (400, "port: '-1' is wrong, it is a number from 0 to 4294967295", "?port=-1"),
                (400, "port: '4294967296' is wrong", "?port=4294967296"),
                (400, "max: '1001' is wrong", "?max=1001"), (400, "max: ", "?max=0"),
                (400, "after: 'x' is wrong", "?after=x"),
                (400, "unknown parameter 'cid'; known are guest port after max", "?cid=3"),
                (400, "port: it needs a value", "?port"),
                (404, "there is no guest nobody", "?guest=nobody"),
                (404, "there is no guest 99", "?guest=99")):
            with self.subTest(query=query):
                answer = self.d.ask("GET", f"/connections{query}")
                self.assertEqual(status, answer.status, answer.text)
                self.assertIn(says, answer.error)
        for conn_id in ("0", "x", "99999999999999999999", "123"):
            answer = self.d.ask("DELETE", f"/connections/{conn_id}")
            self.assertEqual(404, answer.status)
            self.assertIn(f"there is no connection {conn_id}", answer.error)
            self.assertEqual(conn_id != "123", "an id is a number" in answer.error)

    def test_a_cid_is_told_with_its_range(self):
        for method, path in (("PUT", "/vsock"), ("POST", "/guests")):
            answer = self.d.ask(method, path, {"guest_cid": "31", "uds_path": "/x"})
            self.assertEqual(400, answer.status)
            self.assertIn("guest_cid: it is a number from 3 to 4294967294", answer.text)


class State(DaemonCase):
    CONFIG, EAL = CONFIG, ("-l0,1",)

    def test_lcores_info_and_health(self):
        lcores = self.d.ask("GET", "/lcores").json["lcores"]
        self.assertEqual([(0, ["control", "bridge"], 0), (1, ["poll"], 2)],
                         [(c["lcore"], c["roles"], c["guests"]) for c in lcores])
        for c in lcores:
            self.assertEqual(c["total_cycles"], c["busy_cycles"] + c["idle_cycles"])
        info = self.d.ask("GET", "/info").json
        self.assertEqual((2, 0, True, self.d.config),
                         tuple(info[k] for k in ("guests", "connections", "ready", "config")))
        answer = self.d.ask("GET", "/healthz")
        self.assertEqual((200, {"status": "ok"}), (answer.status, answer.json))
        self.assertEqual("", self.d.ask("HEAD", "/healthz").text)

    def test_log_levels(self):
        self.assertEqual("notice", self.d.ask("GET", "/log").json["types"]["vsw.control"])
        answer = self.d.ask("PUT", "/log", {"level": "debug", "pattern": "vsw.c*"})
        self.assertEqual((204, ""), (answer.status, answer.text))
        types = self.d.ask("GET", "/log").json["types"]
        self.assertEqual(("debug", "notice"), (types["vsw.control"], types["vsw.poll"]))
        self.assertEqual(204, self.d.ask("PUT", "/log", {"level": "error"}).status)
        self.assertEqual("error", self.d.ask("GET", "/log").json["types"]["vsw.poll"])
        for body, says in (({"level": "loud"}, "level: 'loud' is wrong"),
                           ({"level": 3}, "level: it is a string"),
                           ({}, "level: it is missing"), ({"level": "9"}, "level: '9' is wrong"),
                           ({"level": "info", "pattern": 200 * "x"}, "pattern: it has at most"),
                           ({"level": "info", "x": 1}, "unknown field 'x'")):
            answer = self.d.ask("PUT", "/log", body)
            self.assertEqual(400, answer.status)
            self.assertIn(says, answer.error)

    def test_reload_applies_the_difference_or_nothing(self):
        self.d.add(9)
        self.d.write_config(CONFIG.replace("groups: blue", "groups: green") +
                            "  - {guest_cid: 5, socket: $/5, uds_path: $/5v}\n")
        self.assertEqual(204, self.d.ask("POST", "/reload").status)
        guests = {g["guest_cid"]: g for g in self.d.guests()}
        self.assertEqual([3, 4, 5, 9], sorted(guests))
        self.assertEqual(["green"], guests[4]["groups"])
        self.d.write_config(CONFIG.replace("guest_cid: 3", "guest_cid: 2"))
        answer = self.d.ask("POST", "/reload")
        self.assertEqual(400, answer.status)
        self.assertTrue(answer.error.startswith(f"{self.d.config}:2:"), answer.error)
        os.unlink(self.d.config)
        self.assertEqual(400, self.d.ask("POST", "/reload").status)
        self.assertEqual([3, 4, 5, 9], sorted(g["guest_cid"] for g in self.d.guests()))

    def test_reload_refuses_what_the_next_start_refuses(self):
        guest = "  - {guest_cid: 5, socket: $/5, uds_path: $/5v}\n"
        self.d.write_config("bridge_lcores: 77\n" + CONFIG + guest)
        answer = self.d.ask("POST", "/reload")
        self.assertEqual(400, answer.status)
        self.assertTrue(answer.error.startswith(f"{self.d.config}:1:16: bridge_lcores: lcore 77 "),
                        answer.error)
        self.assertEqual([3, 4], sorted(g["guest_cid"] for g in self.d.guests()))
        self.assertIn(f"reload failed: {answer.error}", self.d.read_log())

    def test_reload_says_what_came_and_what_waits_for_the_next_start(self):
        self.d.write_config("idle: poll\nmax_guests: 9\napi: /elsewhere\neal: ['-m', '300']\n" + CONFIG +
                            "  - {guest_cid: 5, socket: $/5, uds_path: $/5v}\n")
        self.assertEqual(204, self.d.ask("POST", "/reload").status)
        self.assertIn("reloaded: 1 guest came, 0 left, 0 changed\n", self.d.read_log())
        # --api is on the command line and wins
        self.assertIn("left for the next start: idle, max_guests, eal\n", self.d.read_log())
        self.d.write_config("guests: [")
        self.assertEqual(400, self.d.ask("POST", "/reload").status)
        self.assertIn(f"reload failed: {self.d.config}:", self.d.read_log())

    def test_metrics_are_openmetrics(self):
        answer = self.d.ask("GET", "/metrics")
        self.assertEqual("application/openmetrics-text; version=1.0.0; charset=utf-8",
                         answer.headers["Content-Type"])
        self.check_openmetrics(answer.text)
        self.assertIn("vsw_guests 2\n", answer.text)
        self.assertIn('vsw_guest_from_guest_bytes_total{cid="4",name="db"} 0\n', answer.text)
        self.assertIn('vsw_lcore_guests{lcore="1"} 2\n', answer.text)

    def check_openmetrics(self, text):
        """Each family: TYPE, HELP, its samples in a row; names and suffixes as they must be."""
        lines = text.split("\n")
        self.assertEqual(["# EOF", ""], lines[-2:])
        families, family = {}, None
        for line in lines[:-2]:
            if line.startswith("# TYPE "):
                _, _, family, kind = line.split()
                self.assertNotIn(family, families)
                families[family] = kind
            elif line.startswith(("# HELP ", "# UNIT ")):
                self.assertEqual(family, line.split()[2])
            elif families[family] == "histogram":
                self.assertRegex(line, rf'^{family}_(bucket|sum|count)\{{(\w+="[^"\\]*",?)+\}} '
                                 r"[0-9.]+$")
            else:
                suffix = {"counter": "_total", "gauge": "", "info": "_info"}[families[family]]
                self.assertRegex(line, rf'^{re.escape(family)}{suffix}(\{{(\w+="[^"\\]*",?)+\}})? '
                                 r"[0-9]+$")
        self.assertLess(50, len(families))

    def test_paths_and_methods_that_are_not_there(self):
        for path in ("/", "/guest", "/guests/", "/guests/3/x", "/guests/" + 100 * "x", "//guests"):
            answer = self.d.ask("GET", path)
            self.assertEqual(404, answer.status, path)
            self.assertIn("there is no", answer.error)
        answer = self.d.ask("PUT", "/guests", {})
        self.assertEqual((405, "GET, POST"), (answer.status, answer.headers["Allow"]))
        self.assertEqual("/guests takes GET, POST, not PUT", answer.error)
        answer = self.d.ask("GET", "/healthz", {"a": 1})
        self.assertEqual((400, "GET /healthz takes no body"), (answer.status, answer.error))
        self.assertEqual("unknown parameter 'x'; /healthz takes none",
                         self.d.ask("GET", "/healthz?x=1").error)


class WithoutFile(unittest.TestCase):
    def test_there_is_nothing_to_reload(self):
        d = Daemon()
        answer = d.ask("POST", "/reload")
        self.assertEqual(409, answer.status)
        self.assertIn("started without --config", answer.error)
        d.close()

    def test_mode_of_the_socket(self):
        d = Daemon("--api-mode=660")
        self.assertEqual(0o660, stat.S_IMODE(os.stat(d.api).st_mode))
        d.close()


if __name__ == "__main__":
    unittest.main()
