# SPDX-License-Identifier: MIT
"""scripts/programs/work.py - what CPython is used for: dicts, lists, text, JSON, sorting

Idea      a small population of records is built, written as JSON, read back, indexed, sorted and
          joined, in rounds whose leftovers live on: objects of all ages. Started with
          PYTHONMALLOC=malloc, so that every object comes from malloc().
Usage     python3 work.py SIZE
"""
import collections
import hashlib
import json
import random
import re
import sys


class Node:
    """A binary tree without slots: an object and a dict each."""

    def __init__(self, key):
        self.key, self.left, self.right = key, None, None

    def put(self, key):
        node = self
        while key != node.key:
            side = "left" if key < node.key else "right"
            if getattr(node, side) is None:
                setattr(node, side, Node(key))
            node = getattr(node, side)

    def walk(self):
        stack, node = [], self
        while stack or node:
            while node:
                stack.append(node)
                node = node.left
            node = stack.pop()
            yield node.key
            node = node.right


def record(rnd, n):
    return {
        "id": n,
        "name": "".join(rnd.choices("abcdefghij", k=rnd.randint(3, 24))),
        "tags": [f"t{rnd.randint(0, 500)}" for _ in range(rnd.randint(0, 6))],
        "pos": {"x": rnd.random(), "y": rnd.randint(-10**12, 10**12)},
        "note": "lorem ipsum " * rnd.randint(0, 8),
    }


def one_round(rnd, size, old):
    text = json.dumps([record(rnd, n) for n in range(size)])
    people = json.loads(text)
    by_tag = collections.defaultdict(list)
    for p in people:
        for tag in p["tags"]:
            by_tag[tag].append(p["id"])
    people.sort(key=lambda p: (p["name"], p["pos"]["y"]))
    words = collections.Counter(re.findall(r"[a-e]{2,}", text))
    tree = Node(size)
    for p in people[: size // 2]:
        tree.put(p["pos"]["y"])
    old.append({p["name"]: p for p in people[::5]})
    if len(old) > 3:
        del old[0]
    joined = "\n".join(f"{p['name']}:{len(p['tags'])}:{p['pos']['x']:.6f}" for p in people)
    facts = [sorted(by_tag.items())[:20], words.most_common(20), sum(tree.walk()), joined]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def main():
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    rnd, old = random.Random(2004), []
    for n in range(6):
        print(n, one_round(rnd, size, old), sum(map(len, old)))


main()
