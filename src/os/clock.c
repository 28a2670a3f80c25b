/* SPDX-License-Identifier: MIT */
/*
 * os/clock.c - the time, without the C library
 *
 * Idea      The kernel maps a small library into each process (the vDSO), whose clock_gettime() reads
 *           the time without entering the kernel. Its header's address is in the auxiliary vector;
 *           its table of symbols lies before its strings. Where there is none (valgrind, some
 *           emulators) the system call answers, at about twenty times the price.
 * Order     clock is written once with the same value by the thread that comes first; a reader
 *           needs nothing else.
 * Context   any; errno is kept.
 * Tests     tests/unit/os/test_clock.c
 */
#include "arch/call.h"
#include "base/auxv.h"
#include "os/os.h"
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>

#if defined(__aarch64__)
#define CLOCK_NAME "__kernel_clock_gettime"
#else
#define CLOCK_NAME "__vdso_clock_gettime"
#endif
#define SYMBOLS_MAX 256

typedef int (*clock_fn)(clockid_t which, struct timespec *now);

static int ask_kernel(clockid_t which, struct timespec *now)
{
	return (int)STELE_SYSCALL(SYS_clock_gettime, which, now);
}

/* The parts of the vDSO's dynamic section that are needed. Its addresses are offsets from @base. */
struct vdso {
	const char *base;
	const ElfW(Sym) * symbols;
	const char *strings;
};

static void read_dynamic(struct vdso *v, const ElfW(Dyn) * dyn)
{
	for (; dyn->d_tag != DT_NULL; dyn++) {
		if (dyn->d_tag == DT_SYMTAB)
			v->symbols = (const ElfW(Sym) *)(v->base + dyn->d_un.d_ptr);
		if (dyn->d_tag == DT_STRTAB)
			v->strings = v->base + dyn->d_un.d_ptr;
	}
}

static struct vdso read_vdso(const char *at)
{
	const ElfW(Ehdr) *header = (const void *)at;
	const ElfW(Phdr) *part = (const void *)(at + header->e_phoff), *dynamic = NULL;
	struct vdso v = { 0 };

	for (unsigned i = 0; i < header->e_phnum; i++, part++) {
		if (part->p_type == PT_LOAD && !v.base)
			v.base = at + part->p_offset - part->p_vaddr;
		if (part->p_type == PT_DYNAMIC)
			dynamic = part;
	}
	if (v.base && dynamic)
		read_dynamic(&v, (const void *)(at + dynamic->p_offset));
	return v;
}

static clock_fn find_clock(void)
{
	const char *at = (const char *)stele_auxv(AT_SYSINFO_EHDR);
	struct vdso v = { 0 };

	if (at)
		v = read_vdso(at);
	if (!v.symbols || !v.strings)
		return ask_kernel;
	for (unsigned i = 0; i < SYMBOLS_MAX && (const char *)&v.symbols[i + 1] <= v.strings; i++)
		if (v.symbols[i].st_shndx != SHN_UNDEF &&
		    strcmp(v.strings + v.symbols[i].st_name, CLOCK_NAME) == 0)
			return (clock_fn)(uintptr_t)(v.base + v.symbols[i].st_value);
	return ask_kernel;
}

static struct timespec read_clock(clockid_t which)
{
	static clock_fn _Atomic clock;
	clock_fn fn = atomic_load_explicit(&clock, memory_order_relaxed);
	struct timespec now = { 0 };

	if (!fn) {
		fn = find_clock();
		atomic_store_explicit(&clock, fn, memory_order_relaxed);
	}
	if (fn(which, &now) != 0)
		ask_kernel(which, &now);
	return now;
}

uint64_t stele_os_ms(void)
{
	struct timespec now = read_clock(CLOCK_MONOTONIC_COARSE);

	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct timespec stele_os_wall_clock(void)
{
	return read_clock(CLOCK_REALTIME);
}

struct timespec stele_os_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}
