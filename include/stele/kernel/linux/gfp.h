/* SPDX-License-Identifier: MIT */
/*
 * linux/gfp.h - for source written against the kernel: forwards to <stele/gfp.h> and the
 * page calls in <stele/page.h>
 */
#ifndef STELE_KERNEL_LINUX_GFP_H
#define STELE_KERNEL_LINUX_GFP_H

#include <stele/gfp.h>
#include <stele/page.h>

#endif
