/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/lock_left.c - a handler never comes back to a control call
 *
 * Idea      One thread creates, shrinks, destroys, trims and purges all the time. Signals hit it
 *           at any moment, and their handler leaves by siglongjmp(), ends the thread, or makes a
 *           child by a bare clone(); or the thread is cancelled at any moment. Afterwards every
 *           control call must still come back and do its work, in the child, too.
 * Control   "open" (debug builds): a hook lets signals in while the thread is purging. Each leave
 *           then loses the frames that the purger owned, until a block of half the arena cannot
 *           be had any more; else this test could not fail.
 * Failure   a hang (the alarm), or memory that no purge returns any more.
 */
#include "../../stress/stress.h"
#include "sync/atomic.h"
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SECONDS_EACH 2
#define BIG (4ul << 20)

static sigjmp_buf out;
static atomic_bool may_leave, over;
static atomic_ulong left;
static _Atomic pid_t leaver;

static void control_round(void)
{
	static atomic_uint number;
	struct kmem_cache *s;
	char *big[4], name[24];

	/* A cache that is left before it is destroyed stays, with its name. */
	snprintf(name, sizeof(name), "left-%u", atomic_fetch_add(&number, 1));
	s = kmem_cache_create(name, 200, 0, SLAB_NO_MERGE, NULL);
	for (int i = 0; i < 4; i++) {
		big[i] = kmalloc(BIG, GFP_KERNEL | __GFP_NOWARN);
		for (size_t at = 0; big[i] && at < BIG; at += 4096)
			big[i][at] = 1;
	}
	for (int i = 0; i < 4; i++)
		kfree(big[i]);
	if (!s)
		return;
	kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
	kmem_cache_shrink(s);
	kmem_cache_destroy(s);
	stele_trim(0);
}

/* A stuck purge would leave far more than it may keep. */
static bool purges(void)
{
	struct stele_stats stats;

	control_round();
	stele_trim(0);
	stele_stats_read(&stats);
	return stats.dirty_free_bytes < 1u << 20;
}

static bool may(void)
{
	return atomic_load(&may_leave) && leaver == (pid_t)syscall(SYS_gettid);
}

static void jump_out(int number)
{
	(void)number;
	if (!may())
		return;
	atomic_fetch_add(&left, 1);
	siglongjmp(out, 1);
}

static void end_thread(int number)
{
	(void)number;
	if (!may())
		return;
	atomic_fetch_add(&left, 1);
	atomic_store(&may_leave, false);
	pthread_exit(NULL);
}

/* A child that runs no fork handlers, and does what another thread may be in the middle of. */
static void make_child(int number)
{
	int status = -1, saved = errno;
	pid_t pid;

	(void)number;
	if (!may() || atomic_load(&left) > 200)
		return;
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		alarm(20);
		_exit(purges() ? 0 : 3);
	}
	MUST(pid > 0 && waitpid(pid, &status, __WALL) == pid);
	MUST_FOR(status == 0, status);
	atomic_fetch_add(&left, 1);
	errno = saved;
}

static void *work(void *arg)
{
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	leaver = (pid_t)syscall(SYS_gettid);
	sigsetjmp(out, 1);
	atomic_store(&may_leave, true);
	while (!atomic_load(&over))
		control_round();
	atomic_store(&may_leave, false);
	return arg;
}

/* Other hands on the same locks. */
static void *beside(void *arg)
{
	while (!atomic_load(&over))
		control_round();
	return arg;
}

static void under_fire(void (*handler)(int), bool cancel)
{
	struct sigaction action = { .sa_handler = handler ? handler : SIG_IGN,
				    .sa_flags = SA_RESTART };
	double end = seconds_now() + SECONDS_EACH;
	pthread_t thread, other;

	atomic_store(&over, false);
	atomic_store(&left, 0);
	sigaction(SIGUSR1, &action, NULL);
	MUST(pthread_create(&other, NULL, beside, NULL) == 0);
	while (seconds_now() < end) {
		double turn = seconds_now() + 0.05;

		atomic_store(&over, false);
		MUST(pthread_create(&thread, NULL, work, NULL) == 0);
		while (seconds_now() < turn) {
			usleep(200);
			pthread_kill(thread, SIGUSR1);
		}
		if (cancel)
			pthread_cancel(thread);
		atomic_fetch_add(&left, cancel);
		atomic_store(&over, seconds_now() >= end || !cancel);
		pthread_join(thread, NULL);
	}
	atomic_store(&over, true);
	pthread_join(other, NULL);
	MUST(atomic_load(&left) > 0);
	MUST(purges());
	printf("%lu times left\n", atomic_load(&left));
}

#if STELE_DEBUG
static void let_in(const char *point)
{
	uint64_t none = 0;

	if (!may() || strcmp(point, "purge:owned"))
		return;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
	raise(SIGUSR1);
}

/*
 * Leaves with the frames that are purged; false: there was no memory left. A second block stays in
 * the area: an area that is empty is unmapped as a whole, and not purged.
 */
static bool leave_once(void)
{
	void *stays = kmalloc(64 << 10, GFP_KERNEL | __GFP_NOWARN);
	void *p = kmalloc(1 << 20, GFP_KERNEL | __GFP_NOWARN);

	if (!stays || !p)
		return false;
	memset(p, 1, 1 << 20);
	kfree(p);
	if (!sigsetjmp(out, 1)) {
		atomic_store(&may_leave, true);
		stele_trim(0);
	}
	atomic_store(&may_leave, false);
	return true;
}

/* 0 when all is well, so that the test fails. */
static int with_signals_let_in(void)
{
	struct sigaction action = { .sa_handler = jump_out };
	void *p;

	setenv("STELE_ARENA_SIZE", "32m", 1);
	sigaction(SIGUSR1, &action, NULL);
	stele_inject = let_in;
	leaver = (pid_t)syscall(SYS_gettid);
	for (int i = 0; i < 100 && leave_once(); i++)
		;
	stele_inject = NULL;
	printf("%lu times left\n", atomic_load(&left));
	p = kmalloc(16 << 20, GFP_KERNEL | __GFP_NOWARN);
	return !atomic_load(&left) || p ? 0 : 1;
}
#else
static int with_signals_let_in(void)
{
	return 0;
}
#endif

int main(int argc, char **argv)
{
	alarm(100);
	(void)argv;
	if (argc > 1)
		return with_signals_let_in();
	under_fire(jump_out, false);
	under_fire(end_thread, false);
	under_fire(make_child, false);
	under_fire(NULL, true);
	return 0;
}
