#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Count the instructions that a message costs, and see that they do not grow with guests,
connections or lcores.

Instructions are not time: they are the same on a busy machine, so that they can be compared
with a tolerance of a few percent. What is counted is user space only, all loops of a switch
which is stepped by hand in one thread (instructions.c); the kernel's copies are not in it, and
neither is what lcores cost each other by sharing cache lines.

    python3 test/perf/instructions.py            the table, in Markdown; exit status 1: it grows"""

import argparse
import contextlib
import dataclasses
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

import page
import table

ROOT = pathlib.Path(__file__).resolve().parents[2]
IDLE_PORT = 99
SKIPPED = 77
# How much more than in the first line of its group a message may cost.
TOLERANCE = 0.05
DEADLINE = 600


@dataclasses.dataclass(frozen=True)
class Count:
    """A line of the table."""
    name: str
    args: tuple
    connections: int = 0


@dataclasses.dataclass(frozen=True)
class Group:
    """Lines that should cost the same for each message."""
    title: str
    counts: tuple


def by_guests(path, title):
    fewest = 2 if path == "g2g" else 1
    return Group(f"{title}, all guests talk, on one poll lcore", tuple(
        Count(f"{n} guest{'s' * (n > 1)}",
              (f"--path={path}", f"--guests={n}", f"--rounds={max(20, 200 // n)}"))
        for n in (fewest, 16, 64)))


def by_lcores(path, title):
    return Group(f"{title}, 2 guests on each lcore", tuple(
        Count(f"{n} poll lcore{'s' * (n > 1)}",
              (f"--path={path}", f"--guests={2 * n}", f"--lcores={n}", "--rounds=50"))
        for n in (1, 2, 8)))


PATHS = (("g2h", "guest to host"), ("h2g", "host to guest"), ("g2g", "guest to guest"))
GROUPS = [by_guests(*path) for path in PATHS] + [
    Group("guest to host, beside idle connections of the same guest", tuple(
        Count(f"{n:,} idle connection{'s' * (n > 1)}", ("--path=g2h",), n)
        for n in (1, 100, 10000))),
    *[by_lcores(*path) for path in PATHS],
    Group("guest to host, 8 guests, 2 poll lcores", tuple(
        Count(f"{n} bridge{'s' * (n > 1)}",
              ("--path=g2h", "--guests=8", "--lcores=2", f"--bridges={n}", "--rounds=50"))
        for n in (1, 2, 4)))]

# A turn of loops that find nothing, with this many guests.
TURNS = (1, 64)


class Host:
    """The host application at which idle connections end."""

    def __init__(self, folder):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"{folder}/3.vsock_{IDLE_PORT}")
        self.listener.listen(4096)
        self.accepted = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                self.accepted.append(self.listener.accept()[0])

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in self.accepted:
            sock.close()


def run(build, args, connections=0):
    """@return instructions, messages, rounds."""
    with tempfile.TemporaryDirectory(prefix="vsw-count-", dir="/tmp") as folder:
        out = f"{folder}/out"
        host = Host(folder)
        try:
            done = subprocess.run(
                ["valgrind", "--tool=callgrind", "--toggle-collect=counted",
                 f"--callgrind-out-file={out}", f"{build}/test/instructions", *args,
                 f"--connections={connections}", folder],
                capture_output=True, text=True, timeout=DEADLINE)
        finally:
            host.close()
        said = re.search(r"(\d+) rounds, (\d+) messages", done.stdout)
        if done.returncode != 0 or said is None:
            sys.exit(f"instructions {' '.join(args)} has failed:\n{done.stdout}{done.stderr}")
        with open(out, encoding="utf-8") as f:
            counted = re.search(r"^summary: (\d+)", f.read(), re.MULTILINE)
        return int(counted[1]), int(said[2]), int(said[1])


def measure(build, group):
    """@return the lines of a group, names of those that cost too much."""
    first, lines, bad = None, [], []
    for count in group.counts:
        counted, messages, _ = run(build, count.args, count.connections)
        cost = counted / messages
        first = first or cost
        lines.append([group.title, count.name, f"{cost:,.0f}", f"{cost / first:.3f}"])
        print(" | ".join(lines[-1]), flush=True)
        if cost > first * (1 + TOLERANCE):
            bad.append(f"{group.title}: {count.name}: {cost / first:.3f} times the first")
    return lines, bad


def measure_turns(build):
    """@return the line of what a guest costs in a turn that finds nothing."""
    args = ("--batch=0", "--rounds=1000")
    few, many = (run(build, (*args, f"--quiet={n - 1}"))[0] / 1000 for n in TURNS)
    each = (many - few) / (TURNS[1] - TURNS[0])
    return ["a turn that finds nothing", "for each guest", f"{each:,.0f}", ""]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default=str(ROOT / "build"), help="build folder (build)")
    parser.add_argument("--page", help="a page with a place for the table")
    opt = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("there is no valgrind")
        return SKIPPED
    lines, bad = [], []
    for group in GROUPS:
        of_group, bad_ones = measure(opt.build, group)
        lines += of_group
        bad += bad_ones
    lines.append(measure_turns(opt.build))
    text = table.markdown(["messages of 4 KiB, 16 in a burst", "", "instructions each",
                           "to the first"], lines)
    print(text)
    if opt.page:
        page.replace(opt.page, "instructions.py", text)
    print("\n".join(bad), file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
