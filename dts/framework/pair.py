# SPDX-License-Identifier: BSD-3-Clause
"""Two guests of one vswd that many tests share: they boot once."""

from .lab import Lab

# With a poll lcore for each guest there is a third that bridges; they share two cpus.
APART = {"lcores": "(0-2)@(0-1)", "options": {3: ",lcore=1", 4: ",lcore=2"}}
TOGETHER = {"lcores": "0"}


class Pair:
    """Guests 3 and 4; vswd knows a guest 5, which never runs."""

    def __init__(self, name, kinds, layout):
        self.lab = Lab(name)
        self._kinds = kinds
        self._layout = layout

    def __enter__(self):
        self.lab.__enter__()
        try:
            vms = self.lab.switch(3, 4, 5, **self._layout).vms
            self.guests = self.lab.guests(*zip(self._kinds, vms.values()))
        except BaseException:
            self.lab.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *exc_info):
        return self.lab.__exit__(*exc_info)

    def each_way(self):
        """@return pairs of guests: who connects, who listens."""
        return [tuple(self.guests), tuple(reversed(self.guests))]

    def repair(self):
        """Before a test: whatever the one before has left."""
        for guest in self.guests:
            if guest.process is None or not guest.process.is_alive():
                guest.kill()
                guest.start()
