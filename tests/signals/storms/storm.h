/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/storms/storm.h - objects that prove who owns them, and the ways to make them
 *
 * Idea      Every object carries a token over its whole length: the first word says owner, kind
 *           and size, the others follow from it. The thread that is about to free it checks all of
 *           it. The place where it was kept (a word of the table) repeats some bits of the owner,
 *           so that two owners of one object are found although each wrote a token that is right.
 * Objects   struct actor: a thread, or one level of its handlers; never shared, so
 *           its counts are plain.
 * Context   any; a handler interrupts any of it.
 * Failure   MUST(): says what was not so, and aborts.
 */
#ifndef TESTS_STORMS_STORM_H
#define TESTS_STORMS_STORM_H

#include "../../stress/stress.h"
#include "kinds.h"
#include <errno.h>
#include <signal.h>

struct actor {
	uint64_t random, serial;
	unsigned long made, dropped;
	bool makes; /* the tilt: now it mostly makes, or mostly drops */
};

#define TABLE 2048
#define TAG_SHIFT 48 /* the bits of a table word above an address */
#define KIND_BITS 4
#define SIZE_BITS 27
#define DEAD_TOKEN 0xdeaddeaddeaddeadull
#define ERRNO_MARK 5150

static _Atomic uint64_t table[TABLE];

static inline size_t size_of_token(uint64_t token)
{
	return token & ((1ul << SIZE_BITS) - 1);
}

static inline const struct kind *kind_of_token(uint64_t token)
{
	unsigned number = token >> SIZE_BITS & ((1u << KIND_BITS) - 1);

	MUST_FOR(number < kinds_count, token);
	return &kinds[number];
}

static inline uint64_t word_of_token(uint64_t token, size_t i)
{
	return i ? token * 0x9e3779b97f4a7c15ull + i : token;
}

/* All words of small objects, fewer and fewer of large ones, and always the last. */
static inline size_t next_word(size_t i, size_t words)
{
	size_t step = i < 128 ? 1 : i < 4096 ? 61 : i < 32768 ? 509 : 8179;

	return i + step < words || i + 1 == words ? i + step : words - 1;
}

static inline void must_be_zero(const uint64_t *p, size_t size)
{
	for (size_t i = 0; i < size / 8; i = next_word(i, size / 8))
		MUST_FOR(p[i] == 0, i);
	for (size_t i = size & ~7ul; i < size; i++)
		MUST_FOR(((const unsigned char *)p)[i] == 0, i);
}

static inline void sign(uint64_t *p, uint64_t token)
{
	size_t size = size_of_token(token);

	for (size_t i = 0; i < size / 8; i = next_word(i, size / 8))
		p[i] = word_of_token(token, i);
	for (size_t i = size & ~7ul; i < size; i++)
		((unsigned char *)p)[i] = (unsigned char)(token >> 40);
}

/* The first @size bytes, or all, are as they were signed. */
static inline void must_be_signed(const uint64_t *p, uint64_t token, size_t size)
{
	size_t whole = size_of_token(token);

	for (size_t i = 0; i < whole / 8 && i < size / 8; i = next_word(i, whole / 8))
		MUST_FOR(p[i] == word_of_token(token, i), i);
	for (size_t i = whole & ~7ul; i < whole && i < size; i++)
		MUST_FOR(((const unsigned char *)p)[i] == (unsigned char)(token >> 40), i);
}

static inline uint64_t token_for(struct actor *actor, unsigned kind, size_t size)
{
	return ++actor->serial << (KIND_BITS + SIZE_BITS) | (uint64_t)kind << SIZE_BITS | size;
}

/* What the table keeps: the address and some bits of the owner. */
static inline uint64_t kept(const uint64_t *p, uint64_t token)
{
	return (uintptr_t)p | token * 0x9e3779b97f4a7c15ull >> TAG_SHIFT << TAG_SHIFT;
}

