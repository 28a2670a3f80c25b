/* SPDX-License-Identifier: MIT */
/*
 * tests/malloc/signal.c - malloc and free in a handler that interrupted malloc and free
 *
 * Idea      A timer at 5 kHz for each of two threads; the handler allocates, checks, resizes
 *           and frees, and so do the threads, all of them through one shared table, so that
 *           a block may be made by any and freed by any. A block is never in two hands: it
 *           is taken out of the table by an exchange.
 * Failure   a block handed out twice shows as wrong contents; a deadlock as the alarm.
 * Argument  seconds to run, 3 when absent.
 */
#include "drop_in.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>

#define TABLE 512
#define PERIOD_NS 200000

struct block {
	uint32_t size, seed;
	unsigned char bytes[];
};

static _Atomic(struct block *) table[TABLE];
static atomic_ulong in_handler, in_thread, serial;
static atomic_bool stop;
static __thread uint64_t handler_random, thread_random;

static uint32_t random_size(uint64_t r)
{
	if (r % 256 == 0)
		return (uint32_t)(30000 + (r >> 16) % 100000);
	return (uint32_t)((r >> 16) % (r % 8 ? 200 : 4000));
}

/* Ends and some of the middle; the whole would be slower than the signals come. */
static void mark(struct block *b, bool check)
{
	for (uint32_t i = 0; i < b->size; i += i < 16 || i + 20 > b->size ? 1 : 17) {
		if (check)
			CHECK_FOR(b->bytes[i] == pattern(i, b->seed), i);
		else
			b->bytes[i] = pattern(i, b->seed);
	}
}

static struct block *make(uint64_t r)
{
	uint32_t size = random_size(r);
	struct block *b = r & 1 << 12 ? calloc(1, sizeof(*b) + size) : malloc(sizeof(*b) + size);

	CHECK_FOR(b, size);
	if (r & 1 << 12)
		for (uint32_t i = 0; i < size; i += 13)
			CHECK_FOR(b->bytes[i] == 0, i);
	b->size = size;
	b->seed = (uint32_t)atomic_fetch_add(&serial, 1);
	mark(b, false);
	return b;
}

static struct block *resize(struct block *b, uint64_t r)
{
	uint32_t size = random_size(r), old = b->size;

	b = realloc(b, sizeof(*b) + size);
	CHECK_FOR(b, size);
	for (uint32_t i = 0; i < old && i < size && i < 16; i++)
		CHECK_FOR(b->bytes[i] == pattern(i, b->seed), i);
	b->size = size;
	mark(b, false);
	return b;
}

static void step(uint64_t *random)
{
	uint64_t r = next_random(random);
	_Atomic(struct block *) *slot = &table[(r >> 40) % TABLE];
	struct block *b = atomic_exchange(slot, NULL);

	if (b)
		mark(b, true);
	if (b && r % 4 == 0)
		b = resize(b, next_random(random));
	else if (!b || r % 4 == 1) {
		free(b);
		b = make(next_random(random));
	}
	b = atomic_exchange(slot, b);
	free(b);
}

static void on_tick(int signal)
{
	int saved = errno;

	(void)signal;
	for (int i = 0; i < 4; i++)
		step(&handler_random);
	atomic_fetch_add(&in_handler, 1);
	errno = saved;
}

static timer_t tick_here(void)
{
	struct itimerspec period = { { 0, PERIOD_NS }, { 0, PERIOD_NS } };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN };
	timer_t timer;

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	CHECK(timer_settime(timer, 0, &period, NULL) == 0);
	return timer;
}

static void *work(void *number)
{
	timer_t timer;

	thread_random = 88172645463325252ull + (uintptr_t)number;
	handler_random = 1181783497276652981ull + (uintptr_t)number;
	timer = tick_here();
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		step(&thread_random);
		atomic_fetch_add_explicit(&in_thread, 1, memory_order_relaxed);
	}
	timer_delete(timer);
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 3;
	struct sigaction action = { .sa_handler = on_tick, .sa_flags = SA_RESTART };
	pthread_t thread[2];

	need_drop_in();
	alarm(seconds * 4 + 30);
	sigaction(SIGRTMIN, &action, NULL);
	for (uintptr_t i = 0; i < 2; i++)
		CHECK(pthread_create(&thread[i], NULL, work, (void *)i) == 0);
	sleep(seconds);
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < TABLE; i++) {
		if (table[i])
			mark(table[i], true);
		free(table[i]);
	}
	printf("%lu steps, %lu signals\n", in_thread, in_handler);
	/* A fortieth of the rate asked for: the machine may be busy, but it must have happened. */
	CHECK_FOR(in_handler > seconds * 2ul * (1000000000 / PERIOD_NS) / 40, in_handler);
	return 0;
}
