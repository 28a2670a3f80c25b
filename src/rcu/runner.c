/* SPDX-License-Identifier: MIT */
/*
 * rcu/runner.c - grace periods: who asks for them, when, and what happens after one
 *
 * Idea      Each flavour of readers that is used has one thread, its runner. A round of it takes all
 *           that was put into the queue (sync/grace.h), waits for a grace period of liburcu, and
 *           calls each. So the number of grace periods does not grow with that of objects, nobody
 *           who frees ever waits for readers, and liburcu's own call_rcu threads are not needed.
 * Rounds    When something was put into an empty queue, it gathers for `rcu_delay`, unless
 *           `rcu_expedite` bytes wait, or somebody waits for the round. Past `rcu_max` bytes who
 *           may sleep is held back (stele_runner_hold_back()).
 * Objects   runner: 0 nobody; 1 a thread runs rounds, which has all below to itself: what it has
 *           taken and not called yet, and whether its readers have left.
 *           busy, syncing, pauses: see Fork.
 * States    no runner -> a thread, at the first use in an ordinary thread. Where none can be
 *           made, whoever waits for a round runs it himself.
 * Order     GRACE, GRACE_SLEEP, GRACE_ROUND (sync/grace.h). RUNNER: taken with acquire, left with
 *           release.
 * Context   starting, waiting: ordinary threads. A function called after a grace period runs in the
 *           runner, with all signals held back; it may wait for rounds itself, which are then run
 *           inside of this one.
 * Fork      The child has no runner, and starts one when it needs it; what waited, waits on. What
 *           one cannot have in a child is a lock of liburcu that the runner held: so before a fork
 *           the runner is asked to stay outside, and waited for, unless the forking thread is a
 *           reader itself, for rcu_wait at most. A child that finds it inside all the same has no
 *           grace periods of that flavour: it keeps what waits, and says so once.
 * Failure   no flavour: -EINVAL, and nothing is ever freed early.
 * Tests     tests/contract/test_rcu_grace.c  tests/contract/test_rcu_trouble.c  tests/rcu/flavors.c
 */
#include "rcu/rcu.h"
#include "base/options.h"
#include "os/os.h"
#include "percpu/cpus.h"
#include "rcu/flavor.h"
#include "sync/mutex.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>

/* Beside each of stele_graces[]. */
struct runner {
	_Atomic uint32_t runner;
	_Atomic uint32_t busy;	  /* futex: threads in a round, and not just letting a fork in */
	_Atomic uint32_t syncing; /* of them, inside of liburcu */
	struct stele_grace_link *calls, *heads;
	bool readers_left;	  /* of these two */
	bool broken;		  /* a child without grace periods */
	_Atomic uint32_t said;	  /* that it is broken, or has no flavour */
	_Atomic uint32_t gave_up; /* done, when a caller's patience was at its end */
};

static struct runner runners[STELE_GRACES];
static _Atomic uint32_t pauses; /* futex: forks under way */
static struct stele_mutex starting = STELE_MUTEX(RUNNER);
static const struct rcu_flavor_struct *chosen, *suggested;
static _Thread_local uint32_t inside; /* of rounds: a bit per flavour */

/* From liburcu-memb or liburcu, where the program links it. */
extern const struct rcu_flavor_struct urcu_memb_flavor __attribute__((weak, visibility("default")));

static struct runner *runner_of(const struct stele_grace *g)
{
	return &runners[g - stele_graces];
}

static const struct rcu_flavor_struct *flavor_of(const struct stele_grace *g)
{
	return g->flavor;
}

static uint32_t bit_of(const struct stele_grace *g)
{
	return 1u << (g - stele_graces);
}

bool stele_reading(const struct stele_grace *g)
{
	return g->flavor && flavor_of(g)->read_ongoing();
}

/* ---- a round ---- */

/* Not below 0: a child counts from 0, and a handler may have forked. */
static void not_busy(struct runner *r)
{
	uint32_t seen = load_seq(&r->busy);

	while (seen && !atomic_compare_exchange_weak(&r->busy, &seen, seen - 1))
		;
}

/* Waits until no fork is under way, then is busy: no fork starts, unless it has no patience. */
static void get_busy(struct runner *r)
{
	uint32_t forks;

	for (;;) {
		/* ORDER(RUNNER) sequentially consistent: busy, then look for forks, which say so and
		 * then look whether we are busy. */
		atomic_fetch_add(&r->busy, 1);
		forks = load_seq(&pauses);
		if (!forks)
			return;
		not_busy(r);
		stele_os_futex_wake(&r->busy, INT32_MAX);
		stele_os_futex_wait_ms(&pauses, forks, 10);
	}
}

static void be_idle(struct runner *r)
{
	/* ORDER(RUNNER) sequentially consistent, as in get_busy(). */
	not_busy(r);
	if (load_seq(&pauses))
		stele_os_futex_wake(&r->busy, INT32_MAX);
}

