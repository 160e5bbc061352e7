# SPDX-License-Identifier: BSD-3-Clause
"""All that a test starts, and its end: a lab is a context, and leaves nothing behind but logs."""

import concurrent.futures
import contextlib
import os
import pathlib
import pwd
import shutil
import tempfile

from .guest import KINDS
from .host import Listener
from .paths import GUESTS, LOGS, UML_XSTATE, VSWD
from .process import Process
from .switch import Switch

N_TAIL_LINES = 30


class Lab:
    def __init__(self, name):
        self.logs = LOGS / name
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir(parents=True)
        # A short path: a socket's has at most 107 characters.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vsw-", dir="/tmp"))
        self._stack = contextlib.ExitStack()
        self._stack.callback(shutil.rmtree, self.folder)
        # What other users run: they may be unable to reach the build.
        for path in (VSWD, UML_XSTATE, GUESTS / "uml-init.sh", GUESTS / "agent.sh"):
            shutil.copy(path, self.folder)
        self.staged_vswd = self.folder / VSWD.name

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        return self._stack.__exit__(*exc_info)

    def enter(self, context):
        """Something else that ends with the lab."""
        return self._stack.enter_context(context)

    def run(self, name, argv, user=None, **popen_options):
        """@return a Process, which dies with the lab at the latest."""
        if user is not None:
            argv = ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}",
                    "--clear-groups", *argv]
        process = Process(name, argv, self.logs / f"{name}.log", **popen_options)
        self._stack.callback(process.kill)
        return process

    def let_own(self, user):
        """Let a user have the lab's folder and what is in it."""
        for path in (self.folder, *self.folder.iterdir()):
            os.chown(path, pwd.getpwnam(user).pw_uid, -1)

    def switch(self, *cids, lcores="0", user=None, options=None, api=None):
        """@return a vswd that serves guests of these context ids; some with options, such as
        {3: ",groups=red"}."""
        switch = Switch(self, dict.fromkeys(cids or (3,), "") | (options or {}), lcores, user, api)
        self._stack.callback(switch.stop)
        return switch

    def guest(self, kind, vm, user=None):
        """@return a guest that has booted."""
        return self.guests((kind, vm), user=user)[0]

    def guests(self, *kinds_and_vms, user=None):
        """@return guests that have booted, all at once."""
        guests = [KINDS[kind](self, vm, user) for kind, vm in kinds_and_vms]
        for guest in guests:
            self._stack.callback(guest.kill)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda guest: guest.start(), guests))
        return guests

    def listen(self, vm, port):
        """@return a Listener of the host."""
        listener = Listener(vm, port)
        self._stack.callback(listener.close)
        return listener

    def tails(self):
        """The end of every log. @return pairs of name and text."""
        for path in sorted(self.logs.glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()
            yield path.name, "\n".join(lines[-N_TAIL_LINES:])
