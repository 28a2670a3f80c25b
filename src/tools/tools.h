/* SPDX-License-Identifier: MIT */
/*
 * tools/tools.h - what the files of the stele command share
 *
 * Idea      one file per command; each entry takes its own argc and argv (argv[0] is the command)
 *           and returns the exit status. An ordinary program: malloc and stdio as usual.
 * Status    0 done; 1 could not; 2 wrong usage. Commands that run a program return what env(1)
 *           does: 125 stele itself failed, 126 the program cannot be run, 127 there is no program;
 *           else the program's own.
 */
#ifndef STELE_TOOLS_TOOLS_H
#define STELE_TOOLS_TOOLS_H

#include <stdbool.h>
#include <stddef.h>

#ifndef STELE_VERSION
#define STELE_VERSION "unversioned"
#endif

#define STELE_DROP_IN "libstele-malloc.so"

enum stele_status {
	STELE_DONE = 0,
	STELE_FAILED = 1,
	STELE_USAGE = 2,
	STELE_OWN_FAILURE = 125,
	STELE_NOT_RUNNABLE = 126,
	STELE_NOT_FOUND = 127,
};

struct stele_command {
	const char *name;
	const char *arguments;
	const char *meaning;
	int (*main)(int argc, char **argv);
};

int stele_main_doctor(int argc, char **argv);
int stele_main_help(int argc, char **argv);
int stele_main_run(int argc, char **argv);
int stele_main_slabinfo(int argc, char **argv);
int stele_main_leaks(int argc, char **argv);
int stele_main_sweep(int argc, char **argv);
int stele_main_version(int argc, char **argv);

/* Tells help which commands there are. To be called before anything that shows help. */
void stele_help_shows(const struct stele_command *commands, size_t n);

/* "usage: stele run ..." on standard error; returns @status. */
int stele_usage(const char *command, int status);

/* The usage and meaning of a command on standard output, or a message; returns the status. */
int stele_help_command(const char *name);

/* A program to be run under the drop-in. */
struct stele_launch {
	const char *command; /* of stele, for messages */
	char *options;	     /* for STELE_OPTIONS; NULL is none; owned by the launch */
	bool reports;	     /* something is written at exit */
	bool children;	     /* by every process that the program starts */
};

/* Checks "name=value" and adds it; false after a message. */
bool stele_launch_option(struct stele_launch *l, const char *item);

/* This process becomes the program @argv. Returns only with a failure, already reported. */
int stele_launch(const struct stele_launch *l, char **argv);

/*
 * Takes [--stats] [--children] [--option NAME=VALUE]... [--] PROGRAM [ARGUMENT]... and becomes the
 * program, with the drop-in preloaded. The report at exit is of the program alone, and with
 * --children of every process that it starts. Returns only with a failure, already reported.
 */
int stele_launch_arguments(struct stele_launch *l, int argc, char **argv);

/*
 * Absolute path of libstele-malloc.so in @path of @size bytes: $STELE_MALLOC_SO, or beside this
 * program. False after a message that names the places, or says why the file is not it.
 */
bool stele_find_drop_in(const char *command, char *path, size_t size);

/* Why the dynamic linker would not preload the drop-in into @program; NULL when it would. */
const char *stele_not_preloadable(const char *program);

/* Why the dynamic linker would go on without @path, or with something else; NULL when neither. */
const char *stele_not_the_drop_in(const char *path);

#endif
