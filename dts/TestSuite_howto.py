# SPDX-License-Identifier: BSD-3-Clause
"""The pages in doc/guides/howto do what they say: their lines "host$ ..." and "guest$ ..." are run in order, with
vswd configured as the block of YAML above them says, /run/vsw in a private folder, and a guest that runs."""

import os
import re
import subprocess

import pytest

from framework.paths import TOP, VSOCK_SHIM
from framework.switch import Vm
from framework.wait import DEADLINE, until

PROMPT = r"(host|guest)[$#] (.*)"
# AF_VSOCK of the host is vsock_shim.c's, so that a page does not depend on the kernel of this one.
NOT_RUN = {"modprobe vsock_loopback"}


def chapters_of(text):
    """@return pairs of a block of YAML and what follows it; none: it is TestSuite_howto_client's."""
    parts = re.split(r"^```yaml\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return list(zip(parts[1::2], parts[2::2]))


def steps_of(text):
    """Yield where a command runs, the command, and what it prints: the indented lines below it."""
    for block in re.findall(r"(?:^    .*\n)+", text, re.MULTILINE):
        lines = [line[4:] for line in block.splitlines()]
        while lines:
            prompt = re.fullmatch(PROMPT, lines.pop(0))
            if prompt is None:
                break  # not a session: options of a VMM
            output = []
            while lines and not re.match(PROMPT, lines[0]):
                output.append(lines.pop(0))
            yield prompt[1], prompt[2], output


class Host:
    def __init__(self, lab):
        self._lab = lab
        self.env = {**os.environ, "LD_PRELOAD": str(VSOCK_SHIM), "VSW_TEST_VSOCK": lab.folder.name,
                    "ASAN_OPTIONS": "verify_asan_link_order=0"}

    def run(self, command, output):
        """Again until it succeeds and prints what it should: what it needs may be on its way."""
        if command.endswith("&"):
            self._lab.run("host", ["bash", "-c", "exec " + command.removesuffix("&")], env=self.env)
            return

        def does_it():
            done = subprocess.run(["bash", "-c", command], text=True, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, timeout=DEADLINE, check=False,
                                  env=self.env)
            return done.returncode == 0 and done.stdout.splitlines() == output

        until(does_it, f"`{command}` to print {output}")


def run_in_guest(guest, command, output):
    if command.endswith("&"):
        guest.begin(command.removesuffix("&"))
    else:
        assert guest.run(command).splitlines() == output


PAGES = [page for page in sorted((TOP / "doc/guides/howto").glob("*.md"))
         if chapters_of(page.read_text())]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(lab, page):
    """
    Steps: for each block of YAML of the page, start vswd so, a guest, and what follows it.
    Verify: each command prints what the page shows; none is left out.
    """
    text = page.read_text().replace("/run/vsw", str(lab.folder))
    host = Host(lab)
    n_run = 0
    for config, session in chapters_of(text):
        (lab.folder / "vsw.yaml").write_text(config)
        switch = lab.run("vswd", [lab.staged_vswd, "--config", lab.folder / "vsw.yaml"],
                         env=host.env)
        switch.wait_for_output("vsw: ready")
        guest = lab.guest("uml", Vm(lab.folder, int(re.search(r"guest_cid: (\d+)", config)[1])))
        for where, command, output in steps_of(session):
            n_run += 1
            if where == "guest":
                run_in_guest(guest, command, output)
            elif command not in NOT_RUN:
                host.run(command, output)
        guest.kill()
        switch.send_signal(15)
        assert switch.wait() == 0
    assert n_run == len(re.findall(r"^    " + PROMPT, text, re.MULTILINE)) >= 3
