/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/storms/handlers.c - handlers at 20 kHz that allocate what others free
 *
 * Idea      Every thread has a timer of its own and does the same steps as its handlers, on one
 *           table: threads free what handlers make, and the reverse. Each leans now to making
 *           and now to dropping, so that sheaves run full and empty inside handlers too.
 *           Half of the threads have nested handlers instead: three signals with SA_NODEFER on
 *           an alternate stack with a guard below, each interrupting the others. The stack has what
 *           the kernel pushes for three signals, and two pages for the calls of each handler.
 *           Threads end and begin anew every second or two.
 * Depth     the first of the three comes at 20 kHz and does not interrupt itself; when it is the
 *           outermost it sets off the two others, so that no more than three frames can ever be
 *           on the alternate stack.
 * Failure   an object that is not its owner's; a changed errno; a count that is off in the end;
 *           a stack that did not suffice; the alarm, when a thread stands still.
 * Arguments seconds to run, then the argument of kinds_start(). In a run of many minutes
 *           $STORM_SECONDS has the seconds instead.
 */
#include "storm.h"
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#define THREADS 4
#define SLICE_SECONDS 2
#define LONG_RUN 600
#define PERIOD_NS 50000
#define NESTED 3
#define LEVELS 3
#define GUARD 65536

/* What a handler's calls need. Sanitizers have frames of their own size. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CALLS_BYTES 65536ul
#else
#define CALLS_BYTES 8192ul
#endif

struct worker {
	struct actor level[LEVELS + 1]; /* the thread, and the depths of its handlers */
	timer_t timer[NESTED];
	unsigned long signals[LEVELS + 1];
};

static struct worker workers[THREADS];
static __thread struct worker *self;
static __thread volatile unsigned depth;
static atomic_ulong stack_used;

/* The second and the third come when the first has just begun. */
static const long nested_after[NESTED] = { 0, 4000, 9000 };

static bool is_nested(const struct worker *worker)
{
	return (worker - workers) % 2;
}

static void on_tick(int signal)
{
	(void)signal;
	self->signals[1]++;
	act_in_handler(&self->level[1], 2);
}

static void on_nested(int signal)
{
	unsigned mine = ++depth;

	MUST_FOR(mine <= LEVELS, mine);
	if (mine == 1 && signal == SIGRTMIN + 1)
		for (int i = 1; i < NESTED; i++)
			timer_set(self->timer[i], nested_after[i], 0);
	self->signals[mine]++;
	act_in_handler(&self->level[mine], 1);
	depth = mine - 1;
}

/* Whole pages. Old kernels do not say what they push. */
static size_t stack_size(void)
{
	unsigned long pushed = getauxval(AT_MINSIGSTKSZ);

	return (LEVELS * ((pushed ? pushed : MINSIGSTKSZ) + CALLS_BYTES) + 4095) & -4096ul;
}

static char *stack_here(void)
{
	char *memory =
		mmap(NULL, stack_size() + GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = { .ss_size = stack_size() };

	MUST(memory != MAP_FAILED);
	MUST(mprotect(memory + GUARD, stack_size(), PROT_READ | PROT_WRITE) == 0);
	stack.ss_sp = memory + GUARD;
	MUST(sigaltstack(&stack, NULL) == 0);
	return memory;
}

/* How much of it was ever used: below that it is still zero. */
static void leave_stack(char *memory)
{
	static const stack_t none = { .ss_flags = SS_DISABLE };
	unsigned long unused = 0;

	MUST(sigaltstack(&none, NULL) == 0);
	while (unused < stack_size() && !memory[GUARD + unused])
		unused++;
	if (stack_size() - unused > atomic_load(&stack_used))
		atomic_store(&stack_used, stack_size() - unused);
	munmap(memory, stack_size() + GUARD);
}

static void begin(struct worker *worker)
{
	self = worker;
	if (!is_nested(worker)) {
		worker->timer[0] = timer_here(SIGRTMIN);
		timer_set(worker->timer[0], PERIOD_NS, PERIOD_NS);
		return;
	}
	for (int i = 0; i < NESTED; i++)
		worker->timer[i] = timer_here(SIGRTMIN + 1 + i);
	timer_set(worker->timer[0], PERIOD_NS, PERIOD_NS);
}

/* Blocked first: a handler must not set a timer that is gone. */
static void end(struct worker *worker)
{
	sigset_t all;

	sigfillset(&all);
	MUST(pthread_sigmask(SIG_BLOCK, &all, NULL) == 0);
	for (int i = 0; i < (is_nested(worker) ? NESTED : 1); i++)
		MUST(timer_delete(worker->timer[i]) == 0);
}

static void *work(void *number)
{
	struct worker *worker = &workers[(uintptr_t)number];
	char *stack = is_nested(worker) ? stack_here() : NULL;

	begin(worker);
	while (!stopped()) {
		act(&worker->level[0]);
		step_done();
	}
	end(worker);
	if (stack)
		leave_stack(stack);
	return NULL;
}

static void catch_signals(void)
{
	struct sigaction flat = { .sa_handler = on_tick, .sa_flags = SA_RESTART };
	struct sigaction nested = { .sa_handler = on_nested,
				    .sa_flags = SA_RESTART | SA_NODEFER | SA_ONSTACK };

	MUST(sigaction(SIGRTMIN, &flat, NULL) == 0);
	for (int i = NESTED; i-- > 0;) {
		if (i == 0)
			sigaddset(&nested.sa_mask, SIGRTMIN + 1);
		MUST(sigaction(SIGRTMIN + 1 + i, &nested, NULL) == 0);
	}
}

/* Sheaves and free pages are taken away under everybody's hands. */
static void watch(void)
{
	static unsigned calls;

	if (calls++ % 8 == 0)
		kinds_trim();
}

/* Nothing was lost on the way: every object that was made was dropped. */
static unsigned long count(void)
{
	unsigned long made = 0, dropped = 0, deep = 0, signals = 0;

	for (int i = 0; i < THREADS; i++)
		for (int j = 0; j <= LEVELS; j++) {
			made += workers[i].level[j].made;
			dropped += workers[i].level[j].dropped;
			signals += workers[i].signals[j];
			deep += j > 1 ? workers[i].signals[j] : 0;
		}
	printf("%lu made, %lu dropped, %lu signals, %lu of them in handlers, "
	       "%lu bytes of stack\n",
	       made, dropped, signals, deep, stack_used);
	MUST_FOR(made == dropped, made - dropped);
	MUST(signals > 0 && made > 0);
	return made;
}

static double seconds_to_run(int argc, char **argv)
{
	double asked = seconds_asked(argc, argv);
	const char *instead = getenv("STORM_SECONDS");

	return asked > LONG_RUN && instead && *instead ? atof(instead) : asked;
}

int main(int argc, char **argv)
{
	double end_time = seconds_now() + seconds_to_run(argc, argv), left;
	unsigned patience = argc > 2 ? 10 : 120;

	kinds_start(argc > 2 ? argv[2] : NULL);
	catch_signals();
	for (uintptr_t i = 0; i < THREADS; i++)
		for (uintptr_t j = 0; j <= LEVELS; j++)
			actor_start(&workers[i].level[j], i * 16 + j);
	while ((left = end_time - seconds_now()) > 0) {
		alarm(patience);
		atomic_store(&stop, false);
		run_for(left < SLICE_SECONDS ? left : SLICE_SECONDS, THREADS, work, watch);
	}
	drop_all(&workers[0].level[0]);
	return kinds_finish(count());
}
