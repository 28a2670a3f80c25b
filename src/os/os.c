/* SPDX-License-Identifier: MIT */
/*
 * os/os.c - memory, files and barriers through raw system calls
 *
 * Past the C library  Every call enters the kernel directly (arch/call.h). A preloaded library may
 *           replace any function of the C library and allocate there. And the C library ends a
 *           cancelled thread in some of its functions (open, read, nanosleep, ...): malloc() must not
 *           be such a place.
 * Failure   -errno; errno itself is never changed, callers may be in a signal handler.
 * Tests     tests/unit/os/test_os.c
 */
#include "os/os.h"
#include "arch/call.h"
#include "base/basics.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <time.h>

int stele_os_purge(void *p, size_t size)
{
	return (int)STELE_SYSCALL(SYS_madvise, p, size, MADV_DONTNEED);
}

#define SAMPLE 128u /* pages */

bool stele_os_is_resident(const char *p, size_t size)
{
	unsigned char seen[SAMPLE];
	size_t page = stele_os_page_size(), n = STELE_MIN(size / page, (size_t)SAMPLE),
	       resident = 0;
	const char *middle = p + (size / page - n) / 2 * page;

	if (STELE_SYSCALL(SYS_mincore, middle, n * page, seen) != 0)
		return true;
	for (size_t i = 0; i < n; i++)
		resident += seen[i] & 1;
	return resident >= n / 2;
}

void stele_os_close(int fd)
{
	STELE_SYSCALL(SYS_close, fd);
}

