/* SPDX-License-Identifier: MIT */
/*
 * stele/cpu.h - CPUs that come and go, as the kernel's linux/cpu.h and linux/cpuhotplug.h have it
 *
 * Idea      What the kernel calls a CPU is a slot here: the place where the caches keep objects for
 *           whoever runs there. Slots come and go with the machine's CPUs, with cpusets and
 *           affinity, and when a program says so. Steps are called on the way up and down.
 * Slots     By the kernel's mm_cid a slot's number is compact: those below the number of CPUs that
 *           the process may run on are online. By CPU number: the CPUs that the machine has online.
 *           Without restartable sequences: all of them. stele_cpu_down() takes one away in any case.
 * Steps     A step has a number, a name, and two functions. On the way up the functions `startup`
 *           are called by rising numbers, on the way down `teardown` by falling ones; when one
 *           fails, what was done so far is undone. Below CPUHP_BRINGUP_CPU they run while nobody
 *           can reach the slot's objects, above it while the slot is in use. All of them run in
 *           the thread that makes the call, with its signals held back.
 * Unlike    the kernel: a thread that runs in a slot is not moved away when the slot goes down; it
 *           works on without sheaves there. A slot may be used before its steps have run: the
 *           machine asks nobody. They run at the next call of stele_cpu_refresh().
 *           A step that fails on the way down, below CPUHP_BRINGUP_CPU, is undone as any other.
 * Context   ordinary threads, but for the questions, which are for any.
 * See       docs/cpus.md
 */
#ifndef STELE_CPU_H
#define STELE_CPU_H

#include <stdbool.h>
#include <stddef.h>

#include <stele/compiler.h>

STELE_EXTERN_C_BEGIN

/** num_possible_cpus - how many slots there can ever be; they are numbered from 0 */
STELE_API unsigned int num_possible_cpus(void);
/** num_present_cpus - of them, those whose CPU the machine has, at the last stele_cpu_refresh() */
STELE_API unsigned int num_present_cpus(void);
/** num_online_cpus - of them, those that are online now */
STELE_API unsigned int num_online_cpus(void);

/** cpu_possible - whether there can be a slot of this number */
STELE_API bool cpu_possible(unsigned int cpu);
/** cpu_present - whether the machine has its CPU; true for every possible compact number */
STELE_API bool cpu_present(unsigned int cpu);
/** cpu_online - whether it is online now; it stays so while cpus_read_lock() is held */
STELE_API bool cpu_online(unsigned int cpu);

/* The first slot from @cpu on for which it is true; num_possible_cpus() at the end. */
STELE_API unsigned int stele_cpu_next(unsigned int cpu, bool (*is)(unsigned int cpu));

/** for_each_possible_cpu - and so on: @cpu, an unsigned int, is each in turn */
#define for_each_possible_cpu(cpu) for ((cpu) = 0; (cpu) < num_possible_cpus(); (cpu)++)
#define for_each_present_cpu(cpu)                                                                  \
	for ((cpu) = stele_cpu_next(0, cpu_present); (cpu) < num_possible_cpus();                  \
	     (cpu) = stele_cpu_next((cpu) + 1, cpu_present))
#define for_each_online_cpu(cpu)                                                                   \
	for ((cpu) = stele_cpu_next(0, cpu_online); (cpu) < num_possible_cpus();                   \
	     (cpu) = stele_cpu_next((cpu) + 1, cpu_online))

/** raw_smp_processor_id - this thread's slot just now: a hint, another one by the time you look */
STELE_API unsigned int raw_smp_processor_id(void);

/**
 * cpus_read_lock - no slot comes or goes until cpus_read_unlock()
 *
 * Any number of threads may hold it, and one may take it again. It is outside of every lock of the
 * library: take it before calling anything, or not at all. Who holds it may not call
 * stele_cpu_up(), stele_cpu_down() or stele_cpu_refresh(), nor end or leave by longjmp(). A cache
 * destroyed meanwhile is emptied by the last cpus_read_unlock(), which then waits for readers of it;
 * nobody else should wait for a grace period here, as by kvfree_rcu_barrier(): a destructor that is
 * called after one may want to read the set, or a thread that changes it may be first.
 *
 * Context: ordinary threads; waits for a change that is under way, and lends it its priority.
 */
STELE_API void cpus_read_lock(void);
/** cpus_read_trylock - the same without waiting. Return: 1, or 0 when a change is under way */
STELE_API int cpus_read_trylock(void);
STELE_API void cpus_read_unlock(void);

