# SPDX-License-Identifier: MIT
"""scripts/programs/preload.py - the allocators of this machine, and the proof that one is in use

Idea      a preloaded library that cannot be loaded, or that the program never calls, gives a fine
          table of nothing. So no figure is taken before a run has shown, in the dynamic linker's
          own words, that malloc and free of the program were bound to the library.
Order     find() -> prove() once per program and allocator -> run() as often as wanted.
glibc     is preloaded too, as libc.so.6: Debian's Redis is linked with libjemalloc, and only what
          is preloaded comes before that. In the other programs it changes nothing.
Failure   Unfit, with what was seen. run() also refuses a run whose stderr has the linker's
          complaint about a library that cannot be preloaded.
Tests     tests/apps/programs/selftest
"""
import collections
import glob
import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build", "demo")
STELE = os.environ.get("STELE_MALLOC_SO",
                       os.path.join(ROOT, "build", "release", "src", "libstele-malloc.so"))
PEERS = {
    "jemalloc": "libjemalloc.so.2",
    "mimalloc": "libmimalloc.so.2",
    "tcmalloc": "libtcmalloc_minimal.so.4",
    "tbbmalloc": "libtbbmalloc_proxy.so.2",
}
FOREIGN = re.compile(r"LD_(PRELOAD|DEBUG)|STELE_(MALLOC_SO|DEMO_JSONL)$|"
                     r"MALLOC_|MIMALLOC_|TCMALLOC_|TBB_")
LIMIT = 120  # seconds a program may take before it counts as hanging

Cost = collections.namedtuple("Cost", "status wall cpu rss_kib stdout stderr")


class Unfit(Exception):
    """A run that must not count: not loaded, failed, or hanging."""


class Unproven(Unfit):
    """The library was not in use, or nothing shows that it was."""


def system_library(name):
    """Path of a library as the dynamic linker would find it, or None."""
    listing = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout
    for line in listing.splitlines():
        fields = line.split()
        if fields and fields[0] == name and os.path.exists(fields[-1]):
            return fields[-1]
    return None


def find(which):
    """{name: path} of glibc, the peers that are installed (only for "all"), and Stele."""
    if not os.path.exists(STELE):
        raise Unfit(f"{STELE} is missing: run make first, or set STELE_MALLOC_SO")
    found = {"glibc": system_library("libc.so.6")}
    for name, library in PEERS.items() if which == "all" else ():
        path = system_library(library)
        if path:
            found[name] = path
        else:
            print(f"note: {name} is not installed and is left out")
    return {**found, "stele": os.path.abspath(STELE)}


def build_measure():
    """Put in place in one step: somebody else may be running the old one."""
    os.makedirs(BUILD, exist_ok=True)
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "measure.c")
    fresh = os.path.join(BUILD, f"measure.{os.getpid()}")
    subprocess.run(["gcc", "-O2", "-Wall", "-o", fresh, source], check=True)
    os.replace(fresh, os.path.join(BUILD, "measure"))


def environment(extra=None):
    """One environment for all allocators; the peers' own settings and other preloads are dropped.

    STELE_OPTIONS and STELE_RSEQ stay: they reach nobody but Stele.
    """
    env = {k: v for k, v in os.environ.items()
           if not FOREIGN.match(k)}
    return {**env, "LC_ALL": "C", "PERL_HASH_SEED": "0", "PYTHONHASHSEED": "0",
            "PYTHONMALLOC": "malloc", "PYTHONDONTWRITEBYTECODE": "1", **(extra or {})}


class Running:
    """A program under measure(1), started; finish() waits for it and gives its Cost."""

    def __init__(self, library, argv, cwd, stdin=None, extra=None):
        self.name, self.report = os.path.basename(argv[0]), os.path.join(cwd, "report")
        if os.path.exists(self.report):
            os.unlink(self.report)
        self.out = open(os.path.join(cwd, "stdout"), "w+b")
        self.err = open(os.path.join(cwd, "stderr"), "w+b")
        source = open(stdin, "rb") if stdin else subprocess.DEVNULL
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "measure"), self.report, library, *argv], cwd=cwd, stdin=source,
            stdout=self.out, stderr=self.err, env=environment(extra), start_new_session=True)
        if stdin:
            source.close()

    def stop(self):
        """Leaves no process behind, whatever happened."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, 9)
            self.process.wait()
        self.out.close()
        self.err.close()

    def text(self, stream):
        stream.seek(0)
        return stream.read()

    def finish(self):
        try:
            self.process.wait(LIMIT)
            stdout, stderr = self.text(self.out), self.text(self.err)
        except subprocess.TimeoutExpired:
            raise Unfit(f"{self.name} still ran after {LIMIT} s") from None
        finally:
            self.stop()
        if b"cannot be preloaded" in stderr:
            raise Unproven(stderr.decode(errors="replace").strip().splitlines()[0])
        with open(self.report) as f:
            status, wall, cpu, rss = map(int, f.read().split())
        cost = Cost(status, wall / 1e6, cpu / 1e6, rss, stdout, stderr)
        if status:
            tail = stderr.decode(errors="replace").strip().splitlines()[-3:]
            raise Unfit(f"{self.name} ended with {status}: {' | '.join(tail)}")
        return cost


def run(library, argv, cwd, stdin=None, extra=None):
    return Running(library, argv, cwd, stdin, extra).finish()


BINDING = re.compile(r"binding file (\S+) \[0\] to (\S+) \[0\]: normal symbol `(malloc|free)'")


def check_bindings(text, program, library):
    """How many bindings of malloc and free lead to the library, all of them if any.

    In a program that is not position independent, the address of free is its own PLT slot, so
    that others are bound to the program. That is good when its slot leads on to the library.
    """
    real = os.path.realpath(library)
    # Blocks that the library itself asks for are its own affair: some keep the next free for strangers.
    bound = {(a, os.path.realpath(b), symbol) for a, b, symbol in BINDING.findall(text)
             if os.path.realpath(a) != real}
    good = {(os.path.realpath(a), symbol) for a, b, symbol in bound if b == real}
    for _, where, symbol in bound:
        if where != real and (where, symbol) not in good:
            raise Unproven(f"{symbol} of {program} comes from {where}, not from {library}")
    return len(good) if {"malloc", "free"} == {symbol for _, symbol in good} else 0


def prove(library, program, directory):
    """Reads the linker's logs in directory, of every process that ran that program."""
    seen = 0
    for log in glob.glob(os.path.join(directory, "bindings.*")):
        with open(log, errors="replace") as f:
            text = f.read()
        if re.search(rf"binding file \S*{re.escape(program)} \[0\]", text):
            seen += check_bindings(text, program, library)
    if not seen:
        raise Unproven(f"no proof that {program} takes malloc from {library}")
    return seen


def proving(directory):
    """What to add to the environment of a run that shall prove its bindings."""
    for log in glob.glob(os.path.join(directory, "bindings.*")):
        os.unlink(log)
    return {"LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": os.path.join(directory, "bindings")}
