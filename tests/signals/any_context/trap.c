/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/trap.c - planting breakpoints, hitting them, counting
 *
 * Idea      The handler of a breakpoint (trap_plant.h) runs on an alternate stack, works, and goes
 *           back to the instruction.
 * Stack     The kernel puts a frame with all registers below each handler, whose size the machine
 *           decides: 1 KiB, or 11 with AMX. It is no use of the library's, so it does not count.
 * Limits    One thread. Nothing of this file is ever interrupted: the breakpoints are in the
 *           library only.
 */
#include "trap.h"
#include "trap_count.h"
#include "trap_plant.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef STELE_TEST_DEBUG
#define STELE_TEST_DEBUG 0
#endif
/* What a handler may use of its stack, besides the kernel's frame: its own work, and the call that it
 * makes (docs/any-context.md). Debug builds inline less. */
#define ROOM (STELE_TEST_DEBUG ? 4096u : 2048u)
#define PAINT 0xa5
#define DEEPEST 3
#define ERRNO_MARK 4242
#define SETTLE_EVERY 128
#define WATCH_SECONDS 60
#define TOGETHER 6
#define TRIES 8
#define SOME_LESS 4 /* per cent: where some are looked at, chance may miss more */

static unsigned char *stack;
static size_t stack_bytes, frame_bytes;
static const struct trap_plan *plan;

static struct place *target, *nested[DEEPEST];
static unsigned depth, phase_now, runs;
static bool acting;
static unsigned long traps, traps_at[DEEPEST + 1];

unsigned trap_depth(void)
{
	return depth;
}

void fail_at(int code, const char *file, int line, const char *what)
{
	dprintf(STDERR_FILENO, "%s:%d: not so: %s\n  phase %u, depth %u\n", file, line, what,
		phase_now, depth);
	say_place(target, "breakpoint");
	for (unsigned i = 0; i < DEEPEST; i++)
		say_place(nested[i], "nested");
	_exit(code);
}

/* If the phase has used much CPU time, it goes round and round. If little, it waits, or the machine
 * stood still. */
static void on_alarm(int number)
{
	struct rusage used;

	(void)number;
	getrusage(RUSAGE_SELF, &used);
	dprintf(STDERR_FILENO, "  so far %ld s of the processor, %ld of them in the system\n",
		(long)(used.ru_utime.tv_sec + used.ru_stime.tv_sec), (long)used.ru_stime.tv_sec);
	fail_at(EXIT_HANGS, __FILE__, __LINE__, "a phase ends");
}

/* ---- several at once ---- */

static struct place *together[TOGETHER];
static unsigned together_count;

static void add_together(struct place *place)
{
	place->done = false;
	together[together_count++] = place;
}

static void plant_together(void)
{
	for (unsigned i = 0; i < together_count; i++)
		if (!together[i]->done)
			plant(together[i]);
}

static void unplant_together(void)
{
	for (unsigned i = 0; i < together_count; i++)
		unplant(together[i]);
}

/* ---- in handlers ---- */

static bool of_handler(const struct place *place)
{
	return plain(place) && place->in_handler;
}

static bool in_handler_now(const struct place *place)
{
	return of_handler(place) && place->in_handler >> phase_now & 1;
}

/* The next place after @at of which @which is true, round and round. */
static unsigned next_place(unsigned at, bool (*which)(const struct place *))
{
	do
		at = at + 1 < places_count ? at + 1 : 0;
	while (!which(&places[at]));
	return at;
}

static struct place *queue[PLACES_MAX]; /* to be hit in a handler */
static unsigned queue_at, queue_end;

static void enqueue(struct place *place)
{
	queue[queue_end++] = place;
}

/* The next of the queue, and the one that is hit in its handler. */
static void choose_nested(void)
{
	static unsigned inner;

	nested[1] = nested[2] = NULL;
	if (queue_at == queue_end)
		return;
	inner = next_place(inner + 10, in_handler_now);
	nested[1] = queue[queue_at++];
	nested[2] = &places[inner];
}

/* ---- at a breakpoint ---- */

static void begin_outermost(void)
{
	unplant_together();
	each_place(waits, plant);
	choose_nested();
}

static void end_outermost(void)
{
	each_place(waits, unplant);
	plant_together();
}

static void act(void)
{
	struct place *inner;

	if (!depth)
		begin_outermost();
	inner = depth + 1 < DEEPEST ? nested[depth + 1] : NULL;
	if (inner)
		plant(inner);
	depth++;
	traps++;
	traps_at[depth]++;
	errno = ERRNO_MARK;
	plan->handler();
	MUST(errno == ERRNO_MARK);
	depth--;
	if (inner)
		unplant(inner);
	if (!depth)
		end_outermost();
}

