#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""doc/guides/counters.md says what the one counter table says. With --write it is written anew.

usage: check_counters.py [--write]
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "doc/guides/counters.md"
ITEM = re.compile(r'/\*\s*(?P<title>.*?)\s*\*/|X\(\w+,\s*"(?P<name>\w+)",\s*"(?P<help>[^"]+)"\)')

HEAD = """\
# What is counted

For each guest, since it was added; made from `lib/stats/vsw_stats.h` by `test/lint/check_counters.py --write`.

`vsw stats GUEST` prints them, the API has them in `/guests/GUEST` and, as `vsw_guest_<name>_total{cid,name}`, in
`/metrics`, DPDK's telemetry in `/vsock/guest/stats,CID`.
"""


def table():
    """(title, [(name, help)...]) for each part of the table."""
    text = (ROOT / "lib/stats/vsw_stats.h").read_text()
    text = re.search(r"#define VSW_COUNTER_TABLE\(X\)(.*?)\n\n", text, re.DOTALL).group(1)
    parts = []
    for item in ITEM.finditer(re.sub(r"\s*\\\n\s*", " ", text)):
        if item["title"] is not None:
            parts.append((item["title"], []))
        else:
            parts[-1][1].append((item["name"], item["help"]))
    return parts


def page():
    lines = [HEAD]
    for title, counters in table():
        lines += [f"## {title[0].upper()}{title[1:]}\n", "| counter | counts |", "|---|---|"]
        lines += [f"| `{name}` | {text} |" for name, text in counters] + [""]
    return "\n".join(lines).rstrip("\n") + "\n"


def main():
    wanted = page()
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(wanted)
        return 0
    if PAGE.read_text() != wanted:
        print(f"{PAGE} is not what the table says; run {sys.argv[0]} --write")
        return 1
    print(f"{sum(len(counters) for _, counters in table())} counters are told right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
