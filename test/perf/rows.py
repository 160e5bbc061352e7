# SPDX-License-Identifier: BSD-3-Clause
"""What is measured: one row of the table each.

A row is a load of vsw-guest, the metrics taken from its result, and the limit it is compared
with: the same load without a switch, where a process of vsw-guest on the switch's cpu plays
an ideal one that has nothing to do but the AF_UNIX calls which no switch can avoid."""

import dataclasses

KIB = {64: "64 B", 1024: "1 KiB", 4096: "4 KiB", 16384: "16 KiB", 65536: "64 KiB"}
SIZES = list(KIB)


@dataclasses.dataclass(frozen=True)
class Metric:
    """A value of the result. scale(value) is printed with unit."""
    key: str
    unit: str
    is_lower_better: bool = False
    label: str = ""

    def value(self, result):
        return result[self.key]


@dataclasses.dataclass(frozen=True)
class Derived(Metric):
    """A value computed from the result."""
    compute: object = None

    def value(self, result):
        return self.compute(result)


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    args: tuple          # of vsw-guest, without sockets
    metrics: tuple
    n_guests: int = 1
    idle: str = "poll"   # what vswd does when there is nothing to do
    limit: tuple = ()    # () or (listen arguments, load arguments) of the ideal switch
    is_copy: bool = False  # its limit is one copy of what the other cpu has just written
    counts_syscalls: bool = False
    counts_turns: bool = False
    n_beside: int = 0    # guests that do nothing, in a process of their own
    many_connections: bool = False  # more than a guest may have by default


