#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every `file:function` that the guides name, a test or not, must exist: a definition in that file. Every relative
link of README.md and the guides must lead to something; one of a guide to a guide, for only they are installed."""

import pathlib
import re
import sys

REFERENCE = re.compile(r"`((?:lib|app|test)/[\w/.-]+\.[ch]):(\w+)`")

LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)")


def dead_links(root, page):
    for link in LINK.findall(page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        to = (page.parent / link).resolve()
        if not to.exists():
            yield f"{page.relative_to(root)}: the link {link} leads to nothing"
        elif page.is_relative_to(guides := root / "doc/guides") and not to.is_relative_to(guides):
            yield f"{page.relative_to(root)}: the link {link} leads to what is not installed"


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    missing = []
    n_found = 0
    for guide in sorted((root / "doc").rglob("*.md")):
        for path, function in REFERENCE.findall(guide.read_text()):
            source = root / path
            definition = re.compile(rf"^{function}\(", re.MULTILINE)
            if source.is_file() and definition.search(source.read_text()):
                n_found += 1
            else:
                missing.append(f"{guide.relative_to(root)}: {path}:{function} is not there")
    for page in [root / "README.md", *sorted((root / "doc").rglob("*.md"))]:
        missing += dead_links(root, page)
    print("\n".join(missing) or f"{n_found} references are right")
    return 1 if missing or n_found == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
