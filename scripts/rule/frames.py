# SPDX-License-Identifier: MIT
"""scripts/rules frames LIBRARY ROOT... - how deep does the data path go, and whom does it call?

Idea      Read from the machine code: the frame of each function, whom it calls, and so all that
          the named functions can reach. Each frame there is at most FRAME_MAX bytes; the deepest
          chain, which is printed, leaves room on an alternate stack of 16 KiB (CHAIN_MAX; the
          kernel's own frame for a signal takes the rest); and each symbol of another library is
          one of OUTSIDE, none of which allocates, waits or uses stdio. The rule `outside` has the
          list for the whole libraries, with reasons.
Frames    the return address, the registers pushed, what is subtracted from the stack pointer
          (the largest where a function has several) and what is used below it (the red zone). A
          tail call counts like a call.
Indirect  calls through a pointer are listed in INDIRECT with what they can reach; "user" is a
          constructor or destructor of the program. One that is not listed is an offence.
Again     emptying caches can lead back to stele_decay_shrunk(), which then finds the list's lock
          taken and returns: it is entered once and counted once more. Any other circle is an
          offence, as no bound could be given.
Failure   each offence is one line; exit 1. No function found is an offence.
Tests     tests/tooling/frames/selfcheck runs this on objects that are wrong on purpose.
"""
import collections
import re

from rule.binary import output_of

FRAME_MAX = 512
CHAIN_MAX = 4096

OUTSIDE = set("""
    __errno_location abort explicit_bzero memchr memcmp memcpy memmove memset
    strchr strcmp strcspn strlen strncmp strnlen __tls_get_addr bcmp
""".split())

# Function, wherever it was inlined: whom its pointers lead to.
USER = ["user"]
MADE, GONE, STARVED = USER + ["slab_made"], USER + ["slab_gone"], ["memory_short"]  # slab/hooks.h
FIND = ["stele_frames_find", "stele_frames_find_long", "stele_frames_find_opened",
        "stele_frames_find_mixed"]  # page/run.c
IN_ZONE = ["take_frames_wanted", "take_frames_hard", "take_mixed_wanted", "take_areas_wanted"]
INDIRECT = {
    "stele_report": USER,  # the program's own (include/stele/debug.h)
    "stele_names_room": ["stele_thread_is_gone"],
    "stele_trace_call": USER, "call_places": USER, "call_place": USER,
    "construct": USER, "stele_slab_new": MADE,
    "destruct": USER, "retire_now": GONE, "stele_slab_retire": GONE,
    "take_after_retiring": STARVED, "take_first": STARVED, "stele_slabs_take": STARVED,
    "stele_pcpu_take_all": ["dissolve_taken"], "take_all": ["dissolve_taken"],
    "stele_cache_try_each": ["empty_cold", "empty_short"], "stele_cache_try_some": ["empty_cache"],
    **dict.fromkeys(("run_with_frames", "stele_run_take_long"), FIND),
    **dict.fromkeys(("stele_zones_find", "stele_zones_find_late"), IN_ZONE),
    "stele_row_take_parts": ["stele_row_take_part", "take_part"],
    "stele_row_take": ["stele_row_take_part"], "take_mixed": ["take_part"],
    "short_of_descriptors": ["find_descriptors"], "stele_run_find_memory": ["find_memory"],
    "stele_cache_alloc_short": ["alloc_any_way", "take_one_again"],
    "each_line": ["clear_marks"], "stele_begin_taking": ["clear_marks"],
    "stele_slot_empty_cold": ["empty_slot"], "with_pause": ["empty_slot"],
    "empty_slot": ["empty_cold"],
    "stele_os_each_mapping": ["look_at_mapping"], "stele_os_place": ["look_at_mapping"],
    "end_line": ["look_at_mapping"], "next_char": ["look_at_mapping"],
    "stele_os_ms": [], "read_clock": [], # the kernel's clock (vDSO), a few hundred bytes
    "run_with_timer": ["spin_in_sequence"], "stele_os_with_signal": ["spin_in_sequence"],
}
ONCE = {"stele_decay_shrunk"}

Function = collections.namedtuple("Function", "name frame calls outside indirect")

HEAD = re.compile(r"^([0-9a-f]+) <([^>]+)>:$")
LINE = re.compile(r"^ *[0-9a-f]+:\t(.*)$")
TARGET = re.compile(r"\b([0-9a-f]+) <([^>+]+)(\+0x[0-9a-f]+)?>")
VARIANT = re.compile(r"\.(constprop|isra|part|cold|llvm)\b.*")


def plain(name):
    return VARIANT.sub("", name).split("@")[0]


def disassemble(library):
    """Yields (address, name, instructions)."""
    text = output_of("objdump", "-d", "--no-show-raw-insn", library)
    address, name, body = None, None, []
    for line in text.splitlines():
        head = HEAD.match(line)
        if head:
            if name:
                yield address, name, body
            address, name, body = int(head.group(1), 16), head.group(2), []
        elif name and LINE.match(line):
            body.append(LINE.match(line).group(1).replace("bnd ", "").replace("notrack ", ""))
    if name:
        yield address, name, body


def number(text):
    value = int(text, 0)
    return value - (1 << 64) if value >= 1 << 63 else value


