/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/broken_allocator.h - the interface of the negative control
 */
#ifndef TESTS_ANY_CONTEXT_BROKEN_ALLOCATOR_H
#define TESTS_ANY_CONTEXT_BROKEN_ALLOCATOR_H

#define BROKEN_API __attribute__((visibility("default")))

/* A block of 64 bytes, or NULL. */
BROKEN_API void *broken_alloc(void);
BROKEN_API void broken_free(void *p);

#endif
