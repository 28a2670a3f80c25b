/* SPDX-License-Identifier: MIT */
/*
 * arch/x86_64/vfork.h - vfork(): the return address waits in a register
 *
 * The child's calls overwrite the stack below its caller's frame, so the parent could not find
 * the address there again. It waits in %r9, and the three words of stele_vfork_begin() in %r8,
 * %r10 and %rdx: system call 58 keeps these registers. The parent's `ret` is in stele_vfork_parent().
 * The child goes back by a jump (arch/vfork.h); `notrack` lets it land where no endbr64 is.
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
		"subq $24, %rsp\n\t"                                                               \
		".cfi_adjust_cfa_offset 24\n\t"                                                    \
		"movq %rsp, %rdi\n\t"                                                              \
		"call stele_vfork_begin\n\t"                                                       \
		"movq (%rsp), %r8\n\t"                                                             \
		"movq 8(%rsp), %r10\n\t"                                                           \
		"movq 16(%rsp), %rdx\n\t"                                                          \
		"addq $24, %rsp\n\t"                                                               \
		".cfi_adjust_cfa_offset -24\n\t"                                                   \
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
		"movq %rdx, %rcx\n\t"                                                              \
		"movq %r10, %rdx\n\t"                                                              \
		"testq %rax, %rax\n\t"                                                             \
		"jne stele_vfork_parent\n\t"                                                       \
		"subq $8, %rsp\n\t"                                                                \
		".cfi_adjust_cfa_offset 8\n\t"                                                     \
		"call stele_vfork_child\n\t"                                                       \
		"addq $8, %rsp\n\t"                                                                \
		".cfi_adjust_cfa_offset -8\n\t"                                                    \
		"popq %rcx\n\t"                                                                    \
		".cfi_adjust_cfa_offset -8\n\t"                                                    \
		".cfi_register %rip, %rcx\n\t"                                                     \
		"notrack jmp *%rcx\n\t"                                                            \
		".cfi_endproc\n\t"                                                                 \
		".size vfork, . - vfork\n\t")

#endif
