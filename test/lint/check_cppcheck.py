#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""cppcheck over lib/ and app/. What it is told to ignore stands here with its reason."""

import os
import sys

from tools import ROOT, need, run

SUPPRESSED = [
    # Who waits until another is done with it, and who takes the address back, may lend a local.
    "autoVariables",
    # A local may be called as a function of its file that it does not use.
    "shadowFunction",
    # Declarations stand at the top of a function.
    "variableScope",
    # Members of messages and configurations that another file reads.
    "unusedStructMember",
    # Handlers have the type of their table.
    "constParameterCallback",
    # Inline suppressions and these are for all versions.
    "unmatchedSuppression",
]


def main():
    command = [need("cppcheck"), "--quiet", "--error-exitcode=1", "--std=c11", "--inline-suppr",
               "--enable=warning,style,performance,portability", f"-j{os.cpu_count()}",
               "--include=test/lint/cppcheck.h",
               "--template={file}:{line}: {message} [{id}]"]
    command += [f"--suppress={what}" for what in SUPPRESSED]
    command += [f"-I{path.relative_to(ROOT)}" for path in [ROOT / "config", *(ROOT / "lib").iterdir()]
                if path.is_dir()]
    result = run([*command, "lib", "app"])
    print(result.stdout or "nothing found")
    return 1 if result.returncode != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
