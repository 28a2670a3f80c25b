# SPDX-License-Identifier: MIT
"""kernel_clients/suite.py - the kernel's own test programs: found, unpacked, built

Idea      Debian packages the Linux source; its folder SUITE has the programs and a Makefile. What
          is needed is unpacked into a build directory, and built there by that Makefile, which
          takes flags, libraries and objects from the command line.
Shim      the suite's own allocator over malloc(), SHIM. On Stele it is not even unpacked, so that
          nothing of it can be used.
Stamp     a directory is made anew when the package or anything in C here has changed.
Used by   tests/kernel_clients/run, bench/kernel_clients
"""
import hashlib
import os
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LIBRARY = pathlib.Path(os.environ.get("STELE_SO", ROOT / "build/release/src/libstele.so")).resolve()

TARBALL = pathlib.Path("/usr/src/linux-source-6.1.tar.xz")
TOP = "linux-source-6.1"
SUITE = pathlib.Path("tools/testing/radix-tree")
PARTS = [str(SUITE), "tools/arch", "tools/include", "tools/lib", "lib", "include/linux"]
SHIM = [str(SUITE / "linux.c"), "tools/lib/slab.c", "tools/include/linux/slab.h",
        "tools/include/linux/gfp.h", "tools/include/linux/gfp_types.h"]

OBJECTS = ["xarray.o", "radix-tree.o", "idr.o", "test.o", "find_bit.o", "bitmap.o"]
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


def digest(sources):
    """Of everything that the programs are built from, but for the library itself."""
    stat = TARBALL.stat()
    sum_ = hashlib.sha256(f"{stat.st_size} {stat.st_mtime_ns}".encode())
    for path in sorted([*HERE.rglob("*.[ch]"), *(ROOT / "include").rglob("*.h"), HERE / "suite.py", *sources]):
        sum_.update(path.read_bytes())
    return sum_.hexdigest()


class Suite:
    """The programs in one directory: on Stele, where @adapter names our controls, or on their shim."""

    def __init__(self, place, adapter=None):
        self.place, self.adapter = pathlib.Path(place), adapter
        self.where = self.place / SUITE

    def prepare(self, build, sources=()):
        """Unpacks, and calls @build to build, unless both were done; true if they were not.
        @sources: what @build reads besides the files here."""
        if not TARBALL.exists():
            raise Wrong(f"no {TARBALL}: scripts/setup check installs it")
        stamp, wanted = self.place / "stamp", digest(sources)
        if stamp.exists() and stamp.read_text() == wanted:
            return False
        self.unpack()
        build(self)
        stamp.write_text(wanted)
        return True

    def unpack(self):
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)
        without = SHIM if self.adapter else []
        command(["tar", "-xJf", TARBALL, "-C", self.place, "--strip-components=1",
                 *(f"--exclude={TOP}/{name}" for name in without),
                 *(f"{TOP}/{part}" for part in PARTS)])
        for name in without:
            if (self.place / name).exists():
                raise Wrong(f"{name} was unpacked")

    def compile_ours(self, source):
        """A file of ours, for this suite; returns the object's name."""
        name = source.stem + ".o"
        command(["cc", "-g", "-O2", "-Wall", "-Wextra", "-I", ROOT / "include", "-c", source,
                 "-o", self.where / name])
        return name

    def make(self, *words, flags=(), objects=(), libraries=()):
        """The suite's Makefile. @objects: linked with every program, besides the allocator."""
        includes, allocator, ours = ["."], ["linux.o", "slab.o"], ["-lpthread", "-lurcu"]
        if self.adapter:
            includes += [HERE / "include", ROOT / "include/stele/kernel", ROOT / "include"]
            allocator = [self.compile_ours(HERE / self.adapter)]
            ours = [LIBRARY, f"-Wl,-rpath,{LIBRARY.parent}", *ours,
                    *(f"-Wl,--wrap={name}" for name in WRAPPED)]
        includes.append("../../include")
        said = {"CFLAGS": [*(f"-I{path}" for path in includes), *FLAGS, *flags], "LDFLAGS": [],
                "LDLIBS": [*libraries, *ours], "CORE_OFILES": [*objects, *allocator]}
        command(["make", "-C", self.where, "-j2",
                 *(f"{name}={' '.join(map(str, values))}" for name, values in said.items()), *words],
                env={**os.environ, "MAKEFLAGS": ""})
