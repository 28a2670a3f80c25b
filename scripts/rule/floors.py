# SPDX-License-Identifier: MIT
"""scripts/rules floors LIBRARY... - do calls go down only, between floors and inside each?

Idea      The rule reads the compiler's output, one static library for each floor, lowest first. A
          file may refer to symbols that its own floor or a lower one defines. Its includes do not
          count, so a function that is declared by hand is found too. Inside a floor the files must
          have an order in which each refers only to those below it: a circle of files is an
          offence. A call that starts low and must act high goes through a table of pointers.
Output    one line for each floor: its files, and the references between them.
Failure   each offence is one line; exit 1. A library without files is an offence.
Tests     tests/tooling/layering/floors-selfcheck compiles floors that are wrong on purpose.
"""
import collections
import pathlib
import re

from rule.binary import output_of

DEFINED = re.compile(r"^[^:]+:([^:]+):[0-9a-f]+ [A-TV-Z] (\S+)$")
MEMBER = re.compile(r"(?:.*/)?[a-z]+?_(.*)\.o$")  # as Meson names it: FLOOR_FILE.c.o
WANTED = re.compile(r"^[^:]+:([^:]+):\s+[Uuw] (\S+)$")


def read(library, option, pattern):
    """[(file, symbol)]"""
    lines = output_of("nm", "-A", option, library).splitlines()
    found = [match.groups() for match in map(pattern.match, lines) if match]
    return [(MEMBER.sub(r"\1", file), symbol) for file, symbol in found]


def circles(calls):
    """The sets of files that refer to each other around, of {file: {file}}."""
    reach = {file: set(others) for file, others in calls.items()}
    for middle in reach:
        for file in reach:
            if middle in reach[file]:
                reach[file] |= reach[middle]
    found = {frozenset(other for other in reach[file]
                       if file in reach[other]) for file in reach if file in reach[file]}
    return sorted(sorted(circle) for circle in found)


def judge(floor, calls):
    """Offences inside of one floor."""
    for circle in circles(calls):
        yield f"{floor}: a circle of files: {', '.join(circle)}"
        for file in circle:
            for other, symbols in sorted(calls[file].items()):
                if other in circle:
                    yield f"{floor}:   {file} refers to {other}: {', '.join(sorted(symbols))}"


def check(*libraries):
    if not libraries:
        yield "no library is named"
    floors = [(re.sub(r"^libstele_|\.a$", "", pathlib.Path(library).name), library)
              for library in libraries]
    home = {}
    for rank, (floor, library) in enumerate(floors):
        for file, symbol in read(library, "--defined-only", DEFINED):
            home.setdefault(symbol, (rank, floor, file))
    for rank, (floor, library) in enumerate(floors):
        files = {file for file, _ in read(library, "--defined-only", DEFINED)}
        if not files:
            yield f"{floor}: no file defines anything"
        calls = {file: collections.defaultdict(set) for file in files}
        for file, symbol in read(library, "-u", WANTED):
            there, other_floor, other = home.get(symbol, (-1, "", ""))
            if there > rank:
                yield f"{floor}: {file} refers upwards to {symbol}, which {other_floor} defines"
            elif there == rank and other != file:
                calls.setdefault(file, collections.defaultdict(set))[other].add(symbol)
        print(f"{floor}: {len(files)} files, {sum(map(len, calls.values()))} references inside")
        yield from judge(floor, calls)
    return f"{len(libraries)} floors"
