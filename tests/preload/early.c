/* SPDX-License-Identifier: MIT */
/*
 * tests/preload/early.c - malloc before main, after main, and in what is loaded later
 *
 * Idea      Memory is asked for at every moment that has a program's code in it: while an
 *           IFUNC is resolved, in .preinit_array, in constructors of each priority, in main,
 *           in a plugin's constructor and thread-locals, at exit and in destructors. Blocks
 *           that were made early are checked and freed late.
 * TLS       the drop-in's thread-locals must fit the reserve that the loader keeps for
 *           dlopen(): at most TLS_MAX bytes.
 * Failure   a destructor ends the process with _exit(1).
 * Argument  the plugin, tests/preload/plugin.c.
 */
#include "drop_in.h"
#include <errno.h>
#include <link.h>
#include <pthread.h>

#define EARLY __attribute__((used))
#define LARGE (300ul << 10)
#define HUGE (5ul << 20)
#define MOMENTS 5

static struct moment {
	char *small, *large, *huge;
} moments[MOMENTS];

static void make_moment(int i)
{
	struct moment *m = &moments[i];

	m->small = malloc(100);
	m->large = calloc(1, LARGE);
	m->huge = realloc(malloc(10), HUGE);
	CHECK_FOR(m->small && m->large && m->huge, i);
	CHECK_FOR(m->large[0] == 0 && m->large[LARGE - 1] == 0, i);
	fill(m->small, 0, 100, (unsigned)i);
	fill(m->large, 0, 5000, (unsigned)i);
	fill(m->huge, 0, 5000, (unsigned)i);
	free(malloc(1000));
}

static void check_and_free_moment(int i)
{
	struct moment *m = &moments[i];

	check_filled(m->small, 100, (unsigned)i);
	check_filled(m->large, 5000, (unsigned)i);
	check_filled(m->huge, 5000, (unsigned)i);
	free(m->small), free(m->large), free(m->huge);
	memset(m, 0, sizeof(*m));
}

/* While symbols are bound little else may be called; a pointer is kept, nothing printed. */
static void *from_resolver;

static int answer(void)
{
	return 42;
}

static EARLY int (*resolve(void))(void)
{
	from_resolver = malloc(100);
	if (from_resolver)
		*(volatile char *)from_resolver = 1;
	free(malloc(40000));
	return answer;
}

int chosen(void) __attribute__((ifunc("resolve")));

static void before_constructors(void)
{
	make_moment(0);
}

static EARLY __attribute__((section(".preinit_array"))) void (*preinit)(void) = before_constructors;

static __attribute__((constructor(101))) void first_constructor(void)
{
	make_moment(1);
}

static __attribute__((constructor)) void last_constructor(void)
{
	make_moment(2);
	check_and_free_moment(0);
}

static __attribute__((destructor(101))) void last_destructor(void)
{
	check_and_free_moment(1);
	free(from_resolver);
	free(malloc(LARGE));
}

static __attribute__((destructor)) void first_destructor(void)
{
	check_and_free_moment(2);
	make_moment(4);
}

static void at_exit(void)
{
	check_and_free_moment(3);
	make_moment(3);
	check_and_free_moment(3);
}

/* The slot's words, and the thread's token. The C library keeps some 500 bytes for all
 * libraries. */
#define TLS_MAX 72

static int count_drop_in(struct dl_phdr_info *info, size_t size, void *seen)
{
	(void)size;
	if (!strstr(info->dlpi_name, "libstele-malloc"))
		return 0;
	++*(int *)seen;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_TLS)
			CHECK_FOR(info->dlpi_phdr[i].p_memsz <= TLS_MAX,
				  info->dlpi_phdr[i].p_memsz);
	return 0;
}

static void tls_is_small(void)
{
	int seen = 0;

	dl_iterate_phdr(count_drop_in, &seen);
	CHECK_FOR(seen == 1, seen);
}

/* The plugin's thread-locals are large; the loader allocates them by malloc at first use. */
static void *use_plugin(void *function)
{
	void *(*make_there)(size_t) = (void *(*)(size_t))(uintptr_t)function;
	void *p = make_there(1234);

	CHECK(p);
	memset(p, 1, 1234);
	return p;
}

static void plugin_round(const char *path)
{
	void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL), *make_there, *p;
	pthread_t thread[4];

	if (!plugin)
		fprintf(stderr, "%s\n", dlerror());
	CHECK(plugin);
	make_there = dlsym(plugin, "plugin_make");
	CHECK(make_there);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&thread[i], NULL, use_plugin, make_there) == 0);
	free(use_plugin(make_there));
	for (int i = 0; i < 4; i++) {
		CHECK(pthread_join(thread[i], &p) == 0);
		free(p);
	}
	CHECK(dlclose(plugin) == 0);
}

int main(int argc, char **argv)
{
	need_drop_in();
	CHECK(argc == 2);
	CHECK(from_resolver && chosen() == 42);
	tls_is_small();
	make_moment(3);
	for (int i = 0; i < 100; i++)
		plugin_round(argv[1]);
	CHECK(atexit(at_exit) == 0);
	return 0;
}
