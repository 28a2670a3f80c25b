/* SPDX-License-Identifier: MIT */
/*
 * tests/preload/surroundings.c - a process that changed what is around it goes on allocating
 *
 * Idea      Each child changes one thing at run time, then allocates, grows and frees blocks of all
 *           kinds.
 * Cases     a root without /proc, a daemon, another user, no descriptors, limits of stack,
 *           processes, data and files, mlockall() in its variants, an alternate stack, plugins that
 *           come and go, personality(), no environment, no core, children of children. Those that
 *           only root may have change nothing for others.
 * Failure   the case, and the status of its child.
 */
#include "drop_in.h"
#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define MIB (1ul << 20)

static int one_block(void *p)
{
	if (!p)
		return 1;
	*(volatile char *)p = 1;
	free(p);
	return 0;
}

/* 0, or how many blocks could not be had. */
static int use(void)
{
	int bad = 0;

	for (size_t i = 0; i < 2000; i++)
		bad += one_block(realloc(malloc(i * 37 + 1), i * 53 + 9));
	return bad + one_block(malloc(40 * MIB)) + one_block(aligned_alloc(MIB, 5 * MIB));
}

static int limited(int which, rlim_t most)
{
	struct rlimit limit = { most, most };

	CHECK(setrlimit((__rlimit_resource_t)which, &limit) == 0);
	return use();
}

static char empty[] = "/tmp/surroundings-XXXXXX";

static int without_proc(void)
{
	if (geteuid() == 0)
		CHECK(chroot(empty) == 0 && chdir("/") == 0);
	return use();
}

/* The parent of a daemon ends at once; the daemon sends its findings through a pipe. */
static int as_daemon(void)
{
	int ends[2], status = -1;
	pid_t child;

	CHECK(pipe(ends) == 0);
	child = fork();
	if (child == 0) {
		CHECK(daemon(0, 0) == 0);
		status = use();
		_exit(write(ends[1], &status, sizeof(status)) != sizeof(status));
	}
	CHECK(waitpid(child, NULL, 0) == child);
	CHECK(read(ends[0], &status, sizeof(status)) == sizeof(status));
	return status;
}

static int as_another_user(void)
{
	if (geteuid() == 0)
		CHECK(setgid(65534) == 0 && setuid(65534) == 0);
	return use();
}

static int without_descriptors(void)
{
	for (int fd = 0; fd < 1024; fd++)
		close(fd);
	return use();
}

static int with_a_small_stack(void)
{
	return limited(RLIMIT_STACK, 65536);
}

static int without_processes(void)
{
	return limited(RLIMIT_NPROC, 0);
}

static int with_little_data(void)
{
	return limited(RLIMIT_DATA, 100 * MIB);
}

static int without_files(void)
{
	return limited(RLIMIT_FSIZE, 0);
}

/* Others than root may lock less than these blocks have. */
static int use_locked(int how)
{
	if (geteuid() == 0)
		CHECK(mlockall(how) == 0);
	return use();
}

static int locked_later(void)
{
	return use_locked(MCL_FUTURE);
}

static int locked_on_fault(void)
{
	return use_locked(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

static volatile sig_atomic_t in_handler = -1;

static void handler(int signal)
{
	(void)signal;
	in_handler = use();
}

static int on_another_stack(void)
{
	static char memory[16384];
	stack_t stack = { .ss_sp = memory, .ss_size = sizeof(memory) };
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK };

	CHECK(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
	raise(SIGUSR1);
	return in_handler;
}

static int plugins_that_come_and_go(void)
{
	int bad = 0;

	for (int i = 0; i < 40; i++) {
		void *library = dlopen("libm.so.6", RTLD_NOW | (i % 2 ? RTLD_DEEPBIND : 0));

		CHECK(library);
		bad += one_block(malloc((size_t)i * 4000));
		dlclose(library);
	}
	return bad + use();
}

static int with_another_layout(void)
{
	CHECK(personality(ADDR_COMPAT_LAYOUT | ADDR_NO_RANDOMIZE) != -1);
	return use();
}

static int without_environment(void)
{
	CHECK(clearenv() == 0);
	return use();
}

static int not_dumpable(void)
{
	CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
	return use();
}

static int status_of(int (*work)(void))
{
	pid_t child = fork();
	int status = -1;

	if (child == 0) {
		int bad = work();

		_exit(bad < 100 ? bad : 100);
	}
	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	return status;
}

static int child_of_a_child(void)
{
	return use() + status_of(use);
}

static const struct {
	const char *name;
	int (*work)(void);
} cases[] = {
	{ "without /proc", without_proc },	{ "as a daemon", as_daemon },
	{ "as another user", as_another_user }, { "without descriptors", without_descriptors },
	{ "RLIMIT_STACK", with_a_small_stack }, { "RLIMIT_NPROC", without_processes },
	{ "RLIMIT_DATA", with_little_data },	{ "RLIMIT_FSIZE", without_files },
	{ "MCL_FUTURE", locked_later },		{ "MCL_ONFAULT", locked_on_fault },
	{ "sigaltstack", on_another_stack },	{ "dlopen", plugins_that_come_and_go },
	{ "personality", with_another_layout }, { "clearenv", without_environment },
	{ "not dumpable", not_dumpable },	{ "fork in a child", child_of_a_child },
};

int main(void)
{
	unsigned failures = 0;

	need_drop_in();
	CHECK(use() == 0 && mkdtemp(empty));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status = status_of(cases[i].work);

		if (status)
			printf("FAILED %s: %#x\n", cases[i].name, (unsigned)status);
		failures += status != 0;
	}
	rmdir(empty);
	return failures != 0;
}
