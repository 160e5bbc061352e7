#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vsw on a real vswd: what it prints for people and for programs, what it says of mistakes, its
exit statuses."""

import json
import re
import socket
import subprocess
import threading
import unittest

from daemon import VSW, VSW_GUEST, WAIT, DaemonCase, end

CONFIG = """\
vms:
  - {guest_cid: 3, name: web, socket: $/vm3.vhost, uds_path: $/w.vsock, groups: a+b}
  - {guest_cid: 4, socket: $/vm4.vhost, uds_path: $/vm4.vsock, lcore: 0, hairpin: off}
"""


class Client(DaemonCase):
    CONFIG = CONFIG

    def setUp(self):
        super().setUp()
        self.vsw = self.d.vsw

    def json(self, *args):
        return json.loads(self.vsw(*args, "--json").stdout)

    def fails(self, status, says, *args):
        done = self.vsw(*args, status=status)
        self.assertIn(says, done.stderr)
        self.assertEqual("", done.stdout)

    def test_guests(self):
        lines = self.vsw("guest", "list").stdout.splitlines()
        self.assertEqual(["CID", "NAME", "STATE", "CONNS", "LCORE", "GROUPS", "UDS", "PATH"],
                         lines[0].split())
        self.assertEqual(["3", "web", "not", "attached", "0", "0", "a+b",
                          f"{self.d.folder}/w.vsock"], lines[1].split())
        self.assertEqual([3, 4], [g["guest_cid"] for g in self.json("guest", "list")["guests"]])
        done = self.vsw("guest", "add", f"guest-cid=5,socket={self.d.folder}/5,"
                        f"uds-path={self.d.folder}/5v", "groups=x+y", "limit-connections=7",
                        "client=off")
        self.assertIn(f"its VMM may connect to {self.d.folder}/5", done.stdout)
        shown = self.json("guest", "show", "vm5")
        self.assertEqual((["x", "y"], 7), (shown["groups"], shown["limits"]["connections"]))
        self.assertRegex(self.vsw("guest", "show", "5").stdout, r"groups +x\+y\n")
        self.vsw("guest", "change", "vm5", "groups=z", "name=five")
        self.assertEqual(["z"], self.json("guest", "show", "five")["groups"])
        self.fails(3, "there is no guest six", "guest", "del", "six", "five")
        self.assertEqual(2, len(self.json("guest", "list")["guests"]))

    def test_a_guest_of_af_vsock(self):
        try:
            socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
        except OSError as e:
            self.skipTest(f"this host has no AF_VSOCK: {e}")
        self.vsw("guest", "add", "guest-cid=9", f"socket={self.d.folder}/9", "forward-cid=1",
                 "forward-listen=19552+19551")
        shown = self.json("guest", "show", "9")
        self.assertEqual((1, [19551, 19552], None),
                         (shown["forward_cid"], shown["forward_listen"], shown["uds_path"]))
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as taken:
            self.assertRaises(OSError, taken.bind, (socket.VMADDR_CID_ANY, 19551))
        self.fails(3, "forward-listen: port 19551 is also that of guest 9", "guest", "add", "guest-cid=10",
                   f"socket={self.d.folder}/10", "forward-cid=1", "forward-listen=19551")
        self.vsw("guest", "change", "9", "forward-listen=")
        self.assertEqual([], self.json("guest", "show", "9")["forward_listen"])
        self.vsw("guest", "del", "9")

    def test_relative_paths_are_the_callers(self):
        subprocess.run([VSW, "guest", "add", "guest-cid=9", "socket=s", "uds-path=u"],
                       cwd=self.d.folder, env=self.d.env, check=True, stdout=subprocess.DEVNULL)
        self.assertEqual(f"{self.d.folder}/u", self.json("guest", "show", "9")["uds_path"])
        subprocess.run([VSW, "guest", "change", "9", "forward=web:80+/tmp/../tmp/none.sock:0", "host-cids=5+3"],
                       cwd=self.d.folder, env=self.d.env, check=True, stdout=subprocess.DEVNULL)
        shown = self.json("guest", "show", "9")
        self.assertEqual([{"listen": "/tmp/../tmp/none.sock", "port": 0},
                          {"listen": f"{self.d.folder}/web", "port": 80}], shown["forward"])
        self.assertEqual([3, 5], shown["host_cids"])
        text = self.vsw("guest", "show", "9").stdout
        self.assertIn(f" /tmp/../tmp/none.sock:0+{self.d.folder}/web:80\n", text)
        self.assertRegex(text, r"host_cids +3\+5\n")
        self.vsw("guest", "change", "9", "forward=", "host-cids=")
        shown = self.json("guest", "show", "9")
        self.assertEqual(([], []), (shown["forward"], shown["host_cids"]))

    def test_mistakes(self):
        for status, says, *args in (
                (1, "there is no command 'x'", "x"),
                (1, "it is one of guest list, guest show", "guest"),
                (1, "it is one of guest list", "guest", "x"),
                (1, "it takes GUEST", "guest", "show"),
                (1, "it takes no arguments", "guest", "list", "x"),
                (1, "vsw guest list: unrecognized option", "guest", "list", "--port=1"),
                (1, "vsw connect: unrecognized option", "connect", "--foo", "3", "22"),
                (1, "as in --wait=30", "connect", "--wait", "3", "3", "22"),
                (1, "as in --wait=30", "connect", "--wait=x", "3", "22"),
                (1, "the port is a number", "connect", "3", "+22"),
                (3, "guest_cid: it is a number", "guest", "add", "guest-cid=07"),
                (1, "-p: x is wrong, it is a number", "conn", "list", "-p", "x"),
                (1, "it must be KEY=VALUE", "guest", "add", "guest-cid"),
                (1, "-d: 0 is wrong, it is a number", "top", "-d", "0"),
                (3, "guest_cid: it is a number", "guest", "add", "guest-cid=x"),
                (3, "guest_cid: 2 is wrong, a guest has a CID from 3", "guest", "change", "web",
                 "guest-cid=2"),
                (3, "unknown field 'cid'", "guest", "add", "cid=3"),
                (3, "hairpin: it is true or false", "guest", "change", "web", "hairpin=maybe"),
                (3, "guest-cid: two guests have 4", "guest", "change", "web", "guest-cid=4"),
                (3, "forward: /x is wrong, it is PATH:PORT", "guest", "change", "web", "forward=/x"),
                (3, "forward: /x:99999999999 is wrong", "guest", "change", "web", "forward=/x:99999999999"),
                (3, "host_cids: 3 is the guest's own", "guest", "change", "web", "host-cids=3"),
                (3, "there is no guest x", "guest", "show", "x"),
                (3, "there is no", "guest", "show", "a/b"),
                (3, "there is no guest x", "conn", "list", "--guest=x"),
                (3, "there is no connection 1", "conn", "close", "1"),
                (3, "level: 'loud' is wrong", "log", "loud"),
                (2, "no vswd answers at /nowhere", "guest", "list", "--api=/nowhere")):
            with self.subTest(args=args):
                self.fails(status, says, *args)

    def test_help(self):
        out = self.vsw("--help").stdout
        for command in ("guest list", "conn close", "top", "reload", "capture", "connect"):
            self.assertIn(f"  {command}", out)
            self.assertIn(f"Usage: vsw {command} ", self.vsw(*command.split(), "--help").stdout)
        self.assertIn("$VSW_RUN_DIR", self.vsw("reload", "--help").stdout)

    def test_connections_of_named_guests(self):
        guest = self.d.serve(3)
        try:
            host = subprocess.Popen([VSW, "connect", "--wait=20", "web", "1000"],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.d.env)
            host.stdin.write(b"hello")
            host.stdin.flush()
            self.assertEqual(b"hello", host.stdout.read(5))
            conn, = self.json("conn", "list", "-g", "web", "-p", "1000")["connections"]
            line = self.vsw("conn", "list").stdout.splitlines()[1].split()
            self.assertEqual([str(conn["id"]), "3:1000", "<-", f"host:{conn['far_port']}",
                              "established"], line[:5])
            self.assertEqual(["5", "5"], line[6:])
            self.assertEqual([], self.json("conn", "list", "--guest=4")["connections"])
            stats = self.json("stats", "web")
            self.assertEqual((5, 5), (stats["from_guest_bytes"], stats["to_guest_bytes"]))
            self.assertRegex(self.vsw("stats").stdout, r"\n +3 +web +1 ")
            self.assertRegex(self.vsw("stats", "web").stdout, r"\nfrom_guest_bytes +5\n")
            self.assertNotIn("reset_type", self.vsw("stats", "web").stdout)
            self.assertIn("reset_type", self.vsw("stats", "web", "--all").stdout)
            top = self.vsw("top", "-n", "2", "--delay=0.2").stdout
            self.assertEqual(2, top.count("vswd 0.1.0: 2 guests, 1 connections"))
            self.assertRegex(top, r"\n +3 +web +running +1 ")
            self.vsw("conn", "close", str(conn["id"]))
            self.assertEqual(b"", host.stdout.read())
            host.stdin.close()
            host.wait(WAIT)
            host.stdout.close()
        finally:
            end(guest)

    def test_the_host_is_called_so_whatever_its_cid(self):
        self.vsw("guest", "change", "web", "host-cids=99")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.settimeout(WAIT)
            listener.bind(f"{self.d.folder}/w.vsock_52")
            listener.listen()
            guest = subprocess.Popen([VSW_GUEST, "connect", f"--guest={self.d.folder}/vm3.vhost", "99:52"],
                                     stdin=subprocess.PIPE)
            with listener.accept()[0]:
                conn, = self.json("conn", "list")["connections"]
                self.assertEqual((99, True), (conn["far_cid"], conn["far_is_host"]))
                self.assertIn(" -> host:52 ", re.sub(" +", " ", self.vsw("conn", "list").stdout))
            guest.stdin.close()
            guest.wait(WAIT)

    def test_all_pages_are_listed(self):
        guest = self.d.serve(4)
        socks = [self.d.dial(4)[0] for _ in range(1001)]
        self.assertEqual(1001, len({c["id"] for c in self.json("conn", "list")["connections"]}))
        for sock in socks:
            sock.close()
        end(guest)

    def test_what_config_show_prints_starts_the_same_vswd(self):
        self.vsw("guest", "change", "web", "limit-spill-bytes=1000", "queue-size=256",
                 f"forward={self.d.folder}/a:1+{self.d.folder}/b:2", "host-cids=7")
        shown = self.json("config", "show")
        text = self.vsw("config", "show").stdout
        with open(self.d.config, "w", encoding="utf-8") as f:
            f.write(text)
        self.assertIn("2 guests, no mistakes", self.vsw("config", "check", self.d.config).stdout)
        self.vsw("reload")
        self.assertEqual(shown, self.json("config", "show"))
        self.assertNotIn("left", self.d.read_log().replace("0 left", ""))

    def test_reload_and_check_tell_mistakes_with_their_place(self):
        self.d.write_config(CONFIG.replace("guest_cid: 4", "guest_cid: 1"))
        self.fails(3, f"{self.d.config}:3:", "reload")
        self.fails(1, f"{self.d.config}:3:", "config", "check", self.d.config)

    def test_log(self):
        self.vsw("log", "debug", "--types=vsw.poll")
        self.assertRegex(self.vsw("log").stdout, r"\nvsw.poll +debug\n")
        self.assertEqual({"vsw.poll": "debug"}, self.json("log", "-t", "vsw.p*")["types"])

    def test_metrics_do_not_stop_while_clients_come_and_go(self):
        stop = threading.Event()
        failed = []

        def look():
            while not stop.is_set():
                if self.d.ask("GET", "/metrics").status != 200:
                    failed.append(True)

        thread = threading.Thread(target=look)
        thread.start()
        for _ in range(5):
            self.vsw("guest", "add", "guest-cid=8", f"socket={self.d.folder}/8",
                     f"uds-path={self.d.folder}/8v")
            self.vsw("guest", "del", "8")
        stop.set()
        thread.join()
        self.assertEqual([], failed)


if __name__ == "__main__":
    unittest.main()
