# SPDX-License-Identifier: MIT
"""scripts/programs/programs.py - the programs of the demo and of tests, each with its work and
                              its result

Idea      a program is a class: prepare() makes its input once, run() does the work once under one
          library and gives (Cost, digest of everything it produced). A run is small when it
          shall only prove that the library is in use.
Measured  the program itself, with the children it waited for; for Redis the server and not the
          client, which runs on the system's own malloc.
Failure   preload.Unfit, with the reason.
"""
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time

import inputs
import preload

HERE = os.path.dirname(os.path.abspath(__file__))


def sha256(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def tool(name, *places):
    for path in places + (shutil.which(name),):
        if path and os.path.exists(path):
            return path
    raise preload.Unfit(f"{name} is not installed")


def write(path, data):
    with open(path, "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())


def read(path):
    with open(path, "rb") as f:
        return f.read()


class Program:
    """argv and files; process is the name that the dynamic linker shows for what is measured."""

    name = process = None
    sizes = (0, 0)  # small, full
    part = 1  # a quick demo does one part in so many of the work

    def __init__(self, directory):
        self.dir = os.path.join(directory, self.name)
        os.makedirs(self.dir)
        self.prepare()

    def size(self, small):
        return self.sizes[0] if small else max(self.sizes[0], self.sizes[1] // self.part)

    def prepare(self):
        pass

    def run(self, library, small=False, extra=None):
        cost = preload.run(library, self.argv(small), self.dir, self.stdin(small), extra)
        return cost, sha256(cost.stdout)

    def stdin(self, small):
        return None


class Perl(Program):
    name, process, sizes = "perl", "perl", (300, 130_000)

    def argv(self, small):
        return [tool("perl", "/usr/bin/perl"), os.path.join(HERE, "work.pl"),
                str(self.size(small))]


class Python(Program):
    name, sizes = "cpython", (50, 28_000)

    def prepare(self):
        # The real file: a wrapper script of a version manager would be measured along with it.
        self.python = os.path.realpath(tool("python3", "/usr/bin/python3", sys.executable))
        self.process = os.path.basename(self.python)

    def argv(self, small):
        return [self.python, "-s", os.path.join(HERE, "work.py"),
                str(self.size(small))]


class Sqlite(Program):
    name, process, sizes = "sqlite", "sqlite3", (100, 80_000)

    def prepare(self):
        for small in (True, False):
            write(self.stdin(small), inputs.sql_script(self.size(small)))

    def stdin(self, small):
        return os.path.join(self.dir, "small.sql" if small else "full.sql")

    def argv(self, small):
        return [tool("sqlite3"), "-batch", "-bail", "-init", "/dev/null", "work.db"]

    def run(self, library, small=False, extra=None):
        database = os.path.join(self.dir, "work.db")
        cost, _ = super().run(library, small, extra)
        digest = sha256(cost.stdout, read(database))
        os.unlink(database)
        if b"\nok\n" not in cost.stdout:
            raise preload.Unfit("sqlite: PRAGMA integrity_check did not say ok")
        return cost, digest


class Compile(Program):
    name, process, sizes = "gcc -O2", "cc1", (3, 220)

    def prepare(self):
        for small in (True, False):
            source = inputs.c_source(self.size(small))
            write(os.path.join(self.dir, self.source(small)), source)

    def source(self, small):
        return "small.c" if small else "full.c"

    def argv(self, small):
        return [tool("gcc"), "-O2", "-w", "-c", self.source(small), "-o", "out.o"]

    def run(self, library, small=False, extra=None):
        cost, _ = super().run(library, small, extra)
        return cost, sha256(read(os.path.join(self.dir, "out.o")))


class Redis(Program):
    """A server of our own: loopback, free port, nothing kept on disk."""

    name, process, sizes = "redis", "redis-server", (50, 40_000)
    tests = "set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,zadd,lrange_100,mset"

    def prepare(self):
        self.server, self.cli, self.bench = map(
            tool, ("redis-server", "redis-cli", "redis-benchmark"))
        for small in (True, False):
            load, digest = inputs.redis_load(self.size(small))
            write(self.file(small, "load"), load)
            write(self.file(small, "digest"), digest)

    def file(self, small, kind):
        return os.path.join(self.dir, f"{kind}.{'small' if small else 'full'}")

    def client(self, *argv, stdin=None):
        source = open(stdin, "rb") if stdin else subprocess.DEVNULL
        done = subprocess.run([argv[0], "-h", "127.0.0.1", "-p", str(self.port), *argv[1:]],
                              stdin=source, capture_output=True, timeout=preload.LIMIT,
                              env=preload.environment())
        if stdin:
            source.close()
        if done.returncode or b"ERR" in done.stdout:
            raise preload.Unfit(f"{' '.join(argv)}: {(done.stderr or done.stdout)[-200:]!r}")
        return done.stdout

    def start(self, library, extra):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        running = preload.Running(library, [
            self.server, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
            "--appendonly", "no", "--dir", self.dir, "--enable-debug-command", "local"],
            self.dir, extra=extra)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return running
            except OSError:
                if running.process.poll() is not None:
                    break
                time.sleep(0.05)
        running.stop()
        raise preload.Unfit(f"redis-server did not start: {read(self.dir + '/stdout')[-300:]!r}")

    def work(self, small):
        """Our keys go in first and are read back after the benchmark has churned the heap."""
        loaded = self.client(self.cli, "--pipe", stdin=self.file(small, "load"))
        if b"errors: 0," not in loaded:
            raise preload.Unfit(f"redis-cli --pipe: {loaded[-200:]!r}")
        before = self.client(self.cli, stdin=self.file(small, "digest"))
        self.client(self.bench, "-q", "-t", self.tests, "-n", str(500 if small else 60_000 // self.part),
                    "-r", "50000", "-P", "16", "-c", "20", "-d", "100")
        after = self.client(self.cli, stdin=self.file(small, "digest"))
        if before != after or len(before) < 40:
            raise preload.Unfit("redis: keys changed under the benchmark")
        return before

    def run(self, library, small=False, extra=None):
        running = self.start(library, extra)
        try:
            start = time.monotonic()
            result = self.work(small)
            wall = time.monotonic() - start
            self.client(self.cli, "shutdown", "nosave")
            cost = running.finish()
        finally:
            running.stop()
        return cost._replace(wall=wall), sha256(result)


ALL = (Redis, Sqlite, Python, Perl, Compile)
