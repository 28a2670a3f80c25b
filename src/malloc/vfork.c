/* SPDX-License-Identifier: MIT */
/*
 * malloc/vfork.c - a child of vfork() may allocate
 *
 * Idea      Such a child runs in its parent's memory, with its parent's thread-local variables,
 *           while the parent's other threads go on. The kernel does not know its restartable
 *           sequences: none would be aborted, and its slot would stay the one that its parent
 *           had. So the child registers the thread's area for itself, and the parent, once it
 *           goes on, does so again. Signals are held back until either has: a handler that ran
 *           before would find an area that says what is not so. The child has a lock token of its
 *           own: what it holds when it ends or is killed is then known, and freed.
 * Context   vfork() as POSIX has it; from a signal handler, too.
 * Failure   the kernel refuses: the area looks unregistered, and who finds it so works without
 *           sheaves.
 * Limits    the drop-in only. The child of a bare clone(CLONE_VM) has none of this.
 * Tests     tests/any_context/vfork_child.c
 */
#include "arch/vfork.h"
#include "os/os.h"
#include "page/run.h"
#include "percpu/percpu.h"
#include "percpu/system.h"
#include <errno.h>

/* Called by the architecture's vfork() alone: before the system call, and in each after it. */
__attribute__((used, visibility("hidden"))) uint64_t stele_vfork_begin(void);
__attribute__((used, visibility("hidden"))) int stele_vfork_child(long result, uint64_t signals);
__attribute__((used, visibility("hidden"))) int stele_vfork_parent(long result, uint64_t signals);

uint64_t stele_vfork_begin(void)
{
	return stele_os_signals_hold();
}

int stele_vfork_child(long result, uint64_t signals)
{
	if (stele_heap_started())
		stele_thread_begin_vfork();
	stele_os_signals_release(signals);
	return (int)result;
}

int stele_vfork_parent(long result, uint64_t signals)
{
	uint32_t child = result > 0 ? stele_thread_end_vfork() : 0;

	if (child)
		stele_pcpu_thread_gone(child);
	stele_os_signals_release(signals);
	if (result >= 0)
		return (int)result;
	errno = (int)-result;
	return -1;
}

STELE_DEFINE_VFORK;
