# SPDX-License-Identifier: BSD-3-Clause
"""Figures in a page of the documentation: what stands between two comments is replaced."""

import pathlib


def replace(path, name, text):
    """Put @p text between <!-- begin: @p name --> and <!-- end: @p name --> of the page."""
    page = pathlib.Path(path)
    begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise SystemExit(f"{path} has no place for it: {begin.strip()} ... {end}")
    page.write_text(f"{before}{begin}\n{text.strip()}\n\n{end}{after}", encoding="utf-8")
