# shellcheck shell=sh
# SPDX-License-Identifier: MIT
#
# tests/tools/tap.sh - what tests of $command, a command of stele, share: . tap.sh STELE DROP_IN
#
# Idea      A command runs with an environment of no options but the mode's. Its output is in the file
#           $out, where patterns are looked for.
# Output    TAP; tap_end writes the plan, and fails when a case failed.

stele=$1
for name in $(env | sed -n 's/^\(STELE_[A-Z_]*\)=.*/\1/p'); do
	[ "$name" = STELE_RSEQ ] || unset "$name"
done
unset LD_PRELOAD
export STELE_MALLOC_SO="$2"
out=$(mktemp)
trap 'rm -f "$out"' EXIT
number=0
failures=0

result() { # status of a check, name
	number=$((number + 1))
	if [ "$1" = 0 ]; then
		echo "ok $number - $2"
		return
	fi
	failures=$((failures + 1))
	echo "not ok $number - $2"
	sed 's/^/# /' "$out"
}

ends() { # expected status, name, arguments
	expected=$1 name=$2
	shift 2
	status=0
	"$stele" "${command:?}" "$@" >"$out" 2>&1 </dev/null || status=$?
	result "$([ "$status" = "$expected" ]; echo $?)" "$name: status $expected"
}

says() { # name, pattern
	result "$(grep -Eq "$2" "$out"; echo $?)" "$1"
}

says_once() { # name, pattern
	result "$([ "$(grep -Ec "$2" "$out")" = 1 ]; echo $?)" "$1"
}

tap_end() {
	echo "1..$number"
	[ "$failures" = 0 ]
}
