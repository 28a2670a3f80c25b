/* SPDX-License-Identifier: MIT */
/*
 * base/auxv.c - the auxiliary vector without getauxval()
 *
 * Idea      The kernel puts the vector on the first stack: the number of arguments, the arguments,
 *           NULL, the environment, NULL, pairs of {type, value}. glibc's dynamic linker keeps the
 *           address where that begins. A program may have written over it, and other C libraries
 *           keep no such address. Then the kernel gives a copy, by a call of Linux 6.4, or else by
 *           a file of /proc.
 * Objects   where: the first pair. A copy is in `copy`. Two threads that look at once find the same.
 * Context   any; system calls only.
 * Failure   nothing found: every value is 0. Whether the program has more rights than its caller
 *           (AT_SECURE) is then told by its user and group numbers.
 * Tests     tests/unit/base/test_auxv.c
 */
#include "base/auxv.h"
#include "arch/call.h"
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/auxv.h>

#define GET_AUXV 0x41555856 /* prctl: PR_GET_AUXV */
#define PAIRS_MAX 64

struct pair {
	unsigned long type, value;
};

/* glibc's dynamic linker; weak, so that others leave NULL. */
extern void *__libc_stack_end __attribute__((weak));

static struct pair copy[PAIRS_MAX + 1];
static const struct pair nothing;
static const struct pair *_Atomic where;

static const struct pair *find_entry(const struct pair *pair, unsigned long type)
{
	for (unsigned i = 0; i < PAIRS_MAX && pair->type != AT_NULL; i++, pair++)
		if (pair->type == type)
			return pair;
	return NULL;
}

/* A vector has a page size in it. */
static bool is_vector(const struct pair *pair)
{
	const struct pair *size = find_entry(pair, AT_PAGESZ);

	return size && size->value >= 4096 && !(size->value & (size->value - 1));
}

/* The vector on the stack that begins at @stack, if it is as the kernel left it. */
static const struct pair *on_stack(const uintptr_t *stack)
{
	if (!stack || stack[0] > INT32_MAX || stack[1 + stack[0]])
		return NULL;
	stack += 2 + stack[0];
	while (*stack)
		stack++;
	stack++;
	return is_vector((const struct pair *)stack) ? (const struct pair *)stack : NULL;
}

static const struct pair *copied(void)
{
	int fd;

	if (STELE_SYSCALL(SYS_prctl, GET_AUXV, copy, sizeof(copy) - sizeof(copy[0])) > 0 &&
	    is_vector(copy))
		return copy;
	fd = (int)STELE_SYSCALL(SYS_openat, AT_FDCWD, "/proc/self/auxv", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	STELE_SYSCALL(SYS_read, fd, copy, sizeof(copy) - sizeof(copy[0]));
	STELE_SYSCALL(SYS_close, fd);
	return is_vector(copy) ? copy : NULL;
}

static const struct pair *vector(void)
{
	const struct pair *found = where;

	if (found)
		return found;
	found = on_stack(&__libc_stack_end ? __libc_stack_end : NULL);
	if (!found)
		found = copied();
	where = found ? found : &nothing;
	return where;
}

static bool has_more_rights(void)
{
	return STELE_SYSCALL(SYS_getuid, 0) != STELE_SYSCALL(SYS_geteuid, 0) ||
	       STELE_SYSCALL(SYS_getgid, 0) != STELE_SYSCALL(SYS_getegid, 0);
}

unsigned long stele_auxv(unsigned long type)
{
	const struct pair *pair = vector(), *found = find_entry(pair, type);

	if (found)
		return found->value;
	return type == AT_SECURE && pair == &nothing && has_more_rights();
}

const char *stele_program(void)
{
	const char *path = (const char *)stele_auxv(AT_EXECFN), *name = path;

	if (!path)
		return "?";
	for (; *path; path++)
		if (*path == '/' && path[1])
			name = path + 1;
	return name;
}
