/* SPDX-License-Identifier: MIT */
/*
 * percpu/hotplug.c - the steps by which a slot comes and goes
 *
 * Idea      One table of steps by number. A slot has reached one of them: all below are done. Up
 *           and down move it by one step at a time; a step that fails stays where it was, and the
 *           slot is moved back to where it came from, failures then being said and passed over.
 *           In the middle is our own, CPUHP_BRINGUP_CPU: above it the slot is in use, below it no
 *           step of a sequence can reach its memory.
 * Objects   steps: changed under the CPU set (for reading) and `table`; used under them, or by the
 *           writer. A step of a higher floor is there before anything happens.
 *           refused: slots that the system has and a step did not want; until something changes.
 * Locks     cpus > table.
 * Context   ordinary threads. Steps run with signals held back.
 * Failure   each refusal is said, unless `quiet`.
 * Tests     tests/unit/percpu/test_hotplug.c  tests/contract/test_cpus.c
 *           tests/contract/test_signals_come.c
 */
#include "base/fmt.h"
#include "base/options.h"
#include "os/os.h"
#include "percpu/cpus.h"
#include "percpu/facts.h"
#include "percpu/percpu.h"
#include "sync/inject.h"
#include "sync/mutex.h"
#include <errno.h>
#include <string.h>

struct step {
	const char *name; /* NULL: there is none */
	int (*startup)(unsigned slot);
	int (*teardown)(unsigned slot);
};

static int show_slot(unsigned slot)
{
	stele_slot_open(slot);
	stele_cpus_set_online(slot, true);
	return 0;
}

static int hide_slot(unsigned slot)
{
	int error;

	stele_cpus_set_online(slot, false);
	error = stele_slot_close(slot);
	if (error)
		stele_cpus_set_online(slot, true);
	return error;
}

static struct step steps[CPUHP_ONLINE + 1] = {
	[CPUHP_BRINGUP_CPU] = { "cpu:slot", show_slot, hide_slot },
};
static struct stele_mutex table = STELE_MUTEX(STEPS);
static uint64_t refused[CPUS_WORDS];

void stele_cpu_step(enum cpuhp_state state, const char *name, int (*startup)(unsigned),
		    int (*teardown)(unsigned))
{
	steps[state] = (struct step){ name, startup, teardown };
}

static bool is_ours(int state)
{
	return state == CPUHP_SLUB_DEAD || state == CPUHP_BRINGUP_CPU;
}

#define SAY(...)                                                                                   \
	do {                                                                                       \
		if (!stele_opt.quiet)                                                              \
			stele_say("stele: " __VA_ARGS__);                                          \
	} while (0)

/* ---- moving a slot ---- */

static int call_step(int (*function)(unsigned), unsigned slot)
{
	return function ? function(slot) : 0;
}

static int one_up(unsigned slot)
{
	unsigned state = stele_cpus.reached[slot] + 1u;
	int error = call_step(steps[state].startup, slot);

	if (!error)
		stele_cpus.reached[slot] = (uint16_t)state;
	STELE_POINT("hotplug:up");
	return error;
}

static int one_down(unsigned slot)
{
	unsigned state = stele_cpus.reached[slot];
	int error = call_step(steps[state].teardown, slot);

	if (!error)
		stele_cpus.reached[slot] = (uint16_t)(state - 1);
	STELE_POINT("hotplug:down");
	return error;
}

/* Moves the slot back to where it was. A step that fails now counts as done. */
static void move_back(unsigned slot, unsigned to)
{
	uint16_t *reached = &stele_cpus.reached[slot];

	while (*reached != to) {
		bool up = *reached < to;
		unsigned state = up ? *reached + 1u : *reached;
		int error = up ? one_up(slot) : one_down(slot);

		if (!error)
			continue;
		SAY("slot %u: step '%s' failed with error %d while it was undone\n", slot,
		    steps[state].name, error);
		*reached = (uint16_t)(up ? state : state - 1);
	}
}

/* 0, or what the step gave; then the slot is as before. */
static int move(const char *what, unsigned slot, unsigned to)
{
	unsigned from = stele_cpus.reached[slot];

	while (stele_cpus.reached[slot] != to) {
		bool up = stele_cpus.reached[slot] < to;
		unsigned state = up ? stele_cpus.reached[slot] + 1u : stele_cpus.reached[slot];
		int error = up ? one_up(slot) : one_down(slot);

		if (!error)
			continue;
		SAY("%s(%u): step '%s' failed with error %d; undone\n", what, slot,
		    steps[state].name, error);
		move_back(slot, from);
		return error;
	}
	return 0;
}

/* ---- up, down ---- */

