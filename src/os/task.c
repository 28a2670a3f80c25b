/* SPDX-License-Identifier: MIT */
/*
 * os/task.c - the thread that runs here, its process, its signals, and futexes
 *
 * Idea      A lock that outlives its holder is found by the number of the holder's process. The
 *           number lies in a page that the kernel hands to every child zeroed (MADV_WIPEONFORK),
 *           however it was forked. A thread that finds 0 takes the next number. A child of vfork()
 *           shares the page, as it shares all else.
 * Objects   number: the page's first word, or `plain` where the system gives no such page.
 *           stele_os_processes: the highest number taken so far by this process and its ancestors.
 *           taker: the process that took the number. A child that has not yet taken one finds its
 *           parent's here.
 *           A thread is known by a token, which no other thread has had or will have. The kernel's
 *           number of a thread will not do: it is given out again, and the child of a vfork() has
 *           its parent's pthread_self().
 * Wraps     tokens: 63 bits; a thousand million threads a second take 292 years. Where half of one
 *           stands beside a process number, as the mark of a thread that has something in
 *           hand, two threads are mixed up only if 2^32 others began while the first had it in
 *           hand; a half is never 0. Process numbers:
 *           32 bits, and 0 is left out. A number is compared only with the one in a lock that an
 *           ancestor held; they are equal by mistake if that lock was not touched in 2^32
 *           generations of children of children.
 * Context   any; system calls only, errno kept.
 * Failure   no page, or an emulator that says it will be zeroed and does not: only a child that
 *           runs fork handlers gets a number of its own.
 * Tests     tests/unit/os/test_os.c
 */
#include "os/os.h"
#include "arch/call.h"
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>

static _Atomic uint32_t plain;
_Atomic uint32_t stele_os_processes; /* `last`; tests set it near its end */
_Atomic uint64_t stele_os_tokens;    /* given out so far; tests set it near 2^32 */
static _Atomic pid_t taker;
static _Atomic(_Atomic uint32_t *) number;

int stele_os_pid(void)
{
	return (int)STELE_SYSCALL(SYS_getpid, 0);
}

void stele_os_stop(void)
{
	STELE_SYSCALL(SYS_kill, stele_os_pid(), SIGSTOP);
}

void stele_os_write(int fd, const char *text, size_t n)
{
	STELE_SYSCALL(SYS_write, fd, text, n);
}

static _Atomic uint32_t *wiped_page(size_t size)
{
	long p = STELE_SYSCALL(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p < 0)
		return NULL;
	if (STELE_SYSCALL(SYS_madvise, p, size, MADV_WIPEONFORK) == 0)
		return (_Atomic uint32_t *)p;
	STELE_SYSCALL(SYS_munmap, p, size);
	return NULL;
}

/* Where the number is; two threads may look for a place at once, one of them in vain.
 * ORDER(PROCESS) release: the page is there and zeroed before it is shown. */
static _Atomic uint32_t *place(void)
{
	size_t size = stele_os_page_size();
	_Atomic uint32_t *seen = NULL, *mine;

	mine = wiped_page(size);
	if (!atomic_compare_exchange_strong(&number, &seen, mine ? mine : &plain) && mine)
		STELE_SYSCALL(SYS_munmap, mine, size);
	return atomic_load(&number);
}

/* ORDER(PROCESS) release: raised before it is shown, so that a child of this very moment takes another
 * one. */
static uint32_t take_number(_Atomic uint32_t *at)
{
	uint32_t none = 0, next = atomic_fetch_add(&stele_os_processes, 1) + 1;

	if (!next)
		next = atomic_fetch_add(&stele_os_processes, 1) + 1;
	atomic_store(&taker, stele_os_pid());
	return atomic_compare_exchange_strong(at, &none, next) ? next : none;
}

/* ORDER(PROCESS) acquire: the page is there and zeroed. */
uint32_t stele_os_process(void)
{
	_Atomic uint32_t *at = atomic_load_explicit(&number, memory_order_acquire);
	uint32_t n;

	if (!at)
		at = place();
	n = atomic_load_explicit(at, memory_order_relaxed);
	return n ? n : take_number(at);
}

/* ORDER(PROCESS) by itself: the child has one thread. */
void stele_os_process_forked(void)
{
	_Atomic uint32_t *at = atomic_load(&number);

	/* The page may have been wiped, and a number taken already; or it was not, by an emulator. */
	if (at && atomic_load(&taker) != stele_os_pid())
		atomic_store(at, 0);
	stele_os_process();
}

uint32_t stele_os_thread(void)
{
	return (uint32_t)STELE_SYSCALL(SYS_gettid, 0);
}

int stele_os_priority(void)
{
	struct sched_param param = { 0 };
	long policy = STELE_SYSCALL(SYS_sched_getscheduler, 0);

	if (policy == SCHED_DEADLINE)
		return 100;
	if ((policy == SCHED_FIFO || policy == SCHED_RR) &&
	    STELE_SYSCALL(SYS_sched_getparam, 0, &param) == 0)
		return param.sched_priority;
	return 0;
}

