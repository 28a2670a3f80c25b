# SPDX-License-Identifier: MIT
"""bench/report.py - medians, ratios, targets and the table

Idea      A row names a measure, its unit and what is to be reached. The figures are the medians
          over all rounds; the verdict compares Stele's with the fastest peer's, with glibc's or
          with a plain limit. A row without the figures it needs says so and gets no verdict.
Tests     bench/run --self-test
"""

import json
import math
import os
import statistics

STELE = "stele"
GLIBC = "glibc"

# How a target is meant.
FASTEST = "of the fastest peer"  # Stele's figure divided by the smallest of the peers'
OF_GLIBC = "of glibc"  # Stele's figure divided by glibc's
PLUS = "more than glibc"  # Stele's figure less glibc's
LIMIT = "at most"  # Stele's figure itself


class Row:
    def __init__(self, measure, label, unit, kind, limit, peers_from=None):
        self.measure = measure
        self.label = label
        self.unit = unit
        self.kind = kind
        self.limit = limit
        self.peers_from = peers_from or measure


ROWS = [
    Row("cache-pair64", "kmem_cache_alloc+free, 64 B", "ns", FASTEST, 0.70, "pair64"),
    Row("cache-pair64-inline", "the same pair, inlined", "ns", FASTEST, 0.55, "pair64"),
    Row("pair64", "malloc+free, 64 B", "ns", FASTEST, 1.00),
    Row("batch-lifo", "10,000 x 64 B, LIFO", "ns", FASTEST, 1.10),
    Row("batch-fifo", "10,000 x 64 B, FIFO", "ns", FASTEST, 1.10),
    Row("batch-random", "10,000 x 64 B, random", "ns", FASTEST, 1.10),
    Row("mixed-1000", "16-1024 B, 1,000 live", "ns", FASTEST, 1.00),
    Row("mixed-100000", "16-1024 B, 100,000 live", "ns", FASTEST, 1.00),
    Row("spsc", "other thread frees, ring", "ns", FASTEST, 0.50),
    Row("two-threads", "2 threads, mixed", "ns", FASTEST, 0.90),
    Row("larson-8", "8 threads, Larson", "ns", FASTEST, 0.90),
    Row("realloc-small", "realloc 16 to 4096", "ns", FASTEST, 1.00),
    Row("realloc-large", "realloc 1 to 64 MiB", "us", FASTEST, 1.00),
    Row("large-churn", "33-303 KB, 64 live", "ns", FASTEST, 1.20),
    Row("large-two", "2 threads, 33-303 KB", "ns", FASTEST, 1.20),
    Row("large-mixed", "1-300 KB, 64 live, touched", "ns", FASTEST, 1.20),
    Row("pair4k", "malloc+free, 4 KiB", "ns", FASTEST, 1.15),
    Row("pair32k", "malloc+free, 32 KiB", "ns", FASTEST, 1.15),
    Row("pair256k", "malloc+free, 256 KiB", "ns", FASTEST, 1.15),
    Row("pair1m", "malloc+free, 1 MiB", "ns", FASTEST, 1.15),
    Row("memalign64", "posix_memalign 200 to 64", "ns", FASTEST, 1.15),
    Row("calloc64", "calloc+free, 64 B", "ns", FASTEST, 1.15),
    Row("realloc-double", "realloc 16 to 4096, x2", "ns", FASTEST, 1.15),
    Row("churn-128k", "500 of 16-128 KiB", "ns", FASTEST, 1.05),
    Row("faults:churn-128k", "  faults per step", "", OF_GLIBC, 1.00),
    Row("rss:churn-128k", "  peak RSS", "KiB", OF_GLIBC, 1.05),
    Row("churn-1m", "100 of 128 KiB-1 MiB", "ns", FASTEST, 1.05),
    Row("faults:churn-1m", "  faults per step", "", OF_GLIBC, 1.00),
    Row("rss:churn-1m", "  peak RSS", "KiB", OF_GLIBC, 1.05),
    Row("churn-4m", "50 of 1-4 MiB", "ns", FASTEST, 1.05),
    Row("faults:churn-4m", "  faults per step", "", OF_GLIBC, 1.00),
    Row("rss:churn-4m", "  peak RSS", "KiB", OF_GLIBC, 1.10),
    Row("churn-25m", "20 of 5-25 MiB", "ns", FASTEST, 1.05),
    Row("faults:churn-25m", "  faults per step", "", OF_GLIBC, 1.00),
    Row("rss:churn-25m", "  peak RSS", "KiB", OF_GLIBC, 1.10),
    Row("handler", "signals, 20 kHz: left over", "%", LIMIT, 1.0),
    Row("nolock", "kmalloc_nolock to kmalloc", "x", LIMIT, 1.10),
    Row("longest", "longest kmalloc_nolock", "insn", LIMIT, 4000),
    Row("longest-fallback", "longest, without rseq", "insn", LIMIT, 4000),
    Row("mempool-pair", "mempool pair to its cache's", "x", LIMIT, 1.15),
    Row("mempool-reserve", "mempool, from the reserve", "ns", LIMIT, 25),
    Row("mempool-handover", "mempool, handed to a sleeper", "x", LIMIT, 1.50),
    Row("rcu-1", "kfree_rcu to call_rcu", "x", LIMIT, 0.25),
    Row("rcu-2", "the same, 2 threads", "x", LIMIT, 0.25),
    Row("rcu-peak", "its peak RSS in a flood", "x", LIMIT, 0.25),
    Row("typesafe", "type-stable to plain cache", "x", LIMIT, 1.05),
    Row("cache-life", "empty cache made, destroyed", "us", LIMIT, 20),
    Row("slot-down", "slot of 100 caches down", "us", LIMIT, 2000),
    Row("insns", "instructions/pair, stepped", "", LIMIT, 45),
    Row("insns-32k", "instructions, 32 KiB", "", FASTEST, 1.00),
    Row("insns-256k", "instructions, 256 KiB", "", FASTEST, 1.00),
    Row("insns-callgrind", "instr./pair, callgrind", "", LIMIT, 45),
    Row("demo-cpu", "demo, CPU, geo. mean", "x", FASTEST, 1.00),
    Row("demo-rss", "demo, peak RSS, geo. mean", "x", OF_GLIBC, 1.05),
    Row("bench-rss", "bench, peak RSS, geo. mean", "x", OF_GLIBC, 1.05),
    Row("all-rss", "both, peak RSS, geo. mean", "x", OF_GLIBC, 1.05),
    Row("idle-40", "idle thread, 40 in turn", "KiB", LIMIT, 2),
    Row("idle-400", "idle thread, 400 in turn", "KiB", LIMIT, 4),
    Row("idle-40-together", "idle thread, 40 at once", "KiB", LIMIT, 2),
    Row("idle-400-together", "idle thread, 400 at once", "KiB", LIMIT, 4),
    Row("giveback", "kept of 1 GiB after trim", "%", LIMIT, 5),
    Row("true-rss", "true, RSS", "KiB", PLUS, 300),
    Row("true-time", "true, time", "ms", PLUS, 0.3),
]


