# SPDX-License-Identifier: BSD-3-Clause
"""doc/guides/howto, the pages that need no configuration of vswd: what they say is what is run, line
by line.

In a console block `host$ ` and `host# ` are commands of the host, `guest# ` of guest 3; a line that ends
with & goes on while the page does. Lines in between are what the command before them prints. /run/vsw is a
private folder. What takes a program that Debian 12 does not have is run where there is one."""

import os
import re

import pytest

from framework.netns import Netns
from framework.others import (INSTALLED_SSH_PROXY, SYSTEMD_SSH_PROXY, has_iperf3_with_vsock,
                              has_systemd_ssh_proxy)
from framework.paths import TOP, VSW, VSW_STATIC
from framework.ssh import Ssh

PAGES = [page for page in sorted((TOP / "doc" / "guides" / "howto").glob("*.md"))
         if "```yaml" not in page.read_text()]
READY = r"^vsw \w+: .*(is at|ready: )|^Serving HTTP|[Ll]istening on"


def can_run(command):
    """Not what takes a program that is missing here."""
    if command.startswith("iperf3 "):
        return has_iperf3_with_vsock()
    return INSTALLED_SSH_PROXY not in command or has_systemd_ssh_proxy()


def steps(text):
    """@return triples: who, command, lines that it prints."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if prompt := re.match(r"(host|guest)[$#] (.*)", line):
                found.append((prompt[1], prompt[2], []))
            else:
                found[-1][2].append(line)
    return found


class Host:
    """Its home is the lab's folder, and its ssh is let in by the guest."""

    def __init__(self, lab):
        self._netns = Netns(lab)
        self._ssh = Ssh(lab)
        home = lab.folder / "home"
        programs = lab.folder / "programs"
        self._errors = lab.logs / "stderr.log"
        for folder in home, programs:
            folder.mkdir()
        # ssh takes its user's home for ~, whatever HOME says.
        for program in "ssh", "scp":
            wrapper = programs / program
            wrapper.write_text(f'#!/bin/sh\nexec /usr/bin/{program} -F {self._ssh.config} "$@"\n')
            wrapper.chmod(0o755)
        for program in VSW, VSW_STATIC:
            (programs / program.name).symlink_to(program)
        self._options = {"cwd": home, "env": {
            **os.environ, "HOME": str(home), "VSW_RUN_DIR": str(lab.folder),
            "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}}
        self.run("ip link set lo up")
        self.sshd_config = self._ssh.config.parent / "sshd_config"

    def run(self, command):
        # What ssh says of new hosts is not what the page is about.
        process = self._netns.run("host", ["sh", "-c", f"{{ {command}\n}} 2>>{self._errors}"],
                                  **self._options)
        status = process.wait()
        assert status == 0, f"{command}: {process.output}"
        return process.lines

    def begin(self, command):
        self._netns.run("host", ["sh", "-c", command], **self._options).wait_for_output(READY)


class InGuest:
    def __init__(self, guest, sshd_config):
        self._guest = guest
        guest.load_ipv6()
        guest.run(f"mount --bind {sshd_config} /etc/ssh/sshd_config")

    def _with_path(self, command):
        return f"PATH={VSW_STATIC.parent}:$PATH; {command}"

    def run(self, command):
        return self._guest.run(self._with_path(command)).splitlines()

    def begin(self, command):
        self._guest.begin(self._with_path(command)).wait_for_output(READY)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(lab, guest, page):
    """
    Steps: all commands of the page, in their order, on the host and in a guest without a network.
    Verify: each succeeds, and prints what the page says.
    """
    of_host = Host(lab)
    who = {"host": of_host, "guest": InGuest(guest, of_host.sshd_config)}
    all_steps = steps(page.read_text())
    assert all_steps
    for name, command, expected in all_steps:
        if not can_run(command):
            continue
        command = command.replace("/run/vsw", str(lab.folder))
        command = command.replace(INSTALLED_SSH_PROXY, SYSTEMD_SSH_PROXY)
        if command.endswith("&"):
            who[name].begin(command.removesuffix("&"))
        else:
            printed = who[name].run(command)
            assert not expected or printed == expected, f"{page.name}: {command}"
