/* SPDX-License-Identifier: MIT */
/*
 * stele/cpu.h - CPUs that come and go, as in the kernel's linux/cpu.h and linux/cpuhotplug.h
 *
 * Idea      A slot stands for the kernel's CPU: the caches keep objects there for the threads that
 *           run on it. Slots come and go with the machine's CPUs, with cpusets and affinity, and
 *           by stele_cpu_up() and stele_cpu_down(). Each time the library calls the steps.
 * Slots     If slots are numbered by the kernel's mm_cid, the numbers are compact: the numbers
 *           below the count of CPUs that the process may run on are online. If slots are CPU
 *           numbers, the machine's online CPUs are online. Without restartable sequences all slots
 *           are online. stele_cpu_down() takes a slot offline in all three cases.
 * Steps     A step has a number, a name, and two functions. On the way up the library calls the
 *           `startup` functions in rising order, on the way down the `teardown` functions in
 *           falling order. If one fails, the library undoes the steps that it has called so far.
 *           Steps below CPUHP_BRINGUP_CPU run while no thread can reach the slot's objects; steps
 *           above it run while the slot is in use. All of them run in the thread that makes the
 *           call, with its signals held back.
 * Unlike    the kernel: a thread that runs in a slot stays there when the slot goes down, and works
 *           without sheaves. A thread may use a slot before its steps have run, because the
 *           machine does not ask; the steps run at the next call of stele_cpu_refresh(). A step
 *           that fails on the way down below CPUHP_BRINGUP_CPU is undone like any other.
 * Context   ordinary threads. The questions (cpu_online() and so on) are for any context.
 * See       docs/cpus.md
 */
#ifndef STELE_CPU_H
#define STELE_CPU_H

#include <stdbool.h>
#include <stddef.h>

#include <stele/compiler.h>

STELE_EXTERN_C_BEGIN

/** num_possible_cpus - the largest number of slots; they are numbered from 0 */
STELE_API unsigned int num_possible_cpus(void);
/** num_present_cpus - possible slots whose CPU the machine had at the last refresh */
STELE_API unsigned int num_present_cpus(void);
/** num_online_cpus - possible slots that are online now */
STELE_API unsigned int num_online_cpus(void);

/** cpu_possible - whether @cpu is below num_possible_cpus() */
STELE_API bool cpu_possible(unsigned int cpu);
/** cpu_present - whether the machine has its CPU; true for every possible compact number */
STELE_API bool cpu_present(unsigned int cpu);
/** cpu_online - whether it is online now; it stays so while cpus_read_lock() is held */
STELE_API bool cpu_online(unsigned int cpu);

/* The first slot from @cpu on for which @is says true; num_possible_cpus() if there is none. */
STELE_API unsigned int stele_cpu_next(unsigned int cpu, bool (*is)(unsigned int cpu));

/** for_each_possible_cpu - and so on: @cpu, an unsigned int, is each in turn */
#define for_each_possible_cpu(cpu) for ((cpu) = 0; (cpu) < num_possible_cpus(); (cpu)++)
#define for_each_present_cpu(cpu)                                                                  \
	for ((cpu) = stele_cpu_next(0, cpu_present); (cpu) < num_possible_cpus();                  \
	     (cpu) = stele_cpu_next((cpu) + 1, cpu_present))
#define for_each_online_cpu(cpu)                                                                   \
	for ((cpu) = stele_cpu_next(0, cpu_online); (cpu) < num_possible_cpus();                   \
	     (cpu) = stele_cpu_next((cpu) + 1, cpu_online))

/** raw_smp_processor_id - this thread's slot: a hint, for the thread may move at once */
STELE_API unsigned int raw_smp_processor_id(void);

/**
 * cpus_read_lock - no slot comes or goes until cpus_read_unlock()
 *
 * Any number of threads may hold it, and a thread may take it again. It ranks outside every lock of
 * the library: take it before any other call. A holder must not call stele_cpu_up(),
 * stele_cpu_down() or stele_cpu_refresh(), must not end, and must not leave by longjmp(). If a
 * holder destroys a cache, its last cpus_read_unlock() empties the cache and waits for the cache's
 * readers. A holder must not wait for a grace period itself (kvfree_rcu_barrier()): a destructor
 * that runs after one may read the set, behind a thread that waits to change it.
 *
 * Context: ordinary threads. Waits for a change that is under way, and lends it its priority.
 */