/* The numbers of steps. Those between a _DYN and its _END are given out by the library. */
enum cpuhp_state {
	CPUHP_INVALID = -1,
	CPUHP_OFFLINE = 0,
	CPUHP_SLUB_DEAD = 1, /* the library's own: what the caches keep in the slot */
	CPUHP_BP_PREPARE_DYN = 2,
	CPUHP_BP_PREPARE_DYN_END = CPUHP_BP_PREPARE_DYN + 20,
	CPUHP_BRINGUP_CPU, /* the library's own: the slot may be used, or not any more */
	CPUHP_AP_ONLINE_DYN,
	CPUHP_AP_ONLINE_DYN_END = CPUHP_AP_ONLINE_DYN + 40,
	CPUHP_ONLINE,
};

/**
 * cpuhp_setup_state - install a step, and call @startup for every slot that is past it
 * @state:    CPUHP_BP_PREPARE_DYN, CPUHP_AP_ONLINE_DYN, or a number between one of these and its end
 * @name:     for messages; must stay where it is, as must both functions, until cpuhp_remove_state():
 *            a plugin takes its steps out before it is unloaded
 * @startup:  called with the slot's number; 0, or a negative error. NULL: nothing
 * @teardown: the same on the way down
 *
 * Return:  0; for a _DYN state its number, which is what cpuhp_remove_state() takes. -EINVAL: no
 *          name, or no such number. -EBUSY: taken. -ENOSPC: all dynamic ones are. -EDEADLK: called
 *          from within a step. Else what @startup gave; it was then undone where it had been done.
 * Context: ordinary threads.
 */
STELE_API int cpuhp_setup_state(enum cpuhp_state state, const char *name,
				int (*startup)(unsigned int cpu),
				int (*teardown)(unsigned int cpu));
/** cpuhp_setup_state_nocalls - the same, without calling @startup now */
STELE_API int cpuhp_setup_state_nocalls(enum cpuhp_state state, const char *name,
					int (*startup)(unsigned int cpu),
					int (*teardown)(unsigned int cpu));
/**
 * cpuhp_remove_state - the end of a step: calls its teardown for every slot that is past it
 * @state: as it was given to cpuhp_setup_state(), or returned by it
 *
 * Context: ordinary threads; not from within a step: then nothing is done but to say so.
 */
STELE_API void cpuhp_remove_state(enum cpuhp_state state);
/** cpuhp_remove_state_nocalls - the same, without calling teardown */
STELE_API void cpuhp_remove_state_nocalls(enum cpuhp_state state);

/**
 * stele_cpu_up - bring a slot online: every step's startup, in order
 *
 * Return:  0. -EINVAL: not possible, or online already. -EDEADLK: called from within a step, or by
 *          who holds cpus_read_lock(). Else what a step gave; everything was undone. Each refusal is
 *          said on standard error, unless the option `quiet` is set.
 * Context: ordinary threads; waits for readers of the CPU set.
 */
STELE_API int stele_cpu_up(unsigned int cpu);
/**
 * stele_cpu_down - take a slot offline: every step's teardown, in reverse
 *
 * Its objects go where every slot can have them, before this returns. It stays offline until
 * stele_cpu_up(): threads that run there work without sheaves meanwhile.
 *
 * Return:  as stele_cpu_up(). -EBUSY: it is the last one online. What the system gave when it
 *          refuses the barrier (membarrier) without which a slot's objects cannot be reached.
 * Context: ordinary threads; waits for readers of the CPU set.
 */
STELE_API int stele_cpu_down(unsigned int cpu);
/**
 * stele_cpu_refresh - look at the machine, the cpuset and the threads' affinity, and follow them
 *
 * Return:  how many slots came or went; or a negative error as above, from the last one that failed.
 * Context: ordinary threads.
 */
STELE_API int stele_cpu_refresh(void);
/**
 * stele_cpu_watch - a thread that calls stele_cpu_refresh() for you, or its end
 *
 * It listens to the kernel's events where the process may, and looks once a second besides: also at
 * slots that nobody uses any more, whose objects go back (option `cpu_look`). Nobody gets such a
 * thread without asking. A child of fork() has none.
 *
 * It runs where the program's other threads may run.
 *
 * Return:  0, also when there is one already, or none. -EAGAIN: no thread to be had. -EDEADLK:
 *          called from within a step, or by who holds cpus_read_lock(); said unless `quiet`.
 * Context: ordinary threads; ending waits until it is gone.
 */
STELE_API int stele_cpu_watch(bool on);

STELE_EXTERN_C_END

#endif
