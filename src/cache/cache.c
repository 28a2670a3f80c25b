/* SPDX-License-Identifier: MIT */
/*
 * cache/cache.c - caches: made, found, shrunk, destroyed
 *
 * Idea      A cache is complete, with its words in every slot, before it is listed. Destroy
 *           empties every slot and barn; if a slab is left, an object is alive: it is
 *           reported and the cache stays in memory, unlisted, so that late frees are safe.
 * Objects   list and refcounts are under the list lock. Geometry is fixed at create.
 * Locks     the CPU set for reading (percpu/cpus.h), walking, then list. Making a cache takes the last
 *           only: it is complete, with its words in every slot, before it is listed. A thread that
 *           holds the CPU set waits for no grace period: a callback after one may need the set. So
 *           a cache that a step, a constructor or a destructor destroys meanwhile leaves the list
 *           at once; the same thread empties it later, when it has let go of the set.
 *           No constructor or destructor ever runs under the list lock, so
 *           either may create and destroy caches. A walker pins the cache that it is at by a
 *           reference; the lock `walking` keeps other threads from destroying it meanwhile.
 * Context   ordinary threads, except stele_cache_boot() (any, idempotent). Signals are held back
 *           while something is taken apart, as it would be lost with a handler that never comes
 *           back; they are let in while readers are waited for, which may take any time.
 *           A handler that jumps out of such a wait leaves the cache as it is: out of the list,
 *           and in memory.
 * Order     MUTEX, LIST, SLABS.
 * Tests     tests/contract/test_cache_create.c
 */
#include "base/fmt.h"
#include "base/options.h"
#include "os/os.h"
#include "percpu/cpus.h"
#include "percpu/system.h"
#include "cache/broken.h"
#include "slab/dead.h"
#include "slab/slab.h"
#include "sync/held.h"
#include "sync/mutex.h"
#include <errno.h>
#include <stdlib.h>

static struct stele_mutex walking = STELE_MUTEX(WALKING);
static struct stele_mutex list_lock = STELE_MUTEX(LIST);
static struct kmem_cache *caches;
static struct kmem_cache *pinned;	     /* by the walk under way */
static _Atomic(struct kmem_cache *) put_off; /* destroyed, not emptied yet; looked at racily */
static struct kmem_cache cache_cache;	     /* where struct kmem_cache comes from */
static _Atomic bool cache_cache_ready;

#define LINE 64u

/* ---- geometry ---- */

/* Frames of a slab: near @target, with little left over at the end. */
static unsigned best_frames(uint32_t size, unsigned target)
{
	unsigned best = target, best_waste = 0;

	for (unsigned frames = target; frames <= target + target / 2 + 1; frames++) {
		size_t bytes = frames * FRAME_SIZE;
		unsigned waste = (unsigned)(bytes % size * 1024 / bytes);

		if (frames > AREA_FRAMES || bytes / size > SLAB_OBJECTS_MAX)
			break;
		if (frames == target || waste + 16 < best_waste) {
			best = frames;
			best_waste = waste;
		}
	}
	return best;
}

static unsigned target_frames(uint32_t size, bool tiny)
{
	size_t bytes = tiny ? size : size <= 1024 ? (size_t)size * 32 : (size_t)size * 8;
	unsigned frames;

	if (!tiny && size <= 1024)
		bytes = STELE_MAX(bytes, (size_t)8192);
	while (bytes / size > SLAB_OBJECTS_MAX)
		bytes /= 2;
	frames = (unsigned)((bytes + FRAME_SIZE - 1) / FRAME_SIZE);
	frames =
		STELE_MIN(frames, STELE_MAX(32u, (unsigned)((size + FRAME_SIZE - 1) / FRAME_SIZE)));
	while (frames > 1 && frames * FRAME_SIZE / size > SLAB_OBJECTS_MAX)
		frames--;
	return frames;
}

/* In whole pages, which the system can take back: of slabs that stay, it gets nothing else. */
static uint16_t whole_pages(unsigned frames)
{
	unsigned page = (unsigned)(stele_system_facts.page_size / FRAME_SIZE);

	return (uint16_t)STELE_ALIGN_UP(frames, page ? page : 1);
}

