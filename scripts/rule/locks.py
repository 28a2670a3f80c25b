# SPDX-License-Identifier: MIT
"""scripts/rules locks [ROOT] - every lock has a row in the table of ranks, and every row its lock

Idea      src/sync/ranks.h has a row STELE_RANK(NAME, "name", "file", ...) for each lock. A
          `struct stele_mutex` that is defined in src/ is STELE_MUTEX(NAME), there or, within an
          object, in a file of the same folder; and it is in the file that the row says.
Failure   exit 1; each offence on a line: a lock without a rank, a rank that is in no row, a row
          whose lock is elsewhere or gone ("-": none is expected), a row for two locks.
Tests     tests/tooling/locks_selfcheck
"""
import re

from rule.tree import c_files, lines_of, root_of, text_of

ROW = re.compile(r'\bSTELE_RANK\((\w+), "[^"]*", "([^"]*)", (\w+)')
LOCK = re.compile(r"^(\s*)(?:static )?struct stele_mutex (\w+)(?: = STELE_MUTEX\((\w+)\))?[;,]")
MANY = re.compile(r"^\s*(?:static )?struct stele_mutex \w+(?: = [^;]*)?,")
GIVEN = re.compile(r"(\w+) = \(struct stele_mutex\)STELE_MUTEX\((\w+)\)")
OWN = "sync"  # the lock itself, and its table


def rows_in(table):
    """NAME -> (file, kind)"""
    return {name: (file, kind) for name, file, kind in ROW.findall(text_of(table))}


def given_in(folder):
    """member -> rank, for locks within objects"""
    found = {}
    for path in sorted(folder.glob("*.[ch]")):
        found.update(GIVEN.findall(text_of(path)))
    return found


def locks_in(src):
    """Yields (file, line, name, rank or None)."""
    for path in c_files(src):
        if path.parent.name == OWN:
            continue
        given = given_in(path.parent)
        for number, line in enumerate(lines_of(path), 1):
            match = LOCK.match(line)
            if match:
                indented, name, rank = match.groups()
                yield (path.relative_to(src).as_posix(), number, name,
                       None if MANY.match(line) else rank or (indented and given.get(name)) or None)


def check(*words):
    root = root_of(words)
    rows, seen = rows_in(root / "src/sync/ranks.h"), {}
    for file, number, name, rank in locks_in(root / "src"):
        place = f"src/{file}:{number}"
        if rank is None:
            yield f"{place}: {name} has no rank, or is not alone in its line"
        elif rank not in rows:
            yield f"{place}: {name} has the rank {rank}, which is in no row"
        elif rank in seen:
            yield f"{place}: {name} has the rank {rank}, as has {seen[rank]}"
        elif rows[rank][0] != file:
            yield f"{place}: {name} has the rank {rank}, which is in src/{rows[rank][0]}"
        seen.setdefault(rank, place)
    for rank, (file, kind) in rows.items():
        if rank not in seen and file != "-" and kind != "NEVER":
            yield f"src/sync/ranks.h: {rank} has no lock in src/{file}"
        if file != "-" and not (root / "src" / file).is_file():
            yield f"src/sync/ranks.h: {rank}: there is no src/{file}"
    if not rows:
        yield "no row in src/sync/ranks.h"
    return f"{len(rows)} rows"
