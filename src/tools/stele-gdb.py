# SPDX-License-Identifier: MIT
"""stele-gdb.py - gdb's commands `stele caches`, `stele object ADDRESS` and `stele leaks`

Idea      The commands read the library's own structures: in a live process that has stopped, or in a
          core file. They call no function of the process. Each library that is loaded and has a heap
          is one heap: libstele, the drop-in, or a program with the archive in it.
Loading   gdb loads the script with the library if it lies where gdb looks (`info auto-load`); by hand:
          `source stele-gdb.py`.
Needs     the library's debug information, which names the structures' members.
Careful   A thread may have stopped within a call. So a number may be out by what that call has in hand,
          and a chain is followed for a bounded length.
Tests     tests/tools/test_gdb.sh
"""
import bisect
import collections
import re
import struct

import gdb

FRAME = 4096
LARGE = (2, 3)  # exact frames, whole areas
SLAB, PAGES, OWN = 1, 16, 32
SLAB_OWN = 0x20000000  # a cache of the library's own objects
OBJECT_USED = 0x55
SENTINELS = 1024  # from the base: words that stand for "no sheaf"
SLOT_SIZE = 1 << 17
CHAIN_MOST = 1 << 20
SHOWN = 20  # callers of leaks
PIECE = 1 << 20
RED_ZONE = 128  # below the stack pointer


def read(address, size):
    return bytes(gdb.selected_inferior().read_memory(address, size))


def words(address, count):
    return struct.unpack(f"<{count}Q", read(address, 8 * count))