/* Makes this thread the writer, or reports why it cannot be. */
static int begin_change(const char *what, const char *which)
{
	int error = stele_cpus_ready();

	if (error)
		return error;
	error = stele_cpus_write_lock();
	if (error && stele_cpus_is_writer())
		SAY("%s(%s): called from within a step\n", what, which);
	else if (error)
		SAY("%s(%s): called by a thread that holds cpus_read_lock()\n", what, which);
	return error;
}

static int begin_for(const char *what, unsigned slot)
{
	char which[16];
	struct stele_out out = { .buf = which, .size = sizeof(which) };

	stele_fmt(&out, "%u", slot);
	if (stele_cpus_ready() == 0 && slot >= stele_cpus_possible()) {
		SAY("%s(%u): no such slot; there are %u\n", what, slot, stele_cpus_possible());
		return -EINVAL;
	}
	return begin_change(what, which);
}

static int refuse(const char *what, unsigned slot, const char *why, int error)
{
	SAY("%s(%u): the slot is %s\n", what, slot, why);
	return error;
}

static int bring_up(unsigned slot)
{
	if (stele_cpus.reached[slot] == CPUHP_ONLINE)
		return refuse("stele_cpu_up", slot, "online already", -EINVAL);
	return move("stele_cpu_up", slot, CPUHP_ONLINE);
}

static int take_down(unsigned slot)
{
	if (stele_cpus.reached[slot] == CPUHP_OFFLINE)
		return refuse("stele_cpu_down", slot, "offline already", -EINVAL);
	if (cpus_is_online(slot) && num_online_cpus() == 1)
		return refuse("stele_cpu_down", slot, "the last one online", -EBUSY);
	return move("stele_cpu_down", slot, CPUHP_OFFLINE);
}

static int change(const char *what, unsigned slot, int (*how)(unsigned))
{
	int error = begin_for(what, slot);

	if (error)
		return error;
	error = how(slot);
	refused[slot / 64] &= ~(1ull << slot % 64);
	stele_cpus_write_unlock();
	return error;
}

int stele_cpu_up(unsigned int cpu)
{
	return change("stele_cpu_up", cpu, bring_up);
}

int stele_cpu_down(unsigned int cpu)
{
	return change("stele_cpu_down", cpu, take_down);
}

/* ---- what the system does ---- */

/* A slot that went with its CPU is shown again when a thread runs there after all. */
static int follow_down(unsigned slot)
{
	int error = move("stele_cpu_refresh", slot, CPUHP_OFFLINE);

	if (!error)
		stele_slot_open(slot);
	return error;
}

/* 1: it came or went; 0: nothing to do. */
static int follow(unsigned slot, bool was, bool is)
{
	bool online = cpus_is_online(slot), new = is && !was;
	uint64_t bit = 1ull << slot % 64;
	int error;

	if (!online && !stele_slot_is_closed(slot) &&
	    (new || (stele_slot_is_shown(slot) && !(refused[slot / 64] & bit)))) {
		error = move("stele_cpu_refresh", slot, CPUHP_ONLINE);
		refused[slot / 64] |= error ? bit : 0;
	} else if (online && was && !is && num_online_cpus() > 1) {
		error = follow_down(slot);
	} else {
		return 0;
	}
	return error ? error : 1;
}

int stele_cpu_refresh(void)
{
	uint64_t now[CPUS_WORDS];
	int error = begin_change("stele_cpu_refresh", ""), n = 0;

	if (error)
		return error;
	stele_cpus_find_present();
	stele_cpus_wanted(now);
	for (unsigned slot = 0; slot < stele_cpus_possible(); slot++) {
		int result = follow(slot, cpus_bit(stele_cpus.seen, slot), cpus_bit(now, slot));

		n += result > 0;
		error = result < 0 ? result : error;
	}
	memcpy(stele_cpus.seen, now, sizeof(now));
	stele_cpus_write_unlock();
	return error ? error : n;
}

/* ---- the table ---- */

/* Calls a function of step @state for the slots below @end that have reached the step. Returns the
 * slot where it failed, or @end. */
static unsigned call_past(int state, int (*function)(unsigned), unsigned end, int *error)
{
	for (unsigned slot = 0; slot < end; slot++) {
		if (stele_cpus.reached[slot] < state)
			continue;
		*error = call_step(function, slot);
		if (*error)
			return slot;
	}
	return end;
}

/* The same from the last slot down. Failures are said and passed over. */
static void call_past_any(int state, const char *name, int (*function)(unsigned), unsigned end)
{
	for (unsigned slot = end; slot-- > 0;) {
		int error = stele_cpus.reached[slot] < state ? 0 : call_step(function, slot);

		if (error)
			SAY("slot %u: step '%s' failed with error %d while it was undone\n", slot,
			    name, error);
	}
}

