#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The laws of the tree that can be grepped; the include paths of lib/meson.build enforce the
rest. A law names what it forbids and where it does not apply."""

import pathlib
import re
import sys

# (what is forbidden, pattern, folders of lib/ that may)
LAWS = [
    ("librte_vhost", r"#include <rte_vhost", {"vhost"}),
    ("socket calls", r"\b(socket|accept4?|connect|recv|recvmsg|sendmsg|send|listen)\(",
     {"api", "base", "bridge", "control", "guest", "vhost"}),
    ("DPDK", r"#include <rte_", {"api", "base", "bridge", "control", "fabric", "poll", "trace", "vhost"}),
    ("volatile", r"\bvolatile\b", set()),
    ("rx/tx, which read differently from each side", r"\b(rx|tx)_\w+|\b\w+_(rx|tx)\b", set()),
]
# Folders in which a packet costs no allocation and no log line.
HOT = {"packet", "virtq", "conn"}
HOT_LAW = ("malloc or log on the packet path", r"\b(malloc|realloc|VSW_LOG\w*|printf)\(")
# Functions that programs and libraries do not use: what they write has no bound, or what they could not
# read no error.
FORBIDDEN = re.compile(
    r"\b(strcpy|strcat|stpcpy|strncpy|sprintf|vsprintf|gets|strtok|alloca|atoi|atol|atoll|atof|"
    r"mktemp|tmpnam|rand|srand|bzero|bcopy)\(")


def code_lines(path):
    """The lines of a C file without comments and string literals, numbered."""
    text = re.sub(r'"(?:\\.|[^"\\])*"', '""', path.read_text())
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.DOTALL)
    return enumerate(text.split("\n"), 1)


def violations(path, folder):
    laws = [(what, pattern) for what, pattern, allowed in LAWS if folder not in allowed]
    if folder in HOT:
        laws.append(HOT_LAW)
    for number, line in code_lines(path):
        for what, pattern in laws:
            if re.search(pattern, line):
                yield f"{path}:{number}: {what} in lib/{folder}: {line.strip()}"


def forbidden(path):
    for number, line in code_lines(path):
        for match in FORBIDDEN.finditer(line):
            yield f"{path}:{number}: {match.group(1)}() is forbidden: {line.strip()}"


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    files = sorted((root / "lib").glob("*/*.[ch]"))
    found = [v for path in files for v in violations(path, path.parent.name)]
    for folder in ("app", "lib"):
        found += [v for path in sorted((root / folder).rglob("*.[ch]")) for v in forbidden(path)]
    print("\n".join(found) or f"{len(files)} files keep the laws")
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
