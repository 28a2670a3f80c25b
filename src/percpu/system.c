/* SPDX-License-Identifier: MIT */
/*
 * percpu/system.c - choosing how slots work on this system
 *
 * Idea      Trust, but test: Stele uses glibc's registration if there is one, and registers each
 *           thread itself if not. Then one sequence spins until a signal must have aborted it.
 *           Stele uses sequences only if the signal did.
 * Objects   stele_tls: one line per thread. Its area is the one we register ourselves; beside it
 *           a dead one, whose negative cpu_id sends every fast path the slow way: for good where
 *           there are no sequences by mm_cid, for a while when all calls are wanted there.
 * Failure   any refusal (no rseq, no membarrier, a seccomp filter) leaves the fallback.
 * Tests     tests/unit/percpu/test_system.c; `stele doctor` prints the outcome.
 */
#include "percpu/system.h"
#include "arch/rseq.h"
#include "base/auxv.h"
#include "base/options.h"
#include "os/os.h"
#include "percpu/fast_path.h"
#include "percpu/percpu.h"
#include <stdint.h>
#include <sys/auxv.h>

#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE 27
#endif
#define MM_CID_END 28 /* the feature size from which mm_cid is in the area */

/* glibc 2.35 and later; weak, so that older ones leave NULL. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

__thread struct stele_tls stele_tls
	__attribute__((aligned(32))) = { .area = { .cpu_id = -1 }, .dead = { .cpu_id = -1 } };
_Static_assert(sizeof(struct stele_tls) <= 64, "dlopen leaves little static TLS");
_Static_assert(offsetof(struct stele_dead_area, cpu_id) == offsetof(struct rseq_area, cpu_id) &&
		       offsetof(struct stele_dead_area, rseq_cs) ==
			       offsetof(struct rseq_area, rseq_cs),
	       "where the steps look");

struct stele_rseq stele_rseq;

static long own_area_offset(void)
{
	return (long)((char *)&stele_tls.area - (char *)__builtin_thread_pointer());
}

static long dead_area_offset(void)
{
	return (long)((char *)&stele_tls.dead - (char *)__builtin_thread_pointer());
}

/* ---- the switch of the fast paths ---- */

static struct fast_path fast_path;

static void apply_fast_path(void)
{
	fast_path_apply(&fast_path, &stele_hot.rseq, dead_area_offset());
}

void stele_fast_path(uint32_t reason, bool open)
{
	if (open)
		fast_path_open(&fast_path, reason);
	else
		fast_path_close(&fast_path, reason);
	apply_fast_path();
}

static void choose_fast_path(long area)
{
	fast_path_choose(&fast_path, area);
	apply_fast_path();
}

uint32_t *stele_thread_trace(void)
{
	return &stele_tls.dead.trace;
}

uint32_t stele_thread_token(void)
{
	return (uint32_t)stele_os_token();
}

/* By the token, in turn. The child of a vfork() keeps its parent's. */
__attribute__((noinline, cold)) unsigned stele_thread_first_slot(void)
{
	stele_tls.slot = 1 + (uint32_t)((stele_os_token() - 1) % stele_system_facts.slots);
	return stele_tls.slot - 1;
}

void stele_thread_move(unsigned slot)
{
	stele_tls.slot = slot + 1;
}

__attribute__((noinline, cold)) uint32_t stele_thread_ask_name(void)
{
	return stele_tls.name = stele_os_thread();
}

static uint32_t names_process; /* in which the names were entered */

uint32_t stele_thread_rename(void)
{
	static uint32_t before;
	uint32_t now = stele_os_thread();

	names_process = stele_os_process();
	if (stele_tls.name != now) {
		before = stele_tls.name;
		stele_tls.name = now;
	}
	return before;
}

bool stele_thread_is_gone(uint32_t name)
{
	return names_process == stele_os_process() && stele_os_thread_is_gone(name);
}

bool stele_thread_nap(uint32_t name)
{
	stele_os_nap();
	return !stele_thread_is_gone(name);
}

/* ---- threads that are stepped ---- */

#define FAILED_IN_A_ROW 2
#define STEPS_BY_LOCK 1000 /* until sequences are tried again; one that fails is enough then */

void stele_thread_step_failed(void)
{
	if (stele_tls.failed < FAILED_IN_A_ROW)
		stele_tls.failed++;
	if (stele_tls.failed < FAILED_IN_A_ROW)
		return;
	stele_tls.locked = STEPS_BY_LOCK;
	if (!__atomic_load_n(&stele_hot.by_thread, __ATOMIC_RELAXED))
		__atomic_store_n(&stele_hot.by_thread, true, __ATOMIC_RELAXED);
}

void stele_thread_step_done(void)
{
	stele_tls.failed = 0;
}

uint32_t *stele_thread_cpus(void)
{
	return &stele_tls.cpus;
}

uint64_t stele_thread_words(void)
{
	return (uint64_t)stele_tls.dead.trace << 32 | stele_tls.cpus;
}

