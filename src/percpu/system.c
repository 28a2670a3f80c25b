/* SPDX-License-Identifier: MIT */
/*
 * percpu/system.c - choosing how slots work on this system
 *
 * Idea      Trust, but test: glibc's registration is used where there is one, else
 *           Stele registers each thread; then one sequence spins until a signal must have
 *           aborted it. Only if it was are sequences used.
 * Objects   stele_tls: one line per thread. Its area is the one we register ourselves, or
 *           a dead one whose negative cpu_id sends every fast path the slow way.
 * Failure   any refusal (no rseq, no membarrier, a seccomp filter) leaves the fallback.
 * Tests     tests/unit/percpu/test_system.c; `stele doctor` prints the outcome.
 */
#include "percpu/system.h"
#include "base/options.h"
#include "os/os.h"
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

struct stele_tls {
	struct rseq_area area;
	uint32_t token; /* 0: not yet given */
	uint32_t slot;
};
static __thread struct stele_tls stele_tls
	__attribute__((tls_model("initial-exec"), aligned(32))) = { .area = { .cpu_id = -1 } };
_Static_assert(sizeof(struct stele_tls) <= 64, "dlopen leaves little static TLS");

struct stele_system stele_system_facts = { .why = "not started" };
struct stele_rseq stele_rseq;
static _Atomic uint32_t tokens;

static long own_area_offset(void)
{
	return (long)((char *)&stele_tls.area - (char *)__builtin_thread_pointer());
}

unsigned stele_thread_token(void)
{
	if (stele_likely(stele_tls.token))
		return stele_tls.token;
	stele_tls.token = add_relaxed(&tokens, 1) + 1;
	stele_tls.slot = (stele_tls.token - 1) % stele_system_facts.slots;
	return stele_tls.token;
}

unsigned stele_thread_slot(void)
{
	stele_thread_token();
	return stele_tls.slot;
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
	stele_tls.area.cpu_id = -2;
	return 0;
}

struct probe {
	long area;
	bool aborted;
};

static void spin_in_sequence(void *arg)
{
	struct probe *probe = arg;

	probe->aborted = step_spin(probe->area, 2000000);
}

/* Whether a signal aborts a sequence. A preemption may come first; it proves as much. */
static bool sequence_is_aborted(long area)
{
	struct probe probe = { .area = area };

	return stele_os_with_signal(20000, spin_in_sequence, &probe) == 0 && probe.aborted;
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

	facts->slots = stele_os_cpus_possible();
	stele_hot.rseq = own_area_offset();
	if (!choose_rseq(&facts->why)) {
		facts->mode = STELE_MODE_FALLBACK;
		facts->own_registration = 0;
		if (stele_opt.slots)
			facts->slots = (unsigned)stele_opt.slots;
		return;
	}
	if (getauxval(AT_RSEQ_FEATURE_SIZE) >= MM_CID_END) {
		facts->mode = STELE_MODE_MM_CID;
		stele_rseq.id = stele_rseq.area + (long)offsetof(struct rseq_area, mm_cid);
		stele_hot.rseq = stele_rseq.area;
	} else {
		/* The fast steps read mm_cid only; here every call takes the slow steps. */
		facts->mode = STELE_MODE_CPU_ID;
		stele_rseq.id = stele_rseq.area + (long)offsetof(struct rseq_area, cpu_id);
	}
}
