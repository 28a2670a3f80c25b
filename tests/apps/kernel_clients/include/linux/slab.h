/* SPDX-License-Identifier: MIT */
/*
 * linux/slab.h - Stele's, and the one call that source of Linux 6.1 means otherwise
 *
 * kmem_cache_alloc_bulk() answered with the number of objects then (docs/porting.md).
 */
#include_next <linux/slab.h>

#ifndef STELE_TESTS_KERNEL_CLIENTS_SLAB_H
#define STELE_TESTS_KERNEL_CLIENTS_SLAB_H

int adapter_alloc_bulk(struct kmem_cache *s, gfp_t gfp, size_t n, void **p);
#define kmem_cache_alloc_bulk(s, gfp, n, p) adapter_alloc_bulk(s, gfp, n, p)

#endif
