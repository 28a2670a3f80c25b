/* SPDX-License-Identifier: MIT */
/*
 * cache/cold.c - the objects that caches keep in a slot that no thread seems to use
 *
 * Idea      A slot whose words have not changed for some looks is cold: the kernel gives its number
 *           to no thread, or the threads there do something else. It is closed for a moment and
 *           emptied as one that goes (cache/slots.c); in the fallback, line by line under their locks.
 * Looks     When a slab is made, `cpu_look` milliseconds after the last look at the earliest, it is
 *           noted that one is due; the next ordinary slow call makes LOOK_STEPS steps, most often one
 *           per slot. So does the watcher (percpu/watch.c), where a program has asked for one.
 * Bound     A step sums up at most STEP_WORDS words of a slot, and empties at most STEP_CACHES caches
 *           of it, however many caches there are. The next step goes on where it ended.
 * Objects   sums, ages: by slot; step: where the last step ended. All of it is under the turn of the
 *           thread that looks (`looking`, cache/turn.h). The next one takes the turn of a thread that is
 *           gone.
 * Order     COLD_LOOK, SLOT, HANDOVER.
 * Context   any; a look leaves busy slots alone.
 * Limits    A cold slot keeps the objects of caches with a destructor, as in decay.c. A slot that comes
 *           into use between two steps that empty it loses the rest of its sheaves once.
 * Tests     tests/unit/cache/test_cold.c  tests/model/turn.c
 */
#include "cache/chores.h"
#include "base/options.h"
#include "base/valid.h"
#include "cache/caches.h"
#include "cache/rcu.h"
#include "cache/sheaves.h"
#include "cache/turn.h"
#include "os/os.h"
#include "percpu/percpu.h"
#include "percpu/system.h"
#include "sync/in_hand.h"

#define LOOK_STEPS 16u
#define STEP_WORDS 512u
#define STEP_CACHES 16u
#define COLD_AGE 3 /* looks */

static _Atomic uint64_t last_look; /* ms */
static _Atomic uint32_t due;
static _Atomic uint32_t looking;       /* the name of the thread that looks, or 0 */
static uint32_t sums[STELE_SLOTS_MAX]; /* folded: half the memory, and wrong once in 2^32 looks */
static uint8_t ages[STELE_SLOTS_MAX];

static struct {
	unsigned slot;
	uint32_t at;   /* the words of the slot below it are in `sum` */
	uint64_t sum;  /* so far */
	bool emptying; /* the slot is cold, and a round through the caches empties it */
} step;

void stele_cold_note(void)
{
	uint64_t now, last = load_relaxed(&last_look);

	if (!stele_opt.cpu_look || load_relaxed(&due))
		return;
	now = stele_os_ms();
	if (now - last >= (uint64_t)stele_opt.cpu_look && cas_relaxed(&last_look, &last, now))
		store_relaxed(&due, 1);
}

bool stele_cold_due(void)
{
	return load_relaxed(&due);
}

static void empty_cold(struct kmem_cache *s, void *arg)
{
	uint64_t found[3] = { 0 };
	struct name name;

	if (!s->capacity || s->dtor || !stele_rcu_hold(&name))
		return;
	stele_slot_empty_held(*(unsigned *)arg, s->words, found);
	if (stele_is_sheaf(found[2]))
		stele_rcu_give_sheaf(s, found[2]);
	stele_rcu_let_go(&name);
	stele_sheaf_dissolve_both(s, found);
}

static void empty_some(unsigned slot, void *arg)
{
	STELE_POINT("cpus:cold");
	/* This thread is the taker, so no mark is in the slot. */
	STELE_SOUND(stele_slot_valid(slot, false));
	*(bool *)arg = stele_cache_try_some(ROUND_COLD, STEP_CACHES, empty_cold, &slot);
}

static bool is_cold(unsigned slot, uint64_t sum)
{
	uint32_t folded = (uint32_t)(sum ^ sum >> 32);

	if (sum && folded == sums[slot])
		return ++ages[slot] >= COLD_AGE;
	sums[slot] = folded;
	ages[slot] = 0;
	return false;
}

static void go_to_next_slot(void)
{
	step.slot = (step.slot + 1) % stele_system_facts.slots;
	step.at = 0;
	step.sum = 0;
	step.emptying = false;
}

/* A slot that could not be emptied now is as old at the next look. */
static void make_step(void)
{
	bool over = true; /* also where the slot cannot be paused */

	if (!step.emptying) {
		if (!stele_slot_sum(step.slot, &step.at, STEP_WORDS, &step.sum))
			return;
		step.emptying = is_cold(step.slot, step.sum) && stele_cache_try_begin(ROUND_COLD);
	}
	if (!step.emptying || !stele_slot_empty_cold(step.slot, empty_some, &over)) {
		go_to_next_slot();
	} else if (over) {
		ages[step.slot] = 0;
		go_to_next_slot();
	}
}

static void make_steps(void)
{
	unsigned most = STELE_MIN(stele_system_facts.slots, LOOK_STEPS);

	STELE_POINT("cpus:looking");
	for (unsigned i = 0; i < most; i++)
		make_step();
}

void stele_cold_look(void)
{
	uint64_t signals = stele_os_signals_hold(); /* or a handler could end all looks */
	uint32_t seen = load_relaxed(&looking);

	store_relaxed(&due, 0);
	if ((!seen || stele_thread_is_gone(seen)) &&
	    turn_take(&looking, seen, stele_thread_name())) {
		make_steps();
		turn_give(&looking);
	}
	stele_os_signals_release(signals);
}

void stele_cold_thread_gone(uint32_t thread)
{
	turn_of_gone(&looking, thread);
}

void stele_cold_after_fork(void)
{
	store_relaxed(&looking, 0);
}
