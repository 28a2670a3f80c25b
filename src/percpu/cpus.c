/* SPDX-License-Identifier: MIT */
/*
 * percpu/cpus.c - the slots that are online, and the right to change that
 *
 * Idea      percpu/cpus.h. The set that is online follows from how slots are numbered:
 *           by CPU      those that the machine has online; else those that may be used; else all
 *           mm_cid      compact, so as many as there are processors that may be used
 *           by thread   all: a thread keeps its number, wherever it runs
 *           A slot that is in use is online whatever the system says.
 * Context   questions: any, after the first question, which looks at the system. The rest: ordinary
 *           threads.
 * Tests     tests/unit/percpu/test_hotplug.c  tests/contract/test_cpus.c
 */
#include "percpu/cpus.h"
#include "base/fmt.h"
#include "os/os.h"
#include "percpu/keep.h"
#include "percpu/percpu.h"
#include "percpu/system.h"
#include "sync/held.h"
#include "sync/atomic.h"
#include "sync/mutex.h"
#include "sync/ranks.h"
#include "sync/ready.h"
#include <errno.h>
#include <string.h>

struct stele_cpus stele_cpus;
int (*stele_cpus_start)(void);
void (*stele_cpus_look)(void);
void (*stele_cpus_left)(void);

static struct stele_mutex changing = STELE_MUTEX(CPUS);
static struct stele_mutex first_look = STELE_MUTEX(FIRST_LOOK);
static _Atomic uint32_t ready;

/* Asked when its name is waited for, or no place is left. */
static bool reader_is_gone(uint32_t name)
{
	if (!stele_thread_is_gone(name))
		return false;
	stele_held_gone(name);
	return true;
}

static struct keep keep = { .readers.is_gone =
				    reader_is_gone }; /* `left` is a futex for the writer */

_Static_assert(STELE_OS_CPUS == STELE_SLOTS_MAX, "one mask for both");

/* ---- the set ---- */

unsigned stele_cpus_possible(void)
{
	return STELE_MAX(stele_system_facts.slots, 1u);
}

static void all_slots(uint64_t mask[CPUS_WORDS], unsigned n)
{
	memset(mask, 0, CPUS_WORDS * sizeof(mask[0]));
	for (unsigned slot = 0; slot < n; slot++)
		mask[slot / 64] |= 1ull << slot % 64;
}

static unsigned count(const uint64_t mask[CPUS_WORDS])
{
	unsigned n = 0;

	for (unsigned i = 0; i < CPUS_WORDS; i++)
		n += stele_popcount(mask[i]);
	return n;
}

static bool cut_to_possible(uint64_t mask[CPUS_WORDS])
{
	uint64_t possible[CPUS_WORDS];

	all_slots(possible, stele_cpus_possible());
	for (unsigned i = 0; i < CPUS_WORDS; i++)
		mask[i] &= possible[i];
	return count(mask) > 0;
}

void stele_cpus_wanted(uint64_t mask[CPUS_WORDS])
{
	unsigned possible = stele_cpus_possible();

	switch (stele_system_facts.mode) {
	case STELE_MODE_CPU_ID:
		if ((stele_os_cpus_of_file("/sys/devices/system/cpu/online", mask) ||
		     stele_os_cpus_allowed(mask)) &&
		    cut_to_possible(mask))
			return;
		break;
	case STELE_MODE_MM_CID:
		if (stele_os_cpus_allowed(mask))
			possible = STELE_MIN(STELE_MAX(count(mask), 1u), possible);
		break;
	default:
		break;
	}
	all_slots(mask, possible);
}

void stele_cpus_find_present(void)
{
	uint64_t mask[CPUS_WORDS];

	if (stele_system_facts.mode != STELE_MODE_CPU_ID ||
	    !stele_os_cpus_of_file("/sys/devices/system/cpu/present", mask) ||
	    !cut_to_possible(mask))
		all_slots(mask, stele_cpus_possible());
	for (unsigned i = 0; i < CPUS_WORDS; i++)
		store_relaxed(&stele_cpus.present[i], mask[i]);
}

