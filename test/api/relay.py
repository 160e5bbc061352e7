# SPDX-License-Identifier: BSD-3-Clause
"""A command of vsw that runs until it is told to end."""

import os
import signal
import subprocess
import threading

from daemon import VSW, WAIT, wait_for


class Relay:
    """Runs when it is made: it has said that it is ready. says is all that it has said."""

    def __init__(self, *args, ready=" is at ", env=None, cwd=None, vsw=VSW):
        self.says = ""
        self._process = subprocess.Popen([vsw, *map(str, args)], stdin=subprocess.DEVNULL,
                                         stderr=subprocess.PIPE, text=True, env=env, cwd=cwd)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.wait_to_say(ready)
        except BaseException:
            self.end(signal.SIGKILL)
            raise

    @property
    def pid(self):
        return self._process.pid

    def _read(self):
        for line in self._process.stderr:
            self.says += line

    def wait_to_say(self, what):
        def said():
            if what not in self.says and self._process.poll() is not None:
                self._reader.join(WAIT)
                raise RuntimeError(f"it has ended without {what!r}: {self.says}")
            return what in self.says

        wait_for(said, f"{what!r} in {self.says!r}")

    def n_descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def is_asleep(self):
        """Often: one that asks epoll in a circle is not."""
        def looks_so():
            with open(f"/proc/{self.pid}/stat", encoding="ascii") as f:
                return f.read().split()[2] == "S"

        return all(looks_so() for _ in range(100))

    def end(self, number=signal.SIGTERM):
        """@return its exit status."""
        self._process.send_signal(number)
        status = self._process.wait(WAIT)
        self._reader.join(WAIT)
        self._process.stderr.close()
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self.end()
