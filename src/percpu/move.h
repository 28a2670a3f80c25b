/* SPDX-License-Identifier: MIT */
/*
 * percpu/move.h - a slot that moves through the table of steps
 *
 * Idea      percpu/hotplug.c has the theory. These are the moves, so that a model can include them.
 * Order     SLOT, CPUS.
 * Context   the writer of the CPU set; place_for(), install(), uninstall(): a thread that keeps the set as it is
 *           and has the table's lock.
 * Failure   a step's own error.
 * Tests     tests/model/pairs.c  tests/unit/percpu/test_hotplug.c
 */
#ifndef STELE_PERCPU_MOVE_H
#define STELE_PERCPU_MOVE_H

#include "base/fmt.h"
#include "base/options.h"
#include "percpu/cpus.h"
#include "percpu/percpu.h"
#include "sync/atomic.h"
#include <errno.h>

struct step {
	const char *name; /* NULL: there is none */
	int (*startup)(unsigned slot);
	int (*teardown)(unsigned slot);
};

struct stele_steps {
	struct step at[CPUHP_ONLINE + 1];
	uint64_t refused[CPUS_WORDS]; /* slots that a step did not want; until something changes */
};
extern struct stele_steps stele_steps __attribute__((visibility("hidden")));

static inline void set_step(int at, const char *name, int (*startup)(unsigned),
			    int (*teardown)(unsigned))
{
	stele_steps.at[at].name = name;
	stele_steps.at[at].startup = startup;
	stele_steps.at[at].teardown = teardown;
}

static inline void refuse_none(void)
{
	for (unsigned i = 0; i < CPUS_WORDS; i++)
		stele_steps.refused[i] = 0;
}

#define SAY(...)                                                                                   \
	do {                                                                                       \
		if (!stele_opt.quiet)                                                              \
			stele_say("stele: " __VA_ARGS__);                                          \
	} while (0)

/* ---- the library's own step: the slot is in use, or it is not ---- */

static inline int show_slot(unsigned slot)
{
	stele_slot_open(slot);
	stele_cpus_set_online(slot, true);
	return 0;
}

static inline int hide_slot(unsigned slot)
{
	int error;

	stele_cpus_set_online(slot, false);
	error = stele_slot_close(slot);
	if (error)
		stele_cpus_set_online(slot, true);
	return error;
}

/* ---- moving a slot ---- */

static inline int call_step(int (*function)(unsigned), unsigned slot)
{
	return function ? function(slot) : 0;
}

static inline int one_up(unsigned slot)
{
	unsigned state = stele_cpus.reached[slot] + 1u;
	int error = call_step(stele_steps.at[state].startup, slot);

	if (!error)
		stele_cpus.reached[slot] = (uint16_t)state;
	STELE_POINT("hotplug:up");
	return error;
}

static inline int one_down(unsigned slot)
{
	unsigned state = stele_cpus.reached[slot];
	int error = call_step(stele_steps.at[state].teardown, slot);

	if (!error)
		stele_cpus.reached[slot] = (uint16_t)(state - 1);
	STELE_POINT("hotplug:down");
	return error;
}

/* Moves the slot back to where it was. A step that fails now counts as done. */
static inline void move_back(unsigned slot, unsigned to)
{
	uint16_t *reached = &stele_cpus.reached[slot];

	while (*reached != to) {
		bool up = *reached < to;
		unsigned state = up ? *reached + 1u : *reached;
		int error = up ? one_up(slot) : one_down(slot);

		if (!error)
			continue;
		SAY("slot %u: step '%s' failed with error %d while it was undone\n", slot,
		    stele_steps.at[state].name, error);
		*reached = (uint16_t)(up ? state : state - 1);
	}
}

/* 0, or what the step gave; then the slot is as before. */
static inline int move(const char *what, unsigned slot, unsigned to)
{
	unsigned from = stele_cpus.reached[slot];

	while (stele_cpus.reached[slot] != to) {
		bool up = stele_cpus.reached[slot] < to;
		unsigned state = up ? stele_cpus.reached[slot] + 1u : stele_cpus.reached[slot];
		int error = up ? one_up(slot) : one_down(slot);

		if (!error)
			continue;
		SAY("%s(%u): step '%s' failed with error %d; undone\n", what, slot,
		    stele_steps.at[state].name, error);
		move_back(slot, from);
		return error;
	}
	return 0;
}

