/* SPDX-License-Identifier: MIT */
/*
 * arch/generic/call.h - system calls by the C library, errno kept
 *
 * mmap() and munmap() are called by their names: a sanitizer watches those.
 */
#ifndef STELE_ARCH_CALL_H
#define STELE_ARCH_CALL_H

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline long stele_syscall6(long number, long a, long b, long c, long d, long e, long f)
{
	int saved = errno;
	long result;

	if (number == SYS_mmap)
		result = (long)mmap((void *)a, (size_t)b, (int)c, (int)d, (int)e, f);
	else if (number == SYS_munmap)
		result = munmap((void *)a, (size_t)b);
	else
		result = syscall(number, a, b, c, d, e, f);
	if (result == -1)
		result = -errno;
	errno = saved;
	return result;
}

#endif
