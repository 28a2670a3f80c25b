/* SPDX-License-Identifier: MIT */
/*
 * tests/model/pairs.c - percpu/move.h, percpu/close.h, percpu/take.h: all pairs of what changes a slot
 *
 * Idea      OPEN brings slot 0 up, CLOSE takes it down, REFRESH follows the system, STEP installs a
 *           step of the table and removes it, TAKE takes sheaves from both slots, LOOK empties a slot
 *           that seems cold. Two threads do one of these each, and a third one uses slot 0. The table has
 *           the library's own steps and one of a user's, which may refuse; the functions of STEP shrink
 *           a cache. Each object has one holder at a time; at the end objects and sheaves are
 *           counted, and each step was called for the slots that have reached it, once.
 *           Runs the shipped code. Stand-ins: the CPU set and the table's lock are words on which
 *           threads wait (their own models: hotplug.c, holder.c); the steps on a slot (taking.h).
 * Scenes    A_B       the pair; slot 0 is in use and, where no operation takes it down, offline
 *           UNDO      REFRESH of a slot that came into use, which a step refuses; and a user
 * Broken    PAIRS_WRITERS  two change the set at a time
 *           PAIRS_UNHELD   STEP does not keep the set
 *           PAIRS_TABLE    two STEPs get the same number
 *           PAIRS_IN_USE   a slot is emptied although it is in use, as its way up was refused
 *           the others: tests/model/taking.h
 */
#define MODEL_THREADS 3
#define MODEL_DICE 1
#define SHEAVES (MODEL_NATIVE ? 8u : 4u)
enum {
	SCENE_NONE,
	SCENE_OPEN_OPEN,
	SCENE_OPEN_CLOSE,
	SCENE_OPEN_REFRESH,
	SCENE_OPEN_STEP,
	SCENE_OPEN_TAKE,
	SCENE_OPEN_LOOK,
	SCENE_CLOSE_CLOSE,
	SCENE_CLOSE_REFRESH,
	SCENE_CLOSE_STEP,
	SCENE_CLOSE_TAKE,
	SCENE_CLOSE_LOOK,
	SCENE_REFRESH_REFRESH,
	SCENE_REFRESH_STEP,
	SCENE_REFRESH_TAKE,
	SCENE_REFRESH_LOOK,
	SCENE_STEP_STEP,
	SCENE_STEP_TAKE,
	SCENE_STEP_LOOK,
	SCENE_TAKE_TAKE,
	SCENE_TAKE_LOOK,
	SCENE_LOOK_LOOK,
	SCENE_UNDO,
	SCENES
};
#define MODEL_SCENES SCENES
#include "taking.h"
#include <stele/cpu.h>

/* Fewer numbers for steps, which a checker all follows. */
#define CPUHP_BP_PREPARE_DYN_END CPUHP_BP_PREPARE_DYN
#define CPUHP_BRINGUP_CPU (CPUHP_BP_PREPARE_DYN_END + 1)
#define CPUHP_AP_ONLINE_DYN (CPUHP_BRINGUP_CPU + 1)
#define CPUHP_AP_ONLINE_DYN_END (CPUHP_AP_ONLINE_DYN + MODEL_THREADS - 1)
#define CPUHP_ONLINE (CPUHP_AP_ONLINE_DYN_END + 1)
#include "percpu/move.h"

enum what { OPEN, CLOSE, REFRESH, STEP, TAKE, LOOK, NOTHING };

/* In the order of the scenes. */
static const enum what pairs[SCENES][2] = {
	{ NOTHING, NOTHING }, { OPEN, OPEN },	 { OPEN, CLOSE },      { OPEN, REFRESH },
	{ OPEN, STEP },	      { OPEN, TAKE },	 { OPEN, LOOK },       { CLOSE, CLOSE },
	{ CLOSE, REFRESH },   { CLOSE, STEP },	 { CLOSE, TAKE },      { CLOSE, LOOK },
	{ REFRESH, REFRESH }, { REFRESH, STEP }, { REFRESH, TAKE },    { REFRESH, LOOK },
	{ STEP, STEP },	      { STEP, TAKE },	 { STEP, LOOK },       { TAKE, TAKE },
	{ TAKE, LOOK },	      { LOOK, LOOK },	 { REFRESH, NOTHING },
};

static bool is_in_pair(enum what what)
{
	return pairs[model_scene][0] == what || pairs[model_scene][1] == what;
}

static bool may_be_refused(void)
{
	return MODEL_NATIVE;
}

