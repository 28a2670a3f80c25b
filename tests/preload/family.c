/* SPDX-License-Identifier: MIT */
/*
 * tests/preload/family.c - every function of <stdlib.h> and <malloc.h> keeps its promise
 *
 * Idea      Sizes around every border there may be: each size to 5,000, then each power of
 *           two and its neighbours to 64 MiB. All usable bytes are written.
 * Source    POSIX.1-2024 and C23; glibc's manual for what they leave open.
 */
#include "drop_in.h"
#include <errno.h>

/* Absurd sizes are asked for on purpose, and the compiler must not judge them. */
static void *(*volatile resize)(void *, size_t) = realloc;

#define KIB 1024ul
#define MIB (1024 * KIB)

/* Sizes that touch every border; returns 0 behind the last one. */
static size_t next_size(size_t size)
{
	size_t power = 8192;

	if (size < 5000)
		return size + 1;
	while (power + 1 <= size)
		power *= 2;
	if (power > 64 * MIB)
		return 0;
	if (size < power - 1 && power - 1 > size)
		return size < power / 4 * 3 ? power / 4 * 3 : power - 1;
	return size + 1;
}

static void every_size(void)
{
	for (size_t size = 1; size; size = next_size(size)) {
		void *p = malloc(size), *q = malloc(size);
		size_t usable = malloc_usable_size(p);

		CHECK_FOR(p && q && p != q, size);
		CHECK_FOR((uintptr_t)p % 16 == 0 && (uintptr_t)q % 16 == 0, size);
		CHECK_FOR(usable >= size, size);
		CHECK_FOR(malloc_usable_size(q) >= size, size);
		memset(p, 0xa5, usable);
		memset(q, 0x5a, size);
		CHECK_FOR(((unsigned char *)p)[usable - 1] == 0xa5, size);
		CHECK_FOR(((unsigned char *)p)[0] == 0xa5, size);
		free(p);
		free(q);
	}
}

static void size_zero(void)
{
	void *a = malloc(0), *b = malloc(0), *c = calloc(0, 8), *d = calloc(8, 0);
	void *e = realloc(NULL, 0), *f = aligned_alloc(64, 0), *g = NULL;

	CHECK(a && b && c && d && e && f);
	CHECK(a != b && c != d && a != c && e != a);
	CHECK(posix_memalign(&g, 64, 0) == 0);
	CHECK((uintptr_t)f % 64 == 0 && (uintptr_t)g % 64 == 0);
	free(a), free(b), free(c), free(d), free(e), free(f), free(g);
	CHECK(malloc_usable_size(NULL) == 0);
	free(NULL);
	a = malloc(100);
	CHECK(realloc(a, 0) == NULL); /* freed, as glibc does */
}

/* Expects NULL with ENOMEM. */
#define REFUSED(call)                                                                              \
	do {                                                                                       \
		errno = 0;                                                                         \
		CHECK((call) == NULL);                                                             \
		CHECK_FOR(errno == ENOMEM, errno);                                                 \
	} while (0)

static void too_large(void)
{
	static const size_t sizes[] = {
		SIZE_MAX,	 SIZE_MAX - 1,	     SIZE_MAX - 15,
		SIZE_MAX - 4095, SIZE_MAX - 2 * MIB, (size_t)PTRDIFF_MAX + 1,
		PTRDIFF_MAX,	 PTRDIFF_MAX - 4095, (size_t)1 << 62,
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t size = sizes[i];
		void *out = &out;

		REFUSED(malloc(size));
		REFUSED(calloc(1, size));
		REFUSED(calloc(size, 1));
		REFUSED(realloc(NULL, size));
		REFUSED(reallocarray(NULL, 1, size));
		REFUSED(aligned_alloc(16, size));
		REFUSED(aligned_alloc(64, size));
		REFUSED(aligned_alloc(4 * MIB, size));
		REFUSED(memalign(4096, size));
		REFUSED(valloc(size));
		REFUSED(pvalloc(size));
		CHECK(posix_memalign(&out, 64, size) == ENOMEM);
		CHECK(out == &out || out == NULL);
	}
}

static void overflow(void)
{
	static const size_t n[] = { SIZE_MAX, SIZE_MAX / 2 + 1, (size_t)1 << 32, SIZE_MAX / 3 + 1 };
	char *p = malloc(100);

	fill(p, 0, 100, 1);
	for (size_t i = 0; i < sizeof(n) / sizeof(n[0]); i++) {
		size_t m = SIZE_MAX / n[i] + 1;

		REFUSED(calloc(n[i], m));
		REFUSED(calloc(m, n[i]));
		REFUSED(reallocarray(p, n[i], m));
		REFUSED(reallocarray(p, m, n[i]));
		check_filled(p, 100, 1);
	}
	free(p);
}

