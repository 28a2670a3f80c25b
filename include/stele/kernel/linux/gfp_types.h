/* SPDX-License-Identifier: MIT */
/*
 * linux/gfp_types.h - for source written against the kernel: the flags alone, <stele/gfp.h>
 */
#ifndef STELE_KERNEL_LINUX_GFP_TYPES_H
#define STELE_KERNEL_LINUX_GFP_TYPES_H

#include <stele/gfp.h>

#endif
