/* SPDX-License-Identifier: MIT */
/*
 * base/option_table.h - every option of Stele, in one table
 *
 * Idea      one row per option feeds the structure, the defaults, the parser, `stele help options`,
 *           docs/options.md and the tests. A new option is a new row, and nothing else.
 * Columns   STELE_OPTION(name, kind, default, min, max, meaning)
 *           name     lower case; the variable is STELE_ and the name in capitals
 *           kind     BOOL      0 or 1 (also no/yes, off/on, false/true)
 *                    TRISTATE  auto, 0 or 1; stored as -1, 0, 1
 *                    PROFILE   one word of STELE_PROFILE_WORDS, stored as its index
 *                    INT       a decimal number from min to max
 *                    SIZE      bytes from min to max, with k, m, g or t behind for powers of 1024
 *                    POW2      a SIZE that is a power of two
 *                    ACTION    one word of STELE_ACTION_WORDS, stored as its index
 *                    TEXT      any text of up to STELE_TEXT_MAX bytes; none is NULL. One with a
 *                              comma in it needs the variable.
 *           A number of 0 is allowed also below min where it is the default: "choose for me".
 *           meaning  one line, for the user
 * Order     alphabetical: it is the order in which the user reads them.
 * Tests     tests/unit/base/test_options.c, tests/tools/test_stele.sh
 */
#ifndef STELE_BASE_OPTION_TABLE_H
#define STELE_BASE_OPTION_TABLE_H

#define STELE_PROFILE_WORDS "default|tiny|debug"
enum stele_profile {
	STELE_PROFILE_DEFAULT,
	STELE_PROFILE_TINY,
	STELE_PROFILE_DEBUG,
	STELE_NR_PROFILES
};

#define STELE_ACTION_WORDS "continue|abort|stop"
enum stele_action {
	STELE_ACTION_CONTINUE,
	STELE_ACTION_ABORT,
	STELE_ACTION_STOP,
	STELE_NR_ACTIONS
};

#define STELE_TEXT_MAX 255

#define STELE_K(n) ((int64_t)(n) << 10)
#define STELE_M(n) ((int64_t)(n) << 20)
#define STELE_G(n) ((int64_t)(n) << 30)
#define STELE_T(n) ((int64_t)(n) << 40)

/* The page floor cannot do with less, nor number more; see page/place.c. */
#define STELE_ARENA_SMALLEST STELE_M(16)
#define STELE_ARENA_LARGEST STELE_G(4032)

