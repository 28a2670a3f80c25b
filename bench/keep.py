#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plays policies for free pages against patterns of use: docs/decisions/0012-keep.md.

A pattern is a list of (seconds, MiB in use). A policy says how much free, touched memory may stay.
The model has no places: any free MiB serves any request, but for the MiB that a pattern turns over.
The table has, for each pattern and policy: the MiB that were faulted in again for each MiB of the
peak; the peak of resident memory divided by the peak of use; and the resident memory beyond use ten
seconds after the end, in percent of the peak, once with light work, and once if the program never
enters the slow paths.
"""
import math
import sys

TICK = 0.125
LEAST = 0.5


class Policy:
    """What all policies know; @may says how much may stay."""

    def __init__(self):
        self.peak = self.wanted = self.gone = self.back = self.lowest = 0.0
        self.ticked = 0.0

    def may(self, used):
        raise NotImplementedError

    def doubtful(self, idle):
        return idle

    def faulted(self, fresh):
        self.wanted += fresh
        self.gone -= fresh
        self.back += fresh

    def tick(self, now, used, free):
        while now - self.ticked >= TICK:
            self.ticked += TICK
            self.peak = used + max(0.0, self.peak - used) * 11 / 12
            self.wanted -= self.doubtful(min(self.wanted, self.lowest)) / 12
            self.gone *= 11 / 12
            self.back *= 11 / 12
            self.lowest = free


class Nothing(Policy):
    def may(self, used):
        return 0.25 + used / 64


class Everything(Policy):
    def may(self, used):
        return math.inf


class Peak(Policy):
    """All that was in use lately."""

    def may(self, used):
        return LEAST + max(0.0, self.peak - used)


class Learnt(Policy):
    """What was faulted in again lately."""

    def may(self, used):
        return LEAST + min(self.wanted, max(0.0, self.peak - used)) + min(self.wanted, self.peak / 4)


class Both(Policy):
    """The recent peak is the bound. Below it the memory in use, or faulted in again, may stay."""

    def may(self, used):
        below = min(max(used, self.wanted), max(0.0, self.peak - used))
        return LEAST + below + min(self.wanted, self.peak / 4)


class Keep(Both):
    """page/keep.c: Both, where memory that is always wanted again fades slower."""

    def doubtful(self, idle):
        return idle * (self.gone + self.back / 16 + 1 / 256) / (self.gone + self.back + 1 / 256)


def play(policy, pattern, quiet_end):
    used = free = again = most_used = most = now = 0.0
    for until, target in pattern:
        policy.lowest = min(policy.lowest, free)
        if target > used:
            taken = min(free, target - used)
            fresh = min(target - used - taken, policy.gone)
            again += fresh
            policy.faulted(fresh)
            free -= taken
            policy.lowest = min(policy.lowest, free)
        else:
            free += used - target
        if until < pattern.end and free + policy.gone:
            fresh = pattern.turns * policy.gone / (free + policy.gone)
            again += fresh
            policy.faulted(fresh)
            free += fresh
        used = target
        policy.peak = max(policy.peak, used)
        most_used, now = max(most_used, used), until
        if not (quiet_end and until > pattern.end):
            policy.tick(now, used, free)
            keep = policy.may(used)
            if free > keep:
                keep -= policy.doubtful(keep / 8)
                policy.gone += free - keep
                free = keep
        most = max(most, used + free)
    return again / most_used, most / most_used, 100 * free / most_used


class Pattern(list):
    """Steps of 10 ms, and ten seconds of light work behind them. In each step, the program takes
    @turns MiB more anywhere in what is free or was purged, and returns them."""

    def __init__(self, seconds, used, turns=0):
        super().__init__((i / 100, used(i / 100)) for i in range(1, int(seconds * 100)))
        self.end = seconds
        self.turns = turns
        low = used(seconds)
        self += [(seconds + i / 100, low + i % 2) for i in range(1, 1001)]


def burst(t):
    return 1024 * t if t < 1 else max(10.0, 1024 * (2 - t))


def phases(every):
    return lambda t: 500 if t % every < every / 2 and t < 12 else 10


def saw(t):
    return 250 + 250 * (t % 1) if t < 12 else 10


def churn(t):
    """A program whose use varies by a tenth, all the time."""
    return 450 + 50 * math.sin(t * 40) * math.sin(t * 7) if t < 12 else 10


def night(t):
    """Requests of 2 MiB all day, few of them at night."""
    return 200 + 100 * (0.5 + 0.5 * math.sin(t * 30)) if t < 8 else 50 + 2 * (int(t * 4) % 2)


def slots(t):
    """Blocks of mixed sizes come and go. The memory in use hardly changes; holes need room."""
    if t < 13:
        return 830 if t < 0.5 else 650 + 10 * math.sin(t * 30)
    return 10


PATTERNS = {
    "burst": Pattern(3, burst),
    "phases, 5 a second": Pattern(13, phases(0.2)),
    "phases, 1 in 4 s": Pattern(13, phases(4)),
    "saw, half to full": Pattern(13, saw),
    "churn": Pattern(13, churn),
    "server at night": Pattern(16, night),
    "slots of mixed sizes": Pattern(14, slots, 20),
}
POLICIES = {
    "at once (0.25 MiB + 1/64)": Nothing,
    "never": Everything,
    "recent peak": Peak,
    "learnt only": Learnt,
    "both": Both,
    "keep.c": Keep,
}


def main():
    print("| pattern | policy | faulted again / peak | resident / used, at most | left, light work % | left, no slow path % |")
    print("|---|---|---|---|---|---|")
    for pattern_name, pattern in PATTERNS.items():
        for name, policy in POLICIES.items():
            again, peak, left = play(policy(), pattern, False)
            quiet = play(policy(), pattern, True)[2]
            print(f"| {pattern_name} | {name} | {again:.2f} | {peak:.3f} | {left:.1f} | {quiet:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
