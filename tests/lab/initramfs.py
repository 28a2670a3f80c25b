# SPDX-License-Identifier: MIT
"""tests/lab/initramfs.py - a guest's first and only file system, as an archive in memory

Idea      cpio's "newc" format is a header of hexadecimal numbers before each name and each content,
          so no tool is needed. Programs are where they are on the host, with the libraries that the
          dynamic linker would give them here; thus whatever names a path works in the guest too.
Failure   a program whose libraries cannot be found raises.
"""
import os
import pathlib
import re
import subprocess

DIRECTORY, PROGRAM = 0o040755, 0o100755


def header(inode, mode, size, name):
    fields = (inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, len(name) + 1, 0)
    return b"070701" + b"".join(b"%08x" % field for field in fields) + name + b"\0"


def padded(data):
    return data + b"\0" * (-len(data) % 4)


def archive(files):
    """files: path in the guest to bytes; directories come of themselves."""
    parents = {str(parent) for path in files for parent in pathlib.PurePath(path).parents}
    entries = [(path, DIRECTORY, b"") for path in sorted(parents - {"/"})]
    entries += [(path, PROGRAM, data) for path, data in sorted(files.items())]
    out = bytearray()
    for inode, (path, mode, data) in enumerate(entries, 1):
        out += padded(header(inode, mode, len(data), path.lstrip("/").encode())) + padded(data)
    out += padded(header(0, 0, 0, b"TRAILER!!!"))
    return bytes(out)


def is_elf(path):
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def libraries(path, library_path):
    """What the dynamic linker loads for path, by where it is here."""
    said = subprocess.run(["ldd", path], capture_output=True, text=True, check=False,
                          env={**os.environ, "LD_LIBRARY_PATH": library_path})
    if "not found" in said.stdout:
        raise RuntimeError(f"{path} needs what is not here: {said.stdout}")
    return re.findall(r"(?:=> |^\s*)(/\S+) \(0x", said.stdout, re.M)


def closure(paths, library_path):
    """The files of a guest: those given, and every library of the programs among them."""
    found = set(paths)
    for path in sorted(paths):
        if is_elf(path):
            found.update(libraries(path, library_path))
    # Loaded by the C library itself, when a thread is cancelled.
    for path in [p for p in found if p.endswith("/libc.so.6")]:
        found.add(os.path.join(os.path.dirname(path), "libgcc_s.so.1"))
    return {path: pathlib.Path(path).read_bytes() for path in found}
