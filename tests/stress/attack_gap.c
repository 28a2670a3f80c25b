/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/attack_gap.c - areas that an alignment left out can be used
 *
 * Idea      Areas are mapped as they are wanted. A block aligned to many areas lies
 *           behind some that nobody asked for. The next blocks come to lie there.
 * Failure   a fault in memory that was handed out but never opened.
 */
#include "page/run.h"
#include "percpu/system.h"
#include "stress.h"
#include <stele/page.h>
#include <sys/resource.h>

#define LIMIT (640ul << 20)
#define BLOCK 900000
#define BLOCKS 60

int main(int argc, char **argv)
{
	struct rlimit limit = { LIMIT, LIMIT };
	char *p;

	if (argc < 3) {
		char *again[] = { argv[0], "2", "limited", NULL };

		MUST(setrlimit(RLIMIT_DATA, &limit) == 0);
		execv("/proc/self/exe", again);
		MUST(!"exec");
	}
	for (size_t align = 4ul << 20; align <= 64ul << 20; align *= 4) {
		p = stele_large_alloc(3ul << 20, align, false);
		MUST_FOR(p && (uintptr_t)p % align == 0, align);
		memset(p, 1, 3ul << 20);
		for (int i = 0; i < BLOCKS; i++) {
			p = alloc_pages_exact(BLOCK, GFP_KERNEL);
			MUST_FOR(p, i);
			memset(p, 2, BLOCK);
		}
	}
	must_be_valid();
	return 0;
}
