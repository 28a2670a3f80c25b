# SPDX-License-Identifier: MIT
"""tests/lab/guests.py - which guests there are, and what each of them runs

Idea      A guest is a kernel, a machine, and a plan: tests one after another. A test is a program
          of tests/lab/ (lab), or one that Meson knows already (known): by suite and name, with its
          arguments, environment and controls.
Times     {s} in an argument is the seconds to run: few in a short lab, more in a long one. The
          time limits are generous, as an emulated CPU is some twenty times slower.
"""
import dataclasses

PATIENCE = 20  # times what Meson allows a test on a real CPU
SECONDS = {"short": "3", "long": "60"}

# Of Meson's tests, those that must fail; it does not say so itself.
CONTROLS = ("contract/*-broken", "stress_quick/*-broken", "any_context/lock_*-control")


@dataclasses.dataclass(frozen=True)
class Test:
    """program and arguments; expected is pass, quiet, noisy or fail (see init.c)."""
    name: str
    words: tuple
    expected: str = "pass"
    env: tuple = ()
    limit: int = 300
    long_only: bool = False


@dataclasses.dataclass(frozen=True)
class Known:
    """Meson's tests of these names ("suite/name", with *), as they are in the build."""
    patterns: tuple
    env: tuple = ()
    long_only: bool = False


@dataclasses.dataclass(frozen=True)
class Set:
    """A file of the guest's kernel to be written, from here on."""
    path: str
    value: str


@dataclasses.dataclass(frozen=True)
class Guest:
    name: str
    kernel: str
    plan: tuple
    memory: int = 3072  # MiB, in equal nodes; the host gives what is touched
    cpus: int = 4
    nodes: int = 2
    spare: int = 0  # of the CPUs, those that are not there until a test wishes for them
    boot: int = 120  # seconds until the plan begins, at most


def lab(name, program, *words, **more):
    return Test(name, (program, *words), **more)


UNREGISTERED = ("GLIBC_TUNABLES=glibc.pthread.rseq=0",)

SLOTS = (
    lab("slots", "slots"),
    lab("slots-often", "slots", "often"),
    lab("slots-no_mm_cid", "slots", "no_mm_cid", env=("STELE_MM_CID=0",)),
    lab("slots-unregistered", "slots", "unregistered", env=UNREGISTERED),
)

# Real CPUs that come and go, and a share of them that changes; each with its control.
CPUS = (
    lab("cpus", "cpus", "{s}", expected="quiet"),
    lab("cpuset", "cpuset", "{s}", expected="quiet"),
    lab("slots_follow", "slots_follow", "{s}", expected="quiet"),
)
CPUS_CONTROLS = (
    lab("cpus-leak", "cpus", "2", "leak", expected="noisy"),
    lab("cpuset-leak", "cpuset", "2", "leak", expected="noisy"),
    lab("slots_follow-leak", "slots_follow", "2", "leak", expected="noisy"),
)

# Memory by node, where the kernel moves no page of its own accord.
NODES = (
    Set("/proc/sys/kernel/numa_balancing", "0"),
    lab("nodes", "nodes", expected="quiet"),
    lab("nodes-fallback", "nodes", expected="quiet", env=("STELE_RSEQ=0",)),
    lab("nodes-wrong", "nodes", "wrong", expected="fail"),
)

# These must hold on any kernel: most of it in a short lab, all in a long one. Most of limits/* is the
# strict guest's: each page opened or given back makes all emulated CPUs wait for each other, and
# with four of them on a busy host it takes hours. any_context/trace_storm wants signals at a rate
# that no emulated timer has.
QUICK = Known(("contract/cache_*", "contract/bulk_sheaf", "contract/nolock", "contract/kmalloc",
               "stress_quick/threads-quick", "any_context/lock_destructor"))
ALL = Known(("unit/*", "contract/*", "death/*", "limits/exhaustion", "stress_quick/*",
             "any_context/lock_*", "any_context/vfork_*", "any_context/every-instruction-*",
             "preload/*", "storms/storm-leave", "storms/*-own-rseq"), long_only=True)

# No more is promised than there is, less what the kernel may want for itself.
STRICT = (
    Set("/proc/sys/vm/overcommit_ratio", "70"),
    Set("/proc/sys/vm/overcommit_memory", "2"),
)

