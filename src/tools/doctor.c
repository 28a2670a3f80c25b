/* SPDX-License-Identifier: MIT */
/*
 * tools/doctor.c - stele doctor: the system's features, Stele's choices, and the reasons
 *
 * Idea      a table of lines: a label, and a function that prints what it found. Facts are asked for
 *           here anew, not taken from the library, so that both can be compared; only the last
 *           part is the library's own word. The last line is the verdict: how fast Stele can be on
 *           this system, and the reason if it could be faster.
 * Failure   a fact that cannot be found out is printed as unknown, with the reason. The command
 *           does not fail because of it.
 * Tests     tests/tools/test_stele.sh
 */
#include "tools/tools.h"
#include "base/fmt.h"

#include "base/basics.h"
#include "base/options.h"
#include "percpu/percpu.h"
#include "percpu/system.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <stele/page.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE 27
#endif
#define MM_CID_END 28 /* feature size from which mm_cid is there */

/* glibc 2.35 and later; weak, so that an older one leaves NULL. */
extern const unsigned int __rseq_size __attribute__((weak));

struct line {
	const char *label;
	void (*print)(void);
};

/* The first line of a file, or NULL with errno. */
static const char *first_line(const char *path, char *buf, int size)
{
	FILE *f = fopen(path, "r");
	const char *s;

	if (!f)
		return NULL;
	errno = EIO;
	s = fgets(buf, size, f);
	fclose(f);
	if (s)
		buf[strcspn(buf, "\n")] = 0;
	return s;
}

static void print_file(const char *path)
{
	char buf[256];

	if (first_line(path, buf, sizeof(buf)))
		fputs(buf, stdout);
	else
		printf("unknown (%s: %s)", path, strerror(errno));
}

static void print_size(uint64_t bytes)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
	unsigned int u = 0;

	while (bytes && bytes % 1024 == 0 && u < STELE_ARRAY_SIZE(units) - 1) {
		bytes /= 1024;
		u++;
	}
	printf("%lu %s", (unsigned long)bytes, units[u]);
}

static void print_kernel(void)
{
	struct utsname u;

	if (uname(&u) == 0)
		printf("%s %s %s", u.sysname, u.release, u.machine);
	else
		printf("unknown (%s)", strerror(errno));
}

static void print_page_size(void)
{
	print_size((uint64_t)sysconf(_SC_PAGESIZE));
}

static void print_cpus(void)
{
	cpu_set_t *set = CPU_ALLOC(4096);
	size_t size = CPU_ALLOC_SIZE(4096);

	printf("%ld configured, %ld online", sysconf(_SC_NPROCESSORS_CONF),
	       sysconf(_SC_NPROCESSORS_ONLN));
	if (set && sched_getaffinity(0, size, set) == 0)
		printf(", %d for this process", CPU_COUNT_S(size, set));
	if (set)
		CPU_FREE(set);
}

static void print_nodes(void)
{
	print_file("/sys/devices/system/node/online");
}

/* The address asks the kernel nothing but whether it knows the call: 0 bytes are never right. */
static void print_kernel_rseq(void)
{
	if (syscall(SYS_rseq, NULL, 0, 0, 0) == 0 || errno == EINVAL || errno == EPERM ||
	    errno == EBUSY)
		fputs("offered by the kernel", stdout);
	else
		printf("refused by the kernel (%s)", strerror(errno));
}

static void print_rseq(void)
{
	print_kernel_rseq();
	if (!&__rseq_size)
		fputs("; this C library does not register threads", stdout);
	else if (__rseq_size == 0)
		fputs("; the C library did not register this thread", stdout);
	else
		fputs("; threads are registered by the C library", stdout);
}

static void print_mm_cid(void)
{
	unsigned long size = getauxval(AT_RSEQ_FEATURE_SIZE);

	if (size >= MM_CID_END)
		printf("yes (%lu bytes of rseq features)", size);
	else if (size)
		printf("no (%lu bytes of rseq features, %d are needed)", size, MM_CID_END);
	else
		fputs("no (the kernel does not tell its rseq features)", stdout);
}

static void print_membarrier(void)
{
	long known = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	if (known < 0) {
		printf("refused by the kernel (%s)", strerror(errno));
		return;
	}
	printf("expedited %s, restartable sequences %s",
	       known & MEMBARRIER_CMD_PRIVATE_EXPEDITED ? "yes" : "no",
	       known & MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ ? "yes" : "no");
}

static void print_huge_pages(void)
{
	print_file("/sys/kernel/mm/transparent_hugepage/enabled");
}

static void print_overcommit(void)
{
	static const char *const meaning[] = { "heuristic", "always", "never" };
	char buf[32];
	const char *path = "/proc/sys/vm/overcommit_memory";

	if (!first_line(path, buf, sizeof(buf)) || buf[0] < '0' || buf[0] > '2' || buf[1])
		print_file(path);
	else
		printf("%s (%s)", buf, meaning[buf[0] - '0']);
}

static void print_max_map_count(void)
{
	print_file("/proc/sys/vm/max_map_count");
}

static void print_limit(int which)
{
	struct rlimit limit;

	if (getrlimit((__rlimit_resource_t)which, &limit) != 0)
		printf("unknown (%s)", strerror(errno));
	else if (limit.rlim_cur == RLIM_INFINITY)
		fputs("unlimited", stdout);
	else
		print_size(limit.rlim_cur);
}

