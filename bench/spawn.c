/* SPDX-License-Identifier: MIT */
/*
 * bench/spawn.c - bench-spawn COUNT PRELOAD PROGRAM [ARG...]: what it costs to start and end
 *
 * Idea      Two passes. The first times posix_spawn to waitpid, COUNT times. The second runs the
 *           program a few times under ptrace and stops it at its exit, where smaps_rollup still
 *           tells its exact RSS and maps whether the preloaded library is really there.
 * Context   Preloading happens in the child's environment only.
 */
#include "bench.h"
#include "traced.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#define MAX_COUNT 1000u
#define TRACED_RUNS 5u

extern char **environ;

static double times[MAX_COUNT];

static double spawn_once(char **argv)
{
	uint64_t start = bench_now_ns();
	pid_t child;
	int status;

	errno = posix_spawnp(&child, argv[0], NULL, NULL, argv, environ);
	if (errno)
		bench_die(argv[0]);
	while (waitpid(child, &status, 0) != child)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		errno = ECHILD;
		bench_die("the spawned program failed");
	}
	return (double)(bench_now_ns() - start);
}

/* Calls @line for each line of /proc/CHILD/@file until it returns non-zero, and returns that. */
static size_t each_line(pid_t child, const char *file, size_t (*line)(const char *, const char *),
			const char *wanted)
{
	char path[64], text[1024];
	size_t found = 0;
	FILE *stream;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)child, file);
	stream = fopen(path, "re");
	if (!stream)
		bench_die(path);
	while (!found && fgets(text, sizeof(text), stream))
		found = line(text, wanted);
	fclose(stream);
	return found;
}

static size_t number_behind(const char *line, const char *key)
{
	size_t length = strlen(key);

	return strncmp(line, key, length) ? 0 : strtoul(line + length, NULL, 10);
}

static size_t names_file(const char *line, const char *name)
{
	return strstr(line, name) != NULL;
}

static void must_be_loaded(pid_t child, const char *library)
{
	const char *slash = strrchr(library, '/');
	const char *stem = slash ? slash + 1 : library;
	char name[256];

	if (!strcmp(library, "-"))
		return;
	/* maps shows the file behind a symbolic link: compare up to ".so" only. */
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(stem, "."), stem);
	if (!each_line(child, "maps", names_file, name)) {
		errno = ENOENT;
		bench_die(library);
	}
}

static double rss_once(char **argv, const char *library)
{
	pid_t child = traced_start(argv);
	size_t rss;
	int status;

	do {
		if (ptrace(PTRACE_CONT, child, NULL, NULL))
			bench_die("PTRACE_CONT");
		status = traced_wait(child);
	} while (WIFSTOPPED(status) && !traced_at_exit(status));
	if (!WIFSTOPPED(status))
		bench_die("the traced program ended without a stop");
	rss = each_line(child, "smaps_rollup", number_behind, "Rss:");
	must_be_loaded(child, library);
	ptrace(PTRACE_CONT, child, NULL, NULL);
	traced_wait(child);
	return (double)rss;
}

int main(int argc, char **argv)
{
	double rss[TRACED_RUNS];
	unsigned long count;

	if (argc < 4) {
		errno = EINVAL;
		bench_die("usage: bench-spawn COUNT PRELOAD PROGRAM [ARG...]");
	}
	count = bench_number(argv[1]);
	if (!count || count > MAX_COUNT) {
		errno = ERANGE;
		bench_die("COUNT");
	}
	preload(argv[2]);
	for (unsigned long i = 0; i < count; i++)
		times[i] = spawn_once(argv + 3);
	for (unsigned int i = 0; i < TRACED_RUNS; i++)
		rss[i] = rss_once(argv + 3, argv[2]);
	bench_print("{\"measure\":\"spawn\",\"value\":%.0f,\"rss_kib\":%.0f}\n",
		    bench_median(times, count), bench_median(rss, TRACED_RUNS));
	return 0;
}
