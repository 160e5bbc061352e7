# SPDX-License-Identifier: BSD-3-Clause
"""What lints that run a tool share."""

import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77  # meson's


def need(tool):
    """The tool's path; without it the test is skipped, and says so."""
    path = shutil.which(tool)
    if path is None:
        print(f"skipped: {tool} is not installed (test/install-deps.sh installs it)")
        sys.exit(SKIPPED)
    return path


def sources(*folders, suffixes=(".c", ".h")):
    return sorted(str(path.relative_to(ROOT)) for folder in folders
                  for path in (ROOT / folder).rglob("*") if path.suffix in suffixes)


def run(command, **options):
    return subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, **options)
