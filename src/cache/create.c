/* SPDX-License-Identifier: MIT */
/*
 * cache/create.c - makes a cache, or finds one that serves as well
 *
 * Idea      A cache is complete, with its words in every slot, before it is listed. One whose objects
 *           fit is found and shared, unless the caller or an option asks otherwise.
 * Locks     list. A cache's memory is taken before, and given back after: that may run constructors
 *           and destructors.
 * Context   ordinary threads. Signals are held back while a cache is in hand.
 * Order     LIST
 * Failure   NULL after one message, or the end of the program with SLAB_PANIC.
 * Tests     tests/contract/test_cache_create.c
 */
#include "base/fmt.h"
#include "base/options.h"
#include "cache/broken.h"
#include "cache/caches.h"
#include "os/os.h"
#include "page/run.h"
#include "slab/chosen.h"
#include "slab/geometry.h"
#include "slab/parts.h"
#include "sync/grace.h"
#include "sync/mutex.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LINE 64u

struct request {
	const char *name;
	const void *site; /* where the call returns to */
	size_t size;
	struct kmem_cache_args args;
	slab_flags_t flags;
	struct stele_grace *grace; /* of its readers, where it names some */
	const char *problem;	   /* why it is refused, where that is known */
	char text[CACHE_NAME_MAX]; /* the part of the name that is kept */
	bool name_was_odd;
};

#define ALIGN_MAX (AREA_SIZE / 2)

static const char *freeptr_problem(const struct request *r)
{
	const struct kmem_cache_args *args = &r->args;

	if (!args->ctor && !(r->flags & SLAB_TYPESAFE_BY_RCU))
		return "a freeptr_offset without SLAB_TYPESAFE_BY_RCU or a constructor";
	if (args->freeptr_offset >= r->size)
		return "the freeptr_offset is outside of the object";
	if (args->freeptr_offset % sizeof(void *))
		return "the freeptr_offset is not that of a pointer";
	return NULL;
}

/* Why there is no such cache, or NULL. */
static const char *problem_of(const struct request *r)
{
	const struct kmem_cache_args *args = &r->args;

	if (!r->name)
		return "it has no name";
	if (!r->size)
		return "the size is 0";
	if (r->size > STELE_MIN(KMALLOC_MAX_SIZE, AREA_SIZE))
		return "the size is above KMEM_CACHE_MAX_SIZE";
	if (r->flags & ~SLAB_FLAGS_PERMITTED)
		return "a flag is outside of SLAB_FLAGS_PERMITTED";
	if (args->align & (args->align - 1))
		return "the alignment is not a power of two";
	if (args->align > ALIGN_MAX)
		return "the alignment is above 1 MiB";
	return args->use_freeptr_offset ? freeptr_problem(r) : NULL;
}

/* Lists of caches have a line for each, and messages are lines. */
static void copy_name(struct request *r)
{
	struct stele_out out;

	stele_out_init(&out, r->text, sizeof(r->text));
	stele_out_str(&out, r->name);
	for (char *c = r->text; *c; c++) {
		if ((unsigned char)*c >= ' ' && *c != 127)
			continue;
		*c = '?';
		r->name_was_odd = true;
	}
	r->name = r->name ? r->text : NULL;
}

static int check_request(struct request *r)
{
	struct kmem_cache_args *args = &r->args;

	r->problem = problem_of(r);
	if (r->problem)
		return -EINVAL;
	if (args->usersize &&
	    (args->useroffset > r->size || args->usersize > r->size - args->useroffset)) {
		stele_say_site(r->site,
			       "stele: kmem_cache_create(%s): useroffset %u and usersize %u are "
			       "not within %zu bytes; taken as 0",
			       r->name, args->useroffset, args->usersize, r->size);
		args->useroffset = args->usersize = 0;
	}
	return 0;
}

