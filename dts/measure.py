#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What applications of real guests get: a table in Markdown, with the guests' kernels.

    python3 dts/measure.py                              User-Mode Linux and QEMU (TCG)
    VSW_UML=/path/to/linux python3 dts/measure.py uml   another User-Mode Linux kernel
    python3 dts/measure.py --iperf3 /path/to/iperf3     and iperf3-vsock (a static one for QEMU)

socat is the guests' application, this program the host's. vswd has cpu 0, User-Mode Linux the
last one. These guests have no KVM: they, not vswd, are the limit."""

import argparse
import json
import os
import pathlib
import shlex
import statistics
import sys
import time

from framework import host
from framework.lab import Lab

sys.path.append(str(pathlib.Path(__file__).parents[1] / "test" / "perf"))
import noise  # noqa: E402
import page  # noqa: E402

MIB = 1 << 20
SIZE = {"uml": 1024 * MIB, "qemu": 64 * MIB}
N_PINGS = 2000
N_RUNS = 3
IPERF_SECONDS = 2
IPERF_PORT = 5201


class QuietLab(Lab):
    """Others that compute here should not be what is measured."""

    def run(self, *args, **kwargs):
        process = super().run(*args, **kwargs)
        noise.put_session_first(process.pid, -20)
        return process


def gbps(n_bytes, seconds):
    return 8e-9 * n_bytes / seconds


def receive_all(sock, into):
    n = 0
    while got := sock.recv_into(into):
        n += got
    return n


def guest_to_host(lab, guest):
    size = SIZE[guest.kind]
    listener = lab.listen(guest.vm, 53)
    sender = guest.begin(f"socat -u -b 262144 OPEN:/dev/zero,readbytes={size} "
                         "VSOCK-CONNECT:2:53")
    with listener.accept() as sock:
        buf = bytearray(MIB)
        sock.recv_into(buf, 1)
        begin = time.monotonic()
        n = receive_all(sock, buf)
        seconds = time.monotonic() - begin
    listener.close()
    assert sender.finish() == 0 and n + 1 == size
    return gbps(n, seconds)


def host_to_guest(_lab, guest):
    size = SIZE[guest.kind]
    receiver = guest.listen(1234, "OPEN:/dev/null", options="-u -b 262144")
    with host.dial(guest.vm, 1234) as sock:
        data = bytes(MIB)
        begin = time.monotonic()
        for _ in range(size // MIB):
            sock.sendall(data)
        host.finish(sock)
        assert receiver.finish() == 0
        return gbps(size, time.monotonic() - begin)


def round_trips(guest):
    """@return microseconds of each."""
    echo = guest.listen(7, "EXEC:cat")
    times = []
    with host.dial(guest.vm, 7) as sock:
        for _ in range(N_PINGS):
            begin = time.perf_counter()
            sock.sendall(b"x" * 64)
            assert host.receive(sock, 64)
            times.append(1e6 * (time.perf_counter() - begin))
        host.finish(sock)
        assert echo.finish() == 0
    return sorted(times)


def spread(values):
    return f"{statistics.median(values):.2f} [{min(values):.2f}-{max(values):.2f}]"


def describe(guest, vmm):
    return f"{vmm}, Linux {guest.run('uname -r')}"


def measure_sockets(lab, guest, name):
    for what, run in (("host to guest, socat", host_to_guest), ("guest to host, socat",
                                                                guest_to_host)):
        yield [name, what, "Gbit/s", spread([run(lab, guest) for _ in range(N_RUNS)])]
    times = round_trips(guest)
    yield [name, "host to guest and back, 64 bytes, socat and cat", "us, p50 / p99",
           f"{times[N_PINGS // 2]:.0f} / {times[N_PINGS * 99 // 100]:.0f}"]


class Iperf3:
    """Its runs, all of one process to another. Guests whose root is not the host's get a copy."""

    def __init__(self, lab, path):
        self.lab, self.path = lab, path

    def program(self, guest):
        if guest.kind == "uml":
            return str(self.path)
        if "iperf3" not in guest.run("ls"):
            receiver = guest.listen(1111, "CREATE:iperf3", options="-u")
            with host.dial(guest.vm, 1111) as sock:
                host.finish(sock, pathlib.Path(self.path).read_bytes())
                assert receiver.finish() == 0
            guest.run("chmod +x iperf3")
        return "./iperf3"

    def serve(self, guest):
        task = guest.begin(f"{self.program(guest)} --vsock --forceflush -s -1")
        task.wait_for_output("Server listening")
        return task

    def load(self, to, length, streams):
        return ["--vsock", "-J", "-t", str(IPERF_SECONDS), "-l", length, "-P", str(streams),
                "-c", to]

    def result(self, report):
        return json.loads(report)["end"]["sum_received"]["bits_per_second"] * 1e-9

    def to_guest(self, guest, length, streams):
        server = self.serve(guest)
        client = self.lab.run("iperf3", [self.path, *self.load(str(guest.vm.uds), length, streams)])
        assert client.wait() == 0, client.output
        server.finish()
        return self.result(client.output)

    def to_host(self, guest, length, streams):
        server = self.lab.run("iperf3-server", [self.path, "--vsock", "--forceflush", "-s", "-1",
                                                "-B", str(guest.vm.uds)])
        server.wait_for_output("Server listening")
        load = [self.program(guest), *self.load("2", length, streams)]
        report = guest.run(shlex.join(load))
        server.wait()
        return self.result(report)

    def between(self, guest, other, length, streams):
        server = self.serve(other)
        load = [self.program(guest), *self.load(f"s{other.vm.cid}", length, streams)]
        report = guest.run(shlex.join(load))
        server.finish()
        return self.result(report)


def measure_iperf(iperf, guest, other, name):
    for length in ("4K", "64K", "1M"):
        for streams in (1, 4):
            shape = f"iperf3 -l {length} -P {streams}"
            for what, run in (
                    ("host to guest", lambda: iperf.to_guest(guest, length, streams)),
                    ("guest to host", lambda: iperf.to_host(guest, length, streams)),
                    ("guest to guest", lambda: iperf.between(guest, other, length, streams))):
                yield [name, f"{what}, {shape}", "Gbit/s", f"{run():.2f}"]


def measure(kind, vmm, iperf_path):
    with QuietLab(f"measure.{kind}") as lab:
        vms = lab.switch(3, 4, lcores="0").vms
        guest, other = lab.guests((kind, vms[3]), (kind, vms[4]))
        name = describe(guest, vmm)
        yield from measure_sockets(lab, guest, name)
        if iperf_path:
            yield from measure_iperf(Iperf3(lab, iperf_path), guest, other, name)


def main():
    vmms = {"uml": "User-Mode Linux", "qemu": "QEMU, TCG"}
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("kind", nargs="*", help="uml, qemu (both)")
    parser.add_argument("--iperf3", help="an iperf3 with --vsock")
    parser.add_argument("--page", help="a page with a place for the figures")
    opt = parser.parse_args()
    noise.go_first(-20)
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    lines = ["| guest | what | | |\n|---|---|---|---|"]
    for kind in opt.kind or vmms:
        if kind not in vmms:
            parser.error(f"there is no {kind}: uml or qemu")
        for cells in measure(kind, vmms[kind], opt.iperf3):
            lines.append("| " + " | ".join(cells) + " |")
            print("\n".join(lines) if len(lines) == 2 else lines[-1], flush=True)
    if opt.page:
        page.replace(opt.page, "measure.py", "\n".join(lines))


if __name__ == "__main__":
    main()
