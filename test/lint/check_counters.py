#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""doc/guides/counters.md says what the tables of counters and of histograms say, and
doc/guides/trace.md names every trace point. With --write the former is written anew.

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

For each guest, since it was added; made from `lib/stats/vsw_stats.h` and `vsw_hist.h` by
`test/lint/check_counters.py --write`.

`vsw stats GUEST` prints it, the API has it in `/guests/GUEST`, summed over all guests in `/stats`, and in `/metrics`:
counters as `vsw_guest_<name>_total{cid,name}`, times as the histogram `vsw_guest_<name>_seconds{cid,name}`. DPDK's
telemetry has `/vsock/guest/stats,CID` and `/vsock/guest/times,CID`.
"""

TIMES = """\
## Times

Histograms of microseconds. Up to 4 us a bucket is 1 us wide, from there on a quarter of a power of two, up to 67 s;
`/metrics` has the powers of two. What exactly is measured:

- `connect_from_host`: from when the newline of the CONNECT line was read to when OK was written; of the guest that was
  asked. `connect_from_guest` and `connect_to_sibling`: from when the REQUEST was taken off the guest's ring to when the
  RESPONSE was put into a receive buffer; of the guest that asked. Only connections that succeed; others are counted.
- `wait_to_host` and `wait_from_sibling`: payload, from when it was taken off the sender's ring to when its last byte was
  taken by the host's socket, spilled meanwhile or not, or copied into the guest's receive buffers. A sample: the first of
  a guest's packets with payload and every 64th after it, unless one of the same connection is being timed. What is
  dropped has no time, nor has what waits in the guest's own ring, nor what hosts send: it stays in the host's socket
  until the guest has room.

| histogram | measures |
|---|---|
"""


def table(header, macro):
    """(title, [(name, help)...]) for each part of a table; a title of "" if it has none."""
    text = (ROOT / "lib/stats" / header).read_text()
    text = re.search(rf"#define {macro}\(X\)(.*?)\n\n", text, re.DOTALL).group(1)
    parts = [("", [])]
    for item in ITEM.finditer(re.sub(r"\s*\\\n\s*", " ", text)):
        if item["title"] is not None:
            parts.append((item["title"], []))
        else:
            parts[-1][1].append((item["name"], item["help"]))
    return [part for part in parts if part[1]]


def rows(items):
    return [f"| `{name}` | {text} |" for name, text in items] + [""]


def page():
    lines = [HEAD]
    for title, counters in table("vsw_stats.h", "VSW_COUNTER_TABLE"):
        lines += [f"## {title[0].upper()}{title[1:]}\n", "| counter | counts |", "|---|---|"]
        lines += rows(counters)
    (_, times), = table("vsw_hist.h", "VSW_HIST_TABLE")
    lines += [TIMES.rstrip("\n"), *rows(times)]
    return "\n".join(lines).rstrip("\n") + "\n"


def untold_traces():
    """Trace points that trace.c has and the guide has not, or the other way round."""
    code = re.findall(r"RTE_TRACE_POINT_REGISTER\(\w+, (vsw[\w.]+)\)",
                      (ROOT / "lib/trace/trace.c").read_text())
    guide = re.findall(r"^\| `(vsw\.[\w.]+)`", (ROOT / "doc/guides/trace.md").read_text(),
                       re.MULTILINE)
    return sorted(set(code) ^ set(guide))


def main():
    wanted = page()
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(wanted)
        return 0
    if PAGE.read_text() != wanted:
        print(f"{PAGE} is not what the table says; run {sys.argv[0]} --write")
        return 1
    if untold_traces():
        print(f"not in both lib/trace/trace.c and doc/guides/trace.md: {untold_traces()}")
        return 1
    print(f"{wanted.count(chr(10) + '| `')} counters and histograms are told right")
    return 0


if __name__ == "__main__":
    sys.exit(main())