static void find_all(void)
{
	stele_cpus_find_present();
	stele_cpus_wanted(stele_cpus.seen);
	for (unsigned slot = 0; slot < stele_cpus_possible(); slot++) {
		bool online = cpus_bit(stele_cpus.seen, slot) || stele_slot_is_shown(slot);

		stele_cpus_set_online(slot, online);
		stele_cpus.reached[slot] = online ? CPUHP_ONLINE : CPUHP_OFFLINE;
	}
}

int stele_cpus_ready(void)
{
	int error = 0;

	/* ORDER(CPUS) acquire: the set is complete. */
	if (stele_likely(ready_look(&ready)))
		return 0;
	if (stele_cpus_start)
		error = stele_cpus_start();
	if (!error && !stele_hot.base)
		error = -ENODEV;
	if (!error)
		error = stele_lock(&first_look);
	if (error)
		return error;
	if (!load_relaxed(&ready))
		find_all();
	/* ORDER(CPUS) release: the set is complete. */
	ready_say(&ready, 1);
	stele_unlock(&first_look);
	return 0;
}

/* ORDER(CPUS) release: all that was prepared for the slot before, or taken apart. */
void stele_cpus_set_online(unsigned slot, bool online)
{
	uint64_t bit = 1ull << slot % 64;

	if (online)
		or_release(&stele_cpus.online[slot / 64], bit);
	else
		and_release(&stele_cpus.online[slot / 64], ~bit);
}

/* ---- reading ---- */

static void leave(void)
{
	if (keep_leave(&keep, stele_thread_name()))
		stele_os_futex_wake(&keep.left, 1);
}

/* Until the writer is gone. One that never left its mutex has left this behind. Where there is none, no
 * memory was there for a name. */
static void wait_for_writer(void)
{
	if (!load_relaxed(&keep.writing)) {
		stele_os_nap();
		return;
	}
	if (stele_lock(&changing) != 0)
		return;
	/* ORDER(CPUS) release: the set is as it will be. */
	keep_let_in(&keep);
	stele_unlock(&changing);
}

/* A thread that writes or reads already may read again: only its depth grows. */
static bool deepen(uint32_t *mine)
{
	if (*mine)
		++*mine;
	return *mine;
}

static void do_what_waited(void)
{
	if (stele_cpus_left)
		stele_cpus_left();
}

/* A reader has a place in `keep` and a depth in its thread's own word. Signals are held back while the
 * two differ. A handler that never came back would leave the place in use for good. In the child of a
 * handler that forks, the two would stay different. Signals come in while the thread waits. */
uint64_t stele_cpus_read_held(void)
{
	uint32_t *mine = stele_thread_cpus();
	uint64_t signals = stele_os_signals_hold();

	if (deepen(mine))
		return signals;
	stele_held_wait(&changing, STELE_FRAME);
	while (!keep_enter(&keep, stele_thread_name())) {
		leave();
		stele_os_signals_release(signals);
		wait_for_writer();
		signals = stele_os_signals_hold();
	}
	++*mine;
	stele_held_add(&changing, STELE_FRAME);
	return signals;
}

void cpus_read_lock(void)
{
	if (!deepen(stele_thread_cpus()))
		stele_os_signals_release(stele_cpus_read_held());
}

int cpus_read_trylock(void)
{
	uint32_t *mine = stele_thread_cpus();
	uint64_t signals;

	if (deepen(mine))
		return 1;
	signals = stele_os_signals_hold();
	*mine = keep_enter(&keep, stele_thread_name());
	if (*mine)
		stele_held_add(&changing, STELE_FRAME);
	else
		leave();
	stele_os_signals_release(signals);
	return (int)*mine;
}

/* The last of this thread's. */
static void stop_reading(uint32_t *mine)
{
	uint64_t signals = stele_os_signals_hold();

	stele_held_remove(&changing);
	*mine = 0;
	leave();
	stele_os_signals_release(signals);
}

void stele_cpus_let_go(void)
{
	uint32_t *mine = stele_thread_cpus();

	if (!(*mine & ~CPUS_WRITER))
		stele_say("stele: cpus_read_unlock: this thread does not hold it\n");
	else if (*mine == 1)
		stop_reading(mine);
	else
		--*mine;
}

void stele_cpus_catch_up(void)
{
	if (!stele_cpus_are_held())
		do_what_waited();
}