static void on_trap(int number, siginfo_t *info, void *context)
{
	int saved = errno;
	struct place *place = fired(context);

	(void)number, (void)info;
	MUST(place);
	if (place->flags & (NEVER | WAITS)) {
		target = place;
		fail_at(EXIT_OTHER, __FILE__, __LINE__, "what is left out does not run");
	}
	unplant(place);
	place->hit = place->done = true;
	if (!depth && acting)
		target = place;
	if (acting && depth < DEEPEST)
		act();
	errno = saved;
}

static void take_signals(void)
{
	struct sigaction trap = { .sa_sigaction = on_trap,
				  .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	struct sigaction alarmed = { .sa_handler = on_alarm };
	unsigned long least = getauxval(AT_MINSIGSTKSZ);
	stack_t alternate;
	char *memory;

	frame_bytes = least ? least : MINSIGSTKSZ;
	stack_bytes = (DEEPEST * (frame_bytes + 2 * ROOM) + 4095) & ~(size_t)4095;
	memory = mmap(NULL, stack_bytes + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* Below it lies a page without access: a handler that runs over the end dies. */
	MUST(memory != MAP_FAILED);
	stack = (unsigned char *)memory + 4096;
	alternate = (stack_t){ .ss_sp = stack, .ss_size = stack_bytes };
	MUST(mprotect(stack, stack_bytes, PROT_READ | PROT_WRITE) == 0);
	memset(stack, PAINT, stack_bytes);
	MUST(sigaltstack(&alternate, NULL) == 0);
	MUST(sigaction(SIGTRAP, &trap, NULL) == 0 && sigaction(SIGALRM, &alarmed, NULL) == 0);
}

/* By handlers, without the kernel's frames. */
static unsigned deepest_stack(void)
{
	size_t unused = 0;

	while (unused < stack_bytes && stack[unused] == PAINT)
		unused++;
	return (unsigned)(stack_bytes - unused - DEEPEST * frame_bytes);
}

/* ---- passes ---- */

static void run_phase(unsigned number)
{
	struct itimerval watch = { .it_value = { .tv_sec = WATCH_SECONDS } };

	phase_now = number;
	setitimer(ITIMER_REAL, &watch, NULL);
	plan->phase(number);
	plan->between();
	if (++runs % SETTLE_EVERY == 0)
		plan->settle();
}

static void note_phase(struct place *place)
{
	if (place->hit)
		place->phases |= 1ull << phase_now;
	place->hit = false;
}

static void note_handler(struct place *place)
{
	if (place->hit)
		place->in_handler |= 1ull << phase_now;
	place->hit = false;
}

static void look_at(bool (*which)(const struct place *))
{
	each_place(which, plant);
	run_phase(phase_now);
	each_place(which, unplant);
	each_place(which, note_phase);
	each_place(which, plant);
	plan->handler();
	each_place(which, unplant);
	each_place(which, note_handler);
	plan->between();
}

/* Finds the places that each phase hits when nothing disturbs it, and those that the handler's own
 * work hits. */
static void look(void)
{
	for (unsigned i = 0; i < plan->phases; i++) {
		run_phase(i);
		look_at(outside);
		look_at(in_sequence);
	}
}

static bool rare(const struct place *place)
{
	return plain(place) && !place->phases && !place->hit;
}

static bool ordinary(const struct place *place)
{
	return plain(place) && place->phases;
}

/* Alone, in the first of TRIES phases that hits it; else it is rare, and stays. */
static void run_one(struct place *place)
{
	unsigned tries = 0;

	for (unsigned i = 0; i < plan->phases && tries < TRIES && !place->hit; i++) {
		if (!(place->phases >> i & 1))
			continue;
		tries++;
		target = place;
		plant(place);
		run_phase(i);
		unplant(place);
	}
	target = NULL;
	if (!place->hit) {
		place->phases = 0;
		plant(place);
	}
}

/* Once more in the last of its phases: the rare ones beside it get another chance. */
static void run_again(struct place *place)
{
	target = place;
	plant(place);
	run_phase(63 - (unsigned)__builtin_clzll(place->phases));
	unplant(place);
	target = NULL;
}

static struct place *costly[PLACES_MAX]; /* those whose first phase is the one that runs */
static unsigned costly_count;

static void note_costly(struct place *place)
{
	if (ordinary(place) && !in_sequence(place) &&
	    (unsigned)__builtin_ctzll(place->phases) == phase_now)
		costly[costly_count++] = place;
}

/* Every @step-th from @from on: they lie far apart. */
static void run_together(unsigned from, unsigned step)
{
	for (unsigned i = from; i < costly_count; i += step)
		add_together(costly[i]);
	plant_together();
	run_phase(phase_now);
	unplant_together();
	together_count = 0;
}

static void in_costly_phases(void)
{
	for (unsigned phase = plan->cheap; phase < plan->phases; phase++) {
		phase_now = phase;
		costly_count = 0;
		each_place(plain, note_costly);
		for (unsigned i = 0, step = (costly_count + TOGETHER - 1) / TOGETHER; i < step; i++)
			run_together(i, step);
	}
}

static bool in_cheap_phases(const struct place *place)
{
	return ordinary(place) && place->phases < 1ull << plan->cheap;
}

static bool not_hit_yet(const struct place *place)
{
	return ordinary(place) && !place->hit;
}

/* Each of them beside all that are rare. */
static void each_in_turn(void)
{
	each_place(rare, plant);
	acting = true;
	in_costly_phases();
	each_place(not_hit_yet, run_one);
	each_place(in_cheap_phases, run_again);
	acting = false;
	each_place(plain, unplant);
}

static bool in_phase_now(const struct place *place)
{
	return ordinary(place) && place->phases >> phase_now & 1;
}

static bool first_in_handler_now(const struct place *place)
{
	return of_handler(place) && (unsigned)__builtin_ctzll(place->in_handler) == phase_now;
}

/* Runs the phase with TOGETHER places planted that come after @outer. Each of them that is hit takes one
 * of the queue. Returns the last place. */
static unsigned nest_some(unsigned outer)
{
	while (together_count < TOGETHER) {
		outer = next_place(outer + 6, in_phase_now);
		add_together(&places[outer]);
	}
	plant_together();
	run_phase(phase_now);
	unplant_together();
	together_count = 0;
	return outer;
}

/*
 * Every instruction of the handler's work is hit in a handler, while that interrupts some other
 * instruction; and there a third one. All three are of the first phase in which the handler reaches
 * the second one.
 */
static void nest(void)
{
	unsigned outer = 0;

	acting = true;
	for (unsigned phase = 0; phase < plan->phases; phase++) {
		phase_now = phase;
		queue_at = queue_end = 0;
		each_place(first_in_handler_now, enqueue);
		while (queue_at < queue_end) {
			unsigned before = queue_at;

			outer = nest_some(outer);
			queue_at += queue_at == before; /* no place was hit */
		}
	}
	target = NULL;
	acting = false;
}

/* ---- the end ---- */

static void report(void)
{
	struct mode mode = this_mode();
	unsigned total = 0, other = 0, hit = 0, ordinarily = 0;
	bool verbose = getenv("ANY_CONTEXT_VERBOSE") != NULL;

	for (unsigned i = 0; i < places_count; i++) {
		const struct place *place = &places[i];

		if (!counts(place))
			continue;
		if (other_mode(place, &mode)) {
			other++;
			continue;
		}
		total++;
		hit += place->hit;
		ordinarily += ordinary(place);
		if (verbose && !place->hit)
			say_missed(place);
	}
	printf("%s, %s: %u instructions on the data path, besides %u of the other mode\n",
	       plan->name, mode.name, total, other);
	if (every > 1)
		printf("  these are those of restartable sequences, and of the others one in %u\n",
		       every);
	printf("  planted %u in turn and the rest beside them; hit %u, %.1f %%\n", ordinarily, hit,
	       100.0 * hit / total);
	printf("  %lu traps at which the handler worked, %lu of them in a handler, %lu in one of "
	       "those; %u phases\n",
	       traps, traps_at[2] + traps_at[3], traps_at[3], runs);
	printf("  deepest use of the stack for signals, besides %u frames of %zu bytes: %u of %u\n",
	       DEEPEST, frame_bytes, deepest_stack(), DEEPEST * ROOM);
	fflush(stdout);
	MUST(deepest_stack() <= DEEPEST * ROOM);
	MUST(hit * 100 >= total * (plan->share - (every > 1 ? SOME_LESS : 0)));
	MUST(traps_at[2] > 0 && traps_at[3] > 0);
}

void trap_prepare(const struct trap_plan *what)
{
	const char *some = getenv("ANY_CONTEXT_EVERY");

	plan = what;
	MUST(plan->phases <= 64);
	every = some && atoi(some) > 1 ? (unsigned)atoi(some) : 1;
	first = (unsigned)time(NULL) % every;
	read_table(plan);
}

void trap_run(void)
{
	open_text();
	take_signals();
	for (unsigned i = 0; i < plan->phases; i++)
		run_phase(i);
	plan->settle();
	each_place(never, plant);
	look();
	each_in_turn();
	nest();
	plan->settle();
	report();
}
