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
import shutil
import statistics
import subprocess
import sys
import time

import noise
import page
import rows
import switches
import table

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
        dut.start(row)
        others = None
        try:
            sockets = [f"--guest={dut.folder}/vm%u.vhost", f"--host={dut.folder}/vm%u.vsock"]
            args = [*row.args, f"--guests={row.n_guests}", *sockets, *self.time_args(),
                    f"--watch={dut.process.pid}", *([] if verify else ["--no-verify"])]
            if row.counts_syscalls:
                return self.count_syscalls(dut, args)
            if row.counts_turns:
                return self.count_turns(dut, row, args)
            if row.n_beside:
                others = self.hold(row.n_beside, sockets)
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
            if others is not None:
                others.kill()
                others.wait()
            dut.stop()

    def hold(self, n_guests, sockets):
        """Guests that do nothing, behind the row's own, which sleep: they cost the load nothing.
        @return their process."""
        others = subprocess.Popen(
            [self.vsw_guest, "hold", f"--guests={n_guests}", "--first=4", "--connections=0",
             "--wait=interrupt", "--time=3600", *sockets], stdout=subprocess.DEVNULL,
            preexec_fn=self.load_place.apply)
        time.sleep(self.opt.settle)
        return others

    def count_turns(self, dut, row, args):
        """How long a turn of a switch's loop takes for each guest while nothing happens."""
        load = subprocess.Popen([self.vsw_guest, *args, "--time=3600"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                preexec_fn=self.load_place.apply)
        try:
            time.sleep(self.opt.settle)
            begin = dut.turns(), noise.run_seconds(dut.process.pid)
            watch = noise.Watch(self.cpus, [dut.process.pid])
            time.sleep(self.opt.time)
            foreign = watch.share()
            end = dut.turns(), noise.run_seconds(dut.process.pid)
            if load.poll() is not None:
                raise Failed(load.stderr.read().strip())
        finally:
            load.kill()
            load.communicate()
        ns = 1e9 * (end[1] - begin[1]) / (end[0] - begin[0])
        return {"turn_ns_per_guest": ns / row.n_guests, "foreign": foreign}

    def count_syscalls(self, dut, args):
        out = f"{dut.folder}/strace"
        if shutil.which("strace") is None:
            raise Failed("there is no strace")
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
            if name == bench.duts[0].name:
                busy = [r["generator_busy"] for r in results if "generator_busy" in r]
                entry["busy"] = statistics.median(busy) if busy else None
        summary.append(entry)
    return summary


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
    parser.add_argument("--settle", type=float, default=1.5,
                        help="seconds for idle guests to come up (1.5)")
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
    parser.add_argument("--json", help="where the results go (build/perf/bench-<time>.json)")
    parser.add_argument("--page", help="a page with a place for the figures, to write them into: "
                        "doc/guides/performance.md")
    parser.add_argument("--from", dest="from_json", metavar="JSON",
                        help="measure nothing: write the page from these results")
    opt = parser.parse_args()
    if opt.from_json and not opt.page:
        parser.error("--from needs --page")
    opt.passes = opt.passes or (3 if opt.quick else 5)
    opt.retries = opt.retries if opt.retries is not None else (1 if opt.quick else 5)
    opt.time = opt.time or (0.3 if opt.quick else 1)
    return opt


def is_selected(row, opt):
    return not opt.pattern or any(p in row.name or fnmatch.fnmatch(row.name, p) for p in opt.pattern)


def describe(bench, passes):
    """@return what is to be known of the run, beside its figures."""
    prints = [p["fingerprint"] for all_passes in passes.values() for p in all_passes]
    with open("/proc/cpuinfo", encoding="ascii") as f:
        cpu = re.search(r"^model name\s*: (.*)", f.read(), re.MULTILINE)
    return {
        "time": datetime.datetime.now().isoformat(timespec="minutes"),
        "peer": bench.peer_version,
        "kernel": os.uname().release,
        "cpus": f"{os.cpu_count()} x {cpu[1] if cpu else os.uname().machine}",
        "commit": subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
                                 text=True, capture_output=True, check=False).stdout.strip(),
        "machine": {key: statistics.median(p[key] for p in prints) for key in prints[0]},
        "names": [d.name for d in bench.duts],
        "options": vars(bench.opt),
    }


def say_machine(run):
    words = ", ".join(f"{key} {table.number(value)}" for key, value in run["machine"].items())
    return f"machine: {words}"


def write_page(path, run):
    """The figures of a run, as they are in the documentation."""
    entries, names = run["table"], run["names"]
    n_noisy = sum(e["is_noisy"] for e in entries)
    page.replace(path, "bench.py", "\n\n".join([
        f"vswd {run['commit']}, {run['peer'] or 'without the peer'}, Linux {run['kernel']}, "
        f"{run['cpus']}, {run['time']}; {n_noisy} of {len(entries)} lines are noisy (~).",
        table.targets(entries, names), table.figures(entries, names),
        table.notes(entries) + "\n\n" + say_machine(run)]))


def measure_all(bench, selected):
    """@return entries, passes."""
    passes = {}
    names = [d.name for d in bench.duts]
    for n, row in enumerate(selected):
        passes[row.name] = bench.measure(row)
        print(f"[{n + 1}/{len(selected)}] " + "; ".join(
            " | ".join(table.line(e, names)) for e in summarize(bench, row, passes[row.name])),
            file=sys.stderr, flush=True)
    # With all spins known, quiet is known better than while it was measured.
    return [e for row in selected for e in summarize(bench, row, passes[row.name])], passes


def main():
    opt = parse_args()
    if opt.from_json:
        write_page(opt.page, json.loads(pathlib.Path(opt.from_json).read_text(encoding="utf-8")))
        return 0
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
    entries, passes = measure_all(bench, selected)
    run = describe(bench, passes)
    run["table"], run["passes"] = entries, passes
    for text in (table.figures(entries, run["names"]), table.targets(entries, run["names"]),
                 table.notes(entries), say_machine(run)):
        print(text + "\n")
    path = pathlib.Path(opt.json or pathlib.Path(
        opt.build, "perf", f"bench-{datetime.datetime.now():%m%d-%H%M%S}.json"))
    path.write_text(json.dumps(run, indent=1), encoding="utf-8")
    print(f"all results: {path}")
    if opt.page:
        write_page(opt.page, run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
