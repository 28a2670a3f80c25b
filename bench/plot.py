#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bench/plot.py [FOLDER] - draws the last run of bench/run: FOLDER/performance-{time,memory}.svg

Idea      One bar for each row of build/bench.jsonl: Stele's figure divided by another one. Time is
          divided by the fastest peer's, memory and faults by glibc's. The scale is logarithmic, with 1 in
          the middle line: a bar to the left is better than the other allocator. The thin mark is the
          target of the row (bench/report.py).
Failure   a message, and status 1, where there is no run.
Tests     bench/run --self-test
"""
import html
import json
import math
import os
import sys

sys.dont_write_bytecode = True
import report  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RUN = os.path.join(ROOT, "build", "bench.jsonl")

LEFT, WIDTH, LINE, TOP = 230, 420, 20, 46
SCALE = math.log(4)  # from a quarter to four times
BETTER, WORSE = "#3a7d44", "#b5542c"


def results(path):
    """[(label, reached, target, peer)] by the kind of the target, in the order of the table."""
    labels = {row.measure: row.label.strip() for row in report.ROWS}
    found = {report.FASTEST: [], report.OF_GLIBC: []}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            if entry["kind"] == "result" and entry["reached"] and entry["target_is"] in found:
                label = labels.get(entry["measure"], entry["measure"])
                if ":" in entry["measure"]:
                    label = f"{labels[entry['measure'].split(':')[1]]}: {label}"
                found[entry["target_is"]].append((label, entry["reached"], entry["target"], entry["peer"]))
    return found


def place(ratio):
    share = max(-1.0, min(1.0, math.log(ratio) / SCALE))
    return LEFT + WIDTH / 2 * (1 + share)


def bar(number, label, reached, target, peer):
    y = TOP + number * LINE
    start, end = sorted((place(1), place(reached)))
    colour = BETTER if reached <= target else WORSE
    return (f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{html.escape(label)}</text>'
            f'<rect x="{start:.1f}" y="{y + 3}" width="{max(end - start, 1):.1f}" height="13" fill="{colour}"/>'
            f'<rect x="{place(target) - 0.75:.1f}" y="{y + 1}" width="1.5" height="17" fill="#222"/>'
            f'<text x="{LEFT + WIDTH + 8}" y="{y + 13}">{reached:.2f} of {html.escape(peer)}</text>')


def drawing(title, rows):
    height = TOP + len(rows) * LINE + 12
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 170}" height="{height}" '
             'font-family="sans-serif" font-size="12">',
             f'<rect width="100%" height="100%" fill="#fff"/><text x="8" y="18" font-size="14">'
             f'{html.escape(title)}</text>']
    for ratio in (0.25, 0.5, 1, 2, 4):
        x = place(ratio)
        lines.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 4}" y2="{height - 8}" stroke="#ccc"/>'
                     f'<text x="{x:.1f}" y="{TOP - 8}" text-anchor="middle">{ratio:g}</text>')
    lines += [bar(number, *row) for number, row in enumerate(rows)]
    return "\n".join([*lines, "</svg>", ""])


def self_test():
    """A figure that misses its target does not look like one that reaches it."""
    assert place(1) == LEFT + WIDTH / 2 and place(4) == place(40) == LEFT + WIDTH
    assert BETTER in bar(0, "a", 0.9, 1.0, "b") and WORSE in bar(0, "a", 1.1, 1.0, "b")
    assert drawing("t", [("a<b", 1.0, 1.0, "c")]).count("a&lt;b") == 1


def main(words):
    if not os.path.exists(RUN):
        print(f"plot: no {RUN}: 'make bench' writes it", file=sys.stderr)
        return 1
    folder = words[0] if words else os.path.join(ROOT, "docs")
    found = results(RUN)
    for name, kind, title in (
            ("time", report.FASTEST, "Time and instructions: Stele divided by the best of the other allocators"),
            ("memory", report.OF_GLIBC, "Page faults and peak RSS: Stele divided by glibc")):
        with open(os.path.join(folder, f"performance-{name}.svg"), "w", encoding="utf-8") as out:
            out.write(drawing(title, found[kind]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