/* Objects a sheaf holds: some 32 KiB of them, and the block that has room for as many. */
static void set_sheaf(struct kmem_cache *s, unsigned wanted)
{
	unsigned capacity = STELE_MIN(STELE_MAX(32768u / s->size, 2u), 123u), bytes = 256;

	if (wanted)
		capacity = STELE_MIN(STELE_MAX(capacity, wanted), 123u);
	if (capacity > 59 && capacity < 100 && !wanted)
		capacity = 59;
	while (bytes / 8 - SHEAF_OVERHEAD < capacity)
		bytes *= 2;
	s->capacity = (uint16_t)capacity;
	s->sheaf_size = (uint16_t)bytes;
}

static void set_barn(struct kmem_cache *s)
{
	size_t sheaf = (size_t)s->capacity * s->size;

	s->barn_max = (uint32_t)STELE_MAX(stele_opt.barn_max / sheaf, (size_t)1);
	stele_cache_barns_limit(s, (uint32_t)STELE_MIN(STELE_MAX(32768 / sheaf, (size_t)1),
						       (size_t)s->barn_max));
}

/* Each field is stored once: a cache may be booted by a thread that is late (sync/ready.h). */
static void set_geometry(struct kmem_cache *s, uint32_t size, uint32_t align, uint32_t flags)
{
	bool tiny = stele_opt.profile == STELE_PROFILE_TINY;
	uint32_t lowbit, run_align;
	unsigned frames;

	store_relaxed(&s->object_size, size);
	s->align = align;
	s->flags = flags;
	s->size = (uint32_t)STELE_ALIGN_UP(size, align);
	s->recip = ~0ull / s->size + 1;
	frames = best_frames(s->size, target_frames(s->size, tiny));
	s->frames = flags & SLAB_KEPT ? whole_pages(frames) : (uint16_t)frames;
	s->objects = (uint32_t)(s->frames * FRAME_SIZE / s->size);
	lowbit = s->size & -s->size;
	run_align = STELE_MAX(lowbit, align) / FRAME_SIZE;
	s->run_align = (uint16_t)STELE_MIN(STELE_MAX(run_align, 1u), AREA_FRAMES / 2);
}

/*
 * The 32-bit test for the start of an object. With recip = (2^32 + e) / size, 0 <= e < size, and
 * q objects before the last, a distance of k sizes gives k * e, at most q * e: the limit is one
 * more. No other distance may come below it:
 *   k sizes + r, 0 < r < size     r * recip + k * e: from recip to 2^32 - recip + (q + 1) * e
 *   negative, by less than a size   at least recip - e
 *   negative, by one size           2^32 - e; 0 if e is 0, so nothing may lie behind the last
 *   negative, by more               (size - tail) * recip - 2 * e, if the tail is as long
 * So (q + 1) * e < recip will do; where the tail is nearly an object, (q + 2) * e.
 */
static void set_fast_test(struct kmem_cache *s)
{
	uint64_t recip = ((1ull << 32) + s->size - 1) / s->size, e = recip * s->size - (1ull << 32);
	uint32_t tail = (uint32_t)(s->frames * FRAME_SIZE % s->size);
	uint32_t steps = s->objects + (tail > s->size / 2);

	if (steps * e >= recip || (!e && tail) || recip >> 32)
		return;
	s->fast_recip = (uint32_t)recip;
	s->fast_limit = (uint32_t)((s->objects - 1) * e + 1);
	*facts_at(s->words) = (struct object_facts){
		.recip = s->fast_recip,
		.limit = s->fast_limit,
		.size = s->size,
	};
}

/* Sheaves, unless the profile or the flags want none, or no words are left. */
static void set_sheaves(struct kmem_cache *s, unsigned wanted)
{
	if (stele_opt.profile == STELE_PROFILE_TINY ||
	    s->flags & (SLAB_NO_SHEAVES | SLAB_DEBUG_FLAGS))
		return;
	s->words = stele_pcpu_alloc();
	if (!s->words)
		return;
	set_sheaf(s, wanted);
	set_barn(s);
	set_fast_test(s);
}

static void set_name(struct kmem_cache *s, const char *name)
{
	struct stele_out out = { .buf = s->name, .size = sizeof(s->name) };

	stele_out_str(&out, name);
	s->name_at = s->name;
}

