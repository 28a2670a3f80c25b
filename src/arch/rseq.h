/* SPDX-License-Identifier: MIT */
/*
 * arch/rseq.h - picks the folder of this architecture
 *
 * Under ThreadSanitizer the steps would be invisible, so the generic ones are taken.
 */
#ifndef STELE_ARCH_PICK_H
#define STELE_ARCH_PICK_H

#if defined(__SANITIZE_THREAD__)
#include "arch/generic/rseq.h"
#elif defined(__x86_64__) && defined(__LP64__)
#include "arch/x86_64/rseq.h"
#elif defined(__aarch64__)
#include "arch/aarch64/rseq.h"
#else
#include "arch/generic/rseq.h"
#endif

#endif