static void print_limit_as(void)
{
	print_limit(RLIMIT_AS);
}

static void print_limit_data(void)
{
	print_limit(RLIMIT_DATA);
}

static void print_mode(void)
{
	const struct stele_system *s = stele_system();

	switch (s->mode) {
	case STELE_MODE_MM_CID:
		fputs("restartable sequences, slots by mm_cid", stdout);
		break;
	case STELE_MODE_CPU_ID:
		fputs("restartable sequences, slots by cpu_id", stdout);
		break;
	case STELE_MODE_FALLBACK:
		fputs("no restartable sequences, slots by thread", stdout);
		break;
	default:
		printf("unknown mode %d", s->mode);
	}
}

static void print_why(void)
{
	fputs(stele_system()->why, stdout);
}

static void print_slots(void)
{
	printf("%u", stele_system()->slots);
}

static void print_chosen_nodes(void)
{
	if (!nodes_several()) {
		fputs("1: memory comes from wherever the system takes it", stdout);
		return;
	}
	printf("%u%s, each with its part of the arena", stele_nodes.count,
	       stele_nodes.pretended ? " (pretended)" : "");
	if (stele_system()->mode != STELE_MODE_FALLBACK)
		fputs("; slots are CPU numbers for that", stdout);
}

static void print_registration(void)
{
	const struct stele_system *s = stele_system();

	if (s->mode == STELE_MODE_FALLBACK)
		fputs("none needed", stdout);
	else
		fputs(s->own_registration ? "by Stele, each thread" : "by the C library", stdout);
}

static void print_chosen_page_size(void)
{
	print_size(stele_system()->page_size);
}

static void print_arena(void)
{
	print_size(stele_system()->arena_bytes);
	fputs(" at most, mapped as it is used", stdout);
}

static void print_options(void)
{
	const char *separator = "";

	for (size_t i = 0; i < stele_nr_option_rows; i++) {
		const struct stele_option_row *row = &stele_option_rows[i];
		char value[32];
		struct stele_out o;

		if (stele_option_get(row) == row->init)
			continue;
		stele_out_init(&o, value, sizeof(value));
		stele_option_show_value(&o, row, stele_option_get(row));
		printf("%s%s=%s", separator, row->name, value);
		separator = ", ";
	}
	if (!*separator)
		fputs("all at their defaults", stdout);
}

static const struct line system_lines[] = {
	{ "kernel", print_kernel },
	{ "page size", print_page_size },
	{ "CPUs", print_cpus },
	{ "NUMA node numbers", print_nodes },
	{ "rseq", print_rseq },
	{ "mm_cid", print_mm_cid },
	{ "membarrier", print_membarrier },
	{ "huge pages", print_huge_pages },
	{ "overcommit_memory", print_overcommit },
	{ "max_map_count", print_max_map_count },
	{ "RLIMIT_AS", print_limit_as },
	{ "RLIMIT_DATA", print_limit_data },
};

static const struct line choice_lines[] = {
	{ "slots", print_mode },
	{ "because", print_why },
	{ "how many", print_slots },
	{ "registration", print_registration },
	{ "page size", print_chosen_page_size },
	{ "memory nodes", print_chosen_nodes },
	{ "arena", print_arena },
	{ "options", print_options },
};

static void print_lines(const char *title, const struct line *lines, size_t n)
{
	puts(title);
	for (size_t i = 0; i < n; i++) {
		printf("  %-18s ", lines[i].label);
		lines[i].print();
		putchar('\n');
	}
}

enum health { GOOD, FAIR, BAD };

struct verdict {
	enum health health;
	const char *meaning;
	const char *reason; /* NULL: there is nothing to say */
};

static struct verdict judge(void)
{
	const struct stele_system *s = stele_system();
	unsigned long page = __get_free_pages(GFP_KERNEL, 0);

	free_pages(page, 0);
	if (!page)
		return (struct verdict){ BAD, "every allocation fails", "no memory to start with" };
	if (s->mode == STELE_MODE_FALLBACK)
		return (struct verdict){ BAD, "calls take about six times as long", s->why };
	if (s->mode == STELE_MODE_MM_CID || nodes_several())
		return (struct verdict){ GOOD, "everything that Stele can use is here", NULL };
	return (struct verdict){ FAIR, "calls take about twice as long",
				 stele_opt.mm_cid ? "this kernel has no mm_cid (Linux 6.3 has it)"
						  : "turned off by the option mm_cid" };
}

/* Green, yellow, red. See https://no-color.org for the variable. */
static bool in_colour(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

static void print_verdict(void)
{
	static const char *const names[] = { "good", "fair", "bad" };
	static const char *const colours[] = { "\033[32m", "\033[33m", "\033[31m" };
	struct verdict v = judge();
	bool colour = in_colour();

	printf("Verdict: %s%s%s: %s", colour ? colours[v.health] : "", names[v.health],
	       colour ? "\033[0m" : "", v.meaning);
	if (v.reason)
		printf(": %s", v.reason);
	putchar('\n');
}

int stele_main_doctor(int argc, char **argv)
{
	if (argc > 1)
		return stele_usage(argv[0], STELE_USAGE);
	stele_options_parse(environ);
	print_lines("This system", system_lines, STELE_ARRAY_SIZE(system_lines));
	print_lines("Stele " STELE_VERSION, choice_lines, STELE_ARRAY_SIZE(choice_lines));
	print_verdict();
	return STELE_DONE;
}