def geometric_mean(values):
    return math.exp(sum(math.log(v) for v in values) / len(values))


def medians_of(samples):
    """{allocator: [values]} to {allocator: median}."""
    return {name: statistics.median(values) for name, values in samples.items() if values}


def ratio_means(tables):
    """Geometric mean, per allocator, of its ratio to glibc over several {allocator: value}.

    An allocator that lacks one of the tables is left out: a mean over fewer programs would be
    compared with one over more.
    """
    tables = [t for t in tables if t.get(GLIBC)]
    if not tables:
        return {}
    names = set.intersection(*(set(t) for t in tables))
    return {n: geometric_mean([t[n] / t[GLIBC] for t in tables]) for n in names}


class Verdict:
    """What one row comes to."""

    def __init__(self, row, figures, peer_figures):
        self.row = row
        self.figures = dict(peer_figures)
        self.figures.pop(STELE, None)
        self.peers = dict(self.figures)
        if STELE in figures:
            self.figures[STELE] = figures[STELE]
        self.peer = None
        self.reached = None
        self.glibc_only = False  # then nobody knows what the fastest peer is
        if STELE in figures:
            self._compare(figures[STELE])

    def _compare(self, ours):
        if self.row.kind == LIMIT:
            self.reached = ours
        elif self.row.kind == FASTEST and self.peers:
            self.peer = min(self.peers, key=self.peers.get)
            self.glibc_only = set(self.peers) == {GLIBC}
            self.reached = ours / self.peers[self.peer]
        elif GLIBC in self.peers:
            self.peer = GLIBC
            theirs = self.peers[GLIBC]
            self.reached = ours - theirs if self.row.kind == PLUS else ours / theirs

    @property
    def met(self):
        known = self.reached is not None and not self.glibc_only
        return self.reached <= self.row.limit if known else None

    def text(self):
        if self.reached is None:
            return "not measured"
        if self.glibc_only:
            return "no peer measured but glibc"
        if self.met:
            return "met"
        if self.row.kind in (FASTEST, OF_GLIBC):
            return f"missed by {100 * (self.reached / self.row.limit - 1):.0f} %"
        return f"missed by {figure(self.reached - self.row.limit)} {self.row.unit}".rstrip()

    def record(self):
        return {
            "kind": "result", "measure": self.row.measure, "unit": self.row.unit,
            "figures": self.figures, "target": self.row.limit, "target_is": self.row.kind,
            "peer": self.peer, "reached": self.reached, "met": self.met,
        }


