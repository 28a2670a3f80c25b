# SPDX-License-Identifier: MIT
"""tests/lab/machine.py - a guest in QEMU, from its plan to what came of each test

Idea      QEMU emulates the CPUs (TCG), so nothing of the host is needed but the program. The guest
          writes its results on the second serial port, the kernel its messages on the first; both
          are files here. A guest that says nothing new for longer than its next test may take is
          ended.
Wishes    a test that writes "wish cpu" on the second port is given one that the machine never had
          before, by QEMU's monitor.
Counting  each test of the plan has exactly one line, in the plan's order; a missing, repeated or
          unforeseen one is a failure of the guest, as is an end without "done".
"""
import collections
import json
import pathlib
import re
import shutil
import subprocess
import time

QEMU = "qemu-system-x86_64"
GRACE = 60  # seconds beyond a test's own limit, which the guest itself enforces
# Time by HPET: a kernel measures the TSC's rate as it boots, and on a busy host it is wrong.
COMMAND_LINE = ("console=ttyS0 quiet panic=-1 oops=panic mitigations=off nokaslr "
                "random.trust_cpu=on no_timer_check clocksource=hpet tsc=unstable")

Result = collections.namedtuple("Result", "name seconds why output")
Report = collections.namedtuple("Report", "kernel results fault console seconds")

VERDICT = re.compile(r"^(ok|not ok) (\S+) ([\d.]+) ?(.*)$")
PLAN = re.compile(r"^plan (\d+)$")
KERNEL = re.compile(r"^kernel (.*)$")
WISH = re.compile(r"^wish cpu\r?$", re.M)


def why_no_qemu():
    return None if shutil.which(QEMU) else f"{QEMU} is not here; run scripts/setup lab"


def cpus_of(guest):
    if not guest.spare:
        return str(guest.cpus)
    return f"{guest.cpus - guest.spare},maxcpus={guest.cpus},sockets={guest.cpus}"


def command(guest, kernel, initramfs, files):
    """files: (console, results)."""
    words = [QEMU, "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot",
             "-machine", "pc", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", cpus_of(guest),
             "-m", f"{guest.memory}M", "-kernel", str(kernel), "-initrd", str(initramfs),
             "-append", COMMAND_LINE]
    for path in files:
        words += ["-serial", f"file:{path}"]
    if guest.spare:
        words += ["-qmp", "stdio"]
    part, cpus = guest.memory // guest.nodes, guest.cpus // guest.nodes
    for node in range(guest.nodes):
        words += ["-object", f"memory-backend-ram,id=m{node},size={part}M", "-numa",
                  f"node,nodeid={node},memdev=m{node},"
                  f"cpus={node * cpus}-{node * cpus + cpus - 1}"]
    return words


def read(path):
    return path.read_text(errors="replace") if path.exists() else ""


def patience(guest, tests, said):
    """How long nothing new may come after what was said: until the next verdict."""
    if not re.search(PLAN.pattern, said, re.M):
        return guest.boot
    told = sum(1 for line in said.splitlines() if VERDICT.match(line))
    return (tests[told].limit if told < len(tests) else 0) + GRACE


def ask(process, command, **arguments):
    """QEMU's monitor is on its standard input and output."""
    process.stdin.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
    process.stdin.flush()


def add_cpu(process, guest, granted):
    """The next of the sockets that are empty."""
    number = guest.cpus - guest.spare + granted
    if not granted:
        ask(process, "qmp_capabilities")
    ask(process, "device_add", driver="max-x86_64-cpu", id=f"cpu{number}",
        **{"socket-id": number, "core-id": 0, "thread-id": 0})


def watch(process, results, guest, tests):
    """Waits for the end; returns why the guest had to be ended, or None."""
    said, since = "", time.monotonic()
    granted = 0
    while process.poll() is None:
        time.sleep(0.1)
        now = read(results)
        if now != said:
            said, since = now, time.monotonic()
        while granted < min(len(WISH.findall(now)), guest.spare):
            add_cpu(process, guest, granted)
            granted += 1
        if time.monotonic() - since > patience(guest, tests, said):
            process.kill()
            process.wait()
            return "said nothing for too long and was ended"
    return None


def parse(said):
    """(kernel, number planned or None, results in order, whether it was done)."""
    kernel, planned, done = "an unknown kernel", None, False
    results, output = [], []
    for line in said.splitlines():
        verdict, plan = VERDICT.match(line), PLAN.match(line)
        if line.startswith("| "):
            output.append(line[2:])
        elif verdict:
            word, name, seconds, why = verdict.groups()
            why = None if word == "ok" else why or "for no reason given"
            results.append(Result(name, float(seconds), why, output))
            output = []
        elif plan:
            planned = int(plan.group(1))
        elif line == "done":
            done = True
        elif KERNEL.match(line):
            kernel = KERNEL.match(line).group(1)
    return kernel, planned, results, done


def fault_of(said, names):
    """What is wrong with the guest as a whole; None when each test has its one verdict."""
    _, planned, results, done = parse(said)
    told = [result.name for result in results]
    if planned is None:
        return "told no plan"
    if planned != len(names):
        return f"planned {planned} tests instead of {len(names)}"
    if not done:
        return f"ended after {len(told)} of {planned} tests"
    if told != list(names):
        odd = sorted(name for name in set(told) if told.count(name) > names.count(name))
        return "told of something else than its plan: " + (" ".join(odd) or "tests are missing")
    return None


def run(guest, tests, words, files):
    """Runs QEMU as @words say; tests is the plan's. Returns a Report."""
    console, results = (pathlib.Path(path) for path in files)
    for path in (console, results):
        path.unlink(missing_ok=True)
    started = time.monotonic()
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as process:
        try:
            ended = watch(process, results, guest, tests)
        finally:
            process.kill()  # nothing, when it has ended; no guest outlives us
        words_of_qemu = process.stdout.read().decode(errors="replace")
    said = read(results)
    kernel, _, told, _ = parse(said)
    fault = fault_of(said, [test.name for test in tests])
    if fault is None and process.returncode != 0:
        fault = f"was done, but QEMU ended with {process.returncode}"
    if fault is None and sum(result.seconds for result in told) > 2 * (time.monotonic() - started):
        fault = "took its tests for much longer than they were: its clock is wrong"
    if fault and ended:
        fault = f"{ended}; {fault}"
    return Report(kernel, told, fault, read(console) + words_of_qemu,
                  time.monotonic() - started)