/* Between two calls: lets a fork in. */
static void let_fork(struct runner *r)
{
	if (stele_unlikely(load_relaxed(&pauses))) {
		be_idle(r);
		get_busy(r);
	}
}

static void synchronize(struct stele_grace *g)
{
	struct runner *r = runner_of(g);

	let_fork(r);
	add_relaxed(&r->syncing, 1);
	STELE_POINT("runner:syncing");
	flavor_of(g)->update_synchronize_rcu();
	sub_relaxed(&r->syncing, 1);
}

static uint64_t call(struct stele_grace_link *link)
{
	struct stele_grace_call *entry = (struct stele_grace_call *)link;
	stele_grace_done *done = load_relaxed(&entry->done);

	/* What is not NULL waits: a descriptor may be a large block's next (rcu/free.c). */
	store_relaxed(&entry->done, NULL);
	return done(entry);
}

/* Calls what is in hand, one by one: what is called may run rounds itself. */
static void call_each(struct stele_grace *g, struct stele_grace_link **hand,
		      uint64_t (*each)(struct stele_grace_link *))
{
	while (*hand) {
		struct stele_grace_link *link = *hand;
		uint64_t bytes;

		*hand = load_relaxed(&link->next);
		bytes = each(link);
		sub_relaxed(&g->waiting, bytes);
		/* An object given twice may have made a circle: the rest is lost, and stays counted. */
		if (stele_unlikely(!bytes))
			*hand = NULL;
	}
}

static void call_all(struct stele_grace *g)
{
	struct runner *r = runner_of(g);

	call_each(g, &r->calls, call);
	call_each(g, &r->heads, stele_rcu_head_done);
}

static void take(struct stele_grace *g, struct runner *r)
{
	r->readers_left = false;
	r->calls = grace_take(&g->calls);
	r->heads = grace_take(&g->heads);
}

static void round_inside(struct stele_grace *g)
{
	struct runner *r = runner_of(g);

	call_all(g); /* left by a round that this one is inside of, or whose runner is gone */
	take(g, r);
	if (r->calls || r->heads)
		synchronize(g);
	STELE_POINT("runner:readers-left");
	r->readers_left = true;
	call_all(g);
}

/* A round inside of another of its flavour is not done before that one: what called it is not. */
static void round_run(struct stele_grace *g)
{
	struct runner *r = runner_of(g);

	grace_begin(g);
	if (inside & bit_of(g)) {
		round_inside(g);
		return;
	}
	get_busy(r);
	inside |= bit_of(g);
	round_inside(g);
	inside &= ~bit_of(g);
	be_idle(r);
	grace_end(g, load_relaxed(&g->begun));
	stele_os_futex_wake(&g->done, INT32_MAX);
}

/* ---- the thread ---- */

/* Lets things gather for a while. */
static void gather(struct stele_grace *g)
{
	if (load_relaxed(&g->waiting) >= (uint64_t)stele_opt.rcu_expedite || !stele_opt.rcu_delay)
		return;
	store_seq(&g->asleep, GRACE_GATHERING);
	/* ORDER(GRACE_SLEEP) as in grace_fall_asleep(). */
	fence_seq();
	if (!load_seq(&g->urgent) && load_relaxed(&g->waiting) < (uint64_t)stele_opt.rcu_expedite)
		stele_os_futex_wait_ms(&g->asleep, GRACE_GATHERING, (unsigned)stele_opt.rcu_delay);
	store_seq(&g->asleep, GRACE_AWAKE);
}

static void *run(void *arg)
{
	struct stele_grace *g = arg;

	for (;;) {
		while (grace_fall_asleep(g))
			stele_os_futex_wait(&g->asleep, GRACE_ASLEEP);
		gather(g);
		store_seq(&g->urgent, 0);
		round_run(g);
	}
	return NULL;
}

/* Destructors that destroy caches nest, one for each slab that waits beside theirs. */
#define STACK_SIZE (8u << 20)

static int make_thread(struct stele_grace *g)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	/* The library's way, not the system's: the C library's own signals must get through. */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, &attr, run, g);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!error)
		pthread_setname_np(thread, "stele-rcu");
	pthread_attr_destroy(&attr);
	return -error;
}

static bool become_runner(struct stele_grace *g)
{
	uint32_t nobody = 0;

	/* ORDER(RUNNER) acquire: what the last one left. */
	return cas_acquire(&runner_of(g)->runner, &nobody, 1);
}

static void stop_being_runner(struct stele_grace *g)
{
	/* ORDER(RUNNER) release */
	store_release(&runner_of(g)->runner, 0);
}

/* ---- flavours ---- */

static void say_once(struct stele_grace *g, const char *what)
{
	if (!atomic_exchange(&runner_of(g)->said, 1))
		stele_say("stele: RCU: %s\n", what);
}