void cpus_read_unlock(void)
{
	stele_cpus_let_go();
	stele_cpus_catch_up();
}

/* ---- writing ---- */

bool stele_cpus_is_writer(void)
{
	return *stele_thread_cpus() & CPUS_WRITER;
}

bool stele_cpus_are_held(void)
{
	return *stele_thread_cpus();
}

#define PATIENT_WAITS 10
#define WAIT_MS 10

/* Waits for the readers; new ones are kept out. False: some stay for long. ORDER(CPUS) acquire: the
 * readers' sections are over. */
static bool readers_leave(void)
{
	for (int i = 0; i < PATIENT_WAITS; i++) {
		uint32_t left = load_seq(&keep.left);

		if (!keep_count(&keep))
			return true;
		stele_os_futex_wait_ms(&keep.left, left, WAIT_MS);
	}
	return !keep_count(&keep);
}

/* Between two tries new readers come in, and this thread's signals: a reader may stay for good.
 * ORDER(CPUS) sequentially consistent: said, then looks at the count. */
int stele_cpus_write_lock(void)
{
	uint32_t *mine = stele_thread_cpus();

	while (!*mine && stele_lock(&changing) == 0) {
		keep_out(&keep);
		if (readers_leave()) {
			*mine = CPUS_WRITER;
			return 0;
		}
		keep_let_in(&keep);
		stele_unlock(&changing);
	}
	return -EDEADLK;
}

void stele_cpus_write_unlock(void)
{
	*stele_thread_cpus() = 0;
	/* ORDER(CPUS) release: the set is as it will be. */
	keep_let_in(&keep);
	stele_unlock(&changing);
	do_what_waited();
}

/* ---- questions ---- */

unsigned int num_possible_cpus(void)
{
	stele_cpus_ready();
	return stele_cpus_possible();
}

/* ORDER(CPUS) acquire, as cpus_is_online(). */
static unsigned count_now(const _Atomic uint64_t mask[CPUS_WORDS])
{
	unsigned n = 0;

	if (stele_cpus_ready() != 0)
		return 1;
	for (unsigned i = 0; i < CPUS_WORDS; i++)
		n += stele_popcount(load_acquire(&mask[i]));
	return n;
}

unsigned int num_present_cpus(void)
{
	return count_now(stele_cpus.present);
}

unsigned int num_online_cpus(void)
{
	return count_now(stele_cpus.online);
}

bool cpu_possible(unsigned int cpu)
{
	return cpu < num_possible_cpus();
}

bool cpu_present(unsigned int cpu)
{
	return cpu_possible(cpu) && load_relaxed(&stele_cpus.present[cpu / 64]) >> cpu % 64 & 1;
}

bool cpu_online(unsigned int cpu)
{
	return cpu_possible(cpu) && cpus_is_online(cpu);
}

unsigned int stele_cpu_next(unsigned int cpu, bool (*is)(unsigned int cpu))
{
	unsigned possible = num_possible_cpus();

	while (cpu < possible && !is(cpu))
		cpu++;
	return STELE_MIN(cpu, possible);
}

unsigned int raw_smp_processor_id(void)
{
	return stele_cpus_ready() == 0 ? stele_slot_now() : 0;
}

/* ---- fork ---- */

/* Ends a change that another thread of the parent was making. A slot that has reached the step
 * CPUHP_BRINGUP_CPU is in use; one that has not is closed. */
static void mend_set(void)
{
	for (unsigned slot = 0; slot < stele_cpus_possible(); slot++) {
		bool online = stele_cpus.reached[slot] >= CPUHP_BRINGUP_CPU;

		stele_cpus_set_online(slot, online);
		if (online)
			stele_slot_open(slot);
	}
}

/* ORDER(CPUS) by itself: the child has one thread. */
void stele_cpus_after_fork(void)
{
	uint32_t mine = *stele_thread_cpus();

	stele_thread_rename();
	keep_nobody(&keep);
	stele_mutex_after_fork(&first_look);
	if (!stele_mutex_after_fork(&changing))
		return; /* this thread is the writer, and goes on */
	if (mine) {
		stele_held_again(&changing);
		keep_enter(&keep, stele_thread_name());
	}
	if (exchange_acq_rel(&keep.writing, 0) && load_relaxed(&ready))
		mend_set();
}
