/* SPDX-License-Identifier: MIT */
/*
 * tools/run.c - stele run: a program with Stele as its malloc
 *
 * Idea      The command sets LD_PRELOAD and STELE_OPTIONS, then this process becomes the program,
 *           so no wrapper stays behind. The program's children inherit both.
 * Failure   A bad option, of which the library would only complain, is an error here, before the
 *           program starts. If the dynamic linker preloads nothing into the program (static,
 *           set-user-ID, other architecture), the command warns and runs the program all the same.
 * Tests     tests/tools/test_stele.sh
 */
#include "tools/tools.h"

#include "base/options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool say_no_memory(const char *command)
{
	fprintf(stderr, "stele %s: %s\n", command, strerror(ENOMEM));
	return false;
}

/* @a, @separator and @b in new memory; @b alone where @a is NULL or empty. */
static char *join(const char *a, char separator, const char *b)
{
	char *s = NULL;
	int n;

	if (a && *a)
		n = asprintf(&s, "%s%c%s", a, separator, b);
	else
		n = asprintf(&s, "%s", b);
	return n < 0 ? NULL : s;
}

bool stele_launch_option(struct stele_launch *l, const char *item)
{
	char *longer;

	/* In the list, the text after a comma would be another option. */
	if (strchr(item, ',')) {
		fprintf(stderr, "stele: --option: '%s': one option each, without a comma\n", item);
		return false;
	}
	if (stele_option_set("--option", item, strlen(item)) != 0)
		return false;
	longer = join(l->options, ',', item);
	if (!longer)
		return say_no_memory(l->command);
	free(l->options);
	l->options = longer;
	return true;
}

static bool set_variable(const char *command, const char *name, char *value)
{
	bool done = value && setenv(name, value, 1) == 0;

	free(value);
	return done || say_no_memory(command);
}

static bool set_environment(const struct stele_launch *l, const char *drop_in)
{
	const char *before = getenv("LD_PRELOAD");

	/* First, so that no other preloaded library's malloc is found before it. */
	if (!set_variable(l->command, "LD_PRELOAD",
			  before && *before ? join(drop_in, ':', before) : strdup(drop_in)))
		return false;
	/* Last, because the last word in the list counts. */
	return !l->options || set_variable(l->command, "STELE_OPTIONS",
					   join(getenv("STELE_OPTIONS"), ',', l->options));
}

static int refused(const char *command, const char *program, int err)
{
	fprintf(stderr, "stele %s: cannot run '%s': %s\n", command, program, strerror(err));
	return err == ENOENT ? STELE_NOT_FOUND : STELE_NOT_RUNNABLE;
}

int stele_launch(const struct stele_launch *l, char **argv)
{
	char drop_in[PATH_MAX];
	const char *why;

	if (!stele_find_drop_in(l->command, drop_in, sizeof(drop_in)) ||
	    !set_environment(l, drop_in))
		return STELE_OWN_FAILURE;
	why = stele_not_preloadable(argv[0]);
	if (why)
		fprintf(stderr, "stele %s: warning: '%s' %s: it runs without Stele\n", l->command,
			argv[0], why);
	execvp(argv[0], argv);
	return refused(l->command, argv[0], errno);
}

static const char *after(const char *s, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

/*
 * The leading argument @arg, which may need @next: how many of them were taken, 0 for not an
 * option of ours, -1 for a reported mistake.
 */
static int take_argument(struct stele_launch *l, const char *arg, const char *next)
{
	const char *item = after(arg, "--option=");

	if (item)
		return stele_launch_option(l, item) ? 1 : -1;
	if (strcmp(arg, "--option") == 0 && next)
		return stele_launch_option(l, next) ? 2 : -1;
	if (strcmp(arg, "--stats") == 0) {
		l->reports = true;
		return stele_launch_option(l, "stats_at_exit=1") ? 1 : -1;
	}
	if (strcmp(arg, "--children") == 0) {
		l->children = true;
		return 1;
	}
	if (arg[0] != '-')
		return 0;
	fprintf(stderr,
		strcmp(arg, "--option") == 0 ? "stele %s: nothing follows '%s'\n"
					     : "stele %s: unknown option '%s'\n",
		l->command, arg);
	stele_usage(l->command, 0);
	return -1;
}

/* Index of PROGRAM in @argv, or -1 after a message. */
static int take_arguments(struct stele_launch *l, int argc, char **argv)
{
	int i = 1;
	int taken = 1;

	while (taken > 0 && i < argc && strcmp(argv[i], "--") != 0) {
		taken = take_argument(l, argv[i], argv[i + 1]);
		i += taken > 0 ? taken : 0;
	}
	if (taken < 0)
		return -1;
	if (i < argc && strcmp(argv[i], "--") == 0)
		i++;
	if (i < argc)
		return i;
	fprintf(stderr, "stele %s: no program\n", l->command);
	stele_usage(l->command, 0);
	return -1;
}

/* This process becomes the program, and keeps its number. */
static bool name_process(struct stele_launch *l)
{
	char item[32];

	if (!l->reports || l->children)
		return true;
	snprintf(item, sizeof(item), "at_exit_of=%d", getpid());
	return stele_launch_option(l, item);
}

int stele_launch_arguments(struct stele_launch *l, int argc, char **argv)
{
	int program = take_arguments(l, argc, argv);
	int status = STELE_OWN_FAILURE;

	if (program >= 0 && name_process(l))
		status = stele_launch(l, argv + program);
	free(l->options);
	return status;
}

int stele_main_run(int argc, char **argv)
{
	struct stele_launch l = { .command = argv[0] };

	return stele_launch_arguments(&l, argc, argv);
}