/* A refused realloc() leaves the old block as it was, of whatever kind. */
static void refused_realloc_keeps_the_block(void)
{
	static const size_t kinds[] = { 1, 100, 5000, 40 * KIB, MIB, 5 * MIB, 40 * MIB };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char *p = malloc(kinds[i]);

		fill(p, 0, kinds[i], 2);
		REFUSED(resize(p, SIZE_MAX));
		REFUSED(resize(p, SIZE_MAX - 4095));
		REFUSED(resize(p, (size_t)PTRDIFF_MAX + 1));
		REFUSED(resize(p, PTRDIFF_MAX));
		check_filled(p, kinds[i], 2);
		CHECK(malloc_usable_size(p) >= kinds[i]);
		free(p);
	}
}

static void bad_alignment(void)
{
	static const size_t odd[] = { 0, 3, 6, 12, 24, 100, 4095, 4097, SIZE_MAX };
	void *out = &out;

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		CHECK(posix_memalign(&out, odd[i], 64) == EINVAL);
		CHECK(out == &out);
		errno = 0;
		CHECK_FOR(aligned_alloc(odd[i], 64) == NULL && errno == EINVAL, odd[i]);
	}
	/* Powers of two, but no multiple of a pointer. */
	CHECK(posix_memalign(&out, 1, 64) == EINVAL && posix_memalign(&out, 2, 64) == EINVAL);
	CHECK(posix_memalign(&out, 4, 64) == EINVAL && out == &out);
	/* More than an address space. */
	for (unsigned shift = 48; shift < 64; shift++) {
		REFUSED(aligned_alloc((size_t)1 << shift, 64));
		REFUSED(aligned_alloc((size_t)1 << shift, (size_t)1 << shift));
		CHECK(posix_memalign(&out, (size_t)1 << shift, 1) == ENOMEM);
	}
}

/* Called by address: a compiler would take the alignment for granted, and warn of odd ones. */
static void *(*volatile align_to)(size_t align, size_t size) = memalign;
static void *(*volatile align_exactly)(size_t align, size_t size) = aligned_alloc;

/* memalign() rounds up, as glibc's manual has it. */
static void odd_alignment(void)
{
	static const size_t odd[] = { 0, 1, 3, 6, 17, 24, 100, 4095, 4097, 65537, 3 * MIB };

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		size_t align = 1;
		char *p = align_to(odd[i], 3000);

		while (align < odd[i])
			align *= 2;
		CHECK_FOR(p && (uintptr_t)p % align == 0, odd[i]);
		fill(p, 0, 3000, 9);
		free(p);
	}
	REFUSED(align_to(((size_t)1 << 62) + 1, 64));
	REFUSED(align_to((size_t)1 << 63, 64));
	errno = 0;
	CHECK(align_to(((size_t)1 << 63) + 1, 64) == NULL && errno == EINVAL);
	CHECK(align_to(SIZE_MAX, 64) == NULL && errno == EINVAL);
}

/* Of addresses only: pages that nobody touches take no memory. */
static void vast_alignment(void)
{
	for (size_t align = 8 * MIB; align <= 16384 * MIB; align *= 2) {
		char *a = align_exactly(align, 100), *b = align_to(align - 1, 5 * MIB);

		CHECK_FOR(a && (uintptr_t)a % align == 0, align);
		CHECK_FOR(b && (uintptr_t)b % align == 0, align);
		fill(a, 0, 100, 6), fill(b, 0, 5 * MIB, 7);
		check_filled(a, 100, 6);
		a = resize(a, 3 * MIB);
		check_filled(a, 100, 6), check_filled(b, 5 * MIB, 7);
		free(a), free(b);
	}
	malloc_trim(0);
	CHECK(resident() < 256 * MIB);
}

/* Blocks that lie all over the arena, also above the library. Where objects are checked, each call looks at
 * the library's own memory. */
static void vast_alignment_of_many(void)
{
	void *held[64];
	unsigned n = 0;

	while (n < 64 && (held[n] = align_to((size_t)1 << 36, 64)))
		n++;
	for (size_t size = 1; size < 2000; size *= 2)
		free(malloc(size));
	while (n)
		free(held[--n]);
}

