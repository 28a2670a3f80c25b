/* SPDX-License-Identifier: MIT */
/*
 * linux/types.h - the one of the kernel's tools/, without its gfp_t
 *
 * There, gfp_t is an enumeration of four names; here, it and the names are Stele's.
 */
#include <stele/gfp.h>

#pragma push_macro("GFP_KERNEL")
#pragma push_macro("GFP_ATOMIC")
#pragma push_macro("__GFP_HIGHMEM")
#pragma push_macro("__GFP_HIGH")
#undef GFP_KERNEL
#undef GFP_ATOMIC
#undef __GFP_HIGHMEM
#undef __GFP_HIGH
#define gfp_t tools_gfp_t
#include_next <linux/types.h>
#undef gfp_t
#pragma pop_macro("__GFP_HIGH")
#pragma pop_macro("__GFP_HIGHMEM")
#pragma pop_macro("GFP_ATOMIC")
#pragma pop_macro("GFP_KERNEL")