ssize_t stele_os_read_file(const char *path, char *buf, size_t size)
{
	int fd = (int)STELE_SYSCALL(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? fd : STELE_SYSCALL(SYS_read, fd, buf, size - 1);

	if (fd >= 0)
		stele_os_close(fd);
	buf[n < 0 ? 0 : n] = '\0';
	return n;
}

/* The highest number in a list such as "0-3,8-11", plus one; 0 when there is none. */
static unsigned list_end(const char *list)
{
	unsigned end = 0, number = 0;
	bool digit = false;

	for (; *list; list++) {
		if (*list >= '0' && *list <= '9') {
			number = (digit ? number * 10 : 0) + (unsigned)(*list - '0');
			digit = true;
			end = number + 1 > end ? number + 1 : end;
		} else {
			digit = false;
		}
	}
	return end;
}

/* The highest number of a processor that this thread may run on, plus one; *all: of any. */
static unsigned cpus_allowed(unsigned *all)
{
	static unsigned long mask[64]; /* not on the stack; two threads write the same */
	long bytes = STELE_SYSCALL(SYS_sched_getaffinity, 0, sizeof(mask), mask);
	unsigned word = bytes > 0 ? (unsigned)bytes / sizeof(mask[0]) : 0;

	*all = bytes > 0 ? (unsigned)bytes * 8 : 4096;
	while (word > 0 && !mask[word - 1])
		word--;
	return word ? word * 64 - (unsigned)__builtin_clzl(mask[word - 1]) : 0;
}

unsigned stele_os_cpus_possible(void)
{
	char buf[128];
	unsigned cpus = 0, all, allowed = cpus_allowed(&all);

	if (stele_os_read_file("/sys/devices/system/cpu/possible", buf, sizeof(buf)) > 0)
		cpus = list_end(buf);
	if (!cpus)
		cpus = all; /* no /sys: the kernel's own mask size bounds every CPU number */
	if (cpus < allowed)
		cpus = allowed; /* /sys is made up */
	return cpus > 4096 ? 4096 : cpus;
}

uint64_t stele_os_ram_bytes(void)
{
	struct sysinfo info;

	if (STELE_SYSCALL(SYS_sysinfo, &info) != 0)
		return 0;
	return ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
}

unsigned stele_os_overcommit(void)
{
	char buf[8];

	if (stele_os_read_file("/proc/sys/vm/overcommit_memory", buf, sizeof(buf)) <= 0)
		return 0;
	return buf[0] >= '0' && buf[0] <= '9' ? (unsigned)(buf[0] - '0') : 0;
}

static bool has_limit(int resource)
{
	struct rlimit limit;

	return STELE_SYSCALL(SYS_prlimit64, 0, resource, NULL, &limit) == 0 &&
	       limit.rlim_cur != RLIM_INFINITY;
}

bool stele_os_space_is_limited(void)
{
	return has_limit(RLIMIT_AS) || has_limit(RLIMIT_DATA);
}

size_t stele_os_address_limit(void)
{
	struct rlimit limit; /* of 64 bits each, as the call has them */
	char buf[128];
	size_t pages = 0, used;

	if (STELE_SYSCALL(SYS_prlimit64, 0, RLIMIT_AS, NULL, &limit) != 0 ||
	    limit.rlim_cur == RLIM_INFINITY)
		return SIZE_MAX;
	if (stele_os_read_file("/proc/self/statm", buf, sizeof(buf)) > 0)
		for (const char *c = buf; *c >= '0' && *c <= '9'; c++)
			pages = pages * 10 + (size_t)(*c - '0');
	used = pages * stele_os_page_size();
	return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

void stele_os_yield(void)
{
	STELE_SYSCALL(SYS_sched_yield, 0);
}

void stele_os_nap(void)
{
	const struct timespec most = { .tv_nsec = 1000000 };

	STELE_SYSCALL(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &most, NULL);
}

int stele_os_membarrier_register(void)
{
	return (int)STELE_SYSCALL(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0,
				  0);
}

int stele_os_membarrier(void)
{
	return (int)STELE_SYSCALL(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0);
}

#define RSEQ_UNREGISTER 1
#define RSEQ_SIZE 32 /* and multiples, as the kernel's area grows: the C library may take it all */
#define RSEQ_SIZE_MAX 256

int stele_os_rseq_register(void *area, uint32_t signature)
{
	return (int)STELE_SYSCALL(SYS_rseq, area, RSEQ_SIZE, 0, signature);
}

int stele_os_rseq_unregister(void *area, uint32_t signature)
{
	int error = -EINVAL;

	for (unsigned size = RSEQ_SIZE; error == -EINVAL && size <= RSEQ_SIZE_MAX;
	     size += RSEQ_SIZE)
		error = (int)STELE_SYSCALL(SYS_rseq, area, size, RSEQ_UNREGISTER, signature);
	return error;
}

/* ---- a signal of one's own ---- */

static void ignore_signal(int number)
{
	(void)number;
}

/* SIGURG: ignored by default and not stopped at by debuggers. */
#define TEST_SIGNAL SIGURG

/* As the kernel has it. */
struct action {
	void (*handler)(int);
	unsigned long flags;
	void (*way_back)(void);
	uint64_t mask;
};
#define HAS_WAY_BACK 0x04000000

STELE_DEFINE_SIGNAL_RETURN;

static int set_action(const struct action *action, struct action *old)
{
	return (int)STELE_SYSCALL(SYS_rt_sigaction, TEST_SIGNAL, action, old, sizeof(action->mask));
}

/* Apart, so that the frames of neither are large. */
static __attribute__((noinline)) int run_with_timer(long nanoseconds, void (*body)(void *),
						    void *arg)
{
	struct itimerspec when = { .it_value = { 0, nanoseconds } };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = TEST_SIGNAL };
	int id, error;

	event.sigev_notify = SIGEV_THREAD_ID;
	event._sigev_un._tid = (pid_t)stele_os_thread();
	error = (int)STELE_SYSCALL(SYS_timer_create, CLOCK_MONOTONIC, &event, &id);
	if (error)
		return error;
	error = (int)STELE_SYSCALL(SYS_timer_settime, id, 0, &when, NULL);
	if (!error)
		body(arg);
	STELE_SYSCALL(SYS_timer_delete, id);
	return error;
}

int stele_os_with_signal(long nanoseconds, void (*body)(void *), void *arg)
{
	struct action action = { .handler = ignore_signal, .flags = SA_RESTART }, old;
	uint64_t held;
	int saved = errno, error;

	action.way_back = STELE_SIGNAL_RETURN;
	action.flags |= action.way_back ? HAS_WAY_BACK : 0;
	error = set_action(&action, &old);
	if (error)
		return error;
	held = stele_os_signal_open(TEST_SIGNAL);
	error = run_with_timer(nanoseconds, body, arg);
	stele_os_signals_release(held);
	set_action(&old, NULL);
	errno = saved; /* the body's */
	return error;
}