class Layout:
    """Where the members of a structure are."""

    def __init__(self, heap, name):
        self.type = heap.type(name)
        self.size = self.type.sizeof
        self.at = {field.name: field.bitpos // 8 for field in self.type.fields() if field.name}
        self.sizes = {field.name: field.type.sizeof for field in self.type.fields() if field.name}

    def get(self, data, member, start=0):
        at = start + self.at[member]
        return int.from_bytes(data[at:at + self.sizes[member]], "little")


class Run:
    """A copy of a descriptor."""

    def __init__(self, heap, data, start):
        get = heap.run.get
        self.base, self.bytes = get(data, "base", start), get(data, "bytes", start)
        self.kind, self.cache = get(data, "kind", start), get(data, "cache", start)
        self.objects, self.size = get(data, "objects", start), get(data, "size", start)
        self.recip, self.first = get(data, "recip", start), get(data, "first", start)
        self.rests = get(data, "rests", start)
        at = start + heap.run.at["free"]
        self.free = int.from_bytes(data[at:at + 64], "little")

    def is_slab(self):
        return self.kind == SLAB and self.recip != 0 and self.cache != 0

    def is_block(self):
        return self.kind & ~(PAGES | OWN) in LARGE and not self.kind & OWN and not self.rests

    def is_free(self, number):
        return self.free >> number & 1

    def number_of(self, address):
        """The object with a byte at @address, or None."""
        offset = address - self.first
        number = offset // self.size if self.size else 0
        return number if 0 <= offset and number < self.objects else None


class Cache:
    def __init__(self, heap, address):
        data = read(address, heap.cache.size)
        get = heap.cache.get
        self.address = address
        self.name = read(get(data, "name_at"), 64).split(b"\0")[0].decode(errors="replace")
        self.words, self.size = get(data, "words"), get(data, "size")
        self.object_size, self.meta = get(data, "object_size"), get(data, "meta")
        self.flags, self.sheaf = get(data, "flags"), get(data, "sheaf_size")
        self.next = get(data, "next")


def places(objfile):
    """{name: address} of the library's data. gdb's own look-up takes the first library for another."""
    text = gdb.execute(f"maint print msymbols -objfile {objfile.filename}", to_string=True)
    return {name: int(address, 16)
            for address, name in re.findall(r"^\[ *\d+\] [dDbBsS] (0x\w+) (stele_\w+|room) ", text, re.M)}


class Heap:
    """The heap of one library."""

    def __init__(self, objfile):
        self.objfile = objfile
        self.name = objfile.filename.rsplit("/", 1)[-1]
        self.places = places(objfile)
        self.hot, self.heap = self.value("stele_hot"), self.value("stele_heap")
        self.run, self.cache = Layout(self, "struct run"), Layout(self, "struct kmem_cache")
        self.base = int(self.hot["base"])
        self.caches_seen = {}

    def type(self, name):
        block = self.objfile.lookup_global_symbol("stele_hot").symtab
        return gdb.lookup_type(name, block.static_block())

    def value(self, name):
        symbol = self.objfile.lookup_global_symbol(name) or self.objfile.lookup_static_symbol(name)
        if symbol is None or name not in self.places:
            raise gdb.GdbError(f"stele: {self.name} has no symbol '{name}': not this version?")
        return gdb.Value(self.places[name]).cast(symbol.type.pointer()).dereference()

    def runs(self):
        start = int(self.heap["descriptors_at"])
        end = int(self.heap["next_descriptor"])
        data = read(self.base + start, end - start) if end > start else b""
        for at in range(0, len(data), self.run.size):
            yield Run(self, data, at)

    def run_at(self, address):
        offset = address - int(self.hot["first"])
        if not 0 <= offset < int(self.hot["span"]):
            return None
        ref, = struct.unpack("<I", read(int(self.hot["refs"]) + offset // FRAME * 4, 4))
        return Run(self, read(self.base + ref * 8, self.run.size), 0) if ref else None

    def cache_at(self, address):
        if address not in self.caches_seen:
            self.caches_seen[address] = Cache(self, address)
        return self.caches_seen[address]

    def listed(self):
        at = int(self.value("stele_caches"))
        for _ in range(CHAIN_MOST):
            if not at:
                return
            cache = self.cache_at(at)
            yield cache
            at = cache.next

    # ---- objects that are free and rest in sheaves ----

    def is_sheaf(self, top):
        return top and not 0 <= top - self.base - SENTINELS - 8 <= 32

    def entries(self, cache, top):
        """The objects in the sheaf with this top."""
        bottom = (top & ~(cache.sheaf - 1)) + 32
        return words(bottom, (top - bottom) // 8) if bottom <= top < bottom + cache.sheaf else ()

    def tops(self, cache):
        """(top, where) of each sheaf of @cache."""
        slots = self.value("stele_slots")
        for slot in range(int(slots["count"]) if cache.words else 0):
            if int(slots["begun"][slot]):
                at = int(slots["memory"]) + slot * SLOT_SIZE + cache.words
                for top in words(at, 3):
                    if self.is_sheaf(top):
                        yield top, f"slot {slot}"
        node = words(cache.address + self.barn_at(), 1)[0] & (1 << 36) - 1
        for _ in range(CHAIN_MOST if cache.words else 0):
            if not node:
                return
            below, top = words(self.base + node * 64, 2)
            yield top, "the barn"
            node = below & (1 << 36) - 1

    def barn_at(self):
        return self.cache.at["barn"] + Layout(self, "struct barn").at["full"]

    def rests(self, cache, start):
        """Where the object rests, or None."""
        for top, where in self.tops(cache):
            if start in self.entries(cache, top):
                return where
        return None

    # ---- who allocated it ----

    def callers(self, number):
        room = int(self.value("room")) if number else 0
        if not room:
            return ()
        count, = words(room + number * 8 + 8, 1)
        return words(room + number * 8 + 16, min(count, 64))

    def record(self, cache, start):
        """The record of a checked object, or None."""
        if not cache.meta:
            return None
        try:
            return gdb.Value(start + cache.meta).cast(
                self.type("struct object_meta").pointer()).dereference()
        except gdb.error:
            return None


def place(address):
    """'function+1 (file.c:12)', or the bare address."""
    text = gdb.execute(f"info symbol {address:#x}", to_string=True).split(" in section")[0].strip()
    if text.startswith("No symbol"):
        return f"{address:#x}"
    line = gdb.find_pc_line(address - 1)
    return f"{text} ({line.symtab.filename}:{line.line})" if line.symtab else text


def begun(objfile):
    """[its heap], if it has started and the process has memory to read."""
    try:
        heap = Heap(objfile)
        return [heap] if heap.base else []
    except gdb.MemoryError:
        return []


def heaps():
    found = []
    for objfile in gdb.objfiles():
        if objfile.lookup_global_symbol("stele_hot") is not None and "stele_hot" in places(objfile):
            found += begun(objfile)
    if not found:
        raise gdb.GdbError("stele: no heap here: the library is not loaded, has not started, or has no "
                           "debug information")
    return found


class Stele(gdb.Command):
    """What Stele's heap holds: stele caches, stele object ADDRESS, stele leaks."""

    def __init__(self):
        super().__init__("stele", gdb.COMMAND_DATA, gdb.COMPLETE_NONE, True)


class SteleCaches(gdb.Command):
    """stele caches [NAME]: the caches, with what is in use and what rests in sheaves."""

    def __init__(self):
        super().__init__("stele caches", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        del from_tty
        for heap in heaps():
            out = collections.defaultdict(lambda: [0, 0])  # slabs, objects that are out of them
            for run in heap.runs():
                if run.is_slab():
                    out[run.cache][0] += 1
                    out[run.cache][1] += run.objects - bin(run.free).count("1")
            print(f"{heap.name}:")
            print(f"  {'cache':<24} {'size':>7} {'slabs':>7} {'in use':>9} {'in sheaves':>10}")
            for cache in heap.listed():
                slabs, objects = out[cache.address]
                resting = sum(len(heap.entries(cache, top)) for top, _ in heap.tops(cache))
                if cache.name == argument or (not argument and slabs):
                    print(f"  {cache.name:<24} {cache.object_size:>7} {slabs:>7} "
                          f"{max(objects - resting, 0):>9} {resting:>10}")


class SteleObject(gdb.Command):
    """stele object ADDRESS: what the address lies in, whether it is in use, and who allocated it."""

    def __init__(self):
        super().__init__("stele object", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        del from_tty
        if not argument:
            raise gdb.GdbError("stele object: an address is missing")
        address = int(gdb.parse_and_eval(argument).cast(gdb.lookup_type("unsigned long")))
        for heap in heaps():
            run = heap.run_at(address)
            if run is not None and (run.is_slab() or run.kind & ~(PAGES | OWN) in LARGE):
                self.tell(heap, run, address)
                return
        print(f"{address:#x} is in no heap of Stele, or in no block")

    def tell(self, heap, run, address):
        if not run.is_slab():
            offset = address - run.base
            what = "pages" if run.kind & PAGES else "a block"
            state = "free, and rests in a slot" if run.rests else "in use"
            print(f"{address:#x} is {offset} bytes into {what} of {run.bytes} bytes at {run.base:#x}: {state}")
            return
        cache, number = heap.cache_at(run.cache), run.number_of(address)
        if number is None:
            print(f"{address:#x} is in a slab of cache '{cache.name}', and in no object")
            return
        start = run.first + number * run.size
        record = heap.record(cache, start)
        resting = None if run.is_free(number) else heap.rests(cache, start)
        in_use = not run.is_free(number) and not resting and (
            record is None or int(record["state"]) & 0xff == OBJECT_USED)
        where = f", and rests in {resting}" if resting else ""
        print(f"{address:#x} is {address - start} bytes into an object of {cache.object_size} bytes at "
              f"{start:#x}")
        print(f"  cache '{cache.name}' ({cache.address:#x}), object {number} of {run.objects} in the slab "
              f"at {run.base:#x}: {'in use' if in_use else 'free' + where}")
        if record is not None:
            self.tell_track(heap, "allocated", record["taken"])
            self.tell_track(heap, "freed", record["given"])

    def tell_track(self, heap, what, track):
        if not int(track["thread"]):
            return
        print(f"  {what} by thread {int(track['thread'])}, on CPU {int(track['cpu'])}:")
        for caller in heap.callers(int(track["stack"])):
            print(f"    {place(caller)}")


class SteleLeaks(gdb.Command):
    """stele leaks: blocks in use to which no word of the program leads, by who allocated them."""

    def __init__(self):
        super().__init__("stele leaks", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        del argument, from_tty
        for heap in heaps():
            blocks = sorted(in_use(heap))
            lost = find_lost(heap, blocks)
            sums = collections.Counter()
            counts = collections.Counter()
            for start, size, what, stack in lost:
                sums[what, stack] += size
                counts[what, stack] += 1
            total = sum(size for _, size, _, _ in blocks)
            print(f"{heap.name}: lost: {sum(sums.values())} bytes in {many(len(lost))}, of {total} bytes in "
                  f"{many(len(blocks))} in use")
            for (what, stack), size in sums.most_common(SHOWN):
                print(f"  {size} bytes in {many(counts[what, stack])}, {what}")
                for caller in heap.callers(stack):
                    print(f"    {place(caller)}")


def many(n):
    return f"{n} block" + "s" * (n != 1)


def in_use(heap):
    """(start, bytes, of what, stack) of each block in use."""
    resting = {}
    for run in heap.runs():
        if run.is_block():
            yield run.base, run.bytes, "large blocks", 0
        elif run.is_slab():
            cache = heap.cache_at(run.cache)
            if cache.flags & SLAB_OWN:
                continue
            if cache.address not in resting:
                resting[cache.address] = {p for top, _ in heap.tops(cache) for p in heap.entries(cache, top)}
            for number in range(run.objects):
                start = run.first + number * run.size
                if not run.is_free(number) and start not in resting[cache.address]:
                    yield from object_in_use(heap, cache, start)


def object_in_use(heap, cache, start):
    record = heap.record(cache, start)
    if record is None:
        yield start, cache.object_size, f"cache '{cache.name}'", 0
    elif int(record["state"]) & 0xff == OBJECT_USED:
        yield start, int(record["asked"]), f"cache '{cache.name}'", int(record["taken"]["stack"])


def mappings():
    """(start, end) of the process's memory that can be read, or of what a core file has of it."""
    files = gdb.execute("info files", to_string=True)
    if "core dump file" in files:
        for start, end in re.findall(r"(0x\w+) - (0x\w+) is load", files):
            yield int(start, 16), int(end, 16)
        return
    for line in gdb.execute("info proc mappings", to_string=True).splitlines():
        column = line.split()
        if len(column) > 3 and column[0].startswith("0x") and "[v" not in line and \
                not (len(column) > 4 and re.fullmatch("-[-w][-x][-ps]", column[4])):
            yield int(column[0], 16), int(column[1], 16)


def roots(heap, stacks):
    """The mappings that are not the heap's. A stack begins at its thread's stack pointer."""
    low, high = heap.base, int(heap.hot["first"]) + int(heap.hot["span"])
    for start, end in mappings():
        if start >= high or end <= low:
            yield max([start] + [sp & ~7 for sp in stacks if start <= sp < end]), end


class Search:
    """Which blocks the program can still reach."""

    def __init__(self, blocks):
        self.blocks = blocks
        self.starts = [block[0] for block in blocks]
        self.reached = [False] * len(blocks)
        self.to_do = []
        self.low = self.starts[0] if blocks else 1
        self.high = blocks[-1][0] + blocks[-1][1] if blocks else 0

    def reach(self, word):
        if not self.low <= word <= self.high:
            return
        number = bisect.bisect_right(self.starts, word) - 1
        if word - self.starts[number] < max(self.blocks[number][1], 1) and not self.reached[number]:
            self.reached[number] = True
            self.to_do.append(number)

    def look(self, start, end):
        for at in range(start, end & ~7, PIECE):
            try:
                data = read(at, min(PIECE, (end & ~7) - at))
            except gdb.MemoryError:
                continue
            for word in struct.unpack(f"<{len(data) // 8}Q", data):
                self.reach(word)

    def go_on(self):
        while self.to_do:
            start, size = self.blocks[self.to_do.pop()][:2]
            self.look(start, start + size)

    def lost(self):
        return [block for block, seen in zip(self.blocks, self.reached) if not seen]


def look_at_threads(search):
    """Looks at all registers. Returns the stack pointers."""
    chosen, stacks = gdb.selected_thread(), []
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        frame = gdb.newest_frame()
        stacks.append(int(frame.read_register("sp")) - RED_ZONE)
        for register in frame.architecture().registers("general"):
            try:
                search.reach(int(frame.read_register(register)) & (1 << 64) - 1)
            except (ValueError, gdb.error):
                pass  # it is no number
    if chosen is not None:
        chosen.switch()
    return stacks


def find_lost(heap, blocks):
    search = Search(blocks)
    for start, end in roots(heap, look_at_threads(search)):
        search.look(start, end)
    search.go_on()
    return search.lost()


Stele()
SteleCaches()
SteleObject()
SteleLeaks()
