/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/every_pair.c - wherever a thread leaves, stalls or dies, all others go on
 *
 * Idea      A state that flips in one step and is told in a second is lost when its thread goes in
 *           between (docs/any-context.md has the table). So, at each named point that the library
 *           passes, one thread jumps out, exits, stalls or dies (tests/leaving.h), while others
 *           make every kind of call. Each kind must make progress within a bound. Each case
 *           runs in a process of its own, which is this program again.
 * Points    are found by running: a survey notes each point that the victim passes.
 * Mercy     Only the data path must go on beside a thread that stalls while it holds a lock. Slots
 *           stay as they are while a thread that stalls walks over them. A removal of a callback
 *           waits for a call that stalls inside of it, a barrier over everything for a callback of a
 *           round that stalls, and all that waits for readers for a thread that stalls inside of
 *           liburcu. The number is printed.
 * Argument  seconds to run: cases in an order that a number chooses, as many as there is time for.
 *           `all`: each case once. `control`: one case, in which somebody must stand still.
 * Failure   a kind of call that stands still, a bad free, a crash, or no point that was fired at. How
 *           many points were found and how many were fired at is printed.
 * Builds    debug only, not with a sanitizer.
 */
#include "every_kind.h"

#include "../leaving.h"
#include "percpu/system.h"
#include "sync/held.h"
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>

#define STANDS_STILL 20 /* seconds that a call may stand still: the machine may be busy */
#define FIND_MS 1000	/* how long the victim looks for its point, but for the control's */
#define SURVEY_MS 2500
#define PROGRESS 2 /* so many calls of each kind must come back after the victim has gone */
#define POINTS 200

extern char **environ;

/* ---- one case ---- */

static struct {
	const char *name[POINTS];
	unsigned n;
} seen; /* by the victim alone */

static atomic_uint locks_held;
static atomic_bool reads_cpus;
static atomic_bool survey_over;

static void note_point(const char *point)
{
	unsigned i = 0;

	if (!leaving_may)
		return;
	while (i < seen.n && strcmp(seen.name[i], point) != 0)
		i++;
	if (i == seen.n && i < POINTS)
		seen.name[seen.n++] = point;
}

static void note_locks(void)
{
	atomic_store(&locks_held, stele_held_count());
	atomic_store(&reads_cpus, *stele_thread_cpus() != 0);
}

static unsigned some_kind(void)
{
	unsigned kind = (unsigned)(next_random(&dice) % KINDS);

	/* A bracket of some kinds is rare and slow: most calls are of the data path. */
	return kind >= FIRST_CONTROL && next_random(&dice) % 2 ? kind % FIRST_CONTROL : kind;
}

static void *be_victim(void *arg)
{
	dice = random_seed((uintptr_t)arg);
	leaving_may = true;
	sigsetjmp(leaving_out, 1);
	while (!atomic_load(&survey_over))
		make_call(some_kind());
	return NULL;
}

static void *work_on_data(void *arg)
{
	dice = random_seed((uintptr_t)arg + 100);
	for (;;)
		for (unsigned kind = 0; kind < FIRST_CONTROL; kind++)
			make_call(kind);
	return NULL;
}

static void *work_on_control(void *arg)
{
	unsigned kind = (unsigned)(uintptr_t)arg;

	dice = random_seed(kind + 200);
	for (;;) {
		make_call(kind);
		nap_ms(1);
	}
	return NULL;
}

static void start_thread(void *(*body)(void *), uintptr_t arg)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	MUST(pthread_create(&thread, &attr, body, (void *)arg) == 0);
}

static void start_case(uintptr_t seed)
{
	begin_calls();
	start_thread(be_victim, seed);
	for (uintptr_t i = 0; i < 2; i++)
		start_thread(work_on_data, seed + i);
	for (uintptr_t i = 0; i < ELEMENTS; i++) /* with the one below, one more than elements */
		start_thread(work_on_control, POOL_WAIT);
	for (uintptr_t kind = FIRST_CONTROL; kind < KINDS; kind++)
		start_thread(work_on_control, kind);
}

static bool is_at(const char *beginning)
{
	return !strncmp(leaving.point, beginning, strlen(beginning));
}

static bool control; /* nothing is spared: a thread that stalls with a lock must be seen */

/* What may wait for a thread that went there; docs/any-context.md says why, for each. */
static bool is_spared(unsigned kind)
{
	bool stalls = leaving.way == LEAVING_STALLS;

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
	return stalls && kind == BARRIER &&
	       (is_at("runner:calls") || is_at("rcu:sheaf-done") || is_at("rcu:slab-done"));
}

