#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The tree is as clang-format leaves it. To make it so: clang-format -i FILE."""

import sys

from tools import need, run, sources


def main():
    files = sources("app", "config", "lib", "test")
    result = run([need("clang-format"), "--dry-run", "--Werror", *files])
    bad = sorted({line.split(":")[0] for line in result.stdout.splitlines() if ": error:" in line})
    if result.returncode != 0:
        print("not formatted; clang-format -i", *bad or [result.stdout])
        return 1
    print(f"{len(files)} files are formatted")
    return 0


if __name__ == "__main__":
    sys.exit(main())
