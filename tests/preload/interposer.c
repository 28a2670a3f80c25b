/* SPDX-License-Identifier: MIT */
/*
 * tests/preload/interposer.c - preloaded beside the drop-in: other people's functions
 *
 * Idea      As profilers and message-passing libraries do, it stands in for functions of the C
 *           library. When one is first called it looks up the real one, and one that does not
 *           exist, for which the loader allocates. Then every call allocates in a callback. For
 *           those of the system it notes whether the drop-in called; it must not, or the two call
 *           each other for ever.
 * Failure   a callback that gets no memory ends the process.
 */
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOWN __attribute__((visibility("default")))
#define QUICK __attribute__((tls_model("initial-exec")))

/* Read by interposed.c. */
SHOWN unsigned interposer_calls, interposer_from_drop_in, interposer_bytes;
SHOWN const char *volatile interposer_last = "none";

static __thread int depth QUICK;

static void touch(void *p)
{
	if (!p)
		_exit(87);
	*(volatile char *)p = 1;
}

static void callback(void)
{
	char *a = malloc(100), *b = calloc(1, 3000), *c = aligned_alloc(4096, 50000);

	touch(a), touch(b), touch(c);
	for (int i = 1; i < 3000; i++)
		if (b[i])
			_exit(88);
	b = realloc(b, 10);
	touch(b);
	free(a), free(b), free(c);
}

static int same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return !*b;
}

static int is_drop_in(const void *site)
{
	Dl_info info;

	if (!dladdr(site, &info) || !info.dli_fname)
		return 0;
	for (const char *c = info.dli_fname; *c; c++)
		if (same(c, "libstele-malloc"))
			return 1;
	return 0;
}

static void called(const char *name, const void *site)
{
	if (depth++ == 0) {
		__atomic_fetch_add(&interposer_calls, 1, __ATOMIC_RELAXED);
		if (is_drop_in(site)) {
			__atomic_fetch_add(&interposer_from_drop_in, 1, __ATOMIC_RELAXED);
			interposer_last = name;
		}
		callback();
	}
	depth--;
}

/* Of integers and pointers, six at most, in registers whatever the function takes. */
typedef long real_fn(long, long, long, long, long, long);

#define SYSTEM(name)                                                                               \
	SHOWN real_fn in_place_of_##name __asm__(#name);                                           \
	long in_place_of_##name(long a, long b, long c, long d, long e, long f)                    \
	{                                                                                          \
		static real_fn *real;                                                              \
		if (!real) {                                                                       \
			dlsym(RTLD_NEXT, "surely_there_is_no_" #name);                             \
			real = (real_fn *)dlsym(RTLD_NEXT, #name);                                 \
		}                                                                                  \
		called(#name, __builtin_return_address(0));                                        \
		return real(a, b, c, d, e, f);                                                     \
	}

#define SYSTEM_4(a, b, c, d) SYSTEM(a) SYSTEM(b) SYSTEM(c) SYSTEM(d)

SYSTEM_4(mmap, mmap64, mprotect, madvise)
SYSTEM_4(munmap, mremap, getpid, gettid)
SYSTEM_4(sysconf, getpagesize, getauxval, syscall)
SYSTEM_4(clock_gettime, nanosleep, clock_nanosleep, sched_yield)
SYSTEM_4(sched_getscheduler, sched_getparam, sched_getaffinity, sched_setaffinity)
SYSTEM_4(sigaction, sigprocmask, pthread_sigmask, sysinfo)
SYSTEM_4(getrlimit, getrlimit64, open, open64)
SYSTEM_4(openat, openat64, fcntl, fcntl64)
SYSTEM_4(fopen, fopen64, getenv, secure_getenv)
SYSTEM_4(pthread_mutex_lock, pthread_mutex_unlock, pthread_once, pthread_getspecific)
SYSTEM_4(get_nprocs, get_nprocs_conf, sched_getcpu, getcpu)
SYSTEM_4(read, close, write, sbrk)
SYSTEM_4(prctl, sigaltstack, dup, pipe2)
SYSTEM_4(pthread_self, sem_post, uname, time)

/* Those that only touch bytes: the drop-in may call them, in its start as well. */
static void bytes(void)
{
	if (depth++ == 0) {
		__atomic_fetch_add(&interposer_bytes, 1, __ATOMIC_RELAXED);
		callback();
	}
	depth--;
}

SHOWN size_t strlen(const char *s)
{
	size_t n = 0;

	bytes();
	while (s[n])
		n++;
	return n;
}

SHOWN size_t strcspn(const char *s, const char *set)
{
	size_t n;

	bytes();
	for (n = 0; s[n]; n++)
		for (const char *c = set; *c; c++)
			if (s[n] == *c)
				return n;
	return n;
}

SHOWN int strncmp(const char *a, const char *b, size_t n)
{
	bytes();
	for (; n && *a && *a == *b; n--)
		a++, b++;
	return n ? (unsigned char)*a - (unsigned char)*b : 0;
}

SHOWN int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	bytes();
	for (; n && *x == *y; n--)
		x++, y++;
	return n ? *x - *y : 0;
}

SHOWN void *memset(void *p, int byte, size_t n)
{
	bytes();
	for (size_t i = 0; i < n; i++)
		((volatile char *)p)[i] = (char)byte;
	return p;
}

SHOWN void *memcpy(void *to, const void *from, size_t n)
{
	bytes();
	for (size_t i = 0; i < n; i++)
		((volatile char *)to)[i] = ((const char *)from)[i];
	return to;
}

SHOWN void *memmove(void *to, const void *from, size_t n)
{
	volatile char *a = to;
	const char *b = from;

	bytes();
	for (size_t i = 0; i < n; i++)
		if (a < b)
			a[i] = b[i];
		else
			a[n - 1 - i] = b[n - 1 - i];
	return to;
}

SHOWN void *memchr(const void *p, int byte, size_t n)
{
	const unsigned char *c = p;

	bytes();
	for (; n; n--, c++)
		if (*c == (unsigned char)byte)
			return (void *)c;
	return NULL;
}

SHOWN size_t strnlen(const char *s, size_t most)
{
	size_t n = 0;

	bytes();
	while (n < most && s[n])
		n++;
	return n;
}

SHOWN char *strchr(const char *s, int byte)
{
	bytes();
	for (; *s != (char)byte; s++)
		if (!*s)
			return NULL;
	return (char *)s;
}

SHOWN int strcmp(const char *a, const char *b)
{
	bytes();
	for (; *a && *a == *b; a++, b++)
		;
	return (unsigned char)*a - (unsigned char)*b;
}