static void before_fork(void);
static void after_fork_parent(void);
static void start_all_again(void);

static void watch_fork(void)
{
	static bool watched;

	stele_rank_in_child(STELE_RANK_RUNNER, start_all_again);
	if (!watched && pthread_atfork(before_fork, after_fork_parent, NULL) == 0)
		watched = true;
}

static const struct rcu_flavor_struct *process_flavor(void)
{
	return chosen ? chosen : suggested ? suggested : &urcu_memb_flavor;
}

/* Under `starting`. */
static int set_flavor(struct stele_grace *g)
{
	if (g->flavor)
		return 0;
	if (!process_flavor())
		return -EINVAL;
	watch_fork();
	stele_grace_use();
	/* ORDER(RUNNER) release: seen by who finds it without the lock. */
	fence_release();
	g->flavor = process_flavor();
	return 0;
}

/* The one for @flavor. Under `starting`. */
static struct stele_grace *find(const void *flavor)
{
	if (!flavor || flavor == stele_graces[0].flavor)
		return &stele_graces[0];
	for (int i = 1; i < STELE_GRACES; i++) {
		if (!stele_graces[i].flavor) {
			watch_fork();
			stele_grace_use();
			stele_graces[i].flavor = flavor;
		}
		if (stele_graces[i].flavor == flavor)
			return &stele_graces[i];
	}
	return NULL;
}

int stele_runner_start(struct stele_grace *g)
{
	int error = 0;

	if (load_acquire(&runner_of(g)->runner))
		return 0;
	if (runner_of(g)->broken || stele_lock(&starting) != 0)
		return -EDEADLK;
	error = set_flavor(g);
	stele_unlock(&starting);
	if (error || !become_runner(g))
		return error;
	error = make_thread(g);
	if (error)
		stop_being_runner(g);
	return error == -EINVAL ? -EAGAIN : error;
}

static int start_for(const void *flavor, struct stele_grace **grace)
{
	struct stele_grace *g;
	int error;

	if (stele_lock(&starting) != 0)
		return -EDEADLK;
	g = find(flavor);
	stele_unlock(&starting);
	if (!g)
		return -ENOSPC;
	error = stele_runner_start(g);
	/* Without a thread whoever waits runs the rounds. */
	*grace = g;
	return error == -EINVAL ? error : 0;
}

int stele_rcu_set_flavor(const struct rcu_flavor_struct *flavor)
{
	int error = -EBUSY;

	if (!flavor)
		return -EINVAL;
	if (stele_lock(&starting) != 0)
		return -EDEADLK;
	if (!stele_graces[0].flavor || stele_graces[0].flavor == flavor) {
		chosen = flavor;
		error = 0;
	}
	stele_unlock(&starting);
	return error;
}

void stele_rcu_suggest_flavor(const struct rcu_flavor_struct *flavor)
{
	if (suggested && suggested != flavor && !chosen)
		say_once(&stele_graces[0], "files of this program were compiled for two flavours; "
					   "call stele_rcu_set_flavor()");
	if (!suggested)
		suggested = flavor;
}

/* ---- waiting for rounds ---- */

/* Asks for a round without gathering. */
static void hurry(struct stele_grace *g)
{
	/* ORDER(GRACE_SLEEP) sequentially consistent: like a put. */
	store_seq(&g->urgent, 1);
	if (grace_must_wake(g, true))
		stele_os_futex_wake(&g->asleep, 1);
}

/* One round in this thread, if nobody else runs them. */
static void run_one_here(struct stele_grace *g)
{
	if (!become_runner(g))
		return;
	round_run(g);
	stop_being_runner(g);
}

/* Who ran rounds was perhaps somebody like us, and has left; or a handler has forked. */
static bool provide_runner(struct stele_grace *g)
{
	if (stele_runner_start(g) != 0 && !runner_of(g)->broken)
		run_one_here(g);
	return !runner_of(g)->broken;
}

int stele_runner_wait(struct stele_grace *g, uint32_t ticket)
{
	int error = stele_runner_start(g);

	if (runner_of(g)->broken)
		say_once(g,
			 "this process was forked while a grace period was under way: what waits "
			 "for readers is kept");
	if (error == -EINVAL || runner_of(g)->broken)
		return error;
	if (inside & bit_of(g)) {
		round_run(g);
		return 0;
	}
	while (!grace_is_done(g, ticket)) {
		uint32_t done = load_acquire(&g->done);

		if (!provide_runner(g))
			return -EDEADLK;
		if (grace_is_done(g, ticket))
			break;
		hurry(g);
		stele_os_futex_wait_ms(&g->done, done, 10);
	}
	return 0;
}

static bool is_in_round(struct stele_grace *g)
{
	return load_seq(&g->done) != load_seq(&g->begun);
}

