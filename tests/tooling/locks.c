/* SPDX-License-Identifier: MIT */
/*
 * tests/tooling/locks.c - docs/locks.md, from the table of ranks
 *
 * Idea      Without an argument the page is written; with the page's path it is compared.
 * Failure   the first line that differs, on standard error, and exit code 1; 2: no such file.
 */
#include "base/basics.h"
#include "sync/ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
	const char *name, *where, *guards, *inside, *child;
	enum stele_rank_waits waits;
};

#define AS_ROW(NAME, name, where, waits, guards, inside, child)                                    \
	{ name, where, guards, inside, child, STELE_RANK_##waits },
static const struct row rows[] = { STELE_RANK_TABLE(AS_ROW) };
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static const char *const waits[] = {
	[STELE_RANK_ORDINARY] = "threads that may sleep",
	[STELE_RANK_ANYWHERE] = "anywhere, in the first calls of all",
	[STELE_RANK_NEVER] = "never: it is only tried",
};

static const char before[] =
	"# Locks\n\n"
	"Only the control path has locks. No call that allocates or frees waits for one, except "
	"the first calls of all,\n"
	"which start the heap. All of them are in one table, `src/sync/ranks.h`, outermost first. "
	"**A thread that holds a\n"
	"lock waits only for locks further down**; so no circle of threads can wait for each "
	"other. The table feeds the\n"
	"ranks themselves, the check in debug builds, what the child of a fork does, and this "
	"page, which is the output of\n"
	"`tests/tooling/locks.c`; a test compares them, and `scripts/rules locks` looks for locks "
	"without a row.\n\n"
	"| rank | lock | in | guards | is waited for by |\n|---|---|---|---|---|\n";

static const char between[] =
	"\n## What may be done inside, and what a child of fork finds\n\n"
	"The child repairs the locks from the last rank to the first, so that "
	"the repair of an outer one finds the inner ones whole.\n"
	"A fork waits for no lock, since it may come from a handler that "
	"interrupted anything.\n\n"
	"| lock | inside | in the child |\n|---|---|---|\n";

static const char after[] =
	"\n## The rules\n\n"
	"- Trying needs no order: a thread that does not get the lock goes on without it. A lock "
	"that was got so counts as held.\n"
	"- A thread that waits for a lock that it holds gets `-EDEADLK`. That is no fault: a "
	"slot's step that adds a step\n"
	"  does so.\n"
	"- A thread never waits for a second lock of the same row.\n"
	"- All signals are held back inside, so that no handler finds its own thread there.\n"
	"- A callback of an event, `kmalloc_nolock()` and its kin, and the handlers that run in "
	"the "
	"child of a fork wait for none\n"
	"  of them, except in the first calls of all.\n\n"
	"## The check\n\n"
	"Debug builds (`scripts/build debug`) keep a record of what each thread holds and where it "
	"took it, and look at it\n"
	"before they wait (`src/sync/held.h`). Each pair of ranks is reported once, with both "
	"stacks:\n\n"
	"    stele: lock order: 'list' (rank %d) is waited for while 'taking' (rank %d) is held\n"
	"    stele: lock order: 'taking' was taken by +0x4be21 +0x4c0f3 +0x31d7a\n"
	"    stele: lock order: 'list' is waited for by +0x3f1c2 +0x4be5d +0x4c0f3\n\n"
	"An address with a plus is an offset into the file that has the library in it, for "
	"`addr2line -e`; others are\n"
	"addresses in the process. If a call that never waits has waited for something, the second "
	"line names its caller.\n"
	"Then the process goes on, or dies under `on_error=abort` or `abort_on_order=1`. The tests "
	"of\n"
	"debug builds all run with the latter, so that a report fails whatever test it is in. "
	"Stacks are read by frame\n"
	"pointers and end where code was compiled without them.\n\n"
	"## A new lock\n\n"
	"Write a row where its waiters allow it, and `static struct stele_mutex name = "
	"STELE_MUTEX(ROW)`; a lock within an\n"
	"object is assigned `(struct stele_mutex)STELE_MUTEX(ROW)` where the object is made. A "
	"floor "
	"hands its work in the\n"
	"child of a fork to `stele_rank_in_child()`. A function that promises to wait for nothing "
	"has "
	"`STELE_NEVER_WAITS` before it.\n"
	"Then write this page anew:\n\n"
	"    build/release/tests/tooling/write_locks >build/locks.md && mv build/locks.md docs/\n";

static void write_where(FILE *f, const char *where)
{
	if (strcmp(where, "-") == 0)
		fputs("to come", f);
	else
		fprintf(f, "`src/%s`", where);
}

static void write_page(FILE *f)
{
	fputs(before, f);
	for (size_t i = 0; i < ROWS; i++) {
		fprintf(f, "| %zu | %s | ", i + 1, rows[i].name);
		write_where(f, rows[i].where);
		fprintf(f, " | %s | %s |\n", rows[i].guards, waits[rows[i].waits]);
	}
	fputs(between, f);
	for (size_t i = 0; i < ROWS; i++)
		fprintf(f, "| %s | %s | %s |\n", rows[i].name, rows[i].inside, rows[i].child);
	fprintf(f, after, STELE_RANK_LIST, STELE_RANK_TAKING);
}

static char *page_text(size_t *size)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, size);

	if (!f)
		exit(2);
	write_page(f);
	fclose(f);
	return text;
}

static int compare(FILE *file)
{
	size_t size, room = 0;
	char *text = page_text(&size), *line = NULL, *wanted = text;
	unsigned number = 1;
	ssize_t n;

	while ((n = getline(&line, &room, file)) > 0 && strncmp(wanted, line, (size_t)n) == 0) {
		wanted += n;
		number++;
	}
	if (n <= 0 && !*wanted)
		number = 0;
	else
		fprintf(stderr, "line %u is not what the table says, which is: %.*s\n", number,
			(int)strcspn(wanted, "\n"), wanted);
	free(line);
	free(text);
	return number != 0;
}

int main(int argc, char **argv)
{
	FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
	int differs;

	if (argc == 1) {
		write_page(stdout);
		return 0;
	}
	if (!file) {
		fprintf(stderr, "%s: no such page\n", argv[1]);
		return 2;
	}
	differs = compare(file);
	fclose(file);
	return differs;
}
