#!/bin/sh
# SPDX-License-Identifier: MIT
#
# test_gdb.sh SCRIPT DROP_IN PROGRAM - gdb's commands of stele-gdb.py, in a live process and in a core file
#
# Idea      PROGRAM is tests/tools/gdb_program.c, which stops itself. It has two heaps: the drop-in's, and
#           libstele's.
# Output    TAP.
# Failure   exit 1 when a case failed.
set -eu

# shellcheck source=tests/tools/tap.sh
. "$(dirname "$0")/tap.sh"
script=$1
program=$3
scratch=$(mktemp -d)
trap 'rm -rf "$out" "$scratch"' EXIT

cat >"$scratch/ask" <<END
source $script
stele caches
stele caches session
stele object kept[3]
stele object kept[3] + 5
stele object freed
stele object large + 100
stele object session[7]
stele object &kept
stele leaks
END

live() { # options of the library
	gdb -nx -batch -iex 'set debuginfod enabled off' -ex "set environment LD_PRELOAD=$STELE_MALLOC_SO" \
		-ex "set environment STELE_DEBUG=$1" -ex run -ex "gcore $scratch/core" -x "$scratch/ask" \
		"$program" >"$out" 2>&1 </dev/null || :
}

answers() {
	says "both heaps are there" '^libstele-malloc\.so:$'
	says "blocks are counted" '^  kmalloc-48 +48 +1 +50 '
	says "objects of a cache too" '^  session +72 +1 +30 '
	says "a block in use" '^0x[0-9a-f]+ is 0 bytes into an object of 48 bytes at 0x'
	says "by an address within it" '^0x[0-9a-f]+ is 5 bytes into an object of 48 bytes at 0x'
	says "with its cache" "^  cache 'kmalloc-48' .*, object [0-9]+ of [0-9]+ in the slab at 0x[0-9a-f]+: in use$"
	says "a free one" "^  cache 'kmalloc-208' .*: free"
	says "a large one" 'is 100 bytes into a block of 303104 bytes at 0x[0-9a-f]+: in use$'
	says "an object of a cache" "^  cache 'session' .*: in use$"
	says "an address of no block" '^0x[0-9a-f]+ is in no heap of Stele, or in no block$'
	says "lost blocks are counted" "^libstele-malloc\.so: lost: [0-9]+ bytes in 4 blocks, of "
	says "objects that are kept are not lost" '^libstele\.so[^ ]*: lost: 0 bytes in 0 blocks, of 2160 bytes in 30 blocks in use$'
}

live ''
answers
says "a free block rests in a sheaf" "^  cache 'kmalloc-208' .*: free, and rests in "

gdb -nx -batch -iex 'set debuginfod enabled off' -x "$scratch/ask" "$program" "$scratch/core" \
	>"$out" 2>&1 </dev/null || :
answers

live FZPU
answers
says "who allocated is told" '^    main \+ [0-9]+ \(.*gdb_program\.c:[0-9]+\)$|^    filled \+ [0-9]+ \(.*gdb_program\.c:[0-9]+\)$'
says "who freed is told" '^  freed by thread [0-9]+, on CPU [0-9]+:$'
says "who lost is told" '^    lose \+ [0-9]+ \(.*gdb_program\.c:[0-9]+\)$'

gdb -nx -batch -ex "source $script" -ex 'stele caches' "$program" >"$out" 2>&1 </dev/null || :
says "without a process there is no heap" '^stele: no heap here: '
gdb -nx -batch -ex "source $script" -ex 'stele object' "$program" >"$out" 2>&1 </dev/null || :
says "an address must be given" '^stele object: an address is missing$'

tap_end