static inline int refuse(const char *what, unsigned slot, const char *why, int error)
{
	SAY("%s(%u): the slot is %s\n", what, slot, why);
	return error;
}

static inline int bring_up(unsigned slot)
{
	if (stele_cpus.reached[slot] == CPUHP_ONLINE)
		return refuse("stele_cpu_up", slot, "online already", -EINVAL);
	return move("stele_cpu_up", slot, CPUHP_ONLINE);
}

static inline int take_down(unsigned slot)
{
	if (stele_cpus.reached[slot] == CPUHP_OFFLINE)
		return refuse("stele_cpu_down", slot, "offline already", -EINVAL);
	if (cpus_is_online(slot) && num_online_cpus() == 1)
		return refuse("stele_cpu_down", slot, "the last one online", -EBUSY);
	return move("stele_cpu_down", slot, CPUHP_OFFLINE);
}

/* ---- what the system does ---- */

/* A slot that went with its CPU is shown again when a thread runs there after all. */
static inline int follow_down(unsigned slot)
{
	int error = move("stele_cpu_refresh", slot, CPUHP_OFFLINE);

	if (!error)
		stele_slot_open(slot);
	return error;
}

/* 1: it came or went; 0: nothing to do. */
static inline int follow(unsigned slot, bool was, bool is)
{
	bool online = cpus_is_online(slot), new = is && !was;
	uint64_t bit = 1ull << slot % 64;
	int error;

	if (!online && !stele_slot_is_closed(slot) &&
	    (new || (stele_slot_is_shown(slot) && !(stele_steps.refused[slot / 64] & bit)))) {
		error = move("stele_cpu_refresh", slot, CPUHP_ONLINE);
		stele_steps.refused[slot / 64] |= error ? bit : 0;
	} else if (online && was && !is && num_online_cpus() > 1) {
		error = follow_down(slot);
	} else {
		return 0;
	}
	return error ? error : 1;
}

/* The system has the slots of @now; *error is the last one. How many slots came or went. */
static inline int follow_all(const uint64_t now[CPUS_WORDS], int *error)
{
	int n = 0;

	for (unsigned slot = 0; slot < stele_cpus_possible(); slot++) {
		int result = follow(slot, cpus_bit(stele_cpus.seen, slot), cpus_bit(now, slot));

		n += result > 0;
		*error = result < 0 ? result : *error;
	}
	for (unsigned i = 0; i < CPUS_WORDS; i++)
		stele_cpus.seen[i] = now[i];
	return n;
}

/* ---- the table ---- */

/* Calls a function of step @state for the slots below @end that have reached the step. Returns the
 * slot where it failed, or @end. */
static inline unsigned call_past(int state, int (*function)(unsigned), unsigned end, int *error)
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
static inline void call_past_any(int state, const char *name, int (*function)(unsigned),
				 unsigned end)
{
	for (unsigned slot = end; slot-- > 0;) {
		int error = stele_cpus.reached[slot] < state ? 0 : call_step(function, slot);

		if (error)
			SAY("slot %u: step '%s' failed with error %d while it was undone\n", slot,
			    name, error);
	}
}

static inline int end_of_dynamic(int state)
{
	return state <= CPUHP_BP_PREPARE_DYN_END ? CPUHP_BP_PREPARE_DYN_END
						 : CPUHP_AP_ONLINE_DYN_END;
}

static inline bool is_dynamic(int state)
{
	return state == CPUHP_BP_PREPARE_DYN || state == CPUHP_AP_ONLINE_DYN;
}

/* The number for a new step, or -errno. */
static inline int place_for(int state)
{
	if (state <= CPUHP_OFFLINE || state >= CPUHP_ONLINE)
		return -EINVAL;
	if (!is_dynamic(state))
		return stele_steps.at[state].name ? -EBUSY : state;
	for (int at = state; at <= end_of_dynamic(state); at++)
		if (!stele_steps.at[at].name)
			return at;
	return -ENOSPC;
}

static inline int install(int at, const struct step *step, bool calls)
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
	refuse_none();
	set_step(at, step->name, step->startup, step->teardown);
	return 0;
}

static inline void uninstall(int at, bool calls)
{
	const struct step *step = &stele_steps.at[at];

	if (calls)
		call_past_any(at, step->name, step->teardown, stele_cpus_possible());
	set_step(at, NULL, NULL, NULL);
	refuse_none();
}

#endif
