/* SPDX-License-Identifier: MIT */
/*
 * os/cpus.c - which processors there are, and which of them this process may use
 *
 * Idea      A process may run wherever one of its threads may. Each thread has its own affinity,
 *           which a cpuset bounds. So this file reads the affinity of every thread that /proc
 *           shows, and that of the calling thread in any case.
 * Context   ordinary threads. Errno is kept.
 * Tests     tests/unit/os/test_os.c
 */
#include "os/os.h"
#include "arch/call.h"
#include <fcntl.h>
#include <string.h>

#define MASK_BYTES (STELE_OS_CPUS / 8)

bool stele_os_cpus_of_file(const char *path, uint64_t mask[])
{
	memset(mask, 0, MASK_BYTES);
	return stele_os_read_list(path, mask, STELE_OS_CPUS / 64) > 0;
}

/* Adds where thread @number (0: this one) may run. */
static bool add_thread(unsigned number, uint64_t mask[])
{
	uint64_t own[MASK_BYTES / 8] = { 0 };

	if (STELE_SYSCALL(SYS_sched_getaffinity, number, sizeof(own), own) <= 0)
		return false;
	for (unsigned i = 0; i < MASK_BYTES / 8; i++)
		mask[i] |= own[i];
	return true;
}

/* The number that a name spells; 0 where it is no number. */
static unsigned number_of(const char *name)
{
	unsigned number = 0;

	while (*name >= '0' && *name <= '9')
		number = number * 10 + (unsigned)(*name++ - '0');
	return number;
}

/* As the kernel gives entries of a directory: {inode:64, offset:64, length:16, type:8, name}. */
#define ENTRY_LENGTH 16
#define ENTRY_NAME 19

static void add_entries(const char *buf, long bytes, unsigned but, uint64_t mask[])
{
	uint16_t length;

	for (long at = 0; at < bytes; at += length) {
		unsigned number = number_of(buf + at + ENTRY_NAME);

		memcpy(&length, buf + at + ENTRY_LENGTH, sizeof(length));
		if (number && number != but)
			add_thread(number, mask);
	}
}

/* All of this process, @but one. */
static void add_threads(unsigned but, uint64_t mask[])
{
	char buf[1024] __attribute__((aligned(8)));
	int fd = (int)STELE_SYSCALL(SYS_openat, AT_FDCWD, "/proc/self/task",
				    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long bytes;

	if (fd < 0)
		return;
	while ((bytes = STELE_SYSCALL(SYS_getdents64, fd, buf, sizeof(buf))) > 0)
		add_entries(buf, bytes, but, mask);
	stele_os_close(fd);
}

bool stele_os_cpus_allowed(uint64_t mask[])
{
	bool any;

	memset(mask, 0, MASK_BYTES);
	any = add_thread(0, mask);
	if (any)
		add_threads(0, mask);
	return any;
}

void stele_os_run_with_others(void)
{
	uint64_t mask[MASK_BYTES / 8] = { 0 }, any = 0;

	add_threads(stele_os_thread(), mask);
	for (unsigned i = 0; i < MASK_BYTES / 8; i++)
		any |= mask[i];
	if (any)
		STELE_SYSCALL(SYS_sched_setaffinity, 0, MASK_BYTES, mask);
}
