/* SPDX-License-Identifier: MIT */
/*
 * tests/preload/foreign.c - a bad free() is named on standard error, and the program goes on
 *
 * Idea      Standard error goes into a pipe. Each bad call must write exactly one line that
 *           names the call and the pointer, leave errno and the neighbours alone, and a good
 *           call must write nothing.
 */
#include "drop_in.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

static int reader, real_stderr;
static char text[4096];

static void capture(void)
{
	int ends[2];

	real_stderr = dup(STDERR_FILENO);
	CHECK(pipe2(ends, O_NONBLOCK) == 0 && dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
	reader = ends[0];
}

/* Everything written since the last call; the number of lines. */
static unsigned lines(void)
{
	ssize_t n = read(reader, text, sizeof(text) - 1);
	unsigned count = 0;

	text[n > 0 ? n : 0] = 0;
	for (const char *c = text; *c; c++)
		count += *c == '\n';
	return count;
}

#define EXPECT(what, where)                                                                        \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			dup2(real_stderr, STDERR_FILENO);                                          \
			fprintf(stderr, "%s: said: %s", where, text);                              \
			failed(__FILE__, __LINE__, #what, 0);                                      \
		}                                                                                  \
	} while (0)

static void expect_report(const char *call, const void *p, const char *where)
{
	char start[80];

	snprintf(start, sizeof(start), "stele: %s(%p): ", call, p);
	EXPECT(lines() == 1, where);
	EXPECT(strncmp(text, start, strlen(start)) == 0, where);
}

static void bad_free(void *p, const char *where)
{
	errno = 4711;
	free(p);
	EXPECT(errno == 4711, where);
	expect_report("free", p, where);
}

static void refused_realloc(void *p, size_t size, const char *where)
{
	errno = 0;
	EXPECT(realloc(p, size) == NULL && errno == ENOMEM, where);
	expect_report("realloc", p, where);
}

static void bad_realloc(void *p, const char *where)
{
	refused_realloc(p, 100, where);
	EXPECT(malloc_usable_size(p) == 0, where);
}

/* What never came from malloc(). */
static void outsiders(void)
{
	static char in_data[64];
	char on_stack[64];
	char *mapped = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *cases[] = {
		on_stack,
		on_stack + 16,
		in_data,
		in_data + 1,
		mapped,
		mapped + 4096,
		(void *)outsiders,
		(void *)8,
		(void *)16,
		(void *)4096,
		(void *)-1l,
		(void *)-16l,
		(void *)(1ul << 62),
		(void *)(1ul << 47),
		(void *)(~0ul << 47),
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bad_free(cases[i], "outsider");
		bad_realloc(cases[i], "outsider");
	}
	memset(mapped, 1, 8192); /* still there */
	munmap(mapped, 8192);
}

/* Inside a block of each kind. The block lives on and can be freed. */
static void insiders(void)
{
	static const size_t sizes[] = {
		16, 24, 48, 100, 1000, 3000, 30000, 40000, 300000, 5 << 20
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t size = sizes[i];
		char *p = malloc(size);

		fill(p, 0, size, 6);
		bad_free(p + 1, "one byte in");
		bad_free(p + 8, "eight bytes in");
		bad_free(p + size / 2 + 1, "half way");
		bad_free(p + size - 1, "last byte");
		bad_realloc(p + 1, "one byte in");
		bad_realloc(p + 8, "eight bytes in");
		if (size > 40000)
			bad_free(p + 4096 * (size / 8192), "a page of it");
		check_filled(p, size, 6);
		free(p);
		EXPECT(lines() == 0, "good free");
	}
}

/* Blocks with pages of their own are known to be free at once. */
static void twice_large(void)
{
	static const size_t sizes[] = { 40000, 300000, 1 << 20, 5 << 20, 100 << 20 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		void *p = malloc(sizes[i]);

		free(p);
		EXPECT(lines() == 0, "good free");
		bad_free(p, "large, twice");
		bad_realloc(p, "large, after free");
	}
}

/* Small ones once they are back in their slab, which trimming sees to. */
static void twice_small(void)
{
	enum { MANY = 2000 };
	static void *p[MANY];
	unsigned reported = 0;

	for (size_t i = 0; i < MANY; i++)
		p[i] = malloc(200);
	for (size_t i = 0; i < MANY; i += 2)
		free(p[i]);
	malloc_trim(0);
	EXPECT(lines() == 0, "good frees");
	for (size_t i = 0; i < MANY; i += 2) {
		bad_free(p[i], "small, twice");
		refused_realloc(p[i], 1000, "small, grown after free");
		refused_realloc(p[i], 65, "small, shrunk after free");
		reported++;
	}
	EXPECT(reported == MANY / 2, "small, twice");
	for (size_t i = 1; i < MANY; i += 2)
		free(p[i]);
	EXPECT(lines() == 0, "good frees");
}

/* The last one that was freed, which is next to be allocated. */
static void just_freed(void)
{
	for (size_t size = 100; size <= 30000; size *= 3) {
		void *p = malloc(size);
		size_t usable = malloc_usable_size(p);

		free(p);
		refused_realloc(p, 4 * size, "just freed, grown");
		refused_realloc(p, usable + 8, "just freed, grown by a little");
		refused_realloc(p, size / 3, "just freed, shrunk");
		EXPECT(malloc(size) == p, "just freed");
		free(p);
	}
	EXPECT(lines() == 0, "good frees");
}

/* After all that the heap must still be whole. */
static void still_whole(void)
{
	enum { MANY = 3000 };
	static unsigned char *p[MANY];

	for (size_t i = 0; i < MANY; i++) {
		p[i] = malloc(i * 3 + 1);
		fill(p[i], 0, i * 3 + 1, (unsigned)i);
	}
	for (size_t i = 0; i < MANY; i++) {
		check_filled(p[i], i * 3 + 1, (unsigned)i);
		free(p[i]);
	}
	EXPECT(lines() == 0, "good frees");
}

int main(void)
{
	need_drop_in();
	capture();
	outsiders();
	insiders();
	twice_large();
	twice_small();
	just_freed();
	still_whole();
	return 0;
}
