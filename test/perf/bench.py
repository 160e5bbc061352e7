#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measure vswd and Debian's vhost-device-vsock against each other and against the machine.

Each switch runs alone on one cpu, vsw-guest, which is guests and host applications at once, on
another. A pass of a row measures every switch and the row's limit one after the other, each
with a fresh process of the switch; the first in line changes from pass to pass. A figure is
the median of the passes during which the machine was quiet (noise.py). With fewer than three
of those the row is marked with ~, and the figure is the best of all passes: noise only takes.
Nothing here is a verdict: there are no thresholds.

Before anything is measured, streams in both directions are verified byte by byte."""

import argparse
import datetime
import fnmatch
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

import noise
import rows
import switches

ROOT = pathlib.Path(__file__).resolve().parents[2]
REFUSED = 3
PORT = 1024


class Failed(Exception):
    """A load that gave no result; the message says why, for the table."""


class Bench:
    def __init__(self, opt):
        self.opt = opt
        self.vsw_guest = str(pathlib.Path(opt.build, "app", "vsw-guest"))
        self.cpus = (opt.switch_cpu, opt.load_cpu)
        self.switch_place = switches.Place(self.cpus[:1], opt.nice)
        self.load_place = switches.Place(self.cpus[1:], opt.nice)
        self.both_place = switches.Place(self.cpus, opt.nice)
        self.duts = [switches.Vswd("vswd", str(pathlib.Path(opt.build, "app", "vswd")),
                                   self.switch_place)]
        for spec in opt.also:
            name, _, path = spec.partition("=")
            self.duts.append(switches.Vswd(name, path, self.switch_place))
        self.peer_version = None
        if not opt.no_peer:
            self.add_peer()
        self.spins = []

    def add_peer(self):
        try:
            command, self.peer_version = switches.find_peer(
                self.opt.peer, pathlib.Path(self.opt.build, "perf", "peer"))
        except switches.Unavailable as error:
            print(f"without {switches.PEER}: {error}")
            return
        self.duts.append(switches.Peer(command, self.switch_place))

    # -- processes

    def run_load(self, args, timeout):
        """One run of vsw-guest. @return its result."""
        done = subprocess.run(
            [self.vsw_guest, *args, "--json"], capture_output=True, text=True, timeout=timeout,
            preexec_fn=self.load_place.apply)
        why = done.stderr.strip().split("\n")[0]
        why = re.sub(r"^vsw-guest: ", "", why)
        if not done.stdout.startswith("{"):
            raise Failed("refused" if done.returncode == REFUSED else why or "no result")
        result = json.loads(done.stdout)
        result["remark"] = why if done.returncode != 0 else ""
        return result

    def time_args(self):
        return [f"--time={self.opt.time}", f"--warmup={self.opt.warmup}"]

    def load_on(self, dut, row, verify=False):
        """Start a switch, run a row's load on it, stop it. @return the result."""
        dut.start(row.n_guests, row.idle)
        try:
            sockets = [f"--guest={dut.folder}/vm%u.vhost", f"--host={dut.folder}/vm%u.vsock"]
            args = [*row.args, f"--guests={row.n_guests}", *sockets, *self.time_args(),
                    f"--watch={dut.process.pid}", *([] if verify else ["--no-verify"])]
            if row.counts_syscalls:
                return self.count_syscalls(dut, args)
            watch = noise.Watch(self.cpus, [dut.process.pid])
            result = self.run_load(args, self.opt.time + 60)
            result["foreign"] = watch.share()
            wait = result["own_wait_s"]
            if dut.is_one_thread:
                wait = max(wait, result["watched_wait_s"])
            result["wait"] = wait / result["seconds"]
            return result
        except subprocess.TimeoutExpired:
            raise Failed("hangs") from None
        finally:
            dut.stop()

    def count_syscalls(self, dut, args):
        out = f"{dut.folder}/strace"
        tracer = subprocess.Popen(["strace", "-f", "-c", "-U", "calls,name", "-o", out,
                                   "-p", str(dut.process.pid)],
                                  stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        try:
            # By count, so that the calls of the connection and the end weigh nothing.
            size = int(next(a for a in args if a.startswith("--size=")).partition("=")[2])
            total = 256 << 20
            result = self.run_load([*args, "--settle=0.5", f"--count={total // size}"], 120)
        finally:
            tracer.terminate()
            tracer.wait()
        with open(out, encoding="ascii") as f:
            calls = {words[1]: int(words[0]) for words in map(str.split, f)
                     if len(words) == 2 and words[0].isdigit() and words[1] != "total"}
        result["syscalls"] = calls
        # A switch that polls asks epoll all the time, also while nothing is to be moved.
        calls.pop("epoll_wait", None)
        result["syscalls_per_mib"] = sum(calls.values()) / (total / (1 << 20))
        result["foreign"] = 0
        return result

    def limit_of(self, row):
        """The row's load with an ideal switch. @return the result."""
        listen, load = row.limit
        folder = pathlib.Path(self.opt.build, "perf")
        uds = f"{folder}/limit{os.getpid()}"

        server = subprocess.Popen(
            [self.vsw_guest, "listen", f"--host={uds}", "--wait=poll", "--no-verify", *listen,
             str(PORT)], preexec_fn=self.switch_place.apply, stderr=subprocess.DEVNULL)
        try:
            while not os.path.exists(f"{uds}_{PORT}") and server.poll() is None:
                os.sched_yield()
            watch = noise.Watch(self.cpus, [server.pid])
            result = self.run_load([*load, f"--host={uds}", "--plain", "--no-verify",
                                    *self.time_args(), str(PORT)], self.opt.time + 60)
            result["foreign"] = watch.share()
            return result
        finally:
            server.terminate()
            server.wait()

    def fingerprint(self):
        done = subprocess.run([self.vsw_guest, "limits", "--json"], capture_output=True,
                              text=True, check=True, preexec_fn=self.both_place.apply)
        return json.loads(done.stdout)

    # -- passes

    def one(self, what, row):
        """Measure one thing of a pass; a failure is a result, too."""
        try:
            result = self.limit_of(row) if what == "limit" else self.load_on(what, row)
        except (Failed, switches.Unavailable) as error:
            return {"failed": str(error)}
        result["values"] = [metric.value(result) for metric in row.metrics]
        return result

    def one_pass(self, row, i):
        with noise.alone():
            return self.one_pass_alone(row, i)

    def one_pass_alone(self, row, i):
        noise.wait_for_quiet(self.cpus, self.opt.patience)
        fingerprint = self.fingerprint()
        self.spins.append(fingerprint["spin_ms"])
        things = [*self.duts, *(["limit"] if row.limit else [])]
        things = things[i % len(things):] + things[:i % len(things)]
        done = {getattr(t, "name", t): self.one(t, row) for t in things}
        if row.is_copy:
            gbps = 8 * fingerprint["cross_copy_gbytes_per_s"]
            done["limit"] = {"values": [gbps] * len(row.metrics)}
        return {"fingerprint": fingerprint, "results": done,
                "foreign": max(r.get("foreign", 0) for r in done.values()),
                "wait": max(r.get("wait", 0) for r in done.values())}

    def is_quiet(self, a_pass):
        return (a_pass["foreign"] <= noise.FOREIGN_MAX and a_pass["wait"] <= noise.WAIT_MAX and
                not noise.deviates(a_pass["fingerprint"]["spin_ms"], self.spins))

    def measure(self, row):
        """@return the passes of a row; noisy ones are followed by more, within reason."""
        passes = []
        n_max = self.opt.passes + self.opt.retries
        while len(passes) < n_max and sum(map(self.is_quiet, passes)) < self.opt.passes:
            passes.append(self.one_pass(row, len(passes)))
            # What refuses once refuses always.
            if all("failed" in passes[-1]["results"][d.name] for d in self.duts):
                break
        return passes

    def gate(self):
        """Verified streams before any number."""
        for dut in self.duts:
            for path in ("g2h", "h2g"):
                for size in (64, 3000, 65536):
                    row = rows.Row("gate", ("stream", f"--path={path}", f"--size={size}"), ())
                    try:
                        remark = self.load_on(dut, row, verify=True)["remark"]
                    except (Failed, switches.Unavailable) as error:
                        remark = str(error)
                    if remark:
                        print(f"{dut.name}: {path}, {size} bytes: {remark}")


# -- the table

def number(value):
    if value is None:
        return "-"
    if value >= 10000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def figure(entry, name):
    """The one number for a thing: see above."""
    values = entry["values"].get(name)
    if not values:
        return None
    if entry["is_noisy"]:
        return min(values) if entry["is_lower_better"] else max(values)
    return statistics.median(values)


def spread(entry, name):
    values = entry["values"][name]
    text = number(figure(entry, name))
    return text if len(values) == 1 else f"{text} [{number(min(values))}-{number(max(values))}]"


def summarize(bench, row, passes):
    """@return for each metric of the row what the table says of it."""
    quiet = [p for p in passes if bench.is_quiet(p)]
    is_noisy = len(quiet) < min(3, bench.opt.passes)
    used = passes if is_noisy else quiet
    summary = []
    for i, metric in enumerate(row.metrics):
        entry = {"row": row.name + metric.label, "unit": metric.unit, "is_noisy": is_noisy,
                 "n_passes": len(passes), "n_quiet": len(quiet), "values": {}, "failed": {},
                 "is_lower_better": metric.is_lower_better, "busy": None}
        for name in [d.name for d in bench.duts] + ["limit"]:
            results = [p["results"][name] for p in used if name in p["results"]]
            entry["values"][name] = [r["values"][i] for r in results if "values" in r]
            failed = [r["failed"] for r in results if "failed" in r]
            if failed:
                entry["failed"][name] = f"{failed[0]} ({len(failed)} of {len(results)} passes)"
            if name == bench.duts[0].name and entry["values"][name]:
                entry["busy"] = statistics.median(r["generator_busy"] for r in results
                                                  if "values" in r)
        summary.append(entry)
    return summary


def ratio(entry, name, of):
    """How many times better @p name is than @p of."""
    a, b = figure(entry, name), figure(entry, of)
    if a is None or b is None:
        return None
    if entry["is_lower_better"]:
        a, b = b, a
    return a / b if a and b else None


def columns(bench):
    names = [d.name for d in bench.duts]
    return ["row", "unit", *names, *[f"x {n}" for n in names[1:]], "limit", "of limit",
            "load cpu", "quiet"]


def line_of(bench, entry):
    names = [d.name for d in bench.duts]
    first = names[0]
    cells = [("~ " if entry["is_noisy"] else "") + entry["row"], entry["unit"]]
    cells += [spread(entry, n) if entry["values"][n]
              else entry["failed"].get(n, "-").split(" (")[0][:28] for n in names]
    for name in names[1:]:
        r = ratio(entry, first, name)
        cells.append("-" if r is None else f"{r:.2f}")
    cells.append(number(figure(entry, "limit")))
    r = ratio(entry, first, "limit")
    cells.append("-" if r is None else f"{100 * r:.0f} %")
    cells.append("-" if entry["busy"] is None else f"{100 * entry['busy']:.0f} %")
    cells.append(f"{entry['n_quiet']}/{entry['n_passes']}")
    return cells


def print_table(bench, entries):
    table = [columns(bench)] + [line_of(bench, e) for e in entries]
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    for n, line in enumerate(table):
        print("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths)) + " |")
        if n == 0:
            print("|" + "|".join("-" * (w + 2) for w in widths) + "|")


def print_notes(bench, entries):
    for entry in entries:
        for name, why in entry["failed"].items():
            print(f"{entry['row']}: {name}: {why}")
    print("x NAME: how many times better vswd is. limit: the load without a switch. load cpu:\n"
          "how busy the generator was with vswd; near 100 % it is the limit, not the switch.\n"
          "quiet: passes in which the machine was ours; ~: too few of them, so the best pass counts.")


# -- command line

def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("pattern", nargs="*",
                        help="rows to measure: a part of the name, or a shell pattern")
    parser.add_argument("--build", default=str(ROOT / "build"), help="build folder (build)")
    parser.add_argument("--list", action="store_true", help="print the names of all rows")
    parser.add_argument("--quick", action="store_true", help="3 passes of 0.3 s")
    parser.add_argument("--passes", type=int, help="quiet passes wanted for each row (5)")
    parser.add_argument("--retries", type=int, help="more passes in place of noisy ones (5)")
    parser.add_argument("--time", type=float, help="seconds of a measurement (1)")
    parser.add_argument("--warmup", type=float, default=0.3)
    parser.add_argument("--patience", type=float, default=1,
                        help="seconds to wait before each pass for others to be quiet (1)")
    parser.add_argument("--nice", type=int, default=-20, help="priority of what is measured")
    parser.add_argument("--switch-cpu", type=int, default=0)
    parser.add_argument("--load-cpu", type=int, default=1)
    parser.add_argument("--also", action="append", default=[], metavar="NAME=PATH",
                        help="another vswd to measure, for example of an older build")
    parser.add_argument("--peer", help="vhost-device-vsock to use instead of Debian's")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--no-gate", action="store_true", help="skip the verified streams")
    parser.add_argument("--optional", action="store_true",
                        help="with the optional rows (system calls, by strace)")
    parser.add_argument("--json", help="where the results go (build/perf/bench-<time>.json)")
    opt = parser.parse_args()
    opt.passes = opt.passes or (3 if opt.quick else 5)
    opt.retries = opt.retries if opt.retries is not None else (1 if opt.quick else 5)
    opt.time = opt.time or (0.3 if opt.quick else 1)
    return opt


def is_selected(row, opt):
    if not opt.pattern:
        return opt.optional or not row.is_optional
    return any(p in row.name or fnmatch.fnmatch(row.name, p) for p in opt.pattern)


def write_json(bench, path, entries, passes):
    document = {
        "time": datetime.datetime.now().isoformat(timespec="seconds"),
        "peer": bench.peer_version,
        "kernel": os.uname().release,
        "commit": subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], text=True,
                                 capture_output=True, check=False).stdout.strip(),
        "options": vars(bench.opt),
        "table": entries,
        "passes": passes,
    }
    pathlib.Path(path).write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(f"all results: {path}")


