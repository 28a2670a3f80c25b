/* SPDX-License-Identifier: MIT */
/*
 * os/stack.h - the callers of a call (stack.c)
 */
#ifndef STELE_OS_STACK_H
#define STELE_OS_STACK_H

#include <stdint.h>

#define STELE_STACK_MAX 16

/* The callers of a call that returns to @site, the nearest first, which is @site: at most @most, at
 * least one, in @out. How many. */
unsigned stele_os_stack(const void *site, uintptr_t *out, unsigned most);

#endif
