/* SPDX-License-Identifier: MIT */
/*
 * tests/limits/no_files.c - neither /proc nor /sys nor any other file can be opened
 *
 * Idea      Linked with the page floor only, whose heap starts when asked: every open is refused
 *           before that. The library sees the same as without /proc and /sys.
 */
#include "limited.h"

#include "os/os.h"
#include "page/run.h"

static int start_and_use(int error)
{
	const int call = SYS_openat;
	void *p;

	if (refuse_calls(&call, 1, error) != 0)
		return 40;
	if (stele_os_cpus_possible() < 1 || stele_heap_start() != 0)
		return 41;
	if (stele_system()->slots < 1 || stele_system()->slots > 4096)
		return 42;
	p = stele_large_alloc(100000, 4096, true);
	if (!p || !is_zero(p, 100000))
		return 43;
	write_content(p, 100000, 1);
	if (!has_content(p, 100000, 1, true))
		return 44;
	stele_large_free(stele_run_of(p));
	printf("  %u slots, mode %d\n", stele_system()->slots, stele_system()->mode);
	fflush(stdout);
	return stele_page_stats().used ? 45 : 0;
}

/* With a limit, whose remainder is then not known. */
static int start_under_limit(int error)
{
	struct rlimit limit = { 512ul << 20, 512ul << 20 };

	return setrlimit(RLIMIT_AS, &limit) ? 46 : start_and_use(error);
}

static void in_child(const char *name, int (*body)(int), int error)
{
	pid_t child = fork_listened_to();

	if (child == 0)
		_exit(body(error));
	judge(name, wait_and_listen(child), "");
}

int main(void)
{
	in_child("no files: ENOENT", start_and_use, ENOENT);
	in_child("no files: EACCES", start_and_use, EACCES);
	in_child("no descriptors: EMFILE", start_and_use, EMFILE);
	in_child("no files, with RLIMIT_AS", start_under_limit, ENOENT);
	return cases_failed != 0;
}
