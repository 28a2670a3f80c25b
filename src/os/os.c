/* SPDX-License-Identifier: MIT */
/*
 * os/os.c - memory, files and barriers through raw system calls
 *
 * Idea      A reservation is tried in two forms: readable and writable at once without
 *           reserve (pages appear by touching), else without access and opened step by
 *           step, which is what RLIMIT_DATA and overcommit_memory=2 leave.
 * Cancel    what the C library ends a cancelled thread in (open, read, nanosleep, ...) is called
 *           past it: malloc() must not be such a place, and a control call has things in its hands.
 * Failure   -errno; errno itself is never changed, callers may be in a signal handler.
 * Tests     tests/unit/os/test_os.c
 */
#include "os/os.h"
#include "base/bits.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* The result of a libc call as 0 or -errno, with the caller's errno kept. */
static int keep_errno(long result, int saved)
{
	int error = result == -1 ? -errno : 0;

	errno = saved;
	return error;
}

static char *map_range(size_t size, int prot)
{
	int saved = errno;
	char *p = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	errno = saved;
	return p == MAP_FAILED ? NULL : p;
}

static void trim_range(char *p, size_t mapped, char *base, size_t size)
{
	int saved = errno;

	if (base > p)
		munmap(p, (size_t)(base - p));
	if (p + mapped > base + size)
		munmap(base + size, (size_t)(p + mapped - (base + size)));
	errno = saved;
}

int stele_os_reserve(struct stele_reservation *r, size_t size, size_t align)
{
	size_t mapped = size + align;
	char *p = map_range(mapped, PROT_READ | PROT_WRITE);

	r->stepwise = !p;
	if (!p)
		p = map_range(mapped, PROT_NONE);
	if (!p)
		return -ENOMEM;
	r->base = (char *)STELE_ALIGN_UP((uintptr_t)p, align);
	r->size = size;
	trim_range(p, mapped, r->base, size);
	return 0;
}

int stele_os_commit(const struct stele_reservation *r, void *p, size_t size)
{
	int saved = errno;

	if (!r->stepwise)
		return 0;
	return keep_errno(mprotect(p, size, PROT_READ | PROT_WRITE), saved);
}

int stele_os_readable(void *p, size_t size)
{
	int saved = errno;

	return keep_errno(mprotect(p, size, PROT_READ), saved);
}

int stele_os_purge(void *p, size_t size)
{
	int saved = errno;

	return keep_errno(madvise(p, size, MADV_DONTNEED), saved);
}

/* An emulator may not know DONTUNMAP and leave a hole: fills it, unless somebody was faster. */
static int refill_hole(void *from, size_t size)
{
	void *p = mmap(from, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	return p == from ? 0 : -1;
}

static bool is_mapped(void *p, size_t size)
{
	size_t page = stele_os_page_size();

	/* Nothing is changed by this advice, and it fails where nothing is mapped. */
	return madvise(p, size < page ? size : page, MADV_NORMAL) == 0;
}

int stele_os_move(void *from, void *to, size_t size)
{
	int saved = errno, error = 0;
	void *p = mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to);

	/* A refusal may come after the target was unmapped. */
	if (p == MAP_FAILED)
		error = is_mapped(to, size) || refill_hole(to, size) == 0 ? -ENOMEM
									  : STELE_OS_TARGET_LOST;
	else if (madvise(from, size, MADV_DONTNEED) != 0 && refill_hole(from, size) != 0)
		error = STELE_OS_SOURCE_LOST;
	errno = saved;
	return error;
}

void stele_os_no_hugepage(void *p, size_t size)
{
	int saved = errno;

	madvise(p, size, MADV_NOHUGEPAGE);
	errno = saved;
}

size_t stele_os_page_size(void)
{
	long size = sysconf(_SC_PAGESIZE);

	return size > 0 ? (size_t)size : 4096;
}

ssize_t stele_os_read_file(const char *path, char *buf, size_t size)
{
	int saved = errno;
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : syscall(SYS_read, fd, buf, size - 1);

	n = n < 0 ? -errno : n;
	if (fd >= 0)
		syscall(SYS_close, fd);
	buf[n < 0 ? 0 : n] = '\0';
	errno = saved;
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
	long bytes = syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask);
	unsigned word = bytes > 0 ? (unsigned)bytes / sizeof(mask[0]) : 0;

	*all = bytes > 0 ? (unsigned)bytes * 8 : 4096;
	while (word > 0 && !mask[word - 1])
		word--;
	return word ? word * 64 - (unsigned)__builtin_clzl(mask[word - 1]) : 0;
}

