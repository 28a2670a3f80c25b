/* SPDX-License-Identifier: MIT */
/*
 * arch/x86_64/signal_return.h - the way back from a handler: system call 15
 *
 * Debuggers and unwinders know these very instructions.
 */
#ifndef STELE_ARCH_SIGNAL_RETURN_H
#define STELE_ARCH_SIGNAL_RETURN_H

__attribute__((visibility("hidden"))) void stele_signal_return(void);

#define STELE_SIGNAL_RETURN stele_signal_return
#define STELE_DEFINE_SIGNAL_RETURN                                                                 \
	__asm__(".text\n\t"                                                                        \
		".p2align 4\n\t"                                                                   \
		".globl stele_signal_return\n\t"                                                   \
		".hidden stele_signal_return\n\t"                                                  \
		".type stele_signal_return, @function\n"                                           \
		"stele_signal_return:\n\t"                                                         \
		"movq $15, %rax\n\t"                                                               \
		"syscall\n\t"                                                                      \
		".size stele_signal_return, . - stele_signal_return\n\t")

#endif
