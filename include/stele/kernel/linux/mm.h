/* SPDX-License-Identifier: MIT */
/*
 * linux/mm.h - for source written against the kernel: the page calls of <stele/page.h>, and the
 * kvmalloc family, which older kernels declare here
 */
#ifndef STELE_KERNEL_LINUX_MM_H
#define STELE_KERNEL_LINUX_MM_H

#include <linux/gfp.h>
#include <linux/slab.h>

#endif
