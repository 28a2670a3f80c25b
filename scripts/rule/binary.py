# SPDX-License-Identifier: MIT
"""scripts/rule/binary.py - what rules that read compiled libraries share"""
import subprocess


def output_of(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout


def symbols_of(library, which):
    """Names of the dynamic symbols, without versions; @which: --defined-only, --undefined-only."""
    lines = output_of("nm", "-D", which, library).splitlines()
    return {line.split()[-1].split("@")[0] for line in lines}
