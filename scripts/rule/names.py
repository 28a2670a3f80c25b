# SPDX-License-Identifier: MIT
"""scripts/rules names [ROOT] - do static functions have names of their own?

Rules     src/                no two files have a static function of one name
          tests/              no two files of one folder do
Idea      A reader who searches for a function finds one. Folders under src/arch/ answer the same
          contract each, and so may share names among them. In tests/, main() and what cmocka calls
          before and after a file's cases may have the same name in each file.
Models    answer one contract each, that of tests/model/model.h, and may share names.
Later     LATER has the folders of tests/ that are not looked at yet.
Failure   each offence is one line; exit 1. No function found is an offence.
Tests     tests/tooling/layering/selfcheck runs this on trees that are wrong on purpose.
"""
import collections
import re

from rule.layering import files_of
from rule.tree import c_files, lines_of, root_of

OF_EACH_TEST = ("main", "setup", "teardown")
MODELS = "tests/model"
LATER = ("tests/signals/any_context", "tests/unit/page")
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


def places_in_src(root):
    """{("src", function): the files that define it}; the folders of arch count as one file."""
    places = collections.defaultdict(set)
    for path in c_files(root / "src"):
        group = path.relative_to(root / "src")
        for name in functions(path):
            places["src", name].add("arch" if group.parts[0] == "arch" else str(group))
    return places


def places_in_tests(root):
    """{(folder, function): the files that define it}"""
    places = collections.defaultdict(set)
    for path in files_of(root / "tests"):
        folder = str(path.parent.relative_to(root))
        if folder in LATER + (MODELS,):
            continue
        for name in functions(path):
            if name not in OF_EACH_TEST:
                places[folder, name].add(str(path.relative_to(root)))
    return places


def check(*words):
    root = root_of(words)
    in_src, in_tests = places_in_src(root), places_in_tests(root)
    if not in_src:
        yield "no function here"
    for places in (in_src, in_tests):
        for (_, name), files in sorted(places.items()):
            if len(files) > 1:
                yield f"{name} is in {', '.join(sorted(files))}"
    return f"{len(in_src)} static functions, and {len(in_tests)} of tests"
