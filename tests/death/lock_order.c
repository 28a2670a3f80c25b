/* SPDX-License-Identifier: MIT */
/*
 * An event's callback creates a cache, and that may wait for a lock. A debug build reports the
 * place once, and ends the program if the option abort_on_order is set.
 */
#include "death.h"

#include <fnmatch.h>
#include <signal.h>
#include <sys/resource.h>

#include <stele/trace.h>

#include "sync/ranks.h"

static void create_in_callback(const struct stele_trace_event *event, void *arg)
{
	(void)event;
	(void)arg;
	kmem_cache_destroy(kmem_cache_create("inside", 200, NULL, SLAB_NO_MERGE));
}

static int fault_of_order(void)
{
	struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	MUST(stele_trace_register(STELE_TRACE_KMALLOC, create_in_callback, NULL) == 0);
	kfree(kmalloc(100, GFP_KERNEL));
	kfree(kmalloc(100, GFP_KERNEL));
	return 0;
}

static bool said_like(const char *format, ...)
{
	char pattern[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(pattern, sizeof(pattern), format, ap);
	va_end(ap);
	stderr_end(&death_text);
	if (fnmatch(pattern, death_text.text, 0) == 0)
		return true;
	fprintf(stderr, "expected: %s\nsaid:     %s\n", pattern, death_text.text);
	return false;
}

#define STACK " +0x*[0-9a-f]"
#define WAITS(name)                                                                                \
	"stele: lock order: '" name "' (rank %d) is waited for in a call that never waits\n"       \
	"stele: lock order: '" name "' may not be, as the call was made by" STACK "\n"             \
	"stele: lock order: '" name "' is waited for by" STACK "\n"

static bool dies_of(const char *option)
{
	int status;

	setenv(option, "1", 1);
	said_begin();
	status = run_self((char *)"fault");
	setenv(option, "0", 1);
	return said_like(WAITS("list"), STELE_RANK_LIST) && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGABRT;
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return fault_of_order();
	setenv("STELE_ABORT_ON_ERROR", "0", 1);
	setenv("STELE_ABORT_ON_ORDER", "0", 1);
	said_begin();
	MUST(run_self((char *)"fault") == 0);
	if (!said_like(WAITS("list"), STELE_RANK_LIST))
		return 1;
	MUST(dies_of("STELE_ABORT_ON_ERROR"));
	MUST(dies_of("STELE_ABORT_ON_ORDER"));
	return 0;
}
