/* SPDX-License-Identifier: MIT */
/*
 * tests/apps/kernel_clients/adapter.h - what adapter.c offers to the kernel's own test programs
 *
 * The programs declare these themselves, each where it uses them.
 */
#ifndef STELE_TESTS_KERNEL_CLIENTS_ADAPTER_H
#define STELE_TESTS_KERNEL_CLIENTS_ADAPTER_H

#include <stddef.h>

#include <stele/slab.h>

/* Read and written by the programs: objects given out, the depth of preempt_disable(). */
extern int nr_allocated;
extern int preempt_count;
extern int kmalloc_verbose;
extern int test_verbose;

/* How many requests that must not wait a cache grants from now on. */
void kmem_cache_set_non_kernel(struct kmem_cache *s, unsigned int budget);

/* The callback, and its argument. After the cache has refused a request, the next request that may wait
 * calls it once. */
void kmem_cache_set_callback(struct kmem_cache *s, void (*callback)(void *));
void kmem_cache_set_private(struct kmem_cache *s, void *argument);

/* What a cache has given out: bytes now, objects now, objects since the mark. */
unsigned long kmem_cache_get_alloc(struct kmem_cache *s);
unsigned int kmem_cache_nr_allocated(struct kmem_cache *s);
unsigned int kmem_cache_nr_tallocated(struct kmem_cache *s);
void kmem_cache_zero_nr_tallocated(struct kmem_cache *s);

/* Tries the bulk calls; called by the maple tree's program. */
void test_kmem_cache_bulk(void);

/* kmem_cache_alloc_bulk() as it was up to 6.12: the number of objects, all or 0. */
int adapter_alloc_bulk(struct kmem_cache *s, gfp_t gfp, size_t n, void **p);

#endif
