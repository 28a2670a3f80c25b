/* SPDX-License-Identifier: MIT */
/*
 * arch/vfork.h - picks how vfork() is made on this architecture
 *
 * Contract  STELE_DEFINE_VFORK defines vfork(): calls stele_vfork_begin(three words to fill in); makes
 *           the system call with nothing of its own on the stack, which child and parent share;
 *           and returns what stele_vfork_child(result, first word) or
 *           stele_vfork_parent(result, first, second, third word) gives.
 * Shadows   A shadow stack (CET of x86, GCS of AArch64) is shared as well. A child that returned
 *           from vfork() would take the return address off it and write its next one there; the
 *           parent would find that one. So the child jumps back, and leaves the address on it.
 *           As with every vfork(), the child must not return from its caller.
 */
#ifndef STELE_ARCH_VFORK_H
#define STELE_ARCH_VFORK_H

#if defined(__x86_64__) && defined(__LP64__)
#include "arch/x86_64/vfork.h"
#elif defined(__aarch64__)
#include "arch/aarch64/vfork.h"
#else
#include "arch/generic/vfork.h"
#endif

#endif