static int end_of_dynamic(int state)
{
	return state <= CPUHP_BP_PREPARE_DYN_END ? CPUHP_BP_PREPARE_DYN_END
						 : CPUHP_AP_ONLINE_DYN_END;
}

static bool is_dynamic(int state)
{
	return state == CPUHP_BP_PREPARE_DYN || state == CPUHP_AP_ONLINE_DYN;
}

/* The number for a new step, or -errno. */
static int place_for(int state)
{
	if (state <= CPUHP_OFFLINE || state >= CPUHP_ONLINE)
		return -EINVAL;
	if (!is_dynamic(state))
		return steps[state].name ? -EBUSY : state;
	for (int at = state; at <= end_of_dynamic(state); at++)
		if (!steps[at].name)
			return at;
	return -ENOSPC;
}

static int install(int at, const struct step *step, bool calls)
{
	unsigned end = stele_cpus_possible(), failed;
	int error = 0;

	failed = calls ? call_past(at, step->startup, end, &error) : end;
	if (error) {
		SAY("cpuhp_setup_state(%s): slot %u failed with error %d; undone\n", step->name,
		    failed, error);
		call_past_any(at, step->name, step->teardown, failed);
		return error;
	}
	memset(refused, 0, sizeof(refused));
	steps[at] = *step;
	return 0;
}

/* No other thread changes slots or the table. Signals are held back; *signals is as they were. A thread
 * that waits for another one's step holds neither, and signals come in. */
static int table_lock(uint64_t *signals)
{
	int error = stele_cpus_ready();

	while (!error && !stele_cpus_is_writer()) {
		*signals = stele_cpus_read_held();
		if (stele_trylock(&table))
			return 0;
		stele_cpus_let_go();
		stele_os_signals_release(*signals);
		error = stele_lock(&table);
		if (!error)
			stele_unlock(&table);
	}
	return error ? error : -EDEADLK;
}

static void table_unlock(uint64_t signals)
{
	stele_unlock(&table);
	stele_cpus_let_go();
	stele_os_signals_release(signals);
	stele_cpus_catch_up();
}

static int setup_locked(int state, const struct step *step, bool calls)
{
	int at = place_for(state), error = at < 0 ? at : install(at, step, calls);

	if (at < 0)
		SAY("cpuhp_setup_state(%s): state %d: %s\n", step->name, state,
		    at == -EINVAL  ? "no such state"
		    : at == -EBUSY ? "taken"
				   : "no number left");
	return error ? error : is_dynamic(state) ? at : 0;
}

static int setup(int state, const struct step *step, bool calls)
{
	uint64_t signals;
	int error;

	if (!step->name) {
		SAY("cpuhp_setup_state: no name\n");
		return -EINVAL;
	}
	error = table_lock(&signals);
	if (!error) {
		error = setup_locked(state, step, calls);
		table_unlock(signals);
	} else if (error == -EDEADLK) {
		SAY("cpuhp_setup_state(%s): called from within a step\n", step->name);
	}
	return error;
}

int cpuhp_setup_state(enum cpuhp_state state, const char *name, int (*startup)(unsigned int cpu),
		      int (*teardown)(unsigned int cpu))
{
	return setup(state, &(struct step){ name, startup, teardown }, true);
}

int cpuhp_setup_state_nocalls(enum cpuhp_state state, const char *name,
			      int (*startup)(unsigned int cpu), int (*teardown)(unsigned int cpu))
{
	return setup(state, &(struct step){ name, startup, teardown }, false);
}

/* Why it cannot be removed; NULL: it can. */
static const char *kept(int state)
{
	if (state <= CPUHP_OFFLINE || state >= CPUHP_ONLINE || !steps[state].name)
		return "no such step";
	return is_ours(state) ? "the library's own; it stays" : NULL;
}

static void remove_locked(int state, bool calls)
{
	const char *why = kept(state);

	if (why) {
		SAY("cpuhp_remove_state(%d): %s\n", state, why);
		return;
	}
	if (calls)
		call_past_any(state, steps[state].name, steps[state].teardown,
			      stele_cpus_possible());
	steps[state] = (struct step){ 0 };
	memset(refused, 0, sizeof(refused));
}

static void remove_step(int state, bool calls)
{
	uint64_t signals;
	int error = table_lock(&signals);

	if (!error) {
		remove_locked(state, calls);
		table_unlock(signals);
	} else if (error == -EDEADLK) {
		SAY("cpuhp_remove_state(%d): called from within a step; it stays\n", state);
	}
}

void cpuhp_remove_state(enum cpuhp_state state)
{
	remove_step(state, true);
}

void cpuhp_remove_state_nocalls(enum cpuhp_state state)
{
	remove_step(state, false);
}

void stele_cpu_steps_after_fork(void)
{
	stele_mutex_after_fork(&table);
}
