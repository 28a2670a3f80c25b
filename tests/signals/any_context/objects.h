/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/objects.h - objects with an owner's token over their whole length
 *
 * Idea      An object that is handed out twice, or written by the allocator while it is owned,
 *           has a wrong token when its owner frees it. Some objects change hands: what a handler
 *           allocates is freed by what it interrupted, and the other way round.
 * Limits    of blocks above 64 KiB one word per 32 KiB and the last one are written, of those above
 *           4 MiB one per MiB, of those above 32 MiB sixteen.
 */
#ifndef TESTS_ANY_CONTEXT_OBJECTS_H
#define TESTS_ANY_CONTEXT_OBJECTS_H

#include "trap.h"

struct object {
	void *p;
	size_t size;
	uint64_t token;
	unsigned way; /* by which call; the programs' own numbers */
	void *from;   /* for the programs: the cache */
};

#define SIGN_WHOLE 65536u
#define BASKET_MAX 64

/* Objects that wait for the other side. */
struct basket {
	struct object object[BASKET_MAX];
	unsigned count;
};

static inline size_t sign_step(size_t size)
{
	if (size > SIGN_WHOLE << 9)
		return size / 16 & ~(size_t)7;
	if (size > SIGN_WHOLE)
		return size > 64 * SIGN_WHOLE ? 16 * SIGN_WHOLE : SIGN_WHOLE / 2;
	return sizeof(uint64_t);
}

static inline uint64_t *last_word(const struct object *o)
{
	return (uint64_t *)o->p + o->size / sizeof(uint64_t) - 1;
}

/* Sizes are multiples of 8 and at least that. */
static inline struct object object_signed(void *p, size_t size, unsigned way)
{
	static uint64_t tokens;
	struct object o = { p, size, ++tokens * 0x9e3779b97f4a7c15ull, way, NULL };

	for (size_t at = 0; at < size; at += sign_step(size))
		*(uint64_t *)((char *)p + at) = o.token + at;
	*last_word(&o) = ~o.token;
	return o;
}

/* @size: how much of it has to be there still. */
static inline void object_check_to(const struct object *o, size_t size)
{
	for (size_t at = 0; at + 8 <= size && at + 8 < o->size; at += sign_step(o->size))
		MUST_HOLD(*(uint64_t *)((char *)o->p + at) == o->token + at);
}

static inline void object_check(const struct object *o)
{
	object_check_to(o, o->size);
	MUST_HOLD(*last_word(o) == ~o->token);
}

static inline bool basket_put(struct basket *basket, struct object o)
{
	if (basket->count == BASKET_MAX)
		return false;
	basket->object[basket->count++] = o;
	return true;
}

static inline bool basket_take(struct basket *basket, struct object *o)
{
	if (!basket->count)
		return false;
	*o = basket->object[--basket->count];
	return true;
}

#endif
