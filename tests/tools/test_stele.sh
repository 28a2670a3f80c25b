#!/bin/sh
# SPDX-License-Identifier: MIT
#
# test_stele.sh STELE DROP_IN SOURCES - the stele command with good and bad input
#
# Idea      each case names what the user would lose, runs one command and compares exit status, output
#           and messages with what they must be, to the letter.
# Layout    STELE and DROP_IN are copied to a scratch bin/ and lib/, as if installed there, so that
#           the search for the library is tested too. SOURCES is the root of the source tree.
# Output    TAP. A case that this machine cannot show is a SKIP with its reason.
# Failure   exit 1 when a case failed.
set -eu

if [ $# -ne 3 ]; then
	echo "usage: test_stele.sh STELE DROP_IN SOURCES" >&2
	exit 2
fi
for file in "$1" "$2" "$3/docs"; do
	if [ ! -e "$file" ]; then
		echo "test_stele.sh: no $file" >&2
		exit 2
	fi
done
sources=$(cd "$3" && pwd -P)

# Of our own choice, not of the user who runs the tests.
for name in $(env | sed -n 's/^\(STELE_[A-Z_]*\)=.*/\1/p'); do
	unset "$name"
done
unset LD_PRELOAD

scratch=$(mktemp -d)
scratch=$(cd "$scratch" && pwd -P)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/bin" "$scratch/lib" "$scratch/else" "$scratch/else/where" "$scratch/with blank" "$scratch/work"
cp "$1" "$scratch/bin/stele"
cp "$1" "$scratch/else/where/stele"
cp "$2" "$scratch/lib/libstele-malloc.so"
cp "$2" "$scratch/with blank/libstele-malloc.so"
stele=$scratch/bin/stele
drop_in=$scratch/lib/libstele-malloc.so
cd "$scratch/work"
# shellcheck disable=SC3045 # every sh we know has it
ulimit -c 0 # one case crashes a program on purpose

number=0
failures=0

passed() {
	number=$((number + 1))
	echo "ok $number - $1"
}

failed() { # name, what was wrong
	number=$((number + 1))
	failures=$((failures + 1))
	echo "not ok $number - $1"
	echo "$2" | sed 's/^/# /'
}

skipped() { # name, reason
	number=$((number + 1))
	echo "ok $number - $1 # SKIP $2"
}

same() { # expected text or "*", file
	[ "$1" = "*" ] || [ "$1" = "$(cat "$2")" ]
}

# expect NAME STATUS STDOUT STDERR COMMAND...: "*" is any text.
expect() {
	name=$1 status=$2 out=$3 err=$4
	shift 4
	result=0
	"$@" >"$scratch/out" 2>"$scratch/err" </dev/null || result=$?
	if [ "$result" = "$status" ] && same "$out" "$scratch/out" && same "$err" "$scratch/err"; then
		passed "$name"
		return
	fi
	failed "$name" "$(printf 'command: %s\nstatus %s, expected %s\nstdout: %s\nexpected: %s\n' \
		"$*" "$result" "$status" "$(cat "$scratch/out")" "$out"
		printf 'stderr: %s\nexpected: %s\n' "$(cat "$scratch/err")" "$err")"
}

# has NAME FILE TEXT: a whole line of the last output.
has() {
	if grep -qxF -e "$3" "$scratch/$2"; then
		passed "$1"
	else
		failed "$1" "no line '$3' in $2: $(cat "$scratch/$2")"
	fi
}

byte_at() { # file, offset
	od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' '
}

