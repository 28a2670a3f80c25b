# SPDX-License-Identifier: MIT
"""scripts/rules outside LIBRARY WHICH [LIST] - which symbols of other libraries does it need?

Idea      A preloaded library may replace any function of the C library, look up the real one when
          it is first called, and allocate for that. An allocator that calls such a function in its
          start or on a slow path then calls itself. So it may call no symbol that is not in LIST
          (scripts/rule/outside.txt), which has a line for each symbol, with the libraries that may
          need it and the reason why that does no harm.
WHICH     "drop-in" or "library", as the second column of the list says; "both" there means either.
Failure   each offence is one line; exit 1: a symbol that is not listed, and a listed one that is
          not needed (but for those marked "may", which depend on the compiler). Nothing needed at
          all is an offence.
Tests     tests/tooling/frames/outside_selfcheck runs this on libraries that are wrong on purpose.
"""
import pathlib

from rule.binary import symbols_of
from rule.tree import lines_of

LIST = pathlib.Path(__file__).with_name("outside.txt")


def listed(path, which):
    """{name: whether it must be needed}, and complaints about the list."""
    names, bad = {}, []
    for number, line in enumerate(lines_of(path), 1):
        if not line or line.startswith("#"):
            continue
        name, who, must, *reason = line.split(None, 3)
        if who not in ("both", "drop-in", "library") or must not in ("must", "may") or not reason:
            bad.append(f"{path.name}:{number}: not NAME WHO must|may REASON")
        elif who in ("both", which):
            names[name] = must == "must"
    return names, bad


def check(library, which, listing=LIST):
    path = pathlib.Path(listing)
    found = symbols_of(library, "--undefined-only")
    names, bad = listed(path, which)
    yield from bad
    if not found:
        yield f"{library}: no symbol of another library is needed, which cannot be"
    for name in sorted(found - set(names)):
        yield f"{library}: needs {name}, which is not in {path.name}"
    for name, must in sorted(names.items()):
        if must and name not in found:
            yield f"{path.name}: {name} is not needed by {library}"
    return f"{len(found)} symbols"
