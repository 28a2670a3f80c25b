/* SPDX-License-Identifier: MIT */
/*
 * linux/mempool.h - for source written against the kernel: forwards to <stele/mempool.h>
 */
#ifndef STELE_KERNEL_LINUX_MEMPOOL_H
#define STELE_KERNEL_LINUX_MEMPOOL_H

#include <stele/mempool.h>

#endif
