/* SPDX-License-Identifier: MIT */
/* ZERO_SIZE_PTR may be freed, but a thread that touches it must fault. */
#include "death.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* True when touching @p ended its process by SIGSEGV. */
static bool faults(volatile char *p, bool write)
{
	struct rlimit no_core = { 0, 0 };
	int status;
	pid_t child = fork();

	if (child == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGSEGV, SIG_DFL);
		if (write)
			*p = 1;
		_exit(*p == 1 ? 0 : 4);
	}
	return waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGSEGV;
}

int main(void)
{
	void *p = kmalloc(0, GFP_KERNEL);

	MUST(p == ZERO_SIZE_PTR);
	MUST(faults(of_unknown_origin(p), false));
	MUST(faults(of_unknown_origin(p), true));
	said_begin();
	kfree(p);
	kfree(NULL);
	kvfree(p);
	kfree_sensitive(p);
	kfree_nolock(p);
	MUST(ksize(p) == 0);
	return !said("%s", "");
}
