# SPDX-License-Identifier: MIT
"""scripts/rule/tree.py - what rules that read the source tree share"""
import pathlib

HERE = pathlib.Path(__file__).resolve().parent.parent.parent


def root_of(words):
    """The tree that is named, or the one that this file is in."""
    return pathlib.Path(words[0]).resolve() if words else HERE


def text_of(path):
    """The text of a file; empty when there is none."""
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def lines_of(path):
    return text_of(path).splitlines()


def c_files(top, suffixes=(".c", ".h")):
    return sorted(path for path in top.rglob("*") if path.suffix in suffixes and path.is_file())