static bool shows_at_first_use(void)
{
	return !is_in_pair(NOTHING);
}

/* ---- what the library has in other files ---- */

struct stele_cpus stele_cpus;
struct stele_options stele_opt;
struct stele_steps stele_steps;

void stele_say(const char *format, ...)
{
	(void)format;
}

bool stele_slot_is_shown(unsigned slot)
{
	return slot_is_shown(slot);
}

bool stele_slot_is_closed(unsigned slot)
{
	return slot_is_closed(slot);
}

int stele_slot_close(unsigned slot)
{
	return close_slot(slot);
}

void stele_slot_open(unsigned slot)
{
	open_for(slot);
}

unsigned stele_cpus_possible(void)
{
	return SLOTS;
}

void stele_cpus_set_online(unsigned slot, bool online)
{
	if (online)
		or_release(&stele_cpus.online[0], 1ull << slot);
	else
		and_release(&stele_cpus.online[0], ~(1ull << slot));
}

unsigned int num_online_cpus(void)
{
	return (unsigned)__builtin_popcountll(load_acquire(&stele_cpus.online[0]));
}

/* Where the library waits. A checker follows another order of the same steps, in which it need not. */
#if MODEL_NATIVE
#define AWAIT(what)                                                                                \
	do {                                                                                       \
		while (!(what))                                                                    \
			sched_yield();                                                             \
	} while (0)
#else
#define AWAIT(what) __VERIFIER_assume(what)
#endif

#define WRITER 0x100u

static _Atomic uint32_t set; /* how many keep it, or WRITER */
static _Atomic uint32_t table;

static bool swap(_Atomic uint32_t *word, uint32_t old, uint32_t new)
{
	return cas_acq_rel(word, &old, new);
}

static inline __attribute__((unused)) bool try_keep(void)
{
	uint32_t seen = load_relaxed(&set);

	return seen != WRITER && swap(&set, seen, seen + 1);
}

static void begin_change(void)
{
#ifndef BROKEN_PAIRS_WRITERS
	AWAIT(swap(&set, 0, WRITER));
#endif
}

static void end_change(void)
{
#ifndef BROKEN_PAIRS_WRITERS
	store_release(&set, 0);
#endif
}

/* As table_lock(). */
static void table_lock(void)
{
#ifndef BROKEN_PAIRS_UNHELD
	AWAIT(try_keep());
#endif
#ifndef BROKEN_PAIRS_TABLE
	AWAIT(swap(&table, 0, 1));
#endif
}

static void table_unlock(void)
{
#ifndef BROKEN_PAIRS_TABLE
	store_release(&table, 0);
#endif
#ifndef BROKEN_PAIRS_UNHELD
	atomic_fetch_sub_explicit(&set, 1, memory_order_release);
#endif
}

/* ---- the functions of steps ---- */

#define USERS 0 /* the step that is there from the start; else a thread's */

static volatile int there[MODEL_THREADS + 1][SLOTS]; /* calls of startup, less those of teardown */
static bool refuses;

static int came(int which, unsigned slot)
{
	model_assert(there[which][slot] == 0);
	there[which][slot] = 1;
	STELE_POINT("model:came");
	return 0;
}

static int went(int which, unsigned slot)
{
	model_assert(there[which][slot] == 1);
	STELE_POINT("model:goes");
	there[which][slot] = 0;
	return 0;
}

/* One that shrinks a cache. */
static int went_shrinking(int which, unsigned slot)
{
	if (MODEL_NATIVE || is_in_pair(TAKE) || is_in_pair(LOOK))
		take(&take_words, true);
	return went(which, slot);
}

static int users_came(unsigned slot)
{
	if (refuses)
		return -ENOMEM;
	return came(USERS, slot);
}

static int users_went(unsigned slot)
{
	return went(USERS, slot);
}

static int came_1(unsigned slot)
{
	return came(1, slot);
}

static int went_1(unsigned slot)
{
	return went_shrinking(1, slot);
}

static int came_2(unsigned slot)
{
	return came(2, slot);
}

static int went_2(unsigned slot)
{
	return went_shrinking(2, slot);
}

static int came_3(unsigned slot)
{
	return came(3, slot);
}

static int went_3(unsigned slot)
{
	return went_shrinking(3, slot);
}

static const struct step steps[MODEL_THREADS + 1] = {
	{ "user's", users_came, users_went },
	{ "first", came_1, went_1 },
	{ "second", came_2, went_2 },
	{ "third", came_3, went_3 },
};

