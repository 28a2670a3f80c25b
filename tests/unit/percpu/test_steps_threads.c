/* SPDX-License-Identifier: MIT */
/*
 * Tests of the steps in the mode that is in effect, while a thief takes all of it from outside or a
 * handler comes between two instructions.
 *
 * Idea      Tokens go through slots. Each has an owner word; a thread with a token in hand
 *           exchanges it and must find it free. At the end every token and every sheaf is there,
 *           once.
 */
#include "slots.h"

#include <signal.h>
#include <sys/time.h>

#define TOKENS 256
#define SHEAVES 64
#define WORKERS 3
#define ROUNDS 60000
#define STEALS 400

static uint64_t line;
static struct test_sheaf sheaves[SHEAVES];
static _Atomic uint32_t owner[TOKENS]; /* 1: in somebody's hands */
static _Atomic uint32_t wrong, finished;

/* The pools of what is in no slot; under the pool's lock. */
static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned tokens[TOKENS], tokens_count, tokens_twice;
static unsigned free_sheaves[SHEAVES], free_sheaves_count;

static unsigned token_of(const void *p)
{
	return (unsigned)(((uintptr_t)p - 4096) / 8);
}

static void own(unsigned token)
{
	if (token >= TOKENS || atomic_exchange(&owner[token], 1) != 0)
		add_relaxed(&wrong, 1);
}

static void put_token(unsigned token)
{
	pthread_mutex_lock(&pool_lock);
	if (tokens_count < TOKENS)
		tokens[tokens_count++] = token;
	else
		tokens_twice++;
	pthread_mutex_unlock(&pool_lock);
}

static int get_token(void)
{
	int token = -1;

	pthread_mutex_lock(&pool_lock);
	if (tokens_count)
		token = (int)tokens[--tokens_count];
	pthread_mutex_unlock(&pool_lock);
	return token;
}

static void put_sheaf(struct test_sheaf *sheaf)
{
	pthread_mutex_lock(&pool_lock);
	if (free_sheaves_count < SHEAVES)
		free_sheaves[free_sheaves_count++] = (unsigned)(sheaf - sheaves);
	else
		add_relaxed(&wrong, 1);
	pthread_mutex_unlock(&pool_lock);
}

static struct test_sheaf *get_sheaf(void)
{
	struct test_sheaf *sheaf = NULL;

	pthread_mutex_lock(&pool_lock);
	if (free_sheaves_count)
		sheaf = &sheaves[free_sheaves[--free_sheaves_count]];
	pthread_mutex_unlock(&pool_lock);
	return sheaf;
}

static void attach_one(enum stele_word which, uint64_t nothing)
{
	struct test_sheaf *sheaf = get_sheaf();

	if (sheaf && !stele_pcpu_cas(line, which, nothing, (uint64_t)(uintptr_t)sheaf->entry))
		put_sheaf(sheaf);
}

static void push_one(void)
{
	int token = get_token();

	if (token < 0)
		return;
	store_relaxed(&owner[token], 0);
	if (stele_pcpu_push(line, object((uintptr_t)token)))
		return;
	own((unsigned)token);
	put_token((unsigned)token);
	attach_one(WORD_MAIN, SHEAF_EMPTY);
}

static void pop_one(void)
{
	void *p = stele_pcpu_pop(line);

	if (!p)
		return;
	own(token_of(p));
	put_token(token_of(p));
}

static void empty_taken(uint64_t top, void *arg)
{
	unsigned count;
	struct test_sheaf *sheaf = sheaf_of_top(sheaves, top, &count);

	(void)arg;
	for (unsigned i = 0; i < count; i++) {
		unsigned token = token_of((void *)(uintptr_t)sheaf->entry[i]);

		own(token);
		put_token(token);
	}
	put_sheaf(sheaf);
}

/* A sheaf in hand: where it fits, else apart. */
static void stow(uint64_t top)
{
	if (!stele_pcpu_cas(line, WORD_SPARE, 0, top) &&
	    !stele_pcpu_cas(line, WORD_MAIN, SHEAF_EMPTY, top))
		empty_taken(top, NULL);
}

