/* SPDX-License-Identifier: MIT */
/*
 * percpu/facts.c - the words that every floor reads: this system's facts, and those of the fast paths
 *
 * Idea      Data alone. system.c fills in the facts, and the page floor's start the heap's addresses.
 * Order     FAST_PATH (percpu/system.h): written before a fast path is opened.
 * Tests     tests/unit/percpu/test_system.c
 */
#include "percpu/system.h"
#include "base/layout.h"

struct stele_hot stele_hot __attribute__((aligned(64)));
struct stele_system stele_system_facts = { .why = "not started" };
