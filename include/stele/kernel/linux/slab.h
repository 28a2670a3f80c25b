/* SPDX-License-Identifier: MIT */
/*
 * linux/slab.h - for source written against the kernel: forwards to <stele/slab.h>
 *
 * Idea      compile with the directory that holds this linux/ folder on the include path:
 *           `pkg-config --variable=kernelincludedir stele` names it. Nothing is declared here.
 */
#ifndef STELE_KERNEL_LINUX_SLAB_H
#define STELE_KERNEL_LINUX_SLAB_H

#include <linux/gfp.h>
#include <stele/slab.h>

#endif
