/* SPDX-License-Identifier: MIT */
/*
 * arch/x86_64/vfork.h - vfork(): the return address waits in a register
 *
 * The child's calls overwrite what lies below its caller's frame, so the parent could not find
 * the address on the stack again. System call 58 keeps %r9, and %r8 with the signals to let in.
 */
#ifndef STELE_ARCH_VFORK_STUB_H
#define STELE_ARCH_VFORK_STUB_H

#define STELE_DEFINE_VFORK                                                                         \
	__asm__(".text\n\t"                                                                        \
		".p2align 4\n\t"                                                                   \
		".globl vfork\n\t"                                                                 \
		".type vfork, @function\n"                                                         \
		"vfork:\n\t"                                                                       \
		".cfi_startproc\n\t"                                                               \
		"endbr64\n\t"                                                                      \
		"subq $8, %rsp\n\t"                                                                \
		".cfi_adjust_cfa_offset 8\n\t"                                                     \
		"call stele_vfork_begin\n\t"                                                       \
		"addq $8, %rsp\n\t"                                                                \
		".cfi_adjust_cfa_offset -8\n\t"                                                    \
		"movq %rax, %r8\n\t"                                                               \
		"popq %r9\n\t"                                                                     \
		".cfi_adjust_cfa_offset -8\n\t"                                                    \
		".cfi_register %rip, %r9\n\t"                                                      \
		"movl $58, %eax\n\t"                                                               \
		"syscall\n\t"                                                                      \
		"pushq %r9\n\t"                                                                    \
		".cfi_adjust_cfa_offset 8\n\t"                                                     \
		".cfi_rel_offset %rip, 0\n\t"                                                      \
		"movq %rax, %rdi\n\t"                                                              \
		"movq %r8, %rsi\n\t"                                                               \
		"testq %rax, %rax\n\t"                                                             \
		"jne stele_vfork_parent\n\t"                                                       \
		"jmp stele_vfork_child\n\t"                                                        \
		".cfi_endproc\n\t"                                                                 \
		".size vfork, . - vfork\n\t")

#endif
