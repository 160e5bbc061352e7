#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Add up what meson and pytest left in a results folder; print "N passed, N failed" last.

usage: totals.py RESULTS_FOLDER N_FAILED_BUILDS
"""

import json
import pathlib
import re
import sys
import xml.etree.ElementTree as xml

CMOCKA_PASSED = re.compile(r"^\[  PASSED  \] (\d+) test", re.MULTILINE)
CMOCKA_FAILED = re.compile(r"^\[  FAILED  \] (\d+) test", re.MULTILINE)


def count_meson(path):
    """One JSON object a line, each a program; cmocka programs tell their single cases."""
    passed = failed = skipped = 0
    for line in path.read_text().splitlines():
        test = json.loads(line)
        output = test.get("stdout", "") + test.get("stderr", "")
        n_passed = sum(map(int, CMOCKA_PASSED.findall(output)))
        n_failed = sum(map(int, CMOCKA_FAILED.findall(output)))
        if test["result"] == "SKIP":
            skipped += 1
        elif test["result"] == "OK":
            passed += max(n_passed, 1)
        else:
            passed += n_passed
            failed += max(n_failed, 1)
    return passed, failed, skipped


def count_junit(path):
    passed = failed = skipped = 0
    for suite in xml.parse(path).getroot().iter("testsuite"):
        n_failed = int(suite.get("failures")) + int(suite.get("errors"))
        n_skipped = int(suite.get("skipped"))
        failed += n_failed
        skipped += n_skipped
        passed += int(suite.get("tests")) - n_failed - n_skipped
    return passed, failed, skipped


def main():
    results, n_failed_builds = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    counts = [count_meson(path) for path in sorted(results.glob("*.meson.json"))]
    counts += [count_junit(path) for path in sorted(results.glob("*.xml"))]
    passed, failed, skipped = (sum(column) for column in zip(*counts)) if counts else (0, 0, 0)
    failed += n_failed_builds
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
