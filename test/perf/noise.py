# SPDX-License-Identifier: BSD-3-Clause
"""Was the machine ours while something was measured?

Three witnesses. The kernel counts how long a process was ready to run, but had to wait. The
time that cpus spent on processes which are not ours, or that the
hypervisor took away, is known from /proc. And a fixed amount of work before each pass, which
should always take the same time, tells of what cannot be seen there: a slow clock, a busy
neighbour on the same core."""

import atexit
import contextlib
import fcntl
import os
import time

TICK = os.sysconf("SC_CLK_TCK")
# Above these a measurement is noisy: what others got of the two cpus, and how long the load
# generator or the switch could have run but did not. The latter says nothing of a switch with
# several threads, which wait for each other.
FOREIGN_MAX = 0.35
WAIT_MAX = 0.05
# The work before a pass may take so much longer than in the best pass of the run.
SPIN_DEVIATION_MAX = 0.15
LOCK = "/tmp/vsw-perf.lock"


def busy_seconds(cpus):
    """Seconds that @p cpus were not idle since boot, stolen time included."""
    busy = 0
    with open("/proc/stat", encoding="ascii") as f:
        for line in f:
            words = line.split()
            if words[0] in {f"cpu{cpu}" for cpu in cpus}:
                user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, words[1:9])
                busy += user + nice + system + irq + softirq + steal
    return busy / TICK


def own_seconds(pids):
    """Cpu seconds of this process, of its children that ended, and of @p pids."""
    times = os.times()
    total = times.user + times.system + times.children_user + times.children_system
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                words = f.read().rsplit(")", 1)[1].split()
        except FileNotFoundError:
            continue
        total += (int(words[11]) + int(words[12])) / TICK
    return total


def run_seconds(pid):
    """Cpu seconds of the main thread of @p pid, to the nanosecond."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as f:
        return int(f.read().split()[0]) * 1e-9


class Watch:
    """What others got of @p cpus between the creation and share()."""

    def __init__(self, cpus, pids):
        self.cpus, self.pids = cpus, pids
        self.begin = self.now()

    def now(self):
        return time.monotonic(), busy_seconds(self.cpus), own_seconds(self.pids)

    def share(self):
        begin, end = self.begin, self.now()
        wall = end[0] - begin[0]
        foreign = (end[1] - begin[1]) - (end[2] - begin[2])
        return max(0.0, foreign / (wall * len(self.cpus)))


def wait_for_quiet(cpus, patience):
    """Wait until nobody else computes, or @p patience seconds."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        watch = Watch(cpus, [])
        time.sleep(0.1)
        if watch.share() < 0.1:
            return


def deviates(spin, spins):
    return spin / min(spins) - 1 > SPIN_DEVIATION_MAX


@contextlib.contextmanager
def alone():
    """No other benchmark of this kind on this machine meanwhile."""
    with open(LOCK, "w", encoding="ascii") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def put_session_first(pid, nice):
    """Priority over other sessions for that of @p pid: a process's own counts only within its
    session when the kernel groups tasks by session (sched(7), autogroup)."""
    try:
        with open(f"/proc/{pid}/autogroup", "w", encoding="ascii") as f:
            f.write(str(nice))
    except OSError:
        pass


def go_first(nice):
    """The same for this process's session, as long as it runs."""
    put_session_first("self", nice)
    atexit.register(put_session_first, "self", 0)