/* Exit: 0 all go on, 1 somebody does not, 3 the point was not passed. */
static int run_case(const char *point, enum leaving_way way, uintptr_t seed)
{
	unsigned long before[KINDS];
	double end = seconds_now() + (control ? STANDS_STILL : FIND_MS / 1000.0), begin;
	unsigned spared = 0;

	leaving_begin();
	leaving_at(point, way);
	leaving.first = note_locks;
	leaving.after = (unsigned)(seed % 5);
	start_case(seed);
	while (!atomic_load(&leaving.fired))
		if (nap_ms(1), seconds_now() > end)
			return 3;
	for (unsigned kind = 0; kind < KINDS; kind++)
		before[kind] = atomic_load(&done[kind]);
	begin = seconds_now();
	for (unsigned kind = 0; kind < KINDS; kind++)
		while (!is_spared(kind) && atomic_load(&done[kind]) < before[kind] + PROGRESS)
			if (nap_ms(1), seconds_now() > begin + (control ? 3 : STANDS_STILL)) {
				printf("%s stands still\n", kind_names[kind]);
				return 1;
			}
	if (!is_spared(STATS))
		call_stats();
	for (unsigned kind = 0; kind < KINDS; kind++)
		spared += is_spared(kind);
	printf("%.0f ms%s\n", (seconds_now() - begin) * 1000, spared ? ", some spared" : "");
	return 0;
}

static int run_survey(void)
{
	leaving.way = LEAVING_STALLS; /* the victim may make every call */
	stele_inject = note_point;
	start_case(1);
	nap_ms(SURVEY_MS);
	atomic_store(&survey_over, true);
	nap_ms(200);
	for (unsigned i = 0; i < seen.n; i++)
		printf("%s\n", seen.name[i]);
	return 0;
}

/* ---- all cases ---- */

static char *self;

/* Runs this program with three arguments; its output is in @said. Returns its exit status. */
static int run_self(char *a, char *b, char *c, char *said, size_t size)
{
	char *argv[] = { self, a, b, c, NULL };
	posix_spawn_file_actions_t actions;
	int ends[2], status;
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	MUST(pipe(ends) == 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
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

static bool fired_at[POINTS];

static void one_case(unsigned at, enum leaving_way way, unsigned long seed)
{
	char said[300], number[2][32];
	int status;

	snprintf(number[0], sizeof(number[0]), "%d", way);
	snprintf(number[1], sizeof(number[1]), "%lu", seed);
	status = run_self((char *)(uintptr_t)seen.name[at], number[0], number[1], said,
			  sizeof(said));
	result.cases++;
	result.of[way]++;
	if (status == 3)
		return;
	result.fired[way]++;
	fired_at[at] = true;
	result.spared += strstr(said, "some spared") != NULL;
	if (status == 0 && atof(said) > result.longest) {
		result.longest = atof(said);
		snprintf(result.where, sizeof(result.where), "%s at %s", leaving_names[way],
			 seen.name[at]);
	}
	if (status == 0)
		return;
	result.failed++;
	printf("FAILED: a thread %s at %s (seed %lu): status %d: %s\n", leaving_names[way],
	       seen.name[at], seed, status, said);
	fflush(stdout);
}

static void find_points(char *text, size_t size)
{
	char *line;

	MUST(run_self("survey", NULL, NULL, text, size) == 0);
	for (line = strtok(text, "\n"); line && seen.n < POINTS; line = strtok(NULL, "\n"))
		seen.name[seen.n++] = line;
	MUST_FOR(seen.n >= 30, seen.n);
}

int main(int argc, char **argv)
{
	static char text[POINTS * 40];
	bool all = argc > 1 && !strcmp(argv[1], "all");
	double end = seconds_now() + (all ? 1e9 : seconds_asked(argc, argv));
	unsigned n, step = 1, points = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	control = argc == 2 && !strcmp(argv[1], "control");
	if (control)
		_exit(run_case("cpus:writing", LEAVING_STALLS, 1) != 1);
	if (argc == 4)
		_exit((run_case(argv[1], (enum leaving_way)atoi(argv[2]),
				(uintptr_t)atol(argv[3]))));
	if (argc == 2 && !strcmp(argv[1], "survey"))
		_exit((run_survey(), fflush(stdout), 0));
	self = argv[0];
	setenv("STELE_QUIET", "1", 1); /* two make a cache of one name; a slot is offline already */
	find_points(text, sizeof(text));
	n = seen.n * LEAVING_WAYS;
	while (step % 2 == 0 || n % step == 0 ||
	       step < 7) /* goes round all cases in another order */
		step++;
	for (unsigned i = 0, at = (unsigned)time(NULL) % n; i < n && seconds_now() < end; i++) {
		at = (at + step) % n;
		one_case(at / LEAVING_WAYS, (enum leaving_way)(at % LEAVING_WAYS), i + at);
	}
	for (unsigned i = 0; i < seen.n; i++)
		points += fired_at[i];
	printf("%u points found, fired at %u of them in %u cases:", seen.n, points, result.cases);
	for (int way = 0; way < LEAVING_WAYS; way++)
		printf(" %s %u of %u%s", leaving_names[way], result.fired[way], result.of[way],
		       way + 1 < LEAVING_WAYS ? "," : "\n");
	printf("longest until all went on: %.0f ms, where a thread %s; in %u cases some were "
	       "spared\n",
	       result.longest, result.where, result.spared);
	return result.failed || !points;
}
