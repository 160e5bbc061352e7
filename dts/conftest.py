# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of all suites, and what happens when a test fails.

    python3 -m pytest dts                       all of it
    python3 -m pytest dts -k "not qemu"         without QEMU
    PAUSE_ON_FAILURE=1 ...                      wait, while everything still runs
    VSW_UML=/path/to/linux ...                  another User-Mode Linux kernel than Debian's
    VSW_VSOCK_TEST=/path/to/it ...              another vsock_test than linux-source-6.1's
    VSW_SYSTEMD_SSH_PROXY=/path/to/it ...       another systemd-ssh-proxy than the installed one
    VSW_BUILD=build-asan ...                    another build folder than build

Logs are in build/dts/<suite>.<test>/.
"""

import os
import re
import signal

import pytest

from framework.lab import Lab


def pytest_configure():
    # Clean up, too, when somebody ends us politely.
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated"))


@pytest.fixture
def lab(request):
    suite = request.node.path.stem.removeprefix("TestSuite_")
    test = re.sub(r"[^\w.-]+", "-", request.node.name.removeprefix("test_")).strip("-")
    with Lab(f"{suite}.{test}") as a_lab:
        yield a_lab


@pytest.fixture
def kind():
    """The guest's kind. Tests are parametrized over kinds."""
    return "uml"


@pytest.fixture
def lcores():
    """vswd's lcores. Tests are parametrized over layouts where it matters."""
    return "0-1"


@pytest.fixture
def switch(lab, lcores):
    return lab.switch(lcores=lcores)


@pytest.fixture
def guest(lab, switch, kind):
    """A guest that has booted; its context id is 3."""
    return lab.guest(kind, switch.vms[3])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    lab_of_test = find_lab(getattr(item, "funcargs", {}).values())
    if not report.failed or lab_of_test is None:
        return
    for name, tail in lab_of_test.tails():
        report.sections.append((name, tail))
    if os.environ.get("PAUSE_ON_FAILURE") and call.when != "teardown":
        pause(item, report, lab_of_test)


def find_lab(fixtures):
    """A test's own lab, or the one of guests that it shares with others."""
    labs = [getattr(fixture, "lab", fixture) for fixture in fixtures]
    return next((lab for lab in labs if isinstance(lab, Lab)), None)


def pause(item, report, lab_of_test):
    capture = item.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{item.nodeid} has failed:\n{report.longreprtext}\n"
              f"sockets: {lab_of_test.folder}\nlogs: {lab_of_test.logs}")
        input("Press Enter to go on. ")
