/* SPDX-License-Identifier: MIT */
/*
 * bench/mixed.h - the mixed load, for one thread and for many
 */
#ifndef STELE_BENCH_MIXED_H
#define STELE_BENCH_MIXED_H

#include <stddef.h>
#include <stdint.h>

void mixed_fill(void **slots, size_t live, uint64_t *seed);
void mixed_steps(void **slots, size_t live, unsigned long steps, uint64_t *seed);
void mixed_drain(void **slots, size_t live);

#endif
