# SPDX-License-Identifier: BSD-3-Clause
"""A network namespace: whatever a test does to addresses and routes is not done to this host."""

from .wait import until


class Netns:
    """Lives as long as the lab; nothing in it has been set up, lo is down."""

    def __init__(self, lab):
        self._lab = lab
        holder = lab.run("netns", ["unshare", "--net", "sh", "-c", "echo ready; exec sleep 86400"])
        holder.wait_for_output("ready")
        self._enter = ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]

    def run(self, name, argv, **options):
        """As lab.run, in it."""
        return self._lab.run(name, [*self._enter, *argv], **options)

    def has_listener(self, port):
        """Of TCP over IPv6."""
        listed = self.run("ss", ["ss", "-Hltn6", f"sport = {port}"])
        listed.wait()
        return listed.output != ""

    def wait_for_listener(self, port):
        until(lambda: self.has_listener(port), f"a listener at port {port} of the namespace")
