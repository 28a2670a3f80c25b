/* SPDX-License-Identifier: MIT */
/*
 * slab/chosen.c - the debug flags that the user has chosen for a cache
 *
 * Idea      The option `debug` has the syntax of the kernel's slab_debug: blocks with ';' between
 *           them. A block has letters and, after a comma, names of caches. A '*' at the end of a
 *           name stands for any end. The first block that names a cache counts for it. For a cache
 *           that no block names, the last block without names counts. No letters mean FZPU, and '-'
 *           means none. Each new cache reads the text again, so nothing has to be stored.
 * Mistakes  in the text are reported once, when the first cache is made, and have no effect.
 * Context   any: no memory, no lock.
 * Source    Linux, Documentation/admin-guide/mm/slab.rst.
 * Tests     tests/unit/slab/test_chosen.c
 */
#include "slab/chosen.h"
#include "base/fmt.h"
#include "base/options.h"
#include "slab/kmem_cache.h"
#include "sync/atomic.h"
#include <string.h>

#define ALL_USUAL (SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER)
#define NONE_CHOSEN "-"
#define ALL_CHOSEN "FZPU"
#define TRACKS_CHOSEN "U"

static const struct {
	char letter;
	slab_flags_t flag;
} letters[] = {
	{ 'f', SLAB_CONSISTENCY_CHECKS },
	{ 'z', SLAB_RED_ZONE },
	{ 'p', SLAB_POISON },
	{ 'u', SLAB_STORE_USER },
	{ 't', SLAB_TRACE },
	{ 'a', SLAB_FAILSLAB },
	{ 'o', SLAB_SHORT },
	{ '-', 0 },
};

/* A block: [letters, names) are letters, [names, end) begins with a comma if there are names. */
struct block {
	const char *letters, *names, *end;
};

/* The next block of *text, which moves on. False: there is none. */
static bool next_block(const char **text, struct block *block)
{
	while (**text == ';')
		++*text;
	if (!**text)
		return false;
	block->letters = *text;
	block->names = *text + strcspn(*text, ",;");
	block->end = *text + strcspn(*text, ";");
	*text = block->end;
	return true;
}

static int letter_index(char c)
{
	if (c >= 'A' && c <= 'Z')
		c = (char)(c | 0x20);
	for (size_t i = 0; i < STELE_ARRAY_SIZE(letters); i++)
		if (letters[i].letter == c)
			return (int)i;
	return -1;
}

static slab_flags_t flags_of_block(const struct block *block)
{
	slab_flags_t flags = 0;
	int i;

	if (block->letters == block->names)
		return ALL_USUAL;
	for (const char *c = block->letters; c < block->names; c++)
		if ((i = letter_index(*c)) >= 0)
			flags |= letters[i].flag;
	return flags;
}

/* Whether [@pattern, +@n) stands for @name. */
static bool name_matches(const char *pattern, size_t n, const char *name)
{
	if (n && pattern[n - 1] == '*')
		return strncmp(pattern, name, n - 1) == 0;
	return strncmp(pattern, name, n) == 0 && !name[n];
}

static bool block_names(const struct block *block, const char *name)
{
	for (const char *at = block->names; at < block->end;) {
		size_t n = strcspn(++at, ",;");

		if (n && name_matches(at, n, name))
			return true;
		at += n;
	}
	return false;
}

/* ---- mistakes ---- */

static void check_block(const struct block *block)
{
	for (const char *c = block->letters; c < block->names; c++)
		if (letter_index(*c) < 0)
			stele_say("stele: option 'debug': '%c' is none of F Z P U T A O; left "
				  "out\n",
				  *c);
	for (const char *at = block->names; at < block->end;) {
		size_t n = strcspn(++at, ",;");

		if (!n)
			stele_say("stele: option 'debug': a name is missing after ','\n");
		else if (memchr(at, '*', n - 1))
			stele_say("stele: option 'debug': '%.*s': only the last character can be "
				  "'*'\n",
				  (int)n, at);
		at += n;
	}
}

static void tell_mistakes(const char *text)
{
	static _Atomic uint32_t told;
	struct block block;

	if (exchange_relaxed(&told, 1))
		return;
	while (next_block(&text, &block))
		check_block(&block);
}

/* ---- the choice ---- */

/* The user's own text, or the text that a profile or the leak check stands for. */
static const char *chosen_text(void)
{
	if (stele_opt.debug)
		return stele_opt.debug;
	if (stele_opt.profile == STELE_PROFILE_DEBUG)
		return ALL_CHOSEN;
	return stele_opt.leak_check ? TRACKS_CHOSEN : NONE_CHOSEN;
}

/* *named: a block names it. */
static slab_flags_t choose_flags(const char *name, bool *named)
{
	const char *text = chosen_text();
	struct block block;
	slab_flags_t flags = 0;

	*named = false;
	tell_mistakes(text);
	while (!*named && next_block(&text, &block)) {
		*named = block_names(&block, name);
		if (*named || block.names == block.end)
			flags = flags_of_block(&block);
	}
	return flags;
}

slab_flags_t stele_debug_chosen(const char *name, slab_flags_t flags)
{
	slab_flags_t more;
	bool named;

	if (flags & (SLAB_NO_USER_FLAGS | SLAB_OWN | SLAB_KEPT | SLAB_RUNS))
		return flags;
	more = choose_flags(name, &named);
	if (flags & SLAB_NOLEAKTRACE && !named)
		more &= ~SLAB_STORE_USER;
	return flags | more;
}

slab_flags_t stele_debug_large(void)
{
	bool named;

	return choose_flags("", &named) & SLAB_DEBUG_FLAGS;
}
