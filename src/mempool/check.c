/* SPDX-License-Identifier: MIT */
/*
 * mempool/check.c - what is no pool, the option mempool_debug, and failures on purpose
 *
 * Idea      An element in the reserve has no owner. The pool fills it with a pattern, and compares
 *           the pattern when the element leaves. Before an element goes in, the pool checks that it
 *           is one, and that it is not there already.
 * Limits    Pools of slab, kmalloc and pages have all of these checks. Other pools see only that
 *           the same element is there already.
 * Context   any; a look through the reserve takes time in proportion to its length.
 * Source    Linux mempool.c: the bytes, and the text of the report.
 * Tests     tests/contract/test_mempool.c
 */
#include "base/fmt.h"
#include "base/options.h"
#include "mempool/pool.h"
#include "cache/object.h"
#include "os/os.h"
#include "os/report.h"
#include "page/run.h"
#include "slab/object.h"
#include "slab/checks.h"
#include <stele/page.h>
#include <string.h>

#define FREE_BYTE 0x6b
#define LAST_BYTE 0xa5
#define USED_BYTE 0x5a

void stele_mempool_report_none(const char *call, const mempool_t *pool, const void *site)
{
	stele_say_site(site, "stele: %s: %p is not a pool%s", call, (const void *)pool,
		       pool ? ", or not any more" : "");
	stele_reported();
}

size_t stele_mempool_bytes(const mempool_t *pool)
{
	if (pool->alloc == mempool_alloc_slab)
		return kmem_cache_size(pool->pool_data);
	if (pool->alloc == mempool_kmalloc)
		return (size_t)pool->pool_data;
	if (pool->alloc == mempool_alloc_pages && (uintptr_t)pool->pool_data <= MAX_PAGE_ORDER)
		return PAGE_SIZE << (uintptr_t)pool->pool_data;
	return 0;
}

/* The bytes of @p that are checked, and where they are; 0: none. */
static size_t bytes_of(mempool_t *pool, void *p, unsigned char **at)
{
	*at = pool->alloc == mempool_alloc_pages ? page_address(p) : p;
	return stele_opt.mempool_debug ? inside(pool)->bytes : 0;
}

static bool is_element(const mempool_t *pool, const void *p)
{
	const struct run *run;

	if (pool->alloc == mempool_kmalloc)
		return stele_usable(p) >= (size_t)pool->pool_data;
	if (pool->alloc != mempool_alloc_slab)
		return true;
	run = stele_run_of(p);
	return run && run->kind == RUN_SLAB && run->cache == pool->pool_data &&
	       run_has_object_at(run, p);
}

/* ORDER(RESERVE) acquire: the places that are counted are there. */
static bool is_there(mempool_t *pool, const void *p)
{
	struct reserve *r = &inside(pool)->reserve;

	for (unsigned i = 0; i < load_acquire(&r->places); i++)
		if (load_relaxed(reserve_place(r, i)) == p)
			return true;
	return false;
}

bool stele_mempool_check_put(const char *call, mempool_t *pool, void *p, const void *site)
{
	const char *wrong = NULL;

	if (!stele_opt.mempool_debug)
		return true;
	if (!is_element(pool, p))
		wrong = "not an element of the pool";
	else if (is_there(pool, p))
		wrong = "the element is in the reserve already";
	if (!wrong)
		return true;
	stele_say_site(site, "stele: %s(%p, %p): %s; not freed", call, p, (void *)pool, wrong);
	stele_reported();
	return false;
}

void stele_mempool_poison(mempool_t *pool, void *p)
{
	unsigned char *at;
	size_t n = bytes_of(pool, p, &at);

	if (!n)
		return;
	memset(at, FREE_BYTE, n - 1);
	at[n - 1] = LAST_BYTE;
}

static size_t first_wrong(const unsigned char *at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (at[i] != (i == n - 1 ? LAST_BYTE : FREE_BYTE))
			return i;
	return n;
}

static void report_poison(mempool_t *pool, const unsigned char *at, size_t n, size_t wrong)
{
	size_t from = wrong < 8 ? 0 : wrong - 8, to = STELE_MIN(wrong + 8, n);
	char buf[128];
	struct stele_out out = { .buf = buf, .size = sizeof(buf) };

	for (size_t i = from; i < to; i++)
		stele_fmt(&out, "0x%x ", at[i]);
	stele_say("BUG: mempool element poison mismatch\nMempool %p size %zu\n nr=%u @ %p: "
		  "%s%.*s%s\n",
		  (const void *)pool, n,
		  counts_elements(load_relaxed(&inside(pool)->reserve.counts)), (const void *)at,
		  from ? "... " : "", (int)out.len, out.buf, to < n ? "..." : "");
	stele_reported();
}

void stele_mempool_unpoison(mempool_t *pool, void *p)
{
	unsigned char *at;
	size_t n = bytes_of(pool, p, &at), wrong;

	if (!n)
		return;
	wrong = first_wrong(at, n);
	if (wrong < n)
		report_poison(pool, at, n, wrong);
	memset(at, USED_BYTE, n);
}

bool stele_mempool_fails(const void *site, bool bulk)
{
	static _Atomic uint32_t calls[2];
	int64_t every = bulk ? stele_opt.fail_mempool_alloc_bulk : stele_opt.fail_mempool_alloc;

	if (!every || (add_relaxed(&calls[bulk], 1) + 1) % (uint32_t)every)
		return false;
	STELE_WARN_ONCE("stele: forcing mempool usage for %p\n", site);
	return true;
}
