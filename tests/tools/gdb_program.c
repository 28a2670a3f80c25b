/* SPDX-License-Identifier: MIT */
/*
 * tests/tools/gdb_program.c - what test_gdb.sh looks at: blocks of the drop-in and objects of a cache,
 * in use, free and lost, when the program stops itself.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <stele/slab.h>

#define KEPT 50
#define LOST 4

char *kept[KEPT], *freed, *large;
void *session[30];

static void *filled(size_t size)
{
	void *p = malloc(size);

	if (!p)
		abort();
	return memset(p, 1, size);
}

static __attribute__((noinline)) void lose(void)
{
	for (int i = 0; i < LOST; i++)
		filled(100);
}

/* A block that only a mapping without a file leads to. */
static void hold(void)
{
	char **page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		abort();
	page[17] = filled(500);
}

/* What calls have left below the stack pointer, and in registers. */
static __attribute__((noinline)) void tidy(void)
{
	volatile char room[8192];

	memset((char *)room, 0, sizeof(room));
}

int main(void)
{
	struct kmem_cache *s = kmem_cache_create("session", 72, 0, SLAB_NO_MERGE, NULL);

	if (!s)
		return 1;
	for (int i = 0; i < KEPT; i++)
		kept[i] = filled(48);
	for (int i = 0; i < 30; i++)
		session[i] = kmem_cache_alloc(s, GFP_KERNEL);
	freed = filled(200);
	free(freed);
	large = filled(300000);
	hold();
	lose();
	tidy();
	raise(SIGTRAP);
	return 0;
}
