# SPDX-License-Identifier: MIT
"""scripts/rules names [ROOT] - no two files of src/ have a static function of one name

Idea      A reader who searches for a function finds one. Folders under src/arch/ answer the same
          contract each, and so may share names among them.
Failure   each offence is one line; exit 1. No function found is an offence.
Tests     tests/tooling/layering/selfcheck runs this on trees that are wrong on purpose.
"""
import collections
import re

from rule.tree import c_files, lines_of, root_of

STATIC = re.compile(r"^(?:[A-Z_]+ )?static\b.*?(\w+)\([^;]*$")
ATTRIBUTE = re.compile(r"__attribute__\(\(.*?\)\)+ ?")


def functions(path):
    """The static functions that a file defines: a head ends before a line that is `{`."""
    head = []
    for line in lines_of(path):
        if line == "{":
            match = STATIC.match(ATTRIBUTE.sub("", " ".join(head)))
            if match:
                yield match.group(1)
        if not line or line.endswith((";", "*/", "}")):
            head = []
        else:
            head.append(line.strip())


def check(*words):
    root = root_of(words)
    places = collections.defaultdict(set)
    for path in c_files(root / "src"):
        group = path.relative_to(root / "src")
        for name in functions(path):
            places[name].add("arch" if group.parts[0] == "arch" else str(group))
    for name, files in sorted(places.items()):
        if len(files) > 1:
            yield f"{name} is in {', '.join(sorted(files))}"
    if not places:
        yield "no function here"
    return f"{len(places)} static functions"
