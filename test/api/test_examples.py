#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The lines of the guides that begin with "$ " do what they say: run in order, on a vswd of their
own, with /run/vsw in a private folder."""

import pathlib
import re
import subprocess
import unittest

from daemon import VSW, WAIT, Daemon, DaemonCase

DOC = pathlib.Path(__file__).resolve().parents[2] / "doc"


def examples(path):
    """Commands: a line "    $ ..." and, while it ends with a backslash or leaves a quote open,
    those below."""
    command = None
    for line in path.read_text().splitlines():
        if command is None and re.match(r"\s*\$ ", line):
            command = line.strip()[2:]
        elif command is not None:
            command += "\n" + line
        if command is not None and not command.endswith("\\") and command.count("'") % 2 == 0:
            yield command
            command = None


class Completion(DaemonCase):
    """Of guests; the rest is test/lint/check_options.py's."""

    CONFIG = "vms: [{guest_cid: 3, name: web, socket: $/s, uds_path: $/u}]\n"
    FILE = DOC.parent / "config/completion/vsw"

    def complete(self, *words):
        script = f"""source {self.FILE}; PATH={pathlib.Path(VSW).parent}:$PATH
            COMP_WORDS=({' '.join(f"'{w}'" for w in words)}); COMP_CWORD={len(words) - 1}; _vsw
            echo "${{COMPREPLY[@]}}" """
        return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True,
                              env=self.d.env, timeout=WAIT).stdout.split()

    def test_guests_are_offered(self):
        self.assertEqual(["web", "3"], self.complete("vsw", "guest", "show", "")[-2:])
        self.assertEqual(["web"], self.complete("vsw", "conn", "list", "--guest", "w"))


class Examples(unittest.TestCase):
    def run_all(self, name):
        commands = list(examples(DOC / name))
        self.assertLess(5, len(commands))
        d = Daemon(config="vms: []\n")
        path = f"{pathlib.Path(VSW).parent}:{d.env['PATH']}"
        for command in commands:
            with self.subTest(command=command):
                done = subprocess.run(
                    ["bash", "-c", re.sub("/(run|etc)/vsw", d.folder, command)], timeout=WAIT,
                    env=dict(d.env, PATH=path), capture_output=True, text=True, check=False,
                    stdin=subprocess.DEVNULL)
                self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        d.close()

    def test_man_pages(self):
        self.run_all("man/vsw.1.scd")

    def test_api(self):
        self.run_all("guides/api.md")

    def test_operations(self):
        self.run_all("guides/operations.md")


if __name__ == "__main__":
    unittest.main()
