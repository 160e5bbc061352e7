# SPDX-License-Identifier: BSD-3-Clause
"""Was the machine ours while something was measured?

Two witnesses. The time that cpus spent on processes which are not ours, or that the
hypervisor took away, is known from /proc. And a fixed amount of work before each pass, which
should always take the same time, tells of what cannot be seen there: a slow clock, a busy
neighbour on the same core."""

import os
import statistics
import time

TICK = os.sysconf("SC_CLK_TCK")
# Of the cpu time of the two cpus; above it a measurement is noisy.
FOREIGN_MAX = 0.04
# The work before a pass may take so much longer or shorter than the median of the run.
SPIN_DEVIATION_MAX = 0.15


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
    return abs(spin / statistics.median(spins) - 1) > SPIN_DEVIATION_MAX
