/* SPDX-License-Identifier: MIT */
/*
 * linux/cpu.h - for source written against the kernel: CPUs that come and go, <stele/cpu.h>
 */
#ifndef STELE_KERNEL_LINUX_CPU_H
#define STELE_KERNEL_LINUX_CPU_H

#include <stele/cpu.h>

#endif