void stele_cache_boot(struct kmem_cache *s, const char *name, uint32_t size, uint32_t align,
		      uint32_t flags)
{
	set_name(s, name);
	s->refcount = 1;
	s->is_static = true;
	set_geometry(s, size, align, flags);
	if (!s->words)
		set_sheaves(s, 0);
}

/* ---- the list ---- */

/* The child of a fork finds the list without the cache or with a complete one. */
static void push_list(struct kmem_cache *s)
{
	s->next = caches;
	/* ORDER(LIST) release: the cache is complete. */
	fence_release();
	caches = s;
}

void stele_cache_list(struct kmem_cache *row, unsigned n)
{
	/* Failed: node 0's serve. */
	for (unsigned i = 0; i < n; i++)
		stele_cache_nodes_make(&row[i]);
	stele_sheaf_nodes_make();
	if (stele_lock(&list_lock) != 0)
		return;
	while (n-- > 0)
		push_list(&row[n]);
	stele_unlock(&list_lock);
}

static struct kmem_cache *next_of_round; /* NULL: a round begins at the first one */

static void unlist(struct kmem_cache *s)
{
	struct kmem_cache **at = &caches;

	if (next_of_round == s)
		next_of_round = s->next;
	while (*at && *at != s)
		at = &(*at)->next;
	if (*at)
		*at = s->next;
}

bool stele_cache_try_sweep(void)
{
	if (!stele_trylock(&list_lock))
		return false;
	for (struct kmem_cache *s = caches; s; s = s->next)
		stele_dead_sweep(s);
	stele_unlock(&list_lock);
	return true;
}

void stele_cache_try_each(void (*each)(struct kmem_cache *, void *), void *arg)
{
	if (!stele_trylock(&list_lock))
		return;
	for (struct kmem_cache *s = caches; s; s = s->next)
		each(s, arg);
	stele_unlock(&list_lock);
}

bool stele_cache_try_some(unsigned most, void (*each)(struct kmem_cache *, void *), void *arg)
{
	struct kmem_cache *s;

	if (!stele_trylock(&list_lock))
		return false;
	s = next_of_round ? next_of_round : caches;
	for (; s && most--; s = s->next)
		each(s, arg);
	next_of_round = s;
	stele_unlock(&list_lock);
	return !s;
}

static void finish(struct kmem_cache *s, const void *caller);

typedef bool (*cache_question)(struct kmem_cache *s);

/* The next cache after @s in the list, or the first one, of which @that is true; pinned. @s is let
 * go. NULL at the end. */
static struct kmem_cache *next_pinned(struct kmem_cache *s, cache_question that)
{
	struct kmem_cache *next;
	bool gone;

	if (stele_lock(&list_lock) != 0)
		return NULL;
	next = s ? s->next : caches;
	while (next && that && !that(next))
		next = next->next;
	if (next)
		next->refcount++;
	/* ORDER(LIST) release: the child of a fork finds a reference too many, never too few. */
	fence_release();
	pinned = next;
	fence_release();
	gone = s && !--s->refcount;
	if (gone)
		unlist(s);
	stele_unlock(&list_lock);
	if (gone)
		finish(s, __builtin_return_address(0));
	return next;
}

/* Only those of which @that is true, a short look that calls nothing; NULL: all. */
static void each_that(cache_question that, void (*each)(struct kmem_cache *, void *), void *arg)
{
	uint64_t signals = stele_os_signals_hold();
	struct kmem_cache *s = NULL;

	cpus_read_lock();
	/* Refused: a destructor wants to walk from within a walk, which does its work as well. */
	if (stele_lock(&walking) == 0) {
		while ((s = next_pinned(s, that)))
			each(s, arg);
		stele_unlock(&walking);
	}
	stele_cpus_let_go();
	stele_os_signals_release(signals);
	stele_cpus_catch_up();
}

void stele_cache_each(void (*each)(struct kmem_cache *, void *), void *arg)
{
	each_that(NULL, each, arg);
}

/* ---- memory nodes ---- */

static void make_nodes(struct kmem_cache *s, void *arg)
{
	int *error = arg, failed = stele_cache_nodes_make(s);

	*error = failed ? failed : *error;
}

