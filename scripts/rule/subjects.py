# SPDX-License-Identifier: MIT
"""scripts/rules subjects [ROOT] - the newest commits say "floor: verb what" in 60 characters

Idea      The subjects of the newest NEWEST commits are looked at: a floor or a folder, or several with
          commas, a colon, and words that begin with a small letter. A copy without a history, or a
          machine without git, has nothing to look at.
Failure   exit 1; each offence on a line, with the commit's number.
Tests     tests/tooling/subjects_selfcheck
"""
import re
import shutil
import subprocess

from rule.tree import root_of

NEWEST = 50
LONGEST = 60
SUBJECT = re.compile(r"^[A-Za-z_.-]+(?:, [A-Za-z_.-]+)*: [a-z]")


def commits(root):
    """(number, subject) of each, the newest first"""
    if not (root / ".git").exists() or not shutil.which("git"):
        return
    log = subprocess.run(["git", "-c", "safe.directory=*", "-C", root, "log", f"-{NEWEST}",
                          "--format=%h %s"], check=True, capture_output=True, text=True)
    for line in log.stdout.splitlines():
        number, _, subject = line.partition(" ")
        yield number, subject


def check(*words):
    count = 0
    for number, subject in commits(root_of(words)):
        count += 1
        if len(subject) > LONGEST:
            yield f"{number}: {len(subject)} characters, not {LONGEST}: {subject}"
        if not SUBJECT.match(subject):
            yield f"{number}: not \"floor: verb what\": {subject}"
    return f"{count} commits"
