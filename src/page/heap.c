/* SPDX-License-Identifier: MIT */
/*
 * page/heap.c - the one reservation and what lies where in it
 *
 * Idea      Everything Stele knows lies at an offset from one base:
 *             base          descriptor of "not ours", sentinels, size table, slots[]
 *             +1 MiB        page map: 4 bytes for each 4 KiB of the whole reservation
 *             then          slots, area counts, areas, descriptors
 *             then          the arena, 2 MiB aligned
 *           All of it is address space only; pages appear by touching.
 * Limits    RLIMIT_AS: three quarters of what is left are taken. RLIMIT_DATA and
 *           overcommit 2: the range is opened in steps as it is used.
 * Context   any; the first caller starts the heap, others wait for it. A signal handler
 *           that interrupts the start itself gets -ENOMEM.
 */
#include "page/heap.h"
#include "base/options.h"
#include "os/os.h"
#include "page/run.h"
#include "percpu/system.h"
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

struct stele_heap stele_heap;

/* From HEAP_STARTING on: that plus the id of the thread at work, in one word for its handlers. */
enum { HEAP_NONE, HEAP_READY, HEAP_FAILED, HEAP_STARTING };
static _Atomic uint32_t heap_state;

/* A stack's index names 4 TiB from the base; maps and descriptors lie before the arena. */
#define ARENA_MAX ((4ull << 40) - (64ull << 30))
#define ARENA_USUAL (1ull << 40)
#define ARENA_MIN (16ull << 20)

static size_t round_page(size_t n)
{
	return STELE_ALIGN_UP(n, (size_t)65536);
}

/* Fills in offsets for an arena of @arena bytes; returns the whole size. */
static size_t lay_out(struct stele_heap *h, size_t arena, unsigned slots)
{
	size_t areas = arena / AREA_SIZE, at = STELE_MAP_OFFSET, rest, map;
	size_t descriptors = arena / 32 < (16ull << 30) ? arena / 32 : 16ull << 30;

	rest = round_page((size_t)slots * STELE_SLOT_SIZE) + round_page(areas * 4) +
	       round_page(areas * sizeof(struct area)) + round_page(descriptors);
	map = round_page((STELE_MAP_OFFSET + rest + arena + 2 * AREA_SIZE) / FRAME_SIZE * 4);
	map += round_page(map / 512);
	at += map;
	h->map_bytes = map;
	h->slots_at = at;
	at += round_page((size_t)slots * STELE_SLOT_SIZE);
	h->counts_at = at;
	at += round_page(areas * 4);
	h->areas_at = at;
	at += round_page(areas * sizeof(struct area));
	h->descriptors_at = at;
	at += round_page(descriptors);
	h->descriptors_end = at;
	h->arena_at = STELE_ALIGN_UP(at, AREA_SIZE);
	h->areas_max = (uint32_t)areas;
	return h->arena_at + arena;
}

static size_t wanted_arena(void)
{
	size_t limit = stele_os_address_limit(), ram = stele_os_ram_bytes() * 4;
	size_t size = ram > ARENA_USUAL ? ram : ARENA_USUAL;

	if (stele_opt.arena_size)
		size = stele_opt.arena_size;
	if (size > ARENA_MAX)
		size = ARENA_MAX;
	if (limit != SIZE_MAX && size > limit / 4 * 3)
		size = limit / 4 * 3;
	return size / AREA_SIZE * AREA_SIZE;
}

int stele_heap_commit(const void *p, size_t size)
{
	uintptr_t page = stele_system_facts.page_size - 1;
	uintptr_t from = (uintptr_t)p & ~page, to = ((uintptr_t)p + size + page) & ~page;

	return stele_os_commit(&stele_heap.range, (void *)from, to - from);
}

static int reserve(unsigned slots)
{
	struct stele_heap *h = &stele_heap;
	size_t arena = wanted_arena();

	for (; arena >= ARENA_MIN; arena = arena / 2 / AREA_SIZE * AREA_SIZE) {
		size_t size = lay_out(h, arena, slots);

		if (stele_os_reserve(&h->range, size, AREA_SIZE) == 0) {
			stele_system_facts.arena_bytes = arena;
			return 0;
		}
	}
	return -ENOMEM;
}

/* Stepwise: what is read before anything is allocated must be there. */
static int open_metadata(unsigned slots)
{
	struct stele_heap *h = &stele_heap;

	if (!h->range.stepwise)
		return 0;
	if (stele_heap_commit(h->range.base, STELE_MAP_OFFSET) != 0)
		return -ENOMEM;
	if (stele_os_readable(h->range.base + STELE_MAP_OFFSET, h->map_bytes) != 0)
		return -ENOMEM;
	return stele_heap_commit(h->range.base + h->slots_at, (size_t)slots * STELE_SLOT_SIZE);
}

static int start(void)
{
	struct stele_system *facts = &stele_system_facts;

	stele_options_parse(environ);
	facts->page_size = stele_opt.page_size > stele_os_page_size() ? stele_opt.page_size
								      : stele_os_page_size();
	stele_system_choose();
	if (reserve(facts->slots) != 0)
		return -ENOMEM;
	facts->stepwise = stele_heap.range.stepwise;
	if (open_metadata(facts->slots) != 0)
		return -ENOMEM;
	if (!stele_opt.thp && !facts->stepwise)
		stele_os_no_hugepage(stele_heap.range.base, stele_heap.range.size);
	stele_hot.base = stele_heap.range.base;
	stele_pcpu_init(stele_heap.range.base + stele_heap.slots_at, facts->slots);
	atomic_store(&stele_heap.next_descriptor, stele_heap.descriptors_at);
	stele_hot.span = stele_heap.range.size;
	return 0;
}

bool stele_heap_started(void)
{
	return load_acquire(&heap_state) == HEAP_READY;
}

int stele_heap_start(void)
{
	uint32_t seen = load_acquire(&heap_state), self;

	if (stele_likely(seen == HEAP_READY))
		return 0;
	self = HEAP_STARTING + (uint32_t)syscall(SYS_gettid);
	if (seen == HEAP_NONE && cas_acquire(&heap_state, &seen, self)) {
		int error = start();

		/* ORDER(START) release: everything the heap set up is seen by who finds it ready. */
		store_release(&heap_state, error ? HEAP_FAILED : HEAP_READY);
		return error;
	}
	while ((seen = load_acquire(&heap_state)) >= HEAP_STARTING) {
		if (seen == self)
			return -ENOMEM;
		stele_os_yield();
	}
	return stele_heap_started() ? 0 : -ENOMEM;
}

size_t stele_page_size(void)
{
	stele_heap_start();
	return stele_system_facts.page_size;
}

const struct stele_system *stele_system(void)
{
	stele_heap_start();
	return &stele_system_facts;
}
