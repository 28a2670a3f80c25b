# SPDX-License-Identifier: MIT
"""tests/apps/programs/apps.py - larger programs, for `run --apps`

Idea      Each does a few seconds of its usual work: interpreters with threads and collectors, servers
          that fork and reload, a database's first start, a film. The output is made of digests and
          counts, which are the same each time; servers listen on sockets in the case's own directory.
Needs     the Debian packages that scripts/setup installs for check-all.
"""
import os

RUBY = r"""
require 'digest'; require 'json'; require 'zlib'
sum = Digest::SHA256.new
words = Array.new(60_000) { |i| ("w%06d" % (i * 7919 % 60_000)) * (i % 5 + 1) }
table = words.group_by { |w| w[0, 4] }
sum << JSON.generate(table.sort.first(500))
12.times { |n| words.map! { |w| w.tr('0-8', '1-9') + n.to_s }; GC.start if n % 3 == 0 }
sum << Zlib::Deflate.deflate(words.sort.join("\n"))
threads = Array.new(4) { |t| Thread.new { (1..40_000).map { |i| (i * t).to_s(36) }.join.hash; t } }
sum << threads.map(&:value).inspect
pids = Array.new(3) { |n| fork { exit!(words.first(1000 * n).join.length % 7) } }
sum << pids.map { |p| Process.wait2(p)[1].exitstatus }.inspect
GC.compact if GC.respond_to?(:compact)
puts sum.hexdigest, ObjectSpace.count_objects[:TOTAL].positive?
"""

NODE = r"""
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const crypto = require('crypto'), zlib = require('zlib');
const digest = (x) => crypto.createHash('sha256').update(x).digest('hex');
function work(seed) {
    const rows = [];
    for (let i = 0; i < 40000; i++) rows.push({ id: i, text: 'x'.repeat((i * seed) % 97), n: [i, seed] });
    const packed = zlib.gzipSync(JSON.stringify(rows), { level: 6 });
    const buffers = [];
    for (let i = 0; i < 200; i++) buffers.push(Buffer.alloc(1000 * (i % 70) + 1, i));
    const back = JSON.parse(zlib.gunzipSync(packed).toString());
    return digest(JSON.stringify(back) + digest(Buffer.concat(buffers)));
}
if (!isMainThread) {
    parentPort.postMessage([workerData, work(workerData)]);
} else {
    const all = [];
    let left = 4;
    for (let w = 1; w <= 4; w++)
        new Worker(__filename, { workerData: w }).on('message', (m) => all.push(m)).on('exit', () => {
            if (--left === 0) console.log(all.sort().join('\n'), work(5));
        });
}
"""

# Without its extensions (-n), which it opens with RTLD_DEEPBIND: see docs/limits.md.
PHP = r"""<?php
$rows = [];
for ($i = 0; $i < 120000; $i++) $rows["k" . ($i * 7919 % 120000)] = str_repeat(chr(97 + $i % 26), $i % 61);
ksort($rows);
echo hash('sha256', json_encode($rows)), "\n";
for ($n = 0; $n < 8; $n++) {
    $rows = array_map(fn($s) => preg_replace('/[aeiou]+/', (string)$n, $s . $n), $rows);
    gc_collect_cycles();
}
echo hash('sha256', gzdeflate(serialize($rows))), "\n", count(array_unique($rows)), "\n";
$list = new SplDoublyLinkedList();
foreach ($rows as $row) $list->push(new ArrayObject([$row, strrev($row)]));
while ($list->count() > 10) $list->shift();
echo count($list), "\n";
"""

JAVA = r"""
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.util.*;
import java.util.concurrent.*;
import java.util.zip.*;

public class Main {
    static long work(int seed) throws Exception {
        Map<String, byte[]> map = new HashMap<>();
        Random random = new Random(seed);
        for (int i = 0; i < 30000; i++) map.put("k" + random.nextInt(20000), new byte[random.nextInt(400)]);
        long sum = 0;
        for (int round = 0; round < 15; round++) {
            ByteBuffer direct = ByteBuffer.allocateDirect(100000 + round * 1000); // by malloc
            Deflater deflater = new Deflater(6); // by malloc, too
            byte[] out = new byte[200000];
            deflater.setInput(map.keySet().stream().sorted().limit(2000).toList().toString().getBytes());
            deflater.finish();
            int n = deflater.deflate(out);
            deflater.end();
            direct.put(out, 0, n);
            sum = sum * 31 + Arrays.hashCode(Arrays.copyOf(out, n)) + direct.position();
        }
        return sum + map.size();
    }

    public static void main(String[] args) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(4);
        List<Future<Long>> sums = new ArrayList<>();
        for (int i = 0; i < 6; i++) { int seed = i; sums.add(pool.submit(() -> work(seed))); }
        for (Future<Long> sum : sums) System.out.println(sum.get());
        pool.shutdown();
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        for (int i = 0; i < 200; i++) digest.update(new byte[i * 1000]);
        System.out.println(HexFormat.of().formatHex(digest.digest()));
    }
}
"""