/* The grace periods that the cache needs, before anything can wait for one. */
static int find_grace(struct request *r)
{
	int error;

	if (!(r->flags & SLAB_TYPESAFE_BY_RCU) && !r->args.rcu_flavor)
		return 0;
	error = stele_grace_runner ? stele_grace_runner->start(r->args.rcu_flavor, &r->grace)
				   : -EINVAL;
	if (error == -EINVAL)
		r->problem = "no RCU flavour: link liburcu-memb or call stele_rcu_set_flavor()";
	return error;
}

/* A line where asked for, halved while the object fits in half of it. */
static uint32_t wanted_align(const struct request *r)
{
	uint32_t align = LINE;

	if (!(r->flags & SLAB_HWCACHE_ALIGN))
		align = 0;
	while (align > sizeof(void *) && r->size <= align / 2)
		align /= 2;
	align = STELE_MAX(align, r->args.align);
	return STELE_MAX(align, (uint32_t)sizeof(void *));
}

#define MERGE_NEVER                                                                                \
	(SLAB_DEBUG_FLAGS | SLAB_TYPESAFE_BY_RCU | SLAB_NOLEAKTRACE | SLAB_NO_MERGE |              \
	 SLAB_NO_SHEAVES | SLAB_FAILSLAB)
#define MERGE_SAME (SLAB_RECLAIM_ACCOUNT | SLAB_CACHE_DMA | SLAB_CACHE_DMA32 | SLAB_ACCOUNT)

static bool mergeable(const struct request *r)
{
	return !stele_opt.nomerge && !r->args.ctor && !r->args.dtor && !r->args.usersize &&
	       !r->args.sheaf_capacity && !r->args.rcu_flavor && !(r->flags & MERGE_NEVER);
}

/* An existing cache whose objects serve as well. Under the lock. */
static struct kmem_cache *find_mergeable(const struct request *r, uint32_t align)
{
	uint32_t size = (uint32_t)STELE_ALIGN_UP(r->size, align);

	for (struct kmem_cache *s = stele_caches; s; s = s->next) {
		if (s->is_static || s->ctor || s->dtor || s->grace || s->flags & MERGE_NEVER)
			continue;
		if ((s->flags ^ r->flags) & MERGE_SAME || s->size < size ||
		    s->size - size >= sizeof(void *) || s->align % align)
			continue;
		return s;
	}
	return NULL;
}

static void fill_cache(struct kmem_cache *s, const struct request *r, uint32_t align)
{
	stele_cache_name(s, r->name);
	s->refcount = 1;
	s->ctor = r->args.ctor;
	s->dtor = r->args.dtor;
	s->grace = r->grace;
	store_relaxed(&s->fault_marked, (r->flags & SLAB_FAILSLAB) != 0);
	stele_slab_geometry(s, (uint32_t)r->size, align,
			    r->flags | (r->args.sheaf_capacity || r->args.usersize ? SLAB_NO_MERGE
										   : 0));
	stele_cache_sheaves(s, r->args.sheaf_capacity);
}

/* A mistake that tests make on purpose: other threads find the cache before it is complete. */
static void list_half_made(struct kmem_cache *s, const struct request *r)
{
	stele_cache_name(s, r->name);
	s->refcount = 1;
	stele_list_push(s);
	stele_unlock(&stele_list_lock);
	STELE_POINT("cache:making");
	if (stele_lock(&stele_list_lock) != 0)
		abort();
}

/* Finds the cache, or makes it of @memory, unless that is NULL. */
static struct kmem_cache *create_locked(struct request *r, struct kmem_cache *memory)
{
	uint32_t align = wanted_align(r);
	struct kmem_cache *s = mergeable(r) ? find_mergeable(r, align) : NULL;

	if (s) {
		s->refcount++;
		s->awaited = false;
		store_relaxed(&s->object_size, STELE_MAX(cache_object_size(s), (uint32_t)r->size));
		return s;
	}
	if (!memory)
		return NULL;
	if (STELE_BROKEN_LIST_EARLY)
		list_half_made(memory, r);
	fill_cache(memory, r, align);
	STELE_POINT("cache:complete");
	if (!STELE_BROKEN_LIST_EARLY)
		stele_list_push(memory);
	STELE_POINT("cache:listed");
	return memory;
}

