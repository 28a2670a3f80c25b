/* SPDX-License-Identifier: MIT */
/*
 * Tests of the steps in the mode that is in effect: pop, push, cas, and taking all of it from
 * outside while others push and pop.
 *
 * Idea      Tokens go through slots. Each has an owner word; a thread with a token in hand exchanges
 *           it and must find it free. At the end every token and every sheaf is there, once.
 */
#include "slots.h"

#include <signal.h>
#include <sys/time.h>

static void *object(uintptr_t i)
{
	return (void *)(i * 8 + 4096); /* neither 0 nor END; never dereferenced */
}

/* A step may give up after interruptions; where it must succeed in the end, ask again. */
static void *pop_surely(uint64_t words)
{
	void *p = NULL;

	for (int i = 0; i < 100 && !p; i++)
		p = stele_pcpu_pop(words);
	return p;
}

static bool push_surely(uint64_t words, void *p)
{
	for (int i = 0; i < 100; i++)
		if (stele_pcpu_push(words, p))
			return true;
	return false;
}

static bool cas_surely(uint64_t words, enum stele_word which, uint64_t old, uint64_t new)
{
	for (int i = 0; i < 100; i++)
		if (stele_pcpu_cas(words, which, old, new))
			return true;
	return false;
}

static void lines_are_apart_and_come_back(void **state)
{
	static uint64_t line[STELE_SLOT_SIZE / STELE_WORDS_SIZE];
	static bool seen[STELE_SLOT_SIZE / STELE_WORDS_SIZE];
	unsigned n = 0;

	(void)state;
	while ((line[n] = stele_pcpu_alloc())) {
		assert_int_equal(line[n] % STELE_WORDS_SIZE, 0);
		assert_true(line[n] < STELE_SLOT_SIZE);
		assert_false(seen[line[n] / STELE_WORDS_SIZE]);
		seen[line[n] / STELE_WORDS_SIZE] = true;
		n++;
	}
	assert_int_equal(n, STELE_SLOT_SIZE / STELE_WORDS_SIZE - 1);
	assert_int_equal(stele_pcpu_alloc(), 0);
	stele_pcpu_free(line[n / 2]);
	assert_int_equal(stele_pcpu_alloc(), line[n / 2]);
	while (n)
		stele_pcpu_free(line[--n]);
}

static void a_new_line_is_empty_and_full_at_once(void **state)
{
	uint64_t words = stele_pcpu_alloc();

	(void)state;
	assert_int_equal(stele_pcpu_read(words, WORD_MAIN), SHEAF_EMPTY);
	assert_int_equal(stele_pcpu_read(words, WORD_SPARE), 0);
	assert_null(stele_pcpu_pop(words));
	assert_false(stele_pcpu_push(words, object(1)));
	assert_int_equal(stele_pcpu_read(words, WORD_MAIN), SHEAF_EMPTY);
	stele_pcpu_free(words);
}

static void line_0_of_caches_without_sheaves_stays_empty(void **state)
{
	(void)state;
	assert_null(stele_pcpu_pop(0));
	assert_false(stele_pcpu_push(0, object(1)));
}

static void sentinels_are_no_sheaves(void **state)
{
	(void)state;
	assert_false(stele_is_sheaf(0));
	assert_false(stele_is_sheaf(SHEAF_EMPTY));
	assert_false(stele_is_sheaf(SHEAF_REMOTE));
	assert_false(stele_is_sheaf(SHEAF_UNINIT));
	assert_true(stele_is_sheaf(SHEAF_EMPTY - 8));
	assert_true(stele_is_sheaf(SHEAF_UNINIT + 8));
}

static uint64_t taken_tops[8];
static unsigned taken_count;

static void note_taken(uint64_t top, void *arg)
{
	(void)arg;
	assert_true(taken_count < 8);
	taken_tops[taken_count++] = top;
}

static unsigned take_all(uint64_t words)
{
	taken_count = 0;
	stele_pcpu_take_all(words, true, note_taken, NULL);
	return taken_count;
}

static void a_sheaf_is_filled_and_emptied_from_its_top(void **state)
{
	uint64_t words = stele_pcpu_alloc();
	struct test_sheaf sheaf;
	uint64_t top = sheaf_start(&sheaf);

	(void)state;
	assert_true(cas_surely(words, WORD_MAIN, SHEAF_EMPTY, top));
	assert_null(stele_pcpu_pop(words));
	for (uintptr_t i = 0; i < TEST_CAPACITY; i++)
		assert_true(push_surely(words, object(i)));
	assert_false(stele_pcpu_push(words, object(99)));
	assert_int_equal(sheaf.end, STELE_SHEAF_END);
	for (uintptr_t i = TEST_CAPACITY; i-- > 0;)
		assert_ptr_equal(pop_surely(words), object(i));
	assert_null(stele_pcpu_pop(words));
	assert_int_equal(stele_pcpu_read(words, WORD_MAIN), top);
	assert_int_equal(take_all(words), 1);
	assert_int_equal(taken_tops[0], top);
	stele_pcpu_free(words);
}

