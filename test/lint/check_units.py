#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""systemd finds nothing wrong with our units, one and the template, and calls them well confined.
Skipped where systemd-analyze is not installed or too old to look at files.

usage: check_units.py FOLDER_OF_UNITS PROGRAM_TO_START
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
EXPOSURE_MAX = 2.0  # of 10; systemd says OK below 4.0


def analyze(*args):
    done = subprocess.run(["systemd-analyze", *args], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def main():
    units, program = pathlib.Path(sys.argv[1]), sys.argv[2]
    if not shutil.which("systemd-analyze"):
        print("systemd-analyze is not there")
        return SKIPPED
    mistakes = []
    with tempfile.TemporaryDirectory(prefix="vsw-units-") as folder:
        for name, instance in (("vswd.service", "vswd.service"),
                               ("vswd@.service", "vswd@blue.service")):
            text = re.sub(r"^(Exec\w+=)\S+", rf"\g<1>{program}", (units / name).read_text(),
                          flags=re.MULTILINE)  # what is not installed would be a mistake
            path = pathlib.Path(folder) / instance
            path.write_text(text)
            status, says = analyze("verify", "--man=no", str(path))
            mistakes += [line for line in says.splitlines() if instance in line or status != 0]
            status, says = analyze("security", "--offline=true", str(path))
            if "unrecognized option" in says:
                return SKIPPED
            exposure = float(re.search(r"exposure level for \S+: ([\d.]+)", says)[1])
            if exposure > EXPOSURE_MAX:
                mistakes.append(f"{name}: exposure {exposure}, more than {EXPOSURE_MAX}")
    print("\n".join(mistakes) or "the units are right")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
