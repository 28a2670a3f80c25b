/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/sweep.c - every size, against a reference that knows who owns each byte
 *
 * Idea      A map beside the heap has one byte for each 8 bytes of memory: 0, or the number
 *           of the owner. An allocating thread claims all that ksize() promises and finds only
 *           zeroes there; a freeing thread finds only its own number. Threads sweep through all
 *           sizes, by every way to allocate, and exchange blocks. The allocator keeps its
 *           knowledge of a block apart from it, so a block can be filled to the brim.
 * Limit     The map takes addresses modulo 32 GiB, which is much more than is ever live. The
 *           stretches of memory nodes are a power of two apart, 64 GiB at least: which of them it
 *           is moves each 2 GiB or more further on.
 * Argument  seconds to run.
 */
#include "stress.h"
#include <sys/mman.h>

#define THREADS 4
#define MAP_BYTES (1ul << 32)
#define GRANULE 8
#define TABLE 1024
#define BULK 24
#define TYPED_SIZE 328

struct block {
	unsigned char *p;
	size_t size; /* as ksize() says */
	unsigned char owner;
	bool typed;
};

/* Index plus one of a block record that nobody holds in hand; taken by exchange. */
static _Atomic(struct block *) table[TABLE];
static _Atomic unsigned char *owners;
static struct kmem_cache *cache;

static _Atomic unsigned char *owner_at(const unsigned char *p)
{
	uintptr_t stretch = (uintptr_t)p >> 36;
	uintptr_t apart = stretch + (stretch >> 4) + (stretch >> 8);

	return &owners[((uintptr_t)p / GRANULE + apart * (MAP_BYTES / 16)) % MAP_BYTES];
}

static void change_owner(const unsigned char *p, size_t size, unsigned char from, unsigned char to)
{
	for (size_t i = 0; i < size; i += GRANULE) {
		unsigned char was =
			atomic_exchange_explicit(owner_at(p + i), to, memory_order_relaxed);

		MUST_FOR(was == from, was);
	}
}

/* All of a small block, ends and samples of a large one. */
static size_t stride(size_t i, size_t size)
{
	return i < 256 || i + 256 > size ? 1 : 61;
}

static void take(struct block *b)
{
	b->size = ksize(b->p);
	change_owner(b->p, b->size, 0, b->owner);
	for (size_t i = 0; i < b->size; i += stride(i, b->size))
		b->p[i] = (unsigned char)(b->owner + i);
}

static void check_bytes(const struct block *b, size_t size)
{
	for (size_t i = 0; i < size; i += stride(i, b->size))
		MUST_FOR(b->p[i] == (unsigned char)(b->owner + i), i);
}

/* Contents and owner are right; from here on the memory is nobody's. */
static void leave(struct block *b)
{
	check_bytes(b, b->size);
	change_owner(b->p, b->size, b->owner, 0);
}

static void *zeroed(size_t size)
{
	unsigned char *p = kzalloc(size, GFP_KERNEL);

	for (size_t i = 0; p && i < size; i += stride(i, size))
		MUST_FOR(p[i] == 0, i);
	return p;
}

static struct block *make_block(size_t size, unsigned char owner, uint64_t r)
{
	struct block *b = malloc(sizeof(*b));

	MUST(b);
	*b = (struct block){ .owner = owner, .typed = r % 8 == 0 };
	if (b->typed)
		b->p = kmem_cache_alloc(cache, GFP_KERNEL);
	else if (r % 8 == 1 && size <= KMALLOC_MAX_CACHE_SIZE)
		b->p = kmalloc_nolock(size, 0, NUMA_NO_NODE);
	else
		b->p = r % 2 ? zeroed(size) : kmalloc(size, GFP_KERNEL);
	MUST_FOR(b->p, size);
	take(b);
	MUST_FOR(b->size >= (b->typed ? TYPED_SIZE : size), size);
	return b;
}

static void drop_block(struct block *b)
{
	leave(b);
	if (b->typed)
		kmem_cache_free(cache, b->p);
	else
		kfree(b->p);
	free(b);
}

static void resize(struct block *b, size_t size)
{
	size_t keep = b->size < size ? b->size : size, before = b->size;

	/* In place or not is the allocator's choice, so the bytes are given up first. */
	leave(b);
	b->p = krealloc(b->p, size, GFP_KERNEL);
	MUST_FOR(b->p, size);
	b->size = ksize(b->p);
	for (size_t i = 0; i < keep; i += stride(i, before))
		MUST_FOR(b->p[i] == (unsigned char)(b->owner + i), i);
	take(b);
}

static void bulk(unsigned char owner)
{
	struct block b = { .owner = owner };
	void *p[BULK];

	MUST(kmem_cache_alloc_bulk(cache, GFP_KERNEL, BULK, p));
	for (int i = 0; i < BULK; i++) {
		b.p = p[i];
		take(&b);
	}
	for (int i = 0; i < BULK; i++) {
		b.p = p[i];
		b.size = ksize(p[i]);
		leave(&b);
	}
	kmem_cache_free_bulk(cache, BULK, p);
}

/* Each size to 33,000; now and then one with pages of its own. */
static size_t next_size(size_t *at, uint64_t r)
{
	*at = *at % 33000 + 1 + r % 7;
	if (r % 199 == 0)
		return 33000 + r / 256 % (3ul << 20);
	return r % 3 ? *at % 1024 + 1 : *at;
}

static void *work_on_blocks(void *number)
{
	uint64_t random = random_seed((uintptr_t)number);
	unsigned char owner = (unsigned char)((uintptr_t)number + 1);
	size_t at = (uintptr_t)number * 8000;

	while (!stopped()) {
		uint64_t r = next_random(&random);
		_Atomic(struct block *) *slot = &table[(r >> 40) % TABLE];
		struct block *b = atomic_exchange(slot, NULL);

		if (b && !b->typed && (r >> 8) % 4 == 0)
			resize(b, next_size(&at, r >> 16));
		else if (b) {
			drop_block(b);
			b = NULL;
		} else
			b = make_block(next_size(&at, r >> 16), owner, r >> 10);
		b = atomic_exchange(slot, b);
		if (b)
			drop_block(b);
		if (r % 64 == 5)
			bulk(owner);
		step_done();
	}
	return NULL;
}

/* Takes sheaves and empty slabs away while the threads run. */
static void shrink_and_trim(void)
{
	kmem_cache_shrink(cache);
	stele_trim(0);
}

int main(int argc, char **argv)
{
	owners = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	MUST(owners != MAP_FAILED);
	cache = kmem_cache_create("sweep", TYPED_SIZE, NULL, SLAB_NO_MERGE);
	MUST(cache);
	run_for(seconds_asked(argc, argv), THREADS, work_on_blocks, shrink_and_trim);
	for (int i = 0; i < TABLE; i++)
		if (table[i])
			drop_block(table[i]);
	MUST(kmem_cache_shrink(cache) == 0);
	kmem_cache_destroy(cache);
	return finish(1 << 20);
}
