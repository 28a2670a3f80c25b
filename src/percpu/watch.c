/* SPDX-License-Identifier: MIT */
/*
 * percpu/watch.c - a thread that follows the machine, for programs that ask for one
 *
 * Idea      It waits for the kernel's events about devices, of which CPUs are some, and for a second
 *           at most, then looks. Where the system has no such events, the second remains. Slots
 *           that no thread uses are looked at as well: a program that has gone quiet has no slow
 *           calls.
 * Objects   watcher, stop: under `lock`. A thread that was told to stop is waited for without it.
 * Affinity  The set of slots follows the CPUs that the program's threads may run on. The watcher takes
 *           the affinity of the others before each look, so that its own adds no CPU.
 * Context   ordinary threads that do not hold the CPU set. The watcher has all signals held back.
 * Fork      the child has no watcher.
 * Tests     tests/contract/test_cpus_system.c  tests/contract/test_cancel.c
 */
#include "base/fmt.h"
#include "base/options.h"
#include "os/os.h"
#include "percpu/cpus.h"
#include "sync/mutex.h"
#include "sync/ranks.h"
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define LOOK_MS 1000

static struct stele_mutex lock = STELE_MUTEX(WATCH);
static pthread_t watcher;
static bool watching;
static int stop = -1; /* readable: it shall end */

static int listen_to_kernel(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		stele_os_close(fd);
		return -1;
	}
	return fd;
}

/* Their contents do not matter: a look at the system tells all. */
static void drop_events(int fd)
{
	char buf[256];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC) > 0)
		;
}

static void *watch(void *arg)
{
	struct pollfd fds[] = {
		{ .fd = (int)(intptr_t)arg, .events = POLLIN },
		{ .fd = listen_to_kernel(), .events = POLLIN },
	};

	while (!(fds[0].revents)) {
		stele_os_run_with_others(); /* its own affinity must not count */
		stele_cpu_refresh();
		if (stele_cpus_look)
			stele_cpus_look();
		if (poll(fds, 2, LOOK_MS) > 0 && fds[1].revents)
			drop_events(fds[1].fd);
	}
	if (fds[1].fd >= 0)
		stele_os_close(fds[1].fd);
	return NULL;
}

/* The other threads get its signals. */
static int make_watcher(int fd)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&watcher, NULL, watch, (void *)(intptr_t)fd);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error ? -EAGAIN : 0;
}

static int start_watching(void)
{
	int error;

	if (watching)
		return 0;
	stop = eventfd(0, EFD_CLOEXEC);
	if (stop < 0)
		return -EAGAIN;
	error = make_watcher(stop);
	if (error)
		stele_os_close(stop);
	watching = !error;
	return error;
}

/* The event by which @thread was told, to be closed when it is gone; -1: there is none. */
static int tell_to_stop(pthread_t *thread)
{
	if (!watching)
		return -1;
	*thread = watcher;
	watching = false;
	eventfd_write(stop, 1);
	return stop;
}

static int start_or_stop(bool on)
{
	int error = 0, told = -1;
	pthread_t thread;

	if (stele_cpus_are_held() || stele_lock(&lock) != 0) {
		if (!stele_opt.quiet)
			stele_say("stele: stele_cpu_watch: called from within a step, or by a "
				  "thread that holds cpus_read_lock()\n");
		return -EDEADLK;
	}
	if (on)
		error = start_watching();
	else
		told = tell_to_stop(&thread);
	stele_unlock(&lock);
	if (told >= 0) {
		pthread_join(thread, NULL);
		stele_os_close(told);
	}
	return error;
}

/* A thread that ended while it stops the watcher would leave it running. */
int stele_cpu_watch(bool on)
{
	int saved = errno, cancel, error;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	error = start_or_stop(on);
	pthread_setcancelstate(cancel, NULL);
	errno = saved;
	return error;
}

void stele_cpu_watch_after_fork(void)
{
	stele_mutex_after_fork(&lock);
	if (watching)
		stele_os_close(stop);
	watching = false;
}