/* Blocks whose size does not fit 32 bits, and their neighbours, in steps up and down. */
static void vast_sizes(void)
{
	static const size_t sizes[] = { 4096 * MIB - 4096, 4096 * MIB - 1, 4096 * MIB,
					4096 * MIB + 1,	   4100 * MIB,	   2048 * MIB,
					2048 * MIB + 1,	   5000 * MIB };
	size_t machine = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
	char *moving = malloc(100), *p;

	fill(moving, 0, 100, 8);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t size = sizes[i];

		if (size > machine)
			continue; /* the system itself would refuse it */
		p = i % 2 ? calloc(size / 16 + 1, 16) : malloc(size);
		CHECK_FOR(p && malloc_usable_size(p) >= size, size);
		CHECK_FOR(!(i % 2) || (!p[0] && !p[size - 1] && !p[size / 2]), size);
		p[0] = p[size - 1] = p[size / 2] = 1;
		moving = resize(moving, size);
		CHECK_FOR(moving && malloc_usable_size(moving) >= size, size);
		check_filled(moving, 100, 8);
		moving[size - 1] = 1;
		free(p);
		p = aligned_alloc(4096 * MIB, size);
		CHECK_FOR(p && (uintptr_t)p % (4096 * MIB) == 0, size);
		p[0] = p[size - 1] = 1;
		free(p);
	}
	free(moving);
	malloc_trim(0);
	CHECK(resident() < 256 * MIB);
}

static void *by_posix(size_t align, size_t size)
{
	void *p = NULL;

	CHECK_FOR(posix_memalign(&p, align, size) == 0, align);
	return p;
}

static void aligned_block(void *p, size_t align, size_t size)
{
	CHECK_FOR(p != NULL, align);
	CHECK_FOR((uintptr_t)p % align == 0 && (uintptr_t)p % 16 == 0, align);
	CHECK_FOR(malloc_usable_size(p) >= size, size);
	if (size) {
		((char *)p)[0] = 1;
		((char *)p)[size - 1] = 2;
	}
}

static void every_alignment(void)
{
	static const size_t sizes[] = { 0,     1,     8,       16,	17,	 40,	 64,
					65,    100,   192,     200,	320,	 576,	 1000,
					1088,  1152,  3000,    4096,	4097,	 5000,	 8192,
					12288, 20480, 32767,   32768,	32769,	 40000,	 65536,
					70000, MIB,   MIB + 1, 2 * MIB, 3 * MIB, 5 * MIB };

	for (size_t align = 8; align <= 4 * MIB; align *= 2) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			void *a = aligned_alloc(align, sizes[i]), *b = by_posix(align, sizes[i]);
			void *c = memalign(align, sizes[i]);

			aligned_block(a, align, sizes[i]);
			aligned_block(b, align, sizes[i]);
			aligned_block(c, align, sizes[i]);
			CHECK(a != b && b != c && a != c);
			a = realloc(a, sizes[i] + 1000);
			aligned_block(a, 16, sizes[i] + 1000);
			free(a), free(b), free(c);
		}
	}
}

static void whole_pages(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	for (size_t size = 1; size; size = next_size(size + 97)) {
		void *v = valloc(size), *p = pvalloc(size);

		aligned_block(v, page, size);
		aligned_block(p, page, (size + page - 1) / page * page);
		free(v), free(p);
	}
	free(valloc(0));
	free(pvalloc(0));
}

/* From each size to each other one: the bytes that both have stay. */
static void realloc_contents(void)
{
	static const size_t s[] = { 1,		 15,	  16,	  17,	100,	 1000,
				    1024,	 1025,	  4096,	  5000, 32767,	 32768,
				    32769,	 40000,	  100000, MIB,	MIB + 1, 2 * MIB - 4096,
				    2 * MIB + 1, 3 * MIB, 9 * MIB };
	size_t n = sizeof(s) / sizeof(s[0]);

	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < n; j++) {
			char *p = malloc(s[i]);

			fill(p, 0, s[i], 3);
			p = realloc(p, s[j]);
			CHECK_FOR(p && (uintptr_t)p % 16 == 0, s[j]);
			CHECK_FOR(malloc_usable_size(p) >= s[j], s[j]);
			check_filled(p, s[i] < s[j] ? s[i] : s[j], 3);
			p[s[j] - 1] = 0;
			free(p);
		}
	}
}

/* Grows and shrinks one block in steps beside a neighbour, which must not notice. */
static void realloc_steps(void)
{
	size_t size = 1;
	char *p = malloc(size), *neighbour = malloc(70000);

	fill(p, 0, 1, 4);
	fill(neighbour, 0, 70000, 5);
	while (size < 20 * MIB) {
		size_t more = size + size / 2 + 1;

		p = realloc(p, more);
		CHECK(p);
		check_filled(p, size, 4);
		fill(p, size, more, 4);
		size = more;
	}
	while (size > 1) {
		size = size / 3 * 2;
		p = realloc(p, size ? size : 1);
		check_filled(p, size, 4);
	}
	check_filled(neighbour, 70000, 5);
	free(p), free(neighbour);
}

