/* SPDX-License-Identifier: MIT */
/*
 * linux/slab.h - for source written against the kernel: forwards to <stele/slab.h>
 *
 * Idea      compile with the directory that holds this linux/ folder on the include path, and the
 *           one of <stele/slab.h>: `pkg-config --cflags stele-kernel`. Nothing is declared here.
 */
#ifndef STELE_KERNEL_LINUX_SLAB_H
#define STELE_KERNEL_LINUX_SLAB_H

#include <linux/gfp.h>
#include <stele/slab.h>

#endif
