/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/every_pair.c - wherever a thread leaves, stalls or dies, all others go on
 *
 * Idea      A state that flips in one step and is told in a second is lost when its thread goes in
 *           between (docs/any-context.md has the table). So, at each named point that the library
 *           passes, one thread jumps out, exits, stalls or dies (tests/leaving.h), while others
 *           make every kind of call. Each kind must make progress within a bound. Each case
 *           runs in a process of its own, which is this program again.
 * Points    the library tells them all. A table says which need a scene of their own (every_point.h,
 *           every_scene.h), and why no thread can pass the rest. A point of the library at which no
 *           thread was sent away is a failure, and so is one that should be out of reach.
 * Others    of the ordinary scene every fourth case runs in a child of fork(), and every fourth with three
 *           memory nodes.
 * Mercy     Only the data path must go on beside a thread that stalls while it holds a lock. Slots
 *           stay as they are while a thread that stalls walks over them. A removal of a callback
 *           waits for a call that stalls inside of it, a barrier over everything for a callback of a
 *           round that stalls, and all that waits for readers for a thread that stalls inside of
 *           liburcu. The number is printed.
 * Argument  seconds to run: cases in an order that a number chooses, as many as there is time for.
 *           `all`: each case. `control`: a case in which somebody stands still; unexplained messages.
 * Then      the threads rest between two calls, and the structures that all share are valid
 *           (every_rest.h).
 * Failure   a kind of call that stands still, a bad free, a crash, a broken structure, a message that
 *           the case does not explain (every_said.h). In `all`, a point that is neither fired at nor out of reach.
 * Builds    debug only, not with a sanitizer.
 */
#include "every_rest.h"
#include "every_said.h"
#include "every_scene.h"

#include "sync/held.h"
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define STANDS_STILL 20 /* seconds that a call may stand still: the machine may be busy */
#define FIND_MS 1500	/* how long the victim looks for its point, but for the control's */
#define TRIES 4		/* so often a case looks for it */
#define PROGRESS 2	/* so many calls of each kind must come back after the victim has gone */

extern char **environ;

/* ---- one case ---- */

static atomic_uint locks_held;
static atomic_bool reads_cpus;
static atomic_bool begun;		   /* the calls of each kind can be made */
static _Atomic(const char *) out_of_reach; /* a point that was passed all the same */

static void on_point(const char *point)
{
	if (why_nowhere(point))
		atomic_store(&out_of_reach, point);
	if (scene->linger && !strcmp(point, scene->linger) && !atomic_load(&leaving.fired))
		nap_ms(1);
	leaving_hook(point);
}

static void note_locks(void)
{
	atomic_store(&locks_held, stele_held_count());
	atomic_store(&reads_cpus, *stele_thread_cpus() != 0);
}

static unsigned favourite; /* of the victim */

static unsigned some_kind(void)
{
	unsigned kind = (unsigned)(next_random(&dice) % KINDS);

	if (favourite < KINDS && (scene->alone || next_random(&dice) % 4))
		return favourite;
	/* A bracket of some kinds is rare and slow: most calls are of the data path. */
	return kind >= FIRST_CONTROL && next_random(&dice) % 2 ? kind % FIRST_CONTROL : kind;
}

static void *be_victim(void *arg)
{
	dice = random_seed((uintptr_t)arg);
	leaving_may = !scene->goes;
	sigsetjmp(leaving_out, 1);
	while (!atomic_load(&begun)) {
		call_kmalloc();
		keep_pages();
	}
	for (;;) {
		rest_if_told();
		if (scene->before_call)
			scene->before_call();
		make_call(some_kind());
	}
	return NULL;
}

static void leave_no_more(void)
{
	leaving_may = false;
}

static void start_calls(void)
{
	begin_calls();
	atomic_store(&begun, true);
}

static bool is_at(const char *beginning)
{
	return !strncmp(leaving.point, beginning, strlen(beginning));
}

static bool control; /* nothing is spared: a thread that stalls with a lock must be seen */

