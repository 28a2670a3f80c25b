/* SPDX-License-Identifier: MIT */
/*
 * os/map.c - mappings at chosen addresses
 *
 * Idea      MAP_FIXED_NOREPLACE, or where the kernel does not know that flag and takes the address
 *           for a hint: a look at the address that came back.
 * Length    mremap(start, old, new) enlarges the mapping if it ends at start+old and if nothing is
 *           behind it. Otherwise the error tells what is there: EFAULT where the mapping ends before
 *           start+old, ENOMEM or EAGAIN where it reaches as far as that.
 * Apart     Neighbours with the same flags are one mapping. So a mapping whose length is asked for has
 *           flags that no other has: it is MAP_NORESERVE, and opts out of huge pages whatever the
 *           option thp says. A kernel without huge pages does not know that flag, but knows "read at
 *           random". If a filter refuses both, no length is told: then who enlarges a mapping says so
 *           before anybody else knows. An emulator that accepts advice and does nothing (qemu-user)
 *           is trusted. There a neighbour with MAP_NORESERVE may be taken for ours.
 * Move      the target is mapped before, so that nothing of others is replaced. Its first word gets a
 *           mark: a kernel that unmapped the target and then refused has taken the mark away.
 * Failure   -errno; errno itself is never changed, callers may be in a signal handler.
 * Tests     tests/unit/os/test_map.c
 */
#include "os/map.h"
#include "arch/call.h"
#include "base/auxv.h"
#include "base/basics.h"
#include "base/options.h"
#include "os/os.h"
#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <time.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

size_t stele_os_page_size(void)
{
	size_t size = stele_auxv(AT_PAGESZ);

	return size ? size : 4096;
}

/* The kernel returns addresses and errors in one word. */
static bool is_error(long result)
{
	return result < 0 && result >= -4095;
}

static int map_at(void *at, size_t size, int prot)
{
	long p = STELE_SYSCALL(SYS_mmap, at, size, prot, FLAGS | MAP_FIXED_NOREPLACE, -1, 0);

	if (is_error(p))
		return (int)p;
	if (p != (long)at) {
		STELE_SYSCALL(SYS_munmap, p, size);
		return -EEXIST;
	}
	return 0;
}

static long opt_out_of_huge_pages(void *p, size_t size)
{
	return STELE_SYSCALL(SYS_madvise, p, size, MADV_NOHUGEPAGE);
}

static int map_by_option(void *p, size_t size, int prot)
{
	int error = map_at(p, size, prot);

	if (!error && !stele_opt.thp)
		opt_out_of_huge_pages(p, size);
	return error;
}

int stele_os_map(void *p, size_t size)
{
	return map_by_option(p, size, PROT_READ | PROT_WRITE);
}

int stele_os_map_readable(void *p, size_t size)
{
	return map_by_option(p, size, PROT_READ);
}

int stele_os_map_writable(void *p, size_t size)
{
	return (int)STELE_SYSCALL(SYS_mprotect, p, size, PROT_READ | PROT_WRITE);
}

void *stele_os_map_anywhere(size_t size)
{
	long p = STELE_SYSCALL(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE, FLAGS, -1, 0);

	return is_error(p) ? NULL : (void *)p;
}

/* Whether a mapping of ours could not be told from another's. */
static _Atomic bool looks_alike;

void stele_os_set_apart(void *p, size_t size)
{
	if (opt_out_of_huge_pages(p, size) != 0 &&
	    STELE_SYSCALL(SYS_madvise, p, size, MADV_RANDOM) != 0)
		atomic_store_explicit(&looks_alike, true, memory_order_relaxed);
}

int stele_os_map_apart(void *p, size_t size)
{
	int error = map_at(p, size, PROT_READ | PROT_WRITE);

	if (!error)
		stele_os_set_apart(p, size);
	return error;
}

char *stele_os_find_room(size_t size)
{
	long p = STELE_SYSCALL(SYS_mmap, NULL, size, PROT_NONE, FLAGS, -1, 0);

	if (is_error(p))
		return NULL;
	STELE_SYSCALL(SYS_munmap, p, size);
	return (char *)p;
}

int stele_os_unmap(void *p, size_t size)
{
	return (int)STELE_SYSCALL(SYS_munmap, p, size);
}

int stele_os_extend(void *p, size_t old, size_t size)
{
	long q = STELE_SYSCALL(SYS_mremap, p, old, size, 0, 0);

	return is_error(q) ? (int)q : 0;
}

bool stele_os_is_one_mapping(void *p, size_t size)
{
	int error;

	if (atomic_load_explicit(&looks_alike, memory_order_relaxed))
		return false;
	error = stele_os_extend(p, size, size + STELE_MAP_UNIT);
	return !error || error == -ENOMEM || error == -EAGAIN;
}

/* ---- moving ---- */

#define MARK 0x9d3c52a7u

/* Whether *@p is MARK. The kernel reads it, since something else, or nothing, may be there by now. */
static bool has_mark(const uint32_t *p)
{
	static const struct timespec at_once;
	long error;

	do
		error = STELE_SYSCALL(SYS_futex, p, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, MARK,
				      &at_once);
	while (error == -EINTR);
	return error == -ETIMEDOUT || error == 0;
}

/*
 * A move was refused. The kernel may have unmapped the target, as a whole, before it refused, and
 * another thread may have mapped something there since. If the mark is there, so is the target. The
 * target must not be enlarged to find out: another thread may be about to map the memory behind it.
 */
static int look_at_target(uint32_t *to, size_t size)
{
	if (stele_os_map(to, size) == 0)
		return -ENOMEM;
	if (!has_mark(to))
		return STELE_OS_TARGET_LOST;
	*to = 0;
	return -ENOMEM;
}

int stele_os_move(void *from, size_t old, void *to, size_t size)
{
	long p;

	*(uint32_t *)to = MARK;
	/* More than one mapping at @from is refused as a whole, since the size changes. */
	p = STELE_SYSCALL(SYS_mremap, from, old, size, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	return is_error(p) ? look_at_target(to, size) : 0;
}
