/* SPDX-License-Identifier: MIT */
/*
 * percpu/hotplug.c - the steps by which a slot comes and goes
 *
 * Idea      One table of steps by number. A slot has reached one of them: all below are done. Up
 *           and down move it by one step at a time; a step that fails stays where it was, and the
 *           slot is moved back to where it came from, failures then being said and passed over.
 *           In the middle is our own, CPUHP_BRINGUP_CPU: above it the slot is in use, below it no
 *           step of a sequence can reach its memory. The moves are in percpu/move.h.
 * Objects   stele_steps: changed under the CPU set (for reading) and `table`; used under them, or by
 *           the writer. A step of a higher floor is there before anything happens.
 * Locks     cpus > table.
 * Context   ordinary threads. Steps run with signals held back.
 * Failure   each refusal is said, unless `quiet`.
 * Tests     tests/unit/percpu/test_hotplug.c  tests/contract/test_cpus.c  tests/model/pairs.c
 *           tests/contract/test_signals_come.c
 */
#include "os/os.h"
#include "percpu/system.h"
#include "percpu/move.h"
#include "sync/mutex.h"
#include "sync/ranks.h"

struct stele_steps stele_steps = {
	.at = { [CPUHP_BRINGUP_CPU] = { "cpu:slot", show_slot, hide_slot } },
};
static struct stele_mutex table = STELE_MUTEX(STEPS);

void stele_cpu_step(enum cpuhp_state state, const char *name, int (*startup)(unsigned),
		    int (*teardown)(unsigned))
{
	set_step(state, name, startup, teardown);
}

static bool is_ours(int state)
{
	return state == CPUHP_SLUB_DEAD || state == CPUHP_BRINGUP_CPU;
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

static int change(const char *what, unsigned slot, int (*how)(unsigned))
{
	int error = begin_for(what, slot);

	if (error)
		return error;
	error = how(slot);
	stele_steps.refused[slot / 64] &= ~(1ull << slot % 64);
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

int stele_cpu_refresh(void)
{
	uint64_t now[CPUS_WORDS];
	int error = begin_change("stele_cpu_refresh", ""), n;

	if (error)
		return error;
	stele_cpus_find_present();
	stele_cpus_wanted(now);
	n = follow_all(now, &error);
	stele_cpus_write_unlock();
	return error ? error : n;
}

/* ---- the table ---- */

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
	if (state <= CPUHP_OFFLINE || state >= CPUHP_ONLINE || !stele_steps.at[state].name)
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
	uninstall(state, calls);
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
