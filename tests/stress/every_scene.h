/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/every_scene.h - TABLE: the scenes in which a thread leaves, stalls or dies
 *
 * Idea      In most scenes the victim is an ordinary thread that makes every kind of call. In some,
 *           a thread of the library goes, or the library gets no thread, or an accomplice has gone
 *           before, so that the victim finds what that one has left.
 * Threads   pthread_create() is wrapped: the test knows which threads the library makes.
 * Included  by every_pair.c alone.
 */
#ifndef STELE_TESTS_STRESS_EVERY_SCENE_H
#define STELE_TESTS_STRESS_EVERY_SCENE_H

#include "every_point.h"

#include "percpu/system.h"
#include <errno.h>
#include <sched.h>

struct scene {
	const char *name;
	void (*begin)(void);	    /* before the victim and the others start */
	void (*end)(void);	    /* before the others start, where the victim is alone */
	void (*before_call)(void);  /* in the victim */
	unsigned kind;		    /* of most of the victim's calls; KINDS: of any */
	unsigned goes;		    /* 0: the victim; else: so many-th thread of the library */
	bool alone;		    /* the others start when the victim has gone */
	bool no_threads;	    /* for the library */
	const char *linger;	    /* until the victim has gone, each thread rests at this point */
	const char *option, *value; /* of the environment */
};

static const struct scene *scene;

/* ---- threads of the library ---- */

static _Thread_local bool is_test; /* the threads that this one makes are no library's */
static atomic_uint library_threads;

static struct {
	void *(*body)(void *);
	void *arg;
} beginnings[16];

static void stall_the_runner(void);

int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __wrap_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static void *be_of_library(void *arg)
{
	uintptr_t number = (uintptr_t)arg;

	dice = random_seed(number + 300);
	leaving_may = scene->begin == stall_the_runner ? number < 2 : number + 1 == scene->goes;
	return beginnings[number].body(beginnings[number].arg);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *),
			  void *arg)
{
	unsigned number;

	if (is_test || !scene)
		return __real_pthread_create(thread, attr, body, arg);
	number = scene->no_threads ? 16 : atomic_fetch_add(&library_threads, 1);
	if (number >= 16)
		return EAGAIN;
	beginnings[number].body = body;
	beginnings[number].arg = arg;
	return __real_pthread_create(thread, attr, be_of_library, (void *)(uintptr_t)number);
}

static void start_thread(void *(*body)(void *), uintptr_t arg)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	MUST(__real_pthread_create(&thread, &attr, body, (void *)arg) == 0);
	pthread_attr_destroy(&attr);
}

/* ---- accomplices ---- */

/* One goes at @point in @call, before the victim starts. */
static void send_before(const char *point, enum leaving_way way, void (*call)(void))
{
	pthread_t thread;

	leaving_at(point, way);
	MUST(leaving_thread(&thread, call));
	MUST(atomic_load(&leaving.fired));
}

/* Gives away until a runner stands still; no thread waits for that one yet. */
static void *give_away(void *arg)
{
	dice = random_seed(1000);
	for (int i = 0; i < 20; i++)
		call_rcu();
	return arg;
}

static void stall_the_runner(void)
{
	leaving_at("runner:taken", LEAVING_STALLS);
	start_thread(give_away, 0);
	while (sem_wait(&leaving.there) != 0)
		;
}

static void *fork_for_ever(void *arg)
{
	for (;;)
		call_fork();
	return arg;
}

static void fork_often(void)
{
	for (uintptr_t i = 0; i < 2; i++)
		start_thread(fork_for_ever, i);
}

#define CROWD_SIZE 64

static void give_much_away(void)
{
	dice = random_seed(1000);
	for (int i = 0; i < 100; i++)
		call_rcu();
}

/* As many as have room in a table of names, each with a sheaf in its hands. */
static void let_a_crowd_die(void)
{
	for (int i = 0; i < CROWD_SIZE; i++)
		send_before("rcu:detached", LEAVING_DIES, give_much_away);
}

