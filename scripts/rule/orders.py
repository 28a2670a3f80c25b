# SPDX-License-Identifier: MIT
"""scripts/rules orders [ROOT] - every ordered operation in src/ has its ORDER(TAG), and every
tag its paragraph, a test, and its models

Idea      docs/orders-*.md have a section "## TAG" for each tag that src/ uses. A section
          names at least one file under tests/, and that file exists.
          An ordered operation is an atomic one or a fence that is not relaxed: by its name
          (sync/atomic.h), by its memory_order, by an ORDER_X or X_FENCE that stands for one, by the
          compiler's own names, or because it names no order at all. Its tag stands in the same line, or above it in the same
          paragraph (ABOVE lines at most, none of them blank), or above the function.
          tests/model/README.md has a table with a row for each tag and model: "| TAG | model |
          VARIANT... |", or "| TAG | – | reason |". Each variant of tests/model/models and of the
          Promela models stands in some row, and no others do. A section names the models of its
          tag alone, so that there is no second list to fall behind.
Failure   exit 1; each offence on a line: an operation without a tag, a tag without a section, a
          section whose tag is gone, a section without a test, a test that is not there; a tag
          without a row, a row whose tag, model or variant is gone, a variant without a row, a
          reason of less than REASON words; a variant in the brackets behind a model of a section.
          No tag at all is an offence too.
"""
import re

from rule.tree import c_files, lines_of, root_of, text_of

TAG = re.compile(r"\bORDER\(([A-Z][A-Z0-9_]*)\)")
SECTION = re.compile(r"^## ([A-Z][A-Z0-9_]*)$", re.M)
TEST = re.compile(r"`(tests/[^`*]+)`")
BRACKETS = re.compile(r"`tests/model/(\w+(?:\.pml)?)(?:\.c)?`\s+\(([^)]*)\)")
EXAMPLE = "TAG"  # sync/atomic.h says how a tag is written
DEFINES = "sync/atomic.h"  # the operations themselves
ABOVE = 8
ROW = re.compile(r"^\| ([A-Z][A-Z0-9_]*) \| (\S+) \| (.*) \|$", re.M)
PROMELA = re.compile(r"\bBROKEN_([A-Z_]+)")
NO_MODEL = "–"
REASON = 5  # words
COMMENT = re.compile(r"/\*.*?\*/|/\*.*|^ \*.*|^\s+\* .*")
ORDERED = re.compile(
    r"\b(?:(?:load|store|exchange|add|sub|or|and|cas|fence)_(?:acquire|release|acq_rel|seq)"
    r"|memory_order_(?:acquire|release|acq_rel|seq_cst|consume)"
    r"|ORDER_[A-Z_]+|[A-Z_]+_FENCE"
    r"|__ATOMIC_(?:ACQUIRE|RELEASE|ACQ_REL|SEQ_CST|CONSUME)|__sync_[a-z_]+"
    r"|atomic_(?:load|store|exchange|flag_(?:test_and_set|clear)|thread_fence|fetch_[a-z]+"
    r"|compare_exchange_(?:strong|weak)))\b(?=\s*[(,);]|$)")


def tags_in(src):
    """tag -> first place that uses it"""
    tags = {}
    for path in c_files(src):
        for number, line in enumerate(lines_of(path), 1):
            for tag in TAG.findall(line):
                tags.setdefault(tag, f"{path.relative_to(src.parent)}:{number}")
    tags.pop(EXAMPLE, None)
    return tags


def paragraph_above(lines, at):
    """lines[at] and what stands above it without a blank line between"""
    first = at
    while first > 0 and at - first < ABOVE and lines[first - 1].strip():
        first -= 1
    return lines[first:at + 1]


def comment_above(lines, at):
    """what stands directly above the function that lines[at] is in, its own head too"""
    body = at
    while body > 0 and lines[body] != "{":
        body -= 1
    head = body
    while head > 0 and lines[head - 1].strip():
        head -= 1
    return lines[head:body]