unsigned stele_os_cpus_possible(void)
{
	char buf[128];
	int saved = errno;
	unsigned cpus = 0, all, allowed = cpus_allowed(&all);

	if (stele_os_read_file("/sys/devices/system/cpu/possible", buf, sizeof(buf)) > 0)
		cpus = list_end(buf);
	if (!cpus)
		cpus = all; /* no /sys: the kernel's own mask size bounds every CPU number */
	if (cpus < allowed)
		cpus = allowed; /* /sys is made up */
	errno = saved;
	return cpus > 4096 ? 4096 : cpus;
}

uint64_t stele_os_ram_bytes(void)
{
	struct sysinfo info;
	int saved = errno;
	uint64_t bytes = 0;

	if (sysinfo(&info) == 0)
		bytes = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
	errno = saved;
	return bytes;
}

size_t stele_os_address_limit(void)
{
	struct rlimit limit;
	char buf[128];
	size_t pages = 0, used;
	int saved = errno, failed = getrlimit(RLIMIT_AS, &limit);

	errno = saved;
	if (failed || limit.rlim_cur == RLIM_INFINITY)
		return SIZE_MAX;
	if (stele_os_read_file("/proc/self/statm", buf, sizeof(buf)) > 0)
		for (const char *c = buf; *c >= '0' && *c <= '9'; c++)
			pages = pages * 10 + (size_t)(*c - '0');
	used = pages * stele_os_page_size();
	return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

void stele_os_yield(void)
{
	int saved = errno;

	sched_yield();
	errno = saved;
}

void stele_os_nap(void)
{
	int saved = errno;

	syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &(struct timespec){ .tv_nsec = 1000000 },
		NULL);
	errno = saved;
}

int stele_os_membarrier_register(void)
{
	int saved = errno;

	return keep_errno(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0,
				  0),
			  saved);
}

int stele_os_membarrier(void)
{
	int saved = errno;

	return keep_errno(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0),
			  saved);
}

#define RSEQ_UNREGISTER 1
#define RSEQ_SIZE 32 /* and multiples, as the kernel's area grows: the C library may take it all */
#define RSEQ_SIZE_MAX 256

int stele_os_rseq_register(void *area, uint32_t signature)
{
	int saved = errno;

	return keep_errno(syscall(SYS_rseq, area, RSEQ_SIZE, 0, signature), saved);
}

int stele_os_rseq_unregister(void *area, uint32_t signature)
{
	int saved = errno, error = -EINVAL;

	for (unsigned size = RSEQ_SIZE; error == -EINVAL && size <= RSEQ_SIZE_MAX;
	     size += RSEQ_SIZE)
		error = keep_errno(syscall(SYS_rseq, area, size, RSEQ_UNREGISTER, signature),
				   saved);
	return error;
}

static void ignore_signal(int number)
{
	(void)number;
}

/* SIGURG: ignored by default and not stopped at by debuggers. */
#define TEST_SIGNAL SIGURG

/* Apart, so that the frames of neither are large. */
static __attribute__((noinline)) int run_with_timer(long nanoseconds, void (*body)(void *),
						    void *arg)
{
	struct itimerspec when = { .it_value = { 0, nanoseconds } };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = TEST_SIGNAL };
	int id, error;

	event.sigev_notify = SIGEV_THREAD_ID;
	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id) != 0)
		return -errno;
	error = syscall(SYS_timer_settime, id, 0, &when, NULL) == 0 ? 0 : -errno;
	if (!error)
		body(arg);
	syscall(SYS_timer_delete, id);
	return error;
}

int stele_os_with_signal(long nanoseconds, void (*body)(void *), void *arg)
{
	struct sigaction action = { .sa_handler = ignore_signal, .sa_flags = SA_RESTART }, old;
	uint64_t held;
	int saved = errno, error;

	if (sigaction(TEST_SIGNAL, &action, &old) != 0) {
		error = -errno;
		errno = saved;
		return error;
	}
	held = stele_os_signal_open(TEST_SIGNAL);
	error = run_with_timer(nanoseconds, body, arg);
	stele_os_signals_release(held);
	sigaction(TEST_SIGNAL, &old, NULL);
	errno = saved;
	return error;
}
