/* SPDX-License-Identifier: MIT */
/*
 * arch/x86_64/call.h - system calls, as arch/call.h has them
 */
#ifndef STELE_ARCH_CALL_H
#define STELE_ARCH_CALL_H

static inline long stele_syscall6(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory", "cc");
	return result;
}

#endif
