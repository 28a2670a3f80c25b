# SPDX-License-Identifier: MIT
"""tests/apps/kernel_clients/suite.py - the kernel's own test programs: found, unpacked, built

Idea      Debian packages the Linux source; its folder SUITE has the programs and a Makefile. The
          needed files are unpacked into a build directory, and built there by that Makefile, which
          takes flags, libraries and objects from the command line.
Shim      the suite's own allocator over malloc(), SHIM and @shim. On Stele it is not even unpacked, so that
          nothing of it can be used.
Stamp     a directory is made anew when the package or anything in C here has changed.
Used by   tests/apps/kernel_clients/run, bench/kernel_clients
"""
import collections
import hashlib
import os
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
LIBRARY = pathlib.Path(os.environ.get("STELE_SO", ROOT / "build/release/src/libstele.so")).resolve()

SUITE = pathlib.Path("tools/testing/radix-tree")
PARTS = [str(SUITE), "tools/arch", "tools/include", "tools/lib", "lib", "include/linux"]
SHIM = ["tools/lib/slab.c", "tools/include/linux/slab.h", "tools/include/linux/gfp.h",
        "tools/include/linux/gfp_types.h"]
OBJECTS = ["radix-tree.o", "idr.o", "find_bit.o", "bitmap.o"]

# name: of the package and of its top folder. shared: what is not in SUITE. first, last: include
# directories around ours. variable: of the Makefile, the objects that all programs share, which are
# OBJECTS and @objects.
# known: function -> checks in it that fail with the suite's own shim too.
Source = collections.namedtuple("Source", "name shared shim first last variable objects known")
SOURCES = [
    # Debian's 6.1.192 has a fix to the maple tree that its test does not know.
    Source("linux-source-6.1", [], [str(SUITE / "linux.c")], ["."], ["../../include"],
           "CORE_OFILES", ["xarray.o", "test.o"], {"next_prev_test": 1}),
    Source("linux-source-6.12", ["tools/testing/shared"], ["tools/testing/shared/linux.c"],
           ["../shared", "."], ["../../include", "../../../lib"],
           "SHARED_OFILES", ["xarray-shared.o", "hweight.o", "vsprintf.o"], {}),
]
MAPLE = "maple.o"
WRAPPED = ["kmem_cache_create", "kmem_cache_alloc", "kmem_cache_free", "kmem_cache_free_bulk",
           "kmalloc", "kfree", "usleep", "pthread_create"]
# 6.1.192 says fallthrough in lib/, and its tools/ do not know the word.
FLAGS = ["-g", "-O2", "-w", "-D_LGPL_SOURCE", "'-Dfallthrough=__attribute__((__fallthrough__))'"]


class Wrong(Exception):
    """What is not as it should be."""


def command(words, **options):
    done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
                          check=False, **options)
    if done.returncode:
        raise Wrong(f"{words[0]}: exit {done.returncode}\n{done.stdout[-3000:]}")


def tarball(source):
    return pathlib.Path("/usr/src") / f"{source.name}.tar.xz"


def installed():
    """The first source that is there; $STELE_KERNEL_SOURCE names another."""
    wanted = os.environ.get("STELE_KERNEL_SOURCE")
    for source in SOURCES:
        if tarball(source).exists() and wanted in (None, source.name):
            return source
    raise Wrong(f"none of {', '.join(str(tarball(s)) for s in SOURCES)}: scripts/setup check "
                "installs one")


def digest(source, sources):
    """Of everything that the programs are built from, but for the library itself."""
    stat = tarball(source).stat()
    sum_ = hashlib.sha256(f"{stat.st_size} {stat.st_mtime_ns}".encode())
    for path in sorted([*HERE.rglob("*.[ch]"), *(ROOT / "include").rglob("*.h"), HERE / "suite.py", *sources]):
        sum_.update(path.read_bytes())
    return sum_.hexdigest()


class Suite:
    """The programs in one directory: on Stele, where @adapter names our controls, or on their shim."""

    def __init__(self, place, adapter=None):
        self.place, self.adapter, self.source = pathlib.Path(place), adapter, installed()
        self.where = self.place / SUITE

    def prepare(self, build, sources=()):
        """Unpacks, and calls @build to build, unless both were done; true if they were not.
        @sources: what @build reads besides the files here."""
        stamp, wanted = self.place / "stamp", digest(self.source, sources)
        if stamp.exists() and stamp.read_text() == wanted:
            return False
        self.unpack()
        build(self)
        stamp.write_text(wanted)
        return True

    def unpack(self):
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)
        without, top = [*SHIM, *self.source.shim] if self.adapter else [], self.source.name
        command(["tar", "-xJf", tarball(self.source), "-C", self.place, "--strip-components=1",
                 *(f"--exclude={top}/{name}" for name in without),
                 *(f"{top}/{part}" for part in [*PARTS, *self.source.shared])])
        for name in without:
            if (self.place / name).exists():
                raise Wrong(f"{name} was unpacked")

    def compile_ours(self, source):
        """A file of ours, for this suite; returns the object's name."""
        name = source.stem + ".o"
        command(["cc", "-g", "-O2", "-Wall", "-Wextra", "-I", ROOT / "include", "-c", source,
                 "-o", self.where / name])
        return name

    def maple(self):
        """The maple tree's object, where it is not in every program by itself."""
        return [MAPLE] if self.source.variable == "CORE_OFILES" else []

    def make(self, *words, flags=(), objects=()):
        """The suite's Makefile. @objects: linked with every program, besides the shared ones."""
        source = self.source
        includes, allocator, ours = [*source.first], ["linux.o", "slab.o"], ["-lpthread", "-lurcu"]
        if self.adapter:
            includes += [HERE / "include", ROOT / "include/stele/kernel", ROOT / "include"]
            allocator = [self.compile_ours(HERE / self.adapter)]
            ours = [LIBRARY, f"-Wl,-rpath,{LIBRARY.parent}", *ours,
                    *(f"-Wl,--wrap={name}" for name in WRAPPED)]
        includes += source.last
        said = {"CFLAGS": [*(f"-I{path}" for path in includes), *FLAGS, *flags], "LDFLAGS": [],
                "LDLIBS": ours, source.variable: [*OBJECTS, *source.objects, *objects, *allocator]}
        command(["make", "-C", self.where, "-j2",
                 *(f"{name}={' '.join(map(str, values))}" for name, values in said.items()), *words],
                env={**os.environ, "MAKEFLAGS": ""})