def frame_of(body):
    """Bytes of stack, x86-64 or aarch64."""
    pushed, others, taken, below = set(), 0, 0, 0
    for line in body:
        below = max([below, *(int(n, 16) for n in re.findall(r"-(0x[0-9a-f]+)\(%rsp", line))])
        if match := re.match(r"push[q]? +(.*)", line):
            if match.group(1).startswith("%r"):
                pushed.add(match.group(1))
            else:
                others += 8
        elif match := re.match(r"sub[q]? +\$(0x[0-9a-f]+),%rsp", line):
            taken = max(taken, number(match.group(1)))
        elif match := re.match(r"add[q]? +\$(0x[0-9a-f]+),%rsp", line):
            taken = max(taken, -number(match.group(1)))
        elif match := re.match(r"st[pr]\t.*\[sp, #-(\d+)\]!", line):
            taken += int(match.group(1))
        elif match := re.match(r"sub\tsp, sp, #(0x[0-9a-f]+|\d+)", line):
            taken += int(match.group(1), 0)
    return 8 + 8 * len(pushed) + others + taken + below


def jumps_by_table(body, i):
    """A switch: the register was made by adding a table's entry to its address."""
    register = body[i].split("*")[-1] if "*" in body[i] else body[i].split()[-1]
    return any(re.match(r"(add[q]?|add)\b.*" + re.escape(register), line)
               for line in body[max(0, i - 4):i])


def calls_of(body, own):
    """(addresses called, names called elsewhere, whether there is a call by pointer)."""
    calls, outside, indirect = set(), set(), False
    for i, line in enumerate(body):
        operation = line.split()[0]
        if not re.match(r"(call|j[a-z]+|bl?|cbn?z|tbn?z|b\.[a-z]+|blr|br)q?$", operation):
            continue
        target = TARGET.search(line)
        if target and "@" in target.group(2):
            outside.add(target.group(2).split("@")[0])
        elif target:
            if int(target.group(1), 16) - int(target.group(3) or "0", 16) != own:
                calls.add(int(target.group(1), 16) - int(target.group(3) or "0", 16))
        elif "*" in line or operation in ("blr", "br"):
            tail = operation.startswith("j") or operation == "br"
            indirect |= not (tail and jumps_by_table(body, i))
    return calls, outside, indirect


def read(library):
    """Functions by address; what the compiler has split off as cold is a part of its function."""
    found, parts, by_name = {}, {}, {}
    for address, name, body in disassemble(library):
        if name.endswith("@plt") or name in ("_init", "_fini", ".plt"):
            continue
        found[address] = Function(name, frame_of(body), *calls_of(body, address))
        by_name[name] = address
    for address, function in found.items():
        whole = by_name.get(re.sub(r"\.cold\b.*", "", function.name))
        if ".cold" in function.name and whole is not None:
            parts[address] = whole
    for part, whole in parts.items():
        a, b = found[whole], found.pop(part)
        found[whole] = Function(a.name, max(a.frame, b.frame), a.calls | b.calls,
                                a.outside | b.outside, a.indirect or b.indirect)
    for address, function in found.items():
        calls = {parts.get(call, call) for call in function.calls} - {address}
        calls |= {by_name[name] for name in function.outside if name in by_name}
        outside = {name for name in function.outside if name not in by_name}
        found[address] = function._replace(calls=calls, outside=outside)
    return found


class Walk:
    def __init__(self, functions):
        self.functions = functions
        self.offences = {}
        self.seen = {}
        self.names = collections.defaultdict(list)
        for address, function in functions.items():
            self.names[plain(function.name)].append(address)

    def offend(self, function, what):
        self.offences[f"{function.name}: {what}"] = True

    def successors(self, function):
        calls = {call for call in function.calls if call in self.functions}
        if function.indirect:
            targets = INDIRECT.get(plain(function.name))
            if targets is None:
                self.offend(function, "calls through a pointer to nobody knows whom")
            for target in targets or []:
                calls |= set(self.names.get(target, []))
        return calls

    def judge(self, function):
        if function.frame > FRAME_MAX:
            self.offend(function, f"a frame of {function.frame} bytes, more than {FRAME_MAX}")
        for name in sorted(function.outside - OUTSIDE):
            self.offend(function, f"calls {name}, which is not in the list")

    def deepest(self, address, again=False, path=()):
        """(bytes, names) of the deepest chain from here."""
        function = self.functions[address]
        name = plain(function.name)
        if name in ONCE and again:
            return function.frame, [function.name + " (again)"]
        if (address, again) in path:
            self.offend(function, "a circle: " + " > ".join(
                self.functions[at].name for at, _ in path[path.index((address, again)):]))
            return 0, []
        if (address, again) in self.seen:
            return self.seen[address, again]
        self.judge(function)
        best = (0, [])
        for call in sorted(self.successors(function)):
            best = max(best, self.deepest(call, again or name in ONCE, path + ((address, again),)),
                       key=lambda chain: chain[0])
        result = (function.frame + best[0], [f"{function.name} {function.frame}", *best[1]])
        self.seen[address, again] = result
        return result


def report(reached, best):
    print("outside: " + " ".join(sorted(set().union(*(f.outside for f in reached)))))
    print("largest frames: " + ", ".join(f"{f.name} {f.frame}" for f in sorted(
        reached, key=lambda f: -f.frame)[:8]))
    print(f"deepest chain, {best[0]} bytes: " + " > ".join(best[1]))


def check(library, *roots):
    functions = read(library)
    walk = Walk(functions)
    best = (0, [])
    for root in roots:
        if root not in walk.names:
            walk.offences[f"{root}: not found in {library}"] = True
        for address in walk.names.get(root, []):
            best = max(best, walk.deepest(address), key=lambda chain: chain[0])
    if best[0] > CHAIN_MAX:
        walk.offences[f"the deepest chain takes {best[0]} bytes, more than {CHAIN_MAX}"] = True
    reached = [functions[address] for address in {address for address, _ in walk.seen}]
    report(reached, best)
    yield from walk.offences
    return f"{len(reached)} functions"