/* ---- slots ---- */

/* As a debugger would make it: its steps are done by lock. */
static void be_stepped(void)
{
	for (int i = 0; i < 3 && !by_lock; i++)
		stele_thread_step_failed();
}

static void pop_stepped(void)
{
	dice = random_seed(1000);
	for (int i = 0; i < 100; i++) {
		be_stepped();
		call_typed();
	}
}

static void leave_a_line_held(void)
{
	send_before("fallback:pop", LEAVING_STALLS, pop_stepped);
}

static void leave_a_line_locked(void)
{
	send_before("fallback:pop", LEAVING_DIES, pop_stepped);
}

static void *fill_slots(void *arg)
{
	double end = seconds_now() + 0.05;

	dice = random_seed((uintptr_t)arg);
	while (seconds_now() < end)
		call_typed();
	return NULL;
}

static cpu_set_t all_cpus;

static void use_all_cpus(void)
{
	MUST(sched_setaffinity(0, sizeof(all_cpus), &all_cpus) == 0);
}

/* Work on all CPUs; then there is one for the victim. */
static void leave_slots_cold(void)
{
	pthread_t thread[4];
	cpu_set_t first;

	for (uintptr_t i = 0; i < 4; i++)
		MUST(pthread_create(&thread[i], NULL, fill_slots, (void *)i) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	MUST(sched_getaffinity(0, sizeof(all_cpus), &all_cpus) == 0);
	CPU_ZERO(&first);
	CPU_SET(sched_getcpu(), &first);
	MUST(sched_setaffinity(0, sizeof(first), &first) == 0);
}

static const struct scene scenes[SCENES] = {
	[ORDINARY] = { .name = "ordinary", .kind = KINDS },
	[FIRST_USE] = { .name = "first use", .kind = KINDS, .alone = true },
	[FIRST_RUNNER] = { .name = "first runner", .kind = RCU, .alone = true },
	[RUNNER] = { .name = "runner", .kind = KINDS, .goes = 1 },
	[NO_THREADS] = { .name = "no threads", .kind = BARRIER, .no_threads = true },
	[STUCK_RUNNER] = { .name = "stuck runner",
			   .begin = stall_the_runner,
			   .kind = BARRIER,
			   .alone = true },
	[REPLACED_RUNNER] = { .name = "replaced runner",
			      .begin = stall_the_runner,
			      .kind = BARRIER,
			      .goes = 2 },
	[FORKS] = { .name = "forks",
		    .begin = fork_often,
		    .kind = KINDS,
		    .goes = 1,
		    .linger = "runner:taken" },
	[COLD_SLOTS] = { .name = "cold slots",
			 .begin = leave_slots_cold,
			 .end = use_all_cpus,
			 .kind = LIVES,
			 .alone = true,
			 .option = "STELE_CPU_LOOK",
			 .value = "1" },
	[CHECKED] = { .name = "checked",
		      .kind = VALIDATE,
		      .option = "STELE_DEBUG",
		      .value = "FZPU" },
	[LOOKED_AT] = { .name = "looked at",
			.kind = LARGE,
			.linger = "watch:looks",
			.option = "STELE_DEBUG",
			.value = "FZPU" },
	[NOTED] = { .name = "noted",
		    .kind = TYPED,
		    .linger = "look:noted",
		    .option = "STELE_DEBUG",
		    .value = "FZPU" },
	[CROWD] = { .name = "crowd", .begin = let_a_crowd_die, .kind = RCU, .alone = true },
	[STEPPED] = { .name = "stepped", .before_call = be_stepped, .kind = TYPED },
	[LINE_HELD] = { .name = "line held",
			.begin = leave_a_line_held,
			.kind = SHRINK,
			.alone = true },
	[LINE_LEFT] = { .name = "line left",
			.begin = leave_a_line_locked,
			.kind = SHRINK,
			.alone = true },
};

#endif