STELE_API void cpus_read_lock(void);
/** cpus_read_trylock - the same without waiting. Return: 1, or 0 when a change is under way */
STELE_API int cpus_read_trylock(void);
/** cpus_read_unlock - ends a cpus_read_lock(), or a cpus_read_trylock() that returned 1 */
STELE_API void cpus_read_unlock(void);

/* The numbers of steps. The library gives out the numbers between a _DYN and its _END. */
enum cpuhp_state {
	CPUHP_INVALID = -1,
	CPUHP_OFFLINE = 0,
	CPUHP_SLUB_DEAD = 1, /* the library's own: empties the slot's sheaves */
	CPUHP_BP_PREPARE_DYN = 2,
	CPUHP_BP_PREPARE_DYN_END = CPUHP_BP_PREPARE_DYN + 20,
	CPUHP_BRINGUP_CPU, /* the library's own: opens and closes the slot */
	CPUHP_AP_ONLINE_DYN,
	CPUHP_AP_ONLINE_DYN_END = CPUHP_AP_ONLINE_DYN + 40,
	CPUHP_ONLINE,
};

/**
 * cpuhp_setup_state - install a step, and call @startup for every slot that is past it
 * @state:    CPUHP_BP_PREPARE_DYN, CPUHP_AP_ONLINE_DYN, or a number between one of these and its end
 * @name:     for messages. The name and both functions must stay in memory until
 *            cpuhp_remove_state(): a plugin removes its steps before it is unloaded
 * @startup:  called with the slot's number; returns 0 or a negative error. NULL: no function
 * @teardown: the same on the way down
 *
 * Return:  0; for a _DYN state the step's number, for cpuhp_remove_state(). -EINVAL: no name, or
 *          an unknown number. -EBUSY: the number is taken. -ENOSPC: all dynamic numbers are taken.
 *          -EDEADLK: called from within a step. Otherwise the error of @startup; the library has
 *          then undone the slots that had succeeded.
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
 * cpuhp_remove_state - remove a step, and call its teardown for every slot that is past it
 * @state: as given to cpuhp_setup_state(), or returned by it
 *
 * Context: ordinary threads. From within a step the call does nothing but report itself.
 */
STELE_API void cpuhp_remove_state(enum cpuhp_state state);
/** cpuhp_remove_state_nocalls - the same, without calling teardown */
STELE_API void cpuhp_remove_state_nocalls(enum cpuhp_state state);

/**
 * stele_cpu_up - bring a slot online: every step's startup, in order
 *
 * Return:  0. -EINVAL: no such slot, or online already. -EDEADLK: called from within a step, or by
 *          a holder of cpus_read_lock(). Otherwise the error of a step; all steps are undone. Each
 *          refusal causes a message on standard error, unless the option `quiet` is set.
 * Context: ordinary threads; waits for readers of the CPU set.
 */
STELE_API int stele_cpu_up(unsigned int cpu);
/**
 * stele_cpu_down - take a slot offline: every step's teardown, in reverse
 *
 * When it returns, the slot's objects are where every slot can take them. The slot stays offline
 * until stele_cpu_up(); a thread that runs there works without sheaves meanwhile.
 *
 * Return:  as stele_cpu_up(). -EBUSY: it is the last slot online. The system's error if it refuses
 *          membarrier(), without which the slot's objects cannot be reached.
 * Context: ordinary threads; waits for readers of the CPU set.
 * Promise: contract 30 and 31 (docs/contract.md).
 */
STELE_API int stele_cpu_down(unsigned int cpu);
/**
 * stele_cpu_refresh - look at the machine, the cpuset and the threads' affinity, and follow them
 *
 * Return:  the number of slots that came or went, or the last negative error (as above).
 * Context: ordinary threads.
 */
STELE_API int stele_cpu_refresh(void);
/**
 * stele_cpu_watch - start, or end, a thread that calls stele_cpu_refresh()
 *
 * The thread listens to the kernel's events where the process may, and also looks once a second. It
 * gives back the objects of slots that are no longer used (option `cpu_look`). The library never
 * starts it by itself. A child of fork() has none. It runs on the CPUs that the program's other
 * threads may run on.
 *
 * Return:  0, also if the thread is there already, or gone already. -EAGAIN: no thread could be
 *          made. -EDEADLK, with a message unless `quiet`: called from within a step, or by a holder
 *          of cpus_read_lock().
 * Context: ordinary threads. Ending waits until the thread is gone.
 */
STELE_API int stele_cpu_watch(bool on);

STELE_EXTERN_C_END

#endif
