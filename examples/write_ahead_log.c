/* SPDX-License-Identifier: MIT */
/*
 * examples/write_ahead_log.c - a log that goes on committing when there is no memory any more
 *
 * Build     cc -g write_ahead_log.c -o write_ahead_log -pthread $(pkg-config --cflags --libs stele)
 * Run       ./write_ahead_log pool FILE RECORDS     commits all of them
 *           ./write_ahead_log plain FILE RECORDS    without pools: stops where memory ends
 *           (ulimit -v 200000; ./write_ahead_log ...)  a real end; without a limit, one is made up
 * Idea      A commit needs a record and a block to write it from. Writers take both from pools: two
 *           records and a block each are kept aside. When memory has ended, a writer waits until
 *           a record or a block comes back after a write, its own or another's. So one of them
 *           always gets on. A record and a block are of different pools: a thread that holds one
 *           may wait for the other.
 * End       After a third of the records all memory is taken: by allocations until they fail, up to
 *           the limit of address space, if one is set; else by failures made up in the callbacks.
 * Format    a record is "number sum\n"; FILE is checked at the end.
 * Not here  syncing, rotation, recovery.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <stele/mempool.h>

#define WRITERS 4
#define BLOCK 4096

struct record {
	unsigned long number;
	unsigned long sum;
};

static struct {
	FILE *file;
	bool plain;
	unsigned long wanted;
	atomic_ulong next, committed, failed;
	atomic_bool no_memory; /* made up */
	mempool_t *records, *blocks;
	pthread_barrier_t all_there;
} wal;

static void *source(gfp_t gfp, void *size)
{
	return atomic_load(&wal.no_memory) ? NULL : kmalloc((size_t)size, gfp);
}

static void sink(void *p, void *size)
{
	(void)size;
	kfree(p);
}

static void *get(mempool_t *pool, size_t size)
{
	if (!wal.plain)
		return mempool_alloc(pool, GFP_KERNEL);
	return source(GFP_KERNEL, (void *)size);
}

static void put(void *p, mempool_t *pool)
{
	if (wal.plain)
		kfree(p);
	else
		mempool_free(p, pool);
}

static unsigned long sum_of(unsigned long number)
{
	return number * 2654435761ul % 1000003;
}

/* False: there was no memory. */
static bool commit(unsigned long number)
{
	struct record *record = get(wal.records, sizeof(*record));
	char *block = record ? get(wal.blocks, BLOCK) : NULL;
	bool done = false;

	if (block) {
		record->number = number;
		record->sum = sum_of(number);
		int n = snprintf(block, BLOCK, "%lu %lu\n", record->number, record->sum);

		/* One write: records of several writers are never mixed. */
		done = write(fileno(wal.file), block, (size_t)n) == n;
	}
	put(block, wal.blocks);
	put(record, wal.records);
	return done;
}

/* All there is, down to the last byte. */
static void end_of_memory(void)
{
	struct rlimit limit;
	size_t size = 1 << 20;

	if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
		atomic_store(&wal.no_memory, true);
		return;
	}
	while (size >= 8)
		if (!kmalloc(size, GFP_KERNEL | __GFP_NOWARN))
			size /= 2;
}

static void *writer(void *arg)
{
	unsigned long number;

	pthread_barrier_wait(&wal.all_there);
	while ((number = atomic_fetch_add(&wal.next, 1)) < wal.wanted) {
		if (number == wal.wanted / 3)
			end_of_memory();
		atomic_fetch_add(commit(number) ? &wal.committed : &wal.failed, 1);
	}
	return arg;
}

static void write_all(void)
{
	pthread_t threads[WRITERS];

	/* A writer that takes all memory leaves none for the stack of the next. */
	pthread_barrier_init(&wal.all_there, NULL, WRITERS);
	for (int i = 0; i < WRITERS; i++)
		if (pthread_create(&threads[i], NULL, writer, NULL) != 0)
			exit(2);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
}

/* Records of the file that are whole and right. */
static unsigned long read_back(const char *path)
{
	FILE *file = fopen(path, "r");
	unsigned long number, sum, right = 0;
	static char buffer[BLOCK]; /* there may be no memory for one */

	if (!file)
		return 0;
	setvbuf(file, buffer, _IOFBF, sizeof(buffer));
	while (fscanf(file, "%lu %lu\n", &number, &sum) == 2)
		right += number < wal.wanted && sum == sum_of(number);
	fclose(file);
	return right;
}

int main(int argc, char **argv)
{
	if (argc != 4 || (strcmp(argv[1], "pool") != 0 && strcmp(argv[1], "plain") != 0)) {
		fprintf(stderr, "usage: %s pool|plain FILE RECORDS\n", argv[0]);
		return 2;
	}
	wal.plain = strcmp(argv[1], "plain") == 0;
	wal.wanted = strtoul(argv[3], NULL, 10);
	wal.file = fopen(argv[2], "w");
	wal.records = mempool_create(2, source, sink, (void *)sizeof(struct record));
	wal.blocks = mempool_create(1, source, sink, (void *)BLOCK);
	if (!wal.file || !wal.records || !wal.blocks) {
		perror(argv[2]);
		return 2;
	}
	write_all();
	printf("%s: %lu of %lu records committed, %lu read back\n", argv[1],
	       atomic_load(&wal.committed), wal.wanted, read_back(argv[2]));
	return atomic_load(&wal.committed) == wal.wanted ? 0 : 1;
}