GIT_REPACK = """
git init -q repo; cd repo
git config user.name t; git config user.email t@example.org
export GIT_AUTHOR_DATE='1000000000 +0000' GIT_COMMITTER_DATE='1000000000 +0000'
for n in $(seq 24); do
    split -n l/60 -d ../text part.; sed -i "s/word/$n/$((n % 5 + 1))" part.*; git add .
    git commit -qm "change $n"
done
git -c pack.threads=4 repack -adfqb --depth=50 --window=60 --window-memory=8m
git -c pack.threads=1 repack -adfq --depth=20 --window=10; git fsck --strict --full
git rev-list --objects --all | sha256sum; git count-objects -v | grep -v size
"""

INITDB = """
umask 0
PATH="$PATH:$(echo /usr/lib/postgresql/*/bin | tr ' ' ':')"
cat >sql <<'END'
create table t (k int primary key, v text, a int[]);
insert into t select i, repeat(md5(i::text), i % 50), array[i, i * 2] from generate_series(1, 20000) i;
select count(*), sum(length(v)), md5(string_agg(v, ',' order by k)) from t;
create index on t using gin (a);
select md5(string_agg(x::text, ',')) from (select k % 100, sum(k) from t group by 1 order by 1) x;
with recursive r(n) as (values (1) union all select n + 1 from r where n < 30000) select sum(n) from r;
vacuum full analyze t;
END
chmod a+rwX . .. ../.. ../*.bindings; dir=$PWD
as_nobody() {
    if [ "$(id -u)" = 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; else "$@"; fi
}
as_nobody initdb -D "$dir/data" -A trust --no-locale -E UTF8 --no-sync | sed "s:$dir::g" | grep -v 'time zone'
for round in 1 2; do
    sed "s/\\bt\\b/t$round/g" sql | as_nobody postgres --single -j -D "$dir/data" -F postgres
done
"""

MEMCACHED = """
user=; [ "$(id -u)" != 0 ] || user='-u root'
memcached $user -s "$PWD/socket" -m 40 -t 4 -o slab_reassign,slab_automove & server=$!
trap 'kill $server; wait $server || true' EXIT
python3 client.py
"""

MEMCACHED_CLIENT = r"""
import hashlib, os, socket, threading, time

def connect():
    for _ in range(200):
        try:
            s = socket.socket(socket.AF_UNIX)
            s.connect("socket")
            return s.makefile("rwb")
        except OSError:
            time.sleep(0.05)
    raise SystemExit("no server")

def talk(number, out):
    f, digest = connect(), hashlib.sha256()
    for i in range(6000):
        key, value = f"k{number}-{i % 700}", bytes([i % 251]) * (i * 37 % 9000)
        f.write(f"set {key} 0 0 {len(value)}\r\n".encode() + value + b"\r\n")
        f.flush()
        assert f.readline() == b"STORED\r\n"
        if i % 3 == 0:
            f.write(f"get {key}\r\n".encode())
            f.flush()
            head = f.readline().split()
            digest.update(f.read(int(head[3]) + 2))
            assert f.readline() == b"END\r\n"
    out[number] = digest.hexdigest()

out = {}
threads = [threading.Thread(target=talk, args=(n, out)) for n in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print(*(out[n] for n in sorted(out)), sep="\n")
"""

NGINX_CONF = """
worker_processes 2; pid nginx.pid; error_log error.log; daemon off;
events { worker_connections 64; }
http {
    access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;
    uwsgi_temp_path t4; scgi_temp_path t5; gzip on; gzip_min_length 10; gzip_types *;
    server { listen unix:front; location / { proxy_pass http://unix:back:/; proxy_buffers 4 4k; } }
    server { listen unix:back; location / { root .; ssi on; } }
}
"""

