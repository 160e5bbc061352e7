# SPDX-License-Identifier: BSD-3-Clause
"""The kernel's own tests of AF_VSOCK, tools/testing/vsock, out of Debian's linux-source-6.1."""

import functools
import os
import pathlib
import re
import subprocess
import tempfile

from .paths import BUILD, VSOCK_TEST

TARBALL = pathlib.Path("/usr/src/linux-source-6.1.tar.xz")
FOLDERS = ["tools/testing/vsock", "tools/include"]


@functools.cache
def program():
    """Built when it is not there yet, which takes half a minute. @return its file. VSW_VSOCK_TEST
    names another one."""
    if other := os.environ.get("VSW_VSOCK_TEST"):
        return pathlib.Path(other)
    if not VSOCK_TEST.exists():
        _build()
    return VSOCK_TEST


def _build():
    assert TARBALL.exists(), f"there is no {TARBALL}: sh test/install-deps.sh"
    with tempfile.TemporaryDirectory(prefix="vsock_test-", dir=BUILD) as folder:
        subprocess.run(["tar", "-xJf", TARBALL, "-C", folder, "--strip-components=1",
                        *[f"linux-source-6.1/{inner}" for inner in FOLDERS]], check=True)
        sources = pathlib.Path(folder, FOLDERS[0])
        subprocess.run(["make", "-s", "-C", sources, "vsock_test"], check=True)
        (sources / "vsock_test").rename(VSOCK_TEST)


@functools.cache
def names():
    """@return the names of its tests, by id."""
    # It exits with status 1 after that.
    listed = subprocess.run([program(), "--list"], stdout=subprocess.PIPE, text=True).stdout
    return {int(number): name
            for number, name in re.findall(r"^(\d+)\t(.+)$", listed, re.MULTILINE)}


def verify_has_passed(task, expected):
    """It stops at the first test that fails, with a status."""
    assert task.finish() == 0, task.output
    passed = re.findall(r"^\d+ - (.+?)\.\.\.(?!skipped)", task.output, re.MULTILINE)
    assert passed == expected, task.output
