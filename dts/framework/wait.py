# SPDX-License-Identifier: BSD-3-Clause
"""Waiting: always for something that can be named, never for ever."""

import threading
import time

# Seconds. Far more than anything takes: machines that run tests are slow and busy.
DEADLINE = 60
BOOT_DEADLINE = 180
# What is refused is refused sooner than this. Patience is 2 s, vswd's and Linux's.
AT_ONCE = 1.5
N_TRIES = 3


class WaitedInVain(AssertionError):
    def __init__(self, what, timeout):
        super().__init__(f"waited {timeout} s for {what}")


def until(is_so, what, timeout=DEADLINE):
    """For what nobody tells us: a file that comes or goes."""
    end = time.monotonic() + timeout
    while not is_so():
        if time.monotonic() > end:
            raise WaitedInVain(what, timeout)
        time.sleep(0.02)


def fastest(attempt):
    """Busy machines make single attempts slow, but not all. @return seconds."""
    def seconds():
        start = time.monotonic()
        attempt()
        return time.monotonic() - start

    return min(seconds() for _ in range(N_TRIES))


class Changing:
    """Something that a thread of ours changes, and others wait for."""

    def __init__(self):
        self._condition = threading.Condition()

    def change(self):
        """A context in which to change it."""
        return _Change(self._condition)

    def wait_until(self, is_so, what, timeout=DEADLINE):
        with self._condition:
            if not self._condition.wait_for(is_so, timeout):
                raise WaitedInVain(what, timeout)


class _Change:
    def __init__(self, condition):
        self._condition = condition

    def __enter__(self):
        self._condition.acquire()

    def __exit__(self, *_):
        self._condition.notify_all()
        self._condition.release()
