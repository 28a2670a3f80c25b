/* SPDX-License-Identifier: MIT */
/*
 * slab/track.c - who allocated an object, and who freed it
 *
 * Idea      A track has the number of a stack (sync/depot.h), the thread, the CPU and the time.
 * Report    names the file of each caller and the place in it, as addr2line(1) takes it. It leaves
 *           out an address that is in no file: the walk of the stack follows frame pointers, and
 *           code that lacks them puts wrong addresses in.
 * Context   any.
 * Tests     tests/contract/test_debug.c
 */
#include "slab/checks.h"
#include "arch/rseq.h"
#include "base/options.h"
#include "os/nodes.h"
#include "os/os.h"
#include "os/report.h"
#include "os/stack.h"
#include "percpu/system.h"
#include "sync/depot.h"
#include <string.h>

/* The CPU, as the system keeps it up to date in this thread's area. In the fallback there is no
 * area, and a system call asks. */
static uint16_t cpu_now(void)
{
	int cpu = stele_rseq.area ? step_area(stele_rseq.area)->cpu_id : -1;

	return (uint16_t)(cpu >= 0 ? cpu : (int)stele_os_cpu());
}

static uint32_t stack_now(const void *site)
{
	uintptr_t stack[STELE_STACK_MAX];

	if (!site)
		return 0;
	return stele_depot_put(stack, stele_os_stack(site, stack, (unsigned)stele_opt.debug_stack));
}

struct track stele_track_now(const void *site, enum track_kind kind)
{
	return (struct track){
		.stack = stack_now(site),
		.thread = stele_thread_name(),
		.when = (uint32_t)stele_os_ms(),
		.cpu = cpu_now(),
		.kind = (uint16_t)kind,
	};
}

static void report_caller(uintptr_t code)
{
	char place[STELE_OS_PLACE_SIZE];

	stele_os_place((void *)code, place);
	if (memchr(place, '+', strlen(place)))
		stele_report("stele:     %s\n", place);
}

/* Where the stack begins, for the first line. */
static void place_of(uint32_t number, char place[STELE_OS_PLACE_SIZE])
{
	unsigned n;
	const uintptr_t *stack = stele_depot_get(number, &n);

	strcpy(place, "?");
	if (n)
		stele_os_place((void *)stack[0], place);
}

static void report_callers(uint32_t number)
{
	unsigned n;
	const uintptr_t *stack = stele_depot_get(number, &n);

	for (unsigned i = 1; i < n; i++)
		report_caller(stack[i]);
}

void stele_track_report(const char *what, const struct track *track)
{
	char place[STELE_OS_PLACE_SIZE];

	if (!track->thread)
		return;
	place_of(track->stack, place);
	stele_report("stele: %s in %s age=%u cpu=%u pid=%u\n", what, place,
		     (uint32_t)stele_os_ms() - track->when, track->cpu, track->thread);
	report_callers(track->stack);
}

void stele_stack_report(const char *what, uint32_t number)
{
	char place[STELE_OS_PLACE_SIZE];

	place_of(number, place);
	stele_report("stele: %s in %s\n", what, place);
	report_callers(number);
}

static bool place_is_named(const char *place, const char *names)
{
	size_t n;

	for (; *names; names += n + (names[n] == ':')) {
		n = strcspn(names, ":");
		if (n && strncmp(place, names, n) == 0 && (place[n] == '+' || !place[n]))
			return true;
	}
	return false;
}

bool stele_stack_is_named(uint32_t number, const char *names)
{
	char place[STELE_OS_PLACE_SIZE];
	unsigned n;
	const uintptr_t *stack = stele_depot_get(number, &n);

	for (unsigned i = 0; i < n; i++) {
		stele_os_place((void *)stack[i], place);
		if (place_is_named(place, names))
			return true;
	}
	return false;
}

enum track_kind stele_track_kind(const char *call)
{
	if (strcmp(call, "operator delete") == 0)
		return KIND_NEW;
	if (strcmp(call, "operator delete[]") == 0)
		return KIND_NEW_ARRAY;
	return strcmp(call, "free") == 0 || strcmp(call, "realloc") == 0 ? KIND_MALLOC
									 : KIND_UNKNOWN;
}