# More than there is, so that stacks of threads, forks and the tests' own limits have room; it is
# hardly touched.
PROMISE_MORE = Set("/proc/sys/vm/overcommit_ratio", "500")

GUESTS = [
    # Slots by CPU number: the kernel has nothing better.
    Guest("plain", "plain", (
        *SLOTS, *CPUS, *CPUS_CONTROLS, QUICK,
        *NODES,
        lab("memcg", "memcg", expected="quiet"),
        lab("cpus-unregistered", "cpus", "{s}", expected="quiet", env=UNREGISTERED),
        Known(("stress_quick/tokens-quick",), env=UNREGISTERED),
        ALL,
    )),
    # Slots by mm_cid.
    Guest("mm_cid", "mm_cid", (
        *SLOTS, *CPUS,
        lab("cpus-fallback", "cpus", "{s}", expected="quiet", env=("STELE_RSEQ=0",)),
        lab("slots_follow-fallback", "slots_follow", "{s}", expected="quiet",
            env=("STELE_RSEQ=0",)),
        Known(("contract/cache_objects", "stress_quick/threads-quick")),
        ALL,
    ), nodes=1),
    # PREEMPT_RT; nothing comes to the aid of an ordinary thread that is kept from its CPU.
    Guest("real_time", "real_time", (
        Set("/proc/sys/kernel/sched_rt_runtime_us", "-1"),
        *SLOTS[:1],
        lab("real_time", "real_time", "{s}", expected="quiet"),
        lab("real_time-fallback", "real_time", "{s}", expected="quiet", env=("STELE_RSEQ=0",)),
        lab("real_time-spin", "real_time", "30", "spin", expected="fail"),
        Set("/proc/sys/kernel/sched_rt_runtime_us", "950000"),
        lab("cpus", "cpus", "{s}", expected="quiet"),
        ALL,
    )),
    # CPUs that the machine never had, one for each test.
    Guest("hot_add", "plain", (
        lab("hot_add", "hot_add", expected="quiet"),
        lab("hot_add-fallback", "hot_add", expected="quiet", env=("STELE_RSEQ=0",)),
    ), memory=512, nodes=1, spare=2),
    # Little memory, and then no more promised than there is.
    Guest("small", "plain", (
        *SLOTS[:1],
        Known(("contract/kmalloc", "limits/exhaustion")),
        *STRICT,
        lab("strict", "strict", expected="quiet"),
        lab("strict-fallback", "strict", expected="quiet", env=("STELE_RSEQ=0",)),
        Known(("contract/cache_objects",)),
        PROMISE_MORE,
        Known(("contract/*", "stress_quick/threads-quick"), long_only=True),
    ), memory=192, cpus=2, nodes=1),
    # Strict commit in earnest, which a filter imitates elsewhere. The system may promise enough for
    # the tests' own limits.
    Guest("strict", "plain", (
        *STRICT,
        lab("strict", "strict", expected="quiet"),
        Known(("contract/cache_objects", "preload/early")),
        PROMISE_MORE,
        Set("/sys/kernel/mm/transparent_hugepage/enabled", "never"),
        # Not limits/no_maps: here the library opens each page by a mapping, so without mappings it
        # gets none. Not stress_quick/sweep: its map of owners is larger than the promised memory.
        Known(("limits/limits", "limits/exhaustion", "limits/refused", "limits/options",
               "limits/no_files", "contract/*", "stress_quick/[!s]*", "preload/*"),
              long_only=True),
    ), memory=640, cpus=2, nodes=1),
]

# Not of the lab: guests in which nearly everything goes wrong, for tests/lab/selfcheck.
PANIC = Guest("panic", "plain", (
    lab("good", "faults", "pass"),
    lab("exits", "faults", "exit"),
    lab("dies", "faults", "signal"),
    lab("chatters", "faults", "chatter", expected="quiet"),
    lab("passes", "faults", "pass", expected="fail"),
    lab("hangs", "faults", "hang", limit=2),
    lab("chatters_not", "faults", "pass", expected="noisy"),
    Test("missing", ("/none",)),
    Set("/proc/sys/none", "1"),
    lab("panics", "faults", "panic"),
    lab("never", "faults", "pass"),
))
HALT = Guest("halt", "plain", (
    lab("good", "faults", "pass"),
    lab("halts", "faults", "halt", limit=3),
))