def untagged_in(path):
    """(number, line) of every ordered operation without a tag"""
    lines = lines_of(path)
    for at, line in enumerate(lines):
        if line.startswith("#") or not ORDERED.search(COMMENT.sub("", line)):
            continue
        if not TAG.search("\n".join(paragraph_above(lines, at) + comment_above(lines, at))):
            yield at + 1, line.strip()


def untagged(root):
    for path in c_files(root / "src"):
        name = str(path.relative_to(root))
        found = [] if name.endswith(DEFINES) else list(untagged_in(path))
        for number, line in found:
            yield f"{name}:{number}: no ORDER(TAG) at: {line}"


def sections_in(root):
    """(page, tag, text of its section) of each"""
    for page in sorted((root / "docs").glob("orders-*.md")):
        parts = SECTION.split(text_of(page))
        for tag, text in zip(parts[1::2], parts[2::2]):
            yield page.relative_to(root), tag, text


def variants_of_models(where):
    """model -> its broken variants"""
    variants = {}
    for line in lines_of(where / "models"):
        words = line.partition("#")[0].split()
        if words:
            named = words[3 if words[1] == "scene" else 2:]
            variants.setdefault(words[0], set()).update(
                word for word in named if not word.startswith("-"))
    for path in where.glob("*.pml"):
        variants[path.name] = set(PROMELA.findall(text_of(path)))
    return variants


def offences_of_rows(rows, tags, variants):
    page = "tests/model/README.md"
    shown = {}
    for tag, model, text in rows:
        if tag not in tags:
            yield f"{page}: {tag} is used nowhere in src/"
        if model == NO_MODEL:
            if len(text.split()) < REASON:
                yield f"{page}: {tag} has no model, and no reason"
            continue
        if model not in variants:
            yield f"{page}: {tag}: there is no model {model}"
        if not text.split():
            yield f"{page}: {tag}: {model} has no variant that fails"
        for variant in text.split():
            shown.setdefault(model, set()).add(variant)
            if variant not in variants.get(model, set()):
                yield f"{page}: {tag}: {model} has no variant {variant}"
    for tag in sorted(set(tags) - {tag for tag, _, _ in rows}):
        yield f"{page}: {tag} has no row"
    for model, names in sorted(variants.items()):
        for variant in sorted(names - shown.get(model, set())):
            yield f"{page}: {variant} of {model} stands in no row"


def offences_of_models(root, tags, variants):
    rows = ROW.findall(text_of(root / "tests" / "model" / "README.md"))
    yield from offences_of_rows(rows, tags, variants)


def variants_listed(text, variants):
    """Each broken variant that a section lists behind a model."""
    for model, inside in BRACKETS.findall(text):
        yield from sorted(set(re.findall(r"\w+", inside)) & variants.get(model, set()))


def offences_of_sections(root, tags, variants):
    sections = list(sections_in(root))
    for tag, place in tags.items():
        if tag not in [of for _, of, _ in sections]:
            yield f"{place}: ORDER({tag}) has no section in docs/orders-*.md"
    for page, tag, text in sections:
        if tag not in tags:
            yield f"{page}: {tag} is used nowhere in src/"
        tests = TEST.findall(text)
        if not tests:
            yield f"{page}: {tag} names no test"
        for variant in variants_listed(text, variants):
            yield f"{page}: {tag}: {variant} belongs in tests/model/README.md alone"
        for test in tests:
            if not (root / test).exists():
                yield f"{page}: {tag}: there is no {test}"


def check(*words):
    root = root_of(words)
    tags = tags_in(root / "src")
    variants = variants_of_models(root / "tests" / "model")
    if not tags:
        yield "src: no ORDER(TAG) here"
    yield from untagged(root)
    yield from offences_of_models(root, tags, variants)
    yield from offences_of_sections(root, tags, variants)
    return f"{len(tags)} tags"