static inline uint64_t *address_of(uint64_t word)
{
	return (uint64_t *)(uintptr_t)(word & ((1ull << TAG_SHIFT) - 1));
}

/* Mostly small, some large, few huge; at least the word that holds the token. */
static inline size_t any_size(uint64_t r, const struct kind *kind)
{
	static const size_t bound[16] = { 56,  56,  56,	  120,	120,  120,  248,   248,
					  248, 500, 1000, 2000, 4000, 8000, 30000, 120000 };
	size_t size = 8 + (r >> 16) % bound[r % 16];

	if (kind->fixed)
		return kind->fixed;
	if (r % 4096 == 4095)
		size = 8 + (r >> 16) % (3ul << 20);
	return kind->most && size > kind->most ? kind->most : size;
}

static inline uint64_t make(struct actor *actor)
{
	uint64_t r = next_random(&actor->random), token, *p;
	unsigned number = (unsigned)(r >> 56) % kinds_count;
	const struct kind *kind = &kinds[number];
	size_t size = any_size(r, kind);

	p = kind->make(size);
	MUST_FOR(p && (uintptr_t)p >> TAG_SHIFT == 0, size);
	MUST_FOR((uintptr_t)p % kind->align == 0, p);
	if (kind->zeroed)
		must_be_zero(p, size);
	token = token_for(actor, number, size);
	sign(p, token);
	actor->made++;
	return kept(p, token);
}

/* Its token, after all of it was found as its owner left it. */
static inline uint64_t inspect(uint64_t word)
{
	uint64_t *p = address_of(word), token = *p;

	MUST_FOR(kept(p, token) == word, token);
	must_be_signed(p, token, size_of_token(token));
	return token;
}

static inline void drop(struct actor *actor, uint64_t word)
{
	uint64_t token;

	if (!word)
		return;
	token = inspect(word);
	*address_of(word) = DEAD_TOKEN;
	kind_of_token(token)->drop(address_of(word));
	actor->dropped++;
}

/* Larger or smaller; the bytes that both sizes have stay. */
static inline uint64_t resize(struct actor *actor, uint64_t word)
{
	uint64_t r = next_random(&actor->random), old = inspect(word), token, *p;
	const struct kind *kind = kind_of_token(old);
	size_t size = any_size(r, kind), least;

	if (!kind->resize)
		return word;
	least = size < size_of_token(old) ? size : size_of_token(old);
	p = kind->resize(address_of(word), size);
	MUST_FOR(p, size);
	must_be_signed(p, old, least);
	token = token_for(actor, (unsigned)(kind - kinds), size);
	sign(p, token);
	return kept(p, token);
}

/* One step of anybody: takes what is in a place of the table, and puts something else there. */
static inline void act(struct actor *actor)
{
	uint64_t r = next_random(&actor->random), word;
	_Atomic uint64_t *place = &table[(r >> 40) % TABLE];

	if (r % 512 == 0)
		actor->makes = !actor->makes;
	word = atomic_exchange(place, 0);
	if (word && r / 512 % 8 == 0) {
		word = resize(actor, word);
	} else {
		drop(actor, word);
		word = actor->makes || r / 512 % 8 == 1 ? make(actor) : 0;
	}
	drop(actor, atomic_exchange(place, word));
}

static inline void act_in_handler(struct actor *actor, unsigned steps_wanted)
{
	int saved = errno;

	errno = ERRNO_MARK;
	for (unsigned i = 0; i < steps_wanted; i++)
		act(actor);
	MUST_FOR(errno == ERRNO_MARK, errno);
	errno = saved;
}

static inline void actor_start(struct actor *actor, uintptr_t number)
{
	actor->random = random_seed(number);
	actor->serial = (uint64_t)number << 24;
	actor->makes = number % 2;
}

static inline void drop_all(struct actor *actor)
{
	for (int i = 0; i < TABLE; i++)
		drop(actor, atomic_exchange(&table[i], 0));
}

#endif
