# SPDX-License-Identifier: MIT
"""scripts/rules layering [ROOT] - does every file see only what its floor may see?

Idea      A folder under src/ is a floor. A file may include its own floor's headers and
          those of lower floors; never a higher one, never a neighbour of equal rank.
Rules     "floor/file.h"      own floor or lower; always written with its floor
          <stele/file.h>      public headers, for every floor: types and declarations only
          include/**          public headers see public headers and the system's, nothing else
          *.c                 is never included, and is named in a meson.build (or by the script
                              beside it that compiles it, `run` or of its own name)
          **.c, **.cc         sees at most MOST of our headers, itself or through others, in tests,
                              benchmarks and examples as well; a folder of arch that the generic one
                              stands in for is not counted, nor is a public header. MORE has the
                              exceptions
          a function          has no #if inside, but in a model, where a broken variant is chosen
          first line          is the licence line
Failure   each offence is one line "file:line: what"; exit 1. No source found is an offence.
Tests     tests/tooling/layering/selfcheck runs this on trees that are wrong on purpose.
"""
import re

from rule.tree import c_files, lines_of, root_of, text_of

# Lowest first; floors in one tuple are neighbours.
RANKS = [("arch",), ("base",), ("os",), ("sync",), ("percpu",), ("trace",), ("page",), ("slab",),
         ("cache",), ("kmalloc",), ("mempool", "rcu", "malloc", "tools")]
RANK_OF = {floor: rank for rank, floors in enumerate(RANKS) for floor in floors}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
MOST = 20
# All that changes a slot together, as it is shipped: that is what this model is for.
MORE = {"tests/model/pairs.c": 25}
CONDITION = re.compile(r"\s*#\s*(if|ifdef|ifndef|elif|else)\b")
LICENCE = "SPDX-License-Identifier: MIT"
C_SUFFIXES = {".c", ".h", ".cc", ".S"}


def files_of(top):
    """The C files under top, but for the trees that are wrong on purpose."""
    fixtures = top / "tooling" / "layering"
    return [path for path in c_files(top, C_SUFFIXES) if fixtures not in path.parents]


def includes(path):
    """Yields (line number, '<' or '"', what is included)."""
    for number, line in enumerate(lines_of(path), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def offence_in_floor(floor, quote, target):
    """The sentence to print when a file of this floor may not include target, or None."""
    if target.endswith(".c"):
        return f"includes the source file {target}"
    if quote == "<":
        return None
    other, slash, _ = target.partition("/")
    if not slash:
        return f'"{target}" is written without its floor'
    if other not in RANK_OF:
        return f'"{target}" is on no floor'
    if other == floor or RANK_OF[other] < RANK_OF[floor]:
        return None
    direction = "sideways" if RANK_OF[other] == RANK_OF[floor] else "upwards"
    return f'"{target}" is {direction} of {floor}'


def offence_in_public(quote, target):
    if quote == '"':
        return f'public header includes "{target}"'
    if target.split("/")[0] in RANK_OF:
        return f"public header includes <{target}> of a floor"
    return None


def check_floors(root):
    for path in files_of(root / "src"):
        floor = path.relative_to(root / "src").parts[0]
        if floor not in RANK_OF:
            yield path, 1, f"{floor} is not a floor"
            continue
        for number, quote, target in includes(path):
            offence = offence_in_floor(floor, quote, target)
            if offence:
                yield path, number, offence


def check_public(root):
    for path in files_of(root / "include"):
        for number, quote, target in includes(path):
            offence = offence_in_public(quote, target)
            if offence:
                yield path, number, offence


def header_of(root, path, target):
    """The header that path includes as "target", or None. The compiler looks beside path first,
    then under src, as the tests' meson.build says."""
    for folder in (path.parent, root / "src"):
        if (folder / target).is_file():
            return (folder / target).resolve()
    return None


def seen_by(root, path, seen):
    """Adds the headers that path sees to seen."""
    for _, quote, target in includes(path):
        header = header_of(root, path, target) if quote == '"' else None
        if header is None or header in seen:
            continue
        if header.parent.parent.name != "arch" or header.parent.name == "generic":
            seen.add(header)
        seen_by(root, header, seen)
    return seen


def check_seen(root):
    for top in ("src", "tests", "bench", "examples"):
        for path in files_of(root / top):
            if path.suffix not in (".c", ".cc"):
                continue
            count = len(seen_by(root, path, set()))
            most = MORE.get(str(path.relative_to(root)), MOST)
            if count > most:
                yield path, 1, f"sees {count} of our headers, more than {most}"


def conditions_in_functions(path):
    """Yields the number of each such line. A function begins with a line that is `{`."""
    inside = False
    for number, line in enumerate(lines_of(path), 1):
        if inside and CONDITION.match(line):
            yield number
        inside = line == "{" or (inside and not line.startswith("}"))


def check_conditions(root):
    for top in ("src", "include", "tests", "bench", "examples"):
        for path in files_of(root / top):
            if path.parent == root / "tests" / "model":
                continue
            for number in conditions_in_functions(path):
                yield path, number, "has a condition of the preprocessor inside of a function"


def named_in_meson(root, path):
    """A test may be listed by its stem; some meson.build from its folder upwards names it, or
    the script beside it that compiles it (a program under test, not a part of one), or, for a
    model, a line of the table beside it."""
    stem = re.sub(r"^test_", "", path.stem)
    word = re.compile(r"['/](test_)?" + re.escape(stem) + r"(\.[a-z]+)?'")
    for script in (path.parent / "run", path.with_suffix("")):
        if f'"{path.name}"' in text_of(script):
            return True
    if re.search(f"^{stem} ", text_of(path.parent / "models"), re.M):
        return True
    for folder in path.parents:
        if word.search(text_of(folder / "meson.build")):
            return True
        if folder == root:
            return False
    return False


def check_listed(root):
    for top in ("src", "tests", "bench"):
        for path in files_of(root / top):
            if path.suffix in (".c", ".cc") and not named_in_meson(root, path):
                yield path, 1, "is in no meson.build"


def check_licence(root):
    for top in ("src", "include", "tests", "bench"):
        for path in files_of(root / top):
            with path.open(encoding="utf-8") as file:
                if LICENCE not in file.readline():
                    yield path, 1, "first line is not the licence line"


def check(*words):
    root = root_of(words)
    files = len(files_of(root / "src"))
    if files == 0:
        yield "src:0: no source here"
    for look in (check_floors, check_public, check_seen, check_conditions, check_listed,
                 check_licence):
        for path, number, what in look(root):
            yield f"{path.relative_to(root)}:{number}: {what}"
    return f"{files} files on the floors"