void stele_thread_words_back(uint64_t words)
{
	stele_tls.dead.trace = (uint32_t)(words >> 32);
	stele_tls.cpus = (uint32_t)words;
}

int stele_thread_register(void)
{
	if (!stele_system_facts.own_registration)
		return 0;
	if (stele_tls.area.cpu_id >= 0)
		return 1;
	if (stele_tls.area.cpu_id != -1)
		return 0; /* refused before */
	if (stele_os_rseq_register(&stele_tls.area, STELE_RSEQ_SIG) == 0)
		return 1;
	if (stele_tls.area.cpu_id >= 0)
		return 1; /* a handler was faster */
	stele_tls.area.cpu_id = -2;
	return 0;
}

/* ---- vfork ---- */

void stele_thread_begin_vfork(void)
{
	stele_tls.name = 0;
	/* If the kernel refuses, the area must not look registered. The kernel writes it anew for the
	 * parent. */
	if (stele_system_facts.mode != STELE_MODE_FALLBACK &&
	    stele_os_rseq_register(step_area(stele_rseq.area), STELE_RSEQ_SIG) != 0)
		step_area(stele_rseq.area)->cpu_id = -1;
}

/*
 * The area says where the child ran last, until the kernel writes it again; newer ones do so only
 * when something changed for this thread. So it is registered anew. Where it never was, the kernel
 * does not write it, and it must not look as the child left it.
 */
static void register_anew(struct rseq_area *area)
{
	if (stele_os_rseq_unregister(area, STELE_RSEQ_SIG) == 0)
		stele_os_rseq_register(area, STELE_RSEQ_SIG);
	else
		area->cpu_id = -1;
}

void stele_thread_end_vfork(void)
{
	stele_tls.name = 0;
	if (stele_system_facts.mode != STELE_MODE_FALLBACK)
		register_anew(step_area(stele_rseq.area));
}

struct probe {
	long area;
	uint64_t spins;
	bool aborted;
};

static void spin_in_sequence(void *arg)
{
	struct probe *probe = arg;

	probe->aborted = step_spin(probe->area, probe->spins);
}

/*
 * Whether a signal aborts a sequence. A preemption may come first; it proves as much. On a slow
 * machine the signal may come before the sequence has begun, which proves nothing: so later ones
 * follow, and longer sequences, which cost time only where none is aborted.
 */
static bool sequence_is_aborted(long area)
{
	struct probe probe = { .area = area, .spins = 400000 };

	for (long nanoseconds = 20000; nanoseconds < 20000000; nanoseconds *= 8) {
		if (stele_os_with_signal(nanoseconds, spin_in_sequence, &probe) != 0)
			return false;
		if (probe.aborted)
			return true;
		probe.spins *= 8;
	}
	return false;
}

/* The area to use, or 0 with the reason why there is none. */
static long find_area(const char **why)
{
	if (&__rseq_size && __rseq_size) {
		*why = "registered by the C library";
		return __rseq_offset;
	}
	stele_system_facts.own_registration = 1;
	if (stele_thread_register()) {
		*why = "registered by Stele";
		return own_area_offset();
	}
	stele_system_facts.own_registration = 0;
	*why = "the kernel refused to register restartable sequences";
	return 0;
}

static bool choose_rseq(const char **why)
{
	long area;

	*why = "this architecture has no restartable sequences here";
	if (!STELE_ARCH_HAS_RSEQ)
		return false;
	*why = "turned off by the option rseq";
	if (stele_opt.rseq == 0)
		return false;
	area = find_area(why);
	if (!area || step_area(area)->cpu_id < 0) {
		*why = area ? "this thread is not registered" : *why;
		return false;
	}
	if (stele_os_membarrier_register() != 0) {
		*why = "membarrier cannot abort sequences here";
		return false;
	}
	if (stele_opt.selftest && !sequence_is_aborted(area)) {
		*why = "the self-test failed: a signal did not abort a sequence";
		return false;
	}
	stele_rseq.area = area;
	return true;
}

void stele_system_choose(void)
{
	struct stele_system *facts = &stele_system_facts;

	names_process = stele_os_process();
	facts->slots = stele_os_cpus_possible();
	stele_nodes_choose();
	choose_fast_path(dead_area_offset());
	if (!choose_rseq(&facts->why)) {
		facts->mode = STELE_MODE_FALLBACK;
		stele_hot.by_thread = true;
		facts->own_registration = 0;
		if (stele_opt.slots)
			facts->slots = (unsigned)stele_opt.slots;
		return;
	}
	if (stele_opt.mm_cid && !nodes_several() &&
	    stele_auxv(AT_RSEQ_FEATURE_SIZE) >= MM_CID_END) {
		facts->mode = STELE_MODE_MM_CID;
		stele_rseq.id = stele_rseq.area + (long)offsetof(struct rseq_area, mm_cid);
		choose_fast_path(stele_rseq.area);
	} else {
		facts->mode = STELE_MODE_CPU_ID;
		stele_hot.by_cpu = stele_rseq.area;
		stele_rseq.id = stele_rseq.area + (long)offsetof(struct rseq_area, cpu_id);
	}
}
