# SPDX-License-Identifier: BSD-3-Clause
"""vswd."""

import os
import signal


class Vm:
    """What vswd has for a guest: a socket for its VMM, and one for hosts."""

    def __init__(self, folder, cid, options=""):
        self.cid = cid
        self.options = options
        self.vhost = folder / f"vm{cid}.vhost"
        self.uds = folder / f"vm{cid}.vsock"

    @property
    def vmm_listens(self):
        return "client=on" in self.options

    def uds_of_port(self, port):
        return self.uds.with_name(f"{self.uds.name}_{port}")


class Switch:
    def __init__(self, lab, options, lcores, user, api=None):
        """options: of guests, by their context ids; api: the path of its API, which it needs not have."""
        self.vms = {cid: Vm(lab.folder, cid, of_vm) for cid, of_vm in options.items()}
        argv = ["--lcores", lcores, "--log-level=vsw.*:info", "--", *self._vm_options(),
                *(["--api", api] if api else [])]
        self.process = lab.run("vswd", [lab.staged_vswd, *argv], user=user)
        self.process.wait_for_output(r"vsw: ready")
        self._was_killed = False

    def _vm_options(self):
        for vm in self.vms.values():
            yield "--vm"
            yield f"guest-cid={vm.cid},socket={vm.vhost},uds-path={vm.uds}{vm.options}"

    def wait_for_vmm(self, cid):
        self.process.wait_for_output(f"guest {cid}: VMM connected")

    def terminate(self):
        """@return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait()

    def kill(self):
        self._was_killed = True
        self.process.kill()

    def stop(self):
        """At the end of each test, whatever it was about."""
        if self._was_killed:
            return
        status = self.terminate() if self.process.is_alive() else self.process.wait()
        assert status == 0, f"vswd ended with status {status}"
        self.verify_sockets_are_gone()

    def verify_sockets_are_gone(self):
        left = [path for vm in self.vms.values() for path in (vm.vhost, vm.uds)
                if os.path.lexists(path) and not (path == vm.vhost and vm.vmm_listens)]
        assert not left, f"vswd has left {left}"