/* clang-format off */
#define STELE_OPTION_TABLE(STELE_OPTION) \
	STELE_OPTION(abort_on_error, BOOL, 0, 0, 1, \
		"die after a report, the same as on_error=abort") \
	STELE_OPTION(abort_on_order, BOOL, 0, 0, 1, \
		"debug builds: die after a report of a wait for a lock out of order, or where no call may wait") \
	STELE_OPTION(arena_size, SIZE, 0, STELE_ARENA_SMALLEST, STELE_ARENA_LARGEST, \
		"most address space for objects; 0 chooses by the machine") \
	STELE_OPTION(at_exit_of, INT, 0, 0, 4194304, \
		"pid of the only process that writes reports at its exit; 0 for each") \
	STELE_OPTION(barn_max, SIZE, STELE_M(1), 0, STELE_T(1), \
		"bytes per cache that may rest in barns, between CPUs") \
	STELE_OPTION(cpu_look, INT, 1000, 0, 3600000, \
		"ms between looks at slots that no thread uses; their objects go back; 0 for never") \
	STELE_OPTION(debug, TEXT, 0, 0, 0, \
		"checks of objects, as the kernel's slab_debug: F Z P U T A O, ',cache', ';' between blocks") \
	STELE_OPTION(debug_all, BOOL, 0, 0, 1, \
		"report every fault of an object in whole; otherwise each place once, and then count") \
	STELE_OPTION(debug_stack, INT, 16, 1, 16, \
		"most callers that are kept of an allocation and of a free, where U asks for them") \
	STELE_OPTION(dirty_min, SIZE, STELE_K(512), 0, STELE_T(64), \
		"bytes of free pages that may stay resident at any time") \
	STELE_OPTION(dirty_time, INT, 1000, 0, 3600000, \
		"ms in which half of the free pages beyond that go back, if unused; 0 keeps none") \
	STELE_OPTION(fail_fd, INT, 0, 3, 1048576, \
		"for tools: tell this descriptor of the allocation of fail_nth, and stop") \
	STELE_OPTION(fail_mempool_alloc, INT, 0, 0, 1000000, \
		"every N-th call of a mempool's own allocation fails, for tests; 0 for none") \
	STELE_OPTION(fail_mempool_alloc_bulk, INT, 0, 0, 1000000, \
		"the same for mempool_alloc_bulk()") \
	STELE_OPTION(fail_nth, INT, 0, 1, INT32_MAX, \
		"the n-th allocation fails, whatever its kind, for tests; 0 for none") \
	STELE_OPTION(fail_of, INT, 0, 0, 4194304, \
		"pid of the only process that fail_nth is for; 0 for each") \
	STELE_OPTION(fail_page_alloc, INT, 0, 0, 100, \
		"percent of the blocks with pages of their own that fail, for tests; 0 for none") \
	STELE_OPTION(fail_page_alloc_interval, INT, 0, 0, INT32_MAX, \
		"of those that may fail, every n-th; 0 for each") \
	STELE_OPTION(fail_page_alloc_order, INT, 0, 0, 10, \
		"blocks of fewer than 2^N pages are spared") \
	STELE_OPTION(fail_page_alloc_space, SIZE, 0, 0, STELE_T(64), \
		"bytes that succeed before the first failure") \
	STELE_OPTION(fail_page_alloc_times, INT, 0, 0, INT32_MAX, \
		"how many fail at most; 0 for no limit") \
	STELE_OPTION(fail_seed, INT, 0, 0, INT32_MAX, \
		"the same calls with the same number fail alike, where the percentage is below 100") \
	STELE_OPTION(fail_spare_waiting, BOOL, 0, 0, 1, \
		"spare requests that may wait, such as GFP_KERNEL: the kernel's ignore-gfp-wait") \
	STELE_OPTION(failslab, INT, 0, 0, 100, \
		"percent of the objects of caches, malloc() included, that fail, for tests; 0 for none") \
	STELE_OPTION(failslab_interval, INT, 0, 0, INT32_MAX, \
		"of those that may fail, every n-th; 0 for each") \
	STELE_OPTION(failslab_space, SIZE, 0, 0, STELE_T(64), \
		"bytes that succeed before the first failure") \
	STELE_OPTION(failslab_times, INT, 0, 0, INT32_MAX, \
		"how many fail at most; 0 for no limit") \
	STELE_OPTION(init_on_alloc, BOOL, 0, 0, 1, \
		"clear all memory before it is handed out, as the kernel's option does") \
	STELE_OPTION(init_on_free, BOOL, 0, 0, 1, \
		"clear all memory when it is freed, as the kernel's option does") \
	STELE_OPTION(leak_check, BOOL, 0, 0, 1, \
		"at exit, report blocks that the program can no longer reach, by caller; keeps tracks (U)") \
	STELE_OPTION(leak_ignore, TEXT, 0, 0, 0, \
		"files, or places such as prog+0x1176, with ':' between them, whose lost blocks are ignored") \
	STELE_OPTION(leak_status, INT, 0, 0, 255, \
		"exit status of a program in which leak_check finds some; 0 keeps the program's own") \
	STELE_OPTION(mempool_debug, BOOL, 0, 0, 1, \
		"check the elements of mempools: freed twice, foreign, written to while free") \
	STELE_OPTION(mempool_retry, INT, 5000, 0, 3600000, \
		"ms after which a thread that waits in a mempool tries its allocation again; 0 for never") \
	STELE_OPTION(mm_cid, BOOL, 1, 0, 1, \
		"slots by the kernel's mm_cid where it has one; 0 numbers them by CPU") \
	STELE_OPTION(nodes, INT, 0, 1, 64, \
		"for tests: pretend so many memory nodes, and deal the slots out to them; 0: the machine's") \
	STELE_OPTION(nodes_late, INT, 0, 0, 63, \
		"for tests: of those pretended, how many have no memory until they are prepared") \
	STELE_OPTION(nomerge, BOOL, 0, 0, 1, \
		"give every cache its own slabs, even where two could share") \
	STELE_OPTION(on_error, ACTION, STELE_ACTION_CONTINUE, 0, STELE_NR_ACTIONS - 1, \
		"after a report: continue, abort, or stop until a debugger or SIGCONT lets it go on") \
	STELE_OPTION(page_size, POW2, 0, STELE_K(4), STELE_K(64), \
		"for tests: pretend a larger system page; 0 takes the real one") \
	STELE_OPTION(profile, PROFILE, STELE_PROFILE_DEFAULT, 0, STELE_NR_PROFILES - 1, \
		"default balances speed and memory, tiny saves memory, debug checks every object (FZPU)") \
	STELE_OPTION(quiet, BOOL, 0, 0, 1, \
		"no warnings on standard error; bad frees and bad options are still reported") \
	STELE_OPTION(rcu_delay, INT, 5, 0, 10000, \
		"milliseconds that memory given to kfree_rcu() may gather before a grace period") \
	STELE_OPTION(rcu_expedite, SIZE, STELE_K(512), 0, STELE_T(64), \
		"if so many bytes wait for a grace period, it starts at once") \
	STELE_OPTION(rcu_max, SIZE, STELE_M(16), 0, STELE_T(64), \
		"if so many bytes wait for a grace period, callers that may sleep wait for it, too") \
	STELE_OPTION(rcu_wait, INT, 1000, 0, 1000000, \
		"most milliseconds that kfree_rcu() waits per grace period, above rcu_max") \
	STELE_OPTION(report, TEXT, 0, 0, 0, \
		"file to which reports of bad frees and faults are added; standard error otherwise") \
	STELE_OPTION(rseq, TRISTATE, -1, -1, 1, \
		"restartable sequences: 0 never, auto and 1 where the system has them and they work") \
	STELE_OPTION(selftest, BOOL, 1, 0, 1, \
		"prove at start that an interrupted restartable sequence starts over") \
	STELE_OPTION(slabinfo_at_exit, BOOL, 0, 0, 1, \
		"write every cache to standard error at exit, in the format of /proc/slabinfo") \
	STELE_OPTION(slots, INT, 0, 0, 4096, \
		"for tests: number of slots without restartable sequences; 0 takes the number of CPUs") \
	STELE_OPTION(stats_at_exit, BOOL, 0, 0, 1, \
		"write what memory is held, and the number of bad frees, to standard error at exit") \
	STELE_OPTION(thp, BOOL, 0, 0, 1, \
		"ask the system for transparent huge pages behind the arena")
/* clang-format on */

#endif