/* All others wait for a thread that stalls while it starts the heap. */
static bool waits_for_the_start(void)
{
	return scene == &scenes[FIRST_USE] && leaving.way == LEAVING_STALLS &&
	       atomic_load(&locks_held) && atomic_load(&leaving.fired);
}

/* Whether this kind may wait for a thread that went there: docs/any-context.md has the reasons. */
static bool is_spared(unsigned kind)
{
	bool stalls = leaving.way == LEAVING_STALLS;

	if (waits_for_the_start())
		return true;
	if (kind < FIRST_CONTROL || control)
		return false;
	if (stalls && atomic_load(&locks_held))
		return true;
	/* It keeps the set, or has its name in the table just before and just after that. */
	if (kind == CPUS && stalls)
		return atomic_load(&reads_cpus) || is_at("cpus:counted") || is_at("cpus:leaves");
	if (kind == TRACE && stalls)
		return is_at("trace:leaves");
	/* In a callback, or inside of liburcu. */
	if (stalls && is_at("runner:syncing"))
		return kind == BARRIER || kind == BARRIER_CACHE || kind == LIVES ||
		       kind == LIVES_TYPESAFE;
	/* A type-stable cache waits for the slab that it has in hand. */
	if (stalls && (is_at("runner:calls") || is_at("rcu:slab-done")))
		return kind == BARRIER || kind == LIVES_TYPESAFE;
	return stalls && kind == BARRIER && is_at("rcu:sheaf-done");
}

/* False: the point was not passed. */
static bool send_away(const char *point, enum leaving_way way, uintptr_t seed)
{
	double end = seconds_now() + (control ? STANDS_STILL : scene->alone ? 4 : FIND_MS / 1000.0);

	favourite = kind_of(point, (unsigned)(scene - scenes));
	favourite = favourite ? favourite : scene->kind;
	is_test = true;
	in_child = leave_no_more;
	leaving_begin();
	if (scene != &scenes[FIRST_USE])
		start_calls();
	if (scene->begin)
		scene->begin();
	leaving_at(point, way);
	leaving.first = note_locks;
	leaving.after = scene->alone || scene->begin ? 0 : (unsigned)(seed % 5);
	stele_inject = on_point;
	start_thread(be_victim, seed);
	if (!scene->alone)
		start_others(seed);
	while (!atomic_load(&leaving.fired))
		if (nap_ms(1), seconds_now() > end)
			return false;
	return true;
}

/* Whether each kind that is not spared goes on. */
static bool all_go_on(void)
{
	unsigned long before[KINDS];
	double begin = seconds_now();

	for (unsigned kind = 0; kind < KINDS; kind++)
		before[kind] = atomic_load(&done[kind]);
	for (unsigned kind = 0; kind < KINDS; kind++)
		while (!is_spared(kind) && atomic_load(&done[kind]) < before[kind] + PROGRESS)
			if (nap_ms(1), seconds_now() > begin + (control ? 3 : STANDS_STILL)) {
				printf("%s stands still\n", kind_names[kind]);
				return false;
			}
	return true;
}

/* Exit: 0 all go on, 1 somebody does not, 3 the point was not passed, 4 one was that cannot be,
 * 5 a structure is broken. */
static int run_case(const char *point, enum leaving_way way, uintptr_t seed)
{
	unsigned spared = 0;
	double begin;

	if (!atomic_load(&leaving.fired) && !send_away(point, way, seed))
		return 3;
	if (!atomic_load(&begun))
		start_calls();
	if (scene->end)
		scene->end();
	if (scene->alone)
		start_others(seed);
	begin = seconds_now();
	if (!all_go_on())
		return 1;
	if (!is_spared(STATS))
		call_stats();
	for (unsigned kind = 0; kind < KINDS; kind++)
		spared += is_spared(kind);
	printf("%.0f ms%s\n", (seconds_now() - begin) * 1000, spared ? ", some spared" : "");
	if (all_can_rest(spared) && !rest_is_valid())
		return 5;
	if (!atomic_load(&out_of_reach))
		return 0;
	printf("%s was passed\n", (const char *)atomic_load(&out_of_reach));
	return 4;
}

