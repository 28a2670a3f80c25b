#!/bin/sh
# SPDX-License-Identifier: MIT
#
# test_sweep.sh STELE DROP_IN PROGRAM - stele fail-sweep finds the known mistakes of PROGRAM, and no others
#
# Idea      PROGRAM is tests/tools/sweep_mistakes.c. A sweep of the mode without a mistake must report
#           nothing; of each other mode just one place, by its function's name.
# Output    TAP.
# Failure   exit 1 when a case failed.
set -eu

command=fail-sweep
# shellcheck source=tests/tools/tap.sh
. "$(dirname "$0")/tap.sh"
program=$3

ends 0 "a program that handles each failure passes" "$program" none
says "all allocations are tried" "^stele fail-sweep: [0-9]+ allocations failed in turn, 0 runs misbehaved, 0 places$"

ends 1 "a result that is not looked at is found" "$program" crash
says_once "the crash is told once" "^allocation [0-9]+: the program is killed by signal 11 "
says "what could not be had is told" "^   after 320 bytes of kmalloc-320 could not be had at$"
says "the place is the function of the allocation" "^   forgets_to_look .*\[sweep_mistakes\+0x[0-9a-f]+\]$|^   \[sweep_mistakes\+0x"
if command -v gdb >/dev/null 2>&1; then
	says "the stack leads to the caller" "^      .* main "
fi
says "one place is counted" ", 1 run misbehaved, 1 place$"

ends 1 "an end by abort() is found" --option rseq=0 "$program" abort
says "the block is of pages" "^   after 100000 bytes of pages could not be had at$"
says "it is signal 6" "killed by signal 6 "

ends 1 "a hang is found" --seconds 2 "$program" hang
says_once "the hang is told" "^allocation [0-9]+: the program hangs \(no end after 2 s\)$"

# The first allocation alone, which the mode without a mistake survives.
ends 0 "a range of allocations" --from 1 --to 1 "$program" crash
says "one was tried" "^stele fail-sweep: 1 allocation failed in turn \(not all that there are\), 0 runs"

ends 125 "no program is a wrong use" --from 3
says "which is told" "^stele fail-sweep: no program$"
ends 125 "a number is looked at" --from x "$program" none
says "and told" "^stele fail-sweep: --from: 'x' is not a number above 0$"
ends 127 "there is no such program" "$program-not"
ends 125 "a program that crashes by itself is told" sh -c 'kill -11 $$'
says "as such" "is killed by a signal also when nothing fails$"

tap_end
