# SPDX-License-Identifier: MIT
"""scripts/rules exports HEADERS LIBSTELE MAP LIBSTELE_MALLOC - does a library export the right names?

Idea      libstele exports exactly the functions that the public headers declare STELE_API;
          libstele-malloc exactly the names of its map, none of them a floor's.
Failure   each name too many or too few is one line; exit 1.
Tests     tests/tooling/exports_selfcheck compiles libraries that are wrong on purpose.
"""
import pathlib
import re

from rule.binary import symbols_of
from rule.tree import text_of

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
DECLARATION = re.compile(r"\bSTELE_API\b([^;{]*)[;{]", re.S)
# The declared name: the word before the first parenthesis that is not an attribute's.
ATTRIBUTE = re.compile(r"\bSTELE_[A-Z_0-9]+(\s*\([^()]*\))?|__attribute__\s*\(\(.*?\)\)")
NAME = re.compile(r"(\w+)\s*(?:\(|\[|$)")
MAP_NAME = re.compile(r"^\s*(\w+);", re.M)


def declared(folder):
    names = set()
    for header in sorted(pathlib.Path(folder).glob("*.h")):
        text = COMMENT.sub(" ", text_of(header))
        text = re.sub(r"^\s*#(?:[^\n]*\\\n)*[^\n]*", "", text, flags=re.M)
        for declaration in DECLARATION.findall(text):
            match = NAME.search(ATTRIBUTE.sub(" ", declaration).strip())
            if match:
                names.add(match.group(1))
    return names


def compare(library, wanted):
    found = symbols_of(library, "--defined-only")
    if not wanted:
        yield f"{library}: nothing is declared for it"
        return
    for name in sorted(wanted - found):
        yield f"{library}: {name} is declared but not exported"
    for name in sorted(found - wanted):
        yield f"{library}: {name} is exported but not declared"


def check(headers, libstele, malloc_map, libstele_malloc):
    public = declared(headers)
    family = set(MAP_NAME.findall(text_of(pathlib.Path(malloc_map))))
    yield from compare(libstele, public)
    yield from compare(libstele_malloc, family)
    return f"{len(public)} and {len(family)} names"