def main():
    opt = parse_args()
    selected = [row for row in rows.ROWS if is_selected(row, opt)]
    if opt.list or not selected:
        print("\n".join(row.name for row in rows.ROWS))
        return 0 if opt.list else 1
    pathlib.Path(opt.build, "perf").mkdir(parents=True, exist_ok=True)
    bench = Bench(opt)
    noise.go_first(opt.nice)
    if not opt.no_gate:
        with noise.alone():
            bench.gate()
    passes, entries = {}, []
    for n, row in enumerate(selected):
        passes[row.name] = bench.measure(row)
        found = summarize(bench, row, passes[row.name])
        entries += found
        print(f"[{n + 1}/{len(selected)}] " + "; ".join(
            " | ".join(line_of(bench, e)) for e in found), file=sys.stderr, flush=True)
    copies = [p["fingerprint"] for all_passes in passes.values() for p in all_passes]
    # With all spins known, quiet is known better than while it was measured.
    entries = [e for row in selected for e in summarize(bench, row, passes[row.name])]
    print_table(bench, entries)
    print_notes(bench, entries)
    print(f"machine, median of {len(copies)}: " + ", ".join(
        f"{key} {number(statistics.median(c[key] for c in copies))}" for key in copies[0]))
    stamp = datetime.datetime.now().strftime("%m%d-%H%M%S")
    write_json(bench, opt.json or pathlib.Path(opt.build, "perf", f"bench-{stamp}.json"), entries,
               passes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
