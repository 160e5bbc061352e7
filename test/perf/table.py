# SPDX-License-Identifier: BSD-3-Clause
"""The table of the benchmark, in Markdown, and what it says of the targets.

An entry is one metric of a row as bench.py has summarized it, and as it is in its JSON."""

import statistics

NOTES = """\
x NAME: how many times better vswd is. limit: the load without a switch. load cpu: how busy
the generator was with vswd; near 100 % it is the limit, not the switch. quiet: passes in which
the machine was ours; ~: too few of them, so the best pass counts."""

BETTER, VALUE, OF_LIMIT = "times better than the peer", "itself", "of the limit"


def at_least(row, bound, what=BETTER):
    return row, what, bound, False


def at_most(row, bound):
    return row, VALUE, bound, True


# What is wanted, for the machine of two cpus that the project is developed on: (entry, what of
# it, bound, whether less is better).
TARGETS = (
    at_least("g2h stream 64 KiB", 1.3), at_least("g2h stream 64 KiB", 0.9, OF_LIMIT),
    at_least("g2h stream 4 KiB", 3), at_least("g2h stream 64 B", 15),
    at_least("h2g stream 64 KiB", 6), at_least("h2g stream 4 KiB", 4),
    at_least("g2g stream 64 KiB x1", 30, VALUE),
    at_most("rtt host-guest-host poll p50", 12), at_most("rtt guest-guest-guest poll p50", 3),
    at_least("connect h2g x1", 50000, VALUE), at_least("connect h2g x16", 50000, VALUE),
    at_most("memory of a connection (of 10000) rss", 4),
    at_most("poll loop, each of 64 idle guests", 50),
    at_most("idle cpu, 8 guests, --idle=adaptive", 2),
)

# An active guest or connection beside idle ones: (entry, the entry without them).
BESIDE = (
    ("g2h stream 64 KiB, 10000 idle", "g2h stream 64 KiB"),
    ("rtt host-guest-host poll, 10000 idle p50", "rtt host-guest-host poll p50"),
    ("g2h stream 4 KiB, 63 idle guests", "g2h stream 4 KiB"),
    ("g2h stream 64 KiB, 63 idle guests", "g2h stream 64 KiB"),
    ("rtt host-guest-host poll, 63 idle guests p50", "rtt host-guest-host poll p50"),
)


def number(value):
    if value is None:
        return "-"
    if value >= 10000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def figure(entry, name):
    """The one number for a thing: see bench.py."""
    values = entry["values"].get(name)
    if not values:
        return None
    if entry["is_noisy"]:
        return min(values) if entry["is_lower_better"] else max(values)
    return statistics.median(values)


def spread(entry, name):
    values = entry["values"][name]
    text = number(figure(entry, name))
    return text if len(values) == 1 else f"{text} [{number(min(values))}-{number(max(values))}]"


def better(entry, a, b):
    """@return how many times better than @p b figure @p a is."""
    if entry["is_lower_better"]:
        a, b = b, a
    return a / b if a and b else None


def ratio(entry, name, of):
    """How many times better @p name is than @p of."""
    return better(entry, figure(entry, name), figure(entry, of))


def line(entry, names):
    """The cells for an entry; @p names of the switches, vswd's first."""
    cells = [("~ " if entry["is_noisy"] else "") + entry["row"], entry["unit"]]
    cells += [spread(entry, n) if entry["values"].get(n)
              else entry["failed"].get(n, "-").split(" (")[0][:28] for n in names]
    for name in names[1:]:
        r = ratio(entry, names[0], name)
        cells.append("-" if r is None else f"{r:.2f}")
    cells.append(number(figure(entry, "limit")))
    r = ratio(entry, names[0], "limit")
    cells.append("-" if r is None else f"{100 * r:.0f} %")
    cells.append("-" if entry["busy"] is None else f"{100 * entry['busy']:.0f} %")
    cells.append(f"{entry['n_quiet']}/{entry['n_passes']}")
    return cells


def markdown(head, lines):
    """A table whose source can be read, too."""
    cells = [head, *lines]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    text = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths)) + " |" for row in cells]
    text.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(text)


def figures(entries, names):
    head = ["row", "unit", *names, *[f"x {n}" for n in names[1:]], "limit", "of limit",
            "load cpu", "quiet"]
    return markdown(head, [line(e, names) for e in entries])


def measured(entry, names, what):
    if what == VALUE:
        return figure(entry, names[0])
    return ratio(entry, names[0], "limit" if what == OF_LIMIT else names[-1])


def targets(entries, names):
    """What of the targets was measured, and how far it is from them."""
    by_name = {e["row"]: e for e in entries}
    lines = []
    for row, what, bound, is_less in TARGETS:
        value = measured(by_name[row], names, what) if row in by_name else None
        if value is None:
            continue
        unit = by_name[row]["unit"] if what == VALUE else what
        is_met = value <= bound if is_less else value >= bound
        lines.append([row, f"{'at most' if is_less else 'at least'} {number(bound)} {unit}",
                      number(value), "yes" if is_met else
                      f"no: {100 * value / bound:.0f} % of it"])
    for row, alone in BESIDE:
        if row not in by_name or alone not in by_name:
            continue
        entry = by_name[row]
        value = better(entry, figure(entry, names[0]), figure(by_name[alone], names[0]))
        if value is not None:
            lines.append([row, "at least 0.9 of what it is alone", number(value),
                          "yes" if value >= 0.9 else "no"])
    return markdown(["target", "wanted", "measured", "reached"], lines) if lines else ""


def notes(entries):
    return "\n".join([f"{e['row']}: {name}: {why}" for e in entries
                      for name, why in e["failed"].items()] + [NOTES])