/* A sheaf that nobody could take out has the geometry of a cache that is gone. */
static void a_line_with_a_sheaf_in_it_is_not_given_out_again(void **state)
{
	uint64_t words = stele_pcpu_alloc(), other;
	struct test_sheaf sheaf;
	uint64_t top = sheaf_start(&sheaf);

	(void)state;
	for (enum stele_word which = WORD_MAIN; which <= WORD_SPARE; which += WORD_SPARE) {
		uint64_t nothing = which == WORD_MAIN ? SHEAF_EMPTY : 0;

		assert_true(cas_surely(words, which, nothing, top));
		stele_pcpu_free(words);
		other = stele_pcpu_alloc();
		assert_int_not_equal(other, words);
		stele_pcpu_free(other);
		assert_true(cas_surely(words, which, top, nothing));
	}
	stele_pcpu_free(words);
	assert_int_equal(stele_pcpu_alloc(), words);
	stele_pcpu_free(words);
}

static void cas_changes_nothing_but_what_it_saw(void **state)
{
	uint64_t words = stele_pcpu_alloc();
	struct test_sheaf sheaf;
	uint64_t top = sheaf_start(&sheaf);

	(void)state;
	assert_false(stele_pcpu_cas(words, WORD_MAIN, top, top + 8));
	assert_int_equal(stele_pcpu_read(words, WORD_MAIN), SHEAF_EMPTY);
	assert_false(stele_pcpu_cas(words, WORD_SPARE, top, top + 8));
	assert_int_equal(stele_pcpu_read(words, WORD_SPARE), 0);
	assert_true(cas_surely(words, WORD_SPARE, 0, top));
	assert_int_equal(stele_pcpu_read(words, WORD_SPARE), top);
	assert_int_equal(stele_pcpu_read(words, WORD_MAIN), SHEAF_EMPTY);
	assert_true(cas_surely(words, WORD_SPARE, top, 0));
	stele_pcpu_free(words);
}

static void taking_all_finds_both_words_and_leaves_the_line_as_new(void **state)
{
	uint64_t words = stele_pcpu_alloc(), other = stele_pcpu_alloc();
	struct test_sheaf sheaf[3];
	uint64_t top[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		top[i] = sheaf_start(&sheaf[i]);
	assert_int_equal(take_all(words), 0);
	assert_true(cas_surely(words, WORD_MAIN, SHEAF_EMPTY, top[0]));
	assert_true(cas_surely(words, WORD_SPARE, 0, top[1]));
	assert_true(cas_surely(other, WORD_MAIN, SHEAF_EMPTY, top[2]));
	assert_true(push_surely(words, object(7)));
	assert_int_equal(take_all(words), 2);
	assert_int_equal(taken_tops[0] + taken_tops[1], top[0] + 8 + top[1]);
	assert_int_equal(stele_pcpu_read(words, WORD_MAIN), SHEAF_EMPTY);
	assert_int_equal(stele_pcpu_read(words, WORD_SPARE), 0);
	assert_int_equal(stele_pcpu_read(other, WORD_MAIN), top[2]);
	assert_int_equal(take_all(words), 0);
	assert_int_equal(take_all(other), 1);
	stele_pcpu_free(words);
	stele_pcpu_free(other);
}

static void errno_is_left_alone(void **state)
{
	uint64_t words = stele_pcpu_alloc();

	(void)state;
	errno = 4711;
	stele_pcpu_pop(words);
	take_all(words);
	stele_pcpu_free(words);
	assert_int_equal(errno, 4711);
}

/* ---- many at once ---- */

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
		stele_pcpu_take_all(line, true, empty_taken, NULL);
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
	stele_pcpu_take_all(line, true, empty_taken, NULL);
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

static int start(void **state)
{
	int error = slots_start(state);

	stay_here();
	return error;
}

static int start_threads(void **state)
{
	cpu_set_t all;

	(void)state;
	memset(&all, 0xff, sizeof(all));
	(void)sched_setaffinity(0, sizeof(all), &all);
	return 0;
}

int main(void)
{
	const struct CMUnitTest alone[] = {
		cmocka_unit_test(sentinels_are_no_sheaves),
		cmocka_unit_test(lines_are_apart_and_come_back),
		cmocka_unit_test(a_new_line_is_empty_and_full_at_once),
		cmocka_unit_test(line_0_of_caches_without_sheaves_stays_empty),
		cmocka_unit_test(a_sheaf_is_filled_and_emptied_from_its_top),
		cmocka_unit_test(a_line_with_a_sheaf_in_it_is_not_given_out_again),
		cmocka_unit_test(cas_changes_nothing_but_what_it_saw),
		cmocka_unit_test(taking_all_finds_both_words_and_leaves_the_line_as_new),
		cmocka_unit_test(errno_is_left_alone),
	};
	const struct CMUnitTest together[] = {
		cmocka_unit_test(nothing_is_lost_or_doubled_when_a_thief_takes_all),
		cmocka_unit_test(a_handler_between_two_instructions_does_no_harm),
	};

	return cmocka_run_group_tests(alone, start, NULL) +
	       cmocka_run_group_tests(together, start_threads, NULL);
}
