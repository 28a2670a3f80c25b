/* SPDX-License-Identifier: MIT */
/*
 * tests/preload/interposed.c - the drop-in beside a library that replaces the C library's functions
 *
 * Idea      interposer.c allocates in each function that it stands in for. Everything that has a
 *           slow way is done here: the start, large and huge blocks, growth, trimming, reports,
 *           threads, children. The drop-in must have called nothing of the system, or it would not
 *           come back.
 * Environment  LD_PRELOAD of both; an option, so that the start has words to look at.
 */
#include "drop_in.h"
#include <pthread.h>
#include <sys/wait.h>

#define MIB (1ul << 20)

static unsigned *calls(const char *name)
{
	unsigned *count = dlsym(RTLD_DEFAULT, name);

	CHECK(count);
	return count;
}

static void blocks(void)
{
	static const size_t sizes[] = { 1, 100, 3000, 40000, MIB, 3 * MIB, 40 * MIB };
	void *many[3000];

	for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		unsigned n = sizes[s] < 40000 ? 3000 : 4;

		for (unsigned i = 0; i < n; i++) {
			many[i] = i % 3 ? malloc(sizes[s]) : calloc(1, sizes[s]);
			CHECK_FOR(many[i], sizes[s]);
			memset(many[i], 1, sizes[s] < MIB ? sizes[s] : MIB);
		}
		for (unsigned i = 0; i < n; i++) {
			many[i] = realloc(many[i], sizes[s] * 2);
			CHECK_FOR(many[i], sizes[s]);
			free(many[i]);
		}
	}
	malloc_trim(0);
	(void)mallinfo2();
}

static void *in_thread(void *arg)
{
	blocks();
	return arg;
}

static void in_child(void)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		blocks();
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK_FOR(status == 0, status);
}

int main(void)
{
	pthread_t thread[2];

	need_drop_in();
	blocks();
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&thread[i], NULL, in_thread, NULL) == 0);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	in_child();
	(void)getpid(); /* it does stand in for them */
	CHECK(*calls("interposer_calls") > 0 && *calls("interposer_bytes") > 0);
	if (*calls("interposer_from_drop_in"))
		fprintf(stderr, "the drop-in called %s\n",
			*(const char **)dlsym(RTLD_DEFAULT, "interposer_last"));
	CHECK_FOR(*calls("interposer_from_drop_in") == 0, *calls("interposer_from_drop_in"));
	return 0;
}