/* Odd names work, but cause a warning: a reader of slabinfo would wonder. Under the lock. */
static void warn_name(const struct request *r)
{
	const char *problem = strchr(r->name, ' ') ? "has a space" : NULL;

	if (r->name_was_odd)
		problem = "had a control character";
	for (struct kmem_cache *s = stele_caches; s && !problem; s = s->next)
		if (!strncmp(s->name, r->name, CACHE_NAME_MAX - 1))
			problem = "is taken";
	if (problem && !stele_opt.quiet)
		stele_say_site(r->site,
			       "stele: kmem_cache_create(%s): the name %s; the cache is made all "
			       "the same",
			       r->name, problem);
}

static void warn_cache_flags(const struct request *r)
{
	if (r->flags & SLAB_DEBUG_OBJECTS)
		STELE_WARN_SITE_ONCE(r->site,
				     "stele: kmem_cache_create(%s): SLAB_DEBUG_OBJECTS has no "
				     "effect; the cache is made all the same",
				     r->name);
}

/* Takes the list's lock when a node that got memory meanwhile has what it needs in *memory. */
static int lock_with_nodes(struct kmem_cache **memory)
{
	for (;;) {
		int error = stele_lock(&stele_list_lock);

		if (error || !*memory || stele_cache_nodes_whole(*memory))
			return error;
		stele_unlock(&stele_list_lock);
		*memory = stele_cache_with_nodes(*memory);
	}
}

/* *error says why it is NULL. */
static struct kmem_cache *find_or_make(struct request *r, int *error)
{
	uint64_t signals = stele_os_signals_hold();
	struct kmem_cache *memory = stele_cache_take(), *s = NULL;

	*error = lock_with_nodes(&memory);
	if (!*error) {
		warn_name(r);
		warn_cache_flags(r);
		s = create_locked(r, memory);
		stele_unlock(&stele_list_lock);
		*error = s ? 0 : -ENOMEM;
	}
	if (memory && memory != s)
		stele_cache_free(memory);
	stele_os_signals_release(signals);
	return s;
}

static void create_failed(const struct request *r, int error)
{
	const char *mark = r->problem ? ": " : "", *problem = r->problem ? r->problem : "";
	const char *name = r->name ? r->name : "no name";

	if (r->flags & SLAB_PANIC) {
		stele_say_site(r->site,
			       "stele: kmem_cache_create: Failed to create slab '%s'. Error %d%s%s",
			       name, error, mark, problem);
		abort();
	}
	if (!stele_opt.quiet)
		stele_say_site(r->site, "stele: kmem_cache_create(%s) failed with error %d%s%s",
			       name, error, mark, problem);
}

struct kmem_cache *stele_cache_create(const char *name, size_t size,
				      const struct kmem_cache_args *args, slab_flags_t flags,
				      const void *site)
{
	struct request r = { .name = name, .site = site, .size = size, .flags = flags };
	struct kmem_cache *s = NULL;
	int error;

	if (args)
		r.args = *args;
	copy_name(&r);
	stele_cache_start();
	error = stele_heap_start();
	if (!error)
		error = check_request(&r);
	if (!error)
		r.flags = stele_debug_chosen(r.name, r.flags);
	if (!error)
		error = find_grace(&r);
	if (!error)
		s = find_or_make(&r, &error);
	if (!s)
		create_failed(&r, error);
	return s;
}

struct kmem_cache *kmem_cache_create_args(const char *name, size_t size,
					  const struct kmem_cache_args *args, slab_flags_t flags)
{
	return stele_cache_create(name, size, args, flags, STELE_CALLER);
}

struct kmem_cache *(kmem_cache_create)(const char *name, size_t size, unsigned int align,
				       slab_flags_t flags, void (*ctor)(void *))
{
	struct kmem_cache_args args = { .align = align, .ctor = ctor };

	return stele_cache_create(name, size, &args, flags, STELE_CALLER);
}

unsigned int kmem_cache_size(struct kmem_cache *s)
{
	return cache_object_size(s);
}

bool slab_is_available(void)
{
	return stele_heap_start() == 0;
}
