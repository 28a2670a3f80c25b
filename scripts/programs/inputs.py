# SPDX-License-Identifier: MIT
"""scripts/programs/inputs.py - generated input: a C file, an SQL script, a load for Redis

Idea      everything is made from a fixed seed, so that two machines work on the same bytes and
          nothing has to be stored or fetched.
Tests     a wrong generator shows at once: the programs fail or the results differ.
"""
import random

C_HEAD = """#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct rec { uint32_t id; int kind; double w; char name[24]; struct rec *next; };
"""

C_FUNCTION = """
static struct rec *find_{n}(struct rec *r, uint32_t id)
{{
	for (; r; r = r->next)
		if (r->id == (id ^ {a}u) || strcmp(r->name, "{word}") == 0)
			return r;
	return NULL;
}}
long work_{n}(struct rec *list, const unsigned char *p, size_t len, double *w)
{{
	long acc = {b};
	struct rec *r = find_{n}(list, {c}u);
	for (size_t i = 0; i < len; i++) {{
		switch (p[i] % {mod}) {{
{cases}
		default: acc ^= (acc << {sh}) + p[i]; break;
		}}
	}}
	for (int i = 0; i < {dim}; i++)
		for (int j = 0; j < {dim}; j++)
			w[i * {dim} + j] = w[j * {dim} + i] * {a}.5 + (r ? r->w : (double)acc);
	if (r && r->kind > {mod})
		snprintf(r->name, sizeof(r->name), "{word}-%ld", acc % {c});
	return acc{call};
}}
"""


def c_source(functions):
    rnd, out = random.Random(1994), [C_HEAD]
    for n in range(functions):
        mod = rnd.randint(4, 12)
        ops = ["acc += p[i] * {}l;", "acc -= work_hash(acc, {}u);", "acc *= {} | 1;",
               "if (r && r->id > {}u) acc += r->kind;", "acc = acc / 3 + {};"]
        cases = "\n".join(f"\t\tcase {k}: {rnd.choice(ops).format(rnd.randint(2, 9999))} break;"
                          for k in range(mod - 1))
        call = "" if n < 2 else f" + work_{rnd.randrange(n)}(list, p, len / 2, w)"
        if n == 0:
            out.append("static long work_hash(long a, unsigned b)\n{\n"
                       "\treturn (a ^ (a >> 7)) * (long)b;\n}\n")
        out.append(C_FUNCTION.format(
            n=n, a=rnd.randint(3, 999), b=rnd.randint(1, 99), c=rnd.randint(7, 9999), mod=mod,
            dim=rnd.randint(3, 9), sh=rnd.randint(1, 9), cases=cases, call=call,
            word="".join(rnd.choices("abcdefgh", k=7))))
    return "".join(out)


SQL_HEAD = """PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF; PRAGMA cache_size=-32000;
CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT, city TEXT, born INT, note TEXT);
CREATE TABLE sale(id INTEGER PRIMARY KEY, who INT, item TEXT, price REAL, detail TEXT);
CREATE INDEX person_city ON person(city, born);
CREATE INDEX sale_who ON sale(who);
"""

SQL_TAIL = """
SELECT city, count(*), min(born), max(name) FROM person GROUP BY city ORDER BY 1;
SELECT p.city, s.item, count(*), round(sum(s.price), 2) FROM person p JOIN sale s ON s.who = p.id
  GROUP BY 1, 2 ORDER BY 4 DESC, 1, 2 LIMIT 200;
SELECT name, length(group_concat(item)) FROM person p JOIN sale s ON s.who = p.id
  GROUP BY p.id ORDER BY 2 DESC, 1 LIMIT 50;
SELECT json_extract(detail, '$.colour'), sum(json_extract(detail, '$.n')) FROM sale
  GROUP BY 1 ORDER BY 1;
SELECT id, item, rank() OVER (PARTITION BY item ORDER BY price DESC, id) AS r FROM sale
  ORDER BY r, id LIMIT 100;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {size})
  SELECT count(DISTINCT printf('%05d-%s', i * 7919 % 10007, hex(i))) FROM n;
UPDATE person SET note = upper(note) || city WHERE id % 3 = 0;
DELETE FROM sale WHERE who % 7 = 3;
VACUUM;
PRAGMA integrity_check;
SELECT count(*), sum(length(note)) FROM person;
SELECT count(*), round(sum(price), 2), sum(length(detail)) FROM sale;
"""


def sql_script(size):
    rnd, out = random.Random(2000), [SQL_HEAD, "BEGIN;\n"]
    cities = [f"city{n:03d}" for n in range(120)]
    for n in range(1, size + 1):
        out.append(f"INSERT INTO person VALUES({n},'n{rnd.randrange(10**6)}',"
                   f"'{rnd.choice(cities)}',{rnd.randint(1900, 2026)},"
                   f"'{'note ' * rnd.randint(0, 12)}');\n")
    for n in range(1, size * 2 + 1):
        out.append(f"INSERT INTO sale VALUES({n},{rnd.randint(1, size)},'item{rnd.randint(0, 80)}',"
                   f"{rnd.random() * 1000:.2f},"
                   f"'{{\"colour\":\"c{rnd.randint(0, 30)}\",\"n\":{n}}}');\n")
        if n % 1000 == 0:
            out.append("COMMIT; SELECT count(*), max(price) FROM sale WHERE who % 5 = 1; BEGIN;\n")
    out.append("COMMIT;\n" + SQL_TAIL.format(size=size * 4))
    return "".join(out)


def resp(*words):
    """One command in Redis's wire format, for redis-cli --pipe."""
    parts = [str(w).encode() for w in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def redis_load(size):
    """The load, and the commands that take a digest of every key it leaves."""
    rnd, out, keys = random.Random(2009), [], []
    for n in range(size):
        keys.append(f"demo:s:{n}")
        out.append(resp("SET", keys[-1], f"{n}:" + "v" * rnd.choice((8, 40, 100, 400, 1500))))
    for n in range(size // 20):
        for kind, command in (("h", "HSET"), ("z", "ZADD"), ("l", "RPUSH"), ("t", "SADD")):
            keys.append(f"demo:{kind}:{n}")
            for m in range(rnd.randint(1, 30)):
                value = f"m{m}:" + "x" * rnd.randint(0, 60)
                pair = {"HSET": (m, value), "ZADD": (m, value)}.get(command, (value,))
                out.append(resp(command, keys[-1], *pair))
    for n in range(0, size, 3):
        out.append(resp("APPEND", f"demo:s:{n}", "tail" * rnd.randint(1, 50)))
    for n in range(1, size, 7):
        out.append(resp("DEL", f"demo:s:{n}"))
    digest = "".join(f"DEBUG DIGEST-VALUE {' '.join(keys[n:n + 64])}\n"
                     for n in range(0, len(keys), 64))
    return b"".join(out), digest
