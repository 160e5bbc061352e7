# SPDX-License-Identifier: BSD-3-Clause
"""A process of the host with all its children, and what it prints."""

import contextlib
import os
import re
import signal
import subprocess
import threading

from .wait import DEADLINE, Changing, WaitedInVain


class Process:
    """Runs at once. What it prints is kept, in memory and in log_path; it gets no input, unless told."""

    def __init__(self, name, argv, log_path, **popen_options):
        self.name = name
        self.lines = []
        self.has_closed_output = False
        self._changing = Changing()
        self._log = open(log_path, "ab", buffering=0)
        self._log.write(("$ " + " ".join(map(str, argv)) + "\n").encode())
        # A group of its own: User-Mode Linux's processes are our processes.
        self._popen = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            **{"stdin": subprocess.DEVNULL, **popen_options})
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._popen.stdout:
            self._log.write(line)
            with self._changing.change():
                self.lines.append(line.decode(errors="replace").rstrip("\r\n"))
        with self._changing.change():
            self.has_closed_output = True

    @property
    def pid(self):
        return self._popen.pid

    @property
    def output(self):
        return "\n".join(self.lines)

    def is_alive(self):
        return self._popen.poll() is None

    def wait_for_output(self, pattern, timeout=DEADLINE):
        """Until a line of its output matches, or there will be no more."""

        def is_there():
            return any(re.search(pattern, line) for line in self.lines)

        self._changing.wait_until(lambda: is_there() or self.has_closed_output,
                                  f"{self.name} to print {pattern!r}", timeout)
        assert is_there(), f"{self.name} has ended without having printed {pattern!r}"

    def wait(self, timeout=DEADLINE):
        """For its end. @return its exit status, minus the signal that killed it."""
        try:
            status = self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise WaitedInVain(f"{self.name} to end", timeout) from None
        self._reader.join(timeout)
        return status

    def send_signal(self, number):
        self._popen.send_signal(number)

    def kill(self):
        """All of it, without a chance to do anything more. Harmless when it has been done."""
        if self._log.closed:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()
        self._log.close()
