/* SPDX-License-Identifier: MIT */
/*
 * tests/preload/footprint.c - what others see of a program under the drop-in, beside glibc's malloc
 *
 * Idea      This program runs itself, with the drop-in and without. Each child does one thing and
 *           tells one number; the two numbers are compared.
 * Cases     the address space of a program that allocates little; the memory that mlockall() locks,
 *           with one block and with many; a core file's length and what is resident; how much a program
 *           gets under RLIMIT_AS and RLIMIT_DATA, set before the start and later.
 * Sizes     of blocks: 2.1 and 3 MB are a little more than an area, and half more (docs/page.md).
 * Core      the file itself where the kernel writes one into this directory. Else what would be in
 *           it: the mappings that have private pages, in whole.
 * Failure   the case, and both numbers.
 */
#include "drop_in.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define KIB 1024ul
#define MIB (1ul << 20)
#define LIMIT (256 * MIB)

extern char **environ;

static unsigned long status_kib(const char *name)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long value = 0;
	char line[256];

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, name, strlen(name)) == 0)
			value = strtoul(line + strlen(name) + 1, NULL, 10);
	fclose(f);
	return value;
}

/* ---- what a child measures ---- */

static unsigned long small(const char *unused)
{
	void *p = malloc(64);
	unsigned long size = status_kib("VmSize");

	(void)unused;
	CHECK(p);
	free(p);
	return size;
}

/* Blocks of so many bytes, 20 MB in all, which stay. */
static void twenty_mb(const char *size)
{
	size_t bytes = strtoul(size, NULL, 10);

	for (size_t i = 0; i < 20000000 / bytes; i++) {
		void *p = malloc(bytes);

		CHECK(p);
		memset(p, 1, bytes);
	}
}

static unsigned long locked_kib(const char *size)
{
	void *p;

	CHECK_FOR(mlockall(MCL_CURRENT | MCL_FUTURE) == 0, errno);
	CHECK(p = malloc(64));
	free(p);
	if (*size)
		twenty_mb(size);
	return status_kib("VmLck");
}

/* In thousandths of what is resident: the length of all mappings that have private pages. */
static unsigned long core_by_smaps(const char *of_size)
{
	unsigned long length = 0, resident_kib = 0, size = 0, kib;
	FILE *f;
	char line[512];

	twenty_mb(of_size);
	CHECK(f = fopen("/proc/self/smaps", "re"));
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Size: %lu", &kib) == 1)
			size = kib;
		if (sscanf(line, "Anonymous: %lu", &kib) == 1 && kib) {
			length += size;
			resident_kib += kib;
		}
	}
	fclose(f);
	CHECK_FOR(resident_kib > 18000, resident_kib);
	return length * 1000 / resident_kib;
}

static void set_limit(int which, size_t bytes)
{
	struct rlimit limit = { bytes, bytes };

	CHECK(setrlimit((__rlimit_resource_t)which, &limit) == 0);
}

/* Blocks of so many bytes until there is no memory: all of them, in KiB. */
static unsigned long all_of(const char *size)
{
	size_t bytes = strtoul(size, NULL, 10), n = 0;
	void **last = NULL, **p;

	while ((p = malloc(bytes))) {
		*p = last;
		last = p;
		n++;
	}
	CHECK(errno == ENOMEM);
	while ((p = last)) {
		last = *p;
		free(p);
	}
	return n * bytes / KIB;
}

static unsigned long limited_later(int which, const char *size)
{
	void *before = malloc(64);

	CHECK(before);
	set_limit(which, LIMIT);
	free(before);
	return all_of(size);
}

static unsigned long as_later(const char *size)
{
	return limited_later(RLIMIT_AS, size);
}

static unsigned long data_later(const char *size)
{
	return limited_later(RLIMIT_DATA, size);
}

/* ---- children ---- */

static const struct measure {
	const char *name;
	unsigned long (*get)(const char *);
	int limit; /* set before the start, or -1 */
} measures[] = {
	{ "small", small, -1 },		  { "locked", locked_kib, -1 },
	{ "core", core_by_smaps, -1 },	  { "as_later", as_later, -1 },
	{ "data_later", data_later, -1 }, { "as", all_of, RLIMIT_AS },
	{ "data", all_of, RLIMIT_DATA },
};

static const struct measure *measure_of(const char *name)
{
	for (size_t i = 0; i < sizeof(measures) / sizeof(measures[0]); i++)
		if (strcmp(measures[i].name, name) == 0)
			return &measures[i];
	return NULL;
}

static int tell(const char *name, const char *argument)
{
	unsigned long value = measure_of(name)->get(argument);

	CHECK(write(STDOUT_FILENO, &value, sizeof(value)) == sizeof(value));
	return 0;
}

static void run(const char *name, const char *argument, int limit, int drop_in, int out)
{
	char *argv[] = { (char *)"footprint", (char *)name, (char *)argument, NULL };

	dup2(out, STDOUT_FILENO);
	if (!drop_in)
		unsetenv("LD_PRELOAD");
	if (limit >= 0)
		set_limit(limit, LIMIT);
	execve("/proc/self/exe", argv, environ);
	_exit(127);
}

