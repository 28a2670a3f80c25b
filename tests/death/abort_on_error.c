/* SPDX-License-Identifier: MIT */
/* With abort_on_error=1, and with on_error=abort, a bad free is told and is the end. */
#include "death.h"

#include <signal.h>
#include <sys/resource.h>

/* An address that is the same in both processes, and nobody's. */
#define NOWHERE 0x123456000ul

static int fault_of_kind(const char *which)
{
	struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	kfree(kmalloc(100, GFP_KERNEL));
	if (strcmp(which, "kfree") == 0)
		kfree(of_unknown_origin((void *)NOWHERE));
	else
		free_pages(NOWHERE, 0);
	return 0;
}

static bool dies(char *which)
{
	int status = run_self(which);

	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static bool both_die(void)
{
	said_begin();
	MUST(dies("kfree"));
	if (!said("stele: kfree(%p): not a pointer of this allocator, or already free; not freed\n",
		  (void *)NOWHERE))
		return false;
	said_begin();
	MUST(dies("free_pages"));
	return said("stele: free_pages(%p): not the start of pages that are allocated; not freed\n",
		    (void *)NOWHERE);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return fault_of_kind(argv[1]);
	setenv("STELE_ABORT_ON_ERROR", "1", 1);
	MUST(both_die());
	setenv("STELE_ABORT_ON_ERROR", "0", 1);
	setenv("STELE_ON_ERROR", "abort", 1);
	MUST(both_die());
	setenv("STELE_ON_ERROR", "continue", 1);
	said_begin();
	MUST(run_self("kfree") == 0);
	return !said(
		"stele: kfree(%p): not a pointer of this allocator, or already free; not freed\n",
		(void *)NOWHERE);
}
