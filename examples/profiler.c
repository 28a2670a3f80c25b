/* SPDX-License-Identifier: MIT */
/*
 * examples/profiler.c - a sampling profiler for any program: allocating where nobody may
 *
 * Shows     a SIGPROF handler that takes its memory from kmalloc_nolock(). The signal comes
 *           anywhere, inside the program's malloc as well; elsewhere a profiler reserves its
 *           memory beforehand, and loses samples when that is used up. Here a sample is as long
 *           as its stack, and lost only when the system has no memory left.
 * Build     cc -O2 -fPIC -shared profiler.c -o profiler.so $(pkg-config --cflags --libs stele)
 * Use       LD_PRELOAD=$PWD/profiler.so perl -e '...'
 * Output    on standard error, at exit: how many samples, how many lost, the top functions.
 * Limits    of an example: the timer counts the CPU time of all threads; functions that are not
 *           exported are named by their place in the file; a program that ends by _exit() prints
 *           nothing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stele/slab.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include <unwind.h>

#define DEEPEST 64
#define PERIOD_US 1000
#define SHOWN 10

struct sample {
	struct sample *next;
	unsigned depth;
	uintptr_t pc[];
};

struct function {
	const char *name; /* as exported, or NULL */
	const char *file;
	uintptr_t offset;
	unsigned long on_top;
};

struct stack {
	unsigned depth;
	bool interrupted; /* below the handler */
	uintptr_t pc[DEEPEST];
};

static _Atomic(struct sample *) samples;
static atomic_ulong signals, recorded, lost;

/* Frames above the one that the signal interrupted are the handler's own. */
static _Unwind_Reason_Code add_frame(struct _Unwind_Context *context, void *arg)
{
	struct stack *stack = arg;
	int interrupted = 0;
	uintptr_t pc = (uintptr_t)_Unwind_GetIPInfo(context, &interrupted);

	if (interrupted)
		stack->interrupted = true;
	if (stack->interrupted && stack->depth < DEEPEST)
		stack->pc[stack->depth++] = pc;
	return stack->depth < DEEPEST ? _URC_NO_REASON : _URC_END_OF_STACK;
}

static void record(void)
{
	struct stack stack = { .depth = 0 };
	struct sample *sample;

	_Unwind_Backtrace(add_frame, &stack);
	sample = kmalloc_nolock(sizeof(*sample) + stack.depth * sizeof(sample->pc[0]), 0,
				NUMA_NO_NODE);
	if (!sample) {
		atomic_fetch_add(&lost, 1);
		return;
	}
	sample->depth = stack.depth;
	memcpy(sample->pc, stack.pc, stack.depth * sizeof(sample->pc[0]));
	sample->next = atomic_load(&samples);
	while (!atomic_compare_exchange_weak(&samples, &sample->next, sample))
		;
	atomic_fetch_add(&recorded, 1);
}

static void on_tick(int signal)
{
	int saved = errno;

	(void)signal;
	atomic_fetch_add(&signals, 1);
	record();
	errno = saved;
}

static void set_timer(long period_us)
{
	struct itimerval often = { { 0, period_us }, { 0, period_us } };

	setitimer(ITIMER_PROF, &often, NULL);
}

static __attribute__((constructor)) void start(void)
{
	struct sigaction action = { .sa_handler = on_tick, .sa_flags = SA_RESTART };
	struct stack stack = { .depth = 0 };

	/* Once outside of a handler: the unwinder sets itself up. */
	_Unwind_Backtrace(add_frame, &stack);
	sigaction(SIGPROF, &action, NULL);
	set_timer(PERIOD_US);
}

/* ---- at exit ---- */

static struct function function_at(uintptr_t pc)
{
	struct function found = { .file = "?", .offset = pc };
	Dl_info info;

	if (!dladdr((void *)pc, &info) || !info.dli_fname)
		return found;
	found.file = strrchr(info.dli_fname, '/') ? strrchr(info.dli_fname, '/') + 1
						  : info.dli_fname;
	found.name = info.dli_sname;
	found.offset = (uintptr_t)(info.dli_sname ? info.dli_saddr : info.dli_fbase);
	if (!info.dli_sname)
		found.offset = pc - found.offset;
	return found;
}

static void count(struct function *functions, unsigned long *n, struct function found)
{
	for (unsigned long i = 0; i < *n; i++)
		if (functions[i].offset == found.offset && functions[i].file == found.file) {
			functions[i].on_top++;
			return;
		}
	found.on_top = 1;
	functions[(*n)++] = found;
}

static void print_top(struct function *functions, unsigned long n, unsigned long all)
{
	for (unsigned shown = 0; shown < SHOWN; shown++) {
		struct function *most = NULL;

		for (unsigned long i = 0; i < n; i++)
			if (functions[i].on_top && (!most || functions[i].on_top > most->on_top))
				most = &functions[i];
		if (!most)
			return;
		if (most->name)
			dprintf(STDERR_FILENO, "profiler: %5.1f %% %s (%s)\n",
				100.0 * (double)most->on_top / (double)all, most->name, most->file);
		else
			dprintf(STDERR_FILENO, "profiler: %5.1f %% %s+%#lx\n",
				100.0 * (double)most->on_top / (double)all, most->file,
				(unsigned long)most->offset);
		most->on_top = 0;
	}
}

static __attribute__((destructor)) void finish(void)
{
	struct function *functions;
	unsigned long n = 0, walked = 0;

	set_timer(0);
	signal(SIGPROF, SIG_IGN);
	functions = kvmalloc((atomic_load(&recorded) + 1) * sizeof(*functions), GFP_KERNEL);
	for (struct sample *next, *s = atomic_exchange(&samples, NULL); s; s = next) {
		next = s->next;
		walked++;
		if (functions && s->depth)
			count(functions, &n, function_at(s->pc[0]));
		kfree(s);
	}
	dprintf(STDERR_FILENO, "profiler: %lu signals, %lu samples, %lu lost\n",
		atomic_load(&signals), walked, atomic_load(&lost));
	if (functions)
		print_top(functions, n, walked);
	kvfree(functions);
}
