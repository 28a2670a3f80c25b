/* SPDX-License-Identifier: MIT */
/*
 * malloc/vfork.c - a child of vfork() may allocate
 *
 * Idea      Such a child runs in its parent's memory, with its parent's thread-local variables,
 *           while the parent's other threads go on. The kernel does not know its restartable
 *           sequences: none would be aborted, and its slot would stay the one that its parent
 *           had. So the child registers the thread's area for itself, and the parent, once it
 *           goes on, does so again. In each of the two, signals are held back until it has
 *           registered the area: a handler that ran before would find false contents there.
 * Tokens    Each child has a lock token of its own, the child of a child too; its parent keeps
 *           its own in a register and has it back afterwards. When a child ends or is killed, its
 *           parent finds all that it held by its token or number, and frees it: lines of the fallback, the
 *           look at cold slots, locks of the control path. The parent also restores the words by
 *           which its thread counts callbacks and its holds of the CPU set.
 * Context   vfork() as POSIX has it; from a signal handler, too.
 * Failure   the kernel refuses: the area looks unregistered, and a thread that finds it so works
 *           without sheaves.
 * Limits    the drop-in only. The child of a bare clone(CLONE_VM) has none of this.
 * Tests     tests/signals/any_context/vfork_child.c
 */
#include "arch/vfork.h"
#include "os/os.h"
#include "page/run.h"
#include "percpu/percpu.h"
#include "percpu/system.h"
#include "cache/chores.h"
#include "sync/mutex.h"
#include <errno.h>

/* The values that the parent restores afterwards: kept in registers, as the child shares all
 * else. */
struct begun {
	uint64_t signals, token, words;
};

/* Called by the architecture's vfork() alone: before the system call, and in each after it. */
__attribute__((used, visibility("hidden"))) void stele_vfork_begin(struct begun *begun);
__attribute__((used, visibility("hidden"))) int stele_vfork_child(long result, uint64_t signals);
__attribute__((used, visibility("hidden"))) int stele_vfork_parent(long result, uint64_t signals,
								   uint64_t token, uint64_t words);

void stele_vfork_begin(struct begun *begun)
{
	begun->signals = stele_os_signals_hold();
	begun->token = stele_os_token();
	begun->words = stele_thread_words();
}

int stele_vfork_child(long result, uint64_t signals)
{
	stele_os_token_of_child();
	if (stele_heap_started())
		stele_thread_begin_vfork();
	stele_os_signals_release(signals);
	return (int)result;
}

static void child_is_gone(uint32_t thread, uint64_t mine)
{
	uint64_t token = stele_os_token();

	stele_os_token_back(mine);
	if (stele_heap_started())
		stele_thread_end_vfork();
	stele_mutex_thread_gone(token, thread);
	stele_pcpu_thread_gone(thread);
	stele_cold_thread_gone(thread);
}

int stele_vfork_parent(long result, uint64_t signals, uint64_t token, uint64_t words)
{
	if (result > 0)
		child_is_gone((uint32_t)result, token);
	stele_thread_words_back(words);
	stele_os_signals_release(signals);
	if (result >= 0)
		return (int)result;
	errno = (int)-result;
	return -1;
}

STELE_DEFINE_VFORK;
