/* SPDX-License-Identifier: MIT */
/*
 * tests/rcu/registered.c - a thread that liburcu waits for may end a cache and wait for all
 *
 * Idea      With qsbr the thread is online, so each grace period waits for it; with the signal
 *           flavour each grace period sends it a signal and waits for the answer. Both must go on
 *           while the thread waits for grace periods itself, and SIGTERM must still end it.
 * Failure   the alarm; or a child that does not die of SIGTERM.
 */
#include <urcu/flavor.h>

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stele/rcu.h>
#include <stele/slab.h>

extern const struct rcu_flavor_struct FLAVOR;

struct item {
	unsigned long value[4];
	struct rcu_head {
		void *words[2];
	} rcu;
};

static struct kmem_cache *cache_of_readers(const char *name)
{
	struct kmem_cache *s =
		kmem_cache_create(name, sizeof(struct item), NULL, SLAB_TYPESAFE_BY_RCU);

	kmem_cache_free(s, kmem_cache_alloc(s, 0));
	return s;
}

static void use_all(void)
{
	struct kmem_cache *s = cache_of_readers("registered");
	struct item *p = kmem_cache_alloc(s, 0);

	kfree_rcu(p, rcu);
	kvfree_rcu_barrier_on_cache(s);
	kvfree_rcu_barrier();
	kfree_rcu_mightsleep(kmem_cache_alloc(s, 0));
	kmem_cache_free(s, kmem_cache_alloc(s, 0));
	kmem_cache_destroy(s);
}

/* A reader that stays: destroying waits for it, until SIGTERM comes. */
static _Noreturn void wait_for_ever(int ready)
{
	struct kmem_cache *s;

	alarm(20);
	signal(SIGTERM, SIG_DFL);
	FLAVOR.register_thread();
	s = cache_of_readers("stays");
	FLAVOR.read_lock();
	if (write(ready, "", 1) == 1)
		kmem_cache_destroy(s);
	_exit(3);
}

/* A thread that waits for readers while it reads waits for itself. That is a mistake of the
 * program; SIGTERM still ends it. */
static int sigterm_ends_it(void)
{
	int ends[2], status;
	char byte;
	pid_t child;

	if (pipe(ends) != 0)
		return 1;
	child = fork();
	if (child == 0)
		wait_for_ever(ends[1]);
	if (read(ends[0], &byte, 1) != 1)
		return 1;
	usleep(200000);
	kill(child, SIGTERM);
	if (waitpid(child, &status, 0) != child)
		return 1;
	/* With qsbr an online thread does not read while it waits: the cache ended at once. */
	return !(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) &&
	       !(WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

int main(void)
{
	alarm(40);
	if (stele_rcu_set_flavor(&FLAVOR) != 0)
		return 1;
	if (sigterm_ends_it()) {
		fprintf(stderr, "SIGTERM did not end a thread that waits for readers\n");
		return 1;
	}
	FLAVOR.register_thread();
	use_all();
	use_all();
	FLAVOR.unregister_thread();
	return 0;
}
