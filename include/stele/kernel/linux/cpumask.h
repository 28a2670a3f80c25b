/* SPDX-License-Identifier: MIT */
/*
 * linux/cpumask.h - for source written against the kernel: the questions of <stele/cpu.h>
 */
#ifndef STELE_KERNEL_LINUX_CPUMASK_H
#define STELE_KERNEL_LINUX_CPUMASK_H

#include <stele/cpu.h>

#endif
