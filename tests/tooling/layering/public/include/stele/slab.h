/* SPDX-License-Identifier: MIT */
#include "slab/slab.h"
