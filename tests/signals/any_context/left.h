/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/left.h - a handler that never comes back, at every instruction of the data
 * path
 *
 * Idea      A breakpoint stands on one instruction. A thread makes calls until it hits the breakpoint.
 *           There a signal comes to the thread, and its handler leaves: by siglongjmp(), or in a
 *           thread of its own by pthread_exit(). Where the library holds signals back, the signal waits
 *           like any other, and the handler leaves as soon as the library lets it in. Then another
 *           thread makes every kind of call, and now and then the calls of the control path: each has
 *           to come back. left_calls.c has the calls of the library, left_malloc_calls.c those of the
 *           drop-in.
 * Lost      what a call had in hand: a sheaf, or three of a thread that ended in the fallback, and
 *           one slab or block that was being made or ended (docs/any-context.md). Before each call
 *           the phase notes the objects that it holds itself. The test frees these afterwards.
 * Threads   only one runs while a breakpoint stands. The library gets no thread of its own, so
 *           rounds of its grace periods run in the threads that wait for them.
 * Stays     The handler of the breakpoint comes back, but not before the other thread had a turn, in
 *           which it does as it likes with its pages (left_neighbour.h).
 * Argument  the table, then "jumps", "exits" or "stays". "control": the handler of the breakpoint
 *           leaves at once, also where the library holds signals back. That must fail.
 * Included  by one file of a program, which has main().
 * Failure   a call that does not come back, contents that changed, a bad free, more lost than that,
 *           or a heap whose structures contradict each other.
 */
#ifndef TESTS_ANY_CONTEXT_LEFT_H
#define TESTS_ANY_CONTEXT_LEFT_H

#include "left_others.h"
#include "trap_plant.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <time.h>

#define WATCH_SECONDS 60
#define EXITS_EVERY 4 /* a thread of its own for one instruction of so many */

static const struct trap_plan *plan; /* the part of it that its users fill in */
static bool exits, straight;

static struct place *target;
static unsigned phase_now;
static unsigned long late; /* leavings, as signals were held back */

void fail_at(int code, const char *file, int line, const char *what)
{
	dprintf(STDERR_FILENO, "%s:%d: not so: %s\n  phase %u, %lu leavings\n", file, line, what,
		phase_now, left);
	say_place(target, "breakpoint");
	_exit(code);
}

static void on_alarm(int number)
{
	(void)number;
	fail_at(EXIT_HANGS, __FILE__, __LINE__, "each call comes back");
}

/* ---- threads: none for the library ---- */

static _Thread_local bool makes_threads;

__attribute__((visibility("default"))) int
pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *), void *arg)
{
	static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	if (!makes_threads)
		return EAGAIN;
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	return real(thread, attr, body, arg);
}

static pthread_t make_thread_of_test(void *(*body)(void *))
{
	pthread_t thread;

	makes_threads = true;
	MUST(pthread_create(&thread, NULL, body, NULL) == 0);
	makes_threads = false;
	return thread;
}

/* ---- leaving ---- */

static _Thread_local volatile bool may_leave;
static sigjmp_buf out;

static void on_leave(int number)
{
	(void)number;
	if (!may_leave)
		return;
	may_leave = false;
	left++;
	if (exits)
		pthread_exit(NULL);
	siglongjmp(out, 1);
}

static bool is_held_back(const ucontext_t *context)
{
	return sigismember(&context->uc_sigmask, SIGUSR2) == 1;
}

/* No locks and no allocation: the semaphores are words that the kernel knows. */
static void stand_still(void)
{
	int saved = errno, refused = *page_fail;

	may_leave = false;
	left++;
	stands_still = true;
	*page_fail = 0; /* frames are refused to this thread alone */
	let_others_go_on();
	*page_fail = refused;
	stands_still = false;
	errno = saved;
}

static void on_trap(int number, siginfo_t *info, void *context)
{
	struct place *place = fired(context);

	(void)number, (void)info;
	MUST(place);
	unplant(place);
	place->hit = true;
	if (!may_leave)
		return;
	late += is_held_back(context);
	if (stays) {
		stand_still();
		return;
	}
	if (straight)
		on_leave(SIGUSR2);
	pthread_kill(pthread_self(), SIGUSR2);
}

/* ---- one instruction ---- */

static char *own_stack(void)
{
	static _Thread_local char memory[64 << 10];
	stack_t stack = { .ss_sp = memory, .ss_size = sizeof(memory) };

	MUST(sigaltstack(&stack, NULL) == 0);
	return memory;
}

static void *exit_in_phase(void *arg)
{
	own_stack();
	plant(target);
	may_leave = true;
	plan->phase(phase_now);
	may_leave = false;
	return arg;
}

static __attribute__((noinline)) void jump_out_of_phase(void)
{
	plant(target);
	if (sigsetjmp(out, 1) == 0) {
		may_leave = true;
		plan->phase(phase_now);
	}
	may_leave = false;
}

/* In the first of its phases that hits it. */
static void leave_at(struct place *place)
{
	unsigned long before = left;

	target = place;
	for (phase_now = 0; phase_now < plan->phases && left == before; phase_now++) {
		if (!(place->phases >> phase_now & 1))
			continue;
		alarm(straight ? 5 : WATCH_SECONDS);
		if (exits)
			pthread_join(make_thread_of_test(exit_in_phase), NULL);
		else
			jump_out_of_phase();
		unplant(place);
		*page_fail = 0;
		let_all_go();
	}
	let_others_go_on();
}

