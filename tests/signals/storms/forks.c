/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/storms/forks.c - eight threads that allocate, and fork, all of them, without pause
 *
 * Idea      A child has one thread and the memory of all: it checks what every thread had in the
 *           table at that moment, and frees it; it makes objects of every kind, starts threads,
 *           forks again, trims, or becomes another program.
 *           A place of the table is empty while somebody works on what was there, so a child
 *           never meets an object that is half signed.
 * Failure   wrong contents; a child that does not end well; a hang ends by the child's alarm.
 * Argument  seconds: a slow machine does fewer forks, and takes no longer. The second is for
 *           kinds_start(). A run of fewer than FORKS_LEAST forks shows nothing and fails.
 */
#include "storm.h"
#include <spawn.h>
#include <sys/wait.h>

#define THREADS 8
#define CHILD_SECONDS 60
#define STALL_SECONDS 240
#define KINDS_OF_CHILD 16
#define FORKS_LEAST (4 * KINDS_OF_CHILD)

/* ThreadSanitizer forbids threads in the child of a threaded process. In AddressSanitizer they wait for
 * its own lock, which another thread may have held at the fork. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define CHILD_STARTS_THREADS 0
#else
#define CHILD_STARTS_THREADS 1
#endif

static struct actor actors[THREADS];
static atomic_ulong forks_begun, forks;
static double storm_end;
static char *program;

static void churn(struct actor *actor, unsigned rounds)
{
	while (rounds-- > 0)
		act(actor);
}

static void reap(pid_t child)
{
	int status;

	MUST(child > 0 && waitpid(child, &status, 0) == child);
	MUST_FOR(WIFEXITED(status) && WEXITSTATUS(status) == 0, status);
}

/*
 * One time in two it goes on allocating while the child lives, so that the forks of others find
 * it inside a call; if all did always, the children would hardly run.
 */
static void reap_busily(struct actor *actor, pid_t child, bool busily)
{
	siginfo_t info = { 0 };

	MUST(child > 0);
	while (busily && info.si_pid == 0) {
		churn(actor, 20);
		MUST(waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0);
	}
	reap(child);
}

static void *churn_once(void *number)
{
	struct actor actor = { 0 };

	actor_start(&actor, 100 + (uintptr_t)number);
	churn(&actor, 100);
	return NULL;
}

static void start_threads(void)
{
	pthread_t thread[2];

	for (uintptr_t i = 0; i < 2; i++)
		MUST(pthread_create(&thread[i], NULL, churn_once, (void *)i) == 0);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
}

static void fork_again(struct actor *actor)
{
	pid_t again = fork();

	if (again == 0) {
		churn(actor, 100);
		drop_all(actor);
		_exit(0);
	}
	churn(actor, 100);
	reap(again);
}

static _Noreturn void in_child(struct actor *actor, unsigned kind)
{
	alarm(CHILD_SECONDS);
	switch (kind) {
	case 0:
		fork_again(actor);
		break;
	case 1:
		if (CHILD_STARTS_THREADS)
			start_threads();
		break;
	case 2:
		kinds_trim();
		churn(actor, 50);
		break;
	case 3:
		churn(actor, 20);
		execl("/proc/self/exe", program, "child", NULL);
		MUST(!"exec");
		break;
	case 4:
		churn(actor, 50);
		exit(0); /* with its handlers */
	default:
		churn(actor, 100);
	}
	drop_all(actor);
	_exit(0);
}

static void spawn(void)
{
	char *arguments[] = { program, "child", NULL };
	extern char **environ;
	pid_t pid;

	MUST(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ) == 0);
	reap(pid);
}

static void *work_beside_forks(void *number)
{
	struct actor *actor = &actors[(uintptr_t)number];

	while (seconds_now() < storm_end || forks_begun < FORKS_LEAST) {
		unsigned long n = atomic_fetch_add(&forks_begun, 1);
		unsigned kind = (unsigned)n % KINDS_OF_CHILD;
		pid_t pid;

		churn(actor, 20);
		pid = fork();
		if (pid == 0)
			in_child(actor, kind);
		reap_busily(actor, pid, n % 2 == 0);
		atomic_fetch_add(&forks, 1);
		if (n % 128 == 127)
			spawn();
		if (n % 64 == 63)
			alarm(STALL_SECONDS);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned long made = 0, dropped = 0;
	pthread_t thread[THREADS];

	kinds_start(argc > 2 ? argv[2] : NULL);
	program = argv[0];
	if (argc > 1 && strcmp(argv[1], "child") == 0)
		return churn_once(NULL) != NULL;
	storm_end = seconds_now() + seconds_asked(argc, argv);
	alarm(STALL_SECONDS);
	for (uintptr_t i = 0; i < THREADS; i++) {
		actor_start(&actors[i], i);
		MUST(pthread_create(&thread[i], NULL, work_beside_forks, (void *)i) == 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	drop_all(&actors[0]);
	for (int i = 0; i < THREADS; i++) {
		made += actors[i].made;
		dropped += actors[i].dropped;
	}
	printf("%lu forks, %lu made, %lu dropped\n", forks, made, dropped);
	MUST(forks >= FORKS_LEAST);
	MUST_FOR(made == dropped, made - dropped);
	return kinds_finish(made);
}
