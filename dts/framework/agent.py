# SPDX-License-Identifier: BSD-3-Clause
"""Commands for a guest, over a serial line that has nothing to do with vsock: the host's end
of dts/guests/agent.sh."""

import itertools
import re
import threading

from .wait import DEADLINE, Changing


class Task:
    """A command that runs in a guest."""

    def __init__(self, agent, command):
        self.command = command
        self.lines = []
        self.status = None
        self._agent = agent

    @property
    def output(self):
        return "\n".join(self.lines).strip("\n")

    def has_ended(self):
        return self.status is not None or self._agent.is_gone

    def wait_for_output(self, pattern, timeout=DEADLINE):
        """Until a line of its output matches, or there will be no more."""

        def is_there():
            return any(re.search(pattern, line) for line in self.lines)

        self._agent.wait_until(lambda: is_there() or self.has_ended(),
                               f"the guest's `{self.command}` to print {pattern!r}", timeout)
        assert is_there(), (f"the guest's `{self.command}` has ended without having printed "
                            f"{pattern!r}, but:\n{self.output}")

    def finish(self, timeout=DEADLINE):
        """@return the exit status."""
        self._agent.wait_until(self.has_ended, f"the guest's `{self.command}` to end", timeout)
        assert self.status is not None, f"the guest has gone while it ran `{self.command}`"
        return self.status


class Agent:
    """A guest's boots and tasks."""

    def __init__(self, sock, log_path):
        self.n_boots = 0
        self.is_gone = False
        self._sock = sock
        self._log = open(log_path, "ab", buffering=0)
        self._tasks = {}
        self._ids = itertools.count(1)
        self._changing = Changing()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_until(self, is_so, what, timeout=DEADLINE):
        self._changing.wait_until(is_so, what, timeout)

    def start(self, command):
        assert "\n" not in command and len(command) < 4000, "a line, and the tty takes it whole"
        task = Task(self, command)
        task_id = next(self._ids)
        self._tasks[task_id] = task
        self._send(f"{task_id} {command}\n".encode())
        return task

    def close(self):
        """When the guest has gone."""
        self._reader.join(DEADLINE)
        self._sock.close()
        self._log.close()

    def _send(self, line):
        self._log.write(b"< " + line)
        self._sock.sendall(line)

    def _read(self):
        try:
            with self._sock.makefile("rb") as stream:
                for line in stream:
                    self._log.write(b"> " + line)
                    with self._changing.change():
                        self._on_line(line.decode(errors="replace").rstrip("\r\n"))
        except ConnectionResetError:
            pass
        with self._changing.change():
            self.is_gone = True

    def _on_line(self, line):
        if line.startswith("ready "):
            self.n_boots += 1
            return
        said = re.fullmatch(r"(\d+)([:=])(.*)", line)
        task = self._tasks.get(int(said[1])) if said else None
        if task is None:
            return
        if said[2] == ":":
            task.lines.append(said[3])
        else:
            task.status = int(said[3])