static bool is_reached(const struct place *place)
{
	return plain(place) && place->phases;
}

/* Not inlined from what is left out. */
static bool ours_outside(const struct place *place)
{
	return outside(place) && !(place->flags & INLINED_OUT);
}

static bool ours_in_sequence(const struct place *place)
{
	return plain(place) && in_sequence(place) && !(place->flags & INLINED_OUT);
}

static bool some_reached(const struct place *place)
{
	return is_reached(place) &&
	       (!exits || (place - places) % EXITS_EVERY == first % EXITS_EVERY);
}

/* ---- the program ---- */

static void note_phase(struct place *place)
{
	if (place->hit)
		place->phases |= 1ull << phase_now;
	place->hit = false;
}

static void *run_phase(void *arg)
{
	own_stack();
	plan->phase(phase_now);
	return arg;
}

static void look_at(bool (*which)(const struct place *))
{
	each_place(which, plant);
	if (exits)
		pthread_join(make_thread_of_test(run_phase), NULL);
	else
		plan->phase(phase_now);
	each_place(which, unplant);
	each_place(which, note_phase);
}

static void look(void)
{
	for (phase_now = 0; phase_now < plan->phases; phase_now++) {
		plan->phase(phase_now);
		look_at(ours_outside);
		look_at(ours_in_sequence);
		look_at(ours_in_sequence);
	}
}

static void take_signals(void)
{
	struct sigaction trap = { .sa_sigaction = on_trap,
				  .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	struct sigaction leave = { .sa_handler = on_leave, .sa_flags = SA_ONSTACK };
	struct sigaction alarmed = { .sa_handler = on_alarm };

	own_stack();
	MUST(sigaction(SIGTRAP, &trap, NULL) == 0 && sigaction(SIGUSR2, &leave, NULL) == 0 &&
	     sigaction(SIGALRM, &alarmed, NULL) == 0);
}

static void *exit_once(void *arg)
{
	pthread_exit(arg); /* which loads the unwinder */
}

static void start_others(void)
{
	sem_init(&others_turn, 0, 0);
	sem_init(&own_turn, 0, 0);
	pthread_join(make_thread_of_test(exit_once), NULL);
	make_thread_of_test(be_others);
}

/* Reads the table; from here on the library's names are known. */
static void left_prepare(struct trap_plan *of, int argc, char **argv)
{
	const char *some = getenv("ANY_CONTEXT_EVERY");

	exits = argc > 2 && !strcmp(argv[2], "exits");
	straight = argc > 2 && !strcmp(argv[2], "control");
	stays = argc > 2 && !strcmp(argv[2], "stays");
	every = some && atoi(some) > 1 ? (unsigned)atoi(some) : 1;
	first = (unsigned)time(NULL) % every;
	of->table = argc > 1 ? argv[1] : "";
	plan = of;
	read_table(of);
	*(void **)&valid.area = trap_symbol_if("stele_area_valid");
	*(void **)&valid.run = trap_symbol_if("stele_run_valid");
	*(void **)&valid.slab = trap_symbol_if("stele_slab_valid");
	*(void **)&valid.each = trap_symbol("stele_run_each");
	*(void **)&valid.stats = trap_symbol("stele_stats_read");
	valid.heap = trap_symbol("stele_heap");
	valid.hot = trap_symbol("stele_hot");
	near.heap = valid.heap;
	near.hot = valid.hot;
	near.locks[0] = trap_symbol("taking");
	near.locks[1] = trap_symbol("stele_list_lock");
	page_fail = trap_symbol("stele_inject_page_fail");
}

static void say_left(unsigned n)
{
	printf("  left by %s at %lu of %u, %lu of them late, as signals were held back; at most "
	       "%lu "
	       "bytes lost in %u leavings, and %lu runs in all\n",
	       exits ? "pthread_exit()" : "siglongjmp()", left, n, late, lost_most, ALL_EVERY,
	       runs_lost);
}

static void say_stays(unsigned n)
{
	printf("  stood still at %lu of %u, beside %lu blocks without access, %lu foreign "
	       "mappings, "
	       "%lu trims\n",
	       left, n, near.blocks, near.foreigners, near.trims);
	MUST(near.blocks && near.foreigners && near.trims);
}

static void left_run(void)
{
	unsigned n = 0, total = 0, phased = 0;

	take_signals();
	start_others();
	open_text();
	look();
	let_all_go();
	let_others_go_on();
	for (unsigned i = 0; i < places_count; i++) {
		total += plain(&places[i]);
		phased += is_reached(&places[i]);
		if (some_reached(&places[i])) {
			leave_at(&places[i]);
			n++;
		}
	}
	printf("%u instructions, %u of them on the way of these calls\n", total, phased);
	if (stays)
		say_stays(n);
	else
		say_left(n);
	fflush(stdout);
	/* The other instructions wait, or belong to other modes and to the control path. */
	MUST(phased * 100 >= total * plan->share && left * 2 >= n);
}

#endif