GBPS = Metric("gbps", "Gbit/s")
MSGS = Metric("messages_per_s", "msg/s")
RATE = Metric("done_per_s", "/s")
REFUSED = Metric("refused_per_s", "/s")
RTT = tuple(Metric(f"{p}_us", "us", True, f" {label}")
            for p, label in (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9")))
CPU = Derived("cpu", "% cpu", True, "",
              lambda r: 100 * r["watched_cpu_s"] / r["seconds"])

def memory(n, key):
    """KiB that each of n things adds, from before the guests to after the connections."""
    return Derived(key, "KiB", True, f" {key}", lambda r: (r[f"watched_{key}_kib"][1] -
                                                     r[f"watched_{key}_kib"][0]) / n)


def recv_limit(extra=()):
    """The switch's cpu writes as much as it can at a time."""
    return (("--serve=source", "--size=262144"), ("stream", "--direction=recv", *extra))


def streams():
    for size in SIZES:
        metric = MSGS if size == 64 else GBPS
        yield Row(f"g2h stream {KIB[size]}", ("stream", "--path=g2h", f"--size={size}"), (metric,),
                  limit=recv_limit((f"--size={size}",)))
    for size in SIZES:
        metric = MSGS if size == 64 else GBPS
        yield Row(f"h2g stream {KIB[size]}", ("stream", "--path=h2g", f"--size={size}"), (metric,),
                  limit=(("--serve=sink",), ("stream", f"--size={size}")))
    for size in SIZES:
        metric = MSGS if size == 64 else GBPS
        for n in (1, 8):
            yield Row(f"g2g stream {KIB[size]} x{n}",
                      ("stream", "--path=g2g", f"--size={size}", f"--connections={n}"), (metric,),
                      n_guests=2, is_copy=metric is GBPS)
    for size in (4096, 65536):
        yield Row(f"bidirectional {KIB[size]}",
                  ("stream", "--path=g2h", "--direction=both", f"--size={size}"), (GBPS,),
                  limit=(("--serve=source", f"--size={size}"),
                         ("stream", "--direction=both", f"--size={size}")))


def pings():
    for path, name in (("h2g", "host-guest-host"), ("g2h", "guest-host-guest"),
                       ("g2g", "guest-guest-guest")):
        for wait in ("poll", "interrupt"):
            limit = () if path == "g2g" else (("--serve=echo",), ("ping", f"--wait={wait}"))
            yield Row(f"rtt {name} {wait}", ("ping", f"--path={path}", f"--wait={wait}"), RTT,
                      n_guests=2 if path == "g2g" else 1, limit=limit)
    yield Row("rtt host-guest-host poll, 10000/s",
              ("ping", "--path=h2g", "--rate=10000"), RTT)


def churns():
    limit = ("--serve=sink",)
    for n in (1, 16):
        yield Row(f"connect g2h x{n}", ("churn", "--path=g2h", f"--connections={n}"), (RATE,))
        yield Row(f"connect h2g x{n}", ("churn", "--path=h2g", f"--connections={n}"), (RATE,),
                  limit=(limit, ("churn", f"--connections={n}")))
    yield Row("connect g2g x1", ("churn", "--path=g2g"), (RATE,), n_guests=2)
    for path in ("g2h", "h2g"):
        yield Row(f"refused {path} x8", ("churn", f"--path={path}", "--no-listen", "--timeout=2",
                                         "--connections=8"), (REFUSED,))


def sleeps():
    """Pings so far apart that an adaptive switch has gone to sleep in between."""
    for path, name in (("h2g", "host-guest-host"), ("g2g", "guest-guest-guest")):
        for idle in ("poll", "adaptive"):
            yield Row(f"rtt {name} interrupt, 1000/s, --idle={idle}",
                      ("ping", f"--path={path}", "--wait=interrupt", "--rate=1000"), (*RTT, dataclasses.replace(CPU, label=" cpu")),
                      n_guests=2 if path == "g2g" else 1, idle=idle)


def idle_connections():
    for idle in (100, 1000, 10000):
        yield Row(f"g2h stream 64 KiB, {idle} idle",
                  ("stream", "--path=g2h", f"--idle={idle}"), (GBPS,), many_connections=True)
        yield Row(f"rtt host-guest-host poll, {idle} idle",
                  ("ping", "--path=h2g", f"--idle={idle}"), RTT[:2], many_connections=True)


def crowds():
    for n in (1, 2, 4, 8, 16, 32, 64):
        yield Row(f"g2h stream 4 KiB, {n} guests",
                  ("stream", "--path=g2h", "--size=4096"), (GBPS,), n_guests=n)
    for n in (8, 64):
        yield Row(f"rtt host-guest-host poll, {n} guests",
                  ("ping", "--path=h2g"), (RATE, RTT[0]), n_guests=n)
    yield Row("g2h stream 4 KiB, 63 idle guests", ("stream", "--path=g2h", "--size=4096"), (GBPS,),
              n_beside=63)
    yield Row("g2h stream 64 KiB, 63 idle guests", ("stream", "--path=g2h"), (GBPS,),
              n_beside=63)
    yield Row("rtt host-guest-host poll, 63 idle guests", ("ping", "--path=h2g"), RTT[:2],
              n_beside=63)
    yield Row("poll loop, each of 64 idle guests",
              ("hold", "--connections=0", "--wait=interrupt"),
              (Metric("turn_ns_per_guest", "ns", True),), n_guests=64, counts_turns=True)


def costs():
    for idle in ("adaptive", "poll"):
        yield Row(f"idle cpu, 8 guests, --idle={idle}",
                  ("hold", "--connections=0", "--wait=interrupt"), (CPU,), n_guests=8, idle=idle)
    yield Row("memory of a guest (of 32)",
              ("hold", "--connections=0"),
              (memory(32, "rss"), memory(32, "anon")), n_guests=32)
    yield Row("memory of a connection (of 1000)",
              ("hold", "--connections=1000"), (memory(1000, "rss"), memory(1000, "anon")))
    yield Row("memory of a connection (of 10000)",
              ("hold", "--idle=10000", "--connections=0"),
              (memory(10000, "rss"), memory(10000, "anon")), many_connections=True)
    for path in ("g2h", "h2g"):
        for size in (4096, 65536):
            yield Row(f"system calls but epoll_wait {path} {KIB[size]}",
                      ("stream", f"--path={path}", f"--size={size}"),
                      (Metric("syscalls_per_mib", "/MiB", True),), counts_syscalls=True)


ROWS = [*streams(), *pings(), *sleeps(), *churns(), *idle_connections(), *crowds(), *costs()]