static unsigned long number(const char *name, const char *argument, int drop_in)
{
	unsigned long value = 0;
	int ends[2], status = -1;
	pid_t child;

	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	child = fork();
	if (child == 0)
		run(name, argument, measure_of(name)->limit, drop_in, ends[1]);
	close(ends[1]);
	CHECK(waitpid(child, &status, 0) == child);
	CHECK_FOR(status == 0, status);
	CHECK(read(ends[0], &value, sizeof(value)) == sizeof(value));
	close(ends[0]);
	return value;
}

static unsigned failures;

static void say(int good, const char *name, const char *argument, unsigned long glibc,
		unsigned long ours)
{
	printf("%s %s %s: %lu, glibc %lu\n", good ? "ok" : "FAILED", name, argument, ours, glibc);
	failures += !good;
}

static void at_most_more(const char *name, const char *size, unsigned long kib)
{
	unsigned long glibc = number(name, size, 0), ours = number(name, size, 1);

	say(ours <= glibc + kib, name, size, glibc, ours);
}

static void at_most(const char *name, const char *size, unsigned long most)
{
	unsigned long glibc = number(name, size, 0), ours = number(name, size, 1);

	say(ours <= most, name, size, glibc, ours);
}

static void within(const char *name, const char *size, unsigned long kib)
{
	unsigned long glibc = number(name, size, 0), ours = number(name, size, 1);

	say(ours <= glibc + kib && glibc <= ours + kib, name, size, glibc, ours);
}

/* ---- a core file ---- */

/* Whether the kernel writes "core" into the directory of the process that dies. */
static int core_is_written_here(void)
{
	struct rlimit limit;
	char pattern[128] = "";
	FILE *f = fopen("/proc/sys/kernel/core_pattern", "re");

	if (!f || !fgets(pattern, sizeof(pattern), f))
		pattern[0] = 0;
	if (f)
		fclose(f);
	return strcmp(pattern, "core\n") == 0 && getrlimit(RLIMIT_CORE, &limit) == 0 &&
	       limit.rlim_max == RLIM_INFINITY;
}

static void die(const char *directory, const char *size)
{
	CHECK(chdir(directory) == 0);
	set_limit(RLIMIT_CORE, RLIM_INFINITY);
	twenty_mb(size);
	abort();
}

/* "core", or "core.PID" where the kernel was told so. */
static int find_core(const char *directory, pid_t child, char *name, size_t room)
{
	struct stat file;

	snprintf(name, room, "%s/core", directory);
	if (stat(name, &file) == 0)
		return 1;
	snprintf(name, room, "%s/core.%d", directory, (int)child);
	return stat(name, &file) == 0;
}

static void a_core_file_is_as_long_as_what_is_in_it(const char *size)
{
	char directory[] = "/tmp/footprint-XXXXXX", name[80];
	struct stat file;
	pid_t child;
	int status;

	CHECK(mkdtemp(directory));
	child = fork();
	if (child == 0)
		die(directory, size);
	CHECK(waitpid(child, &status, 0) == child);
	CHECK_FOR(WIFSIGNALED(status) && WCOREDUMP(status), status);
	CHECK(find_core(directory, child, name, sizeof(name)) && stat(name, &file) == 0);
	CHECK_FOR(file.st_blocks * 512 > 18 * (long)MIB, file.st_blocks);
	CHECK_FOR(file.st_size <= 2 * file.st_blocks * 512, file.st_size);
	unlink(name);
	rmdir(directory);
}

/* Few users may lock more than 8 MiB. */
static int much_may_be_locked(void)
{
	void *p = mmap(NULL, 64 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int may = p != MAP_FAILED && mlock(p, 64 * MIB) == 0;

	if (p != MAP_FAILED)
		munmap(p, 64 * MIB);
	return may;
}

static void cores(const char *size)
{
	at_most("core", size, 2000);
	if (core_is_written_here())
		a_core_file_is_as_long_as_what_is_in_it(size);
}

static void limits(void)
{
	static const char *const later[] = { "64",	"5000",	   "100000", "1000000",
					     "2100000", "3000000", "5000000" };

	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		within("as_later", later[i], 64 * MIB / KIB);
		within("data_later", later[i], 64 * MIB / KIB);
	}
	within("as", "100000", 64 * MIB / KIB);
	within("data", "100000", 64 * MIB / KIB);
	within("as", "2100000", 64 * MIB / KIB);
	within("data", "2100000", 64 * MIB / KIB);
}

int main(int argc, char **argv)
{
	if (argc > 2)
		return tell(argv[1], argv[2]);
	need_drop_in();
	setvbuf(stdout, NULL, _IOLBF, 0);
	limits();
	at_most_more("small", "", 64 * MIB / KIB);
	at_most_more("locked", "", 4 * MIB / KIB);
	if (much_may_be_locked()) {
		at_most_more("locked", "2100000", 8 * MIB / KIB);
		at_most_more("locked", "3000000", 8 * MIB / KIB);
	}
	cores("100000");
	cores("2100000");
	return failures != 0;
}
