/* SPDX-License-Identifier: MIT */
/*
 * tools/stele.c - the stele command
 *
 * Idea      one table of commands feeds the dispatch, `stele help` and the usage messages.
 * Tests     tests/tools/test_stele.sh
 */
#include "tools/tools.h"

#include "base/basics.h"
#include "base/similar.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define STELE_LAUNCH_ARGUMENTS                                                                     \
	"[--stats] [--children] [--option NAME=VALUE]... [--] PROGRAM [ARGUMENT]..."

static const struct stele_command commands[] = {
	{ "run", STELE_LAUNCH_ARGUMENTS, "run a program with Stele as its malloc", stele_main_run },
	{ "slabinfo", STELE_LAUNCH_ARGUMENTS,
	  "the same, and at its exit write every cache to standard error", stele_main_slabinfo },
	{ "fail-sweep",
	  "[--from N] [--to N] [--seconds N] [--all] [--output] [--option NAME=VALUE]... [--] "
	  "PROGRAM [ARGUMENT]...",
	  "run a program again and again, each time with another allocation that fails",
	  stele_main_sweep },
	{ "leaks", STELE_LAUNCH_ARGUMENTS,
	  "the same, and at its exit report the memory that it has lost, by caller",
	  stele_main_leaks },
	{ "doctor", "", "what this system offers, what Stele chose, and why", stele_main_doctor },
	{ "help", "[options [--markdown] | COMMAND]", "this text, or every option",
	  stele_main_help },
	{ "version", "", "the version of this program", stele_main_version },
};

int stele_main_version(int argc, char **argv)
{
	if (argc > 1)
		return stele_usage(argv[0], STELE_USAGE);
	puts("stele " STELE_VERSION);
	return STELE_DONE;
}

/* --help and --version are spelled as options everywhere else. */
static bool asks_for_help(const char *arg)
{
	return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

static const char *canonical(const char *name)
{
	if (asks_for_help(name))
		return "help";
	return strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0 ? "version" : name;
}

static const struct stele_command *find_command(const char *name)
{
	for (size_t i = 0; i < STELE_ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

static int unknown_command(const char *name)
{
	const char *best = NULL;
	unsigned least = UINT_MAX;

	for (size_t i = 0; i < STELE_ARRAY_SIZE(commands); i++) {
		unsigned edits = stele_edits(name, strlen(name), commands[i].name);

		best = edits < least ? commands[i].name : best;
		least = STELE_MIN(edits, least);
	}
	fprintf(stderr, "stele: unknown command '%s'", name);
	if (stele_is_typo(least, strlen(name)))
		fprintf(stderr, ", did you mean '%s'?", best);
	fputs(" (see 'stele help')\n", stderr);
	return STELE_USAGE;
}

/* A full disk or a closed pipe must not look like success. */
static int finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "stele: cannot write to standard output: %s\n", strerror(errno));
	return STELE_FAILED;
}

int main(int argc, char **argv)
{
	const struct stele_command *command;

	stele_help_shows(commands, STELE_ARRAY_SIZE(commands));
	if (argc < 2) {
		fputs("stele: no command (see 'stele help')\n", stderr);
		return STELE_USAGE;
	}
	command = find_command(canonical(argv[1]));
	if (!command)
		return unknown_command(argv[1]);
	if (argc > 2 && asks_for_help(argv[2]))
		return finish(stele_help_command(command->name));
	argv[1] = (char *)command->name;
	return finish(command->main(argc - 1, argv + 1));
}
