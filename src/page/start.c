/* SPDX-License-Identifier: MIT */
/*
 * page/start.c - the heap starts with the first call
 *
 * Order     START: a thread that finds it ready sees all that the heap set up.
 * Context   any; the first caller starts the heap, others wait for it and lend it their
 *           priority. Signals are held back meanwhile; a call from within the start gets -ENOMEM.
 * Failure   said once; every allocation fails from then on.
 * Tests     tests/limits/no_maps.c  tests/limits/space.c
 */
#include "base/fmt.h"
#include "base/options.h"
#include "os/os.h"
#include "page/place.h"
#include "page/run.h"
#include "percpu/percpu.h"
#include "percpu/system.h"
#include "sync/atomic.h"
#include "sync/mutex.h"
#include "sync/ranks.h"
#include "sync/ready.h"
#include <errno.h>
#include <stele/page.h>
#include <unistd.h>

enum { HEAP_NONE, HEAP_READY, HEAP_FAILED };
static _Atomic uint32_t heap_state;
/* A child that finds it abandoned starts anew. */
static struct stele_mutex starting = STELE_MUTEX(HEAP);

static int start(void)
{
	struct stele_system *facts = &stele_system_facts;

	stele_options_parse(environ);
	facts->page_size = stele_opt.page_size > stele_os_page_size() ? stele_opt.page_size
								      : stele_os_page_size();
	stele_system_choose();
	stele_nodes_start();
	STELE_POINT("heap:starting");
	if (stele_heap_place(facts->slots) != 0)
		return -ENOMEM;
	stele_heap_begin(facts->slots);
	/* ORDER(START) a barrier in every thread: the fast paths read these facts plainly. */
	stele_os_membarrier();
	racy_ask(stele_is_never_given);
	return 0;
}

bool stele_heap_started(void)
{
	/* ORDER(START) acquire: all that was set up is there. */
	return ready_look(&heap_state) == HEAP_READY;
}

bool stele_heap_failed(void)
{
	return load_relaxed(&heap_state) == HEAP_FAILED;
}

/* Out of line: every allocation of pages asks whether the heap has started. */
static __attribute__((noinline, cold)) void start_once(void)
{
	uint32_t now;

	if (stele_lock(&starting) != 0)
		return; /* something that the start itself calls */
	if (load_relaxed(&heap_state) == HEAP_NONE) {
		now = start() == 0 ? HEAP_READY : HEAP_FAILED;
		if (now == HEAP_FAILED && !stele_opt.quiet)
			stele_say("stele: no address space or memory to start with; "
				  "every allocation fails\n");
		/* ORDER(START) release: a thread that finds it ready sees all that the heap set
		 * up. */
		ready_say(&heap_state, now);
	}
	stele_unlock(&starting);
}

int stele_heap_start(void)
{
	if (stele_likely(stele_heap_started()))
		return 0;
	if (load_relaxed(&heap_state) == HEAP_NONE)
		start_once();
	return stele_heap_started() ? 0 : -ENOMEM;
}

size_t stele_page_size(void)
{
	stele_heap_start();
	return stele_system_facts.page_size;
}

int get_order(size_t size)
{
	size_t page = stele_page_size();

	/* Not the sum of both, which may wrap. */
	return (int)stele_ilog2_up(size / page + (size % page != 0));
}

const struct stele_system *stele_system(void)
{
	stele_heap_start();
	return &stele_system_facts;
}
