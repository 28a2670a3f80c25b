/* SPDX-License-Identifier: MIT */
/* With the option abort_on_error a bad free is told and is the end. */
#include "death.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static long on_stack;

static void free_bad(void)
{
	kfree(of_unknown_origin(&on_stack));
}

static void free_bad_pages(void)
{
	free_pages((unsigned long)of_unknown_origin(&on_stack), 0);
}

/* True when @fault ended its process by SIGABRT. */
static bool dies(void (*fault)(void))
{
	struct rlimit no_core = { 0, 0 };
	int status;
	pid_t child = fork();

	if (child == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		kfree(kmalloc(100, GFP_KERNEL));
		fault();
		_exit(0);
	}
	return waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGABRT;
}

int main(void)
{
	setenv("STELE_ABORT_ON_ERROR", "1", 1);
	said_begin();
	MUST(dies(free_bad));
	if (!said("stele: kfree(%p): not a pointer of this allocator, or already free; not freed\n",
		  (void *)&on_stack))
		return 1;
	said_begin();
	MUST(dies(free_bad_pages));
	return !said("stele: free_pages(%p): not the start of pages that are allocated; not freed\n",
		     (void *)&on_stack);
}
