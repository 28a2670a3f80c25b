/* SPDX-License-Identifier: MIT */
/*
 * arch/vfork.h - picks how vfork() is made on this architecture
 *
 * Contract  STELE_DEFINE_VFORK defines vfork(): calls stele_vfork_begin(), makes the system call
 *           with nothing of its own on the stack, which child and parent share, and goes on in
 *           stele_vfork_child(result, begun) or stele_vfork_parent(result, begun), which return
 *           to its caller; `begun` is what the first call gave.
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