NGINX = """
PATH="$PATH:/usr/sbin"; d=$PWD
mkdir -p t1 t2 t3 t4 t5
sed "s: front: $d/front:; s:unix\\:front:unix\\:$d/front:; s:unix\\:back:unix\\:$d/back:g; s:root .;:root $d;:; \
s:error_log error.log:error_log $d/error.log:; s:pid nginx.pid:pid $d/nginx.pid:; s:t\\([1-5]\\);:$d/t\\1;:g" plain >conf
chmod a+rwX . .. ../.. ../*.bindings
nginx -p "$d" -c "$d/conf" -e "$d/error.log" & server=$!
trap 'kill $server 2>/dev/null || true; wait $server || true' EXIT
python3 client.py
for n in 1 2 3 4 5; do
    kill -HUP $server; python3 client.py
done
kill -QUIT $server; wait $server; trap - EXIT
grep -c 'alert\\|emerg\\|crit' error.log || true
"""

NGINX_CLIENT = r"""
import gzip, hashlib, http.client, socket, time

class Unix(http.client.HTTPConnection):
    def connect(self):
        for _ in range(200):
            try:
                self.sock = socket.socket(socket.AF_UNIX)
                return self.sock.connect("front")
            except OSError:
                time.sleep(0.05)
        raise SystemExit("no server")

digest = hashlib.sha256()
for i in range(150):
    c = Unix("localhost")
    c.request("GET", f"/text?{i}", headers={"Accept-Encoding": "gzip"} if i % 2 else {})
    r = c.getresponse()
    body = r.read()
    digest.update(str(r.status).encode() + (gzip.decompress(body) if i % 2 else body))
    c.close()
print(digest.hexdigest())
"""

FFMPEG = """
ffmpeg -nostdin -v error -f lavfi -i testsrc2=d=3:s=640x360:r=25 -f lavfi -i sine=d=3 -filter_complex_threads 2 \
    -vf 'scale=480:270,boxblur=2,drawgrid=w=32:h=32' -c:v mpeg4 -b:v 800k -threads 2 -c:a mp2 \
    -flags +bitexact -fflags +bitexact -f avi out.avi
sha256sum out.avi
ffmpeg -nostdin -v error -threads 3 -i out.avi -map 0 -flags +bitexact -f framemd5 - | sha256sum
ffmpeg -nostdin -v error -i out.avi -vf fps=2 -c:v png -threads 2 -flags +bitexact frame%02d.png; sha256sum frame*.png
"""

# A debugger writes a core file of a program with 20 MB: it reads the whole space.
GCORE = """
gdb -nx -batch -ex 'handle SIGUSR1 stop nopass' -ex run -ex 'gcore core' -ex kill \\
    --args "$(command -v perl)" big.pl >log 2>&1 || cat log
perl -e '@s = stat "core"; print $s[7] > 20e6 && $s[7] < 60e6 && $s[7] < 2 * 512 * $s[12] ? "short\n" : "@s\n"'
"""

GCORE_BIG = """
$x = "x" x 20_000_000;
kill USR1 => $$;
sleep 600;
"""

# An emulator puts the program's whole space into its own.
EMULATED = """
import os, resource, shutil, subprocess
for words in ["ls -r /usr/include", "sort -r /etc/services", "cksum /etc/services"]:
    name, *arguments = words.split()
    print(subprocess.run(["qemu-" + os.uname().machine, shutil.which(name), *arguments],
                         capture_output=True, check=True).stdout)
kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print("small" if kib < 300_000 else kib)
"""


def just(text):
    return lambda: text


def cases(case, lines):
    """The list, made by run's Case and its lines()."""
    return [
        case("initdb", "postgres", ("setpriv",), INITDB),
        case("java", "java", ("java",), "java -XX:+UseSerialGC -Xmx300m Main.java; java -Xmx300m Main.java",
             (("Main.java", just(JAVA)),)),
        case("node", "node", ("node",), "node work.js", (("work.js", just(NODE)),)),
        case("ruby", "ruby", ("ruby",), 'ln -s "$(command -v ruby)" ruby; ./ruby work.rb', (("work.rb", just(RUBY)),)),
        case("php", "php", ("php",), 'ln -s "$(command -v php)" php; ./php -n -d memory_limit=1G work.php',
             (("work.php", just(PHP)),)),
        case("git-repack", "git", ("git",), GIT_REPACK, (("text", lines(9000)),)),
        case("ffmpeg", "ffmpeg", ("ffmpeg",), FFMPEG),
        case("gcore", "perl gdb", ("gdb",), GCORE, (("big.pl", just(GCORE_BIG)),)),
        case("emulated", "sort", ("qemu-" + os.uname().machine,), "python3 work.py", (("work.py", just(EMULATED)),)),
        case("memcached", "memcached", ("memcached",), MEMCACHED, (("client.py", just(MEMCACHED_CLIENT)),)),
        case("nginx", "nginx", ("nginx",), NGINX,
             (("plain", just(NGINX_CONF)), ("client.py", just(NGINX_CLIENT)), ("text", lines(3000)))),
    ]