/* MAIN <-> SPARE as the cache floor does it: detach, then attach. */
static void swap_main(void)
{
	uint64_t main = stele_pcpu_read(line, WORD_MAIN), spare;

	if (!stele_is_sheaf(main) || !stele_pcpu_cas(line, WORD_MAIN, main, SHEAF_EMPTY))
		return;
	spare = stele_pcpu_read(line, WORD_SPARE);
	if (!stele_is_sheaf(spare) || !stele_pcpu_cas(line, WORD_SPARE, spare, main)) {
		stow(main);
		return;
	}
	if (!stele_pcpu_cas(line, WORD_MAIN, SHEAF_EMPTY, spare))
		stow(spare);
}

static void *work(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg + 1;

	for (int i = 0; i < ROUNDS || load_relaxed(&finished) == 0; i++) {
		uint32_t dice = unit_random(&seed) % 64;

		if (dice < 36)
			push_one();
		else if (dice < 60)
			pop_one();
		else if (dice < 62)
			attach_one(WORD_SPARE, 0);
		else if (dice == 62)
			swap_main();
		else
			sched_yield();
	}
	return NULL;
}

static void *steal(void *arg)
{
	for (int i = 0; i < STEALS; i++) {
		stele_pcpu_take_all(line, EFFORT_WAITING, empty_taken, NULL);
		usleep(200);
	}
	store_relaxed(&finished, 1);
	return arg;
}

static void *work_or_steal(void *arg)
{
	return (uintptr_t)arg == WORKERS ? steal(arg) : work(arg);
}

static void pools_start(void)
{
	line = stele_pcpu_alloc();
	tokens_count = free_sheaves_count = tokens_twice = 0;
	store_relaxed(&wrong, 0);
	store_relaxed(&finished, 0);
	for (unsigned i = 0; i < TOKENS; i++) {
		store_relaxed(&owner[i], 1);
		put_token(i);
	}
	for (unsigned i = 0; i < SHEAVES; i++) {
		sheaf_start(&sheaves[i]);
		put_sheaf(&sheaves[i]);
	}
}

static void assert_all_there(void)
{
	stele_pcpu_take_all(line, EFFORT_WAITING, empty_taken, NULL);
	assert_int_equal(load_relaxed(&wrong), 0);
	assert_int_equal(tokens_twice, 0);
	assert_int_equal(tokens_count, TOKENS);
	assert_int_equal(free_sheaves_count, SHEAVES);
	stele_pcpu_free(line);
}

static void nothing_is_lost_or_doubled_when_a_thief_takes_all(void **state)
{
	(void)state;
	pools_start();
	meet_inside_steps(true);
	in_threads(WORKERS + 1, work_or_steal);
	meet_inside_steps(false);
	assert_all_there();
}

/* ---- a handler in between ---- */

static volatile sig_atomic_t handled;
static bool handler_has;
static unsigned handler_token;

/* Pops one, pushes it back; keeps it for the next time when there is no room. */
static void step_in_handler(int number)
{
	void *p = NULL;

	(void)number;
	handled++;
	if (handler_has) {
		store_relaxed(&owner[handler_token], 0);
		if (stele_pcpu_push(line, object(handler_token)))
			handler_has = false;
		else
			own(handler_token);
		return;
	}
	p = stele_pcpu_pop(line);
	if (p) {
		own(token_of(p));
		handler_token = token_of(p);
		handler_has = true;
	}
}

static void a_handler_between_two_instructions_does_no_harm(void **state)
{
	struct itimerval often = { { 0, 100 }, { 0, 100 } }, never = { { 0, 0 }, { 0, 0 } };
	uint32_t seed = 1;

	(void)state;
	pools_start();
	signal(SIGALRM, step_in_handler);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 3000000 && handled < 1000; i++)
		unit_random(&seed) % 16 < 9 ? push_one() : pop_one();
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_IGN);
	assert_true(handled > 10);
	if (handler_has)
		put_token(handler_token);
	assert_all_there();
}

static int start_threads(void **state)
{
	cpu_set_t all;

	memset(&all, 0xff, sizeof(all));
	(void)sched_setaffinity(0, sizeof(all), &all);
	return slots_start(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost_or_doubled_when_a_thief_takes_all),
		cmocka_unit_test(a_handler_between_two_instructions_does_no_harm),
	};

	return cmocka_run_group_tests(tests, start_threads, NULL);
}