def figure(value):
    """Three digits that matter, never an exponent."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def demo_fits(path, library):
    """None when the demo's figures are those of @library, else why they are not used.

    Figures older than the library, or taken with another one, would pass for Stele's.
    """
    if not os.path.exists(path):
        return "there are none"
    if not os.path.exists(library):
        return f"there is no {library}"
    if os.path.getmtime(path) < os.path.getmtime(library):
        return "they are older than the library"
    for entry in demo_entries(path):
        used = entry.get("library")
        if entry["allocator"] == STELE and used and not os.path.samefile(used, library):
            return f"they were taken with {used}"
    return None


def demo_entries(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def demo_tables(path, key):
    """{program: {allocator: value}} from the demo's JSON lines; the last line of each counts."""
    tables = {}
    for entry in demo_entries(path):
        if entry.get("ok", True) and entry.get(key):
            tables.setdefault(entry["program"], {})[entry["allocator"]] = entry[key]
    return tables


def verdicts(figures):
    return [Verdict(row, figures.get(row.measure, {}), figures.get(row.peers_from, {}))
            for row in ROWS]


def print_table(found, allocators, out):
    """One line per row; allocators are the columns, Stele's the last of them."""
    head = "".join(f"{name:>10}" for name in allocators)
    print(f"{'measure':<28}{'unit':<4}{head}  {'reached':>8} {'target':>7}  verdict", file=out)
    for verdict in found:
        row = verdict.row
        if not verdict.figures:
            continue
        cells = "".join(f"{figure(verdict.figures.get(n)):>10}" for n in allocators)
        sign = "+" if row.kind == PLUS else ""
        print(f"{row.label:<28}{row.unit:<4}{cells}  {figure(verdict.reached):>8} "
              f"{sign + figure(row.limit):>7}  {against(verdict)}", file=out)


def against(verdict):
    by = f" (of {verdict.peer})" if verdict.row.kind == FASTEST and verdict.met is not None else ""
    return verdict.text() + by


def self_test():
    """A verdict must be able to fail, and a missing figure must not pass."""
    row = Row("m", "m", "ns", FASTEST, 1.10)
    peers = {GLIBC: 4.0, "other": 2.0}
    assert Verdict(row, {**peers, STELE: 2.2}, peers).met
    late = Verdict(row, {**peers, STELE: 2.3}, peers)
    assert not late.met and late.peer == "other" and late.text() == "missed by 5 %"
    assert Verdict(row, peers, peers).met is None
    assert Verdict(row, {STELE: 1.0}, {}).met is None
    assert Verdict(row, {STELE: 1.0}, {GLIBC: 4.0}).met is None
    plus = Row("m", "m", "KiB", PLUS, 300)
    assert not Verdict(plus, {STELE: 1401}, {GLIBC: 1100}).met
    assert Verdict(plus, {STELE: 1400}, {GLIBC: 1100}).met
    assert not Verdict(Row("m", "m", "", LIMIT, 45), {STELE: 46}, {}).met
    means = ratio_means([{GLIBC: 1.0, STELE: 2.0, "x": 1.0}, {GLIBC: 4.0, STELE: 2.0}])
    assert set(means) == {GLIBC, STELE} and abs(means[STELE] - 1.0) < 1e-9
