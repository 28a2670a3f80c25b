/* SPDX-License-Identifier: MIT */
/*
 * tools/sweep.c - stele fail-sweep: a program again and again, each time with another allocation that fails
 *
 * Idea      Run n lets the n-th allocation fail, and no other. A program may end with an error then; it
 *           must not crash, nor hang. The sweep is over when a run ends before its n-th allocation.
 * Report    the first misbehaviour of each kind at each place, with the place of the failed allocation and
 *           the stack there. A program that does the same in each run is repeated for the stack.
 * Limits    a program with several threads allocates in another order each time: its n-th allocation
 *           is not always the same one.
 * Status    0: no misbehaviour; 1: some; 125, 126, 127 as for stele run.
 * Tests     tests/tools/test_sweep.sh
 */
#include "base/fmt.h"
#include "tools/trial.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define FOUND_MAX 1000
#define SECONDS 10

struct finding {
	int kind; /* the signal; 0: a hang */
	struct stele_place place;
};

struct sweep {
	struct stele_launch launch;
	char **argv;
	unsigned from, to, seconds;
	bool output, all;
	struct finding *found[FOUND_MAX];
	unsigned findings, misbehaved, tried;
};

/* ---- the command line ---- */

static bool read_count(const char *text, unsigned *number)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	*number = (unsigned)n;
	return *text >= '0' && *text <= '9' && !*end && n && n <= INT_MAX;
}

static int bad_number(const char *command, const char *name, const char *text)
{
	fprintf(stderr, "stele %s: %s: '%s' is not a number above 0\n", command, name, text);
	return -1;
}

/* How many arguments were taken; 0: not one of ours; -1 after a message. */
static int take_sweep_argument(struct sweep *s, const char *arg, const char *next)
{
	struct {
		const char *name;
		unsigned *number;
	} numbers[] = { { "--from", &s->from }, { "--to", &s->to }, { "--seconds", &s->seconds } };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		if (strcmp(arg, numbers[i].name) != 0 || !next)
			continue;
		if (!read_count(next, numbers[i].number))
			return bad_number(s->launch.command, arg, next);
		return 2;
	}
	if (strcmp(arg, "--option") == 0 && next)
		return stele_launch_option(&s->launch, next) ? 2 : -1;
	if (strcmp(arg, "--output") == 0)
		return s->output = true;
	if (strcmp(arg, "--all") == 0)
		return s->all = true;
	if (arg[0] != '-')
		return 0;
	fprintf(stderr, "stele %s: unknown option '%s', or nothing follows it\n", s->launch.command,
		arg);
	return -1;
}

static bool take_sweep_arguments(struct sweep *s, int argc, char **argv)
{
	int i = 1, taken = 1;

	while (taken > 0 && i < argc && strcmp(argv[i], "--") != 0) {
		taken = take_sweep_argument(s, argv[i], argv[i + 1]);
		i += taken > 0 ? taken : 0;
	}
	if (taken >= 0 && i < argc && strcmp(argv[i], "--") == 0)
		i++;
	s->argv = argv + i;
	if (taken >= 0 && i < argc)
		return true;
	if (taken >= 0)
		fprintf(stderr, "stele %s: no program\n", s->launch.command);
	stele_usage(s->launch.command, 0);
	return false;
}

/* ---- what a run did ---- */

/* SIGKILL may be anybody's, also the system's that is short of memory; but it is no way to end. */
static bool misbehaves(const struct stele_trial *trial)
{
	return trial->hung || WIFSIGNALED(trial->status);
}

static int kind_of(const struct stele_trial *trial)
{
	return trial->hung ? 0 : WTERMSIG(trial->status);
}

static bool is_known(const struct sweep *s, const struct stele_trial *trial)
{
	for (unsigned i = 0; i < s->findings; i++)
		if (s->found[i]->kind == kind_of(trial) &&
		    stele_place_same(&s->found[i]->place, &trial->place))
			return true;
	return false;
}

static void remember(struct sweep *s, const struct stele_trial *trial)
{
	struct finding *f = s->findings < FOUND_MAX ? malloc(sizeof(*f)) : NULL;

	if (!f)
		return;
	f->kind = kind_of(trial);
	f->place = trial->place;
	s->found[s->findings++] = f;
}

static void print_finding(const struct stele_trial *trial)
{
	if (trial->hung)
		printf("allocation %u: the program hangs (no end after %u s)\n", trial->nth,
		       trial->seconds);
	else
		printf("allocation %u: the program is killed by signal %d (%s)\n", trial->nth,
		       WTERMSIG(trial->status), strsignal(WTERMSIG(trial->status)));
	printf("   after %zu bytes of %s could not be had at\n   ", trial->bytes, trial->cache);
	stele_place_print(stdout, &trial->place);
}

/* The same run once more, stopped for longer. */
static void print_stack(const struct stele_trial *trial)
{
	struct stele_trial again = *trial;

	again.stack = true;
	puts("   called by");
	if (stele_trial_run(&again) && again.reached && !again.stack)
		puts("      (no stack: it takes gdb)");
}

static void judge_trial(struct sweep *s, const struct stele_trial *trial)
{
	if (!misbehaves(trial))
		return;
	s->misbehaved++;
	if (!s->all && is_known(s, trial))
		return;
	remember(s, trial);
	print_finding(trial);
	print_stack(trial);
}

/* Without a failure it must end well, or there is nothing to compare with. */
static int run_as_it_is(struct sweep *s, struct stele_trial *trial)
{
	int status;

	trial->nth = 0;
	if (!stele_trial_run(trial))
		return STELE_OWN_FAILURE;
	if (misbehaves(trial)) {
		fprintf(stderr, "stele %s: '%s' %s also when nothing fails\n", s->launch.command,
			s->argv[0], trial->hung ? "hangs" : "is killed by a signal");
		return STELE_OWN_FAILURE;
	}
	status = WEXITSTATUS(trial->status);
	return status >= STELE_OWN_FAILURE && status <= STELE_NOT_FOUND ? status : 0;
}

static void print_summary(const struct sweep *s, bool over)
{
	printf("stele %s: %u allocation%s failed in turn%s, %u run%s misbehaved, %u place%s\n",
	       s->launch.command, s->tried, plural(s->tried),
	       over ? "" : " (not all that there are)", s->misbehaved, plural(s->misbehaved),
	       s->findings, plural(s->findings));
}

static int sweep(struct sweep *s)
{
	struct stele_trial trial = {
		.launch = &s->launch, .argv = s->argv, .seconds = s->seconds, .output = s->output
	};
	int status = run_as_it_is(s, &trial);
	bool over = false;

	if (status)
		return status;
	for (unsigned n = s->from; n <= s->to && !over; n++) {
		trial.nth = n;
		if (!stele_trial_run(&trial))
			return STELE_OWN_FAILURE;
		over = !trial.reached && !misbehaves(&trial);
		s->tried += trial.reached;
		judge_trial(s, &trial);
	}
	print_summary(s, over);
	return s->misbehaved ? STELE_FAILED : STELE_DONE;
}

int stele_main_sweep(int argc, char **argv)
{
	struct sweep s = {
		.launch = { .command = argv[0] }, .from = 1, .to = INT_MAX - 1, .seconds = SECONDS
	};
	int status = take_sweep_arguments(&s, argc, argv) ? sweep(&s) : STELE_OWN_FAILURE;

	for (unsigned i = 0; i < s.findings; i++)
		free(s.found[i]);
	free(s.launch.options);
	return status;
}