/* What a runner has in hand counts as waiting until it is done. */
static int barrier(struct stele_grace *g)
{
	uint32_t ticket = grace_ticket(g);

	return load_seq(&g->waiting) || is_in_round(g) ? stele_runner_wait(g, ticket) : 0;
}

int stele_runner_synchronize(struct stele_grace *g)
{
	int error = stele_runner_start(g);

	if (error == -EINVAL || runner_of(g)->broken)
		return error ? error : -EDEADLK;
	if (inside & bit_of(g)) {
		synchronize(g);
		return 0;
	}
	get_busy(runner_of(g));
	synchronize(g);
	be_idle(runner_of(g));
	return 0;
}

/* Whether this thread may be held back now. */
static bool may_wait(struct stele_grace *g, bool patient)
{
	if (inside || runner_of(g)->broken || (!patient && !load_acquire(&runner_of(g)->runner)))
		return false;
	if (stele_reading(g) || stele_cpus_are_held())
		return false;
	return patient || load_relaxed(&runner_of(g)->gave_up) != load_acquire(&g->done) + 1;
}

/*
 * What is counted is not there: it was lost in a circle (call_each()), or this is a child whose
 * parent's thread was between counting and queueing, or in a call.
 */
static bool nobody_waits(struct stele_grace *g, uint32_t ticket)
{
	return grace_is_done(g, ticket) && grace_is_empty(g) && !is_in_round(g);
}

void stele_runner_hold_back(struct stele_grace *g, bool patient)
{
	int64_t left = patient ? INT64_MAX : stele_opt.rcu_wait;
	uint32_t ticket;

	if (load_relaxed(&g->waiting) <= (uint64_t)stele_opt.rcu_max || !may_wait(g, patient))
		return;
	ticket = grace_ticket(g);
	while (load_relaxed(&g->waiting) > (uint64_t)stele_opt.rcu_max && left > 0) {
		uint32_t done = load_acquire(&g->done);

		if (nobody_waits(g, ticket) ||
		    !(patient ? provide_runner(g) : load_acquire(&runner_of(g)->runner)))
			return;
		hurry(g);
		stele_os_futex_wait_ms(&g->done, done, 5);
		if (load_acquire(&g->done) == done && !patient)
			left -= 5;
	}
	/* Who waits in vain may hold what a reader needs: until a round is done, nobody else does. */
	if (left <= 0)
		store_relaxed(&runner_of(g)->gave_up, load_acquire(&g->done) + 1);
}

/* ---- fork ---- */

/* The runner leaves liburcu and what it calls, and stays out, unless it waits for this thread. */
static void wait_outside(struct stele_grace *g)
{
	if (stele_reading(g))
		return;
	for (int64_t i = 0; i < stele_opt.rcu_wait; i += 5) {
		uint32_t busy = load_seq(&runner_of(g)->busy);

		if (!busy)
			break;
		stele_os_futex_wait_ms(&runner_of(g)->busy, busy, 5);
	}
}

static void before_fork(void)
{
	atomic_fetch_add(&pauses, 1);
	for (int i = 0; i < STELE_GRACES && !inside; i++)
		if (stele_graces[i].flavor)
			wait_outside(&stele_graces[i]);
}

static void after_fork_parent(void)
{
	atomic_fetch_sub(&pauses, 1);
	stele_os_futex_wake(&pauses, INT32_MAX);
}

/* What was taken for a round that nobody runs any more waits for the next one. */
static void put_back(struct stele_grace_list *list, struct stele_grace_link **hand)
{
	while (*hand) {
		struct stele_grace_link *link = *hand;

		*hand = load_relaxed(&link->next);
		grace_put(list, link);
	}
}

static void start_again(struct stele_grace *g)
{
	struct runner *r = runner_of(g);

	r->broken |= load_relaxed(&r->syncing) != 0;
	atomic_store(&r->syncing, 0);
	atomic_store(&r->busy, 0);
	atomic_store(&r->runner, 0);
	atomic_store(&g->asleep, GRACE_AWAKE);
	atomic_store(&g->done, load_relaxed(&g->begun));
	if (r->readers_left)
		return;
	put_back(&g->calls, &r->calls);
	put_back(&g->heads, &r->heads);
}

/* In the child, with the other locks. */
static void start_all_again(void)
{
	atomic_store(&pauses, 0);
	stele_mutex_after_fork(&starting);
	/* A destructor may have forked: the rounds that called it go on in the child. */
	for (int i = 0; i < STELE_GRACES; i++)
		if (!(inside & bit_of(&stele_graces[i])))
			start_again(&stele_graces[i]);
}

/* ---- for the floors below ---- */

static const struct stele_grace_runner door = { .start = start_for, .barrier = barrier };

static __attribute__((constructor(101))) void open_door(void)
{
	stele_grace_runner = &door;
}
