/* SPDX-License-Identifier: MIT */
/*
 * tools/help.c - stele help
 *
 * Idea      printed from the two tables, of commands and of options; docs/options.md is the output of
 *           `stele help options --markdown`, and a test compares them.
 * Tests     tests/tools/test_stele.sh
 */
#include "tools/tools.h"
#include "base/fmt.h"

#include "base/options.h"

#include <stdio.h>
#include <string.h>

static const struct stele_command *commands;
static size_t commands_n;

void stele_help_shows(const struct stele_command *shown, size_t n)
{
	commands = shown;
	commands_n = n;
}

static void print_usage(FILE *f, const char *start, const struct stele_command *c)
{
	fprintf(f, "%s stele %s%s%s\n", start, c->name, *c->arguments ? " " : "", c->arguments);
}

int stele_usage(const char *command, int status)
{
	for (size_t i = 0; i < commands_n; i++) {
		if (strcmp(commands[i].name, command) == 0)
			print_usage(stderr, "usage:", &commands[i]);
	}
	return status;
}

static void print_commands(void)
{
	puts("Stele: a slab allocator in user space");
	for (size_t i = 0; i < commands_n; i++) {
		putchar('\n');
		print_usage(stdout, " ", &commands[i]);
		printf("      %s\n", commands[i].meaning);
	}
	puts("\nrun, slabinfo and leaks: --stats reports at exit how much memory is held; "
	     "--children\n"
	     "lets each process that PROGRAM starts report, too; 'stele help options' lists the "
	     "options.\n"
	     "\nThe library is the one beside this program, or the file that STELE_MALLOC_SO "
	     "names.\n"
	     "Options come from --option, else STELE_OPTIONS=\"name=value,...\", else "
	     "STELE_<NAME>=value.");
}

/* One option, as the user would write it. */
struct shown {
	char range[64];
	char init[32];
};

static struct shown show(const struct stele_option_row *row)
{
	struct shown s = { "", "" };
	struct stele_out o;

	stele_out_init(&o, s.range, sizeof(s.range));
	stele_option_show_range(&o, row);
	stele_out_init(&o, s.init, sizeof(s.init));
	stele_option_show_value(&o, row, row->init);
	return s;
}

static const char options_text[] =
	"Set by STELE_OPTIONS=\"name=value,name=value\" or STELE_<NAME>=value in the environment,\n"
	"or by 'stele run --option name=value'. Sizes take k, m, g or t; blanks around names and\n"
	"values do not count. A bad option is reported and has no effect; set-user-ID programs\n"
	"ignore all of them.\n";

static void explain_options(void)
{
	puts(options_text);
	for (size_t i = 0; i < stele_nr_option_rows; i++) {
		const struct stele_option_row *row = &stele_option_rows[i];
		struct shown s = show(row);

		printf("  %-17s %s (default %s)\n      %s\n", row->name, s.range, s.init,
		       row->meaning);
	}
}

/* A bar ends a cell, also within code. */
static void print_cell(const char *s)
{
	for (; *s; s++)
		printf(*s == '|' ? "\\|" : "%c", *s);
}

static void print_markdown(void)
{
	printf("# Options\n\n%s\n", options_text);
	puts("This page is the output of `stele help options --markdown`.\n\n"
	     "| option | values | default | meaning |\n|---|---|---|---|");
	for (size_t i = 0; i < stele_nr_option_rows; i++) {
		const struct stele_option_row *row = &stele_option_rows[i];
		struct shown s = show(row);

		printf("| `%s` | `", row->name);
		print_cell(s.range);
		printf("` | `%s` | %s |\n", s.init, row->meaning);
	}
}

int stele_help_command(const char *name)
{
	for (size_t i = 0; i < commands_n; i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		print_usage(stdout, "usage:", &commands[i]);
		printf("       %s\n", commands[i].meaning);
		return STELE_DONE;
	}
	fprintf(stderr, "stele help: no help on '%s' (see 'stele help')\n", name);
	return STELE_USAGE;
}

int stele_main_help(int argc, char **argv)
{
	if (argc == 1) {
		print_commands();
		return STELE_DONE;
	}
	if (strcmp(argv[1], "options") != 0)
		return argc == 2 ? stele_help_command(argv[1]) : stele_usage(argv[0], STELE_USAGE);
	if (argc == 2) {
		explain_options();
		return STELE_DONE;
	}
	if (argc > 3 || strcmp(argv[2], "--markdown") != 0)
		return stele_usage(argv[0], STELE_USAGE);
	print_markdown();
	return STELE_DONE;
}
