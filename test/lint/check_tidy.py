#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""clang-tidy over lib/ and app/, as .clang-tidy says. A file that was clean is not looked at again
until it, what it includes of the tree, or .clang-tidy changes.

usage: check_tidy.py BUILD_FOLDER
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

from tools import ROOT, need, run, sources

INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)


def headers():
    found = {}
    for path in sources("lib", "app", "config", suffixes=(".h",)):
        found.setdefault(pathlib.Path(path).name, []).append(path)
    return found


def digest(path, by_name, memo):
    """Of a file and all of the tree that it includes, by name: a little too much is no harm."""
    if path not in memo:
        text = (ROOT / path).read_text()
        memo[path] = text.encode()
        names = INCLUDE.findall(text)
        memo[path] = hashlib.sha256(b"".join(
            [text.encode()] + [digest(p, by_name, memo) for name in names
                               for p in by_name.get(pathlib.Path(name).name, [])])).digest()
    return memo[path]


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    tidy = need("clang-tidy")
    version = subprocess.run([tidy, "--version"], capture_output=True, check=True).stdout
    common = version + (ROOT / ".clang-tidy").read_bytes()
    commands = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = os.path.relpath(build / entry["file"], ROOT)
        if path.startswith(("lib/", "app/")):
            commands[path] = entry["command"]

    clean = build / "tidy-clean"
    clean.mkdir(exist_ok=True)
    by_name, memo = headers(), {}
    stamps = {path: clean / hashlib.sha256(common + command.encode() +
                                           digest(path, by_name, memo)).hexdigest()
              for path, command in commands.items()}
    todo = sorted(path for path, stamp in stamps.items() if not stamp.exists())

    def check(path):
        return path, run([tidy, "-p", str(build), "--quiet", path])

    n_bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, result in pool.map(check, todo):
            if result.returncode == 0:
                stamps[path].touch()
            else:
                n_bad += 1
                print(result.stdout)
    print(f"{len(commands)} files, {len(todo)} looked at, {n_bad} not clean")
    return 1 if n_bad or not commands else 0


if __name__ == "__main__":
    sys.exit(main())