static void free_keeps_errno(void)
{
	static const size_t sizes[] = { 0, 16, 5000, 40000, MIB, 3 * MIB, 80 * MIB };
	void *many[2000];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t n = sizes[i] > MIB ? 2 : sizes[i] > 5000 ? 200 : 2000;

		for (size_t k = 0; k < n; k++) {
			many[k] = malloc(sizes[i]);
			CHECK_FOR(many[k], sizes[i]);
			memset(many[k], 1, sizes[i] > MIB ? MIB : sizes[i]);
		}
		for (size_t k = 0; k < n; k++) {
			errno = 12345;
			free(many[k]);
			CHECK_FOR(errno == 12345, sizes[i]);
		}
	}
	errno = 12345;
	free(NULL);
	CHECK(errno == 12345);
}

/* The C library's own names are the same functions. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);
void *__libc_valloc(size_t size);
void *__libc_pvalloc(size_t size);
void __libc_free(void *p);

static void names_of_the_c_library(void)
{
	size_t held = mallinfo2().hblkhd;

	for (int i = 0; i < 1000; i++) {
		char *p = __libc_malloc(5 * MIB), *q = __libc_calloc(5, MIB);

		p[0] = 1;
		CHECK(q && q[0] == 0);
		free(realloc(p, 6 * MIB));
		free(__libc_realloc(q, 100));
		free(__libc_memalign(4096, 5 * MIB));
		free(__libc_valloc(5 * MIB));
		free(__libc_pvalloc(5 * MIB));
		__libc_free(malloc(5 * MIB));
		__libc_free(malloc(100));
		free(__libc_malloc(100));
	}
	CHECK_FOR(mallinfo2().hblkhd == held,
		  mallinfo2().hblkhd); /* freed by the library that they came from */
}

static void sized_frees(void)
{
	void (*free_sized)(void *, size_t) =
		(void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "free_sized");
	void (*free_aligned_sized)(void *, size_t, size_t) =
		(void (*)(void *, size_t, size_t))dlsym(RTLD_DEFAULT, "free_aligned_sized");
	void (*cfree)(void *) = (void (*)(void *))dlsym(RTLD_DEFAULT, "cfree");
	size_t held = mallinfo2().hblkhd;

	CHECK(free_sized && free_aligned_sized && cfree);
	for (int i = 0; i < 1000; i++) {
		free_sized(malloc(5 * MIB), 5 * MIB);
		free_aligned_sized(aligned_alloc(4096, 5 * MIB), 4096, 5 * MIB);
		cfree(malloc(5 * MIB));
	}
	free_sized(NULL, 0);
	free_aligned_sized(NULL, 64, 0);
	cfree(NULL);
	CHECK(mallinfo2().hblkhd == held); /* they do free */
}

static void reports(void)
{
	struct mallinfo2 before = mallinfo2(), after;
	char *text = NULL, *p = malloc(64 * MIB);
	size_t length = 0;
	FILE *f = open_memstream(&text, &length);

	memset(p, 1, 64 * MIB);
	after = mallinfo2();
	CHECK(after.hblkhd >= before.hblkhd + 64 * MIB && after.hblks == before.hblks + 1);
	errno = 0;
	CHECK(malloc_info(1, f) == -1 && errno == EINVAL);
	CHECK(malloc_info(0, f) == 0);
	fclose(f);
	CHECK(strncmp(text, "<malloc", 7) == 0 && strstr(text, "</malloc>"));
	free(text);
	free(p);
	CHECK(mallinfo2().hblkhd == before.hblkhd);
	CHECK(mallopt(M_ARENA_MAX, 1) == 1);
	malloc_trim(0);
	CHECK(resident() < 64 * MIB);
}

int main(void)
{
	need_drop_in();
	every_size();
	size_zero();
	too_large();
	overflow();
	refused_realloc_keeps_the_block();
	bad_alignment();
	odd_alignment();
	every_alignment();
	vast_alignment();
	vast_sizes();
	whole_pages();
	realloc_contents();
	realloc_steps();
	free_keeps_errno();
	sized_frees();
	names_of_the_c_library();
	reports();
	vast_alignment_of_many(); /* the last, as walks over all areas take longer from then on */
	return 0;
}