/* In a child of fork(), which finds a heap that was used. */
static int run_in_child(const char *point, enum leaving_way way, uintptr_t seed)
{
	int status;
	pid_t pid;

	kfree(kmalloc(64, GFP_KERNEL));
	pid = fork();
	MUST(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		status = run_case(point, way, seed);
		fflush(stdout);
		_exit(status);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- all cases ---- */

static char *self;

/* Runs this program with these arguments; its output is in @said. Returns its exit status. */
static int run_self(char *argv[], char *said, size_t size)
{
	posix_spawn_file_actions_t actions;
	int ends[2], status;
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	MUST(pipe(ends) == 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	posix_spawn_file_actions_adddup2(&actions, said_file, 2);
	posix_spawn_file_actions_addclose(&actions, ends[0]);
	MUST(posix_spawn(&pid, self, &actions, NULL, argv, environ) == 0);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	for (;;) {
		struct pollfd ready = { .fd = ends[0], .events = POLLIN };

		if (poll(&ready, 1, (STANDS_STILL + 20) * 1000) <= 0)
			kill(pid, SIGKILL);
		got = read(ends[0], said + n, size - 1 - n);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	said[n] = 0;
	close(ends[0]);
	MUST(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static struct {
	unsigned cases, fired[LEAVING_WAYS], failed, spared, of[LEAVING_WAYS];
	double longest;
	char where[100];
} result;

struct one {
	unsigned point, scene;
	enum leaving_way way;
};

static unsigned fired_at[POINTS]; /* the ways */

static int run_one(const struct one *one, unsigned long seed, char *said, size_t size)
{
	const struct scene *s = &scenes[one->scene];
	char number[3][32];
	char *argv[] = { self,	    (char *)(uintptr_t)points[one->point], number[0], number[1],
			 number[2], by_lock ? "lock" : "sequence",	   NULL };
	int status;

	snprintf(number[0], sizeof(number[0]), "%d", one->way);
	snprintf(number[1], sizeof(number[1]), "%lu", seed);
	snprintf(number[2], sizeof(number[2]), "%u", one->scene);
	if (s->option)
		setenv(s->option, s->value, 1);
	if (one->scene == ORDINARY && seed % 4 == 2)
		setenv("STELE_NODES", "3", 1);
	status = run_self(argv, said, size);
	if (s->option)
		unsetenv(s->option);
	unsetenv("STELE_NODES");
	return status;
}

static void count_case(const struct one *one, const char *said, int status)
{
	result.fired[one->way]++;
	fired_at[one->point] |= 1u << one->way;
	result.spared += strstr(said, "some spared") != NULL;
	if (status != 0 || atof(said) <= result.longest)
		return;
	result.longest = atof(said);
	snprintf(result.where, sizeof(result.where), "%s at %s", leaving_names[one->way],
		 points[one->point]);
}

/* With @all of them it is tried some times, if the point is not passed. */
static void one_case(const struct one *one, unsigned long seed, bool all)
{
	unsigned tries = all ? TRIES : 1;
	char said[300];
	int status = 3;

	result.cases++;
	result.of[one->way]++;
	for (; tries && status == 3; tries--, seed++) {
		said_begin_case();
		status = run_one(one, seed, said, sizeof(said));
	}
	if (status == 3) {
		if (all)
			printf("not passed: %s, by a thread that %s (%s)\n", points[one->point],
			       leaving_names[one->way], scenes[one->scene].name);
		return;
	}
	count_case(one, said, status);
	if (said_what_it_may(points[one->point], one->way) && status == 0)
		return;
	result.failed++;
	printf("FAILED: a thread %s at %s, %s (seed %lu): status %d: %s\n", leaving_names[one->way],
	       points[one->point], scenes[one->scene].name, seed - 1, status, said);
	fflush(stdout);
}

#define CASES (POINTS * 8)
static struct one cases[CASES];

static unsigned list_cases(void)
{
	unsigned n = 0;

	for (unsigned point = 0; point < points_count; point++)
		for (unsigned s = 0; s < SCENES; s++)
			for (int way = 0; way < LEAVING_WAYS; way++)
				if (ways_of(points[point], s) >> way & 1 && n < CASES)
					cases[n++] =
						(struct one){ point, s, (enum leaving_way)way };
	return n;
}

/* The points at which no thread was sent away, and those that are in the table and not in the
 * library. Their number. */
static unsigned say_missing(void)
{
	unsigned missing = 0;

	for (unsigned i = 0; i < points_count; i++)
		if (!fired_at[i] && !why_nowhere(points[i])) {
			printf("FAILED: no thread was sent away at %s\n", points[i]);
			missing++;
		}
	for (unsigned i = 0; i < ROWS; i++)
		if (point_number(rows[i].point) == points_count) {
			printf("FAILED: the library has no point %s\n", rows[i].point);
			missing++;
		}
	return missing;
}

static bool fired_at_any(void)
{
	unsigned n = 0;

	for (int way = 0; way < LEAVING_WAYS; way++)
		n += result.fired[way];
	return n > 0;
}

static void say_result(void)
{
	unsigned fired = 0;

	for (unsigned i = 0; i < points_count; i++) {
		fired += fired_at[i] != 0;
		if (why_nowhere(points[i]))
			printf("out of reach: %s: %s\n", points[i], why_nowhere(points[i]));
	}
	printf("%u points, fired at %u of them in %u cases:", points_count, fired, result.cases);
	for (int way = 0; way < LEAVING_WAYS; way++)
		printf(" %s %u of %u%s", leaving_names[way], result.fired[way], result.of[way],
		       way + 1 < LEAVING_WAYS ? "," : "\n");
	printf("longest until all went on: %.0f ms, where a thread %s; in %u cases some were "
	       "spared, in %u messages were explained\n",
	       result.longest, result.where, result.spared, said_explained);
}

static int run_cases(bool all, double end)
{
	unsigned n = list_cases(), step = 1, missing;

	while (step % 2 == 0 || n % step == 0 || step < 7)
		step++; /* goes round all cases in another order */
	for (unsigned i = 0, at = (unsigned)time(NULL) % n; i < n && seconds_now() < end; i++) {
		at = (at + step) % n;
		one_case(&cases[at], i + at, all);
	}
	missing = all ? say_missing() : 0;
	say_result();
	return result.failed || missing || !fired_at_any();
}

/* The arguments of one case: point, way, seed, scene, mode. */
#define CASE_ARGUMENTS 6

static int run_as_told(char **argv)
{
	enum leaving_way way = (enum leaving_way)atoi(argv[2]);
	uintptr_t seed = (uintptr_t)atol(argv[3]);

	scene = &scenes[atoi(argv[4]) % SCENES];
	by_lock = !strcmp(argv[5], "lock");
	if (scene == &scenes[ORDINARY] && seed % 4 == 3)
		return run_in_child(argv[1], way, seed);
	return run_case(argv[1], way, seed);
}

/* Before the library's own, which starts the heap. */
static __attribute__((constructor(200))) void be_first(int argc, char **argv)
{
	if (argc != CASE_ARGUMENTS || atoi(argv[4]) != FIRST_USE)
		return;
	scene = &scenes[FIRST_USE];
	if (!send_away(argv[1], (enum leaving_way)atoi(argv[2]), 0))
		_exit(3);
	if (!waits_for_the_start())
		return;
	dprintf(STDOUT_FILENO, "0 ms, some spared\n");
	_exit(0);
}

int main(int argc, char **argv)
{
	bool all = argc > 1 && !strcmp(argv[1], "all");

	setvbuf(stdout, NULL, _IOLBF, 0);
	scene = &scenes[ORDINARY];
	control = argc == 2 && !strcmp(argv[1], "control");
	if (control)
		_exit(run_case("cpus:writing", LEAVING_STALLS, 1) != 1 || !said_can_fail());
	if (argc == CASE_ARGUMENTS)
		_exit(run_as_told(argv));
	self = argv[0];
	said_open();
	setenv("STELE_QUIET", "1", 1); /* two make a cache of one name; a slot is offline already */
	find_points();
	by_lock = stele_system()->mode == STELE_MODE_FALLBACK;
	return run_cases(all, seconds_now() + (all ? 1e9 : seconds_asked(argc, argv)));
}
