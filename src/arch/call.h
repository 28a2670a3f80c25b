/* SPDX-License-Identifier: MIT */
/*
 * arch/call.h - system calls without the C library
 *
 * Idea      Any function of the C library may be replaced by a preloaded one, which looks up the real
 *           one when it is first called, and allocates for that. So nothing that an allocation needs
 *           goes through such a function.
 * Contract  stele_syscall6(number, a .. f) enters the kernel and returns what the kernel returns: a
 *           result, or -errno. It does not touch errno, and it is no cancellation point.
 *           STELE_SIGNAL_RETURN is the address to which a handler returns, 0 where the kernel has one
 *           of its own; STELE_DEFINE_SIGNAL_RETURN defines it, in one file.
 * Sanitizers see memory only if their own mmap() and munmap() bring it, so the generic calls are
 *           taken there.
 */
#ifndef STELE_ARCH_CALL_PICK_H
#define STELE_ARCH_CALL_PICK_H

#include <sys/syscall.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#include "arch/generic/call.h"
#elif defined(__x86_64__) && defined(__LP64__)
#include "arch/x86_64/call.h"
#elif defined(__aarch64__)
#include "arch/aarch64/call.h"
#else
#include "arch/generic/call.h"
#endif

#if defined(__x86_64__) && defined(__LP64__)
#include "arch/x86_64/signal_return.h"
#else
#include "arch/generic/signal_return.h"
#endif

/* STELE_SYSCALL(number, arguments): one at least, pointers or numbers. */
#define STELE_SYSCALL_OF(number, a, b, c, d, e, f, ...)                                            \
	stele_syscall6(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define STELE_SYSCALL(number, ...) STELE_SYSCALL_OF(number, __VA_ARGS__, 0, 0, 0, 0, 0, 0)

#endif