/* ---- tokens ---- */

#define CHILD (1ull << 63) /* of a child of vfork() */

static __thread uint64_t token __attribute__((tls_model("initial-exec"))); /* 0: none yet */

/* Neither half of what is used of it may be 0. */
static uint64_t next_token(void)
{
	uint64_t next;

	do
		next = atomic_fetch_add_explicit(&stele_os_tokens, 1, memory_order_relaxed) + 1;
	while (!(uint32_t)next);
	return next;
}

uint64_t stele_os_token(void)
{
	if (!token)
		token = next_token();
	return token;
}

void stele_os_token_of_child(void)
{
	token = next_token() | CHILD;
}

void stele_os_token_back(uint64_t before)
{
	token = before;
}

bool stele_os_in_vfork_child(void)
{
	return token & CHILD;
}

/* ---- signals ---- */

/* By the system call: the C library would leave out those that it uses for cancelling. */
static int set_mask(int how, uint64_t mask, uint64_t *old)
{
	return (int)STELE_SYSCALL(SYS_rt_sigprocmask, how, &mask, old, sizeof(mask));
}

#define BIT(signal) (1ull << ((signal)-1))
/* The signals that an instruction raises itself; and SIGSYS, by which a sandbox serves system
 * calls. */
#define SYNCHRONOUS                                                                                \
	(BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGILL) | BIT(SIGFPE) | BIT(SIGTRAP) | BIT(SIGSYS))
#define NOT_HELD BIT(SIGKILL) /* is in no thread's mask */

uint64_t stele_os_signals_hold(void)
{
	uint64_t old;

	return set_mask(SIG_SETMASK, ~SYNCHRONOUS, &old) == 0 ? old : NOT_HELD;
}

/* With an invalid `how` the kernel reads the mask first and then fails. */
bool stele_os_is_readable(const void *p)
{
	return STELE_SYSCALL(SYS_rt_sigprocmask, -1, p, NULL, sizeof(uint64_t)) != -EFAULT;
}

uint64_t stele_os_signal_open(int signal)
{
	uint64_t old;

	return set_mask(SIG_UNBLOCK, BIT(signal), &old) == 0 ? old : NOT_HELD;
}

void stele_os_signals_release(uint64_t held)
{
	if (held != NOT_HELD)
		set_mask(SIG_SETMASK, held, NULL);
}

/* ---- futexes ---- */

static int futex_until(_Atomic uint32_t *word, int call, uint32_t value,
		       const struct timespec *most)
{
	/* Calls without a bitset do not look at the last argument. */
	long result = STELE_SYSCALL(SYS_futex, word, call | FUTEX_PRIVATE_FLAG, value, most, NULL,
				    FUTEX_BITSET_MATCH_ANY);

	return result < 0 ? (int)result : 0;
}

static int futex(_Atomic uint32_t *word, int call, uint32_t value)
{
	return futex_until(word, call, value, NULL);
}

int stele_os_futex_lock(_Atomic uint32_t *word, unsigned ms)
{
	struct timespec until = stele_os_wall_clock();

	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000l;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	return futex_until(word, FUTEX_LOCK_PI, 0, &until);
}

int stele_os_futex_trylock(_Atomic uint32_t *word)
{
	return futex(word, FUTEX_TRYLOCK_PI, 0);
}

int stele_os_futex_unlock(_Atomic uint32_t *word)
{
	return futex(word, FUTEX_UNLOCK_PI, 0);
}

/* Tries to lock a PI futex that names the thread: the kernel answers ESRCH if it is gone. A zombie
 * counts as gone. */
bool stele_os_thread_is_gone(uint32_t thread)
{
	_Atomic uint32_t word = thread;

	return futex(&word, FUTEX_TRYLOCK_PI, 0) == -ESRCH;
}

/* The first thread of a process is a zombie after its end, which a signal still finds. */
bool stele_os_thread_lives(uint32_t thread)
{
	return STELE_SYSCALL(SYS_tgkill, stele_os_pid(), thread, 0) != -ESRCH &&
	       !stele_os_thread_is_gone(thread);
}

void stele_os_futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	futex(word, FUTEX_WAIT, value);
}

bool stele_os_futex_wait_until(_Atomic uint32_t *word, uint32_t value, const struct timespec *until)
{
	return futex_until(word, FUTEX_WAIT_BITSET, value, until) != -ETIMEDOUT;
}

void stele_os_futex_wait_ms(_Atomic uint32_t *word, uint32_t value, unsigned ms)
{
	const struct timespec most = { ms / 1000, ms % 1000 * 1000000l };

	futex_until(word, FUTEX_WAIT, value, &most);
}

void stele_os_futex_wake(_Atomic uint32_t *word, int count)
{
	futex(word, FUTEX_WAKE, (uint32_t)count);
}