/* As slot_died() of cache/slots.c. */
static int slot_died(unsigned slot)
{
#ifdef BROKEN_PAIRS_IN_USE
	AWAIT(try_taking());
	empty_here(slot, NULL);
	stele_end_taking();
#else
	empty_dead(slot);
#endif
	return 0;
}

/* ---- the operations ---- */

static uint64_t wanted; /* the slots that the system has: as the CPU of slot 0 came, or went */

static void draw_system(void)
{
	wanted = 2 + model_choice(2);
	refuses = model_chance(4);
}

static void change(void)
{
	int error = 0;

	begin_change();
	if (MODEL_NATIVE && model_scene == SCENE_NONE)
		draw_system();
	follow_all(&wanted, &error);
	end_change();
}

static void change_slot(int (*how)(unsigned))
{
	begin_change();
	how(HERE);
	end_change();
}

static void install_and_remove(int me)
{
	int at;

	table_lock();
	at = place_for(CPUHP_AP_ONLINE_DYN);
	STELE_POINT("model:placed");
	model_assert(at > 0);
	install(at, &steps[me], true);
	table_unlock();
	STELE_POINT("model:installed");
	table_lock();
	model_assert(stele_steps.at[at].startup == steps[me].startup);
	uninstall(at, true);
	table_unlock();
}

static void operate(enum what what, int me)
{
	switch (what) {
	case OPEN:
		change_slot(bring_up);
		break;
	case CLOSE:
		change_slot(take_down);
		break;
	case REFRESH:
		change();
		break;
	case STEP:
		install_and_remove(me);
		break;
	case TAKE:
		take(&take_words, false);
		break;
	case LOOK:
		look();
		break;
	case NOTHING:
		break;
	}
}

/* Attaches a sheaf where there is none: a slot that comes is empty. */
static void attach(void)
{
	uint64_t top = sheaf_new();

	if (!top)
		return;
	*(uint64_t *)(uintptr_t)top = object_take();
	top += *(uint64_t *)(uintptr_t)top ? 8 : 0;
	if (!cas(WORD_MAIN, SHEAF_EMPTY, top))
		sheaf_flush(top);
}

static void use(int me)
{
	pop_one(me);
	if (MODEL_NATIVE)
		attach();
}

static void walk(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		if (me == 1)
			use(me);
		else
			operate((enum what)model_choice(NOTHING), me);
	}
}

static void model_thread(int me)
{
	if (model_scene == SCENE_NONE)
		walk(me);
	else if (me == 3)
		use(me);
	else
		operate(pairs[model_scene][me - 1], me);
}

/* Slot 0 is in use, and offline. */
static bool begins_offline(void)
{
	if (model_scene == SCENE_UNDO)
		return true;
	return is_in_pair(OPEN) && !is_in_pair(CLOSE) && !is_in_pair(REFRESH);
}

static void set_reached(unsigned slot, bool online)
{
	stele_cpus.reached[slot] = online ? CPUHP_ONLINE : CPUHP_OFFLINE;
	stele_cpus_set_online(slot, online);
	there[USERS][slot] = online;
}

static void model_setup(void)
{
	bool offline = begins_offline();

	taking_setup(false);
	stele_opt.quiet = true;
	set_step(CPUHP_SLUB_DEAD, "dead", NULL, slot_died);
	set_step(CPUHP_BP_PREPARE_DYN, "user's", users_came, users_went);
	set_step(CPUHP_BRINGUP_CPU, "slot", show_slot, hide_slot);
	refuse_none();
	set_reached(HERE, !offline);
	set_reached(1, true);
	stele_cpus.seen[0] = offline ? 2 : 3;
	wanted = offline ? 3 : 2;
	refuses = model_scene == SCENE_UNDO;
	atomic_store(&set, 0);
	atomic_store(&table, 0);
}

static void model_check(void)
{
	bool online = stele_cpus.reached[HERE] == CPUHP_ONLINE;

	model_assert(online || stele_cpus.reached[HERE] == CPUHP_OFFLINE);
	model_assert(cpus_is_online(HERE) == online);
	model_assert(!online || !slot_is_closed(HERE));
	model_assert(there[USERS][HERE] == online && there[USERS][1] == 1);
	for (int me = 1; me <= MODEL_THREADS; me++)
		model_assert(!there[me][0] && !there[me][1]);
	for (int at = CPUHP_AP_ONLINE_DYN; at < CPUHP_ONLINE; at++)
		model_assert(!stele_steps.at[at].name);
	taking_check();
}
