/* SPDX-License-Identifier: MIT */
/*
 * arch/generic/vfork.h - vfork() is fork(), as POSIX allows: nothing is shared then
 */
#ifndef STELE_ARCH_VFORK_STUB_H
#define STELE_ARCH_VFORK_STUB_H

#include <unistd.h>

#define STELE_DEFINE_VFORK                                                                         \
	__attribute__((visibility("default"))) pid_t vfork(void)                                   \
	{                                                                                          \
		return fork();                                                                     \
	}                                                                                          \
	_Static_assert(1, "")

#endif
