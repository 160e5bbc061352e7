# SPDX-License-Identifier: BSD-3-Clause
"""The pages in doc/guides/howto do what they say: their lines "host$ ..." and "guest$ ..." are run in order, with
vswd configured as their block of YAML says, /run/vsw in a private folder, and a guest that runs."""

import re
import subprocess

import pytest

from framework.paths import TOP
from framework.switch import Vm
from framework.wait import DEADLINE, until

PAGES = sorted((TOP / "doc/guides/howto").glob("*.md"))


def config_of(text):
    """@return the block of YAML; None: the page needs none, and is not for us."""
    block = re.search(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return block and block[1]


def steps_of(text):
    """Yield where a command runs, the command, and what it prints: the indented lines below it."""
    for block in re.findall(r"(?:^    .*\n)+", text, re.MULTILINE):
        lines = [line[4:] for line in block.splitlines()]
        while lines:
            prompt = re.fullmatch(r"(host|guest)\$ (.*)", lines.pop(0))
            if prompt is None:
                break  # not a session: options of a VMM
            output = []
            while lines and not re.match(r"(host|guest)\$ ", lines[0]):
                output.append(lines.pop(0))
            yield prompt[1], prompt[2], output


def run_on_host(lab, command, output):
    """Again until it succeeds and prints what it should: what it needs may be on its way."""
    if command.endswith("&"):
        lab.run("host", ["bash", "-c", "exec " + command.removesuffix("&")])
        return

    def does_it():
        done = subprocess.run(["bash", "-c", command], text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, timeout=DEADLINE, check=False)
        return done.returncode == 0 and done.stdout.splitlines() == output

    until(does_it, f"`{command}` to print {output}")


def run_in_guest(guest, command, output):
    if command.endswith("&"):
        guest.begin(command.removesuffix("&"))
    else:
        assert guest.run(command).splitlines() == output


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(lab, page):
    """
    Steps: start vswd as the page configures it, a guest, and what the page runs.
    Verify: each command prints what the page shows.
    """
    text = page.read_text().replace("/run/vsw", str(lab.folder))
    config = config_of(text)
    if config is None:
        pytest.skip("a page without a configuration")
    steps = list(steps_of(text))
    assert len(steps) >= 3
    (lab.folder / "vsw.yaml").write_text(config)
    switch = lab.run("vswd", [lab.staged_vswd, "--config", lab.folder / "vsw.yaml"])
    switch.wait_for_output("vsw: ready")
    guest = lab.guest("uml", Vm(lab.folder, int(re.search(r"guest_cid: (\d+)", config)[1])))
    for where, command, output in steps:
        if where == "host":
            run_on_host(lab, command, output)
        else:
            run_in_guest(guest, command, output)
    switch.send_signal(15)
    assert switch.wait() == 0
