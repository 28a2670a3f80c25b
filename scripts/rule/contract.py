# SPDX-License-Identifier: MIT
"""scripts/rules contract [--self-test] [ROOT] - do docs/contract.md, its tests and citations agree?

Idea      Each numbered promise of the page names its tests: a file, or a file with functions of it.
          Numbers follow each other. Every "contract N" in a comment is one of them.
Failure   each offence is one line; exit 1. A page without promises is an offence, and so is a tree
          in which no comment cites one.
Tests     --self-test spoils a copy of the page and of a source; each must be found.
"""
import re

from rule.tree import c_files, root_of, text_of

PROMISE = re.compile(r"^(\d+)\. (.*?)(?=^\d+\. |^## |\Z)", re.M | re.S)
TEST = re.compile(r"`(tests/[\w./-]+)`(?::\s+((?:`\w+`(?:,\s+)?)+))?")
CITED = re.compile(r"[Cc]ontract (\d+(?:(?:, | and )\d+)*)")
FOLDERS = ("src", "include", "tests")


def sources(root):
    for folder in FOLDERS:
        for path in c_files(root / folder, (".c", ".h", ".cc", ".py")):
            yield path, text_of(path)


def check_tests(root, number, text):
    found = TEST.findall(text)
    if not found:
        yield f"docs/contract.md: {number} names no test"
    for name, functions in found:
        if not (root / name).is_file():
            yield f"docs/contract.md: {number}: no such test {name}"
            continue
        test = text_of(root / name)
        for function in re.findall(r"`(\w+)`", functions):
            if not re.search(rf"^static [^;\n]*\b{function}\([^;]*$", test, re.M):
                yield f"docs/contract.md: {number}: no {function} in {name}"


def judge(root, page, trees):
    promises = PROMISE.findall(page)
    numbers = {int(number) for number, _ in promises}
    if [int(number) for number, _ in promises] != list(range(1, len(promises) + 1)) or not promises:
        yield "docs/contract.md: the promises are not numbered 1, 2, 3 ..."
    for number, text in promises:
        yield from check_tests(root, number, text)
    cited = 0
    for path, text in trees:
        for match in CITED.finditer(text):
            for number in map(int, re.findall(r"\d+", match.group(1))):
                cited += 1
                if number not in numbers:
                    yield f"{path}: contract {number} is not in docs/contract.md"
    if not cited:
        yield "no comment cites docs/contract.md"


def self_test(root, page):
    spoilt = [
        (page.replace("`every_byte_has_one_owner`", "`every_byte_has_two`"), [],
         "no every_byte_has_two"),
        (page.replace("`tests/death/free_interior.c`", "`tests/death/nothing.c`"), [],
         "no such test"),
        (page.replace("\n2. ", "\n3. "), [], "not numbered"),
        (re.sub(r"\n\n## Any context.*", "\n41. **Nothing** shows this.\n", page, flags=re.S), [],
         "names no test"),
        (page, [("a.c", "/* contract 99 */")], "contract 99"),
        (page, [("a.c", "/* Contract 1, 98 and 2: */")], "contract 98"),
        (page, [("a.c", "")], "no comment cites"),
    ]
    for text, trees, expected in spoilt:
        if not any(expected in line for line in judge(root, text, trees)):
            yield f"self-test: nothing says {expected!r}"


def check(*words):
    root = root_of([word for word in words if word != "--self-test"])
    page = text_of(root / "docs" / "contract.md")
    if "--self-test" in words:
        yield from self_test(root, page)
    else:
        yield from judge(root, page, sources(root))
    return f"{len(PROMISE.findall(page))} promises"
