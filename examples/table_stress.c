/* SPDX-License-Identifier: MIT */
/*
 * examples/table_stress.c - readers and writers of a table, and whether what they see can be true
 *
 * Idea      Some keys are always there; the others belong to a writer each, which adds and removes
 *           them as fast as it can, so that memory changes hands all the time. table_point() gives
 *           way now and then, where it hurts.
 * Checked   a key that is always there is found; an entry is of the key that was asked for, as
 *           whole as it was added, and stays so while it is held; of one key a reader sees serials
 *           that never go back; a writer finds what it has added and not what it has removed;
 *           and the library has nothing to report.
 * Output    what was done, or the first thing that cannot be true, and exit 1.
 */
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <linux/rcupdate.h>
#include <stele/stats.h>

#include "table.h"

enum { FIXED = 16, WRITERS = 2, OF_A_WRITER = 16, READERS = 3 };
enum { KEYS = FIXED + WRITERS * OF_A_WRITER, SIDE_LOOKS = 3, GIVES_WAY = 16 };

static atomic_bool over;
static atomic_uint ended;
static atomic_ulong lookups, found, changes;
static _Thread_local unsigned long state;

static __attribute__((format(printf, 1, 2))) void fault(const char *format, ...)
{
	va_list args;

	flockfile(stdout); /* one fault is enough */
	va_start(args, format);
	printf("fault: ");
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

static unsigned long chance(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

void table_point(void)
{
	if (chance() % GIVES_WAY == 0)
		sched_yield();
}

/* Looks at a held entry, more than once; returns its serial. */
static unsigned long examine(const struct content *content, unsigned long key)
{
	unsigned long serial = content->serial;
	int look;

	for (look = 0; look < SIDE_LOOKS; look++) {
		const volatile struct content *now = content;

		if (now->key != key)
			fault("asked for key %lu, got %lu", key, now->key);
		if (now->serial != serial || now->sum != table_sum(key, serial))
			fault("key %lu changed while it was held", key);
		table_point();
	}
	return serial;
}

static void read_one(unsigned long key, unsigned long *seen)
{
	const struct content *content = table_get(key);

	atomic_fetch_add_explicit(&lookups, 1, memory_order_relaxed);
	if (!content && key < FIXED)
		fault("key %lu is always there, and was not found", key);
	if (!content)
		return;
	unsigned long serial = examine(content, key);

	table_put(content);
	if (serial < seen[key])
		fault("key %lu: serial %lu after %lu", key, serial, seen[key]);
	seen[key] = serial;
	atomic_fetch_add_explicit(&found, 1, memory_order_relaxed);
}

static void *reader(void *argument)
{
	unsigned long seen[KEYS] = { 0 };

	state = (unsigned long)argument;
	rcu_register_thread();
	while (!atomic_load_explicit(&over, memory_order_relaxed))
		read_one(chance() % KEYS, seen);
	rcu_unregister_thread();
	atomic_fetch_add(&ended, 1);
	return NULL;
}

/* Fields that only the owner changes are as the owner left them. */
static void expect(unsigned long key, bool there, unsigned long serial)
{
	const struct content *content = table_get(key);

	if (there != (content != NULL))
		fault("key %lu was %s, and is %s", key, there ? "added" : "removed",
		      there ? "missing" : "there");
	if (!content)
		return;
	if (examine(content, key) != serial)
		fault("key %lu is not the one added last", key);
	table_put(content);
}

static void *writer(void *argument)
{
	unsigned long number = (unsigned long)argument, serials[OF_A_WRITER] = { 0 };
	bool there[OF_A_WRITER] = { false };

	state = number + 1000;
	rcu_register_thread();
	while (!atomic_load_explicit(&over, memory_order_relaxed)) {
		unsigned long i = chance() % OF_A_WRITER;
		unsigned long key = FIXED + number * OF_A_WRITER + i;

		if (there[i] && !table_remove(key))
			fault("key %lu was added, and its writer does not find it", key);
		if (!there[i] && !table_add(key, ++serials[i]))
			fault("no memory");
		there[i] = !there[i];
		expect(key, there[i], serials[i]);
		atomic_fetch_add_explicit(&changes, 1, memory_order_relaxed);
	}
	for (unsigned long i = 0; i < OF_A_WRITER; i++) {
		if (there[i])
			table_remove(FIXED + number * OF_A_WRITER + i);
	}
	rcu_unregister_thread();
	atomic_fetch_add(&ended, 1);
	return NULL;
}

static void expect_no_report(void)
{
	struct stele_stats stats;

	stele_stats_read(&stats);
	if (stats.reports != 0)
		fault("the library has reported something");
}

/* Looks at the library as long as the threads may go on, and a while longer. */
static void watch(unsigned long seconds)
{
	enum { LOOKS_PER_SECOND = 100, PATIENCE = 20 };
	const struct timespec nap = { 0, 1000000000 / LOOKS_PER_SECOND };
	unsigned long looks;

	for (looks = 0; atomic_load(&ended) < WRITERS + READERS; looks++) {
		nanosleep(&nap, NULL);
		expect_no_report();
		if (looks >= seconds * LOOKS_PER_SECOND)
			atomic_store(&over, true);
		if (looks >= (seconds + PATIENCE) * LOOKS_PER_SECOND)
			fault("a chain has no end");
	}
}

static void run(unsigned long seconds)
{
	pthread_t threads[WRITERS + READERS];
	unsigned long i;

	for (i = 0; i < WRITERS + READERS; i++) {
		bool writes = i < WRITERS;

		if (pthread_create(&threads[i], NULL, writes ? writer : reader,
				   (void *)(i + !writes)))
			fault("no thread");
	}
	watch(seconds);
	for (i = 0; i < WRITERS + READERS; i++)
		pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
	unsigned long key;

	state = 1;
	rcu_register_thread();
	if (!table_create())
		return 2;
	for (key = 0; key < FIXED; key++) {
		if (!table_add(key, 0))
			return 2;
	}
	run(argc > 1 ? strtoul(argv[1], NULL, 10) : 5);
	for (key = 0; key < FIXED; key++)
		table_remove(key);
	table_destroy();
	expect_no_report();
	printf("%lu lookups, %lu found, %lu changes\n", lookups, found, changes);
	rcu_unregister_thread();
	return 0;
}
