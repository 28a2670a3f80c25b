#!/bin/sh
# SPDX-License-Identifier: MIT
#
# test_leaks.sh STELE DROP_IN PROGRAM - stele leaks finds what PROGRAM loses, and nothing else
#
# Idea      PROGRAM is tests/tools/leak_mistakes.c, whose modes lose a known number of blocks.
# Output    TAP.
# Failure   exit 1 when a case failed.
set -eu

command=leaks
# shellcheck source=tests/tools/tap.sh
. "$(dirname "$0")/tap.sh"
program=$3

ends 5 "a program that loses nothing ends as it would" "$program" none
says "which is told" "^stele: leak_mistakes \(pid [0-9]+\): nothing is lost; [0-9]+ bytes in [0-9]+ blocks are in use$"

ends 23 "a program that loses blocks has a status of its own" "$program" small
says "each caller is told" "^stele: lost 400 bytes in 4 blocks, allocated in leak_mistakes\+0x[0-9a-f]+$"
says "also of one block" "^stele: lost 20 bytes in 1 block, allocated in leak_mistakes\+0x[0-9a-f]+$"
says "the sum is told" "^stele: leak_mistakes \(pid [0-9]+\): 420 bytes in 5 blocks lost, from 2 places$"
says "what the program has written arrives" "^written late$"

ends 23 "a large block is found" -- "$program" large
says "with its bytes" "^stele: lost 300000 bytes in 1 block, allocated in "

ends 23 "the most bytes come first" "$program" both
result "$(grep '^stele: lost' "$out" | head -n 1 | grep -q 'lost 300000 '; echo $?)" "they do"

ends 5 "the status is an option" --option leak_status=0 "$program" small
says "and the report the same" "420 bytes in 5 blocks lost, from 2 places$"

ends 5 "a file can be ignored" --option leak_ignore=nothing:leak_mistakes "$program" small
says "which is told" "^stele: ignored 420 bytes in 5 blocks, from 2 places \(leak_ignore\)$"
says "and nothing else is lost" "nothing is lost; "
ends 23 "a part of a name is none" --option leak_ignore=leak:leak_mistakes+ "$program" small
ends 23 "a list of all" "$program" small
place=$(sed -n 's/^stele: lost 20 bytes in 1 block, allocated in //p' "$out")
ends 23 "a place can be ignored" --option "leak_ignore=$place" "$program" small
says "and that place alone" "^stele: ignored 20 bytes in 1 block, from 1 place \(leak_ignore\)$"
says "the sum is that of the others" "400 bytes in 4 blocks lost, from 1 place$"

ends 23 "all checks at once" --option debug=FZPU "$program" both
says "find the same" "300420 bytes in 6 blocks lost, from 3 places$"

ends 23 "a program may close standard error" "$program" deaf
says "and the report arrives" "420 bytes in 5 blocks lost, from 2 places$"

ends 5 "where the system refuses a look, nothing is said to be lost" "$program" refused
says "but why" "^stele: leak check: the system does not let the process look at its memory \(process_vm_readv\)$"

ends 5 "one process reports" "$program" parent
says_once "the first one" "^stele: leak_mistakes \(pid [0-9]+\): "
says "which loses nothing" "nothing is lost"
ends 5 "with --children each does" --children "$program" parent
says "also the second one" "^stele: leak_mistakes \(pid [0-9]+\): 420 bytes in 5 blocks lost"

ends 125 "no program is a wrong use"
says "which is told" "^stele leaks: no program$"

tap_end
