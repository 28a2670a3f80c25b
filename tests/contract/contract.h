/* SPDX-License-Identifier: MIT */
/*
 * Shared by the contract tests: text on standard error, and memory that remembers its owner.
 */
#ifndef STELE_TESTS_CONTRACT_CONTRACT_H
#define STELE_TESTS_CONTRACT_CONTRACT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <stele/slab.h>
#include <stele/stats.h>

#include "../unit/base/stderr_of.h"
#include "page/run.h"

/* ThreadSanitizer and an emulator fail in a child of fork() when other threads were inside of
 * calls. */
#ifdef __SANITIZE_THREAD__
#define FORKS_BESIDE_THREADS 0
#else
#define FORKS_BESIDE_THREADS (!STELE_TEST_EMULATED)
#endif

/* Runs @code and leaves what it wrote to standard error in @t. */
#define STDERR_OF(t, code)                                                                         \
	do {                                                                                       \
		assert_true(stderr_begin(t));                                                      \
		code;                                                                              \
		stderr_end(t);                                                                     \
	} while (0)

static inline void assert_says(const struct stderr_text *t, const char *what)
{
	if (!strstr(t->text, what))
		fail_msg("expected \"%s\" in \"%s\"", what, t->text);
}

static inline void assert_silent(const struct stderr_text *t)
{
	assert_string_equal(t->text, "");
}

/* A size the compiler cannot follow, for writing into the slack of a bucket. */
static inline size_t opaque(size_t n)
{
	volatile size_t hidden = n;

	return hidden;
}

/* A pointer whose object the compiler cannot see: the slack of a bucket is ours to write. */
static inline unsigned char *unseen(const void *p)
{
	unsigned char *bytes = (unsigned char *)(uintptr_t)p;

	__asm__("" : "+r"(bytes));
	return bytes;
}

/* Every byte depends on its owner and its place. */
static inline unsigned char token(size_t owner, size_t i)
{
	return (unsigned char)(owner * 131 + i * 7 + (i >> 8) + 1);
}

static inline void sign(void *p, size_t n, size_t owner)
{
	unsigned char *bytes = unseen(p);

	for (size_t i = 0; i < n; i++)
		bytes[i] = token(owner, i);
}

static inline bool signed_by(const void *p, size_t n, size_t owner)
{
	const unsigned char *bytes = unseen(p);

	for (size_t i = 0; i < n; i++)
		if (bytes[i] != token(owner, i))
			return false;
	return true;
}

static inline bool all_zero(const void *p, size_t from, size_t to)
{
	const unsigned char *bytes = unseen(p);

	for (size_t i = from; i < to; i++)
		if (bytes[i])
			return false;
	return true;
}

/*
 * @p, which holds @had bytes, by @resize to each of @n sizes in turn: its contents stay, and with
 * @zeroes all new bytes read as zero, to the real end. Returns where it is at last.
 */
static inline void *through_sizes(void *p, size_t had, void *(*resize)(void *p, size_t size),
				  const size_t *sizes, size_t n, bool zeroes)
{
	sign(p, had, 9);
	for (size_t i = 0; i < n; i++) {
		size_t size = opaque(sizes[i]), kept = had < size ? had : size;

		p = resize(p, size);
		assert_non_null(p);
		assert_true(ksize(p) >= size);
		assert_true(signed_by(p, kept, 9));
		if (zeroes)
			assert_true(all_zero(p, kept, ksize(p)));
		sign(p, size, 9);
		had = size;
	}
	return p;
}

/* From here to memory_back() there are no new pages. Memory that caches hold already can still be
 * allocated. */
static inline void memory_gone(void)
{
	stele_inject_page_fail = -1;
}

static inline void memory_back(void)
{
	stele_inject_page_fail = 0;
}

/* Takes all there is of one size; the list runs through the first words. */
static inline void **take_all_of_size(size_t size)
{
	void **list = NULL, **p;

	while ((p = kmalloc(size, GFP_NOWAIT))) {
		*p = list;
		list = p;
	}
	return list;
}

static inline void give_list(void **list)
{
	while (list) {
		void **next = *list;

		kfree(list);
		list = next;
	}
}

/* A case that has not ended by then ends the program. */
static inline int each_in_half_a_minute(void **state)
{
	(void)state;
	alarm(30);
	return 0;
}

/* Contract 1 and 2: nothing lost, nothing held twice. */
static inline void destroy_empty(struct kmem_cache *s)
{
	assert_int_equal(kmem_cache_shrink(s), 0);
	kmem_cache_destroy(s);
}

static inline struct stele_stats stats_now(void)
{
	struct stele_stats stats;

	stele_stats_read(&stats);
	return stats;
}

#endif
