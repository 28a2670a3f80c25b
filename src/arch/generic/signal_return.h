/* SPDX-License-Identifier: MIT */
/*
 * arch/generic/signal_return.h - the kernel has a way back from handlers of its own
 */
#ifndef STELE_ARCH_SIGNAL_RETURN_H
#define STELE_ARCH_SIGNAL_RETURN_H

#define STELE_SIGNAL_RETURN 0
#define STELE_DEFINE_SIGNAL_RETURN _Static_assert(1, "")

#endif
