/* SPDX-License-Identifier: MIT */
#include "slab/high.h"
