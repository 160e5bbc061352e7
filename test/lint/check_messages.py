#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""doc/guides/troubleshooting.md has every message that an operator can meet: what ends vswd, what it
logs as an error or a warning, why it hangs up on a VMM or refuses a request, what vsw complains of. A message is
there when a quotation (`...`) begins with it; what the program fills in may be anything.

usage: check_messages.py [--list]
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "doc/guides/troubleshooting.md"

STRING = r'(?:"(?:[^"\\]|\\.)*"\s*)+'
# Where messages are made, and how; `return "..."` is a reason in that file only.
PLACES = (
    ("app/vswd/*.c", rf"\b(?:err|errx)\(\w+,\s*({STRING})"),
    ("app/vswd/*.c", rf"\b(?:warn|warnx)\(({STRING})"),
    ("app/vswd/*.c", rf"\bsay\(why,\s*-?\w+,\s*({STRING})"),
    ("app/vswd/*.c", rf"VSW_LOG(?:_LIMITED)?\((?:ERR|WARNING),\s*({STRING})"),
    ("lib/*/*.c", rf"VSW_LOG(?:_LIMITED)?\((?:ERR|WARNING),\s*({STRING})"),
    ("lib/control/*.c", rf"\brequest_fail\([^,]+,\s*-?\w+,\s*({STRING})"),
    ("lib/control/*.c", rf"\bnote_failure\([^,]+,\s*-?\w+,\s*({STRING})"),
    ("lib/vhost/vhost_check.c", rf"\breturn ({STRING});"),
    ("lib/vhost/gate.c", rf"(?:\bend\(caller, (?:[^\"]*\? )?|\bwrong = |^\t)({STRING})"),
    ("lib/conf/conf_check.c", rf"snprintf\(\s*why, VSW_WHY_SIZE,\s*({STRING})"),
    ("lib/control/layout.c", rf"snprintf\(\s*why, \w+,\s*({STRING})"),
    ("app/vsw/*.c", rf"\bcomplain\(args, \w+,\s*({STRING})"),
    ("app/vsw/*.c", rf"snprintf\(\s*why, WHY_SIZE,\s*({STRING})"),
    ("app/vsw/*.c", rf"\bfail\(dial, \w+,\s*({STRING})"),
    ("app/vsw/*.c", rf"\bcomplain\([^,()]+->args, (?!0)\w+,\s*({STRING})"),
    ("app/vsw/*.c", rf"\brelay_complain\([^,]+,\s*({STRING})"),
    ("lib/vhost/vhost.c", rf"\bgate_hang_up\([^,]+,\s*({STRING})"),
)
# System calls that do not fail, and memory that is not there: the words say all.
PLAIN = ("out of memory", "getrlimit", "sched_getaffinity", "no_new_privs", "SIGBUS handler")


def messages():
    """{message as in the source: file}; those that are all filled in are told elsewhere."""
    found = {}
    for pattern, call in PLACES:
        for path in sorted(ROOT.glob(pattern)):
            for match in re.finditer(call, path.read_text(), re.MULTILINE):
                parts = re.findall(r'"((?:[^"\\]|\\.)*)"', match.group(1))
                text = "".join(parts).replace('\\"', '"')
                if re.search(r"[a-z]{3}", re.sub(r"%[a-z]*", "", text)) and text not in PLAIN:
                    found.setdefault(text, path.relative_to(ROOT))
    return found


def expression(message):
    parts = re.split(r"%[-.\d]*(?:ll|z|l)?[a-z]", message)
    return re.compile("`" + "[^`]*".join(re.escape(part.rstrip()) for part in parts))


def main():
    found = messages()
    if sys.argv[1:] == ["--list"]:
        print("\n".join(f"{path}: {text}" for text, path in found.items()))
        return 0
    page = re.sub(r"\s+", " ", PAGE.read_text())
    missing = [f"{path}: {text}" for text, path in found.items()
               if not expression(text).search(page)]
    for line in missing:
        print(f"{PAGE.relative_to(ROOT)} does not tell of {line}")
    if not missing:
        print(f"{len(found)} messages are told")
    return 1 if missing or not found else 0


if __name__ == "__main__":
    sys.exit(main())
