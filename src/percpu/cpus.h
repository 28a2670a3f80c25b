/* SPDX-License-Identifier: MIT */
/*
 * percpu/cpus.h - the set of slots that are online, and the lock around its changes
 *
 * Idea      Any number of threads may keep the set as it is, each as often as it likes. A writer, a
 *           thread that changes the set, waits until they are done and keeps new ones out for a
 *           tenth of a second. After that it lets them in, and its own signals, and tries again.
 *           A reader enters its name once: the depth is the thread's own. The writer does not wait
 *           for a reader whose thread is gone (percpu/keep.h). A reader that meets a writer waits on
 *           the writer's mutex, which lends the writer its priority, and tries again.
 * Objects   online, present: bits by slot. reached: how far up each slot is, as the number of the
 *           last step done; so a writer that finds a change half done goes on from there.
 *           seen: the slots that the system had online at the last look.
 *           All but `online` under the writer.
 * States    of a thread's word: 0; n > 0, how often it reads; CPUS_WRITER and more: it writes, and
 *           how often it reads besides.
 * Order     CPUS: a reader enters its name, then looks for a writer; a writer announces itself, then
 *           looks at the names; all sequentially consistent. The set is what the last writer left.
 * Locks     cpus > steps (hotplug.c) > list (cache/list.c) > taking (take.c);
 *           sync/ranks.h has all.
 * Context   ordinary threads, since a reader waits for the writer, and the writer for readers. Whether a
 *           slot is online: any.
 * Fork      the child has no other thread: only its own depth counts. The next writer completes a
 *           change that another thread had begun.
 * Tests     tests/unit/percpu/test_hotplug.c  tests/model/hotplug.pml  tests/model/hotplug.c
 */
#ifndef STELE_PERCPU_CPUS_H
#define STELE_PERCPU_CPUS_H

#include "base/layout.h"
#include "sync/atomic.h"
#include <stele/cpu.h>

#define CPUS_WRITER 0x80000000u
#define CPUS_WORDS (STELE_SLOTS_MAX / 64)

struct stele_cpus {
	_Atomic uint64_t online[CPUS_WORDS];
	_Atomic uint64_t present[CPUS_WORDS];
	uint64_t seen[CPUS_WORDS];
	uint16_t reached[STELE_SLOTS_MAX];
};
extern struct stele_cpus stele_cpus __attribute__((visibility("hidden")));

/* The higher floor's work before there are slots; NULL: none. */
extern int (*stele_cpus_start)(void) __attribute__((visibility("hidden")));
/* The higher floor's work when the watcher looks; NULL: none. */
extern void (*stele_cpus_look)(void) __attribute__((visibility("hidden")));
/* Called when a thread lets go of the set: the work that a higher floor put off until then; NULL:
 * none. */
extern void (*stele_cpus_left)(void) __attribute__((visibility("hidden")));

/* Fills in the set as the system has it, once, before the first write. 0 or -errno. */
int stele_cpus_ready(void);
unsigned stele_cpus_possible(void);
/* The slots that the system has online now. */
void stele_cpus_wanted(uint64_t mask[CPUS_WORDS]);
/* Looks again at which CPUs the machine has: one may have been added. The writer's. */
void stele_cpus_find_present(void);

static inline bool cpus_bit(const uint64_t mask[], unsigned slot)
{
	return mask[slot / 64] >> slot % 64 & 1;
}

/* ORDER(CPUS) acquire: all that was prepared before the slot came, or taken apart after it went. */
static inline bool cpus_is_online(unsigned slot)
{
	return load_acquire(&stele_cpus.online[slot / 64]) >> slot % 64 & 1;
}
void stele_cpus_set_online(unsigned slot, bool online);

/* 0; -EDEADLK: this thread reads or writes already. */
int stele_cpus_write_lock(void);
void stele_cpus_write_unlock(void);
bool stele_cpus_is_writer(void);
/* Either: it may not wait for a thread that may want to read. */
bool stele_cpus_are_held(void);

/* Does cpus_read_lock(), and holds signals back from then on. Signals come in while it waits. Returns
 * the mask for stele_os_signals_release(). */
uint64_t stele_cpus_read_held(void);
/*
 * cpus_read_unlock() in two steps, for a caller that holds signals back. Between the two the caller
 * lets signals in: the second step does the work that was put off, which may wait for long.
 */
void stele_cpus_let_go(void);
void stele_cpus_catch_up(void);

void stele_cpus_after_fork(void);

/* ---- hotplug.c: steps of the library's own, before anything else happens ---- */
void stele_cpu_step(enum cpuhp_state state, const char *name, int (*startup)(unsigned),
		    int (*teardown)(unsigned));
void stele_cpu_steps_after_fork(void);

/* ---- watch.c ---- */
void stele_cpu_watch_after_fork(void);

#endif
