/* SPDX-License-Identifier: MIT */
/*
 * arch/aarch64/vfork.h - vfork(): clone(CLONE_VM | CLONE_VFORK | SIGCHLD, 0)
 *
 * The return address is in x30, which system calls keep, as they do x9 to x11 with the words;
 * nothing is on the stack then. The first instruction is a landing pad (BTI), and a hint to
 * processors without them. Where there is a shadow stack (GCS: the hint "chkfeat" clears bit 0 of
 * x16), the child goes back by a jump (arch/vfork.h); compilers put a landing pad behind a call of
 * vfork(), as it returns twice. Elsewhere by `ret`, which asks for none.
 */
#ifndef STELE_ARCH_VFORK_STUB_H
#define STELE_ARCH_VFORK_STUB_H

#define STELE_DEFINE_VFORK                                                                         \
	__asm__(".text\n\t"                                                                        \
		".p2align 4\n\t"                                                                   \
		".globl vfork\n\t"                                                                 \
		".type vfork, %function\n"                                                         \
		"vfork:\n\t"                                                                       \
		".cfi_startproc\n\t"                                                               \
		"hint #34\n\t"                                                                     \
		"stp x29, x30, [sp, #-48]!\n\t"                                                    \
		".cfi_adjust_cfa_offset 48\n\t"                                                    \
		".cfi_rel_offset x30, 8\n\t"                                                       \
		"add x0, sp, #16\n\t"                                                              \
		"bl stele_vfork_begin\n\t"                                                         \
		"ldp x9, x10, [sp, #16]\n\t"                                                       \
		"ldr x11, [sp, #32]\n\t"                                                           \
		"ldp x29, x30, [sp], #48\n\t"                                                      \
		".cfi_adjust_cfa_offset -48\n\t"                                                   \
		".cfi_restore x30\n\t"                                                             \
		"mov x0, #0x4111\n\t"                                                              \
		"mov x1, #0\n\t"                                                                   \
		"mov x8, #220\n\t"                                                                 \
		"svc #0\n\t"                                                                       \
		"mov x1, x9\n\t"                                                                   \
		"mov x2, x10\n\t"                                                                  \
		"mov x3, x11\n\t"                                                                  \
		"cbnz x0, 1f\n\t"                                                                  \
		"stp x29, x30, [sp, #-16]!\n\t"                                                    \
		".cfi_adjust_cfa_offset 16\n\t"                                                    \
		".cfi_rel_offset x30, 8\n\t"                                                       \
		"bl stele_vfork_child\n\t"                                                         \
		"ldp x29, x30, [sp], #16\n\t"                                                      \
		".cfi_adjust_cfa_offset -16\n\t"                                                   \
		".cfi_restore x30\n\t"                                                             \
		"mov x16, #1\n\t"                                                                  \
		"hint #40\n\t"                                                                     \
		"cbz x16, 2f\n\t"                                                                  \
		"ret\n"                                                                            \
		"2:\n\t"                                                                           \
		"br x30\n"                                                                         \
		"1:\n\t"                                                                           \
		"b stele_vfork_parent\n\t"                                                         \
		".cfi_endproc\n\t"                                                                 \
		".size vfork, . - vfork\n\t")

#endif