patch_byte() { # file, offset, octal value
	# shellcheck disable=SC2059 # the value is part of the escape
	printf "\\$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

run_usage='usage: stele run [--stats] [--children] [--option NAME=VALUE]... [--] PROGRAM [ARGUMENT]...'
slabinfo_usage='usage: stele slabinfo [--stats] [--children] [--option NAME=VALUE]... [--] PROGRAM [ARGUMENT]...'
# shellcheck disable=SC2016 # for the shell under test, not for this one
show='echo "$LD_PRELOAD|${STELE_OPTIONS-none}"'

# --- the command itself
expect "no command is a usage error" 2 "" "stele: no command (see 'stele help')" "$stele"
expect "a typo in the command is named" 2 "" \
	"stele: unknown command 'rnu', did you mean 'run'? (see 'stele help')" "$stele" rnu
expect "what is no typo is not guessed" 2 "" "stele: unknown command 'walk' (see 'stele help')" \
	"$stele" walk
expect "version says the same as --version" 0 "$("$stele" version)" "" "$stele" --version
expect "version says the same as -V" 0 "$("$stele" version)" "" "$stele" -V
expect "version takes no argument" 2 "" "usage: stele version" "$stele" version now
if [ -c /dev/full ]; then
	name="a full disk is not success"
	result=0
	"$stele" help >/dev/full 2>"$scratch/err" || result=$?
	want="stele: cannot write to standard output: No space left on device"
	if [ "$result" = 1 ] && same "$want" "$scratch/err"; then
		passed "$name"
	else
		failed "$name" "status $result: $(cat "$scratch/err")"
	fi
else
	skipped "a full disk is not success" "no /dev/full"
fi

# --- help
expect "help succeeds" 0 "*" "" "$stele" help
has "help names run" out \
	"  stele run [--stats] [--children] [--option NAME=VALUE]... [--] PROGRAM [ARGUMENT]..."
expect "help of one command" 0 "usage: stele doctor
       what this system offers, what Stele chose, and why" "" "$stele" help doctor
expect "help where one looks for it" 0 "$run_usage
       run a program with Stele as its malloc" "" "$stele" run --help
# shellcheck disable=SC2016 # for the shell under test
expect "the program's own --help is its own" 0 "--help" "" \
	"$stele" run sh -c 'echo "$1"' sh --help
expect "help on nothing we know is an error" 2 "" \
	"stele help: no help on 'foo' (see 'stele help')" "$stele" help foo
expect "help options succeeds" 0 "*" "" "$stele" help options
has "help options shows values and default" out "  dirty_min         0..64t (default 512k)"
expect "help options knows one argument" 2 "" \
	"usage: stele help [options [--markdown] | COMMAND]" "$stele" help options --html
if [ -f "$sources/docs/options.md" ]; then
	expect "docs/options.md is what the program says" 0 "$(cat "$sources/docs/options.md")" "" \
		"$stele" help options --markdown
else
	failed "docs/options.md is what the program says" "no $sources/docs/options.md"
fi

# --- run: what the program gets
expect "run preloads the library beside it" 0 "$drop_in|none" "" "$stele" run sh -c "$show"
expect "two dashes end the options" 0 "$drop_in|none" "" "$stele" run -- sh -c "$show"
expect "arguments are passed on untouched" 0 "--stats --option=x -- a  b" "" \
	"$stele" run echo --stats --option=x -- "a  b"
expect "stats and options reach the library" 0 "*" "*" \
	"$stele" run --stats --option=dirty_min=2m --option=rseq=0 -- sh -c "$show"
sed -i 's/at_exit_of=[0-9]*$/at_exit_of=PID/' "$scratch/out"
has "in the order they were given" out "$drop_in|stats_at_exit=1,dirty_min=2m,rseq=0,at_exit_of=PID"
expect "an option may stand apart from its word" 0 "$drop_in|dirty_min=2m,slots=3" "" \
	"$stele" run --option dirty_min=2m --option slots=3 -- sh -c "$show"
expect "options add to those of the environment" 0 "$drop_in|slots=2,slots=3" "" \
	env STELE_OPTIONS=slots=2 "$stele" run --option=slots=3 sh -c "$show"
other=$(env LD_PRELOAD= ldd "$stele" | sed -n 's/.*=> \(\/[^ ]*libc\.[^ ]*\).*/\1/p' | head -n 1)
if [ -n "$other" ]; then
	expect "another preloaded library stays, behind ours" 0 "$drop_in:$other|none" "" \
		env LD_PRELOAD="$other" "$stele" run sh -c "$show"
else
	skipped "another preloaded library stays, behind ours" "ldd shows no C library"
fi
expect "the program's own status comes back" 42 "" "" "$stele" run sh -c 'exit 42'
expect "STELE_MALLOC_SO chooses the library" 0 "$drop_in|none" "" \
	env STELE_MALLOC_SO=../lib/libstele-malloc.so "$scratch/else/where/stele" run sh -c "$show"

# --- run: what goes wrong
expect "a missing program is 127" 127 "" \
	"stele run: cannot run 'no-such-program': No such file or directory" \
	env PATH="$scratch/lib" "$stele" run no-such-program
expect "a directory is 126" 126 "" "stele run: cannot run '/tmp': Permission denied" \
	"$stele" run /tmp
expect "no program is a usage error" 125 "" "stele run: no program
$run_usage" "$stele" run --stats --
expect "a typo in an option of run is named" 125 "" "stele run: unknown option '--stat'
$run_usage" "$stele" run --stat true
expect "a word that needs another one says so" 125 "" "stele run: nothing follows '--option'
$run_usage" "$stele" run --option
expect "an unknown library option stops before the program" 125 "" \
	"stele: --option: unknown option 'foo' (see 'stele help options')" \
	"$stele" run --option=foo=1 echo started
expect "a bad value stops before the program" 125 "" \
	"stele: option 'dirty_min': 'abc' is not a size" \
	"$stele" run --option=dirty_min=abc echo started
expect "a value out of range names the range" 125 "" \
	"stele: option 'slots': '5000' is out of range 0..4096" \
	"$stele" run --option=slots=5000 echo started
expect "an option without a value says how to write it" 125 "" \
	"stele: --option: option 'quiet' has no value (write quiet=VALUE)" \
	"$stele" run --option=quiet echo started
expect "a list in one --option is refused" 125 "" \
	"stele: --option: 'quiet=1,slots=2': one option each, without a comma" \
	"$stele" run --option=quiet=1,slots=2 echo started
expect "a missing library names the places" 125 "" \
	"stele run: no libstele-malloc.so in $scratch/else/where, nor in ../lib, \
../lib/$(uname -m)-linux-gnu, ../lib64 beside it; set STELE_MALLOC_SO to its path" \
	"$scratch/else/../else/where/stele" run true
expect "a wrong STELE_MALLOC_SO is not ignored" 125 "" \
	"stele run: STELE_MALLOC_SO: '/nowhere.so': No such file or directory" \
	env STELE_MALLOC_SO=/nowhere.so "$stele" run echo started
echo "no library" >"$scratch/text.so"
expect "a STELE_MALLOC_SO that is no library is not ignored" 125 "" \
	"stele run: '$scratch/text.so' is no shared library" \
	env STELE_MALLOC_SO="$scratch/text.so" "$stele" run echo started
cp "$drop_in" "$scratch/foreign.so"
patch_byte "$scratch/foreign.so" 18 376
expect "nor is one for another machine" 125 "" \
	"stele run: '$scratch/foreign.so' is for another architecture" \
	env STELE_MALLOC_SO="$scratch/foreign.so" "$stele" run echo started
expect "nor is a program" 125 "" "stele run: '$stele' is not libstele-malloc.so" \
	env STELE_MALLOC_SO="$stele" "$stele" run echo started
if [ -n "$other" ]; then
	expect "nor is another library" 125 "" \
		"stele run: '$(realpath "$other")' is not libstele-malloc.so" \
		env STELE_MALLOC_SO="$other" "$stele" run echo started
else
	skipped "nor is another library" "ldd shows no C library"
fi
cp "$drop_in" "$scratch/renamed.so"
expect "ours under another name is" 0 "$scratch/renamed.so|none" "" \
	env STELE_MALLOC_SO="$scratch/renamed.so" "$stele" run sh -c "$show"
expect "a path that LD_PRELOAD would split is refused" 125 "" \
	"stele run: '$scratch/with blank/libstele-malloc.so': \
LD_PRELOAD cannot carry a path with a blank or a colon" \
	env "STELE_MALLOC_SO=$scratch/with blank/libstele-malloc.so" "$stele" run echo started

# --- run: programs that would silently go without Stele
warns() { # name, program, reason: only the first message is ours, the program may fail
	"$stele" run "$2" >/dev/null 2>"$scratch/err" </dev/null || true
	head -n 1 "$scratch/err" >"$scratch/first"
	if same "stele run: warning: '$2' $3: it runs without Stele" "$scratch/first"; then
		passed "$1"
	else
		failed "$1" "$(cat "$scratch/err")"
	fi
}

cp "$stele" "$scratch/foreign"
patch_byte "$scratch/foreign" 18 376
warns "a foreign program is announced" "$scratch/foreign" "is for another architecture"

cp "$stele" "$scratch/static"
# Without its PT_INTERP (3) the copy looks static; headers are 56 bytes from offset 64 on.
i=0
while [ $i -lt 16 ] && [ "$(byte_at "$scratch/static" $((64 + 56 * i)))" != 3 ]; do
	i=$((i + 1))
done
if [ $i -lt 16 ]; then
	patch_byte "$scratch/static" $((64 + 56 * i)) 000
	warns "a static program is announced" "$scratch/static" "is statically linked"
else
	skipped "a static program is announced" "stele itself has no interpreter here"
fi

cp "$stele" "$scratch/setuid"
if [ "$(id -u)" = 0 ] && chown 65534 "$scratch/setuid" && chmod 4755 "$scratch/setuid"; then
	warns "a set-user-ID program is announced" "$scratch/setuid" \
		"is set-user-ID or set-group-ID"
else
	skipped "a set-user-ID program is announced" "only root can give a file away"
fi
printf '#!/bin/sh\nexit 9\n' >"$scratch/script"
chmod +x "$scratch/script"
expect "a script is no reason to warn" 9 "" "" "$stele" run "$scratch/script"

# --- reports at exit
# like NAME REGEX: one line of the last standard error.
like() {
	if grep -qxE -e "$2" "$scratch/err"; then
		passed "$1"
	else
		failed "$1" "no line like '$2': $(cat "$scratch/err")"
	fi
}

stats="slabs [0-9]+ KiB \([0-9]+ KiB free in them\), large [0-9]+ KiB in [0-9]+, free resident \
[0-9]+ KiB, address space opened [0-9]+ MiB, sheaves [0-9]+ \(0 out\), bad frees 0"
expect "stats are written at exit" 0 "*" "*" "$stele" run --stats sh -c 'echo $$; exec env true'
like "and say which program and process" "stele: true \(pid $(cat "$scratch/out")\): $stats"
expect "a program's stats are not buried under its children's" 0 "*" "*" \
	"$stele" run --stats perl -e 'print $$; system("env true"); system("env true")'
like "its own are there" "stele: perl \(pid $(cat "$scratch/out")\): $stats"
grep -c '^stele: ' "$scratch/err" >"$scratch/lines" || :
if same 1 "$scratch/lines"; then
	passed "and no others"
else
	failed "and no others" "$(cat "$scratch/err")"
fi
expect "a program's children are asked for" 0 "*" "*" \
	"$stele" run --stats --children perl -e 'system("env true")'
like "its own stats are there" "stele: perl \(pid [0-9]+\): $stats"
like "and those of its child" "stele: true \(pid [0-9]+\): $stats"
cp "$(command -v env)" "$scratch/work/a-program-with-a-name-of-fifty-characters-and-more"
expect "a long name leaves room for the figures" 0 "*" "*" "$stele" run --stats \
	./a-program-with-a-name-of-fifty-characters-and-more
like "and is cut" "stele: a-program-with-a-name-of-fifty- \(pid [0-9]+\): $stats"

# --- slabinfo
expect "slabinfo turns its option on" 0 "$drop_in|slabinfo_at_exit=1" "*" \
	"$stele" slabinfo --children -- sh -c "$show"
# Not a shell: many leave by _exit(2), which runs nothing at exit. And env and echo close their
# standard error before the library's turn.
expect "slabinfo leaves the program's output alone" 0 "hello" "*" "$stele" slabinfo -- env echo hello
like "slabinfo says which program and process" "stele: echo \(pid [0-9]+\): caches at exit"
has "slabinfo is written in the kernel's format" err "slabinfo - version: 2.1"
expect "slabinfo of a process that runs says how" 125 "" \
	"stele slabinfo: a running process (1) cannot be asked; start the program with
'stele slabinfo -- PROGRAM' or with STELE_OPTIONS=slabinfo_at_exit=1" "$stele" slabinfo 1
expect "slabinfo needs a program" 125 "" "stele slabinfo: no program
$slabinfo_usage" "$stele" slabinfo

# --- doctor
expect "doctor succeeds" 0 "*" "" "$stele" doctor
has "doctor shows the page size" out "  page size          $(($(getconf PAGESIZE) / 1024)) KiB"
has "doctor shows that no option is set" out "  options            all at their defaults"
like_out() { # name, regex: the last line of the last output
	tail -n 1 "$scratch/out" >"$scratch/last"
	if grep -qxE -e "$2" "$scratch/last"; then
		passed "$1"
	else
		failed "$1" "$(cat "$scratch/last")"
	fi
}
like_out "and ends with a verdict" "Verdict: (good: .*|fair: .*: .*|bad: .*: .*)"
expect "doctor takes no argument" 2 "" "usage: stele doctor" "$stele" doctor --all
expect "doctor without mm_cid" 0 "*" "" env STELE_MM_CID=0 STELE_NODES=1 "$stele" doctor
like_out "judges that" "Verdict: (fair: calls take about twice as long|bad: .*): .*"
expect "doctor without rseq" 0 "*" "" env STELE_RSEQ=0 "$stele" doctor
has "says what was chosen" out "  slots              no restartable sequences, slots by thread"
has "and names the option" out "  options            rseq=0"
like_out "and judges it" \
	"Verdict: bad: calls take about six times as long: turned off by the option rseq"
if script --version 2>/dev/null | grep -q util-linux; then
	STELE_RSEQ=0 TERM=xterm script -qec "$stele doctor" /dev/null </dev/null |
		tr -d '\r' >"$scratch/out"
	like_out "on a terminal it is in colour" "$(printf 'Verdict: \033\\[31mbad\033\\[0m: .*')"
	STELE_RSEQ=0 TERM=xterm NO_COLOR=1 script -qec "$stele doctor" /dev/null </dev/null |
		tr -d '\r' >"$scratch/out"
	like_out "unless the user wants none" "Verdict: bad: .*"
else
	skipped "on a terminal it is in colour" "no script(1)"
	skipped "unless the user wants none" "no script(1)"
fi
expect "doctor with several nodes" 0 "*" "" env STELE_NODES=3 STELE_RSEQ=0 \
	"$stele" doctor
has "says how many" out "  memory nodes       3 (pretended), each with its part of the arena"
expect "doctor reports a bad option and goes on" 0 "*" \
	"stele: STELE_OPTIONS: unknown option 'foo' (see 'stele help options')" \
	env STELE_OPTIONS=foo=1 "$stele" doctor
# Enough for the program's own static data, far too little for a heap.
# shellcheck disable=SC3045 # every sh we know has it
(ulimit -S -d 1024 && "$stele" doctor) >"$scratch/out" 2>"$scratch/err" || true
like_out "doctor sees that there is no memory" \
	"Verdict: bad: every allocation fails: no memory to start with"
# shellcheck disable=SC3045 # every sh we know has it
(ulimit -S -v 4000000 && "$stele" doctor) >"$scratch/out" 2>"$scratch/err" || true
has "doctor shows a limit on address space" out "  RLIMIT_AS          4000000 KiB"

hide_proc="mount -t tmpfs none /proc && mount -t tmpfs none /sys"
if unshare -m sh -c "$hide_proc" 2>/dev/null; then
	expect "doctor without /proc and /sys" 0 "*" "" \
		unshare -m sh -c "$hide_proc && exec $stele doctor"
	has "says what it cannot know" out "  max_map_count      unknown \
(/proc/sys/vm/max_map_count: No such file or directory)"
	expect "run without /proc says what to set" 125 "" "stele run: cannot tell where this program \
is (/proc/self/exe: No such file or directory); set STELE_MALLOC_SO to the path of \
libstele-malloc.so" unshare -m sh -c "$hide_proc && exec $stele run true"
else
	skipped "doctor without /proc and /sys" "needs root and mount namespaces"
	skipped "says what it cannot know" "needs root and mount namespaces"
	skipped "run without /proc says what to set" "needs root and mount namespaces"
fi

echo "1..$number"
[ $failures -eq 0 ]
