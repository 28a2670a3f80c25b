/* SPDX-License-Identifier: MIT */
/*
 * linux/cpuhotplug.h - for source written against the kernel: the steps of <stele/cpu.h>
 */
#ifndef STELE_KERNEL_LINUX_CPUHOTPLUG_H
#define STELE_KERNEL_LINUX_CPUHOTPLUG_H

#include <stele/cpu.h>

#endif