/* The nodes that the machine has now. */
static int look_for_nodes(void)
{
	int error = stele_lock(&list_lock);

	if (error)
		return error;
	stele_zones_look();
	stele_unlock(&list_lock);
	return 0;
}

/* A cache that is being made meanwhile finds the node, or is in the list when the walk begins. Any
 * node's number will do: the call makes all missing parts, for whichever node. */
int stele_nodes_prepare(int node)
{
	int error = stele_heap_start();

	if (error || node < 0 || (unsigned)node >= stele_nodes.count || !nodes_several())
		return error;
	error = look_for_nodes();
	if (error)
		return error;
	error = stele_sheaf_nodes_make();
	stele_cache_each(make_nodes, &error);
	return error;
}

static bool is_listed(const struct kmem_cache *s)
{
	const struct kmem_cache *at = caches;

	while (at && at != s)
		at = at->next;
	return at;
}

/* ---- create ---- */

struct request {
	const char *name;
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

static int check(struct request *r)
{
	struct kmem_cache_args *args = &r->args;

	r->problem = problem_of(r);
	if (r->problem)
		return -EINVAL;
	if (args->usersize &&
	    (args->useroffset > r->size || args->usersize > r->size - args->useroffset)) {
		stele_say("stele: kmem_cache_create(%s): useroffset %u and usersize %u are not "
			  "within "
			  "%zu bytes; taken as 0\n",
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
	 SLAB_NO_SHEAVES)
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

	for (struct kmem_cache *s = caches; s; s = s->next) {
		if (s->is_static || s->ctor || s->dtor || s->grace || s->flags & MERGE_NEVER)
			continue;
		if ((s->flags ^ r->flags) & MERGE_SAME || s->size < size ||
		    s->size - size >= sizeof(void *) || s->align % align)
			continue;
		return s;
	}
	return NULL;
}

static int boot_cache_cache(void)
{
	int error = stele_lock(&list_lock);

	if (error)
		return error;
	if (!load_relaxed(&cache_cache_ready)) {
		stele_cache_boot(&cache_cache, "kmem_cache", sizeof(struct kmem_cache), 64,
				 SLAB_NO_MERGE | SLAB_NO_SHEAVES | SLAB_KEPT | SLAB_OWN);
		/* ORDER(LIST) release: the child of a fork may have to boot it again. */
		store_release(&cache_cache_ready, true);
	}
	stele_unlock(&list_lock);
	return 0;
}

/* Gives back what a cache without slabs has beside its own memory. */
static void free_parts(struct kmem_cache *s)
{
	uint64_t words = s->words;

	s->words = s->capacity = 0;
	stele_cache_nodes_free(s);
	if (words)
		stele_pcpu_free(words);
}

static void free_cache(struct kmem_cache *s)
{
	free_parts(s);
	stele_slab_free_slow(&cache_cache, s);
}

/* @s, with the parts that each node needs; NULL if they cannot be made. */
static struct kmem_cache *with_nodes(struct kmem_cache *s)
{
	if (!s || stele_cache_nodes_make(s) == 0)
		return s;
	free_cache(s);
	return NULL;
}

/* Not under the lock: an allocation may find slabs to retire, and run their destructors. */
static struct kmem_cache *cache_memory(void)
{
	/* ORDER(LIST) acquire: it is complete. */
	if (!load_acquire(&cache_cache_ready) && boot_cache_cache() != 0)
		return NULL;
	return with_nodes(stele_slab_alloc_slow(&cache_cache, __GFP_ZERO));
}

static void fill_cache(struct kmem_cache *s, const struct request *r, uint32_t align)
{
	set_name(s, r->name);
	s->refcount = 1;
	s->ctor = r->args.ctor;
	s->dtor = r->args.dtor;
	s->grace = r->grace;
	set_geometry(s, (uint32_t)r->size, align,
		     r->flags | (r->args.sheaf_capacity || r->args.usersize ? SLAB_NO_MERGE : 0));
	set_sheaves(s, r->args.sheaf_capacity);
}

/* A mistake that tests make on purpose: others find it before it is complete. */
static void list_half_made(struct kmem_cache *s, const struct request *r)
{
	set_name(s, r->name);
	s->refcount = 1;
	push_list(s);
	stele_unlock(&list_lock);
	STELE_POINT("cache:making");
	if (stele_lock(&list_lock) != 0)
		abort();
}

/* Finds the cache, or makes it of @memory, unless that is NULL. */
static struct kmem_cache *create_locked(struct request *r, struct kmem_cache *memory)
{
	uint32_t align = wanted_align(r);
	struct kmem_cache *s = mergeable(r) ? find_mergeable(r, align) : NULL;

	if (s) {
		s->refcount++;
		store_relaxed(&s->object_size,
			      STELE_MAX(load_relaxed(&s->object_size), (uint32_t)r->size));
		return s;
	}
	if (!memory)
		return NULL;
	if (STELE_BROKEN_LIST_EARLY)
		list_half_made(memory, r);
	fill_cache(memory, r, align);
	STELE_POINT("cache:complete");
	if (!STELE_BROKEN_LIST_EARLY)
		push_list(memory);
	STELE_POINT("cache:listed");
	return memory;
}

/* Odd names work, but cause a warning: a reader of slabinfo would wonder. Under the lock. */
static void warn_name(const struct request *r)
{
	const char *problem = strchr(r->name, ' ') ? "has a space" : NULL;

	if (r->name_was_odd)
		problem = "had a control character";
	for (struct kmem_cache *s = caches; s && !problem; s = s->next)
		if (!strncmp(s->name, r->name, CACHE_NAME_MAX - 1))
			problem = "is taken";
	if (problem && !stele_opt.quiet)
		stele_say("stele: kmem_cache_create(%s): the name %s\n", r->name, problem);
}

/* Takes the list's lock when a node that got memory meanwhile has what it needs in *memory. */
static int lock_with_nodes(struct kmem_cache **memory)
{
	for (;;) {
		int error = stele_lock(&list_lock);

		if (error || !*memory || stele_cache_nodes_whole(*memory))
			return error;
		stele_unlock(&list_lock);
		*memory = with_nodes(*memory);
	}
}

/* *error says why it is NULL. */
static struct kmem_cache *find_or_make(struct request *r, int *error)
{
	uint64_t signals = stele_os_signals_hold();
	struct kmem_cache *memory = cache_memory(), *s = NULL;

	*error = lock_with_nodes(&memory);
	if (!*error) {
		warn_name(r);
		s = create_locked(r, memory);
		stele_unlock(&list_lock);
		*error = s ? 0 : -ENOMEM;
	}
	if (memory && memory != s)
		free_cache(memory);
	stele_os_signals_release(signals);
	return s;
}

static void create_failed(const struct request *r, int error)
{
	const char *mark = r->problem ? ": " : "", *problem = r->problem ? r->problem : "";

	if (r->flags & SLAB_PANIC) {
		stele_say("stele: kmem_cache_create: Failed to create slab '%s'. Error %d%s%s\n",
			  r->name, error, mark, problem);
		abort();
	}
	if (!stele_opt.quiet)
		stele_say("stele: kmem_cache_create(%s) failed with error %d%s%s\n", r->name, error,
			  mark, problem);
}

struct kmem_cache *kmem_cache_create_args(const char *name, size_t size,
					  const struct kmem_cache_args *args, slab_flags_t flags)
{
	struct request r = { .name = name, .size = size, .flags = flags };
	struct kmem_cache *s = NULL;
	int error;

	if (args)
		r.args = *args;
	copy_name(&r);
	error = stele_heap_start();
	if (!error)
		error = check(&r);
	if (!error)
		error = find_grace(&r);
	if (!error)
		s = find_or_make(&r, &error);
	if (!s)
		create_failed(&r, error);
	return s;
}

struct kmem_cache *(kmem_cache_create)(const char *name, size_t size, unsigned int align,
				       slab_flags_t flags, void (*ctor)(void *))
{
	struct kmem_cache_args args = { .align = align, .ctor = ctor };

	return kmem_cache_create_args(name, size, &args, flags);
}

/* ---- shrink ---- */

static int empty_held(struct kmem_cache *s)
{
	uint64_t signals = stele_os_signals_hold();
	int error;

	/* Until a slot that goes has gone, another thread has its objects in hand. */
	if (!STELE_BROKEN_FLUSH_UNHELD)
		cpus_read_lock();
	stele_deferred_drain_all();
	error = stele_slab_flush_all(s, true);
	stele_slabs_tidy(s);
	if (!STELE_BROKEN_FLUSH_UNHELD)
		stele_cpus_let_go();
	stele_os_signals_release(signals);
	stele_cpus_catch_up();
	return error;
}

static int shrink(struct kmem_cache *s)
{
	uint64_t slabs;

	if (STELE_DEBUG && s->destroyed) {
		stele_report_destroyed("kmem_cache_shrink", s);
		return 0;
	}
	if (stele_grace_used())
		stele_rcu_flush(s);
	empty_held(s);
	/* ORDER(SLABS) acquire */
	slabs = load_acquire(&s->slabs);
	return (uint32_t)slabs > slabs / SLAB_DYING ? 1 : 0;
}

/* Frames that were free before may stay; those that the cache gives up go back at once. */
int kmem_cache_shrink(struct kmem_cache *s)
{
	uint64_t before = stele_dirty_free();
	int left = shrink(s);

	stele_kept_purge();
	stele_purge(STELE_MAX(before * FRAME_SIZE, FRAME_SIZE));
	return left;
}

static void shrink_each(struct kmem_cache *s, void *arg)
{
	(void)arg;
	shrink(s);
}

/* An empty slab that is listed was noted (deferred.c), so all that a cache can give up is in sheaves,
 * waits for readers, or is a descriptor of a dead slab. */
static bool has_to_give(struct kmem_cache *s)
{
	bool listed = false, dead = stele_dead_waiting();

	for (unsigned node = 0; dead && node < stele_nodes.count; node++)
		listed |= cache_has_node(s, node) &&
			  STELE_STACK_INDEX(load_relaxed(&cache_partial(s, node)->head));
	return listed || stele_grace_used() || stele_slab_has_sheaves(s);
}

#define KEPT 64u /* destroyed caches whose names debug builds know, until memory is asked back */

static _Atomic(struct kmem_cache *) kept[KEPT];

static void keep_no_longer(void)
{
	for (unsigned i = 0; i < KEPT; i++) {
		/* ORDER(DESTROYED) acquire: the thread that destroyed it is done with it. */
		struct kmem_cache *s = exchange_acq_rel(&kept[i], NULL);

		if (s)
			stele_slab_free_slow(&cache_cache, s);
	}
}

void stele_shrink_all(size_t keep_bytes)
{
	if (STELE_DEBUG)
		keep_no_longer();
	if (stele_deferred_pending())
		stele_deferred_drain_all();
	each_that(has_to_give, shrink_each, NULL);
	stele_kept_purge();
	stele_purge(keep_bytes);
}

/* ---- destroy ---- */

#define REPORTED_OBJECTS 16

struct leftover {
	struct kmem_cache *s;
	unsigned printed; /* or counted */
};

static STELE_RACY_LOOK void report_slab(struct run *run, void *arg)
{
	struct leftover *left = arg;

	if (run->kind != RUN_SLAB || run->cache != left->s || !run->recip)
		return;
	for (uint32_t i = 0; i < run->objects; i++) {
		uintptr_t p = run->base + (uintptr_t)i * run->size;

		if (stele_object_is_free(run, (void *)p) || left->printed++ >= REPORTED_OBJECTS)
			continue;
		stele_say("stele: Object %p @offset=%zu\n", (void *)p, (size_t)(p - run->base));
	}
}

static void report_leftovers(struct kmem_cache *s, const void *caller)
{
	struct leftover left = { .s = s };

	stele_say("stele: BUG %s: Objects remaining on kmem_cache_destroy()\n", s->name);
	stele_run_each(report_slab, &left);
	if (left.printed > REPORTED_OBJECTS)
		stele_say("stele: ... and %u more objects\n", left.printed - REPORTED_OBJECTS);
	stele_say(
		"stele: kmem_cache_destroy %s: Slab cache still has objects when called from %p\n",
		s->name, caller);
}

static STELE_RACY_LOOK void count_live(struct run *run, void *arg)
{
	struct leftover *left = arg;

	if (run->kind != RUN_SLAB || run->cache != left->s || !run->recip)
		return;
	for (uint32_t i = 0; i < run->objects; i++)
		left->printed +=
			!stele_object_is_free(run, (void *)(run->base + (uintptr_t)i * run->size));
}

/*
 * Empties a cache that no thread uses, as far as the system lets us. A slab without live objects
 * that is left is in the hands of another thread that retires it for us (deferred.c): it will be
 * done soon, unless it was stopped for good, and then the cache must stay as well.
 */
static int empty_for_good(struct kmem_cache *s)
{
	int error;

	s->ending = true;
	error = empty_held(s);
	if (s->flags & SLAB_TYPESAFE_BY_RCU && stele_grace_runner)
		stele_grace_runner->barrier(stele_grace_of(s));
	/* ORDER(SLABS) acquire */
	for (int i = 0; !error && load_acquire(&s->slabs) && i < PATIENCE; i++) {
		struct leftover left = { .s = s };

		stele_run_each(count_live, &left);
		if (left.printed)
			break;
		stele_os_nap();
		error = empty_held(s);
	}
	return error;
}

/* In debug builds: keeps it, every use of which goes the slow way. One that was kept long enough
 * comes out instead, or NULL. */
static struct kmem_cache *keep_for_a_while(struct kmem_cache *s)
{
	static _Atomic uint32_t next;

	s->destroyed = true;
	/* ORDER(DESTROYED) release: done with this one; acquire: with the one that comes out, too. */
	return exchange_acq_rel(&kept[add_relaxed(&next, 1) % KEPT], s);
}

static void release_cache(struct kmem_cache *s)
{
	uint64_t signals = stele_os_signals_hold();

	/* The slabs that others buried after the last look. */
	stele_slabs_tidy(s);
	free_parts(s);
	if (STELE_DEBUG)
		s = keep_for_a_while(s);
	if (s)
		stele_slab_free_slow(&cache_cache, s);
	stele_os_signals_release(signals);
}

/* A cache that is in no list any more. Waits with signals open. */
static void empty_and_release(struct kmem_cache *s, const void *caller)
{
	int error = empty_for_good(s);

	/* ORDER(SLABS) acquire */
	if (!load_acquire(&s->slabs))
		release_cache(s);
	else if (error)
		stele_say("stele: kmem_cache_destroy %s: the system refuses membarrier (error %d), "
			  "so free objects cannot be told from others; kept\n",
			  s->name, error);
	else
		report_leftovers(s, caller);
}

/* Like push_list(), for a cache that is in no list any more. */
static void put_off_emptying(struct kmem_cache *s, const void *caller)
{
	s->put_off_by = stele_thread_cpus();
	s->destroyed_from = caller;
	if (stele_lock(&list_lock) != 0)
		return;
	s->next = load_relaxed(&put_off);
	/* ORDER(LIST) release: the child of a fork finds the list whole. */
	store_release(&put_off, s);
	stele_unlock(&list_lock);
}

/* One that this thread has put off, or NULL. */
static struct kmem_cache *take_put_off(void)
{
	struct kmem_cache *s, *before = NULL;

	if (!load_relaxed(&put_off) || stele_lock(&list_lock) != 0)
		return NULL;
	for (s = load_relaxed(&put_off); s && s->put_off_by != stele_thread_cpus(); s = s->next)
		before = s;
	if (s && before)
		before->next = s->next;
	else if (s)
		store_relaxed(&put_off, s->next);
	stele_unlock(&list_lock);
	return s;
}

/* This thread has let go of the CPU set. */
static void empty_put_off(void)
{
	struct kmem_cache *s;

	while ((s = take_put_off())) {
		if (stele_grace_used())
			stele_rcu_barrier(s);
		empty_and_release(s, s->destroyed_from);
	}
}

/* Emptying waits, for grace periods above all; a thread that holds the CPU set does it later. */
static void finish(struct kmem_cache *s, const void *caller)
{
	if (stele_cpus_are_held())
		put_off_emptying(s, caller);
	else
		empty_and_release(s, caller);
}

/* A reference more, so that the cache stays what it is. False: it is not in the list. */
static bool pin(struct kmem_cache *s)
{
	bool listed;

	if (stele_lock(&list_lock) != 0)
		return false;
	listed = is_listed(s);
	s->refcount += listed;
	stele_unlock(&list_lock);
	return listed;
}

/* @s may be anything. */
static bool was_destroyed(const struct kmem_cache *s)
{
	const struct run *run = stele_run_of(s);

	return run && run->kind == RUN_SLAB && run->cache == &cache_cache &&
	       run_has_object_at(run, s) && s->destroyed;
}

/* Takes @n references away. True: the last one went, and the cache is in no list any more. */
static bool drop(struct kmem_cache *s, int n)
{
	bool listed, last;

	if (stele_lock(&list_lock) != 0)
		return false;
	listed = is_listed(s);
	if (listed)
		s->refcount -= n;
	last = listed && !s->refcount;
	if (last)
		unlist(s);
	stele_unlock(&list_lock);
	if (!listed && STELE_DEBUG && was_destroyed(s))
		stele_report_destroyed("kmem_cache_destroy", s);
	else if (!listed)
		stele_say("stele: kmem_cache_destroy(%p): not a cache, or already destroyed\n",
			  (void *)s);
	return last;
}

/* Objects that were given to kfree_rcu() come back first. No lock is held: readers may take any. */
static int wait_for_readers(struct kmem_cache *s)
{
	if (!stele_grace_used() || stele_cpus_are_held() || !pin(s))
		return 1;
	stele_rcu_barrier(s);
	return 2;
}

/*
 * Walkers are waited for before the cache is dropped, as they have pinned it; after that it is in
 * no list, and nobody is waited for but readers, whose grace periods may need caches themselves.
 */
void kmem_cache_destroy(struct kmem_cache *s)
{
	bool locked, last;
	uint64_t signals;
	int references;

	if (!s)
		return;
	references = wait_for_readers(s);
	signals = stele_os_signals_hold();
	/* Not waited for when this is a destructor called by a walk of this very thread. */
	locked = stele_lock(&walking) == 0;
	last = drop(s, references);
	if (locked)
		stele_unlock(&walking);
	stele_os_signals_release(signals);
	if (last)
		finish(s, __builtin_return_address(0));
}

unsigned int kmem_cache_size(struct kmem_cache *s)
{
	return load_relaxed(&s->object_size);
}

bool slab_is_available(void)
{
	return stele_heap_start() == 0;
}

/* ---- fork ---- */

/* No thread goes on with a walk that another thread had begun. */
static void unpin(void)
{
	if (pinned && pinned->refcount > 1)
		pinned->refcount--;
	pinned = NULL;
}

STELE_NEVER_WAITS void stele_slab_after_fork_child(void)
{
	stele_os_process_forked();
	stele_ranks_after_fork();
}

static void walking_in_child(void)
{
	if (stele_mutex_after_fork(&walking))
		unpin();
}

/* The list is whole at every moment (push_list()), so a child only needs the lock. */
static void list_in_child(void)
{
	stele_mutex_after_fork(&list_lock);
	stele_deferred_after_fork();
	stele_rcu_after_fork();
	stele_cold_after_fork();
}

static void taking_in_child(void)
{
	if (stele_heap_started())
		stele_pcpu_after_fork();
}

static void ask_for_children(void)
{
	stele_rank_in_child(STELE_RANK_WATCH, stele_cpu_watch_after_fork);
	stele_rank_in_child(STELE_RANK_CPUS, stele_cpus_after_fork);
	stele_rank_in_child(STELE_RANK_STEPS, stele_cpu_steps_after_fork);
	stele_rank_in_child(STELE_RANK_WALKING, walking_in_child);
	stele_rank_in_child(STELE_RANK_LIST, list_in_child);
	stele_rank_in_child(STELE_RANK_TRACE, stele_trace_after_fork);
	stele_rank_in_child(STELE_RANK_TAKING, taking_in_child);
}

/* Here and not in start.c: from an archive a program gets only the files that it names. */
static __attribute__((constructor)) void start_early(void)
{
	ask_for_children();
	stele_slab_watch_fork();
	stele_slab_watch_cpus();
	stele_cache_watch_memory();
	stele_cpus_left = empty_put_off;
}
