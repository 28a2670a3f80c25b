/* SPDX-License-Identifier: MIT */
#include "cache/high.h"
